//! Rows that were read and that no file has yet, on disk: so that a run that goes on from a checkpoint has them, and files come out with
//! the same row groups as if it had not been interrupted.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};

use super::patient::Patient;
use super::workspace::cannot;
use crate::error::{Context, Error, Result};

/// Bytes below which a log is never written anew.
const SMALL: u64 = 64 << 20;

/// Where rows stand in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    offset: u64,
    length: u64,
}

/// How far a log was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Flushed {
    number: u64,
    bytes: u64,
}

/// Rows on disk, appended one after the other.
pub(super) struct Log {
    dir: PathBuf,
    number: u64,
    path: PathBuf,
    file: File,
    bytes: u64,
    /// How often a write to a full disk is tried again.
    retries: u32,
}

impl Log {
    /// Starts a log in a folder.
    pub(super) fn create(dir: &Path, number: u64, retries: u32) -> Result<Self> {
        let path = dir.join(format!("rows-{number}"));
        let file = File::options().create(true).truncate(true).read(true).write(true).open(&path);
        let file = file.map_err(|error| cannot("create", &path, error))?;
        Ok(Self { dir: dir.to_owned(), number, path, file, bytes: 0, retries })
    }

    /// Goes on with one.
    pub(super) fn resume(dir: &Path, flushed: &Flushed, retries: u32) -> Result<Self> {
        let Flushed { number, bytes } = *flushed;
        let path = dir.join(format!("rows-{number}"));
        let file = cut(&path, bytes)?;
        Ok(Self { dir: dir.to_owned(), number, path, file, bytes, retries })
    }

    /// Its file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds rows.
    pub(super) fn push(&mut self, rows: &RecordBatch) -> Result<Place> {
        let mut bytes = Vec::new();
        let written = StreamWriter::try_new(&mut bytes, rows.schema_ref()).and_then(|mut writer| {
            writer.write(rows)?;
            writer.finish()
        });
        written.bug(|| "rows cannot be kept for a checkpoint".into())?;
        self.push_bytes(&bytes)
    }

    fn push_bytes(&mut self, bytes: &[u8]) -> Result<Place> {
        let place = Place { offset: self.bytes, length: bytes.len() as u64 };
        let written = self.file.seek(SeekFrom::Start(self.bytes)).and_then(|_| Patient::new(&self.file, self.retries).write_all(bytes));
        written.map_err(|error| cannot("write", &self.path, error))?;
        self.bytes += place.length;
        Ok(place)
    }

    /// Reads rows.
    pub(super) fn read(&mut self, place: Place) -> Result<RecordBatch> {
        let bytes = self.read_bytes(place)?;
        let rows = StreamReader::try_new(&bytes[..], None).and_then(|mut reader| reader.next().transpose());
        rows.outside(|| format!("the rows in `{}` do not read", self.path.display()))?
            .ok_or_else(|| Error::outside(format!("the rows in `{}` are missing", self.path.display())))
    }

    fn read_bytes(&mut self, place: Place) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(place.length).unwrap_or_default()];
        let read = self.file.seek(SeekFrom::Start(place.offset)).and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|error| cannot("read", &self.path, error))?;
        Ok(bytes)
    }

    /// Writes the log anew where little of it is still needed, and changes the places of what is; answers the file that it had.
    pub(super) fn compact<'a>(&mut self, needed: impl Iterator<Item = &'a mut Place>) -> Result<Option<PathBuf>> {
        let needed: Vec<&mut Place> = needed.collect();
        if self.bytes < SMALL.max(4 * needed.iter().map(|place| place.length).sum::<u64>()) {
            return Ok(None);
        }
        let mut fresh = Self::create(&self.dir, self.number + 1, self.retries)?;
        for place in needed {
            let bytes = self.read_bytes(*place)?;
            *place = fresh.push_bytes(&bytes)?;
        }
        Ok(Some(std::mem::replace(self, fresh).path))
    }

    /// Puts it on disk.
    pub(super) fn flush(&mut self) -> Result<Flushed> {
        self.file.sync_data().map_err(|error| cannot("sync", &self.path, error))?;
        Ok(Flushed { number: self.number, bytes: self.bytes })
    }
}

/// Opens a staged file and cuts off what was written after a checkpoint; it stands at its end.
///
/// # Errors
/// Outside, where it is missing or shorter.
pub(super) fn cut(path: &Path, bytes: u64) -> Result<File> {
    let mut file = File::options().read(true).write(true).open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => gone(format!("`{}`, which the checkpoint speaks of, is not there any more", path.display())),
        _ => cannot("open", path, error),
    })?;
    let length = file.metadata().map_err(|error| cannot("read", path, error))?.len();
    if length < bytes {
        return Err(gone(format!("`{}` has {length} bytes, but the checkpoint speaks of {bytes}", path.display())));
    }
    let ready = file.set_len(bytes).and_then(|()| file.seek(SeekFrom::End(0)));
    ready.map_err(|error| cannot("cut", path, error))?;
    Ok(file)
}

/// Checks that a staged file that was ended is there.
///
/// # Errors
/// Outside.
pub(super) fn is_there(path: &Path) -> Result<()> {
    File::open(path).map(drop).map_err(|_| gone(format!("`{}`, which the checkpoint speaks of, is not there any more", path.display())))
}

fn gone(what: String) -> Error {
    Error::outside(what).hint("what was staged is lost: `--restart` starts again from the first row")
}

/// Removes the files of a folder that a checkpoint does not speak of.
pub(super) fn keep_only(dir: &Path, keep: impl Fn(&Path) -> bool) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(|error| cannot("list", dir, error))? {
        let path = entry.map_err(|error| cannot("list", dir, error))?.path();
        if path.is_file() && !keep(&path) {
            fs::remove_file(&path).map_err(|error| cannot("remove", &path, error))?;
        }
    }
    Ok(())
}
