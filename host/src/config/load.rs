//! `load.yaml`, typed.

use std::num::{NonZeroU64, NonZeroUsize};

use etl_steps::validate::Validate;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::cloud::CloudSink;
use super::database::{DatabaseSink, WriteMethod};
use super::extract::{CsvOptions, ExcelOptions, Format, JsonOptions};
use super::settings::{DeadLetters, Limits};
use super::validate::Validation;

/// Where rows go to.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Rows that are handed to the sink at once.
    pub batch_size: NonZeroUsize,
    /// How rows are validated before they are written.
    pub validation: Option<Validation>,
    /// Where rows go that are refused; absent = what the settings say.
    pub dead_letters: Option<DeadLetters>,
    /// Where rows go to.
    pub sink: Sink,
}

/// Where rows go to.
#[derive(Clone, Debug, PartialEq)]
pub enum Sink {
    /// Files.
    File(FileSink),
    /// A table.
    Database(Box<DatabaseSink>),
    /// Objects in a cloud storage.
    CloudStorage(CloudSink),
}

impl Sink {
    /// What `type` says.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Database(_) => "database",
            Self::CloudStorage(_) => "cloud_storage",
        }
    }

    /// Where rows go to, for a person; without passwords.
    pub fn title(&self) -> String {
        match self {
            Self::File(files) => files.path.clone(),
            Self::Database(database) => format!("{}, table {}", database.connection_string, database.table_title()),
            Self::CloudStorage(cloud) => cloud.storage.to_string(),
        }
    }

    /// The files, where it is files.
    pub fn files(&self) -> Option<&FileSink> {
        if let Self::File(files) = self { Some(files) } else { None }
    }

    /// Whether the same rows, loaded twice, are there twice.
    pub fn adds(&self) -> bool {
        match self {
            Self::File(files) => files.write_mode == WriteMode::Append,
            Self::CloudStorage(cloud) => cloud.write_mode == WriteMode::Append,
            Self::Database(database) => database.method() == super::database::WriteMethod::Insert,
        }
    }

    /// Whether a run takes away what is there.
    pub fn replaces(&self) -> bool {
        match self {
            Self::File(files) => files.write_mode == WriteMode::Overwrite,
            Self::CloudStorage(cloud) => cloud.write_mode == WriteMode::Overwrite,
            Self::Database(database) => database.method() == super::database::WriteMethod::TruncateAndLoad,
        }
    }

    /// The same sink, but what is there stays: rows are added.
    #[must_use]
    pub fn adding(mut self) -> Self {
        match &mut self {
            Self::File(files) => files.write_mode = WriteMode::Append,
            Self::CloudStorage(cloud) => cloud.write_mode = WriteMode::Append,
            Self::Database(database) if database.write_method == Some(WriteMethod::TruncateAndLoad) => {
                database.write_method = Some(WriteMethod::Insert);
            }
            Self::Database(_) => {}
        }
        self
    }
}

/// What every `load.yaml` may say beside its sink.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Common {
    /// Rows that are handed to the sink at once. Default: 1000.
    pub(super) batch_size: NonZeroUsize,
    /// How rows are validated before they are written. Default: not.
    #[schemars(with = "Option<LoadValidation>")]
    pub(super) validation: Option<IgnoredAny>,
    /// Where rows go that are refused. Default: what `settings.yaml` says.
    pub(super) dlq: Option<DeadLetters>,
}

impl Default for Common {
    fn default() -> Self {
        Self { batch_size: NonZeroUsize::new(1000).expect("1000 is not zero"), validation: None, dlq: None }
    }
}

/// How rows are validated before they are written: the keys of a `validate` step, a contract, and where bad rows go.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct LoadValidation {
    /// The rules.
    #[schemars(flatten)]
    rules: Validate,
    /// The contract that rows must satisfy: a file or directory (`{path}`), or one of the metadata store (`{name, version}`). A text stands for `{path}`.
    contract: Option<ContractReference>,
    /// Whether the contract is the one that `settings.yaml` names. Default: false.
    #[schemars(default)]
    use_contract: bool,
    /// What it may use. Default: what the settings say.
    limits: Option<Limits>,
    /// Where rows go with `quarantine`; `true` is the pipeline's dead letters, `false` counts them only. Default: the pipeline's.
    dlq: Option<DeadLetters>,
}

/// Names a contract.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContractReference {
    /// Where it is kept.
    #[serde(rename = "type")]
    pub kind: ContractKind,
    /// File or directory, relative to the contract directory.
    pub path: Option<String>,
    /// Name in the metadata store.
    pub name: Option<String>,
    /// Version in the metadata store. Default: the latest.
    pub version: Option<String>,
}

/// Where a contract is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContractKind {
    /// In files.
    #[default]
    File,
    /// In the metadata store.
    Database,
}

/// Writes files.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSink {
    /// File to write, relative to the contract directory; with `partition_by` or `max_rows_per_file`, a folder, or a file whose name the parts are made from.
    /// `s3://bucket/…`, `gs://…`, `az://…` and `abfss://…` are objects, as `type: cloud_storage` has them.
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
    /// How XML is written.
    #[serde(default)]
    pub xml_options: XmlTags,
    /// Compression. Default: `zstd` inside Parquet; for text, by the extension `.gz` or `.zst`, else none.
    pub compression: Option<Compression>,
    /// Columns whose values make Hive folders `k=v/`; they are left out of the files. Default: none.
    #[serde(default)]
    pub partition_by: Vec<String>,
    /// Rows of a file at most; further rows go to further files. Default: no limit.
    pub max_rows_per_file: Option<NonZeroU64>,
}

impl FileSink {
    /// One file, everything else as by default.
    pub fn of(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            format: None,
            write_mode: WriteMode::default(),
            csv_options: CsvOptions::default(),
            json_options: JsonOptions::default(),
            excel_options: ExcelOptions::default(),
            xml_options: XmlTags::default(),
            compression: None,
            partition_by: Vec::new(),
            max_rows_per_file: None,
        }
    }
}

/// How XML is written: always in UTF-8, nulls left out, lists and objects as nested elements.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct XmlTags {
    /// Name of the element around all records. Default: `records`.
    pub root_tag: String,
    /// Name of the element of a record. Default: `record`.
    pub record_tag: String,
}

impl Default for XmlTags {
    fn default() -> Self {
        Self { root_tag: "records".into(), record_tag: "record".into() }
    }
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
