//! Checks over several columns, in JSONata.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow_array::{Array, RecordBatch};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::Schema;
use etl_jsonata_engine::{Expression as Compiled, Limits, Prepared, Rows, Run, is_true, unreadable};

use crate::value::Wrong;

/// An expression, ready for the rows of a run.
pub(crate) struct Expression {
    prepared: Prepared,
    seed: u64,
    /// Rows of the last batch that could not be worked out, with the reason.
    failures: Vec<(usize, String)>,
    text: String,
    /// Reasons that were told of.
    told: BTreeSet<String>,
}

/// Reasons that are told apart: a report has room for some.
const REASONS: usize = 8;

/// Bytes of a reason, behind the rule's index.
const MAX_REASON: usize = 230;

impl Expression {
    /// Compiles an expression for a schema. Answers the columns that it reads as well.
    pub(crate) fn compile(text: &str, input: &Schema) -> Result<(Self, Vec<usize>), Wrong> {
        let compiled = Compiled::compile(text).map_err(|failure| (failure.to_string(), None))?;
        let reads = compiled.reads();
        let mut columns = Vec::new();
        for (index, field) in input.fields().iter().enumerate() {
            let is_named = reads.as_ref().map(|names| names.contains(field.name()));
            match (is_named, unreadable(field.data_type())) {
                (Some(false), _) => {}
                (_, Some(data_type)) => {
                    let message = format!("column `{}` is of type {data_type}, which JSONata has no value for", field.name());
                    return Err((message, Some("`convert` or `drop` it before".into())));
                }
                _ => columns.push(index),
            }
        }
        let run = Run { now_ms: etl_sdk::now_ms(), seed: etl_sdk::seed() };
        let prepared = compiled.prepare(&[], &run, &Limits::default());
        Ok((Self { prepared, seed: run.seed, failures: Vec::new(), text: text.to_owned(), told: BTreeSet::new() }, columns))
    }

    /// The rows for which it is not true, or cannot be worked out. A null is an absent key.
    pub(crate) fn broken(&mut self, rows: &RecordBatch, first: u64) -> BooleanBuffer {
        self.failures.clear();
        let Self { prepared, seed, failures, .. } = self;
        let mut present = Present::new(rows);
        BooleanBuffer::collect_bool(rows.num_rows(), |row| {
            // As the number of the row, not of the batch: a copy or a second try gives the same.
            prepared.reseed(*seed ^ first.wrapping_add(row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            match prepared.evaluate(Some(&present.of(row).row(row))) {
                Ok(value) => !value.is_some_and(|value| is_true(&value)),
                Err(failure) => {
                    failures.push((row, failure.to_string()));
                    true
                }
            }
        })
    }

    /// Why rows of the last batch could not be worked out, and in how many: without the values of single rows, so that the reasons are few.
    pub(crate) fn reasons(&mut self) -> BTreeMap<String, u64> {
        let mut reasons = BTreeMap::new();
        for (_, message) in &self.failures {
            let mut reason = general(message, &self.text);
            if self.told.len() >= REASONS && !self.told.contains(&reason) {
                reason = "for another reason".into();
            } else {
                self.told.insert(reason.clone());
            }
            *reasons.entry(reason).or_default() += 1;
        }
        reasons
    }

    /// Why a row of the last batch could not be worked out.
    pub(crate) fn why(&self, row: usize) -> Option<String> {
        self.failures.binary_search_by_key(&row, |(row, _)| *row).ok().map(|found| self.failures[found].1.clone())
    }
}

/// A message with `…` for what it quotes that the expression does not have: values of a row.
fn general(message: &str, expression: &str) -> String {
    let part = |(index, part): (usize, &str)| match index % 2 == 1 && !expression.contains(part) {
        true => "…".to_owned(),
        false => part.to_owned(),
    };
    let mut general = message.to_owned();
    for quote in ["`", "\""] {
        general = general.split(quote).enumerate().map(part).collect::<Vec<_>>().join(quote);
    }
    if general.len() > MAX_REASON {
        let end = (0..=MAX_REASON).rev().find(|end| general.is_char_boundary(*end)).unwrap_or_default();
        general.truncate(end);
        general.push('…');
    }
    general
}

/// Rows without the columns that are null in them: the rows in which the same columns are there share what is made ready for them.
struct Present<'a> {
    rows: &'a RecordBatch,
    /// Columns that have nulls.
    nulls: Vec<(usize, NullBuffer)>,
    ready: HashMap<Vec<bool>, Rows>,
    wanted: Vec<bool>,
}

impl<'a> Present<'a> {
    fn new(rows: &'a RecordBatch) -> Self {
        let nulls = rows.columns().iter().enumerate().filter_map(|(index, column)| Some((index, column.logical_nulls()?)));
        let nulls: Vec<(usize, NullBuffer)> = nulls.filter(|(_, nulls)| nulls.null_count() > 0).collect();
        Self { rows, nulls, ready: HashMap::new(), wanted: Vec::new() }
    }

    fn of(&mut self, row: usize) -> &Rows {
        self.wanted.clear();
        self.wanted.extend(self.nulls.iter().map(|(_, nulls)| nulls.is_valid(row)));
        if !self.ready.contains_key(&self.wanted) {
            let absent = |index: usize| self.nulls.iter().zip(&self.wanted).any(|((null, _), there)| *null == index && !there);
            let present: Vec<usize> = (0..self.rows.num_columns()).filter(|index| !absent(*index)).collect();
            let rows = self.rows.project(&present).expect("the columns are its own");
            self.ready.insert(self.wanted.clone(), Rows::new(&rows));
        }
        &self.ready[&self.wanted]
    }
}
