//! Compiled regular expressions of this thread, so that each is compiled once (vendored change).

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use regex::{Regex, RegexBuilder};

/// Expressions that are kept; an evaluation that makes more starts over.
const KEPT: usize = 256;

thread_local! {
    static COMPILED: [RefCell<HashMap<String, Rc<Regex>>>; 2] = Default::default();
}

pub(crate) fn compiled(pattern: &str, case_insensitive: bool) -> Result<Rc<Regex>, regex::Error> {
    COMPILED.with(|compiled| {
        let mut kept = compiled[usize::from(case_insensitive)].borrow_mut();
        if let Some(regex) = kept.get(pattern) {
            return Ok(regex.clone());
        }
        let regex = Rc::new(RegexBuilder::new(pattern).case_insensitive(case_insensitive).build()?);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(pattern.to_owned(), regex.clone());
        Ok(regex)
    })
}
