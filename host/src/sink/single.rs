//! Output of one file: chunks that were encoded on any thread are appended to it.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;

use parquet::file::writer::SerializedFileWriter;

use super::parquet::{self as parquet_file, ParquetEncode};
use super::text::TextEncode;
use super::workspace::cannot;
use super::{Encode, Encoded, Load, Payload, Staged, StagedPart};
use crate::error::{Error, Result};

/// Bytes after which the kernel starts to put what is written on disk, so that the sync at the end has little left to do.
const WRITEBACK_BYTES: u64 = 8 << 20;

/// Tells the kernel to start putting a range on disk; it is a hint, and the sync at the end is what counts.
fn start_writeback(file: &File, offset: u64, length: u64) {
    // SAFETY: the descriptor is open, and the call takes numbers only.
    unsafe { libc::sync_file_range(file.as_raw_fd(), offset as i64, length as i64, libc::SYNC_FILE_RANGE_WRITE) };
}

/// Stages one split of a text file.
pub(super) struct TextLoad {
    split: usize,
    path: PathBuf,
    target: PathBuf,
    file: File,
    encode: Arc<TextEncode>,
    rows: u64,
    written: u64,
    /// Bytes that the kernel has been told to put on disk.
    started: u64,
}

impl TextLoad {
    /// Starts the file.
    pub(super) fn begin(split: usize, path: PathBuf, target: PathBuf, encode: Arc<TextEncode>, opening: &[u8]) -> Result<Box<dyn Load>> {
        let mut file = File::create(&path).map_err(|error| cannot("create", &path, error))?;
        file.write_all(opening).map_err(|error| cannot("write", &path, error))?;
        Ok(Box::new(Self { split, path, target, file, encode, rows: 0, written: opening.len() as u64, started: 0 }))
    }
}

impl Load for TextLoad {
    fn encoder(&self) -> Arc<dyn Encode> {
        self.encode.clone()
    }

    fn append(&mut self, chunk: Encoded) -> Result<()> {
        let Payload::Bytes(bytes) = chunk.payload else { return Err(Error::bug("a text file takes bytes only")) };
        if chunk.rows == 0 {
            return Ok(());
        }
        let format = &self.encode.format;
        let joint = format.packing.pack(format.joint(self.rows > 0).to_vec())?;
        self.file.write_all(&joint).and_then(|()| self.file.write_all(&bytes)).map_err(|error| cannot("write", &self.path, error))?;
        self.rows += chunk.rows;
        self.written += (joint.len() + bytes.len()) as u64;
        if self.written - self.started >= WRITEBACK_BYTES {
            start_writeback(&self.file, self.started, self.written - self.started);
            self.started = self.written;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Staged> {
        self.file.sync_all().map_err(|error| cannot("sync", &self.path, error))?;
        let Self { split, path, target, rows, .. } = *self;
        Ok(Staged { split, rows, parts: vec![StagedPart { staged: path, target, rows }] })
    }
}

/// Stages one split of a Parquet file.
pub(super) struct ParquetLoad {
    split: usize,
    path: PathBuf,
    target: PathBuf,
    writer: SerializedFileWriter<File>,
    encode: Arc<ParquetEncode>,
    rows: u64,
}

impl ParquetLoad {
    /// Starts the file.
    pub(super) fn begin(split: usize, path: PathBuf, target: PathBuf, encode: ParquetEncode) -> Result<Box<dyn Load>> {
        let file = File::create(&path).map_err(|error| cannot("create", &path, error))?;
        let writer = encode.format.start(file, &path)?;
        Ok(Box::new(Self { split, path, target, writer, encode: Arc::new(encode), rows: 0 }))
    }
}

impl Load for ParquetLoad {
    fn encoder(&self) -> Arc<dyn Encode> {
        self.encode.clone()
    }

    fn append(&mut self, chunk: Encoded) -> Result<()> {
        let Payload::RowGroups(groups) = chunk.payload else { return Err(Error::bug("a Parquet file takes row groups only")) };
        groups.into_iter().try_for_each(|group| parquet_file::append(&mut self.writer, group, &self.path))?;
        self.rows += chunk.rows;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Staged> {
        let Self { split, path, target, writer, rows, .. } = *self;
        parquet_file::close(writer, &path)?.sync_all().map_err(|error| cannot("sync", &path, error))?;
        Ok(Staged { split, rows, parts: vec![StagedPart { staged: path, target, rows }] })
    }
}
