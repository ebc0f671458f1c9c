//! SQLite, where a column says what it should hold and each value says what it is.

use std::borrow::Cow;

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{
    AssertSqlSafe, Column as _, Decode, Executor as _, Row as _, SqlSafeStr as _, Sqlite, Statement as _, TypeInfo as _, ValueRef as _,
};

use super::failure::Asked;
use super::kind::{Cell, Kind, Misfit};
use super::raw::Raw;
use super::statement::{Bind, Described, Fill, Sql};
use crate::config::component::hex;
use crate::error::{Error, Result};
use crate::source::scalar;

/// What stands before the bytes of a value.
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;
const BLOB: u8 = 4;

/// Finds out what a query's columns are, without running it; those that declare no type are left open.
pub(super) async fn describe(connection: &mut SqliteConnection, sql: &Sql, asked: &Asked<'_>) -> Result<Vec<Described>> {
    let wrong = |error| asked.failed("", &error);
    let encoding: String = sqlx::query_scalar("PRAGMA encoding").fetch_one(&mut *connection).await.map_err(wrong)?;
    if encoding != "UTF-8" {
        return Err(Error::config(format!("`{}` keeps its texts as {encoding}, of which only UTF-8 is read", asked.title))
            .hint("`sqlite3 old.db .dump | sqlite3 new.db` makes one that is UTF-8"));
    }
    let statement =
        connection.prepare(AssertSqlSafe(sql.text()).into_sql_str()).await.map_err(|error| asked.failed(&sql.text(), &error))?;
    let mut columns = Vec::new();
    for column in statement.columns() {
        let declared = match column.origin().table_column() {
            Some(origin) => {
                let types = sqlx::query_scalar::<_, String>("SELECT type FROM pragma_table_info(?) WHERE name = ?");
                types.bind(&*origin.table).bind(&*origin.name).fetch_optional(&mut *connection).await.map_err(wrong)?
            }
            None => None,
        };
        let kind = declared.as_deref().and_then(kind_of);
        let is_numeric = matches!(kind, Some(Kind::Decimal(..)));
        columns.push(Described {
            name: column.name().to_owned(),
            kind,
            cast: None,
            is_numeric,
            is_text: true,
            has_own_order: false,
            declared: None,
        });
    }
    Ok(columns)
}

/// What a declared type is here; nothing where it promises nothing.
fn kind_of(declared: &str) -> Option<Kind> {
    let declared = declared.to_ascii_uppercase();
    let has = |parts: &[&str]| parts.iter().any(|part| declared.contains(part));
    Some(match declared.split('(').next().unwrap_or_default().trim() {
        "BOOL" | "BOOLEAN" => Kind::Bool,
        "DATE" => Kind::Date,
        "DATETIME" | "TIMESTAMP" => Kind::Timestamp,
        "DECIMAL" | "NUMERIC" => {
            let (_, digits) = declared.trim_end_matches(')').split_once('(')?;
            let (precision, scale) = digits.split_once(',').unwrap_or((digits, "0"));
            let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
            return (1..=38)
                .contains(&precision)
                .then_some(Kind::Decimal(precision, scale))
                .filter(|_| (0..=precision as i8).contains(&scale));
        }
        _ if has(&["INT"]) => Kind::Int64,
        _ if has(&["CHAR", "CLOB", "TEXT", "JSON", "UUID", "TIME"]) => Kind::Text,
        _ if has(&["BLOB"]) => Kind::Binary,
        _ if has(&["REAL", "FLOA", "DOUB"]) => Kind::Float64,
        _ => return None,
    })
}

/// Whether values should be looked at before a type is held to what it says: SQLite has none for truth values and times.
pub(super) fn is_open(kind: Option<&Kind>) -> bool {
    matches!(kind, None | Some(Kind::Bool | Kind::Date | Kind::Timestamp))
}

/// What a column of these values is: as it is declared where any of them fits, else by what they are.
pub(super) fn inferred<'a>(declared: Option<&Kind>, values: impl Iterator<Item = &'a [u8]> + Clone) -> Kind {
    if let Some(declared) = declared
        && (values.clone().next().is_none() || values.clone().any(|value| cell(declared, value).is_ok()))
    {
        return declared.clone();
    }
    let has = |wanted: u8| values.clone().any(|value| value[0] == wanted);
    match (has(INTEGER), has(REAL), has(TEXT), has(BLOB)) {
        (_, _, false, true) if !has(INTEGER) && !has(REAL) => Kind::Binary,
        (true, false, false, false) => Kind::Int64,
        (_, true, false, false) if values.clone().all(|value| cell(&Kind::Float64, value).is_ok()) => Kind::Float64,
        _ => Kind::Text,
    }
}

/// Sends the rows of a query; one statement sees one state of the file.
pub(super) async fn rows(connection: &mut SqliteConnection, sql: &str, binds: Vec<Bind>, fill: &mut Fill) -> sqlx::Result<()> {
    let mut query = sqlx::query(AssertSqlSafe(sql.to_owned())).persistent(false);
    for bind in binds {
        query = match bind {
            Bind::Null => query.bind(None::<String>),
            Bind::Bool(value) => query.bind(i64::from(value)),
            Bind::Int(value) => query.bind(value),
            Bind::UInt(value) => query.bind(value.to_string()),
            Bind::Float(value) => query.bind(value),
            Bind::Text(value) => query.bind(value),
        };
    }
    fill.rows(query.fetch(connection), push).await
}

fn push(row: &SqliteRow, raw: &mut Raw) -> sqlx::Result<()> {
    for index in 0..row.len() {
        let value = row.try_get_raw(index)?;
        if value.is_null() {
            raw.push(|_| false);
            continue;
        }
        let kind = match value.type_info().name() {
            "INTEGER" => INTEGER,
            "REAL" => REAL,
            "TEXT" => TEXT,
            _ => BLOB,
        };
        let wrong = |source| sqlx::Error::ColumnDecode { index: index.to_string(), source };
        match kind {
            INTEGER => add(raw, kind, &<i64 as Decode<Sqlite>>::decode(value).map_err(wrong)?.to_le_bytes()),
            REAL => add(raw, kind, &<f64 as Decode<Sqlite>>::decode(value).map_err(wrong)?.to_le_bytes()),
            _ => add(raw, kind, <&[u8] as Decode<Sqlite>>::decode(value).map_err(wrong)?),
        }
    }
    Ok(())
}

fn add(raw: &mut Raw, kind: u8, bytes: &[u8]) {
    raw.push(|out| {
        out.push(kind);
        out.extend_from_slice(bytes);
        true
    });
}

/// A value as SQLite has it.
pub(super) enum Stored<'a> {
    Integer(i64),
    Real(f64),
    Text(Cow<'a, str>),
    Blob(&'a [u8]),
}

impl<'a> Stored<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        let rest = &bytes[1..];
        let number = || rest.try_into().unwrap_or_default();
        match bytes[0] {
            INTEGER => Self::Integer(i64::from_le_bytes(number())),
            REAL => Self::Real(f64::from_le_bytes(number())),
            TEXT => match simdutf8::basic::from_utf8(rest) {
                Ok(text) => Self::Text(Cow::Borrowed(text)),
                Err(_) => Self::Blob(rest),
            },
            _ => Self::Blob(rest),
        }
    }

    fn text(&self) -> Option<Cow<'a, str>> {
        Some(match self {
            Self::Integer(value) => value.to_string().into(),
            Self::Real(value) => format!("{value:?}").into(),
            Self::Text(text) => text.clone(),
            Self::Blob(_) => return None,
        })
    }
}

/// Reads a value as what its column holds.
pub(super) fn cell<'a>(kind: &Kind, bytes: &'a [u8]) -> Result<Cell<'a>, Misfit> {
    let stored = Stored::of(bytes);
    let cell = match (kind, &stored) {
        (Kind::Bool, Stored::Integer(value @ (0 | 1))) => Some(Cell::Bool(*value == 1)),
        (Kind::Bool, Stored::Text(text)) => scalar::pinned_bool(text).map(Cell::Bool),
        (Kind::Int64, Stored::Integer(value)) => Some(Cell::Int(*value)),
        (Kind::Float64, Stored::Real(value)) => Some(Cell::Float(*value)),
        // Beyond this a float holds no longer every whole number.
        (Kind::Float64, Stored::Integer(value)) if value.unsigned_abs() <= 1 << 53 => Some(Cell::Float(*value as f64)),
        (Kind::Decimal(precision, scale), _) => {
            let value = stored.text().and_then(|text| scalar::decimal(text.strip_suffix(".0").unwrap_or(&text), *precision, *scale));
            value.map(|value| Cell::Decimal(value, *scale))
        }
        (Kind::Text | Kind::Uuid, _) => stored.text().map(Cell::Text),
        (Kind::Binary, Stored::Blob(bytes)) => Some(Cell::Bytes(bytes)),
        (Kind::Binary, Stored::Text(_)) => Some(Cell::Bytes(&bytes[1..])),
        (Kind::Date, Stored::Text(text)) => scalar::date(text).map(Cell::Date),
        (Kind::Timestamp, Stored::Text(text)) => scalar::timestamp(text, None).map(Cell::Timestamp),
        _ => None,
    };
    cell.ok_or_else(|| match stored {
        Stored::Blob(bytes) => Misfit::new(format!("x'{}'", hex(&bytes[..bytes.len().min(64)]))),
        other => Misfit::new(other.text().unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(value: i64) -> Vec<u8> {
        [&[INTEGER][..], &value.to_le_bytes()].concat()
    }

    fn real(value: f64) -> Vec<u8> {
        [&[REAL][..], &value.to_le_bytes()].concat()
    }

    fn text(value: &str) -> Vec<u8> {
        [&[TEXT][..], value.as_bytes()].concat()
    }

    #[test]
    fn declared_types_are_read_as_sqlite_reads_them() {
        for (declared, kind) in [
            ("INTEGER", Some(Kind::Int64)),
            ("unsigned big int", Some(Kind::Int64)),
            ("VARCHAR(20)", Some(Kind::Text)),
            ("double precision", Some(Kind::Float64)),
            ("DECIMAL(10, 2)", Some(Kind::Decimal(10, 2))),
            ("NUMERIC(5)", Some(Kind::Decimal(5, 0))),
            ("DECIMAL(99,2)", None),
            ("NUMERIC", None),
            ("", None),
            ("timestamp", Some(Kind::Timestamp)),
            ("BLOB", Some(Kind::Binary)),
        ] {
            assert_eq!(kind_of(declared), kind, "{declared}");
        }
    }

    #[test]
    fn a_value_that_its_column_does_not_hold_is_told_apart() {
        assert_eq!(cell(&Kind::Int64, &text("abc")), Err(Misfit::new("abc")));
        assert_eq!(cell(&Kind::Int64, &real(1.5)), Err(Misfit::new("1.5")));
        assert_eq!(cell(&Kind::Decimal(10, 2), &real(12.5)), Ok(Cell::Decimal(1250, 2)));
        assert_eq!(cell(&Kind::Decimal(10, 2), &integer(7)), Ok(Cell::Decimal(700, 2)));
        assert_eq!(cell(&Kind::Decimal(10, 2), &real(0.125)), Err(Misfit::new("0.125")));
        assert_eq!(cell(&Kind::Float64, &integer(1 << 60)), Err(Misfit::new((1i64 << 60).to_string())));
        assert_eq!(cell(&Kind::Text, &integer(5)), Ok(Cell::Text("5".into())));
        assert_eq!(cell(&Kind::Text, &[BLOB, 0xFF]), Err(Misfit::new("x'ff'")));
        assert_eq!(cell(&Kind::Date, &text("2024-02-29")), Ok(Cell::Date(19_782)));
    }

    #[test]
    fn columns_without_a_type_are_what_their_values_are() {
        let kind = |declared: Option<Kind>, values: &[Vec<u8>]| inferred(declared.as_ref(), values.iter().map(Vec::as_slice));
        assert_eq!(kind(None, &[integer(1), integer(2)]), Kind::Int64);
        assert_eq!(kind(None, &[integer(1), real(2.5)]), Kind::Float64);
        assert_eq!(kind(None, &[integer(1 << 60), real(2.5)]), Kind::Text);
        assert_eq!(kind(None, &[text("a"), real(2.5)]), Kind::Text);
        assert_eq!(kind(None, &[vec![BLOB]]), Kind::Binary);
        assert_eq!(kind(None, &[]), Kind::Text);
        assert_eq!(kind(Some(Kind::Timestamp), &[integer(1_700_000_000)]), Kind::Int64);
        assert_eq!(kind(Some(Kind::Timestamp), &[text("2024-01-01 10:00:00"), text("soon")]), Kind::Timestamp);
        assert_eq!(kind(Some(Kind::Timestamp), &[]), Kind::Timestamp);
    }
}
