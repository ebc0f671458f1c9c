//! Values as JavaScript makes numbers and texts of them, where nobody checked their kind.

use crate::evaluate::Outcome;
use crate::value::number_text;
use crate::{Failure, Value};

/// `Number(value)`
pub(super) fn to_number(value: &Value) -> Outcome<f64> {
    Ok(match value {
        Value::Undefined | Value::Function(_) => f64::NAN,
        Value::Null => 0.0,
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::Number(number) => *number,
        Value::String(text) => parse(text.trim()),
        Value::Array(_) | Value::Object(_) => parse(to_text(value)?.trim()),
    })
}

fn parse(text: &str) -> f64 {
    let radix = |digits: &str, radix: u32| i64::from_str_radix(digits, radix).map_or(f64::NAN, |number| number as f64);
    match text.as_bytes() {
        [] => 0.0,
        [b'0', b'x' | b'X', ..] => radix(&text[2..], 16),
        [b'0', b'o' | b'O', ..] => radix(&text[2..], 8),
        [b'0', b'b' | b'B', ..] => radix(&text[2..], 2),
        _ if text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) => text.parse().unwrap_or(f64::NAN),
        _ => f64::NAN,
    }
}

/// `String(value)`, but nothing and null are empty, as when a list is joined. An object that an expression made has none.
pub(super) fn to_text(value: &Value) -> Outcome<String> {
    Ok(match value {
        Value::Undefined | Value::Null => String::new(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number_text(*number),
        Value::String(text) => text.to_string(),
        Value::Array(items) => join(items, ",")?,
        Value::Object(object) if !object.is_bare => "[object Object]".into(),
        value => return Err(Failure::new("T0410", format!("{} is neither a number nor a text", crate::describe(value))).into()),
    })
}

/// The texts of all items.
pub(super) fn join(items: &[Value], separator: &str) -> Outcome<String> {
    Ok(items.iter().map(to_text).collect::<Outcome<Vec<_>>>()?.join(separator))
}
