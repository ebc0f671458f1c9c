//! Values of one type as values of a wider one. It is told as the host tells it, which brings rows of later batches to the same columns.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Float64Array, ListArray, RecordBatch, StringArray, StructArray, new_null_array};
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use etl_sdk::StageError;

use crate::columns::describe;
use crate::groups::batch;
use crate::values::{Kind, f64s, from_i64s, from_i128s, i64s, i128s, is_number, scale};

/// Integers that a float holds, each by itself.
const EXACT: i64 = 1 << 53;

/// Makes the values of a column those of a wider type; `name` is the column's.
///
/// # Errors
/// Unsupported, where a value would be another one.
pub(crate) fn widen(array: &ArrayRef, to: &DataType, name: &str) -> Result<ArrayRef, StageError> {
    let from = array.data_type();
    if from == to {
        return Ok(array.clone());
    }
    if from == &DataType::Null || array.null_count() == array.len() {
        return Ok(new_null_array(to, array.len()));
    }
    match (from, to) {
        (_, DataType::Utf8) => texts(array, name),
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let given = array.as_struct();
            let columns = fields.iter().map(|field| match given.column_by_name(field.name()) {
                Some(column) => widen(column, field.data_type(), name),
                None => Ok(new_null_array(field.data_type(), given.len())),
            });
            let columns = columns.collect::<Result<_, _>>()?;
            Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, given.nulls().cloned(), given.len())?))
        }
        (DataType::List(_), DataType::List(item)) => {
            let given = array.as_list::<i32>();
            let items = widen(given.values(), item.data_type(), name)?;
            Ok(Arc::new(ListArray::try_new(item.clone(), given.offsets().clone(), items, given.nulls().cloned())?))
        }
        _ if is_number(from) => number(array, to, name),
        _ => match (time_unit(from), time_unit(to)) {
            (Some(unit), Some(finer)) if unit % finer == 0 && Kind::of(to) == Kind::I64 => {
                let factor = unit / finer;
                let times = i64s(array);
                let values = times.iter().map(|time| time.map_or(Some(0), |time| time.checked_mul(factor))).collect::<Option<Vec<_>>>();
                from_i64s(values.ok_or_else(|| cannot(name, from, to))?, times.nulls().cloned(), to)
            }
            _ => Err(cannot(name, from, to)),
        },
    }
}

/// Makes the rows of a batch those of wider columns, by their names.
pub(crate) fn widen_rows(rows: &RecordBatch, to: &SchemaRef) -> Result<RecordBatch, StageError> {
    let columns = to.fields().iter().map(|field| match rows.column_by_name(field.name()) {
        Some(column) => widen(column, field.data_type(), field.name()),
        None => Ok(new_null_array(field.data_type(), rows.num_rows())),
    });
    batch(to, columns.collect::<Result<_, _>>()?, rows.num_rows())
}

/// Whether values of a wider type compare as those of a narrower one did.
pub(crate) fn keeps_order(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (from, to) if from == to || from == &DataType::Null => true,
        (DataType::Struct(from), DataType::Struct(to)) => {
            // Members that are new come last, and are null in all values there are.
            from.iter().enumerate().all(|(place, field)| {
                to.get(place).is_some_and(|wider| wider.name() == field.name() && keeps_order(field.data_type(), wider.data_type()))
            })
        }
        (DataType::List(from), DataType::List(to)) => keeps_order(from.data_type(), to.data_type()),
        (_, to) => to != &DataType::Utf8,
    }
}

/// Nanoseconds of the unit of a date or timestamp.
pub(crate) fn time_unit(data_type: &DataType) -> Option<i64> {
    match data_type {
        DataType::Date32 => Some(86_400_000_000_000),
        DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _) => Some(1_000_000),
        DataType::Timestamp(TimeUnit::Second, _) => Some(1_000_000_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => Some(1000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Some(1),
        _ => None,
    }
}

/// Says that what is remembered cannot be told as another type.
pub(crate) fn cannot(name: &str, from: &DataType, to: &DataType) -> StageError {
    let message = format!(
        "what it remembers of column `{name}` is {}, and cannot be told as {}, which the column is now",
        describe(from),
        describe(to)
    );
    StageError::unsupported("column_changed", message)
        .help(format!("bring the column to one type before this step: `convert: {{{name}: {}}}`", convertible(to)))
}

/// The name of a type for `convert`.
fn convertible(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Boolean => "bool",
        data_type if data_type.is_integer() => "int",
        data_type if is_number(data_type) => "float",
        data_type if time_unit(data_type).is_some() => "datetime",
        _ => "text",
    }
}

fn number(array: &ArrayRef, to: &DataType, name: &str) -> Result<ArrayRef, StageError> {
    let from = array.data_type();
    match (Kind::of(from), Kind::of(to)) {
        (Kind::I64, Kind::I64) if to == &DataType::Int64 => Ok(Arc::new(i64s(array))),
        (Kind::F64, Kind::F64) if to == &DataType::Float64 => Ok(Arc::new(f64s(array))),
        (Kind::I64 | Kind::I128, Kind::F64) if to == &DataType::Float64 => {
            let floats: Float64Array = f64s(array);
            let exact =
                |value: i128| value.unsigned_abs() <= EXACT as u128 || value as f64 as i128 == value && value != i128::from(i64::MAX);
            match i128s(array).iter().flatten().find(|value| !exact(*value)) {
                Some(value) if scale(from) == 0 => Err(StageError::unsupported(
                    "column_changed",
                    format!("column `{name}` has {value} and is float now, which does not hold that number exactly"),
                )
                .help(format!("bring the column to one type before this step: `convert: {{{name}: \"decimal(38,9)\"}}` or `text`"))),
                _ => Ok(Arc::new(floats)),
            }
        }
        (Kind::I64 | Kind::I128, Kind::I128) if matches!(to, DataType::Decimal128(..)) => {
            let numbers = i128s(array);
            let factor = scale_factor(from, to).ok_or_else(|| cannot(name, from, to))?;
            let values = numbers.iter().map(|value| value.map_or(Some(0), |value| value.checked_mul(factor))).collect::<Option<Vec<_>>>();
            Ok(from_i128s(values.ok_or_else(|| cannot(name, from, to))?, numbers.nulls().cloned(), to))
        }
        _ => Err(cannot(name, from, to)),
    }
}

/// What numbers without their point are multiplied by where digits behind it are added; none where there would be fewer.
pub(crate) fn scale_factor(from: &DataType, to: &DataType) -> Option<i128> {
    10i128.checked_pow(u32::try_from(i32::from(scale(to)) - i32::from(scale(from))).ok()?)
}

/// The text of every value.
fn texts(array: &ArrayRef, name: &str) -> Result<ArrayRef, StageError> {
    let mut texts = Vec::with_capacity(array.len());
    let mut text = String::new();
    for row in 0..array.len() {
        text.clear();
        write(array, row, true, &mut text).ok_or_else(|| cannot(name, array.data_type(), &DataType::Utf8))?;
        texts.push(array.is_valid(row).then(|| text.clone()));
    }
    Ok(Arc::new(StringArray::from(texts)))
}

/// Writes a value; within an object or a list as JSON. None where its type has no text here.
fn write(array: &ArrayRef, row: usize, bare: bool, out: &mut String) -> Option<()> {
    if array.is_null(row) || array.data_type() == &DataType::Null {
        out.push_str("null");
        return Some(());
    }
    match array.data_type() {
        DataType::Boolean => out.push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
        data_type if data_type.is_integer() => out.push_str(&i128s(&array.slice(row, 1)).value(0).to_string()),
        DataType::Float32 | DataType::Float64 => match f64s(&array.slice(row, 1)).value(0) {
            // Whether 1 came among ints or among floats is not told apart, as it depends on the other rows of its batch.
            value if bare && value.fract() == 0.0 && value.abs() <= EXACT as f64 => out.push_str(&(value as i64).to_string()),
            value if value.is_finite() => out.push_str(&serde_json::to_string(&value).ok()?),
            _ if !bare => out.push_str("null"),
            value if value.is_nan() => out.push_str("NaN"),
            value => out.push_str(if value > 0.0 { "inf" } else { "-inf" }),
        },
        DataType::Utf8 if bare => out.push_str(array.as_string::<i32>().value(row)),
        DataType::Utf8 => out.push_str(&serde_json::to_string(array.as_string::<i32>().value(row)).ok()?),
        DataType::List(_) => {
            out.push('[');
            let items = array.as_list::<i32>().value(row);
            for item in 0..items.len() {
                if item > 0 {
                    out.push(',');
                }
                write(&items, item, false, out)?;
            }
            out.push(']');
        }
        DataType::Struct(fields) => {
            out.push('{');
            for (place, (field, column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
                if place > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::to_string(field.name()).ok()?);
                out.push(':');
                write(column, row, false, out)?;
            }
            out.push('}');
        }
        _ => return None,
    }
    Some(())
}
