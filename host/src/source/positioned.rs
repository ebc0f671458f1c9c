//! A file that several threads read at once, each at its own place.
//!
//! Clones of an open file share one place to read on from: a thread that reads a page would move the others. Of an object, what is near its
//! end is fetched at once, since a footer stands there; the columns of row groups are fetched beforehand, by who knows which are needed.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::{Buf as _, Bytes};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use crate::error::Error;
use crate::remote::store::{Object, Ranges, Store};

/// Bytes at the end of an object that are fetched together.
const TAIL: u64 = 256 << 10;
/// Bytes of a page's head, which says how long the rest is.
const HEAD: u64 = 64 << 10;

/// A file that is read by offset.
#[derive(Clone)]
pub(super) enum Positioned {
    /// On this machine's disk.
    File { file: Arc<File>, bytes: u64 },
    /// In a cloud storage.
    Object(Arc<Remote>),
    /// The same, of which ranges were asked for already.
    Fetched(Arc<Remote>, Vec<Arc<Fetch>>),
}

/// An object, with its end.
pub(super) struct Remote {
    store: Store,
    object: Object,
    tail: OnceLock<Bytes>,
}

/// Ranges of an object that are on their way or there.
pub(super) struct Fetch(Mutex<Ranges>);

/// Reads on from an offset of its own.
pub(super) enum At {
    File { file: Arc<File>, offset: u64 },
    Object { remote: Positioned, offset: u64, ready: Bytes },
}

impl Positioned {
    pub(super) fn new(file: File) -> io::Result<Self> {
        Ok(Self::File { bytes: file.metadata()?.len(), file: Arc::new(file) })
    }

    pub(super) fn of_object(store: Store, object: Object) -> Self {
        Self::Object(Arc::new(Remote { store, object, tail: OnceLock::new() }))
    }

    /// Whether bytes come from elsewhere, so that they are better asked for beforehand.
    pub(super) fn is_remote(&self) -> bool {
        !matches!(self, Self::File { .. })
    }

    /// Asks for ranges of an object, which then are on their way.
    pub(super) fn fetch(&self, ranges: Vec<Range<u64>>) -> Arc<Fetch> {
        Arc::new(Fetch(Mutex::new(match self {
            Self::File { .. } => Ranges::default(),
            Self::Object(remote) | Self::Fetched(remote, _) => Ranges::fetch(&remote.store, &remote.object, ranges),
        })))
    }

    /// The same file, with ranges that were asked for.
    pub(super) fn with(&self, fetched: Vec<Arc<Fetch>>) -> Self {
        match self {
            Self::Object(remote) | Self::Fetched(remote, _) => Self::Fetched(remote.clone(), fetched),
            file @ Self::File { .. } => file.clone(),
        }
    }

    /// Bytes that must be there.
    fn bytes_at(&self, range: Range<u64>) -> Result<Bytes> {
        let length = range.end - range.start;
        if range.end > self.len() {
            return Err(ParquetError::EOF(format!("{length} bytes at {} of a file of {} bytes", range.start, self.len())));
        }
        match self {
            Self::File { file, .. } => {
                let mut buffer = vec![0; length as usize];
                file.read_exact_at(&mut buffer, range.start)?;
                Ok(buffer.into())
            }
            Self::Object(remote) => remote.bytes_at(range).map_err(|error| ParquetError::External(Box::new(error))),
            Self::Fetched(remote, fetched) => {
                let found = fetched.iter().find_map(|fetch| fetch.lock().get(range.clone()).transpose());
                let bytes = found.unwrap_or_else(|| remote.bytes_at(range));
                bytes.map_err(|error| ParquetError::External(Box::new(error)))
            }
        }
    }

    /// Some bytes from a place on; none at the end.
    fn some(&self, start: u64) -> Result<Bytes> {
        if let Self::Fetched(_, fetched) = self {
            let found = fetched.iter().find_map(|fetch| fetch.lock().some(start, HEAD).transpose());
            if let Some(bytes) = found {
                return bytes.map_err(|error| ParquetError::External(Box::new(error)));
            }
        }
        self.bytes_at(start..self.len().min(start + HEAD).max(start))
    }
}

impl Fetch {
    /// Waits until all is there.
    ///
    /// # Errors
    /// Outside.
    pub(super) fn wait(&self) -> crate::error::Result<()> {
        self.lock().wait()
    }

    fn lock(&self) -> MutexGuard<'_, Ranges> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remote {
    fn bytes_at(&self, range: Range<u64>) -> crate::error::Result<Bytes> {
        let start = self.object.bytes.saturating_sub(TAIL);
        if range.start < start {
            return self.store.read(&self.object, range);
        }
        let tail = match self.tail.get() {
            Some(tail) => tail.clone(),
            None => {
                let tail = self.store.read(&self.object, start..self.object.bytes)?;
                self.tail.get_or_init(|| tail).clone()
            }
        };
        Ok(tail.slice((range.start - start) as usize..(range.end - start) as usize))
    }
}

/// What a reader of ours said through one of the Parquet library.
pub(super) fn ours(error: ParquetError) -> std::result::Result<Error, ParquetError> {
    match error {
        ParquetError::External(inner) => inner.downcast().map(|error| *error).map_err(ParquetError::External),
        other => Err(other),
    }
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File { file, offset } => {
                let read = file.read_at(buffer, *offset)?;
                *offset += read as u64;
                Ok(read)
            }
            Self::Object { remote, offset, ready } => {
                if ready.is_empty() {
                    *ready = remote.some(*offset).map_err(io::Error::other)?;
                    *offset += ready.len() as u64;
                }
                let length = buffer.len().min(ready.len());
                ready.copy_to_slice(&mut buffer[..length]);
                Ok(length)
            }
        }
    }
}

impl Length for Positioned {
    fn len(&self) -> u64 {
        match self {
            Self::File { bytes, .. } => *bytes,
            Self::Object(remote) | Self::Fetched(remote, _) => remote.object.bytes,
        }
    }
}

impl ChunkReader for Positioned {
    type T = BufReader<At>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(BufReader::new(match self {
            Self::File { file, .. } => At::File { file: file.clone(), offset: start },
            remote => At::Object { remote: remote.clone(), offset: start, ready: Bytes::new() },
        }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start.checked_add(length as u64).ok_or_else(|| ParquetError::EOF(format!("{length} bytes at {start}")))?;
        self.bytes_at(start..end)
    }
}
