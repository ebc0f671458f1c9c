//! A file that several threads read at once, each at its own place.
//!
//! Clones of an open file share one place to read on from: a thread that reads a page would move the others.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// A file that is read by offset.
#[derive(Clone)]
pub(super) struct Positioned {
    file: Arc<File>,
    bytes: u64,
}

/// Reads on from an offset of its own.
pub(super) struct At {
    file: Arc<File>,
    offset: u64,
}

impl Positioned {
    pub(super) fn new(file: File) -> io::Result<Self> {
        Ok(Self { bytes: file.metadata()?.len(), file: Arc::new(file) })
    }
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

impl Length for Positioned {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Positioned {
    type T = BufReader<At>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(BufReader::new(At { file: self.file.clone(), offset: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.bytes) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of a file of {} bytes", self.bytes)));
        }
        let mut buffer = vec![0; length];
        self.file.read_exact_at(&mut buffer, start)?;
        Ok(buffer.into())
    }
}
