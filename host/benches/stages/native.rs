//! The guest's code as a stage without a sandbox: what a sandbox is measured against.

use std::collections::BTreeMap;

use arrow_array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use etl_host::batch::{Batch, Origin, Reason, Reject};
use etl_host::error::{Context, Error, Result};
use etl_host::json::row_json;
use etl_host::stage::{Output, Stage, Usage};
use etl_ops::{Chain, ColumnOp, Derived, Emitted, Rejection};
use serde::Deserialize;
use serde_json::Value;

/// A chain of simple operations.
#[derive(Clone)]
pub(crate) struct NativeStage {
    chain: Chain,
    /// The input's columns that the chain reads.
    columns: Vec<usize>,
    output: SchemaRef,
    now_ms: i64,
    counters: BTreeMap<String, u64>,
}

impl NativeStage {
    /// Configures the chain with a stage's options for rows of a schema.
    pub(crate) fn open(options: &Value, schema: &SchemaRef, now_ms: i64) -> Result<Self> {
        let options = etl_steps::Options::deserialize(options).bug(|| "reading the stage's options".into())?;
        let (chain, plan) = Chain::configure(&options, schema).map_err(|problems| Error::config(format!("{problems:#?}")))?;
        Ok(Self { chain, columns: plan.columns, output: plan.output, now_ms, counters: BTreeMap::new() })
    }

    /// The schema that comes out.
    pub(crate) fn output(&self) -> SchemaRef {
        self.output.clone()
    }

    fn derive(&self, batch: &Batch, derived: Derived, output: &mut Output) -> Result<()> {
        let Derived { keep, columns, computed, rejects, counters: _ } = derived;
        let rows = batch.rows.num_rows();
        let column = |op: &ColumnOp| match op {
            ColumnOp::Keep(index) | ColumnOp::Rename(index, _) => batch.rows.column(*index as usize).clone(),
            ColumnOp::Computed(index, _) => computed.column(*index as usize).clone(),
        };
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let mut made = RecordBatch::try_new_with_options(self.output.clone(), columns.iter().map(column).collect(), &options)
            .bug(|| "putting columns together".into())?;
        let mut numbers = batch.origin.rows.clone();
        if let Some(keep) = keep {
            numbers = numbers.take(keep.set_indices());
            made = filter_record_batch(&made, &BooleanArray::new(keep, None)).bug(|| "leaving out rows".into())?;
        }
        output.filtered = (rows - made.num_rows() - rejects.len()) as u64;
        if made.num_rows() > 0 {
            let origin = Origin { source: batch.origin.source.clone(), rows: numbers };
            output.batches.push(Batch { rows: made, origin, sequence: batch.sequence });
        }
        Ok(())
    }
}

impl Stage for NativeStage {
    fn name(&self) -> &str {
        "ops"
    }

    fn process(&mut self, batch: Batch) -> Result<Output> {
        let columns = batch.rows.project(&self.columns).bug(|| "choosing columns".into())?;
        let context = etl_ops::Context { now_ms: self.now_ms, seed: 0, sequence: batch.sequence, first_row: 0 };
        let done = self.chain.process(&columns, &context).map_err(|problem| Error::data(problem.message))?;
        let mut output = Output::default();
        let (rejects, counters) = match &done {
            etl_ops::Output::Derived(Derived { rejects, counters, .. }) | etl_ops::Output::Emitted(Emitted { rejects, counters, .. }) => {
                (rejects, counters)
            }
        };
        for (name, by) in counters {
            *self.counters.entry(name.clone()).or_default() += by;
        }
        output.rejects = rejects.iter().map(|rejection| reject(&batch, rejection)).collect();
        match done {
            etl_ops::Output::Derived(derived) => self.derive(&batch, derived, &mut output)?,
            etl_ops::Output::Emitted(Emitted { rows, origins, rejects, .. }) => {
                let (before, after) = (batch.rows.num_rows() as u64, (rows.num_rows() + rejects.len()) as u64);
                (output.filtered, output.expanded) = (before.saturating_sub(after), after.saturating_sub(before));
                let numbers = batch.origin.rows.take(origins.into_iter().map(|row| row as usize));
                output.batches.push(Batch {
                    rows,
                    origin: Origin { source: batch.origin.source, rows: numbers },
                    sequence: batch.sequence,
                });
            }
        }
        Ok(output)
    }

    fn restore(&mut self, _state: &[u8]) -> Result<()> {
        Ok(())
    }

    fn usage(&mut self) -> Usage {
        Usage { counters: std::mem::take(&mut self.counters), ..Usage::default() }
    }
}

fn reject(batch: &Batch, rejection: &Rejection) -> Reject {
    let Rejection { row, code, message, field } = rejection;
    let row = *row as usize;
    Reject {
        reason: Reason::TransformationError,
        code: (*code).into(),
        message: message.clone(),
        field: field.clone(),
        record: row_json(&batch.rows, row),
        stage: "ops".into(),
        source: batch.origin.source.clone(),
        row: batch.origin.rows.get(row),
        line: 0,
        batch: batch.sequence,
    }
}
