//! Cursors that are texts: followed as times where they are times, else in the order of their bytes.

use std::sync::{Mutex, PoisonError};

use arrow_array::{BooleanArray, StringArray};

use crate::moment;

/// Follows cursors that are texts. One time has many spellings: of `10:00:00.5Z` and `10:00:00.25Z` the bytes tell which is later, of `10:00:00Z` and
/// `12:00:00+02:00` they do not.
pub(super) struct Texts {
    /// Rows at or before it are left out.
    after: Option<Cursor>,
    /// Whether earlier runs have left a mark that is no time: then no text is read as one.
    as_bytes: bool,
    seen: Mutex<Seen>,
}

/// A text, and when it is; it comes behind all that are earlier and, of those of one time, behind those whose bytes do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Cursor {
    at: Option<i128>,
    text: String,
}

/// The largest cursors.
#[derive(Default)]
struct Seen {
    time: Option<Cursor>,
    other: Option<Cursor>,
}

impl Texts {
    /// Follows the rows behind `after`; `mark` is what earlier runs have left.
    pub(super) fn new(after: Option<&str>, mark: Option<&str>) -> Self {
        let as_bytes = mark.is_some_and(|mark| moment::nanoseconds(mark).is_none());
        let texts = Self { after: None, as_bytes, seen: Mutex::default() };
        mark.into_iter().for_each(|mark| texts.raise(mark));
        Self { after: after.map(|after| texts.cursor(after)), ..texts }
    }

    fn cursor(&self, text: &str) -> Cursor {
        let at = if self.as_bytes { None } else { moment::nanoseconds(text) };
        Cursor { at, text: text.to_owned() }
    }

    /// The largest cursor; where some are times, of these: the others do not tell which rows are new.
    pub(super) fn mark(&self) -> Option<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.time.as_ref().or(seen.other.as_ref()).map(|cursor| cursor.text.clone())
    }

    /// Raises the mark to a text.
    pub(super) fn raise(&self, text: &str) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).add(self.cursor(text));
    }

    /// Whether rows are newer, and raises the mark to the largest of them; null where that cannot be told.
    pub(super) fn newer(&self, cursors: &StringArray) -> BooleanArray {
        let mut seen = Seen::default();
        let newer = cursors.iter().map(|text| {
            let cursor = self.cursor(text?);
            let newer = match &self.after {
                None => Some(true),
                Some(Cursor { at: Some(after), .. }) => cursor.at.map(|at| at > *after),
                Some(after) => Some(cursor.text > after.text),
            };
            seen.add(cursor);
            newer
        });
        let newer: BooleanArray = newer.collect();
        let Seen { time, other } = seen;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        time.into_iter().chain(other).for_each(|cursor| seen.add(cursor));
        newer
    }
}

impl Seen {
    fn add(&mut self, cursor: Cursor) {
        let largest = if cursor.at.is_some() { &mut self.time } else { &mut self.other };
        if largest.as_ref().is_none_or(|largest| cursor > *largest) {
            *largest = Some(cursor);
        }
    }
}
