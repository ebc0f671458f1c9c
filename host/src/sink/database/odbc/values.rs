//! Values of rows as ODBC takes them.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use chrono::{DateTime, Datelike, Duration, NaiveDate, Timelike};
use odbc_api::sys::{Date, Timestamp};

use super::super::Shape;
use super::super::columns::Holds;
use super::super::encode::Chunk;
use super::super::said::{Said, Why};
use super::super::values::{Value, Values as Written};
use crate::remote::odbc::{Speech, Values};

/// Rows of a chunk, by their number in it.
pub(super) struct Rows<'a> {
    /// For each batch its columns, as arrays and as values.
    batches: Vec<(&'a [ArrayRef], Vec<Written>)>,
    /// For each row its batch, and its place there.
    places: Vec<(usize, usize)>,
}

impl<'a> Rows<'a> {
    pub(super) fn of(shape: &Shape, chunk: &'a Chunk) -> Self {
        let batches = chunk.fitted.iter().map(|fitted| (fitted.columns.as_slice(), Written::of(&shape.fit, fitted))).collect();
        let places = chunk.fitted.iter().enumerate().flat_map(|(batch, fitted)| (0..fitted.rows()).map(move |row| (batch, row)));
        Self { batches, places: places.collect() }
    }

    fn arrays(&self, column: usize, range: Range<usize>) -> impl Iterator<Item = (&ArrayRef, usize)> {
        self.places[range].iter().map(move |(batch, row)| (&self.batches[*batch].0[column], *row))
    }

    /// What `read` makes of each value that is not null.
    fn each<T>(&self, column: usize, range: Range<usize>, read: impl Fn(Value<'_>) -> Option<T>) -> Vec<Option<T>> {
        let mut room = Vec::new();
        let value = |(batch, row): &(usize, usize)| match self.batches[*batch].1[column].get(*row, &mut room) {
            Value::Null => None,
            value => read(value),
        };
        self.places[range].iter().map(value).collect()
    }
}

/// The values of some rows, column by column.
///
/// # Errors
/// A row with a day or a time that ODBC has no form for.
pub(super) fn parameters(shape: &Shape, rows: &Rows<'_>, range: Range<usize>, speech: Speech) -> Result<Vec<Values>, Said> {
    let column = |(column, holds): (usize, Holds)| {
        let kind = rows.arrays(column, range.clone()).map(|(array, _)| array.data_type()).find(|kind| **kind != DataType::Null);
        let values = values(rows, column, range.clone(), kind, holds, speech);
        let is_lost = |(row, (array, place)): (usize, (&ArrayRef, usize))| {
            let lost = match &values {
                Values::Date(values) => values[row].is_none(),
                Values::Timestamp(values) => values[row].is_none(),
                _ => false,
            };
            (lost && array.is_valid(place)).then_some(row)
        };
        match rows.arrays(column, range.clone()).enumerate().find_map(is_lost) {
            Some(row) => {
                let name = &shape.columns[column];
                let message = format!("the value of column `{name}` lies beyond the years that ODBC has");
                Err(Said { row: Some(row), column: Some(name.clone()), ..Said::new(Why::Row("invalid_datetime"), message) })
            }
            None => Ok(values),
        }
    };
    shape.fit.columns.iter().map(|fitting| fitting.to.holds).enumerate().map(column).collect()
}

fn values(rows: &Rows<'_>, column: usize, range: Range<usize>, kind: Option<&DataType>, holds: Holds, speech: Speech) -> Values {
    use DataType as T;
    let text = |scale: Option<i16>| Values::Text(rows.each(column, range.clone(), |value| Some(units(&value))), scale);
    let int = |value: Value<'_>| if let Value::Int(value) = value { Some(value) } else { None };
    match (kind, holds) {
        (Some(T::Date32), Holds::Date) => {
            let day = |(array, row): (&ArrayRef, usize)| {
                array.as_primitive_opt::<Date32Type>().filter(|days| days.is_valid(row)).and_then(|days| date(days.value(row)))
            };
            Values::Date(rows.arrays(column, range).map(day).collect())
        }
        (Some(T::Timestamp(TimeUnit::Microsecond, _)), Holds::Timestamp(_)) => {
            let moment = |(array, row): (&ArrayRef, usize)| {
                let micros = array.as_primitive_opt::<TimestampMicrosecondType>().filter(|micros| micros.is_valid(row))?;
                timestamp(micros.value(row))
            };
            Values::Timestamp(rows.arrays(column, range).map(moment).collect())
        }
        // Oracle's driver has no truth values, and no integers of 64 bits.
        (Some(T::Boolean), Holds::Bool | Holds::Int(..) | Holds::Decimal(_)) if speech == Speech::Oracle => {
            Values::I32(rows.each(column, range, |value| int(value).and_then(|value| value.try_into().ok())))
        }
        (Some(kind), Holds::Bool) if kind == &T::Boolean || kind.is_integer() => {
            Values::Bit(rows.each(column, range, |value| int(value).map(|value| value != 0)))
        }
        (Some(T::Int8 | T::Int16 | T::Int32 | T::UInt8 | T::UInt16 | T::Boolean), Holds::Int(..)) => {
            Values::I32(rows.each(column, range, |value| int(value).and_then(|value| value.try_into().ok())))
        }
        (Some(T::Int64 | T::UInt32), Holds::Int(..)) if speech != Speech::Oracle => Values::I64(rows.each(column, range, int)),
        (Some(T::Float32 | T::Float64), Holds::Float32 | Holds::Float64) => {
            Values::F64(rows.each(column, range, |value| if let Value::Float(value) = value { Some(value) } else { None }))
        }
        (Some(kind), Holds::Bytes) if !matches!(kind, T::Utf8) => {
            Values::Bytes(rows.each(column, range, |value| if let Value::Bytes(bytes) = value { Some(bytes.to_vec()) } else { None }))
        }
        (Some(kind), Holds::Decimal(Some(scale))) if kind.is_numeric() && !kind.is_floating() => text(i16::try_from(scale).ok()),
        _ => text(None),
    }
}

/// A value as UTF-16.
fn units(value: &Value<'_>) -> Vec<u16> {
    match value {
        Value::Null => Vec::new(),
        Value::Int(value) => value.to_string().encode_utf16().collect(),
        Value::UInt(value) => value.to_string().encode_utf16().collect(),
        Value::Float(value) => format!("{value:?}").encode_utf16().collect(),
        Value::Text(text) => text.encode_utf16().collect(),
        Value::Bytes(bytes) => crate::config::component::hex(bytes).encode_utf16().collect(),
    }
}

fn date(days: i32) -> Option<Date> {
    let date = NaiveDate::default().checked_add_signed(Duration::days(days.into()))?;
    Some(Date { year: date.year().try_into().ok()?, month: date.month() as u16, day: date.day() as u16 })
}

fn timestamp(micros: i64) -> Option<Timestamp> {
    let time = DateTime::from_timestamp_micros(micros)?.naive_utc();
    Some(Timestamp {
        year: time.year().try_into().ok()?,
        month: time.month() as u16,
        day: time.day() as u16,
        hour: time.hour() as u16,
        minute: time.minute() as u16,
        second: time.second() as u16,
        fraction: time.nanosecond(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_before_1970_and_far_off_are_the_same_there() {
        assert_eq!(date(-719_162), Some(Date { year: 1, month: 1, day: 1 }));
        let last = Timestamp { year: 1969, month: 12, day: 31, hour: 23, minute: 59, second: 59, fraction: 999_999_000 };
        assert_eq!(timestamp(-1), Some(last));
        // Beyond what ODBC has a year for.
        assert_eq!(date(i32::MAX), None);
    }
}
