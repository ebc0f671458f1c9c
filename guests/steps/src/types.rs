//! The types of `convert`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A type that `convert` knows; written as text, in any case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Type {
    /// `str`, `string`: UTF-8 text.
    String,
    /// `int`, `integer`: 64-bit signed.
    Int,
    /// `float`, `double`, `number`, `numeric`: 64-bit.
    Float,
    /// `bool`, `boolean`.
    Bool,
    /// `datetime`: an instant in UTC, microseconds; a text without offset counts as UTC.
    Datetime,
    /// `date`: a day.
    Date,
    /// `decimal(p,s)`: exact, at most 38 digits.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point.
        scale: i8,
    },
    /// `timestamp`: microseconds without a zone; `timestamp(tz)`: an instant, shown in that zone, in which a text without offset is read.
    Timestamp {
        /// `UTC`, `+02:00` or an IANA name; absent = local time of nowhere.
        zone: Option<String>,
    },
    /// `json`: the text is JSON; the column holds canonical JSON text.
    Json,
}

/// The text is no type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseTypeError(pub String);

impl fmt::Display for ParseTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseTypeError {}

impl Type {
    /// Names that a user may write, for messages.
    pub const NAMES: [&str; 16] = [
        "str",
        "string",
        "int",
        "integer",
        "float",
        "double",
        "number",
        "numeric",
        "bool",
        "boolean",
        "datetime",
        "date",
        "decimal(p,s)",
        "timestamp",
        "timestamp(tz)",
        "json",
    ];
}

impl FromStr for Type {
    type Err = ParseTypeError;

    fn from_str(text: &str) -> Result<Self, ParseTypeError> {
        let text = text.trim();
        let (name, argument) = match text.split_once('(') {
            Some((name, rest)) => {
                let argument = rest.strip_suffix(')').ok_or_else(|| ParseTypeError(format!("`{text}` lacks a closing `)`")))?;
                (name.trim(), Some(argument.trim()))
            }
            None => (text, None),
        };
        let parsed = match (name.to_ascii_lowercase().as_str(), argument) {
            ("str" | "string", None) => Self::String,
            ("int" | "integer", None) => Self::Int,
            ("float" | "double" | "number" | "numeric", None) => Self::Float,
            ("bool" | "boolean", None) => Self::Bool,
            ("datetime", None) => Self::Datetime,
            ("date", None) => Self::Date,
            ("json", None) => Self::Json,
            ("timestamp", zone) => Self::Timestamp { zone: zone.map(str::to_owned) },
            ("decimal" | "numeric", Some(argument)) => {
                let wrong = || ParseTypeError(format!("`{text}` must read `decimal(p,s)` with p from 1 to 38 and s from 0 to p"));
                let (precision, scale) = argument.split_once(',').unwrap_or((argument, "0"));
                let precision: u8 = precision.trim().parse().map_err(|_| wrong())?;
                let scale: i8 = scale.trim().parse().map_err(|_| wrong())?;
                if !(1..=38).contains(&precision) || scale < 0 || scale as u8 > precision {
                    return Err(wrong());
                }
                Self::Decimal { precision, scale }
            }
            _ => return Err(ParseTypeError(format!("`{text}` is not a type; types are {}", Self::NAMES.join(", ")))),
        };
        Ok(parsed)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String => f.write_str("string"),
            Self::Int => f.write_str("int"),
            Self::Float => f.write_str("float"),
            Self::Bool => f.write_str("bool"),
            Self::Datetime => f.write_str("datetime"),
            Self::Date => f.write_str("date"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Timestamp { zone: None } => f.write_str("timestamp"),
            Self::Timestamp { zone: Some(zone) } => write!(f, "timestamp({zone})"),
            Self::Json => f.write_str("json"),
        }
    }
}

impl From<Type> for String {
    fn from(value: Type) -> Self {
        value.to_string()
    }
}

impl TryFrom<String> for Type {
    type Error = ParseTypeError;

    fn try_from(text: String) -> Result<Self, ParseTypeError> {
        text.parse()
    }
}
