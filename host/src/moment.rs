//! Days, times and instants read from texts: exactly, or not at all. A database would drop what its column has no place for.

use chrono::{Duration, NaiveDate, NaiveTime};

/// Nanoseconds of a day.
const DAY: i64 = 86_400_000_000_000;

/// Days since 1970 of `2024-06-19`, or of its midnight.
pub(crate) fn date(text: &str) -> Option<i32> {
    let text = text.trim();
    let (day, rest) = day(text)?;
    let midnight = rest.is_empty() || matches!(rest.as_bytes()[0], b'T' | b't' | b' ') && time(&rest[1..]) == Some(0);
    midnight.then_some(day)
}

/// Microseconds since midnight of `01:58`, `01:58:32` or `01:58:32.25`.
pub(crate) fn time(text: &str) -> Option<i64> {
    let (nanos, rest) = clock(text.trim())?;
    (rest.is_empty() && nanos % 1000 == 0).then_some(nanos / 1000)
}

/// Microseconds since 1970 of `2024-06-19T01:58:32.25+02:00`; without an offset the clock shows UTC, without a time it is midnight.
pub(crate) fn instant(text: &str) -> Option<i64> {
    let nanos = nanoseconds(text)?;
    (nanos % 1000 == 0).then(|| i64::try_from(nanos / 1000).ok())?
}

/// Nanoseconds since 1970 of such an instant.
pub(crate) fn nanoseconds(text: &str) -> Option<i128> {
    let (day, rest) = day(text.trim())?;
    let midnight = i128::from(day) * i128::from(DAY);
    let Some(rest) = rest.strip_prefix(['T', 't', ' ']) else { return rest.is_empty().then_some(midnight) };
    let (nanos, rest) = clock(rest)?;
    Some(midnight + i128::from(nanos - zone(rest)?))
}

/// An instant so many nanoseconds earlier, or a little more, written as the text is: what it does not show is cut off.
pub(crate) fn earlier(text: &str, lag: i64) -> Option<String> {
    let text = text.trim();
    let (day, rest) = day(text)?;
    let (nanos, between, written, zoned) = match rest.strip_prefix(['T', 't', ' ']) {
        None if rest.is_empty() => (0, "", "", ""),
        None => return None,
        Some(written) => {
            let (nanos, zoned) = clock(written)?;
            zone(zoned)?;
            (nanos, &rest[..1], &written[..written.len() - zoned.len()], zoned)
        }
    };
    let left = i128::from(day) * i128::from(DAY) + i128::from(nanos) - i128::from(lag);
    let (days, nanos) = (left.div_euclid(i128::from(DAY)), left.rem_euclid(i128::from(DAY)) as i64);
    let day = NaiveDate::default().checked_add_signed(Duration::days(i64::try_from(days).ok()?))?;
    let seconds = nanos / 1_000_000_000;
    let clock = format!("{:02}:{:02}:{:02}.{:09}", seconds / 3600, seconds / 60 % 60, seconds % 60, nanos % 1_000_000_000);
    Some(format!("{}{between}{}{zoned}", day.format("%Y-%m-%d"), &clock[..written.len().min(clock.len())]))
}

/// A day, and what stands behind it.
fn day(text: &str) -> Option<(i32, &str)> {
    let (first, rest) = text.split_at_checked(10)?;
    let shaped = first.bytes().enumerate().all(|(at, byte)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() });
    let number = |from: usize, to: usize| first[from..to].parse::<u32>().ok();
    let date = shaped.then(|| NaiveDate::from_ymd_opt(number(0, 4)?.try_into().ok()?, number(5, 7)?, number(8, 10)?))??;
    // PostgreSQL and MySQL have no year 0.
    let days = date.signed_duration_since(NaiveDate::default()).num_days();
    (number(0, 4)? > 0).then(|| Some((i32::try_from(days).ok()?, rest)))?
}

/// The nanoseconds of a time, and what stands behind it.
fn clock(text: &str) -> Option<(i64, &str)> {
    let two = |text: &str| {
        let (digits, _) = text.split_at_checked(2)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u32>().ok())?
    };
    let (hour, minute) = (two(text)?, two(text.get(2..)?.strip_prefix(':')?)?);
    let rest = &text[5..];
    let Some(seconds) = rest.strip_prefix(':') else {
        return NaiveTime::from_hms_opt(hour, minute, 0).map(|_| (i64::from(hour * 3600 + minute * 60) * 1_000_000_000, rest));
    };
    let (second, mut rest) = (two(seconds)?, &seconds[2..]);
    let mut nanos = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
        let digits = fraction[..end].trim_end_matches('0');
        if end == 0 || digits.len() > 9 {
            return None;
        }
        nanos = format!("{digits:0<9}").parse().ok()?;
        rest = &fraction[end..];
    }
    NaiveTime::from_hms_opt(hour, minute, second)?;
    Some((i64::from(hour * 3600 + minute * 60 + second) * 1_000_000_000 + nanos, rest))
}

/// Nanoseconds of what stands behind a time: an offset, `Z` or nothing.
fn zone(text: &str) -> Option<i64> {
    match text.trim_start() {
        "" | "Z" | "z" => Some(0),
        text => offset(text),
    }
}

/// Nanoseconds of `+02:00`, `+0200` or `+02`.
fn offset(text: &str) -> Option<i64> {
    let sign = match text.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = text[1..].replacen(':', "", usize::from(text.len() == 6));
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hours: i64 = digits[..2].parse().ok()?;
    let minutes: i64 = digits.get(2..).filter(|rest| !rest.is_empty()).map_or(Some(0), |rest| rest.parse().ok())?;
    (hours < 16 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60) * 1_000_000_000)
}

/// Spells a day or an instant, which starts at `start`, as PostgreSQL does: it counts years before the first one as people do, and knows no sign.
pub(crate) fn with_era(out: &mut Vec<u8>, start: usize) {
    match out[start] {
        b'+' => drop(out.remove(start)),
        b'-' | b'0' if out[start] == b'-' || out[start..].starts_with(b"0000-") => {
            let signed = usize::from(out[start] == b'-');
            let end = start + signed + memchr::memchr(b'-', &out[start + signed..]).unwrap_or(0);
            let year: u32 = std::str::from_utf8(&out[start + signed..end]).ok().and_then(|year| year.parse().ok()).unwrap_or_default();
            out.splice(start..end, format!("{:04}", year + 1).into_bytes());
            out.extend_from_slice(b" BC");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_column_has_no_place_for_is_not_dropped() {
        assert_eq!(date("2024-02-29"), Some(19_782));
        assert_eq!(date("2024-02-29 00:00:00"), Some(19_782));
        for text in
            ["2024-02-30", "2024-01-01 12:34:56", "2024-01-01T23:30:00-05:00", "today 12:00", "0044-03-15 BC", "24-01-01", "0000-01-01", ""]
        {
            assert_eq!(date(text), None, "{text}");
        }
        assert_eq!((time("10:11"), time("10:11:12.250000000"), time("00:00")), (Some(36_660_000_000), Some(36_672_250_000), Some(0)));
        for text in ["24:00:00", "23:59:59.9999999", "2024-01-01 10:11:12", "10:00+05", "10", "1:00", "10:00:60"] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn an_offset_counts() {
        let noon = Some(1_704_110_400_000_000);
        for text in
            ["2024-01-01T12:00:00Z", "2024-01-01 12:00", "2024-01-01T17:00:00+05:00", "2024-01-01T07:30:00-0430", "2024-01-01 14:00:00 +02"]
        {
            assert_eq!(instant(text), noon, "{text}");
        }
        assert_eq!(instant("2024-01-01"), Some(1_704_067_200_000_000));
        assert_eq!(instant("2024-01-01T00:00:00.000001Z"), Some(1_704_067_200_000_001));
        for text in [
            "2024-01-01T00:00:00.1234567Z",
            "now",
            "2024-01-01T12:00:00 Europe/Bern",
            "2024-01-01T",
            "2024-01-01T12:00:00+5",
            "2024-01-01ü",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
    }

    #[test]
    fn an_instant_is_made_earlier_in_the_form_that_it_has() {
        let hour = 3_600_000_000_000;
        for (text, before) in [
            ("2024-03-01", "2024-02-29"),
            ("2024-03-01 00:30:00.250", "2024-02-29 23:30:00.250"),
            ("2024-03-01T00:30:00Z", "2024-02-29T23:30:00Z"),
            ("2024-03-01T00:30:00+02:00", "2024-02-29T23:30:00+02:00"),
            ("2024-03-01T10:30-0500", "2024-03-01T09:30-0500"),
            ("2024-03-01T10:00:00.123456789 +02", "2024-03-01T09:00:00.123456789 +02"),
        ] {
            assert_eq!(earlier(text, hour).as_deref(), Some(before));
        }
        // Rather too early than too late.
        assert_eq!(earlier("2024-03-01T10:30:00Z", 1).as_deref(), Some("2024-03-01T10:29:59Z"));
        assert_eq!((earlier("yesterday", 1), earlier("2024-03-01T10:30:00 Europe/Bern", 1)), (None, None));
    }
}
