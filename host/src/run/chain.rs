//! The stages of one worker, one after the other.

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::report::{MAX_COUNTERS, StageReport, count as count_name};
use crate::stage::{Output, Stage};

/// Looks on while rows pass: the number of the stage, the batch that it worked on (none where it finished), what came of it.
pub type Watch<'a> = dyn FnMut(usize, Option<&Batch>, &Output) -> Result<()> + 'a;

/// The stages in order; each worker has its own.
pub(super) struct Chain {
    stages: Vec<Box<dyn Stage>>,
    /// For each stage the rows that went in, and those that it refused, since usage was last asked for.
    seen: Vec<(u64, u64)>,
}

impl Chain {
    pub(super) fn new(stages: Vec<Box<dyn Stage>>) -> Self {
        Self { seen: vec![(0, 0); stages.len()], stages }
    }

    /// What each stage remembers.
    pub(super) fn snapshot(&mut self) -> Result<Vec<Vec<u8>>> {
        self.stages.iter_mut().map(|stage| stage.snapshot()).collect()
    }

    /// Goes on from what each stage remembered.
    pub(super) fn restore(&mut self, snapshots: &[Vec<u8>]) -> Result<()> {
        if snapshots.len() != self.stages.len() {
            let message = format!("the checkpoint is of {} stages, but there are {} now", snapshots.len(), self.stages.len());
            return Err(Error::config(message).hint("`--restart` starts again from the first row"));
        }
        self.stages.iter_mut().zip(snapshots).try_for_each(|(stage, snapshot)| stage.restore(snapshot))
    }

    /// Passes a batch through all stages.
    pub(super) fn process(&mut self, batch: Batch) -> Result<Output> {
        self.run(0, vec![batch], None)
    }

    /// As `process`, with somebody looking on.
    pub(super) fn process_watched(&mut self, batch: Batch, watch: &mut Watch<'_>) -> Result<Output> {
        self.run(0, vec![batch], Some(watch))
    }

    /// Says to each stage that no more rows come, and passes on what it held back.
    pub(super) fn finish(&mut self) -> Result<Output> {
        self.finish_watched(&mut |_, _, _| Ok(()))
    }

    /// As `finish`, with somebody looking on.
    pub(super) fn finish_watched(&mut self, watch: &mut Watch<'_>) -> Result<Output> {
        let mut total = Output::default();
        for index in 0..self.stages.len() {
            let mut held = self.stages[index].finish()?;
            watch(index, None, &held)?;
            self.seen[index].1 += held.rejects.len() as u64 + held.skipped;
            let rows = std::mem::take(&mut held.batches);
            count(&mut total, held);
            let passed = self.run(index + 1, rows, Some(&mut *watch))?;
            total.batches.extend(passed.batches.iter().cloned());
            count(&mut total, passed);
        }
        Ok(total)
    }

    fn run(&mut self, from: usize, mut batches: Vec<Batch>, mut watch: Option<&mut Watch<'_>>) -> Result<Output> {
        let mut total = Output::default();
        for (index, stage) in self.stages.iter_mut().enumerate().skip(from) {
            let mut next = Vec::with_capacity(batches.len());
            for batch in batches {
                let rows = batch.rows.num_rows() as u64;
                let mut output = match &mut watch {
                    None => stage.process(batch)?,
                    Some(watch) => {
                        let output = stage.process(batch.clone())?;
                        watch(index, Some(&batch), &output)?;
                        output
                    }
                };
                self.seen[index].0 += rows;
                self.seen[index].1 += output.rejects.len() as u64 + output.skipped;
                next.append(&mut output.batches);
                count(&mut total, output);
            }
            batches = next;
        }
        total.batches = batches;
        Ok(total)
    }

    /// Adds what each stage used since it was last asked.
    pub(super) fn usage(&mut self, reports: &mut [StageReport]) {
        for ((stage, seen), report) in self.stages.iter_mut().zip(&mut self.seen).zip(reports) {
            let usage = stage.usage();
            let (processed, failed) = std::mem::take(seen);
            report.processed += processed;
            report.failed += failed;
            // What a stage refuses at its end may be rows that went in before.
            report.succeeded = report.processed.saturating_sub(report.failed);
            report.fuel += usage.fuel;
            report.fuel_share = report.fuel_share.max(usage.fuel_share);
            report.memory_mb = report.memory_mb.max(usage.memory_bytes as f64 / 1_048_576.0);
            report.instances += usage.instances;
            for (name, by) in usage.counters {
                count_name(&mut report.counters, name, by, MAX_COUNTERS);
            }
            report.tally.add(usage.tally);
        }
    }
}

/// Adds up everything but the rows that go on.
fn count(total: &mut Output, output: Output) {
    let Output { batches: _, rejects, filtered, expanded, crashed, skipped, failed_batches } = output;
    total.rejects.extend(rejects);
    total.filtered += filtered;
    total.expanded += expanded;
    total.crashed += crashed;
    total.skipped += skipped;
    total.failed_batches += failed_batches;
}
