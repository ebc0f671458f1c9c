//! Paths: steps, what is looked up in them, and filters.

use std::rc::Rc;

use super::node::Name;
use super::results::{Items, Results};
use super::{Environment, Evaluator, Node, NodeKind, Outcome, Path, Stage, Step, operator};
use crate::Value;
use crate::value::{Array, Flags};

impl Evaluator {
    #[inline(never)]
    pub(super) fn path(&mut self, path: &Path, input: &Value, env: &Environment) -> Outcome {
        self.turns += 1 + path.steps.len() as u64;
        if path.is_plain {
            self.turns += path.steps.len() as u64;
            if self.depth + 1 > self.max_depth {
                self.depth += 1;
                self.check()?;
            }
            return plain(&path.steps, path.keep_singleton, input);
        }
        if path.is_of_variable {
            self.turns += path.steps.len() as u64;
            // The items of a list in brackets are not gone through one by one.
            let follow = |value: &Value| match value {
                Value::Array(list) if list.is(Flags::CONSTRUCTED | Flags::OUTER) => None,
                value => Some(plain(&path.steps[1..], path.keep_singleton, value)),
            };
            let found = match path.steps[0].node.kind {
                NodeKind::Variable(key) => env.look(key, follow),
                _ => Some(follow(input)),
            };
            match found {
                Some(Some(value)) => return value,
                Some(None) => {}
                None => return Ok(Value::Undefined),
            }
        }
        self.any_path(path, input, env)
    }

    #[inline(never)]
    fn any_path(&mut self, path: &Path, input: &Value, env: &Environment) -> Outcome {
        let mut items = match input {
            Value::Array(list) if !path.starts_with_variable() => Items::Some(list.clone()),
            input => Items::One(input.clone()),
        };
        let last = path.steps.len() - 1;
        for (index, step) in path.steps.iter().enumerate() {
            if step.is_tuple {
                return self.tuple_path(path, index, items, env);
            }
            items = if index == 0 && step.is_constructed {
                let context = match items {
                    Items::One(value) => Value::sequence(vec![value]),
                    items => Value::Array(items.into_list()),
                };
                match self.evaluate(&step.node, &context, env)? {
                    Value::Array(list) => Items::Whole(list),
                    value if index == last => Items::One(value),
                    // What is no list has no items to go through, although it is there.
                    _ => Items::None,
                }
            } else {
                self.step(step, &items, index == last, env)?
            };
            if items.is_empty() {
                break;
            }
        }
        match &path.group {
            None => Ok(items.into_value(path.keep_singleton)),
            Some(group) => {
                let list = Value::Array(items.into_list());
                self.group(group, &list, env)
            }
        }
    }

    /// One step on all items.
    fn step(&mut self, step: &Step, items: &Items, is_last: bool, env: &Environment) -> Outcome<Items> {
        if let NodeKind::Sort(terms) = &step.node.kind {
            let mut sorted = self.order(terms, step.node.position, &to_list(items), env)?;
            for stage in &step.stages {
                sorted = self.stage(stage, sorted, env)?;
            }
            return Ok(match sorted {
                Value::Array(list) => Items::Whole(list),
                value => Items::One(value),
            });
        }
        let mut results = Results::default();
        for item in items.as_slice() {
            let mut value = match &step.node.kind {
                NodeKind::Name(name) => {
                    self.turns += 1;
                    named(name, item)
                }
                _ => self.evaluate(&step.node, item, env)?,
            };
            for stage in &step.stages {
                if let Stage::Filter(predicate) = stage {
                    value = self.filter(predicate, value, env)?;
                }
            }
            results.push(value);
            self.check_length(results.len())?;
        }
        Ok(results.finish(is_last))
    }

    /// What of a value a predicate chooses, as a sequence.
    #[inline(never)]
    pub(super) fn filter(&mut self, predicate: &Node, input: Value, env: &Environment) -> Outcome {
        self.turns += 1;
        let list = match input {
            Value::Array(list) => list,
            Value::Undefined if matches!(predicate.kind, NodeKind::Literal(Value::Number(_))) => return Ok(Value::sequence(Vec::new())),
            value => Rc::new(Array::new(vec![value], Flags::SEQUENCE)),
        };
        let is_tuples = list.is(Flags::TUPLES);
        let flags = if is_tuples { Flags::SEQUENCE | Flags::TUPLES } else { Flags::SEQUENCE };
        if let (NodeKind::Literal(Value::Number(number)), None) = (&predicate.kind, &predicate.more) {
            return Ok(match place(*number, list.len()).and_then(|place| list.get(place)) {
                None | Some(Value::Undefined) => Value::Array(Rc::new(Array::new(Vec::new(), flags))),
                Some(Value::Array(item)) => Value::Array(item.clone()),
                Some(item) => Value::Array(Rc::new(Array::new(vec![item.clone()], flags))),
            });
        }
        let mut kept = Vec::new();
        for (index, item) in list.iter().enumerate() {
            let chosen = match is_tuples {
                false => self.evaluate(predicate, item, env)?,
                true => {
                    let frame = self.tuple_frame(item, env);
                    let chosen = self.evaluate(predicate, &super::tuple::context(item), &frame)?;
                    self.leave(frame);
                    chosen
                }
            };
            match chosen {
                Value::Bool(true) => kept.push(item.clone()),
                Value::Bool(false) | Value::Undefined => {}
                chosen => self.choose(&chosen, index, item, list.len(), &mut kept)?,
            }
        }
        Ok(Value::Array(Rc::new(Array::new(kept, flags))))
    }

    /// Keeps an item where what was worked out is its place, or places among which it is, or true.
    fn choose(&self, chosen: &Value, index: usize, item: &Value, length: usize, kept: &mut Vec<Value>) -> Outcome<()> {
        let is_place = |value: &Value| matches!(value, Value::Number(number) if place(*number, length) == Some(index));
        match chosen {
            Value::Number(number) if operator::is_number(*number)? => {
                if is_place(chosen) {
                    kept.push(item.clone());
                }
            }
            Value::Array(places) if operator::are_numbers(places)? => {
                kept.extend(places.iter().filter(|place| is_place(place)).map(|_| item.clone()));
                self.check_length(kept.len())?;
            }
            chosen => {
                if operator::truth(chosen)? == Some(true) {
                    kept.push(item.clone());
                }
            }
        }
        Ok(())
    }

    /// All values of an object or of a list, lists joined.
    pub(super) fn wildcard(&mut self, input: &Value) -> Outcome {
        let input = match input {
            Value::Array(list) if list.is(Flags::OUTER) && !list.is_empty() => &list[0],
            input => input,
        };
        let values: &[Value] = match input {
            Value::Array(list) => list,
            Value::Object(object) => object.values(),
            _ => &[],
        };
        let mut items = Vec::with_capacity(values.len());
        let mut flags = Flags::SEQUENCE;
        for value in values {
            match value {
                Value::Array(_) => {
                    // Joined lists are no sequence any more.
                    flags = Flags::NONE;
                    flatten(value, &mut items);
                }
                value => items.push(value.clone()),
            }
            self.check_length(items.len())?;
        }
        Ok(Value::Array(Rc::new(Array::new(items, flags))))
    }

    /// A value and all that is within it, lists aside.
    pub(super) fn descendants(&mut self, input: &Value) -> Outcome {
        if input.is_undefined() {
            return Ok(Value::Undefined);
        }
        let mut items = Vec::new();
        self.descend(input, &mut items)?;
        if items.len() == 1 {
            return Ok(items.remove(0));
        }
        Ok(Value::sequence(items))
    }

    fn descend(&self, value: &Value, items: &mut Vec<Value>) -> Outcome<()> {
        match value {
            Value::Array(list) => list.iter().try_for_each(|item| self.descend(item, items)),
            Value::Object(object) => {
                items.push(value.clone());
                object.values().iter().try_for_each(|value| self.descend(value, items))
            }
            value => {
                items.push(value.clone());
                self.check_length(items.len())
            }
        }
    }
}

impl Path {
    fn starts_with_variable(&self) -> bool {
        matches!(self.steps[0].node.kind, NodeKind::Variable(_) | NodeKind::Context | NodeKind::Builtin(..))
    }
}

pub(super) fn to_list(items: &Items) -> Rc<Array> {
    match items {
        Items::Some(list) if list.flags == Flags::SEQUENCE || list.len() > 1 => list.clone(),
        Items::Whole(list) => list.clone(),
        items => Rc::new(Array::new(items.as_slice().to_vec(), Flags::SEQUENCE)),
    }
}

/// The place that a number means, counted from the end where it is negative.
fn place(number: f64, length: usize) -> Option<usize> {
    let floor = number.floor();
    let floor = if floor < 0.0 { floor + length as f64 } else { floor };
    (floor >= 0.0 && floor < length as f64).then_some(floor as usize)
}

fn flatten(value: &Value, items: &mut Vec<Value>) {
    match value {
        Value::Array(list) => list.iter().for_each(|item| flatten(item, items)),
        value => items.push(value.clone()),
    }
}

/// A path of one name.
#[inline]
pub(super) fn field(name: &Name, input: &Value) -> Value {
    match input {
        Value::Object(object) => match object.get_at(&name.name, &name.seen) {
            None => Value::Undefined,
            Some(Value::Array(list)) if list.is(Flags::SEQUENCE) => super::settle(list, false),
            Some(value) => value.clone(),
        },
        Value::Array(list) => {
            let mut results = Results::default();
            list.iter().for_each(|item| results.push(named(name, item)));
            results.finish(true).into_value(false)
        }
        _ => Value::Undefined,
    }
}

/// A path of nothing but names.
#[inline]
fn plain(steps: &[Step], keep: bool, input: &Value) -> Outcome {
    let mut value = input;
    for (index, step) in steps.iter().enumerate() {
        let NodeKind::Name(name) = &step.node.kind else { unreachable!("the path was found to be plain") };
        match value {
            Value::Object(object) => match object.get_at(&name.name, &name.seen) {
                Some(found) => value = found,
                None => return Ok(Value::Undefined),
            },
            Value::Array(list) => return Ok(plain_of_list(&steps[index..], keep, list)),
            _ => return Ok(Value::Undefined),
        }
    }
    Ok(match value {
        Value::Undefined => Value::Undefined,
        Value::Array(list) if !list.is(Flags::SEQUENCE) => Items::Whole(list.clone()).into_value(keep),
        Value::Array(list) => Items::Some(list.clone()).into_value(keep),
        value if keep => Items::One(value.clone()).into_value(keep),
        value => value.clone(),
    })
}

fn plain_of_list(steps: &[Step], keep: bool, list: &Rc<Array>) -> Value {
    let mut items = Items::Some(list.clone());
    for (index, step) in steps.iter().enumerate() {
        let NodeKind::Name(name) = &step.node.kind else { unreachable!("the path was found to be plain") };
        let mut results = Results::default();
        for item in items.as_slice() {
            results.push(named(name, item));
        }
        items = results.finish(index + 1 == steps.len());
        if items.is_empty() {
            break;
        }
    }
    items.into_value(keep)
}

/// The value of a name in an object, or in all objects of a list.
#[inline]
pub(super) fn named(name: &Name, input: &Value) -> Value {
    match input {
        Value::Object(object) => object.get_at(&name.name, &name.seen).cloned().unwrap_or_default(),
        Value::Array(list) => {
            let mut items = Vec::new();
            named_in(name, list, &mut items);
            match items.len() {
                0 => Value::Undefined,
                1 => items.remove(0),
                _ => Value::sequence(items),
            }
        }
        _ => Value::Undefined,
    }
}

/// Collects the values of a name; a list among them is joined.
fn named_in(name: &Name, list: &[Value], items: &mut Vec<Value>) {
    for item in list {
        match item {
            Value::Object(object) => match object.get_at(&name.name, &name.seen) {
                None | Some(Value::Undefined) => {}
                Some(Value::Array(list)) => items.extend_from_slice(list),
                Some(value) => items.push(value.clone()),
            },
            Value::Array(list) => named_in(name, list, items),
            _ => {}
        }
    }
}
