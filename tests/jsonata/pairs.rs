//! Pairs of expression and input with what the reference made of them, and where we differ.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use etl_jsonata_engine::surrogate::shelter;
use serde_json::Value;

use super::evaluate::{Question, natively};
use super::suite::{Outcome, same};

/// One pair.
pub(crate) struct Pair {
    pub(crate) expression: String,
    pub(crate) input: String,
    reference: Reference,
}

/// What the reference made of it.
enum Reference {
    Outcome(Outcome),
    /// A function, which no text shows.
    Function,
    /// An exception of JavaScript, without a code: any error of ours is right.
    Exception,
}

impl Pair {
    /// Reads a line that the script wrote.
    pub(crate) fn read(line: &str) -> Result<Self> {
        let pair: Value = serde_json::from_str(&shelter(line)).context("reading a pair")?;
        let reference = match (pair.get("value"), pair.get("code").and_then(Value::as_str)) {
            (Some(value), _) => Reference::Outcome(Outcome::Value(value.clone())),
            (_, Some(code)) if is_code(code) => Reference::Outcome(Outcome::Error(code.into(), String::new())),
            (_, Some(_)) => Reference::Exception,
            (None, None) if pair.get("function").is_some() => Reference::Function,
            (None, None) => Reference::Outcome(Outcome::Undefined),
        };
        let expression = pair["expression"].as_str().context("a pair has an expression")?.to_owned();
        Ok(Self { expression, input: pair["input"].to_string(), reference })
    }

    /// What it is asked with; the bounds are those that the script gave to the reference, depth aside, which is counted otherwise.
    pub(crate) fn question(&self) -> Question<'_> {
        Question { expression: &self.expression, input: Some(&self.input), bindings: None, depth: Some(300), time_ms: Some(10_000) }
    }

    /// How we differ: the reference's outcome and ours, by kind; `None` = not at all.
    pub(crate) fn difference(&self, ours: &Outcome) -> Option<String> {
        let (theirs, equal) = match (&self.reference, ours) {
            (Reference::Outcome(Outcome::Value(value)), Outcome::Value(found)) => ("value".into(), same(value, found)),
            (Reference::Outcome(Outcome::Value(_)), _) => ("value".into(), false),
            (Reference::Outcome(Outcome::Error(code, _)), Outcome::Error(found, _)) => (code.clone(), code == found),
            (Reference::Outcome(Outcome::Error(code, _)), _) => (code.clone(), false),
            (Reference::Outcome(_), ours) => ("undefined".into(), *ours == Outcome::Undefined),
            // A function's text is empty.
            (Reference::Function, ours) => ("function".into(), *ours == Outcome::Value("".into())),
            (Reference::Exception, ours) => ("exception".into(), matches!(ours, Outcome::Error(_, _))),
        };
        let ours = match ours {
            Outcome::Value(_) => "value",
            Outcome::Undefined => "undefined",
            Outcome::Error(code, _) => code,
            Outcome::Crash(_) => "crash",
        };
        (!equal).then(|| format!("{theirs} -> {ours}"))
    }
}

fn is_code(text: &str) -> bool {
    matches!(text.as_bytes(), [b'A'..=b'Z', digits @ ..] if digits.len() == 4 && digits.iter().all(u8::is_ascii_digit))
}

/// Evaluates all pairs; answers how many there were, and those that differ by how they do.
pub(crate) fn compare<'a>(
    lines: impl Iterator<Item = Result<String>> + 'a,
    mut tell: impl FnMut(&Pair, &str, &Outcome),
) -> Result<(usize, BTreeMap<String, usize>)> {
    let mut classes = BTreeMap::new();
    let mut count = 0;
    for line in lines {
        let pair = Pair::read(&line?)?;
        let ours = natively(pair.question());
        if let Some(class) = pair.difference(&ours) {
            tell(&pair, &class, &ours);
            *classes.entry(class).or_default() += 1;
        }
        count += 1;
    }
    Ok((count, classes))
}

/// The classes as text, one a line.
pub(crate) fn table(classes: &BTreeMap<String, usize>) -> String {
    classes.iter().map(|(class, count)| format!("{count} {class}\n")).collect()
}
