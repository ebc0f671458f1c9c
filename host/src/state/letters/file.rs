//! A queue of dead letters in a file, one JSON object a line.
//!
//! Runs append under a lock of the file. A change writes the file anew under the same lock and renames it over the old one, so that whoever
//! waited for the lock holds that of a file that is gone: everybody looks, once the lock is theirs, whether it still has its name.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Selection;
use crate::error::{Context, Error, Result};
use crate::report::DeadLetter;

/// Bytes of a line that are read; a row is far smaller.
const LINE_BYTES: u64 = 256 << 20;

/// A queue of dead letters in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLetters {
    path: PathBuf,
}

/// Opens a file to append to it, once no other process does; whoever drops it lets others.
///
/// # Errors
/// What the system says.
pub fn lock(path: &Path) -> io::Result<File> {
    loop {
        let file = File::options().create(true).read(true).append(true).open(path)?;
        file.lock()?;
        let (open, named) = (file.metadata()?, fs::metadata(path));
        match named {
            Ok(named) if (named.dev(), named.ino()) == (open.dev(), open.ino()) => return Ok(file),
            // It was written anew, or removed, while we waited.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}

impl FileLetters {
    /// The queue in a file, which need not be there.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it stands.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As [`Letters::each`](super::Letters::each).
    ///
    /// # Errors
    /// As there.
    pub fn each(&self, selection: &Selection, see: &mut dyn FnMut(DeadLetter) -> Result<ControlFlow<()>>) -> Result<()> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(self.cannot("open", error)),
        };
        let mut torn = 0_u64;
        self.lines(file, &mut |line| {
            match serde_json::from_slice::<DeadLetter>(line) {
                Ok(letter) if selection.takes(&letter) => return see(letter),
                Ok(_) => {}
                Err(_) => torn += 1,
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if torn > 0 {
            tracing::warn!(lines = torn, path = %self.path.display(), "lines are no dead letters and are left alone");
        }
        Ok(())
    }

    pub(super) fn change(&self, selection: &Selection, change: &mut dyn FnMut(&mut DeadLetter) -> bool, more: &[DeadLetter]) -> Result<()> {
        if more.is_empty() && !self.path.exists() {
            return Ok(());
        }
        let file = lock(&self.path).map_err(|error| self.cannot("open", error))?;
        let fresh = self.path.with_file_name(format!(".{}.new", self.path.file_name().unwrap_or_default().to_string_lossy()));
        let mut changed = false;
        let mut added: HashSet<&str> = more.iter().map(|letter| letter.id.as_str()).collect();
        let write = |error: io::Error| Error::outside(format!("cannot write `{}`", fresh.display())).because(error);
        let mut out = BufWriter::with_capacity(1 << 18, File::create(&fresh).map_err(write)?);
        let reader =
            file.try_clone().and_then(|mut file| io::Seek::rewind(&mut file).map(|()| file)).map_err(|error| self.cannot("read", error))?;
        self.lines(reader, &mut |line| {
            // Members that we do not know stay too.
            let known = serde_json::from_slice::<Value>(line).ok().zip(serde_json::from_slice::<DeadLetter>(line).ok());
            let Some((mut whole, mut letter)) = known else { return put(&mut out, line).map_err(write) };
            added.remove(letter.id.as_str());
            if !selection.takes(&letter) || !change(&mut letter) {
                return put(&mut out, line).map_err(write);
            }
            changed = true;
            let letter = serde_json::to_value(&letter).bug(|| "a letter is not JSON".into())?;
            if let (Some(whole), Value::Object(letter)) = (whole.as_object_mut(), letter) {
                whole.extend(letter);
            }
            put(&mut out, whole.to_string().as_bytes()).map_err(write)
        })?;
        for letter in more.iter().filter(|letter| added.contains(letter.id.as_str())) {
            changed = true;
            let _ = put(&mut out, &serde_json::to_vec(letter).bug(|| "a letter is not JSON".into())?).map_err(write)?;
        }
        let permissions = file.metadata().map_err(write)?.permissions();
        let synced = out.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| {
            file.set_permissions(permissions)?;
            file.sync_all()
        });
        let placed = match (synced, changed) {
            (Ok(()), true) => fs::rename(&fresh, &self.path),
            (Ok(()), false) => return fs::remove_file(&fresh).map_err(write),
            (Err(error), _) => Err(error),
        };
        placed.inspect_err(|_| drop(fs::remove_file(&fresh))).map_err(write)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| self.cannot("sync the folder of", error))
    }

    /// Passes on the lines that hold anything, without their ends.
    fn lines(&self, file: File, see: &mut dyn FnMut(&[u8]) -> Result<ControlFlow<()>>) -> Result<()> {
        let mut reader = BufReader::with_capacity(1 << 18, file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = io::Read::take(&mut reader, LINE_BYTES).read_until(b'\n', &mut line).map_err(|error| self.cannot("read", error))?;
            if read == 0 {
                return Ok(());
            }
            let content = line.trim_ascii_end();
            if !content.is_empty() && see(content)?.is_break() {
                return Ok(());
            }
        }
    }

    fn cannot(&self, doing: &str, error: io::Error) -> Error {
        Error::outside(format!("cannot {doing} the dead letters at `{}`", self.path.display())).because(error)
    }
}

fn put(out: &mut impl Write, line: &[u8]) -> io::Result<ControlFlow<()>> {
    out.write_all(line)?;
    out.write_all(b"\n")?;
    Ok(ControlFlow::Continue(()))
}
