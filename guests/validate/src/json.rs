//! Values of columns as JSON: what a JSON Schema and an expression see, and what messages show. A null within an object is an absent key.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use etl_steps::moment;
use serde_json::{Map, Number, Value};

use crate::view::{self, Family};
use crate::words;

/// Makes a row an object, without the columns that are null.
pub(crate) fn row(rows: &RecordBatch, index: usize) -> Value {
    let mut object = Map::with_capacity(rows.num_columns());
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        match value(column, index) {
            Value::Null => {}
            value => drop(object.insert(field.name().clone(), value)),
        }
    }
    Value::Object(object)
}

/// Makes one value JSON.
pub(crate) fn value(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match Family::of(column.data_type()) {
        Family::Null => Value::Null,
        Family::Text => Value::String(match column.data_type() {
            DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
            DataType::LargeUtf8 => column.as_string::<i64>().value(row).to_owned(),
            _ => column.as_string_view().value(row).to_owned(),
        }),
        Family::Int if column.data_type() == &DataType::Int64 => column.as_primitive::<arrow_array::types::Int64Type>().value(row).into(),
        Family::Int if column.data_type() == &DataType::UInt64 => column.as_primitive::<arrow_array::types::UInt64Type>().value(row).into(),
        Family::Int => view::ints(&column.slice(row, 1))[0].into(),
        Family::Float => Number::from_f64(view::floats(&column.slice(row, 1))[0]).map_or(Value::Null, Value::Number),
        Family::Decimal(scale) => {
            let text = decimal(view::decimals(column)[row], scale);
            text.parse().map_or(Value::Null, Value::Number)
        }
        Family::Bool => column.as_boolean().value(row).into(),
        Family::Date => moment::show_day((view::micros(&column.slice(row, 1))[0].div_euclid(view::DAY)) as i32).into(),
        Family::Instant => {
            let text = moment::show_instant(view::micros(&column.slice(row, 1))[0]);
            let zoned = matches!(column.data_type(), DataType::Timestamp(_, Some(_)));
            Value::String(if zoned { text + "Z" } else { text })
        }
        Family::List => {
            let items = match column.data_type() {
                DataType::List(_) => column.as_list::<i32>().value(row),
                DataType::LargeList(_) => column.as_list::<i64>().value(row),
                _ => column.as_fixed_size_list().value(row),
            };
            (0..items.len()).map(|item| value(&items, item)).collect()
        }
        Family::Object => match column.as_struct_opt() {
            Some(object) => {
                let pairs = object.column_names().into_iter().zip(object.columns());
                let pairs = pairs.map(|(name, column)| (name.to_owned(), value(column, row))).filter(|(_, value)| !value.is_null());
                Value::Object(pairs.collect())
            }
            None => {
                let entries = column.as_map().value(row);
                let (keys, values) = (entries.column(0), entries.column(1));
                Value::Object((0..entries.len()).map(|entry| (text(keys, entry), value(values, entry))).collect())
            }
        },
        Family::Other => Value::String(format!("a value of type {}", column.data_type())),
    }
}

/// A value as text: a text as it stands, anything else as JSON has it.
pub(crate) fn text(column: &ArrayRef, row: usize) -> String {
    match value(column, row) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// A value for a message: texts in back-quotes, long ones cut.
pub(crate) fn shown(column: &ArrayRef, row: usize) -> String {
    words::shown(&value(column, row))
}

/// An unscaled decimal with its point.
fn decimal(value: i128, scale: i8) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let digits = value.unsigned_abs().to_string();
    match usize::try_from(scale) {
        Ok(0) => format!("{sign}{digits}"),
        Ok(scale) => {
            let digits = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            format!("{sign}{whole}.{fraction}")
        }
        Err(_) => format!("{sign}{digits}{}", "0".repeat(scale.unsigned_abs().into())),
    }
}
