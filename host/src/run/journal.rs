//! What became of each run of many, kept so that a later call goes on where this one ended: JSON lines, one run each.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};
use crate::state::create_folder;

/// Bytes of a journal that are read.
const MAX_BYTES: u64 = 1 << 30;

/// How one of many runs ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It started and did not end yet, or nobody was there to see it end.
    Running,
    /// As [`crate::report::Status::Success`].
    Success,
    /// As [`crate::report::Status::PartialSuccess`].
    PartialSuccess,
    /// It failed, and nothing of it is visible.
    Failed,
}

impl Ending {
    /// Whether it need not be run again.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Success | Self::PartialSuccess)
    }
}

/// What became of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Names the run among the many: its parameters.
    pub key: String,
    /// How it ended.
    pub status: Ending,
    /// Id of the run.
    pub run_id: String,
    /// Rows read.
    pub read: u64,
    /// Rows loaded.
    pub loaded: u64,
    /// Rows in the dead letters.
    pub rejected: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The journal of one series of runs; held by one process at a time.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Opens the journal of a series; answers it with the last entry of each run. Without `go_on` it starts empty.
    ///
    /// A last line that was not written to its end, as by a crash, is cut off.
    ///
    /// # Errors
    /// Outside, where it cannot be written or another process holds it; data, where it is damaged.
    pub fn open(path: &Path, go_on: bool) -> Result<(Self, BTreeMap<String, Entry>)> {
        let doing = || format!("opening the journal of these runs `{}`", path.display());
        if let Some(folder) = path.parent() {
            create_folder(folder)?;
        }
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).outside(doing)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(Error::outside(format!("another process is doing these runs (it holds `{}`)", path.display()))
                    .hint("wait until it ends"));
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(error).outside(doing),
        }
        let mut entries = BTreeMap::new();
        let mut whole = 0;
        if go_on {
            let mut text = String::new();
            (&mut file).take(MAX_BYTES).read_to_string(&mut text).outside(doing)?;
            for (number, line) in text.split_inclusive('\n').enumerate().take_while(|(_, line)| line.ends_with('\n')) {
                let entry: Entry = serde_json::from_str(line)
                    .data(|| format!("`{}` line {} is no entry of a journal", path.display(), number + 1))
                    .map_err(|error| error.hint("remove the file to start these runs anew"))?;
                entries.insert(entry.key.clone(), entry);
                whole += line.len() as u64;
            }
        }
        file.set_len(whole).outside(doing)?;
        file.seek(SeekFrom::Start(whole)).outside(doing)?;
        Ok((Self { file, path: path.to_owned() }, entries))
    }

    /// Appends what became of a run; on disk once it returns.
    ///
    /// # Errors
    /// Outside.
    pub fn append(&mut self, entry: &Entry) -> Result<()> {
        let doing = || format!("writing the journal `{}`", self.path.display());
        let mut line = serde_json::to_string(entry).bug(|| "an entry as JSON".into())?;
        line.push('\n');
        self.file.write_all(line.as_bytes()).outside(doing)?;
        self.file.sync_data().outside(doing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, status: Ending) -> Entry {
        Entry { key: key.into(), status, run_id: "r".into(), read: 2, loaded: 1, rejected: 1, seconds: 0.5, error: None }
    }

    #[test]
    fn the_last_entry_counts_and_a_torn_line_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.jsonl");
        let (mut journal, entries) = Journal::open(&path, true).unwrap();
        assert!(entries.is_empty());
        for (key, status) in [("x", Ending::Running), ("y", Ending::Running), ("x", Ending::Success)] {
            journal.append(&entry(key, status)).unwrap();
        }
        let second = Journal::open(&path, true).unwrap_err();
        assert!(second.one_line().contains("another process is doing these runs"), "{second:?}");
        drop(journal);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"key\":\"y\",\"sta").unwrap();
        let (mut journal, entries) = Journal::open(&path, true).unwrap();
        assert_eq!(entries.values().map(|entry| entry.status).collect::<Vec<_>>(), [Ending::Success, Ending::Running]);
        journal.append(&entry("z", Ending::Failed)).unwrap();
        drop(journal);
        assert_eq!(Journal::open(&path, true).unwrap().1.len(), 3);
        assert_eq!(Journal::open(&path, false).unwrap().1.len(), 0);
        std::fs::write(&path, "not JSON\n").unwrap();
        assert!(Journal::open(&path, true).is_err());
    }
}
