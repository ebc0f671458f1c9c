//! Cloud storages in `extract.yaml` and `load.yaml`, typed.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::extract::{CsvOptions, Format, JsonOptions};
use super::load::{Compression, WriteMode};
use super::settings::Secret;

/// Reads objects in a cloud storage.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloudSource {
    /// Where the objects are.
    pub storage: Storage,
    /// Format of the objects. Default: from the extension, `.gz`, `.zst` and `.zip` aside.
    pub format: Option<Format>,
    /// How CSV and TSV are written.
    #[serde(default)]
    pub csv_options: CsvOptions,
    /// How JSON is written.
    #[serde(default)]
    pub json_options: JsonOptions,
    /// Columns to read, in this order. Default: all.
    pub columns: Option<Vec<String>>,
    /// Whether it is an error that no object matches. Default: false.
    #[serde(default)]
    pub fail_on_empty: bool,
    /// Dot path to the list of records within a JSON document, digits index lists.
    pub response_path: Option<String>,
}

/// Writes objects in a cloud storage.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloudSink {
    /// Where the objects go.
    pub storage: Storage,
    /// Format. Default: from the extension, `.gz` and `.zst` aside.
    pub format: Option<Format>,
    /// What becomes of output that is there. Default: `overwrite`.
    #[serde(default)]
    pub write_mode: WriteMode,
    /// How CSV and TSV are written.
    #[serde(default)]
    pub csv_options: CsvOptions,
    /// How JSON is written.
    #[serde(default)]
    pub json_options: JsonOptions,
    /// Compression. Default: `zstd` inside Parquet; for text, by the extension `.gz` or `.zst`, else none.
    pub compression: Option<Compression>,
    /// Columns whose values make Hive folders `k=v/`. Default: none.
    #[serde(default)]
    pub partition_by: Vec<String>,
}

/// Objects in a cloud storage.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// Whose it is.
    pub provider: Provider,
    /// The bucket; Azure calls it container.
    pub bucket: String,
    /// The object; one ending in `/` or with a `*` in it lists.
    pub path: Option<String>,
    /// Objects whose names start so, in place of `path`.
    pub prefix: Option<String>,
    /// Of these, those whose names match.
    pub pattern: Option<String>,
    /// What the provider asks for. Default: what the machine has.
    #[serde(default)]
    pub credentials: BTreeMap<String, Secret>,
}

/// The objects as a URL.
impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { provider, bucket, path, prefix, pattern, credentials: _ } = self;
        let scheme = match provider {
            Provider::S3 => "s3",
            Provider::Gcs => "gs",
            Provider::Azure => "az",
        };
        let place = path.as_deref().or(prefix.as_deref()).unwrap_or_default();
        write!(f, "{scheme}://{bucket}/{}", place.trim_start_matches('/'))?;
        pattern.as_deref().map_or(Ok(()), |pattern| write!(f, " ({pattern})"))
    }
}

/// Whose a cloud storage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Amazon S3, and what speaks like it.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}
