//! Where rows go to: the traits, and `open`.

mod bucket;
mod commit;
mod conform;
mod csv;
mod database;
pub mod dead_letters;
mod excel;
mod file;
mod flushed;
mod letter;
mod letters_file;
mod log;
mod mark;
mod nothing;
mod old;
mod output;
mod parquet;
mod part_file;
mod partition;
mod parts;
mod patient;
mod single;
mod text;
mod workspace;
mod xml;

#[cfg(test)]
mod conformance;

pub use database::{Chunk, TableMark};
pub use flushed::Flushed;
pub use mark::{FileMark, Mark};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::SchemaRef;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, Reject};
use crate::config::load::Sink as SinkConfig;
use crate::error::Result;
use crate::remote::store::Store;
use crate::report::{PublishReport, TableReport};

/// What a sink must know of the run that writes to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunName {
    /// Id of the run; temporary names and part names come from it.
    pub run_id: String,
    /// When the run started.
    pub started: DateTime<Utc>,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Which of several transformers it is.
    pub transformer: Option<String>,
    /// How often a request to another machine, or a write to a full disk, is tried again.
    pub max_retries: u32,
    /// Files of certificates (PEM) that storages may be vouched for by, beside those that the system trusts.
    pub authority_files: Vec<PathBuf>,
}

#[cfg(test)]
impl RunName {
    /// A run that starts at a known time and tries nothing again.
    pub(crate) fn of(run_id: &str) -> Self {
        Self {
            run_id: run_id.into(),
            started: "2024-06-19T01:58:32Z".parse().expect("it is a time"),
            pipeline: "orders".into(),
            transformer: None,
            max_retries: 0,
            authority_files: Vec::new(),
        }
    }
}

/// Opens the sink of a run; `root` is the folder that relative paths are relative to.
///
/// Makes the target's folder where it is missing, and clears what dead runs have left there. With a mark, the commit leaves it beside the
/// output, all or nothing.
///
/// # Errors
/// Config, where options cannot be; outside, where the folder cannot be written or another run is writing the target.
pub fn open(sink: &SinkConfig, root: &Path, run: &RunName, mark: Option<&Mark>) -> Result<Box<dyn Sink>> {
    match sink {
        SinkConfig::File(sink) => file::open(sink, root, run, mark.and_then(Mark::file)),
        SinkConfig::Database(sink) => Ok(Box::new(database::TableSink::open(sink, root, run, mark.and_then(Mark::table))?)),
        SinkConfig::CloudStorage(sink) => file::open_objects(sink, root, run, mark.and_then(Mark::file)),
    }
}

/// Opens the sink of a dry run, which writes nothing; what is wrong with the real one shows all the same.
///
/// # Errors
/// As [`check`]; outside, where the database or the storage cannot be looked at.
pub fn open_nothing(sink: &SinkConfig, root: &Path, run: &RunName) -> Result<Box<dyn Sink>> {
    check(sink, root)?;
    Ok(match sink {
        SinkConfig::Database(sink) => Box::new(database::Rehearsal::open(sink, root)?),
        SinkConfig::CloudStorage(sink) => {
            file::look_at_objects(sink, root, run)?;
            Box::new(nothing::Nothing)
        }
        SinkConfig::File(_) => Box::new(nothing::Nothing),
    })
}

/// Checks a sink; looks at no more of the disk than whether its path is a folder, and asks nothing of anybody else.
///
/// # Errors
/// Config, where options cannot be.
pub fn check(sink: &SinkConfig, root: &Path) -> Result<()> {
    match sink {
        SinkConfig::File(sink) => output::Output::new(sink, root).map(|_| ()),
        SinkConfig::CloudStorage(sink) => {
            output::Output::of_objects(sink)?;
            Store::check(&sink.storage, root)
        }
        SinkConfig::Database(sink) => database::check(sink),
    }
}

/// What tells whether a file, or an object of the sink's bucket, by its whole path, is output of the sink: of this run, or left by an
/// earlier one.
///
/// # Errors
/// As [`check`].
pub fn owner(sink: &SinkConfig, root: &Path) -> Result<impl Fn(&Path) -> bool + use<>> {
    let output = match sink {
        SinkConfig::File(sink) => {
            let mut output = output::Output::new(sink, root)?;
            output.folder = output.folder.canonicalize().unwrap_or(output.folder);
            Some(output)
        }
        SinkConfig::CloudStorage(sink) => Some(output::Output::of_objects(sink)?),
        SinkConfig::Database(_) => None,
    };
    Ok(move |path: &Path| output.as_ref().is_some_and(|output| output.owns(path)))
}

/// A place that rows go to. Nothing of a run is visible there before [`Sink::commit`].
pub trait Sink: Send + Sync {
    /// Bytes of input that make a good chunk for this sink: what one worker encodes in one piece.
    fn chunk_bytes(&self) -> usize {
        1 << 20
    }

    /// How many splits one run may stage; 1 where staged parts cannot be joined.
    fn max_splits(&self) -> usize {
        usize::MAX
    }

    /// Whether there is output of an earlier run, or a place that needs none to be found empty.
    fn has_output(&self) -> bool;

    /// Whether the columns that [`Sink::begin`] names are those of all rows; where not, each batch may have its own.
    fn names_columns(&self) -> bool {
        true
    }

    /// Starts to stage the output of one split, under a name that depends only on run and split: begun again, it replaces what was staged,
    /// or goes on behind what a flush put on disk; what was staged after that is forgotten.
    fn begin(&self, split: usize, schema: SchemaRef, from: Option<&Flushed>) -> Result<Box<dyn Load>>;

    /// Ends whatever is waited for; called from any thread, once a run is to end with nothing written.
    fn stop(&self) {}

    /// Keeps what is staged when the process ends before the run does, for as long as the file `while_there` is there.
    fn keep(&self, while_there: &Path) -> Result<()>;

    /// Is told that a checkpoint is on disk: a sink that shows rows as it goes shows, together with the checkpoint's number, those up to it,
    /// and no others.
    fn settle(&self, _checkpoint: u64) -> Result<()> {
        Ok(())
    }

    /// The number of the last checkpoint of this run up to which rows are shown, 0 where none are; `None` of a sink that shows nothing before
    /// the commit, which can go on from any.
    fn settled(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Shows all that was staged, in the order of splits, all or nothing.
    fn commit(&self, staged: Vec<Staged>) -> Result<Committed>;

    /// What a commit of this run has shown, where it was done before the process ended; a commit that was interrupted is completed.
    fn committed(&self) -> Result<Option<Committed>>;

    /// Removes all that was staged and not committed, and what is kept only to know of a commit.
    fn abort(&self) -> Result<()>;
}

/// The output of one split on its way: rows are encoded on any thread and appended in order on one.
pub trait Load: Send {
    /// What encodes chunks; shared by all threads.
    fn encoder(&self) -> Arc<dyn Encode>;

    /// Appends an encoded chunk. Chunks come in order. Answers the rows that only the other end could refuse, which are not written.
    fn append(&mut self, chunk: Encoded) -> Result<Vec<Reject>>;

    /// Puts everything so far on disk and says how to go on from there; what an earlier flush said stays true.
    fn flush(&mut self) -> Result<Flushed>;

    /// Puts everything on disk and says what there is; it is out of sight until the commit.
    fn finish(self: Box<Self>) -> Result<Staged>;
}

/// Makes an encoder for each chunk.
pub trait Encode: Send + Sync {
    /// Starts a chunk.
    fn start(&self) -> Result<Box<dyn Encoder>>;
}

/// Encodes the rows of one chunk.
pub trait Encoder: Send {
    /// Adds a batch; answers the rows that do not fit the sink, which are not written.
    fn write(&mut self, batch: &Batch) -> Result<Vec<Reject>>;

    /// Ends the chunk.
    fn finish(self: Box<Self>) -> Result<Encoded>;
}

/// An encoded chunk.
pub struct Encoded {
    /// Rows in it.
    pub rows: u64,
    /// The rows in the sink's own form.
    pub payload: Payload,
}

/// The forms that an encoded chunk may have.
pub enum Payload {
    /// Text, whole rows.
    Bytes(Vec<u8>),
    /// Parquet row groups, each by column.
    RowGroups(Vec<Vec<::parquet::arrow::arrow_writer::ArrowColumnChunk>>),
    /// Rows as they are, for sinks that must write in one thread.
    Rows(Vec<Batch>),
    /// Rows that fit a table.
    Table(Box<Chunk>),
}

/// What one split has staged: plain data, so that another process can commit it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Staged {
    /// Number of the split.
    pub split: usize,
    /// Rows in it.
    pub rows: u64,
    /// Staged parts in order: where each stands, and where it is to go.
    pub parts: Vec<StagedPart>,
}

/// One staged file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StagedPart {
    /// Where it stands.
    pub staged: PathBuf,
    /// Where it is to go.
    pub target: PathBuf,
    /// Rows in it.
    pub rows: u64,
    /// Bytes in it.
    pub bytes: u64,
}

/// What a commit made visible.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Committed {
    /// Files in order, objects by their URL.
    pub files: Vec<PathBuf>,
    /// Rows in them, from this run.
    pub rows: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Numbers that were written as null, since the format has none that is not finite.
    pub nulled: u64,
    /// Tables, with what became of their rows.
    pub tables: Vec<TableReport>,
    /// What was brought up to date afterwards.
    pub published: Vec<PublishReport>,
}
