//! Objects: members worked out for each group of items whose names are the same.

use std::rc::Rc;

use super::node::Group;
use super::{Environment, Evaluator, Frame, Node, Outcome, checked};
use crate::builtin::is_reserved;
use crate::value::{Flags, Key, Members, Object};
use crate::{Failure, Value};

/// Items of which a name was worked out by the same pair.
struct Gathered {
    pair: usize,
    items: Vec<Value>,
    /// Whether it is a list of several items; else it is the only item.
    is_joined: bool,
}

impl Evaluator {
    /// The object of a group's pairs on what comes.
    #[inline(never)]
    pub(super) fn group(&mut self, group: &Group, input: &Value, env: &Environment) -> Outcome {
        self.turns += 2;
        let list = match input {
            Value::Array(list) => list,
            input => return self.object(group, input, env),
        };
        if list.is(Flags::TUPLES) {
            return self.tuple_group(group, list, env);
        }
        match &***list {
            [] => self.object(group, &Value::Undefined, env),
            [item] => self.object(group, item, env),
            items => {
                let (names, gathered) = self.gather(group, items, |evaluator, node, item| evaluator.evaluate(node, item, env))?;
                let mut members = Members::with_capacity(names.len());
                self.side_by_side(0, names.into_iter().zip(gathered), |evaluator, (name, gathered)| {
                    let value = evaluator.evaluate(&group.pairs[gathered.pair].1, &gathered.into_value(), env)?;
                    if !value.is_undefined() {
                        members.push(name, value);
                    }
                    Ok(())
                })?;
                checked(members.into_bare())
            }
        }
    }

    /// The object of one item.
    fn object(&mut self, group: &Group, item: &Value, env: &Environment) -> Outcome {
        if let Some(shape) = &group.shape {
            let mut values = Vec::with_capacity(group.pairs.len());
            self.turns += group.pairs.len() as u64;
            self.side_by_side(0, &group.pairs, |evaluator, (_, value)| {
                values.push(evaluator.evaluate(value, item, env)?);
                Ok(())
            })?;
            if values.iter().all(|value| !value.is_undefined()) {
                return checked(Value::Object(Rc::new(Object::bare(shape.clone(), values))));
            }
            let mut members = Members::with_capacity(values.len());
            let pairs = shape.names().iter().zip(values).filter(|(_, value)| !value.is_undefined());
            pairs.for_each(|(name, value)| members.push(name.clone(), value));
            return checked(members.into_bare());
        }
        let mut names: Members = Members::with_capacity(group.pairs.len());
        for (index, (name, _)) in group.pairs.iter().enumerate() {
            let name = self.evaluate(name, item, env)?;
            if let Some(name) = name_of(name, group.position)? {
                if names.place(&name).is_some() {
                    return Err(twice(&name, group.position));
                }
                names.push(name, Value::Number(index as f64));
            }
        }
        let (names, indices) = names.into_parts();
        let mut members = Members::with_capacity(names.len());
        self.side_by_side(0, names.into_iter().zip(indices), |evaluator, (name, index)| {
            let Value::Number(index) = index else { return Ok(()) };
            let value = evaluator.evaluate(&group.pairs[index as usize].1, item, env)?;
            if !value.is_undefined() {
                members.push(name, value);
            }
            Ok(())
        })?;
        checked(members.into_bare())
    }

    fn tuple_group(&mut self, group: &Group, tuples: &[Value], env: &Environment) -> Outcome {
        let (names, gathered) = self.gather(group, tuples, |evaluator, node, tuple| {
            let frame = evaluator.tuple_frame(tuple, env);
            let value = evaluator.evaluate(node, &super::tuple::context(tuple), &frame)?;
            evaluator.leave(frame);
            Ok(value)
        })?;
        let mut members = Members::with_capacity(names.len());
        self.side_by_side(0, names.into_iter().zip(gathered), |evaluator, (name, Gathered { pair, items, is_joined: _ })| {
            let mut context = Value::Undefined;
            let mut variables = Vec::new();
            for (key, value) in merged(items) {
                match &*key.name() {
                    "@" => context = value,
                    _ => variables.push((key, value)),
                }
            }
            let frame = Frame::new(Some(env.clone()), variables);
            let value = evaluator.evaluate(&group.pairs[pair].1, &context, &frame)?;
            evaluator.leave(frame);
            if !value.is_undefined() {
                members.push(name, value);
            }
            Ok(())
        })?;
        checked(members.into_bare())
    }

    /// Items by the names that the pairs give them, in the order in which JavaScript lists names.
    fn gather(
        &mut self,
        group: &Group,
        items: &[Value],
        mut evaluate: impl FnMut(&mut Self, &Node, &Value) -> Outcome,
    ) -> Outcome<(Vec<Rc<str>>, Vec<Gathered>)> {
        let mut places = Members::new();
        let mut gathered: Vec<Gathered> = Vec::new();
        for item in items {
            for (pair, (name, _)) in group.pairs.iter().enumerate() {
                let name = evaluate(self, name, item)?;
                let Some(name) = name_of(name, group.position)? else { continue };
                match places.place(&name) {
                    None => {
                        places.push(name, Value::Number(gathered.len() as f64));
                        gathered.push(Gathered { pair, items: vec![item.clone()], is_joined: false });
                    }
                    Some(place) => {
                        let known = &mut gathered[place];
                        if known.pair != pair {
                            return Err(twice(&name, group.position));
                        }
                        known.append(item);
                        let length = known.items.len();
                        self.check_length(length)?;
                    }
                }
            }
        }
        let (names, order) = places.into_parts();
        let mut slots: Vec<Option<Gathered>> = gathered.into_iter().map(Some).collect();
        let in_order =
            order.into_iter().filter_map(|place| if let Value::Number(place) = place { slots[place as usize].take() } else { None });
        Ok((names, in_order.collect()))
    }
}

impl Gathered {
    /// Adds an item; lists are joined, also the first one.
    fn append(&mut self, item: &Value) {
        if item.is_undefined() {
            return;
        }
        if !self.is_joined {
            self.is_joined = true;
            match self.items.pop() {
                Some(Value::Array(first)) => self.items.extend_from_slice(&first),
                Some(Value::Undefined) | None => {
                    self.is_joined = false;
                    return self.items.push(item.clone());
                }
                Some(first) => self.items.push(first),
            }
        }
        match item {
            Value::Array(more) => self.items.extend_from_slice(more),
            item => self.items.push(item.clone()),
        }
    }

    /// What the value of a member is worked out on.
    fn into_value(mut self) -> Value {
        if self.is_joined { Value::array(self.items) } else { self.items.pop().unwrap_or_default() }
    }
}

/// Tuples as one: the values of each variable joined.
fn merged(tuples: Vec<Value>) -> Vec<(Key, Value)> {
    let mut merged: Vec<(Key, Value)> = Vec::new();
    for tuple in &tuples {
        let Value::Object(object) = tuple else { continue };
        for (name, value) in object.iter() {
            let key = Key::of(name);
            match merged.iter_mut().find(|(known, _)| *known == key) {
                None => merged.push((key, value.clone())),
                Some((_, known)) => *known = crate::builtin::append(std::mem::take(known), value),
            }
        }
    }
    merged
}

/// The name that a value is; nothing is no name.
fn name_of(value: Value, position: usize) -> Outcome<Option<Rc<str>>> {
    let failure = |code: &str, message: String| Failure { position: Some(position), ..Failure::new(code, message) };
    match value {
        Value::String(name) if is_reserved(&name) => Err(failure("D1013", format!("the name `{name}` is reserved")).into()),
        Value::String(name) => Ok(Some(name)),
        Value::Undefined => Ok(None),
        value => {
            let what = crate::describe(&value);
            Err(failure("T1003", format!("a name in an object must be a text, not {what}")).into())
        }
    }
}

fn twice(name: &str, position: usize) -> Box<Failure> {
    let message = format!("more than one pair of the object gives the name `{name}`");
    Box::new(Failure { position: Some(position), ..Failure::new("D1009", message) })
}
