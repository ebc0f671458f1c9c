//! The component: [`Chain`] behind the contract.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema, SchemaRef};
use etl_sdk::{Cardinality, Columns, Input, Output, Plan, Refusal, StageError};

use etl_steps::flatten::Flattening;

use crate::flatten::{Flattener, Source};
use crate::{Chain, ColumnOp, Context, Derived, Emitted, Problem, Rejection};

/// The function `flatten`.
pub struct Flatten(Flattener);

impl Columns for Flatten {
    const NAME: &'static str = "flatten";
    const SUMMARY: &'static str = "objects and lists as columns";
    type Options = Flattening;

    fn configure(options: Flattening, input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>> {
        let (flattener, output) = Flattener::configure(options, input.clone()).map_err(|problem| vec![of_options(problem)])?;
        let plan = output.map_or_else(|| Plan::unknown(Cardinality::Map), Plan::map).reading(flattener.reads());
        Ok((Self(flattener), plan))
    }

    fn process(&mut self, input: &Input<'_>, output: &mut Output<'_>) -> Result<(), StageError> {
        let columns = if self.0.reads().is_empty() { no_columns(input.num_rows())? } else { input.read()? };
        let flat = self.0.flatten(columns.columns()).map_err(of_data)?;
        if flat.by_item {
            output.schema(&self.0.schema(&flat))?;
        }
        let (mut ops, mut fields, mut arrays) = (Vec::new(), Vec::new(), Vec::new());
        for (name, source) in flat.columns {
            ops.push(match source {
                Source::Input(index) => etl_sdk::ColumnOp::Rename((index as u32, name)),
                Source::Made(array) => {
                    fields.push(Field::new(&name, array.data_type().clone(), true));
                    arrays.push(array);
                    etl_sdk::ColumnOp::Computed((arrays.len() as u32 - 1, name))
                }
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(input.num_rows()));
        let computed = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?;
        output.derive(input, None, &ops, (computed.num_columns() > 0).then_some(&computed))?;
        for name in self.0.missing() {
            etl_sdk::count(&format!("missing_column.{name}"), input.num_rows() as u64);
        }
        Ok(())
    }
}

/// The function `ops`.
pub struct Ops {
    chain: Chain,
    /// Whether any input column is read.
    reads: bool,
}

impl Columns for Ops {
    const NAME: &'static str = "ops";
    const SUMMARY: &'static str = "the simple operations of transform.yaml, in their order";
    type Options = etl_steps::Options;

    fn configure(options: etl_steps::Options, input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>> {
        let (chain, plan) =
            Chain::configure(&options, input).map_err(|problems| problems.into_iter().map(of_options).collect::<Vec<_>>())?;
        let crate::Plan { output, columns, filters, expands } = plan;
        let reads = !columns.is_empty();
        let promise = match (expands, filters) {
            (true, _) => Plan::expand(output),
            (false, true) => Plan::filter(output),
            (false, false) => Plan::map(output),
        };
        Ok((Self { chain, reads }, promise.reading(columns)))
    }

    fn process(&mut self, input: &Input<'_>, output: &mut Output<'_>) -> Result<(), StageError> {
        let columns = if self.reads { input.read()? } else { no_columns(input.num_rows())? };
        let context =
            Context { now_ms: etl_sdk::now_ms(), seed: etl_sdk::seed(), sequence: input.sequence(), first_row: input.first_row() };
        let (rejects, counters) = match self.chain.process(&columns, &context).map_err(of_data)? {
            crate::Output::Derived(Derived { keep, columns, computed, rejects, counters }) => {
                let columns: Vec<_> = columns.into_iter().map(column_op).collect();
                let computed = (computed.num_columns() > 0).then_some(&computed);
                output.derive(input, keep.as_ref(), &columns, computed)?;
                (rejects, counters)
            }
            crate::Output::Emitted(Emitted { rows, origins, rejects, counters }) => {
                output.emit(&rows, Some(&origins))?;
                (rejects, counters)
            }
        };
        for Rejection { row, code, message, field } in rejects {
            let refusal = Refusal::new(code, message);
            let refusal = match field {
                Some(field) => refusal.field(field),
                None => refusal,
            };
            output.reject(row as usize, refusal)?;
        }
        for (name, by) in counters {
            etl_sdk::count(&name, by);
        }
        Ok(())
    }
}

/// Rows that no column is read of.
fn no_columns(rows: usize) -> Result<RecordBatch, StageError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?)
}

fn column_op(op: ColumnOp) -> etl_sdk::ColumnOp {
    match op {
        ColumnOp::Keep(index) => etl_sdk::ColumnOp::Keep(index),
        ColumnOp::Rename(index, name) => etl_sdk::ColumnOp::Rename((index, name)),
        ColumnOp::Computed(index, name) => etl_sdk::ColumnOp::Computed((index, name)),
    }
}

fn of_options(problem: Problem) -> StageError {
    let Problem { field, code, message, help } = problem;
    complete(StageError::options(code, message), field, help)
}

fn of_data(problem: Problem) -> StageError {
    let Problem { field, code, message, help } = problem;
    complete(StageError::data(code, message), field, help)
}

fn complete(mut error: StageError, field: Option<String>, help: Option<String>) -> StageError {
    if let Some(field) = field {
        error = error.field(field);
    }
    match help {
        Some(help) => error.help(help),
        None => error,
    }
}

etl_sdk::export_columns!(Ops, Flatten);
