//! The contract as it is: reads four columns, pushes three, the host keeps the rest.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use etl_sdk::{ColumnOp, Columns, Input, NoOptions, Output, Plan, StageError};

/// The transform.
pub struct Derived {
    computed: SchemaRef,
    columns: Vec<ColumnOp>,
}

impl Columns for Derived {
    const NAME: &'static str = "derived";
    type Options = NoOptions;

    fn configure(_: NoOptions, input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>> {
        let reads = ["name", "city", "quantity", "price"].map(|name| input.index_of(name));
        let reads: Vec<usize> = reads.into_iter().collect::<Result<_, _>>().map_err(StageError::from)?;
        let new = ["quantity", "price", "label"].into_iter().zip([DataType::Int64, DataType::Float64, DataType::Utf8]);
        let new: Vec<_> = new.map(|(name, data_type)| Field::new(name, data_type, true)).collect();
        let (output, mut columns) = ColumnOp::extend(input, &new);
        let mut fields: Vec<_> = output.fields().iter().cloned().collect();
        fields[reads[0]] = Arc::new(fields[reads[0]].as_ref().clone().with_name("customer"));
        columns[reads[0]] = ColumnOp::Rename((reads[0] as u32, "customer".into()));
        Ok((Self { computed: Arc::new(Schema::new(new)), columns }, Plan::map(Arc::new(Schema::new(fields))).reading(reads)))
    }

    fn process(&mut self, input: &Input<'_>, output: &mut Output<'_>) -> Result<(), StageError> {
        let batch = input.read()?;
        let text = |index: usize| batch.column(index).as_string::<i32>();
        let (quantity, price, label) = etl_shapes::work(text(0), text(1), text(2), text(3));
        let computed = RecordBatch::try_new(self.computed.clone(), vec![Arc::new(quantity), Arc::new(price), Arc::new(label)])?;
        output.derive(input, None, &self.columns, Some(&computed))
    }
}

etl_sdk::export_columns!(Derived);
