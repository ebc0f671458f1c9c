//! The simple operations, columnar: the guest behind `transform.yaml`.
//!
//! [`Chain::configure`] runs the steps over names and types only: it finds every mistake, and works out where each column of the output
//! comes from. What moves or renames columns is done with then; [`Chain::process`] computes the values that are new and decides which rows stay.
//!
//! What the format leaves open is decided here:
//! - A row is rejected once, for the first reason; a row that an earlier step filtered out or rejected is not judged again.
//! - Truth values are written `true` and `false`, instants as ISO 8601 with `Z` or an offset, and a fraction of 3 or 6 digits where there is one,
//!   objects and lists as JSON, null in a template as the empty text.
//! - A lone `${field:-default}` keeps the field's type where the default reads as one; otherwise it becomes text, as in `defaults`.
//! - A bare word in a call is the column of that name; where there is none it is a text in `concat` and as the last argument of
//!   `coalesce` and `default`, null and counted as a missing column as an earlier one of these, and an error elsewhere.
//! - `lower`, `upper`, `trim` and `str` make null the empty text, `len` 0, `bool` false; all others leave it null.
//! - A lower width of a type is worked on in its widest: integers as 64-bit, floats as 64-bit, instants as microseconds.
//! - Zones are UTC and fixed offsets; an instant in a named region is shown in UTC.
//! - A text with an offset does not become a `timestamp` without a zone, and more digits than a `decimal` has are refused; floats are rounded to it.
//! - `unnest` keeps a row whose list is null or empty, with null for the item; a reject behind it takes the whole input row with it.

mod alive;
mod chain;
mod column;
mod convert;
mod eval;
mod export;
mod filter;
mod flatten;
mod format;
mod instant;
mod json;
mod node;
mod parse;
mod process;
mod scope;
mod text;
mod uuid;

#[cfg(test)]
mod tests;

use arrow_array::RecordBatch;
use arrow_buffer::BooleanBuffer;
use arrow_schema::SchemaRef;

pub use chain::Chain;
pub use export::{Flatten, Ops};

/// What is wrong with the options, or with a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The option that it is about, such as `steps[2].convert.price`.
    pub field: Option<String>,
    /// A short stable name, such as `unknown_column`.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// What `configure` found out.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The schema that comes out.
    pub output: SchemaRef,
    /// The input columns whose values are read, in the order in which [`Chain::process`] wants them.
    pub columns: Vec<usize>,
    /// Whether rows may be filtered out.
    pub filters: bool,
    /// Whether a row may become several; then every batch comes out as [`Output::Emitted`].
    pub expands: bool,
}

/// The batch's place in the run: all that a value may depend on besides the row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The run's start, in milliseconds since 1970 UTC.
    pub now_ms: i64,
    /// A number drawn from the run's id.
    pub seed: u64,
    /// The batch's number.
    pub sequence: u64,
    /// The number of row 0 within the batch.
    pub first_row: u32,
}

/// What a batch became.
#[derive(Clone, Debug)]
pub enum Output {
    /// Rows of the input with other columns.
    Derived(Derived),
    /// Rows of their own.
    Emitted(Emitted),
}

/// Rows of the input with other columns.
#[derive(Clone, Debug)]
pub struct Derived {
    /// The rows that stay; `None` = all.
    pub keep: Option<BooleanBuffer>,
    /// The columns of the output in order.
    pub columns: Vec<ColumnOp>,
    /// Computed columns, with a value for every row of the input.
    pub computed: RecordBatch,
    /// The rows that are refused; they are not in `keep`.
    pub rejects: Vec<Rejection>,
    /// What was counted, such as `missing_column.price`.
    pub counters: Vec<(String, u64)>,
}

/// Rows of their own.
#[derive(Clone, Debug)]
pub struct Emitted {
    /// The rows, in the output's schema.
    pub rows: RecordBatch,
    /// The row of the input that each came from, in order.
    pub origins: Vec<u32>,
    /// The rows of the input that are refused.
    pub rejects: Vec<Rejection>,
    /// What was counted.
    pub counters: Vec<(String, u64)>,
}

/// Where a column of the output comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnOp {
    /// The input column of this index, under its own name.
    Keep(u32),
    /// The input column of this index, under another name.
    Rename(u32, String),
    /// The computed column of this index.
    Computed(u32, String),
}

/// A row that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The row of the input batch.
    pub row: u32,
    /// A short stable name, such as `convert_int`.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// The column that it is about.
    pub field: Option<String>,
}
