//! What in a value breaks a schema, in one sentence.

use std::fmt::Write;

use serde_json::Value;

use super::judge::{Judge, Seen, characters};
use super::node::{Check, Id};
use super::values::twice;
use super::{Broken, Schema};
use crate::words;

/// Values of an enumeration that a message shows.
const VALUES: usize = 10;

/// The first thing in a row that breaks a schema.
pub(super) fn explain(schema: &Schema, row: &Value) -> Option<Broken> {
    let mut explaining = Explaining { judge: Judge::new(schema), path: Vec::new(), broken: None };
    explaining.node(0, row);
    explaining.broken
}

/// A step into a value.
enum Step {
    Name(String),
    Item(usize),
}

struct Explaining<'s> {
    judge: Judge<'s>,
    path: Vec<Step>,
    broken: Option<Broken>,
}

impl<'s> Explaining<'s> {
    /// Looks for what breaks a schema, and says it.
    fn node(&mut self, id: Id, value: &Value) {
        let depth = self.judge.enter(id);
        let schema: &'s Schema = self.judge.schema;
        let mut seen = Seen::default();
        for check in &schema.nodes[id].checks {
            // What was looked at before the check, since the check itself adds to it.
            let unseen: Vec<Step> = match (check, value) {
                (Check::UnevaluatedItems(_), Value::Array(items)) => {
                    (0..items.len()).filter(|index| !seen.has_item(*index)).map(Step::Item).collect()
                }
                (Check::UnevaluatedProperties(_), Value::Object(object)) => {
                    object.keys().filter(|name| !seen.has_property(name)).cloned().map(Step::Name).collect()
                }
                _ => Vec::new(),
            };
            if !self.judge.check(check, value, Some(&mut seen)) {
                self.check(check, value, unseen);
                break;
            }
        }
        self.judge.leave(depth);
    }

    /// Goes into a member or an item.
    fn into(&mut self, step: Step, id: Id, value: &Value) -> bool {
        if self.judge.holds(id, value, None) {
            return false;
        }
        self.path.push(step);
        self.node(id, value);
        self.path.pop();
        true
    }

    /// Says what of a check that does not hold is wrong.
    fn check(&mut self, check: &'s Check, value: &Value, unseen: Vec<Step>) {
        let must = match (check, value) {
            (Check::Never, _) => return self.say(|path| format!("{path} is not among what there may be")),
            (Check::Type(kinds), _) => format!("be {}", kinds.words()),
            (Check::OneOf(known), _) if known.len() == 1 => format!("be {}", words::of_json(&known[0])),
            (Check::OneOf(known), _) => {
                let shown: Vec<String> = known.iter().take(VALUES).map(words::of_json).collect();
                let more = if known.len() > VALUES { format!(" or {} more", known.len() - VALUES) } else { String::new() };
                format!("be one of {}{more}", shown.join(", "))
            }
            (Check::Least(limit, exclusive), _) => format!("be {} {limit}", if *exclusive { "above" } else { "at least" }),
            (Check::Most(limit, exclusive), _) => format!("be {} {limit}", if *exclusive { "below" } else { "at most" }),
            (Check::MultipleOf(of), _) => format!("be a multiple of {of}"),
            (Check::MinLength(least), Value::String(text)) => format!("have at least {least} characters, not {}", characters(text)),
            (Check::MaxLength(most), Value::String(text)) => format!("have at most {most} characters, not {}", characters(text)),
            (Check::Pattern(pattern), _) => format!("match `{}`", pattern.written),
            (Check::Format(format), _) => format!("have the format `{}`", format.name()),
            (Check::MinItems(least), Value::Array(items)) => return self.count("items", items.len(), "least", *least),
            (Check::MaxItems(most), Value::Array(items)) => return self.count("items", items.len(), "most", *most),
            (Check::MinProperties(least), Value::Object(object)) => return self.count("properties", object.len(), "least", *least),
            (Check::MaxProperties(most), Value::Object(object)) => return self.count("properties", object.len(), "most", *most),
            (Check::UniqueItems, Value::Array(items)) => {
                let (first, later) = twice(items).unwrap_or_default();
                return self.say(|path| format!("items {first} and {later} of {path} are the same, but must not be"));
            }
            (Check::Items { prefix, rest }, Value::Array(items)) => {
                let schemas = prefix.iter().copied().chain(rest.iter().copied().cycle());
                for (index, (item, id)) in items.iter().zip(schemas).enumerate() {
                    if self.into(Step::Item(index), id, item) {
                        return;
                    }
                }
                return;
            }
            (Check::Contains { item, least, most, .. }, Value::Array(items)) => {
                let count = items.iter().filter(|value| self.judge.holds(*item, value, None)).count();
                let bound = if (count as u64) < *least { format!("at least {least}") } else { format!("at most {most}") };
                return self.say(|path| format!("{path} has {count} items as `contains` wants them, but must have {bound}"));
            }
            (Check::Required(names), Value::Object(object)) => {
                let Some(name) = names.iter().find(|name| !object.contains_key(*name)) else { return };
                return self.missing(name, None);
            }
            (Check::DependentRequired(pairs), Value::Object(object)) => {
                for (name, names) in pairs.iter().filter(|(name, _)| object.contains_key(name)) {
                    if let Some(missing) = names.iter().find(|name| !object.contains_key(*name)) {
                        return self.missing(missing, Some(name));
                    }
                }
                return;
            }
            (Check::DependentSchemas(pairs), Value::Object(object)) => {
                let wrong = pairs.iter().find(|(name, id)| object.contains_key(name) && !self.judge.holds(*id, value, None));
                return wrong.into_iter().for_each(|(_, id)| self.node(*id, value));
            }
            (Check::Properties { named, patterns, rest }, Value::Object(object)) => {
                for (name, value) in object {
                    let mut ids: Vec<Id> = named.get(name).copied().into_iter().collect();
                    ids.extend(patterns.iter().filter(|(pattern, _)| pattern.is_match(name)).map(|(_, id)| *id));
                    if ids.is_empty() {
                        ids.extend(*rest);
                    }
                    if ids.into_iter().any(|id| self.into(Step::Name(name.clone()), id, value)) {
                        return;
                    }
                }
                return;
            }
            (Check::PropertyNames(id), Value::Object(object)) => {
                let wrong = object.keys().find(|name| !self.judge.holds(*id, &name.as_str().into(), None));
                let name = wrong.cloned().unwrap_or_default();
                return self.say(|path| format!("{path} has a property `{name}`, which `propertyNames` does not allow"));
            }
            (Check::AllOf(ids), _) => {
                let wrong = ids.iter().find(|id| !self.judge.holds(**id, value, None));
                return wrong.into_iter().for_each(|id| self.node(*id, value));
            }
            (Check::AnyOf(ids), _) => format!("satisfy one of the {} schemas of `anyOf`", ids.len()),
            (Check::ExactlyOneOf(ids), _) => {
                let count = ids.iter().filter(|id| self.judge.holds(**id, value, None)).count();
                format!("satisfy exactly one of the {} schemas of `oneOf`, not {count}", ids.len())
            }
            (Check::Not(_), _) => "not be as the schema of `not` has it".to_owned(),
            (Check::If { test, then, otherwise }, _) => {
                let next = if self.judge.holds(*test, value, None) { then } else { otherwise };
                return next.iter().for_each(|id| self.node(*id, value));
            }
            (Check::Reference(_) | Check::DynamicReference { .. } | Check::RecursiveReference(_), _) => {
                return self.judge.target(check).into_iter().for_each(|id| self.node(id, value));
            }
            (Check::UnevaluatedItems(id) | Check::UnevaluatedProperties(id), _) => {
                for step in unseen {
                    let inner = match &step {
                        Step::Name(name) => value.get(name),
                        Step::Item(index) => value.get(index),
                    };
                    if inner.is_some_and(|inner| self.into(step, *id, inner)) {
                        return;
                    }
                }
                return;
            }
            _ => return,
        };
        let shown = words::shown(value);
        self.say(|path| format!("{path} is {shown}, but must {must}"));
    }

    fn count(&mut self, what: &str, count: usize, bound: &str, limit: u64) {
        self.say(|path| format!("{path} has {count} {what}, but must have at {bound} {limit}"));
    }

    fn missing(&mut self, name: &str, asked_by: Option<&String>) {
        self.path.push(Step::Name(name.to_owned()));
        let why = asked_by.map_or_else(String::new, |name| format!(", and `{name}` asks for it"));
        self.say(|path| format!("{path} is missing{why}"));
        self.path.pop();
    }

    fn say(&mut self, message: impl FnOnce(&str) -> String) {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Name(name) if path.is_empty() => path.push_str(name),
                Step::Name(name) => write!(path, ".{name}").expect("writing to a string does not fail"),
                Step::Item(index) => write!(path, "[{index}]").expect("writing to a string does not fail"),
            }
        }
        let column = match self.path.first() {
            Some(Step::Name(name)) => Some(name.clone()),
            _ => None,
        };
        let path = if path.is_empty() { "the row".to_owned() } else { format!("`{path}`") };
        self.broken = Some(Broken { column, message: message(&path) });
    }
}
