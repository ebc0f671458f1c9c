//! `settings.yaml`, typed.

use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::database::Connection;

/// What holds for the whole pipeline.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Name of the pipeline. Default: the name of its directory.
    pub name: Option<String>,
    /// Where rows go that are refused, unless `load.yaml` says otherwise.
    pub dlq: Option<DeadLetters>,
    /// Where contracts are kept that `load.validation` names.
    pub metadata_store: Option<MetadataStore>,
    /// Name of the contract that `use_contract: true` means.
    pub contract: Option<String>,
    /// Limits of every stage, unless the stage has its own.
    pub limits: Limits,
    /// Share of failed batches, from the third batch on, at which a run stops; 0 to 1. Default: 0.1.
    #[serde(deserialize_with = "ratio")]
    pub max_error_ratio: f64,
    /// How often reading goes on after a failure of something outside: after 1, 2, 4 … s. What is uploaded to a storage is tried four times as
    /// often. Default: 3.
    pub max_retries: u32,
    /// Seconds that a run may take; 0 = as long as it takes. Default: 1800.
    pub timeout_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: None,
            dlq: None,
            metadata_store: None,
            contract: None,
            limits: Limits::default(),
            max_error_ratio: 0.1,
            max_retries: 3,
            timeout_seconds: 1800,
        }
    }
}

/// Where rows go that are refused.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetters {
    /// Whether they are kept; else they are only counted. Default: true.
    pub enabled: bool,
    /// What keeps them. Default: `file`.
    pub backend: DeadLetterBackend,
    /// File (`.jsonl`), or directory in which each pipeline has one, relative to the contract directory. Backend `file` only.
    pub path: Option<String>,
    /// Schema of the table, in PostgreSQL. Backend `database` only. Default: the one that the database takes, mostly `public`.
    pub schema_name: Option<String>,
    /// Table. Backend `database` only. Default: `dead_letter_queue`.
    pub table: Option<String>,
    /// Database with the table: `postgresql://user:password@host/name`, `sqlite:///path` relative to the contract directory or
    /// `sqlite:////path` from the root. Backend `database` only. Default: the PostgreSQL that is loaded; where something else is, the host's
    /// state database.
    #[schemars(with = "Option<String>")]
    pub connection_string: Option<Connection>,
}

impl Default for DeadLetters {
    fn default() -> Self {
        Self { enabled: true, backend: DeadLetterBackend::default(), path: None, schema_name: None, table: None, connection_string: None }
    }
}

/// What keeps dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterBackend {
    /// A table.
    Database,
    /// A file with one JSON object a line.
    #[default]
    File,
    /// The run's result.
    Memory,
}

/// Where contracts are kept, in the tables that `pycharter db init` makes.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetadataStore {
    /// What keeps them.
    #[serde(rename = "type")]
    pub kind: MetadataStoreKind,
    /// URL of the store: `postgresql://user:password@host/name`, `sqlite:///path` relative to the contract directory or `sqlite:////path` from the root.
    #[schemars(with = "String")]
    pub connection_string: Connection,
}

/// What keeps contracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetadataStoreKind {
    /// PostgreSQL, schema `pycharter`.
    #[serde(alias = "postgresql")]
    Postgres,
    /// SQLite.
    Sqlite,
}

/// What a stage may use. What is absent here comes from the settings, then from the host's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Fuel a batch for each row in it, above the fixed part of the default. Default: 100,000.
    pub fuel_per_row: Option<NonZeroU64>,
    /// Fuel a batch, whatever its rows. Default: 50 million, and `fuel_per_row` for each row.
    pub fuel_per_batch: Option<NonZeroU64>,
    /// Memory of an instance, in MiB. Default: 64; of `aggregate`, `dedupe`, `sort` and `window`, which hold rows, 512.
    pub memory_mb: Option<NonZeroU64>,
    /// Time a batch, in ms. Default: 30,000.
    pub timeout_ms: Option<NonZeroU64>,
    /// Output a batch, in MiB. Default: 64, or 16 times the input where that is more.
    pub output_mb: Option<NonZeroU64>,
}

impl Limits {
    /// These limits, and where they say nothing those of `other`. Fuel is one limit with two spellings.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let fuel = if self.fuel_per_row.is_some() || self.fuel_per_batch.is_some() { self } else { other };
        Self {
            fuel_per_row: fuel.fuel_per_row,
            fuel_per_batch: fuel.fuel_per_batch,
            memory_mb: self.memory_mb.or(other.memory_mb),
            timeout_ms: self.timeout_ms.or(other.timeout_ms),
            output_mb: self.output_mb.or(other.output_mb),
        }
    }
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Reads a number from 0 to 1.
pub(super) fn ratio<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer)?;
    match (0.0..=1.0).contains(&number) {
        true => Ok(number),
        false => Err(de::Error::custom(format!("is {number}, but must be between 0 and 1"))),
    }
}
