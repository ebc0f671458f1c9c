//! Functions as values.

use std::rc::Rc;

use super::frame::Environment;
use super::node::{Call, Lambda, Transform};
use crate::Value;
use crate::builtin::Builtin;
use crate::library::pattern::Pattern;
use crate::value::Key;

/// A function.
pub(crate) enum Function {
    /// One that the language has.
    Builtin(&'static Builtin),
    /// One of the expression.
    Closure(Closure),
    /// A regular expression.
    Pattern(Rc<Pattern>),
    /// What gives the next match of one.
    Next(Rc<Pattern>, Rc<str>, usize),
    /// `|…|…|`
    Transform(Rc<Transform>, Environment),
    /// A function that is none of the expression, with some of its arguments.
    Partial(Rc<Function>, Vec<Option<Value>>),
    /// What stands where an object was put into itself: no text shows it.
    Endless,
    /// A call that is still to be made, with its context.
    Thunk(Rc<Call>, Value, Environment),
}

/// A function of the expression, with what it was made in.
pub(crate) struct Closure {
    pub(crate) lambda: Rc<Lambda>,
    /// Parameters that are left, where some were given.
    pub(crate) left: Option<Vec<Key>>,
    pub(crate) input: Value,
    pub(crate) environment: Environment,
}

impl Closure {
    pub(crate) fn parameters(&self) -> &[Key] {
        self.left.as_ref().unwrap_or(&self.lambda.parameters)
    }
}

impl Function {
    /// How many parameters it has, as JavaScript counts them.
    pub(crate) fn arity(&self) -> usize {
        match self {
            Self::Builtin(builtin) => builtin.arity,
            Self::Closure(closure) => closure.parameters().len(),
            Self::Pattern(_) => 2,
            Self::Transform(..) => 1,
            Self::Next(..) | Self::Thunk(..) | Self::Endless => 0,
            Self::Partial(_, given) => given.iter().filter(|argument| argument.is_none()).count(),
        }
    }

    /// How many parameters it has in all; `None` where the reference cannot tell.
    pub(crate) fn parameters(&self) -> Option<usize> {
        match self {
            Self::Builtin(builtin) => builtin.parameters,
            Self::Next(..) => Some(1),
            function => Some(function.arity()),
        }
    }

    pub(crate) fn is_same(self: &Rc<Self>, other: &Rc<Self>) -> bool {
        match (&**self, &**other) {
            (Self::Builtin(one), Self::Builtin(other)) => std::ptr::eq(*one, *other),
            _ => Rc::ptr_eq(self, other),
        }
    }
}
