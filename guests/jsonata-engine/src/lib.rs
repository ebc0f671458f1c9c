//! JSONata, compiled once and evaluated on Arrow rows.
//!
//! The language is that of the reference implementation (npm `jsonata` 2.2): its results, its error codes, and its quirks. A text becomes a
//! tree (`syntax`), the tree one that knows what can be known before a row is there (`evaluate::node`), and that is evaluated.
//!
//! Where it differs, and why:
//! - Names of an object that are indices (`"0"`, `"17"`) come first in what an expression or JSON text makes, as in JavaScript; the columns
//!   of a row stay in their own order.
//! - A function that replaces what is no regular expression is refused (D3012), where the reference writes the text of its own program.
//! - `$replace`, `$map` and the like take functions also where their call ends a function; the reference fails there without a code.
//! - A regular expression within the left side of `?:` or `??` is itself, where the reference loses it.
//! - An input is never changed; the reference puts nothing into an empty list of it that is grouped.
//! - Limits of depth and time are told as such also from within `$eval`.

mod builtin;
mod columns;
mod evaluate;
mod expression;
mod failure;
mod library;
mod limits;
mod marks;
mod random;
mod reading;
mod rows;
mod signature;
pub mod surrogate;
mod syntax;
mod value;

pub use columns::{Columns, NoRow};
pub use expression::{Expression, Prepared};
pub use failure::Failure;
pub use limits::{Limits, Run};
pub use rows::{Rows, unreadable};
pub use value::{Array, Object, Value, number, write_json};

/// Reads JSON text; numbers become doubles, lone surrogates survive.
///
/// # Errors
/// Where it is not JSON.
pub fn from_json(text: &str) -> Result<Value, Failure> {
    Value::from_json_str(text)
}

/// Writes a value as JSON; a function is an empty text, as in the reference's `$string`, and what is no number is null.
pub fn to_json(value: &Value) -> String {
    surrogate::release(value.to_json_string())
}

/// Whether a value is true by the rules of `$boolean`.
pub fn is_true(value: &Value) -> bool {
    matches!(evaluate::truth(value), Ok(Some(true)))
}

/// What a value is, in words.
pub fn describe(value: &Value) -> &'static str {
    match value {
        Value::Undefined => "nothing",
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
        Value::Function(callable) => match &*callable.function {
            evaluate::Function::Pattern(_) => "a regular expression",
            _ => "a function",
        },
    }
}
