//! What the host keeps from one call to the next: a record of every run, dead letters in tables, marks of runs that take newer rows only.

mod database;
mod history;
mod home;
mod journal;
pub mod letters;
mod marks;
mod running;
mod stats;
mod unsent;

pub(crate) use database::create_folder;
pub use database::{Database, Shared};
pub use history::{Filter, History, Recording};
pub use home::Home;
pub use marks::{Mark, Promised, Reached};
pub use stats::PipelineStats;

/// The file in the state folder that holds records and letters.
const FILE: &str = "state.db";
