//! Names that compare as numbers.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// The name of a variable as a number that is the same for the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(u32);

#[derive(Default)]
struct Names {
    numbers: HashMap<Rc<str>, u32>,
    names: Vec<Rc<str>>,
}

thread_local! {
    static NAMES: RefCell<Names> = RefCell::default();
}

impl Key {
    pub(crate) fn of(name: &str) -> Self {
        NAMES.with_borrow_mut(|names| {
            if let Some(&number) = names.numbers.get(name) {
                return Self(number);
            }
            let number = u32::try_from(names.names.len()).expect("an expression has fewer names than 2^32");
            let name: Rc<str> = name.into();
            names.names.push(name.clone());
            names.numbers.insert(name, number);
            Self(number)
        })
    }

    pub(crate) fn name(self) -> Rc<str> {
        NAMES.with_borrow(|names| names.names[self.0 as usize].clone())
    }
}
