//! Days and instants as users write them in rules: `2024-01-15`, `2024-01-15T10:30:00Z`.

const DAY_MICROS: i64 = 86_400_000_000;

/// Reads a day, `YYYY-MM-DD`, as days since 1970.
pub fn day(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    days(number(&bytes[..4])?, number(&bytes[5..7])?, number(&bytes[8..])?)
}

/// Reads a day or an ISO 8601 instant as microseconds since 1970 UTC; a text without offset is read as UTC.
pub fn instant(text: &str) -> Option<i64> {
    let text = text.trim();
    let (date, rest) = (text.get(..10)?, &text[10..]);
    let midnight = i64::from(day(date)?) * DAY_MICROS;
    let Some(separator) = rest.bytes().next() else { return Some(midnight) };
    if !matches!(separator, b'T' | b't' | b' ') {
        return None;
    }
    let end = rest[1..].find(['Z', 'z', '+', '-']).map_or(rest.len(), |at| at + 1);
    let (clock, offset) = (rest[1..end].trim_end(), &rest[end..]);
    let micros = midnight + time(clock)?;
    Some(micros - i64::from(offset_seconds(offset)?) * 1_000_000)
}

/// Writes a day as `YYYY-MM-DD`.
pub fn show_day(day: i32) -> String {
    let shifted = i64::from(day) + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + i64::from(month <= 2))
}

/// Writes microseconds since 1970 as ISO 8601, without an offset and with the fraction that there is.
pub fn show_instant(micros: i64) -> String {
    let (day, rest) = (micros.div_euclid(DAY_MICROS), micros.rem_euclid(DAY_MICROS));
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let day = show_day(i32::try_from(day).unwrap_or(i32::MAX));
    let clock = format!("{day}T{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    match fraction {
        0 => clock,
        _ if fraction % 1000 == 0 => format!("{clock}.{:03}", fraction / 1000),
        _ => format!("{clock}.{fraction:06}"),
    }
}

/// Reads `HH:MM[:SS[.fraction]]` as microseconds.
fn time(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let two = |part: &str| (part.len() == 2).then(|| number(part.as_bytes())).flatten();
    let (hour, minute) = (two(parts.next()?)?, two(parts.next()?)?);
    let (mut second, mut fraction) = (0, 0);
    if let Some(part) = parts.next() {
        let (whole, digits) = part.split_once(['.', ',']).map_or((part, None), |(whole, digits)| (whole, Some(digits)));
        second = two(whole)?;
        if let Some(digits) = digits {
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let six: String = digits.chars().chain("000000".chars()).take(6).collect();
            fraction = i64::from(number(six.as_bytes())?);
        }
    }
    let sound = hour < 24 && minute < 60 && second < 60;
    sound.then(|| (i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second)) * 1_000_000 + fraction)
}

/// Reads `Z`, `±hh`, `±hhmm`, `±hh:mm` or nothing as seconds east of UTC.
fn offset_seconds(text: &str) -> Option<i32> {
    let (sign, digits) = match text.as_bytes() {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', ..] => (1, &text[1..]),
        [b'-', ..] => (-1, &text[1..]),
        _ => return None,
    };
    let digits = digits.replacen(':', "", 1);
    let (hours, minutes) = match digits.len() {
        2 => (number(digits.as_bytes())?, 0),
        4 => (number(&digits.as_bytes()[..2])?, number(&digits.as_bytes()[2..])?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then(|| sign * (hours * 3600 + minutes * 60) as i32)
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, years 1 to 9999; `None` where there is no such day.
fn days(year: u32, month: u32, day: u32) -> Option<i32> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year == 0 || day == 0 || day > length {
        return None;
    }
    // Hinnant, "chrono-compatible low-level date algorithms": years begin in March.
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted / 400, shifted % 400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    Some((era * 146_097 + of_era) as i32 - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_instants_read_as_iso_8601_has_them() {
        let cases = [("1970-01-01", Some(0)), ("2000-02-29", Some(11_016)), ("2024-01-15", Some(19_737)), ("1969-12-31", Some(-1))];
        assert_eq!(cases.map(|(text, _)| day(text)), cases.map(|(_, days)| days));
        for wrong in ["2023-02-29", "2024-13-01", "2024-00-01", "2024-01-00", "24-01-15", "2024-1-15", "2024-01-1x", "0000-01-01", ""] {
            assert_eq!(day(wrong), None, "{wrong}");
        }
        for days in (-719_162..2_932_896).step_by(991) {
            assert_eq!(day(&show_day(days)), Some(days));
        }
        for micros in [0, -1, 1_705_320_000_250_000, 1_705_320_000_000_001] {
            assert_eq!(instant(&show_instant(micros)), Some(micros));
        }
        assert_eq!(show_instant(1_705_320_000_250_000), "2024-01-15T12:00:00.250");
        let noon = 19_737 * DAY_MICROS + 43_200_000_000;
        let same =
            ["2024-01-15T12:00:00Z", "2024-01-15 12:00", "2024-01-15T14:00:00+02:00", "2024-01-15T06:30-0530", "2024-01-15T12:00:00.000z"];
        assert_eq!(same.map(instant), [Some(noon); 5]);
        assert_eq!(instant("2024-01-15T12:00:00.25Z"), Some(noon + 250_000));
        for wrong in [
            "2024-01-15T",
            "2024-01-15T24:00",
            "2024-01-15T12",
            "2024-01-15T12:00:60Z",
            "2024-01-15X12:00",
            "2024-01-15T12:00+2",
            "ä",
            "2024-01-1ä",
        ] {
            assert_eq!(instant(wrong), None, "{wrong}");
        }
    }
}
