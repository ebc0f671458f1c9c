//! The folder of a checkpoint.
//!
//! ```text
//! lock        held (flock) by the process that works on the run; says which
//! current     the last checkpoint
//! previous    the one before, until the next is there
//! run-<id>    while it is there, sinks keep what that run has staged
//! rows        rows that wait for their columns
//! ```

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use chrono::{SecondsFormat, Utc};

use super::Checkpoint;
use crate::crash;
use crate::error::{Context, Error, Result};
use crate::state::create_folder;

/// The folder of a checkpoint, locked.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    id: String,
    _lock: File,
}

fn cannot(doing: &str, path: &Path, error: io::Error) -> Error {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let failed = Error::outside(format!("cannot {doing} `{}`", path.display())).because(error);
    if full { failed.hint("the disk is full: free some space, or keep checkpoints elsewhere with `--checkpoint-dir`") } else { failed }
}

fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| cannot("sync the folder", dir, error))
}

impl Store {
    /// Opens the folder of the checkpoint `id` and locks it.
    ///
    /// # Errors
    /// Outside, where it cannot be made, or another process works on the run; config, where the id cannot be the name of a folder.
    pub(super) fn open(parent: &Path, id: &str) -> Result<Self> {
        let names = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if id.is_empty() || id.len() > 100 || id.starts_with('.') || !id.chars().all(names) {
            return Err(Error::config(format!("`{id}` cannot be the name of a checkpoint"))
                .hint("it has 1 to 100 of a to z, A to Z, 0 to 9, `-`, `_` and `.`, and does not start with `.`"));
        }
        let folder = parent.join(id);
        // Checkpoints hold rows.
        create_folder(&folder).map_err(|error| error.hint("`--checkpoint-dir` keeps checkpoints in another folder"))?;
        let lock = lock(&folder.join("lock"), id)?;
        Ok(Self { folder, id: id.to_owned(), _lock: lock })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where rows stand that wait for their columns.
    pub(super) fn rows(&self) -> PathBuf {
        self.folder.join("rows")
    }

    /// The file that keeps what a run has staged while it is there.
    pub(super) fn mark(&self, run_id: &str) -> PathBuf {
        let safe = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
        self.folder.join(format!("run-{}", run_id.chars().map(safe).collect::<String>()))
    }

    /// Makes that file.
    pub(super) fn make_mark(&self, run_id: &str) -> Result<PathBuf> {
        let path = self.mark(run_id);
        File::create(&path).map_err(|error| cannot("create", &path, error))?;
        sync_dir(&self.folder)?;
        Ok(path)
    }

    /// Whether there is such a file of any run.
    pub(super) fn has_marks(&self) -> bool {
        let is_mark = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with("run-");
        fs::read_dir(&self.folder).is_ok_and(|entries| entries.flatten().any(is_mark))
    }

    /// Lets go of what any run has staged.
    pub(super) fn remove_marks(&self) -> Result<()> {
        for entry in fs::read_dir(&self.folder).map_err(|error| cannot("list", &self.folder, error))? {
            let path = entry.map_err(|error| cannot("list", &self.folder, error))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("run-") || name == "rows" {
                fs::remove_file(&path).map_err(|error| cannot("remove", &path, error))?;
            }
        }
        Ok(())
    }

    /// The last checkpoint that is whole; none where there is no checkpoint.
    ///
    /// # Errors
    /// Where there are some, and none of them is whole.
    pub(super) fn load(&self) -> Result<Option<Checkpoint>> {
        let mut first: Option<Error> = None;
        for name in ["current", "previous"] {
            let path = self.folder.join(name);
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(cannot("read", &path, error)),
            };
            match Checkpoint::decode(&bytes) {
                Ok(checkpoint) => {
                    if let Some(error) = first {
                        tracing::warn!(checkpoint = self.id, error = %error.one_line(), "the last checkpoint cannot be used, the one before it is");
                    }
                    return Ok(Some(checkpoint));
                }
                Err(error) => first = first.or(Some(error.while_doing(format!("cannot use the checkpoint `{}`", path.display())))),
            }
        }
        match first {
            None => Ok(None),
            Some(error) if error.find_hint().is_some() => Err(error),
            Some(error) => Err(error.hint("`--restart` discards it and starts from the first row")),
        }
    }

    /// Takes back the last checkpoint: the one before it is the last one again. None where there is no such.
    ///
    /// # Errors
    /// Where it cannot be read or moved.
    pub(super) fn step_back(&self) -> Result<Option<Checkpoint>> {
        let [current, previous] = ["current", "previous"].map(|name| self.folder.join(name));
        let bytes = match fs::read(&previous) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot("read", &previous, error)),
        };
        let before = Checkpoint::decode(&bytes).map_err(|error| error.while_doing(format!("cannot use `{}`", previous.display())))?;
        fs::rename(&previous, &current).map_err(|error| cannot("put back the checkpoint", &current, error))?;
        sync_dir(&self.folder)?;
        Ok(Some(before))
    }

    /// Puts a checkpoint in place of the last one, which is kept until the next.
    ///
    /// # Errors
    /// Outside; then the last one is there still.
    pub(super) fn write(&self, checkpoint: Checkpoint) -> Result<()> {
        let [new, current, previous] = ["new", "current", "previous"].map(|name| self.folder.join(name));
        let bytes = checkpoint.encode()?;
        File::create(&new)
            .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
            .map_err(|error| cannot("write the checkpoint", &new, error))?;
        crash::at("checkpoint.synced");
        match fs::rename(&current, &previous) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot("keep the checkpoint", &current, error)),
            _ => {}
        }
        crash::at("checkpoint.aside");
        fs::rename(&new, &current).map_err(|error| cannot("write the checkpoint", &current, error))?;
        crash::at("checkpoint.renamed");
        sync_dir(&self.folder)
    }

    /// Removes all checkpoints.
    pub(super) fn clear(&self) -> Result<()> {
        for name in ["new", "current", "previous"] {
            let path = self.folder.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot("remove", &path, error)),
                _ => {}
            }
        }
        sync_dir(&self.folder)
    }
}

/// Takes the lock, or says who has it.
fn lock(path: &Path, id: &str) -> Result<File> {
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(path);
    let mut file = opened.map_err(|error| cannot("create", path, error))?;
    match file.try_lock() {
        Ok(()) => {
            let host = rustix::system::uname();
            let now = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
            let holder = format!("process {} on {} since {now}", std::process::id(), host.nodename().to_string_lossy());
            let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
            written.map_err(|error| cannot("write", path, error))?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = (&file).take(1024).read_to_string(&mut holder);
            let holder = if holder.is_empty() { "another process" } else { holder.as_str() };
            Err(Error::outside(format!("the checkpoint `{id}` is in use by {holder}"))
                .hint("wait until that run has ended, or give this one a `--checkpoint-id` of its own"))
        }
        Err(TryLockError::Error(error)) => Err::<File, _>(error).outside(|| format!("cannot lock `{}`", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::checkpoint;
    use super::*;

    #[test]
    fn where_the_last_checkpoint_is_torn_the_one_before_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "a").unwrap();
        assert!(store.load().unwrap().is_none());
        for number in 1..=3 {
            store.write(checkpoint(number)).unwrap();
            assert_eq!(store.load().unwrap().unwrap().number, number);
        }
        let current = store.folder().join("current");
        let whole = fs::read(&current).unwrap();
        fs::write(&current, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(store.load().unwrap().unwrap().number, 2);
        // Killed between the two renames.
        fs::remove_file(&current).unwrap();
        assert_eq!(store.load().unwrap().unwrap().number, 2);
        fs::write(store.folder().join("previous"), "torn").unwrap();
        let error = store.load().unwrap_err();
        let previous = store.folder().join("previous");
        assert_eq!(error.chain(), [format!("cannot use the checkpoint `{}`", previous.display()), "it is torn or damaged".into()]);
        assert_eq!(error.find_hint(), Some("`--restart` discards it and starts from the first row"));
    }

    #[test]
    fn a_second_process_is_told_who_works_on_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let first = Store::open(folder.path(), "a").unwrap();
        let error = Store::open(folder.path(), "a").unwrap_err();
        let expected = format!("the checkpoint `a` is in use by process {} on ", std::process::id());
        assert!(error.to_string().starts_with(&expected), "{error}");
        Store::open(folder.path(), "b").unwrap();
        drop(first);
        Store::open(folder.path(), "a").unwrap();
    }

    #[test]
    fn an_id_that_is_no_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for id in ["", "..", "a/b", "ä"] {
            assert_eq!(Store::open(folder.path(), id).unwrap_err().fault(), crate::error::Fault::Config, "{id}");
        }
    }
}
