//! Whether a value satisfies a schema.

use std::cmp::Ordering;
use std::collections::HashSet;

use serde_json::Value;

use super::Schema;
use super::node::{Check, Id};
use super::values::{compare, equal, is_multiple, twice};

/// What of a list or an object checks looked at, which `unevaluatedItems` and `unevaluatedProperties` ask for.
#[derive(Default)]
pub(super) struct Seen<'v> {
    properties: HashSet<&'v str>,
    /// Items from the start.
    first: usize,
    items: HashSet<usize>,
}

impl<'v> Seen<'v> {
    fn take(&mut self, other: Self) {
        self.properties.extend(other.properties);
        self.first = self.first.max(other.first);
        self.items.extend(other.items);
    }

    pub(super) fn has_item(&self, index: usize) -> bool {
        index < self.first || self.items.contains(&index)
    }

    pub(super) fn has_property(&self, name: &str) -> bool {
        self.properties.contains(name)
    }
}

/// A value being judged.
pub(super) struct Judge<'s> {
    pub(super) schema: &'s Schema,
    /// Resources that were entered, the innermost last; only kept where a reference asks for them.
    scope: Vec<usize>,
}

impl<'s> Judge<'s> {
    pub(super) fn new(schema: &'s Schema) -> Self {
        Self { schema, scope: Vec::new() }
    }

    /// Enters a schema's resource; the answer is what [`leave`](Self::leave) takes.
    pub(super) fn enter(&mut self, id: Id) -> usize {
        let depth = self.scope.len();
        let asked = !self.schema.dynamic.is_empty() || !self.schema.recursive.is_empty();
        let resource = self.schema.nodes[id].resource;
        if asked && self.scope.last() != Some(&resource) {
            self.scope.push(resource);
        }
        depth
    }

    pub(super) fn leave(&mut self, depth: usize) {
        self.scope.truncate(depth);
    }

    /// Whether a value satisfies a schema; what was looked at is added to what was seen if it does.
    pub(super) fn holds<'v>(&mut self, id: Id, value: &'v Value, mut seen: Option<&mut Seen<'v>>) -> bool {
        let node = &self.schema.nodes[id];
        let depth = self.enter(id);
        let held = if node.tracks {
            let mut own = Seen::default();
            let held = node.checks.iter().all(|check| self.check(check, value, Some(&mut own)));
            if let (true, Some(seen)) = (held, seen) {
                seen.take(own);
            }
            held
        } else {
            node.checks.iter().all(|check| self.check(check, value, seen.as_deref_mut()))
        };
        self.leave(depth);
        held
    }

    /// As [`holds`](Self::holds), with nothing added where it does not hold.
    fn branch<'v>(&mut self, id: Id, value: &'v Value, seen: &mut Option<&mut Seen<'v>>) -> bool {
        let Some(seen) = seen else { return self.holds(id, value, None) };
        let mut own = Seen::default();
        let held = self.holds(id, value, Some(&mut own));
        if held {
            seen.take(own);
        }
        held
    }

    /// Whether a value satisfies one check.
    pub(super) fn check<'v>(&mut self, check: &'s Check, value: &'v Value, mut seen: Option<&mut Seen<'v>>) -> bool {
        match (check, value) {
            (Check::Never, _) => false,
            (Check::Type(kinds), _) => kinds.has(value),
            (Check::OneOf(known), _) => known.iter().any(|known| equal(known, value)),
            (Check::Least(limit, exclusive), Value::Number(number)) => match compare(number, limit) {
                Some(Ordering::Equal) => !exclusive,
                order => order == Some(Ordering::Greater),
            },
            (Check::Most(limit, exclusive), Value::Number(number)) => match compare(number, limit) {
                Some(Ordering::Equal) => !exclusive,
                order => order == Some(Ordering::Less),
            },
            (Check::MultipleOf(of), Value::Number(number)) => is_multiple(number, of),
            (Check::MinLength(least), Value::String(text)) => characters(text) >= *least,
            (Check::MaxLength(most), Value::String(text)) => text.len() as u64 <= *most || characters(text) <= *most,
            (Check::Pattern(pattern), Value::String(text)) => pattern.regex.is_match(text),
            (Check::Format(format), Value::String(text)) => format.holds(text),
            (Check::MinItems(least), Value::Array(items)) => items.len() as u64 >= *least,
            (Check::MaxItems(most), Value::Array(items)) => items.len() as u64 <= *most,
            (Check::UniqueItems, Value::Array(items)) => twice(items).is_none(),
            (Check::Items { prefix, rest }, Value::Array(items)) => {
                let first = if rest.is_some() { items.len() } else { prefix.len().min(items.len()) };
                if let Some(seen) = seen {
                    seen.first = seen.first.max(first);
                }
                let schemas = prefix.iter().copied().chain(rest.iter().copied().cycle());
                items.iter().zip(schemas).all(|(item, id)| self.holds(id, item, None))
            }
            (Check::Contains { item: id, least, most, marks }, Value::Array(items)) => {
                let mut count = 0;
                for (index, item) in items.iter().enumerate() {
                    if self.holds(*id, item, None) {
                        count += 1;
                        match seen.as_mut().filter(|_| *marks) {
                            Some(seen) => drop(seen.items.insert(index)),
                            // Enough are enough, where nobody asks which.
                            None if count >= *least && *most == u64::MAX => return true,
                            None => {}
                        }
                    }
                }
                (*least..=*most).contains(&count)
            }
            (Check::MinProperties(least), Value::Object(object)) => object.len() as u64 >= *least,
            (Check::MaxProperties(most), Value::Object(object)) => object.len() as u64 <= *most,
            (Check::Required(names), Value::Object(object)) => names.iter().all(|name| object.contains_key(name)),
            (Check::DependentRequired(pairs), Value::Object(object)) => pairs
                .iter()
                .filter(|(name, _)| object.contains_key(name))
                .all(|(_, names)| names.iter().all(|name| object.contains_key(name))),
            (Check::DependentSchemas(pairs), Value::Object(object)) => {
                pairs.iter().filter(|(name, _)| object.contains_key(name)).all(|(_, id)| self.holds(*id, value, seen.as_deref_mut()))
            }
            (Check::Properties { named, patterns, rest }, Value::Object(object)) => {
                for (name, value) in object {
                    let mut known = false;
                    if let Some(id) = named.get(name) {
                        known = true;
                        if !self.holds(*id, value, None) {
                            return false;
                        }
                    }
                    for (_, id) in patterns.iter().filter(|(pattern, _)| pattern.is_match(name)) {
                        known = true;
                        if !self.holds(*id, value, None) {
                            return false;
                        }
                    }
                    if let (false, Some(id)) = (known, rest) {
                        known = true;
                        if !self.holds(*id, value, None) {
                            return false;
                        }
                    }
                    if let (true, Some(seen)) = (known, seen.as_mut()) {
                        seen.properties.insert(name);
                    }
                }
                true
            }
            (Check::PropertyNames(id), Value::Object(object)) => object.keys().all(|name| self.holds(*id, &name.as_str().into(), None)),
            (Check::AllOf(ids), _) => ids.iter().all(|id| self.holds(*id, value, seen.as_deref_mut())),
            (Check::AnyOf(ids), _) if seen.is_none() => ids.iter().any(|id| self.holds(*id, value, None)),
            // What each of them looked at counts.
            (Check::AnyOf(ids), _) => ids.iter().filter(|id| self.branch(**id, value, &mut seen)).count() > 0,
            (Check::ExactlyOneOf(ids), _) => {
                let mut count = 0;
                ids.iter().for_each(|id| count += usize::from(count < 2 && self.branch(*id, value, &mut seen)));
                count == 1
            }
            (Check::Not(id), _) => !self.holds(*id, value, None),
            (Check::If { test, then, otherwise }, _) => {
                let next = if self.branch(*test, value, &mut seen) { then } else { otherwise };
                next.is_none_or(|id| self.holds(id, value, seen))
            }
            (Check::Reference(_) | Check::DynamicReference { .. } | Check::RecursiveReference(_), _) => {
                self.target(check).is_none_or(|id| self.holds(id, value, seen))
            }
            (Check::UnevaluatedItems(id), Value::Array(items)) => {
                let seen = seen.expect("such a schema tracks");
                let held = items.iter().enumerate().all(|(index, item)| seen.has_item(index) || self.holds(*id, item, None));
                seen.first = items.len();
                held
            }
            (Check::UnevaluatedProperties(id), Value::Object(object)) => {
                let seen = seen.expect("such a schema tracks");
                let held = object.iter().all(|(name, value)| seen.has_property(name) || self.holds(*id, value, None));
                seen.properties.extend(object.keys().map(String::as_str));
                held
            }
            _ => true,
        }
    }

    /// The schema that a reference leads to: of a dynamic one the outermost of that name that was entered.
    pub(super) fn target(&self, check: &Check) -> Option<Id> {
        match check {
            Check::Reference(id) => Some(*id),
            Check::DynamicReference { id, name } => {
                let outermost = self
                    .scope
                    .iter()
                    .find_map(|resource| self.schema.dynamic.iter().find(|((of, named), _)| of == resource && named == name));
                Some(outermost.map_or(*id, |(_, id)| *id))
            }
            Check::RecursiveReference(id) => {
                let anchored = self.schema.recursive.contains_key(&self.schema.nodes[*id].resource);
                let outermost = self.scope.iter().find_map(|resource| self.schema.recursive.get(resource)).filter(|_| anchored);
                Some(outermost.copied().unwrap_or(*id))
            }
            _ => None,
        }
    }
}

/// Characters of a text.
pub(super) fn characters(text: &str) -> u64 {
    text.chars().count() as u64
}
