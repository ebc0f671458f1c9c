//! Times as a person gives them.

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime, Utc};

/// Reads a day, an instant, or so long ago. What has no zone is UTC, as the letters are.
pub(super) fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let wrong = || "must read as 2026-01-31, 2026-01-31T12:00:00Z, or so long ago as 30m, 12h or 7d".to_owned();
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok(instant.into());
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(chrono::NaiveTime::MIN).and_utc());
    }
    if let Ok(local) = text.replacen(' ', "T", 1).parse::<NaiveDateTime>() {
        return Ok(local.and_utc());
    }
    let (number, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let ago = match unit {
        "s" => Duration::try_seconds(number),
        "m" => Duration::try_minutes(number),
        "h" => Duration::try_hours(number),
        "d" => Duration::try_days(number),
        "w" => Duration::try_weeks(number),
        _ => None,
    };
    ago.filter(|_| number >= 0).and_then(|ago| Utc::now().checked_sub_signed(ago)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::instant;

    #[test]
    fn a_day_an_instant_and_so_long_ago_are_times_and_nothing_else_is() {
        for (text, read) in [
            ("2026-01-31", "2026-01-31T00:00:00+00:00"),
            ("2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00+00:00"),
            ("2026-01-31 12:30:00", "2026-01-31T12:30:00+00:00"),
        ] {
            assert_eq!(instant(text).unwrap().to_rfc3339(), read);
        }
        let then = instant("12h").unwrap();
        let ago = chrono::Utc::now() - then;
        assert!((12 * 3600..12 * 3600 + 60).contains(&ago.num_seconds()), "{ago}");
        for text in ["", "h", "-1h", "1y", "yesterday", "2026-02-30", "9999999999999d", "12ħ"] {
            assert!(instant(text).is_err(), "{text}");
        }
    }
}
