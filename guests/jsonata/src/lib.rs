//! JSONata expressions over rows: the guest behind `jsonata`.

use etl_sdk::arrow_schema::SchemaRef;
use etl_sdk::{Columns, Input, NoOptions, Output, Plan, StageError};

/// Not built yet.
pub struct Later;

impl Columns for Later {
    const NAME: &'static str = "jsonata";
    type Options = NoOptions;

    fn configure(_options: NoOptions, _input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>> {
        Err(vec![StageError::options("not_built", "`jsonata` is not built yet")])
    }

    fn process(&mut self, _input: &Input<'_>, _output: &mut Output<'_>) -> Result<(), StageError> {
        Ok(())
    }
}

etl_sdk::export_columns!(Later);
