//! Chunks whose rows are put on a tape one by one: JSON, XML, worksheets.

use std::sync::Arc;

use arrow_array::ArrayRef;
use serde_json::Value;

use super::cut::{LineCounter, ROW_LIMIT, Text};
use super::layout::{Layout, Part, numbers, without};
use super::nested::{Columns, Misfit};
use super::refuse::{At, Bad, record};
use super::tape::{Node, Tape};
use super::{Chunk, Decoded, View};
use crate::batch::Position;
use crate::error::Result;

/// Rows that can be put on a tape.
pub(super) trait Rows: Clone + Send {
    /// Puts a row on an empty tape.
    fn parse<'a>(&'a self, row: usize, tape: &mut Tape<'a>) -> Result<(), Bad>;

    /// The row as a reject keeps it.
    fn record(&self, row: usize) -> Value;

    /// The line on which it starts, from 1; 0 where there are no lines. Rows are asked for in ascending order.
    fn line(&mut self, row: usize) -> u64;
}

/// A chunk of such rows.
#[derive(Clone)]
pub(super) struct RowChunk<R> {
    /// The rows.
    pub(super) rows: R,
    /// How many there are.
    pub(super) count: usize,
    /// Where the chunk starts.
    pub(super) first: Position,
    /// Where to read on.
    pub(super) next: Position,
    /// What they are read into.
    pub(super) layout: Arc<Layout>,
    /// The file.
    pub(super) source: Arc<str>,
}

impl<R: Rows + 'static> Chunk for RowChunk<R> {
    fn next(&self) -> Position {
        self.next.clone()
    }

    fn seen_as(&self, view: &View) -> Box<dyn Chunk> {
        Box::new(Self { layout: view.0.clone(), ..self.clone() })
    }

    fn decode(mut self: Box<Self>) -> Box<dyn Iterator<Item = Result<Decoded>> + Send> {
        let mut done = 0;
        Box::new(std::iter::from_fn(move || {
            (done < self.count).then(|| {
                let rows = (self.count - done).min(self.layout.batch_rows);
                done += rows;
                self.batch(done - rows, rows)
            })
        }))
    }
}

/// What one pass over the rows of a batch gave.
struct Pass {
    columns: Vec<ArrayRef>,
    /// For each row of the columns, its number in the batch.
    kept: Vec<u32>,
    /// Rows of the columns that do not fit.
    unfit: Vec<u32>,
    bad: Vec<(u32, Bad)>,
    /// Columns that are to be read as text.
    as_text: Vec<usize>,
}

impl<R: Rows> RowChunk<R> {
    fn batch(&mut self, done: usize, rows: usize) -> Result<Decoded> {
        let sequence = self.first.sequence + (done / self.layout.batch_rows) as u64;
        let mut as_text = Vec::new();
        let mut pass = self.pass(done, rows, &as_text)?;
        while pass.as_text.len() > as_text.len() {
            as_text = pass.as_text;
            pass = self.pass(done, rows, &as_text)?;
        }
        let Pass { mut columns, mut kept, unfit, bad, .. } = pass;
        if !unfit.is_empty() {
            columns = without(columns, kept.len(), &unfit)?;
            kept = kept
                .into_iter()
                .enumerate()
                .filter(|(index, _)| unfit.binary_search(&(*index as u32)).is_err())
                .map(|(_, row)| row)
                .collect();
        }
        let mut refusals = self.layout.refusals(&self.source, sequence);
        let first = self.first.row + done as u64 + 1;
        for (row, bad) in bad {
            let at = At { row: first + u64::from(row), line: self.rows.line(done + row as usize) };
            refusals.add(bad, at, || self.rows.record(done + row as usize))?;
        }
        let numbers = numbers(first, kept.iter().map(|&row| u64::from(row)), rows);
        self.layout.decoded(columns, kept.len(), numbers, refusals, Part { source: &self.source, sequence })
    }

    fn pass(&self, done: usize, rows: usize, as_text: &[usize]) -> Result<Pass> {
        let layout = &*self.layout;
        let mut columns = Columns::new(layout, as_text, rows);
        let mut pass =
            Pass { columns: Vec::new(), kept: Vec::with_capacity(rows), unfit: Vec::new(), bad: Vec::new(), as_text: as_text.to_vec() };
        let mut tape = Tape::default();
        for row in 0..rows {
            tape.nodes.clear();
            let parsed = self.rows.parse(done + row, &mut tape);
            let parsed = parsed.and_then(|()| match tape.nodes.first() {
                Some(Node::Object(_)) => Ok(()),
                _ => Err(Bad::row("not_an_object", "is no object, so it has no columns")),
            });
            if let Err(bad) = parsed {
                pass.bad.push((row as u32, bad));
                continue;
            }
            pass.kept.push(row as u32);
            let Some((column, misfit)) = columns.append(&tape, layout) else { continue };
            match (column, &misfit) {
                (Some(column), Misfit::Type { .. } | Misfit::Unknown { .. }) if layout.columns[column].converted => {
                    pass.as_text.push(column)
                }
                _ => {
                    pass.unfit.push(columns.rows() as u32 - 1);
                    pass.bad.push((row as u32, misfit.bad(column, layout)));
                }
            }
        }
        pass.as_text.sort_unstable();
        pass.as_text.dedup();
        pass.columns = columns.finish()?;
        Ok(pass)
    }
}

/// How the text of a row is put on a tape.
pub(super) trait Parse: Clone + Send + 'static {
    /// Puts it on an empty tape.
    fn parse<'a>(&self, text: &'a str, tape: &mut Tape<'a>) -> Result<(), Bad>;
}

/// The rows of a piece of text.
#[derive(Clone)]
pub(super) struct TextRows<P> {
    text: Arc<Text>,
    parse: P,
    lines: LineCounter,
}

impl<P: Parse> TextRows<P> {
    /// Takes a piece of text whose scan says where rows stand.
    pub(super) fn new(text: Text, parse: P) -> Self {
        let lines = LineCounter::new(text.first.line);
        Self { text: Arc::new(text), parse, lines }
    }

    /// How many rows there are.
    pub(super) fn count(&self) -> usize {
        self.text.rows
    }

    fn bytes(&self, row: usize) -> &[u8] {
        let (start, end) = self.text.ranges[row];
        &self.text.bytes[start as usize..end as usize]
    }
}

impl<P: Parse> Rows for TextRows<P> {
    fn parse<'a>(&'a self, row: usize, tape: &mut Tape<'a>) -> Result<(), Bad> {
        if !self.text.too_long.is_empty() && self.text.too_long.contains(&(row as u32)) {
            return Err(Bad::row("row_too_long", format!("has more than {} MiB", ROW_LIMIT >> 20)));
        }
        let bytes = self.bytes(row);
        match std::str::from_utf8(bytes) {
            Ok(text) => self.parse.parse(text, tape),
            Err(error) => {
                let message = format!("is not UTF-8: byte {} of it is 0x{:02X}", error.valid_up_to() + 1, bytes[error.valid_up_to()]);
                Err(Bad::row("invalid_utf8", message).hint("name the file's encoding under `json_options`, or in the XML declaration"))
            }
        }
    }

    fn record(&self, row: usize) -> Value {
        record(self.bytes(row))
    }

    fn line(&mut self, row: usize) -> u64 {
        let start = self.text.ranges[row].0 as usize;
        self.lines.at(&self.text.bytes, start)
    }
}
