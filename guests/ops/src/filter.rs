//! `filter`: comparisons of a column with values of the options.

use std::cmp::Ordering;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use etl_steps::Operator;
use serde_json::Value;

use crate::column::{describe, normal, texts, to_text, widen};
use crate::format::Zone;
use crate::instant;
use crate::json;
use crate::node::Wrong;
use crate::parse::{self, Decimal};

/// What a value must be for its row to stay.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    /// It is null (`true`), or it is not.
    Null(bool),
    /// It compares so with the constant.
    Compare(Comparison, Constant),
    /// It is one of these (`true`), or none.
    In(bool, Vec<Constant>),
    /// Its text is one of these, sorted (`true`), or none.
    InTexts(bool, Vec<String>),
    /// Its text has this in it (`true`), or has not.
    Contains(bool, String),
    /// It is a list with such an item (`true`), or without.
    Item(bool, Box<Self>),
}

/// A comparison with one constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
}

impl Comparison {
    /// Judges an ordering of value to constant; `None` = they have none, as with NaN.
    #[inline]
    fn accepts(self, ordering: Option<Ordering>) -> bool {
        match self {
            Self::Eq => ordering == Some(Ordering::Equal),
            Self::Ne => ordering != Some(Ordering::Equal),
            Self::Gt => ordering == Some(Ordering::Greater),
            Self::Gte => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
            Self::Lt => ordering == Some(Ordering::Less),
            Self::Lte => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
        }
    }
}

/// A constant in the type of the column.
#[derive(Clone, Debug)]
pub(crate) enum Constant {
    /// For integers and decimals, at the column's scale, truncated; and how a value equal to it compares with what was written.
    Exact(i128, Ordering),
    Float(f64),
    Text(String),
    Bool(bool),
    Instant(i64),
    Date(i32),
}

/// Compiles a filter for a column of a type.
pub(crate) fn compile(operator: Operator, value: &Value, data_type: &DataType) -> Result<Test, Wrong> {
    let data_type = normal(data_type);
    let comparison = match operator {
        Operator::IsNull => return Ok(Test::Null(true)),
        Operator::IsNotNull => return Ok(Test::Null(false)),
        Operator::In | Operator::NotIn => {
            let alone = std::slice::from_ref(value);
            let values = value.as_array().map_or(alone, Vec::as_slice).iter().filter(|value| !value.is_null());
            let wanted = operator == Operator::In;
            let constants = values.map(|value| constant(value, &data_type)).collect::<Result<Vec<_>, Wrong>>()?;
            if data_type != DataType::Utf8 {
                return Ok(Test::In(wanted, constants));
            }
            let mut texts: Vec<String> =
                constants.into_iter().filter_map(|constant| if let Constant::Text(text) = constant { Some(text) } else { None }).collect();
            texts.sort();
            return Ok(Test::InTexts(wanted, texts));
        }
        Operator::Contains | Operator::NotContains => {
            let wanted = operator == Operator::Contains;
            return match &data_type {
                DataType::List(item) | DataType::LargeList(item) => {
                    let item = constant(value, &normal(item.data_type()))?;
                    Ok(Test::Item(wanted, Box::new(Test::Compare(Comparison::Eq, item))))
                }
                _ if comparable(&data_type) => {
                    let text = json::plain_text(value).ok_or_else(|| null_value(operator))?;
                    Ok(Test::Contains(wanted, text))
                }
                other => Err(refused(other)),
            };
        }
        Operator::Eq => Comparison::Eq,
        Operator::Ne => Comparison::Ne,
        Operator::Gt => Comparison::Gt,
        Operator::Gte => Comparison::Gte,
        Operator::Lt => Comparison::Lt,
        Operator::Lte => Comparison::Lte,
    };
    if value.is_null() {
        return Err(null_value(operator));
    }
    if value.is_array() {
        return Err(("a list is compared with `in` or `not_in` only".into(), None));
    }
    let ordered = !matches!(comparison, Comparison::Eq | Comparison::Ne);
    if ordered && data_type == DataType::Utf8 && !value.is_string() {
        let message = format!("the column is text and `{value}` is not: as texts, `10` is less than `9`");
        return Err((message, Some("convert the column to a number first, or put the value in quotes to compare texts".into())));
    }
    Ok(Test::Compare(comparison, constant(value, &data_type)?))
}

fn null_value(operator: Operator) -> Wrong {
    let instead = if matches!(operator, Operator::Ne | Operator::NotContains) { "is_not_null" } else { "is_null" };
    ("null compares with nothing".into(), Some(format!("use the operator `{instead}`")))
}

fn refused(data_type: &DataType) -> Wrong {
    (format!("a column of type {} is not compared", describe(data_type)), Some("only `is_null` and `is_not_null` work on it".into()))
}

fn comparable(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Null
            | DataType::Boolean
            | DataType::Int64
            | DataType::Float64
            | DataType::Utf8
            | DataType::Timestamp(_, _)
            | DataType::Date32
            | DataType::Decimal128(_, _)
    )
}

/// Reads a value as a constant of a column's type.
fn constant(value: &Value, data_type: &DataType) -> Result<Constant, Wrong> {
    if !comparable(data_type) {
        return Err(refused(data_type));
    }
    let text = json::plain_text(value).ok_or_else(|| null_value(Operator::Eq))?;
    let wrong =
        |hint: &str| (format!("the column is {} and `{text}` is not", describe(data_type)), (!hint.is_empty()).then(|| hint.to_owned()));
    if value.is_array()
        || value.is_object()
        || (value.is_boolean() && !matches!(data_type, DataType::Boolean | DataType::Utf8 | DataType::Null))
    {
        return Err(wrong(""));
    }
    let exact = |scale: i8| {
        let decimal = Decimal::parse(&text)?;
        // What does not fit 128 bits lies beyond every value of the column.
        let (value, cut) = decimal.at_scale(scale).unwrap_or((if decimal.is_negative() { i128::MIN } else { i128::MAX }, true));
        let order = if !cut {
            Ordering::Equal
        } else if decimal.is_negative() {
            Ordering::Greater
        } else {
            Ordering::Less
        };
        Some(Constant::Exact(value, order))
    };
    match data_type {
        DataType::Int64 => exact(0).ok_or_else(|| wrong("")),
        DataType::Decimal128(_, scale) => exact(*scale).ok_or_else(|| wrong("")),
        DataType::Float64 => parse::float(&text).map(Constant::Float).ok_or_else(|| wrong("")),
        DataType::Boolean => {
            let read = parse::bool(&text).filter(|_| !text.is_empty());
            read.map(Constant::Bool).ok_or_else(|| wrong("write `true` or `false`"))
        }
        DataType::Timestamp(_, zone) => {
            let seconds = Zone::of(zone.as_ref()).unwrap_or(Zone::Utc).seconds();
            let written = instant::datetime(&text).ok_or_else(|| wrong("write it as `2024-01-15T10:30:00Z` or `2024-01-15`"))?;
            if zone.is_none() && written.offset.is_some() {
                return Err(("the column has no time zone and the value has".into(), Some("write the value without an offset".into())));
            }
            Ok(Constant::Instant(written.instant(seconds)))
        }
        DataType::Date32 => instant::date(&text).map(Constant::Date).ok_or_else(|| wrong("write it as `2024-01-15`")),
        _ => Ok(Constant::Text(text)),
    }
}

impl Test {
    /// Judges every row; null is refused, except where null is asked for.
    pub(crate) fn mask(&self, array: &ArrayRef) -> BooleanBuffer {
        if let Self::Null(wanted) = self {
            let valid = array.logical_nulls().map(|nulls| nulls.into_inner());
            return match (valid, wanted) {
                (Some(valid), true) => !&valid,
                (Some(valid), false) => valid,
                (None, true) => BooleanBuffer::new_unset(array.len()),
                (None, false) => BooleanBuffer::new_set(array.len()),
            };
        }
        if array.data_type() == &DataType::Null {
            return BooleanBuffer::new_unset(array.len());
        }
        let array = widen(array);
        let mask = match self {
            Self::Null(_) => unreachable!("answered above"),
            Self::Compare(comparison, constant) => compare(&array, constant, |ordering| comparison.accepts(ordering)),
            Self::In(wanted, constants) => {
                let none = BooleanBuffer::new_unset(array.len());
                let any = constants
                    .iter()
                    .fold(none, |any, constant| &any | &compare(&array, constant, |ordering| ordering == Some(Ordering::Equal)));
                if *wanted { any } else { !&any }
            }
            Self::InTexts(wanted, known) => {
                by_text(array.as_string(), |text| known.binary_search_by(|known| known.as_str().cmp(text)).is_ok() == *wanted)
            }
            Self::Contains(wanted, part) => by_text(to_text(&array).as_string(), |text| text.contains(part.as_str()) == *wanted),
            Self::Item(wanted, test) => {
                let (items, bounds): (ArrayRef, Vec<usize>) = match array.as_list_opt::<i32>() {
                    Some(lists) => (lists.values().clone(), lists.value_offsets().iter().map(|offset| *offset as usize).collect()),
                    None => {
                        let lists = array.as_list::<i64>();
                        (lists.values().clone(), lists.value_offsets().iter().map(|offset| *offset as usize).collect())
                    }
                };
                let hits = test.mask(&items);
                BooleanBuffer::collect_bool(array.len(), |row| (bounds[row]..bounds[row + 1]).any(|item| hits.value(item)) == *wanted)
            }
        };
        match array.nulls() {
            Some(nulls) => &mask & nulls.inner(),
            None => mask,
        }
    }
}

fn by_text(array: &StringArray, f: impl Fn(&str) -> bool) -> BooleanBuffer {
    let mut all = texts(array);
    // `collect_bool` asks for each row once, in order.
    BooleanBuffer::collect_bool(array.len(), |_| all.next().is_some_and(&f))
}

fn compare(array: &ArrayRef, constant: &Constant, accepts: impl Fn(Option<Ordering>) -> bool) -> BooleanBuffer {
    let rows = array.len();
    match (array.data_type(), constant) {
        (DataType::Int64, Constant::Exact(value, order)) => {
            // A constant beyond 64 bits becomes the largest (smallest) value, which then still lies below (above) it.
            let (value, order) = match i64::try_from(*value) {
                Ok(value) => (value, *order),
                Err(_) if *value > 0 => (i64::MAX, Ordering::Less),
                Err(_) => (i64::MIN, Ordering::Greater),
            };
            let values = array.as_primitive::<Int64Type>().values();
            BooleanBuffer::collect_bool(rows, |row| accepts(Some(values[row].cmp(&value).then(order))))
        }
        (DataType::Decimal128(_, _), Constant::Exact(value, order)) => {
            let values = array.as_primitive::<Decimal128Type>().values();
            BooleanBuffer::collect_bool(rows, |row| accepts(Some(values[row].cmp(value).then(*order))))
        }
        (DataType::Float64, Constant::Float(value)) => {
            let values = array.as_primitive::<Float64Type>().values();
            BooleanBuffer::collect_bool(rows, |row| accepts(values[row].partial_cmp(value)))
        }
        (DataType::Timestamp(_, _), Constant::Instant(value)) => {
            let values = array.as_primitive::<TimestampMicrosecondType>().values();
            BooleanBuffer::collect_bool(rows, |row| accepts(Some(values[row].cmp(value))))
        }
        (DataType::Date32, Constant::Date(value)) => {
            let values = array.as_primitive::<Date32Type>().values();
            BooleanBuffer::collect_bool(rows, |row| accepts(Some(values[row].cmp(value))))
        }
        (DataType::Boolean, Constant::Bool(value)) => {
            let values = array.as_boolean().values();
            BooleanBuffer::collect_bool(rows, |row| accepts(Some(values.value(row).cmp(value))))
        }
        (DataType::Utf8, Constant::Text(value)) => by_text(array.as_string(), |text| accepts(Some(text.cmp(value)))),
        (DataType::Null, _) => BooleanBuffer::new_unset(rows),
        (data_type, constant) => unreachable!("{constant:?} was not compiled for {data_type}"),
    }
}
