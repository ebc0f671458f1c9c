//! Values compared as JSON Schema has it: numbers by what they are worth, objects whatever the order of their members.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use serde_json::{Number, Value};

use crate::read;

/// Items up to which comparing each with each is cheapest.
const FEW: usize = 12;

/// Whether two values are the same.
pub(super) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => compare(left, right) == Some(Ordering::Equal),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len() && left.iter().all(|(name, left)| right.get(name).is_some_and(|right| equal(left, right)))
        }
        _ => left == right,
    }
}

/// Compares two numbers, whole ones exactly.
pub(super) fn compare(left: &Number, right: &Number) -> Option<Ordering> {
    let whole = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

/// Whether a number is a multiple of another, by their digits: 0.3 is one of 0.1.
pub(super) fn is_multiple(number: &Number, of: &Number) -> bool {
    let digits = |number: &Number| read::exact(&number.to_string());
    if let (Some((number, power)), Some((of, of_power))) = (digits(number), digits(of)) {
        let least = power.min(of_power);
        let scaled = |digits: i128, power: i32| digits.checked_mul(10i128.checked_pow(u32::try_from(power - least).ok()?)?);
        if let (Some(number), Some(of)) = (scaled(number, power), scaled(of, of_power)) {
            return of != 0 && number % of == 0;
        }
    }
    match (number.as_f64(), of.as_f64()) {
        (Some(number), Some(of)) => number % of == 0.0,
        _ => false,
    }
}

/// The places of two items that are the same.
pub(super) fn twice(items: &[Value]) -> Option<(usize, usize)> {
    if items.len() <= FEW {
        return (1..items.len())
            .find_map(|later| (0..later).find(|first| equal(&items[*first], &items[later])).map(|first| (first, later)));
    }
    let mut seen = HashMap::<u64, Vec<usize>>::with_capacity(items.len());
    for (later, item) in items.iter().enumerate() {
        let places = seen.entry(hash(item)).or_default();
        if let Some(first) = places.iter().find(|first| equal(&items[**first], item)) {
            return Some((*first, later));
        }
        places.push(later);
    }
    None
}

/// A number that equal values share.
fn hash(value: &Value) -> u64 {
    let state = FixedState::with_seed(0);
    match value {
        Value::Null => 1,
        Value::Bool(value) => 2 + u64::from(*value),
        // Adding nought makes one of both noughts.
        Value::Number(number) => state.hash_one((number.as_f64().unwrap_or_default() + 0.0).to_bits()),
        Value::String(text) => state.hash_one(text),
        Value::Array(items) => items.iter().fold(4, |sum, item| state.hash_one((sum, hash(item)))),
        Value::Object(members) => members.iter().fold(5, |sum: u64, (name, value)| sum.wrapping_add(state.hash_one((name, hash(value))))),
    }
}
