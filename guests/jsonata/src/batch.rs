//! `batch`: the expression once a batch.

use etl_jsonata_engine::{Columns as Made, Value};
use etl_sdk::arrow_schema::SchemaRef;
use etl_sdk::{Cardinality, Columns, Input, Output, Plan, StageError, State};
use etl_steps::jsonata::Options;

use crate::program::{self, OPTIONS_SCHEMA, Program};
use crate::result;

/// Evaluates the expression on the rows of a batch as one list: a list of objects is the new rows, an object one row, null and
/// nothing none. Where it fails, all rows of the batch are refused.
pub struct Batch(Program);

impl Columns for Batch {
    const NAME: &'static str = "batch";
    const SUMMARY: &'static str = "a JSONata expression, once a batch, on the list of its rows";
    const OPTIONS_SCHEMA: &'static str = OPTIONS_SCHEMA;
    const STATE: State = State::BatchLocal;
    type Options = Options;

    fn configure(options: Options, input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>> {
        let program = Program::new(&options.expression, input)?;
        // Not `aggregate`: nothing of a batch comes out later.
        let plan = program.plan(Plan::unknown(Cardinality::Expand), input);
        Ok((Self(program), plan))
    }

    fn process(&mut self, input: &Input<'_>, output: &mut Output<'_>) -> Result<(), StageError> {
        let rows = Value::array(program::read(input)?.all().collect());
        let made = evaluate(&mut self.0, &rows, input.sequence())?;
        result::emit(made, None, output)
    }
}

/// Evaluates an expression on a list of rows.
pub(crate) fn evaluate(program: &mut Program, rows: &Value, number: u64) -> Result<Made, StageError> {
    let value = program.evaluate(rows, number << 24).map_err(program::refusal).map_err(result::whole)?;
    let mut made = program.columns();
    result::append(&mut made, value.as_ref()).map_err(result::whole)?;
    Ok(made)
}
