//! One process at work on a run that keeps checkpoints.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};

use super::store::Store;
use super::{Basis, Checkpoint, Phase, Reached, Totals};
use crate::config::load::Sink;
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::report::CheckpointReport;
use crate::run::RunOptions;
use crate::sink::{Staged, dead_letters};
use crate::source::Split;

/// How a run keeps checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoints {
    /// The folder in which each checkpoint has one of its own.
    pub folder: PathBuf,
    /// Name of this one: letters, digits, `-`, `_`, `.`.
    pub id: String,
    /// Batches from one checkpoint to the next.
    pub interval: NonZeroUsize,
    /// What to do with one that is there.
    pub start: Start,
    /// Whether to go on though the configuration, a component or the input has changed.
    pub force: bool,
}

impl Checkpoints {
    /// Whether there is an unfinished run to go on with, which no process is at work on.
    pub fn is_unfinished(&self) -> bool {
        let Ok(store) = Store::open(&self.folder, &self.id) else { return false };
        store.has_marks()
    }

    /// Those of a transformer, where there are several.
    #[must_use]
    pub fn of(&self, plan: &Plan) -> Self {
        Self { id: plan.named(&self.id), ..self.clone() }
    }

    /// Whether there is a checkpoint at all.
    pub(in crate::run) fn is_there(&self) -> bool {
        ["current", "previous"].iter().any(|name| self.folder.join(&self.id).join(name).exists())
    }

    /// Whether the run is complete of which there is a checkpoint.
    ///
    /// # Errors
    /// Where the checkpoint cannot be read, or another process works on the run.
    pub(in crate::run) fn is_done(&self) -> Result<bool> {
        Ok(self.is_there() && Store::open(&self.folder, &self.id)?.load()?.is_some_and(|found| found.is_done()))
    }

    /// What a report says of it, where no run has said more.
    pub fn report(&self) -> CheckpointReport {
        let Self { folder, id, .. } = self;
        CheckpointReport { id: id.clone(), folder: folder.join(id), resumed: 0, written: 0, already_complete: false }
    }
}

/// What to do with a checkpoint that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Start a run, unless another is unfinished.
    #[default]
    New,
    /// Go on with the run; where it is complete, say so; where there is none, fail.
    Resume,
    /// Go on with the run where it is unfinished, else start one.
    ResumeUnfinished,
    /// Go on with the run; where it is complete, say so; where there is none, start one.
    ResumeOrStart,
    /// Discard it and start a run.
    Restart,
}

/// A run that keeps checkpoints, and the one to go on from.
pub(in crate::run) struct Opened {
    pub(in crate::run) session: Session,
    pub(in crate::run) from: Option<Checkpoint>,
    /// The run that was discarded: its id and start.
    pub(in crate::run) discarded: Option<(String, DateTime<Utc>)>,
}

/// One process at work on a run that keeps checkpoints; it holds the lock.
pub(in crate::run) struct Session {
    store: Store,
    checkpoints: Checkpoints,
    run_id: String,
    started: DateTime<Utc>,
    seed: Option<u64>,
    basis: Basis,
    splits: Vec<Split>,
    learned: Option<String>,
    /// Number of the last checkpoint.
    number: u64,
    resumed: u32,
    written: u64,
}

impl Session {
    /// Opens the checkpoint that a run is to keep; none where it keeps none.
    ///
    /// # Errors
    /// Config, where what is there and what is asked for do not go together; outside, where another process works on the run.
    pub(in crate::run) fn open(options: &RunOptions, plan: &Plan) -> Result<Option<Opened>> {
        let Some(checkpoints) = options.checkpoints.as_ref().filter(|_| !options.dry_run) else { return Ok(None) };
        let Checkpoints { folder, id, start, .. } = checkpoints;
        let store = Store::open(folder, id)?;
        let found = match store.load() {
            Err(error) if *start == Start::Restart => {
                tracing::warn!(error = %error.one_line(), "what cannot be read is discarded");
                None
            }
            found => found?,
        };
        let mut discarded = None;
        let from = match (found, start) {
            (None, Start::Resume) => {
                return Err(Error::config(format!("there is no checkpoint `{id}` in `{}` to go on from", folder.display()))
                    .hint("a run without `--resume` starts one; a checkpoint belongs to the pipeline and its parameters, or to its `--checkpoint-id`"));
            }
            (Some(found), Start::Resume | Start::ResumeOrStart) => Some(found),
            (Some(found), Start::ResumeUnfinished) if !found.is_done() => Some(found),
            (Some(found), Start::New) if !found.is_done() => {
                let rows = found.totals.rows.read;
                return Err(Error::config(format!(
                    "the checkpoint `{id}` holds a run that is not finished: started {}, {rows} rows read",
                    found.started.split('.').next().unwrap_or_default()
                ))
                .hint("`--resume` goes on with it, `--restart` discards it and starts from the first row"));
            }
            (Some(found), Start::Restart) if !found.is_done() && found.number > 1 && !checkpoints.force && shows_as_it_goes(&plan.sink) => {
                let loaded = found.totals.rows.loaded;
                return Err(Error::config(format!(
                    "the run that `--restart` discards has put about {loaded} rows into {}, which would be there twice",
                    plan.sink.title()
                ))
                .hint("`--resume` goes on with it; to start again, delete those rows and say `--restart --force`"));
            }
            (Some(found), Start::Restart) if !found.is_done() => {
                discarded = started(&found).ok().map(|started| (found.run_id, started));
                None
            }
            _ => None,
        };
        let session = match &from {
            Some(from) => Self {
                run_id: from.run_id.clone(),
                started: started(from)?,
                seed: from.seed,
                splits: from.splits.clone(),
                learned: from.learned.clone(),
                number: from.number,
                resumed: from.resumed + u32::from(!from.is_done()),
                checkpoints: checkpoints.clone(),
                basis: Basis::default(),
                written: 0,
                store,
            },
            None => {
                store.remove_marks()?;
                store.clear()?;
                Self {
                    run_id: options.run_id.clone(),
                    started: options.started,
                    seed: options.seed,
                    splits: Vec::new(),
                    learned: None,
                    number: 0,
                    resumed: 0,
                    checkpoints: checkpoints.clone(),
                    basis: Basis::default(),
                    written: 0,
                    store,
                }
            }
        };
        Ok(Some(Opened { session, from, discarded }))
    }

    /// The options of the run that this process is at work on: its id and its start are those of the first process.
    pub(in crate::run) fn options(&self, options: &RunOptions) -> RunOptions {
        RunOptions { run_id: self.run_id.clone(), started: self.started, seed: self.seed, ..options.clone() }
    }

    /// Makes a run that is about to start a part of one that was begun before.
    pub(in crate::run) fn join(&mut self, run_id: String, started: DateTime<Utc>, seed: Option<u64>) {
        (self.run_id, self.started, self.seed) = (run_id, started, seed);
    }

    /// Starts to keep checkpoints of a run.
    pub(in crate::run) fn begin(&mut self, basis: Basis, splits: &[Split], learned: Option<String>) {
        self.basis = basis;
        self.splits = splits.to_vec();
        self.learned = learned;
    }

    /// Holds what the run depends on to what it was when the run was interrupted.
    ///
    /// # Errors
    /// Config, with what has changed.
    pub(in crate::run) fn compare(&self, from: &Checkpoint, now: &Basis) -> Result<()> {
        let changes = from.basis.changes(now);
        if changes.is_empty() {
            return Ok(());
        }
        if self.checkpoints.force {
            for change in changes {
                tracing::warn!(change, "the run goes on though something has changed since it was interrupted");
            }
            return Ok(());
        }
        let id = &self.checkpoints.id;
        Err(Error::config(format!("the checkpoint `{id}` cannot be gone on from: {}", changes.join("; ")))
            .hint("put it back as it was, go on all the same with `--force`, or start again from the first row with `--restart`"))
    }

    /// The checkpoint up to which a sink that shows rows as it goes has shown them: the last, or the one before it.
    ///
    /// # Errors
    /// Config, where it is neither.
    pub(in crate::run) fn settled(&mut self, last: Checkpoint, number: u64) -> Result<Checkpoint> {
        // Before the first one is settled nothing was read either.
        if last.number == number || number == 0 && last.number == 1 {
            return Ok(last);
        }
        match self.store.step_back()? {
            Some(before) if before.number == number => {
                self.number = number;
                Ok(before)
            }
            _ => {
                let id = &self.checkpoints.id;
                Err(Error::config(format!(
                    "the checkpoint `{id}` is number {} of its run, but the rows that are there are those up to number {number}",
                    last.number
                ))
                .hint("somebody has put another checkpoint or another database in place; `--restart` starts again from the first row"))
            }
        }
    }

    /// Writes a checkpoint; answers its number.
    pub(in crate::run) fn write(
        &mut self,
        phase: Phase,
        staged: &[Staged],
        reached: Option<Reached>,
        letters: Vec<dead_letters::Flushed>,
        totals: Totals,
    ) -> Result<u64> {
        let rfc3339 = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Nanos, true);
        let checkpoint = Checkpoint {
            run_id: self.run_id.clone(),
            started: rfc3339(self.started),
            seed: self.seed,
            written: rfc3339(Utc::now()),
            number: self.number + 1,
            resumed: self.resumed,
            basis: self.basis.clone(),
            phase,
            splits: self.splits.clone(),
            learned: self.learned.clone(),
            staged: staged.to_vec(),
            reached,
            letters,
            totals,
        };
        self.store.write(checkpoint)?;
        self.number += 1;
        self.written += 1;
        Ok(self.number)
    }

    /// Makes the file that keeps what the run has staged while it is there.
    pub(in crate::run) fn make_mark(&self) -> Result<PathBuf> {
        self.store.make_mark(&self.run_id)
    }

    /// Whether that file is there.
    pub(in crate::run) fn is_marked(&self) -> bool {
        self.store.mark(&self.run_id).exists()
    }

    /// Lets go of what is kept.
    pub(in crate::run) fn remove_mark(&self) -> Result<()> {
        self.store.remove_marks()
    }

    /// Forgets the run: nothing of it is to be gone on with.
    pub(in crate::run) fn forget(&self) -> Result<()> {
        self.store.remove_marks()?;
        self.store.clear()
    }

    /// Batches from one checkpoint to the next.
    pub(in crate::run) fn interval(&self) -> NonZeroUsize {
        self.checkpoints.interval
    }

    /// Where rows stand that wait for their columns.
    pub(in crate::run) fn rows(&self) -> PathBuf {
        self.store.rows()
    }

    /// Whether there is more to go on from than the start.
    pub(in crate::run) fn has_progress(&self) -> bool {
        self.number > 1
    }

    pub(in crate::run) fn report(&self, already_complete: bool) -> CheckpointReport {
        CheckpointReport {
            id: self.checkpoints.id.clone(),
            folder: Path::new(self.store.folder()).to_owned(),
            resumed: self.resumed,
            written: self.written,
            already_complete,
        }
    }
}

/// Whether rows of a run that keeps checkpoints are seen before it ends, and are there twice where it is done twice.
fn shows_as_it_goes(sink: &Sink) -> bool {
    matches!(sink, Sink::Database(_)) && sink.adds()
}

fn started(checkpoint: &Checkpoint) -> Result<DateTime<Utc>> {
    checkpoint.started.parse().map_err(|_| Error::outside(format!("the checkpoint says that the run started at `{}`", checkpoint.started)))
}
