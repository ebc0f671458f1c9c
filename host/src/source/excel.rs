//! Excel and OpenDocument workbooks: one worksheet, held in memory.
//!
//! The first row that is not left out names the columns. Whole numbers are integers, dates are timestamps without a zone, errors such as `#N/A` are null.

use std::io::{Cursor, Read};
use std::sync::Arc;

use calamine::{Data, Range, Reader, open_workbook_auto_from_rs};
use chrono::{DateTime, NaiveDate, NaiveTime};
use serde_json::Value;

use super::Chunk;
use super::cut::{Cutter, Sizes};
use super::input::{Input, unread};
use super::layout::{Layout, object, unique_names};
use super::refuse::Bad;
use super::rows::{RowChunk, Rows};
use super::tape::{Node, Tape};
use super::target::{Kind, Members};
use crate::batch::Position;
use crate::config::extract::ExcelOptions;
use crate::error::{Context, Error, Result};

/// Bytes that a workbook may have: it is packed, and held in memory unpacked.
const FILE_LIMIT: u64 = 512 << 20;

/// How the workbooks of a source are read.
#[derive(Clone, Debug)]
pub(super) struct Excel {
    /// Which sheet, and where it starts.
    pub(super) options: ExcelOptions,
}

/// The rows of a worksheet.
struct Sheet {
    names: Vec<String>,
    range: Range<Data>,
    /// Rows before the first record.
    head: usize,
    count: usize,
}

impl Excel {
    /// Finds out what the columns are.
    pub(super) fn infer(&self, inputs: &[Input], infer_rows: usize) -> Result<Members> {
        let mut seen = Kind::Object(Members::default());
        let mut left = infer_rows;
        for input in inputs {
            let sheet = self.load(input)?;
            let mut fresh = Kind::Object(Members::default());
            let later = left == 0;
            let into = if later { &mut fresh } else { &mut seen };
            if let Kind::Object(members) = into {
                for name in &sheet.names {
                    members.entry(name);
                }
            }
            let rows = if later { infer_rows } else { left }.min(sheet.count);
            let mut tape = Tape::default();
            for row in 0..rows {
                tape.nodes.clear();
                sheet.put(row, &mut tape);
                tape.infer(0, into);
            }
            left = left.saturating_sub(rows);
            let wrong = sheet.range.rows().skip(sheet.head).flatten().filter(|cell| matches!(cell, Data::Error(_))).count();
            if wrong > 0 {
                tracing::warn!(file = &*input.name, cells = wrong, "cells with an error such as `#DIV/0!` are read as null");
            }
            if let (Kind::Object(members), true) = (&mut seen, later) {
                members.add_new(object(fresh));
            }
        }
        Ok(object(seen).seen_whole(left > 0))
    }

    /// Cuts a workbook from a position on.
    pub(super) fn cutter(&self, input: &Input, layout: &Arc<Layout>, from: Position) -> Result<Box<dyn Cutter>> {
        let sheet = Arc::new(self.load(input)?);
        Ok(Box::new(SheetCutter { sheet, position: from, layout: layout.clone(), source: input.name.clone() }))
    }

    fn load(&self, input: &Input) -> Result<Sheet> {
        let unreadable = || format!("`{}` is not a workbook that can be read", input.name);
        let mut bytes = Vec::new();
        let read = input.open_bytes()?.take(FILE_LIMIT + 1).read_to_end(&mut bytes);
        read.map_err(|error| unread(&input.name, error))?;
        if bytes.len() as u64 > FILE_LIMIT {
            let message = format!("`{}` has more than {} MiB, and a workbook is read as a whole", input.name, FILE_LIMIT >> 20);
            return Err(Error::data(message).hint("save the sheet as CSV"));
        }
        let mut workbook = open_workbook_auto_from_rs(Cursor::new(Arc::<[u8]>::from(bytes))).data(unreadable)?;
        let names = workbook.sheet_names();
        let name = match &self.options.sheet {
            Some(wanted) if !names.contains(wanted) => {
                let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                return Err(Error::config(format!("`{}` has no sheet `{wanted}`; it has {}", input.name, names.join(", "))));
            }
            Some(wanted) => wanted.clone(),
            None => names.first().cloned().ok_or_else(|| Error::data(format!("`{}` has no sheet", input.name)))?,
        };
        let range = workbook.worksheet_range(&name).data(unreadable)?;
        // The range starts at the first cell that is used, `skip_rows` counts from the top of the sheet.
        let top = range.start().map_or(0, |(row, _)| row as usize);
        let skipped = self.options.skip_rows.saturating_sub(top);
        let header = range.rows().nth(skipped).map(|row| row.iter().map(|cell| show(cell).trim().to_owned()).collect()).unwrap_or_default();
        let head = (skipped + 1).min(range.height());
        let count = range.height() - head;
        Ok(Sheet { names: unique_names(header, &input.name), range, head, count })
    }
}

/// The text of a cell: of a header, or of a row that is refused.
fn show(cell: &Data) -> String {
    match (cell, node(cell)) {
        (Data::Empty, _) => String::new(),
        (Data::DateTime(_) | Data::DateTimeIso(_), Node::Instant(micros)) => {
            let instant = DateTime::from_timestamp_micros(micros).unwrap_or_default().naive_utc();
            let midnight = instant.time() == NaiveTime::MIN;
            if midnight { instant.date().to_string() } else { instant.format("%Y-%m-%dT%H:%M:%S%.f").to_string() }
        }
        (_, Node::Text(text)) => text.into_owned(),
        (cell, _) => cell.to_string(),
    }
}

impl Sheet {
    fn put<'a>(&'a self, row: usize, tape: &mut Tape<'a>) {
        let object = tape.open(Node::Object(0));
        for (name, cell) in self.names.iter().zip(self.cells(row)) {
            tape.nodes.push(Node::Key(name.as_str().into()));
            tape.nodes.push(node(cell));
        }
        tape.close(object);
    }

    fn cells(&self, row: usize) -> &[Data] {
        // Its iterator of rows walks to the row.
        &self.range[self.head + row]
    }
}

fn node(cell: &Data) -> Node<'_> {
    match cell {
        Data::Empty | Data::Error(_) => Node::Null,
        Data::Int(value) => Node::Int(*value),
        Data::Float(value) if value.fract() == 0.0 && value.abs() < (1u64 << 53) as f64 => Node::Int(*value as i64),
        Data::Float(value) => Node::Float(*value),
        Data::Bool(value) => Node::Bool(*value),
        Data::String(text) if text.is_empty() => Node::Null,
        Data::String(text) => Node::Text(text.as_str().into()),
        // Less than a day since the first is a time of day, and no day of 1899.
        Data::DateTime(time) if time.is_datetime() && (0.0..1.0).contains(&time.as_f64()) => {
            let millis = (time.as_f64() * 86_400_000.0).round() as u32;
            let time = NaiveTime::from_num_seconds_from_midnight_opt(millis / 1000, millis % 1000 * 1_000_000);
            Node::Text(time.unwrap_or_default().format("%H:%M:%S%.f").to_string().into())
        }
        Data::DateTime(instant) if instant.is_datetime() => {
            let (year, month, day, hour, minute, second, milli) = instant.to_ymd_hms_milli();
            let date = NaiveDate::from_ymd_opt(year.into(), month.into(), day.into());
            let instant_ = date.and_then(|date| date.and_hms_milli_opt(hour.into(), minute.into(), second.into(), milli.into()));
            instant_.map_or(Node::Float(instant.as_f64()), |instant| Node::Instant(instant.and_utc().timestamp_micros()))
        }
        // A duration is a number of days.
        Data::DateTime(duration) => Node::Float(duration.as_f64()),
        Data::DateTimeIso(text) => match super::scalar::timestamp(text, None) {
            Some(micros) => Node::Instant(micros),
            None => Node::Text(text.as_str().into()),
        },
        Data::DurationIso(text) => Node::Text(text.as_str().into()),
    }
}

/// Cuts a worksheet.
struct SheetCutter {
    sheet: Arc<Sheet>,
    position: Position,
    layout: Arc<Layout>,
    source: Arc<str>,
}

impl Cutter for SheetCutter {
    fn cut(&mut self, room: u64) -> Result<Option<Box<dyn Chunk>>> {
        let sizes = Sizes::of(&self.layout);
        let done = usize::try_from(self.position.row).unwrap_or(usize::MAX);
        let left = self.sheet.count.saturating_sub(done).min(usize::try_from(room).unwrap_or(usize::MAX));
        if left == 0 {
            return Ok(None);
        }
        let row_bytes = (self.sheet.names.len() * size_of::<Data>()).max(1);
        let batches = (sizes.chunk_bytes / row_bytes / sizes.batch_rows).max(1);
        let count = left.min(batches * sizes.batch_rows - if sizes.exact { done % sizes.batch_rows } else { 0 });
        let first = self.position.clone();
        self.position.row += count as u64;
        self.position.sequence += count.div_ceil(sizes.batch_rows) as u64;
        let rows = SheetRows { sheet: self.sheet.clone(), first: done };
        let (layout, source) = (self.layout.clone(), self.source.clone());
        Ok(Some(Box::new(RowChunk { rows, count, first, next: self.position.clone(), layout, source })))
    }
}

/// Some rows of a worksheet.
#[derive(Clone)]
struct SheetRows {
    sheet: Arc<Sheet>,
    first: usize,
}

impl Rows for SheetRows {
    fn parse<'a>(&'a self, row: usize, tape: &mut Tape<'a>) -> Result<(), Bad> {
        self.sheet.put(self.first + row, tape);
        Ok(())
    }

    fn record(&self, row: usize) -> Value {
        let cells = self.sheet.cells(self.first + row);
        Value::Object(self.sheet.names.iter().cloned().zip(cells.iter().map(|cell| Value::String(show(cell)))).collect())
    }

    fn line(&mut self, _: usize) -> u64 {
        0
    }
}
