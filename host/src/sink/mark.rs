//! What a commit leaves beside the output, so that it can be told after a crash whether it was done.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::commit::Move;
use super::output::Output;
use super::workspace::{Workspace, cannot, sync_dir};
use crate::config::load::Sink;
use crate::error::Result;

/// A hidden file beside the target, which a commit shows together with the output, all or nothing: plain data, to be kept by whoever will ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The folder of the target.
    folder: PathBuf,
    /// The target's name.
    name: String,
    /// Tells it from other marks.
    token: String,
}

impl Mark {
    /// The mark of this token beside the target of a sink.
    ///
    /// # Errors
    /// Config, where options of the sink cannot be.
    pub fn new(sink: &Sink, root: &Path, token: &str) -> Result<Self> {
        let Sink::File(sink) = sink else { return Err(super::unbuilt(sink)) };
        let output = Output::new(sink, root)?;
        let folder = std::path::absolute(&output.folder).map_err(|error| cannot("find", &output.folder, error))?;
        Ok(Self { folder, name: output.name(), token: token.to_owned() })
    }

    /// Whether the commit was done. One that was interrupted is undone first, and can never be done later.
    ///
    /// # Errors
    /// Outside, where the folder cannot be read or a run is writing the target.
    pub fn is_done(&self) -> Result<bool> {
        if !self.folder.exists() {
            return Ok(false);
        }
        Workspace::open(&self.folder, &self.name, "settle")?.remove()?;
        Ok(self.path().exists())
    }

    /// Takes it away, once nobody will ask any more.
    ///
    /// # Errors
    /// Outside.
    pub fn remove(&self) -> Result<()> {
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
