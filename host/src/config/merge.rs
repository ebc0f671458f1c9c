//! `merge` of `load.yaml`, typed.

use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Brings staged rows into a canonical table, within the transaction of the load.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    /// The canonical table; `schema.table` where it is not in the load's schema.
    pub into: String,
    /// The staging table or view. Default: the table of the load.
    pub from: Option<String>,
    /// Columns of the canonical table that tell its rows apart.
    pub key: Vec<String>,
    /// Columns of the canonical table, each with the SQL over staged columns that makes its value. Default: all that both tables have.
    #[serde(default)]
    pub columns: BTreeMap<String, String>,
    /// SQL that a staged row must satisfy. Default: none.
    #[serde(rename = "where")]
    pub condition: Option<String>,
    /// SQL by which staged rows of one key are ordered: the one with the largest value is taken. Default: that with the largest values.
    pub latest_by: Option<String>,
    /// What becomes of a canonical row with the key of a staged one. Default: `update`.
    #[serde(default)]
    pub rule: MergeRule,
}

/// What becomes of a canonical row with the key of a staged one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MergeRule {
    /// It takes the staged values.
    #[default]
    Update,
    /// It takes those staged values that are not null.
    UpdateKnown,
    /// It takes staged values where it has none.
    Fill,
    /// It stays as it is.
    Keep,
}
