//! CSV and TSV.
//!
//! An empty field is null, an empty field in quotes is an empty text. Blanks belong to the text. Blank lines are no rows. A row that has every field of the header
//! is a header that got in by joining files, and is refused, as are rows with too many or too few fields.

mod columns;
mod dialect;
mod index;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::new_null_array;
use encoding_rs::Encoding;

use self::columns::Fields;
use self::dialect::CsvScan;
pub(super) use self::dialect::Dialect;
use self::index::{Index, Odd, Walk};
use super::cut::{Cutter, LineCounter, ROW_LIMIT, Sizes, Text, TextCutter};
use super::input::Input;
use super::layout::{Layout, Part, numbers, unique_names, without};
use super::refuse::{At, Bad, RECORD_LIMIT, record};
use super::target::{Members, Target};
use super::{Chunk, Decoded, View};
use crate::batch::{Position, RowNumbers};
use crate::error::{Error, Result};

/// Rows of a sample that are looked at together.
const SAMPLE: usize = 1 << 16;

/// How the files of a source are written.
#[derive(Clone, Debug)]
pub(super) struct Csv {
    /// The characters.
    pub(super) dialect: Dialect,
    /// The encoding, where one is given.
    pub(super) encoding: Option<&'static Encoding>,
    /// Whether the first line names the columns.
    pub(super) has_header: bool,
    /// Lines before it.
    pub(super) skip_rows: usize,
}

/// The columns of one file, and where its rows start.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// Names, each once.
    pub(super) names: Vec<String>,
    /// The header as it stands; empty where there is none.
    header: Vec<String>,
    offset: u64,
    line: u64,
}

impl Csv {
    /// Reads the header of a file.
    pub(super) fn head(&self, input: &Input) -> Result<Head> {
        let mut stream = input.open(self.encoding, 0)?;
        let mut buffer = Vec::new();
        let mut ended = false;
        let mut at = 0;
        let mut line = 1;
        let mut skipped = 0;
        loop {
            let rest = &buffer[at..];
            let blank = rest.starts_with(b"\n") || rest.starts_with(b"\r\n");
            if skipped < self.skip_rows || blank {
                if let Some(end) = memchr::memchr(b'\n', rest) {
                    at += end + 1;
                    line += 1;
                    skipped += usize::from(skipped < self.skip_rows);
                    continue;
                }
                if ended {
                    return Ok(Head { names: Vec::new(), header: Vec::new(), offset: buffer.len() as u64, line });
                }
            } else if let Some((end, next)) = self.dialect.row_end(&buffer, at, ended).filter(|_| ended || !rest.is_empty()) {
                let row = &buffer[at..end];
                let within = row.strip_suffix(b"\r").unwrap_or(row);
                if memchr::memchr(b'\r', within).is_some() && memchr::memchr(self.dialect.quote, row).is_none() {
                    return Err(Error::data(format!(
                        "the lines of `{}` end in a carriage return alone, so all of it is one line",
                        input.name
                    ))
                    .hint("write line feeds in their place: `tr '\\r' '\\n'`"));
                }
                return Ok(self.head_of(row, input, at, next, line));
            }
            if buffer.len() > ROW_LIMIT {
                return Err(
                    Error::data(format!("the header of `{}` has more than {} MiB", input.name, ROW_LIMIT >> 20)).hint("is it a CSV file?")
                );
            }
            ended = stream.fill(&mut buffer, 64 << 10)?;
        }
    }

    fn head_of(&self, row: &[u8], input: &Input, start: usize, next: usize, line: u64) -> Head {
        if row.is_empty() {
            return Head { names: Vec::new(), header: Vec::new(), offset: next as u64, line };
        }
        let header = self.dialect.fields(row);
        if !self.has_header {
            let names = (1..=header.len()).map(|number| format!("column_{number}")).collect();
            return Head { names, header: Vec::new(), offset: start as u64, line };
        }
        let lines = memchr::memchr_iter(b'\n', row).count() as u64 + 1;
        Head { names: unique_names(header.clone(), &input.name), header, offset: next as u64, line: line + lines }
    }

    /// Finds out what the columns are, from the first rows of the source and from the first rows of each file that has columns of its own.
    pub(super) fn infer(&self, files: &[(&Input, &Head)], infer_rows: usize) -> Result<Members> {
        let mut seen = Members::default();
        let mut left = infer_rows;
        for (input, head) in files {
            let new = head.names.iter().any(|name| !seen.contains(name));
            let mut fresh = Members::default();
            if new && left < infer_rows {
                self.sample(input, head, infer_rows, &mut fresh)?;
            }
            if left > 0 {
                let known = seen.clone();
                left -= self.sample(input, head, left, &mut seen)?;
                // Columns that the rest of the sample knows little of are taken from a sample of their own.
                for (name, kind) in fresh {
                    if !known.contains(&name) {
                        *seen.entry(&name) = kind;
                    }
                }
            } else {
                seen.add_new(fresh);
            }
        }
        Ok(seen.seen_whole(left > 0))
    }

    fn sample(&self, input: &Input, head: &Head, rows: usize, seen: &mut Members) -> Result<usize> {
        for name in &head.names {
            seen.entry(name);
        }
        let sizes = Sizes { batch_rows: rows, exact: false, chunk_bytes: 256 << 10 };
        let mut cutter = TextCutter::new(input.open(self.encoding, head.offset)?, CsvScan(self.dialect), self.start(head), sizes);
        let mut left = rows as u64;
        let mut index = Index::new(head.names.len(), rows.min(SAMPLE));
        while let Some(text) = cutter.text(left.min(SAMPLE as u64))? {
            left -= text.rows as u64;
            index.clear();
            let mut rows = RowFinder::new(&text, self.dialect);
            rows.index(&text, text.rows, head, &mut index);
            for (column, name) in head.names.iter().enumerate() {
                Fields { bytes: &text.bytes, index: &index, column, dialect: self.dialect }.infer(seen.entry(name));
            }
        }
        Ok(rows - left as usize)
    }

    fn start(&self, head: &Head) -> Position {
        Position { offset: head.offset, line: head.line, ..Position::default() }
    }

    /// Cuts a file from a position on.
    pub(super) fn cutter(
        self: &Arc<Self>,
        input: &Input,
        head: &Arc<Head>,
        layout: &Arc<Layout>,
        mut from: Position,
    ) -> Result<Box<dyn Cutter>> {
        if from.offset < head.offset {
            from = Position { offset: head.offset, row: 0, line: head.line, ..from };
        }
        let columns: Arc<[Option<usize>]> =
            layout.columns.iter().map(|column| head.names.iter().position(|name| *name == column.name)).collect();
        let stream = input.open(self.encoding, from.offset)?;
        let (csv, head, layout_, source) = (self.clone(), head.clone(), layout.clone(), input.name.clone());
        let make = move |text: Text| -> Box<dyn Chunk> {
            let (csv, head, layout, source, columns) = (csv.clone(), head.clone(), layout_.clone(), source.clone(), columns.clone());
            Box::new(CsvChunk { csv, head, layout, source, columns, text: Arc::new(text) })
        };
        Ok(Box::new(TextCutter::new(stream, CsvScan(self.dialect), from, Sizes::of(layout)).chunks(make)))
    }
}

/// Whole rows of a CSV file.
#[derive(Clone)]
struct CsvChunk {
    csv: Arc<Csv>,
    head: Arc<Head>,
    layout: Arc<Layout>,
    source: Arc<str>,
    /// For each column of the layout, the file's.
    columns: Arc<[Option<usize>]>,
    text: Arc<Text>,
}

impl Chunk for CsvChunk {
    fn next(&self) -> Position {
        self.text.next.clone()
    }

    fn seen_as(&self, view: &View) -> Box<dyn Chunk> {
        Box::new(Self { layout: view.0.clone(), ..self.clone() })
    }

    fn decode(self: Box<Self>) -> Box<dyn Iterator<Item = Result<Decoded>> + Send> {
        let rows = self.text.rows.min(self.layout.batch_rows);
        let index = Index::new(self.head.names.len(), rows);
        let finder = RowFinder::new(&self.text, self.csv.dialect);
        let lines = LineCounter::new(self.text.first.line);
        Box::new(Batches { chunk: *self, index, finder, lines })
    }
}

struct Batches {
    chunk: CsvChunk,
    index: Index,
    finder: RowFinder,
    lines: LineCounter,
}

impl Iterator for Batches {
    type Item = Result<Decoded>;

    fn next(&mut self) -> Option<Self::Item> {
        let done = self.finder.row;
        (done < self.chunk.text.rows).then(|| self.batch(done))
    }
}

impl Batches {
    fn batch(&mut self, done: usize) -> Result<Decoded> {
        let Self { chunk, index, finder, lines } = self;
        let CsvChunk { csv, head, layout, source, columns, text } = chunk;
        let rows = (text.rows - done).min(layout.batch_rows);
        let sequence = text.first.sequence + (done / layout.batch_rows) as u64;
        index.clear();
        let mut odd = finder.index(text, rows, head, index);

        let mut arrays = Vec::with_capacity(columns.len());
        let mut bad: BTreeMap<u32, Bad> = BTreeMap::new();
        for (number, (column, position)) in layout.columns.iter().zip(columns.iter()).enumerate() {
            let Some(position) = *position else {
                arrays.push(new_null_array(&column.target.data_type(), index.rows));
                continue;
            };
            let fields = Fields { bytes: &text.bytes, index, column: position, dialect: csv.dialect };
            let mut parsed = fields.parse(&column.target, column.pinned)?;
            if !parsed.bad.is_empty() && column.converted {
                parsed = fields.parse(&Target::Text, false)?;
            }
            for row in parsed.bad {
                bad.entry(row).or_insert_with(|| layout.mismatch(number, "", &fields.show(row), &column.target));
            }
            arrays.push(parsed.array);
        }

        let indexed = index.rows;
        let mut kept: Vec<u64> = Vec::new();
        if !odd.is_empty() || !bad.is_empty() {
            let gone: Vec<u32> = odd.iter().map(|odd| odd.row).collect();
            kept = (0..rows as u32).filter(|row| gone.binary_search(row).is_err()).map(u64::from).collect();
        }
        if !bad.is_empty() {
            let rows: Vec<u32> = bad.keys().copied().collect();
            arrays = without(arrays, indexed, &rows)?;
            for (row, bad) in bad {
                odd.push(OddRow { row: kept[row as usize] as u32, start: index.field(0, row as usize).0, bad });
            }
            odd.sort_by_key(|odd| odd.row);
            kept = kept
                .into_iter()
                .enumerate()
                .filter(|(index, _)| rows.binary_search(&(*index as u32)).is_err())
                .map(|(_, row)| row)
                .collect();
        }

        let mut refusals = layout.refusals(source, sequence);
        let first = text.first.row + done as u64 + 1;
        let refused = odd.len();
        for OddRow { row, start, bad } in odd {
            let at = At { row: first + u64::from(row), line: lines.at(&text.bytes, start) };
            refusals.add(bad, at, || record(text.row_at(start, csv.dialect)))?;
        }
        let numbers = if refused == 0 { RowNumbers::From(first) } else { numbers(first, kept.into_iter(), rows) };
        layout.decoded(arrays, rows - refused, numbers, refusals, Part { source, sequence })
    }
}

impl Text {
    /// The row that starts at an offset, without its line break.
    fn row_at(&self, start: usize, dialect: Dialect) -> &[u8] {
        let (end, _) = dialect.row_end(&self.bytes, start, true).unwrap_or((self.bytes.len(), self.bytes.len()));
        &self.bytes[start..end]
    }
}

/// A row that has no place in the index.
struct OddRow {
    /// Its number in the batch, from 0.
    row: u32,
    start: usize,
    bad: Bad,
}

/// Goes through the rows of a chunk.
struct RowFinder {
    dialect: Dialect,
    at: usize,
    /// Rows done.
    row: usize,
    /// Whether some row holds bytes that no text has.
    suspicious: bool,
}

impl RowFinder {
    fn new(text: &Text, dialect: Dialect) -> Self {
        let suspicious = simdutf8::basic::from_utf8(&text.bytes).is_err() || memchr::memchr(0, &text.bytes).is_some();
        Self { dialect, at: 0, row: 0, suspicious }
    }

    /// Indexes the next rows; answers those that have no place there, in order.
    fn index(&mut self, text: &Text, rows: usize, head: &Head, index: &mut Index) -> Vec<OddRow> {
        let bytes = &text.bytes[..];
        let mut odd = Vec::new();
        let mut walk = Walk::new(bytes, self.dialect, self.at);
        let first = self.row;
        for row in 0..rows {
            while matches!(bytes[self.at..], [b'\n', ..] | [b'\r', b'\n', ..]) {
                self.at += if bytes[self.at] == b'\n' { 1 } else { 2 };
                walk.skip_to(self.at);
            }
            let start = self.at;
            let bad = match self.refuse(text, first + row) {
                Some((next, bad)) => {
                    self.at = next;
                    walk.skip_to(next);
                    Some(bad)
                }
                None => {
                    let (next, left_out) = walk.row(index, start);
                    self.at = next;
                    match left_out {
                        Some(Odd::Ragged(fields)) => Some(ragged(fields, head)),
                        Some(Odd::Stray) => Some(stray(&bytes[start..next], self.dialect)),
                        None if is_header(bytes, index, head, self.dialect) => {
                            index.rows -= 1;
                            Some(Bad::row("repeated_header", "is the header once more"))
                        }
                        None => None,
                    }
                }
            };
            if let Some(bad) = bad {
                odd.push(OddRow { row: row as u32, start, bad });
            }
        }
        self.row += rows;
        odd
    }

    /// Refuses a row before its fields are looked at; answers where the next one starts.
    fn refuse(&self, text: &Text, row: usize) -> Option<(usize, Bad)> {
        if !text.too_long.is_empty() && text.too_long.binary_search(&(row as u32)).is_ok() {
            let end = (self.at + RECORD_LIMIT).min(text.bytes.len());
            let bad = Bad::row("row_too_long", format!("has more than {} MiB", ROW_LIMIT >> 20));
            return Some(((end + 1).min(text.bytes.len()), bad));
        }
        if !self.suspicious {
            return None;
        }
        let (end, next) = self.dialect.row_end(&text.bytes, self.at, true)?;
        let row = &text.bytes[self.at..end];
        if let Err(error) = std::str::from_utf8(row) {
            let byte = row[error.valid_up_to()];
            let message = format!("is not UTF-8: byte {} of it is 0x{byte:02X}", error.valid_up_to() + 1);
            return Some((
                next,
                Bad::row("invalid_utf8", message).hint("name the file's encoding: `csv_options: {encoding: windows-1252}`"),
            ));
        }
        memchr::memchr(0, row).map(|at| {
            let message = format!("is no text: byte {} of it is NUL", at + 1);
            (next, Bad::row("nul_byte", message).hint("the file is damaged, or in UTF-16: `csv_options: {encoding: utf-16le}`"))
        })
    }
}

fn ragged(fields: usize, head: &Head) -> Bad {
    let what = if head.header.is_empty() { "first row" } else { "header" };
    let word = if fields == 1 { "field" } else { "fields" };
    Bad::row("ragged_row", format!("has {fields} {word}, the {what} has {}", head.names.len()))
}

fn stray(line: &[u8], dialect: Dialect) -> Bad {
    let quote = char::from(dialect.quote);
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    // A field that ends on its own line was closed too early; else it never was closed.
    let mut start = 0;
    loop {
        if line.get(start) == Some(&dialect.quote) {
            let closes = memchr::memchr(dialect.quote, &line[start + 1..]).is_some();
            let message = if closes {
                format!("has a {quote} that closes a field and is followed by more text")
            } else {
                format!("has a {quote} that opens a field, and nothing closes it")
            };
            return Bad::row(if closes { "stray_quote" } else { "unterminated_quote" }, message)
                .hint(format!("a {quote} within a field is doubled, or set `csv_options.quote_char` or `escape_char`"));
        }
        match memchr::memchr(dialect.delimiter, &line[start..]) {
            Some(found) => start += found + 1,
            None => return Bad::row("unterminated_quote", format!("has a {quote} that opens a field, and nothing closes it")),
        }
    }
}

/// Whether the last row of the index is the header.
#[inline]
fn is_header(bytes: &[u8], index: &Index, head: &Head, dialect: Dialect) -> bool {
    let row = index.rows - 1;
    !head.header.is_empty()
        && head.header.iter().enumerate().all(|(column, name)| {
            let (start, end) = index.field(column, row);
            let field = &bytes[start..end];
            if field.first() == Some(&dialect.quote) && end - start >= 2 {
                &field[1..field.len() - 1] == name.as_bytes()
            } else {
                field == name.as_bytes()
            }
        })
}
