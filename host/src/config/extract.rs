//! `extract.yaml`, typed.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use etl_steps::Type;
use schemars::JsonSchema;
use serde::Deserialize;

/// Reads files.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSource {
    /// File to read, relative to the contract directory; `*`, `?`, `[…]` and `**` match several.
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

/// What holds for every kind of source.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reading {
    /// Rows a batch. Default: 1000.
    pub batch_size: NonZeroUsize,
    /// Rows to read at most. Default: all.
    pub max_records: Option<u64>,
    /// What becomes of a row that does not parse. Default: `dlq`.
    pub on_parse_error: OnParseError,
    /// Types of columns, which pins what would else be inferred.
    #[schemars(with = "BTreeMap<String, String>")]
    pub schema: BTreeMap<String, Type>,
    /// Rows from which the types of columns are inferred. Default: 10000.
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
    Jsonl,
    /// Apache Parquet.
    Parquet,
    /// Excel workbook.
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
        Self {
            delimiter: None,
            quote_char: '"',
            escape_char: None,
            has_header: true,
            include_header: true,
            encoding: None,
            skip_rows: 0,
        }
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

fn yes() -> bool {
    true
}
