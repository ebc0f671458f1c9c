//! What was compiled lately, so that a picture or a pattern of an expression is compiled once and not once a row.

use std::cell::RefCell;
use std::rc::Rc;

/// Entries at most: an expression has few pictures; where they come from the data, the cache must not grow with it.
const ENTRIES: usize = 32;

/// The last compiled things by their text, the latest first.
#[derive(Debug)]
pub(crate) struct Cache<T>(RefCell<Vec<(Box<str>, Rc<T>)>>);

impl<T> Cache<T> {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// What the text stands for: as remembered, or as made.
    pub(crate) fn get<E>(&self, text: &str, make: impl FnOnce() -> Result<T, E>) -> Result<Rc<T>, E> {
        let mut entries = self.0.borrow_mut();
        if let Some(place) = entries.iter().position(|(key, _)| **key == *text) {
            // Few enough to look through: those of one expression stay in front.
            if place > ENTRIES / 2 {
                entries[..=place].rotate_right(1);
                return Ok(Rc::clone(&entries[0].1));
            }
            return Ok(Rc::clone(&entries[place].1));
        }
        let made = Rc::new(make()?);
        entries.truncate(ENTRIES - 1);
        entries.insert(0, (text.into(), Rc::clone(&made)));
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_compiled_once_while_it_is_in_use_and_the_cache_stays_small() {
        let cache = Cache::new();
        let mut made = 0;
        for round in 0..1000 {
            for text in ["a", "b", &format!("row {round}")] {
                let found = cache.get(text, || {
                    made += 1;
                    Ok::<_, ()>(text.to_owned())
                });
                assert_eq!(*found.unwrap(), *text);
            }
        }
        assert!(made < 1200, "made {made} times");
        assert_eq!(cache.0.borrow().len(), ENTRIES);
        assert_eq!(cache.get("bad", || Err(1)), Err(1));
    }
}
