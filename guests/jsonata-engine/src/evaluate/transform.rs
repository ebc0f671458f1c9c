//! `|pattern|update, delete|`: a copy in which what the pattern finds is changed.

use std::collections::HashMap;
use std::rc::Rc;

use super::node::Transform;
use super::{Arguments, Environment, Evaluator, Function, Outcome, checked};
use crate::value::{Array, Key, Members, Object};
use crate::{Failure, Value};

/// Objects of the copy that were changed, by their place in memory, with what they are now.
///
/// The copy holds them for as long as this is used, so that no other object comes to the same place.
type Changes = HashMap<*const Object, Value>;

impl Evaluator {
    /// Applies a transform to a value.
    pub(super) fn transform(&mut self, transform: &Transform, value: Value, env: &Environment) -> Outcome {
        if value.is_undefined() {
            return Ok(Value::Undefined);
        }
        let failure = |code: &str, message: String, position| Failure { position: Some(position), ..Failure::new(code, message) };
        let clone = self.variable(Key::of("clone"), env);
        if !clone.is_function() {
            let message = "the transform copies its input by `$clone`, which is no function here".into();
            return Err(failure("T2013", message, transform.position).into());
        }
        let copied = self.apply(&clone, &mut Arguments::from([value]), &Value::Null, env)?;
        // Every object once, so that a change is one in one place.
        let copy = separate(&copied);
        let found = match self.evaluate(&transform.pattern, &copy, env)? {
            Value::Undefined => return Ok(copy),
            Value::Array(list) => list,
            value => Rc::new(Array::plain(vec![value])),
        };
        let mut changes = Changes::new();
        for place in found.iter() {
            let current = changed(place, &changes);
            let update = self.evaluate(&transform.update, &current, env)?;
            let members = match update {
                Value::Undefined => None,
                Value::Object(members) => Some(members),
                other => {
                    let message = format!("the update of a transform must be an object, not {}", crate::describe(&other));
                    return Err(failure("T2011", message, transform.update.position).into());
                }
            };
            let mut object = match &current {
                Value::Object(object) => Some(Members::of(object)),
                _ => None,
            };
            if let Some(update) = members {
                for (name, value) in update.iter() {
                    match &mut object {
                        Some(object) if holds(value, [place, &current], &changes) => {
                            self.has_endless = true;
                            object.insert(name.clone(), without(value, [place, &current], &changes));
                        }
                        Some(object) => object.insert(name.clone(), value.clone()),
                        // A list takes members without showing them; nothing else does.
                        None if matches!(current, Value::Array(_)) => {}
                        None => {
                            let message = format!("{} has no members to be updated", crate::describe(&current));
                            return Err(failure("T2011", message, transform.position).into());
                        }
                    }
                }
            }
            self.delete(transform, &current, object, place, &mut changes, env)?;
        }
        checked(changed(&copy, &changes))
    }

    /// Deletes members, and keeps what the object is then.
    fn delete(
        &mut self,
        transform: &Transform,
        current: &Value,
        object: Option<Members>,
        place: &Value,
        changes: &mut Changes,
        env: &Environment,
    ) -> Outcome<()> {
        let mut object = object;
        let updated = object.as_ref().map_or_else(|| current.clone(), |object| object.clone().into_value());
        if let Some(delete) = &transform.delete {
            let names = match self.evaluate(delete, &updated, env)? {
                Value::Undefined => Rc::new(Array::plain(Vec::new())),
                Value::Array(names) => names,
                value => Rc::new(Array::plain(vec![value])),
            };
            for name in names.iter() {
                let Value::String(name) = name else {
                    let message = format!("what a transform deletes must be names, not {}", crate::describe(name));
                    return Err(Failure { position: Some(delete.position), ..Failure::new("T2012", message) }.into());
                };
                if let Some(object) = &mut object {
                    object.remove(name);
                }
            }
        }
        if let (Value::Object(before), Some(object)) = (place, object) {
            changes.insert(Rc::as_ptr(before), object.into_value());
        }
        Ok(())
    }
}

/// A value in which no object is there twice.
fn separate(value: &Value) -> Value {
    match value {
        Value::Array(list) => Value::Array(Rc::new(Array::new(list.iter().map(separate).collect(), list.flags))),
        Value::Object(object) => {
            Value::Object(Rc::new(Object::new(object.shape().clone(), object.values().iter().map(separate).collect())))
        }
        value => value.clone(),
    }
}

/// A value with the changes of what is in it.
fn changed(value: &Value, changes: &Changes) -> Value {
    if changes.is_empty() {
        return value.clone();
    }
    match value {
        Value::Array(list) => Value::Array(Rc::new(Array::new(list.iter().map(|item| changed(item, changes)).collect(), list.flags))),
        Value::Object(object) => {
            let object = match changes.get(&Rc::as_ptr(object)) {
                Some(Value::Object(now)) => now,
                _ => object,
            };
            let values = object.values().iter().map(|value| changed(value, changes)).collect();
            Value::Object(Rc::new(Object::new(object.shape().clone(), values)))
        }
        value => value.clone(),
    }
}

/// Whether a value holds one of two objects, which would then hold itself.
fn holds(value: &Value, others: [&Value; 2], changes: &Changes) -> bool {
    match value {
        Value::Object(object) if others.iter().any(|other| matches!(other, Value::Object(other) if Rc::ptr_eq(object, other))) => true,
        Value::Object(object) => {
            let now = match changes.get(&Rc::as_ptr(object)) {
                Some(Value::Object(now)) => now,
                _ => object,
            };
            now.values().iter().any(|value| holds(value, others, changes))
        }
        Value::Array(list) => list.iter().any(|value| holds(value, others, changes)),
        _ => false,
    }
}

/// A value with a mark where one of two objects is in it.
fn without(value: &Value, others: [&Value; 2], changes: &Changes) -> Value {
    let is_other = |object: &Rc<Object>| others.iter().any(|other| matches!(other, Value::Object(other) if Rc::ptr_eq(object, other)));
    match value {
        Value::Object(object) if is_other(object) => Value::function(Function::Endless),
        Value::Object(object) => {
            let now = match changes.get(&Rc::as_ptr(object)) {
                Some(Value::Object(now)) => now,
                _ => object,
            };
            let values = now.values().iter().map(|value| without(value, others, changes)).collect();
            Value::Object(Rc::new(Object::new(now.shape().clone(), values)))
        }
        Value::Array(list) => {
            Value::Array(Rc::new(Array::new(list.iter().map(|item| without(item, others, changes)).collect(), list.flags)))
        }
        value => value.clone(),
    }
}

/// Refuses a value in which an object is within itself, since nothing can be written of it.
pub(super) fn finite(value: &Value) -> Outcome<()> {
    match value {
        Value::Object(object) => object.values().iter().try_for_each(finite),
        Value::Array(list) => list.iter().try_for_each(finite),
        Value::Function(callable) if matches!(*callable.function, Function::Endless) => Err(endless().into()),
        _ => Ok(()),
    }
}

/// Why a value cannot be written in which an object is within itself.
pub(crate) fn endless() -> Failure {
    Failure::new("D1011", "a transform put an object into itself, which has no end")
}
