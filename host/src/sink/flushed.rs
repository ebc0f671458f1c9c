//! What a load has put on disk before it is done, and how to go on from there: plain data, for a checkpoint.

use std::io::Cursor;
use std::path::PathBuf;

use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::SchemaRef;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::StagedPart;
use super::log::Place;
use crate::error::{Context, Result};

/// What a load has put on disk before it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flushed {
    /// Rows in it.
    pub rows: u64,
    /// The schema with which the load was begun: an Arrow IPC stream without rows, as base64.
    schema: String,
    /// What there is.
    pub(super) what: What,
}

/// The forms of what there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum What {
    /// Nothing: the rows are only counted.
    Counted,
    /// A file of text: its bytes, and whether it starts as a file does.
    Text { bytes: u64, opened: bool },
    /// Whole files that are to be one.
    Segments { parts: Vec<StagedPart> },
    /// Files in folders.
    Parts(Parts),
    /// Rows of a table, which are committed together with the checkpoint.
    Table(super::database::Counts),
}

/// Files in folders, some of them on their way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parts {
    /// Counts writes.
    pub(super) clock: u64,
    /// Files made.
    pub(super) made: u64,
    /// Files that are done: folder and file.
    pub(super) staged: Vec<(String, StagedPart)>,
    /// The folders.
    pub(super) folders: Vec<Folder>,
    /// Where rows stand that no file has yet.
    pub(super) log: Option<super::log::Flushed>,
}

/// One folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Folder {
    pub(super) name: String,
    pub(super) files: usize,
    pub(super) rows: u64,
    pub(super) used: u64,
    /// Rows that are to be written, with the bytes that they count for.
    pub(super) pending: Vec<(Place, usize)>,
    /// The file that is being written.
    pub(super) open: Option<Open>,
}

/// A file that is being written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Open {
    pub(super) path: PathBuf,
    pub(super) writer: Writer,
}

/// How far a file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Writer {
    /// Text: its bytes, and whether rows are in it.
    Text { bytes: u64, any: bool },
    /// Parquet: whole files that are to be one.
    Parquet { segments: Vec<PathBuf> },
    /// A workbook, which is written anew from its rows.
    Excel { rows: Vec<Place> },
}

impl Flushed {
    /// Notes what there is of a load that was begun with a schema.
    pub(super) fn new(rows: u64, schema: &SchemaRef, what: What) -> Result<Self> {
        let mut bytes = Vec::new();
        let written = StreamWriter::try_new(&mut bytes, schema).and_then(|mut writer| writer.finish());
        written.bug(|| "a schema cannot be written".into())?;
        Ok(Self { rows, schema: STANDARD.encode(bytes), what })
    }

    /// The schema with which the load was begun.
    ///
    /// # Errors
    /// Outside, where it does not read.
    pub fn schema(&self) -> Result<SchemaRef> {
        let broken = || "the schema in the checkpoint does not read".into();
        let bytes = STANDARD.decode(&self.schema).outside(broken)?;
        Ok(StreamReader::try_new(Cursor::new(bytes), None).outside(broken)?.schema())
    }
}
