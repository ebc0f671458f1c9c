//! Where the host keeps what it must know from one call to the next.

use std::path::{Path, PathBuf};

use super::FILE;
use super::database::{Database, Shared};
use crate::config::database::Connection;
use crate::error::Result;

/// The schema of a shared database in which the host's own tables are.
const SCHEMA: &str = "etl_host";

/// Where the host keeps what it must know from one call to the next: a folder of this machine, and the database that servers share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The folder. It has locks, checkpoints and the journal of runs; without a shared database everything else too.
    pub folder: PathBuf,
    /// A PostgreSQL that has records, dead letters and marks in place of the folder.
    pub shared: Option<Connection>,
}

impl Home {
    /// A folder of this machine, and nothing else.
    pub fn of(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), shared: None }
    }

    /// The file that holds records and letters where nothing is shared.
    pub fn file(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// What a person calls it, without secrets.
    pub fn title(&self) -> String {
        self.shared.as_ref().map_or_else(|| self.folder.display().to_string(), ToString::to_string)
    }

    /// The database that servers share; absent where nothing is shared.
    pub fn database(&self) -> Option<Shared> {
        let connection = self.shared.clone()?;
        Some(Shared { connection, tunnel: None, root: PathBuf::from("."), schema: Some(SCHEMA.into()) })
    }

    pub(super) fn open(&self) -> Result<Database> {
        match self.database() {
            Some(shared) => Database::shared(&shared),
            None => Database::open(&self.file()),
        }
    }

    pub(super) fn look_at(&self) -> Result<Option<Database>> {
        match self.database() {
            Some(shared) => Database::shared(&shared).map(Some),
            None => Database::look_at(&self.file()),
        }
    }

    /// The folder of this machine.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
