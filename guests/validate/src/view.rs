//! Columns in the few shapes that rules are judged on.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, TimeUnit};

use crate::json;

/// What kind of values a column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Nothing but nulls.
    Null,
    Text,
    Int,
    Float,
    /// With this scale.
    Decimal(i8),
    Bool,
    Date,
    Instant,
    List,
    Object,
    Other,
}

impl Family {
    pub(crate) fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Null => Self::Null,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            _ if data_type.is_integer() => Self::Int,
            DataType::Float32 | DataType::Float64 => Self::Float,
            DataType::Decimal128(_, scale) => Self::Decimal(*scale),
            DataType::Boolean => Self::Bool,
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Timestamp(_, _) => Self::Instant,
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => Self::List,
            DataType::Struct(_) | DataType::Map(_, _) => Self::Object,
            _ => Self::Other,
        }
    }

    /// For a message.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Null => "nothing but nulls",
            Self::Text => "text",
            Self::Int => "whole numbers",
            Self::Float | Self::Decimal(_) => "numbers",
            Self::Bool => "truth values",
            Self::Date => "dates",
            Self::Instant => "instants",
            Self::List => "lists",
            Self::Object => "objects",
            Self::Other => "a type that rules do not know",
        }
    }
}

/// The rows whose value is there and bad.
pub(crate) fn rows(column: &ArrayRef, bad: impl FnMut(usize) -> bool) -> BooleanBuffer {
    let found = BooleanBuffer::collect_bool(column.len(), bad);
    match column.logical_nulls() {
        Some(nulls) => &found & nulls.inner(),
        None => found,
    }
}

/// No row, or every row whose value is there.
pub(crate) fn all(column: &ArrayRef, bad: bool) -> BooleanBuffer {
    match (bad, column.logical_nulls()) {
        (false, _) => BooleanBuffer::new_unset(column.len()),
        (true, Some(nulls)) => nulls.into_inner(),
        (true, None) => BooleanBuffer::new_set(column.len()),
    }
}

/// The rows whose text is bad; other scalars are judged on the text that JSON has for them.
pub(crate) fn texts(column: &ArrayRef, mut bad: impl FnMut(&str) -> bool) -> BooleanBuffer {
    match column.data_type() {
        DataType::Utf8 => {
            let texts = column.as_string::<i32>();
            rows(column, |row| bad(texts.value(row)))
        }
        DataType::LargeUtf8 => {
            let texts = column.as_string::<i64>();
            rows(column, |row| bad(texts.value(row)))
        }
        DataType::Utf8View => {
            let texts = column.as_string_view();
            rows(column, |row| bad(texts.value(row)))
        }
        _ => rows(column, |row| column.is_valid(row) && bad(&json::text(column, row))),
    }
}

fn widened<T: ArrowPrimitiveType>(column: &ArrayRef, widen: impl Fn(T::Native) -> i64) -> Cow<'_, [i64]> {
    Cow::Owned(column.as_primitive::<T>().values().iter().map(|value| widen(*value)).collect())
}

/// Whole numbers; those beyond 64 bits with sign are as far as these go.
pub(crate) fn ints(column: &ArrayRef) -> Cow<'_, [i64]> {
    match column.data_type() {
        DataType::Int64 => Cow::Borrowed(column.as_primitive::<Int64Type>().values()),
        DataType::Int8 => widened::<Int8Type>(column, i64::from),
        DataType::Int16 => widened::<Int16Type>(column, i64::from),
        DataType::Int32 => widened::<Int32Type>(column, i64::from),
        DataType::UInt8 => widened::<UInt8Type>(column, i64::from),
        DataType::UInt16 => widened::<UInt16Type>(column, i64::from),
        DataType::UInt32 => widened::<UInt32Type>(column, i64::from),
        DataType::UInt64 => widened::<UInt64Type>(column, |value| i64::try_from(value).unwrap_or(i64::MAX)),
        other => unreachable!("{other} is not in the family of whole numbers"),
    }
}

/// Floats.
pub(crate) fn floats(column: &ArrayRef) -> Cow<'_, [f64]> {
    match column.data_type() {
        DataType::Float64 => Cow::Borrowed(column.as_primitive::<Float64Type>().values()),
        _ => Cow::Owned(column.as_primitive::<Float32Type>().values().iter().map(|value| f64::from(*value)).collect()),
    }
}

/// Unscaled decimals.
pub(crate) fn decimals(column: &ArrayRef) -> &[i128] {
    column.as_primitive::<Decimal128Type>().values()
}

/// Microseconds in a day.
pub(crate) const DAY: i64 = 86_400_000_000;

/// Days and instants, as microseconds since 1970.
pub(crate) fn micros(column: &ArrayRef) -> Cow<'_, [i64]> {
    match column.data_type() {
        DataType::Date32 => widened::<Date32Type>(column, |day| i64::from(day) * DAY),
        DataType::Date64 => widened::<Date64Type>(column, |millis| millis.saturating_mul(1000)),
        DataType::Timestamp(TimeUnit::Second, _) => widened::<TimestampSecondType>(column, |seconds| seconds.saturating_mul(1_000_000)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => widened::<TimestampMillisecondType>(column, |millis| millis.saturating_mul(1000)),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => widened::<TimestampNanosecondType>(column, |nanos| nanos.div_euclid(1000)),
        _ => Cow::Borrowed(column.as_primitive::<TimestampMicrosecondType>().values()),
    }
}
