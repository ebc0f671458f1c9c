//! Runs a transform natively, as the host would: for an author's unit tests and for benchmarks.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{Field, Schema, SchemaRef};
use serde_json::Value;

use crate::context::{Level, imp::RUN};
use crate::records::output::EmitRecords;
use crate::{ColumnOp, Columns, Emit, Input, Output, Plan, Record, RecordInput, RecordOutput, Rejection, Row, Rows, StageError, options};

/// The run that this thread's transforms believe to be in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// What [`now_ms`](crate::now_ms) answers.
    pub now_ms: i64,
    /// What [`seed`](crate::seed) answers.
    pub seed: u64,
    /// What [`count`](crate::count) added up.
    pub counters: BTreeMap<String, u64>,
    /// What [`log!`](crate::log!) wrote.
    pub log: Vec<(Level, String)>,
}

/// Puts this thread in another run, and answers how the last one ended.
pub fn enter(run: Run) -> Run {
    RUN.replace(run)
}

/// What came out of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Made {
    /// Rows, each batch with the numbers of the input rows it was made from, where they were told.
    pub batches: Vec<(RecordBatch, Option<Vec<u32>>)>,
    /// Refused rows.
    pub rejections: Vec<Rejection>,
}

/// Configures a columnar transform from options as JSON.
///
/// # Errors
/// What the host would be told.
pub fn configure<T: Columns>(options: &Value, input: &SchemaRef) -> Result<(T, Plan), Vec<StageError>> {
    T::configure(options::parse(&options.to_string())?, input)
}

/// Passes a batch through a columnar transform.
///
/// # Errors
/// What the host would be told.
pub fn process<T: Columns>(transform: &mut T, plan: &Plan, batch: &RecordBatch) -> Result<Made, StageError> {
    let rows = Memory { batch, planned: plan.columns() };
    let mut collect = Collect { base: Some(batch), made: Made::default() };
    let mut output = Output::new(&mut collect);
    transform.process(&Input::new(&rows), &mut output)?;
    output.flush()?;
    Ok(collect.made)
}

/// Ends a columnar transform.
///
/// # Errors
/// What the host would be told.
pub fn finish<T: Columns>(transform: &mut T) -> Result<Made, StageError> {
    let mut collect = Collect { base: None, made: Made::default() };
    let mut output = Output::new(&mut collect);
    transform.finish(&mut output)?;
    output.flush()?;
    Ok(collect.made)
}

/// A batch in memory.
#[derive(Debug)]
pub struct Memory<'a> {
    /// The rows.
    pub batch: &'a RecordBatch,
    /// The columns of the plan; `None` = all.
    pub planned: Option<&'a [usize]>,
}

impl Rows for Memory<'_> {
    fn num_rows(&self) -> usize {
        self.batch.num_rows()
    }

    fn read(&self, columns: Option<&[usize]>) -> Result<RecordBatch, StageError> {
        match columns.or(self.planned) {
            Some(columns) => Ok(self.batch.project(columns)?),
            None => Ok(self.batch.clone()),
        }
    }
}

/// Collects what a transform emits; does natively what the host does with `emit-derived`.
#[derive(Debug)]
pub struct Collect<'a> {
    /// The batch that is worked on; `None` in `finish`.
    pub base: Option<&'a RecordBatch>,
    /// What came out so far.
    pub made: Made,
}

impl Emit for Collect<'_> {
    fn schema(&mut self, _schema: &SchemaRef) -> Result<(), StageError> {
        Ok(())
    }

    fn emit(&mut self, rows: &RecordBatch, origins: Option<&[u32]>) -> Result<(), StageError> {
        self.made.batches.push((rows.clone(), origins.map(<[u32]>::to_vec)));
        Ok(())
    }

    fn derive(&mut self, keep: Option<&BooleanBuffer>, columns: &[ColumnOp], computed: Option<&RecordBatch>) -> Result<(), StageError> {
        let base = self.base.ok_or_else(|| StageError::internal("no_batch", "`derive` has no batch to derive from in `finish`"))?;
        let missing = |index: &u32| StageError::internal("no_column", format!("there is no column {index}"));
        let pick = |batch: &RecordBatch, index: &u32, name: Option<&String>| -> Result<(Arc<Field>, ArrayRef), StageError> {
            let column = batch.columns().get(*index as usize).ok_or_else(|| missing(index))?;
            let field = batch.schema_ref().fields()[*index as usize].clone();
            let field = name.map_or(field.clone(), |name| Arc::new(field.as_ref().clone().with_name(name)));
            Ok((field, column.clone()))
        };
        let (fields, arrays): (Vec<_>, Vec<_>) = columns
            .iter()
            .map(|operation| match operation {
                ColumnOp::Keep(index) => pick(base, index, None),
                ColumnOp::Rename((index, name)) => pick(base, index, Some(name)),
                ColumnOp::Computed((index, name)) => {
                    let (field, column) = pick(computed.ok_or_else(|| missing(index))?, index, Some(name))?;
                    Ok((Arc::new(field.as_ref().clone().with_nullable(true)), column))
                }
            })
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .unzip();
        let rows = RecordBatchOptions::new().with_row_count(Some(base.num_rows()));
        let whole = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &rows)?;
        let numbers = u32::try_from(base.num_rows()).map_err(|_| StageError::internal("rows", "more rows than a batch may have"))?;
        let made = match keep {
            Some(keep) => {
                let origins: Vec<u32> = keep.set_indices().map(|row| row as u32).collect();
                (arrow_select::filter::filter_record_batch(&whole, &BooleanArray::new(keep.clone(), None))?, Some(origins))
            }
            None => (whole, Some((0..numbers).collect())),
        };
        self.made.batches.push(made);
        Ok(())
    }

    fn reject(&mut self, rejections: &[Rejection]) -> Result<(), StageError> {
        self.made.rejections.extend_from_slice(rejections);
        Ok(())
    }
}

/// Answers the HTTP requests of this thread's transforms from now on.
#[cfg(feature = "http")]
pub fn serve(answer: impl FnMut(&crate::http::Request) -> Result<crate::http::Response, crate::http::Error> + 'static) {
    crate::http::imp::SERVE.set(Some(Box::new(answer)));
}

/// What came out of a batch of records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MadeRecords {
    /// Rows, each with the number of the input row it was made from.
    pub rows: Vec<(Option<u32>, Row)>,
    /// Refused rows.
    pub rejections: Vec<Rejection>,
}

/// Configures a record transform from options as JSON.
///
/// # Errors
/// What the host would be told.
pub fn configure_record<T: Record>(options: &Value) -> Result<T, Vec<StageError>> {
    T::configure(options::parse(&options.to_string())?)
}

/// Passes rows through a record transform.
///
/// # Errors
/// What the host would be told.
///
/// # Panics
/// Where a row is not a JSON object.
pub fn process_records<T: Record>(transform: &mut T, rows: &[Value]) -> Result<MadeRecords, StageError> {
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let number = u32::try_from(rows.len()).map_err(|_| StageError::internal("rows", "more rows than a batch may have"))?;
    let mut made = MadeRecords::default();
    let mut output = RecordOutput::new(&mut made);
    transform.records(RecordInput::new(lines.as_bytes(), number, 0, 0), &mut output)?;
    output.flush()?;
    Ok(made)
}

/// Ends a record transform.
///
/// # Errors
/// What the host would be told.
pub fn finish_records<T: Record>(transform: &mut T) -> Result<MadeRecords, StageError> {
    let mut made = MadeRecords::default();
    let mut output = RecordOutput::new(&mut made);
    transform.finish(&mut output)?;
    output.flush()?;
    Ok(made)
}

impl EmitRecords for MadeRecords {
    fn emit(&mut self, rows: &[u8], origins: Option<&[u32]>) -> Result<(), StageError> {
        let numbers = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        for (index, row) in RecordInput::new(rows, numbers, 0, 0) {
            self.rows.push((origins.map(|origins| origins[index as usize]), row));
        }
        Ok(())
    }

    fn reject(&mut self, rejections: &[Rejection]) -> Result<(), StageError> {
        self.rejections.extend_from_slice(rejections);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, StringArray, cast::AsArray, types::Int64Type};
    use arrow_schema::DataType;
    use serde_json::json;

    use super::*;
    use crate::{NoOptions, Outcome, Refusal, State, count, log, now_ms};

    /// Doubles `n`, rejects negatives, leaves zeros out.
    struct Double(Vec<ColumnOp>);

    impl Columns for Double {
        const NAME: &'static str = "double";
        type Options = NoOptions;

        fn configure(_: NoOptions, input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>> {
            let (output, columns) = ColumnOp::extend(input, &[Field::new("n", DataType::Int64, true)]);
            Ok((Self(columns), Plan::filter(output).reading([1])))
        }

        fn process(&mut self, input: &Input<'_>, output: &mut Output<'_>) -> Result<(), StageError> {
            let batch = input.read()?;
            let numbers = batch.column(0).as_primitive::<Int64Type>();
            for (row, number) in numbers.iter().enumerate() {
                if number.is_some_and(|number| number < 0) {
                    output.reject(row, Refusal::new("negative", format!("`{}` is negative", numbers.value(row))).field("n"))?;
                }
            }
            let keep = BooleanBuffer::collect_bool(numbers.len(), |row| numbers.value(row) != 0);
            let doubled: Int64Array = numbers.unary(|number| number * 2);
            output.derive(input, Some(&keep), &self.0, Some(&RecordBatch::try_from_iter([("n", Arc::new(doubled) as ArrayRef)])?))
        }
    }

    fn batch(names: &[&str], numbers: &[i64]) -> RecordBatch {
        let names: ArrayRef = Arc::new(StringArray::from(names.to_vec()));
        RecordBatch::try_from_iter_with_nullable([("name", names, false), ("n", Arc::new(Int64Array::from(numbers.to_vec())), true)])
            .expect("same length")
    }

    #[test]
    fn rejected_rows_are_not_kept() {
        let input = batch(&["a", "b", "c", "d"], &[1, -2, 0, 4]);
        let (mut transform, plan) = configure::<Double>(&json!({}), &input.schema()).expect("there are no options");
        let made = process(&mut transform, &plan, &input).expect("the batch is fine");
        let rejection = Rejection { row: 1, code: "negative".into(), message: "`-2` is negative".into(), field: Some("n".into()) };
        assert_eq!(made, Made { batches: vec![(batch(&["a", "d"], &[2, 8]), Some(vec![0, 3]))], rejections: vec![rejection] });
        assert_eq!(finish(&mut transform), Ok(Made::default()));
    }

    /// Splits `words`, counts them, and tells the sum at the end.
    struct Words(u64);

    impl Record for Words {
        const NAME: &'static str = "words";
        const STATE: State = State::Stream;
        type Options = NoOptions;

        fn configure(_: NoOptions) -> Result<Self, Vec<StageError>> {
            Ok(Self(0))
        }

        fn record(&mut self, row: Row) -> Result<Outcome, Refusal> {
            let words = row.get("words").and_then(Value::as_str).ok_or_else(|| Refusal::new("no_words", "there is no text `words`"))?;
            let rows: Vec<Row> = words.split_whitespace().map(|word| Row::from_iter([("word".to_owned(), word.into())])).collect();
            self.0 += rows.len() as u64;
            count("words", rows.len() as u64);
            Ok(rows.into())
        }

        fn finish(&mut self, output: &mut RecordOutput<'_>) -> Result<(), StageError> {
            log!(Info, "{} words by {}", self.0, now_ms());
            output.emit(None, &Row::from_iter([("sum".to_owned(), self.0.into())]))
        }
    }

    #[test]
    fn records_fan_out_and_sum_up_at_the_end() {
        enter(Run { now_ms: 12, ..Run::default() });
        let row = |value: Value| value.as_object().expect("an object").clone();
        let mut transform = configure_record::<Words>(&json!({})).expect("there are no options");
        let made = process_records(&mut transform, &[json!({"words": "a b"}), json!({"words": ""}), json!({}), json!({"words": "c"})])
            .expect("the batch is fine");
        assert_eq!(
            made,
            MadeRecords {
                rows: vec![
                    (Some(0), row(json!({"word": "a"}))),
                    (Some(0), row(json!({"word": "b"}))),
                    (Some(3), row(json!({"word": "c"})))
                ],
                rejections: vec![Rejection { row: 2, code: "no_words".into(), message: "there is no text `words`".into(), field: None }],
            }
        );
        assert_eq!(finish_records(&mut transform).expect("it ends").rows, vec![(None, row(json!({"sum": 3})))]);
        let run = enter(Run::default());
        assert_eq!((run.counters, run.log), (BTreeMap::from([("words".to_owned(), 3)]), vec![(Level::Info, "3 words by 12".to_owned())]));
    }
}
