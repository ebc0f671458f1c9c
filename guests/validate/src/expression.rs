//! Checks over several columns, in JSONata.

use arrow_array::RecordBatch;
use arrow_buffer::BooleanBuffer;
use etl_jsonata_engine::{Expression as Compiled, Limits, Prepared, Run, Value, is_true};
use etl_sdk::StageError;

use crate::json;
use crate::value::Wrong;

/// An expression, ready for the rows of a run.
pub(crate) struct Expression {
    prepared: Prepared,
    /// Rows of the last batch that could not be worked out, with the reason.
    failures: Vec<(usize, String)>,
}

impl Expression {
    /// Compiles an expression.
    pub(crate) fn compile(text: &str) -> Result<Self, Wrong> {
        let compiled = Compiled::compile(text).map_err(|failure| (failure.to_string(), None))?;
        let run = Run { now_ms: etl_sdk::now_ms(), seed: etl_sdk::seed() };
        Ok(Self { prepared: compiled.prepare(&[], &run, &Limits::default()), failures: Vec::new() })
    }

    /// The rows for which it is not true, or cannot be worked out.
    pub(crate) fn broken(&mut self, rows: &RecordBatch) -> Result<BooleanBuffer, StageError> {
        self.failures.clear();
        let Self { prepared, failures } = self;
        Ok(BooleanBuffer::collect_bool(rows.num_rows(), |row| match prepared.evaluate(Some(&Value::from(json::row(rows, row)))) {
            Ok(value) => !value.is_some_and(|value| is_true(&value)),
            Err(failure) => {
                failures.push((row, failure.to_string()));
                true
            }
        }))
    }

    /// Why a row of the last batch could not be worked out.
    pub(crate) fn why(&self, row: usize) -> Option<String> {
        self.failures.binary_search_by_key(&row, |(row, _)| *row).ok().map(|found| self.failures[found].1.clone())
    }
}
