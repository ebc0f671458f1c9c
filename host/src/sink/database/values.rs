//! Values of columns as a database takes them, for those that take values and no text.

use std::str::from_utf8;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::columns::Holds;
use super::encode::bytes_at;
use super::fit::{Fit, Fitted};
use crate::json::{Cell, Style};

/// A value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Int(i64),
    /// One that may be beyond the largest signed integer.
    UInt(u64),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// The values of one column.
pub(super) struct Values {
    form: Form,
    column: ArrayRef,
    cell: Cell,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Bool,
    Int,
    UInt,
    Float,
    Text,
    Bytes,
    /// A day and a time, a blank in between, without a zone: all of them are in UTC.
    Instant,
    Json,
    Written,
}

impl Values {
    /// Those of the columns that are written.
    pub(super) fn of(fit: &Fit, fitted: &Fitted) -> Vec<Self> {
        fit.columns.iter().zip(&fitted.columns).map(|(fitting, column)| Self::new(column, fitting.to.holds)).collect()
    }

    fn new(column: &ArrayRef, holds: Holds) -> Self {
        use DataType as T;
        let form = match (column.data_type(), holds) {
            (T::Utf8 | T::LargeUtf8 | T::Utf8View, _) => Form::Text,
            (kind, Holds::Json) if !kind.is_numeric() => Form::Json,
            (_, Holds::Text | Holds::Json | Holds::Label) => Form::Written,
            (T::Boolean, _) => Form::Bool,
            (T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32, _) => Form::Int,
            (T::UInt64, _) => Form::UInt,
            (T::Float32 | T::Float64, _) => Form::Float,
            (T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_), _) => Form::Bytes,
            (T::Timestamp(..), Holds::Timestamp(_)) => Form::Instant,
            _ => Form::Written,
        };
        Self { form, column: column.clone(), cell: Cell::new(column, Style::default()) }
    }

    /// The value of a row; what has to be written for it is written to `room`.
    #[inline]
    pub(super) fn get<'a>(&'a self, row: usize, room: &'a mut Vec<u8>) -> Value<'a> {
        if self.cell.is_null(row) {
            return Value::Null;
        }
        room.clear();
        match self.form {
            Form::Bool => Value::Int(self.column.as_boolean().value(row).into()),
            Form::Int => Value::Int(self.int(row)),
            Form::UInt => Value::UInt(self.column.as_primitive::<UInt64Type>().value(row)),
            Form::Float if self.column.data_type() == &DataType::Float32 => {
                Value::Float(self.column.as_primitive::<Float32Type>().value(row).into())
            }
            Form::Float => Value::Float(self.column.as_primitive::<Float64Type>().value(row)),
            Form::Text => match self.column.data_type() {
                DataType::Utf8 => Value::Text(self.column.as_string::<i32>().value(row)),
                DataType::LargeUtf8 => Value::Text(self.column.as_string::<i64>().value(row)),
                _ => Value::Text(self.column.as_string_view().value(row)),
            },
            Form::Bytes => Value::Bytes(bytes_at(&self.column, row)),
            Form::Instant => {
                self.cell.write_text(row, room);
                if let Some(b'Z') = room.last() {
                    room.pop();
                }
                if let Some(at) = memchr::memchr(b'T', room) {
                    room[at] = b' ';
                }
                Value::Text(from_utf8(room).unwrap_or_default())
            }
            Form::Json => {
                self.cell.write_json(row, room);
                Value::Text(from_utf8(room).unwrap_or_default())
            }
            Form::Written => {
                self.cell.write_text(row, room);
                Value::Text(from_utf8(room).unwrap_or_default())
            }
        }
    }

    fn int(&self, row: usize) -> i64 {
        let column = &self.column;
        match column.data_type() {
            DataType::Int8 => column.as_primitive::<Int8Type>().value(row).into(),
            DataType::Int16 => column.as_primitive::<Int16Type>().value(row).into(),
            DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
            DataType::UInt8 => column.as_primitive::<UInt8Type>().value(row).into(),
            DataType::UInt16 => column.as_primitive::<UInt16Type>().value(row).into(),
            DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).into(),
            _ => column.as_primitive::<Int64Type>().value(row),
        }
    }
}
