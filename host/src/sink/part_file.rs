//! One file of an output of many.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use chrono::{DateTime, Utc};
use parquet::file::writer::SerializedFileWriter;

use super::excel::ExcelFile;
use super::flushed::{self, Writer as FlushedWriter};
use super::log::{Place, cut, is_there};
use super::output::Kind;
use super::parquet::{self as parquet_file, ParquetFormat};
use super::patient::Patient;
use super::single::other_kind;
use super::text::TextFormat;
use super::workspace::cannot;
use crate::error::Result;

/// How one file is written.
#[derive(Clone)]
pub(super) enum FileFormat {
    Text(Arc<TextFormat>, SchemaRef),
    Parquet(Box<ParquetFormat>),
    Excel { sheet: String, schema: SchemaRef, created: DateTime<Utc> },
}

impl FileFormat {
    /// Settles how files of a kind are written.
    pub(super) fn new(kind: &Kind, schema: SchemaRef, created: DateTime<Utc>) -> Result<Self> {
        Ok(match kind {
            Kind::Text(format) => Self::Text(format.clone(), schema),
            Kind::Parquet(compression) => Self::Parquet(Box::new(ParquetFormat::new(schema, *compression)?)),
            Kind::Excel { sheet } => Self::Excel { sheet: sheet.clone(), schema, created },
        })
    }
}

/// A file that is being written.
pub(super) struct OpenFile {
    path: PathBuf,
    /// How often a write to a full disk is tried again.
    retries: u32,
    writer: Writer,
}

enum Writer {
    Text {
        format: Arc<TextFormat>,
        file: PathFile,
        any: bool,
    },
    /// A file without a footer cannot be gone on with: a flush ends it, and the next rows start another.
    Parquet {
        format: Box<ParquetFormat>,
        file: Option<Box<SerializedFileWriter<PathFile>>>,
        /// Whole files, and the one that is being written.
        segments: Vec<PathBuf>,
    },
    Excel {
        file: Box<ExcelFile>,
        /// Where its rows stand in the log.
        rows: Vec<Place>,
    },
}

/// A file that is open only while it is written to, so that there may be any number of them.
struct PathFile {
    path: PathBuf,
    /// How often a write to a full disk is tried again.
    retries: u32,
}

impl Write for PathFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Patient::new(File::options().create(true).append(true).open(&self.path)?, self.retries).write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl OpenFile {
    /// Starts a file.
    pub(super) fn create(format: &FileFormat, path: PathBuf, retries: u32) -> Result<Self> {
        File::create(&path).map_err(|error| cannot("create", &path, error))?;
        let writer = match format {
            FileFormat::Text(format, schema) => {
                let mut file = PathFile { path: path.clone(), retries };
                file.write_all(&format.packing.pack(format.opening(schema)?)?).map_err(|error| cannot("write", &path, error))?;
                Writer::Text { format: format.clone(), file, any: false }
            }
            FileFormat::Parquet(format) => {
                let file = format.start(PathFile { path: path.clone(), retries }, &path)?;
                Writer::Parquet { format: format.clone(), file: Some(Box::new(file)), segments: vec![path.clone()] }
            }
            FileFormat::Excel { sheet, schema, created } => {
                Writer::Excel { file: Box::new(ExcelFile::create(&path, sheet, schema, *created)?), rows: Vec::new() }
            }
        };
        Ok(Self { path, retries, writer })
    }

    /// Goes on with a file as a flush left it; `read` answers rows of the log.
    pub(super) fn resume(
        format: &FileFormat,
        open: &flushed::Open,
        retries: u32,
        read: &mut dyn FnMut(Place) -> Result<RecordBatch>,
    ) -> Result<Self> {
        let flushed::Open { path, writer } = open;
        let writer = match (format, writer) {
            (FileFormat::Text(format, _), FlushedWriter::Text { bytes, any }) => {
                cut(path, *bytes)?;
                Writer::Text { format: format.clone(), file: PathFile { path: path.clone(), retries }, any: *any }
            }
            (FileFormat::Parquet(format), FlushedWriter::Parquet { segments }) => {
                segments.iter().try_for_each(|segment| is_there(segment))?;
                Writer::Parquet { format: format.clone(), file: None, segments: segments.clone() }
            }
            (FileFormat::Excel { .. }, FlushedWriter::Excel { rows }) => {
                let mut file = Self::create(format, path.clone(), retries)?;
                for place in rows {
                    file.write(&[read(*place)?])?;
                    file.keep(*place);
                }
                return Ok(file);
            }
            _ => return Err(other_kind(path)),
        };
        Ok(Self { path: path.clone(), retries, writer })
    }

    /// The files in which it stands so far.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        match &self.writer {
            Writer::Text { .. } | Writer::Excel { .. } => vec![self.path.clone()],
            Writer::Parquet { segments, .. } => segments.clone(),
        }
    }

    /// Notes where rows of a workbook stand in the log.
    pub(super) fn keep(&mut self, place: Place) {
        if let Writer::Excel { rows, .. } = &mut self.writer {
            rows.push(place);
        }
    }

    /// Where rows of a workbook stand in the log.
    pub(super) fn kept(&mut self) -> impl Iterator<Item = &mut Place> {
        match &mut self.writer {
            Writer::Excel { rows, .. } => rows.iter_mut(),
            Writer::Text { .. } | Writer::Parquet { .. } => [].iter_mut(),
        }
    }

    /// Adds rows; answers the file that it wrote to.
    pub(super) fn write(&mut self, batches: &[RecordBatch]) -> Result<PathBuf> {
        let path = &self.path;
        match &mut self.writer {
            Writer::Text { format, file, any } => {
                let mut text = Vec::new();
                for rows in batches.iter().filter(|rows| rows.num_rows() > 0) {
                    if !*any {
                        text.extend_from_slice(format.joint(false));
                    }
                    format.write(rows, *any, &mut text)?;
                    *any = true;
                }
                file.write_all(&format.packing.pack(text)?).map_err(|error| cannot("write", path, error))?;
            }
            Writer::Parquet { format, file, segments } => {
                if file.is_none() {
                    let next = PathBuf::from(format!("{}-{}", path.display(), segments.len()));
                    File::create(&next).map_err(|error| cannot("create", &next, error))?;
                    *file = Some(Box::new(format.start(PathFile { path: next.clone(), retries: self.retries }, &next)?));
                    segments.push(next);
                }
                let (file, segment) = (file.as_mut().expect("it is open now"), segments.last().expect("it has a name"));
                format.encode(batches)?.into_iter().try_for_each(|group| parquet_file::append(file, group, segment))?;
                return Ok(segment.clone());
            }
            Writer::Excel { file, .. } => batches.iter().try_for_each(|rows| file.write(rows))?,
        }
        Ok(path.clone())
    }

    /// Says how far it is; answers also the file that this wrote to, if any.
    pub(super) fn flush(&mut self) -> Result<(flushed::Open, Option<PathBuf>)> {
        let path = &self.path;
        let (writer, touched) = match &mut self.writer {
            Writer::Text { any, .. } => {
                let bytes = fs::metadata(path).map_err(|error| cannot("read", path, error))?.len();
                (FlushedWriter::Text { bytes, any: *any }, None)
            }
            Writer::Parquet { file, segments, .. } => {
                let touched = match file.take() {
                    Some(file) => {
                        let segment = segments.last().expect("it has a name");
                        parquet_file::close(*file, segment)?;
                        Some(segment.clone())
                    }
                    None => None,
                };
                (FlushedWriter::Parquet { segments: segments.clone() }, touched)
            }
            Writer::Excel { rows, .. } => (FlushedWriter::Excel { rows: rows.clone() }, None),
        };
        Ok((flushed::Open { path: path.clone(), writer }, touched))
    }

    /// Ends it; answers where it stands, and files that are not needed any more.
    pub(super) fn finish(self) -> Result<(PathBuf, Vec<PathBuf>)> {
        let Self { path, retries: _, writer } = self;
        match writer {
            Writer::Text { format, mut file, any } => {
                let is_empty = fs::metadata(&path).map_err(|error| cannot("read", &path, error))?.len() == 0;
                let closing = format.closing(any);
                let closing = if is_empty { format.packing.pack_all(closing)? } else { format.packing.pack(closing)? };
                file.write_all(&closing).map_err(|error| cannot("write", &path, error))?;
                Ok((path, Vec::new()))
            }
            Writer::Parquet { format, file, mut segments } => {
                if let Some(file) = file {
                    parquet_file::close(*file, segments.last().expect("it has a name"))?;
                }
                if segments.len() == 1 {
                    return Ok((segments.remove(0), Vec::new()));
                }
                let joined = PathBuf::from(format!("{}-joined", path.display()));
                let file = File::create(&joined).map_err(|error| cannot("create", &joined, error))?;
                let mut writer = format.start(file, &joined)?;
                segments.iter().try_for_each(|segment| format.append_file(&mut writer, segment))?;
                parquet_file::close(writer, &joined)?;
                Ok((joined, segments))
            }
            Writer::Excel { file, .. } => {
                file.finish()?;
                Ok((path, Vec::new()))
            }
        }
    }
}
