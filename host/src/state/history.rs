//! The record of every run: written when it starts and when it ends.
//!
//! A run holds a lock file for as long as its process lives. One whose record says `running` and whose lock is free has died without a
//! word; whoever opens the history next writes that down.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, QueryBuilder, Row, Sqlite};
use uuid::Uuid;

use super::FILE;
use super::database::{Database, create_folder};
use super::journal::Journal;
use super::stats::{Ended, PipelineStats};
use crate::error::{Context, Error, Fault, Result};
use crate::report::{ErrorReport, Phase, PhaseStatus, RunReport, Status};

/// What each version of the tables changed.
const VERSIONS: [&str; 1] = ["CREATE TABLE runs (
    run_id TEXT PRIMARY KEY,
    pipeline TEXT NOT NULL,
    status TEXT NOT NULL,
    started TEXT NOT NULL,
    ended TEXT,
    seconds REAL NOT NULL,
    rows_read INTEGER NOT NULL,
    rows_loaded INTEGER NOT NULL,
    rows_rejected INTEGER NOT NULL,
    journaled INTEGER NOT NULL DEFAULT 0,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX runs_by_start ON runs (started);
CREATE INDEX runs_by_pipeline ON runs (pipeline, started);
CREATE INDEX runs_open ON runs (run_id) WHERE status = 'running' OR journaled = 0;"];

/// The records of all runs, in a folder.
#[derive(Debug)]
pub struct History {
    folder: PathBuf,
    database: Database,
}

/// Which runs to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this pipeline only.
    pub pipeline: Option<String>,
    /// Of this status only.
    pub status: Option<Status>,
    /// So many at most, the last ones.
    pub limit: Option<u32>,
}

/// A run that is being recorded; its lock is held until this is dropped.
#[derive(Debug)]
pub struct Recording<'a> {
    history: &'a History,
    lock: PathBuf,
    _held: File,
}

impl History {
    /// Opens the history of a state folder to write to it, and makes it where there is none.
    ///
    /// # Errors
    /// Outside, where it cannot be written, or was written by a newer version.
    pub fn open(folder: &Path) -> Result<Self> {
        let database = Database::open(&folder.join(FILE))?;
        database.migrate(&VERSIONS)?;
        let history = Self { folder: folder.to_owned(), database };
        history.settle()?;
        Ok(history)
    }

    /// Opens the history of a state folder to look at it; `None` where there is none.
    ///
    /// # Errors
    /// Outside, where it cannot be read, or was written by a newer version.
    pub fn look_at(folder: &Path) -> Result<Option<Self>> {
        let Some(database) = Database::look_at(&folder.join(FILE))? else { return Ok(None) };
        let has_runs = "SELECT count(*) FROM sqlite_schema WHERE name = 'runs'";
        if database.read(async |connection| sqlx::query_scalar::<_, i64>(has_runs).fetch_one(connection).await)? == 0 {
            return Ok(None);
        }
        database.migrate(&VERSIONS)?;
        let history = Self { folder: folder.to_owned(), database };
        // A disk that cannot be written is no reason not to read.
        if let Err(error) = history.settle() {
            tracing::debug!(%error, "runs that died cannot be noted");
        }
        Ok(Some(history))
    }

    /// Writes down that a run has started. One that is resumed goes on with its record.
    ///
    /// # Errors
    /// Outside, where it cannot be written.
    pub fn begin(&self, report: &RunReport) -> Result<Recording<'_>> {
        let lock = self.lock_of(&report.run_id);
        if let Some(folder) = lock.parent().filter(|folder| !folder.exists()) {
            create_folder(folder)?;
        }
        let held = hold(&lock, &report.run_id)?;
        // Recorded once the lock is held: nobody may take it for dead.
        self.put(report)?;
        Ok(Recording { history: self, lock, _held: held })
    }

    /// The last runs, the latest first.
    ///
    /// # Errors
    /// Outside.
    pub fn runs(&self, filter: &Filter) -> Result<Vec<RunReport>> {
        let Filter { pipeline, status, limit } = filter;
        let mut query = QueryBuilder::<Sqlite>::new("SELECT record FROM runs");
        narrow(&mut query, pipeline.as_deref(), *status);
        query.push(" ORDER BY started DESC, run_id LIMIT ").push_bind(limit.map_or(-1, i64::from));
        let records = self.database.read(async |connection| query.build_query_scalar::<String>().fetch_all(connection).await)?;
        records.iter().map(|record| self.parse(record)).collect()
    }

    /// The runs whose id starts so, at most `most`.
    ///
    /// # Errors
    /// Outside.
    pub fn find(&self, prefix: &str, most: u32) -> Result<Vec<RunReport>> {
        // A range, since `_` and `%` of LIKE may stand in an id.
        let query = "SELECT record FROM runs WHERE substr(run_id, 1, length(?1)) = ?1 ORDER BY run_id = ?1 DESC, started DESC LIMIT ?2";
        let found = async |connection: &mut SqliteConnection| {
            sqlx::query_scalar::<_, String>(query).bind(prefix).bind(i64::from(most)).fetch_all(connection).await
        };
        self.database.read(found)?.iter().map(|record| self.parse(record)).collect()
    }

    /// The last run of the pipeline in a contract directory.
    ///
    /// # Errors
    /// Outside.
    pub fn last_of(&self, directory: &Path) -> Result<Option<RunReport>> {
        let query = "SELECT record FROM runs WHERE record ->> '$.directory' = ? ORDER BY started DESC LIMIT 1";
        let directory = directory.to_string_lossy().into_owned();
        let found = async |connection: &mut SqliteConnection| {
            sqlx::query_scalar::<_, String>(query).bind(&directory).fetch_optional(connection).await
        };
        self.database.read(found)?.map(|record| self.parse(&record)).transpose()
    }

    /// Ids of the last runs, the latest first.
    ///
    /// # Errors
    /// Outside.
    pub fn ids(&self, most: u32) -> Result<Vec<String>> {
        let query = "SELECT run_id FROM runs ORDER BY started DESC LIMIT ?";
        self.database.read(async |connection| sqlx::query_scalar(query).bind(i64::from(most)).fetch_all(connection).await)
    }

    /// Names of all pipelines that have run.
    ///
    /// # Errors
    /// Outside.
    pub fn pipelines(&self) -> Result<Vec<String>> {
        let query = "SELECT DISTINCT pipeline FROM runs ORDER BY pipeline";
        self.database.read(async |connection| sqlx::query_scalar(query).fetch_all(connection).await)
    }

    /// What all runs that have ended come to, by pipeline.
    ///
    /// # Errors
    /// Outside.
    pub fn stats(&self, pipeline: Option<&str>) -> Result<Vec<PipelineStats>> {
        let mut query =
            QueryBuilder::<Sqlite>::new("SELECT pipeline, status, started, seconds, rows_read, rows_loaded, rows_rejected FROM runs");
        narrow(&mut query, pipeline, None);
        query.push(" ORDER BY pipeline, started");
        let ended = |row: SqliteRow| Ended {
            pipeline: row.get(0),
            status: row.get(1),
            started: row.get(2),
            seconds: row.get(3),
            rows: [4, 5, 6].map(|column| row.get::<i64, _>(column) as u64),
        };
        let rows = self.database.read(async |connection| query.build().fetch_all(connection).await)?;
        Ok(PipelineStats::of(rows.into_iter().map(ended)))
    }

    /// Notes of runs whose process has died that they failed, and brings the journal up to date.
    fn settle(&self) -> Result<()> {
        let open = "SELECT record FROM runs WHERE status = 'running'";
        let records = self.database.read(async |connection| sqlx::query_scalar::<_, String>(open).fetch_all(connection).await)?;
        for record in records {
            let mut report = self.parse(&record)?;
            let lock = self.lock_of(&report.run_id);
            let held = match File::options().write(true).open(&lock) {
                Ok(file) => match file.try_lock() {
                    Ok(()) => Some(file),
                    Err(_) => continue,
                },
                Err(_) => None,
            };
            die(&mut report);
            self.put(&report)?;
            // It goes last: whoever comes in between finds it free, and the record ended.
            let _ = fs::remove_file(&lock);
            drop(held);
        }
        self.publish()
    }

    /// Appends what has ended to the journal.
    fn publish(&self) -> Result<()> {
        let waiting = "SELECT run_id, record FROM runs WHERE journaled = 0 AND status <> 'running' ORDER BY ended";
        let read = async |connection: &mut SqliteConnection| sqlx::query(waiting).fetch_all(connection).await;
        if self.database.read(read)?.is_empty() {
            return Ok(());
        }
        // What is waiting is looked up again under the lock: another process may have appended it.
        let journal = Journal::open(&self.folder)?;
        let records: Vec<(String, String)> = self.database.read(read)?.into_iter().map(|row| (row.get(0), row.get(1))).collect();
        journal.append(&records)?;
        self.database.write(async |connection| {
            for (run_id, _) in &records {
                sqlx::query("UPDATE runs SET journaled = 1 WHERE run_id = ?").bind(run_id).execute(&mut *connection).await?;
            }
            Ok(())
        })
    }

    /// Writes a record. That of a run which has ended is changed only where the run goes on.
    fn put(&self, report: &RunReport) -> Result<()> {
        let record = serde_json::to_string(report).bug(|| "a record is not JSON".into())?;
        let change = "INSERT INTO runs (run_id, pipeline, status, started, ended, seconds, rows_read, rows_loaded, rows_rejected, record)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
            ON CONFLICT (run_id) DO UPDATE SET pipeline = ?2, status = ?3, started = ?4, ended = ?5, seconds = ?6, rows_read = ?7,
            rows_loaded = ?8, rows_rejected = ?9, record = ?10, journaled = 0 WHERE status = 'running' OR ?3 = 'running'";
        self.database.write(async |connection| {
            let query = sqlx::query(AssertSqlSafe(change)).bind(&report.run_id).bind(&report.pipeline).bind(report.status.name());
            let query = query.bind(&report.started).bind(&report.ended).bind(report.seconds);
            let rows = [report.rows.read, report.rows.loaded, report.rows.rejected];
            rows.into_iter().fold(query, |query, rows| query.bind(rows as i64)).bind(&record).execute(connection).await.map(|_| ())
        })
    }

    fn parse(&self, record: &str) -> Result<RunReport> {
        serde_json::from_str(record).outside(|| format!("a record in `{}` cannot be read", self.database.path().display()))
    }

    /// The file that a run holds for as long as its process lives.
    fn lock_of(&self, run_id: &str) -> PathBuf {
        // An id may be any text.
        let name = Uuid::new_v5(&Uuid::NAMESPACE_OID, run_id.as_bytes());
        self.folder.join("running").join(name.to_string())
    }
}

impl Recording<'_> {
    /// Writes down how the run has ended.
    ///
    /// # Errors
    /// Outside, where it cannot be written; it then looks as if its process had died.
    pub fn end(self, report: &RunReport) -> Result<()> {
        self.history.put(report)?;
        let _ = fs::remove_file(&self.lock);
        self.history.publish()
    }
}

/// Adds to a query which runs are meant.
fn narrow(query: &mut QueryBuilder<Sqlite>, pipeline: Option<&str>, status: Option<Status>) {
    let mut word = " WHERE ";
    for (column, value) in [("pipeline", pipeline), ("status", status.map(Status::name))] {
        if let Some(value) = value {
            query.push(word).push(column).push(" = ").push_bind(value.to_owned());
            word = " AND ";
        }
    }
}

/// Takes the lock of a run.
fn hold(lock: &Path, run_id: &str) -> Result<File> {
    let cannot = || format!("cannot hold `{}`", lock.display());
    for _ in 0..100 {
        let held = File::options().create(true).truncate(false).write(true).open(lock).outside(cannot)?;
        match held.try_lock() {
            // Whoever notes that an earlier process died removes the file.
            Ok(()) if is_same(&held, lock) => return Ok(held),
            Ok(()) => {}
            // They may be at it this moment.
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::Error(error)) => return Err(Error::outside(cannot()).because(error)),
        }
    }
    Err(Error::outside(format!("another process is running `{run_id}`")))
}

/// Whether a path still names an open file.
fn is_same(file: &File, path: &Path) -> bool {
    let same = |open: fs::Metadata, named: fs::Metadata| (open.dev(), open.ino()) == (named.dev(), named.ino());
    file.metadata().ok().zip(fs::metadata(path).ok()).is_some_and(|(open, named)| same(open, named))
}

/// Makes of the record of a run that was running one of a run that died; when, nobody knows, so that it ends when this is noticed.
fn die(report: &mut RunReport) {
    let message = "its process ended without a word: it was killed, the machine went down, or its end could not be recorded";
    report.status = Status::Failed;
    report.ended = Some(Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true));
    let hint = "nothing of a run that was killed is seen in its output; run it again";
    for Phase { status, error, .. } in &mut report.phases {
        match status {
            PhaseStatus::Running => (*status, *error) = (PhaseStatus::Failed, Some(message.into())),
            PhaseStatus::Pending => *status = PhaseStatus::Skipped,
            _ => {}
        }
    }
    report.error = Some(ErrorReport { kind: Fault::Outside, phase: None, message: message.into(), hint: Some(hint.into()) });
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn running(run_id: &str) -> RunReport {
        RunReport { run_id: run_id.into(), pipeline: "orders".into(), started: "2026-01-31T00:00:00.000Z".into(), ..RunReport::default() }
    }

    #[test]
    fn tables_of_a_newer_version_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path()).unwrap();
        history.database.write(async |connection| sqlx::query("PRAGMA user_version = 9").execute(connection).await).unwrap();
        for error in [History::open(folder.path()).unwrap_err(), History::look_at(folder.path()).unwrap_err()] {
            let hint = "use the newer etl-host, or another folder by `--state-dir`";
            assert!(error.one_line().contains("(version 9 of its tables, this one knows 1)"), "{error:?}");
            assert_eq!(error.find_hint(), Some(hint));
        }
    }

    #[test]
    fn a_run_is_dead_once_nobody_holds_its_lock_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path()).unwrap();
        let recording = history.begin(&running("r1")).unwrap();
        let status = |history: &History| history.runs(&Filter::default()).unwrap()[0].status;
        // Another process looks.
        assert_eq!(status(&History::look_at(folder.path()).unwrap().unwrap()), Status::Running);
        assert!(history.begin(&running("r1")).unwrap_err().one_line().contains("another process is running `r1`"));
        drop(recording);
        assert_eq!(status(&History::look_at(folder.path()).unwrap().unwrap()), Status::Failed);
        assert!(fs::read_dir(folder.path().join("running")).unwrap().next().is_none());
        // One that is resumed goes on with its record, and ends as it does.
        let recording = history.begin(&running("r1")).unwrap();
        assert_eq!(status(&history), Status::Running);
        recording.end(&RunReport { status: Status::Success, seconds: 1.5, ..running("r1") }).unwrap();
        assert_eq!(status(&History::open(folder.path()).unwrap()), Status::Success);
        let journal = fs::read_to_string(folder.path().join("runs.jsonl")).unwrap();
        assert_eq!(journal.lines().map(|line| line.contains("\"status\":\"success\"")).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_file_that_is_no_database_is_told_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        fs::write(&file, "not a database, but long enough to be looked at as one, which is what this text is for\n".repeat(20)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let before = fs::read(&file).unwrap();
        let error = History::open(folder.path()).unwrap_err();
        assert_eq!(error.find_hint(), Some("it is damaged or no SQLite database: move it away, a new one is made"), "{error:?}");
        assert_eq!(fs::read(&file).unwrap(), before);
    }
}
