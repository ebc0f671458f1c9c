//! Lists.

use std::collections::HashSet;
use std::rc::Rc;

use super::{Context, unfit};
use crate::Value;
use crate::evaluate::{Arguments, Evaluator, Outcome};
use crate::value::{Array, Flags, is_deep_equal};

/// Two values as one list; nothing adds nothing.
pub(crate) fn append(one: Value, other: &Value) -> Value {
    let mut items = match (one, other) {
        (one, Value::Undefined) => return one,
        (Value::Undefined, other) => return other.clone(),
        (Value::Array(list), _) => Rc::try_unwrap(list).map_or_else(|list| list.to_vec(), Array::into_items),
        (one, _) => vec![one],
    };
    match other {
        Value::Array(more) => items.extend_from_slice(more),
        other => items.push(other.clone()),
    }
    Value::array(items)
}

pub(super) fn append_all(evaluator: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let (one, other) = (arguments.take(0), arguments.take(1));
    let joined = append(one, &other);
    if let Value::Array(items) = &joined {
        evaluator.check_length(items.len())?;
    }
    Ok(joined)
}

/// The items of the first argument; an answer in place of them where there is nothing to do.
fn items(arguments: &mut Arguments) -> Outcome<Result<Rc<Array>, Value>> {
    match arguments.take(0) {
        Value::Array(items) if items.len() > 1 => Ok(Ok(items)),
        value @ (Value::Array(_) | Value::Undefined) => Ok(Err(value)),
        value => Err(unfit(0, &value)),
    }
}

pub(super) fn reverse(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    Ok(match items(arguments)? {
        Ok(items) => Value::array(items.iter().rev().cloned().collect()),
        Err(value) => value,
    })
}

/// Fisher and Yates, inside out, as the reference does it.
pub(super) fn shuffle(evaluator: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let items = match items(arguments)? {
        Ok(items) => items,
        Err(value) => return Ok(value),
    };
    let mut shuffled: Vec<Value> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let place = (evaluator.random.fraction() * (index + 1) as f64) as usize;
        shuffled.push(item.clone());
        shuffled.swap(place, index);
    }
    Ok(Value::array(shuffled))
}

pub(super) fn zip(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let lists: Vec<&[Value]> = arguments.iter().map(|list| if let Value::Array(items) = list { items } else { &[][..] }).collect();
    let length = lists.iter().map(|list| list.len()).min().unwrap_or_default();
    let tuple = |index: usize| Value::array(lists.iter().map(|list| list[index].clone()).collect());
    Ok(Value::array((0..length).map(tuple).collect()))
}

/// A value that has an order of its own, so that it is found without a look at all others.
#[derive(PartialEq, Eq, Hash)]
enum Simple {
    Null,
    Bool(bool),
    Number(u64),
    String(Rc<str>),
}

fn simple(value: &Value) -> Option<Simple> {
    Some(match value {
        Value::Null => Simple::Null,
        Value::Bool(value) => Simple::Bool(*value),
        // Both zeros are one.
        Value::Number(number) if !number.is_nan() => Simple::Number((number + 0.0).to_bits()),
        Value::String(text) => Simple::String(text.clone()),
        _ => return None,
    })
}

pub(super) fn distinct(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let items = match arguments.take(0) {
        Value::Array(items) if items.len() > 1 => items,
        value => return Ok(value),
    };
    let mut seen = HashSet::new();
    // Lists and objects, by what they hold.
    let mut nested: Vec<Value> = Vec::new();
    let mut kept = Vec::new();
    for item in items.iter() {
        let is_new = match simple(item) {
            Some(simple) => seen.insert(simple),
            None => {
                let is_new = !nested.iter().any(|other| is_deep_equal(item, other));
                if is_new {
                    nested.push(item.clone());
                }
                is_new
            }
        };
        if is_new {
            kept.push(item.clone());
        }
    }
    let flags = if items.is(Flags::SEQUENCE) { Flags::SEQUENCE } else { Flags::NONE };
    Ok(Value::Array(Rc::new(Array::new(kept, flags))))
}
