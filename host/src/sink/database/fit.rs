//! Makes rows fit a table's columns: nothing of a value is lost, or the row is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, TimeUnit};

use super::columns::{Column, Holds, is_nested};
use super::drops::Drops;
use super::nested;
use crate::batch::{Batch, Reason, Reject};
use crate::config::database::{Dialect, SchemaEvolution};
use crate::error::{Context, Result};
use crate::json::{Cell, Style};
use crate::moment;
use crate::sink::conform::{convert, is_some, refuse, short};

/// The columns that are written, and how rows are made to fit them.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    pub(super) dialect: Dialect,
    pub(super) columns: Vec<Fitting>,
    /// Columns of the rows that the table lacks, where a value in one refuses its row.
    pub(super) lacking: Vec<String>,
    pub(super) policy: SchemaEvolution,
}

/// A column that is written.
#[derive(Clone, Debug)]
pub(super) struct Fitting {
    /// Its name in the rows.
    pub(super) from: String,
    /// The column of the table.
    pub(super) to: Column,
    /// Whether it tells rows apart, so that it cannot be null.
    pub(super) key: bool,
    /// What it would hold if it were widened, which it is once a value needs it, and the type that it would have.
    pub(super) wider: Option<(Holds, &'static str)>,
}

/// Rows that fit.
#[derive(Clone, Debug)]
pub(super) struct Fitted {
    /// The rows as they came.
    pub(super) given: Batch,
    /// The columns that are written, of the rows that fit.
    pub(super) columns: Vec<ArrayRef>,
    /// Where in `given` each row that fits stands; all of them, in order, where absent.
    pub(super) places: Option<Vec<usize>>,
    /// The columns that must be widened before all of them fit.
    pub(super) wants: Vec<usize>,
}

impl Fitted {
    pub(super) fn rows(&self) -> usize {
        self.places.as_ref().map_or(self.given.rows.num_rows(), Vec::len)
    }

    /// Refuses one of the rows that fit.
    pub(super) fn refuse(&self, row: usize, code: &str, message: String, field: Option<String>) -> Reject {
        let place = self.places.as_ref().map_or(row, |places| places[row]);
        refuse(&self.given, place, Reason::LoadError, code, message, field)
    }
}

/// For each row that does not fit: the column, a code, and what is wrong.
type Misfits = BTreeMap<usize, (String, &'static str, String)>;

impl Fit {
    /// Fits a batch.
    pub(super) fn fit(&self, batch: &Batch) -> Result<(Fitted, Vec<Reject>)> {
        let rows = &batch.rows;
        let mut misfits = Misfits::new();
        let mut columns = Vec::with_capacity(self.columns.len());
        let mut wants = Vec::new();
        for (number, Fitting { from, to, key, wider }) in self.columns.iter().enumerate() {
            let Some(given) = rows.column_by_name(from) else {
                columns.push(arrow_array::new_null_array(&DataType::Null, rows.num_rows()));
                continue;
            };
            let (mut column, mut unfit) = fit_column(given, to.holds, self.dialect)?;
            if let (Some(_), Some((holds, _))) = (&unfit, wider) {
                (column, unfit) = fit_column(given, *holds, self.dialect)?;
                wants.push(number);
            }
            let dropped = to.drops.as_ref().and_then(|drops| drops.of(&column));
            if let Some(unfit) = either(either(unfit, dropped), nested::unfit(&column, to, self.dialect)?) {
                if self.policy == SchemaEvolution::DiscardValue && to.nullable && !key {
                    column = arrow_select::nullif::nullif(&column, &BooleanArray::new(unfit, None))
                        .bug(|| "values cannot be left out".into())?;
                } else {
                    for index in unfit.set_indices() {
                        misfits.entry(index).or_insert_with(|| (from.clone(), UNFIT, unfit_message(given, index, to)));
                    }
                }
            }
            if *key || !to.nullable {
                let nulls = (0..rows.num_rows()).filter(|index| column.data_type() == &DataType::Null || column.is_null(*index));
                for index in nulls.filter(|_| column.data_type() == &DataType::Null || column.null_count() > 0).collect::<Vec<_>>() {
                    let (code, why) = if *key { ("key_is_null", "tells rows apart") } else { ("not_null_violation", "must not be null") };
                    misfits.entry(index).or_insert_with(|| (from.clone(), code, format!("column `{}` is null, but {why}", to.name)));
                }
            }
            columns.push(column);
        }
        for name in &self.lacking {
            let Some(given) = rows.column_by_name(name) else { continue };
            for index in (0..given.len()).filter(|index| is_some(given, *index)) {
                misfits.entry(index).or_insert_with(|| (name.clone(), "column_is_missing", format!("the table has no column `{name}`")));
            }
        }
        if misfits.is_empty() {
            return Ok((Fitted { given: batch.clone(), columns, places: None, wants }, Vec::new()));
        }
        let columns = without(&columns, &misfits, rows.num_rows())?;
        let places = (0..rows.num_rows()).filter(|index| !misfits.contains_key(index)).collect();
        let reject = |(index, (field, code, message)): (&usize, &(String, &str, String))| {
            let reason = if *code == "not_null_violation" || *code == "key_is_null" { Reason::LoadError } else { Reason::SchemaMismatch };
            refuse(batch, *index, reason, code, message.clone(), Some(field.clone()))
        };
        let rejects = misfits.iter().map(reject).collect();
        Ok((Fitted { given: batch.clone(), columns, places: Some(places), wants }, rejects))
    }

    /// Rows that fit but for columns which were to be widened and stay as they are.
    pub(super) fn narrowed(&self, fitted: &Fitted, narrow: &BTreeSet<usize>) -> Result<(Fitted, Vec<Reject>)> {
        let places = fitted.places.clone().unwrap_or_else(|| (0..fitted.given.rows.num_rows()).collect());
        let picked: UInt64Array = places.iter().map(|place| *place as u64).collect();
        let (mut columns, mut misfits) = (fitted.columns.clone(), Misfits::new());
        for number in fitted.wants.iter().filter(|number| narrow.contains(number)) {
            let Fitting { from, to, .. } = &self.columns[*number];
            let Some(given) = fitted.given.rows.column_by_name(from) else { continue };
            let given = arrow_select::take::take(given, &picked, None).bug(|| "rows that fit cannot be picked".into())?;
            let (column, unfit) = fit_column(&given, to.holds, self.dialect)?;
            columns[*number] = column;
            for row in unfit.iter().flat_map(BooleanBuffer::set_indices) {
                misfits.entry(row).or_insert_with(|| (from.clone(), UNFIT, unfit_message(&given, row, to)));
            }
        }
        let columns = without(&columns, &misfits, places.len())?;
        let refuse = |(row, (field, code, message)): (&usize, &(String, &str, String))| Reject {
            reason: Reason::SchemaMismatch,
            ..fitted.refuse(*row, code, message.clone(), Some(field.clone()))
        };
        let rejects = misfits.iter().map(refuse).collect();
        let places = places.into_iter().enumerate().filter(|(row, _)| !misfits.contains_key(row)).map(|(_, place)| place).collect();
        Ok((Fitted { given: fitted.given.clone(), columns, places: Some(places), wants: Vec::new() }, rejects))
    }
}

const UNFIT: &str = "value_does_not_fit";

fn unfit_message(given: &ArrayRef, index: usize, to: &Column) -> String {
    let told = format!("`{}` ({}) does not fit column `{}` ({})", short(given, index), given.data_type(), to.name, to.declared);
    match to.drops {
        Some(Drops::Looks) => format!("{told}, of which SQLite makes a number: `TEXT` keeps it as it is"),
        _ => told,
    }
}

/// Columns without the rows that do not fit.
fn without(columns: &[ArrayRef], misfits: &Misfits, rows: usize) -> Result<Vec<ArrayRef>> {
    let keep: BooleanArray = (0..rows).map(|index| Some(!misfits.contains_key(&index))).collect();
    let kept: std::result::Result<_, _> = columns.iter().map(|column| arrow_select::filter::filter(column, &keep)).collect();
    kept.bug(|| "rows that fit cannot be picked".into())
}

/// Whether no value of a type ever fits a column, null aside.
pub(super) fn never_fits(kind: &DataType, holds: Holds, dialect: Dialect) -> bool {
    let some = arrow_array::new_null_array(kind, 0);
    use DataType as T;
    let number = kind.is_numeric();
    let temporal = matches!(kind, T::Date32 | T::Date64 | T::Timestamp(..) | T::Time32(_) | T::Time64(_));
    let unlike = match holds {
        Holds::Text | Holds::Json | Holds::Label | Holds::Other => false,
        Holds::Array => !is_nested(kind) && !is_text(kind),
        Holds::Bool => temporal || is_nested(kind),
        Holds::Int(..) | Holds::Float32 | Holds::Float64 | Holds::Decimal(_) => temporal || is_nested(kind) || is_bytes(kind),
        Holds::Date | Holds::Time | Holds::Timestamp(_) => number || kind == &T::Boolean || is_nested(kind) || is_bytes(kind),
        Holds::Bytes => number || temporal || kind == &T::Boolean || is_nested(kind),
    };
    unlike || fit_column(&some, holds, dialect).is_err()
}

pub(super) fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

pub(super) fn is_bytes(kind: &DataType) -> bool {
    matches!(kind, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_))
}

/// Makes the values of a column fit; answers which of them do not.
pub(super) fn fit_column(column: &ArrayRef, holds: Holds, dialect: Dialect) -> Result<(ArrayRef, Option<BooleanBuffer>)> {
    use DataType as T;
    let kind = column.data_type();
    let as_is = || Ok((column.clone(), None));
    // PostgreSQL reads texts exactly or refuses them; the others bend them.
    let asks_server = dialect == Dialect::Postgres;
    match (kind, holds) {
        (T::Null, _) => as_is(),
        (T::Dictionary(_, values), _) => fit_column(&unpacked(column, values)?, holds, dialect),
        (T::RunEndEncoded(_, values), _) => fit_column(&unpacked(column, values.data_type())?, holds, dialect),
        (kind, Holds::Text | Holds::Json | Holds::Label | Holds::Other | Holds::Array) => match dialect {
            Dialect::Postgres if is_text(kind) => Ok((column.clone(), without_nul(column))),
            _ => as_is(),
        },
        (T::LargeUtf8 | T::Utf8View, _) => fit_column(&unpacked(column, &T::Utf8)?, holds, dialect),
        (T::Utf8, Holds::Bytes) => {
            let texts = column.as_string::<i32>();
            Ok((Arc::new(texts.iter().map(|text| text.map(str::as_bytes)).collect::<BinaryArray>()), None))
        }
        (T::Utf8, Holds::Decimal(scale)) => Ok((column.clone(), either(digits(column, scale, asks_server), bent(column, holds, dialect)))),
        // `yesterday` would be another day tomorrow, and of a time in a day's column nothing would be left.
        (T::Utf8, Holds::Date | Holds::Time | Holds::Timestamp(_)) => Ok(read_moments(column, holds, asks_server)),
        (T::Utf8, _) if asks_server => Ok((column.clone(), either(without_nul(column), bent(column, holds, dialect)))),
        (T::Utf8, holds) => {
            let to = carrier(holds);
            let read = arrow_cast::cast(column, &to).bug(|| format!("texts do not convert to {to}"))?;
            let unfit: BooleanBuffer = (0..column.len()).map(|index| column.is_valid(index) && read.is_null(index)).collect();
            let (fitted, more) = fit_column(&read, holds, dialect)?;
            Ok((fitted, either(either(some(unfit), more), bent(column, holds, dialect))))
        }
        (T::Boolean, Holds::Int(..) | Holds::Bool) => as_is(),
        (T::Boolean, Holds::Float32 | Holds::Float64 | Holds::Decimal(_)) => convert(&unpacked(column, &T::Int8)?, &T::Float64),
        (kind, Holds::Bool) if kind.is_numeric() => {
            let (whole, unfit) = convert(column, &T::Int64)?;
            let other =
                (0..whole.len()).map(|index| whole.is_valid(index) && !(0..=1).contains(&whole.as_primitive::<Int64Type>().value(index)));
            let other = some(other.collect());
            Ok((whole, either(unfit, other)))
        }
        (kind, Holds::Int(bits, signed)) if kind.is_numeric() => convert(
            column,
            &match (bits, signed) {
                (8, true) => T::Int8,
                (16, true) => T::Int16,
                (32, true) => T::Int32,
                (_, true) => T::Int64,
                (8, false) => T::UInt8,
                (16, false) => T::UInt16,
                (32, false) => T::UInt32,
                (_, false) => T::UInt64,
            },
        ),
        // A float is rounded to a shorter one, as the database does; what its range does not hold it refuses.
        (T::Float16 | T::Float32 | T::Float64, Holds::Float32 | Holds::Float64) => Ok((column.clone(), strange(column, dialect))),
        (kind, Holds::Float32) if kind.is_numeric() => {
            let (fitted, unfit) = convert(column, &T::Float64)?;
            Ok((fitted, either(unfit, bent(column, holds, dialect))))
        }
        (kind, Holds::Float64) if kind.is_numeric() => convert(column, &T::Float64),
        (kind, Holds::Decimal(scale)) if kind.is_numeric() => {
            Ok((column.clone(), either(either(digits(column, scale, true), strange(column, dialect)), bent(column, holds, dialect))))
        }
        (T::Date32 | T::Date64 | T::Timestamp(..), Holds::Date) => convert(column, &T::Date32),
        (T::Date32 | T::Date64, Holds::Timestamp(_)) => convert(column, &T::Timestamp(TimeUnit::Microsecond, None)),
        // An instant and a clock's reading are one where the clock shows UTC.
        (T::Timestamp(_, zone), Holds::Timestamp(_)) => {
            convert(column, &T::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| "UTC".into())))
        }
        (T::Time32(_) | T::Time64(_), Holds::Time) => convert(column, &T::Time64(TimeUnit::Microsecond)),
        (kind, Holds::Bytes) if is_bytes(kind) => as_is(),
        _ => Ok((column.clone(), some((0..column.len()).map(|index| is_some(column, index)).collect()))),
    }
}

/// The type in which texts are read for a column.
fn carrier(holds: Holds) -> DataType {
    match holds {
        Holds::Bool => DataType::Boolean,
        Holds::Int(64, false) => DataType::UInt64,
        Holds::Int(..) => DataType::Int64,
        Holds::Float32 | Holds::Float64 => DataType::Float64,
        _ => DataType::Utf8,
    }
}

/// Reads texts as days, times or instants; PostgreSQL has endless ones too.
fn read_moments(column: &ArrayRef, holds: Holds, endless: bool) -> (ArrayRef, Option<BooleanBuffer>) {
    let texts = column.as_string::<i32>();
    let read: ArrayRef = match holds {
        Holds::Date => Arc::new(texts.iter().map(|text| moment::date(text?)).collect::<Date32Array>()),
        Holds::Time => Arc::new(texts.iter().map(|text| moment::time(text?)).collect::<Time64MicrosecondArray>()),
        _ => Arc::new(texts.iter().map(|text| moment::instant(text?)).collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
    };
    let is_endless = |text: &str| endless && holds != Holds::Time && matches!(text.trim(), "infinity" | "-infinity");
    let unfit =
        some(texts.iter().enumerate().map(|(index, text)| read.is_null(index) && text.is_some_and(|text| !is_endless(text))).collect());
    if !texts.iter().flatten().any(is_endless) {
        return (read, unfit);
    }
    let (cell, mut room) = (Cell::new(&read, Style::default()), Vec::new());
    let text = |(index, text): (usize, Option<&str>)| {
        let text = text?;
        if is_endless(text) {
            return Some(text.trim().to_owned());
        }
        room.clear();
        cell.write_text(index, &mut room);
        Some(String::from_utf8_lossy(&room).into_owned())
    };
    let texts: StringArray = texts.iter().enumerate().map(text).collect();
    (Arc::new(texts), unfit)
}

/// Numbers that a database makes a float of, which has not all of their digits.
fn bent(column: &ArrayRef, holds: Holds, dialect: Dialect) -> Option<BooleanBuffer> {
    let whole_only = match (dialect, holds) {
        // It knows decimals by name only.
        (Dialect::Sqlite, Holds::Decimal(_)) => false,
        // A fraction in a float is rounded by whoever writes one.
        (Dialect::Sqlite | Dialect::Mysql | Dialect::Postgres, Holds::Float32 | Holds::Float64) => true,
        _ => return None,
    };
    texts_that(column, |text| {
        let (Ok(text), Some((digits, exponent))) = (std::str::from_utf8(text), significant(text)) else { return false };
        if whole_only && exponent < 0 || !whole_only && exponent >= 0 && text.trim().parse::<i64>().is_ok() {
            return false;
        }
        let float = match holds {
            Holds::Float32 => text.trim().parse().unwrap_or(f32::NAN).to_string(),
            _ => text.trim().parse().unwrap_or(f64::NAN).to_string(),
        };
        significant(float.as_bytes()) != Some((digits, exponent))
    })
}

/// The values, as texts, of which something is true.
pub(super) fn texts_that(column: &ArrayRef, mut is_one: impl FnMut(&[u8]) -> bool) -> Option<BooleanBuffer> {
    let (cell, mut text) = (Cell::new(column, Style::default()), Vec::new());
    let of_them = (0..column.len()).map(|index| {
        if cell.is_null(index) {
            return false;
        }
        text.clear();
        cell.write_text(index, &mut text);
        is_one(&text)
    });
    some(of_them.collect())
}

/// The digits of a number from the first to the last that is not 0, and the power of ten of the last; `None` where a text is no number.
pub(super) fn significant(text: &[u8]) -> Option<(Vec<u8>, i64)> {
    let text = text.trim_ascii();
    let text = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let (number, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&text[..at], std::str::from_utf8(&text[at + 1..]).ok()?.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = match number.iter().position(|byte| *byte == b'.') {
        Some(at) => (&number[..at], &number[at + 1..]),
        None => (number, &b""[..]),
    };
    if whole.len() + fraction.len() == 0 || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return None;
    }
    let mut digits: Vec<u8> = whole.iter().chain(fraction).copied().skip_while(|digit| *digit == b'0').collect();
    let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
    digits.truncate(digits.len() - zeros);
    if digits.is_empty() {
        return Some((digits, 0));
    }
    Some((digits, zeros as i64 - fraction.len() as i64 + exponent))
}

fn unpacked(column: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    arrow_cast::cast(column, kind).bug(|| format!("{} does not unpack to {kind}", column.data_type()))
}

pub(super) fn some(unfit: BooleanBuffer) -> Option<BooleanBuffer> {
    (unfit.count_set_bits() > 0).then_some(unfit)
}

pub(super) fn either(a: Option<BooleanBuffer>, b: Option<BooleanBuffer>) -> Option<BooleanBuffer> {
    match (a, b) {
        (Some(a), Some(b)) => Some(&a | &b),
        (a, b) => a.or(b),
    }
}

/// Texts with a zero byte, which PostgreSQL has not.
fn without_nul(column: &ArrayRef) -> Option<BooleanBuffer> {
    let cell = Cell::new(column, Style::default());
    if cell.text_bytes().is_some_and(|bytes| memchr::memchr(0, bytes).is_none()) {
        return None;
    }
    texts_that(column, |text| memchr::memchr(0, text).is_some())
}

/// Floats that a database has no form for.
fn strange(column: &ArrayRef, dialect: Dialect) -> Option<BooleanBuffer> {
    let holds = |value: f64| match dialect {
        Dialect::Sqlite => !value.is_nan(),
        Dialect::Mysql | Dialect::Mssql | Dialect::Oracle => value.is_finite(),
        Dialect::Postgres => true,
    };
    let value = |index: usize| match column.data_type() {
        DataType::Float32 => f64::from(column.as_primitive::<Float32Type>().value(index)),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(index),
        _ => 0.0,
    };
    if dialect == Dialect::Postgres {
        return None;
    }
    some((0..column.len()).map(|index| column.is_valid(index) && !holds(value(index))).collect())
}

/// Numbers with more digits behind the point than a column keeps; `else_fits` of texts that are no numbers.
fn digits(column: &ArrayRef, scale: Option<u32>, else_fits: bool) -> Option<BooleanBuffer> {
    if scale.is_none() && else_fits || column.data_type().is_integer() && scale.is_some() {
        return None;
    }
    texts_that(column, |text| match decimals(text) {
        Some(decimals) => scale.is_some_and(|scale| decimals > i64::from(scale)),
        None => !else_fits,
    })
}

/// Digits behind the point that a number needs; `None` where a text is no number.
fn decimals(text: &[u8]) -> Option<i64> {
    significant(text).map(|(_, exponent)| (-exponent).max(0))
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, StringArray};

    use super::*;

    fn unfit(column: ArrayRef, holds: Holds, dialect: Dialect) -> Vec<usize> {
        fit_column(&column, holds, dialect).unwrap().1.map_or_else(Vec::new, |unfit| unfit.set_indices().collect())
    }

    #[test]
    fn digits_that_a_column_would_round_away_are_counted() {
        for (text, expected) in [
            ("1.50", Some(1)),
            ("-12", Some(0)),
            ("1e-3", Some(3)),
            ("1.5e1", Some(0)),
            ("0.00", Some(0)),
            ("x", None),
            ("", None),
            (".", None),
        ] {
            assert_eq!(decimals(text.as_bytes()), expected, "{text}");
        }
        let prices: ArrayRef = Arc::new(StringArray::from(vec!["1.25", "1.255", "1.250", "free"]));
        assert_eq!(unfit(prices.clone(), Holds::Decimal(Some(2)), Dialect::Postgres), [1]);
        assert_eq!(unfit(prices, Holds::Decimal(Some(2)), Dialect::Mysql), [1, 3]);
    }

    #[test]
    fn a_number_that_a_column_is_too_narrow_for_does_not_fit() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(40_000), None, Some(-1)]));
        assert_eq!(unfit(numbers.clone(), Holds::Int(16, true), Dialect::Postgres), [1]);
        assert_eq!(unfit(numbers.clone(), Holds::Int(64, false), Dialect::Mysql), [3]);
        assert_eq!(unfit(numbers, Holds::Bool, Dialect::Sqlite), [1, 3]);
    }

    #[test]
    fn texts_are_read_exactly_where_the_database_would_bend_them() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["12", "12x", "1.5"]));
        assert_eq!(unfit(texts.clone(), Holds::Int(64, true), Dialect::Sqlite), [1, 2]);
        assert_eq!(unfit(texts, Holds::Int(64, true), Dialect::Postgres), [] as [usize; 0]);
    }
}
