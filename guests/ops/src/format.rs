//! Values to texts: how numbers, days and instants are written.

use std::sync::Arc;

use crate::instant;

/// The zone in which instants are shown and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zone {
    /// A clock time of nowhere.
    None,
    /// UTC, written `Z`.
    Utc,
    /// Seconds east of UTC.
    Fixed(i32),
}

impl Zone {
    /// Reads the zone of a column; a region such as `Europe/Berlin` answers `None`, because its rules are not in here.
    pub(crate) fn of(zone: Option<&Arc<str>>) -> Option<Self> {
        zone.map_or(Some(Self::None), |zone| Self::parse(zone))
    }

    /// Reads `UTC` or a fixed offset.
    pub(crate) fn parse(zone: &str) -> Option<Self> {
        let zone = zone.trim();
        if ["utc", "z", "gmt", "etc/utc", "etc/gmt"].iter().any(|name| zone.eq_ignore_ascii_case(name)) {
            return Some(Self::Utc);
        }
        match instant::offset(zone.as_bytes())? {
            0 => Some(Self::Utc),
            seconds => Some(Self::Fixed(seconds)),
        }
    }

    /// Seconds east of UTC.
    pub(crate) fn seconds(self) -> i32 {
        match self {
            Self::None | Self::Utc => 0,
            Self::Fixed(seconds) => seconds,
        }
    }

    /// The name that a column's type carries.
    pub(crate) fn name(self) -> Option<Arc<str>> {
        match self {
            Self::None => None,
            Self::Utc => Some("UTC".into()),
            Self::Fixed(_) => {
                let mut name = Vec::new();
                self.write(&mut name);
                Some(String::from_utf8_lossy(&name).into())
            }
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::Utc => out.push(b'Z'),
            Self::Fixed(seconds) => {
                out.push(if seconds < 0 { b'-' } else { b'+' });
                let minutes = seconds.unsigned_abs() / 60;
                two(out, minutes / 60);
                out.push(b':');
                two(out, minutes % 60);
            }
        }
    }
}

#[inline]
fn two(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&[b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8]);
}

/// Splits days since 1970 into year, month, day (Hinnant, "chrono-compatible low-level date algorithms").
pub(crate) fn civil(days: i32) -> (i32, u32, u32) {
    let days = i64::from(days) + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097) as u32);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    ((era * 400) as i32 + year as i32 + i32::from(month <= 2), month, day)
}

/// Writes `YYYY-MM-DD`.
pub(crate) fn date(out: &mut Vec<u8>, days: i32) {
    let (year, month, day) = civil(days);
    match u32::try_from(year) {
        Ok(year) if year <= 9999 => {
            two(out, year / 100);
            two(out, year % 100);
        }
        _ => out.extend_from_slice(format!("{year:+05}").as_bytes()),
    }
    out.push(b'-');
    two(out, month);
    out.push(b'-');
    two(out, day);
}

/// Writes `HH:MM:SS` and a fraction of 3 or 6 digits where there is one.
pub(crate) fn time(out: &mut Vec<u8>, micros: i64) {
    let seconds = (micros / 1_000_000) as u32;
    two(out, seconds / 3600);
    out.push(b':');
    two(out, seconds / 60 % 60);
    out.push(b':');
    two(out, seconds % 60);
    let fraction = (micros % 1_000_000) as u32;
    if fraction != 0 {
        out.push(b'.');
        out.push(b'0' + (fraction / 100_000) as u8);
        two(out, fraction / 1000);
        if !fraction.is_multiple_of(1000) {
            out.push(b'0' + (fraction / 100 % 10) as u8);
            two(out, fraction);
        }
    }
}

/// Writes an instant as ISO 8601 in its zone: `2024-01-15T10:30:00.250Z`.
pub(crate) fn timestamp(out: &mut Vec<u8>, micros: i64, zone: Zone) {
    let clock = micros.saturating_add(i64::from(zone.seconds()) * 1_000_000);
    date(out, day_of(clock));
    out.push(b'T');
    time(out, clock.rem_euclid(86_400_000_000));
    zone.write(out);
}

/// The day, since 1970, of microseconds since 1970.
pub(crate) fn day_of(micros: i64) -> i32 {
    micros.div_euclid(86_400_000_000) as i32
}

/// Writes an unscaled decimal with its point.
pub(crate) fn decimal(out: &mut Vec<u8>, value: i128, scale: i8) {
    if value < 0 {
        out.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value.unsigned_abs()).as_bytes();
    let Ok(scale) = usize::try_from(scale) else {
        out.extend_from_slice(digits);
        if value != 0 {
            out.extend(std::iter::repeat_n(b'0', scale.unsigned_abs().into()));
        }
        return;
    };
    let whole = digits.len().saturating_sub(scale);
    out.extend_from_slice(if whole == 0 { b"0" } else { &digits[..whole] });
    if scale > 0 {
        out.push(b'.');
        out.extend(std::iter::repeat_n(b'0', scale.saturating_sub(digits.len())));
        out.extend_from_slice(&digits[whole..]);
    }
}

/// Writes a float with the fewest digits that read back the same: `1.0`, `0.1`, `1e+16`, `NaN`, `inf`.
pub(crate) fn float(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(value.to_string().as_bytes());
    }
}

/// As [`float`], with the digits that a 32-bit float has.
pub(crate) fn float32(out: &mut Vec<u8>, value: f32) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(value.to_string().as_bytes());
    }
}

/// Writes a text as JSON.
pub(crate) fn json_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing to memory does not fail");
}

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Writes an instant in UTC as a `strftime` format says; knows the directives of [`etl_steps::expr::STRFTIME_DIRECTIVES`].
pub(crate) fn strftime(format: &str, micros: i64) -> String {
    let days = day_of(micros);
    let (year, month, day) = civil(days);
    let weekday = (days + 3).rem_euclid(7) as usize;
    let seconds = micros.rem_euclid(86_400_000_000) / 1_000_000;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let hour12 = (hour + 11) % 12 + 1;
    let mut out = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        out += &match characters.next() {
            Some('Y') => format!("{year:04}"),
            Some('m') => format!("{month:02}"),
            Some('d') => format!("{day:02}"),
            Some('e') => format!("{day:2}"),
            Some('H') => format!("{hour:02}"),
            Some('I') => format!("{hour12:02}"),
            Some('M') => format!("{minute:02}"),
            Some('S') => format!("{second:02}"),
            Some('f') => format!("{:06}", micros.rem_euclid(1_000_000)),
            Some('p') => (if hour < 12 { "AM" } else { "PM" }).into(),
            Some('j') => format!("{:03}", days - instant::days(year.clamp(1, 9999) as u32, 1, 1).unwrap_or(days) + 1),
            Some('y') => format!("{:02}", year.rem_euclid(100)),
            Some('B') => MONTHS[month as usize - 1].into(),
            Some('b') => MONTHS[month as usize - 1][..3].into(),
            Some('A') => WEEKDAYS[weekday].into(),
            Some('a') => WEEKDAYS[weekday][..3].into(),
            Some('u') => (weekday + 1).to_string(),
            Some('w') => ((weekday + 1) % 7).to_string(),
            Some('z') => "+0000".into(),
            Some('Z') => "UTC".into(),
            Some('s') => micros.div_euclid(1_000_000).to_string(),
            Some('F') => format!("{year:04}-{month:02}-{day:02}"),
            Some('D') => format!("{month:02}/{day:02}/{:02}", year.rem_euclid(100)),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('R') => format!("{hour:02}:{minute:02}"),
            Some(other) => other.into(),
            None => break,
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("utf-8")
    }

    #[test]
    fn days_read_back_as_they_were_written() {
        for day in (-719_162..2_932_896).step_by(997).chain([-719_162, -1, 0, 2_932_896]) {
            let text = written(|out| date(out, day));
            assert_eq!(instant::date(&text), Some(day), "{text}");
        }
    }

    #[test]
    fn instants_show_their_zone_and_only_the_fraction_they_have() {
        let noon = 1_705_320_000_000_000;
        let cases = [
            (noon, Zone::Utc, "2024-01-15T12:00:00Z"),
            (noon + 250_000, Zone::Utc, "2024-01-15T12:00:00.250Z"),
            (noon + 1, Zone::None, "2024-01-15T12:00:00.000001"),
            (noon, Zone::Fixed(-19_800), "2024-01-15T06:30:00-05:30"),
            (-1, Zone::Utc, "1969-12-31T23:59:59.999999Z"),
            (noon, Zone::Fixed(7200), "2024-01-15T14:00:00+02:00"),
        ];
        for (micros, zone, text) in cases {
            assert_eq!(written(|out| timestamp(out, micros, zone)), text);
        }
    }

    #[test]
    fn zones_are_utc_or_fixed() {
        assert_eq!(["UTC", "z", "+00:00", "Etc/UTC"].map(Zone::parse), [Some(Zone::Utc); 4]);
        assert_eq!(
            ["+02:00", "-0530", "Europe/Berlin", ""].map(Zone::parse),
            [Some(Zone::Fixed(7200)), Some(Zone::Fixed(-19_800)), None, None]
        );
        assert_eq!(Zone::Fixed(-19_800).name().as_deref(), Some("-05:30"));
    }

    #[test]
    fn numbers_keep_their_digits() {
        let cases = [(1999, 2, "19.99"), (-5, 2, "-0.05"), (0, 2, "0.00"), (7, 0, "7"), (-120, -2, "-12000"), (123, 5, "0.00123")];
        for (value, scale, text) in cases {
            assert_eq!(written(|out| decimal(out, value, scale)), text);
        }
        let cases = [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (-2.5e-9, "-2.5e-9"),
            (1e16, "1e+16"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
            (-0.0, "-0.0"),
            (123456.789, "123456.789"),
        ];
        for (value, text) in cases {
            assert_eq!(written(|out| float(out, value)), text);
        }
    }

    #[test]
    fn strftime_knows_its_directives() {
        let micros = 1_705_325_407_000_042; // Monday, 2024-01-15 13:30:07.000042
        assert_eq!(strftime("%Y-%m-%dT%H:%M:%S.%f%z", micros), "2024-01-15T13:30:07.000042+0000");
        assert_eq!(
            strftime("%A %a %B %b %e %I%p %j %y %u %w %s %F %T %D %R %Z 100%%", micros),
            "Monday Mon January Jan 15 01PM 015 24 1 1 1705325407 2024-01-15 13:30:07 01/15/24 13:30 UTC 100%"
        );
    }
}
