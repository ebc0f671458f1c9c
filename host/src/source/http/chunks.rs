//! Pages as chunks: while one is cut and handed on, the next is under way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use tokio::sync::oneshot;

use super::super::cut::Cutter;
use super::super::{Chunk, Decoded, View};
use super::Shared;
use super::body::Page;
use super::pages::{Seen, Turn};
use super::send::Hold;
use crate::batch::Position;
use crate::error::{Context, Error, Result};

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
        Self { shared, sampled, turn, position, left, seen, open: None, ahead: None, failed: false }
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

    /// Gets the next page and cuts it, as far as it is there.
    fn open_page(&mut self) -> Result<Open> {
        let page = match (self.ahead.take(), self.sampled.pop_front()) {
            (Some(ahead), _) => ahead.page()?,
            (None, Some(page)) if page.ask == self.turn.ask => page,
            (None, _) => {
                self.shared.caller.fetch(&self.turn, &self.shared.pages, &self.shared.format, &mut Hold::of(&self.shared.caller.stop))?
            }
        };
        let mut cutter = self.shared.format.cutter(&page, &self.shared.layout, self.position.clone())?;
        let mut chunks = VecDeque::new();
        let Some(cut) = &mut cutter else { return Ok(Open { page, chunks, cutter: None, next: None }) };
        if page.streams() {
            chunks.extend(cut.cut(self.left).transpose());
            return Ok(Open { page, chunks, cutter, next: None });
        }
        let (mut left, mut row) = (self.left, self.position.row);
        while left > 0
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
            self.ahead = Some(Ahead::ask(self.shared.clone(), next.clone())?);
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

/// A page that is asked for by a thread of its own.
struct Ahead {
    page: Receiver<Result<Page>>,
    /// Gone with this: the thread asks for nothing any more.
    _wanted: oneshot::Sender<()>,
}

impl Ahead {
    fn ask(shared: Arc<Shared>, turn: Turn) -> Result<Self> {
        let (answer, page) = channel();
        let (wanted, gone) = oneshot::channel();
        let ask = move || {
            let fetched = shared.caller.fetch(&turn, &shared.pages, &shared.format, &mut Hold::until(&shared.caller.stop, gone));
            // Nobody listens where the run has ended.
            answer.send(fetched).ok();
        };
        thread::Builder::new().name("etl-http".into()).spawn(ask).outside(|| "starting a thread".into())?;
        Ok(Self { page, _wanted: wanted })
    }

    fn page(self) -> Result<Page> {
        self.page.recv().unwrap_or_else(|_| Err(Error::bug("the thread that asks for pages has died")))
    }
}
