//! Texts to days and instants.

use crate::parse::trim;

/// An instant as written: the clock's microseconds since 1970, and the offset if one is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// What the clock shows, as if it were UTC.
    pub(crate) clock: i64,
    /// Seconds east of UTC.
    pub(crate) offset: Option<i32>,
}

impl Written {
    /// The instant; a text without offset is read at `default` seconds east of UTC.
    #[inline]
    pub(crate) fn instant(self, default: i32) -> i64 {
        self.clock - i64::from(self.offset.unwrap_or(default)) * 1_000_000
    }
}

const DAY_MICROS: i64 = 86_400_000_000;

/// Counts the days from 1970-01-01 to a day of the Gregorian calendar, years 1 to 9999; `None` where there is no such day.
#[inline]
pub(crate) fn days(year: u32, month: u32, day: u32) -> Option<i32> {
    const LENGTHS: [u8; 13] = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    const BEFORE: [u16; 13] = [0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    if month > 12 || !(1..=9999).contains(&year) {
        return None;
    }
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(25) || year.is_multiple_of(16));
    let length = u32::from(LENGTHS[month as usize]) + u32::from(leap && month == 2);
    if day.wrapping_sub(1) >= length {
        return None;
    }
    let past = year - 1;
    let before = 365 * past + past / 4 - past / 100 + past / 400;
    let days = before + u32::from(BEFORE[month as usize]) + u32::from(leap && month > 2) + day - 1;
    Some(days as i32 - 719_162)
}

/// Two digits at `at`; more than 99 where they are no digits.
#[inline]
fn two(bytes: &[u8], at: usize) -> u32 {
    let (tens, ones) = (bytes[at].wrapping_sub(b'0'), bytes[at + 1].wrapping_sub(b'0'));
    if tens > 9 || ones > 9 { 1000 } else { u32::from(tens) * 10 + u32::from(ones) }
}

/// Reads eight bytes at once: `separators` marks the bytes (`0xff`) that must be those of `pattern`, all others must be digits.
///
/// Byte `i` of the answer is the number that digits `i` and `i + 1` make.
#[inline]
fn pairs(bytes: [u8; 8], separators: u64, pattern: u64) -> Option<u64> {
    const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);
    let word = u64::from_le_bytes(bytes);
    let digits = (word ^ ZEROS) & !separators;
    // A byte above 9 carries into its highest bit, or has it.
    let bad = (digits.wrapping_add(0x7676_7676_7676_7676) | digits) & 0x8080_8080_8080_8080;
    ((word & separators) == pattern && bad == 0).then(|| digits.wrapping_mul(10).wrapping_add(digits >> 8))
}

/// Byte `index` of what [`pairs`] answers.
#[inline]
fn pair(pairs: u64, index: u32) -> u32 {
    (pairs >> (8 * index)) as u32 & 0xff
}

/// Reads `YYYY-MM-DD` at the start.
#[inline]
fn iso_day(bytes: &[u8]) -> Option<i32> {
    const SEPARATORS: u64 = u64::from_le_bytes([0, 0, 0, 0, 0xff, 0, 0, 0xff]);
    const PATTERN: u64 = u64::from_le_bytes([0, 0, 0, 0, b'-', 0, 0, b'-']);
    let day = bytes.get(8..10)?;
    let numbers = pairs(*bytes.first_chunk()?, SEPARATORS, PATTERN)?;
    days(pair(numbers, 0) * 100 + pair(numbers, 2), pair(numbers, 5), two(day, 0))
}

/// Reads ISO 8601: `YYYY-MM-DD`, then `T` or a blank and `HH:MM[:SS[.fraction]]`, then `Z`, `±hh`, `±hhmm` or `±hh:mm`.
#[inline]
pub(crate) fn datetime(text: &str) -> Option<Written> {
    let bytes = trim(text).as_bytes();
    let midnight = i64::from(iso_day(bytes)?) * DAY_MICROS;
    if bytes.len() == 10 {
        return Some(Written { clock: midnight, offset: None });
    }
    if bytes.len() < 16 || !matches!(bytes[10], b'T' | b't' | b' ') || bytes[13] != b':' {
        return None;
    }
    let (hour, minute) = (two(bytes, 11), two(bytes, 14));
    let (mut second, mut fraction, mut at) = (0, 0, 16);
    if bytes.len() >= 19 && bytes[16] == b':' {
        second = two(bytes, 17);
        at = 19;
        if let Some(b'.' | b',') = bytes.get(at) {
            at += 1;
            let (start, mut unit) = (at, 100_000);
            while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit <= 9) {
                fraction += i64::from(digit) * unit;
                unit /= 10;
                at += 1;
            }
            if at == start {
                return None;
            }
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let clock = midnight + i64::from(hour * 3600 + minute * 60 + second) * 1_000_000 + fraction;
    let offset = match &bytes[at..] {
        [] => None,
        [b'Z' | b'z'] => Some(0),
        zone => Some(offset(zone.strip_prefix(b" ").unwrap_or(zone))?),
    };
    Some(Written { clock, offset })
}

/// Reads `±hh`, `±hhmm` or `±hh:mm` as seconds east of UTC.
pub(crate) fn offset(bytes: &[u8]) -> Option<i32> {
    let (sign, digits) = match bytes {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.len() {
        2 => (two(digits, 0), 0),
        4 => (two(digits, 0), two(digits, 2)),
        5 if digits[2] == b':' => (two(digits, 0), two(digits, 3)),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then(|| sign * (hours * 3600 + minutes * 60) as i32)
}

/// Reads a day: `%Y-%m-%d`, `%Y/%m/%d` or `%m/%d/%Y`.
#[inline]
pub(crate) fn date(text: &str) -> Option<i32> {
    let bytes = trim(text).as_bytes();
    if bytes.len() == 10
        && let Some(days) = iso_day(bytes)
    {
        return Some(days);
    }
    slow_date(bytes, false)
}

/// As [`date`], and `%d-%m-%Y` too.
pub(crate) fn lenient_date(text: &str) -> Option<i32> {
    slow_date(trim(text).as_bytes(), true)
}

fn slow_date(bytes: &[u8], day_first: bool) -> Option<i32> {
    let separator = if bytes.contains(&b'/') { b'/' } else { b'-' };
    let mut parts = bytes.split(|byte| *byte == separator);
    let parts = [parts.next()?, parts.next()?, parts.next()?, if parts.next().is_some() { return None } else { &[] }];
    let number = |part: &[u8], lengths: std::ops::RangeInclusive<usize>| {
        let digits = lengths.contains(&part.len()) && part.iter().all(u8::is_ascii_digit);
        digits.then(|| part.iter().fold(0u32, |value, byte| value * 10 + u32::from(byte - b'0')))
    };
    let (year, month, day) = match (parts[0].len(), separator) {
        (4, _) => (parts[0], parts[1], parts[2]),
        (_, b'/') => (parts[2], parts[0], parts[1]),
        _ if day_first => (parts[2], parts[1], parts[0]),
        _ => return None,
    };
    days(number(year, 4..=4)?, number(month, 1..=2)?, number(day, 1..=2)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_in_all_iso_forms() {
        let clock = 1_705_314_600_000_000; // 2024-01-15 10:30
        let cases = [
            ("2024-01-15T10:30:00Z", clock, Some(0)),
            ("2024-01-15 10:30:00", clock, None),
            ("2024-01-15t10:30z", clock, Some(0)),
            ("2024-01-15T10:30", clock, None),
            ("2024-01-15T10:30:00.5", clock + 500_000, None),
            ("2024-01-15T10:30:00.123456789Z", clock + 123_456, Some(0)),
            ("2024-01-15T10:30:00,25", clock + 250_000, None),
            ("2024-01-15T10:30:00+02:00", clock, Some(7200)),
            ("2024-01-15T10:30:00-0530", clock, Some(-19800)),
            ("2024-01-15T10:30:00+02", clock, Some(7200)),
            ("2024-01-15 10:30:00 +02:00", clock, Some(7200)),
            (" 2024-01-15 ", 1_705_276_800_000_000, None),
            ("1969-12-31T23:59:59.999999", -1, None),
            ("0001-01-01", -62_135_596_800_000_000, None),
            ("9999-12-31", 253_402_214_400_000_000, None),
            ("2024-02-29", 1_709_164_800_000_000, None),
        ];
        for (text, clock, offset) in cases {
            assert_eq!(datetime(text), Some(Written { clock, offset }), "{text}");
        }
        for text in [
            "",
            "2024",
            "2024-1-5",
            "2024-13-01",
            "2023-02-29",
            "1900-02-29",
            "2024-04-31",
            "2024-01-15T",
            "2024-01-15T10",
            "2024-01-15T24:00",
            "2024-01-15T10:60",
            "2024-01-15T10:30:60",
            "2024-01-15T10:30:00.",
            "2024-01-15T10:30:00+2",
            "2024-01-15T10:30:00+24:00",
            "2024-01-15T10:30:00ZZ",
            "2024-01-15X10:30",
            "15.01.2024",
            "0000-01-01",
            "2024-01-1é",
        ] {
            assert_eq!(datetime(text), None, "{text}");
        }
        assert_eq!(Written { clock, offset: Some(3600) }.instant(7200), clock - 3_600_000_000);
        assert_eq!(Written { clock, offset: None }.instant(7200), clock - 7_200_000_000);
    }

    #[test]
    fn days_are_read_in_three_forms() {
        for text in ["2024-01-05", "2024/01/05", "01/05/2024", "1/5/2024", "2024/1/5", "2024-1-5", " 2024-01-05 "] {
            assert_eq!(date(text), Some(19_727), "{text}");
        }
        for text in [
            "",
            "05-01-2024",
            "2024-01-05T00:00:00",
            "13/01/2024",
            "2024-02-30",
            "24/01/05",
            "2024-01",
            "2024-01-05-",
            "1/5/24",
            "2024/01-05",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
        assert_eq!(lenient_date("05-01-2024"), Some(19_727));
    }
}
