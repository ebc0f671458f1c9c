//! Variables, by the place that binds them.

use std::cell::RefCell;
use std::rc::Rc;

use super::Function;
use crate::Value;
use crate::value::Key;

/// Where variables are looked for.
pub(crate) type Environment = Rc<Frame>;

/// The variables of one place, and the place around it.
#[derive(Default)]
pub(crate) struct Frame {
    variables: RefCell<Vec<(Key, Value)>>,
    outer: Option<Environment>,
}

impl Frame {
    pub(crate) fn new(outer: Option<Environment>, variables: Vec<(Key, Value)>) -> Environment {
        Rc::new(Self { variables: RefCell::new(variables), outer })
    }

    /// A place within another.
    pub(crate) fn within(outer: &Environment) -> Environment {
        Self::new(Some(outer.clone()), Vec::new())
    }

    /// Sets up a place that nobody else holds.
    #[inline]
    pub(crate) fn set_up(&mut self, outer: &Environment, variables: impl Iterator<Item = (Key, Value)>) {
        self.outer = Some(outer.clone());
        self.variables.get_mut().extend(variables);
    }

    /// Forgets all, where nobody else holds it.
    #[inline]
    pub(crate) fn empty(&mut self) {
        self.outer = None;
        self.variables.get_mut().clear();
    }

    pub(crate) fn bind(&self, key: Key, value: Value) {
        let mut variables = self.variables.borrow_mut();
        let old = match variables.iter_mut().find(|(known, _)| *known == key) {
            Some((_, place)) => std::mem::replace(place, value),
            None => {
                variables.push((key, value));
                return;
            }
        };
        // What is dropped may drop other frames, never this one, but the borrow ends first all the same.
        drop(variables);
        drop(old);
    }

    /// The value of a variable; `None` where no place binds it.
    #[inline]
    pub(crate) fn lookup(&self, key: Key) -> Option<Value> {
        self.look(key, Value::clone)
    }

    /// What something makes of the value of a variable; it must not bind variables.
    #[inline]
    pub(crate) fn look<T>(&self, key: Key, make: impl FnOnce(&Value) -> T) -> Option<T> {
        let mut frame = self;
        loop {
            let variables = frame.variables.borrow();
            if let Some((_, value)) = variables.iter().find(|(known, _)| *known == key) {
                return Some(make(value));
            }
            drop(variables);
            frame = frame.outer.as_deref()?;
        }
    }

    /// Forgets all variables, so that functions among them do not hold the frame that holds them.
    pub(crate) fn clear(&self) {
        let variables = std::mem::take(&mut *self.variables.borrow_mut());
        drop(variables);
    }

    /// Whether nothing but functions that are its own variables refers to a frame that is about to be left.
    pub(crate) fn is_only_held_by_itself(self: &Rc<Self>) -> bool {
        let holds = |value: &Value| match value {
            Value::Function(callable) if Rc::strong_count(&callable.function) == 1 => {
                matches!(&*callable.function, Function::Closure(closure) if Rc::ptr_eq(&closure.environment, self))
            }
            _ => false,
        };
        let own = self.variables.borrow().iter().filter(|(_, value)| holds(value)).count();
        Rc::strong_count(self) == 1 + own
    }

    /// Whether a function is among the variables.
    pub(crate) fn has_function(&self) -> bool {
        self.variables.borrow().iter().any(|(_, value)| matches!(value, Value::Function(_) | Value::Array(_) | Value::Object(_)))
    }
}
