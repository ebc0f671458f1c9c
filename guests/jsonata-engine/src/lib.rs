//! JSONata, compiled once and evaluated on Arrow rows.

mod expression;
mod failure;
mod impure;
mod limits;
mod random;

pub use expression::{Expression, Prepared};
pub use failure::Failure;
pub use limits::{Limits, Run};

/// What an expression reads and gives: cheap to clone, numbers as doubles.
pub use jsonata_core::value::JValue as Value;
