//! Regular expressions as JavaScript has them, and what `$contains`, `$match`, `$replace` and `$split` make of them.
//!
//! JavaScript's expressions see UTF-16 units. Ours see characters, so where a text has some beyond the basic plane it is searched with each
//! of their halves as a character, and so is what the expression says of halves.
//!
//! Time: an expression such as `(a+)+$` takes time without end on a text that almost matches, and the crate cannot be told to stop. In the
//! sandbox fuel and the time limit of the stage end it; natively nothing does, so no native run evaluates what a stranger wrote.

use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

use regress::{Match, Regex};

use super::cache::Cache;
use super::number::{parse_decimal, shown};
use super::pattern_source::in_units;
use super::text::{check_limit, check_size, is_below};
use crate::Failure;
use crate::surrogate::{halved, joined};

thread_local! {
    static PATTERNS: Cache<Pattern> = const { Cache::new() };
}

/// A compiled regular expression.
#[derive(Debug)]
pub(crate) struct Pattern {
    source: Box<str>,
    regex: Regex,
}

/// A match; places are told in UTF-16 units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found<'t> {
    pub(crate) text: Cow<'t, str>,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The groups' texts; `None` where a group did not take part.
    pub(crate) groups: Vec<Option<Cow<'t, str>>>,
}

impl Pattern {
    /// Compiles `/source/flags`, flags of `i` and `m`, unless the thread has it still.
    pub(crate) fn new(source: &str, flags: &str) -> Result<Rc<Self>, Failure> {
        PATTERNS.with(|patterns| patterns.get(&format!("{flags}/{source}"), || Self::compile(source, flags)))
    }

    /// Compiles `/source/flags`.
    pub(crate) fn compile(source: &str, flags: &str) -> Result<Self, Failure> {
        let regex = Regex::with_flags(&in_units(source), flags)
            .map_err(|error| Failure::new("S0302", format!("{} is no regular expression: {error}", shown(source))))?;
        Ok(Self { source: source.into(), regex })
    }

    /// The first match at a place or behind it; the place is told in UTF-16 units.
    pub(crate) fn find<'t>(&self, text: &'t str, from: usize) -> Option<Found<'t>> {
        let text = Searched::new(text);
        let start = text.byte(from)?;
        let found = self.regex.find_from(&text.units, start).next()?;
        Some(text.found(&found, &mut Place::default()))
    }

    /// What a match's `next` gives, where the match ended at a place: an empty match would be found for ever.
    pub(crate) fn find_next<'t>(&self, text: &'t str, from: usize) -> Result<Option<Found<'t>>, Failure> {
        match self.find(text, from) {
            _ if from >= crate::surrogate::units(text) => Ok(None),
            Some(found) if found.text.is_empty() => Err(self.endless()),
            found => Ok(found),
        }
    }

    /// `$contains`.
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.regex.find(&Searched::new(text).units).is_some()
    }

    /// `$match`: as many as there are, or as the limit has it.
    pub(crate) fn matches<'t>(&self, text: &'t str, limit: Option<f64>) -> Result<Vec<Found<'t>>, Failure> {
        check_limit(limit, "D3040", "match")?;
        let text = Searched::new(text);
        let mut place = Place::default();
        let mut all = Vec::new();
        self.each(&text, limit, |found| {
            all.push(text.found(found, &mut place));
            Ok(())
        })?;
        Ok(all)
    }

    /// `$split`: the texts between the matches.
    pub(crate) fn split<'t>(&self, text: &'t str, limit: Option<f64>) -> Result<Vec<Cow<'t, str>>, Failure> {
        check_limit(limit, "D3020", "split")?;
        let text = Searched::new(text);
        let mut parts = Vec::new();
        let mut begin = 0;
        let count = self.each(&text, limit, |found| {
            parts.push(text.piece(begin..found.start()));
            begin = found.end();
            Ok(())
        })?;
        if count == 0 && limit.is_none_or(|limit| limit > 0.0) {
            parts.push(Cow::Borrowed(text.whole));
        } else if is_below(count, limit) {
            parts.push(text.piece(begin..text.units.len()));
        }
        Ok(parts)
    }

    /// `$replace` by a text in which `$1` is the first group, `$0` all of the match, and `$$` a dollar sign.
    pub(crate) fn replace<'t>(&self, text: &'t str, replacement: &str, limit: Option<f64>) -> Result<Cow<'t, str>, Failure> {
        self.replace_by(text, limit, |text, found, into| {
            match replacement.contains('$') {
                false => into.push_str(replacement),
                true => {
                    let groups: Vec<_> = found.captures.iter().map(|group| group.clone().map(|group| text.piece(group))).collect();
                    expand(replacement, &text.units[found.range()], &groups, into);
                }
            }
            Ok(())
        })
    }

    /// `$replace` by a function of a match.
    pub(crate) fn replace_with<'t>(
        &self,
        text: &'t str,
        limit: Option<f64>,
        replacement: &mut dyn FnMut(&Found<'_>) -> Result<String, Failure>,
    ) -> Result<Cow<'t, str>, Failure> {
        let mut place = Place::default();
        self.replace_by(text, limit, |text, found, into| {
            into.push_str(&replacement(&text.found(found, &mut place))?);
            Ok(())
        })
    }

    fn replace_by<'t>(
        &self,
        text: &'t str,
        limit: Option<f64>,
        mut write: impl FnMut(&Searched<'t>, &Match, &mut String) -> Result<(), Failure>,
    ) -> Result<Cow<'t, str>, Failure> {
        check_limit(limit, "D3011", "replace")?;
        let text = Searched::new(text);
        let mut replaced = String::new();
        let mut copied = 0;
        let count = self.each(&text, limit, |found| {
            replaced.push_str(&text.units[copied..found.start()]);
            copied = found.end();
            write(&text, found, &mut replaced)?;
            check_size(&replaced)
        })?;
        if count == 0 {
            return Ok(Cow::Borrowed(text.whole));
        }
        replaced.push_str(&text.units[copied..]);
        Ok(Cow::Owned(joined(replaced)))
    }

    /// Goes through the matches, up to the limit; answers how many there were.
    ///
    /// The reference looks for the next match even behind the last one that counts, so an empty match fails wherever text is left behind it.
    fn each(&self, text: &Searched<'_>, limit: Option<f64>, mut act: impl FnMut(&Match) -> Result<(), Failure>) -> Result<usize, Failure> {
        if limit.is_some_and(|limit| limit.is_nan() || limit <= 0.0) {
            return Ok(0);
        }
        let mut matches = self.regex.find_iter(&text.units);
        let mut next = matches.next();
        let mut count = 0;
        while let Some(found) = next.filter(|_| is_below(count, limit)) {
            act(&found)?;
            count += 1;
            if found.end() >= text.units.len() {
                break;
            }
            if found.range.is_empty() {
                return Err(self.endless());
            }
            next = matches.next();
            if next.as_ref().is_some_and(|next| next.range.is_empty()) {
                return Err(self.endless());
            }
        }
        Ok(count)
    }

    fn endless(&self) -> Failure {
        Failure::new("D1004", format!("the regular expression {} matches a text without characters", shown(&self.source)))
    }
}

/// A text as it is searched.
struct Searched<'t> {
    whole: &'t str,
    /// The same, each character a UTF-16 unit.
    units: Cow<'t, str>,
    is_ascii: bool,
}

/// A place in bytes and in units, from which the next one is counted.
#[derive(Default)]
struct Place {
    byte: usize,
    unit: usize,
}

impl<'t> Searched<'t> {
    fn new(whole: &'t str) -> Self {
        let is_ascii = whole.is_ascii();
        Self { whole, units: if is_ascii { Cow::Borrowed(whole) } else { halved(whole) }, is_ascii }
    }

    /// The byte of a unit; the end counts as one, what is behind does not.
    fn byte(&self, unit: usize) -> Option<usize> {
        match self.is_ascii {
            true => (unit <= self.units.len()).then_some(unit),
            false => self.units.char_indices().map(|(byte, _)| byte).chain([self.units.len()]).nth(unit),
        }
    }

    fn piece(&self, range: Range<usize>) -> Cow<'t, str> {
        match &self.units {
            Cow::Borrowed(_) => Cow::Borrowed(&self.whole[range]),
            Cow::Owned(units) => Cow::Owned(joined(units[range].into())),
        }
    }

    /// Tells of a match that begins at a place or behind it.
    fn found(&self, found: &Match, place: &mut Place) -> Found<'t> {
        let mut unit = |byte: usize| {
            if self.is_ascii {
                return byte;
            }
            place.unit += self.units[place.byte..byte].chars().count();
            place.byte = byte;
            place.unit
        };
        let start = unit(found.start());
        Found {
            text: self.piece(found.range()),
            start,
            end: unit(found.end()),
            groups: found.captures.iter().map(|group| group.clone().map(|group| self.piece(group))).collect(),
        }
    }
}

/// Writes a replacement text for a match.
pub(crate) fn expand(replacement: &str, matched: &str, groups: &[Option<Cow<'_, str>>], into: &mut String) {
    // As many digits are read as the number of groups has; JavaScript's logarithm of a thousand is a bit less than three.
    let most_digits = if groups.is_empty() { 1 } else { ((groups.len() as f64).ln() * std::f64::consts::LOG10_E).floor() as usize + 1 };
    let mut rest = replacement;
    while let Some(dollar) = rest.find('$') {
        into.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            into.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('0') {
            into.push_str(matched);
            rest = after;
        } else {
            let read = |digits: usize| parse_decimal(rest.char_indices().nth(digits).map_or(rest, |(end, _)| &rest[..end]));
            let mut group = read(most_digits);
            if most_digits > 1 && group > groups.len() as f64 {
                group = read(most_digits - 1);
            }
            if group.is_nan() {
                into.push('$');
                continue;
            }
            if let Some(Some(text)) = (group >= 1.0).then(|| groups.get(group as usize - 1)).flatten() {
                into.push_str(text);
            }
            // As the reference does: as many characters as the number has when it is written again.
            let written = (group + 0.0).to_string().len();
            rest = rest.char_indices().nth(written).map_or("", |(end, _)| &rest[end..]);
        }
    }
    into.push_str(rest);
}
