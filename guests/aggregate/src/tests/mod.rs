//! All four functions, natively; each run is made once in one piece and once with a snapshot and a fresh instance after every batch.

mod aggregate;
mod dedupe;
mod snapshot;
mod sort;
mod widen;
mod window;

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::SchemaRef;
use etl_sdk::testing::{self, Made};
use etl_sdk::{Columns, StageError};
use serde_json::Value;

/// Memory that is enough.
const PLENTY: u64 = 512 << 20;

/// Columns of a batch.
fn rows<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("columns of one length")
}

fn column<T: arrow_array::Array + 'static>(column: T) -> ArrayRef {
    Arc::new(column)
}

/// Cuts a batch into parts of so many rows.
fn cut(batch: &RecordBatch, rows: usize) -> Vec<RecordBatch> {
    (0..batch.num_rows()).step_by(rows).map(|start| batch.slice(start, rows.min(batch.num_rows() - start))).collect()
}

/// What comes of batches: rows as text, and refusals.
#[derive(Debug, Default, PartialEq)]
struct Came {
    rows: Vec<String>,
    refused: Vec<String>,
}

impl Came {
    fn add(&mut self, made: Made) {
        let options = FormatOptions::new().with_null("null");
        for (batch, _) in &made.batches {
            let columns: Vec<_> =
                batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).expect("it can be shown")).collect();
            for row in 0..batch.num_rows() {
                self.rows.push(columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" | "));
            }
        }
        self.refused
            .extend(made.rejections.into_iter().map(|rejection| format!("{} {}: {}", rejection.row, rejection.code, rejection.message)));
    }
}

fn configure<T: Columns>(options: &Value, schema: &SchemaRef) -> Result<(T, etl_sdk::Plan), Vec<StageError>> {
    let mut options = options.clone();
    options.as_object_mut().expect("options are an object").entry("memory_bytes").or_insert_with(|| PLENTY.into());
    testing::configure::<T>(&options, schema)
}

/// Runs batches through, once in one instance and once in a fresh one after each batch, which must come to the same.
fn run<T: Columns>(options: &Value, batches: &[RecordBatch]) -> Result<Came, StageError> {
    let schema = batches[0].schema();
    let open = || configure::<T>(options, &schema).expect("the options are right");
    let (mut whole, plan) = open();
    let mut came = Came::default();
    for batch in batches {
        came.add(testing::process(&mut whole, &plan, batch)?);
    }
    came.add(testing::finish(&mut whole)?);

    let mut again = Came::default();
    let (mut part, _) = open();
    for batch in batches {
        again.add(testing::process(&mut part, &plan, batch)?);
        let state = part.snapshot()?;
        let (mut fresh, _) = open();
        fresh.restore(&state)?;
        assert_eq!(fresh.snapshot()?, state, "a snapshot of what was restored is the same");
        part = fresh;
    }
    again.add(testing::finish(&mut part)?);
    assert_eq!(came, again, "with snapshots it is the same as without");
    Ok(came)
}

/// What is wrong with options, as lines.
fn wrong<T: Columns>(options: &Value, schema: &SchemaRef) -> Vec<String> {
    let Err(problems) = configure::<T>(options, schema) else { panic!("the options are wrong") };
    problems.into_iter().map(line).collect()
}

fn line(problem: StageError) -> String {
    let field = problem.field.map(|field| format!("{field}: ")).unwrap_or_default();
    let help = problem.help.map(|help| format!(" | {help}")).unwrap_or_default();
    format!("{field}{}{help}", problem.message)
}
