//! The arguments of a call; few of them need no memory of their own.

use std::ops::{Deref, DerefMut};

use crate::Value;

/// Arguments that are kept in place.
const FEW: usize = 4;

/// The arguments of a call.
#[derive(Default)]
pub(crate) struct Arguments {
    few: [Value; FEW],
    count: usize,
    /// All of them, where they are more than a few.
    many: Vec<Value>,
}

impl Arguments {
    #[inline]
    pub(crate) fn push(&mut self, value: Value) {
        if self.count < FEW {
            // Nothing is there yet, and nothing need not be dropped.
            std::mem::forget(std::mem::replace(&mut self.few[self.count], value));
        } else {
            if self.count == FEW {
                self.many = self.few.iter_mut().map(std::mem::take).collect();
            }
            self.many.push(value);
        }
        self.count += 1;
    }

    /// Adds nothing until there are so many, a few at most.
    #[inline]
    pub(crate) fn fill(&mut self, count: usize) {
        if count <= FEW {
            self.count = self.count.max(count);
        } else {
            (self.count..count).for_each(|_| self.push(Value::Undefined));
        }
    }

    /// Takes all out.
    pub(crate) fn drain(&mut self) -> Vec<Value> {
        let values = match self.count > FEW {
            true => std::mem::take(&mut self.many),
            false => self.few[..self.count].iter_mut().map(std::mem::take).collect(),
        };
        self.count = 0;
        values
    }

    /// An argument taken out; nothing where it was not given.
    #[inline]
    pub(crate) fn take(&mut self, index: usize) -> Value {
        self.get_mut(index).map(std::mem::take).unwrap_or_default()
    }
}

impl Deref for Arguments {
    type Target = [Value];

    #[inline]
    fn deref(&self) -> &[Value] {
        if self.count > FEW { &self.many } else { &self.few[..self.count] }
    }
}

impl DerefMut for Arguments {
    #[inline]
    fn deref_mut(&mut self) -> &mut [Value] {
        if self.count > FEW { &mut self.many } else { &mut self.few[..self.count] }
    }
}

impl<const N: usize> From<[Value; N]> for Arguments {
    fn from(values: [Value; N]) -> Self {
        let mut arguments = Self::default();
        values.into_iter().for_each(|value| arguments.push(value));
        arguments
    }
}
