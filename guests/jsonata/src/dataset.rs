//! `dataset`: the expression once, at the end, on all rows.

use etl_jsonata_engine::{Value, write_json};
use etl_sdk::arrow_schema::SchemaRef;
use etl_sdk::{Cardinality, Columns, Input, Output, Plan, StageError, State};
use etl_steps::jsonata::Options;

use crate::batch::evaluate;
use crate::program::{self, OPTIONS_SCHEMA, Program};
use crate::result;

/// How much more memory rows take as values than as JSON text.
const GROWTH: usize = 6;

/// Holds all rows, and evaluates the expression on the list of them when no more come.
pub struct Dataset {
    program: Program,
    /// The rows so far, one JSON object a line: small, the same whatever schema they came with, and its own snapshot.
    held: Vec<u8>,
    rows: u64,
    memory_bytes: Option<usize>,
}

impl Columns for Dataset {
    const NAME: &'static str = "dataset";
    const SUMMARY: &'static str = "a JSONata expression, once, on the list of all rows; holds them in memory";
    const OPTIONS_SCHEMA: &'static str = OPTIONS_SCHEMA;
    const STATE: State = State::Stream;
    type Options = Options;

    fn configure(options: Options, input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>> {
        let Options { expression, memory_bytes } = options;
        let program = Program::new(&expression, input)?;
        let plan = program.plan(Plan::unknown(Cardinality::Aggregate), input);
        Ok((Self { program, held: Vec::new(), rows: 0, memory_bytes }, plan))
    }

    fn process(&mut self, input: &Input<'_>, _output: &mut Output<'_>) -> Result<(), StageError> {
        for row in program::read(input)?.all() {
            write_json(&row, &mut self.held);
            self.held.push(b'\n');
            self.rows += 1;
        }
        match self.memory_bytes {
            Some(limit) if self.held.len().saturating_mul(GROWTH) > limit => {
                let mib = |bytes: usize| bytes as f64 / 1_048_576.0;
                let message = format!(
                    "`scope: dataset` holds all rows in memory: {} rows take about {:.1} MiB there, more than the {:.0} MiB that the stage \
                     may use",
                    self.rows,
                    mib(self.held.len() * GROWTH),
                    mib(limit)
                );
                Err(StageError::unsupported("dataset_too_large", message)
                    .help("raise `limits: {memory_mb: …}` of the step, or leave out `scope`, so that it works batch by batch"))
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, output: &mut Output<'_>) -> Result<(), StageError> {
        let held = std::mem::take(&mut self.held);
        let text = std::str::from_utf8(&held).map_err(|error| StageError::internal("held_rows", error.to_string()))?;
        let read = |line| Value::from_json_str(line).map_err(|error| StageError::internal("held_rows", error.to_string()));
        let rows = text.lines().map(read).collect::<Result<Vec<_>, _>>()?;
        drop(held);
        let made = evaluate(&mut self.program, &Value::array(rows), 0)?;
        result::emit(made, None, output)
    }

    fn snapshot(&self) -> Result<Vec<u8>, StageError> {
        let mut state = self.rows.to_le_bytes().to_vec();
        state.extend_from_slice(&self.held);
        Ok(state)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StageError> {
        if state.is_empty() {
            return Ok(());
        }
        let (rows, held) = state.split_first_chunk().ok_or_else(|| StageError::internal("snapshot", "the snapshot is cut off"))?;
        self.rows = u64::from_le_bytes(*rows);
        self.held = held.to_vec();
        Ok(())
    }
}
