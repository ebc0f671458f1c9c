//! The record of every run: written when it starts and when it ends.
//!
//! A run holds a lock for as long as its process lives. One whose record says `running` and whose lock is free has died without a word;
//! whoever opens the history next writes that down. What the run's own process says at its end counts more than that: the lock of a shared
//! database goes where its connection breaks, though the run goes on.

use std::path::PathBuf;

use chrono::{SecondsFormat, Utc};

use super::database::{Cell, Database, Row, Versions};
use super::home::Home;
use super::journal::Journal;
use super::running::Held;
use super::stats::{Ended, PipelineStats};
use super::unsent;
use crate::error::{Context, Fault, Result};
use crate::report::{ErrorReport, Phase, PhaseStatus, RunReport, Status};

/// The tables.
const VERSIONS: Versions = Versions {
    part: "runs",
    sqlite: &["CREATE TABLE runs (
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
CREATE INDEX runs_open ON runs (run_id) WHERE status = 'running' OR journaled = 0;"],
    // Names and times are compared byte by byte, as SQLite does, whatever the language of the database.
    postgres: &["CREATE TABLE runs (
    run_id TEXT COLLATE \"C\" PRIMARY KEY,
    pipeline TEXT COLLATE \"C\" NOT NULL,
    status TEXT NOT NULL,
    started TEXT COLLATE \"C\" NOT NULL,
    ended TEXT COLLATE \"C\",
    seconds DOUBLE PRECISION NOT NULL,
    rows_read BIGINT NOT NULL,
    rows_loaded BIGINT NOT NULL,
    rows_rejected BIGINT NOT NULL,
    journaled BIGINT NOT NULL DEFAULT 0,
    record TEXT NOT NULL
);
CREATE INDEX runs_by_start ON runs (started);
CREATE INDEX runs_by_pipeline ON runs (pipeline, started);
CREATE INDEX runs_open ON runs (run_id) WHERE status = 'running';"],
};

/// The records of all runs, in a folder or in a database that servers share.
#[derive(Debug)]
pub struct History {
    /// Of this machine: locks, the journal, and what a shared database has not taken yet.
    folder: PathBuf,
    is_shared: bool,
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
    held: Held<'a>,
}

impl History {
    /// Opens the history to write to it, and makes it where there is none.
    ///
    /// # Errors
    /// Outside, where it cannot be written, or was written by a newer version.
    pub fn open(home: &Home) -> Result<Self> {
        let history = Self::of(home, home.open()?)?;
        history.settle()?;
        Ok(history)
    }

    /// Opens the history to look at it; `None` where there is none.
    ///
    /// # Errors
    /// Outside, where it cannot be read, or was written by a newer version.
    pub fn look_at(home: &Home) -> Result<Option<Self>> {
        let Some(database) = home.look_at()? else { return Ok(None) };
        if !database.has_table("runs")? {
            return Ok(None);
        }
        let history = Self::of(home, database)?;
        // A disk that cannot be written is no reason not to read.
        if let Err(error) = history.settle() {
            tracing::debug!(%error, "runs that died cannot be noted");
        }
        Ok(Some(history))
    }

    fn of(home: &Home, database: Database) -> Result<Self> {
        database.migrate(&VERSIONS)?;
        Ok(Self { folder: home.folder.clone(), is_shared: home.shared.is_some(), database })
    }

    /// Writes down that a run has started. One that is resumed goes on with its record.
    ///
    /// # Errors
    /// Outside, where it cannot be written.
    pub fn begin(&self, report: &RunReport) -> Result<Recording<'_>> {
        let held = Held::take(&self.database, &self.folder, self.is_shared, &report.run_id)?;
        // Recorded once the lock is held: nobody may take it for dead.
        self.put(report, Says::Anybody)?;
        Ok(Recording { history: self, held })
    }

    /// The last runs, the latest first.
    ///
    /// # Errors
    /// Outside.
    pub fn runs(&self, filter: &Filter) -> Result<Vec<RunReport>> {
        let Filter { pipeline, status, limit } = filter;
        let (which, mut cells) = narrow(pipeline.as_deref(), *status);
        cells.push(Cell::Integer(limit.map_or(i64::MAX, i64::from)));
        let query = format!("SELECT record FROM runs{which} ORDER BY started DESC, run_id LIMIT ${}", cells.len());
        self.records(&query, &cells)
    }

    /// The runs whose id starts so, at most `most`.
    ///
    /// # Errors
    /// Outside.
    pub fn find(&self, prefix: &str, most: u32) -> Result<Vec<RunReport>> {
        // A comparison of beginnings, since `_` and `%` of LIKE may stand in an id.
        let query = "SELECT record FROM runs WHERE substr(run_id, 1, length($1)) = $1 ORDER BY run_id = $1 DESC, started DESC LIMIT $2";
        self.records(query, &[prefix.into(), Cell::Integer(most.into())])
    }

    /// The last run of the pipeline in a contract directory.
    ///
    /// # Errors
    /// Outside.
    pub fn last_of(&self, directory: &std::path::Path) -> Result<Option<RunReport>> {
        let member = if self.is_shared { "record::json ->> 'directory'" } else { "record ->> '$.directory'" };
        let query = format!("SELECT record FROM runs WHERE {member} = $1 ORDER BY started DESC LIMIT 1");
        Ok(self.records(&query, &[directory.to_string_lossy().into_owned().into()])?.pop())
    }

    /// Ids of the last runs, the latest first.
    ///
    /// # Errors
    /// Outside.
    pub fn ids(&self, most: u32) -> Result<Vec<String>> {
        self.texts("SELECT run_id FROM runs ORDER BY started DESC LIMIT $1", &[Cell::Integer(most.into())])
    }

    /// Names of all pipelines that have run.
    ///
    /// # Errors
    /// Outside.
    pub fn pipelines(&self) -> Result<Vec<String>> {
        self.texts("SELECT DISTINCT pipeline FROM runs ORDER BY pipeline", &[])
    }

    /// What all runs that have ended come to, by pipeline.
    ///
    /// # Errors
    /// Outside.
    pub fn stats(&self, pipeline: Option<&str>) -> Result<Vec<PipelineStats>> {
        let (which, cells) = narrow(pipeline, None);
        let query = format!(
            "SELECT pipeline, status, started, seconds, rows_read, rows_loaded, rows_rejected FROM runs{which} ORDER BY pipeline, started"
        );
        let ended = |mut row: Row| Ended {
            pipeline: row.text(0),
            status: row.text(1),
            started: row.text(2),
            seconds: row.real(3),
            rows: [4, 5, 6].map(|column| row.integer(column) as u64),
        };
        let rows = self.database.read(async |session| session.rows(&query, &cells).await)?;
        Ok(PipelineStats::of(rows.into_iter().map(ended)))
    }

    fn texts(&self, query: &str, cells: &[Cell]) -> Result<Vec<String>> {
        let rows = self.database.read(async |session| session.rows(query, cells).await)?;
        Ok(rows.into_iter().map(|mut row| row.text(0)).collect())
    }

    fn records(&self, query: &str, cells: &[Cell]) -> Result<Vec<RunReport>> {
        // One that a newer etl-host wrote is no reason to show none.
        let known = |record: &String| {
            self.parse(record).inspect_err(|error| tracing::warn!(error = %error.one_line(), "a record is left out")).ok()
        };
        Ok(self.texts(query, cells)?.iter().filter_map(known).collect())
    }

    /// Sends what waits to be sent, notes of runs whose process has died that they failed, and brings the journal up to date.
    fn settle(&self) -> Result<()> {
        unsent::send(&self.folder, |report| self.put(report, Says::ItsProcess))?;
        for record in self.texts("SELECT record FROM runs WHERE status = 'running'", &[])? {
            let Ok(RunReport { run_id, .. }) = self.parse(&record) else { continue };
            let Some(held) = Held::of_dead(&self.database, &self.folder, self.is_shared, &run_id)? else { continue };
            // It may have ended in order since it was looked up.
            let still = self.texts("SELECT record FROM runs WHERE run_id = $1 AND status = 'running'", &[run_id.as_str().into()])?;
            let Some(record) = still.first() else {
                held.end();
                continue;
            };
            let mut report = self.parse(record)?;
            die(&mut report);
            self.put(&report, Says::Anybody)?;
            if self.is_shared {
                self.publish(Some(&report))?;
            }
            // It goes last: whoever comes in between finds it free, and the record ended.
            held.end();
        }
        if self.is_shared { Ok(()) } else { self.publish(None) }
    }

    /// Appends what has ended to the journal of this machine: of a shared database only what this process saw end.
    fn publish(&self, ended: Option<&RunReport>) -> Result<()> {
        if let (true, Some(report)) = (self.is_shared, ended) {
            let record = serde_json::to_string(report).bug(|| "a record is not JSON".into())?;
            if !self.folder.exists() {
                super::database::create_folder(&self.folder)?;
            }
            return Journal::open(&self.folder)?.append(&[(report.run_id.clone(), record)]);
        }
        let waiting = || -> Result<Vec<(String, String)>> {
            let query = "SELECT run_id, record FROM runs WHERE journaled = 0 AND status <> 'running' ORDER BY ended";
            let rows = self.database.read(async |session| session.rows(query, &[]).await)?;
            Ok(rows.into_iter().map(|mut row| (row.text(0), row.text(1))).collect())
        };
        if waiting()?.is_empty() {
            return Ok(());
        }
        // What is waiting is looked up again under the lock: another process may have appended it.
        let journal = Journal::open(&self.folder)?;
        let records = waiting()?;
        journal.append(&records)?;
        self.database.write(async |session| {
            for (run_id, _) in &records {
                session.execute("UPDATE runs SET journaled = 1 WHERE run_id = $1", &[run_id.as_str().into()]).await?;
            }
            Ok(())
        })
    }

    /// Writes a record. That of a run which has ended is changed only where the run goes on, or its own process says how it ended.
    fn put(&self, report: &RunReport, who: Says) -> Result<()> {
        let record = serde_json::to_string(report).bug(|| "a record is not JSON".into())?;
        let change = "INSERT INTO runs (run_id, pipeline, status, started, ended, seconds, rows_read, rows_loaded, rows_rejected, record)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            ON CONFLICT (run_id) DO UPDATE SET pipeline = $2, status = $3, started = $4, ended = $5, seconds = $6, rows_read = $7,
            rows_loaded = $8, rows_rejected = $9, record = $10, journaled = 0 WHERE runs.status = 'running' OR $3 = 'running' OR $11 = 1";
        let RunReport { run_id, pipeline, started, ended, seconds, rows, .. } = report;
        let mut cells: Vec<Cell> = vec![run_id.as_str().into(), pipeline.as_str().into(), report.status.name().into()];
        cells.extend([started.as_str().into(), ended.into(), Cell::Real(*seconds), rows.read.into(), rows.loaded.into()]);
        cells.extend([rows.rejected.into(), record.into(), Cell::Integer(i64::from(who == Says::ItsProcess))]);
        self.database.write(async |session| session.execute(change, &cells).await.map(|_| ()))
    }

    fn parse(&self, record: &str) -> Result<RunReport> {
        serde_json::from_str(record).outside(|| format!("a record in `{}` cannot be read", self.database.title()))
    }
}

/// Who says how a run is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    /// Whoever thinks so.
    Anybody,
    /// The process that ran it.
    ItsProcess,
}

impl Recording<'_> {
    /// Writes down how the run has ended.
    ///
    /// # Errors
    /// Outside, where it cannot be written; it then looks as if its process had died. What a shared database does not take waits in the
    /// state folder for the next one that opens the history here.
    pub fn end(self, report: &RunReport) -> Result<()> {
        let Self { history, held } = self;
        if let Err(error) = history.put(report, Says::ItsProcess) {
            if !history.is_shared {
                return Err(error);
            }
            unsent::keep(&history.folder, report)?;
            tracing::warn!(error = %error.one_line(), "the record of this run waits here until the shared database takes it");
            return history.publish(Some(report));
        }
        held.end();
        history.publish(Some(report))
    }
}

/// Which runs are meant, for a query, and its values.
fn narrow(pipeline: Option<&str>, status: Option<Status>) -> (String, Vec<Cell>) {
    let (mut which, mut cells) = (String::new(), Vec::new());
    for (column, value) in [("pipeline", pipeline), ("status", status.map(Status::name))] {
        if let Some(value) = value {
            cells.push(value.into());
            let word = if which.is_empty() { "WHERE" } else { "AND" };
            which.push_str(&format!(" {word} {column} = ${}", cells.len()));
        }
    }
    (which, cells)
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
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::state::FILE;

    fn running(run_id: &str) -> RunReport {
        RunReport { run_id: run_id.into(), pipeline: "orders".into(), started: "2026-01-31T00:00:00.000Z".into(), ..RunReport::default() }
    }

    #[test]
    fn tables_of_a_newer_version_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(&Home::of(folder.path())).unwrap();
        history.database.write(async |session| session.execute("PRAGMA user_version = 9", &[]).await).unwrap();
        for error in [History::open(&Home::of(folder.path())).unwrap_err(), History::look_at(&Home::of(folder.path())).unwrap_err()] {
            let hint = "use the newer etl-host, or another place by `--state-dir` or `--state-url`";
            assert!(error.one_line().contains("(version 9 of its tables, this one knows 1)"), "{error:?}");
            assert_eq!(error.find_hint(), Some(hint));
        }
    }

    #[test]
    fn a_run_is_dead_once_nobody_holds_its_lock_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(&Home::of(folder.path())).unwrap();
        let recording = history.begin(&running("r1")).unwrap();
        let status = |history: &History| history.runs(&Filter::default()).unwrap()[0].status;
        // Another process looks.
        assert_eq!(status(&History::look_at(&Home::of(folder.path())).unwrap().unwrap()), Status::Running);
        assert!(history.begin(&running("r1")).unwrap_err().one_line().contains("another process is running `r1`"));
        drop(recording);
        assert_eq!(status(&History::look_at(&Home::of(folder.path())).unwrap().unwrap()), Status::Failed);
        assert!(fs::read_dir(folder.path().join("running")).unwrap().next().is_none());
        // One that is resumed goes on with its record, and ends as it does.
        let recording = history.begin(&running("r1")).unwrap();
        assert_eq!(status(&history), Status::Running);
        recording.end(&RunReport { status: Status::Success, seconds: 1.5, ..running("r1") }).unwrap();
        assert_eq!(status(&History::open(&Home::of(folder.path())).unwrap()), Status::Success);
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
        let error = History::open(&Home::of(folder.path())).unwrap_err();
        assert_eq!(error.find_hint(), Some("it is damaged or no SQLite database: move it away, a new one is made"), "{error:?}");
        assert_eq!(fs::read(&file).unwrap(), before);
    }
}
