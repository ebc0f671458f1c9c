//! Texts.

use super::{Context, coerce, number_of, text_of, unfit};
use crate::evaluate::{Arguments, Evaluator, Outcome};
use crate::library::{encoding, text as library};
use crate::value::string_of;
use crate::{Failure, Value};

/// A function of a text alone; of nothing comes nothing.
fn of_text(arguments: &Arguments, make: impl FnOnce(&str) -> Result<String, Failure>) -> Outcome {
    match text_of(arguments, 0)? {
        Some(text) => Ok(Value::string(make(&text)?)),
        None => Ok(Value::Undefined),
    }
}

pub(super) fn string(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let pretty = arguments.get(1).is_some_and(Value::is_truthy);
    Ok(string_of(&arguments.take(0), pretty)?.map_or(Value::Undefined, Value::String))
}

pub(super) fn substring(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let start = number_of(arguments, 1)?.unwrap_or(f64::NAN);
    let length = number_of(arguments, 2)?;
    match &arguments[0] {
        Value::Undefined => Ok(Value::Undefined),
        Value::String(text) => Ok(Value::string(library::substring(text, start, length))),
        // A list is cut like a list of characters.
        Value::Array(items) => {
            let count = items.len() as f64;
            let start = if count + start < 0.0 { 0.0 } else { start };
            let end = match length {
                Some(length) if length <= 0.0 => return Ok(Value::string("")),
                Some(length) => {
                    if start >= 0.0 {
                        start + length
                    } else {
                        count + start + length
                    }
                }
                None => count,
            };
            let place = |number: f64| (if number < 0.0 { number.trunc() + count } else { number.trunc() }).clamp(0.0, count) as usize;
            let (start, end) = (place(start), place(end));
            Ok(Value::string(coerce::join(&items[start..end.max(start)], "")?))
        }
        value => Err(unfit(0, value)),
    }
}

pub(super) fn substring_before(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let mark = text_of(arguments, 1)?.unwrap_or_else(|| "undefined".into());
    of_text(arguments, |text| Ok(library::substring_before(text, &mark).into_owned()))
}

pub(super) fn substring_after(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let Some(mark) = text_of(arguments, 1)? else {
        // JavaScript looks for the word, and fails on its length where it finds it.
        let Some(text) = text_of(arguments, 0)? else { return Ok(Value::Undefined) };
        return if text.contains("undefined") { Err(unfit(1, &Value::Undefined)) } else { Ok(Value::String(text)) };
    };
    of_text(arguments, |text| Ok(library::substring_after(text, &mark).into_owned()))
}

pub(super) fn lowercase(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    of_text(arguments, |text| Ok(library::lowercase(text)))
}

pub(super) fn uppercase(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    of_text(arguments, |text| Ok(library::uppercase(text)))
}

pub(super) fn length(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    Ok(match &arguments[0] {
        Value::Array(items) => Value::Number(items.len() as f64),
        _ => text_of(arguments, 0)?.map_or(Value::Undefined, |text| Value::Number(library::length(&text) as f64)),
    })
}

pub(super) fn trim(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    of_text(arguments, |text| Ok(library::trim(text).into_owned()))
}

pub(super) fn pad(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let width = number_of(arguments, 1)?.unwrap_or(f64::NAN);
    let fill = text_of(arguments, 2)?;
    of_text(arguments, |text| Ok(library::pad(text, width, fill.as_deref())?.into_owned()))
}

pub(super) fn join(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    let separator = match &arguments.get(1) {
        None | Some(Value::Undefined) => "".into(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => coerce::to_text(value)?.into(),
    };
    match &arguments[0] {
        Value::Undefined => Ok(Value::Undefined),
        Value::Array(items) if items.iter().all(|item| matches!(item, Value::String(_))) => {
            Ok(Value::string(library::join(items.iter().filter_map(Value::as_str), &separator)?))
        }
        Value::Array(items) => Ok(Value::string(coerce::join(items, &separator)?)),
        value => Err(unfit(0, value)),
    }
}

pub(super) fn base64_encode(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    of_text(arguments, |text| Ok(encoding::base64_encode(text)))
}

pub(super) fn base64_decode(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    of_text(arguments, |text| Ok(encoding::base64_decode(text)))
}

pub(super) fn encode_url_component(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    of_text(arguments, encoding::encode_url_component)
}

pub(super) fn encode_url(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    of_text(arguments, encoding::encode_url)
}

pub(super) fn decode_url_component(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    of_text(arguments, encoding::decode_url_component)
}

pub(super) fn decode_url(_: &mut Evaluator, arguments: &mut Arguments, _: &Context<'_>) -> Outcome {
    of_text(arguments, encoding::decode_url)
}
