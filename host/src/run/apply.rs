//! Applies the stages of a plan to given rows, without source and sink.
//!
//! Components, sandbox, limits, policies and the order of rows are those of [`run`](super::run), which drives the same
//! chain of stages; so what a row comes to here is what it comes to in a run with the same clock, seed and batches.

use arrow_schema::SchemaRef;

use super::RunOptions;
use super::chain::{Chain, Watch};
use super::stages::{Components, Stages};
use crate::batch::{Batch, Reject};
use crate::error::Result;
use crate::plan::Plan;
use crate::report::{Rows, StageReport};
use crate::sandbox::Sandbox;
use crate::stage::Output;

/// What came of the rows.
#[derive(Debug)]
pub struct Applied {
    /// The rows that came out, in order.
    pub batches: Vec<Batch>,
    /// The rows that went no further, in the order of the input within each batch.
    pub rejects: Vec<Reject>,
    /// The counts; `loaded` are those that came out.
    pub rows: Rows,
    /// What each stage used.
    pub stages: Vec<StageReport>,
}

/// The stages of a plan, open for rows of one schema: rows are pushed in, and come out changed.
///
/// One thread, one copy of each stage, and the stages see the batches as they are pushed. Blocks the calling thread.
pub struct Apply {
    stages: Stages,
    chain: Chain,
    rows: Rows,
}

impl Apply {
    /// Loads, configures and opens the stages for rows of a schema.
    ///
    /// Of the options only the run's id, its start and the seed matter.
    ///
    /// # Errors
    /// As [`run`](super::run) before it reads a row.
    pub fn open(plan: &Plan, options: &RunOptions, sandbox: &Sandbox, schema: SchemaRef) -> Result<Self> {
        let stages = Components::load(plan, &options.library, sandbox)?.configure(plan, options, sandbox, schema)?;
        let chain = stages.open()?;
        Ok(Self { stages, chain, rows: Rows::default() })
    }

    /// For each stage the schema that comes out, where it is known.
    pub fn outputs(&self) -> &[Option<SchemaRef>] {
        &self.stages.outputs
    }

    /// Passes a batch through all stages.
    ///
    /// # Errors
    /// As [`run`](super::run): where a policy says that the run fails.
    pub fn push(&mut self, batch: Batch) -> Result<Output> {
        self.push_watched(batch, &mut |_, _, _| Ok(()))
    }

    /// As [`Apply::push`]; `watch` sees what every stage made of every batch: the stage's index, the batch that went in, what came of it.
    ///
    /// # Errors
    /// As [`Apply::push`], and those of `watch`.
    pub fn push_watched(&mut self, batch: Batch, watch: &mut Watch<'_>) -> Result<Output> {
        self.rows.read += batch.rows.num_rows() as u64;
        let mut output = self.chain.process_watched(batch, watch)?;
        self.count(&output);
        // They were found stage by stage; a person reads them down the rows.
        output.rejects.sort_by_key(|reject| reject.row);
        Ok(output)
    }

    /// Says that no more rows come; what stages held back comes out now.
    ///
    /// # Errors
    /// As [`Apply::push`].
    pub fn finish(&mut self) -> Result<Output> {
        self.finish_watched(&mut |_, _, _| Ok(()))
    }

    /// As [`Apply::finish`]; a stage that finishes has no batch that went in.
    ///
    /// # Errors
    /// As [`Apply::push_watched`].
    pub fn finish_watched(&mut self, watch: &mut Watch<'_>) -> Result<Output> {
        let output = self.chain.finish_watched(watch)?;
        self.count(&output);
        Ok(output)
    }

    /// What became of the rows so far.
    pub fn rows(&self) -> Rows {
        self.rows
    }

    /// What each stage has used so far.
    pub fn usage(&mut self) -> Vec<StageReport> {
        self.chain.usage(&mut self.stages.reports);
        self.stages.reports.clone()
    }

    fn count(&mut self, output: &Output) {
        let Output { batches, rejects, filtered, expanded, crashed, skipped, failed_batches: _ } = output;
        self.rows.loaded += batches.iter().map(|batch| batch.rows.num_rows() as u64).sum::<u64>();
        self.rows.rejected += rejects.len() as u64;
        self.rows.filtered += filtered;
        self.rows.expanded += expanded;
        self.rows.crashed += crashed;
        self.rows.skipped += skipped;
    }
}

/// Applies the stages of a plan to batches, to the end. What comes out is held in memory.
///
/// # Errors
/// As [`Apply::open`] and [`Apply::push`].
pub fn apply(
    plan: &Plan,
    options: &RunOptions,
    sandbox: &Sandbox,
    schema: SchemaRef,
    batches: impl IntoIterator<Item = Batch>,
) -> Result<Applied> {
    let mut apply = Apply::open(plan, options, sandbox, schema)?;
    let mut applied = Applied { batches: Vec::new(), rejects: Vec::new(), rows: Rows::default(), stages: Vec::new() };
    let mut take = |output: Output| {
        applied.batches.extend(output.batches);
        applied.rejects.extend(output.rejects);
    };
    for batch in batches {
        if batch.rows.num_rows() > 0 {
            take(apply.push(batch)?);
        }
    }
    take(apply.finish()?);
    applied.rows = apply.rows();
    applied.stages = apply.usage();
    Ok(applied)
}
