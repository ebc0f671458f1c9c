//! Output that one thread writes: Hive folders, files of so many rows, workbooks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;

use super::conform::{Conform, refuse};
use super::excel;
use super::flushed::{self, What};
use super::log::{Log, Place, keep_only};
use super::output::{Kind, Layout, Output};
use super::part_file::{FileFormat, OpenFile};
use super::single::other_kind;
use super::workspace::{cannot, sync_dir};
use super::{Encode, Encoded, Encoder, Flushed, Load, Payload, RunName, Staged, StagedPart};
use crate::batch::{Batch, Reason, Reject};
use crate::error::{Error, Result};

/// Bytes of rows that a part collects before they are written.
const PART_BYTES: usize = 8 << 20;

/// Bytes of rows that all parts of a split collect together.
const ALL_BYTES: usize = 64 << 20;

/// Workbooks that are open at once; the one written to longest ago is ended for another.
const WORKBOOKS: usize = 64;

/// Files that are synced one by one; where there are more, the whole file system is.
const FILES_SYNCED: usize = 32;

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
        let unfit = self.unfit(&rows, batch, places.as_deref())?;
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
    fn unfit(&self, rows: &RecordBatch, batch: &Batch, places: Option<&[usize]>) -> Result<BTreeMap<usize, Reject>> {
        let place = |index: usize| places.map_or(index, |places| places[index]);
        Ok(match &self.output.kind {
            Kind::Text(format) if format.is_partial() => {
                let rows = match &self.output.layout {
                    Layout::Hive { partition, .. } => &partition.strip(rows)?,
                    _ => rows,
                };
                let refused = format.write(rows, false, &mut Vec::new())?;
                refused.into_iter().map(|row| (row.index, row)).map(|(index, row)| (index, row.reject(batch, place(index)))).collect()
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
        })
    }
}

/// What the parts of a split are begun with.
pub(super) struct Begun {
    /// The schema of the rows.
    pub(super) schema: SchemaRef,
    /// The schema of the files.
    pub(super) of_files: SchemaRef,
    /// Whether the run can be resumed.
    pub(super) keeps: bool,
}

/// Writes the parts of one split.
pub(super) struct PartsLoad {
    output: Arc<Output>,
    run: RunName,
    split: usize,
    /// Where the parts are staged.
    dir: PathBuf,
    schema: SchemaRef,
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
    /// Whether the run can be resumed.
    keeps: bool,
    /// Where rows stand that no file has yet, once there was a flush.
    log: Option<Log>,
    /// Files that were written to since the last flush.
    touched: BTreeSet<PathBuf>,
    /// Files that are not needed any more, but that an earlier flush speaks of: those since the last flush, and those of the two before.
    outdated: [Vec<PathBuf>; 3],
}

/// The rows of one folder on their way.
#[derive(Default)]
struct Part {
    pending: Vec<Pending>,
    bytes: usize,
    /// The file that is being written, with the rows in it or pending.
    open: Option<OpenFile>,
    /// Rows written to the open file or pending for it.
    rows: u64,
    /// Files that the folder has had.
    files: usize,
    used: u64,
}

/// Rows that wait to be written.
struct Pending {
    rows: RecordBatch,
    bytes: usize,
    /// Where they stand in the log, if there.
    place: Option<Place>,
}

impl PartsLoad {
    /// Starts the parts of a split, or goes on with them.
    pub(super) fn new(
        output: Arc<Output>,
        run: RunName,
        split: usize,
        dir: PathBuf,
        begun: Begun,
        encoder: Arc<dyn Encode>,
        from: Option<&Flushed>,
    ) -> Result<Self> {
        let Begun { schema, of_files, keeps } = begun;
        let files = FileFormat::new(&output.kind, of_files, run.started)?;
        let mut load = Self {
            output,
            run,
            split,
            dir,
            schema,
            encoder,
            files,
            parts: BTreeMap::new(),
            pending_bytes: 0,
            clock: 0,
            made: 0,
            staged: Vec::new(),
            keeps,
            log: None,
            touched: BTreeSet::new(),
            outdated: Default::default(),
        };
        match from.map(|from| &from.what) {
            None => {}
            Some(What::Parts(parts)) => load.restore(parts)?,
            Some(_) => return Err(other_kind(&load.output.folder)),
        }
        Ok(load)
    }

    fn restore(&mut self, parts: &flushed::Parts) -> Result<()> {
        let flushed::Parts { clock, made, staged, folders, log } = parts;
        let mut needed: BTreeSet<PathBuf> = staged.iter().map(|(_, part)| part.staged.clone()).collect();
        (self.clock, self.made, self.staged) = (*clock, *made, staged.clone());
        self.log = log.as_ref().map(|log| Log::resume(&self.dir, log)).transpose()?;
        let mut log = self.log.take();
        let mut read = |place: Place| {
            log.as_mut().ok_or_else(|| Error::outside("the checkpoint speaks of rows on disk, but not of where they are"))?.read(place)
        };
        for flushed::Folder { name, files, rows, used, pending, open } in folders {
            let mut part = Part { rows: *rows, files: *files, used: *used, ..Part::default() };
            for (place, bytes) in pending {
                part.pending.push(Pending { rows: read(*place)?, bytes: *bytes, place: Some(*place) });
                part.bytes += bytes;
                self.pending_bytes += bytes;
            }
            if let Some(open) = open {
                let open = OpenFile::resume(&self.files, open, self.run.max_retries, &mut read)?;
                needed.extend(open.files());
                part.open = Some(open);
            }
            self.parts.insert(name.clone(), part);
        }
        self.log = log;
        if let Some(log) = &self.log {
            needed.insert(log.path().to_owned());
        }
        keep_only(&self.dir, |path| needed.contains(path))
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
            let bytes = size_of(&now);
            part.pending.push(Pending { rows: now, bytes, place: None });
            part.bytes += bytes;
            self.pending_bytes += bytes;
            let (full, heavy) = (max == Some(part.rows), part.bytes >= PART_BYTES);
            if full {
                self.end_file(folder)?;
            } else if heavy {
                self.write(folder)?;
            }
        }
        while self.pending_bytes > ALL_BYTES {
            let heaviest = self.parts.iter().max_by_key(|(_, part)| part.bytes).map(|(folder, _)| folder.clone());
            self.write(&heaviest.expect("something is pending"))?;
        }
        Ok(())
    }

    /// Writes what a folder has pending.
    fn write(&mut self, folder: &str) -> Result<()> {
        let part = self.parts.get_mut(folder).expect("the folder has a part");
        self.pending_bytes -= std::mem::take(&mut part.bytes);
        let pending = std::mem::take(&mut part.pending);
        if part.open.is_none() {
            part.files += 1;
            self.made += 1;
            let path = self.dir.join(format!("{:08}", self.made));
            part.open = Some(OpenFile::create(&self.files, path, self.run.max_retries)?);
        }
        let open = part.open.as_mut().expect("it is open now");
        if self.keeps && matches!(self.files, FileFormat::Excel { .. }) {
            // A workbook is written to its end at once, so that its rows are kept until then.
            for Pending { rows, place, .. } in &pending {
                let place = match place {
                    Some(place) => *place,
                    None => log_in(&mut self.log, &self.dir)?.push(rows)?,
                };
                open.keep(place);
            }
        }
        let rows: Vec<RecordBatch> = pending.into_iter().map(|pending| pending.rows).collect();
        self.touched.insert(open.write(&rows)?);
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
            self.write(folder)?;
        }
        let part = self.parts.get_mut(folder).expect("the folder has a part");
        let open = part.open.take().expect("a write opens the file");
        let (path, outdated) = open.finish()?;
        self.outdated[0].extend(outdated);
        let bytes = fs::metadata(&path).map_err(|error| cannot("read", &path, error))?.len();
        let rows = std::mem::take(&mut part.rows);
        let target = self.output.target(&self.run, self.split, folder, part.files);
        self.touched.insert(path.clone());
        self.staged.push((folder.to_owned(), StagedPart { staged: path, target, rows, bytes }));
        Ok(())
    }

    /// Puts on disk what was written since the last flush.
    fn sync(&mut self) -> Result<()> {
        let touched = std::mem::take(&mut self.touched);
        if touched.len() > FILES_SYNCED {
            let dir = File::open(&self.dir).map_err(|error| cannot("open", &self.dir, error))?;
            return rustix::fs::syncfs(dir).map_err(|error| cannot("sync the file system of", &self.dir, error.into()));
        }
        for path in touched.iter().filter(|path| path.exists()) {
            File::open(path).and_then(|file| file.sync_data()).map_err(|error| cannot("sync", path, error))?;
        }
        sync_dir(&self.dir)
    }
}

/// Bytes of the rows themselves, without what else stands in the buffers that they share: the same before and after they were on disk.
fn size_of(rows: &RecordBatch) -> usize {
    rows.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or_default()).sum()
}

/// The log, started where there is none.
fn log_in<'a>(log: &'a mut Option<Log>, dir: &Path) -> Result<&'a mut Log> {
    if log.is_none() {
        *log = Some(Log::create(dir, 0)?);
    }
    Ok(log.as_mut().expect("there is one now"))
}

impl Load for PartsLoad {
    fn encoder(&self) -> Arc<dyn Encode> {
        self.encoder.clone()
    }

    fn append(&mut self, chunk: Encoded) -> Result<Vec<Reject>> {
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
        Ok(Vec::new())
    }

    fn flush(&mut self) -> Result<Flushed> {
        // What the flush before the last one speaks of is needed no more once the one that follows it is known to be on disk.
        for path in std::mem::take(&mut self.outdated[2]) {
            fs::remove_file(&path).map_err(|error| cannot("remove", &path, error))?;
        }
        self.outdated.rotate_right(1);
        for part in self.parts.values_mut() {
            for pending in part.pending.iter_mut().filter(|pending| pending.place.is_none()) {
                pending.place = Some(log_in(&mut self.log, &self.dir)?.push(&pending.rows)?);
            }
        }
        if let Some(log) = &mut self.log {
            let needed = self.parts.values_mut().flat_map(|part| {
                let pending = part.pending.iter_mut().filter_map(|pending| pending.place.as_mut());
                pending.chain(part.open.iter_mut().flat_map(OpenFile::kept))
            });
            self.outdated[0].extend(log.compact(needed)?);
        }
        let mut folders = Vec::with_capacity(self.parts.len());
        for (name, part) in &mut self.parts {
            let Part { pending, bytes: _, open, rows, files, used } = part;
            let open = match open {
                Some(open) => {
                    let (open, touched) = open.flush()?;
                    self.touched.extend(touched);
                    Some(open)
                }
                None => None,
            };
            let pending = pending.iter().map(|pending| (pending.place.expect("it was just written"), pending.bytes)).collect();
            folders.push(flushed::Folder { name: name.clone(), files: *files, rows: *rows, used: *used, pending, open });
        }
        let log = self.log.as_mut().map(Log::flush).transpose()?;
        self.sync()?;
        let written: u64 = self.staged.iter().map(|(_, part)| part.rows).sum();
        let rows = written + self.parts.values().map(|part| part.rows).sum::<u64>();
        let parts = flushed::Parts { clock: self.clock, made: self.made, staged: self.staged.clone(), folders, log };
        Flushed::new(rows, &self.schema, What::Parts(parts))
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
        self.sync()?;
        self.staged.sort_by(|(a, left), (b, right)| (a, &left.target).cmp(&(b, &right.target)));
        let parts: Vec<StagedPart> = self.staged.into_iter().map(|(_, part)| part).collect();
        Ok(Staged { split: self.split, rows: parts.iter().map(|part| part.rows).sum(), parts })
    }
}
