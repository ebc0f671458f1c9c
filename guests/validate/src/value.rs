//! Rules over the values of one column, compiled for its type.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use etl_steps::moment;
use etl_steps::validate::{Bound, Kind, Limit, Test};
use regex::Regex;
use serde_json::Value;

use crate::format::Format;
use crate::read;
use crate::view::{self, Family};

/// Why a rule cannot be held against a column: a sentence, and what to do.
pub(crate) type Wrong = (String, Option<String>);

/// What a value must be, in the type of its column.
pub(crate) enum Compiled {
    /// Nothing can be wrong.
    Nothing,
    /// Every value is wrong.
    Everything,
    NotBlank,
    Kind(Kind, Family),
    Least(Edge),
    Most(Edge),
    MultipleOf(f64, Family),
    Length {
        least: u64,
        most: u64,
    },
    Pattern(Regex),
    Format(Format),
    OneOf(Known),
}

/// A limit in the type of the column.
pub(crate) enum Edge {
    Int(i64),
    Decimal(i128),
    /// With whether the limit itself is refused.
    Float(f64, bool),
    /// Days and instants, in microseconds; with whether the limit itself is refused.
    Micros(i64, bool),
    /// Texts that read as numbers.
    TextNumber(f64, bool),
    /// Texts that read as days or instants.
    TextMicros(i64, bool),
}

/// The values that there may be, in the type of the column.
pub(crate) enum Known {
    Texts(hashbrown::HashSet<String, foldhash::fast::FixedState>),
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Decimals(Vec<i128>),
    Bools { yes: bool, no: bool },
    Micros(Vec<i64>),
    Json(Vec<Value>),
}

/// Compiles a test for a column.
pub(crate) fn compile(test: &Test, data_type: &DataType, now_ms: i64) -> Result<Compiled, Wrong> {
    let family = Family::of(data_type);
    if family == Family::Null {
        return Ok(Compiled::Nothing);
    }
    Ok(match test {
        Test::NotBlank if family == Family::Text => Compiled::NotBlank,
        Test::NotBlank => Compiled::Nothing,
        Test::Type(kind) => of_kind(*kind, family),
        Test::Min(bound) => Compiled::Least(edge(bound, family, true, now_ms)?),
        Test::Max(bound) => Compiled::Most(edge(bound, family, false, now_ms)?),
        Test::MultipleOf(of) => match family {
            Family::Int | Family::Float | Family::Decimal(_) | Family::Text => Compiled::MultipleOf(*of, family),
            other => return Err(refuse("multiple_of", other, "numbers")),
        },
        Test::MinLength(length) => of_length(family, *length, u64::MAX)?,
        Test::MaxLength(length) => of_length(family, 0, *length)?,
        Test::Pattern(pattern) => match family {
            Family::List | Family::Object | Family::Other => return Err(refuse("pattern", family, "text")),
            _ => {
                Compiled::Pattern(etl_steps::validate::compile(pattern).map_err(|error| (format!("`{pattern}`: {}", error.message), None))?)
            }
        },
        Test::Format(format) => match family {
            // Only a text can have a wrong format.
            Family::Text => Format::of(format).map_or(Compiled::Nothing, Compiled::Format),
            _ => Compiled::Nothing,
        },
        Test::OneOf(values) => Compiled::OneOf(known(values, family)),
        Test::Required | Test::OnlyColumns(_) | Test::Unique(_) | Test::Expression(_) | Test::Schema { .. } => {
            unreachable!("`{}` is no rule over the values of one column", test.code())
        }
    })
}

fn refuse(rule: &str, family: Family, wanted: &str) -> Wrong {
    (
        format!("`{rule}` speaks of {wanted}, but the column has {}", family.name()),
        Some("take the rule away, or convert the column before".into()),
    )
}

fn of_kind(kind: Kind, family: Family) -> Compiled {
    let certain = match (kind, family) {
        (Kind::String, Family::Text | Family::Date | Family::Instant) => Some(true),
        (Kind::Integer, Family::Int) | (Kind::Number, Family::Int | Family::Decimal(_)) => Some(true),
        (Kind::Boolean, Family::Bool) | (Kind::Date, Family::Date) | (Kind::Datetime, Family::Date | Family::Instant) => Some(true),
        (Kind::Object, Family::Object) | (Kind::Array, Family::List) => Some(true),
        (Kind::String, _) => Some(false),
        (_, Family::Text) => None,
        (Kind::Integer | Kind::Number, Family::Float) | (Kind::Integer, Family::Decimal(_)) => None,
        (Kind::Boolean, Family::Int) | (Kind::Date, Family::Instant) => None,
        _ => Some(false),
    };
    match certain {
        Some(true) => Compiled::Nothing,
        Some(false) => Compiled::Everything,
        None => Compiled::Kind(kind, family),
    }
}

fn of_length(family: Family, least: u64, most: u64) -> Result<Compiled, Wrong> {
    match family {
        Family::Object | Family::Other => {
            Err(refuse(if most == u64::MAX { "min_length" } else { "max_length" }, family, "texts and lists"))
        }
        _ => Ok(Compiled::Length { least, most }),
    }
}

/// Turns a bound into a limit of the column's type: the least value that is fine, or the greatest.
fn edge(bound: &Bound, family: Family, least: bool, now_ms: i64) -> Result<Edge, Wrong> {
    let Bound { limit, exclusive } = bound;
    let moment = match limit {
        Limit::Number(_) => None,
        Limit::Moment(text) => Some(moment::instant(text).ok_or_else(|| (format!("`{text}` is no date"), None))?),
        Limit::Today => Some((now_ms * 1000).div_euclid(view::DAY) * view::DAY),
        Limit::Now => Some(now_ms * 1000),
    };
    let rule = if least { "min" } else { "max" };
    let (number, moment) = match (limit, moment, family) {
        (_, Some(moment), Family::Date | Family::Instant) => return Ok(Edge::Micros(moment, *exclusive)),
        (_, Some(moment), Family::Text) => return Ok(Edge::TextMicros(moment, *exclusive)),
        (Limit::Number(number), _, _) => (number, None),
        (_, moment, _) => (&serde_json::Number::from(0), moment),
    };
    if moment.is_some() {
        let message = format!("`{rule}` is the moment `{limit}`, but the column has {}", family.name());
        return Err((message, Some("write a number, or convert the column to a date before".into())));
    }
    let float = number.as_f64().unwrap_or_default();
    // The least whole number that is fine, or the greatest: rounding down is right for the greatest only.
    let whole = |scale: i8| {
        let (down, cut) = read::at_scale(read::exact(&number.to_string()).unwrap_or((0, 0)), scale);
        match (least, exclusive) {
            (true, true) => down.saturating_add(1),
            (true, false) => down.saturating_add(i128::from(cut)),
            (false, true) => down.saturating_sub(i128::from(!cut)),
            (false, false) => down,
        }
    };
    Ok(match family {
        Family::Int => Edge::Int(whole(0).clamp(i64::MIN.into(), i64::MAX.into()) as i64),
        Family::Decimal(scale) => Edge::Decimal(whole(scale)),
        Family::Float => Edge::Float(float, *exclusive),
        Family::Text => Edge::TextNumber(float, *exclusive),
        Family::Date | Family::Instant => {
            let message = format!("`{rule}` is the number `{number}`, but the column has {}", family.name());
            return Err((message, Some("write a date such as `2024-01-15`, `today` or `now`".into())));
        }
        other => return Err(refuse(rule, other, "numbers and dates")),
    })
}

fn known(values: &[Value], family: Family) -> Known {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let texts = values.iter().filter(|value| !value.is_null()).map(text);
    match family {
        Family::Text => Known::Texts(texts.collect()),
        Family::Int => Known::Ints(
            texts
                .filter_map(|text| read::exact(&text))
                .filter_map(|exact| whole(exact, 0))
                .filter_map(|whole| i64::try_from(whole).ok())
                .collect(),
        ),
        Family::Decimal(scale) => {
            Known::Decimals(texts.filter_map(|text| read::exact(&text)).filter_map(|exact| whole(exact, scale)).collect())
        }
        Family::Float => Known::Floats(texts.filter_map(|text| read::number(&text)).collect()),
        Family::Bool => {
            let has = |wanted: &str| values.iter().any(|value| text(value).eq_ignore_ascii_case(wanted));
            Known::Bools { yes: has("true"), no: has("false") }
        }
        Family::Date | Family::Instant => Known::Micros(texts.filter_map(|text| moment::instant(&text)).collect()),
        _ => Known::Json(values.to_vec()),
    }
}

/// An exact number at a scale, where nothing is lost.
fn whole(exact: (i128, i32), scale: i8) -> Option<i128> {
    let (value, cut) = read::at_scale(exact, scale);
    (!cut).then_some(value)
}

impl Compiled {
    /// The rows whose value is there and bad.
    pub(crate) fn bad(&self, column: &ArrayRef) -> BooleanBuffer {
        match self {
            Self::Nothing => view::all(column, false),
            Self::Everything => view::all(column, true),
            Self::NotBlank => view::texts(column, |text| text.trim().is_empty()),
            Self::Kind(kind, family) => of_another_kind(*kind, *family, column),
            Self::Least(edge) => edge.beyond(column, true),
            Self::Most(edge) => edge.beyond(column, false),
            Self::MultipleOf(of, family) => no_multiple(*of, *family, column),
            Self::Length { least, most } => of_wrong_length(*least, *most, column),
            Self::Pattern(pattern) => view::texts(column, |text| !pattern.is_match(text)),
            Self::Format(format) => view::texts(column, |text| !format.holds(text)),
            Self::OneOf(known) => known.others(column),
        }
    }
}

fn of_another_kind(kind: Kind, family: Family, column: &ArrayRef) -> BooleanBuffer {
    let is_json =
        |text: &str, start: char| text.trim_start().starts_with(start) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    match (kind, family) {
        (Kind::Integer, Family::Float) => {
            let values = view::floats(column);
            view::rows(column, |row| !values[row].is_finite() || values[row].fract() != 0.0)
        }
        (Kind::Number, Family::Float) => {
            let values = view::floats(column);
            view::rows(column, |row| !values[row].is_finite())
        }
        (Kind::Integer, Family::Decimal(scale)) => {
            let values = view::decimals(column);
            let one = 10i128.checked_pow(u32::from(scale.max(0).unsigned_abs())).unwrap_or(i128::MAX);
            view::rows(column, |row| values[row] % one != 0)
        }
        (Kind::Boolean, Family::Int) => {
            let values = view::ints(column);
            view::rows(column, |row| !matches!(values[row], 0 | 1))
        }
        (Kind::Date, Family::Instant) => {
            let values = view::micros(column);
            view::rows(column, |row| values[row] % view::DAY != 0)
        }
        (Kind::Integer, _) => view::texts(column, |text| !read::is_integer(text)),
        (Kind::Number, _) => view::texts(column, |text| read::number(text).is_none()),
        (Kind::Boolean, _) => view::texts(column, |text| !read::is_boolean(text)),
        (Kind::Date, _) => view::texts(column, |text| !read::is_date(text)),
        (Kind::Datetime, _) => view::texts(column, |text| moment::instant(text).is_none()),
        (Kind::Object, _) => view::texts(column, |text| !is_json(text, '{')),
        (Kind::Array, _) => view::texts(column, |text| !is_json(text, '[')),
        (Kind::String, _) => view::all(column, false),
    }
}

impl Edge {
    /// The rows whose value is below the limit (`least`), or above it.
    fn beyond(&self, column: &ArrayRef, least: bool) -> BooleanBuffer {
        match self {
            Self::Int(limit) => {
                let values = view::ints(column);
                match least {
                    true => view::rows(column, |row| values[row] < *limit),
                    false => view::rows(column, |row| values[row] > *limit),
                }
            }
            Self::Decimal(limit) => {
                let values = view::decimals(column);
                view::rows(column, |row| if least { values[row] < *limit } else { values[row] > *limit })
            }
            Self::Float(limit, exclusive) => {
                let values = view::floats(column);
                view::rows(column, |row| passes(&values[row], limit, *exclusive, least))
            }
            Self::Micros(limit, exclusive) => {
                let values = view::micros(column);
                view::rows(column, |row| passes(&values[row], limit, *exclusive, least))
            }
            Self::TextNumber(limit, exclusive) => {
                view::texts(column, |text| read::number(text).is_none_or(|number| passes(&number, limit, *exclusive, least)))
            }
            Self::TextMicros(limit, exclusive) => {
                view::texts(column, |text| moment::instant(text).is_none_or(|micros| passes(&micros, limit, *exclusive, least)))
            }
        }
    }
}

/// Whether a value is beyond a limit; what has no order, as NaN, is.
fn passes<T: PartialOrd>(value: &T, limit: &T, exclusive: bool, least: bool) -> bool {
    let fine = match (least, exclusive) {
        (true, true) => value > limit,
        (true, false) => value >= limit,
        (false, true) => value < limit,
        (false, false) => value <= limit,
    };
    !fine
}

fn no_multiple(of: f64, family: Family, column: &ArrayRef) -> BooleanBuffer {
    let off = |value: f64| {
        let times = value / of;
        !times.is_finite() || (times - times.round()).abs() > 1e-9 * times.abs().max(1.0)
    };
    match family {
        Family::Int if of.fract() == 0.0 && of.abs() < 9e15 => {
            let (values, of) = (view::ints(column), of as i64);
            view::rows(column, |row| values[row] % of != 0)
        }
        Family::Int => {
            let values = view::ints(column);
            view::rows(column, |row| off(values[row] as f64))
        }
        Family::Float => {
            let values = view::floats(column);
            view::rows(column, |row| off(values[row]))
        }
        Family::Decimal(scale) => {
            let (values, unit) = (view::decimals(column), 10f64.powi(-i32::from(scale)));
            view::rows(column, |row| off(values[row] as f64 * unit))
        }
        _ => view::texts(column, |text| read::number(text).is_none_or(off)),
    }
}

fn of_wrong_length(least: u64, most: u64, column: &ArrayRef) -> BooleanBuffer {
    let wrong = |length: usize| !(least..=most).contains(&(length as u64));
    match column.data_type() {
        DataType::List(_) => {
            let lists = column.as_list::<i32>();
            view::rows(column, |row| wrong(lists.value_length(row) as usize))
        }
        DataType::LargeList(_) => {
            let lists = column.as_list::<i64>();
            view::rows(column, |row| wrong(lists.value_length(row) as usize))
        }
        DataType::FixedSizeList(_, length) => view::all(column, wrong(*length as usize)),
        // A text has at most as many characters as bytes: most texts need no counting.
        _ => view::texts(column, |text| {
            let bytes = text.len() as u64;
            let certain = bytes <= most && (least == 0 || text.is_ascii() && bytes >= least);
            !certain && wrong(text.chars().count())
        }),
    }
}

impl Known {
    /// The rows whose value is none of these.
    fn others(&self, column: &ArrayRef) -> BooleanBuffer {
        match self {
            Self::Texts(known) => view::texts(column, |text| !known.contains(text)),
            Self::Ints(known) => {
                let values = view::ints(column);
                view::rows(column, |row| !known.contains(&values[row]))
            }
            Self::Floats(known) => {
                let values = view::floats(column);
                view::rows(column, |row| !known.contains(&values[row]))
            }
            Self::Decimals(known) => {
                let values = view::decimals(column);
                view::rows(column, |row| !known.contains(&values[row]))
            }
            Self::Bools { yes, no } => {
                let values = column.as_boolean();
                view::rows(column, |row| !if values.value(row) { *yes } else { *no })
            }
            Self::Micros(known) => {
                let values = view::micros(column);
                view::rows(column, |row| !known.contains(&values[row]))
            }
            Self::Json(known) => view::rows(column, |row| column.is_valid(row) && !known.contains(&crate::json::value(column, row))),
        }
    }
}
