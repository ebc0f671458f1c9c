//! Parquet: row groups, decoded on the thread that wants them.
//!
//! Types are those of the file; dictionaries, views and large texts come as plain text. Files whose types differ are brought to one, see `types`;
//! a value that is not the same as that type is refused with its row.

mod types;
mod values;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, new_null_array};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use serde_json::Value;

use self::types::{common, plain};
use super::cut::{BATCH_LIMIT, Cutter, Sizes};
use super::input::Input;
use super::layout::{Layout, Part, numbers, without};
use super::positioned::{Fetch, Positioned, ours};
use super::refuse::At;
use super::target::Target;
use super::{Chunk, Decoded, View};
use crate::batch::Position;
use crate::error::{Context, Error, Result};
use crate::exact;

/// Uncompressed bytes of rows that one chunk has at least, so that row groups are not opened too often.
const CHUNK: usize = 8 << 20;

/// Bytes of an object's row groups that are fetched before anybody needs them, and how many of them at most: each has a request of its own.
const AHEAD: u64 = 16 << 20;
const GROUPS_AHEAD: usize = 12;

/// A file whose footer was read.
#[derive(Clone)]
pub(super) struct Footer {
    metadata: ArrowReaderMetadata,
}

impl std::fmt::Debug for Footer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Footer({} row groups)", self.metadata.metadata().num_row_groups())
    }
}

/// Reads the footer of a file.
pub(super) fn footer(input: &Input) -> Result<Footer> {
    let file = input.open_positioned()?;
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|error| match ours(error) {
        Ok(error) => error,
        Err(error) => Error::data(format!("`{}` is not a whole Parquet file", input.name))
            .because(error)
            .hint("the file may be cut off: fetch it again"),
    })?;
    Ok(Footer { metadata })
}

/// The columns that files declare, brought to one type each.
pub(super) fn declared(footers: &[Arc<Footer>]) -> Vec<(String, Target)> {
    let mut columns: Vec<(String, DataType)> = Vec::new();
    for footer in footers {
        for field in footer.metadata.schema().fields() {
            let declared = plain(field.data_type());
            match columns.iter_mut().find(|(name, _)| name == field.name()) {
                Some((_, known)) => *known = common(known, &declared),
                None => columns.push((field.name().clone(), declared)),
            }
        }
    }
    columns.into_iter().map(|(name, declared)| (name, Target::Declared(declared))).collect()
}

/// Refuses pins that the types of files do not bear.
///
/// # Errors
/// Config.
pub(super) fn check(inputs: &[Input], footers: &[Arc<Footer>], layout: &Layout) -> Result<()> {
    for (input, footer) in inputs.iter().zip(footers) {
        for column in layout.columns.iter().filter(|column| column.pinned) {
            let Ok(field) = footer.metadata.schema().field_with_name(&column.name) else { continue };
            if !values::tells(field.data_type(), &column.target) {
                let (name, wanted) = (&column.name, column.target.describe());
                return Err(Error::config(format!(
                    "`schema` reads `{name}` as {wanted}, but in `{}` it is {}, and numbers do not say their unit",
                    input.name,
                    field.data_type()
                ))
                .hint("leave it out of `schema`; `add` with `epoch_ms_to_iso(…)` makes a text from milliseconds, `convert` a datetime of that"));
            }
        }
    }
    Ok(())
}

/// Cuts a file from a position on.
pub(super) fn cutter(input: &Input, footer: &Arc<Footer>, layout: &Arc<Layout>, from: Position) -> Result<Box<dyn Cutter>> {
    let file = input.open_positioned()?;
    let schema = footer.metadata.schema();
    let columns: Arc<[Option<usize>]> = layout.columns.iter().map(|column| schema.index_of(&column.name).ok()).collect();
    let batch_rows = batch_rows(footer, layout.batch_rows);
    let (footer, layout, source) = (footer.clone(), layout.clone(), input.name.clone());
    let mask = ProjectionMask::roots(footer.metadata.parquet_schema(), columns.iter().flatten().copied());
    Ok(Box::new(GroupCutter { file, footer, columns, mask, position: from, batch_rows, layout, source, fetched: Vec::new() }))
}

/// Rows of a batch: as many as are asked for, fewer where rows are wide.
fn batch_rows(footer: &Footer, asked_for: usize) -> usize {
    let of_group = |group: &RowGroupMetaData| {
        let rows = usize::try_from(group.num_rows()).unwrap_or(0).max(1);
        usize::try_from(group.total_byte_size()).unwrap_or(0) / rows
    };
    let widest = footer.metadata.metadata().row_groups().iter().map(of_group).max().unwrap_or(0);
    asked_for.min((BATCH_LIMIT / widest.max(1)).max(1))
}

/// Cuts a file into ranges of rows.
struct GroupCutter {
    file: Positioned,
    footer: Arc<Footer>,
    columns: Arc<[Option<usize>]>,
    /// The columns that are read.
    mask: ProjectionMask,
    position: Position,
    batch_rows: usize,
    layout: Arc<Layout>,
    source: Arc<str>,
    /// Row groups of an object that chunks are being cut from, which are fetched once each: number and bytes.
    fetched: Vec<(usize, Arc<Fetch>)>,
}

impl Cutter for GroupCutter {
    fn cut(&mut self, room: u64) -> Result<Option<Box<dyn Chunk>>> {
        let sizes = Sizes::of(&self.layout);
        let start = self.position.row;
        let batch = self.batch_rows as u64;
        let mut first = 0;
        let mut end = start;
        let mut bytes = 0;
        for group in self.footer.metadata.metadata().row_groups() {
            let rows = u64::try_from(group.num_rows()).unwrap_or(0);
            let last = first + rows;
            if last > start && rows > 0 {
                // Small row groups are read together, large ones in pieces.
                let row_bytes = (u64::try_from(group.total_byte_size()).unwrap_or(0) / rows).max(1);
                let wanted = (sizes.chunk_bytes.max(CHUNK) as u64).saturating_sub(bytes);
                let piece = last.min(end.saturating_add((wanted / row_bytes).max(1)));
                bytes += (piece - end) * row_bytes;
                end = piece;
                if end < last || bytes >= CHUNK as u64 {
                    break;
                }
            }
            first = last;
        }
        if sizes.exact {
            end = end.next_multiple_of(batch);
        }
        let total = u64::try_from(self.footer.metadata.metadata().file_metadata().num_rows()).unwrap_or(0);
        let end = end.min(total).min(start.saturating_add(room));
        if end <= start {
            return Ok(None);
        }
        let from = self.position.clone();
        let file = self.fetch(start..end)?;
        self.position.row = end;
        self.position.sequence += (end - start).div_ceil(batch);
        Ok(Some(Box::new(Groups {
            file,
            footer: self.footer.clone(),
            columns: self.columns.clone(),
            mask: self.mask.clone(),
            first: from,
            next: self.position.clone(),
            batch_rows: self.batch_rows,
            layout: self.layout.clone(),
            source: self.source.clone(),
        })))
    }
}

impl GroupCutter {
    /// Waits for the row groups of an object that rows stand in, and has those behind them fetched meanwhile; answers the file with them.
    ///
    /// What does not come is met here, where reading can be tried again, and not where rows are decoded.
    fn fetch(&mut self, rows: Range<u64>) -> Result<Positioned> {
        if !self.file.is_remote() {
            return Ok(self.file.clone());
        }
        let mut first = 0;
        let (mut ahead, mut groups_ahead) = (0, 0);
        let mut kept = Vec::new();
        let mut needed = Vec::new();
        for (number, group) in self.footer.metadata.metadata().row_groups().iter().enumerate() {
            let last = first + u64::try_from(group.num_rows()).unwrap_or(0);
            if last > rows.start && (first < rows.end || ahead < AHEAD && groups_ahead < GROUPS_AHEAD) {
                let fetch = match self.fetched.iter().find(|(fetched, _)| *fetched == number) {
                    Some((_, fetch)) => fetch.clone(),
                    None => self.file.fetch(self.ranges(group)),
                };
                if first < rows.end {
                    needed.push(fetch.clone());
                } else {
                    ahead += u64::try_from(group.compressed_size()).unwrap_or(0);
                    groups_ahead += 1;
                }
                kept.push((number, fetch));
            }
            first = last;
        }
        // Those behind are held by the chunks that are not decoded yet.
        self.fetched = kept;
        needed.iter().try_for_each(|fetch| fetch.wait())?;
        Ok(self.file.with(needed))
    }

    /// Where the columns of a row group stand that are read.
    fn ranges(&self, group: &RowGroupMetaData) -> Vec<Range<u64>> {
        let read = group.columns().iter().enumerate().filter(|(leaf, _)| self.mask.leaf_included(*leaf));
        let range = |(_, column): (usize, &ColumnChunkMetaData)| {
            let (start, length) = column.byte_range();
            start..start + length
        };
        read.map(range).collect()
    }
}

/// A range of rows.
#[derive(Clone)]
struct Groups {
    file: Positioned,
    footer: Arc<Footer>,
    columns: Arc<[Option<usize>]>,
    mask: ProjectionMask,
    first: Position,
    next: Position,
    batch_rows: usize,
    layout: Arc<Layout>,
    source: Arc<str>,
}

impl Chunk for Groups {
    fn next(&self) -> Position {
        self.next.clone()
    }

    fn seen_as(&self, view: &View) -> Box<dyn Chunk> {
        Box::new(Self { layout: view.0.clone(), ..self.clone() })
    }

    fn decode(self: Box<Self>) -> Box<dyn Iterator<Item = Result<Decoded>> + Send> {
        let mut reader = None;
        let mut done = 0;
        let mut failed = false;
        Box::new(std::iter::from_fn(move || {
            if failed || self.first.row + done >= self.next.row {
                return None;
            }
            let batch = self.next_batch(&mut reader, done);
            failed = batch.is_err();
            Some(batch.map(|(decoded, rows)| {
                done += rows;
                decoded
            }))
        }))
    }
}

impl Groups {
    fn next_batch(&self, reader: &mut Option<ParquetRecordBatchReader>, done: u64) -> Result<(Decoded, u64)> {
        let damaged = || format!("`{}` could not be decoded behind row {}", self.source, self.first.row + done);
        let reader = match reader {
            Some(reader) => reader,
            None => reader.insert(self.open()?),
        };
        let rows = reader.next().ok_or_else(|| Error::data(damaged()).hint("its footer promises more rows than it has"))?.data(damaged)?;
        let read = rows.num_rows() as u64;
        Ok((self.decoded(&rows, done)?, read))
    }

    /// Opens the row groups that the range touches.
    fn open(&self) -> Result<ParquetRecordBatchReader> {
        let mut first = 0;
        let mut groups = Vec::new();
        let mut offset = 0;
        for (number, group) in self.footer.metadata.metadata().row_groups().iter().enumerate() {
            let last = first + u64::try_from(group.num_rows()).unwrap_or(0);
            if last > self.first.row && first < self.next.row {
                if groups.is_empty() {
                    offset = self.first.row - first;
                }
                groups.push(number);
            }
            first = last;
        }
        ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), self.footer.metadata.clone())
            .with_row_groups(groups)
            .with_projection(self.mask.clone())
            .with_batch_size(self.batch_rows)
            .with_offset(usize::try_from(offset).unwrap_or(usize::MAX))
            .with_limit(usize::try_from(self.next.row - self.first.row).unwrap_or(usize::MAX))
            .build()
            .data(|| format!("`{}` could not be decoded", self.source))
    }

    fn decoded(&self, batch: &RecordBatch, done: u64) -> Result<Decoded> {
        let layout = &*self.layout;
        let rows = batch.num_rows();
        let sequence = self.first.sequence + done / self.batch_rows as u64;
        let schema = self.footer.metadata.schema();
        let mut columns = Vec::with_capacity(layout.columns.len());
        let mut bad = std::collections::BTreeMap::new();
        for (number, (column, position)) in layout.columns.iter().zip(self.columns.iter()).enumerate() {
            let target = column.target.data_type();
            let Some(position) = position else {
                columns.push(new_null_array(&target, rows));
                continue;
            };
            let array = column_named(batch, schema, *position)?;
            let (mut read, mut unfit) = values::read(&array, &column.target)?;
            let any = |unfit: &Option<BooleanBuffer>| unfit.as_ref().is_some_and(|unfit| unfit.count_set_bits() > 0);
            if any(&unfit) && column.converted {
                (read, unfit) = values::read(&array, &Target::Text)?;
            }
            for row in unfit.iter().flat_map(BooleanBuffer::set_indices) {
                let value = exact::short(&array, row);
                bad.entry(row as u32).or_insert_with(|| layout.mismatch(number, "", &value, &column.target));
            }
            columns.push(read);
        }
        let first = self.first.row + done + 1;
        let mut refusals = layout.refusals(&self.source, sequence);
        let gone: Vec<u32> = bad.keys().copied().collect();
        if !gone.is_empty() {
            columns = without(columns, rows, &gone)?;
        }
        for (row, bad) in bad {
            let record = || as_json(&batch.slice(row as usize, 1));
            refusals.add(bad, At { row: first + u64::from(row), line: 0 }, record)?;
        }
        let kept: Vec<u64> = (0..rows as u32).filter(|row| gone.binary_search(row).is_err()).map(u64::from).collect();
        let count = kept.len();
        let numbers = numbers(first, kept.into_iter(), rows);
        layout.decoded(columns, count, numbers, refusals, Part { source: &self.source, sequence })
    }
}

fn column_named(batch: &RecordBatch, schema: &SchemaRef, position: usize) -> Result<ArrayRef> {
    let name = schema.field(position).name();
    batch.column_by_name(name).cloned().ok_or_else(|| Error::bug(format!("column `{name}` was not read")))
}

/// A row as JSON, for a reject.
fn as_json(row: &RecordBatch) -> Value {
    let mut writer = arrow_json::ArrayWriter::new(Vec::new());
    let written = writer.write(row).and_then(|()| writer.finish());
    let rows: Option<Vec<Value>> = written.ok().and_then(|()| serde_json::from_slice(&writer.into_inner()).ok());
    rows.and_then(|rows| rows.into_iter().next()).unwrap_or_default()
}
