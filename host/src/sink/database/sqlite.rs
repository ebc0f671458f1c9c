//! SQLite: a prepared statement a row. One that fails undoes itself only, so that refused rows need no search.
//!
//! This is the one place that speaks to SQLite without sqlx: that sends each statement to another thread, which for one statement a row
//! takes longer than the statement.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::hooks::Action;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection as Sqlite, OpenFlags, Statement};

use super::columns::{Column, Holds, Table, literal, quote};
use super::drops::Drops;
use super::encode::Chunk;
use super::narrow::{RefusedRows, once_more};
use super::said::{Said, Why};
use super::values::{Value, Values};
use super::{Backend, Counts, Shape, Stopped, Written, stopped_waiting};
use crate::config::database::{Connection, Dialect, WriteMethod};
use crate::error::{Context, Error, Result};
use crate::remote::database::sqlite_file;

/// How long another process is waited for that is writing.
const BUSY: Duration = Duration::from_secs(60);

/// How long it is waited for at once.
const LOOK: Duration = Duration::from_millis(200);

/// Pages that are kept in memory, in KiB: rows whose keys are not in order come to pages all over the file.
const CACHE_KIB: u32 = 64 << 10;

/// A connection.
pub(super) struct File {
    connection: Sqlite,
    tally: Arc<Tally>,
    stopped: Stopped,
}

/// Rows that were changed, as SQLite tells while it does it.
#[derive(Debug, Default)]
struct Tally {
    inserted: AtomicU64,
    updated: AtomicU64,
    deleted: AtomicU64,
}

impl File {
    /// Opens the file, and makes it where it is missing.
    pub(super) fn open(connection: &Connection, root: &Path, stopped: &Stopped) -> Result<Self> {
        let path = sqlite_file(connection, root)?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).outside(|| format!("cannot create the folder `{}`", folder.display()))?;
        }
        let opened = Sqlite::open_with_flags(&path, FLAGS | OpenFlags::SQLITE_OPEN_CREATE);
        Ok(Self { stopped: stopped.clone(), ..Self::connect(opened, &path)? })
    }

    /// Opens the file where it is there; else a database in memory, which has no table either.
    pub(super) fn look_at(connection: &Connection, root: &Path) -> Result<Self> {
        let path = sqlite_file(connection, root)?;
        let opened = if path.exists() { Sqlite::open_with_flags(&path, FLAGS) } else { Sqlite::open_in_memory() };
        Self::connect(opened, &path)
    }

    fn connect(opened: rusqlite::Result<Sqlite>, path: &Path) -> Result<Self> {
        let ready = opened.and_then(|connection| {
            connection.busy_timeout(LOOK)?;
            connection.execute_batch("PRAGMA foreign_keys = ON")?;
            // Opening reads nothing; a file that is no database shows now. One that another process holds is waited for later.
            match connection.execute_batch("SELECT 1 FROM sqlite_schema") {
                Err(error) if said(&error).why != Why::Busy => return Err(error),
                _ => {}
            }
            let tally = Arc::new(Tally::default());
            let counts = tally.clone();
            connection.update_hook(Some(move |action, _: &str, _: &str, _| {
                match action {
                    Action::SQLITE_INSERT => &counts.inserted,
                    Action::SQLITE_DELETE => &counts.deleted,
                    _ => &counts.updated,
                }
                .fetch_add(1, Ordering::Relaxed);
            }))?;
            Ok(Self { connection, tally, stopped: Stopped::default() })
        });
        ready.map_err(|error| said(&error).error(format!("cannot open the database `{}`", path.display())))
    }

    /// Does what another process may let wait, until that is told to stop.
    fn patiently<T>(&self, work: impl Fn(&Sqlite) -> rusqlite::Result<T>) -> Result<T, Said> {
        let began = Instant::now();
        loop {
            match work(&self.connection).map_err(|error| said(&error)) {
                Err(Said { why: Why::Busy, .. }) if began.elapsed() < BUSY => {}
                done => return done,
            }
            if self.stopped.load(Ordering::Relaxed) {
                return Err(stopped_waiting());
            }
        }
    }

    /// Where the tables of triggers count too, what is told may be more than the rows that were sent.
    fn counted(&self) -> Counts {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        let Tally { inserted, updated, deleted } = self.tally.as_ref();
        Counts { inserted: take(inserted), updated: take(updated), deleted: take(deleted) }
    }
}

const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// The statements that write one row, and which of its values each takes, in order.
fn statements(shape: &Shape) -> Vec<(String, Vec<usize>)> {
    let Shape { table, columns, key, update, method, .. } = shape;
    let name = |name: &String| quote(Dialect::Sqlite, name);
    let target = table.sql();
    let place = |wanted: &String| columns.iter().position(|column| column == wanted).unwrap_or_default();
    let places = |names: &[String]| names.iter().map(place).collect::<Vec<_>>();
    let marks = vec!["?"; columns.len()].join(", ");
    let insert = format!("INSERT INTO {target} ({}) VALUES ({marks})", shape.columns_sql());
    let all: Vec<usize> = (0..columns.len()).collect();
    let same = key.iter().map(|key| format!("{} = ?", name(key))).collect::<Vec<_>>().join(" AND ");
    let delete = (format!("DELETE FROM {target} WHERE {same}"), places(key));
    match method {
        WriteMethod::Insert | WriteMethod::TruncateAndLoad => vec![(insert, all)],
        WriteMethod::Upsert => {
            let set = update.iter().map(|column| format!("{0} = excluded.{0}", name(column))).collect::<Vec<_>>().join(", ");
            let then = if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {set}") };
            let keys = key.iter().map(name).collect::<Vec<_>>().join(", ");
            vec![(format!("{insert} ON CONFLICT ({keys}) DO {then}"), all)]
        }
        WriteMethod::Replace => vec![delete, (insert, all)],
        WriteMethod::Update if update.is_empty() => Vec::new(),
        WriteMethod::Update => {
            let set = update.iter().map(|column| format!("{} = ?", name(column))).collect::<Vec<_>>().join(", ");
            vec![(format!("UPDATE {target} SET {set} WHERE {same}"), [places(update), places(key)].concat())]
        }
        WriteMethod::Delete => vec![delete],
    }
}

impl Backend for File {
    fn columns(&mut self, table: &Table) -> Result<Vec<Column>, Said> {
        let rows = self.texts(&format!(
            "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden, (SELECT count(*) FROM pragma_table_xinfo({0}) WHERE pk > 0), \
             (SELECT max(strict) FROM pragma_table_list({0})) \
             FROM pragma_table_xinfo({0}) WHERE hidden <> 1 ORDER BY cid",
            arguments(table)
        ))?;
        let column = |row: Vec<Option<String>>| {
            let text = |index: usize| row[index].clone().unwrap_or_default();
            let declared = text(1);
            let holds = Holds::of_sqlite(&declared);
            // It counts up by itself.
            let is_row_id = declared.eq_ignore_ascii_case("integer") && text(4) == "1" && text(6) == "1";
            Column {
                name: text(0),
                holds,
                nullable: text(2) == "0" || is_row_id,
                filled: text(3) == "1" || is_row_id,
                generated: matches!(text(5).as_str(), "2" | "3"),
                fixed: false,
                // A strict table has no column of an unknown type but `ANY`, which keeps what it is given.
                drops: Drops::of_sqlite(&declared, holds).filter(|_| text(7) != "1"),
                items: None,
                domain: false,
                declared,
            }
        };
        Ok(rows.into_iter().map(column).collect())
    }

    fn unique_keys(&mut self, table: &Table) -> Result<Vec<Vec<String>>, Said> {
        let arguments = arguments(table);
        let primary = self.texts(&format!("SELECT name FROM pragma_table_xinfo({arguments}) WHERE pk > 0 ORDER BY pk"))?;
        let mut keys: Vec<Vec<String>> = vec![primary.into_iter().filter_map(|mut row| row.remove(0)).collect()];
        let indexes = self.texts(&format!(
            "SELECT name FROM pragma_index_list({arguments}) WHERE \"unique\" = 1 AND partial = 0 AND origin <> 'pk' ORDER BY seq"
        ))?;
        for index in indexes.into_iter().filter_map(|mut row| row.remove(0)) {
            let index = table.beside(&index);
            let names = self.texts(&format!("SELECT name FROM pragma_index_info({}) ORDER BY seqno", self::arguments(&index)))?;
            // One of an expression has no name.
            if let Some(names) = names.into_iter().map(|mut row| row.remove(0)).collect::<Option<Vec<_>>>() {
                keys.push(names);
            }
        }
        keys.retain(|key| !key.is_empty());
        Ok(keys)
    }

    fn execute(&mut self, sql: &str) -> Result<u64, Said> {
        self.patiently(|connection| connection.execute_batch(sql))?;
        if sql.starts_with("BEGIN") {
            // It reads the file, which nobody else holds now.
            self.connection.execute_batch(&format!("PRAGMA cache_size = -{CACHE_KIB}")).map_err(|error| said(&error))?;
        }
        Ok(self.connection.changes())
    }

    fn texts(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Said> {
        let read = |connection: &Sqlite| -> rusqlite::Result<Vec<Vec<Option<String>>>> {
            let mut statement = connection.prepare(sql)?;
            let columns = statement.column_count();
            let mut rows = statement.query(())?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                let text = |index| {
                    Ok(match row.get_ref(index)? {
                        ValueRef::Null => None,
                        ValueRef::Integer(number) => Some(number.to_string()),
                        ValueRef::Real(number) => Some(number.to_string()),
                        ValueRef::Text(text) | ValueRef::Blob(text) => Some(String::from_utf8_lossy(text).into_owned()),
                    })
                };
                all.push((0..columns).map(text).collect::<rusqlite::Result<_>>()?);
            }
            Ok(all)
        };
        self.patiently(read)
    }

    fn write(&mut self, shape: &Shape, chunk: &Chunk) -> Result<Written, Said> {
        self.counted();
        let (refused, changed) = self.write_rows(shape, chunk)?;
        let mut counts = Counts::default();
        match (shape.method, changed.as_slice()) {
            (WriteMethod::Upsert, [changed]) => {
                counts = self.counted();
                if counts == Counts::default() {
                    // Of a table without row ids nothing is told.
                    counts.inserted = *changed;
                }
            }
            (WriteMethod::Replace, [deleted, inserted]) => (counts.deleted, counts.inserted) = (*deleted, *inserted),
            (WriteMethod::Update, [updated]) => counts.updated = *updated,
            (WriteMethod::Delete, [deleted]) => counts.deleted = *deleted,
            (_, changed) => counts.inserted = changed.iter().sum(),
        }
        Ok(Written { counts, refused })
    }
}

impl File {
    /// Answers the rows that are refused, and for each statement the rows that it changed.
    fn write_rows(&self, shape: &Shape, chunk: &Chunk) -> Result<(RefusedRows, Vec<u64>), Said> {
        let fail = |error: rusqlite::Error| said(&error);
        let prepare = |(sql, places): (String, Vec<usize>)| Ok((self.connection.prepare(&sql).map_err(fail)?, places));
        let mut prepared = statements(shape).into_iter().map(prepare).collect::<Result<Vec<(Statement<'_>, Vec<usize>)>, Said>>()?;
        // What was deleted in the place of a row that is refused then comes back.
        let many = prepared.len() > 1;
        let (mut refused, mut first, mut room) = (Vec::new(), 0, Vec::new());
        let mut changed = vec![0; prepared.len()];
        let mut now = changed.clone();
        for fitted in &chunk.fitted {
            let values = Values::of(&shape.fit, fitted);
            for row in 0..fitted.rows() {
                if many {
                    self.connection.execute_batch("SAVEPOINT etl_host").map_err(fail)?;
                }
                let mut write = || -> rusqlite::Result<()> {
                    for ((statement, places), now) in prepared.iter_mut().zip(&mut now) {
                        for (index, place) in places.iter().enumerate() {
                            statement.raw_bind_parameter(index + 1, Bound(values[*place].get(row, &mut room)))?;
                        }
                        *now = statement.raw_execute()? as u64;
                    }
                    Ok(())
                };
                match write() {
                    Ok(()) => {
                        changed.iter_mut().zip(&now).for_each(|(all, now)| *all += now);
                        if many {
                            self.connection.execute_batch("RELEASE etl_host").map_err(fail)?;
                        }
                    }
                    Err(error) => {
                        let said = said(&error);
                        // A trigger may have undone the whole transaction.
                        if !matches!(said.why, Why::Row(_)) || self.connection.is_autocommit() {
                            return Err(Said { why: if matches!(said.why, Why::Row(_)) { Why::Other } else { said.why }, ..said });
                        }
                        if many {
                            self.connection.execute_batch("ROLLBACK TO etl_host; RELEASE etl_host").map_err(fail)?;
                        }
                        refused.push((first + row, said));
                    }
                }
            }
            first += fitted.rows();
        }
        if matches!(shape.method, WriteMethod::Insert | WriteMethod::TruncateAndLoad) {
            refused = once_more(refused, &mut |rows| {
                let Some((fitted, row)) = chunk.place(rows.start) else { return Ok(()) };
                let values = Values::of(&shape.fit, fitted);
                for ((statement, places), changed) in prepared.iter_mut().zip(&mut changed) {
                    for (index, place) in places.iter().enumerate() {
                        statement.raw_bind_parameter(index + 1, Bound(values[*place].get(row, &mut room))).map_err(fail)?;
                    }
                    *changed += statement.raw_execute().map_err(fail)? as u64;
                }
                Ok(())
            })?;
        }
        Ok((refused, changed))
    }
}

/// The arguments of a table's pragmas.
fn arguments(table: &Table) -> String {
    let name = literal(Dialect::Sqlite, &table.name);
    match &table.schema {
        Some(schema) => format!("{name}, {}", literal(Dialect::Sqlite, schema)),
        None => name,
    }
}

/// A value on its way.
struct Bound<'a>(Value<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Int(number) => ToSqlOutput::Borrowed(ValueRef::Integer(number)),
            Value::UInt(number) => match i64::try_from(number) {
                Ok(number) => ToSqlOutput::Borrowed(ValueRef::Integer(number)),
                // Only a text keeps all digits.
                Err(_) => ToSqlOutput::Owned(rusqlite::types::Value::Text(number.to_string())),
            },
            Value::Float(number) => ToSqlOutput::Borrowed(ValueRef::Real(number)),
            Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Value::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// What an error means, by SQLite's extended code.
fn said(error: &rusqlite::Error) -> Said {
    let (code, message) = match error {
        rusqlite::Error::SqliteFailure(code, message) => (code.extended_code, message.clone().unwrap_or_else(|| error.to_string())),
        other => (0, other.to_string()),
    };
    let row = |name| Why::Row(name);
    let why = match code {
        1555 | 2067 => row("unique_violation"),
        1299 => row("not_null_violation"),
        787 => row("foreign_key_violation"),
        275 => row("check_violation"),
        1811 => row("raised_by_trigger"),
        3091 => row("invalid_text_representation"),
        18 => row("string_too_long"),
        // Of SQL, as it is written.
        1 => Why::Asked,
        code => match code & 0xff {
            19 => row("integrity_violation"),
            5 | 6 => Why::Busy,
            3 | 8 | 14 | 23 => Why::Denied,
            _ => Why::Other,
        },
    };
    let column = message.rsplit_once('.').filter(|_| code == 1299).map(|(_, column)| column.to_owned());
    Said { why, message, row: None, column }
}

/// Refuses a path that no file can have.
pub(super) fn check(connection: &Connection) -> Result<()> {
    if let Some((_, options)) = connection.url.split_once('?') {
        let name = options.split(['=', '&']).next().unwrap_or_default();
        return Err(Error::config(format!("the option `{name}` of `{connection}` is not known: a file that is loaded takes none"))
            .hint("leave out what stands behind the `?`"));
    }
    connection.sqlite_file().map(drop).ok_or_else(|| {
        Error::config(format!("`{connection}` names no file")).hint("write `sqlite:///data.db` or `sqlite:////var/lib/data.db`")
    })
}
