//! The simple operations and rules as data: what the host checks and the guests run.
//!
//! The host lowers a `transform.yaml` to [`Options`] and hands them to the guest as JSON; both ends use these types,
//! so that a text (a type's name, an expression) is read by one parser.

pub mod aggregate;
mod duration;
pub mod expr;
pub mod flatten;
pub mod jsonata;
pub mod moment;
mod types;
pub mod validate;

pub use duration::{Duration, ParseDurationError};
pub use types::{ParseTypeError, Type};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The options of the `ops` guest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The steps in the order in which they run.
    pub steps: Vec<Step>,
    /// Values that `env(NAME)` may see: only those granted, read by the host.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Whether the columns are no more than those of the rows at hand, so that others may come later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// One simple operation. Lists of pairs keep the order in which the user wrote them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Old name, new name; all pairs at once, positions kept. Absent sources are counted as `missing_column.<name>`.
    Rename(Vec<(String, String)>),
    /// Columns to types. An absent column is counted as `missing_column.<name>`.
    Convert {
        /// Column, type.
        fields: Vec<(String, Type)>,
        /// What becomes of a value that does not convert.
        on_error: OnConvertError,
    },
    /// Column, value for missing or null; an absent column is added.
    Defaults(Vec<(String, Value)>),
    /// Column, literal or expression (a string, see [`expr`]); in order, each sees the earlier ones.
    Add(Vec<(String, Value)>),
    /// Column, the value that every row has in it, whatever it had; a text is no expression.
    Set(Vec<(String, Value)>),
    /// Columns to keep, in this order. An absent one is a mistake, unless the source is empty and has no columns.
    Select(Vec<String>),
    /// Columns to drop; absent ones are ignored.
    Drop(Vec<String>),
    /// Rows to keep.
    Filter(Filter),
    /// Look-up of a column's values.
    Map {
        /// The column.
        field: String,
        /// Value as text, replacement.
        mapping: Vec<(String, Value)>,
        /// For values that are not in the mapping, null among them; absent = the value stays.
        #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
        default: Option<Value>,
    },
    /// One row an item of the list in this column.
    Unnest(String),
    /// Columns to fill where null; `@now`, `@utcnow`, `@week_start`, `@week_end` stand for dates of the run's start.
    FillNull(Vec<(String, Value)>),
}

/// Keeps a null apart from what is absent.
fn some<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// What becomes of a value that does not convert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum OnConvertError {
    /// The row goes to the dead letters.
    #[default]
    Reject,
    /// The value becomes null.
    Null,
    /// The value stays; the column becomes text.
    Keep,
}

/// A comparison of a column with a value. Null compares false, except in `is_null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The column.
    pub field: String,
    /// The comparison.
    pub operator: Operator,
    /// What to compare with; a list for `in` and `not_in`; absent for `is_null` and `is_not_null`.
    #[serde(default)]
    pub value: Value,
}

/// How a filter compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum Operator {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
    /// One of a list.
    In,
    /// None of a list.
    NotIn,
    /// The text has the value in it, or the list has it as an item.
    Contains,
    /// The opposite of `contains`.
    NotContains,
    /// Null or absent.
    IsNull,
    /// Neither null nor absent.
    IsNotNull,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_of_null_is_another_than_none() {
        for default in [None, Some(Value::Null), Some(Value::from(3))] {
            let step = Step::Map { field: "n".into(), mapping: Vec::new(), default };
            let text = serde_json::to_string(&step).unwrap();
            assert_eq!(serde_json::from_str::<Step>(&text).unwrap(), step, "{text}");
        }
    }
}
