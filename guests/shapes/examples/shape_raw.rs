//! The raw shape: Arrow's buffers by themselves, no Arrow in the guest.

use etl_shapes::{Numbers, Text};

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "shape-raw" });
}

use bindings::exports::etl::shapes::raw::{Column, Guest, Kind};

/// The component.
pub struct Raw;

impl Guest for Raw {
    fn transform(_rows: u32, columns: Vec<Column>) -> Vec<Column> {
        let offsets: Vec<Vec<i32>> = columns.iter().map(offsets_of).collect();
        let text = |index: usize| Text {
            offsets: &offsets[index],
            bytes: &columns[index].values,
            validity: (!columns[index].validity.is_empty()).then_some(&columns[index].validity[..]),
        };
        let (name, city, quantity, price) = (text(0), text(1), text(2), text(3));
        let label = etl_shapes::label(name, city);
        vec![
            numbers(Kind::Int64, etl_shapes::parse::<i64>(quantity), i64::to_le_bytes),
            numbers(Kind::Float64, etl_shapes::parse::<f64>(price), f64::to_le_bytes),
            Column {
                kind: Kind::Text,
                values: label.bytes,
                offsets: label.offsets.into_iter().flat_map(i32::to_le_bytes).collect(),
                validity: Vec::new(),
            },
        ]
    }
}

fn offsets_of(column: &Column) -> Vec<i32> {
    column.offsets.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect()
}

fn numbers<T>(kind: Kind, numbers: Numbers<T>, bytes: fn(T) -> [u8; 8]) -> Column {
    Column { kind, values: numbers.values.into_iter().flat_map(bytes).collect(), offsets: Vec::new(), validity: numbers.validity }
}

#[cfg(target_arch = "wasm32")]
bindings::export!(Raw with_types_in bindings);
