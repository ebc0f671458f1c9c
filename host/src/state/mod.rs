//! What the host keeps from one call to the next: a record of every run, and dead letters in tables. The only user of SQL.

mod database;
mod history;
mod journal;
pub mod letters;
mod marks;
mod stats;

use std::path::{Path, PathBuf};

pub use database::Database;
pub use history::{Filter, History, Recording};
pub use marks::Mark;
pub use stats::PipelineStats;

/// The file in the state folder that holds records and letters.
const FILE: &str = "state.db";

/// The state database in a folder.
pub fn state_file(folder: &Path) -> PathBuf {
    folder.join(FILE)
}
