//! Values as JSON text.

use crate::surrogate::{release, shelter};
use crate::{Failure, Value};

/// Reads a value; numbers become doubles, lone surrogates survive.
///
/// # Errors
/// Where it is not JSON.
pub fn from_json(text: &str) -> Result<Value, Failure> {
    Value::from_json_str(&shelter(text)).map_err(|error| Failure::new("D3120", format!("the input is not JSON: {error}")))
}

/// Writes a value; a function is an empty text, as in the reference's `$string`.
///
/// # Errors
/// Where it is no value of JSON, such as a number that is not finite.
pub fn to_json(value: &Value) -> Result<String, Failure> {
    let text = value.to_json_string().map_err(|error| Failure::new("D3001", format!("the result is not JSON: {error}")))?;
    Ok(release(text))
}
