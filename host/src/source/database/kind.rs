//! What columns hold, and one value of one of them.

use std::borrow::Cow;

use arrow_schema::{DataType, TimeUnit};
use chrono::{DateTime, Duration, NaiveDate};

use crate::config::component::hex;
use crate::source::target::Target;

/// What a column holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    /// Up to 64 bits, the first of which is the highest.
    Bits,
    Float32,
    Float64,
    /// Precision, scale.
    Decimal(u8, i8),
    Text,
    Binary,
    Date,
    Time,
    /// Without a zone.
    Timestamp,
    /// An instant.
    Instant,
    Uuid,
    List(Box<Kind>),
}

impl Kind {
    /// The Arrow type.
    pub(super) fn data_type(&self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int8 => DataType::Int8,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::UInt8 => DataType::UInt8,
            Self::UInt16 => DataType::UInt16,
            Self::UInt32 => DataType::UInt32,
            Self::UInt64 | Self::Bits => DataType::UInt64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Decimal(precision, scale) => DataType::Decimal128(*precision, *scale),
            Self::Text | Self::Uuid => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::List(items) => DataType::List(Target::Declared(items.data_type()).item_field()),
        }
    }

    /// What a value is, for a message.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Bool => "true or false".into(),
            Self::Decimal(precision, scale) => format!("a decimal({precision},{scale})"),
            Self::Text => "a text".into(),
            Self::Binary => "bytes".into(),
            Self::Date => "a day".into(),
            Self::Time => "a time of day".into(),
            Self::Timestamp | Self::Instant => "a time".into(),
            Self::Uuid => "a UUID".into(),
            Self::List(items) => format!("a list of which every item is {}", items.describe()),
            number => format!("a value of type {}", number.data_type()),
        }
    }
}

/// One value that is not null.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float32(f32),
    Float(f64),
    /// In units of the column's scale.
    Decimal(i128, i8),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
    /// Days since 1970.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970, without a zone.
    Timestamp(i64),
    /// Microseconds since 1970.
    Instant(i64),
    List(Vec<Option<Cell<'a>>>),
}

/// A value that its column's type does not hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Misfit {
    /// The value, for a person.
    pub(super) value: String,
}

impl Misfit {
    pub(super) fn new(value: impl Into<String>) -> Self {
        Self { value: value.into() }
    }
}

impl Cell<'_> {
    /// The value as text, which the database would read as the same.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::UInt(value) => value.to_string(),
            Self::Float32(value) => format!("{value:?}"),
            Self::Float(value) => format!("{value:?}"),
            Self::Decimal(value, scale) => decimal_text(*value, *scale),
            Self::Text(text) => text.clone().into_owned(),
            Self::Bytes(bytes) => hex(bytes),
            Self::Date(days) => date_text(*days),
            Self::Time(micros) => time_text(*micros),
            Self::Timestamp(micros) => timestamp_text(*micros, ""),
            Self::Instant(micros) => timestamp_text(*micros, "Z"),
            Self::List(items) => {
                let items = items.iter().map(|item| item.as_ref().map_or("null".into(), Cell::text));
                format!("[{}]", items.collect::<Vec<_>>().join(","))
            }
        }
    }
}

fn decimal_text(value: i128, scale: i8) -> String {
    let scale = usize::try_from(scale).unwrap_or(0);
    let digits = format!("{:0width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if value < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn date_text(days: i32) -> String {
    let date = NaiveDate::default().checked_add_signed(Duration::days(days.into()));
    date.map_or_else(|| days.to_string(), |date| date.to_string())
}

fn time_text(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let fraction = fraction_text(micros % 1_000_000);
    format!("{:02}:{:02}:{:02}{fraction}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn timestamp_text(micros: i64, end: &str) -> String {
    match DateTime::from_timestamp_micros(micros) {
        Some(time) => {
            format!("{}{}{end}", time.format("%Y-%m-%dT%H:%M:%S"), fraction_text(i64::from(time.timestamp_subsec_micros())))
        }
        None => micros.to_string(),
    }
}

fn fraction_text(micros: i64) -> String {
    if micros == 0 { String::new() } else { format!(".{micros:06}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_text_are_what_a_database_reads_as_the_same() {
        for (cell, text) in [
            (Cell::Decimal(-5, 2), "-0.05"),
            (Cell::Decimal(12_300, 2), "123.00"),
            (Cell::Decimal(7, 0), "7"),
            (Cell::Float(1e300), "1e300"),
            (Cell::Date(-719_162), "0001-01-01"),
            (Cell::Time(86_399_000_001), "23:59:59.000001"),
            (Cell::Timestamp(0), "1970-01-01T00:00:00"),
            (Cell::Instant(-1), "1969-12-31T23:59:59.999999Z"),
            (Cell::List(vec![Some(Cell::Int(1)), None]), "[1,null]"),
        ] {
            assert_eq!(cell.text(), text);
        }
    }
}
