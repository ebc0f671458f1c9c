//! A row that went no further, as it is kept.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::batch::Reason;

/// A row that went no further, in the fields of the format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its id; the same row of the same run has the same.
    pub id: String,
    /// The pipeline.
    pub pipeline: String,
    /// The row as it stood before the stage that refused it; a text where it never became a row.
    pub record: Value,
    /// The kind of reason.
    pub reason: Reason,
    /// One sentence for a person.
    pub message: String,
    /// A short stable name of what is wrong, such as `convert_float`.
    pub error_type: String,
    /// The stage that refused it: `extract`, the name of a stage, or `load`.
    pub stage: String,
    /// Where the row came from.
    pub metadata: LetterMetadata,
    /// When the run started that refused it, RFC 3339.
    pub timestamp: String,
    /// How often it was tried again.
    #[serde(default)]
    pub retry_count: u32,
    /// What became of it since.
    #[serde(default)]
    pub status: LetterStatus,
}

/// Where a row came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LetterMetadata {
    /// The run that refused it.
    pub run: String,
    /// Number of its batch within its split.
    pub batch: u64,
    /// Its number in the source, from 1; absent where unknown.
    pub row: Option<u64>,
    /// The line on which it starts, from 1; absent where the format has none.
    pub line: Option<u64>,
    /// The file, table or URL that it came from.
    pub source: String,
    /// The column it is about.
    pub field: Option<String>,
    /// The transformer that refused it, where the pipeline has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transformer: Option<String>,
}

/// What became of a letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterStatus {
    /// Nothing yet.
    #[default]
    Pending,
    /// It is on its way through the pipeline again.
    Retrying,
    /// It went through.
    Resolved,
    /// Somebody decided that it is not needed.
    Ignored,
}

impl LetterStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Retrying, Self::Resolved, Self::Ignored];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Retrying => "retrying",
            Self::Resolved => "resolved",
            Self::Ignored => "ignored",
        }
    }
}
