//! Where rows come from: the trait, and `open`.

mod csv;
mod cut;
mod database;
mod excel;
mod file;
mod given;
mod http;
mod incremental;
mod input;
mod json;
mod layout;
mod lines;
mod nested;
mod objects;
mod parquet;
mod paths;
mod place;
mod positioned;
mod refuse;
mod rows;
mod scalar;
mod shared;
mod tape;
mod target;
mod xml;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod formats;
#[cfg(test)]
mod testing;

pub use given::{Given, given};
pub use incremental::{Newer, with_mark};
pub use lines::read_lines;
pub use shared::{Lane, Shared};

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow_schema::SchemaRef;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::batch::{Batch, Position, Reject};
use crate::config::extract::{FileSource, Incremental, Reading, Source as SourceConfig};
use crate::config::variables::Secrets;
use crate::error::Result;
use crate::remote::store::Store;
use crate::sandbox::Network;

/// What a source is opened in.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The folder that relative paths start at.
    pub root: &'a Path,
    /// The run's parameters, by the names under which the source gets them.
    pub params: &'a BTreeMap<String, Value>,
    /// Values that must not be printed.
    pub secrets: &'a Secrets,
    /// What the operator allows on the network.
    pub network: &'a Network,
    /// What earlier runs have loaded, where only newer rows are taken: a source may leave out the others, and need not.
    pub since: Option<Since<'a>>,
    /// How often a request is tried again.
    pub max_retries: u32,
    /// Once set, nobody wants the source any more: one that waits for somebody else while it is opened gives up.
    pub stop: &'a AtomicBool,
}

/// The flag of somebody who waits for a source however long it takes.
pub static NEVER: AtomicBool = AtomicBool::new(false);

/// Which rows are new.
#[derive(Clone, Copy, Debug)]
pub struct Since<'a> {
    /// How it is told.
    pub incremental: &'a Incremental,
    /// What earlier runs have reached; absent = nothing yet.
    pub reached: Option<&'a str>,
}

/// Opens a source: finds out what is there to be read and of what columns it is.
///
/// # Errors
/// Outside, where it is not there or cannot be read; config, where options do not fit it; data, where it is damaged.
pub fn open(source: &SourceConfig, reading: &Reading, options: ReadOptions, surroundings: &Surroundings<'_>) -> Result<Box<dyn Source>> {
    match source {
        SourceConfig::File(source) if source.is_web() => {
            Ok(Box::new(file::Files::open(source, reading, &options, paths::fetch(source, surroundings)?)?))
        }
        SourceConfig::File(source) => open_files(source, reading, options, surroundings.root),
        SourceConfig::Database(source) => Ok(Box::new(database::Database::open(source, reading, options, surroundings)?)),
        SourceConfig::Http(source) => Ok(Box::new(http::Http::open(source, reading, &options, surroundings)?)),
        SourceConfig::CloudStorage(source) => {
            let store = Store::open(&source.storage, surroundings.root, surroundings.max_retries, &surroundings.network.authority_files)?;
            Ok(Box::new(file::Files::open(&source.files(), reading, &options, objects::find(&source.storage, &store)?)?))
        }
    }
}

/// Checks a source without asking anybody for anything.
///
/// # Errors
/// Config, where options cannot be.
pub fn check(source: &SourceConfig, root: &Path) -> Result<()> {
    match source {
        SourceConfig::CloudStorage(source) => {
            Store::check(&source.storage, root)?;
            objects::check(&source.storage)?;
            file::check(&source.files())
        }
        SourceConfig::File(source) => file::check(source),
        _ => Ok(()),
    }
}

/// Opens a file source: finds its files and out of what columns they are; `root` is what a relative path starts at.
///
/// # Errors
/// As [`open`].
pub fn open_files(source: &FileSource, reading: &Reading, options: ReadOptions, root: &Path) -> Result<Box<dyn Source>> {
    Ok(Box::new(file::Files::open(source, reading, &options, paths::find(source, root)?)?))
}

/// A file or an object that is read, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asset {
    /// A file on this machine.
    File(PathBuf),
    /// An object in a cloud storage.
    Object {
        /// Its name.
        url: String,
        /// Bytes in it.
        bytes: u64,
        /// The storage's name for this content; empty where it has none.
        etag: String,
        /// When it was written, in nanoseconds since 1970.
        modified: u64,
    },
}

/// A place that rows come from.
///
/// A source is opened once a run: names resolved, schema found out. It is plain to read from then on, from several threads at once.
pub trait Source: Send + Sync {
    /// The schema that every batch has, unless a batch says otherwise (see [`Batch`]).
    fn schema(&self) -> SchemaRef;

    /// Cuts the input into at most `target` parts that can be read on their own; none where there is nothing to read.
    fn splits(&self, target: NonZeroUsize) -> Result<Vec<Split>>;

    /// The files and objects that it reads, each once.
    fn inputs(&self) -> Vec<Asset> {
        Vec::new()
    }

    /// What opening found out, for whoever opens it once more to go on; none where looking again costs little.
    fn learned(&self) -> Option<String> {
        None
    }

    /// Its columns as steps want them that ask for these as text, and give these a type of their own.
    fn view(&self, as_text: &[String], converted: &[String]) -> View;

    /// Reads a split from its start or from a position that an earlier read of it gave.
    fn read(&self, split: &Split, from: Option<&Position>) -> Result<Chunks>;

    /// Ends reads that wait for somebody else, on whatever thread; they and later ones fail.
    fn stop(&self) {}
}

/// The columns of a source as some steps want them.
#[derive(Clone, Debug)]
pub struct View(Arc<layout::Layout>);

impl View {
    /// The schema that every batch has, unless a batch says otherwise.
    pub fn schema(&self) -> SchemaRef {
        self.0.schema.clone()
    }
}

/// A part of the input: plain data, without secrets, the same on every machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Number of the split, from 0; its output stands in this order.
    pub index: usize,
    /// What to read, in order.
    pub files: Vec<String>,
}

/// The parts of a split in order; pulled by one thread, which does only what cannot be done in parallel: reading, decompressing, finding the ends of rows.
pub type Chunks = Box<dyn Iterator<Item = Result<Box<dyn Chunk>>> + Send>;

/// A part of a split that holds whole rows and is not parsed yet, so that any thread may parse it.
pub trait Chunk: Send {
    /// Where to read on after this chunk.
    fn next(&self) -> Position;

    /// The same rows once more, to be parsed for other steps: nothing is read again.
    fn seen_as(&self, view: &View) -> Box<dyn Chunk>;

    /// Parses it, batch by batch in order, so that one batch is held at a time.
    ///
    /// # Errors
    /// Data, where the policy says that a bad row fails the run.
    fn decode(self: Box<Self>) -> Box<dyn Iterator<Item = Result<Decoded>> + Send>;
}

/// What became of the rows of one batch.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The rows that parsed.
    pub batch: Batch,
    /// The rows that did not.
    pub rejects: Vec<Reject>,
    /// Rows that did not parse and that the policy `skip` leaves out: counted, not kept.
    pub skipped: u64,
    /// Rows that were read and are not taken, since an earlier run has loaded them.
    pub filtered: u64,
}

/// How a source is to be read, as the plan worked it out.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// Rows of a batch. With `exact`, every batch but a file's last has just so many rows read (those that did not parse count).
    pub batch_rows: NonZeroUsize,
    /// Whether a stage sees the rows of a batch together, so that `batch_rows` must be kept to.
    pub exact: bool,
    /// Bytes of input a chunk should have; it holds at least one batch.
    pub chunk_bytes: usize,
    /// Rows to read at most, over the whole source.
    pub limit: Option<u64>,
    /// Columns that a later `convert` gives their type: where the inferred type does not hold for a chunk, it has the column as text and loses no row.
    pub converted: Vec<String>,
    /// Columns that a later `convert` makes text: they are read as they stand in the file, without inference.
    pub as_text: Vec<String>,
    /// Columns that are needed; `None` = all. Others may be left out where that is cheaper.
    pub columns: Option<Vec<String>>,
    /// What [`Source::learned`] answered when the run began, where it goes on.
    pub learned: Option<String>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            batch_rows: NonZeroUsize::new(8192).expect("8192 is not zero"),
            exact: false,
            chunk_bytes: 1 << 20,
            limit: None,
            converted: Vec::new(),
            as_text: Vec::new(),
            columns: None,
            learned: None,
        }
    }
}
