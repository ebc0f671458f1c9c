//! The journal: one line of JSON for every run that has ended, for whoever reads along.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Context, Result};

/// How far back a line is looked for that a crash kept from being ticked off.
const TAIL_BYTES: u64 = 4 << 20;

/// The journal, which is locked until this is dropped.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens the journal of a state folder, once nobody else writes to it.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("runs.jsonl");
        let opened = File::options().create(true).read(true).append(true).mode(0o600).open(&path);
        let file =
            opened.and_then(|file| file.lock().map(|()| file)).outside(|| format!("cannot open the journal `{}`", path.display()))?;
        Ok(Self { path, file })
    }

    /// Appends records, each with the id of its run: all or nothing, and none that is there already.
    pub(super) fn append(&self, records: &[(String, String)]) -> Result<()> {
        let mut file = &self.file;
        let write = |file: &mut &File| {
            let before = file.seek(SeekFrom::End(0))?;
            let from = before.saturating_sub(TAIL_BYTES);
            file.seek(SeekFrom::Start(from))?;
            let mut tail = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut tail)?;
            let tail = String::from_utf8_lossy(&tail).into_owned();
            // A line that a full disk has cut short stays alone.
            let mut lines = if tail.is_empty() || tail.ends_with('\n') { String::new() } else { "\n".to_owned() };
            for (_, record) in records.iter().filter(|(_, record)| !tail.lines().any(|line| line == record)) {
                lines.push_str(record);
                lines.push('\n');
            }
            let written = file.write_all(lines.as_bytes()).and_then(|()| file.sync_data());
            if written.is_err() {
                let _ = file.set_len(before);
            }
            written
        };
        write(&mut file).outside(|| format!("cannot write to the journal `{}`", self.path.display()))
    }
}
