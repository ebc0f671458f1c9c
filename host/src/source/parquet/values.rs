//! The values of a column as the type that it is read as, none of them changed.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_buffer::BooleanBuffer;
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit};

use super::types::plain;
use crate::error::{Context, Result};
use crate::exact::{convert, is_some};
use crate::json::{Cell, Style};
use crate::source::scalar;
use crate::source::target::Target;

/// The values, null where one does not fit, and which these are.
type Read = (ArrayRef, Option<BooleanBuffer>);

/// Reads a column. What is text in the file is read as a field of a CSV file is.
pub(super) fn read(array: &ArrayRef, target: &Target) -> Result<Read> {
    use DataType as T;
    let of = plain(array.data_type());
    let array = &if of == *array.data_type() { array.clone() } else { cast(array, &of).bug(|| format!("no {of} comes of its packing"))? };
    let wanted = target.data_type();
    match (&of, target) {
        (T::Utf8, Target::Declared(_) | Target::Text) => convert(array, &wanted),
        (T::Utf8, _) => parse(array.as_string(), target),
        (T::Binary | T::FixedSizeBinary(_), _) if wanted == T::Utf8 => {
            let texts = cast(array, &T::Binary).and_then(|bytes| cast(&bytes, &T::Utf8)).bug(|| "bytes become no texts".into())?;
            let unfit: BooleanBuffer = (0..array.len()).map(|row| array.is_valid(row) && texts.is_null(row)).collect();
            Ok((texts, Some(unfit)))
        }
        (T::Null, _) => convert(array, &wanted),
        (_, Target::Json) => Ok((Arc::new(json(array)), None)),
        (of, Target::Bool) if of.is_integer() => parse(convert(array, &T::Utf8)?.0.as_string(), target),
        (T::Timestamp(_, None) | T::Date32 | T::Date64, Target::Timestamp(Some(_))) => {
            // It stands in the zone.
            let (local, unfit) = convert(array, &T::Timestamp(TimeUnit::Microsecond, None))?;
            Ok((cast(&local, &wanted).bug(|| "a time has no zone".into())?, unfit))
        }
        (T::Timestamp(_, Some(_)), Target::Timestamp(None)) => {
            let (instant, unfit) = convert(array, &T::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?;
            Ok((cast(&instant, &wanted).bug(|| "a time keeps its zone".into())?, unfit))
        }
        _ => convert(array, &wanted),
    }
}

/// Whether values of a type say what `target` is asked of them for: numbers do not say the unit in which they count time.
pub(super) fn tells(declared: &DataType, target: &Target) -> bool {
    !(matches!(target, Target::Date | Target::Timestamp(_)) && plain(declared).is_numeric())
}

fn parse(texts: &StringArray, target: &Target) -> Result<Read> {
    Ok(match target {
        Target::Int => numbers::<Int64Type>(texts, target, scalar::pinned_int),
        Target::Float => numbers::<Float64Type>(texts, target, scalar::pinned_float),
        Target::Date => numbers::<Date32Type>(texts, target, scalar::date),
        Target::Timestamp(zone) => numbers::<TimestampMicrosecondType>(texts, target, |text| scalar::timestamp(text, zone.as_deref())),
        Target::Decimal(precision, scale) => numbers::<Decimal128Type>(texts, target, |text| scalar::decimal(text, *precision, *scale)),
        Target::Bool => {
            let mut values = BooleanBuilder::with_capacity(texts.len());
            let unfit = each(texts, scalar::pinned_bool, |value| values.append_option(value));
            (Arc::new(values.finish()), Some(unfit))
        }
        Target::Json => {
            let mut values = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
            let is_json = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).ok().map(|_| text.to_owned());
            let unfit = each(texts, is_json, |value| values.append_option(value));
            (Arc::new(values.finish()), Some(unfit))
        }
        Target::Nothing | Target::Text | Target::List(_) | Target::Object(_) | Target::Declared(_) => {
            convert(&(Arc::new(texts.clone()) as ArrayRef), &target.data_type())?
        }
    })
}

fn numbers<T: ArrowPrimitiveType>(texts: &StringArray, target: &Target, parse: impl Fn(&str) -> Option<T::Native>) -> Read {
    let mut values = PrimitiveBuilder::<T>::with_capacity(texts.len()).with_data_type(target.data_type());
    let unfit = each(texts, parse, |value| values.append_option(value));
    (Arc::new(values.finish()), Some(unfit))
}

/// Parses each text; an empty one is null. Answers which of them do not parse.
fn each<V>(texts: &StringArray, parse: impl Fn(&str) -> Option<V>, mut push: impl FnMut(Option<V>)) -> BooleanBuffer {
    let fits = |text: Option<&str>| {
        let text = text.filter(|text| !text.is_empty());
        let value = text.and_then(&parse);
        let unfit = text.is_some() && value.is_none();
        push(value);
        unfit
    };
    texts.iter().map(fits).collect()
}

/// The JSON of every value.
fn json(array: &ArrayRef) -> StringArray {
    let cell = Cell::new(array, Style::default());
    let mut text = Vec::new();
    let value = |row: usize| {
        text.clear();
        is_some(array, row).then(|| {
            cell.write_json(row, &mut text);
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    (0..array.len()).map(value).collect()
}
