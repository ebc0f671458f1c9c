//! Rules that rows must satisfy: the guest behind `validate` and `validation`.
//!
//! Two functions with the same options: `rules` sees each row alone, so that its copies run in parallel; `unique` also knows the keys that
//! were there before, and so sees all batches in order. Only the columns that rules speak of come over, and no byte of a row that stays moves.
//!
//! - Every rule is counted, as `rule.<index>` over the rows that broke it, as `undecided.<index>:<reason>` over those in which it could not be
//!   worked out, and rows that either is true of as `rows_broken`.
//! - A row that broke rules of several severities ends the run if one of them says so, else goes to the dead letters if one says so, else is
//!   left out if one says so. It is refused for the first rule of that severity; the message names the others.
//! - A row that is refused claims no key: the next row with it is the first.
//! - Null satisfies every rule but `required`, and is an absent key to a JSON Schema, since a column cannot tell the two apart.

mod expression;
mod format;
mod json;
mod keys;
mod read;
mod rules;
mod schema;
mod value;
mod view;
mod words;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};
use etl_sdk::{ColumnOp, Columns, Input, Output, Plan, StageError, State};
use etl_steps::validate::{OnInvalid, Options};

use rules::Rules;

/// The function `rules`: rules that see each row alone.
pub struct Alone(Step);

/// The function `unique`: rules of which some know the rows before.
pub struct Remembering(Step);

/// What both functions do.
struct Step {
    rules: Rules,
    columns: Vec<ColumnOp>,
    reads: bool,
    told_missing: bool,
}

impl Step {
    fn configure(options: Options, input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>> {
        let (rules, read) = Rules::compile(options, input)?;
        let columns = (0..input.fields().len()).map(|index| ColumnOp::Keep(index as u32)).collect();
        let plan = Plan::filter(input.clone()).reading(read.clone());
        Ok((Self { rules, columns, reads: !read.is_empty(), told_missing: false }, plan))
    }

    fn process(&mut self, input: &Input<'_>, output: &mut Output<'_>) -> Result<(), StageError> {
        let rows = if self.reads { input.read()? } else { no_columns(input.num_rows())? };
        let judged = self.rules.judge(&rows, (input.sequence() << 24) ^ u64::from(input.first_row()))?;
        if let Some(row) = judged.failed {
            let refusal = self.rules.refusal(&rows, &judged, row, OnInvalid::Fail);
            let name = self.rules.name(row, &judged, OnInvalid::Fail);
            let error = StageError::data(refusal.code, format!("{} (rule `{name}`)", refusal.message)).row(row as u32);
            let error = error.help("`on_error: quarantine` sends such rows to the dead letters, `warn` lets them pass");
            return Err(match refusal.field {
                Some(field) => error.field(field),
                None => error,
            });
        }
        for row in judged.quarantined.set_indices() {
            output.reject(row, self.rules.refusal(&rows, &judged, row, OnInvalid::Quarantine))?;
        }
        let keep = (judged.kept.count_set_bits() < input.num_rows()).then_some(&judged.kept);
        output.derive(input, keep, &self.columns, None)?;
        for (index, broken) in judged.broken.iter().enumerate() {
            let mut rows = broken.count_set_bits() as u64;
            if rows > 0 {
                for (reason, undecided) in self.rules.undecided(index) {
                    etl_sdk::count(&format!("undecided.{index}:{reason}"), undecided);
                    rows -= undecided;
                }
            }
            if rows > 0 {
                etl_sdk::count(&format!("rule.{index}"), rows);
            }
        }
        match judged.any.count_set_bits() {
            0 => {}
            rows => etl_sdk::count("rows_broken", rows as u64),
        }
        for name in self.rules.missing() {
            etl_sdk::count(&format!("missing_column.{name}"), input.num_rows() as u64);
            if !self.told_missing {
                etl_sdk::log!(Debug, "rules speak of the column `{name}`, which is not there");
            }
        }
        self.told_missing = true;
        Ok(())
    }
}

/// Rows that no column is read of.
fn no_columns(rows: usize) -> Result<RecordBatch, StageError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?)
}

impl Columns for Alone {
    const NAME: &'static str = "rules";
    const SUMMARY: &'static str = "rules that rows must satisfy, each row alone";
    type Options = Options;

    fn configure(options: Options, input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>> {
        Step::configure(options, input).map(|(step, plan)| (Self(step), plan))
    }

    fn process(&mut self, input: &Input<'_>, output: &mut Output<'_>) -> Result<(), StageError> {
        self.0.process(input, output)
    }
}

impl Columns for Remembering {
    const NAME: &'static str = "unique";
    const SUMMARY: &'static str = "rules that rows must satisfy, keys that stand in the data once among them";
    const STATE: State = State::Stream;
    type Options = Options;

    fn configure(options: Options, input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>> {
        Step::configure(options, input).map(|(step, plan)| (Self(step), plan))
    }

    fn process(&mut self, input: &Input<'_>, output: &mut Output<'_>) -> Result<(), StageError> {
        self.0.process(input, output)
    }

    fn snapshot(&self) -> Result<Vec<u8>, StageError> {
        Ok(self.0.rules.save())
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StageError> {
        self.0.rules.load(state).ok_or_else(|| StageError::internal("snapshot", "the snapshot of the keys does not read"))
    }
}

etl_sdk::export_columns!(Alone, Remembering);
