//! Texts as the built-in functions read and write them.

use std::fmt::Write;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The low byte of each UTF-16 unit in base 64.
pub(crate) fn base64_encode(text: &str) -> String {
    let bytes: Vec<u8> = text.encode_utf16().map(|unit| unit.to_le_bytes()[0]).collect();
    let mut encoded = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, index| bits << 8 | u32::from(group.get(index).copied().unwrap_or_default()));
        for digit in 0..4 {
            let sixth = BASE64[(bits >> (18 - 6 * digit)) as usize % 64];
            encoded.push(if digit <= group.len() { char::from(sixth) } else { '=' });
        }
    }
    encoded
}

/// Each byte as a character; what is no digit is passed over, and the first `=` ends it.
pub(crate) fn base64_decode(text: &str) -> String {
    let sixth = |digit: u8| match digit {
        b'-' => Some(62),
        b'_' => Some(63),
        _ => BASE64.iter().position(|&other| other == digit),
    };
    let (mut bits, mut held, mut decoded) = (0_usize, 0, String::new());
    for six in text.bytes().take_while(|&digit| digit != b'=').filter_map(sixth) {
        bits = bits << 6 & 0xffff | six;
        held += 6;
        if held >= 8 {
            held -= 8;
            decoded.push(char::from((bits >> held) as u8));
        }
    }
    decoded
}

/// Every byte of UTF-8 but letters, digits and what is `kept` as `%xx`.
pub(crate) fn percent_encode(text: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
            true => encoded.push(char::from(byte)),
            false => write!(encoded, "%{byte:02X}").expect("writing to a string does not fail"),
        }
    }
    encoded
}

/// Whether a text is a number as JSON writes it.
pub(crate) fn is_number(text: &[u8]) -> bool {
    fn digits(text: &[u8]) -> Option<&[u8]> {
        let count = text.iter().take_while(|digit| digit.is_ascii_digit()).count();
        (count > 0).then(|| &text[count..])
    }
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let Some(mut rest) = digits(text) else { return false };
    if let [b'.', fraction @ ..] = rest {
        let Some(after) = digits(fraction) else { return false };
        rest = after;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'+' | b'-', digits @ ..] => digits,
            _ => exponent,
        };
        let Some(after) = digits(exponent) else { return false };
        rest = after;
    }
    rest.is_empty()
}

/// Decimal digits of the basic plane's families, such as Arabic ones, as `0` to `9`.
pub(crate) fn latin_digits(text: &str) -> String {
    const ZEROS: [u32; 14] = [0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xff10];
    let latin = |character: char| {
        let code = u32::from(character);
        let zero = ZEROS.iter().find(|&&zero| (zero..zero + 10).contains(&code))?;
        char::from_digit(code - zero, 10)
    };
    text.chars().map(|character| latin(character).unwrap_or(character)).collect()
}

/// Whether a text has the form of the reference's pattern: a year, then `-mm`, then `-dd`, then a time.
pub(crate) fn is_date_form(text: &str) -> bool {
    let shape: String = text.chars().map(|character| if character.is_ascii_digit() { 'd' } else { character }).collect();
    let Some((date, time)) = shape.split_once('T') else { return matches!(shape.as_str(), "dddd" | "dddd-dd" | "dddd-dd-dd") };
    matches!(date, "dddd" | "dddd-dd" | "dddd-dd-dd") && time.starts_with("dd:dd:dd")
}
