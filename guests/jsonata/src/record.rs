//! `record`: the expression once a row.

use etl_sdk::arrow_schema::SchemaRef;
use etl_sdk::{Cardinality, Columns, Input, Output, Plan, StageError};
use etl_steps::jsonata::Options;

use crate::program::{self, OPTIONS_SCHEMA, Program};
use crate::result;

/// Evaluates the expression once a row: an object is the new row, a list several, null and nothing none. A row for which the
/// expression fails, or gives something else, is refused.
pub struct Record(Program);

impl Columns for Record {
    const NAME: &'static str = "record";
    const SUMMARY: &'static str = "a JSONata expression, once a row";
    const OPTIONS_SCHEMA: &'static str = OPTIONS_SCHEMA;
    type Options = Options;

    fn configure(options: Options, input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>> {
        let program = Program::new(&options.expression, input)?;
        let plan = program.plan(Plan::unknown(Cardinality::Expand), input);
        Ok((Self(program), plan))
    }

    fn process(&mut self, input: &Input<'_>, output: &mut Output<'_>) -> Result<(), StageError> {
        let rows = program::read(input)?;
        let mut made = self.0.columns();
        let mut origins = Vec::with_capacity(input.num_rows());
        for index in 0..input.num_rows() {
            let value = self.0.evaluate(&rows.row(index), program::number(input, index)).map_err(program::refusal);
            let appended = value.and_then(|value| {
                result::check(value.as_ref())?;
                result::append(&mut made, value.as_ref())
            });
            match appended {
                Ok(count) => origins.extend(std::iter::repeat_n(index as u32, count)),
                Err(refusal) => output.reject(index, refusal)?,
            }
        }
        result::emit(made, Some(&origins), output)
    }
}
