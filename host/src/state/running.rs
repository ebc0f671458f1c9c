//! Which runs are alive: a run holds a lock for as long as its process lives.
//!
//! On this machine the lock is a file; where servers share a database it is one of that database, which goes when the connection does.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

use super::database::{Database, create_folder};
use crate::error::{Context, Error, Result};

/// The lock of a run, held until this is dropped.
#[derive(Debug)]
pub(super) enum Held<'a> {
    /// A file; it is removed when the run ends in order.
    File(PathBuf, #[expect(dead_code, reason = "its lock is what counts")] File),
    /// A name of a shared database.
    Name(&'a Database, String),
}

impl<'a> Held<'a> {
    /// Takes the lock of a run.
    ///
    /// # Errors
    /// Outside, where another process has it.
    pub(super) fn take(database: &'a Database, folder: &Path, is_shared: bool, run_id: &str) -> Result<Self> {
        if is_shared {
            let name = name(run_id);
            return match database.try_hold(&name)? {
                true => Ok(Self::Name(database, name)),
                false => Err(Error::outside(format!("another process is running `{run_id}`"))),
            };
        }
        let path = file(folder, run_id);
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            create_folder(folder)?;
        }
        let held = hold(&path, run_id)?;
        Ok(Self::File(path, held))
    }

    /// Takes the lock of a run whose process has died; `None` where it lives.
    pub(super) fn of_dead(database: &'a Database, folder: &Path, is_shared: bool, run_id: &str) -> Result<Option<Self>> {
        if is_shared {
            let name = name(run_id);
            return Ok(database.try_hold(&name)?.then_some(Self::Name(database, name)));
        }
        let path = file(folder, run_id);
        match File::options().write(true).create(true).truncate(false).open(&path) {
            Ok(file) => Ok(file.try_lock().is_ok().then_some(Self::File(path, file))),
            // There was no run in this folder yet.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Some(Self::Name(database, name(run_id)))),
            Err(error) => Err(error).outside(|| format!("opening `{}`", path.display())),
        }
    }

    /// Removes what says that it runs.
    pub(super) fn end(self) {
        if let Self::File(path, _) = &self {
            let _ = fs::remove_file(path);
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Self::Name(database, name) = self {
            database.release(name);
        }
    }
}

fn name(run_id: &str) -> String {
    format!("run {run_id}")
}

/// The file that a run holds for as long as its process lives.
fn file(folder: &Path, run_id: &str) -> PathBuf {
    // An id may be any text.
    let name = Uuid::new_v5(&Uuid::NAMESPACE_OID, run_id.as_bytes());
    folder.join("running").join(name.to_string())
}

/// Takes the lock of a file.
fn hold(lock: &Path, run_id: &str) -> Result<File> {
    let cannot = || format!("cannot hold `{}`", lock.display());
    for _ in 0..100 {
        let held = File::options().create(true).truncate(false).write(true).open(lock).outside(cannot)?;
        match held.try_lock() {
            // Whoever notes that an earlier process died removes the file.
            Ok(()) if is_same(&held, lock) => return Ok(held),
            Ok(()) => {}
            // They may be at it this moment.
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::Error(error)) => return Err(Error::outside(cannot()).because(error)),
        }
    }
    Err(Error::outside(format!("another process is running `{run_id}`")))
}

/// Whether a path still names an open file.
fn is_same(file: &File, path: &Path) -> bool {
    let same = |open: fs::Metadata, named: fs::Metadata| (open.dev(), open.ino()) == (named.dev(), named.ino());
    file.metadata().ok().zip(fs::metadata(path).ok()).is_some_and(|(open, named)| same(open, named))
}
