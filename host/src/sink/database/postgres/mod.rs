//! PostgreSQL: chunks go by COPY into the table, or into a temporary one from which statements merge them.

mod upsert;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use sqlx::postgres::{PgConnection, PgDatabaseError};
use sqlx::{AssertSqlSafe, Executor, Row, raw_sql};

use super::columns::{Column, Holds, Table, literal, quote, quoted};
use super::drops::Drops;
use super::encode::Chunk;
use super::narrow::{narrow, once_more};
use super::said::{Said, Why, by_sqlstate, is_of_users};
use super::{Backend, Counts, Relation, Shape, Stopped, Written, stopped_waiting};
use crate::config::database::{Connection, Dialect, SshTunnel, WriteMethod};
use crate::error::Result;
use crate::remote::Tunnel;
use crate::remote::database::{Connected, connect};
use crate::remote::{wait, wait_unless};

/// How every session is set up. Where its URL says nothing else, locks are waited for one minute and a statement may take as long as it takes.
const SETUP: &str = "SELECT set_config(name, value, false) FROM (VALUES ('lock_timeout', '60s'), ('statement_timeout', '0'), \
     ('idle_in_transaction_session_timeout', '0')) AS ours (name, value) JOIN pg_settings USING (name) WHERE source <> 'client'; \
     SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET client_min_messages = warning";

/// The temporary table, and the column that numbers its rows.
const STAGE: &str = "etl_host_stage";
const ROW: &str = "etl_host_row";

/// A connection.
pub(super) struct Postgres {
    connection: PgConnection,
    tunnel: Option<Tunnel>,
    stopped: Stopped,
    /// The temporary table, where it is there.
    stage: Option<Stage>,
    savepoint: Savepoint,
    /// What goes to the server in front of the next statement, and never fails: a message of its own would cost a way there and back.
    before: String,
    /// Whether rows are written, of which each that is refused has a letter.
    writes: bool,
}

/// A temporary table, and what is known of that which its rows go to.
#[derive(Clone, Copy, Debug)]
struct Stage {
    /// Whether UPDATE does to a row that is there what ON CONFLICT would do.
    updates_alike: bool,
    /// Whether most rows of the last chunk were there already.
    known: bool,
}

/// Where the transaction can go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Savepoint {
    Absent,
    /// Nothing was done since.
    Fresh,
    /// What was done since stays.
    Passed,
}

impl Postgres {
    pub(super) fn connect(connection: &Connection, tunnel: Option<&SshTunnel>, root: &Path, stopped: &Stopped) -> Result<Self> {
        let (connected, tunnel) = wait(connect(connection, tunnel, root))?;
        let Connected::Postgres(pg) = connected else { return Err(crate::error::Error::bug("another database answered")) };
        let mut backend = Self {
            connection: pg,
            tunnel,
            stopped: stopped.clone(),
            stage: None,
            savepoint: Savepoint::Absent,
            before: String::new(),
            writes: false,
        };
        backend.execute(SETUP).map_err(|said| said.error(format!("cannot set up the session with `{connection}`")))?;
        // Whoever waits for a lock and has gone is looked for; older servers do not know this.
        let _ = backend.execute("SET client_connection_check_interval = '2s'");
        Ok(backend)
    }

    /// Copies lines, all or nothing as far as the caller's savepoint goes; answers the rows that are there for them.
    fn copy(&mut self, into: &str, relation: &str, table: &str, lines: &[u8]) -> Result<u64, Said> {
        // COPY goes alone.
        if !self.before.is_empty() {
            self.execute("")?;
        }
        let connection = &mut self.connection;
        let copied = wait_unless(&self.stopped, async {
            let mut copy = connection.copy_in_raw(into).await?;
            for piece in lines.chunks(1 << 16) {
                copy.send(piece).await?;
            }
            copy.finish().await
        });
        let copied = copied.ok_or_else(stopped_waiting)?;
        copied.map_err(|error| {
            let row = told_row(&error, relation);
            let said = said(&error, true).through(self.tunnel.as_ref());
            // Whoever reads it knows the table, not the temporary one.
            let message = said.message.replace(&format!("\"{STAGE}\""), &format!("\"{table}\""));
            Said { row, message, ..said }
        })
    }

    /// Does something behind a savepoint, so that the transaction goes on where it fails.
    fn attempt<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Said>) -> Result<T, Said> {
        match std::mem::replace(&mut self.savepoint, Savepoint::Absent) {
            Savepoint::Absent => self.before += "SAVEPOINT etl_host; ",
            Savepoint::Fresh => {}
            Savepoint::Passed => self.before += "RELEASE SAVEPOINT etl_host; SAVEPOINT etl_host; ",
        }
        let done = work(self);
        match &done {
            Ok(_) => self.savepoint = Savepoint::Passed,
            Err(said) if matches!(said.why, Why::Row(_)) => {
                self.execute("ROLLBACK TO SAVEPOINT etl_host").map_err(|next| if next.why == Why::Lost { next } else { said.clone() })?;
                self.savepoint = Savepoint::Fresh;
            }
            // The transaction ends, and its savepoints with it.
            Err(_) => {}
        }
        done
    }

    fn stage(&mut self, shape: &Shape) -> Result<(), Said> {
        if self.stage.is_some() {
            self.before += &format!("TRUNCATE pg_temp.{STAGE}; ");
            return Ok(());
        }
        // What a check or a type refuses shows as the rows are copied, with the row's number.
        let mut sql = format!(
            "DROP TABLE IF EXISTS pg_temp.{STAGE}; CREATE TEMPORARY TABLE {STAGE} (LIKE {} INCLUDING CONSTRAINTS)",
            shape.table.sql()
        );
        for column in shape.left_out.iter() {
            sql += &format!("; ALTER TABLE pg_temp.{STAGE} DROP COLUMN {} CASCADE", quote(Dialect::Postgres, column));
        }
        sql += &format!("; ALTER TABLE pg_temp.{STAGE} ADD COLUMN {ROW} bigint");
        self.execute(&sql)?;
        self.stage = Some(Stage { updates_alike: self.updates_alike(&shape.table)?, known: false });
        Ok(())
    }

    fn insert(&mut self, shape: &Shape, chunk: &Chunk) -> Result<Written, Said> {
        let into = format!("COPY {} ({}) FROM STDIN", shape.table.sql(), shape.columns_sql());
        let mut inserted = 0;
        let mut attempt = |rows: Range<usize>| {
            // A trigger may leave a row out.
            inserted += self.attempt(|backend| backend.copy(&into, &shape.table.name, &shape.table.name, chunk.lines(rows)))?;
            Ok(())
        };
        let refused = once_more(narrow(chunk.rows, &mut attempt)?, &mut attempt)?;
        Ok(Written { counts: Counts { inserted, ..Counts::default() }, refused })
    }

    fn merge(&mut self, shape: &Shape, chunk: &Chunk) -> Result<Written, Said> {
        self.stage(shape)?;
        let into = format!("COPY pg_temp.{STAGE} ({}, {ROW}) FROM STDIN", shape.columns_sql());
        let mut refused = narrow(chunk.rows, &mut |rows| {
            self.attempt(|backend| backend.copy(&into, STAGE, &shape.table.name, chunk.lines(rows))).map(drop)
        })?;
        let not_staged: BTreeSet<usize> = refused.iter().map(|(row, _)| *row).collect();
        let mut counts = Counts::default();
        let mut attempt = |rows: Range<usize>| {
            let staged = rows.len() - not_staged.range(rows.clone()).count();
            let first = !chunk.repeats && self.updates_first(shape);
            let merged = self.attempt(|backend| match first {
                true => backend.update_then_insert(shape, rows.clone(), staged as u64),
                false => backend.merge_range(shape, rows.clone(), chunk.repeats),
            });
            // Keys that differ as texts may be equal to the database.
            let merged = match merged {
                Err(said) if said.why == REPEATED => self.attempt(|backend| backend.merge_range(shape, rows.clone(), true)),
                merged => merged,
            }?;
            counts.add(&merged);
            self.learn(&merged);
            Ok(())
        };
        let later = narrow(chunk.rows, &mut attempt)?;
        // Behind a later row with its key an earlier one would win.
        refused.extend(if chunk.repeats && !shape.adds() { later } else { once_more(later, &mut attempt)? });
        refused.sort_by_key(|(row, _)| *row);
        Ok(Written { counts, refused })
    }

    /// Merges rows of the temporary table as if they came one by one.
    fn merge_range(&mut self, shape: &Shape, rows: Range<usize>, repeats: bool) -> Result<Counts, Said> {
        let within = format!("{ROW} >= {} AND {ROW} < {}", rows.start, rows.end);
        let keys = quoted(Dialect::Postgres, &shape.key);
        // Keys that differ as texts may be equal to the database, which says so only where an index settles that.
        if shape.adds() || !repeats && shape.method == WriteMethod::Upsert {
            return self.merge_from(shape, &format!("(SELECT * FROM pg_temp.{STAGE} WHERE {within}) AS s"), false);
        }
        // Where the last row of a key changes all that an earlier one did, the earlier ones need not be written.
        if shape.method != WriteMethod::Upsert || shape.update.len() + shape.key.len() == shape.columns.len() {
            let last = format!("(SELECT DISTINCT ON ({keys}) * FROM pg_temp.{STAGE} WHERE {within} ORDER BY {keys}, {ROW} DESC) AS s");
            return self.merge_from(shape, &last, true);
        }
        let most = self
            .texts(&format!("SELECT max(n) FROM (SELECT count(*) AS n FROM pg_temp.{STAGE} WHERE {within} GROUP BY {keys}) AS repeats"))?;
        let most: u64 = most.first().and_then(|row| row[0].as_ref()?.parse().ok()).unwrap_or(0);
        let mut counts = Counts::default();
        for turn in 1..=most {
            let from = format!(
                "(SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY {keys} ORDER BY {ROW}) AS etl_host_turn FROM pg_temp.{STAGE} \
                 WHERE {within}) AS turns WHERE etl_host_turn = {turn}) AS s"
            );
            counts.add(&self.merge_from(shape, &from, true)?);
        }
        Ok(counts)
    }

    /// Merges rows of which no two have the same key.
    fn merge_from(&mut self, shape: &Shape, from: &str, repeats: bool) -> Result<Counts, Said> {
        let Shape { table, columns, key, update, method, .. } = shape;
        let pg = Dialect::Postgres;
        let (target, all, same) = (table.sql(), quoted(pg, columns), same(key));
        // Rows stand in their order already where none was left out.
        let order = if repeats { format!(" ORDER BY {ROW}") } else { String::new() };
        let insert = format!("INSERT INTO {target} ({all}) OVERRIDING SYSTEM VALUE SELECT {all} FROM {from}{order}");
        let delete = format!("DELETE FROM {target} AS t USING {from} WHERE {same}");
        let mut counts = Counts::default();
        match method {
            WriteMethod::Upsert => counts = self.insert_or_update(shape, from, &order)?,
            WriteMethod::Replace => {
                counts.deleted = self.execute(&delete)?;
                counts.inserted = self.execute(&insert)?;
            }
            WriteMethod::Update if update.is_empty() => {}
            WriteMethod::Update => {
                let set = update.iter().map(|name| format!("{0} = s.{0}", quote(pg, name))).collect::<Vec<_>>().join(", ");
                counts.updated = self.execute(&format!("UPDATE {target} AS t SET {set} FROM {from} WHERE {same}"))?;
            }
            WriteMethod::Delete => counts.deleted = self.execute(&delete)?,
            WriteMethod::Insert | WriteMethod::TruncateAndLoad => counts.inserted = self.execute(&insert)?,
        }
        Ok(counts)
    }
}

/// The condition that a row `t` of the table has the key of a row `s`.
fn same(key: &[String]) -> String {
    key.iter().map(|name| format!("t.{0} = s.{0}", quote(Dialect::Postgres, name))).collect::<Vec<_>>().join(" AND ")
}

/// What one statement is told that would change a row twice.
const REPEATED: Why = Why::Row("key_repeats");

impl Backend for Postgres {
    fn columns(&mut self, table: &Table) -> Result<Vec<Column>, Said> {
        let rows = self.texts(&format!(
            "WITH RECURSIVE base AS (SELECT attnum, atttypid AS kind, atttypmod AS modifier FROM pg_attribute \
             WHERE attrelid = to_regclass({table}) AND attnum > 0 AND NOT attisdropped \
             UNION ALL SELECT attnum, typbasetype, typtypmod FROM base JOIN pg_type ON oid = kind WHERE typtype = 'd') \
             SELECT a.attname::text, t.typname::text, format_type(a.atttypid, a.atttypmod), base.modifier::text, a.attnotnull::text, \
             (a.atthasdef OR a.attidentity <> '')::text, (a.attgenerated <> '')::text, (a.attidentity = 'a')::text, (t.oid <> a.atttypid)::text \
             FROM pg_attribute a JOIN base USING (attnum) JOIN pg_type t ON t.oid = base.kind \
             WHERE a.attrelid = to_regclass({table}) AND t.typtype <> 'd' ORDER BY a.attnum",
            table = literal(Dialect::Postgres, &table.sql())
        ))?;
        let column = |row: Vec<Option<String>>| {
            let text = |index: usize| row[index].clone().unwrap_or_default();
            let modifier = text(3).parse().unwrap_or(-1);
            Column {
                name: text(0),
                declared: text(2),
                holds: Holds::of_postgres(&text(1), modifier),
                drops: Drops::of_postgres(&text(1), modifier),
                items: text(1).strip_prefix('_').map(|item| (Holds::of_postgres(item, modifier), Drops::of_postgres(item, modifier))),
                domain: text(8) == "true",
                nullable: text(4) != "true",
                filled: text(5) == "true",
                generated: text(6) == "true",
                fixed: text(7) == "true",
            }
        };
        Ok(rows.into_iter().map(column).collect())
    }

    fn relation(&mut self, table: &Table) -> Result<Relation, Said> {
        let kind = self
            .texts(&format!("SELECT relkind::text FROM pg_class WHERE oid = to_regclass({})", literal(Dialect::Postgres, &table.sql())))?;
        Ok(match kind.first().and_then(|row| row[0].as_deref()) {
            Some("p") => Relation::Partitioned,
            Some("v") => Relation::View,
            _ => Relation::Table,
        })
    }

    fn unique_keys(&mut self, table: &Table) -> Result<Vec<Vec<String>>, Said> {
        // One that is deferred, or of some rows only, or of expressions, settles no conflict.
        let rows = self.texts(&format!(
            "SELECT string_agg(a.attname::text, chr(31) ORDER BY k.n) FROM pg_index i \
             CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n) \
             LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
             WHERE i.indrelid = to_regclass({}) AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indimmediate \
             AND i.indisvalid AND k.n <= i.indnkeyatts GROUP BY i.indexrelid",
            literal(Dialect::Postgres, &table.sql())
        ))?;
        Ok(rows.into_iter().filter_map(|row| Some(row[0].as_ref()?.split('\u{1f}').map(ToOwned::to_owned).collect())).collect())
    }

    fn execute(&mut self, sql: &str) -> Result<u64, Said> {
        let work = self.connection.execute(raw_sql(AssertSqlSafe(std::mem::take(&mut self.before) + sql)));
        // What became of a commit must be known.
        let done = if sql == "COMMIT" { wait(work) } else { wait_unless(&self.stopped, work).ok_or_else(stopped_waiting)? };
        done.map(|done| done.rows_affected()).map_err(|error| said(&error, self.writes).through(self.tunnel.as_ref()))
    }

    fn texts(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Said> {
        let sql = std::mem::take(&mut self.before) + sql;
        let rows = wait_unless(&self.stopped, self.connection.fetch_all(raw_sql(AssertSqlSafe(sql))))
            .ok_or_else(stopped_waiting)?
            .map_err(|error| said(&error, self.writes).through(self.tunnel.as_ref()))?;
        let text = |row: &sqlx::postgres::PgRow, index: usize| {
            row.try_get_unchecked::<Option<String>, _>(index).map_err(|error| Said::new(Why::Other, error.to_string()))
        };
        rows.iter().map(|row| (0..row.len()).map(|index| text(row, index)).collect()).collect()
    }

    fn changed(&mut self) {
        self.stage = None;
    }

    fn write(&mut self, shape: &Shape, chunk: &Chunk) -> Result<Written, Said> {
        self.writes = true;
        let written = if shape.is_staged() { self.merge(shape, chunk) } else { self.insert(shape, chunk) };
        self.writes = false;
        let savepoint = std::mem::replace(&mut self.savepoint, Savepoint::Absent);
        if written.is_ok() && savepoint != Savepoint::Absent {
            self.before += "RELEASE SAVEPOINT etl_host; ";
        }
        written
    }
}

/// What an error of the driver means.
fn said(error: &sqlx::Error, has_letter: bool) -> Said {
    let Some(told) = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>()) else {
        let why = if matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_)) { Why::Lost } else { Why::Other };
        return Said::new(why, error.to_string());
    };
    let why = match told.code() {
        "21000" => REPEATED,
        // By a user it is ended as by its time: they differ in a text that is translated.
        "57014" => Why::Ended,
        state if is_of_users(state) => Why::Row("raised_by_trigger"),
        state => by_sqlstate(state),
    };
    // The row stands in the letter beside it.
    let detail = told.detail().filter(|detail| !has_letter || !detail.starts_with("Failing row contains"));
    let message = match detail {
        Some(detail) => format!("{} ({})", told.message(), detail.trim_end_matches('.')),
        None => told.message().to_owned(),
    };
    Said { why, message, row: None, column: told.column().map(ToOwned::to_owned) }
}

/// The line that COPY was at: `COPY orders, line 12, column price: "x"`; in other languages the words differ, the order does not.
fn told_row(error: &sqlx::Error, relation: &str) -> Option<usize> {
    let told = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    let place = told.r#where()?.lines().find_map(|line| line.strip_prefix("COPY ")?.strip_prefix(relation))?;
    let digits = place.trim_start_matches(|c: char| !c.is_ascii_digit());
    let line: usize = digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    line.checked_sub(1)
}
