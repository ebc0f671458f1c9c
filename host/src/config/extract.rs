//! `extract.yaml`, typed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::{NonZeroU64, NonZeroUsize};

use etl_steps::Type;
use etl_steps::validate::Validate;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::cloud::CloudSource;
use super::database::DatabaseSource;
use super::http::{HttpSource, shown};
use super::settings::{DeadLetters, Limits};
use super::validate::Validation;

/// Where rows come from, and how they are read.
#[derive(Clone, Debug, PartialEq)]
pub struct Extract {
    /// What holds for every kind of source.
    pub reading: Reading,
    /// Where rows come from.
    pub source: Source,
    /// Parameters that a run takes, in the order in which they are written.
    pub input_params: InputParams,
    /// Name of a parameter to the name under which the source gets it.
    pub param_mapping: BTreeMap<String, String>,
    /// Names of the variables that the section uses: what stands there as `${name}` needs no other way to the source.
    pub variables: BTreeSet<String>,
    /// How the stream is pulled.
    pub processing_mode: ProcessingMode,
    /// Rows that `processing_mode: hybrid` reads ahead.
    pub chunk_size: NonZeroU64,
    /// Memory that a run may take, in MiB.
    pub max_memory_mb: Option<NonZeroU64>,
    /// Whether and how often a run remembers where it is.
    pub checkpoint: Checkpoint,
    /// Which rows earlier runs have loaded already.
    pub incremental: Option<Incremental>,
    /// How rows are validated as they come in.
    pub validation: Option<Validation>,
}

impl Extract {
    /// The parameters of a run under the names by which the source gets them.
    pub fn source_params(&self, params: &BTreeMap<String, serde_json::Value>) -> BTreeMap<String, serde_json::Value> {
        let Source::Http(http) = &self.source else {
            // One that the run may have and has not is null.
            let named = |name: &String| self.param_mapping.get(name).unwrap_or(name).clone();
            let known = self.input_params.0.iter();
            return known.map(|(name, _)| (named(name), params.get(name).cloned().unwrap_or_default())).collect();
        };
        let places = http.places();
        let named = params.iter().filter_map(|(name, value)| {
            let mapped = self.param_mapping.get(name);
            let own = mapped.unwrap_or(name);
            // A request would send it a second time.
            let is_said = mapped.is_none() && self.variables.contains(name) && !places.contains(own);
            (!is_said).then(|| (own.clone(), value.clone()))
        });
        named.collect()
    }
}

/// Where rows come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Files.
    File(FileSource),
    /// An HTTP interface.
    Http(Box<HttpSource>),
    /// A query.
    Database(DatabaseSource),
    /// Objects in a cloud storage.
    CloudStorage(CloudSource),
}

impl Source {
    /// What `type` says.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Http(_) => "http",
            Self::Database(_) => "database",
            Self::CloudStorage(_) => "cloud_storage",
        }
    }

    /// Where rows come from, for a person; without passwords.
    pub fn title(&self) -> String {
        match self {
            Self::File(files) if files.is_web() => shown(&files.path),
            Self::File(files) => files.path.clone(),
            Self::Http(http) => http.title(),
            Self::Database(database) => database.connection_string.to_string(),
            Self::CloudStorage(cloud) => cloud.storage.to_string(),
        }
    }

    /// The files, where it is files.
    pub fn files(&self) -> Option<&FileSource> {
        if let Self::File(files) = self { Some(files) } else { None }
    }
}

/// What every `extract.yaml` may say beside [`Reading`] and its source.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Common {
    /// Parameters that a run takes: a list of names, or names with their properties.
    pub(super) input_params: InputParams,
    /// Name of a parameter to the name under which the source gets it. Default: the same.
    pub(super) param_mapping: BTreeMap<String, String>,
    /// How the stream is pulled. Default: `streaming`.
    pub(super) processing_mode: ProcessingMode,
    /// Rows that `hybrid` reads ahead. Default: 10000.
    pub(super) chunk_size: NonZeroU64,
    /// Memory that a run may take, in MiB; a run that would take more stops with a message. Default: no limit.
    pub(super) max_memory_mb: Option<NonZeroU64>,
    /// Whether and how often a run remembers where it is.
    pub(super) checkpoint: Checkpoint,
    /// Takes only rows that are newer than what earlier runs have loaded. Default: all.
    pub(super) incremental: Option<Incremental>,
    /// How rows are validated as they come in. Default: not.
    #[schemars(with = "Option<ExtractValidation>")]
    pub(super) validation: Option<IgnoredAny>,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            input_params: InputParams::default(),
            param_mapping: BTreeMap::new(),
            processing_mode: ProcessingMode::default(),
            chunk_size: NonZeroU64::new(10_000).expect("10000 is not zero"),
            max_memory_mb: None,
            checkpoint: Checkpoint::default(),
            incremental: None,
            validation: None,
        }
    }
}

/// Which rows are taken, where only those are that earlier runs have not loaded.
///
/// The largest cursor that a run has seen is its mark, once it has loaded everything; the next run of the same pipeline with the same
/// parameters takes the rows above it.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Incremental {
    /// Column that grows from row to row: a number, a day, a time or a text. Texts that are days or times in ISO 8601 are compared as such, UTC where
    /// they have no offset, and a row whose text is none then goes to the dead letters; other texts are compared byte by byte.
    pub cursor_field: String,
    /// Rows at or below it are not taken by the first run. Default: all are.
    #[serde(default, deserialize_with = "scalar_text")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub initial_value: Option<String>,
    /// How far below the mark rows are taken again, since they may come late: a number, or a length of time such as `1h`. Default: not at all.
    #[serde(default)]
    pub lag: Option<Lag>,
    /// Parameter under which the source gets the mark less the lag, or the initial value, so that it leaves out what is older by itself: of HTTP a
    /// parameter as those of `params`, also as `{name}` in the URL or the body. Not sent where there is neither mark nor initial value. Default: none.
    #[serde(default)]
    pub param: Option<String>,
}

/// How far back rows are taken again.
#[derive(Clone, Debug, PartialEq)]
pub enum Lag {
    /// For cursors that are numbers.
    Number(f64),
    /// For cursors that are days or times.
    Time(etl_steps::Duration),
}

impl JsonSchema for Lag {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Lag".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"], "minimum": 0 })
    }
}

impl<'de> Deserialize<'de> for Lag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Number(number) => match number.as_f64() {
                Some(number) if number >= 0.0 => Ok(Self::Number(number)),
                _ => Err(de::Error::custom(format!("is {number}, but must be 0 or more"))),
            },
            serde_json::Value::String(text) => text.parse().map(Self::Time).map_err(de::Error::custom),
            other => Err(de::Error::custom(format!("is {other}, but must be a number or a length of time such as `1h`"))),
        }
    }
}

/// Reads a number or a text as a text.
fn scalar_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Option::<serde_json::Value>::deserialize(deserializer)? {
        None => Ok(None),
        Some(serde_json::Value::String(text)) => Ok(Some(text)),
        Some(serde_json::Value::Number(number)) => Ok(Some(number.to_string())),
        Some(other) => Err(de::Error::custom(format!("is {other}, but must be a number or a text"))),
    }
}

/// Parameters that a run takes, in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InputParams(pub Vec<(String, InputParam)>);

/// A parameter that a run takes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InputParam {
    /// Type of its value, one of those of `convert`. Default: text.
    #[serde(rename = "type")]
    #[schemars(with = "Option<String>")]
    pub kind: Option<Type>,
    /// Whether a run without it is refused. Default: false.
    pub required: bool,
    /// Its value where a run does not give one.
    pub default: Option<serde_json::Value>,
    /// What it means.
    pub description: Option<String>,
}

impl JsonSchema for InputParams {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "InputParams".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let param = generator.subschema_for::<InputParam>();
        json_schema!({ "type": ["array", "object"], "items": { "type": "string" }, "additionalProperties": param })
    }
}

impl<'de> Deserialize<'de> for InputParams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Params;
        impl<'de> Visitor<'de> for Params {
            type Value = InputParams;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of names or a mapping of names to their properties")
            }

            fn visit_unit<E>(self) -> Result<InputParams, E> {
                Ok(InputParams::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<InputParams, A::Error> {
                let mut params = Vec::new();
                while let Some(name) = seq.next_element()? {
                    params.push((name, InputParam::default()));
                }
                Ok(InputParams(params))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<InputParams, A::Error> {
                let mut params = Vec::new();
                while let Some((name, param)) = map.next_entry::<_, Option<InputParam>>()? {
                    params.push((name, param.unwrap_or_default()));
                }
                Ok(InputParams(params))
            }
        }
        deserializer.deserialize_any(Params)
    }
}

/// How the stream of rows is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProcessingMode {
    /// All rows first, then the transform, then the load.
    Full,
    /// Batch by batch.
    #[default]
    Streaming,
    /// Reading goes ahead by chunks while transform and load work on the last.
    Hybrid,
}

impl ProcessingMode {
    /// Its name in `extract.yaml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Streaming => "streaming",
            Self::Hybrid => "hybrid",
        }
    }
}

/// Whether and how often a run remembers where it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Checkpoint {
    /// Whether it does. Default: false.
    pub enabled: bool,
    /// Batches from one checkpoint to the next. Default: 10.
    pub interval: NonZeroUsize,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self { enabled: false, interval: NonZeroUsize::new(10).expect("10 is not zero") }
    }
}

/// How rows are validated as they come in: the keys of a `validate` step, and where bad rows go.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct ExtractValidation {
    /// The rules.
    #[schemars(flatten)]
    rules: Validate,
    /// What it may use. Default: what the settings say.
    limits: Option<Limits>,
    /// Where rows go with `quarantine`; `true` is the pipeline's dead letters, `false` counts them only. Default: the pipeline's.
    dlq: Option<DeadLetters>,
}

/// Reads files.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSource {
    /// File to read, relative to the contract directory; `*`, `?`, `[…]` and `**` match several. Or a URL: `https://…` is fetched, and `s3://bucket/…`,
    /// `gs://…`, `az://…` and `abfss://…` are objects, as `type: cloud_storage` has them.
    pub path: String,
    /// Format of the files. Default: from the extension, `.gz`, `.zst` and `.zip` aside.
    pub format: Option<Format>,
    /// How CSV and TSV are written.
    #[serde(default)]
    pub csv_options: CsvOptions,
    /// How JSON is written.
    #[serde(default)]
    pub json_options: JsonOptions,
    /// How workbooks are read.
    #[serde(default)]
    pub excel_options: ExcelOptions,
    /// How XML is read.
    #[serde(default)]
    pub xml_options: XmlOptions,
    /// Columns to read, in this order. Default: all.
    pub columns: Option<Vec<String>>,
    /// Whether matching files are read in the order of their names. Default: true.
    #[serde(default = "yes")]
    pub sort_files: bool,
    /// Whether it is an error that no file matches. Default: false.
    #[serde(default)]
    pub fail_on_empty: bool,
    /// Dot path to the list of records within a JSON document, digits index lists.
    pub response_path: Option<String>,
}

impl FileSource {
    /// Whether the path is a URL, from where the file is to be fetched.
    pub fn is_web(&self) -> bool {
        ["http://", "https://"].iter().any(|scheme| self.path.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
    }

    /// One file or pattern, everything else as by default.
    pub fn of(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            format: None,
            csv_options: CsvOptions::default(),
            json_options: JsonOptions::default(),
            excel_options: ExcelOptions::default(),
            xml_options: XmlOptions::default(),
            columns: None,
            sort_files: true,
            fail_on_empty: false,
            response_path: None,
        }
    }
}

/// What holds for every kind of source.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reading {
    /// Rows a batch; a batch of wide rows has fewer, 16 MiB of input at most, and one ends with its file or page. Default: 1000.
    pub batch_size: NonZeroUsize,
    /// Rows to read at most. Default: all.
    pub max_records: Option<u64>,
    /// What becomes of a row that does not parse. Default: `dlq`.
    pub on_parse_error: OnParseError,
    /// Types of columns, which pins what would else be inferred. `NA`, `NULL` and the like in a CSV file are texts: a `convert` with
    /// `on_convert_error: null` makes them null.
    #[schemars(with = "BTreeMap<String, String>")]
    pub schema: BTreeMap<String, Type>,
    /// Rows from which the types of columns are inferred; of an HTTP source, from whole pages of 16 MiB at most. Default: 10000.
    pub infer_rows: NonZeroUsize,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            batch_size: NonZeroUsize::new(1000).expect("1000 is not zero"),
            max_records: None,
            on_parse_error: OnParseError::default(),
            schema: BTreeMap::new(),
            infer_rows: NonZeroUsize::new(10_000).expect("10000 is not zero"),
        }
    }
}

/// What becomes of a row that does not parse. It is counted in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnParseError {
    /// It goes to the dead letters.
    #[default]
    Dlq,
    /// The run fails.
    Fail,
    /// It is left out.
    Skip,
}

/// A format of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Comma-separated values.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// One JSON document: a list of objects, an object with a list in it, or one object.
    Json,
    /// One JSON object a line.
    #[serde(alias = "ndjson")]
    Jsonl,
    /// Apache Parquet.
    Parquet,
    /// Excel workbook.
    #[serde(alias = "xlsx")]
    Excel,
    /// XML.
    Xml,
}

/// How CSV and TSV are written.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CsvOptions {
    /// Between fields, one ASCII character. Default: `,` (TSV: tab).
    pub delimiter: Option<char>,
    /// Around fields, one ASCII character. Default: `"`. Reading: a doubled one stands for itself.
    pub quote_char: char,
    /// Before a quote within a quoted field, one ASCII character. Default: none, quotes are doubled.
    pub escape_char: Option<char>,
    /// Whether the first line names the columns; else they are `column_1`, `column_2` … Reading only. Default: true.
    pub has_header: bool,
    /// Whether a first line with the columns' names is written. Writing only. Default: true.
    pub include_header: bool,
    /// Encoding, a WHATWG label such as `utf-8`, `latin1`, `windows-1252`, `utf-16le`. Default: UTF-8, a byte order mark is obeyed.
    pub encoding: Option<String>,
    /// Lines to leave out before the header. Reading only. Default: 0.
    pub skip_rows: usize,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { delimiter: None, quote_char: '"', escape_char: None, has_header: true, include_header: true, encoding: None, skip_rows: 0 }
    }
}

/// How JSON is written.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JsonOptions {
    /// Encoding, a WHATWG label. Default: UTF-8.
    pub encoding: Option<String>,
    /// Whether the file has one object a line, whatever its extension says. Default: by format.
    pub lines: Option<bool>,
    /// Blanks by which nested values are indented. Writing `json` only. Default: 0, one record a line.
    pub indent: Option<u8>,
    /// Whether characters outside ASCII are written as `\u` escapes. Writing only. Default: false.
    pub ensure_ascii: bool,
}

/// How workbooks are read and written.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExcelOptions {
    /// Name of the sheet. Default: the first (reading), `Sheet1` (writing).
    pub sheet: Option<String>,
    /// Rows to leave out before the header. Reading only. Default: 0.
    pub skip_rows: usize,
}

/// How XML is read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct XmlOptions {
    /// Name of the elements that are records. Default: the children of the root element.
    pub record_tag: Option<String>,
}

pub(super) fn yes() -> bool {
    true
}
