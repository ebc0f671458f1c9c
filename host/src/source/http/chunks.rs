//! Pages as chunks: while one is cut and handed on, the next is under way.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::cut::Cutter;
use super::super::{Chunk, Decoded, View};
use super::Shared;
use super::ahead::Ahead;
use super::body::Page;
use super::pages::{Seen, Turn};
use crate::batch::Position;
use crate::error::Result;

/// How much of the page before it a page has in bytes that is not the last one by its looks.
const FULL: f64 = 0.75;

/// The chunks of a source, page by page.
pub(super) struct PageChunks {
    shared: Arc<Shared>,
    /// Pages that are there already.
    sampled: VecDeque<Page>,
    /// The page that is read, or is to be read next.
    turn: Turn,
    /// Behind the last chunk.
    position: Position,
    /// Rows that may still be read.
    left: u64,
    seen: Seen,
    open: Option<Open>,
    ahead: Option<Ahead>,
    /// Bytes of the page that is read.
    filled: Option<usize>,
    failed: bool,
}

/// A page that is read.
struct Open {
    page: Page,
    /// Whole rows that nobody has yet, and what went wrong behind them.
    chunks: VecDeque<Result<Box<dyn Chunk>>>,
    /// Cuts what is still on its way.
    cutter: Option<Box<dyn Cutter>>,
    /// The page behind it, once that is known: with its last row.
    next: Option<Result<Option<Turn>>>,
}

impl PageChunks {
    /// Reads from a turn on, of which a position says how much is done.
    pub(super) fn new(shared: Arc<Shared>, sampled: VecDeque<Page>, turn: Turn, position: Position, left: u64) -> Self {
        let seen = shared.pages.seen();
        Self { shared, sampled, turn, position, left, seen, open: None, ahead: None, filled: None, failed: false }
    }

    fn chunk(&mut self) -> Result<Option<Box<dyn Chunk>>> {
        while self.left > 0 && (self.open.is_some() || !self.turn.is_end()) {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => self.open_page()?,
            };
            match open.chunks.pop_front() {
                None => self.turn_page(open)?,
                Some(chunk) => {
                    let chunk = chunk?;
                    let next = chunk.next();
                    self.left -= next.row - self.position.row;
                    self.position = next;
                    if let Some(cutter) = open.cutter.as_mut().filter(|_| self.left > 0) {
                        open.chunks.extend(cutter.cut(self.left).transpose());
                    }
                    if !open.chunks.is_empty() || self.left == 0 {
                        self.open = Some(open);
                        return Ok(Some(chunk));
                    }
                    // Who goes on behind the last chunk of a page need not ask for the page again.
                    if open.next.is_none() {
                        open.next = Some(self.after(&open.page));
                    }
                    if matches!(open.next, Some(Err(_))) {
                        self.open = Some(open);
                        return Ok(Some(chunk));
                    }
                    self.turn_page(open)?;
                    return Ok(Some(Box::new(Last { chunk, next: self.position.clone() })));
                }
            }
        }
        Ok(None)
    }

    /// What comes behind a page of which all rows are read.
    fn after(&mut self, page: &Page) -> Result<Option<Turn>> {
        self.shared.pages.after(&self.turn, page, self.position.row, &mut self.seen)
    }

    /// Goes on to the page behind one that is read.
    fn turn_page(&mut self, open: Open) -> Result<()> {
        let next = match open.next {
            Some(next) => next?,
            None => self.after(&open.page)?,
        };
        let Position { file, row, earlier, sequence, .. } = self.position;
        self.turn = next.unwrap_or_else(|| self.turn.end());
        let cursor = Some(self.turn.spell()?);
        self.position = Position { file: file + 1, earlier: earlier + row, sequence, line: 1, cursor, ..Position::default() };
        Ok(())
    }

    /// Gets the next page, as far as it is there, and with it what was asked for behind it already.
    fn get_page(&mut self) -> Result<(Page, Option<Ahead>)> {
        let Shared { caller, pages, format, .. } = &*self.shared;
        let ahead = match (self.ahead.take(), self.sampled.pop_front()) {
            (None, Some(page)) if page.ask == self.turn.ask => {
                self.filled = Some(page.bytes());
                return Ok((page, None));
            }
            (None, _) if format.streams() => return Ok((caller.page(&self.turn, pages, format)?, None)),
            (Some(ahead), _) => ahead,
            (None, _) => Ahead::ask(&self.shared, self.turn.clone()),
        };
        let guess = pages.guess(&self.turn, self.position.row, self.left);
        let (fetched, asked) = ahead.page(guess.zip(self.filled.map(|bytes| (bytes as f64 * FULL) as usize)))?;
        self.filled = Some(fetched.bytes());
        Ok((fetched.page(caller, format)?, asked))
    }

    /// Gets the next page and cuts it, as far as it is there.
    fn open_page(&mut self) -> Result<Open> {
        let (page, asked) = self.get_page()?;
        let mut cutter = self.shared.format.cutter(&page, &self.shared.layout, self.position.clone())?;
        let mut chunks = VecDeque::new();
        if page.streams() {
            if let Some(cut) = &mut cutter {
                chunks.extend(cut.cut(self.left).transpose());
            }
            return Ok(Open { page, chunks, cutter, next: None });
        }
        let (mut left, mut row) = (self.left, self.position.row);
        while left > 0
            && let Some(cut) = &mut cutter
            && let Some(chunk) = cut.cut(left)?
        {
            let next = chunk.next().row;
            left -= next - row;
            row = next;
            chunks.push_back(Ok(chunk));
        }
        // Where the limit is reached, nothing is asked for that nobody reads.
        let next = (left > 0).then(|| self.shared.pages.after(&self.turn, &page, row, &mut self.seen));
        if self.sampled.is_empty()
            && let Some(Ok(Some(next))) = &next
        {
            let asked = asked.filter(|asked| asked.turn.ask == next.ask).inspect(Ahead::confirm);
            self.ahead = Some(asked.unwrap_or_else(|| Ahead::ask(&self.shared, next.clone())));
        }
        Ok(Open { page, chunks, cutter: None, next })
    }
}

impl Iterator for PageChunks {
    type Item = Result<Box<dyn Chunk>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let chunk = self.chunk();
        self.failed = chunk.is_err();
        chunk.transpose()
    }
}

/// The last chunk of a page: behind it comes the next page.
struct Last {
    chunk: Box<dyn Chunk>,
    next: Position,
}

impl Chunk for Last {
    fn next(&self) -> Position {
        self.next.clone()
    }

    fn seen_as(&self, view: &View) -> Box<dyn Chunk> {
        Box::new(Self { chunk: self.chunk.seen_as(view), next: self.next.clone() })
    }

    fn decode(self: Box<Self>) -> Box<dyn Iterator<Item = Result<Decoded>> + Send> {
        self.chunk.decode()
    }
}
