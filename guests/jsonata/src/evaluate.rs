//! `evaluate`: an expression a row, as text; for tests of the language through the sandbox.

use std::sync::Arc;

use arrow_array::{Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use etl_jsonata_engine::{Expression, Failure, Limits, Run, Value, from_json, to_json};
use etl_sdk::{ColumnOp, Columns, Input, NoOptions, Output, Plan, Refusal, StageError};

/// Columns of text: the expression, its input and an object of variables as JSON; null = none.
const TEXTS: [&str; 3] = ["expression", "input", "bindings"];

/// Columns of numbers that bound the evaluation; null = as by default.
const NUMBERS: [&str; 2] = ["depth", "time_ms"];

/// Evaluates the `expression` of each row; the column `value` is the result as JSON, null where it is undefined.
pub struct Evaluate {
    columns: Vec<ColumnOp>,
}

impl Columns for Evaluate {
    const NAME: &'static str = "evaluate";
    const SUMMARY: &'static str = "evaluates the JSONata expression in each row on the JSON text beside it";
    type Options = NoOptions;

    fn configure(_options: NoOptions, input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>> {
        let texts = TEXTS.map(|name| (name, DataType::Utf8));
        let numbers = NUMBERS.map(|name| (name, DataType::Int64));
        let mut errors = Vec::new();
        let mut reading = Vec::new();
        for (name, data_type) in texts.into_iter().chain(numbers) {
            match input.column_with_name(name) {
                Some((index, field)) if *field.data_type() == data_type => reading.push(index),
                Some((_, field)) => errors.push(StageError::unsupported(
                    "wrong_type",
                    format!("column `{name}` is {}, but must be {data_type}", field.data_type()),
                )),
                None => errors.push(StageError::unsupported("missing_column", format!("there is no column `{name}`"))),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let value = Field::new("value", DataType::Utf8, true);
        let columns = vec![ColumnOp::Computed((0, "value".into()))];
        Ok((Self { columns }, Plan::map(Arc::new(Schema::new(vec![value]))).reading(reading)))
    }

    fn process(&mut self, input: &Input<'_>, output: &mut Output<'_>) -> Result<(), StageError> {
        let rows = input.read()?;
        let rows = Rows::of(&rows)?;
        let mut values = Vec::with_capacity(input.num_rows());
        for row in 0..input.num_rows() {
            match rows.evaluate(row) {
                Ok(value) => values.push(value),
                Err(failure) => {
                    values.push(None);
                    output.reject(row, Refusal::new(failure.code, failure.message))?;
                }
            }
        }
        let value = Field::new("value", DataType::Utf8, true);
        let computed = RecordBatch::try_new(Arc::new(Schema::new(vec![value])), vec![Arc::new(StringArray::from(values))])?;
        output.derive(input, None, &self.columns, Some(&computed))
    }
}

struct Rows<'a> {
    texts: [&'a StringArray; 3],
    numbers: [&'a Int64Array; 2],
}

impl<'a> Rows<'a> {
    fn of(rows: &'a RecordBatch) -> Result<Self, StageError> {
        let text = |index: usize| rows.column(index).as_any().downcast_ref::<StringArray>();
        let number = |index: usize| rows.column(index).as_any().downcast_ref::<Int64Array>();
        match (text(0), text(1), text(2), number(3), number(4)) {
            (Some(expression), Some(input), Some(bindings), Some(depth), Some(time)) => {
                Ok(Self { texts: [expression, input, bindings], numbers: [depth, time] })
            }
            _ => Err(StageError::internal("wrong_type", "the columns are not those of the plan")),
        }
    }

    fn evaluate(&self, row: usize) -> Result<Option<String>, Failure> {
        let text = |column: &'a StringArray| column.is_valid(row).then(|| column.value(row));
        let number = |column: &'a Int64Array| column.is_valid(row).then(|| column.value(row).max(0) as u64);
        let expression = Expression::compile(text(self.texts[0]).unwrap_or_default())?;
        let input = text(self.texts[1]).map(from_json).transpose()?;
        let bindings = match text(self.texts[2]).map(from_json).transpose()? {
            Some(Value::Object(bindings)) => bindings.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
            _ => Vec::new(),
        };
        let mut limits = Limits { time_ms: number(self.numbers[1]), ..Limits::default() };
        if let Some(depth) = number(self.numbers[0]) {
            limits.depth = depth as usize;
        }
        let run = Run { now_ms: etl_sdk::now_ms(), seed: etl_sdk::seed() };
        Ok(expression.evaluate(input.as_ref(), &bindings, &run, &limits)?.map(|value| to_json(&value)))
    }
}
