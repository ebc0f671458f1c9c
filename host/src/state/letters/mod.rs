//! Queues of dead letters: looked through, and changed all or nothing, while runs may add to them.

mod file;
mod selection;
mod table;

pub use file::{FileLetters, lock};
pub use selection::Selection;
pub use table::{DEFAULT_TABLE, Hold, TableAt, TableLetters};

use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::error::Result;
use crate::report::DeadLetter;

/// A queue of dead letters.
#[derive(Debug)]
pub enum Letters {
    /// A file, one JSON object a line.
    File(FileLetters),
    /// A table.
    Table(TableLetters),
}

impl Letters {
    /// What a person calls it.
    pub fn name(&self) -> String {
        match self {
            Self::File(file) => file.path().display().to_string(),
            Self::Table(table) => table.name(),
        }
    }

    /// Looks at the letters that are meant, in the order in which they came, until told to stop. A queue that is not there has none.
    ///
    /// # Errors
    /// Outside, where it cannot be read; and those of `see`.
    pub fn each(&self, selection: &Selection, see: &mut dyn FnMut(DeadLetter) -> Result<ControlFlow<()>>) -> Result<()> {
        match self {
            Self::File(file) => file.each(selection, see),
            Self::Table(table) => table.each(selection, see),
        }
    }

    /// Changes letters, and adds others behind them: all or nothing, and no letter that a run adds meanwhile is lost.
    ///
    /// `change` sees every letter that is meant and says whether it changed it; one of `more` whose id is there already is left out.
    ///
    /// # Errors
    /// Outside, where it cannot be written; then everything is as it was.
    pub fn change(&self, selection: &Selection, change: &mut dyn FnMut(&mut DeadLetter) -> bool, more: &[DeadLetter]) -> Result<()> {
        match self {
            Self::File(file) => file.change(selection, change, more),
            Self::Table(table) => table.change(selection, change, more),
        }
    }

    /// Keeps others away who replay letters of a pipeline, on other machines too, until what is answered is dropped; `None` where somebody
    /// is at it. On this machine the lock in the [folder](Self::replay_folder) does that.
    ///
    /// # Errors
    /// Outside.
    pub fn hold(&self, pipeline: &str) -> Result<Option<Option<Hold>>> {
        match self {
            Self::File(_) => Ok(Some(None)),
            Self::Table(table) => Ok(table.hold(pipeline)?.map(Some)),
        }
    }

    /// The folder beside it in which letters of a pipeline stand while they are tried again.
    pub fn replay_folder(&self, pipeline: &str) -> PathBuf {
        let (path, table) = match self {
            Self::File(file) => (file.path(), String::new()),
            Self::Table(table) => (table.beside(), format!(".{}", table.table())),
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let safe: String = pipeline.chars().map(|letter| if letter.is_alphanumeric() || letter == '-' { letter } else { '_' }).collect();
        path.with_file_name(format!(".{name}{table}.{safe}.replay"))
    }
}
