//! Values compared as JavaScript does.

use std::cmp::Ordering;
use std::rc::Rc;

use super::Value;

/// Whether two values are the same all through; the order of an object's names does not matter.
pub(crate) fn is_deep_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            Rc::ptr_eq(one, other) || one.len() == other.len() && one.iter().zip(other.iter()).all(|(one, other)| is_equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            if Rc::ptr_eq(one, other) {
                return true;
            }
            if Rc::ptr_eq(one.shape(), other.shape()) {
                return one.values().iter().zip(other.values()).all(|(one, other)| is_equal(one, other));
            }
            one.len() == other.len() && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| is_equal(value, other)))
        }
        _ => is_same(one, other),
    }
}

fn is_equal(one: &Value, other: &Value) -> bool {
    matches!((one, other), (Value::Undefined, Value::Undefined)) || is_deep_equal(one, other)
}

/// Whether two values are identical: lists and objects only to themselves.
pub(crate) fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Undefined, Value::Undefined) | (Value::Null, Value::Null) => true,
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Number(one), Value::Number(other)) => one == other,
        (Value::String(one), Value::String(other)) => one == other,
        (Value::Array(one), Value::Array(other)) => Rc::ptr_eq(one, other),
        (Value::Object(one), Value::Object(other)) => Rc::ptr_eq(one, other),
        (Value::Function(one), Value::Function(other)) => one.function.is_same(&other.function),
        _ => false,
    }
}

/// Compares by UTF-16 units.
pub(crate) fn compare_texts(one: &str, other: &str) -> Ordering {
    let place = one.bytes().zip(other.bytes()).position(|(one, other)| one != other);
    match place {
        None => one.len().cmp(&other.len()),
        // From here on the order of UTF-8 is not that of UTF-16.
        Some(place) if one.as_bytes()[place] >= 0xee || other.as_bytes()[place] >= 0xee || place > 0 && one.as_bytes()[place] >= 0x80 => {
            units(one).cmp(units(other))
        }
        Some(place) => one.as_bytes()[place].cmp(&other.as_bytes()[place]),
    }
}

/// UTF-16 units; a lone surrogate's stand-in is that surrogate.
fn units(text: &str) -> impl Iterator<Item = u16> {
    text.chars().flat_map(|character| {
        let mut units = [0; 2];
        let code = u32::from(character);
        let length = match (0x10_d800..=0x10_dfff).contains(&code) {
            true => {
                units[0] = (code - 0x10_0000) as u16;
                1
            }
            false => character.encode_utf16(&mut units).len(),
        };
        units.into_iter().take(length)
    })
}
