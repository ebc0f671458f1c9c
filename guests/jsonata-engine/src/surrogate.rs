//! Lone surrogates, which JSON text may hold as `\ud800` and no Rust string can.
//!
//! Within the engine each stands as a character of the last private plane, U+10D800 to U+10DFFF, so that it counts as one character and
//! survives. Text of the outside that holds those characters themselves is not told apart from them. What goes into a column holds none.

use std::borrow::Cow;

/// Where the stand-ins begin, less where the surrogates do.
const SHIFT: u32 = 0x10_0000;

/// Puts stand-ins for the escapes of lone surrogates in JSON text, or in the text of an expression.
pub fn shelter(text: &str) -> Cow<'_, str> {
    if !text.contains("\\u") {
        return Cow::Borrowed(text);
    }
    let mut sheltered = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find('\\') {
        sheltered.push_str(&rest[..place]);
        rest = &rest[place..];
        let taken = match (unit(rest), unit(rest.get(6..).unwrap_or_default())) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(unit @ 0xd800..=0xdfff), _) => {
                sheltered.push(char::from_u32(unit + SHIFT).expect("the last plane is full of characters"));
                rest = &rest[6..];
                continue;
            }
            // An escape is two characters at least, and the second may be a backslash.
            _ => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
        };
        sheltered.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    sheltered.push_str(rest);
    Cow::Owned(sheltered)
}

/// A text for the outside, which has no lone surrogates: two that meet are their character, one that is alone is U+FFFD.
pub(crate) fn settled(text: &str) -> Cow<'_, str> {
    if !has_lone(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(joined(text.to_owned()).replace(is_stand_in, "\u{fffd}"))
}

/// Writes the stand-ins of a JSON text as escapes again.
pub fn release(text: String) -> String {
    if !has_lone(&text) {
        return text;
    }
    let mut released = String::with_capacity(text.len());
    for character in text.chars() {
        match is_stand_in(character) {
            true => released.push_str(&format!("\\u{:04x}", u32::from(character) - SHIFT)),
            false => released.push(character),
        }
    }
    released
}

/// The character of an escape whose `\u` stands before this text, and how many bytes it takes; two halves of a pair are one.
pub(crate) fn escaped(text: &str) -> Option<(char, usize)> {
    let digits = |text: &str| {
        let digits = text.get(..4)?;
        digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    };
    let first = digits(text)?;
    let second = text.get(4..).and_then(|rest| rest.strip_prefix("\\u")).and_then(digits);
    match (first, second) {
        (0xd800..=0xdbff, Some(second @ 0xdc00..=0xdfff)) => {
            char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)).map(|character| (character, 10))
        }
        (0xd800..=0xdfff, _) => char::from_u32(first + SHIFT).map(|character| (character, 4)),
        _ => char::from_u32(first).map(|character| (character, 4)),
    }
}

/// Whether a text holds a lone surrogate's stand-in.
pub(crate) fn has_lone(text: &str) -> bool {
    // All of the last plane's characters begin with this byte.
    text.as_bytes().contains(&0xf4) && text.chars().any(is_stand_in)
}

/// Breaks each character beyond the basic plane into its two surrogates, so that a character is a UTF-16 unit.
pub(crate) fn halved(text: &str) -> Cow<'_, str> {
    // Of the characters that begin with such a byte, only stand-ins are one unit already.
    if !text.bytes().any(|byte| byte >= 0xf0) {
        return Cow::Borrowed(text);
    }
    let mut halves = String::with_capacity(text.len() * 2);
    for character in text.chars() {
        match character.len_utf16() == 2 && !is_stand_in(character) {
            true => halves.extend(character.encode_utf16(&mut [0; 2]).iter().map(|&unit| of_unit(unit))),
            false => halves.push(character),
        }
    }
    Cow::Owned(halves)
}

/// Makes a character of each two surrogates that belong together.
pub(crate) fn joined(text: String) -> String {
    if !has_lone(&text) {
        return text;
    }
    let mut whole = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let low = characters.peek().copied().and_then(surrogate).filter(|unit| (0xdc00..=0xdfff).contains(unit));
        match (surrogate(character), low) {
            (Some(high @ 0xd800..=0xdbff), Some(low)) => {
                let code = 0x1_0000 + ((u32::from(high) - 0xd800) << 10) + (u32::from(low) - 0xdc00);
                whole.push(char::from_u32(code).expect("a pair of surrogates is a character"));
                characters.next();
            }
            _ => whole.push(character),
        }
    }
    whole
}

/// The character that stands for a UTF-16 unit.
pub(crate) fn of_unit(unit: u16) -> char {
    char::from_u32(u32::from(unit))
        .unwrap_or_else(|| char::from_u32(u32::from(unit) + SHIFT).expect("the last plane is full of characters"))
}

/// The surrogate that a character stands for.
fn surrogate(character: char) -> Option<u16> {
    is_stand_in(character).then(|| u16::try_from(u32::from(character) - SHIFT).expect("a surrogate is a unit"))
}

/// The UTF-16 units of a text; a stand-in is one.
pub(crate) fn units(text: &str) -> usize {
    match text.is_ascii() {
        true => text.len(),
        false => text.chars().map(|character| if is_stand_in(character) { 1 } else { character.len_utf16() }).sum(),
    }
}

fn is_stand_in(character: char) -> bool {
    (0x10_d800..=0x10_dfff).contains(&u32::from(character))
}

/// The code unit of the escape that a text begins with.
fn unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_surrogate_survives_and_a_pair_is_left_alone() {
        let text = r#"["\ud800", "\udc00\ud83d\ude00", "\\ud800", "x"]"#;
        let sheltered = shelter(text);
        assert_eq!(sheltered, "[\"\u{10d800}\", \"\u{10dc00}\\ud83d\\ude00\", \"\\\\ud800\", \"x\"]");
        assert_eq!(release(sheltered.into_owned()), text);
    }

    #[test]
    fn characters_break_into_surrogates_and_come_together_again() {
        assert_eq!(halved("a😀é"), "a\u{10d83d}\u{10de00}é");
        assert_eq!(joined("\u{10de00}a\u{10d83d}\u{10de00}\u{10d83d}".into()), "\u{10de00}a😀\u{10d83d}");
        assert_eq!(units("a😀é\u{10d83d}"), 5);
    }

    #[test]
    fn a_backslash_at_the_end_is_no_escape() {
        assert_eq!(shelter("\\u\\"), "\\u\\");
        assert_eq!(shelter("\\ud8"), "\\ud8");
        assert_eq!(shelter("\\u00é\\é"), "\\u00é\\é");
    }
}
