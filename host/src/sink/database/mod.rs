//! Rows in a table of a database.
//!
//! One run is one transaction: nothing of it is seen before the commit. Of a run that keeps checkpoints the rows up to a checkpoint and a
//! token that names it are committed together ([`tokens`]), so that whoever goes on knows which rows are there.
//!
//! A row that the database refuses is found and answered; the others load.

mod columns;
mod drops;
mod encode;
mod fit;
mod load;
mod merge;
mod mysql;
mod narrow;
mod nested;
#[cfg(feature = "odbc")]
mod odbc;
mod postgres;
mod publish;
mod said;
mod session;
mod sqlite;
mod target;
mod tokens;
mod values;

pub use encode::Chunk;
pub(super) use load::{Rehearsal, TableSink};
pub use tokens::TableMark;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use self::columns::{Column, Table, quoted};
use self::fit::Fit;
use self::said::{Said, Why};
use self::target::Doing;
use crate::config::database::{DatabaseSink, Dialect, WriteMethod};
use crate::error::{Error, Result};

/// A connection to a database, in the words that all of them share.
trait Backend: Send {
    /// The columns of a table in their order; none where there is no such table.
    fn columns(&mut self, table: &Table) -> Result<Vec<Column>, Said>;

    /// What kind of relation a table is.
    fn relation(&mut self, _table: &Table) -> Result<Relation, Said> {
        Ok(Relation::Table)
    }

    /// The columns of each unique index that settles conflicts.
    fn unique_keys(&mut self, table: &Table) -> Result<Vec<Vec<String>>, Said>;

    /// Runs SQL; answers the rows that it changed.
    fn execute(&mut self, sql: &str) -> Result<u64, Said>;

    /// Runs SQL; answers its rows as texts.
    fn texts(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Said>;

    /// Is told that columns of the table are others now.
    fn changed(&mut self) {}

    /// Writes a chunk within the transaction, and finds the rows that are refused.
    fn write(&mut self, shape: &Shape, chunk: &Chunk) -> Result<Written, Said>;
}

/// What goes by the name of a table, where that matters for how rows get into it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Relation {
    #[default]
    Table,
    /// One of PostgreSQL, whose rows tell nobody which of them are new.
    Partitioned,
    /// One of PostgreSQL, which rows cannot be copied into.
    View,
}

/// What is written, and how.
#[derive(Clone, Debug)]
struct Shape {
    table: Table,
    relation: Relation,
    /// Names of the columns that are written, in the order in which rows have them.
    columns: Vec<String>,
    /// Names of the table's other columns.
    left_out: Vec<String>,
    key: Vec<String>,
    /// Names of the columns that are changed where a key is there.
    update: Vec<String>,
    method: WriteMethod,
    /// Whether there are unique indexes beside that of the key.
    others_unique: bool,
    /// Whether a unique index settles which rows are the same, where that was asked for.
    settled: bool,
    /// How rows were made to fit.
    fit: Fit,
}

impl Shape {
    fn columns_sql(&self) -> String {
        quoted(self.table.dialect, &self.columns)
    }

    /// Whether rows are added, whatever rows are there.
    fn adds(&self) -> bool {
        matches!(self.method, WriteMethod::Insert | WriteMethod::TruncateAndLoad)
    }

    /// Whether PostgreSQL gets rows by way of a temporary table.
    fn is_staged(&self) -> bool {
        !self.adds() || self.relation == Relation::View
    }
}

/// What came of a chunk.
struct Written {
    counts: Counts,
    /// The rows that are refused, by their place in the chunk.
    refused: Vec<(usize, Said)>,
}

/// Rows of the table that were changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counts {
    pub(super) inserted: u64,
    pub(super) updated: u64,
    pub(super) deleted: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        let Self { inserted, updated, deleted } = other;
        self.inserted += inserted;
        self.updated += updated;
        self.deleted += deleted;
    }
}

/// Whether the run was told to stop while a database let it wait.
type Stopped = Arc<AtomicBool>;

/// What is said then.
fn stopped_waiting() -> Said {
    Said::new(Why::Stopped, "stopped while the database let us wait")
}

/// Connects; a database in a file is made only where it is to be written.
fn connect(sink: &DatabaseSink, root: &Path, doing: Doing, stopped: &Stopped) -> Result<Box<dyn Backend>> {
    let (connection, tunnel) = (&sink.connection_string, sink.ssh_tunnel.as_ref());
    Ok(match connection.dialect {
        Dialect::Postgres => Box::new(postgres::Postgres::connect(connection, tunnel, root, stopped)?),
        Dialect::Mysql => Box::new(mysql::Mysql::connect(connection, tunnel, root, stopped)?),
        Dialect::Sqlite if doing == Doing::Rehearse => Box::new(sqlite::File::look_at(connection, root)?),
        Dialect::Sqlite => Box::new(sqlite::File::open(connection, root, stopped)?),
        #[cfg(feature = "odbc")]
        Dialect::Mssql | Dialect::Oracle => Box::new(odbc::Odbc::connect(connection, tunnel, root)?),
        #[cfg(not(feature = "odbc"))]
        Dialect::Mssql | Dialect::Oracle => {
            connection.check_reached()?;
            return Err(Error::bug("ODBC is not built in, but was asked for"));
        }
    })
}

/// Checks what needs no connection.
///
/// # Errors
/// Config.
pub(super) fn check(sink: &DatabaseSink) -> Result<()> {
    let method = sink.method();
    if sink.connection_string.dialect == Dialect::Sqlite {
        sqlite::check(&sink.connection_string)?;
    }
    sink.connection_string.check_reached()?;
    if sink.connection_string.dialect.is_odbc() && !sink.merge.is_empty() {
        return Err(Error::config("`merge` is not there for Microsoft SQL Server and Oracle, whose SQL for it nobody has tried yet")
            .hint("write it as SQL under `publish`, which runs after the rows are committed"));
    }
    if let Some(merge) = sink.merge.iter().find(|merge| merge.key.is_empty()) {
        return Err(
            Error::config(format!("`merge` into `{}` has an empty `key`", merge.into)).hint("name the columns that tell its rows apart")
        );
    }
    publish::check(sink)?;
    if sink.write_method.is_none() && sink.primary_key.0.is_empty() && !sink.unique_constraints.0.is_empty() {
        return Err(Error::config(
            "`unique_constraints` is given, but neither `primary_key` nor `write_method`, so that rows would only be added",
        )
        .hint("write `write_method: upsert` to change the rows that are there, or `insert` to add them"));
    }
    if sink.update_columns.is_some() && !matches!(method, WriteMethod::Upsert | WriteMethod::Update) {
        return Err(Error::config(format!("`update_columns` is given, but `write_method: {}` changes no columns", method.name()))
            .hint("leave it out, or write `write_method: upsert` or `update`"));
    }
    if let Some(schema) = &sink.schema_name
        && sink.table.strip_prefix(schema.as_str()).is_some_and(|rest| rest.starts_with('.'))
    {
        return Err(Error::config(format!("`schema_name` is `{schema}`, and `table` says so once more: `{}`", sink.table))
            .hint("leave one of the two out"));
    }
    if sink.key().is_empty() && matches!(method, WriteMethod::Upsert | WriteMethod::Replace | WriteMethod::Update | WriteMethod::Delete) {
        return Err(Error::config(format!(
            "`write_method: {}` needs to know which rows are the same, but there is no `primary_key`",
            method.name()
        ))
        .hint("name the columns that tell rows apart: `primary_key: [id]`"));
    }
    Ok(())
}
