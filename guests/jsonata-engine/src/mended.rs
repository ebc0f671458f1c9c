//! Built-in functions of the language that the crate has otherwise than the reference, as ours.
//!
//! Each is bound as a function of the language that has the reference's signature and calls one of the host's, so that it is ours wherever an
//! expression names it, also as a value. Only what an expression names is bound.

use jsonata_core::ast::AstNode;
use jsonata_core::evaluator::{Context, Evaluator, EvaluatorError};
use jsonata_core::value::JValue as Value;

use crate::rewrite::only_called;
use crate::surrogate::has_lone;
use crate::text;

/// What a function of the host does.
type Call = fn(&[Value]) -> Result<Value, EvaluatorError>;

/// A function by its name, signature, parameters, and what it does.
struct Mended {
    name: &'static str,
    signature: &'static str,
    parameters: &'static [&'static str],
    host_name: &'static str,
    call: Call,
}

const MENDED: [Mended; 11] = [
    Mended {
        name: "fromMillis",
        signature: "<n-s?s?:s>",
        parameters: &["value", "picture", "zone"],
        host_name: "host fromMillis",
        call: from_millis,
    },
    Mended { name: "number", signature: "<(nsb)-:n>", parameters: &["value"], host_name: "host number", call: number },
    Mended {
        name: "parseInteger",
        signature: "<s-s:n>",
        parameters: &["value", "picture"],
        host_name: "host parseInteger",
        call: parse_integer,
    },
    Mended {
        name: "formatInteger",
        signature: "<n-s:s>",
        parameters: &["value", "picture"],
        host_name: "host formatInteger",
        call: format_integer,
    },
    Mended { name: "toMillis", signature: "<s-s?:n>", parameters: &["value", "picture"], host_name: "host toMillis", call: to_millis },
    Mended { name: "base64decode", signature: "<s-:s>", parameters: &["value"], host_name: "host base64decode", call: base64_decode },
    Mended { name: "base64encode", signature: "<s-:s>", parameters: &["value"], host_name: "host base64encode", call: base64_encode },
    Mended { name: "formatBase", signature: "<n-n?:s>", parameters: &["value", "radix"], host_name: "host formatBase", call: format_base },
    Mended { name: "encodeUrl", signature: "<s-:s>", parameters: &["value"], host_name: "host encodeUrl", call: encode_url },
    Mended {
        name: "encodeUrlComponent",
        signature: "<s-:s>",
        parameters: &["value"],
        host_name: "host encodeUrlComponent",
        call: encode_url_component,
    },
    Mended { name: "pad", signature: "<s-ns?:s>", parameters: &["value", "width", "fill"], host_name: "host pad", call: pad },
];

/// The index of `$reduce`, which is made of functions of the language alone.
const REDUCE: usize = MENDED.len();

/// The crate's own `$reduce`.
const HOST_REDUCE: &str = "host reduce";

/// The last millisecond that JavaScript has a date for, and less the first.
const LAST_MILLIS: f64 = 8.64e15;

/// Numbers that become roman numerals: one thousand is one digit.
const ROMAN: f64 = 10_000_000.0;

/// Characters that `$pad` may make.
const PAD: f64 = 10_000_000.0;

/// Which of the functions an expression may name otherwise than to call them; `$eval` may name anything.
pub(crate) fn named(text: &str) -> Vec<usize> {
    let any = text.contains("eval");
    names().enumerate().filter(|(_, name)| any || text.contains(name) && !only_called(text, name)).map(|(index, _)| index).collect()
}

/// Which of the functions an expression only calls.
pub(crate) fn called(text: &str) -> Vec<&'static str> {
    names().chain(["now", "millis", "random", "shuffle"]).filter(|name| text.contains(name) && only_called(text, name)).collect()
}

fn names() -> impl Iterator<Item = &'static str> {
    MENDED.iter().map(|mended| mended.name).chain(["reduce"])
}

/// Binds the functions of those indices.
pub(crate) fn bind(context: &mut Context, indices: &[usize]) {
    if indices.contains(&REDUCE) {
        context.bind(HOST_REDUCE.into(), Value::builtin("reduce"));
        context.bind("reduce".into(), function(&["items", "combine", "start"], "<afj?:j>", reduce()));
    }
    for mended in indices.iter().filter_map(|&index| MENDED.get(index)) {
        let args = mended.parameters.iter().map(|name| AstNode::variable(*name)).collect();
        let body = AstNode::Function { name: mended.host_name.into(), args, is_builtin: true };
        context.bind(mended.name.into(), function(mended.parameters, mended.signature, body));
    }
}

/// `$reduce`: of no items comes nothing, where nothing is there to start with.
fn reduce() -> AstNode {
    let call = |name: &str, names: &[&str]| AstNode::Function {
        name: name.into(),
        args: names.iter().map(|name| AstNode::variable(*name)).collect(),
        is_builtin: true,
    };
    let choose = |condition: AstNode, then_branch: AstNode, else_branch: AstNode| AstNode::Conditional {
        condition: Box::new(condition),
        then_branch: Box::new(then_branch),
        else_branch: Some(Box::new(else_branch)),
    };
    choose(
        call("exists", &["start"]),
        call(HOST_REDUCE, &["items", "combine", "start"]),
        choose(call("count", &["items"]), call(HOST_REDUCE, &["items", "combine"]), AstNode::undefined()),
    )
}

/// A function of the language.
fn function(parameters: &[&str], signature: &str, body: AstNode) -> Value {
    let function = AstNode::Lambda {
        params: parameters.iter().map(|name| (*name).to_owned()).collect(),
        body: Box::new(body),
        signature: Some(signature.into()),
        thunk: false,
    };
    Evaluator::new().evaluate(&function, &Value::Undefined).expect("a function evaluates to itself")
}

/// What an argument becomes before the crate's own function gets it.
const ARGUMENTS: [(&str, Call); 5] = [
    ("host number of", number_of),
    ("host reduce of", |arguments| {
        Ok(match arguments {
            [Value::Array(items)] if items.is_empty() => Value::Undefined,
            _ => argument(arguments),
        })
    }),
    ("host formatBase of", |arguments| {
        Ok(match arguments {
            [Value::Number(value)] if value.fract() != 0.0 => Value::Number(value.round_ties_even() + 0.0),
            _ => argument(arguments),
        })
    }),
    ("host fromMillis of", whole_millis),
    ("host pad of", |arguments| match arguments {
        [Value::Number(width)] if width.abs() > PAD || width.is_nan() => Err(too_wide(*width)),
        _ => Ok(argument(arguments)),
    }),
];

fn argument(arguments: &[Value]) -> Value {
    arguments.first().cloned().unwrap_or(Value::Undefined)
}

/// Gives an evaluator what those functions call, and what calls were rewritten to.
pub(crate) fn register(evaluator: &mut Evaluator) {
    let mended = MENDED.iter().map(|mended| (mended.host_name, mended.call));
    for (name, call) in mended.chain(ARGUMENTS) {
        evaluator.register_fn(name, call).expect("no function of the language has a space in its name");
    }
}

/// Calls the crate's own function of that name; of nothing comes nothing.
fn original(name: &str, arguments: &[Value]) -> Result<Value, EvaluatorError> {
    if arguments.first().is_none_or(Value::is_undefined) {
        return Ok(Value::Undefined);
    }
    let mut context = Context::new();
    let names = ["a", "b", "c"];
    let given = arguments.iter().take_while(|argument| !argument.is_undefined()).count();
    for (name, argument) in names.iter().zip(&arguments[..given]) {
        context.bind((*name).into(), argument.clone());
    }
    let args = names[..given].iter().map(|name| AstNode::variable(*name)).collect();
    let call = AstNode::Function { name: name.into(), args, is_builtin: true };
    Evaluator::with_context(context).evaluate(&call, &Value::Undefined)
}

fn failure(code: &str, message: impl std::fmt::Display) -> EvaluatorError {
    EvaluatorError::EvaluationError(format!("{code}: {message}"))
}

/// Whether the error has that code.
fn is(error: &EvaluatorError, code: &str) -> bool {
    error.message().starts_with(code)
}

/// `$number`: what JSON takes for a number, or an integer with `0x`, `0o` or `0b`.
fn number(arguments: &[Value]) -> Result<Value, EvaluatorError> {
    original("number", &[number_of(arguments)?])
}

/// The argument of `$number`, where it is no text that the reference refuses.
fn number_of(arguments: &[Value]) -> Result<Value, EvaluatorError> {
    let value = argument(arguments);
    let Some(text) = value.as_str() else { return Ok(value) };
    let radix = |prefix: [&str; 2], radix: u32| {
        let digits = prefix.iter().find_map(|prefix| text.strip_prefix(prefix));
        digits.is_some_and(|digits| !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix)))
    };
    let read = match text::is_number(text.as_bytes()) {
        true => text.parse().is_ok_and(|number: f64| number.is_finite()),
        false => radix(["0x", "0X"], 16) || radix(["0o", "0O"], 8) || radix(["0b", "0B"], 2),
    };
    if read { Ok(value) } else { Err(failure("D3030", format!("unable to cast value to a number: {text:?}"))) }
}

/// `$parseInteger`: what is no number by the picture is NaN. Digits of other families become the usual ones.
fn parse_integer(arguments: &[Value]) -> Result<Value, EvaluatorError> {
    let [Value::String(text), Value::String(picture), ..] = arguments else { return original("parseInteger", arguments) };
    let text = Value::string(text::latin_digits(text));
    let picture = Value::string(text::latin_digits(picture));
    match original("parseInteger", &[text, picture]) {
        Err(error) if is(&error, "D3136") => Ok(Value::Number(f64::NAN)),
        result => result,
    }
}

/// `$formatInteger`: words and numerals go on without end for what is below zero or no number in the crate.
fn format_integer(arguments: &[Value]) -> Result<Value, EvaluatorError> {
    let [Value::Number(value), Value::String(picture), ..] = arguments else { return original("formatInteger", arguments) };
    if !value.is_finite() {
        return Err(failure("D3130", format!("{value} cannot be formatted as an integer")));
    }
    let bare = picture.split(';').next().unwrap_or_default();
    if value.abs() > ROMAN && matches!(bare, "I" | "i") {
        return Err(failure("D2015", format!("{value} as a roman numeral is longer than {} digits", ROMAN / 1000.0)));
    }
    if value.floor() < 0.0 && matches!(bare, "w" | "W" | "Ww" | "I" | "i" | "a" | "A") {
        let positive = original("formatInteger", &[Value::Number(-value.floor()), arguments[1].clone()])?;
        return Ok(Value::string(format!("-{}", positive.as_str().unwrap_or_default())));
    }
    original("formatInteger", arguments)
}

/// `$toMillis`: a text of ISO 8601's form that names no day is NaN.
fn to_millis(arguments: &[Value]) -> Result<Value, EvaluatorError> {
    match (original("toMillis", arguments), arguments) {
        (Err(error), [Value::String(text), Value::Undefined] | [Value::String(text)])
            if is(&error, "D3110") && text::is_date_form(text) =>
        {
            Ok(Value::Number(f64::NAN))
        }
        (result, _) => result,
    }
}

/// `$formatBase`: rounds as `$round` does, half to even.
fn format_base(arguments: &[Value]) -> Result<Value, EvaluatorError> {
    match arguments {
        [Value::Number(value), rest @ ..] if value.fract() != 0.0 => {
            let whole: Vec<Value> = std::iter::once(Value::Number(value.round_ties_even() + 0.0)).chain(rest.iter().cloned()).collect();
            original("formatBase", &whole)
        }
        _ => original("formatBase", arguments),
    }
}

/// A function of a text alone; of nothing comes nothing.
fn of_text(name: &str, arguments: &[Value], call: impl Fn(&str) -> Result<String, EvaluatorError>) -> Result<Value, EvaluatorError> {
    match arguments {
        [Value::String(text), ..] => call(text).map(Value::string),
        _ => original(name, arguments),
    }
}

/// `$base64encode`: the low byte of each UTF-16 unit, as the reference has it.
fn base64_encode(arguments: &[Value]) -> Result<Value, EvaluatorError> {
    of_text("base64encode", arguments, |text| Ok(text::base64_encode(text)))
}

/// `$base64decode`: each byte is a character, as the reference has it.
fn base64_decode(arguments: &[Value]) -> Result<Value, EvaluatorError> {
    of_text("base64decode", arguments, |text| Ok(text::base64_decode(text)))
}

fn encode_url(arguments: &[Value]) -> Result<Value, EvaluatorError> {
    encode("encodeUrl", "-_.!~*'();,/?:@&=+$#", arguments)
}

fn encode_url_component(arguments: &[Value]) -> Result<Value, EvaluatorError> {
    encode("encodeUrlComponent", "-_.!~*'()", arguments)
}

/// A lone surrogate has no UTF-8.
fn encode(name: &str, kept: &str, arguments: &[Value]) -> Result<Value, EvaluatorError> {
    of_text(name, arguments, |text| match has_lone(text) {
        true => Err(failure("D3140", format!("malformed URL passed to ${name}()"))),
        false => Ok(text::percent_encode(text, kept)),
    })
}

/// `$fromMillis`: a fraction of a millisecond is cut off.
fn from_millis(arguments: &[Value]) -> Result<Value, EvaluatorError> {
    let first = whole_millis(&arguments[..arguments.len().min(1)])?;
    let mut whole: Vec<Value> = std::iter::once(first).chain(arguments.iter().skip(1).cloned()).collect();
    // A zone without a picture is for the picture of ISO 8601.
    if let [_, picture @ Value::Undefined, Value::String(_)] = whole.as_mut_slice() {
        *picture = Value::string("[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001][Z01:01t]");
    }
    original("fromMillis", &whole)
}

/// The argument of `$fromMillis`, where JavaScript has a date for it.
fn whole_millis(arguments: &[Value]) -> Result<Value, EvaluatorError> {
    match arguments {
        [Value::Number(value)] if value.is_nan() || value.abs() > LAST_MILLIS => {
            Err(failure("D3110", format!("{value} milliseconds from 1970 is no date")))
        }
        [Value::Number(value)] => Ok(Value::Number(value.trunc())),
        _ => Ok(argument(arguments)),
    }
}

/// `$pad`: bounded, since a width is a number that anyone can write.
fn pad(arguments: &[Value]) -> Result<Value, EvaluatorError> {
    match arguments {
        [_, Value::Number(width), ..] if width.abs() > PAD || width.is_nan() => Err(too_wide(*width)),
        _ => original("pad", arguments),
    }
}

fn too_wide(width: f64) -> EvaluatorError {
    failure("D2015", format!("a text padded to {width} characters is longer than {PAD}"))
}
