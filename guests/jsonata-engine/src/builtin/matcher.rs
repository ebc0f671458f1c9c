//! Texts looked through by regular expressions, or by functions that stand for them.

use std::borrow::Cow;
use std::rc::Rc;

use super::{Context, coerce, number_of, text_of, unfit};
use crate::evaluate::{Arguments, Environment, Evaluator, Function, Outcome};
use crate::library::pattern::{Found, Pattern, expand};
use crate::library::text::{self as library, check_limit, check_size};
use crate::value::{Members, Object, Shape, member};
use crate::{Failure, Value};

thread_local! {
    /// The shape of a match that `$match` gives.
    static MATCH: Rc<Shape> = Shape::new(["match", "index", "groups"].map(Rc::from).to_vec());
}

/// What a regular expression gives that is called as a function.
pub(crate) fn find_match(pattern: &Rc<Pattern>, arguments: &Arguments) -> Outcome {
    // Nobody checked what it is called with: JavaScript makes a text of anything, and a number of the place to search from.
    let text: Rc<str> = match arguments.get(0) {
        None | Some(Value::Undefined) => return Ok(Value::Undefined),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) => "null".into(),
        Some(value) => coerce::to_text(value)?.into(),
    };
    let from: f64 = arguments.get(1).map_or(Ok(0.0), coerce::to_number)?;
    let from = from.max(0.0) as usize;
    Ok(pattern.find(&text, from).map_or(Value::Undefined, |found| match_of(pattern, &text, &found)))
}

/// What the `next` of a match gives.
pub(crate) fn find_next(pattern: &Rc<Pattern>, text: &Rc<str>, from: usize) -> Outcome {
    Ok(pattern.find_next(text, from)?.map_or(Value::Undefined, |found| match_of(pattern, text, &found)))
}

fn match_of(pattern: &Rc<Pattern>, text: &Rc<str>, found: &Found<'_>) -> Value {
    let mut members = Members::with_capacity(5);
    members.push("match".into(), Value::string(&*found.text));
    members.push("start".into(), Value::Number(found.start as f64));
    members.push("end".into(), Value::Number(found.end as f64));
    members.push("groups".into(), groups_of(found));
    members.push("next".into(), Value::function(Function::Next(pattern.clone(), text.clone(), found.end)));
    members.into_value()
}

fn groups_of(found: &Found<'_>) -> Value {
    let group = |group: &Option<Cow<'_, str>>| group.as_ref().map_or(Value::Undefined, |text| Value::string(&**text));
    Value::array(found.groups.iter().map(group).collect())
}

/// What looks through a text.
enum Matcher {
    Text(Rc<str>),
    Pattern(Rc<Pattern>),
    Function(Value),
}

fn matcher_of(arguments: &Arguments, index: usize) -> Outcome<Matcher> {
    Ok(match arguments.get(index) {
        Some(Value::String(text)) => Matcher::Text(text.clone()),
        Some(value @ Value::Function(callable)) => match &*callable.function {
            Function::Pattern(pattern) => Matcher::Pattern(pattern.clone()),
            _ => Matcher::Function(value.clone()),
        },
        Some(value) => return Err(unfit(index, value)),
        None => return Err(unfit(index, &Value::Undefined)),
    })
}

/// A match that a function gave.
struct Given {
    value: Value,
}

impl Given {
    fn new(value: Value) -> Outcome<Option<Self>> {
        if value.is_undefined() {
            return Ok(None);
        }
        let is_match = matches!(member(&value, "start"), Some(Value::Number(_)))
            || matches!(member(&value, "groups"), Some(Value::Array(_)))
            || matches!(member(&value, "next"), Some(Value::Function(_)));
        match is_match {
            true => Ok(Some(Self { value })),
            false => Err(Failure::new("T1010", "a matcher must give an object with `match`, `start`, `end`, `groups` and `next`").into()),
        }
    }

    fn next(&self, evaluator: &mut Evaluator, env: &Environment) -> Outcome<Option<Self>> {
        let next = self.get("next");
        Self::new(evaluator.apply(&next, &mut Arguments::from([Value::Undefined]), &Value::Null, env)?)
    }

    fn get(&self, name: &str) -> Value {
        member(&self.value, name).cloned().unwrap_or_default()
    }

    fn place(&self, name: &str) -> usize {
        match member(&self.value, name) {
            Some(Value::Number(number)) if *number > 0.0 => *number as usize,
            _ => 0,
        }
    }

    fn text(&self) -> Rc<str> {
        member(&self.value, "match").and_then(Value::as_str).unwrap_or_default().into()
    }
}

/// Goes through the matches that a function gives, `limit` at most.
fn each_given(
    evaluator: &mut Evaluator,
    function: &Value,
    text: &Rc<str>,
    limit: Option<f64>,
    env: &Environment,
    mut then: impl FnMut(&mut Evaluator, &Given) -> Outcome<()>,
) -> Outcome<usize> {
    let mut count = 0;
    let mut first = Arguments::from([Value::String(text.clone())]);
    let mut given = Given::new(evaluator.apply(function, &mut first, &Value::Null, env)?)?;
    while let Some(found) = given.filter(|_| limit.is_none_or(|limit| (count as f64) < limit)) {
        then(evaluator, &found)?;
        given = found.next(evaluator, env)?;
        count += 1;
        evaluator.check_length(count)?;
    }
    Ok(count)
}

/// A piece of a text between two places in UTF-16 units.
fn piece(text: &str, from: usize, to: usize) -> String {
    let halves = crate::surrogate::halved(text);
    let (from, to) = (from.min(to), from.max(to));
    crate::surrogate::joined(halves.chars().skip(from).take(to - from).collect())
}

pub(super) fn contains(evaluator: &mut Evaluator, arguments: &mut Arguments, context: &Context<'_>) -> Outcome {
    let Some(text) = text_of(arguments, 0)? else { return Ok(Value::Undefined) };
    if super::is_missing(arguments, 1) {
        return Ok(Value::Undefined);
    }
    Ok(Value::Bool(match matcher_of(arguments, 1)? {
        Matcher::Text(token) => library::contains(&text, &token),
        Matcher::Pattern(pattern) => pattern.contains(&text),
        Matcher::Function(function) => {
            let mut first = Arguments::from([Value::String(text)]);
            Given::new(evaluator.apply(&function, &mut first, &Value::Null, context.env)?)?.is_some()
        }
    }))
}

pub(super) fn matches(evaluator: &mut Evaluator, arguments: &mut Arguments, context: &Context<'_>) -> Outcome {
    let Some(text) = text_of(arguments, 0)? else { return Ok(Value::Undefined) };
    let limit = number_of(arguments, 2)?;
    let mut made = Vec::new();
    let shape = MATCH.with(Rc::clone);
    match matcher_of(arguments, 1)? {
        Matcher::Text(text) => return Err(unfit(1, &Value::String(text))),
        Matcher::Pattern(pattern) => {
            for found in pattern.matches(&text, limit)? {
                let values = vec![Value::string(&*found.text), Value::Number(found.start as f64), groups_of(&found)];
                made.push(Value::Object(Rc::new(Object::new(shape.clone(), values))));
            }
        }
        Matcher::Function(function) => {
            check_limit(limit, "D3040", "match")?;
            if limit != Some(0.0) {
                each_given(evaluator, &function, &text, limit, context.env, |_, found| {
                    let values = vec![found.get("match"), found.get("start"), found.get("groups")];
                    made.push(Value::Object(Rc::new(Object::new(shape.clone(), values))));
                    Ok(())
                })?;
            }
        }
    }
    evaluator.check_length(made.len())?;
    Ok(Value::sequence(made))
}

pub(super) fn split(evaluator: &mut Evaluator, arguments: &mut Arguments, context: &Context<'_>) -> Outcome {
    let Some(text) = text_of(arguments, 0)? else { return Ok(Value::Undefined) };
    let limit = number_of(arguments, 2)?;
    let of_all = |pieces: Vec<Cow<'_, str>>| Value::array(pieces.iter().map(|piece| Value::string(&**piece)).collect());
    check_limit(limit, "D3020", "split")?;
    if limit == Some(0.0) {
        return Ok(Value::array(Vec::new()));
    }
    Ok(match matcher_of(arguments, 1)? {
        Matcher::Text(separator) => of_all(library::split(&text, &separator, limit)?),
        Matcher::Pattern(pattern) => of_all(pattern.split(&text, limit)?),
        Matcher::Function(function) => {
            let mut pieces = Vec::new();
            let mut start = 0;
            let count = each_given(evaluator, &function, &text, limit, context.env, |_, found| {
                pieces.push(Value::string(piece(&text, start, found.place("start"))));
                start = found.place("end");
                Ok(())
            })?;
            if limit.is_none_or(|limit| (count as f64) < limit) {
                pieces.push(Value::string(piece(&text, start, usize::MAX)));
            }
            Value::array(pieces)
        }
    })
}

/// What a match is replaced by.
fn replaced(evaluator: &mut Evaluator, replacement: &Value, found: Value, env: &Environment) -> Outcome<Rc<str>> {
    match evaluator.apply(replacement, &mut Arguments::from([found]), &Value::Null, env)? {
        Value::String(text) => Ok(text),
        value => Err(Failure::new("D3012", format!("a match must be replaced by a text, not {}", crate::describe(&value))).into()),
    }
}

pub(super) fn replace(evaluator: &mut Evaluator, arguments: &mut Arguments, context: &Context<'_>) -> Outcome {
    let Some(text) = text_of(arguments, 0)? else { return Ok(Value::Undefined) };
    let limit = number_of(arguments, 3)?;
    if matches!(&arguments[1], Value::String(pattern) if pattern.is_empty()) {
        return Err(Failure::new("D3010", "the second argument of `$replace` cannot be an empty text").into());
    }
    check_limit(limit, "D3011", "replace")?;
    if limit == Some(0.0) {
        return Ok(Value::String(text));
    }
    let env = context.env;
    let replacement = arguments.take(2);
    Ok(Value::string(match (matcher_of(arguments, 1)?, &replacement) {
        (Matcher::Text(pattern), Value::String(replacement)) => library::replace(&text, &pattern, replacement, limit)?,
        (Matcher::Text(pattern), _) if !library::contains(&text, &pattern) => Cow::Borrowed(&*text),
        (Matcher::Text(_), value) => {
            let message = format!("a text is replaced by a text, not by {}", crate::describe(value));
            return Err(Failure::new("D3012", message).into());
        }
        (Matcher::Pattern(pattern), Value::String(replacement)) => pattern.replace(&text, replacement, limit)?,
        (Matcher::Pattern(pattern), replacement) => {
            let mut with = |found: &Found<'_>| {
                let found = match_of(&pattern, &text, found);
                replaced(evaluator, replacement, found, env).map(|text| text.to_string()).map_err(|failure| *failure)
            };
            pattern.replace_with(&text, limit, &mut with)?
        }
        (Matcher::Function(function), replacement) => {
            let mut made = String::new();
            let mut place = 0;
            each_given(evaluator, &function, &text, limit, env, |evaluator, found| {
                let start = found.place("start");
                made.push_str(&piece(&text, place, start));
                let matched = found.text();
                match replacement {
                    Value::String(replacement) => {
                        let groups = match found.get("groups") {
                            Value::Array(groups) => {
                                groups.iter().map(|group| group.as_str().map(|text| Cow::Owned(text.to_owned()))).collect()
                            }
                            _ => Vec::new(),
                        };
                        expand(replacement, &matched, &groups, &mut made);
                    }
                    replacement => made.push_str(&replaced(evaluator, replacement, found.value.clone(), env)?),
                }
                place = start + crate::surrogate::units(&matched);
                Ok(check_size(&made)?)
            })?;
            made.push_str(&piece(&text, place, usize::MAX));
            Cow::Owned(made)
        }
    }))
}
