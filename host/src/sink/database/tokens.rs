//! Tokens: what a transaction leaves beside its rows, so that whoever comes next can tell up to where they are there.
//!
//! They stand in a table `etl_host_tokens` of the target's schema, a row a run, made where it is missing and only for runs that keep
//! checkpoints or replay dead letters. A run that is over takes its own away.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::columns::{Table, quote};
use super::said::{Said, Why};
use super::target::{Doing, text};
use super::{Backend, Counts, connect};
use crate::config::database::{DatabaseSink, Dialect};
use crate::error::{Error, Result};

/// The table.
const NAME: &str = "etl_host_tokens";

/// The checkpoint of a run that shall never come to its end.
const BARRED: i64 = -1;

/// The tokens beside a table.
#[derive(Clone, Debug)]
pub(super) struct Tokens(Table);

/// What a token says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Token {
    /// The number of the checkpoint up to which rows are there.
    pub(super) checkpoint: i64,
    /// Whether the run is committed.
    pub(super) done: bool,
    /// Rows of the run up to there.
    pub(super) rows: u64,
    pub(super) counts: Counts,
}

impl Tokens {
    /// Those beside the table of a sink.
    pub(super) fn of(sink: &DatabaseSink) -> Self {
        Self(Table::new(sink.connection_string.dialect, sink.schema_name.as_deref(), &sink.table).beside(NAME))
    }

    /// Makes the table where it is missing; outside of any transaction.
    pub(super) fn create(&self, backend: &mut dyn Backend) -> Result<()> {
        let failed = |said: Said| said.error(format!("cannot create `{}`, which tells after a crash which rows are there", self.0.shown()));
        if self.is_there(backend)? {
            return Ok(());
        }
        let big = if self.0.dialect == Dialect::Oracle { "number(19) NOT NULL" } else { "bigint NOT NULL" };
        let sql = format!(
            "CREATE TABLE {} ({} varchar(100) NOT NULL PRIMARY KEY, {} {big}, done smallint NOT NULL, loaded {big}, inserted {big}, \
             updated {big}, deleted {big})",
            self.0.sql(),
            self.quote("run_id"),
            self.quote("checkpoint"),
        );
        match backend.execute(&sql) {
            Ok(_) => Ok(()),
            // Another run may have done it in this moment.
            Err(said) => {
                if self.is_there(backend)? {
                    Ok(())
                } else {
                    Err(failed(said))
                }
            }
        }
    }

    fn is_there(&self, backend: &mut dyn Backend) -> Result<bool> {
        let columns = backend.columns(&self.0).map_err(|said| said.error(format!("cannot look for `{}`", self.0.shown())))?;
        Ok(!columns.is_empty())
    }

    fn quote(&self, name: &str) -> String {
        quote(self.0.dialect, name)
    }

    /// The token of a run.
    pub(super) fn find(&self, backend: &mut dyn Backend, run_id: &str) -> Result<Option<Token>> {
        if !self.is_there(backend)? {
            return Ok(None);
        }
        let sql = format!(
            "SELECT {}, done, loaded, inserted, updated, deleted FROM {} WHERE {} = {}",
            self.quote("checkpoint"),
            self.0.sql(),
            self.quote("run_id"),
            text(&self.0, run_id)
        );
        let rows = backend.texts(&sql).map_err(|said| said.error(format!("cannot read `{}`", self.0.shown())))?;
        let token = |row: &Vec<Option<String>>| {
            let number = |index: usize| row[index].as_ref().and_then(|text| text.parse::<i64>().ok()).unwrap_or_default();
            let count = |index: usize| number(index).unsigned_abs();
            Token {
                checkpoint: number(0),
                done: number(1) == 1,
                rows: count(2),
                counts: Counts { inserted: count(3), updated: count(4), deleted: count(5) },
            }
        };
        Ok(rows.first().map(token))
    }

    /// Writes the token of a run, within the transaction of its rows.
    pub(super) fn put(&self, backend: &mut dyn Backend, run_id: &str, token: Token) -> Result<()> {
        let Token { checkpoint, done, rows, counts: Counts { inserted, updated, deleted } } = token;
        let (table, id, number, done) = (self.0.sql(), text(&self.0, run_id), self.quote("checkpoint"), u8::from(done));
        let run = self.quote("run_id");
        let update = format!(
            "UPDATE {table} SET {number} = {checkpoint}, done = {done}, loaded = {rows}, inserted = {inserted}, updated = {updated}, \
             deleted = {deleted} WHERE {run} = {id} AND {number} <> {BARRED}"
        );
        let failed = |said: Said| said.error(format!("cannot write to `{}`", self.0.shown()));
        if backend.execute(&update).map_err(failed)? > 0 {
            return Ok(());
        }
        let insert = format!(
            "INSERT INTO {table} ({run}, {number}, done, loaded, inserted, updated, deleted) \
             VALUES ({id}, {checkpoint}, {done}, {rows}, {inserted}, {updated}, {deleted})"
        );
        backend.execute(&insert).map(drop).map_err(|said| match said.why {
            Why::Row("unique_violation") => Error::outside("somebody else has settled meanwhile that this run never ends"),
            _ => failed(said),
        })
    }

    /// Takes the token of a run away.
    pub(super) fn remove(&self, backend: &mut dyn Backend, run_id: &str) -> Result<()> {
        if !self.is_there(backend)? {
            return Ok(());
        }
        let sql = format!("DELETE FROM {} WHERE {} = {}", self.0.sql(), self.quote("run_id"), text(&self.0, run_id));
        backend.execute(&sql).map(drop).map_err(|said| said.error(format!("cannot write to `{}`", self.0.shown())))
    }

    /// Sees to it that a run without a token never gets one; answers whether it is committed.
    pub(super) fn bar(&self, backend: &mut dyn Backend, run_id: &str) -> Result<bool> {
        self.create(backend)?;
        let (table, id) = (self.0.sql(), text(&self.0, run_id));
        let columns = format!("{}, {}, done, loaded, inserted, updated, deleted", self.quote("run_id"), self.quote("checkpoint"));
        let values = format!("{id}, {BARRED}, 0, 0, 0, 0, 0");
        let sql = match self.0.dialect {
            Dialect::Mysql => format!("INSERT IGNORE INTO {table} ({columns}) VALUES ({values})"),
            Dialect::Mssql | Dialect::Oracle => format!("INSERT INTO {table} ({columns}) VALUES ({values})"),
            _ => format!("INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT DO NOTHING"),
        };
        // It waits for a transaction that is about to write the same.
        match backend.execute(&sql) {
            // One that is there stays as it is.
            Err(said) if said.why == Why::Row("unique_violation") && self.0.dialect.is_odbc() => {}
            written => drop(written.map_err(|said| said.error(format!("cannot write to `{}`", self.0.shown())))?),
        }
        Ok(self.find(backend, run_id)?.is_some_and(|token| token.done))
    }
}

/// A token as a mark: plain data without secrets, to be kept by whoever will ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableMark {
    /// The database, without a password.
    database: String,
    /// The table whose schema the tokens are in.
    table: String,
    /// The run.
    pub(super) token: String,
}

impl TableMark {
    pub(in crate::sink) fn new(sink: &DatabaseSink, token: &str) -> Self {
        Self { database: sink.connection_string.to_string(), table: sink.table_title(), token: token.to_owned() }
    }

    /// Whether the commit was done; one that was not can never be done later.
    pub(in crate::sink) fn is_done(&self, sink: &DatabaseSink, root: &Path) -> Result<bool> {
        self.check(sink)?;
        Tokens::of(sink).bar(connect(sink, root, Doing::Load)?.as_mut(), &self.token)
    }

    pub(in crate::sink) fn remove(&self, sink: &DatabaseSink, root: &Path) -> Result<()> {
        self.check(sink)?;
        Tokens::of(sink).remove(connect(sink, root, Doing::Load)?.as_mut(), &self.token)
    }

    fn check(&self, sink: &DatabaseSink) -> Result<()> {
        if *self == Self::new(sink, &self.token) { Ok(()) } else { Err(self.moved()) }
    }

    /// Says that load.yaml names another place than this one.
    pub(in crate::sink) fn moved(&self) -> Error {
        let Self { database, table, token: _ } = self;
        Error::config(format!("a load into table `{table}` of `{database}` is not settled, but load.yaml names another place now"))
            .hint("put load.yaml back as it was and replay once more, so that it is known which letters arrived")
    }
}
