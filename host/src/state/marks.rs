//! How far each pipeline that takes newer rows only has come: a small file for each pipeline and set of parameters.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::database::create_folder;
use crate::error::{Context, Error, Result};

/// Bytes of a mark's file.
const MAX_BYTES: u64 = 1 << 20;

/// The mark of one pipeline with its parameters; held by one run at a time.
#[derive(Debug)]
pub struct Mark {
    path: PathBuf,
    reached: Option<Reached>,
    _held: File,
}

/// Where a run has come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reached {
    mark: String,
    run_id: String,
}

impl Mark {
    /// Takes the mark of a name, for as long as it is not dropped.
    ///
    /// # Errors
    /// Outside, where another run holds it or it cannot be read.
    pub fn hold(state_folder: &Path, name: &str) -> Result<Self> {
        let folder = state_folder.join("marks");
        if !folder.exists() {
            create_folder(&folder)?;
        }
        let lock = folder.join(format!("{name}.lock"));
        let held = File::options().write(true).create(true).truncate(false).open(&lock);
        let held = held.outside(|| format!("opening `{}`", lock.display()))?;
        match held.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = "another run of this pipeline with these parameters is at work, and both would take the same new rows";
                return Err(Error::outside(message).hint("wait until it ends"));
            }
            Err(TryLockError::Error(error)) => return Err(error).outside(|| format!("locking `{}`", lock.display())),
        }
        let path = folder.join(format!("{name}.json"));
        let reached = read(&path)?;
        Ok(Self { path, reached, _held: held })
    }

    /// What the last run that loaded everything has reached, for one who only looks.
    ///
    /// # Errors
    /// Outside, where it cannot be read.
    pub fn seen(state_folder: &Path, name: &str) -> Result<Option<String>> {
        Ok(read(&state_folder.join("marks").join(format!("{name}.json")))?.map(|reached| reached.mark))
    }

    /// What the last run that loaded everything has reached; none before the first.
    pub fn reached(&self) -> Option<&str> {
        self.reached.as_ref().map(|reached| reached.mark.as_str())
    }

    /// Moves it to what a run has reached, on disk once this returns.
    ///
    /// # Errors
    /// Outside.
    pub fn move_to(&mut self, mark: &str, run_id: &str) -> Result<()> {
        let doing = || format!("the rows are loaded, but the mark `{}` could not be moved to `{mark}`", self.path.display());
        let reached = Reached { mark: mark.to_owned(), run_id: run_id.to_owned() };
        let text = serde_json::to_string(&reached).bug(|| "a mark as JSON".into())?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let write = || -> std::io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&self.path)?;
            File::open(folder)?.sync_all()
        };
        write().outside(doing).map_err(|error| error.hint("the next run takes these rows again, unless the file is mended by hand"))?;
        self.reached = Some(reached);
        Ok(())
    }
}

fn read(path: &Path) -> Result<Option<Reached>> {
    let doing = || format!("reading the mark `{}`", path.display());
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).outside(doing),
        Ok(metadata) if metadata.len() > MAX_BYTES => {
            return Err(Error::outside(format!("the mark `{}` has {} bytes, but may have {MAX_BYTES}", path.display(), metadata.len())));
        }
        Ok(_) => {}
    }
    let text = fs::read(path).outside(doing)?;
    let reached = serde_json::from_slice(&text).outside(|| format!("the mark `{}` cannot be read", path.display()));
    reached.map(Some).map_err(|error| error.hint("remove the file to take all rows again, or mend it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_held_by_one_and_moves() {
        let folder = tempfile::tempdir().unwrap();
        let mut mark = Mark::hold(folder.path(), "orders").unwrap();
        assert_eq!(mark.reached(), None);
        assert!(Mark::hold(folder.path(), "orders").unwrap_err().one_line().contains("another run of this pipeline"));
        assert!(Mark::hold(folder.path(), "others").is_ok());
        mark.move_to("7", "a").unwrap();
        mark.move_to("9", "b").unwrap();
        drop(mark);
        assert_eq!(Mark::hold(folder.path(), "orders").unwrap().reached(), Some("9"));
        fs::write(folder.path().join("marks/orders.json"), "{").unwrap();
        assert!(Mark::hold(folder.path(), "orders").unwrap_err().one_line().contains("cannot be read"));
    }
}
