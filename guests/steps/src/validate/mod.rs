//! Rules that rows must satisfy, as data: what users write under `validate` and `validation`, lowered, and what the guest is given.

#[cfg(feature = "patterns")]
mod pattern;
mod rule;

#[cfg(feature = "patterns")]
pub use pattern::{PatternError, compile};
pub use rule::{Bound, Kind, Limit, Options, Rule, Test};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What becomes of a row that breaks a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum OnInvalid {
    /// The run fails.
    #[default]
    Fail,
    /// It goes on, and is counted.
    Warn,
    /// It is left out, and is counted.
    Skip,
    /// It goes to the dead letters, with the rule and the column.
    Quarantine,
}

/// The rules of one column, all of which hold. Null satisfies every rule but `required`.
///
/// A column of text is read as what a rule speaks of: the text `12.5` is a number, `2024-01-15` a date.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct ColumnRules {
    /// Whether null is refused, and with it a column that is not there. Default: false.
    pub required: bool,
    /// Whether a text of nothing but blanks is refused. Default: false.
    pub not_blank: bool,
    /// What a value is or reads as: `string`, `integer`, `number`, `boolean`, `date`, `datetime`, `object` or `array`.
    #[serde(rename = "type")]
    pub kind: Option<Kind>,
    /// The least value: a number, a date, an instant, `today` or `now` (the run's start).
    pub min: Option<Value>,
    /// The greatest value, as `min`.
    pub max: Option<Value>,
    /// A value that all must be above, as `min`.
    pub exclusive_min: Option<Value>,
    /// A value that all must be below, as `min`.
    pub exclusive_max: Option<Value>,
    /// A number that every value is a multiple of.
    pub multiple_of: Option<f64>,
    /// Characters of a text, or items of a list, at least.
    pub min_length: Option<u64>,
    /// Characters of a text, or items of a list, at most.
    pub max_length: Option<u64>,
    /// Regular expression that the text matches somewhere; `^` and `$` pin it to its ends. It has no look-around and no back-references, so that it cannot hang.
    pub pattern: Option<String>,
    /// Format of a text, as JSON Schema names it: `date`, `date-time`, `time`, `duration`, `email`, `hostname`, `ipv4`, `ipv6`, `uri`, `uuid` …
    pub format: Option<String>,
    /// The values that there may be.
    #[serde(rename = "enum")]
    pub values: Option<Vec<Value>>,
    /// Whether every value stands in the data once. Default: false.
    pub unique: bool,
    /// What becomes of a row that breaks one of these rules. Default: what the step says.
    pub on_error: Option<OnInvalid>,
    /// What to say of such a row, in place of our own words.
    pub message: Option<String>,
}

/// Columns whose values, taken together, stand in the data once. A row in which one of them is null is not judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct UniqueKey {
    /// The columns.
    pub columns: Vec<String>,
    /// Its name in reports. Default: `unique(columns)`.
    #[serde(default)]
    pub name: Option<String>,
    /// What becomes of a row whose key was there before. Default: what the step says.
    #[serde(default)]
    pub on_error: Option<OnInvalid>,
    /// What to say of such a row, in place of our own words.
    #[serde(default)]
    pub message: Option<String>,
}

/// A rule over several columns of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Check {
    /// JSONata expression over the row, such as `qty * price = total`; the row is refused where the answer is not true, in JSONata's sense of `$boolean`.
    pub expression: String,
    /// Its name in reports. Default: `check_1`, `check_2` …
    #[serde(default)]
    pub name: Option<String>,
    /// What becomes of a row that fails it. Default: what the step says.
    #[serde(default)]
    pub on_error: Option<OnInvalid>,
    /// What to say of such a row, in place of our own words.
    #[serde(default)]
    pub message: Option<String>,
}

/// What the data must come to as a whole; where it does not, the verdict is FAIL and nothing of the output is shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Thresholds {
    /// Share of rows, 0 to 1, that may be refused: skipped or quarantined. Default: no limit.
    pub error_rate: Option<f64>,
    /// Quality score, 0 to 100, at least: the share of rows that break no rule, those that only warn included. Default: no limit.
    pub quality: Option<f64>,
    /// Column to the share of its values, 0 to 1, that are not null, at least. Default: no limit.
    pub completeness: BTreeMap<String, f64>,
}

/// A `validate` step as it is written; `validation` of an extract or a load has the same keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Validate {
    /// Column to its rules; a list of them where `on_error` or `message` differ.
    pub rules: BTreeMap<String, ColumnRules>,
    /// Keys that stand in the data once: `[[id], [order, line]]`.
    pub unique: Vec<UniqueKey>,
    /// Rules over several columns.
    pub checks: Vec<Check>,
    /// File with a JSON Schema that each row must satisfy, relative to the contract directory.
    pub schema_path: Option<String>,
    /// The JSON Schema itself, in place of `schema_path`.
    pub schema: Option<Value>,
    /// What becomes of a row that breaks a rule. Default: `quarantine` in a step, `fail` in `validation`.
    pub on_error: Option<OnInvalid>,
    /// What the data must come to as a whole. Default: nothing.
    pub thresholds: Thresholds,
}
