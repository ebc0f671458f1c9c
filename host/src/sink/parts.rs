//! Output that one thread writes: Hive folders, files of so many rows, workbooks.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::file::writer::SerializedFileWriter;

use super::conform::{Conform, refuse};
use super::excel::{self, ExcelFile};
use super::output::{Kind, Layout, Output};
use super::parquet::{self as parquet_file, ParquetFormat};
use super::text::{TextFormat, unencodable};
use super::workspace::cannot;
use super::{Encode, Encoded, Encoder, Load, Payload, RunName, Staged, StagedPart};
use crate::batch::{Batch, Reason, Reject};
use crate::error::{Error, Result};

/// Bytes of rows that a part collects before they are written.
const PART_BYTES: usize = 8 << 20;

/// Bytes of rows that all parts of a split collect together.
const ALL_BYTES: usize = 64 << 20;

/// Workbooks that are open at once; the one written to longest ago is ended for another.
const WORKBOOKS: usize = 64;

/// Makes chunks of rows that fit and are sorted by folder, on any thread.
pub(super) struct PartsEncode {
    pub(super) output: Arc<Output>,
    pub(super) conform: Option<Conform>,
}

impl Encode for PartsEncode {
    fn start(&self) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(PartsEncoder { output: self.output.clone(), conform: self.conform.clone(), batches: Vec::new(), rows: 0 }))
    }
}

struct PartsEncoder {
    output: Arc<Output>,
    conform: Option<Conform>,
    batches: Vec<Batch>,
    rows: u64,
}

impl Encoder for PartsEncoder {
    fn write(&mut self, batch: &Batch) -> Result<Vec<Reject>> {
        let (mut rows, mut rejects, mut places) = match &self.conform {
            None => (batch.rows.clone(), Vec::new(), None),
            Some(conform) => {
                let fitted = conform.fit(batch)?;
                let places = (!fitted.rejects.is_empty()).then(|| fitted.places());
                (fitted.rows, fitted.rejects, places)
            }
        };
        let unfit = self.unfit(&rows, batch, places.as_deref());
        if !unfit.is_empty() {
            let keep: arrow_array::BooleanArray = (0..rows.num_rows()).map(|index| Some(!unfit.contains_key(&index))).collect();
            rows = arrow_select::filter::filter_record_batch(&rows, &keep)
                .map_err(|error| Error::bug("rows cannot be picked").because(error))?;
            let kept = |index: &usize| keep.value(*index);
            places = Some((0..keep.len()).filter(kept).map(|index| places.as_ref().map_or(index, |places| places[index])).collect());
            rejects.extend(unfit.into_values());
        }
        let mut push = |rows: RecordBatch| {
            self.rows += rows.num_rows() as u64;
            self.batches.push(Batch { rows, origin: batch.origin.clone(), sequence: batch.sequence });
        };
        match &self.output.layout {
            Layout::Hive { partition, .. } => {
                let split = partition.split(&rows)?;
                split.groups.into_iter().filter(|rows| rows.num_rows() > 0).for_each(&mut push);
                for (index, column) in split.too_long {
                    let place = places.as_ref().map_or(index, |places| places[index]);
                    let message = format!("the value of `{column}` is too long for the name of a folder");
                    rejects.push(refuse(batch, place, Reason::LoadError, "partition_too_long", message, Some(column)));
                }
            }
            _ if rows.num_rows() > 0 => push(rows),
            _ => {}
        }
        Ok(rejects)
    }

    fn finish(self: Box<Self>) -> Result<Encoded> {
        Ok(Encoded { rows: self.rows, payload: Payload::Rows(self.batches) })
    }
}

impl PartsEncoder {
    /// The rows that the format cannot hold, found before any is written.
    fn unfit(&self, rows: &RecordBatch, batch: &Batch, places: Option<&[usize]>) -> BTreeMap<usize, Reject> {
        let place = |index: usize| places.map_or(index, |places| places[index]);
        match &self.output.kind {
            Kind::Text(format) if format.is_partial() => {
                let refused = format.write(rows, false, &mut Vec::new());
                refused.into_iter().map(|(index, letter)| (index, unencodable(batch, place(index), &letter))).collect()
            }
            Kind::Excel { .. } => {
                let reject = |(index, column, characters): (usize, String, usize)| {
                    let limit = excel::CELL_CHARACTERS;
                    let message = format!("the text of `{column}` has {characters} characters, but an Excel cell holds at most {limit}");
                    (index, refuse(batch, place(index), Reason::LoadError, "cell_too_long", message, Some(column)))
                };
                excel::too_long(rows).into_iter().map(reject).collect()
            }
            _ => BTreeMap::new(),
        }
    }
}

/// Writes the parts of one split.
pub(super) struct PartsLoad {
    output: Arc<Output>,
    run: RunName,
    split: usize,
    /// Where the parts are staged.
    dir: PathBuf,
    encoder: Arc<dyn Encode>,
    files: FileFormat,
    /// By folder; the one `""` where there are none.
    parts: BTreeMap<String, Part>,
    pending_bytes: usize,
    /// Counts writes, to find the part written to longest ago.
    clock: u64,
    /// Files made, which names them.
    made: u64,
    staged: Vec<(String, StagedPart)>,
}

/// How one file is written.
#[derive(Clone)]
enum FileFormat {
    Text(Arc<TextFormat>, SchemaRef),
    Parquet(Box<ParquetFormat>),
    Excel { sheet: String, schema: SchemaRef },
}

/// The rows of one folder on their way.
#[derive(Default)]
struct Part {
    pending: Vec<RecordBatch>,
    bytes: usize,
    /// The file that is being written, with the rows in it or pending.
    open: Option<OpenFile>,
    /// Rows written to the open file or pending for it.
    rows: u64,
    /// Files that the folder has had.
    files: usize,
    used: u64,
}

struct OpenFile {
    path: PathBuf,
    writer: Writer,
}

enum Writer {
    Text { format: Arc<TextFormat>, file: PathFile, any: bool },
    Parquet { format: Box<ParquetFormat>, file: Box<SerializedFileWriter<PathFile>> },
    Excel(Box<ExcelFile>),
}

/// A file that is open only while it is written to, so that there may be any number of them.
struct PathFile(PathBuf);

impl Write for PathFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        File::options().create(true).append(true).open(&self.0)?.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PartsLoad {
    /// Starts the parts of a split; `schema` is that of the files.
    pub(super) fn new(
        output: Arc<Output>,
        run: RunName,
        split: usize,
        dir: PathBuf,
        schema: SchemaRef,
        encoder: Arc<dyn Encode>,
    ) -> Result<Self> {
        let files = match &output.kind {
            Kind::Text(format) => FileFormat::Text(format.clone(), schema),
            Kind::Parquet(compression) => FileFormat::Parquet(Box::new(ParquetFormat::new(schema, *compression)?)),
            Kind::Excel { sheet } => FileFormat::Excel { sheet: sheet.clone(), schema },
        };
        let parts = BTreeMap::new();
        Ok(Self { output, run, split, dir, encoder, files, parts, pending_bytes: 0, clock: 0, made: 0, staged: Vec::new() })
    }

    fn push(&mut self, folder: &str, mut rows: RecordBatch) -> Result<()> {
        let max = self.output.layout.max_rows();
        while rows.num_rows() > 0 {
            self.clock += 1;
            let part = self.parts.entry(folder.to_owned()).or_default();
            part.used = self.clock;
            let room = usize::try_from(max.map_or(u64::MAX, |max| max - part.rows)).unwrap_or(usize::MAX);
            let now = rows.slice(0, room.min(rows.num_rows()));
            rows = rows.slice(now.num_rows(), rows.num_rows() - now.num_rows());
            part.rows += now.num_rows() as u64;
            let bytes = now.get_array_memory_size();
            part.pending.push(now);
            part.bytes += bytes;
            self.pending_bytes += bytes;
            let (full, heavy) = (max == Some(part.rows), part.bytes >= PART_BYTES);
            if full {
                self.end_file(folder)?;
            } else if heavy {
                self.flush(folder)?;
            }
        }
        while self.pending_bytes > ALL_BYTES {
            let heaviest = self.parts.iter().max_by_key(|(_, part)| part.bytes).map(|(folder, _)| folder.clone());
            self.flush(&heaviest.expect("something is pending"))?;
        }
        Ok(())
    }

    /// Writes what a folder has pending.
    fn flush(&mut self, folder: &str) -> Result<()> {
        let part = self.parts.get_mut(folder).expect("the folder has a part");
        self.pending_bytes -= std::mem::take(&mut part.bytes);
        let pending = std::mem::take(&mut part.pending);
        if part.open.is_none() {
            part.files += 1;
            self.made += 1;
            let path = self.dir.join(format!("{:08}", self.made));
            let writer = self.files.create(&path)?;
            part.open = Some(OpenFile { path, writer });
        }
        let open = part.open.as_mut().expect("it is open now");
        open.writer.write(&pending, &open.path)?;
        self.close_idle_workbooks()
    }

    fn close_idle_workbooks(&mut self) -> Result<()> {
        if !matches!(self.files, FileFormat::Excel { .. }) {
            return Ok(());
        }
        let open = self.parts.iter().filter(|(_, part)| part.open.is_some());
        if open.clone().count() <= WORKBOOKS {
            return Ok(());
        }
        let idle = open.min_by_key(|(_, part)| part.used).map(|(folder, _)| folder.clone());
        self.end_file(&idle.expect("there are open workbooks"))
    }

    /// Ends the file that a folder is writing.
    fn end_file(&mut self, folder: &str) -> Result<()> {
        let part = &self.parts[folder];
        if !part.pending.is_empty() || part.open.is_none() {
            self.flush(folder)?;
        }
        let part = self.parts.get_mut(folder).expect("the folder has a part");
        let OpenFile { path, writer } = part.open.take().expect("a flush opens the file");
        writer.finish(&path)?;
        let rows = std::mem::take(&mut part.rows);
        let target = self.output.target(&self.run, self.split, folder, part.files);
        self.staged.push((folder.to_owned(), StagedPart { staged: path, target, rows }));
        Ok(())
    }
}

impl Load for PartsLoad {
    fn encoder(&self) -> Arc<dyn Encode> {
        self.encoder.clone()
    }

    fn append(&mut self, chunk: Encoded) -> Result<()> {
        let Payload::Rows(batches) = chunk.payload else { return Err(Error::bug("parts take rows only")) };
        for Batch { rows, .. } in batches {
            match &self.output.layout {
                Layout::Hive { partition, .. } => {
                    let (folder, rows) = (partition.folder(&rows, 0), partition.strip(&rows)?);
                    self.push(&folder, rows)?;
                }
                _ => self.push("", rows)?,
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Staged> {
        // A run without rows leaves a file that says so, unless it would have no folder to stand in.
        let empty = self.staged.is_empty() && self.parts.is_empty() && self.split == 0;
        if empty && !matches!(self.output.layout, Layout::Hive { .. }) {
            self.parts.insert(String::new(), Part::default());
            self.end_file("")?;
        }
        let unfinished: Vec<String> = self.parts.iter().filter(|(_, part)| part.rows > 0).map(|(folder, _)| folder.clone()).collect();
        unfinished.iter().try_for_each(|folder| self.end_file(folder))?;
        for (_, part) in &self.staged {
            File::open(&part.staged).and_then(|file| file.sync_all()).map_err(|error| cannot("sync", &part.staged, error))?;
        }
        self.staged.sort_by(|(a, left), (b, right)| (a, &left.target).cmp(&(b, &right.target)));
        let parts: Vec<StagedPart> = self.staged.into_iter().map(|(_, part)| part).collect();
        Ok(Staged { split: self.split, rows: parts.iter().map(|part| part.rows).sum(), parts })
    }
}

impl FileFormat {
    fn create(&self, path: &Path) -> Result<Writer> {
        File::create(path).map_err(|error| cannot("create", path, error))?;
        let mut file = PathFile(path.to_owned());
        Ok(match self {
            Self::Text(format, schema) => {
                file.write_all(&format.packing.pack(format.opening(schema)?)?).map_err(|error| cannot("write", path, error))?;
                Writer::Text { format: format.clone(), file, any: false }
            }
            Self::Parquet(format) => Writer::Parquet { format: format.clone(), file: Box::new(format.start(file, path)?) },
            Self::Excel { sheet, schema } => Writer::Excel(Box::new(ExcelFile::create(path, sheet, schema)?)),
        })
    }
}

impl Writer {
    fn write(&mut self, batches: &[RecordBatch], path: &Path) -> Result<()> {
        match self {
            Self::Text { format, file, any } => {
                let mut text = Vec::new();
                for rows in batches.iter().filter(|rows| rows.num_rows() > 0) {
                    if !*any {
                        text.extend_from_slice(format.joint(false));
                    }
                    format.write(rows, *any, &mut text);
                    *any = true;
                }
                file.write_all(&format.packing.pack(text)?).map_err(|error| cannot("write", path, error))
            }
            Self::Parquet { format, file } => {
                format.encode(batches)?.into_iter().try_for_each(|group| parquet_file::append(file, group, path))
            }
            Self::Excel(file) => batches.iter().try_for_each(|rows| file.write(rows)),
        }
    }

    fn finish(self, path: &Path) -> Result<()> {
        match self {
            Self::Text { format, mut file, any } => {
                let is_empty = fs::metadata(path).map_err(|error| cannot("read", path, error))?.len() == 0;
                let closing = format.closing(any).to_vec();
                let closing = if is_empty { format.packing.pack_all(closing)? } else { format.packing.pack(closing)? };
                file.write_all(&closing).map_err(|error| cannot("write", path, error))
            }
            Self::Parquet { file, .. } => parquet_file::close(*file, path).map(|_| ()),
            Self::Excel(file) => file.finish(),
        }
    }
}
