//! Rules as the guest gets them: one test each, in the order in which they are judged.

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::OnInvalid;

/// The options of the `validate` guest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The rules in order. A row is refused for the first that it breaks; all that it breaks are counted.
    pub rules: Vec<Rule>,
    /// Bytes that the keys of unique rules may take.
    pub key_bytes: u64,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name in reports, such as `price.min`; no two of a step are the same.
    pub name: String,
    /// The column it is about.
    pub column: Option<String>,
    /// What must hold.
    pub test: Test,
    /// What becomes of a row that breaks it.
    pub on_error: OnInvalid,
    /// What to say of such a row, in place of our own words.
    pub message: Option<String>,
}

/// What must hold. Null satisfies every test but [`Test::Required`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Test {
    /// The column is there and the value is not null.
    Required,
    /// The text is not only blanks.
    NotBlank,
    /// The value is of a type, or reads as one.
    Type(Kind),
    /// The value is at least, or above, a limit.
    Min(Bound),
    /// The value is at most, or below, a limit.
    Max(Bound),
    /// The number is a multiple.
    MultipleOf(f64),
    /// Characters or items, at least.
    MinLength(u64),
    /// Characters or items, at most.
    MaxLength(u64),
    /// The text matches somewhere.
    Pattern(String),
    /// The text has a format of JSON Schema.
    Format(String),
    /// The value is one of these.
    OneOf(Vec<Value>),
    /// There is no column beside these.
    OnlyColumns(Vec<String>),
    /// The values of these columns, taken together, were not there before.
    Unique(Vec<String>),
    /// The JSONata expression over the row is true.
    Expression(String),
    /// The row, or those of its columns that are named, satisfies a JSON Schema.
    Schema {
        /// The schema.
        schema: Value,
        /// The columns that it speaks of; absent = it may speak of any.
        columns: Option<Vec<String>>,
    },
}

/// A limit of values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// The limit.
    pub limit: Limit,
    /// Whether the limit itself is refused.
    #[serde(default)]
    pub exclusive: bool,
}

/// What a value is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Limit {
    /// A number.
    Number(Number),
    /// A day or an instant, as [`crate::moment::instant`] reads it.
    Moment(String),
    /// The day on which the run started, UTC.
    Today,
    /// When the run started.
    Now,
}

impl Limit {
    /// Reads a limit as users write it; `None` where it is neither a number nor a moment.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => Some(Self::Number(number.clone())),
            Value::String(text) => match text.trim() {
                "today" => Some(Self::Today),
                "now" => Some(Self::Now),
                text if crate::moment::instant(text).is_some() => Some(Self::Moment(text.to_owned())),
                text => text.parse().ok().map(Self::Number),
            },
            _ => None,
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Moment(text) => f.write_str(text),
            Self::Today => f.write_str("today"),
            Self::Now => f.write_str("now"),
        }
    }
}

/// What a value is, or reads as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum Kind {
    /// Text; days and instants are text too, since JSON writes them so.
    #[serde(alias = "str", alias = "text")]
    String,
    /// A whole number.
    #[serde(alias = "int")]
    Integer,
    /// A number that is finite.
    #[serde(alias = "float", alias = "numeric", alias = "decimal")]
    Number,
    /// True or false; as text also `1 0 yes no on off`.
    #[serde(alias = "bool")]
    Boolean,
    /// A day.
    Date,
    /// A day with a time.
    #[serde(alias = "timestamp")]
    Datetime,
    /// An object.
    Object,
    /// A list.
    #[serde(alias = "list")]
    Array,
}

impl Kind {
    /// What a value is, in words for a person.
    pub fn words(self) -> &'static str {
        match self {
            Self::String => "a text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Date => "a date such as 2024-01-15",
            Self::Datetime => "a date with a time such as 2024-01-15T10:30:00Z",
            Self::Object => "an object",
            Self::Array => "a list",
        }
    }
}

/// Values of an enumeration that are shown.
const SHOWN_VALUES: usize = 10;

impl Test {
    /// What must hold, in a few words for a person: `at least 0`.
    pub fn words(&self) -> String {
        let bound = |bound: &Bound, inclusive: &str, exclusive: &str| {
            format!("{} {}", if bound.exclusive { exclusive } else { inclusive }, bound.limit)
        };
        match self {
            Self::Required => "not null".into(),
            Self::NotBlank => "not blank".into(),
            Self::Type(kind) => kind.words().into(),
            Self::Min(limit) => bound(limit, "at least", "above"),
            Self::Max(limit) => bound(limit, "at most", "below"),
            Self::MultipleOf(of) => format!("a multiple of {of}"),
            Self::MinLength(length) => format!("a length of at least {length}"),
            Self::MaxLength(length) => format!("a length of at most {length}"),
            Self::Pattern(pattern) => format!("a match of `{pattern}`"),
            Self::Format(format) => format!("of the format `{format}`"),
            Self::OneOf(values) => {
                let shown: Vec<String> = values.iter().take(SHOWN_VALUES).map(ToString::to_string).collect();
                let more = if values.len() > SHOWN_VALUES { format!(" or {} more", values.len() - SHOWN_VALUES) } else { String::new() };
                format!("one of {}{more}", shown.join(", "))
            }
            Self::OnlyColumns(columns) => format!("no column beside {}", columns.join(", ")),
            Self::Unique(_) => "once in the data".into(),
            Self::Expression(expression) => format!("`{expression}`"),
            Self::Schema { .. } => "as the JSON Schema has it".into(),
        }
    }

    /// The rule's name without its column, such as `min`: the code of a dead letter.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::NotBlank => "not_blank",
            Self::Type(_) => "type",
            Self::Min(_) => "min",
            Self::Max(_) => "max",
            Self::MultipleOf(_) => "multiple_of",
            Self::MinLength(_) => "min_length",
            Self::MaxLength(_) => "max_length",
            Self::Pattern(_) => "pattern",
            Self::Format(_) => "format",
            Self::OneOf(_) => "enum",
            Self::OnlyColumns(_) => "only_columns",
            Self::Unique(_) => "unique",
            Self::Expression(_) => "check",
            Self::Schema { .. } => "schema",
        }
    }
}
