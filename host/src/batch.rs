//! Rows and where they came from: what everyone speaks of.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, FieldRef};
use serde::{Deserialize, Serialize};

/// Rows of one split, with the place in the input that each came from.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The rows.
    pub rows: RecordBatch,
    /// Where they came from.
    pub origin: Origin,
    /// Number of the batch within its split, from 0: the same when it is read again.
    pub sequence: u64,
}

/// Metadata of a field that says what its nulls stand for, and its only value: a name that the row does not have, as in JSON.
///
/// JSONata and functions by record do not see such a name; for all else null is null.
const NULL_MEANS: (&str, &str) = ("etl:null", "absent");

/// The field, with nulls that stand for a name that the row does not have.
pub fn with_absent(field: &FieldRef) -> FieldRef {
    let mut metadata = field.metadata().clone();
    metadata.insert(NULL_MEANS.0.into(), NULL_MEANS.1.into());
    Arc::new(field.as_ref().clone().with_metadata(metadata))
}

/// Whether a null of the field stands for a name that the row does not have.
pub fn is_absent(field: &FieldRef) -> bool {
    field.metadata().get(NULL_MEANS.0).is_some_and(|means| means == NULL_MEANS.1)
}

/// Metadata of a field of texts that says what these are, and its only value: each the text of a JSON value.
///
/// JSON outputs, JSONata and functions by record take them for the values; for all else they are texts.
const TEXTS_ARE: (&str, &str) = ("etl:text", "json");

/// The field, of texts that are each that of a JSON value.
pub fn with_json_text(field: Field) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.insert(TEXTS_ARE.0.into(), TEXTS_ARE.1.into());
    field.with_metadata(metadata)
}

/// Whether the field is of texts that are each that of a JSON value.
pub fn is_json_text(field: &Field) -> bool {
    field.data_type() == &DataType::Utf8 && field.metadata().get(TEXTS_ARE.0).is_some_and(|are| are == TEXTS_ARE.1)
}

/// Where the rows of a batch came from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The file, table or URL, as the user would name it.
    pub source: Arc<str>,
    /// Number of each row in it, from 1, as the source counts: a CSV header is not a row, a row that did not parse is.
    pub rows: RowNumbers,
}

/// The numbers of a batch's rows in their source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowNumbers {
    /// One after the other from this number.
    From(u64),
    /// One for each row; 0 where unknown.
    Each(Arc<[u64]>),
}

impl RowNumbers {
    /// The number of the row at `index`; 0 where unknown.
    pub fn get(&self, index: usize) -> u64 {
        match self {
            Self::From(first) => first + index as u64,
            Self::Each(numbers) => numbers.get(index).copied().unwrap_or(0),
        }
    }

    /// The numbers of the rows at `indexes`.
    pub fn take(&self, indexes: impl IntoIterator<Item = usize>) -> Self {
        Self::Each(indexes.into_iter().map(|index| self.get(index)).collect())
    }

    /// The numbers from the row at `offset` on.
    pub fn slice(&self, offset: usize, length: usize) -> Self {
        match self {
            Self::From(first) => Self::From(first + offset as u64),
            Self::Each(numbers) => Self::Each(numbers[offset..offset + length].into()),
        }
    }
}

impl Batch {
    /// The part of the batch from `offset` on; copies no column.
    pub fn slice(&self, offset: usize, length: usize) -> Self {
        let origin = Origin { source: self.origin.source.clone(), rows: self.origin.rows.slice(offset, length) };
        Self { rows: self.rows.slice(offset, length), origin, sequence: self.sequence }
    }
}

/// Where to read on: everything before it has been read.
///
/// Offsets count bytes of the decoded stream of that file (after decompression and re-encoding), so that they mean the same on every machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Index of the file within the split.
    pub file: usize,
    /// Byte offset in that file; 0 for formats that are read by row.
    pub offset: u64,
    /// Rows of that file before this position, those that did not parse included.
    pub row: u64,
    /// Rows of the files before it in the split, counted alike.
    pub earlier: u64,
    /// Line on which the next row starts, from 1, for formats made of lines.
    pub line: u64,
    /// Number of the next batch of the split.
    pub sequence: u64,
    /// Of a source that is asked for its rows: what it is asked for next, in the source's own words, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Position {
    /// What `cursor` is where a source that is asked for its rows could not go on from here.
    pub const NOWHERE: &str = "";

    /// Whether another read can go on from here.
    pub fn is_found_again(&self) -> bool {
        self.cursor.as_deref() != Some(Self::NOWHERE)
    }
}

/// A row that goes no further, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Reject {
    /// The kind of reason.
    pub reason: Reason,
    /// A short stable name such as `convert_int` or `ragged_row`.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
    /// The column it is about.
    pub field: Option<String>,
    /// The row as it stood before the step that refused it, as JSON; a text where it never became a row.
    pub record: serde_json::Value,
    /// The step that refused it: `extract`, the name of a stage, or `load`.
    pub stage: String,
    /// The file, table or URL that the row came from.
    pub source: Arc<str>,
    /// The row's number there, from 1; 0 where unknown.
    pub row: u64,
    /// The line on which it starts, from 1; 0 where the format has none.
    pub line: u64,
    /// Number of the batch within its split.
    pub batch: u64,
}

/// Why a row goes no further, in the words of the dead-letter format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The source could not deliver it.
    ExtractionError,
    /// It could not be parsed.
    ParseError,
    /// A transform refused it or failed on it.
    TransformationError,
    /// A rule refused it.
    ValidationError,
    /// The sink refused it.
    LoadError,
    /// Its columns do not fit the sink.
    SchemaMismatch,
    /// A transform ran out of fuel, memory, time or output on it.
    LimitExceeded,
    /// The other end went away.
    ConnectionError,
    /// None of these.
    Unknown,
}
