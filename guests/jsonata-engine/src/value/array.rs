//! A list, and what the language knows of how it came about.

use std::ops::{BitOr, Deref};

use super::Value;

/// How a list came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(u8);

impl Flags {
    pub(crate) const NONE: Self = Self(0);
    /// The result of a path or a function: one item stands for itself, none for nothing.
    pub(crate) const SEQUENCE: Self = Self(1);
    /// A sequence that stays a list with one item.
    pub(crate) const KEEP_SINGLETON: Self = Self(2);
    /// Made by brackets in a path: it is not joined with its neighbours.
    pub(crate) const CONSTRUCTED: Self = Self(4);
    /// The list around an input that is a list.
    pub(crate) const OUTER: Self = Self(8);
    /// Its items are contexts with the variables bound to them.
    pub(crate) const TUPLES: Self = Self(16);

    #[inline]
    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A list.
#[derive(Clone, Debug)]
pub struct Array {
    items: Vec<Value>,
    depth: u32,
    pub(crate) flags: Flags,
}

impl Array {
    #[inline]
    pub(crate) fn new(items: Vec<Value>, flags: Flags) -> Self {
        let depth = 1 + items.iter().map(Value::depth).max().unwrap_or_default();
        Self { items, depth, flags }
    }

    pub(crate) fn plain(items: Vec<Value>) -> Self {
        Self::new(items, Flags::NONE)
    }

    #[inline]
    pub(crate) fn is(&self, flag: Flags) -> bool {
        self.flags.has(flag)
    }

    #[inline]
    pub(crate) fn depth(&self) -> u32 {
        self.depth
    }

    pub(crate) fn into_items(self) -> Vec<Value> {
        self.items
    }
}

impl Deref for Array {
    type Target = [Value];

    #[inline]
    fn deref(&self) -> &[Value] {
        &self.items
    }
}
