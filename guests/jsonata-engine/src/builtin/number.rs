//! Numbers, and times as numbers.

use super::{Context, coerce, needed_text, number_of, text_of, unfit};
use crate::evaluate::{Arguments, Evaluator, Outcome};
use crate::library::{date_picture, integer_picture, number as library, number_picture};
use crate::value::string_of;
use crate::{Failure, Value};

/// A function of a number; of nothing comes nothing.
fn of_number(arguments: &Arguments, make: impl FnOnce(f64) -> Result<f64, Failure>) -> Outcome {
    match number_of(arguments, 0)? {
        Some(number) => Ok(Value::Number(make(number)?)),
        None => Ok(Value::Undefined),
    }
}

pub(super) fn abs(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    of_number(arguments, |number| Ok(number.abs()))
}

pub(super) fn floor(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    of_number(arguments, |number| Ok(number.floor()))
}

pub(super) fn ceil(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    of_number(arguments, |number| Ok(number.ceil()))
}

pub(super) fn round(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let precision = number_of(arguments, 1)?;
    of_number(arguments, |number| Ok(library::round(number, precision)))
}

pub(super) fn sqrt(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    of_number(arguments, library::square_root)
}

pub(super) fn power(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let exponent = arguments.get(1).map_or(Ok(f64::NAN), coerce::to_number)?;
    of_number(arguments, |number| library::power(number, exponent))
}

pub(super) fn random(evaluator: &mut Evaluator, _: &mut Arguments, _: &Context<'_>) -> Outcome {
    Ok(Value::Number(evaluator.random.fraction()))
}

pub(super) fn number(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    Ok(match &arguments[0] {
        Value::Undefined => Value::Undefined,
        Value::Number(number) => Value::Number(*number),
        Value::Bool(value) => Value::Number(f64::from(u8::from(*value))),
        Value::String(text) => Value::Number(library::parse(text)?),
        value => return Err(Failure::new("D3030", format!("{} cannot be made a number", crate::describe(value))).into()),
    })
}

pub(super) fn format_number(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let number = match &arguments[0] {
        Value::Null => return Err(unfit(0, &Value::Null)),
        // It is no number, but not below zero either.
        Value::Bool(_) => {
            let text = number_picture::format(f64::NAN, &*needed_text(arguments, 1)?, &[])?;
            return Ok(Value::string(text.trim_start_matches('-')));
        }
        _ => match number_of(arguments, 0)? {
            Some(number) => number,
            None => return Ok(Value::Undefined),
        },
    };
    let picture = needed_text(arguments, 1)?;
    let mut options = Vec::new();
    if let Some(Value::Object(object)) = arguments.get(2) {
        for (name, value) in object.iter() {
            if let Some(text) = string_of(value, false)? {
                options.push((name.clone(), text));
            }
        }
    }
    let options: Vec<(&str, &str)> = options.iter().map(|(name, value)| (&**name, &**value)).collect();
    Ok(Value::string(number_picture::format(number, &picture, &options)?))
}

pub(super) fn format_base(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let radix = number_of(arguments, 1)?;
    match number_of(arguments, 0)? {
        Some(number) => Ok(Value::string(library::format_base(number, radix)?)),
        None => Ok(Value::Undefined),
    }
}

pub(super) fn format_integer(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let Some(number) = number_of(arguments, 0)? else { return Ok(Value::Undefined) };
    Ok(Value::string(integer_picture::format(number, &*needed_text(arguments, 1)?)?))
}

pub(super) fn parse_integer(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let Some(text) = text_of(arguments, 0)? else { return Ok(Value::Undefined) };
    Ok(Value::Number(integer_picture::parse(&text, &*needed_text(arguments, 1)?)?))
}

pub(super) fn to_millis(evaluator: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let Some(text) = text_of(arguments, 0)? else { return Ok(Value::Undefined) };
    let picture = text_of(arguments, 1)?;
    Ok(date_picture::to_millis(&text, picture.as_deref(), evaluator.now_ms)?.map_or(Value::Undefined, Value::Number))
}

fn time(millis: f64, arguments: &Arguments, from: usize) -> Outcome {
    let picture = text_of(arguments, from)?;
    let zone = text_of(arguments, from + 1)?;
    Ok(Value::string(date_picture::from_millis(millis, picture.as_deref(), zone.as_deref())?))
}

pub(super) fn from_millis(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    match number_of(arguments, 0)? {
        Some(millis) => time(millis, arguments, 1),
        None => Ok(Value::Undefined),
    }
}

/// The time of the run.
pub(super) fn now(evaluator: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    time(evaluator.now_ms, arguments, 0)
}

/// As [`now`].
pub(super) fn millis(evaluator: &mut Evaluator, _: &mut Arguments, _: &Context<'_>) -> Outcome {
    Ok(Value::Number(evaluator.now_ms))
}
