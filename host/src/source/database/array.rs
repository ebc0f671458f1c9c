//! Values of a column as an Arrow array.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, ListArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};

use super::kind::{Cell, Kind};
use crate::source::target::Target;

/// Values in order; a value of another kind, of which nobody makes any, is null.
pub(super) type Cells<'i, 'a> = &'i mut dyn Iterator<Item = Option<Cell<'a>>>;

/// Puts values of a kind into an array.
pub(super) fn array(kind: &Kind, rows: usize, cells: Cells<'_, '_>) -> ArrayRef {
    match kind {
        Kind::Bool => {
            let mut builder = BooleanBuilder::with_capacity(rows);
            cells.for_each(|cell| builder.append_option(if let Some(Cell::Bool(value)) = cell { Some(value) } else { None }));
            Arc::new(builder.finish())
        }
        Kind::Int8 => primitive::<Int8Type>(kind, rows, cells, |cell| int(cell).and_then(|value| value.try_into().ok())),
        Kind::Int16 => primitive::<Int16Type>(kind, rows, cells, |cell| int(cell).and_then(|value| value.try_into().ok())),
        Kind::Int32 => primitive::<Int32Type>(kind, rows, cells, |cell| int(cell).and_then(|value| value.try_into().ok())),
        Kind::Int64 => primitive::<Int64Type>(kind, rows, cells, int),
        Kind::UInt8 => primitive::<UInt8Type>(kind, rows, cells, |cell| uint(cell).and_then(|value| value.try_into().ok())),
        Kind::UInt16 => primitive::<UInt16Type>(kind, rows, cells, |cell| uint(cell).and_then(|value| value.try_into().ok())),
        Kind::UInt32 => primitive::<UInt32Type>(kind, rows, cells, |cell| uint(cell).and_then(|value| value.try_into().ok())),
        Kind::UInt64 | Kind::Bits => primitive::<UInt64Type>(kind, rows, cells, uint),
        Kind::Float32 => {
            primitive::<Float32Type>(kind, rows, cells, |cell| if let Cell::Float32(value) = cell { Some(value) } else { None })
        }
        Kind::Float64 => primitive::<Float64Type>(kind, rows, cells, |cell| if let Cell::Float(value) = cell { Some(value) } else { None }),
        Kind::Decimal(..) => {
            primitive::<Decimal128Type>(kind, rows, cells, |cell| if let Cell::Decimal(value, _) = cell { Some(value) } else { None })
        }
        Kind::Date => primitive::<Date32Type>(kind, rows, cells, |cell| if let Cell::Date(value) = cell { Some(value) } else { None }),
        Kind::Time => {
            primitive::<Time64MicrosecondType>(kind, rows, cells, |cell| if let Cell::Time(value) = cell { Some(value) } else { None })
        }
        Kind::Timestamp | Kind::Instant => primitive::<TimestampMicrosecondType>(kind, rows, cells, |cell| match cell {
            Cell::Timestamp(value) | Cell::Instant(value) => Some(value),
            _ => None,
        }),
        Kind::Text | Kind::Uuid => {
            let mut builder = StringBuilder::with_capacity(rows, rows * 16);
            cells.for_each(|cell| builder.append_option(if let Some(Cell::Text(text)) = cell { Some(text) } else { None }));
            Arc::new(builder.finish())
        }
        Kind::Binary => {
            let mut builder = BinaryBuilder::with_capacity(rows, rows * 16);
            cells.for_each(|cell| builder.append_option(if let Some(Cell::Bytes(bytes)) = cell { Some(bytes) } else { None }));
            Arc::new(builder.finish())
        }
        Kind::List(items) => {
            let (mut lengths, mut valid, mut all) = (Vec::with_capacity(rows), Vec::with_capacity(rows), Vec::new());
            for cell in cells {
                let list = if let Some(Cell::List(list)) = cell { Some(list) } else { None };
                valid.push(list.is_some());
                lengths.push(list.as_ref().map_or(0, Vec::len));
                all.extend(list.into_iter().flatten());
            }
            let values = array(items, all.len(), &mut all.into_iter());
            let field = Target::Declared(items.data_type()).item_field();
            Arc::new(ListArray::new(field, OffsetBuffer::from_lengths(lengths), values, Some(NullBuffer::from(valid))))
        }
    }
}

fn primitive<T: ArrowPrimitiveType>(
    kind: &Kind,
    rows: usize,
    cells: Cells<'_, '_>,
    native: impl Fn(Cell<'_>) -> Option<T::Native>,
) -> ArrayRef {
    let mut builder = PrimitiveBuilder::<T>::with_capacity(rows).with_data_type(kind.data_type());
    cells.for_each(|cell| builder.append_option(cell.and_then(&native)));
    Arc::new(builder.finish())
}

fn int(cell: Cell<'_>) -> Option<i64> {
    if let Cell::Int(value) = cell { Some(value) } else { None }
}

fn uint(cell: Cell<'_>) -> Option<u64> {
    if let Cell::UInt(value) = cell { Some(value) } else { None }
}
