//! Output of one file: chunks that were encoded on any thread are appended to it.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::SchemaRef;
use parquet::file::writer::SerializedFileWriter;

use super::flushed::What;
use super::log::{cut, is_there, keep_only};
use super::parquet::{self as parquet_file, ParquetEncode};
use super::patient::Patient;
use super::text::TextEncode;
use super::workspace::{cannot, sync_dir};
use super::{Encode, Encoded, Flushed, Load, Payload, Staged, StagedPart};
use crate::batch::Reject;
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
    file: Patient,
    schema: SchemaRef,
    encode: Arc<TextEncode>,
    /// Whether the file starts as a file does, else it follows another.
    opened: bool,
    rows: u64,
    written: u64,
    /// Bytes that the kernel has been told to put on disk.
    started: u64,
}

impl TextLoad {
    /// Starts the file.
    pub(super) fn begin(
        split: usize,
        [path, target]: [PathBuf; 2],
        schema: SchemaRef,
        encode: Arc<TextEncode>,
        opening: Option<&[u8]>,
        retries: u32,
    ) -> Result<Box<dyn Load>> {
        let mut file = Patient::new(File::create(&path).map_err(|error| cannot("create", &path, error))?, retries);
        let start = opening.unwrap_or_default();
        file.write_all(start).map_err(|error| cannot("write", &path, error))?;
        let (opened, written) = (opening.is_some(), start.len() as u64);
        Ok(Box::new(Self { split, path, target, file, schema, encode, opened, rows: 0, written, started: 0 }))
    }

    /// Goes on with it.
    pub(super) fn resume(
        split: usize,
        [path, target]: [PathBuf; 2],
        schema: SchemaRef,
        encode: Arc<TextEncode>,
        from: (&Flushed, u32),
        opens: bool,
    ) -> Result<Box<dyn Load>> {
        let (from, retries) = from;
        let What::Text { bytes, opened } = from.what else { return Err(other_kind(&target)) };
        if opened != opens {
            let what = if opened { "has come to be there" } else { "is gone" };
            return Err(Error::outside(format!(
                "`{}`, to which rows are to be added, {what} since the run was interrupted",
                target.display()
            ))
            .hint("put it back as it was, or start again with `--restart`"));
        }
        let file = Patient::new(cut(&path, bytes)?, retries);
        Ok(Box::new(Self { split, path, target, file, schema, encode, opened, rows: from.rows, written: bytes, started: bytes }))
    }
}

impl Load for TextLoad {
    fn encoder(&self) -> Arc<dyn Encode> {
        self.encode.clone()
    }

    fn append(&mut self, chunk: Encoded) -> Result<Vec<Reject>> {
        let Payload::Bytes(bytes) = chunk.payload else { return Err(Error::bug("a text file takes bytes only")) };
        if chunk.rows == 0 {
            return Ok(Vec::new());
        }
        let format = &self.encode.format;
        let joint = format.packing.pack(format.joint(self.rows > 0).to_vec())?;
        self.file.write_all(&joint).and_then(|()| self.file.write_all(&bytes)).map_err(|error| cannot("write", &self.path, error))?;
        self.rows += chunk.rows;
        self.written += (joint.len() + bytes.len()) as u64;
        if self.written - self.started >= WRITEBACK_BYTES {
            start_writeback(self.file.get_ref(), self.started, self.written - self.started);
            self.started = self.written;
        }
        Ok(Vec::new())
    }

    fn flush(&mut self) -> Result<Flushed> {
        self.file.get_ref().sync_data().map_err(|error| cannot("sync", &self.path, error))?;
        sync_dir(self.path.parent().unwrap_or(Path::new(".")))?;
        Flushed::new(self.rows, &self.schema, What::Text { bytes: self.written, opened: self.opened })
    }

    fn finish(self: Box<Self>) -> Result<Staged> {
        self.file.get_ref().sync_all().map_err(|error| cannot("sync", &self.path, error))?;
        let Self { split, path, target, rows, written, .. } = *self;
        Ok(Staged { split, rows, parts: vec![StagedPart { staged: path, target, rows, bytes: written }] })
    }
}

/// Says that a checkpoint is of another kind of output.
pub(super) fn other_kind(target: &Path) -> Error {
    Error::config(format!("the checkpoint is of an output that was staged in another way than `{}` is", target.display()))
        .hint("`--restart` starts again from the first row")
}

/// Stages one split of a Parquet file.
///
/// A Parquet file that has no footer yet cannot be gone on with, so that a flush ends it and the next row group starts another; the commit
/// puts the row groups of all of them behind each other as they are.
pub(super) struct ParquetLoad {
    split: usize,
    dir: PathBuf,
    target: PathBuf,
    schema: SchemaRef,
    encode: Arc<ParquetEncode>,
    /// The file that is being written, with the rows in it.
    open: Option<(PathBuf, SerializedFileWriter<Patient>, u64)>,
    /// Those that are done.
    done: Vec<StagedPart>,
    /// How often a write to a full disk is tried again.
    retries: u32,
}

impl ParquetLoad {
    /// Starts the file, or goes on with it.
    pub(super) fn begin(
        split: usize,
        [dir, target]: [PathBuf; 2],
        schema: SchemaRef,
        encode: ParquetEncode,
        from: Option<&Flushed>,
        retries: u32,
    ) -> Result<Box<dyn Load>> {
        let done = match from.map(|from| &from.what) {
            None => Vec::new(),
            Some(What::Segments { parts }) => parts.clone(),
            Some(_) => return Err(other_kind(&target)),
        };
        if from.is_some() {
            done.iter().try_for_each(|part| is_there(&part.staged))?;
            keep_only(&dir, |path| done.iter().any(|part| part.staged == path))?;
        }
        Ok(Box::new(Self { split, dir, target, schema, encode: Arc::new(encode), open: None, done, retries }))
    }

    fn open(&mut self) -> Result<&mut (PathBuf, SerializedFileWriter<Patient>, u64)> {
        if self.open.is_none() {
            let path = self.dir.join(format!("part-{}", self.done.len()));
            let file = File::create(&path).map_err(|error| cannot("create", &path, error))?;
            let writer = self.encode.format.start(Patient::new(file, self.retries), &path)?;
            self.open = Some((path, writer, 0));
        }
        Ok(self.open.as_mut().expect("it is open now"))
    }

    /// Ends the file that is being written.
    fn close(&mut self) -> Result<()> {
        let Some((path, writer, rows)) = self.open.take() else { return Ok(()) };
        let closed = parquet_file::close(writer, &path)?;
        let file = closed.get_ref();
        let bytes = file.sync_all().and_then(|()| file.metadata()).map_err(|error| cannot("sync", &path, error))?.len();
        self.done.push(StagedPart { staged: path, target: self.target.clone(), rows, bytes });
        Ok(())
    }
}

impl Load for ParquetLoad {
    fn encoder(&self) -> Arc<dyn Encode> {
        self.encode.clone()
    }

    fn append(&mut self, chunk: Encoded) -> Result<Vec<Reject>> {
        let Payload::RowGroups(groups) = chunk.payload else { return Err(Error::bug("a Parquet file takes row groups only")) };
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let (path, writer, rows) = self.open()?;
        groups.into_iter().try_for_each(|group| parquet_file::append(writer, group, path))?;
        *rows += chunk.rows;
        Ok(Vec::new())
    }

    fn flush(&mut self) -> Result<Flushed> {
        self.close()?;
        sync_dir(&self.dir)?;
        let rows = self.done.iter().map(|part| part.rows).sum();
        Flushed::new(rows, &self.schema, What::Segments { parts: self.done.clone() })
    }

    fn finish(mut self: Box<Self>) -> Result<Staged> {
        if self.done.is_empty() {
            // A run without rows leaves a file that says so.
            self.open()?;
        }
        self.close()?;
        let Self { split, done, .. } = *self;
        Ok(Staged { split, rows: done.iter().map(|part| part.rows).sum(), parts: done })
    }
}
