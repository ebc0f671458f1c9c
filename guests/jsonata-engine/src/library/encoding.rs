//! Texts as base 64 and as parts of URLs.

use crate::Failure;
use crate::surrogate::{halved, has_lone};

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What `$encodeUrlComponent` keeps besides letters and digits.
const UNRESERVED: &[u8] = b"-_.!~*'()";

/// What `$encodeUrl` keeps as well, and `$decodeUrl` leaves encoded.
const RESERVED: &[u8] = b";/?:@&=+$,#";

/// `$base64encode`: the low byte of each UTF-16 unit, as the reference has it.
pub(crate) fn base64_encode(text: &str) -> String {
    let low_bytes: Vec<u8> = match text.is_ascii() {
        true => text.into(),
        false => halved(text).chars().map(|unit| u32::from(unit) as u8).collect(),
    };
    let mut encoded = String::with_capacity(low_bytes.len().div_ceil(3) * 4);
    for group in low_bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, index| bits << 8 | u32::from(group.get(index).copied().unwrap_or_default()));
        for digit in 0..4 {
            let sixth = BASE64[(bits >> (18 - 6 * digit)) as usize % 64];
            encoded.push(if digit <= group.len() { char::from(sixth) } else { '=' });
        }
    }
    encoded
}

/// `$base64decode`: each byte is a character; what is no digit is passed over, and the first `=` ends it. Of a unit, the low byte counts.
pub(crate) fn base64_decode(text: &str) -> String {
    let (mut bits, mut held) = (0_u32, 0);
    let mut decoded = String::with_capacity(text.len() / 4 * 3);
    for digit in halved(text).chars().map(|unit| u32::from(unit) as u8).take_while(|&digit| digit != b'=') {
        let six = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => continue,
        };
        bits = bits << 6 & 0xffff | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            decoded.push(char::from((bits >> held) as u8));
        }
    }
    decoded
}

/// `$encodeUrl`.
pub(crate) fn encode_url(text: &str) -> Result<String, Failure> {
    encode(text, "encodeUrl", |byte| UNRESERVED.contains(&byte) || RESERVED.contains(&byte))
}

/// `$encodeUrlComponent`.
pub(crate) fn encode_url_component(text: &str) -> Result<String, Failure> {
    encode(text, "encodeUrlComponent", |byte| UNRESERVED.contains(&byte))
}

/// `$decodeUrl`.
pub(crate) fn decode_url(text: &str) -> Result<String, Failure> {
    decode(text, "decodeUrl", |byte| RESERVED.contains(&byte))
}

/// `$decodeUrlComponent`.
pub(crate) fn decode_url_component(text: &str) -> Result<String, Failure> {
    decode(text, "decodeUrlComponent", |_| false)
}

/// Writes every byte but letters, digits and what is kept as `%xx`; a lone surrogate has no bytes.
fn encode(text: &str, function: &str, keeps: impl Fn(u8) -> bool) -> Result<String, Failure> {
    if has_lone(text) {
        return Err(Failure::new("D3140", format!("${function} cannot encode half of a surrogate pair")));
    }
    let mut encoded = String::with_capacity(text.len() + text.len() / 4);
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || keeps(byte) {
            true => encoded.push(char::from(byte)),
            false => {
                encoded.push('%');
                let digits = [byte >> 4, byte & 15].map(|half| char::from(b"0123456789ABCDEF"[usize::from(half)]));
                encoded.extend(digits);
            }
        }
    }
    Ok(encoded)
}

/// Reads `%xx` as bytes of UTF-8, but those that stay encoded.
fn decode(text: &str, function: &str, stays: impl Fn(u8) -> bool) -> Result<String, Failure> {
    let malformed = |place: usize| {
        let rest: String = text[place..].chars().take(12).collect();
        Failure::new("D3140", format!("${function} expected `%` and two hexadecimal digits of UTF-8, but found `{rest}`"))
    };
    let byte_at = |place: usize| {
        let digits = text.as_bytes().get(place..place + 3)?;
        let half = |digit: u8| char::from(digit).to_digit(16);
        match digits {
            [b'%', high, low] => u8::try_from(half(*high)? * 16 + half(*low)?).ok(),
            _ => None,
        }
    };
    let mut decoded = String::with_capacity(text.len());
    let mut place = 0;
    while let Some(offset) = text[place..].find('%') {
        decoded.push_str(&text[place..place + offset]);
        place += offset;
        let first = byte_at(place).ok_or_else(|| malformed(place))?;
        let length = match first {
            0..=0x7f => 1,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return Err(malformed(place)),
        };
        let mut bytes = [first; 4];
        for (index, byte) in bytes.iter_mut().enumerate().take(length).skip(1) {
            *byte = byte_at(place + 3 * index).ok_or_else(|| malformed(place))?;
        }
        let end = place + 3 * length;
        match length == 1 && stays(first) {
            true => decoded.push_str(&text[place..end]),
            false => decoded.push_str(std::str::from_utf8(&bytes[..length]).map_err(|_| malformed(place))?),
        }
        place = end;
    }
    decoded.push_str(&text[place..]);
    Ok(decoded)
}
