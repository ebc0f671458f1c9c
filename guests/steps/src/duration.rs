//! Lengths of time as users write them: `500ms`, `1m`, `1h30m`, `7d`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Units that a user may write, with their nanoseconds, from the longest.
const UNITS: [(&str, i64); 8] = [
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1000),
    ("ns", 1),
];

/// A length of time, zero or more, written as numbers with units: `500ms`, `1m`, `1h30m`, `7d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Duration {
    /// Its length in nanoseconds.
    pub nanoseconds: i64,
}

/// The text is no length of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseDurationError(pub String);

impl fmt::Display for ParseDurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseDurationError {}

impl FromStr for Duration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, ParseDurationError> {
        let wrong = |why: &str| Err(ParseDurationError(format!("`{text}` is not a length of time{why}")));
        let mut rest = text.trim();
        if rest == "0" {
            return Ok(Self::default());
        }
        if rest.is_empty() || rest.starts_with(|c: char| !c.is_ascii_digit()) {
            return wrong("");
        }
        let mut total: i64 = 0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (number, tail) = rest.split_at(digits);
            let tail = tail.trim_start();
            let letters = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            let Some((_, nanoseconds)) = UNITS.iter().find(|(name, _)| *name == unit) else {
                return match unit {
                    "" => wrong(": it lacks a unit"),
                    "M" | "mo" | "month" | "months" | "y" | "year" | "years" => wrong(": months and years are not all of one length"),
                    _ => wrong(&format!(": there is no unit `{unit}`")),
                };
            };
            let part = number.parse::<i64>().ok().and_then(|number| number.checked_mul(*nanoseconds));
            match part.and_then(|part| total.checked_add(part)) {
                Some(sum) => total = sum,
                None => return wrong(": it is longer than 292 years"),
            }
            rest = tail.trim_start();
        }
        Ok(Self { nanoseconds: total })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanoseconds == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.nanoseconds;
        for (unit, nanoseconds) in UNITS {
            if rest >= nanoseconds {
                write!(f, "{}{unit}", rest / nanoseconds)?;
                rest %= nanoseconds;
            }
        }
        Ok(())
    }
}

impl From<Duration> for String {
    fn from(value: Duration) -> Self {
        value.to_string()
    }
}

impl TryFrom<String> for Duration {
    type Error = ParseDurationError;

    fn try_from(text: String) -> Result<Self, ParseDurationError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::Duration;

    #[test]
    fn lengths_of_time_read_as_they_are_written() {
        let read = |text: &str| text.parse::<Duration>().map(|duration| duration.to_string()).map_err(|error| error.0);
        for (text, back) in
            [("1m", "1m"), ("90s", "1m30s"), ("1h 30m", "1h30m"), ("7d", "1w"), ("0", "0s"), ("250 ms", "250ms"), ("5us7ns", "5us7ns")]
        {
            assert_eq!(read(text).as_deref(), Ok(back), "{text}");
        }
        for (text, why) in [
            ("", ""),
            ("-1s", ""),
            ("soon", ""),
            ("60", ": it lacks a unit"),
            ("1 min", ": there is no unit `min`"),
            ("1M", ": months and years are not all of one length"),
            ("1m30", ": it lacks a unit"),
            ("1.5h", ": it lacks a unit"),
            ("300y", ": months and years are not all of one length"),
            ("20000w", ": it is longer than 292 years"),
        ] {
            assert_eq!(read(text), Err(format!("`{text}` is not a length of time{why}")));
        }
    }
}
