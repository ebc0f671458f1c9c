//! Single values as text: numbers, texts, dates, bytes.

use arrow_array::timezone::Tz;
use arrow_schema::TimeUnit;
use chrono::Offset;

/// The two digits of every number below 100.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// Levels of nesting that JSON text may have to be a part of a row.
const MAX_DEPTH: usize = 64;

const SECONDS_A_DAY: i64 = 86_400;

/// Whether a byte stands for itself within a JSON string.
const fn is_plain(byte: u8, ascii: bool) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\' && !(ascii && byte >= 0x80)
}

/// Tells whether all of a text stands for itself within a JSON string; made so that it is vectorised.
pub(super) fn all_plain(bytes: &[u8], ascii: bool) -> bool {
    let special = |chunk: &[u8]| chunk.iter().fold(false, |special, &byte| special | !is_plain(byte, ascii));
    !bytes.chunks(256).any(special)
}

/// Eight bytes at a time: the index of the first byte that must be escaped.
fn first_special(bytes: &[u8], ascii: bool) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let quote = word ^ (ONES * b'"' as u64);
        let slash = word ^ (ONES * b'\\' as u64);
        let equal = (quote.wrapping_sub(ONES) & !quote) | (slash.wrapping_sub(ONES) & !slash);
        // A borrow can mark a byte after a true hit only, so the lowest mark is right.
        let marks = (control | equal | if ascii { word } else { 0 }) & HIGHS;
        if marks != 0 {
            return Some(index * 8 + marks.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|byte| !is_plain(*byte, ascii)).map(|index| words.len() * 8 + index)
}

/// Writes a text within a JSON string, without the quotes.
pub(super) fn escape(text: &str, ascii: bool, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let unit = |unit: u16, out: &mut Vec<u8>| {
        let digit = |shift: u16| HEX[usize::from(unit >> shift & 15)];
        out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
    };
    let mut rest = text;
    while let Some(index) = first_special(rest.as_bytes(), ascii) {
        out.extend_from_slice(&rest.as_bytes()[..index]);
        let special = rest[index..].chars().next().expect("there is a character at a found index");
        match special {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            other => other.encode_utf16(&mut [0; 2]).iter().for_each(|code| unit(*code, out)),
        }
        rest = &rest[index + special.len_utf8()..];
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Writes JSON text as JSON without blanks; answers false, and writes nothing, where it is none or nested too deep.
pub(super) fn json(text: &str, ascii: bool, out: &mut Vec<u8>) -> bool {
    // Read as whoever reads the row reads it, so that one such value cannot spoil the row.
    if serde_json::from_str::<serde_json::Value>(text).is_err() {
        return false;
    }
    let start = out.len();
    let (mut within, mut escaped, mut depth) = (false, false, 0);
    for character in text.chars() {
        match character {
            '"' if !escaped => within = !within,
            '{' | '[' if !within && depth == MAX_DEPTH => {
                out.truncate(start);
                return false;
            }
            '{' | '[' if !within => depth += 1,
            '}' | ']' if !within => depth -= 1,
            ' ' | '\n' | '\r' | '\t' if !within => continue,
            _ => {}
        }
        escaped = within && character == '\\' && !escaped;
        match character.is_ascii() {
            true => out.push(character as u8),
            false => escape(character.encode_utf8(&mut [0; 4]), ascii, out),
        }
    }
    true
}

/// Writes an integer.
pub(super) fn integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes a finite number, the shortest text that reads back the same; integral ones end in `.0`.
pub(super) fn float(value: impl zmij::Float, out: &mut Vec<u8>) {
    out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
}

/// Writes a decimal exactly: all digits of its scale, no exponent.
pub(super) fn decimal(value: i128, scale: i8, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value.unsigned_abs()).as_bytes();
    let Ok(places) = usize::try_from(scale) else {
        out.extend_from_slice(digits);
        if value != 0 {
            out.resize(out.len() + usize::from(scale.unsigned_abs()), b'0');
        }
        return;
    };
    let whole = digits.len().saturating_sub(places);
    if whole == 0 {
        out.push(b'0');
    }
    out.extend_from_slice(&digits[..whole]);
    if places > 0 {
        out.push(b'.');
        out.resize(out.len() + places.saturating_sub(digits.len()), b'0');
        out.extend_from_slice(&digits[whole..]);
    }
}

/// Writes bytes as base64 with padding.
pub(super) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    use base64::Engine;
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    base64::engine::general_purpose::STANDARD.encode_slice(bytes, &mut out[start..]).expect("the buffer has the length of the text");
}

/// Year, month and day of a day since 1970 (H. Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, u8, u8) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u8;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u8;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Writes a day since 1970 as `2024-06-19`; years outside 0 to 9999 have a sign, as in ISO 8601.
pub(super) fn date(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(days);
    let ([m0, m1], [d0, d1]) = (PAIRS[usize::from(month)], PAIRS[usize::from(day)]);
    if (0..10_000).contains(&year) {
        let ([y0, y1], [y2, y3]) = (PAIRS[year as usize / 100], PAIRS[year as usize % 100]);
        out.extend_from_slice(&[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1]);
    } else {
        out.push(if year < 0 { b'-' } else { b'+' });
        let year = year.unsigned_abs();
        if year < 1000 {
            out.push(b'0');
            out.extend_from_slice(&PAIRS[year as usize / 100][1..]);
            out.extend_from_slice(&PAIRS[year as usize % 100]);
        } else {
            integer(year, out);
        }
        out.extend_from_slice(&[b'-', m0, m1, b'-', d0, d1]);
    }
}

/// Writes a time of day as `01:58:32`, with 3, 6 or 9 digits of fraction where there is one.
fn clock(second: i64, nanos: u32, out: &mut Vec<u8>) {
    let pair = |number: i64| PAIRS[number as usize];
    let ([h0, h1], [m0, m1], [s0, s1]) = (pair(second / 3600), pair(second / 60 % 60), pair(second % 60));
    out.extend_from_slice(&[h0, h1, b':', m0, m1, b':', s0, s1]);
    if nanos == 0 {
        return;
    }
    let (mut fraction, digits) = match nanos {
        _ if nanos.is_multiple_of(1_000_000) => (nanos / 1_000_000, 3),
        _ if nanos.is_multiple_of(1_000) => (nanos / 1_000, 6),
        _ => (nanos, 9),
    };
    let mut text = [b'.'; 10];
    for place in (1..=digits).rev() {
        text[place] = b'0' + (fraction % 10) as u8;
        fraction /= 10;
    }
    out.extend_from_slice(&text[..=digits]);
}

/// Units of a second.
pub(super) const fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// Whole seconds, rounded down, and the nanoseconds above them.
fn split_seconds(value: i64, unit: TimeUnit) -> (i64, u32) {
    let units = per_second(unit);
    (value.div_euclid(units), (value.rem_euclid(units) * (1_000_000_000 / units)) as u32)
}

/// Writes a time of day.
pub(super) fn time(value: i64, unit: TimeUnit, out: &mut Vec<u8>) {
    let (second, nanos) = split_seconds(value, unit);
    clock(second.rem_euclid(SECONDS_A_DAY), nanos, out);
}

/// In which zone timestamps of a column are shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Zone {
    /// The column has none: nothing is added.
    Nowhere,
    /// `Z` is added.
    Utc,
    /// Local time there, and its offset.
    Named(Tz),
}

impl Zone {
    /// Reads the zone of an Arrow type. A name that nobody knows is shown as UTC, which is the same instant.
    pub(super) fn new(name: Option<&str>) -> Self {
        match name {
            None => Self::Nowhere,
            Some("UTC" | "utc" | "Z" | "+00:00" | "Etc/UTC") => Self::Utc,
            Some(name) => name.parse().map_or(Self::Utc, Self::Named),
        }
    }
}

/// Writes a timestamp as `2024-06-19T01:58:32Z`, with 3, 6 or 9 digits of fraction where there is one.
pub(super) fn timestamp(value: i64, unit: TimeUnit, zone: Zone, out: &mut Vec<u8>) {
    let (mut second, nanos) = split_seconds(value, unit);
    let offset = match zone {
        Zone::Nowhere | Zone::Utc => 0,
        Zone::Named(zone) => chrono::DateTime::from_timestamp(second, nanos)
            .map_or(0, |instant| i64::from(instant.with_timezone(&zone).offset().fix().local_minus_utc())),
    };
    second = second.saturating_add(offset);
    date(second.div_euclid(SECONDS_A_DAY), out);
    out.push(b'T');
    clock(second.rem_euclid(SECONDS_A_DAY), nanos, out);
    match zone {
        Zone::Nowhere => {}
        Zone::Utc => out.push(b'Z'),
        Zone::Named(_) => {
            out.push(if offset < 0 { b'-' } else { b'+' });
            let minutes = offset.abs() / 60;
            out.extend_from_slice(&PAIRS[(minutes / 60) as usize]);
            out.push(b':');
            out.extend_from_slice(&PAIRS[(minutes % 60) as usize]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("what we write is UTF-8")
    }

    #[test]
    fn every_byte_is_escaped_as_serde_json_does_wherever_it_stands() {
        for place in 0..20 {
            for code in (0..0x180).chain([0x20ac, 0x1f600]).filter_map(char::from_u32) {
                let text = format!("{}{code}{}", "x".repeat(place), "y".repeat(19 - place));
                let ours = written(|out| escape(&text, false, out));
                assert_eq!(format!("\"{ours}\""), serde_json::to_string(&text).unwrap());
                assert_eq!(all_plain(text.as_bytes(), false), ours == text, "{text:?}");
                let ascii = written(|out| escape(&text, true, out));
                assert!(ascii.is_ascii(), "{ascii:?}");
                assert_eq!(serde_json::from_str::<String>(&format!("\"{ascii}\"")).unwrap(), text);
            }
        }
    }

    #[test]
    fn days_are_written_as_chrono_writes_them() {
        for days in (-1_000_000..4_000_000_i64).step_by(997).chain(-800..800) {
            let chrono = chrono::DateTime::from_timestamp(days * SECONDS_A_DAY, 0).unwrap().date_naive();
            assert_eq!(written(|out| date(days, out)), format!("{chrono:?}"));
        }
    }

    #[test]
    fn timestamps_have_a_fraction_where_there_is_one_and_the_offset_of_their_zone() {
        let shown = |value, unit, zone| written(|out| timestamp(value, unit, Zone::new(zone), out));
        let second = 1_718_762_312;
        assert_eq!(shown(second, TimeUnit::Second, Some("UTC")), "2024-06-19T01:58:32Z");
        assert_eq!(shown(second * 1000 + 50, TimeUnit::Millisecond, None), "2024-06-19T01:58:32.050");
        assert_eq!(shown(second * 1_000_000 + 5, TimeUnit::Microsecond, Some("Europe/Berlin")), "2024-06-19T03:58:32.000005+02:00");
        assert_eq!(shown(second * 1_000_000_000 + 5, TimeUnit::Nanosecond, Some("-03:30")), "2024-06-18T22:28:32.000000005-03:30");
        assert_eq!(shown(-1, TimeUnit::Microsecond, Some("+00:00")), "1969-12-31T23:59:59.999999Z");
        assert_eq!(written(|out| time(3_600_500, TimeUnit::Millisecond, out)), "01:00:00.500");
    }

    #[test]
    fn decimals_are_exact() {
        let shown = |value, scale| written(|out| decimal(value, scale, out));
        assert_eq!(shown(-12_345, 2), "-123.45");
        assert_eq!(shown(5, 3), "0.005");
        assert_eq!(shown(-5, 1), "-0.5");
        assert_eq!(shown(0, 2), "0.00");
        assert_eq!(shown(7, -2), "700");
        assert_eq!(shown(i128::MIN, 0), i128::MIN.to_string());
    }

    #[test]
    fn floats_read_back_the_same() {
        for (value, text) in [(24.0, "24.0"), (0.1, "0.1"), (-0.0, "-0.0"), (123_456.789, "123456.789"), (5e-324, "5e-324")] {
            assert_eq!(written(|out| float(value, out)), text);
        }
    }

    #[test]
    fn bytes_are_base64() {
        assert_eq!(written(|out| base64(b"any carnal pleas", out)), "YW55IGNhcm5hbCBwbGVhcw==");
    }
}
