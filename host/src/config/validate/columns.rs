//! `rules`: what holds for the values of a column.

use std::cmp::Ordering;

use etl_steps::moment;
use etl_steps::validate::{Bound, ColumnRules, Limit, OnInvalid, PatternError, Rule, Test};
use serde_json::Value as Json;

use super::Making;
use crate::config::de::typed;
use crate::config::problem::{Findings, suggest};
use crate::config::yaml::{Node, Value};

/// Formats of texts that are known.
pub(super) const FORMATS: [&str; 18] = [
    "date",
    "date-time",
    "time",
    "duration",
    "email",
    "idn-email",
    "hostname",
    "idn-hostname",
    "ipv4",
    "ipv6",
    "uri",
    "uri-reference",
    "iri",
    "iri-reference",
    "uuid",
    "json-pointer",
    "relative-json-pointer",
    "regex",
];

impl Making<'_> {
    /// `rules`: column to its rules, or to a list of them.
    pub(super) fn columns(&mut self, node: &Node) {
        let Some(node) = node.given("rules") else { return };
        if !node.is_map() {
            let message = format!("{} is {}, but must be a mapping of columns to their rules", node.quoted(), node.describe());
            self.findings.wrong(node, message).hint = Some("write `rules: {price: {type: number, min: 0}}`".into());
            return;
        }
        for (key, value) in node.entries() {
            let parts = match &value.value {
                Value::List(items) => items.as_slice(),
                _ => std::slice::from_ref(value),
            };
            for part in parts {
                if !part.is_map() {
                    let message = format!("the rules of `{}` are {}, but must be a mapping", key.written, part.describe());
                    self.findings.wrong(part, message).hint = Some("write `{required: true, type: number}`".into());
                } else if let Some(rules) = typed::<ColumnRules>(part.clone(), self.findings) {
                    self.column(&key.name, part, rules);
                }
            }
        }
    }

    fn column(&mut self, column: &str, node: &Node, written: ColumnRules) {
        let ColumnRules {
            required,
            not_blank,
            kind,
            min,
            max,
            exclusive_min,
            exclusive_max,
            multiple_of,
            min_length,
            max_length,
            pattern,
            format,
            values,
            unique,
            on_error,
            message,
        } = written;
        let on_error = on_error.unwrap_or(self.on_error);
        let at = |name: &str| node.get(name).unwrap_or(node);
        let mut tests = Vec::new();
        self.columns.push((column.to_owned(), self.findings.place(node)));
        tests.extend(required.then_some(Test::Required));
        tests.extend(kind.map(Test::Type));
        tests.extend(not_blank.then_some(Test::NotBlank));
        let findings = &mut *self.findings;
        let bound = |name: &str, value: Option<Json>, exclusive: bool, findings: &mut Findings| {
            value.and_then(|value| limit(at(name), &value, findings)).map(|limit| Bound { limit, exclusive })
        };
        let least = [bound("min", min, false, findings), bound("exclusive_min", exclusive_min, true, findings)];
        let most = [bound("max", max, false, findings), bound("exclusive_max", exclusive_max, true, findings)];
        contradict(&least, &most, node, findings);
        tests.extend(least.into_iter().flatten().map(Test::Min));
        tests.extend(most.into_iter().flatten().map(Test::Max));
        match multiple_of {
            Some(of) if !(of > 0.0 && of.is_finite()) => {
                findings.wrong(at("multiple_of"), format!("`multiple_of` is {of}, but must be above 0"));
            }
            of => tests.extend(of.map(Test::MultipleOf)),
        }
        if let (Some(least), Some(most)) = (min_length, max_length)
            && least > most
        {
            findings.wrong(at("min_length"), format!("`min_length` is {least}, but `max_length` is {most}: no text has both"));
        }
        tests.extend(min_length.map(Test::MinLength));
        tests.extend(max_length.map(Test::MaxLength));
        if let Some(pattern) = pattern
            && sound(at("pattern"), &pattern, findings)
        {
            tests.push(Test::Pattern(pattern));
        }
        match format {
            Some(format) if !FORMATS.contains(&format.as_str()) => {
                let message = format!("`{format}` is not a format");
                findings.wrong(at("format"), message).hint = suggest(&format, &FORMATS, "formats are");
            }
            format => tests.extend(format.map(Test::Format)),
        }
        match values {
            Some(values) if values.is_empty() => {
                findings.wrong(at("enum"), "`enum` is empty, so that no value would do");
            }
            values => tests.extend(values.map(Test::OneOf)),
        }
        for test in tests {
            self.rules.push(rule(column, test, on_error, message.clone()));
        }
        if unique {
            self.rules
                .push(Rule { name: format!("unique({column})"), ..rule(column, Test::Unique(vec![column.to_owned()]), on_error, message) });
        }
    }
}

/// Makes a rule of a column.
pub(super) fn rule(column: &str, test: Test, on_error: OnInvalid, message: Option<String>) -> Rule {
    Rule { name: format!("{column}.{}", test.code()), column: Some(column.to_owned()), test, on_error, message }
}

/// Whether a pattern compiles; what is wrong is noted at the character where it is.
pub(super) fn sound(node: &Node, pattern: &str, findings: &mut Findings) -> bool {
    let Err(PatternError { message, position }) = etl_steps::validate::compile(pattern) else { return true };
    let mut place = findings.place(node);
    let within = match position {
        Some(position) if !pattern.contains('\n') => {
            place.column += position - 1 + usize::from(node.raw.is_none());
            format!(", at character {position}")
        }
        _ => String::new(),
    };
    let hint = if message.contains("not supported") {
        Some("patterns take linear time here, which rules out look-around and back-references; say it with several rules")
    } else if position.is_some() && node.raw.is_none() {
        Some("in double quotes `\\` is written `\\\\`; in single quotes it stands for itself")
    } else {
        None
    };
    findings.wrong_at(place, format!("this is no regular expression{within}: {message}")).hint = hint.map(str::to_owned);
    false
}

fn limit(node: &Node, value: &Json, findings: &mut Findings) -> Option<Limit> {
    let limit = Limit::of(value);
    if limit.is_none() {
        let message = format!("{} is {}, but must be a number or a date", node.quoted(), node.describe());
        findings.wrong(node, message).hint =
            Some("dates are written `2024-01-15` or `2024-01-15T10:30:00Z`; `today` and `now` are the run's start".into());
    }
    limit
}

/// Notes limits that no value satisfies.
fn contradict(least: &[Option<Bound>; 2], most: &[Option<Bound>; 2], node: &Node, findings: &mut Findings) {
    let names = |kind: &str, bound: &Bound| format!("{}{kind}", if bound.exclusive { "exclusive_" } else { "" });
    for low in least.iter().flatten() {
        for high in most.iter().flatten() {
            let order = match (&low.limit, &high.limit) {
                (Limit::Number(low), Limit::Number(high)) => low.as_f64().partial_cmp(&high.as_f64()),
                (Limit::Moment(low), Limit::Moment(high)) => moment::instant(low).partial_cmp(&moment::instant(high)),
                (Limit::Number(_), _) | (_, Limit::Number(_)) => {
                    let (low, high) = (names("min", low), names("max", high));
                    findings.wrong(
                        node.get(&low).unwrap_or(node),
                        format!("`{low}` and `{high}` are not of one kind: one is a number, one is a date"),
                    );
                    continue;
                }
                _ => continue,
            };
            let empty = order == Some(Ordering::Greater) || order == Some(Ordering::Equal) && (low.exclusive || high.exclusive);
            if empty {
                let (low_name, high_name) = (names("min", low), names("max", high));
                let at = node.get(&low_name).unwrap_or(node);
                findings.wrong(at, format!("`{low_name}` is {}, but `{high_name}` is {}: no value is within both", low.limit, high.limit));
            }
        }
    }
}
