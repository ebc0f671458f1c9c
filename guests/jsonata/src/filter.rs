//! `filter`: the rows for which the expression is true.

use etl_jsonata_engine::is_true;
use etl_sdk::arrow_buffer::BooleanBufferBuilder;
use etl_sdk::arrow_schema::SchemaRef;
use etl_sdk::{ColumnOp, Columns, Input, Output, Plan, StageError};
use etl_steps::jsonata::Options;

use crate::program::{self, OPTIONS_SCHEMA, Program};

/// Keeps the rows for which the expression is true by the rules of `$boolean`. A row for which it fails is refused.
pub struct Filter {
    program: Program,
    columns: Vec<ColumnOp>,
}

impl Columns for Filter {
    const NAME: &'static str = "filter";
    const SUMMARY: &'static str = "the rows for which a JSONata expression is true";
    const OPTIONS_SCHEMA: &'static str = OPTIONS_SCHEMA;
    type Options = Options;

    fn configure(options: Options, input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>> {
        let program = Program::new(&options.expression, input)?;
        let plan = program.plan(Plan::filter(input.clone()), input);
        let (_, columns) = ColumnOp::extend(input, &[]);
        Ok((Self { program, columns }, plan))
    }

    fn process(&mut self, input: &Input<'_>, output: &mut Output<'_>) -> Result<(), StageError> {
        let rows = program::read(input)?;
        let mut keep = BooleanBufferBuilder::new(input.num_rows());
        for index in 0..input.num_rows() {
            match self.program.evaluate(&rows.row(index), program::number(input, index)) {
                Ok(value) => keep.append(value.is_some_and(|value| is_true(&value))),
                Err(failure) => {
                    keep.append(false);
                    output.reject(index, program::refusal(failure))?;
                }
            }
        }
        output.derive(input, Some(&keep.finish()), &self.columns, None)
    }
}
