//! JSONata, compiled once and evaluated on Arrow rows.

mod columns;
mod expression;
mod failure;
mod impure;
mod json;
#[expect(dead_code, reason = "the evaluator that calls it is not here yet")]
mod library;
mod limits;
mod mended;
mod random;
mod reading;
mod rewrite;
mod rows;
pub mod surrogate;
mod text;

pub use columns::{Columns, NoRow, describe, number, write_json};
pub use expression::{Expression, Prepared};
pub use failure::Failure;
pub use json::{from_json, to_json};
pub use limits::{Limits, Run};
pub use rows::{Rows, unreadable};

/// What an expression reads and gives: cheap to clone, numbers as doubles.
pub use jsonata_core::value::JValue as Value;

/// Whether a value is true by the rules of `$boolean`.
pub fn is_true(value: &Value) -> bool {
    matches!(jsonata_core::functions::boolean::boolean(value), Ok(Value::Bool(true)))
}
