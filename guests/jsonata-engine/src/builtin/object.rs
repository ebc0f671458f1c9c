//! Objects.

use std::rc::Rc;

use super::{Context, unfit};
use crate::Value;
use crate::evaluate::{Arguments, Evaluator, Outcome};
use crate::value::{Members, Object, Shape};

pub(super) fn keys(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let mut names = Members::new();
    gather(&arguments.take(0), &mut names);
    let (names, _) = names.into_parts();
    Ok(Value::sequence(names.into_iter().map(Value::String).collect()))
}

/// Gathers the names of an object, or of all objects of a list.
fn gather(value: &Value, names: &mut Members) {
    match value {
        Value::Object(object) => object.keys().for_each(|name| names.insert(name.clone(), Value::Null)),
        Value::Array(items) => items.iter().for_each(|item| gather(item, names)),
        _ => {}
    }
}

pub(super) fn lookup(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let name = match arguments.take(1) {
        Value::String(name) => name,
        _ => "undefined".into(),
    };
    Ok(match arguments.take(0) {
        Value::Object(object) => object.get(&name).cloned().unwrap_or_default(),
        Value::Array(items) => {
            let mut found = Vec::new();
            look(&items, &name, &mut found);
            Value::sequence(found)
        }
        _ => Value::Undefined,
    })
}

/// Collects the values of a name; a list among them is joined.
fn look(items: &[Value], name: &str, found: &mut Vec<Value>) {
    for item in items {
        match item {
            Value::Object(object) => match object.get(name) {
                None | Some(Value::Undefined) => {}
                Some(Value::Array(list)) => found.extend_from_slice(list),
                Some(value) => found.push(value.clone()),
            },
            Value::Array(list) => look(list, name, found),
            _ => {}
        }
    }
}

pub(super) fn spread(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    Ok(spread_of(&arguments.take(0)))
}

fn spread_of(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut spread = Value::sequence(Vec::new());
            for item in items.iter() {
                spread = super::append(spread, &spread_of(item));
            }
            spread
        }
        Value::Object(object) => {
            let one = |(name, value): (&Rc<str>, &Value)| {
                Value::Object(Rc::new(Object::bare(Shape::new(vec![name.clone()]), vec![value.clone()])))
            };
            Value::sequence(object.iter().map(one).collect())
        }
        value => value.clone(),
    }
}

pub(super) fn merge(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let items = match arguments.take(0) {
        Value::Undefined => return Ok(Value::Undefined),
        Value::Array(items) => items,
        value => return Err(unfit(0, &value)),
    };
    let mut merged = Members::new();
    for item in items.iter() {
        if let Value::Object(object) = item {
            object.iter().for_each(|(name, value)| merged.insert(name.clone(), value.clone()));
        }
    }
    Ok(merged.into_bare())
}
