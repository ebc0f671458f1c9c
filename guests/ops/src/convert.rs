//! `convert`: columns to types.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray, new_null_array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};
use etl_steps::Type;

use crate::alive::Alive;
use crate::column::{self, describe, is_nested, is_text, map, normal, texts, to_text, utc, widen, without};
use crate::format::{self, Zone};
use crate::instant;
use crate::json;
use crate::parse::{self, Decimal};
use crate::text::TextBuilder;

const DAY_MICROS: i64 = 86_400_000_000;

/// What a conversion made: values, null where one did not convert, and those rows in order.
pub(crate) struct Converted {
    /// The column.
    pub(crate) array: ArrayRef,
    /// Rows whose value did not convert, in order.
    pub(crate) failures: Vec<u32>,
}

/// Answers the type that a conversion gives, or why there is none.
pub(crate) fn output(from: &DataType, target: &Type) -> Result<DataType, (String, &'static str)> {
    let to = match target {
        Type::String | Type::Json => DataType::Utf8,
        Type::Int => DataType::Int64,
        Type::Float => DataType::Float64,
        Type::Bool => DataType::Boolean,
        Type::Datetime => utc(),
        Type::Date => DataType::Date32,
        Type::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
        Type::Timestamp { zone: None } => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::Timestamp { zone: Some(zone) } => {
            let known = Zone::parse(zone).ok_or_else(|| {
                (
                    format!("`{zone}` is not a zone that can be used here"),
                    "write `UTC` or a fixed offset such as `+02:00`; named regions are not built in, because their rules change",
                )
            })?;
            DataType::Timestamp(TimeUnit::Microsecond, known.name())
        }
    };
    let from = normal(from);
    let possible = match (&from, target) {
        (DataType::Null | DataType::Utf8, _) => true,
        (from, Type::String | Type::Json) => {
            !matches!(from, DataType::Interval(_) | DataType::Duration(_) | DataType::Union(_, _) | DataType::Decimal256(_, _))
        }
        (DataType::Int64 | DataType::Float64 | DataType::Boolean, Type::Int | Type::Float | Type::Bool) => true,
        (DataType::Decimal128(_, _), Type::Int | Type::Float | Type::Bool) => true,
        (DataType::Int64 | DataType::Float64 | DataType::Decimal128(_, _), Type::Decimal { .. }) => true,
        (DataType::Timestamp(_, _) | DataType::Date32, Type::Datetime | Type::Date | Type::Timestamp { .. }) => true,
        _ => false,
    };
    if possible {
        return Ok(to);
    }
    let hint = match (&from, target) {
        (DataType::Int64 | DataType::Float64, Type::Datetime | Type::Timestamp { .. }) => {
            "numbers do not say their unit; `add` with `epoch_ms_to_iso(…)` makes a text from milliseconds"
        }
        (from, _) if is_nested(from) => "use `flatten` or `unnest` first, or convert to `string` or `json`",
        _ => "convert to `string` first if this is really meant",
    };
    Err((format!("a column of type {} cannot become {target}", describe(&from)), hint))
}

/// Whether a column of this type is already what the conversion would make.
pub(crate) fn is_done(from: &DataType, target: &Type, to: &DataType) -> bool {
    match target {
        Type::Json => false,
        Type::String => is_text(from),
        _ => from == to,
    }
}

/// Whether a value may fail to convert.
pub(crate) fn may_fail(from: &DataType, target: &Type) -> bool {
    match (normal(from), target) {
        (DataType::Null, _) => false,
        (DataType::Utf8, Type::String) => false,
        (DataType::Utf8, _) => true,
        (_, Type::String | Type::Json | Type::Float | Type::Bool) => false,
        (DataType::Boolean, Type::Int) => false,
        (DataType::Timestamp(_, _) | DataType::Date32, _) => false,
        _ => true,
    }
}

/// Converts a column; [`output`] has said that it can be.
pub(crate) fn convert(array: &ArrayRef, target: &Type, to: &DataType, alive: &Alive) -> Converted {
    let array = if is_done(array.data_type(), target, to) {
        array.clone()
    } else if matches!(target, Type::String) {
        to_text(array)
    } else {
        widen(array)
    };
    let sure = |array: ArrayRef| Converted { array, failures: Vec::new() };
    match (array.data_type(), target) {
        (DataType::Null, _) => sure(new_null_array(to, array.len())),
        (_, Type::String) => sure(array),
        (from, _) if from == to && !matches!(target, Type::Json) => sure(array),
        (DataType::Utf8, _) => from_text(&array, target, to, alive),
        (_, Type::Json) => sure(to_json(&array)),
        (DataType::Int64, Type::Float) => sure(Arc::new(map::<Int64Type, Float64Type>(array.as_primitive(), |value| value as f64))),
        (DataType::Int64, Type::Bool) => sure(truth::<Int64Type>(&array, |value| value != 0)),
        (DataType::Int64, Type::Decimal { precision, scale }) => {
            numbers::<Int64Type, Decimal128Type>(&array, to, alive, |value| rescale(value.into(), 0, *precision, *scale))
        }
        (DataType::Float64, Type::Int) => {
            numbers::<Float64Type, Int64Type>(&array, to, alive, |value| {
                (value > -9.3e18 && value < 9.3e18).then_some(value.trunc()).and_then(|value| {
                    // The casts saturate, so the round trip tells what does not fit.
                    (value as i128 == i128::from(value as i64)).then_some(value as i64)
                })
            })
        }
        (DataType::Float64, Type::Bool) => sure(truth::<Float64Type>(&array, |value| value != 0.0)),
        (DataType::Float64, Type::Decimal { precision, scale }) => numbers::<Float64Type, Decimal128Type>(&array, to, alive, |value| {
            let mut digits = Vec::new();
            format::float(&mut digits, value);
            Decimal::parse(std::str::from_utf8(&digits).ok()?)?.rounded(*precision, *scale)
        }),
        (DataType::Boolean, Type::Int) => sure(from_bool::<Int64Type>(array.as_boolean(), i64::from)),
        (DataType::Boolean, Type::Float) => sure(from_bool::<Float64Type>(array.as_boolean(), |value| f64::from(u8::from(value)))),
        (DataType::Decimal128(_, from), Type::Int) => {
            numbers::<Decimal128Type, Int64Type>(&array, to, alive, |value| i64::try_from(unscale(value, *from)?).ok())
        }
        (DataType::Decimal128(_, from), Type::Float) => sure(Arc::new(map::<Decimal128Type, Float64Type>(array.as_primitive(), |value| {
            let mut digits = Vec::new();
            format::decimal(&mut digits, value, *from);
            std::str::from_utf8(&digits).ok().and_then(parse::float).unwrap_or(f64::NAN)
        }))),
        (DataType::Decimal128(_, _), Type::Bool) => sure(truth::<Decimal128Type>(&array, |value| value != 0)),
        (DataType::Decimal128(_, from), Type::Decimal { precision, scale }) => {
            numbers::<Decimal128Type, Decimal128Type>(&array, to, alive, |value| rescale(value, *from, *precision, *scale))
        }
        (DataType::Date32, Type::Datetime | Type::Timestamp { .. }) => {
            let shift = zone_of(to).map_or(0, |zone| i64::from(zone.seconds()) * 1_000_000);
            let values = map::<Date32Type, TimestampMicrosecondType>(array.as_primitive(), |day| i64::from(day) * DAY_MICROS - shift);
            sure(Arc::new(values.with_data_type(to.clone())))
        }
        (DataType::Timestamp(_, zone), Type::Date) => {
            let shift = i64::from(Zone::of(zone.as_ref()).unwrap_or(Zone::Utc).seconds()) * 1_000_000;
            sure(Arc::new(map::<TimestampMicrosecondType, Date32Type>(array.as_primitive(), |value| {
                format::day_of(value.saturating_add(shift))
            })))
        }
        (DataType::Timestamp(_, from), _) => {
            // Between a clock time of nowhere and an instant lies the offset of the zone; between two instants nothing.
            let seconds = |zone: Option<&Arc<str>>| i64::from(Zone::of(zone).unwrap_or(Zone::Utc).seconds());
            let DataType::Timestamp(_, zone) = to else { unreachable!("`output` answers a timestamp") };
            let shift = match (from, zone) {
                (None, Some(_)) => -seconds(zone.as_ref()),
                (Some(_), None) => seconds(from.as_ref()),
                _ => 0,
            };
            let values = array.as_primitive::<TimestampMicrosecondType>();
            let values = if shift == 0 { values.clone() } else { map(values, |value| value.saturating_add(shift * 1_000_000)) };
            sure(Arc::new(values.with_data_type(to.clone())))
        }
        (from, target) => unreachable!("`output` refuses {from} to {target}"),
    }
}

fn zone_of(to: &DataType) -> Option<Zone> {
    match to {
        DataType::Timestamp(_, Some(zone)) => Zone::parse(zone),
        _ => None,
    }
}

/// Parses a column of texts. The loop does not look at nulls: their slots parse or fail like others, and only failures are looked at again.
#[inline]
fn parse_texts<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    to: &DataType,
    alive: &Alive,
    parse: impl Fn(&str) -> Option<T::Native>,
) -> Converted {
    let array = array.as_string::<i32>();
    let mut values = Vec::with_capacity(array.len());
    let mut failed = Vec::new();
    for (row, text) in texts(array).enumerate() {
        values.push(parse(text).unwrap_or_else(|| {
            failed.push(row as u32);
            T::Native::default()
        }));
    }
    let (nulls, failures) = settle(array.nulls(), array.len(), failed, alive);
    Converted { array: Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls).with_data_type(to.clone())), failures }
}

/// Makes rows that failed null, and keeps those of them that had a value and are still there.
fn settle(nulls: Option<&NullBuffer>, length: usize, mut failed: Vec<u32>, alive: &Alive) -> (Option<NullBuffer>, Vec<u32>) {
    failed.retain(|row| nulls.is_none_or(|nulls| nulls.is_valid(*row as usize)));
    let validity = without(nulls, length, &failed);
    failed.retain(|row| alive.has(*row as usize));
    (validity, failed)
}

fn from_text(array: &ArrayRef, target: &Type, to: &DataType, alive: &Alive) -> Converted {
    match target {
        Type::Int => parse_texts::<Int64Type>(array, to, alive, parse::int),
        Type::Float => parse_texts::<Float64Type>(array, to, alive, parse::float),
        Type::Date => parse_texts::<Date32Type>(array, to, alive, instant::date),
        Type::Datetime => parse_texts::<TimestampMicrosecondType>(array, to, alive, |text| Some(instant::datetime(text)?.instant(0))),
        Type::Timestamp { zone: None } => parse_texts::<TimestampMicrosecondType>(array, to, alive, |text| {
            let written = instant::datetime(text)?;
            written.offset.is_none().then_some(written.clock)
        }),
        Type::Timestamp { zone: Some(_) } => {
            let seconds = zone_of(to).map_or(0, Zone::seconds);
            parse_texts::<TimestampMicrosecondType>(array, to, alive, |text| Some(instant::datetime(text)?.instant(seconds)))
        }
        Type::Decimal { precision, scale } => {
            parse_texts::<Decimal128Type>(array, to, alive, |text| Decimal::parse(text)?.exact(*precision, *scale))
        }
        Type::Bool => {
            let array = array.as_string::<i32>();
            let mut words = vec![0u64; array.len().div_ceil(64)];
            let mut failed = Vec::new();
            for (row, text) in texts(array).enumerate() {
                match parse::bool(text) {
                    Some(value) => words[row / 64] |= u64::from(value) << (row % 64),
                    None => failed.push(row as u32),
                }
            }
            let (nulls, failures) = settle(array.nulls(), array.len(), failed, alive);
            let bits = Buffer::from_vec(words.into_iter().map(u64::to_le).collect::<Vec<_>>());
            Converted { array: Arc::new(BooleanArray::new(BooleanBuffer::new(bits, 0, array.len()), nulls)), failures }
        }
        Type::Json => {
            let array = array.as_string::<i32>();
            let mut builder = TextBuilder::new(array.len(), array.value_data().len());
            let mut failed = Vec::new();
            for (row, text) in texts(array).enumerate() {
                match json::compact(text) {
                    Some(compact) => builder.bytes().extend_from_slice(&compact),
                    None => failed.push(row as u32),
                }
                builder.end();
            }
            let (nulls, failures) = settle(array.nulls(), array.len(), failed, alive);
            Converted { array: Arc::new(builder.finish(nulls)), failures }
        }
        Type::String => Converted { array: array.clone(), failures: Vec::new() },
    }
}

fn numbers<F: ArrowPrimitiveType, T: ArrowPrimitiveType>(
    array: &ArrayRef,
    to: &DataType,
    alive: &Alive,
    f: impl Fn(F::Native) -> Option<T::Native>,
) -> Converted {
    let array = array.as_primitive::<F>();
    let mut failed = Vec::new();
    let mut row = 0;
    let values: Vec<T::Native> = array
        .values()
        .iter()
        .map(|value| {
            row += 1;
            f(*value).unwrap_or_else(|| {
                failed.push(row - 1);
                T::Native::default()
            })
        })
        .collect();
    let (nulls, failures) = settle(array.nulls(), array.len(), failed, alive);
    Converted { array: Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls).with_data_type(to.clone())), failures }
}

fn truth<F: ArrowPrimitiveType>(array: &ArrayRef, f: impl Fn(F::Native) -> bool) -> ArrayRef {
    let array = array.as_primitive::<F>();
    let values = array.values();
    Arc::new(BooleanArray::new(BooleanBuffer::collect_bool(values.len(), |row| f(values[row])), array.nulls().cloned()))
}

fn from_bool<T: ArrowPrimitiveType>(array: &BooleanArray, f: impl Fn(bool) -> T::Native) -> ArrayRef {
    let values: Vec<T::Native> = array.values().iter().map(f).collect();
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), array.nulls().cloned()))
}

fn to_json(array: &ArrayRef) -> ArrayRef {
    let mut builder = TextBuilder::new(array.len(), array.len() * 16);
    for row in 0..array.len() {
        if array.is_valid(row) {
            json::write(builder.bytes(), array, row);
        }
        builder.end();
    }
    Arc::new(builder.finish(array.logical_nulls()))
}

/// Drops the digits after the point.
fn unscale(value: i128, scale: i8) -> Option<i128> {
    let factor = 10i128.checked_pow(u32::from(scale.unsigned_abs()))?;
    if scale >= 0 { Some(value / factor) } else { value.checked_mul(factor) }
}

/// Brings an unscaled value to another scale, exactly.
fn rescale(value: i128, from: i8, precision: u8, scale: i8) -> Option<i128> {
    let shift = i32::from(scale) - i32::from(from);
    let factor = 10i128.checked_pow(shift.unsigned_abs());
    let value = match factor {
        _ if value == 0 => 0,
        Some(factor) if shift >= 0 => value.checked_mul(factor)?,
        Some(factor) if value % factor == 0 => value / factor,
        _ => return None,
    };
    parse::fits(value, precision).then_some(value)
}

/// Writes the value of a row for a message: at most 100 characters of it.
pub(crate) fn shown(array: &ArrayRef, row: usize) -> String {
    let one = column::writable(&array.slice(row, 1));
    let mut out = Vec::new();
    column::Writer::new(&one).write(0, &mut out);
    let text = String::from_utf8_lossy(&out);
    match text.char_indices().nth(100) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.into_owned(),
    }
}
