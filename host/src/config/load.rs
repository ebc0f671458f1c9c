//! `load.yaml`, typed.

use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::Deserialize;

use super::extract::{CsvOptions, ExcelOptions, Format, JsonOptions};

/// Writes files.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSink {
    /// File to write, relative to the contract directory; with `partition_by` or `max_rows_per_file`, a folder, or a file whose name the parts are made from.
    pub path: String,
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
    /// How workbooks are written.
    #[serde(default)]
    pub excel_options: ExcelOptions,
    /// Compression. Default: `zstd` inside Parquet; for text, by the extension `.gz` or `.zst`, else none.
    pub compression: Option<Compression>,
    /// Columns whose values make Hive folders `k=v/`; they are left out of the files. Default: none.
    #[serde(default)]
    pub partition_by: Vec<String>,
    /// Rows of a file at most; further rows go to further files. Default: no limit.
    pub max_rows_per_file: Option<NonZeroU64>,
}

/// What becomes of output that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WriteMode {
    /// It is replaced.
    #[default]
    Overwrite,
    /// Rows are added to it.
    Append,
}

/// How output is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// Snappy, inside Parquet only.
    Snappy,
    /// LZ4, inside Parquet only.
    Lz4,
}
