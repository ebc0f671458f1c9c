//! The expression of a stage, compiled, and what it takes from the run.

use etl_jsonata_engine::{Columns, Expression, Failure, Limits, Prepared, Rows, Run, Value, unreadable};
use etl_sdk::arrow_schema::SchemaRef;
use etl_sdk::{Input, Plan, Refusal, StageError};

/// JSON Schema of the options that all functions share.
pub(crate) const OPTIONS_SCHEMA: &str = r#"{"type":"object","required":["expression"],"additionalProperties":false,"properties":{"expression":{"type":"string","description":"JSONata expression"},"memory_bytes":{"type":["integer","null"],"description":"bytes of memory that `dataset` may use"}}}"#;

/// The expression of a stage.
pub(crate) struct Program {
    prepared: Prepared,
    seed: u64,
    /// Columns that it reads, where that can be told.
    reads: Option<Vec<String>>,
    /// Columns that every row has which it gives.
    gives: Vec<String>,
}

impl Program {
    /// Compiles the expression for rows of a schema.
    pub(crate) fn new(text: &str, input: &SchemaRef) -> Result<Self, Vec<StageError>> {
        for field in input.fields() {
            if let Some(data_type) = unreadable(field.data_type()) {
                let message = format!("column `{}` is of type {data_type}, which JSONata has no value for", field.name());
                return Err(StageError::unsupported("column_type", message)
                    .field(field.name())
                    .help("`convert` or `drop` it first")
                    .into());
            }
        }
        let expression = Expression::compile(text).map_err(|failure| {
            let Failure { code, message, .. } = failure;
            StageError::options(code, message).field("expression")
        })?;
        let run = Run { now_ms: etl_sdk::now_ms(), seed: etl_sdk::seed() };
        Ok(Self {
            prepared: expression.prepare(&[], &run, &Limits::default()),
            seed: run.seed,
            reads: expression.reads(),
            gives: expression.gives(),
        })
    }

    /// Evaluates the expression; `number` tells evaluations of one run apart, so that `$random()` does not repeat itself.
    pub(crate) fn evaluate(&mut self, input: &Value, number: u64) -> Result<Option<Value>, Failure> {
        self.prepared.reseed(self.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        self.prepared.evaluate(Some(input))
    }

    /// Adds the columns that `read` is to give to what was found out.
    pub(crate) fn plan(&self, plan: Plan, input: &SchemaRef) -> Plan {
        match &self.reads {
            Some(names) => {
                let is_read = |index: &usize| names.iter().any(|name| name == input.field(*index).name());
                plan.reading((0..input.fields().len()).filter(is_read).collect::<Vec<_>>())
            }
            None => plan,
        }
    }

    /// Starts the columns of a batch: with those that every row has, so that batches of optional values have one schema.
    pub(crate) fn columns(&self) -> Columns {
        Columns::with_names(self.gives.iter().map(String::as_str))
    }
}

/// Reads the rows of a batch.
pub(crate) fn read(input: &Input<'_>) -> Result<Rows, StageError> {
    Ok(Rows::new(&input.read()?))
}

/// The number of a row in the run.
pub(crate) fn number(input: &Input<'_>, row: usize) -> u64 {
    (input.sequence() << 24) ^ (u64::from(input.first_row()) + row as u64)
}

/// Why the language refuses a row.
pub(crate) fn refusal(failure: Failure) -> Refusal {
    let Failure { code, message, .. } = failure;
    Refusal::new(code, message)
}
