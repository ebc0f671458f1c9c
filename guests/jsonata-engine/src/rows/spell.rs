//! Single values as numbers and texts, spelled as the JSON sink spells them.

use arrow_schema::TimeUnit;
use base64::Engine;

use crate::Value;
use crate::library::calendar::date_of;

/// The largest integer up to which every integer is exact as a double.
const EXACT: u64 = 1 << 53;
const SECONDS_A_DAY: i64 = 86_400;

/// An integer; beyond 2^53 the text of its digits.
#[inline]
pub(super) fn integer(value: i64) -> Value {
    if value.unsigned_abs() <= EXACT { Value::Number(value as f64) } else { Value::string(value.to_string()) }
}

/// As [`integer`].
#[inline]
pub(super) fn unsigned(value: u64) -> Value {
    if value <= EXACT { Value::Number(value as f64) } else { Value::string(value.to_string()) }
}

/// A decimal of at most 15 digits as the number that reads the same; a longer one as text.
pub(super) fn decimal(value: i128, scale: i8) -> Value {
    const DIGITS: u128 = 1_000_000_000_000_000;
    let text = decimal_text(value, scale);
    match text.parse() {
        Ok(number) if value.unsigned_abs() < DIGITS && scale > -15 => Value::Number(number),
        _ => Value::string(text),
    }
}

/// A decimal exactly: all digits of its scale, no exponent.
fn decimal_text(value: i128, scale: i8) -> String {
    let digits = value.unsigned_abs().to_string();
    let sign = if value < 0 { "-" } else { "" };
    match usize::try_from(scale) {
        Err(_) if value == 0 => digits,
        Err(_) => format!("{sign}{digits}{}", "0".repeat(usize::from(scale.unsigned_abs()))),
        Ok(0) => format!("{sign}{digits}"),
        Ok(places) => {
            let digits = format!("{digits:0>width$}", width = places + 1);
            let (whole, fraction) = digits.split_at(digits.len() - places);
            format!("{sign}{whole}.{fraction}")
        }
    }
}

pub(super) fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn two(out: &mut String, value: i64) {
    out.push(char::from(b'0' + (value / 10 % 10) as u8));
    out.push(char::from(b'0' + (value % 10) as u8));
}

fn push_date(out: &mut String, days: i64) {
    let (year, month, day) = date_of(days);
    let (month, day) = (i64::from(month) + 1, i64::from(day));
    if (0..10_000).contains(&year) {
        two(out, year / 100);
        two(out, year % 100);
    } else {
        out.push_str(&format!("{year:+05}"));
    }
    out.push('-');
    two(out, month);
    out.push('-');
    two(out, day);
}

/// A day since 1970 as `2024-06-19`.
pub(super) fn date(days: i64) -> String {
    let mut out = String::with_capacity(10);
    push_date(&mut out, days);
    out
}

const fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// Whole seconds, rounded down, and the nanoseconds above them.
fn split(value: i64, unit: TimeUnit) -> (i64, i64) {
    let units = per_second(unit);
    (value.div_euclid(units), value.rem_euclid(units) * (1_000_000_000 / units))
}

/// A time of day, with 3, 6 or 9 digits of fraction where there is one.
fn push_clock(out: &mut String, second: i64, nanos: i64) {
    two(out, second / 3600);
    out.push(':');
    two(out, second / 60 % 60);
    out.push(':');
    two(out, second % 60);
    match nanos {
        0 => {}
        _ if nanos % 1_000_000 == 0 => out.push_str(&format!(".{:03}", nanos / 1_000_000)),
        _ if nanos % 1_000 == 0 => out.push_str(&format!(".{:06}", nanos / 1_000)),
        _ => out.push_str(&format!(".{nanos:09}")),
    }
}

/// A time of day as `01:58:32`.
pub(super) fn time(value: i64, unit: TimeUnit) -> String {
    let (second, nanos) = split(value, unit);
    let mut out = String::with_capacity(18);
    push_clock(&mut out, second.rem_euclid(SECONDS_A_DAY), nanos);
    out
}

/// In which zone timestamps of a column are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zone {
    /// The column has none: nothing is added.
    Nowhere,
    /// `Z` is added.
    Utc,
    /// Seconds east of UTC: local time, and the offset.
    Fixed(i64),
}

impl Zone {
    /// Reads the zone of an Arrow type. A region, whose rules are not in here, is shown as UTC, which is the same instant.
    pub(super) fn new(name: Option<&str>) -> Self {
        let Some(name) = name else { return Self::Nowhere };
        let (sign, digits) = match name.split_at_checked(1) {
            Some(("+", digits)) => (1, digits),
            Some(("-", digits)) => (-1, digits),
            _ => return Self::Utc,
        };
        let (hours, minutes) = digits.split_once(':').or_else(|| digits.split_at_checked(2)).unwrap_or((digits, "0"));
        match (hours.parse::<i64>(), if minutes.is_empty() { Ok(0) } else { minutes.parse::<i64>() }) {
            (Ok(0), Ok(0)) | (Err(_), _) | (_, Err(_)) => Self::Utc,
            (Ok(hours), Ok(minutes)) => Self::Fixed(sign * (hours * 3600 + minutes * 60)),
        }
    }
}

/// A timestamp as `2024-06-19T01:58:32Z`, with 3, 6 or 9 digits of fraction where there is one.
pub(super) fn timestamp(value: i64, unit: TimeUnit, zone: Zone) -> String {
    let (mut second, nanos) = split(value, unit);
    let offset = if let Zone::Fixed(offset) = zone { offset } else { 0 };
    second = second.saturating_add(offset);
    let mut out = String::with_capacity(32);
    push_date(&mut out, second.div_euclid(SECONDS_A_DAY));
    out.push('T');
    push_clock(&mut out, second.rem_euclid(SECONDS_A_DAY), nanos);
    match zone {
        Zone::Nowhere => {}
        Zone::Utc => out.push('Z'),
        Zone::Fixed(offset) => {
            out.push(if offset < 0 { '-' } else { '+' });
            two(&mut out, offset.abs() / 3600);
            out.push(':');
            two(&mut out, offset.abs() / 60 % 60);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_that_a_double_does_not_hold_are_texts() {
        assert_eq!(decimal(-12_345, 2), Value::Number(-123.45));
        assert_eq!(decimal(5, 3), Value::Number(0.005));
        assert_eq!(decimal(7, -2), Value::Number(700.0));
        assert_eq!(decimal(1_234_567_890_123_456, 2), Value::string("12345678901234.56"));
        assert_eq!((integer(1 << 53), integer((1 << 53) + 1)), (Value::Number(9_007_199_254_740_992.0), Value::string("9007199254740993")));
        assert_eq!(unsigned(u64::MAX), Value::string("18446744073709551615"));
    }

    #[test]
    fn instants_are_spelled_as_the_json_sink_spells_them() {
        let second = 1_718_762_312;
        assert_eq!(timestamp(second, TimeUnit::Second, Zone::new(Some("UTC"))), "2024-06-19T01:58:32Z");
        assert_eq!(timestamp(second * 1000 + 50, TimeUnit::Millisecond, Zone::new(None)), "2024-06-19T01:58:32.050");
        assert_eq!(
            timestamp(second * 1_000_000_000 + 5, TimeUnit::Nanosecond, Zone::new(Some("-03:30"))),
            "2024-06-18T22:28:32.000000005-03:30"
        );
        assert_eq!(timestamp(-1, TimeUnit::Microsecond, Zone::new(Some("+00:00"))), "1969-12-31T23:59:59.999999Z");
        assert_eq!((time(3_600_500, TimeUnit::Millisecond), date(-719_529)), ("01:00:00.500".into(), "-0001-12-31".into()));
        assert_eq!(base64(b"any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw==");
    }
}
