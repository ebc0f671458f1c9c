//! Regular expressions as JavaScript has them, and what `$contains`, `$match`, `$replace` and `$split` make of them.
use std::borrow::Cow;
use std::rc::Rc;
use crate::Failure;

/// A compiled regular expression.
#[derive(Debug)]
pub(crate) struct Pattern {}

/// A match; places in UTF-16 units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found<'t> {
    pub(crate) text: Cow<'t, str>,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The groups' texts; `None` where a group did not take part.
    pub(crate) groups: Vec<Option<Cow<'t, str>>>,
}

impl Pattern {
    /// Compiles `/source/flags` (flags of `i` and `m`), or takes it from the thread's cache.
    pub(crate) fn new(source: &str, flags: &str) -> Result<Rc<Self>, Failure> { todo!() }
    /// The first match at or behind a place (in UTF-16 units), for a pattern that is called as a function.
    pub(crate) fn find<'t>(&self, text: &'t str, from: usize) -> Option<Found<'t>> { todo!() }
    /// What the match's `next` gives, which begins at `from` = its end: D1004 where it is empty.
    pub(crate) fn find_next<'t>(&self, text: &'t str, from: usize) -> Result<Option<Found<'t>>, Failure> { todo!() }
    /// `$contains`
    pub(crate) fn contains(&self, text: &str) -> bool { todo!() }
    /// `$match`
    pub(crate) fn matches<'t>(&self, text: &'t str, limit: Option<f64>) -> Result<Vec<Found<'t>>, Failure> { todo!() }
    /// `$split`
    pub(crate) fn split<'t>(&self, text: &'t str, limit: Option<f64>) -> Result<Vec<Cow<'t, str>>, Failure> { todo!() }
    /// `$replace` by a text with `$1`
    pub(crate) fn replace<'t>(&self, text: &'t str, replacement: &str, limit: Option<f64>) -> Result<Cow<'t, str>, Failure> { todo!() }
    /// `$replace` by a function
    pub(crate) fn replace_with<'t>(&self, text: &'t str, limit: Option<f64>, replacement: &mut dyn FnMut(&Found<'_>) -> Result<String, Failure>) -> Result<Cow<'t, str>, Failure> { todo!() }
}

/// Writes a replacement text for a match, for matchers that are functions of the language too.
pub(crate) fn expand(replacement: &str, matched: &str, groups: &[Option<Cow<'_, str>>], into: &mut String) { todo!() }
/// Checks the limit of `$match` (D3040), `$replace` (D3011) or `$split` (D3020) given as code.
pub(crate) fn check_limit(limit: Option<f64>, code: &str) -> Result<(), Failure> { todo!() }
