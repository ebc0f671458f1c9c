//! Values as JSON text.

use std::rc::Rc;

use super::Value;
use crate::Failure;
use crate::evaluate::{Function, endless};
use crate::library;
use crate::surrogate::release;

/// Writes a value as a column's JSON. What JSON has no word for (functions, NaN, infinity) is `null`, and a member that is such is left out.
pub fn write_json(value: &Value, out: &mut Vec<u8>) {
    write(value, out, b"");
}

/// As JavaScript writes the result of an evaluation: a function is an empty text.
pub(super) fn plain(value: &Value, out: &mut Vec<u8>) {
    write(value, out, b"\"\"");
}

/// Writes a value; a function as those bytes.
fn write(value: &Value, out: &mut Vec<u8>, function: &[u8]) {
    match value {
        Value::Undefined | Value::Null => out.extend_from_slice(b"null"),
        Value::Number(value) => number(*value, out),
        Value::Function(_) if function.is_empty() => out.extend_from_slice(b"null"),
        Value::Function(_) => out.extend_from_slice(function),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::String(value) => text(value, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, out, function);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            let start = out.len();
            for (name, value) in members.iter() {
                if value.is_undefined() || value.is_function() && function.is_empty() {
                    continue;
                }
                if out.len() > start {
                    out.push(b',');
                }
                text(name, out);
                out.push(b':');
                write(value, out, function);
            }
            out.push(b'}');
        }
    }
}

/// Writes a number as JavaScript does.
pub fn number(value: f64, out: &mut Vec<u8>) {
    let int = value as i64;
    if int as f64 == value && int.unsigned_abs() <= 1 << 53 {
        out.extend_from_slice(itoa::Buffer::new().format(int).as_bytes());
    } else if value.is_finite() {
        out.extend_from_slice(number_text(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// A number as JavaScript writes it, all its digits.
pub(crate) fn number_text(value: f64) -> String {
    let mut text = String::new();
    library::number::write_exact(value, &mut text);
    text
}

/// A number as the language writes it, with 15 digits.
fn to_text(value: f64) -> String {
    let mut text = String::new();
    library::number::write(value, &mut text);
    text
}

/// Writes a text in quotes.
pub(crate) fn text(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut from = 0;
    for (index, byte) in text.bytes().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            8 => b"\\b",
            12 => b"\\f",
            0..0x20 => &[b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]],
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[from..index]);
        out.extend_from_slice(escape);
        from = index + 1;
    }
    out.extend_from_slice(&text.as_bytes()[from..]);
    out.push(b'"');
}

/// Writes a value as `&` does.
pub(crate) fn write_text(value: &Value, out: &mut String) -> Result<(), Failure> {
    match value {
        Value::String(text) => out.push_str(text),
        Value::Number(number) if number.is_finite() => library::number::write(*number, out),
        value => {
            if let Some(text) = string_of(value, false)? {
                out.push_str(&text);
            }
        }
    }
    Ok(())
}

/// A value as `$string` gives it; nothing of nothing.
pub(crate) fn string_of(value: &Value, pretty: bool) -> Result<Option<Rc<str>>, Failure> {
    Ok(Some(match value {
        Value::Undefined => return Ok(None),
        Value::String(text) => text.clone(),
        Value::Function(callable) => match *callable.function {
            Function::Endless => return Err(endless()),
            _ => "".into(),
        },
        Value::Number(number) if !number.is_finite() => {
            return Err(Failure::new("D3001", format!("{} has no text", number_text(*number))));
        }
        Value::Number(number) => to_text(*number).into(),
        Value::Bool(true) => "true".into(),
        Value::Bool(false) => "false".into(),
        Value::Null => "null".into(),
        Value::Array(_) | Value::Object(_) => {
            let value = match value {
                Value::Array(items) if items.is(super::Flags::OUTER) => &items[0],
                value => value,
            };
            let mut out = Vec::new();
            nested(value, pretty.then_some(0), &mut out)?;
            let text = String::from_utf8(out).expect("only texts were written");
            // As JSON text a lone surrogate is its escape, which is six characters.
            release(text).into()
        }
    }))
}

fn nested(value: &Value, indent: Option<usize>, out: &mut Vec<u8>) -> Result<(), Failure> {
    let line = |indent: Option<usize>, out: &mut Vec<u8>| {
        if let Some(indent) = indent {
            out.push(b'\n');
            out.resize(out.len() + 2 * indent, b' ');
        }
    };
    let within = indent.map(|indent| indent + 1);
    match value {
        Value::Undefined | Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Number(number) if number.is_nan() => out.extend_from_slice(b"null"),
        Value::Number(number) if number.is_infinite() => {
            return Err(Failure::new("D1001", format!("number out of range: {}", number_text(*number))));
        }
        Value::Number(number) => out.extend_from_slice(to_text(*number).as_bytes()),
        Value::String(value) => text(value, out),
        Value::Function(callable) => match *callable.function {
            Function::Endless => return Err(endless()),
            _ => out.extend_from_slice(b"\"\""),
        },
        Value::Array(items) if items.is_empty() => out.extend_from_slice(b"[]"),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                line(within, out);
                nested(item, within, out)?;
            }
            line(indent, out);
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            let start = out.len();
            for (name, value) in members.iter().filter(|(_, value)| !value.is_undefined()) {
                if out.len() > start {
                    out.push(b',');
                }
                line(within, out);
                text(name, out);
                out.extend_from_slice(if indent.is_some() { b": " } else { b":" });
                nested(value, within, out)?;
            }
            if out.len() > start {
                line(indent, out);
            }
            out.push(b'}');
        }
    }
    Ok(())
}
