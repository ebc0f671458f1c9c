//! PostgreSQL: what its types are here, and its binary values.

use std::borrow::Cow;

use sqlx::postgres::{PgColumn, PgConnection, PgRow, PgStatement, PgTypeInfo, PgTypeKind};
use sqlx::{AssertSqlSafe, Column as _, Connection as _, Executor as _, Row as _, SqlSafeStr as _, Statement as _, TypeInfo as _};

use super::failure::Asked;
use super::kind::{Cell, Kind, Misfit};
use super::raw::Raw;
use super::statement::{Bind, Described, Fill, Sql};
use crate::config::component::hex;
use crate::error::Result;

/// Days from 1970 to 2000, where its days start.
const EPOCH_DAYS: i32 = 10_957;
/// Microseconds from 1970 to 2000.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Days before and after 2000 that can be shown: 260,000 years.
const MOST_DAYS: u32 = 95_000_000;
/// What it says where nothing in the query tells the type of a parameter, or too much does.
const UNTOLD: [&str; 2] = ["42P18", "42P08"];

/// Finds out what a query's parameters and columns are, without running it.
pub(super) async fn describe(connection: &mut PgConnection, sql: &mut Sql, asked: &Asked<'_>) -> Result<Vec<Described>> {
    // A query that runs on when nobody listens any more is ended; older servers do not know this.
    connection.execute("SET client_connection_check_interval = '5s'").await.ok();
    let statement = loop {
        match prepare(connection, &sql.text()).await {
            Ok(statement) => break statement,
            // `could not determine data type of parameter $2`
            Err(error) if UNTOLD.contains(&&*code(&error)) && sql.tell(parameter_of(&error)) => {}
            Err(error) => return Err(asked.failed(&sql.text(), &error)),
        }
    };
    if let Some(sqlx::Either::Left(types)) = statement.parameters() {
        let mut names = Vec::with_capacity(types.len());
        for kind in types {
            let oid = kind.oid().map_or(25, |oid| i64::from(oid.0));
            let name = sqlx::query_scalar::<_, String>("SELECT format_type($1::bigint::oid, NULL)").bind(oid).fetch_one(&mut *connection);
            names.push(name.await.map_err(|error| asked.failed("", &error))?);
        }
        sql.cast(&names);
    }
    let mut columns = Vec::new();
    for column in statement.columns() {
        columns.push(described(connection, column).await.map_err(|error| asked.failed("", &error))?);
    }
    Ok(columns)
}

async fn prepare(connection: &mut PgConnection, sql: &str) -> sqlx::Result<PgStatement> {
    connection.prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await
}

fn code(error: &sqlx::Error) -> Cow<'_, str> {
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default()
}

/// The number of the parameter that an error is about, from 1.
fn parameter_of(error: &sqlx::Error) -> Option<usize> {
    let message = error.as_database_error()?.message();
    let digits: String = message.rsplit_once('$')?.1.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

async fn described(connection: &mut PgConnection, column: &PgColumn) -> sqlx::Result<Described> {
    let mut modifier = -1;
    let base = if let PgTypeKind::Array(items) = column.type_info().kind() { items } else { column.type_info() };
    if base.name() == "NUMERIC"
        && let (Some(table), Some(number)) = (column.relation_id(), column.relation_attribute_no())
    {
        let modifiers = sqlx::query_scalar::<_, i32>("SELECT atttypmod FROM pg_catalog.pg_attribute WHERE attrelid = $1 AND attnum = $2");
        modifier = modifiers.bind(table).bind(number).fetch_optional(connection).await?.unwrap_or(-1);
    }
    let (kind, cast) = kind_of(column.type_info(), modifier);
    // Others have an order of their own: `char(n)` without its blanks, an enum by its list.
    let is_text = matches!(column.type_info().name(), "TEXT" | "VARCHAR");
    let is_numeric = base.name() == "NUMERIC";
    let texts = ["TEXT", "VARCHAR", "CHAR", "\"CHAR\"", "NAME", "CITEXT", "UNKNOWN"];
    let has_own_order = kind == Kind::Text && !texts.iter().any(|text| column.type_info().name().eq_ignore_ascii_case(text));
    let (name, kind, cast) = (column.name().to_owned(), Some(kind), cast.map(Into::into));
    Ok(Described { name, kind, cast, is_numeric, is_text, has_own_order, declared: None })
}

/// What a type is here, and what the server is to make of it first where its own binary values are read by nobody.
fn kind_of(info: &PgTypeInfo, modifier: i32) -> (Kind, Option<&'static str>) {
    let kind = match info.name() {
        "BOOL" => Kind::Bool,
        "INT2" => Kind::Int16,
        "INT4" => Kind::Int32,
        "INT8" => Kind::Int64,
        "OID" => Kind::UInt32,
        "FLOAT4" => Kind::Float32,
        "FLOAT8" => Kind::Float64,
        "NUMERIC" => match declared(modifier) {
            Some((precision, scale)) => Kind::Decimal(precision, scale),
            None => return (Kind::Text, Some("text")),
        },
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "JSON" | "XML" | "UNKNOWN" => Kind::Text,
        "BYTEA" => Kind::Binary,
        "DATE" => Kind::Date,
        "TIME" => Kind::Time,
        "TIMESTAMP" => Kind::Timestamp,
        "TIMESTAMPTZ" => Kind::Instant,
        "UUID" => Kind::Uuid,
        _ => match info.kind() {
            PgTypeKind::Enum(_) => Kind::Text,
            PgTypeKind::Array(items) => match kind_of(items, modifier) {
                (items, None) => Kind::List(Box::new(items)),
                (_, Some(_)) => return (Kind::List(Box::new(Kind::Text)), Some("text[]")),
            },
            _ => return (Kind::Text, Some("text")),
        },
    };
    (kind, None)
}

/// Precision and scale that a numeric column declares, where we hold as much.
fn declared(modifier: i32) -> Option<(u8, i8)> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    let precision = packed >> 16 & 0xFFFF;
    // Eleven bits with a sign.
    let scale = ((packed & 0x7FF) ^ 1024) - 1024;
    let (precision, scale) = (u8::try_from(precision).ok()?, i8::try_from(scale).ok()?);
    (precision <= 38 && scale >= 0 && scale <= precision as i8).then_some((precision, scale))
}

/// Sends the rows of a query, within one transaction that only reads.
pub(super) async fn rows(
    connection: &mut PgConnection,
    sql: &str,
    binds: Vec<Bind>,
    timeout_ms: Option<u64>,
    fill: &mut Fill,
) -> sqlx::Result<()> {
    connection.execute("SET client_connection_check_interval = '5s'").await.ok();
    let mut transaction = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    if let Some(timeout_ms) = timeout_ms {
        transaction.execute(AssertSqlSafe(format!("SET LOCAL statement_timeout = {timeout_ms}"))).await?;
    }
    let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    for bind in binds {
        query = query.bind(bind.text());
    }
    fill.rows(query.fetch(&mut *transaction), push).await
}

fn push(row: &PgRow, raw: &mut Raw) -> sqlx::Result<()> {
    for index in 0..row.len() {
        let value = row.try_get_raw(index)?;
        raw.push(|bytes| match value.as_bytes() {
            Ok(value) => {
                bytes.extend_from_slice(value);
                true
            }
            Err(_) => false,
        });
    }
    Ok(())
}

/// Reads a binary value.
pub(super) fn cell<'a>(kind: &Kind, bytes: &'a [u8]) -> Result<Cell<'a>, Misfit> {
    let odd = || Misfit::new(format!("0x{}", hex(&bytes[..bytes.len().min(64)])));
    Ok(match kind {
        Kind::Bool => Cell::Bool(bytes == [1]),
        Kind::Int8 | Kind::Int16 => Cell::Int(i16::from_be_bytes(fixed(bytes).ok_or_else(odd)?).into()),
        Kind::Int32 => Cell::Int(i32::from_be_bytes(fixed(bytes).ok_or_else(odd)?).into()),
        Kind::Int64 => Cell::Int(i64::from_be_bytes(fixed(bytes).ok_or_else(odd)?)),
        Kind::UInt8 | Kind::UInt16 | Kind::UInt32 | Kind::UInt64 | Kind::Bits => {
            Cell::UInt(u32::from_be_bytes(fixed(bytes).ok_or_else(odd)?).into())
        }
        Kind::Float32 => Cell::Float32(f32::from_be_bytes(fixed(bytes).ok_or_else(odd)?)),
        Kind::Float64 => Cell::Float(f64::from_be_bytes(fixed(bytes).ok_or_else(odd)?)),
        Kind::Decimal(precision, scale) => {
            let number = Numeric::parse(bytes).ok_or_else(odd)?;
            let value = number.at_scale(*precision, *scale);
            Cell::Decimal(value.ok_or_else(|| Misfit::new(number.text()))?, *scale)
        }
        Kind::Text => Cell::Text(text(bytes)?),
        Kind::Binary => Cell::Bytes(bytes),
        Kind::Date => match i32::from_be_bytes(fixed(bytes).ok_or_else(odd)?) {
            i32::MAX => return Err(Misfit::new("infinity")),
            i32::MIN => return Err(Misfit::new("-infinity")),
            // Beyond that nobody has a name for them.
            days if days.unsigned_abs() > MOST_DAYS => return Err(Misfit::new(format!("{days} days from 2000 on"))),
            days => Cell::Date(days + EPOCH_DAYS),
        },
        Kind::Time => match i64::from_be_bytes(fixed(bytes).ok_or_else(odd)?) {
            86_400_000_000 => return Err(Misfit::new("24:00:00")),
            micros => Cell::Time(micros),
        },
        Kind::Timestamp => Cell::Timestamp(micros(bytes).ok_or_else(odd)??),
        Kind::Instant => Cell::Instant(micros(bytes).ok_or_else(odd)??),
        Kind::Uuid => Cell::Text(uuid::Uuid::from_slice(bytes).map_err(|_| odd())?.to_string().into()),
        Kind::List(items) => list(items, bytes)?,
    })
}

fn fixed<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

fn text(bytes: &[u8]) -> Result<Cow<'_, str>, Misfit> {
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(_) => Err(Misfit::new(String::from_utf8_lossy(bytes))),
    }
}

/// A time in microseconds since 1970; none where there are too few bytes.
fn micros(bytes: &[u8]) -> Option<Result<i64, Misfit>> {
    Some(match i64::from_be_bytes(fixed(bytes)?) {
        i64::MAX => Err(Misfit::new("infinity")),
        i64::MIN => Err(Misfit::new("-infinity")),
        micros if micros.unsigned_abs() > u64::from(MOST_DAYS) * 86_400_000_000 => {
            Err(Misfit::new(format!("{} days from 2000 on", micros / 86_400_000_000)))
        }
        micros => Ok(micros + EPOCH_MICROS),
    })
}

/// An array: dimensions, whether there are nulls, the type of items, length and first index of each dimension, the items.
fn list<'a>(items: &Kind, bytes: &'a [u8]) -> Result<Cell<'a>, Misfit> {
    let torn = || Misfit::new("an array that ends too early");
    let mut rest = bytes;
    let number = |rest: &mut &'a [u8]| -> Result<i32, Misfit> {
        let (first, after) = rest.split_first_chunk::<4>().ok_or_else(torn)?;
        *rest = after;
        Ok(i32::from_be_bytes(*first))
    };
    let dimensions = number(&mut rest)?;
    let (_has_null, _type) = (number(&mut rest)?, number(&mut rest)?);
    match dimensions {
        0 => return Ok(Cell::List(Vec::new())),
        1 => {}
        more => return Err(Misfit::new(format!("an array of {more} dimensions"))),
    }
    let (length, _first) = (number(&mut rest)?, number(&mut rest)?);
    let mut cells = Vec::new();
    for _ in 0..length {
        match usize::try_from(number(&mut rest)?) {
            Err(_) => cells.push(None),
            Ok(length) => {
                let (item, after) = rest.split_at_checked(length).ok_or_else(torn)?;
                rest = after;
                cells.push(Some(cell(items, item)?));
            }
        }
    }
    Ok(Cell::List(cells))
}

/// A numeric: digits of base 10,000, the first of which stands for 10,000 to the power of `weight`.
struct Numeric<'a> {
    digits: &'a [u8],
    weight: i16,
    sign: u16,
    shown_scale: u16,
}

impl<'a> Numeric<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (head, digits) = bytes.split_first_chunk::<8>()?;
        let half = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        (digits.len() == usize::from(half(0)) * 2).then(|| Self { digits, weight: half(2) as i16, sign: half(4), shown_scale: half(6) })
    }

    fn digits(&self) -> impl Iterator<Item = (i32, u16)> {
        let weight = i32::from(self.weight);
        self.digits.chunks_exact(2).enumerate().map(move |(index, pair)| (weight - index as i32, u16::from_be_bytes([pair[0], pair[1]])))
    }

    /// The value in units of ten to the power of `-scale`; none where it is not exact or has too many digits.
    fn at_scale(&self, precision: u8, scale: i8) -> Option<i128> {
        if self.sign & 0xC000 == 0xC000 {
            return None;
        }
        let mut value = 0i128;
        for (power, digit) in self.digits() {
            let exponent = power * 4 + i32::from(scale);
            let digit = i128::from(digit);
            let part = match u32::try_from(exponent) {
                Ok(exponent) => digit.checked_mul(10i128.checked_pow(exponent)?)?,
                Err(_) => {
                    let by = 10i128.checked_pow(exponent.unsigned_abs())?;
                    (digit % by == 0).then_some(digit / by)?
                }
            };
            value = value.checked_add(part)?;
        }
        (value < 10i128.pow(precision.into())).then_some(if self.sign == 0x4000 { -value } else { value })
    }

    fn text(&self) -> String {
        match self.sign {
            0xC000 => return "NaN".into(),
            0xD000 => return "Infinity".into(),
            0xF000 => return "-Infinity".into(),
            _ => {}
        }
        let (mut whole, mut fraction) = (String::new(), String::new());
        for power in (0..=i32::from(self.weight)).rev() {
            let digit = self.digits().find(|(at, _)| *at == power).map_or(0, |(_, digit)| digit);
            whole.push_str(&format!("{digit:04}"));
        }
        for power in 1..=i32::from(self.shown_scale.div_ceil(4)) {
            let digit = self.digits().find(|(at, _)| *at == -power).map_or(0, |(_, digit)| digit);
            fraction.push_str(&format!("{digit:04}"));
        }
        fraction.truncate(self.shown_scale.into());
        let sign = if self.sign == 0x4000 { "-" } else { "" };
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(weight: i16, sign: u16, scale: u16, digits: &[u16]) -> Vec<u8> {
        let head = [digits.len() as u16, weight as u16, sign, scale];
        head.iter().chain(digits).flat_map(|half| half.to_be_bytes()).collect()
    }

    #[test]
    fn numerics_are_exact_or_refused() {
        for (bytes, text, at_2) in [
            (numeric(0, 0, 2, &[12, 3400]), "12.34", Some(1234)),
            (numeric(1, 0x4000, 2, &[1, 0, 500]), "-10000.05", Some(-1_000_005)),
            (numeric(-1, 0, 4, &[12]), "0.0012", None),
            (numeric(0, 0, 0, &[]), "0", Some(0)),
            (numeric(2, 0, 0, &[1]), "100000000", Some(10_000_000_000)),
            (numeric(0, 0xC000, 0, &[]), "NaN", None),
            (numeric(0, 0xF000, 0, &[]), "-Infinity", None),
        ] {
            let number = Numeric::parse(&bytes).unwrap();
            assert_eq!((number.text().as_str(), number.at_scale(20, 2)), (text, at_2));
        }
        assert_eq!(Numeric::parse(&numeric(0, 0, 0, &[1000])).unwrap().at_scale(3, 0), None);
    }

    #[test]
    fn precision_and_scale_come_from_the_modifier() {
        assert_eq!(declared((10 << 16 | 2) + 4), Some((10, 2)));
        assert_eq!(declared((38 << 16) + 4), Some((38, 0)));
        assert_eq!(declared((39 << 16) + 4), None);
        assert_eq!(declared((5 << 16 | (-2 & 0x7FF)) + 4), None);
        assert_eq!(declared(-1), None);
    }

    #[test]
    fn arrays_with_nulls_and_too_many_dimensions_or_bytes() {
        let whole: Vec<u8> = [1i32, 1, 23, 2, 1, 4, 7, -1].iter().flat_map(|number| number.to_be_bytes()).collect();
        assert_eq!(cell(&Kind::List(Box::new(Kind::Int32)), &whole), Ok(Cell::List(vec![Some(Cell::Int(7)), None])));
        assert_eq!(list(&Kind::Int32, &[2i32, 0, 23].map(i32::to_be_bytes).concat()), Err(Misfit::new("an array of 2 dimensions")));
        assert_eq!(list(&Kind::Int32, &whole[..25]), Err(Misfit::new("an array that ends too early")));
    }
}
