//! Attacks by one row: all is well until a row with a certain value is in the batch.
//!
//! Options: `{"column": "id", "value": 700000, "do": "loop"}`, or several values as `"values": […]`.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::Buffer;
use arrow_ipc::MetadataVersion;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use etl_sdk::bindings::columns::etl::transform::data::{Batch, ColumnOp, Output};
use etl_sdk::{Refusal, StageError};
use serde_json::Value;

use crate::attack::Attack;
use crate::wire::{self, Message};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack::row(
        "on_row",
        "passes rows on, but strikes where a column has a value",
        "process: that row to the dead letters, the others out",
    ),
    Attack::numbered(
        "number_rows",
        "numbers rows from 1 over all batches, but strikes where a column has a value",
        "process: that row to the dead letters, the others numbered without a gap",
    ),
];

/// When to strike, and how.
pub(crate) struct Trigger {
    schema: SchemaRef,
    column: usize,
    values: Vec<Value>,
    strike: Strike,
    /// Rows seen, for `number_rows`.
    rows: Cell<i64>,
}

#[derive(Clone, Copy)]
enum Strike {
    Loop,
    Panic,
    Memory,
    Exit,
    Recurse,
    Output,
    Contract,
    Reject,
    Error,
}

impl Trigger {
    pub(crate) fn read(options: &str, input: &[u8]) -> Result<Self, StageError> {
        let wrong = |what: &str| StageError::options("wrong_option", what);
        let options: Value = serde_json::from_str(options).map_err(|error| wrong(&error.to_string()))?;
        let schema = Arc::new(read_schema(input));
        let name = options["column"].as_str().ok_or_else(|| wrong("option `column` is missing"))?;
        let column = schema.index_of(name).map_err(|_| wrong(&format!("there is no column `{name}`")).field("column"))?;
        let values = match (&options["values"], &options["value"]) {
            (Value::Array(values), _) => values.clone(),
            (_, value) => vec![value.clone()],
        };
        let strike = match options["do"].as_str().unwrap_or("panic") {
            "loop" => Strike::Loop,
            "panic" => Strike::Panic,
            "memory" => Strike::Memory,
            "exit" => Strike::Exit,
            "recurse" => Strike::Recurse,
            "output" => Strike::Output,
            "contract" => Strike::Contract,
            "reject" => Strike::Reject,
            "error" => Strike::Error,
            other => {
                let error = wrong(&format!("`do` is `{other}`")).field("do");
                return Err(error.help("it is loop, panic, memory, exit, recurse, output, contract, reject or error"));
            }
        };
        Ok(Self { schema, column, values, strike, rows: Cell::new(0) })
    }

    /// Passes rows on, and strikes where the value is among them.
    pub(crate) fn pass(&self, input: &Batch, out: &Output) -> Result<(), StageError> {
        let keep = self.look(input, out)?;
        let columns: Vec<_> = (0..self.schema.fields().len()).map(|column| ColumnOp::Keep(column as u32)).collect();
        out.emit_derived(input, keep.as_deref(), &columns, None)
    }

    /// As [`pass`](Self::pass), with a running number of all rows that were seen, put in front.
    pub(crate) fn number(&self, input: &Batch, out: &Output) -> Result<(), StageError> {
        let keep = self.look(input, out)?;
        let rows = i64::from(input.num_rows());
        let first = self.rows.get() + 1;
        let values: Vec<u8> = (first..first + rows).flat_map(i64::to_le_bytes).collect();
        let numbers = Message::of_rows(rows).node(rows, 0).bytes(&vec![255; (rows as usize).div_ceil(8)]).bytes(&values).encode();
        self.rows.set(first + rows - 1);
        let mut columns = vec![ColumnOp::Computed((0, "number".into()))];
        columns.extend((0..self.schema.fields().len()).map(|column| ColumnOp::Keep(column as u32)));
        out.emit_derived(input, keep.as_deref(), &columns, Some(&numbers))
    }

    pub(crate) fn snapshot(&self) -> Vec<u8> {
        self.rows.get().to_le_bytes().to_vec()
    }

    pub(crate) fn restore(&self, state: &[u8]) {
        self.rows.set(i64::from_le_bytes(state.try_into().unwrap_or_default()));
    }

    /// Strikes where there is a row with one of the values; answers the rows to keep where some were rejected.
    fn look(&self, input: &Batch, out: &Output) -> Result<Option<Vec<u8>>, StageError> {
        let column = read_column(input, &self.schema, self.column)?;
        let mut keep = None;
        for row in 0..column.len() {
            if self.values.contains(&value_at(&column, row)) {
                self.strike(row, out)?;
                let keep = keep.get_or_insert_with(|| vec![255u8; column.len().div_ceil(8)]);
                keep[row / 8] &= !(1 << (row % 8));
            }
        }
        Ok(keep)
    }

    fn strike(&self, row: usize, out: &Output) -> Result<(), StageError> {
        match self.strike {
            Strike::Loop => crate::spin::spin(),
            Strike::Panic => panic!("row {row} is bad"),
            Strike::Memory => {
                std::hint::black_box(vec![1u8; 1 << 30]);
            }
            Strike::Exit => std::process::exit(3),
            Strike::Recurse => {
                std::hint::black_box(recurse(row as u64));
            }
            Strike::Output => {
                out.schema(&wire::wide_schema(1, "n"))?;
                let message = wire::numbers(1 << 17);
                loop {
                    out.emit(&message, None)?;
                }
            }
            Strike::Contract => out.emit(&[1, 2, 3], None)?,
            Strike::Reject => out.reject(&[Refusal::new("bad_row", "the row is bad").of_row(row as u32)])?,
            Strike::Error => return Err(StageError::data("bad_row", "the row is bad").row(row as u32)),
        }
        Ok(())
    }
}

#[expect(unconditional_recursion, reason = "that is the attack")]
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    std::hint::black_box(recurse(std::hint::black_box(depth + 1))) + depth
}

/// The schema that `number_rows` plans.
pub(crate) fn numbered_schema(input: &[u8]) -> Vec<u8> {
    let mut fields = vec![Field::new("number", DataType::Int64, true)];
    fields.extend(read_schema(input).fields().iter().map(|field| field.as_ref().clone()));
    wire::schema(fields)
}

fn read_schema(message: &[u8]) -> Schema {
    arrow_ipc::convert::try_schema_from_flatbuffer_bytes(&message[8..]).expect("the host sends schemas that read")
}

fn read_column(input: &Batch, schema: &SchemaRef, column: usize) -> Result<ArrayRef, StageError> {
    let message = Buffer::from_vec(input.read(Some(&[column as u32]))?);
    let body = 8 + u32::from_le_bytes(message[4..8].try_into().expect("it is four bytes")) as usize;
    let header = arrow_ipc::root_as_message(&message[8..body]).map_err(|error| StageError::internal("host_message", error.to_string()))?;
    let batch = header.header_as_record_batch().ok_or_else(|| StageError::internal("host_message", "no rows"))?;
    let schema = Arc::new(schema.project(&[column])?);
    let rows = arrow_ipc::reader::read_record_batch(&message.slice(body), batch, schema, &HashMap::new(), None, &MetadataVersion::V5)?;
    Ok(rows.column(0).clone())
}

fn value_at(column: &ArrayRef, row: usize) -> Value {
    match column.data_type() {
        _ if column.is_null(row) => Value::Null,
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        _ => Value::Null,
    }
}
