//! Where dead letters go.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::state::letters::TableLetters;

/// Where dead letters go.
#[derive(Clone, Debug)]
pub enum Place {
    /// To the end of a file.
    File(PathBuf),
    /// To a table.
    Table(Arc<TableLetters>),
    /// Into the report: the last 1000.
    Memory,
    /// Nowhere; they are counted.
    Nowhere,
}

impl Place {
    /// Finds the file for a path that the user gave: a folder (it is one, ends in `/`, or its name has no ending) gets a file
    /// `<pipeline>.jsonl`; no path means `dlq/<pipeline>.jsonl` in the contract directory.
    pub fn file(path: Option<&str>, contract: &Path, pipeline: &str) -> Self {
        let name = format!("{}.jsonl", pipeline.replace(['/', '\\'], "_"));
        let Some(path) = path else { return Self::File(contract.join("dlq").join(name)) };
        let full = contract.join(path);
        let is_folder = full.is_dir() || path.ends_with('/') || (full.extension().is_none() && !full.exists());
        Self::File(if is_folder { full.join(name) } else { full })
    }

    /// The file that letters go to, or what they are staged beside where they go to a table.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Table(table) => Some(table.beside()),
            Self::Memory | Self::Nowhere => None,
        }
    }
}
