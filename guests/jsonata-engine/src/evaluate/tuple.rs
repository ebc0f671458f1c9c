//! Paths whose steps bind variables: each item goes along with what was bound on its way.
//!
//! An item and its variables are an object, in which the item is called `@`.

use std::rc::Rc;

use super::results::Items;
use super::{Environment, Evaluator, Frame, NodeKind, Outcome, Path, Stage, Step};
use crate::Value;
use crate::value::{Array, Flags, Key, Members, member};

/// The name of the item.
const ITEM: &str = "@";

/// The item of a tuple.
pub(super) fn context(tuple: &Value) -> Value {
    member(tuple, ITEM).cloned().unwrap_or_default()
}

fn tuple_of(item: Value) -> Members {
    let mut tuple = Members::new();
    tuple.push(ITEM.into(), item);
    tuple
}

fn members_of(tuple: &Value) -> Members {
    match tuple {
        Value::Object(object) => Members::of(object),
        _ => Members::new(),
    }
}

fn tuples(items: Vec<Value>) -> Rc<Array> {
    Rc::new(Array::new(items, Flags::SEQUENCE | Flags::TUPLES))
}

impl Evaluator {
    /// The steps of a path from the first one on that binds variables.
    pub(super) fn tuple_path(&mut self, path: &Path, from: usize, items: Items, env: &Environment) -> Outcome {
        let input = items.into_list();
        let mut bindings: Option<Rc<Array>> = None;
        for step in &path.steps[from..] {
            bindings = Some(self.tuple_step(step, &input, bindings, env)?);
        }
        let bindings = bindings.unwrap_or_else(|| tuples(Vec::new()));
        if let Some(group) = &path.group {
            return self.group(group, &Value::Array(bindings), env);
        }
        if path.is_tuple {
            return Ok(Value::Array(bindings));
        }
        let keep = if path.keep_singleton { Flags::KEEP_SINGLETON } else { Flags::NONE };
        let items: Vec<Value> = bindings.iter().map(context).collect();
        self.check_length(items.len())?;
        Ok(Value::Array(Rc::new(Array::new(items, Flags::SEQUENCE | keep))))
    }

    fn tuple_step(&mut self, step: &Step, input: &Rc<Array>, bindings: Option<Rc<Array>>, env: &Environment) -> Outcome<Rc<Array>> {
        let mut made = match &step.node.kind {
            NodeKind::Sort(terms) => match bindings {
                Some(bindings) => list(self.order(terms, step.node.position, &bindings, env)?),
                None => {
                    let sorted = list(self.order(terms, step.node.position, input, env)?);
                    let tuple = |(place, item): (usize, &Value)| {
                        let mut tuple = tuple_of(item.clone());
                        if let Some(index) = step.index {
                            tuple.insert(index.name(), Value::Number(place as f64));
                        }
                        tuple.into_value()
                    };
                    tuples(sorted.iter().enumerate().map(tuple).collect())
                }
            },
            _ => {
                let bindings = bindings.unwrap_or_else(|| tuples(input.iter().map(|item| tuple_of(item.clone()).into_value()).collect()));
                self.bind_step(step, &bindings, env)?
            }
        };
        for stage in &step.stages {
            made = list(self.stage(stage, Value::Array(made), env)?);
        }
        Ok(made)
    }

    fn bind_step(&mut self, step: &Step, bindings: &Array, env: &Environment) -> Outcome<Rc<Array>> {
        let mut made = Vec::new();
        for binding in bindings.iter() {
            let frame = self.tuple_frame(binding, env);
            let item = context(binding);
            let value = self.evaluate(&step.node, &item, &frame)?;
            self.leave(frame);
            let results = match value {
                Value::Undefined => continue,
                Value::Array(list) => list,
                value => Rc::new(Array::plain(vec![value])),
            };
            for (place, result) in results.iter().enumerate() {
                let mut tuple = members_of(binding);
                if results.is(Flags::TUPLES) {
                    if let Value::Object(bound) = result {
                        bound.iter().for_each(|(name, value)| tuple.insert(name.clone(), value.clone()));
                    }
                } else {
                    match step.focus {
                        Some(focus) => {
                            tuple.insert(focus.name(), result.clone());
                            tuple.insert(ITEM.into(), item.clone());
                        }
                        None => tuple.insert(ITEM.into(), result.clone()),
                    }
                    if let Some(index) = step.index {
                        tuple.insert(index.name(), Value::Number(place as f64));
                    }
                    if let Some(ancestor) = step.ancestor {
                        tuple.insert(ancestor.name(), item.clone());
                    }
                }
                made.push(tuple.into_value());
            }
            self.check_length(made.len())?;
        }
        Ok(tuples(made))
    }

    /// A filter on tuples, or a number for each.
    pub(super) fn stage(&mut self, stage: &Stage, input: Value, env: &Environment) -> Outcome {
        match stage {
            Stage::Filter(predicate) => self.filter(predicate, input, env),
            Stage::Index(key) => {
                let Value::Array(list) = input else { return Ok(input) };
                let numbered = list.iter().enumerate().map(|(place, tuple)| {
                    let mut members = members_of(tuple);
                    members.insert(key.name(), Value::Number(place as f64));
                    if let Value::Object(_) = tuple { members.into_value() } else { tuple.clone() }
                });
                Ok(Value::Array(Rc::new(Array::new(numbered.collect(), list.flags))))
            }
        }
    }

    /// A frame with the variables of a tuple.
    pub(super) fn tuple_frame(&mut self, tuple: &Value, env: &Environment) -> Environment {
        let variables = match tuple {
            Value::Object(object) => object.iter().map(|(name, value)| (Key::of(name), value.clone())).collect(),
            _ => Vec::new(),
        };
        Frame::new(Some(env.clone()), variables)
    }
}

fn list(value: Value) -> Rc<Array> {
    match value {
        Value::Array(list) => list,
        Value::Undefined => tuples(Vec::new()),
        value => Rc::new(Array::plain(vec![value])),
    }
}
