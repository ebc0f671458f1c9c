//! Regular expressions of JavaScript, rewritten for texts in which each UTF-16 unit is a character.

use std::borrow::Cow;

use crate::surrogate::{halved, of_unit};

/// The same expression, where surrogates are what stands for them: written as such, as escapes, and within ranges.
pub(crate) fn in_units(source: &str) -> Cow<'_, str> {
    let has_high = source.chars().any(|character| character > '\u{d7ff}');
    if !has_high && !source.contains("\\u") {
        return Cow::Borrowed(source);
    }
    let source: Vec<char> = halved(source).chars().collect();
    let mut written = String::with_capacity(source.len());
    let mut rest = &source[..];
    let mut in_class = false;
    while let [character, ..] = rest {
        match character {
            '[' if !in_class => {
                in_class = true;
                // A circumflex first turns the class around; it begins no range.
                let length = if rest.get(1) == Some(&'^') { 2 } else { 1 };
                written.extend(&rest[..length]);
                rest = &rest[length..];
                continue;
            }
            ']' => in_class = false,
            _ => {}
        }
        let (first, length) = atom(rest);
        let range = match (in_class, rest.get(length), rest.get(length + 1)) {
            (true, Some('-'), Some(after)) if *after != ']' => Some(atom(&rest[length + 1..])),
            _ => None,
        };
        match (first, range) {
            (Some(first), Some((Some(last), last_length))) if last >= 0xd800 && first <= last => {
                write_range(first, last, &mut written);
                rest = &rest[length + 1 + last_length..];
            }
            (Some(unit @ 0xd800..=0xdfff), None) => {
                written.push(of_unit(unit));
                rest = &rest[length..];
            }
            _ => {
                // Without the flag `u`, what looks like an escape of a character in braces is the letter, repeated.
                let is_letter = matches!(rest, ['\\', 'u', ..]) && length == 2;
                written.extend(if is_letter { &rest[1..length] } else { &rest[..length] });
                rest = &rest[length..];
            }
        }
    }
    Cow::Owned(written)
}

/// The unit of the character or escape that an expression begins with, where it is one, and its length.
fn atom(rest: &[char]) -> (Option<u16>, usize) {
    let unit = |character: char| u16::try_from(u32::from(character) % 0x10_0000).ok();
    let hexadecimal = |digits: &[char]| digits.iter().try_fold(0, |code, digit| Some(code * 16 + digit.to_digit(16)?));
    match rest {
        ['\\', 'u', a, b, c, d, ..] if let Some(code) = hexadecimal(&[*a, *b, *c, *d]) => (u16::try_from(code).ok(), 6),
        ['\\', 'x', a, b, ..] if let Some(code) = hexadecimal(&[*a, *b]) => (u16::try_from(code).ok(), 4),
        // Other escapes may be classes; those of single characters are far below the surrogates.
        ['\\', escaped, ..] => (if escaped.is_ascii_alphanumeric() { None } else { unit(*escaped) }, 2),
        [character, ..] => (unit(*character), 1),
        [] => (None, 0),
    }
}

/// Writes a range of units that ends at the surrogates or behind.
fn write_range(first: u16, last: u16, into: &mut String) {
    for (low, high) in [(0, 0xd7ff), (0xd800, 0xdfff), (0xe000, 0xffff)] {
        let (first, last) = (first.max(low), last.min(high));
        if first <= last {
            for (unit, mark) in [(first, "-"), (last, "")] {
                // Escaped as it may be a sign of the language; in a class, any sign may be.
                match unit {
                    0..0x80 => into.push_str(&format!("\\x{unit:02x}")),
                    _ => into.push(of_unit(unit)),
                }
                into.push_str(mark);
            }
        }
    }
}
