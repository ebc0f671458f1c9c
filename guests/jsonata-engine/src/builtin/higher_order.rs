//! Functions that call functions.

use std::rc::Rc;

use super::{Context, unfit};
use crate::evaluate::{Arguments, Environment, Evaluator, Outcome, are_numbers, merge_sort, truth};
use crate::value::{Array, Members, compare_texts};
use crate::{Failure, Value};

/// The list that is gone through, and the function; `None` where there is no list.
fn list_and_function(arguments: &mut Arguments) -> Outcome<Option<(Rc<Array>, Value)>> {
    match (arguments.take(0), arguments.take(1)) {
        (Value::Undefined, _) => Ok(None),
        (Value::Array(items), function) => Ok(Some((items, function))),
        (value, _) => Err(unfit(0, &value)),
    }
}

fn arity(function: &Value) -> usize {
    match function {
        Value::Function(callable) => callable.function.arity(),
        _ => 0,
    }
}

/// Calls a function with an item, and with its place and all items where it takes them.
#[inline]
fn call(
    evaluator: &mut Evaluator,
    function: &Value,
    item: Value,
    place: impl FnOnce() -> Value,
    all: impl FnOnce() -> Value,
    env: &Environment,
) -> Outcome {
    let arity = arity(function);
    let mut arguments = Arguments::from([item]);
    if arity >= 2 {
        arguments.push(place());
    }
    if arity >= 3 {
        arguments.push(all());
    }
    evaluator.call_back(function, &mut arguments, env)
}

/// Calls a function with each item of a list.
fn each_item(
    evaluator: &mut Evaluator,
    items: &Rc<Array>,
    function: &Value,
    env: &Environment,
    mut then: impl FnMut(&Evaluator, &Value, Value) -> Outcome<()>,
) -> Outcome<()> {
    for (index, item) in items.iter().enumerate() {
        let place = || Value::Number(index as f64);
        let value = call(evaluator, function, item.clone(), place, || Value::Array(items.clone()), env)?;
        then(evaluator, item, value)?;
    }
    Ok(())
}

pub(super) fn map(evaluator: &mut Evaluator, arguments: &mut Arguments, context: &Context<'_>) -> Outcome {
    let Some((items, function)) = list_and_function(arguments)? else { return Ok(Value::Undefined) };
    let mut made = Vec::with_capacity(items.len());
    each_item(evaluator, &items, &function, context.env, |evaluator, _, value| {
        if !value.is_undefined() {
            made.push(value);
        }
        evaluator.check_length(made.len())
    })?;
    Ok(Value::sequence(made))
}

pub(super) fn filter(evaluator: &mut Evaluator, arguments: &mut Arguments, context: &Context<'_>) -> Outcome {
    let Some((items, function)) = list_and_function(arguments)? else { return Ok(Value::Undefined) };
    let mut kept = Vec::new();
    each_item(evaluator, &items, &function, context.env, |evaluator, item, value| {
        if truth(&value)? == Some(true) {
            kept.push(item.clone());
        }
        evaluator.check_length(kept.len())
    })?;
    Ok(Value::sequence(kept))
}

pub(super) fn single(evaluator: &mut Evaluator, arguments: &mut Arguments, context: &Context<'_>) -> Outcome {
    let Some((items, function)) = list_and_function(arguments)? else { return Ok(Value::Undefined) };
    let mut found = None;
    let mut keep = |item: &Value| match found.replace(item.clone()) {
        None => Ok(()),
        Some(_) => Err(Failure::new("D3138", "`$single` expected one matching item, but more match")),
    };
    if function.is_undefined() {
        items.iter().try_for_each(&mut keep)?;
    } else {
        each_item(evaluator, &items, &function, context.env, |_, item, value| {
            if truth(&value)? == Some(true) {
                keep(item)?;
            }
            Ok(())
        })?;
    }
    found.ok_or_else(|| Failure::new("D3139", "`$single` expected one matching item, but none matches").into())
}

pub(super) fn reduce(evaluator: &mut Evaluator, arguments: &mut Arguments, context: &Context<'_>) -> Outcome {
    let start = arguments.take(2);
    let Some((items, function)) = list_and_function(arguments)? else { return Ok(Value::Undefined) };
    let arity = arity(&function);
    if arity < 2 {
        return Err(Failure::new("D3050", "the function of `$reduce` must take at least two arguments").into());
    }
    let (mut value, from) = match (start, items.first()) {
        (Value::Undefined, Some(first)) => (first.clone(), 1),
        (start, _) => (start, 0),
    };
    for (index, item) in items.iter().enumerate().skip(from) {
        let mut arguments = Arguments::from([value, item.clone()]);
        if arity >= 3 {
            arguments.push(Value::Number(index as f64));
        }
        if arity >= 4 {
            arguments.push(Value::Array(items.clone()));
        }
        value = evaluator.call_back(&function, &mut arguments, context.env)?;
    }
    Ok(value)
}

/// Calls a function with each value of an object, its name and the object.
fn each_member(
    evaluator: &mut Evaluator,
    arguments: &mut Arguments,
    env: &Environment,
    mut then: impl FnMut(&Rc<str>, &Value, Value) -> Outcome<()>,
) -> Outcome<()> {
    let object = arguments.take(0);
    let function = arguments.take(1);
    let members: Vec<(Rc<str>, Value)> = match &object {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        Value::Array(items) => (0..).zip(items.iter()).map(|(index, item): (usize, _)| (index.to_string().into(), item.clone())).collect(),
        _ => Vec::new(),
    };
    for (name, value) in members {
        let made = call(evaluator, &function, value.clone(), || Value::String(name.clone()), || object.clone(), env)?;
        then(&name, &value, made)?;
    }
    Ok(())
}

pub(super) fn each(evaluator: &mut Evaluator, arguments: &mut Arguments, context: &Context<'_>) -> Outcome {
    let mut made = Vec::new();
    each_member(evaluator, arguments, context.env, |_, _, value| {
        if !value.is_undefined() {
            made.push(value);
        }
        Ok(())
    })?;
    Ok(Value::sequence(made))
}

pub(super) fn sift(evaluator: &mut Evaluator, arguments: &mut Arguments, context: &Context<'_>) -> Outcome {
    let mut kept = Members::new();
    each_member(evaluator, arguments, context.env, |name, value, chosen| {
        if truth(&chosen)? == Some(true) {
            kept.insert(name.clone(), value.clone());
        }
        Ok(())
    })?;
    Ok(if kept.is_empty() { Value::Undefined } else { kept.into_bare() })
}

pub(super) fn sort(evaluator: &mut Evaluator, arguments: &mut Arguments, context: &Context<'_>) -> Outcome {
    let Some((items, function)) = list_and_function(arguments)? else { return Ok(Value::Undefined) };
    if items.len() <= 1 {
        return Ok(Value::Array(items));
    }
    let places = if function.is_undefined() {
        if !are_numbers(&items)? && !items.iter().all(|item| matches!(item, Value::String(_))) {
            let message = "`$sort` without a function puts only numbers or only texts in order";
            return Err(Failure::new("D3070", message).into());
        }
        merge_sort(items.len(), &mut |one, other| {
            Ok(match (&items[one], &items[other]) {
                (Value::Number(one), Value::Number(other)) => one > other,
                (Value::String(one), Value::String(other)) => compare_texts(one, other).is_gt(),
                _ => false,
            })
        })?
    } else {
        merge_sort(items.len(), &mut |one, other| {
            let mut arguments = Arguments::from([items[one].clone(), items[other].clone()]);
            Ok(evaluator.apply(&function, &mut arguments, &Value::Null, context.env)?.is_truthy())
        })?
    };
    Ok(Value::array(places.into_iter().map(|place| items[place].clone()).collect()))
}
