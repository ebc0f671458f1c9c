//! The results of a step, one after the other.

use std::rc::Rc;

use crate::Value;
use crate::value::{Array, Flags};

/// Results of a step that grow. Lists are joined, unless there is but one result.
#[derive(Default)]
pub(super) struct Results {
    /// The only result so far.
    only: Option<Value>,
    items: Vec<Value>,
    count: usize,
}

/// Values that a step works on.
pub(super) enum Items {
    None,
    One(Value),
    /// The items of a list.
    Some(Rc<Array>),
    /// A list that is the result as it is.
    Whole(Rc<Array>),
}

impl Results {
    #[inline]
    pub(super) fn push(&mut self, value: Value) {
        if value.is_undefined() {
            return;
        }
        self.count += 1;
        match self.count {
            1 => self.only = Some(value),
            _ => {
                if let Some(first) = self.only.take() {
                    self.join(first);
                }
                self.join(value);
            }
        }
    }

    #[inline]
    fn join(&mut self, value: Value) {
        match value {
            Value::Array(list) if !list.is(Flags::CONSTRUCTED) => match Rc::try_unwrap(list) {
                Ok(list) => self.items.extend(list.into_items()),
                Err(list) => self.items.extend_from_slice(&list),
            },
            value => self.items.push(value),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// The values, where the step is the last of its path or not.
    #[inline]
    pub(super) fn finish(self, is_last: bool) -> Items {
        match self.only {
            Some(Value::Array(list)) if is_last && !list.is(Flags::SEQUENCE) => Items::Whole(list),
            Some(Value::Array(list)) if list.is(Flags::CONSTRUCTED) => Items::One(Value::Array(list)),
            Some(Value::Array(list)) if list.is_empty() => Items::None,
            Some(Value::Array(list)) => Items::Some(list),
            Some(value) => Items::One(value),
            None if self.items.is_empty() => Items::None,
            None => Items::Some(Rc::new(Array::new(self.items, Flags::SEQUENCE))),
        }
    }
}

impl Items {
    #[inline]
    pub(super) fn as_slice(&self) -> &[Value] {
        match self {
            Self::None => &[],
            Self::One(value) => std::slice::from_ref(value),
            Self::Some(list) | Self::Whole(list) => list,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// The values as the result of a path; `keep` says that one item stays a list.
    #[inline]
    pub(super) fn into_value(self, keep: bool) -> Value {
        match self {
            Self::None => Value::Undefined,
            Self::One(value) if !keep => value,
            Self::One(value) => Value::Array(Rc::new(Array::new(vec![value], Flags::SEQUENCE | Flags::KEEP_SINGLETON))),
            Self::Whole(list) if keep && list.is(Flags::CONSTRUCTED) => {
                Value::Array(Rc::new(Array::new(vec![Value::Array(list)], Flags::SEQUENCE | Flags::KEEP_SINGLETON)))
            }
            Self::Whole(list) if keep && list.flags == Flags::SEQUENCE => {
                Value::Array(Rc::new(Array::new(list.to_vec(), Flags::SEQUENCE | Flags::KEEP_SINGLETON)))
            }
            Self::Whole(list) => Value::Array(list),
            Self::Some(list) => match &**list {
                [] => Value::Undefined,
                [item] if !keep => item.clone(),
                _ if list.flags == Flags::SEQUENCE && !keep => Value::Array(list),
                items => {
                    let keep = if keep { Flags::KEEP_SINGLETON } else { Flags::NONE };
                    Value::Array(Rc::new(Array::new(items.to_vec(), Flags::SEQUENCE | keep)))
                }
            },
        }
    }

    /// The values as a list, as they are.
    pub(super) fn into_list(self) -> Rc<Array> {
        match self {
            Self::None => Rc::new(Array::new(Vec::new(), Flags::SEQUENCE)),
            Self::One(value) => Rc::new(Array::new(vec![value], Flags::SEQUENCE)),
            Self::Some(list) if !list.is(Flags::SEQUENCE) => Rc::new(Array::new(list.to_vec(), Flags::SEQUENCE)),
            Self::Some(list) | Self::Whole(list) => list,
        }
    }
}
