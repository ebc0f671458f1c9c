//! MySQL and MariaDB: statements of many rows, prepared.

use std::ops::Range;
use std::path::Path;

use sqlx::mysql::{MySqlArguments, MySqlConnection, MySqlDatabaseError, MySqlRow};
use sqlx::{Arguments, AssertSqlSafe, Executor, Row, raw_sql};

use super::columns::{Column, Holds, Table, literal, quote, quoted};
use super::drops::Drops;
use super::encode::Chunk;
use super::narrow::{narrow, once_more};
use super::said::{Said, Why, by_sqlstate, is_of_users};
use super::values::{Value, Values};
use super::{Backend, Counts, Shape, Stopped, Written, stopped_waiting};
use crate::config::database::{Connection, Dialect, SshTunnel, WriteMethod};
use crate::error::{Error, Result};
use crate::remote::Tunnel;
use crate::remote::database::{Connected, connect};
use crate::remote::{wait, wait_unless};

/// How every session is set up: nothing is bent to fit, and a lock is waited for one minute.
const SETUP: &str = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', \
     time_zone = '+00:00', innodb_lock_wait_timeout = 60, lock_wait_timeout = 60, foreign_key_checks = 1, unique_checks = 1";

/// Parameters that one statement may have, and the rows that one is made of at most.
const MOST_PARAMETERS: usize = 65_535;
const MOST_ROWS: usize = 512;

/// Bytes of a value beside its own, and of a statement beside its values, at most.
const AROUND_VALUE: usize = 12;
const AROUND_VALUES: usize = 1024;

/// A connection.
pub(super) struct Mysql {
    connection: MySqlConnection,
    /// Bytes that the server takes at once; it hangs up on whoever sends more.
    packet: usize,
    tunnel: Option<Tunnel>,
    stopped: Stopped,
}

impl Mysql {
    pub(super) fn connect(connection: &Connection, tunnel: Option<&SshTunnel>, root: &Path, stopped: &Stopped) -> Result<Self> {
        let (connected, tunnel) = wait(connect(connection, tunnel, root))?;
        let Connected::Mysql(mysql) = connected else { return Err(Error::bug("another database answered")) };
        let mut backend = Self { connection: mysql, packet: usize::MAX, tunnel, stopped: stopped.clone() };
        let failed = |said: Said| said.error(format!("cannot set up the session with `{connection}`"));
        backend.execute(SETUP).map_err(failed)?;
        let packet = backend.texts("SELECT CAST(@@max_allowed_packet AS CHAR)").map_err(failed)?;
        backend.packet = packet.first().and_then(|row| row[0].as_ref()?.parse().ok()).unwrap_or(usize::MAX);
        Ok(backend)
    }

    /// Runs a prepared statement with values of some rows.
    fn run(&mut self, sql: String, rows: &[Row_<'_>], places: &[usize]) -> Result<u64, Said> {
        let mut arguments = MySqlArguments::default();
        let mut room = Vec::new();
        for (values, row) in rows {
            for place in places {
                let added = match values[*place].get(*row, &mut room) {
                    Value::Null => arguments.add(None::<String>),
                    Value::Int(number) => arguments.add(number),
                    Value::UInt(number) => arguments.add(number),
                    Value::Float(number) => arguments.add(number),
                    Value::Text(text) => arguments.add(text),
                    Value::Bytes(bytes) => arguments.add(bytes),
                };
                added.map_err(|error| Said::new(Why::Other, error.to_string()))?;
            }
        }
        // Statements for a full piece come again and again; others seldom do.
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(rows.len() == 1 || rows.len() == MOST_ROWS);
        wait_unless(&self.stopped, query.execute(&mut self.connection))
            .ok_or_else(stopped_waiting)?
            .map(|done| done.rows_affected())
            .map_err(|error| said(&error).through(self.tunnel.as_ref()))
    }

    fn write_rows(&mut self, shape: &Shape, rows: &[Row_<'_>], repeats: bool) -> Result<Counts, Said> {
        let Shape { table, columns, key, update, method, .. } = shape;
        let target = table.sql();
        let place = |wanted: &String| columns.iter().position(|column| column == wanted).unwrap_or_default();
        let places = |names: &[String]| names.iter().map(place).collect::<Vec<_>>();
        let all: Vec<usize> = (0..columns.len()).collect();
        let marks = |columns: usize| format!("({})", vec!["?"; columns].join(","));
        let many = |columns: usize| vec![marks(columns); rows.len()].join(",");
        let name = |name: &String| quote(Dialect::Mysql, name);
        let insert = format!("INSERT INTO {target} ({}) VALUES {}", shape.columns_sql(), many(columns.len()));
        let keys = format!("({}) IN ({})", quoted(Dialect::Mysql, key), many(key.len()));
        let mut counts = Counts::default();
        match method {
            WriteMethod::Insert | WriteMethod::TruncateAndLoad => counts.inserted = self.run(insert, rows, &all)?,
            WriteMethod::Delete => counts.deleted = self.run(format!("DELETE FROM {target} WHERE {keys}"), rows, &places(key))?,
            WriteMethod::Replace => {
                counts.deleted = self.run(format!("DELETE FROM {target} WHERE {keys}"), rows, &places(key))?;
                counts.inserted = self.run(insert, rows, &all)?;
            }
            WriteMethod::Update if update.is_empty() => {}
            WriteMethod::Update => counts.updated = self.update(shape, rows)?,
            WriteMethod::Upsert if shape.others_unique => {
                // `ON DUPLICATE KEY` would take a row with the same value in another unique index for the same row.
                if !update.is_empty() {
                    counts.updated = self.update(shape, rows)?;
                } else {
                    let found = self.found(&target, key, rows, &places(key))?;
                    counts.updated = found;
                }
                if counts.updated == 0 {
                    counts.inserted = self.run(insert, rows, &all)?;
                }
            }
            WriteMethod::Upsert => {
                let before = self.found(&target, key, rows, &places(key))?;
                let set = match update.is_empty() {
                    true => key.iter().take(1).map(|key| format!("{0} = {target}.{0}", name(key))).collect::<Vec<_>>(),
                    false => update.iter().map(|column| format!("{0} = VALUES({0})", name(column))).collect(),
                };
                self.run(format!("{insert} ON DUPLICATE KEY UPDATE {}", set.join(", ")), rows, &all)?;
                // Where a key comes twice there are fewer keys than rows.
                let after =
                    if repeats || !is_told_apart(shape) { self.found(&target, key, rows, &places(key))? } else { rows.len() as u64 };
                counts.inserted = after.saturating_sub(before);
                counts.updated = before;
            }
        }
        Ok(counts)
    }

    /// How many of these rows can be sent at once; none where the first one alone is more than the server takes.
    fn as_many(&self, rows: &[Row_<'_>], most: usize, room: &mut Vec<u8>) -> usize {
        let mut left = self.packet.saturating_sub(AROUND_VALUES);
        let fits = |row: &&Row_<'_>| {
            let rest = left.checked_sub(bytes(row, room));
            left = rest.unwrap_or(0);
            rest.is_some()
        };
        rows.iter().take(most).take_while(fits).count()
    }

    /// Changes one row; answers whether it was there.
    fn update(&mut self, shape: &Shape, rows: &[Row_<'_>]) -> Result<u64, Said> {
        let Shape { table, columns, key, update, .. } = shape;
        let place = |wanted: &String| columns.iter().position(|column| column == wanted).unwrap_or_default();
        let set = |names: &[String], by: &str| {
            names.iter().map(|column| format!("{} = ?", quote(Dialect::Mysql, column))).collect::<Vec<_>>().join(by)
        };
        let sql = format!("UPDATE {} SET {} WHERE {}", table.sql(), set(update, ", "), set(key, " AND "));
        self.run(sql, rows, &update.iter().chain(key).map(place).collect::<Vec<_>>())
    }

    /// Rows that are there with the keys of these.
    fn found(&mut self, target: &str, key: &[String], rows: &[Row_<'_>], places: &[usize]) -> Result<u64, Said> {
        let marks = format!("({})", vec!["?"; key.len()].join(","));
        let sql = format!(
            "DO (SELECT @etl_host := count(*) FROM {target} WHERE ({}) IN ({}))",
            quoted(Dialect::Mysql, key),
            vec![marks; rows.len()].join(",")
        );
        self.run(sql, rows, places)?;
        let found = self.texts("SELECT CAST(@etl_host AS CHAR)")?;
        Ok(found.first().and_then(|row| row[0].as_ref()?.parse().ok()).unwrap_or(0))
    }
}

/// A row: the columns of its batch, and its place there.
type Row_<'a> = (&'a [Values], usize);

impl Backend for Mysql {
    fn columns(&mut self, table: &Table) -> Result<Vec<Column>, Said> {
        let place = place(table);
        let engine = self.texts(&format!("SELECT CAST(engine AS CHAR) FROM information_schema.tables WHERE {place}"))?;
        if let Some(Some(engine)) = engine.first().map(|row| &row[0])
            && ["myisam", "aria", "memory", "csv", "archive"].contains(&engine.to_ascii_lowercase().as_str())
        {
            let message = format!(
                "it is kept by {engine}, which has no transactions: a run that fails could not be undone; `ALTER TABLE {} ENGINE = InnoDB` changes that",
                table.sql()
            );
            return Err(Said::new(Why::Other, message));
        }
        let rows = self.texts(&format!(
            "SELECT CAST(column_name AS CHAR), CAST(data_type AS CHAR), CAST(column_type AS CHAR), CAST(numeric_scale AS CHAR), \
             CAST(is_nullable AS CHAR), CAST(column_default IS NOT NULL AND column_default <> 'NULL' AS CHAR), CAST(extra AS CHAR), \
             CAST(datetime_precision AS CHAR), CAST(character_maximum_length AS CHAR) FROM information_schema.columns WHERE {place} ORDER BY ordinal_position"
        ))?;
        let column = |row: Vec<Option<String>>| {
            let text = |index: usize| row[index].clone().unwrap_or_default();
            let counts_up = text(6).to_ascii_lowercase().contains("auto_increment");
            let (kind, declared) = (text(1).to_ascii_lowercase(), text(2));
            Column {
                name: text(0),
                holds: Holds::of_mysql(&kind, &declared.to_ascii_lowercase(), text(3).parse().ok()),
                drops: Drops::of_mysql(&kind, &declared, text(7).parse().ok(), text(8).parse().ok()),
                items: None,
                domain: false,
                nullable: text(4).eq_ignore_ascii_case("yes") || counts_up,
                filled: text(5) == "1" || counts_up,
                generated: ["virtual generated", "stored generated", "persistent", "virtual"]
                    .contains(&text(6).to_ascii_lowercase().as_str()),
                fixed: false,
                declared,
            }
        };
        Ok(rows.into_iter().map(column).collect())
    }

    fn unique_keys(&mut self, table: &Table) -> Result<Vec<Vec<String>>, Said> {
        // A part that is an expression or a text's first letters has no name here: such an index settles no key.
        let rows = self.texts(&format!(
            "SELECT CAST(index_name AS CHAR), CAST(CASE WHEN sub_part IS NULL THEN column_name END AS CHAR) FROM information_schema.statistics \
             WHERE {} AND non_unique = 0 ORDER BY index_name, seq_in_index",
            place(table)
        ))?;
        let mut keys: Vec<(String, Vec<String>)> = Vec::new();
        for row in rows {
            let [index, column] = [0, 1].map(|place| row[place].clone().unwrap_or_default());
            match keys.last_mut().filter(|(last, _)| *last == index) {
                Some((_, columns)) => columns.push(column),
                None => keys.push((index, vec![column])),
            }
        }
        Ok(keys.into_iter().map(|(_, columns)| columns).collect())
    }

    fn execute(&mut self, sql: &str) -> Result<u64, Said> {
        let work = self.connection.execute(raw_sql(AssertSqlSafe(sql.to_owned())));
        // What became of a commit must be known.
        let done = if sql == "COMMIT" { wait(work) } else { wait_unless(&self.stopped, work).ok_or_else(stopped_waiting)? };
        done.map(|done| done.rows_affected()).map_err(|error| said(&error).through(self.tunnel.as_ref()))
    }

    fn texts(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Said> {
        let rows = wait_unless(&self.stopped, self.connection.fetch_all(raw_sql(AssertSqlSafe(sql.to_owned()))))
            .ok_or_else(stopped_waiting)?
            .map_err(|error| said(&error).through(self.tunnel.as_ref()))?;
        let text = |row: &MySqlRow, index: usize| {
            row.try_get_unchecked::<Option<String>, _>(index).map_err(|error| Said::new(Why::Other, error.to_string()))
        };
        rows.iter().map(|row| (0..row.len()).map(|index| text(row, index)).collect()).collect()
    }

    fn write(&mut self, shape: &Shape, chunk: &Chunk) -> Result<Written, Said> {
        let values: Vec<Vec<Values>> = chunk.fitted.iter().map(|fitted| Values::of(&shape.fit, fitted)).collect();
        let places = chunk.fitted.iter().zip(&values);
        let rows: Vec<Row_<'_>> = places.flat_map(|(fitted, values)| (0..fitted.rows()).map(|row| (values.as_slice(), row))).collect();
        let one_by_one = match shape.method {
            WriteMethod::Update => true,
            WriteMethod::Upsert => shape.others_unique,
            WriteMethod::Replace => chunk.repeats || !shape.settled && !is_told_apart(shape),
            _ => false,
        };
        let most = if one_by_one { 1 } else { (MOST_PARAMETERS / shape.columns.len().max(1)).clamp(1, MOST_ROWS) };
        let undoes = shape.method == WriteMethod::Replace;
        let (mut counts, mut refused) = (Counts::default(), Vec::new());
        let (mut first, mut room) = (0, Vec::new());
        while first < rows.len() {
            let end = first + self.as_many(&rows[first..], most, &mut room);
            if end == first {
                refused.push((first, too_long(bytes(&rows[first], &mut room), self.packet)));
                first += 1;
                continue;
            }
            let piece = &rows[first..end];
            let mut attempt = |range: Range<usize>| {
                if undoes {
                    self.execute("SAVEPOINT etl_host")?;
                }
                let written = self.write_rows(shape, &piece[range], chunk.repeats);
                if undoes && matches!(&written, Err(Said { why: Why::Row(_), .. })) {
                    self.execute("ROLLBACK TO SAVEPOINT etl_host")?;
                }
                counts.add(&written?);
                Ok(())
            };
            let mut found = narrow(piece.len(), &mut attempt)?;
            if matches!(shape.method, WriteMethod::Insert | WriteMethod::TruncateAndLoad) {
                found = once_more(found, &mut attempt)?;
            }
            refused.extend(found.into_iter().map(|(row, said)| (first + row, said)));
            first += piece.len();
        }
        Ok(Written { counts, refused })
    }
}

/// Bytes of a row on its way, at most.
fn bytes((values, row): &Row_<'_>, room: &mut Vec<u8>) -> usize {
    let of_value = |values: &Values| match values.get(*row, room) {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Null | Value::Int(_) | Value::UInt(_) | Value::Float(_) => 0,
    };
    values.iter().map(of_value).map(|bytes| bytes + AROUND_VALUE).sum()
}

fn too_long(bytes: usize, packet: usize) -> Said {
    let message = format!("the row has {bytes} bytes, but `max_allowed_packet` of the server is {packet}");
    Said::new(Why::Row("row_too_long"), message)
}

/// Whether keys that differ for us differ for the server: of texts its collation tells.
fn is_told_apart(shape: &Shape) -> bool {
    let certain = |holds| matches!(holds, Holds::Bool | Holds::Int(..) | Holds::Date | Holds::Time | Holds::Timestamp(_));
    shape.fit.columns.iter().filter(|fitting| fitting.key).all(|fitting| certain(fitting.to.holds))
}

/// The condition that finds a table in the catalogue.
fn place(table: &Table) -> String {
    let schema = table.schema.as_ref().map_or_else(|| "DATABASE()".to_owned(), |schema| literal(Dialect::Mysql, schema));
    format!("table_schema = {schema} AND table_name = {}", literal(Dialect::Mysql, &table.name))
}

/// What an error of the driver means.
fn said(error: &sqlx::Error) -> Said {
    let Some(told) = error.as_database_error().and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>()) else {
        let why = if matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_)) { Why::Lost } else { Why::Other };
        return Said::new(why, error.to_string());
    };
    let why = match told.number() {
        1062 | 1586 | 1022 => Why::Row("unique_violation"),
        1048 | 1364 => Why::Row("not_null_violation"),
        1452 | 1216 | 1451 | 1217 => Why::Row("foreign_key_violation"),
        3819 | 4025 => Why::Row("check_violation"),
        1406 | 1118 => Why::Row("string_too_long"),
        1264 | 1690 | 1416 => Why::Row("number_out_of_range"),
        1366 | 1265 | 1367 | 1411 | 3140 | 3141 => Why::Row("invalid_text_representation"),
        1292 | 1525 => Why::Row("invalid_datetime"),
        1644 => Why::Row("raised_by_trigger"),
        1205 | 3024 | 1317 | 1969 => Why::Busy,
        1213 => Why::Deadlock,
        1044 | 1045 | 1142 | 1143 | 1227 | 1370 => Why::Denied,
        1053 | 1927 | 2006 | 2013 | 4031 => Why::Lost,
        1526 | 1748 => Why::Row("no_partition"),
        _ => match told.code().unwrap_or_default() {
            state if is_of_users(state) => Why::Row("raised_by_trigger"),
            state => by_sqlstate(state),
        },
    };
    let message = told.message().to_owned();
    // `Data too long for column 'note' at row 3`.
    let (text, row) = match message.rsplit_once(" at row ") {
        Some((text, row)) => (text.to_owned(), row.parse::<usize>().ok().and_then(|row| row.checked_sub(1))),
        None => (message, None),
    };
    let column = text.split_once("olumn '").and_then(|(_, rest)| rest.split_once('\'')).map(|(column, _)| column.to_owned());
    Said { why, message: text, row, column }
}
