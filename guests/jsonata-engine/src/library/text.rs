//! Texts: their length and parts, case, padding, texts within texts.

use std::borrow::Cow;

use super::number::index;
use crate::Failure;
use crate::surrogate::{halved, has_lone, joined};

/// Characters that `$pad` may add; the reference ends in an exception of JavaScript at some hundred millions.
const PADDING: f64 = 10_000_000.0;

/// Bytes that a text may come to; the reference ends at half a billion of characters, for which a sandbox has no room.
const BYTES: usize = 64 << 20;

/// Refuses a text that has grown too long.
pub(crate) fn check_size(text: &str) -> Result<(), Failure> {
    match text.len() > BYTES {
        true => Err(Failure::new("D2015", format!("a text grew to more than {} MiB", BYTES >> 20))),
        false => Ok(()),
    }
}

/// `$length`: characters, not units.
pub(crate) fn length(text: &str) -> usize {
    text.chars().count()
}

/// `$substring`: by characters; a negative start counts from the end, and fractions are cut off.
pub(crate) fn substring(text: &str, start: f64, length: Option<f64>) -> &str {
    if length.is_some_and(|length| length <= 0.0) {
        return "";
    }
    let is_ascii = text.is_ascii();
    let count = if is_ascii { text.len() } else { self::length(text) };
    let start = if count as f64 + start < 0.0 { 0.0 } else { start };
    let end = length.map_or(count, |length| {
        let first = if start >= 0.0 { start } else { count as f64 + start };
        index(first + length, count)
    });
    let start = index(start, count);
    if end <= start {
        return "";
    }
    if is_ascii {
        return &text[start..end];
    }
    let mut places = text.char_indices().map(|(place, _)| place).chain([text.len()]);
    let from = places.nth(start).unwrap_or(text.len());
    let to = places.nth(end - start - 1).unwrap_or(text.len());
    &text[from..to]
}

/// `$substringBefore`: the whole text where the mark is not in it.
pub(crate) fn substring_before<'a>(text: &'a str, mark: &str) -> Cow<'a, str> {
    with_halves(text, mark, |text, mark| text.find(mark).map(|place| 0..place))
}

/// `$substringAfter`: the whole text where the mark is not in it.
pub(crate) fn substring_after<'a>(text: &'a str, mark: &str) -> Cow<'a, str> {
    with_halves(text, mark, |text, mark| text.find(mark).map(|place| place + mark.len()..text.len()))
}

/// A part of a text by what is found in it; a lone surrogate may be found in the midst of a character.
fn with_halves<'a>(text: &'a str, mark: &str, part: impl Fn(&str, &str) -> Option<std::ops::Range<usize>>) -> Cow<'a, str> {
    if has_lone(mark) {
        let halves = halved(text);
        return part(&halves, mark).map_or(Cow::Borrowed(text), |part| Cow::Owned(joined(halves[part].into())));
    }
    Cow::Borrowed(part(text, mark).map_or(text, |part| &text[part]))
}

/// `$uppercase`.
pub(crate) fn uppercase(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_uppercase() } else { text.to_uppercase() }
}

/// `$lowercase`.
pub(crate) fn lowercase(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.to_lowercase() }
}

/// `$trim`: also makes one space of all white space between words.
pub(crate) fn trim(text: &str) -> Cow<'_, str> {
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let text = text.trim_matches([' ', '\t', '\n', '\r']);
    let bytes = text.as_bytes();
    if !bytes.iter().enumerate().any(|(place, &byte)| is_space(byte) && (byte != b' ' || is_space(bytes[place + 1]))) {
        return Cow::Borrowed(text);
    }
    let mut trimmed = String::with_capacity(text.len());
    for word in text.split([' ', '\t', '\n', '\r']).filter(|word| !word.is_empty()) {
        if !trimmed.is_empty() {
            trimmed.push(' ');
        }
        trimmed.push_str(word);
    }
    Cow::Owned(trimmed)
}

/// `$pad`: behind the text, or before it where the width is negative.
pub(crate) fn pad<'a>(text: &'a str, width: f64, fill: Option<&str>) -> Result<Cow<'a, str>, Failure> {
    let missing = width.trunc().abs() - length(text) as f64;
    if missing > PADDING {
        return Err(Failure::new("D2015", format!("a text padded to {width} characters would be longer than {PADDING}")));
    }
    if missing <= 0.0 || missing.is_nan() {
        return Ok(Cow::Borrowed(text));
    }
    let fill = fill.filter(|fill| !fill.is_empty()).unwrap_or(" ");
    let padding = fill.chars().cycle().take(missing as usize);
    let mut padded = String::with_capacity(text.len() + missing as usize * fill.len().min(4));
    if width > 0.0 {
        padded.push_str(text);
        padded.extend(padding);
    } else {
        padded.extend(padding);
        padded.push_str(text);
    }
    Ok(Cow::Owned(joined(padded)))
}

/// `$contains` of a text.
pub(crate) fn contains(text: &str, token: &str) -> bool {
    if has_lone(token) { halved(text).contains(token) } else { text.contains(token) }
}

/// `$split` by a text; by none, into UTF-16 units.
pub(crate) fn split<'a>(text: &'a str, separator: &str, limit: Option<f64>) -> Result<Vec<Cow<'a, str>>, Failure> {
    check_limit(limit, "D3020", "split")?;
    let most = match limit {
        // As JavaScript takes a length: without fraction, 32 bits.
        Some(limit) if limit > 0.0 => (limit % 4_294_967_296.0) as usize,
        Some(_) => 0,
        None => usize::MAX,
    };
    Ok(match (separator.is_empty(), has_lone(separator)) {
        (true, _) => {
            let halves = halved(text);
            match halves {
                Cow::Borrowed(text) => text.split("").filter(|part| !part.is_empty()).take(most).map(Cow::Borrowed).collect(),
                Cow::Owned(halves) => halves.chars().take(most).map(|half| Cow::Owned(half.into())).collect(),
            }
        }
        (false, false) => text.split(separator).take(most).map(Cow::Borrowed).collect(),
        (false, true) => halved(text).split(separator).take(most).map(|part| Cow::Owned(joined(part.into()))).collect(),
    })
}

/// `$replace` of a text by a text, in which `$` means nothing.
pub(crate) fn replace<'a>(text: &'a str, pattern: &str, replacement: &str, limit: Option<f64>) -> Result<Cow<'a, str>, Failure> {
    if pattern.is_empty() {
        return Err(Failure::new("D3010", "the second argument of $replace must not be empty"));
    }
    check_limit(limit, "D3011", "replace")?;
    let within = if has_lone(pattern) { halved(text) } else { Cow::Borrowed(text) };
    let mut replaced = String::new();
    let mut copied = 0;
    for (count, (place, _)) in within.match_indices(pattern).enumerate() {
        if !is_below(count, limit) {
            break;
        }
        replaced.push_str(&within[copied..place]);
        replaced.push_str(replacement);
        check_size(&replaced)?;
        copied = place + pattern.len();
    }
    if copied == 0 {
        return Ok(Cow::Borrowed(text));
    }
    replaced.push_str(&within[copied..]);
    Ok(Cow::Owned(joined(replaced)))
}

/// `$join`: halves of a character that meet become one, as they do wherever texts are put together.
pub(crate) fn join<'a>(texts: impl IntoIterator<Item = &'a str>, separator: &str) -> Result<String, Failure> {
    let mut whole = String::new();
    for (index, text) in texts.into_iter().enumerate() {
        if index > 0 {
            whole.push_str(separator);
        }
        whole.push_str(text);
        check_size(&whole)?;
    }
    Ok(joined(whole))
}

/// Refuses a negative limit of `$match`, `$replace` or `$split`.
pub(crate) fn check_limit(limit: Option<f64>, code: &'static str, function: &str) -> Result<(), Failure> {
    match limit {
        Some(limit) if limit < 0.0 => Err(Failure::new(code, format!("the limit of ${function} must not be negative, but is {limit}"))),
        _ => Ok(()),
    }
}

/// Whether so many are less than the limit.
pub(crate) fn is_below(count: usize, limit: Option<f64>) -> bool {
    limit.is_none_or(|limit| (count as f64) < limit)
}
