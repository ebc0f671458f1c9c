//! Cuts the text of a file into chunks of whole rows.

use super::Chunk;
use super::input::Stream;
use super::layout::Layout;
use super::refuse::RECORD_LIMIT;
use crate::batch::Position;
use crate::error::{Error, Result};

/// Bytes that a row may have.
pub(super) const ROW_LIMIT: usize = 16 << 20;
/// Bytes of input that a batch has at most, one row more aside: a batch of wide rows has fewer of them.
pub(super) const BATCH_LIMIT: usize = 16 << 20;
/// Bytes of a chunk at most, so that a place in it has 32 bits.
const CHUNK_LIMIT: usize = 1 << 30;
/// Bytes read at once at least.
const READ: usize = 64 << 10;

/// Cuts one file into chunks.
pub(super) trait Cutter: Send {
    /// The next chunk, with at most `room` rows; none where the file has ended.
    fn cut(&mut self, room: u64) -> Result<Option<Box<dyn Chunk>>>;
}

/// Finds rows in text.
pub(super) trait Scan: Send {
    /// Whether chunks list where their rows stand.
    const RANGES: bool;

    /// Finds the next row in bytes that start right behind the last one; `ended` says that no more bytes follow.
    fn find(&mut self, bytes: &[u8], ended: bool) -> Result<Found>;

    /// What to do with a row beyond [`ROW_LIMIT`].
    fn too_long(&self) -> TooLong;
}

/// What a scan found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A row from `start` to `end`; the search goes on at `next`.
    Row { start: usize, end: usize, next: usize },
    /// No row up to `next`.
    Nothing { next: usize },
    /// More bytes are needed.
    More,
    /// There are no more rows.
    End,
}

/// What to do with a row that is too long.
pub(super) enum TooLong {
    /// It ends with its line.
    SkipLine,
    /// Nothing sensible follows it.
    Fail(&'static str),
}

/// Whole rows of a text file, not parsed yet.
pub(super) struct Text {
    /// The bytes.
    pub(super) bytes: Vec<u8>,
    /// Where each row stands in them, for formats that say so.
    pub(super) ranges: Vec<(u32, u32)>,
    /// How many rows there are.
    pub(super) rows: usize,
    /// Which of them are too long, of which only the first bytes are there.
    pub(super) too_long: Vec<u32>,
    /// Where the chunk starts.
    pub(super) first: Position,
    /// Where to read on.
    pub(super) next: Position,
}

/// Cuts a text file.
pub(super) struct TextCutter<S> {
    stream: Stream,
    scan: S,
    /// Bytes that are read and not cut off yet.
    buffer: Vec<u8>,
    ended: bool,
    done: bool,
    position: Position,
    sizes: Sizes,
}

/// How large chunks are to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Rows of a batch.
    pub(super) batch_rows: usize,
    /// Whether chunks hold whole batches.
    pub(super) exact: bool,
    /// Bytes of a chunk.
    pub(super) chunk_bytes: usize,
}

impl Sizes {
    /// Those that a layout asks for.
    pub(super) fn of(layout: &Layout) -> Self {
        Self { batch_rows: layout.batch_rows, exact: layout.exact, chunk_bytes: layout.chunk_bytes }
    }

    /// Whether a chunk may end after so many of its rows.
    fn whole(&self, rows: usize) -> bool {
        !self.exact || rows.is_multiple_of(self.batch_rows)
    }
}

impl<S: Scan> TextCutter<S> {
    /// Starts at a position, at which the stream stands already.
    pub(super) fn new(stream: Stream, scan: S, position: Position, sizes: Sizes) -> Self {
        Self { stream, scan, buffer: Vec::new(), ended: false, done: false, position, sizes }
    }

    fn read_more(&mut self, at_least: usize) -> Result<()> {
        self.ended = self.stream.fill(&mut self.buffer, at_least.max(READ))?;
        Ok(())
    }

    /// Leaves out the rest of a row that is too long; answers how many bytes that were.
    fn cut_short(&mut self, at: usize, left_out: u64) -> Result<u64> {
        match self.scan.too_long() {
            TooLong::SkipLine => self.skip_line(at),
            TooLong::Fail(what) => {
                let offset = self.position.offset + left_out + at as u64;
                let message = format!("{what} at byte {offset} of `{}` has more than {} MiB", self.stream.name(), ROW_LIMIT >> 20);
                let hint = "where its records lie deeper, a JSON document needs `response_path`, an XML document `xml_options.record_tag`";
                Err(Error::data(message).hint(hint))
            }
        }
    }

    /// Leaves out the rest of a line whose first bytes stand at `from`; answers how many bytes that were.
    fn skip_line(&mut self, from: usize) -> Result<u64> {
        let kept = from + RECORD_LIMIT;
        let mut skipped = 0;
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer[kept..]) {
                skipped += end as u64;
                self.buffer.drain(kept..kept + end);
                return Ok(skipped);
            }
            skipped += (self.buffer.len() - kept) as u64;
            self.buffer.truncate(kept);
            if self.ended {
                return Ok(skipped);
            }
            self.read_more(1 << 20)?;
        }
    }
}

impl<S: Scan> TextCutter<S> {
    /// The next whole rows, at most `room`; none where the file has ended.
    pub(super) fn text(&mut self, room: u64) -> Result<Option<Text>> {
        let sizes = self.sizes;
        let mut at = 0;
        let mut rows = 0usize;
        let mut ranges = Vec::new();
        let mut too_long = Vec::new();
        let mut left_out = 0u64;
        let mut batch_start = 0;
        while !self.done && (rows as u64) < room {
            if sizes.whole(rows) {
                batch_start = at;
            }
            if rows > 0 && (at >= sizes.chunk_bytes.min(CHUNK_LIMIT) && sizes.whole(rows) || at - batch_start >= BATCH_LIMIT) {
                break;
            }
            let found = self.scan.find(&self.buffer[at..], self.ended)?;
            let long = match found {
                Found::Row { start, end, .. } => end - start > ROW_LIMIT,
                Found::More => !self.ended && self.buffer.len() - at > ROW_LIMIT,
                Found::Nothing { .. } | Found::End => false,
            };
            if long {
                left_out += self.cut_short(at, left_out)?;
                let end = self.buffer.len().min(at + RECORD_LIMIT);
                if S::RANGES {
                    ranges.push((at as u32, end as u32));
                }
                too_long.push(rows as u32);
                rows += 1;
                at = self.buffer.len().min(end + 1);
                continue;
            }
            match found {
                Found::Row { start, end, next } => {
                    if S::RANGES {
                        ranges.push(((at + start) as u32, (at + end) as u32));
                    }
                    rows += 1;
                    at += next;
                }
                Found::Nothing { next } => {
                    at += next;
                    if rows == 0 && at >= sizes.chunk_bytes.max(READ) {
                        self.position.offset += at as u64;
                        self.position.line += memchr::memchr_iter(b'\n', &self.buffer[..at]).count() as u64;
                        self.buffer.drain(..at);
                        at = 0;
                    }
                }
                Found::End => self.done = true,
                Found::More if self.ended => self.done = true,
                Found::More => {
                    // A chunk is read at once; a row that goes on and on is read in ever larger pieces, so that it is not searched too often.
                    let whole = sizes.chunk_bytes.saturating_sub(self.buffer.len());
                    self.read_more(whole.max((self.buffer.len() - at).min(ROW_LIMIT)))?;
                }
            }
        }
        if at == 0 {
            return Ok(None);
        }
        let rest = self.buffer.split_off(at);
        let bytes = std::mem::replace(&mut self.buffer, rest);
        let first = self.position.clone();
        self.position.offset += at as u64 + left_out;
        self.position.row += rows as u64;
        self.position.line += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        self.position.sequence += rows.div_ceil(sizes.batch_rows) as u64;
        if rows == 0 {
            // Blank lines at the end of the file: nothing for a worker to do.
            return if self.done { Ok(None) } else { self.text(room) };
        }
        Ok(Some(Text { bytes, ranges, rows, too_long, first, next: self.position.clone() }))
    }

    /// Makes chunks of the text.
    pub(super) fn chunks<M: FnMut(Text) -> Box<dyn Chunk> + Send>(self, make: M) -> TextChunks<S, M> {
        TextChunks { cutter: self, make }
    }
}

/// Cuts a text file into chunks.
pub(super) struct TextChunks<S, M> {
    cutter: TextCutter<S>,
    make: M,
}

impl<S: Scan, M: FnMut(Text) -> Box<dyn Chunk> + Send> Cutter for TextChunks<S, M> {
    fn cut(&mut self, room: u64) -> Result<Option<Box<dyn Chunk>>> {
        Ok(self.cutter.text(room)?.map(&mut self.make))
    }
}

/// Counts lines as it goes through a chunk.
#[derive(Clone, Debug)]
pub(super) struct LineCounter {
    offset: usize,
    line: u64,
}

impl LineCounter {
    /// Starts at a chunk's first line.
    pub(super) fn new(line: u64) -> Self {
        Self { offset: 0, line }
    }

    /// The line at `offset`, which is never before the last one asked for.
    pub(super) fn at(&mut self, bytes: &[u8], offset: usize) -> u64 {
        if offset > self.offset {
            self.line += memchr::memchr_iter(b'\n', &bytes[self.offset..offset]).count() as u64;
            self.offset = offset;
        }
        self.line
    }
}

/// Finds rows that are lines.
pub(super) struct Lines;

impl Scan for Lines {
    const RANGES: bool = true;

    fn find(&mut self, bytes: &[u8], ended: bool) -> Result<Found> {
        let (end, next) = match memchr::memchr(b'\n', bytes) {
            Some(end) => (end, end + 1),
            None if !ended => return Ok(Found::More),
            None if bytes.is_empty() => return Ok(Found::End),
            None => (bytes.len(), bytes.len()),
        };
        Ok(if bytes[..end].iter().all(u8::is_ascii_whitespace) { Found::Nothing { next } } else { Found::Row { start: 0, end, next } })
    }

    fn too_long(&self) -> TooLong {
        TooLong::SkipLine
    }
}
