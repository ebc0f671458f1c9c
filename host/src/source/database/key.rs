//! The column that rows are ordered by, so that another read finds the place where this one ended.
//!
//! Rows may share a value of it: a place says, beside the value, which of the rows with that value were read, by their digests. A read that goes
//! on there asks for the rows from that value on and leaves out those. So it matters neither how the database orders them nor whether others came in between.
//! Where no two rows shared a value so far, a row with that value is the one that was read, though it may have changed since.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::kind::{Cell, Kind};
use super::raw::Raw;
use super::statement::{Bind, Described, placeholder};
use super::{read_cell, sqlite};
use crate::batch::Position;
use crate::config::database::Dialect;
use crate::error::{Error, Result};
use crate::moment::with_era;

/// Rows with one value that a place tells apart at most.
const MOST: usize = 10_000;

/// A column that rows are compared by.
#[derive(Clone, Debug)]
pub(super) struct KeyColumn {
    /// Its index.
    pub(super) index: usize,
    pub(super) kind: Kind,
    /// Its type in the database's own words, where those matter.
    declared: Option<String>,
}

/// The column that rows are ordered by.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) column: KeyColumn,
}

/// What rows are taken.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) column: KeyColumn,
    /// From which value on; absent = those that have none.
    pub(super) from: Option<Value>,
    /// Whether those are taken too that have none.
    pub(super) or_null: bool,
}

/// A place in the rows of a query.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    /// The key of the last row; null where it has none.
    pub(super) key: Value,
    /// Digests of the rows with this key that were read.
    pub(super) rows: Vec<String>,
    /// Whether no two rows share a value, as far as was read.
    #[serde(default)]
    pub(super) distinct: bool,
}

impl KeyColumn {
    /// Takes a column, where the database orders its values in a way that we can go by.
    pub(super) fn of(dialect: Dialect, index: usize, column: &Described) -> Option<Self> {
        let kind = column.kind.clone().filter(|_| column.cast.is_none())?;
        let is_ordered = match &kind {
            Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 | Kind::UInt8 | Kind::UInt16 | Kind::UInt32 | Kind::UInt64 => true,
            // SQLite keeps them as binary fractions.
            Kind::Decimal(..) => dialect != Dialect::Sqlite,
            // SQL Server takes texts for equal that differ in blanks at their end, Oracle orders them by the session's language.
            Kind::Text if dialect.is_odbc() => false,
            Kind::Timestamp if dialect == Dialect::Mssql => column.declared.as_deref().is_some_and(is_time_of_mssql),
            Kind::Date | Kind::Timestamp | Kind::Instant | Kind::Uuid => true,
            Kind::Text => column.is_text,
            _ => false,
        };
        is_ordered.then(|| Self { index, kind, declared: column.declared.clone() })
    }

    /// Whether what it is read as and what the database compares are the same: SQLite keeps days and times as texts of any form.
    pub(super) fn is_stored_as_read(&self, dialect: Dialect) -> bool {
        dialect != Dialect::Sqlite || matches!(self.kind, Kind::Int64 | Kind::Text)
    }

    /// The column in the form in which it is compared: texts by their bytes, since two that differ may be equal in a language's own order.
    pub(super) fn order(&self, dialect: Dialect) -> String {
        let name = format!("c{}", self.index + 1);
        match (dialect, &self.kind) {
            (Dialect::Postgres, Kind::Text) => format!("{name} COLLATE \"C\""),
            (Dialect::Mysql, Kind::Text | Kind::Uuid) => format!("CAST(CONVERT({name} USING utf8mb4) AS BINARY)"),
            (Dialect::Sqlite, _) => format!("{name} COLLATE BINARY"),
            _ => name,
        }
    }

    /// The column as rows are ordered by it.
    pub(super) fn order_by(&self, dialect: Dialect) -> String {
        let order = self.order(dialect);
        match dialect {
            // Where a column is never null the server knows it, and the index still serves.
            Dialect::Mssql => format!("CASE WHEN {order} IS NULL THEN 0 ELSE 1 END, {order}"),
            Dialect::Oracle => format!("{order} NULLS FIRST"),
            _ => order,
        }
    }

    /// How a value of it is asked for.
    fn value(&self, dialect: Dialect, index: usize) -> String {
        let cast = match (dialect, &self.kind) {
            (Dialect::Postgres, Kind::Decimal(..)) => "numeric",
            (Dialect::Postgres, Kind::Date) => "date",
            (Dialect::Postgres, Kind::Timestamp) => "timestamp",
            (Dialect::Postgres, Kind::Instant) => "timestamptz",
            (Dialect::Postgres, Kind::Uuid) => "uuid",
            (Dialect::Postgres, Kind::Text) => "text",
            (Dialect::Postgres, Kind::UInt32) => "oid",
            (Dialect::Postgres, _) => "bigint",
            (Dialect::Mysql, Kind::Decimal(precision, scale)) => return format!("CAST(? AS DECIMAL({precision},{scale}))"),
            (Dialect::Mysql, Kind::Date) => return "CAST(? AS DATE)".into(),
            (Dialect::Mysql, Kind::Timestamp | Kind::Instant) => return "CAST(? AS DATETIME(6))".into(),
            (Dialect::Mysql, Kind::Text | Kind::Uuid) => return "CAST(? AS BINARY)".into(),
            (Dialect::Mssql | Dialect::Oracle, Kind::Decimal(precision, scale)) => {
                return format!("CAST(? AS DECIMAL({precision},{scale}))");
            }
            (Dialect::Mssql, Kind::Date) => return "CAST(? AS date)".into(),
            // What a `datetime` shows is rounded: only another `datetime` is the same.
            (Dialect::Mssql, Kind::Timestamp) => {
                return match self.declared.as_deref().unwrap_or_default() {
                    rounded @ ("datetime" | "smalldatetime") => format!("CAST(CAST(? AS datetime2(3)) AS {rounded})"),
                    exact => format!("CAST(? AS {exact})"),
                };
            }
            (Dialect::Mssql, Kind::Instant) => return "CAST(? AS datetimeoffset)".into(),
            (Dialect::Mssql, Kind::Uuid) => return "CAST(? AS uniqueidentifier)".into(),
            (Dialect::Oracle, Kind::Date) => return "TO_DATE(?, 'YYYY-MM-DD')".into(),
            (Dialect::Oracle, Kind::Timestamp) => return "TO_TIMESTAMP(?, 'YYYY-MM-DD\"T\"HH24:MI:SS.FF6')".into(),
            (Dialect::Oracle, Kind::Instant) => return "TO_TIMESTAMP_TZ(?, 'YYYY-MM-DD\"T\"HH24:MI:SS.FF6TZH:TZM')".into(),
            _ => return "?".into(),
        };
        placeholder(dialect, index, Some(cast))
    }
}

/// Whether a type of SQL Server is a time that a text is read as exactly.
fn is_time_of_mssql(name: &str) -> bool {
    ["datetime", "datetime2", "smalldatetime", "timestamp", "timestamp without time zone"].contains(&name)
}

impl Condition {
    /// The condition as SQL, and its value; `values` come before it.
    pub(super) fn sql(&self, dialect: Dialect, values: usize) -> (String, Option<Bind>) {
        let name = format!("c{}", self.column.index + 1);
        let Some(from) = &self.from else { return (format!("{name} IS NULL"), None) };
        let bind = match (dialect, Bind::from(from)) {
            // The session's zone is UTC.
            (Dialect::Mysql, Bind::Text(text)) if self.column.kind == Kind::Instant => Bind::Text(text.trim_end_matches('Z').to_owned()),
            (Dialect::Oracle, Bind::Text(text)) if matches!(self.column.kind, Kind::Timestamp | Kind::Instant) => {
                let plain = text.trim_end_matches('Z');
                let fraction = if plain.contains('.') { "" } else { ".000000" };
                let zone = if self.column.kind == Kind::Instant { "+00:00" } else { "" };
                Bind::Text(format!("{plain}{fraction}{zone}"))
            }
            (_, bind) => bind,
        };
        let above = format!("{} >= {}", self.column.order(dialect), self.column.value(dialect, values));
        let text = if self.or_null { format!("({above} OR {name} IS NULL)") } else { above };
        (text, Some(bind))
    }
}

impl Key {
    /// The rows that come behind a place, in the order in which the database has them: PostgreSQL has those without a key last, others first.
    pub(super) fn behind(&self, dialect: Dialect, place: &Place) -> Option<Condition> {
        let nulls_last = dialect == Dialect::Postgres;
        let from = Some(place.key.clone()).filter(|key| !key.is_null());
        (from.is_some() || nulls_last).then(|| Condition { column: self.column.clone(), from, or_null: nulls_last })
    }

    /// The key of a row as a place keeps it; null where it has none, nothing where it cannot be asked for.
    fn value(&self, dialect: Dialect, cell: Option<&[u8]>) -> Option<Value> {
        let Some(cell) = cell else { return Some(Value::Null) };
        if dialect == Dialect::Sqlite {
            return match sqlite::Stored::of(cell) {
                sqlite::Stored::Integer(value) => Some(value.into()),
                sqlite::Stored::Text(text) => Some(text.into_owned().into()),
                _ => None,
            };
        }
        match read_cell(dialect, &self.column.kind, cell) {
            Ok(Cell::Int(value)) => Some(value.into()),
            Ok(Cell::UInt(value)) => Some(value.into()),
            Ok(cell @ (Cell::Date(_) | Cell::Timestamp(_) | Cell::Instant(_))) if dialect == Dialect::Postgres => {
                let mut text = cell.text().into_bytes();
                with_era(&mut text, 0);
                Some(String::from_utf8_lossy(&text).into())
            }
            Ok(cell) => Some(cell.text().into()),
            // `infinity`, which PostgreSQL reads.
            Err(misfit) => (dialect == Dialect::Postgres).then(|| misfit.value.into()),
        }
    }
}

/// Follows the key from row to row.
#[derive(Debug)]
pub(super) struct Follower {
    key: Key,
    dialect: Dialect,
    /// The key of the last row.
    last: Option<Option<Vec<u8>>>,
    /// Digests of earlier chunks' rows that share it.
    earlier: Vec<String>,
    /// The first row of this chunk that has it.
    since: usize,
    /// Whether so many rows share it that they are not told apart.
    many: bool,
    /// Whether a value came that cannot be asked for.
    lost: bool,
    /// The rows that are done, of those with the key at which this read started.
    done: Option<(Value, HashMap<String, u32>)>,
    /// Whether no two rows share a value, as far as was read.
    distinct: bool,
}

impl Follower {
    /// Starts at a place.
    pub(super) fn new(key: Key, dialect: Dialect, from: Option<Place>) -> Self {
        let earlier = from.as_ref().map_or_else(Vec::new, |from| from.rows.clone());
        // What is changed gets another time, which another row may have had, too.
        let is_time = matches!(key.column.kind, Kind::Date | Kind::Timestamp | Kind::Instant);
        let distinct = from.as_ref().map_or(!is_time, |from| from.distinct);
        let done = from.map(|Place { key, rows, .. }| {
            let mut counts = HashMap::new();
            rows.into_iter().for_each(|row| *counts.entry(row).or_default() += 1);
            (key, counts)
        });
        Self { key, dialect, last: None, earlier, since: 0, many: false, lost: false, done, distinct }
    }

    /// Looks at the last row of a chunk; false where it is done and to be left out.
    pub(super) fn take(&mut self, raw: &Raw) -> bool {
        let row = raw.rows() - 1;
        let cell = raw.cell(row, self.key.column.index);
        if let Some((first, counts)) = &mut self.done {
            match self.key.value(self.dialect, cell) {
                Some(value) if value == *first => {
                    self.last.get_or_insert_with(|| cell.map(<[u8]>::to_vec));
                    if let Some(count) = counts.get_mut(&digest(raw, row)).filter(|count| **count > 0) {
                        *count -= 1;
                        return false;
                    }
                    // There is one row with this key, and it is not what it was.
                    if self.distinct && counts.drain().any(|(_, count)| count > 0) {
                        return false;
                    }
                }
                _ => self.done = None,
            }
        }
        if self.last.as_ref().is_none_or(|last| last.as_deref() != cell) {
            self.last = Some(cell.map(<[u8]>::to_vec));
            self.earlier.clear();
            (self.since, self.many) = (row, false);
            // SQLite has numbers that are equal and not the same.
            if !self.lost && self.key.value(self.dialect, cell).is_none() {
                tracing::warn!("the query is not gone on with from here on: a value of its `cursor_field` cannot be asked for");
                self.lost = true;
            }
        } else {
            self.distinct = false;
        }
        true
    }

    /// The place behind the last row of a chunk, as a position keeps it; rows after it belong to another chunk.
    pub(super) fn place(&mut self, raw: &Raw) -> Result<String> {
        let rows = raw.rows();
        let since = std::mem::take(&mut self.since).min(rows);
        if self.earlier.len() + (rows - since) > MOST {
            self.many = true;
            self.earlier.clear();
        }
        if self.many {
            return Ok(Position::NOWHERE.into());
        }
        self.earlier.extend((since..rows).map(|row| digest(raw, row)));
        let key = match &self.last {
            Some(cell) => self.key.value(self.dialect, cell.as_deref()),
            None => return Ok(Position::NOWHERE.into()),
        };
        let Some(key) = key.filter(|_| !self.lost) else { return Ok(Position::NOWHERE.into()) };
        serde_json::to_string(&Place { key, rows: self.earlier.clone(), distinct: self.distinct })
            .map_err(|error| Error::bug("a place as JSON").because(error))
    }
}

/// The start of a row's SHA-256.
fn digest(raw: &Raw, row: usize) -> String {
    let mut digest = Sha256::new();
    for column in 0..raw.width() {
        match raw.cell(row, column) {
            Some(cell) => {
                digest.update((cell.len() as u64).to_le_bytes());
                digest.update(cell);
            }
            None => digest.update([0xFF; 8]),
        }
    }
    digest.finalize()[..12].iter().map(|byte| format!("{byte:02x}")).collect()
}
