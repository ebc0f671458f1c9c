//! Truth, types, errors, and expressions as texts.

use std::rc::Rc;

use super::{Context, text_of};
use crate::evaluate::{Arguments, Evaluator, Outcome, is_number, truth};
use crate::value::{Array, Flags, string_of};
use crate::{Failure, Value};

fn bool(value: Option<bool>) -> Outcome {
    Ok(value.map_or(Value::Undefined, Value::Bool))
}

pub(super) fn boolean(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    bool(truth(&arguments[0])?)
}

pub(super) fn not(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    bool(truth(&arguments[0])?.map(|value| !value))
}

pub(super) fn exists(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    bool(Some(!arguments[0].is_undefined()))
}

pub(super) fn type_of(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    Ok(Value::from(match &arguments[0] {
        Value::Undefined => return Ok(Value::Undefined),
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if is_number(*number)? => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Function(_) => "function",
        // NaN is what nothing else is.
        Value::Number(_) | Value::Object(_) => "object",
    }))
}

fn message(arguments: &Arguments, index: usize, other: &str) -> Outcome<String> {
    Ok(text_of(arguments, index)?.filter(|text| !text.is_empty()).map_or_else(|| other.to_owned(), |text| text.to_string()))
}

pub(super) fn error(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    Err(Failure::new("D3137", message(arguments, 0, "`$error()` was evaluated")?).into())
}

pub(super) fn assert(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    match arguments[0].is_truthy() {
        true => Ok(Value::Undefined),
        false => Err(Failure::new("D3141", message(arguments, 1, "`$assert()` found its condition false")?).into()),
    }
}

/// A copy by way of JSON: what that has no word for is lost.
pub(super) fn clone(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    match string_of(&arguments[0], false)? {
        Some(text) => Ok(crate::from_json(&text)?),
        None => Ok(Value::Undefined),
    }
}

pub(super) fn eval(evaluator: &mut Evaluator, arguments: &mut Arguments, context: &Context<'_>) -> Outcome {
    let Some(text) = text_of(arguments, 0)? else { return Ok(Value::Undefined) };
    let input = match arguments.take(1) {
        Value::Undefined => context.input.clone(),
        Value::Array(list) if !list.is(Flags::SEQUENCE) => {
            Value::Array(Rc::new(Array::new(vec![Value::Array(list)], Flags::SEQUENCE | Flags::OUTER)))
        }
        value => value,
    };
    let node = evaluator.compiled(&text).map_err(|failure| within("D3120", "it is not JSONata", &failure))?;
    evaluator.evaluate(&node, &input, context.env).map_err(|failure| within("D3121", "it fails", &failure))
}

/// A failure of the expression of `$eval`.
fn within(code: &str, what: &str, failure: &Failure) -> Box<Failure> {
    Box::new(Failure::new(code, format!("the expression of `$eval`: {what}: {} [{}]", failure.message, failure.code)))
}
