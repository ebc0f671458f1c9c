//! Columns of any width to the few types that the operations work on.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Float16Type, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray, StringArray, make_array, new_null_array};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow_data::transform::MutableArrayData;
use arrow_schema::{DataType, TimeUnit};

use crate::format::{self, Zone};
use crate::json;
use crate::text::{self, TextBuilder};

/// The type of instants in UTC.
pub(crate) fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Answers the type that the operations work on in place of a type: one width of integers, of floats, of instants, of texts.
pub(crate) fn normal(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 | DataType::Float32 => DataType::Float64,
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Date64 => DataType::Date32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => DataType::Decimal128(*precision, *scale),
        other => other.clone(),
    }
}

/// Whether a type is text of any width.
pub(crate) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Whether a type holds objects or lists.
pub(crate) fn is_nested(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Struct(_) | DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) | DataType::Map(_, _)
    )
}

/// Names a type as a user would.
pub(crate) fn describe(data_type: &DataType) -> String {
    match normal(data_type) {
        DataType::Null => "null".into(),
        DataType::Boolean => "bool".into(),
        DataType::Int64 => "int".into(),
        DataType::Float64 => "float".into(),
        DataType::Utf8 => "text".into(),
        DataType::Timestamp(_, None) => "timestamp".into(),
        DataType::Timestamp(_, Some(_)) => "datetime".into(),
        DataType::Date32 => "date".into(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Struct(_) | DataType::Map(_, _) => "object".into(),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => "list".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => "binary".into(),
        DataType::Time32(_) | DataType::Time64(_) => "time".into(),
        other => other.to_string(),
    }
}

/// Makes a column of values from another, row by row; nulls stay.
pub(crate) fn map<F: ArrowPrimitiveType, T: ArrowPrimitiveType>(
    array: &PrimitiveArray<F>,
    f: impl Fn(F::Native) -> T::Native,
) -> PrimitiveArray<T> {
    let values: Vec<T::Native> = array.values().iter().map(|value| f(*value)).collect();
    PrimitiveArray::new(ScalarBuffer::from(values), array.nulls().cloned())
}

/// Brings a column to its [`normal`] type; costs nothing where it has it.
pub(crate) fn widen(array: &ArrayRef) -> ArrayRef {
    let target = normal(array.data_type());
    if &target == array.data_type() {
        return array.clone();
    }
    macro_rules! ints {
        ($type:ty) => {
            Arc::new(map::<$type, Int64Type>(array.as_primitive(), i64::from))
        };
    }
    macro_rules! instants {
        ($type:ty, $convert:expr) => {{
            let DataType::Timestamp(_, zone) = &target else { unreachable!("an instant stays one") };
            Arc::new(map::<$type, TimestampMicrosecondType>(array.as_primitive(), $convert).with_timezone_opt(zone.clone()))
        }};
    }
    macro_rules! decimals {
        ($type:ty) => {{
            let DataType::Decimal128(precision, scale) = target else { unreachable!("a decimal stays one") };
            let values = map::<$type, Decimal128Type>(array.as_primitive(), i128::from);
            Arc::new(values.with_precision_and_scale(precision, scale).expect("128 bits hold every narrower decimal"))
        }};
    }
    match array.data_type() {
        DataType::Int8 => ints!(Int8Type),
        DataType::Int16 => ints!(Int16Type),
        DataType::Int32 => ints!(Int32Type),
        DataType::UInt8 => ints!(UInt8Type),
        DataType::UInt16 => ints!(UInt16Type),
        DataType::UInt32 => ints!(UInt32Type),
        DataType::UInt64 => decimals!(UInt64Type),
        DataType::Float16 => Arc::new(map::<Float16Type, Float64Type>(array.as_primitive(), f64::from)),
        DataType::Float32 => Arc::new(map::<Float32Type, Float64Type>(array.as_primitive(), f64::from)),
        DataType::Timestamp(TimeUnit::Second, _) => instants!(TimestampSecondType, |value| value.saturating_mul(1_000_000)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => instants!(TimestampMillisecondType, |value| value.saturating_mul(1000)),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => instants!(TimestampNanosecondType, |value| value.div_euclid(1000)),
        DataType::Date64 => Arc::new(map::<Date64Type, Date32Type>(array.as_primitive(), |value| value.div_euclid(86_400_000) as i32)),
        DataType::Decimal32(_, _) => decimals!(Decimal32Type),
        DataType::Decimal64(_, _) => decimals!(Decimal64Type),
        DataType::LargeUtf8 => Arc::new(copy_texts(array.as_string::<i64>().iter(), array)),
        DataType::Utf8View => Arc::new(copy_texts(array.as_string_view().iter(), array)),
        other => unreachable!("{other} is normal"),
    }
}

fn copy_texts<'a>(texts: impl Iterator<Item = Option<&'a str>>, array: &ArrayRef) -> StringArray {
    let mut builder = TextBuilder::new(array.len(), array.len() * 16);
    for text in texts {
        builder.push(text.unwrap_or_default());
        builder.end();
    }
    builder.finish(array.nulls().cloned())
}

/// The text of each row of a text column.
#[inline]
pub(crate) fn texts(array: &StringArray) -> impl ExactSizeIterator<Item = &str> {
    let data = array.value_data();
    array.value_offsets().windows(2).map(move |pair| {
        // SAFETY: a string array's offsets are in bounds, in order and on character borders: its constructors check it.
        unsafe { std::str::from_utf8_unchecked(data.get_unchecked(pair[0] as usize..pair[1] as usize)) }
    })
}

/// Writes the values of one column as text.
pub(crate) enum Writer<'a> {
    Bool(&'a BooleanArray),
    Int(&'a PrimitiveArray<Int64Type>),
    Float(&'a PrimitiveArray<Float64Type>),
    Float32(&'a PrimitiveArray<Float32Type>),
    Text(&'a StringArray),
    Instant(&'a PrimitiveArray<TimestampMicrosecondType>, Zone),
    Date(&'a PrimitiveArray<Date32Type>),
    Decimal(&'a PrimitiveArray<Decimal128Type>, i8),
    Json(&'a ArrayRef),
}

impl<'a> Writer<'a> {
    /// Makes a writer for a column that went through [`writable`].
    pub(crate) fn new(array: &'a ArrayRef) -> Self {
        match array.data_type() {
            DataType::Boolean => Self::Bool(array.as_boolean()),
            DataType::Int64 => Self::Int(array.as_primitive()),
            DataType::Float64 => Self::Float(array.as_primitive()),
            DataType::Float32 => Self::Float32(array.as_primitive()),
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Self::Instant(array.as_primitive(), Zone::of(zone.as_ref()).unwrap_or(Zone::Utc))
            }
            DataType::Date32 => Self::Date(array.as_primitive()),
            DataType::Decimal128(_, scale) => Self::Decimal(array.as_primitive(), *scale),
            _ => Self::Json(array),
        }
    }

    /// Writes the value of a row that is not null.
    #[inline]
    pub(crate) fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Bool(array) => out.extend_from_slice(if array.value(row) { b"true" } else { b"false" }),
            Self::Int(array) => text::append(out, itoa::Buffer::new().format(array.value(row)).as_bytes()),
            Self::Float(array) => format::float(out, array.value(row)),
            Self::Float32(array) => format::float32(out, array.value(row)),
            Self::Text(array) => text::append(out, array.value(row).as_bytes()),
            Self::Instant(array, zone) => format::timestamp(out, array.value(row), *zone),
            Self::Date(array) => format::date(out, array.value(row)),
            Self::Decimal(array, scale) => format::decimal(out, array.value(row), *scale),
            Self::Json(array) => json::write(out, array, row),
        }
    }
}

/// Brings a column to a type that a [`Writer`] knows; as [`widen`], but a 32-bit float keeps its own digits, and a time becomes text.
pub(crate) fn writable(array: &ArrayRef) -> ArrayRef {
    macro_rules! times {
        ($type:ty, $micros:expr) => {{
            let array = array.as_primitive::<$type>();
            let mut builder = TextBuilder::new(array.len(), array.len() * 8);
            for value in array.values() {
                let micros: fn(i64) -> i64 = $micros;
                format::time(builder.bytes(), micros(i64::from(*value)).rem_euclid(86_400_000_000));
                builder.end();
            }
            Arc::new(builder.finish(array.nulls().cloned()))
        }};
    }
    match array.data_type() {
        DataType::Float32 => array.clone(),
        DataType::Time32(TimeUnit::Second) => times!(Time32SecondType, |value| value * 1_000_000),
        DataType::Time32(_) => times!(Time32MillisecondType, |value| value * 1000),
        DataType::Time64(TimeUnit::Microsecond) => times!(Time64MicrosecondType, |value| value),
        DataType::Time64(_) => times!(Time64NanosecondType, |value| value / 1000),
        _ => widen(array),
    }
}

/// Writes every row of a column as text; nulls stay.
pub(crate) fn to_text(array: &ArrayRef) -> ArrayRef {
    if array.data_type() == &DataType::Utf8 {
        return array.clone();
    }
    if array.data_type() == &DataType::Null {
        return new_null_array(&DataType::Utf8, array.len());
    }
    let array = writable(array);
    let writer = Writer::new(&array);
    let nulls = array.logical_nulls();
    let mut builder = TextBuilder::new(array.len(), array.len() * 8);
    for row in 0..array.len() {
        if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
            writer.write(row, builder.bytes());
        }
        builder.end();
    }
    Arc::new(builder.finish(nulls))
}

/// Why copying cannot overflow 32-bit offsets: the memory limit of a stage is far below.
const FITS: &str = "a batch has less than 2 GiB of text";

/// Copies the given rows of a column, in the given order; `None` makes a null.
pub(crate) fn take(array: &ArrayRef, rows: impl ExactSizeIterator<Item = Option<usize>>) -> ArrayRef {
    pick(&[array], rows.map(|row| row.map(|row| (0, row))))
}

/// Copies rows of several columns of one type into one; `None` makes a null.
pub(crate) fn pick(arrays: &[&ArrayRef], rows: impl ExactSizeIterator<Item = Option<(usize, usize)>>) -> ArrayRef {
    let data: Vec<_> = arrays.iter().map(|array| array.to_data()).collect();
    let mut copy = MutableArrayData::new(data.iter().collect(), true, rows.len());
    // Rows that follow one another are copied in one go.
    let mut run: Option<(usize, usize, usize)> = None;
    for row in rows {
        run = match (run, row) {
            (Some((array, start, end)), Some((next, at))) if array == next && end == at => Some((array, start, end + 1)),
            (done, row) => {
                if let Some((array, start, end)) = done {
                    copy.try_extend(array, start, end).expect(FITS);
                }
                if row.is_none() {
                    copy.try_extend_nulls(1).expect(FITS);
                }
                row.map(|(array, at)| (array, at, at + 1))
            }
        };
    }
    if let Some((array, start, end)) = run {
        copy.try_extend(array, start, end).expect(FITS);
    }
    make_array(copy.freeze())
}

/// Repeats the only row of a column.
pub(crate) fn repeat(array: &ArrayRef, rows: usize) -> ArrayRef {
    macro_rules! primitive {
        ($type:ty) => {{
            let value = array.as_primitive::<$type>().value(0);
            let values = PrimitiveArray::<$type>::new(ScalarBuffer::from(vec![value; rows]), None);
            Arc::new(values.with_data_type(array.data_type().clone()))
        }};
    }
    if rows == 1 {
        return array.clone();
    }
    if array.logical_null_count() == 1 {
        return new_null_array(array.data_type(), rows);
    }
    match array.data_type() {
        DataType::Utf8 => Arc::new(crate::text::repeat(array.as_string::<i32>().value(0), rows)),
        DataType::Int64 => primitive!(Int64Type),
        DataType::Float64 => primitive!(Float64Type),
        DataType::Timestamp(TimeUnit::Microsecond, _) => primitive!(TimestampMicrosecondType),
        DataType::Date32 => primitive!(Date32Type),
        DataType::Decimal128(_, _) => primitive!(Decimal128Type),
        DataType::Boolean => {
            let value = array.as_boolean().value(0);
            Arc::new(BooleanArray::new(if value { BooleanBuffer::new_set(rows) } else { BooleanBuffer::new_unset(rows) }, None))
        }
        _ => take(array, std::iter::repeat_n(Some(0), rows)),
    }
}

/// Makes a validity without the given rows, which come in order.
pub(crate) fn without(nulls: Option<&NullBuffer>, length: usize, rows: &[u32]) -> Option<NullBuffer> {
    if rows.is_empty() {
        return nulls.cloned();
    }
    let mut bits = match nulls {
        Some(nulls) => nulls.inner().sliced().to_vec(),
        None => vec![u8::MAX; length.div_ceil(8)],
    };
    for row in rows {
        bits[*row as usize / 8] &= !(1 << (row % 8));
    }
    Some(NullBuffer::new(BooleanBuffer::new(bits.into(), 0, length)))
}
