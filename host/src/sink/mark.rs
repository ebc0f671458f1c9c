//! What a commit leaves beside the output, so that it can be told after a crash whether it was done.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::commit::Move;
use super::database::TableMark;
use super::output::Output;
use super::workspace::{Workspace, cannot, sync_dir};
use crate::config::load::{FileSink, Sink};
use crate::error::Result;

/// What a commit leaves together with the output, all or nothing: plain data without secrets, to be kept by whoever will ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Mark {
    /// A hidden file.
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
            Sink::File(sink) => FileMark::new(sink, root, token).map(Self::File),
            Sink::Database(sink) => Ok(Self::Table(TableMark::new(sink, token))),
            Sink::CloudStorage(_) => Err(super::unbuilt(sink)),
        }
    }

    /// Whether the commit was done. One that was interrupted is undone first, and can never be done later.
    ///
    /// # Errors
    /// Outside, where the place cannot be read or a run is writing the target; config, where the sink is another one now.
    pub fn is_done(&self, sink: &Sink, root: &Path) -> Result<bool> {
        match (self, sink) {
            (Self::File(mark), _) => mark.is_done(),
            (Self::Table(mark), Sink::Database(sink)) => mark.is_done(sink, root),
            (Self::Table(mark), _) => Err(mark.moved()),
        }
    }

    /// Takes it away, once nobody will ask any more.
    ///
    /// # Errors
    /// Outside; config, where the sink is another one now.
    pub fn remove(&self, sink: &Sink, root: &Path) -> Result<()> {
        match (self, sink) {
            (Self::File(mark), _) => mark.remove(),
            (Self::Table(mark), Sink::Database(sink)) => mark.remove(sink, root),
            (Self::Table(mark), _) => Err(mark.moved()),
        }
    }

    /// The file, where it is one.
    pub(super) fn file(&self) -> Option<&FileMark> {
        if let Self::File(mark) = self { Some(mark) } else { None }
    }

    /// The row of a table, where it is one.
    pub(super) fn table(&self) -> Option<&TableMark> {
        if let Self::Table(mark) = self { Some(mark) } else { None }
    }
}

/// A hidden file beside the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileMark {
    /// The folder of the target.
    folder: PathBuf,
    /// The target's name.
    name: String,
    /// Tells it from other marks.
    token: String,
}

impl FileMark {
    fn new(sink: &FileSink, root: &Path, token: &str) -> Result<Self> {
        let output = Output::new(sink, root)?;
        let folder = std::path::absolute(&output.folder).map_err(|error| cannot("find", &output.folder, error))?;
        Ok(Self { folder, name: output.name(), token: token.to_owned() })
    }

    fn is_done(&self) -> Result<bool> {
        if !self.folder.exists() {
            return Ok(false);
        }
        Workspace::open(&self.folder, &self.name, "settle")?.remove()?;
        Ok(self.path().exists())
    }

    fn remove(&self) -> Result<()> {
        match fs::remove_file(self.path()) {
            Ok(()) => sync_dir(&self.folder),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(cannot("remove", &self.path(), error)),
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
