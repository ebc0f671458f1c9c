//! What is staged of the dead letters of a run.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::batch::Reason;
use crate::sink::workspace::Workspace;

/// What a run has staged and done so far.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Opened by the first letter, so that a run without letters leaves no trace.
    pub(super) workspace: Option<Workspace>,
    /// By split.
    pub(super) splits: BTreeMap<usize, Split>,
    pub(super) recent: VecDeque<Value>,
    /// What a commit has appended.
    pub(super) appended: Option<Appended>,
    /// The file that keeps what is staged while it is there, where the run can be resumed.
    pub(super) kept: Option<PathBuf>,
}

/// What a commit has appended to a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Appended {
    /// The file, by its number on the disk.
    pub(super) file: u64,
    /// Its length before.
    pub(super) before: u64,
    /// And after.
    pub(super) after: u64,
}

#[derive(Debug, Default)]
pub(super) struct Split {
    pub(super) staged: Option<(PathBuf, File)>,
    /// Bytes staged.
    pub(super) bytes: u64,
    pub(super) counts: BTreeMap<Reason, u64>,
    pub(super) first: Vec<String>,
}

/// The letters that are on disk before the run is done: plain data, for a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flushed {
    pub(super) splits: BTreeMap<usize, FlushedSplit>,
    pub(super) recent: Vec<Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FlushedSplit {
    pub(super) bytes: u64,
    pub(super) counts: BTreeMap<Reason, u64>,
    pub(super) first: Vec<String>,
}
