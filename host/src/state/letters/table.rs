//! A queue of dead letters in a table of SQLite.

use std::io::BufRead;
use std::ops::ControlFlow;
use std::path::Path;

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, QueryBuilder, Row, Sqlite};

use super::Selection;
use crate::error::{Context, Error, Result};
use crate::report::{DeadLetter, LetterMetadata, LetterStatus};
use crate::state::Database;

/// The table where the user names none.
pub const DEFAULT_TABLE: &str = "dead_letter_queue";

/// Letters that are looked at in one go.
const PAGE: i64 = 1000;

/// The columns, in order.
const COLUMNS: [&str; 11] =
    ["id", "pipeline", "record", "reason", "message", "error_type", "stage", "metadata", "timestamp", "retry_count", "status"];

/// A queue of dead letters in a table.
#[derive(Debug)]
pub struct TableLetters {
    database: Database,
    table: String,
}

impl TableLetters {
    /// Opens a table to write to it, and makes it where it is not there.
    ///
    /// # Errors
    /// Outside, where it cannot be written; config, where a table of that name has other columns.
    pub fn open(path: &Path, table: &str) -> Result<Self> {
        let letters = Self { database: Database::open(path)?, table: table.to_owned() };
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {} (id TEXT PRIMARY KEY, pipeline TEXT NOT NULL, record TEXT NOT NULL, reason TEXT NOT NULL,
            message TEXT NOT NULL, error_type TEXT NOT NULL, stage TEXT NOT NULL, metadata TEXT NOT NULL, timestamp TEXT NOT NULL,
            retry_count INTEGER NOT NULL DEFAULT 0, status TEXT NOT NULL DEFAULT 'pending')",
            letters.quoted()
        );
        letters.database.write(async |connection| sqlx::query(AssertSqlSafe(create)).execute(connection).await)?;
        letters.check_columns()?;
        Ok(letters)
    }

    /// Opens a table to look at it; `None` where there is none.
    ///
    /// # Errors
    /// Outside, where it cannot be read; config, where it has other columns.
    pub fn look_at(path: &Path, table: &str) -> Result<Option<Self>> {
        let Some(database) = Database::look_at(path)? else { return Ok(None) };
        let letters = Self { database, table: table.to_owned() };
        if letters.columns()?.is_empty() {
            return Ok(None);
        }
        letters.check_columns()?;
        Ok(Some(letters))
    }

    /// The database's file.
    pub fn path(&self) -> &Path {
        self.database.path()
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// What a person calls it.
    pub fn name(&self) -> String {
        format!("{}, table `{}`", self.path().display(), self.table)
    }

    /// Adds letters that stand as JSON lines, all or nothing; one whose id is there already is left out.
    ///
    /// # Errors
    /// Outside, where they cannot be written.
    pub fn append(&self, parts: Vec<Box<dyn BufRead + Send>>) -> Result<()> {
        let insert = self.insert();
        self.database.write(async |connection| {
            for line in parts.into_iter().flat_map(BufRead::lines) {
                let letter = serde_json::from_str(&line?).map_err(|error| sqlx::Error::Decode(error.into()))?;
                add(&insert, &letter, connection).await?;
            }
            Ok(())
        })
    }

    /// Takes the letters of a run away.
    ///
    /// # Errors
    /// Outside.
    pub fn remove_run(&self, pipeline: &str, run_id: &str) -> Result<()> {
        let remove = format!("DELETE FROM {} WHERE pipeline = ? AND json_extract(metadata, '$.run') = ?", self.quoted());
        self.database
            .write(async |connection| sqlx::query(AssertSqlSafe(remove)).bind(pipeline).bind(run_id).execute(connection).await.map(|_| ()))
    }

    pub(super) fn each(&self, selection: &Selection, see: &mut dyn FnMut(DeadLetter) -> Result<ControlFlow<()>>) -> Result<()> {
        let mut last = 0;
        loop {
            let page = self.database.read(async |connection| self.page(selection, last, connection).await)?;
            let Some((end, _)) = page.last() else { return Ok(()) };
            last = *end;
            for (_, letter) in page {
                let letter = self.parsed(letter)?;
                if selection.takes(&letter) && see(letter)?.is_break() {
                    return Ok(());
                }
            }
        }
    }

    pub(super) fn change(&self, selection: &Selection, change: &mut dyn FnMut(&mut DeadLetter) -> bool, more: &[DeadLetter]) -> Result<()> {
        let update = format!(
            "UPDATE {} SET record = ?, reason = ?, message = ?, error_type = ?, stage = ?, metadata = ?, retry_count = ?, status = ? WHERE id = ?",
            self.quoted()
        );
        let insert = self.insert();
        self.database.write(async |connection| {
            let mut last = 0;
            loop {
                let page = self.page(selection, last, connection).await?;
                let Some((end, _)) = page.last() else { break };
                last = *end;
                for (_, letter) in page {
                    let mut letter = letter.map_err(|error| sqlx::Error::Decode(error.into()))?;
                    if !selection.takes(&letter) || !change(&mut letter) {
                        continue;
                    }
                    let DeadLetter {
                        id,
                        pipeline: _,
                        record,
                        reason,
                        message,
                        error_type,
                        stage,
                        metadata,
                        timestamp: _,
                        retry_count,
                        status,
                    } = &letter;
                    let query = sqlx::query(AssertSqlSafe(update.as_str())).bind(record.to_string()).bind(text(reason)).bind(message);
                    let query = query.bind(error_type).bind(stage).bind(json(metadata)).bind(retry_count).bind(status.name()).bind(id);
                    query.execute(&mut *connection).await?;
                }
            }
            for letter in more {
                add(&insert, letter, connection).await?;
            }
            Ok(())
        })
    }

    /// The next letters after a place, with the place of each; those that are not meant may be among them.
    async fn page(
        &self,
        selection: &Selection,
        after: i64,
        connection: &mut SqliteConnection,
    ) -> sqlx::Result<Vec<(i64, serde_json::Result<DeadLetter>)>> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT rowid, ");
        query.push(COLUMNS.join(", ")).push(" FROM ").push(self.quoted()).push(" WHERE rowid > ").push_bind(after);
        if let Some(pipeline) = &selection.pipeline {
            query.push(" AND pipeline = ").push_bind(pipeline.clone());
        }
        let mut any = |column: &str, names: Vec<String>| {
            if !names.is_empty() {
                query.push(format!(" AND {column} IN ("));
                let mut list = query.separated(", ");
                for name in names {
                    list.push_bind(name);
                }
                query.push(")");
            }
        };
        any("reason", selection.reasons.iter().map(text).collect());
        any("status", selection.statuses.iter().map(|status| status.name().to_owned()).collect());
        any("stage", selection.stages.clone());
        query.push(" ORDER BY rowid LIMIT ").push_bind(PAGE);
        let rows = query.build().fetch_all(connection).await?;
        Ok(rows.iter().map(|row| (row.get(0), read(row))).collect())
    }

    fn parsed(&self, letter: serde_json::Result<DeadLetter>) -> Result<DeadLetter> {
        letter.outside(|| format!("a dead letter in {} cannot be read", self.name()))
    }

    fn columns(&self) -> Result<Vec<String>> {
        let query = "SELECT name FROM pragma_table_info(?)";
        self.database.read(async |connection| sqlx::query_scalar(query).bind(&self.table).fetch_all(connection).await)
    }

    fn check_columns(&self) -> Result<()> {
        let there = self.columns()?;
        let missing: Vec<String> =
            COLUMNS.iter().filter(|name| !there.iter().any(|there| there == *name)).map(|name| format!("`{name}`")).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::config(format!("{} is no table of dead letters: it has no column {}", self.name(), missing.join(", ")))
            .hint("name another table under `dlq.table`; one that is not there is made"))
    }

    fn insert(&self) -> String {
        let marks = vec!["?"; COLUMNS.len()].join(", ");
        format!("INSERT OR IGNORE INTO {} ({}) VALUES ({marks})", self.quoted(), COLUMNS.join(", "))
    }

    fn quoted(&self) -> String {
        format!("\"{}\"", self.table.replace('"', "\"\""))
    }
}

async fn add(insert: &str, letter: &DeadLetter, connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let DeadLetter { id, pipeline, record, reason, message, error_type, stage, metadata, timestamp, retry_count, status } = letter;
    let query = sqlx::query(AssertSqlSafe(insert)).bind(id).bind(pipeline).bind(record.to_string()).bind(text(reason)).bind(message);
    let query = query.bind(error_type).bind(stage).bind(json(metadata)).bind(timestamp).bind(retry_count).bind(status.name());
    query.execute(connection).await.map(|_| ())
}

fn read(row: &SqliteRow) -> serde_json::Result<DeadLetter> {
    let name = |column: &str| serde_json::Value::String(row.get(column));
    Ok(DeadLetter {
        id: row.get("id"),
        pipeline: row.get("pipeline"),
        record: serde_json::from_str(row.get("record"))?,
        reason: serde_json::from_value(name("reason"))?,
        message: row.get("message"),
        error_type: row.get("error_type"),
        stage: row.get("stage"),
        metadata: serde_json::from_str::<LetterMetadata>(row.get("metadata"))?,
        timestamp: row.get("timestamp"),
        retry_count: row.get("retry_count"),
        status: serde_json::from_value::<LetterStatus>(name("status"))?,
    })
}

/// The name of a reason.
fn text(reason: &crate::batch::Reason) -> String {
    serde_json::to_value(reason).ok().and_then(|name| name.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}

fn json(metadata: &LetterMetadata) -> String {
    serde_json::to_string(metadata).expect("texts and numbers are JSON")
}
