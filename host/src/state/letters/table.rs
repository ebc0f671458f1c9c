//! A queue of dead letters in a table of SQLite or PostgreSQL.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::Selection;
use crate::error::{Context, Error, Result};
use crate::report::{DeadLetter, LetterMetadata, LetterStatus};
use crate::state::database::{Cell, Row, Session, create_folder};
use crate::state::{Database, Shared};

/// The table where the user names none.
pub const DEFAULT_TABLE: &str = "dead_letter_queue";

/// Letters that are looked at in one go.
const PAGE: i64 = 1000;

/// Letters that one statement adds.
const AT_ONCE: usize = 200;

/// The columns, in order.
const COLUMNS: [&str; 11] =
    ["id", "pipeline", "record", "reason", "message", "error_type", "stage", "metadata", "timestamp", "retry_count", "status"];

/// The database that a table is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableAt {
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL.
    Shared {
        /// Which.
        shared: Shared,
        /// The folder of this machine in which letters stand while they are on their way.
        folder: PathBuf,
    },
}

/// A queue of dead letters in a table.
#[derive(Debug)]
pub struct TableLetters {
    database: Database,
    /// The table, and its schema where there are schemas.
    table: String,
    /// Names of files that stand beside the queue on this machine start with this.
    beside: PathBuf,
    is_shared: bool,
    at: TableAt,
}

impl TableLetters {
    /// Opens a table to write to it, and makes it where it is not there.
    ///
    /// # Errors
    /// Outside, where it cannot be written; config, where a table of that name has other columns.
    pub fn open(at: &TableAt, table: &str) -> Result<Self> {
        let database = match at {
            TableAt::File(path) => Database::open(path)?,
            TableAt::Shared { shared, .. } => Database::shared(shared)?,
        };
        let letters = Self::of(database, at, table);
        if !letters.database.has_table(table)? {
            letters.database.make_schema()?;
            letters.database.write(async |session| letters.create(session).await)?;
        }
        letters.check_columns()?;
        Ok(letters)
    }

    /// Opens a table to look at it; `None` where there is none.
    ///
    /// # Errors
    /// Outside, where it cannot be read; config, where it has other columns.
    pub fn look_at(at: &TableAt, table: &str) -> Result<Option<Self>> {
        let database = match at {
            TableAt::File(path) => Database::look_at(path)?,
            TableAt::Shared { shared, .. } => Some(Database::shared(shared)?),
        };
        let Some(database) = database else { return Ok(None) };
        let letters = Self::of(database, at, table);
        if !letters.database.has_table(table)? {
            return Ok(None);
        }
        letters.check_columns()?;
        Ok(Some(letters))
    }

    fn of(database: Database, at: &TableAt, table: &str) -> Self {
        let (beside, is_shared) = match at {
            TableAt::File(path) => (path.clone(), false),
            TableAt::Shared { shared, folder } => {
                let name = Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{shared} {table}").as_bytes());
                (folder.join("letters").join(name.to_string()), true)
            }
        };
        Self { database, table: table.to_owned(), beside, is_shared, at: at.clone() }
    }

    async fn create(&self, session: &mut Session<'_>) -> sqlx::Result<()> {
        session.lock_for_migration(&format!("letters {}", self.table)).await?;
        // Letters have an order: that in which they came. A file knows it by itself.
        let (order, collation, number) = match session.is_postgres() {
            true => ("position BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE, ", " COLLATE \"C\"", "BIGINT"),
            false => ("", "", "INTEGER"),
        };
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {} ({order}id TEXT{collation} PRIMARY KEY, pipeline TEXT{collation} NOT NULL, record TEXT NOT NULL,
            reason TEXT NOT NULL, message TEXT NOT NULL, error_type TEXT NOT NULL, stage TEXT NOT NULL, metadata TEXT NOT NULL,
            timestamp TEXT NOT NULL, retry_count {number} NOT NULL DEFAULT 0, status TEXT NOT NULL DEFAULT 'pending')",
            self.quoted()
        );
        session.execute(&create, &[]).await.map(|_| ())
    }

    /// What names of files start with that stand beside the queue on this machine.
    pub fn beside(&self) -> &Path {
        &self.beside
    }

    /// Makes the folder in which such files stand.
    ///
    /// # Errors
    /// Outside.
    pub fn make_room(&self) -> Result<()> {
        match self.beside.parent().filter(|folder| self.is_shared && !folder.exists()) {
            Some(folder) => create_folder(folder),
            None => Ok(()),
        }
    }

    /// The database, as a path or a URL without its password.
    pub fn title(&self) -> &str {
        self.database.title()
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// What a person calls it.
    pub fn name(&self) -> String {
        format!("{}, table `{}`", self.title(), self.table)
    }

    /// Keeps others away who replay letters of a pipeline, on whichever machine, until what is answered is dropped; `None` where somebody
    /// is at it. On one machine files are enough for that.
    ///
    /// # Errors
    /// Outside.
    pub(super) fn hold(&self, pipeline: &str) -> Result<Option<Hold>> {
        let TableAt::Shared { shared, .. } = &self.at else { return Ok(Some(Hold(None))) };
        // A connection of its own: the lock is to last for as long as nobody drops it, whatever becomes of the other.
        let database = Database::shared(shared)?;
        let name = format!("replay {} {pipeline}", self.table);
        Ok(database.try_hold(&name)?.then_some(Hold(Some(database))))
    }

    /// Adds letters that stand as JSON lines in files, all or nothing; one whose id is there already is left out.
    ///
    /// # Errors
    /// Outside, where they cannot be written.
    pub fn append(&self, parts: &[PathBuf]) -> Result<()> {
        self.database.write_patiently(async |session| {
            let mut letters = Vec::with_capacity(AT_ONCE);
            for part in parts {
                for line in BufReader::new(File::open(part).map_err(unread)?).lines() {
                    letters.push(serde_json::from_str(&line.map_err(unread)?).map_err(|error| sqlx::Error::Decode(error.into()))?);
                    if letters.len() == AT_ONCE {
                        self.add(&letters, session).await?;
                        letters.clear();
                    }
                }
            }
            self.add(&letters, session).await
        })
    }

    /// Takes the letters of a run away.
    ///
    /// # Errors
    /// Outside.
    pub fn remove_run(&self, pipeline: &str, run_id: &str) -> Result<()> {
        let member = if self.is_shared { "metadata::json ->> 'run'" } else { "json_extract(metadata, '$.run')" };
        let remove = format!("DELETE FROM {} WHERE pipeline = $1 AND {member} = $2", self.quoted());
        self.database.write_patiently(async |session| session.execute(&remove, &[pipeline.into(), run_id.into()]).await.map(|_| ()))
    }

    pub(super) fn each(&self, selection: &Selection, see: &mut dyn FnMut(DeadLetter) -> Result<ControlFlow<()>>) -> Result<()> {
        let mut last = 0;
        loop {
            let page = self.database.read(async |session| self.page(selection, last, "", session).await)?;
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
            "UPDATE {} SET record = $1, reason = $2, message = $3, error_type = $4, stage = $5, metadata = $6, retry_count = $7, status = $8
            WHERE id = $9",
            self.quoted()
        );
        // Whoever else changes letters waits for us, and then sees what we made of them.
        let lock = if self.is_shared { " FOR UPDATE" } else { "" };
        // Not tried again: `change` may count what it sees.
        self.database.write_once(async |session| {
            let mut last = 0;
            loop {
                let page = self.page(selection, last, lock, session).await?;
                let Some((end, _)) = page.last() else { break };
                last = *end;
                for (_, letter) in page {
                    let mut letter = letter.map_err(|error| sqlx::Error::Decode(error.into()))?;
                    if !selection.takes(&letter) || !change(&mut letter) {
                        continue;
                    }
                    let [id, _, record, reason, message, error_type, stage, metadata, _, retry_count, status] = cells(&letter);
                    session.execute(&update, &[record, reason, message, error_type, stage, metadata, retry_count, status, id]).await?;
                }
            }
            for letters in more.chunks(AT_ONCE) {
                self.add(letters, session).await?;
            }
            Ok(())
        })
    }

    async fn add(&self, letters: &[DeadLetter], session: &mut Session<'_>) -> sqlx::Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        let width = COLUMNS.len();
        let row = |row: usize| {
            let marks: Vec<String> = (1..=width).map(|column| format!("${}", row * width + column)).collect();
            format!("({})", marks.join(", "))
        };
        let rows: Vec<String> = (0..letters.len()).map(row).collect();
        let insert = format!("INSERT INTO {} ({}) VALUES {} ON CONFLICT DO NOTHING", self.quoted(), COLUMNS.join(", "), rows.join(", "));
        let cells: Vec<Cell> = letters.iter().flat_map(cells).collect();
        session.execute(&insert, &cells).await.map(|_| ())
    }

    /// The next letters after a place, with the place of each; those that are not meant may be among them.
    async fn page(
        &self,
        selection: &Selection,
        after: i64,
        lock: &str,
        session: &mut Session<'_>,
    ) -> sqlx::Result<Vec<(i64, serde_json::Result<DeadLetter>)>> {
        let order = if self.is_shared { "position" } else { "rowid" };
        let mut cells = vec![Cell::Integer(after)];
        let mut query = format!("SELECT {order}, {} FROM {} WHERE {order} > $1", COLUMNS.join(", "), self.quoted());
        if let Some(pipeline) = &selection.pipeline {
            cells.push(pipeline.as_str().into());
            query.push_str(&format!(" AND pipeline = ${}", cells.len()));
        }
        let mut any = |column: &str, names: Vec<String>| {
            if !names.is_empty() {
                let marks: Vec<String> = (1..=names.len()).map(|name| format!("${}", cells.len() + name)).collect();
                query.push_str(&format!(" AND {column} IN ({})", marks.join(", ")));
                cells.extend(names.into_iter().map(Cell::from));
            }
        };
        any("reason", selection.reasons.iter().map(text).collect());
        any("status", selection.statuses.iter().map(|status| status.name().to_owned()).collect());
        any("stage", selection.stages.clone());
        query.push_str(&format!(" ORDER BY {order} LIMIT {PAGE}{lock}"));
        let rows = session.rows(&query, &cells).await?;
        Ok(rows.into_iter().map(|mut row| (row.integer(0), read(&mut row))).collect())
    }

    fn parsed(&self, letter: serde_json::Result<DeadLetter>) -> Result<DeadLetter> {
        letter.outside(|| format!("a dead letter in {} cannot be read", self.name()))
    }

    fn check_columns(&self) -> Result<()> {
        let there = self.database.columns(&self.table)?;
        let order = self.is_shared.then_some("position");
        let missing: Vec<String> = COLUMNS
            .into_iter()
            .chain(order)
            .filter(|name| !there.iter().any(|there| there == name))
            .map(|name| format!("`{name}`"))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::config(format!("{} is no table of dead letters: it has no column {}", self.name(), missing.join(", ")))
            .hint("name another table under `dlq.table`; one that is not there is made"))
    }

    fn quoted(&self) -> String {
        format!("\"{}\"", self.table.replace('"', "\"\""))
    }
}

/// Keeps others away for as long as it is not dropped.
#[derive(Debug)]
pub struct Hold(#[expect(dead_code, reason = "its connection is what counts")] Option<Database>);

fn unread(error: std::io::Error) -> sqlx::Error {
    sqlx::Error::Decode(format!("dead letters that stand in a file of ours: {error}").into())
}

/// A letter, column by column.
fn cells(letter: &DeadLetter) -> [Cell; COLUMNS.len()] {
    let DeadLetter { id, pipeline, record, reason, message, error_type, stage, metadata, timestamp, retry_count, status } = letter;
    let metadata = serde_json::to_string(metadata).expect("texts and numbers are JSON");
    [
        id.as_str().into(),
        pipeline.as_str().into(),
        record.to_string().into(),
        text(reason).into(),
        message.as_str().into(),
        error_type.as_str().into(),
        stage.as_str().into(),
        metadata.into(),
        timestamp.as_str().into(),
        Cell::Integer((*retry_count).into()),
        status.name().into(),
    ]
}

/// A letter of a row that has its place first.
fn read(row: &mut Row) -> serde_json::Result<DeadLetter> {
    Ok(DeadLetter {
        id: row.text(1),
        pipeline: row.text(2),
        record: serde_json::from_str(&row.text(3))?,
        reason: serde_json::from_value(row.text(4).into())?,
        message: row.text(5),
        error_type: row.text(6),
        stage: row.text(7),
        metadata: serde_json::from_str::<LetterMetadata>(&row.text(8))?,
        timestamp: row.text(9),
        retry_count: row.integer(10).try_into().unwrap_or_default(),
        status: serde_json::from_value::<LetterStatus>(row.text(11).into())?,
    })
}

/// The name of a reason.
fn text(reason: &crate::batch::Reason) -> String {
    serde_json::to_value(reason).ok().and_then(|name| name.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}
