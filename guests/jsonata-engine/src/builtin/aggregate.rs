//! One value of many.

use super::{Context, unfit};
use crate::Value;
use crate::evaluate::{Arguments, Evaluator, Outcome};

/// The numbers of the first argument; `None` where it is not given. The signature saw to it that they are numbers.
fn numbers(arguments: &Arguments) -> Outcome<Option<impl ExactSizeIterator<Item = f64>>> {
    match arguments.first() {
        None | Some(Value::Undefined) => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items.iter().map(|item| if let Value::Number(number) = item { *number } else { f64::NAN }))),
        Some(value) => Err(unfit(0, value)),
    }
}

fn number(number: Option<f64>) -> Outcome {
    Ok(number.map_or(Value::Undefined, Value::Number))
}

pub(super) fn sum(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    number(numbers(arguments)?.map(|numbers| numbers.fold(0.0, |sum, number| sum + number)))
}

pub(super) fn count(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    Ok(match arguments.first() {
        Some(Value::Array(items)) => Value::Number(items.len() as f64),
        Some(Value::String(text)) => Value::Number(crate::surrogate::units(text) as f64),
        None | Some(Value::Undefined) => Value::Number(0.0),
        Some(Value::Null) => return Err(unfit(0, &Value::Null)),
        Some(_) => Value::Undefined,
    })
}

pub(super) fn max(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let larger = |one: f64, other: f64| if one.is_nan() || one > other { one } else { other };
    number(numbers(arguments)?.and_then(|numbers| numbers.reduce(larger)))
}

pub(super) fn min(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let smaller = |one: f64, other: f64| if one.is_nan() || one < other { one } else { other };
    number(numbers(arguments)?.and_then(|numbers| numbers.reduce(smaller)))
}

pub(super) fn average(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let mean = numbers(arguments)?.filter(|numbers| numbers.len() > 0).map(|numbers| {
        let count = numbers.len() as f64;
        numbers.fold(0.0, |sum, number| sum + number) / count
    });
    number(mean)
}
