//! Text to values: the strict forms that inference accepts, and the wider ones that a pinned type accepts.

use std::str::FromStr;

use arrow_array::timezone::Tz;
use arrow_cast::parse::string_to_datetime;
use chrono::{NaiveDate, Utc};

/// The largest integer up to which every integer is exact as a float.
const EXACT_FLOAT: f64 = 9_007_199_254_740_992.0;

/// Reads an integer written the plain way: no plus sign, no leading zeros, no blanks, 64 bits.
#[inline]
pub(super) fn int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (&first, rest) = digits.split_first()?;
    if first == b'0' && !rest.is_empty() {
        return None;
    }
    digits_to_int(digits, negative)
}

#[inline]
fn digits_to_int(digits: &[u8], negative: bool) -> Option<i64> {
    if digits.len() <= 18 {
        let mut value = 0i64;
        let mut wrong = 0u8;
        for &byte in digits {
            let digit = byte.wrapping_sub(b'0');
            wrong |= u8::from(digit > 9);
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
        }
        (wrong == 0).then_some(if negative { -value } else { value })
    } else {
        let mut value = 0i64;
        for &byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            let digit = i64::from(digit);
            value = value.checked_mul(10)?;
            value = if negative { value.checked_sub(digit)? } else { value.checked_add(digit)? };
        }
        Some(value)
    }
}

/// Reads a number written the plain way; an integer that a float cannot hold exactly is none, nor is a number beyond its range.
#[inline]
pub(super) fn float(text: &[u8]) -> Option<f64> {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    match unsigned {
        [b'0', b'0'..=b'9', ..] => None,
        [b'0'..=b'9' | b'.', ..] => {
            let value: f64 = fast_float2::parse(text).ok()?;
            if value.abs() < EXACT_FLOAT {
                return Some(value);
            }
            exact_float(value, text)
        }
        b"NaN" | b"nan" if unsigned.len() == text.len() => Some(f64::NAN),
        b"inf" | b"Infinity" => Some(if unsigned.len() == text.len() { f64::INFINITY } else { f64::NEG_INFINITY }),
        _ => None,
    }
}

#[cold]
fn exact_float(value: f64, text: &[u8]) -> Option<f64> {
    if !value.is_finite() {
        return None;
    }
    if text.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        return Some(value);
    }
    let exact = i128::from_str(std::str::from_utf8(text).ok()?).ok()?;
    (value as i128 == exact).then_some(value)
}

/// Reads `true` or `false` in any case.
#[inline]
pub(super) fn bool(text: &[u8]) -> Option<bool> {
    match text.len() {
        4 if text.eq_ignore_ascii_case(b"true") => Some(true),
        5 if text.eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
    }
}

/// Reads an integer as people write it: blanks around, a plus sign and leading zeros are fine.
pub(super) fn pinned_int(text: &str) -> Option<i64> {
    let text = text.trim().as_bytes();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() { None } else { digits_to_int(digits, negative) }
}

/// Reads a number as people write it: blanks around, a plus sign and leading zeros are fine, and it need not be exact.
pub(super) fn pinned_float(text: &str) -> Option<f64> {
    let text = text.trim();
    let value: f64 = fast_float2::parse(text).ok()?;
    // A number too large is no infinity, unless it says so.
    (!value.is_infinite() || text.bytes().any(|byte| byte.eq_ignore_ascii_case(&b'i'))).then_some(value)
}

/// Reads a truth value as `convert` does.
pub(super) fn pinned_bool(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Reads a day: `2024-05-31`, `2024/05/31` or `05/31/2024`; as days since 1970.
pub(super) fn date(text: &str) -> Option<i32> {
    let text = text.trim();
    let date = ["%Y-%m-%d", "%Y/%m/%d", "%m/%d/%Y"].iter().find_map(|format| NaiveDate::parse_from_str(text, format).ok())?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

/// Reads an ISO 8601 instant as microseconds since 1970; a text without offset stands in `zone`, or in UTC.
pub(super) fn timestamp(text: &str, zone: Option<&str>) -> Option<i64> {
    let text = text.trim();
    match zone {
        Some(zone) if !zone.eq_ignore_ascii_case("utc") => {
            let zone = Tz::from_str(zone).ok()?;
            Some(string_to_datetime(&zone, text).ok()?.timestamp_micros())
        }
        _ => Some(string_to_datetime(&Utc, text).ok()?.timestamp_micros()),
    }
}

/// Reads a decimal exactly; a digit too many before or after the point is none.
pub(super) fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let text = text.trim();
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let scale = usize::try_from(scale).ok()?;
    let (fraction, beyond) = fraction.split_at_checked(scale).unwrap_or((fraction, ""));
    if beyond.bytes().any(|byte| byte != b'0') {
        return None;
    }
    let mut value = 0i128;
    for byte in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', scale - fraction.len())) {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
    }
    let limit = 10i128.pow(u32::from(precision));
    (value < limit).then_some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_that_come_back_as_they_were_written_are_inferred() {
        let ints: Vec<_> =
            ["0", "-7", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "007", "+5", " 5", "5 ", "", "-", "1_0"]
                .iter()
                .map(|text| int(text.as_bytes()))
                .collect();
        let expected = vec![Some(0), Some(-7), Some(i64::MAX), Some(i64::MIN), None, None, None, None, None, None, None, None];
        assert_eq!(ints, expected);

        let floats: Vec<_> =
            ["1.5", "-0.25", ".5", "5.", "1e3", "00.5", "9007199254740993", "9007199254740994", "1e999", "inf", "Info", "nan", "-"]
                .iter()
                .map(|text| float(text.as_bytes()).map(|value| value.to_string()))
                .collect();
        let expected = [
            Some("1.5"),
            Some("-0.25"),
            Some("0.5"),
            Some("5"),
            Some("1000"),
            None,
            None,
            Some("9007199254740994"),
            None,
            Some("inf"),
            None,
            Some("NaN"),
            None,
        ];
        assert_eq!(floats, expected.map(|text| text.map(str::to_owned)));
    }

    #[test]
    fn a_pinned_type_reads_what_people_write() {
        assert_eq!(pinned_int(" +0042 "), Some(42));
        assert_eq!(pinned_float(" 1e2"), Some(100.0));
        assert_eq!(pinned_float("1e999"), None);
        assert_eq!(pinned_bool("Yes"), Some(true));
        assert_eq!((date("2024-02-29"), date("2/30/2024")), (Some(19782), None));
        assert_eq!(timestamp("2024-01-01T00:00:00Z", None), Some(1_704_067_200_000_000));
        assert_eq!(timestamp("2024-01-01 00:00:00", Some("+02:00")), Some(1_704_060_000_000_000));
        assert_eq!(decimal("-12.340", 5, 2), Some(-1234));
        assert_eq!((decimal("12.345", 5, 2), decimal("1234.5", 5, 2), decimal(".", 5, 2)), (None, None, None));
    }
}
