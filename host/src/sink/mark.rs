//! What a commit leaves beside the output, so that it can be told after a crash whether it was done.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::bucket::Bucket;
use super::commit::Move;
use super::database::TableMark;
use super::output::Output;
use super::workspace::{Workspace, cannot, sync_dir};
use crate::config::load::Sink;
use crate::error::{Error, Result};
use crate::remote::store::Store;

/// How often a request that asks for a mark is tried again.
const RETRIES: u32 = 3;

/// What a commit leaves together with the output, all or nothing: plain data without secrets, to be kept by whoever will ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Mark {
    /// A hidden file or object.
    File(FileMark),
    /// A row of a table.
    Table(TableMark),
}

impl Mark {
    /// The mark of this token beside the target of a sink.
    ///
    /// # Errors
    /// Config, where options of the sink cannot be.
    pub fn new(sink: &Sink, root: &Path, token: &str) -> Result<Self> {
        match sink {
            Sink::File(sink) => FileMark::new(Output::new(sink, root)?, false, token).map(Self::File),
            Sink::CloudStorage(sink) => FileMark::new(Output::of_objects(sink)?, true, token).map(Self::File),
            Sink::Database(sink) => Ok(Self::Table(TableMark::new(sink, token))),
        }
    }

    /// Whether the commit was done. One that was interrupted is undone or completed first, and can never be done later.
    ///
    /// # Errors
    /// Outside, where the place cannot be read or a run is writing the target; config, where the sink is another one now.
    pub fn is_done(&self, sink: &Sink, root: &Path, authority_files: &[PathBuf]) -> Result<bool> {
        match (self, sink) {
            (Self::File(mark), _) => mark.is_done(sink, root, authority_files),
            (Self::Table(mark), Sink::Database(sink)) => mark.is_done(sink, root),
            (Self::Table(mark), _) => Err(mark.moved()),
        }
    }

    /// Takes it away, once nobody will ask any more.
    ///
    /// # Errors
    /// Outside; config, where the sink is another one now.
    pub fn remove(&self, sink: &Sink, root: &Path, authority_files: &[PathBuf]) -> Result<()> {
        match (self, sink) {
            (Self::File(mark), _) => mark.remove(sink, root, authority_files),
            (Self::Table(mark), Sink::Database(sink)) => mark.remove(sink, root),
            (Self::Table(mark), _) => Err(mark.moved()),
        }
    }

    /// The file or object, where it is one.
    pub(super) fn file(&self) -> Option<&FileMark> {
        if let Self::File(mark) = self { Some(mark) } else { None }
    }

    /// The row of a table, where it is one.
    pub(super) fn table(&self) -> Option<&TableMark> {
        if let Self::Table(mark) = self { Some(mark) } else { None }
    }
}

/// A hidden file or object beside the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileMark {
    /// Whether it is in a bucket, which the pipeline's own sink then says how to reach.
    #[serde(default)]
    in_bucket: bool,
    /// The folder of the target.
    folder: PathBuf,
    /// The target's name.
    name: String,
    /// Tells it from other marks.
    token: String,
}

impl FileMark {
    fn new(output: Output, in_bucket: bool, token: &str) -> Result<Self> {
        let folder = match in_bucket {
            false => std::path::absolute(&output.folder).map_err(|error| cannot("find", &output.folder, error))?,
            true => output.folder.clone(),
        };
        Ok(Self { in_bucket, folder, name: output.name(), token: token.to_owned() })
    }

    fn is_done(&self, sink: &Sink, root: &Path, authority_files: &[PathBuf]) -> Result<bool> {
        if let Some((store, output)) = self.bucket(sink, root, authority_files)? {
            Bucket::look(store.clone(), output).settle(None)?;
            return Ok(store.find(&self.path().to_string_lossy())?.is_some());
        }
        if !self.folder.exists() {
            return Ok(false);
        }
        Workspace::open(&self.folder, &self.name, "settle")?.remove()?;
        Ok(self.path().exists())
    }

    fn remove(&self, sink: &Sink, root: &Path, authority_files: &[PathBuf]) -> Result<()> {
        if let Some((store, _)) = self.bucket(sink, root, authority_files)? {
            return store.remove(&self.path().to_string_lossy());
        }
        match fs::remove_file(self.path()) {
            Ok(()) => sync_dir(&self.folder),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(cannot("remove", &self.path(), error)),
        }
    }

    /// The bucket that it is in.
    fn bucket(&self, sink: &Sink, root: &Path, authority_files: &[PathBuf]) -> Result<Option<(Store, Output)>> {
        match sink {
            _ if !self.in_bucket => Ok(None),
            Sink::CloudStorage(sink) => Ok(Some((Store::open(&sink.storage, root, RETRIES, authority_files)?, Output::of_objects(sink)?))),
            _ => Err(Error::config(
                "rows of an earlier replay are on their way to a cloud storage, which the pipeline does not write to any more",
            )
            .hint("put the sink back as it was, run `etl-host dlq replay` once, and change it then")),
        }
    }

    /// Stages it.
    pub(super) fn stage(&self, workspace: &Workspace) -> Result<Move> {
        let staged = workspace.file("mark")?;
        File::create(&staged).and_then(|file| file.sync_all()).map_err(|error| cannot("write", &staged, error))?;
        Ok(Move { staged, target: self.path() })
    }

    fn path(&self) -> PathBuf {
        self.folder.join(format!(".{}.{}.done", self.name, self.token))
    }
}
