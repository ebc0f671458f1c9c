//! Lone surrogates, which JSON text may hold as `\ud800` and no Rust string can.
//!
//! Within the engine each stands as a character of the last private plane, U+10D800 to U+10DFFF, so that it counts as one character and
//! survives. Text of the outside that holds those characters themselves is not told apart from them.

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

/// Whether a text holds a lone surrogate's stand-in.
pub(crate) fn has_lone(text: &str) -> bool {
    // All of the last plane's characters begin with this byte.
    text.as_bytes().contains(&0xf4) && text.chars().any(is_stand_in)
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
    fn a_backslash_at_the_end_is_no_escape() {
        assert_eq!(shelter("\\u\\"), "\\u\\");
        assert_eq!(shelter("\\ud8"), "\\ud8");
        assert_eq!(shelter("\\u00é\\é"), "\\u00é\\é");
    }
}
