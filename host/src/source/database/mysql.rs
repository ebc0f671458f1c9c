//! MySQL and MariaDB: what their types are here, and their binary values.

use std::borrow::Cow;

use chrono::NaiveDate;
use sqlx::mysql::{MySqlArguments, MySqlColumn, MySqlConnection, MySqlRow, MySqlTypeInfo};
use sqlx::{AssertSqlSafe, Column as _, Connection as _, Decode, Executor as _, Row as _, SqlSafeStr as _, Statement as _, TypeInfo as _};

use super::failure::{Asked, Unlike};
use super::kind::{Cell, Kind, Misfit};
use super::raw::Raw;
use super::statement::{Bind, Described, Fill, Sql};
use crate::config::component::hex;
use crate::error::Result;
use crate::source::scalar;

/// Finds out what a query's columns are, without running it.
pub(super) async fn describe(connection: &mut MySqlConnection, sql: &Sql, asked: &Asked<'_>) -> Result<Vec<Described>> {
    let statement =
        connection.prepare(AssertSqlSafe(sql.text()).into_sql_str()).await.map_err(|error| asked.failed(&sql.text(), &error))?;
    let prepared = statement.columns();
    let bound = with_values(connection, sql, prepared.len()).await.map_err(|error| asked.failed("", &error))?;
    let mut columns = Vec::new();
    for (index, column) in prepared.iter().enumerate() {
        let kind = bound.as_ref().map_or(column.type_info(), |row| row.column(index).type_info());
        columns.push(described(connection, column, kind).await.map_err(|error| asked.failed("", &error))?);
    }
    Ok(columns)
}

/// What the columns are once the parameters have their values, of which MariaDB knows nothing before; none where there are no parameters,
/// or where the query cannot stand within another.
async fn with_values(connection: &mut MySqlConnection, sql: &Sql, columns: usize) -> sqlx::Result<Option<MySqlRow>> {
    let Some((probe, binds)) = sql.probe(columns).filter(|_| columns > 0) else { return Ok(None) };
    let probed = bound(sqlx::query(AssertSqlSafe(probe)).persistent(false), binds).fetch_one(connection).await;
    match probed {
        Err(sqlx::Error::Database(_)) => Ok(None),
        probed => Ok(Some(probed?).filter(|row| row.len() == columns)),
    }
}

async fn described(connection: &mut MySqlConnection, column: &MySqlColumn, type_info: &MySqlTypeInfo) -> sqlx::Result<Described> {
    let name = column.name().to_owned();
    let kind = match kind_of(type_info) {
        Some(kind) => kind,
        None => match declared(connection, column).await? {
            Some((precision, scale)) => Kind::Decimal(precision, scale),
            None => {
                let kind = Some(Kind::Text);
                return Ok(Described { name, kind, cast: None, is_numeric: true, is_text: false, has_own_order: true, declared: None });
            }
        },
    };
    let is_numeric = matches!(kind, Kind::Decimal(..));
    let has_own_order = matches!(type_info.name(), "ENUM" | "SET" | "JSON");
    Ok(Described { name, kind: Some(kind), cast: None, is_numeric, is_text: true, has_own_order, declared: None })
}

/// What a type is here; none of a decimal, whose digits it does not tell.
fn kind_of(type_info: &MySqlTypeInfo) -> Option<Kind> {
    Some(match type_info.name() {
        "BOOLEAN" => Kind::Bool,
        "TINYINT" => Kind::Int8,
        "TINYINT UNSIGNED" => Kind::UInt8,
        "SMALLINT" => Kind::Int16,
        "SMALLINT UNSIGNED" | "YEAR" => Kind::UInt16,
        "INT" | "MEDIUMINT" => Kind::Int32,
        "INT UNSIGNED" | "MEDIUMINT UNSIGNED" => Kind::UInt32,
        "BIGINT" => Kind::Int64,
        "BIGINT UNSIGNED" => Kind::UInt64,
        "BIT" => Kind::Bits,
        "FLOAT" => Kind::Float32,
        "DOUBLE" => Kind::Float64,
        "DECIMAL" => return None,
        "DATE" => Kind::Date,
        "TIME" => Kind::Time,
        "DATETIME" => Kind::Timestamp,
        "TIMESTAMP" => Kind::Instant,
        "BINARY" | "VARBINARY" | "TINYBLOB" | "BLOB" | "MEDIUMBLOB" | "LONGBLOB"
            if !<str as sqlx::Type<sqlx::MySql>>::compatible(type_info) =>
        {
            Kind::Binary
        }
        "GEOMETRY" => Kind::Binary,
        _ => Kind::Text,
    })
}

/// Whether values of a type are read as what their column was taken for.
fn is_read_as(type_info: &MySqlTypeInfo, kind: &Kind) -> bool {
    match kind_of(type_info) {
        None => matches!(kind, Kind::Decimal(..) | Kind::Text),
        // It has no value but null.
        Some(_) if type_info.is_null() => true,
        Some(sent) => sent == *kind,
    }
}

/// Precision and scale of a column of a table, where we hold as much.
async fn declared(connection: &mut MySqlConnection, column: &MySqlColumn) -> sqlx::Result<Option<(u8, i8)>> {
    let origin = column.origin();
    let Some((schema, table)) = origin.table_column().and_then(|origin| origin.table.split_once('.')) else { return Ok(None) };
    let name = origin.table_column().map_or("", |origin| &*origin.name);
    let sql = "SELECT CAST(numeric_precision AS SIGNED), CAST(numeric_scale AS SIGNED) FROM information_schema.columns \
               WHERE table_schema = ? AND table_name = ? AND column_name = ?";
    let found: Option<(Option<i64>, Option<i64>)> =
        sqlx::query_as(sql).bind(schema).bind(table).bind(name).fetch_optional(connection).await?;
    let Some((Some(precision), Some(scale))) = found else { return Ok(None) };
    Ok(u8::try_from(precision).ok().zip(i8::try_from(scale).ok()).filter(|(precision, _)| *precision <= 38))
}

/// Sends the rows of a query, within one transaction that only reads.
pub(super) async fn rows(
    connection: &mut MySqlConnection,
    sql: &str,
    binds: Vec<Bind>,
    kinds: &[Kind],
    timeout_ms: Option<u64>,
    fill: &mut Fill,
) -> sqlx::Result<()> {
    if let Some(timeout_ms) = timeout_ms {
        let version: String = sqlx::query_scalar("SELECT VERSION()").fetch_one(&mut *connection).await?;
        let set = match version.contains("MariaDB") {
            true => format!("SET SESSION max_statement_time = {}.{:03}", timeout_ms / 1000, timeout_ms % 1000),
            false => format!("SET SESSION max_execution_time = {timeout_ms}"),
        };
        connection.execute(AssertSqlSafe(set)).await?;
    }
    connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
    let mut transaction = connection.begin_with("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?;
    let query = bound(sqlx::query(AssertSqlSafe(sql.to_owned())).persistent(false), binds);
    let mut checked = false;
    let check_and_push = |row: &MySqlRow, raw: &mut Raw| {
        if !std::mem::replace(&mut checked, true) {
            check(row, kinds)?;
        }
        push(row, raw)
    };
    fill.rows(query.fetch(&mut *transaction), check_and_push).await
}

type Query<'q> = sqlx::query::Query<'q, sqlx::MySql, MySqlArguments>;

fn bound(mut query: Query<'_>, binds: Vec<Bind>) -> Query<'_> {
    for bind in binds {
        query = match bind {
            Bind::Null => query.bind(None::<String>),
            Bind::Bool(value) => query.bind(value),
            Bind::Int(value) => query.bind(value),
            Bind::UInt(value) => query.bind(value),
            Bind::Float(value) => query.bind(value),
            Bind::Text(value) => query.bind(value),
        };
    }
    query
}

/// Refuses rows of other types than were described: their bytes would be read as what they are not.
fn check(row: &MySqlRow, kinds: &[Kind]) -> sqlx::Result<()> {
    for (column, kind) in row.columns().iter().zip(kinds) {
        if !is_read_as(column.type_info(), kind) {
            let unlike =
                Unlike { column: column.ordinal() + 1, taken_for: kind.data_type().to_string(), sent: column.type_info().to_string() };
            return Err(sqlx::Error::ColumnDecode { index: column.ordinal().to_string(), source: Box::new(unlike) });
        }
    }
    Ok(())
}

fn push(row: &MySqlRow, raw: &mut Raw) -> sqlx::Result<()> {
    for index in 0..row.len() {
        let value = row.try_get_raw(index)?;
        raw.push(|bytes| match <&[u8] as Decode<sqlx::MySql>>::decode(value) {
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
        Kind::Bool => match bytes {
            [0] => Cell::Bool(false),
            [1] => Cell::Bool(true),
            [other] => return Err(Misfit::new((*other as i8).to_string())),
            _ => return Err(odd()),
        },
        Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 => Cell::Int(match *bytes {
            [a] => (a as i8).into(),
            [a, b] => i16::from_le_bytes([a, b]).into(),
            [a, b, c, d] => i32::from_le_bytes([a, b, c, d]).into(),
            _ => i64::from_le_bytes(bytes.try_into().map_err(|_| odd())?),
        }),
        Kind::UInt8 | Kind::UInt16 | Kind::UInt32 => Cell::UInt(match *bytes {
            [a] => a.into(),
            [a, b] => u16::from_le_bytes([a, b]).into(),
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]).into(),
            _ => return Err(odd()),
        }),
        Kind::UInt64 => Cell::UInt(u64::from_le_bytes(bytes.try_into().map_err(|_| odd())?)),
        Kind::Bits => Cell::UInt(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))),
        Kind::Float32 => Cell::Float32(f32::from_le_bytes(bytes.try_into().map_err(|_| odd())?)),
        Kind::Float64 => Cell::Float(f64::from_le_bytes(bytes.try_into().map_err(|_| odd())?)),
        Kind::Decimal(precision, scale) => {
            let text = text(bytes)?;
            let value = scalar::decimal(&text, *precision, *scale);
            Cell::Decimal(value.ok_or_else(|| Misfit::new(text))?, *scale)
        }
        Kind::Text | Kind::Uuid => Cell::Text(text(bytes)?),
        Kind::Binary => Cell::Bytes(bytes),
        Kind::Date => Cell::Date((micros(bytes)? / 86_400_000_000) as i32),
        Kind::Timestamp => Cell::Timestamp(micros(bytes)?),
        Kind::Instant => Cell::Instant(micros(bytes)?),
        Kind::Time => time(bytes)?,
        Kind::List(_) => return Err(odd()),
    })
}

fn text(bytes: &[u8]) -> Result<Cow<'_, str>, Misfit> {
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(_) => Err(Misfit::new(String::from_utf8_lossy(bytes))),
    }
}

/// A day or a time: how many bytes follow, year, month, day, hour, minute, second, microsecond, as far as they are not zero.
fn micros(bytes: &[u8]) -> Result<i64, Misfit> {
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let (year, month, day) = (u16::from_le_bytes([byte(1), byte(2)]), byte(3), byte(4));
    let micros = u32::from_le_bytes([byte(8), byte(9), byte(10), byte(11)]);
    let date = NaiveDate::from_ymd_opt(year.into(), month.into(), day.into());
    let time = date.and_then(|date| date.and_hms_micro_opt(byte(5).into(), byte(6).into(), byte(7).into(), micros));
    let time = time.ok_or_else(|| Misfit::new(format!("{year:04}-{month:02}-{day:02}")))?;
    Ok(time.and_utc().timestamp_micros())
}

/// A length of time: how many bytes follow, whether it is negative, days, hour, minute, second, microsecond.
fn time<'a>(bytes: &[u8]) -> Result<Cell<'a>, Misfit> {
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let number = |at: usize| i64::from(u32::from_le_bytes([byte(at), byte(at + 1), byte(at + 2), byte(at + 3)]));
    let (negative, days) = (byte(1) == 1, number(2));
    let (hour, minute, second, micros) = (i64::from(byte(6)), i64::from(byte(7)), i64::from(byte(8)), number(9));
    if negative || days > 0 {
        let sign = if negative { "-" } else { "" };
        return Err(Misfit::new(format!("{sign}{:02}:{minute:02}:{second:02}.{micros:06}", days * 24 + hour)));
    }
    Ok(Cell::Time(((hour * 60 + minute) * 60 + second) * 1_000_000 + micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_are_read_and_zero_ones_are_no_days() {
        assert_eq!(cell(&Kind::Date, &[4, 0xE8, 7, 2, 29]), Ok(Cell::Date(19_782)));
        assert_eq!(cell(&Kind::Timestamp, &[11, 0xB2, 7, 1, 1, 0, 0, 1, 2, 0, 0, 0]), Ok(Cell::Timestamp(1_000_002)));
        assert_eq!(cell(&Kind::Date, &[4, 0x9F, 7, 12, 31]), Ok(Cell::Date(-6_576)));
        assert_eq!(cell(&Kind::Timestamp, &[0]), Err(Misfit::new("0000-00-00")));
        assert_eq!(cell(&Kind::Date, &[4, 0xE8, 7, 0, 0]), Err(Misfit::new("2024-00-00")));
    }

    #[test]
    fn lengths_of_time_beyond_a_day_are_no_time_of_day() {
        assert_eq!(cell(&Kind::Time, &[0]), Ok(Cell::Time(0)));
        assert_eq!(cell(&Kind::Time, &[8, 0, 0, 0, 0, 0, 23, 59, 59]), Ok(Cell::Time(86_399_000_000)));
        assert_eq!(cell(&Kind::Time, &[8, 1, 1, 0, 0, 0, 2, 3, 4]), Err(Misfit::new("-26:03:04.000000")));
    }

    #[test]
    fn numbers_keep_their_sign_and_width() {
        assert_eq!(cell(&Kind::Int8, &[255]), Ok(Cell::Int(-1)));
        assert_eq!(cell(&Kind::UInt8, &[255]), Ok(Cell::UInt(255)));
        assert_eq!(cell(&Kind::UInt64, &[255; 8]), Ok(Cell::UInt(u64::MAX)));
        assert_eq!(cell(&Kind::Decimal(4, 2), b"-1.50"), Ok(Cell::Decimal(-150, 2)));
        assert_eq!(cell(&Kind::Bool, &[2]), Err(Misfit::new("2")));
        assert_eq!(cell(&Kind::Bits, &[1, 0]), Ok(Cell::UInt(256)));
    }
}
