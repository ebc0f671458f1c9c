//! The books of a run while it is at work: what it came to so far, in memory and in its checkpoints.

use std::time::{Duration, Instant};

use super::checkpoint::{Phase, Reached, Session, Totals};
use super::letters::Letters;
use super::split::{SplitReport, Watcher, merge};
use super::{SAMPLES, process};
use crate::batch::Reject;
use crate::error::Result;
use crate::report::{DeadLetterReport, PhaseName, Progress, StageReport};
use crate::sink::{Sink, Staged};
use crate::source::Newer;

/// The least time between two looks at the progress.
const LOOK: Duration = Duration::from_millis(50);

/// The books of a run.
pub(super) struct Ledger<'a> {
    pub(super) letters: &'a Letters,
    pub(super) session: Option<&'a mut Session>,
    pub(super) sink: &'a dyn Sink,
    pub(super) on_progress: &'a mut dyn FnMut(&Progress),
    /// The split that is worked on.
    pub(super) split: usize,
    /// All there are.
    pub(super) splits: usize,
    /// What was told of the progress at last.
    pub(super) last: Progress,
    /// How the rows are pulled.
    pub(super) mode: &'static str,
    /// What the splits before it have staged.
    pub(super) staged: Vec<Staged>,
    /// What they came to, dead letters of this split included.
    pub(super) totals: Totals,
    /// The source, where it takes newer rows only.
    pub(super) newer: Option<&'a Newer>,
    /// When this process began.
    pub(super) clock: Instant,
    pub(super) looked: Instant,
}

impl Ledger<'_> {
    /// What the run came to with a split that is under way.
    fn totals_with(&self, report: &SplitReport) -> Totals {
        let mut totals = self.totals.clone();
        totals.add(report);
        totals.elapsed += self.clock.elapsed().as_secs_f64();
        totals.mark = self.newer.and_then(Newer::mark);
        totals
    }

    /// Notes that a split is done.
    pub(super) fn done(&mut self, report: SplitReport) {
        self.totals.add(&report);
        self.staged.extend(report.staged);
    }

    /// Tells that the rows are shown now.
    pub(super) fn loading(&mut self) {
        (self.on_progress)(&Progress {
            stage: PhaseName::Load,
            rows: self.totals.rows,
            batches: self.totals.batches,
            seconds: self.totals.elapsed + self.clock.elapsed().as_secs_f64(),
            memory_mb: process::memory_mb(),
            fuel: std::mem::take(&mut self.last.fuel),
            share: Some(1.0),
            mode: self.mode,
        });
    }

    /// Writes a checkpoint between splits, where they are kept.
    pub(super) fn note(&mut self, phase: Phase) -> Result<()> {
        self.totals.mark = self.newer.and_then(Newer::mark);
        let Some(session) = &mut self.session else { return Ok(()) };
        let mut totals = self.totals.clone();
        totals.elapsed += self.clock.elapsed().as_secs_f64();
        let number = session.write(phase, &self.staged, None, self.letters.flush()?, totals)?;
        self.sink.settle(number)
    }
}

impl Watcher for Ledger<'_> {
    fn rejects(&mut self, rejects: &[Reject]) -> Result<()> {
        rejects.iter().for_each(|reject| count(&mut self.totals.dead_letters, reject));
        self.letters.write(self.split, rejects)
    }

    fn progress(&mut self, progress: &mut Progress) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        progress.rows.add(&self.totals.rows);
        progress.batches += self.totals.batches;
        progress.seconds = self.totals.elapsed + self.clock.elapsed().as_secs_f64();
        progress.memory_mb = process::memory_mb();
        progress.mode = self.mode;
        // Splits are about the same size.
        progress.share = progress.share.map(|share| (self.split as f64 + share) / self.splits as f64);
        self.last.clone_from(progress);
        (self.on_progress)(progress);
    }

    fn checkpoint(&mut self, so_far: &SplitReport, reached: Reached) -> Result<()> {
        let totals = self.totals_with(so_far);
        let Some(session) = &mut self.session else { return Ok(()) };
        let number = session.write(Phase::Working, &self.staged, Some(reached), self.letters.flush()?, totals)?;
        self.sink.settle(number)
    }
}

impl Totals {
    /// Those of a run that has not begun.
    pub(super) fn new(stages: &[StageReport]) -> Self {
        Self { stages: stages.to_vec(), ..Self::default() }
    }

    /// How far a run is that goes on from here.
    pub(super) fn progress(&self) -> Progress {
        Progress { rows: self.rows, batches: self.batches, seconds: self.elapsed, ..Progress::default() }
    }

    fn add(&mut self, report: &SplitReport) {
        let SplitReport { rows, staged: _, stages, seconds, batches, failed_batches, interrupted: _ } = report;
        self.rows.add(rows);
        self.batches += batches;
        self.failed_batches += failed_batches;
        self.seconds.add(*seconds);
        for (total, stage) in self.stages.iter_mut().zip(stages) {
            merge(total, stage.clone());
        }
    }
}

/// Counts a refused row.
fn count(report: &mut DeadLetterReport, reject: &Reject) {
    *report.by_reason.entry(reject.reason).or_default() += 1;
    *report.by_code.entry(reject.code.clone()).or_default() += 1;
    *report.by_stage.entry(reject.stage.clone()).or_default() += 1;
    if report.samples.len() < SAMPLES {
        let place = match (reject.line, reject.row) {
            (0, 0) => reject.source.to_string(),
            (0, row) => format!("{} row {row}", reject.source),
            (line, _) => format!("{}:{line}", reject.source),
        };
        report.samples.push(format!("{place}: {}", reject.message));
    }
}
