//! Objects read as streams and by ranges, several requests at a time.

use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::{Buf as _, Bytes};
use tokio::task::JoinHandle;

use super::super::wait::{spawn, wait};
use super::{Object, Store};
use crate::error::{Error, Result};

/// Bytes of the first request of a stream, which is often the last: a sample, a header.
const FIRST: u64 = 256 << 10;
/// Bytes of later ones.
const BLOCK: u64 = 4 << 20;
/// Requests that a stream is ahead.
const AHEAD: usize = 3;
/// Bytes that may lie between two ranges which are fetched as one: a request costs more than they do.
const GAP: u64 = 1 << 20;
/// Bytes of one request for a range; longer ones are fetched in pieces at a time.
const PIECE: u64 = 8 << 20;

/// Reads an object from an offset on, and is ahead of who reads. Seeking makes it start anew.
pub struct ObjectReader {
    store: Store,
    object: Object,
    /// Where who reads is.
    at: u64,
    current: Bytes,
    /// Where the next request starts.
    ahead: u64,
    block: u64,
    coming: VecDeque<JoinHandle<Result<Bytes>>>,
}

impl ObjectReader {
    /// Starts at an offset; nothing is asked for yet.
    pub fn new(store: Store, object: Object, offset: u64) -> Self {
        let offset = offset.min(object.bytes);
        Self { store, object, at: offset, current: Bytes::new(), ahead: offset, block: FIRST, coming: VecDeque::new() }
    }

    fn ask(&mut self) {
        // The first block comes alone: whoever takes a sample takes no more.
        let most = if self.block == FIRST { 1 } else { AHEAD };
        while self.coming.len() < most && self.ahead < self.object.bytes {
            let end = self.object.bytes.min(self.ahead + self.block);
            let (store, object, range) = (self.store.clone(), self.object.clone(), self.ahead..end);
            self.coming.push_back(spawn(async move { store.get(&object, range).await }));
            self.ahead = end;
        }
    }

    fn forget(&mut self) {
        self.coming.drain(..).for_each(|task| task.abort());
    }
}

impl Drop for ObjectReader {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.current.is_empty() && !buffer.is_empty() {
            self.ask();
            let Some(task) = self.coming.pop_front() else { return Ok(0) };
            self.current = wait(task).map_err(io::Error::other)?.map_err(io::Error::other)?;
            self.block = BLOCK;
            if self.at > 0 || self.current.len() as u64 > FIRST {
                self.ask();
            }
        }
        let length = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for ObjectReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(by) => self.object.bytes.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        let place = place.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        if place != self.at {
            self.forget();
            (self.at, self.ahead, self.block) = (place, place, FIRST);
            self.current = Bytes::new();
        }
        Ok(place)
    }
}

/// Ranges of an object on their way; they come whether or not somebody waits.
#[derive(Default)]
pub struct Ranges {
    pieces: Vec<Piece>,
}

struct Piece {
    range: Range<u64>,
    task: Option<JoinHandle<Result<Bytes>>>,
    bytes: Bytes,
    /// Why it did not come.
    error: Option<String>,
}

impl Ranges {
    /// Asks for ranges, near ones as one.
    pub fn fetch(store: &Store, object: &Object, mut wanted: Vec<Range<u64>>) -> Self {
        wanted.sort_by_key(|range| range.start);
        let mut joined: Vec<Range<u64>> = Vec::new();
        for range in wanted {
            match joined.last_mut() {
                Some(last) if range.start <= last.end + GAP => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        let mut pieces = Vec::new();
        for range in joined {
            let mut start = range.start;
            while start < range.end {
                let end = range.end.min(start + PIECE);
                let (store, object) = (store.clone(), object.clone());
                let task = spawn(async move { store.get(&object, start..end).await });
                pieces.push(Piece { range: start..end, task: Some(task), bytes: Bytes::new(), error: None });
                start = end;
            }
        }
        Self { pieces }
    }

    /// Waits until all is there.
    ///
    /// # Errors
    /// Outside.
    pub fn wait(&mut self) -> Result<()> {
        self.pieces.iter_mut().try_for_each(Piece::wait)
    }

    /// Bytes from a place on, at most so many and at least one; none where they were not asked for.
    ///
    /// # Errors
    /// Outside.
    pub fn some(&mut self, start: u64, most: u64) -> Result<Option<Bytes>> {
        let Some(piece) = self.pieces.iter().find(|piece| piece.range.contains(&start)) else { return Ok(None) };
        let end = piece.range.end.min(start.saturating_add(most));
        self.get(start..end)
    }

    /// Bytes of a range; none where it was not asked for.
    ///
    /// # Errors
    /// Outside.
    pub fn get(&mut self, range: Range<u64>) -> Result<Option<Bytes>> {
        let mut found: Vec<Bytes> = Vec::new();
        let mut at = range.start;
        for piece in self.pieces.iter_mut().filter(|piece| piece.range.end > range.start && piece.range.start < range.end) {
            if piece.range.start > at {
                return Ok(None);
            }
            piece.wait()?;
            let (start, end) = (at - piece.range.start, range.end.min(piece.range.end) - piece.range.start);
            found.push(piece.bytes.slice(start as usize..end as usize));
            at = piece.range.end;
        }
        Ok(match &found[..] {
            _ if at < range.end => None,
            [only] => Some(only.clone()),
            several => Some(several.concat().into()),
        })
    }
}

impl Piece {
    fn wait(&mut self) -> Result<()> {
        if let Some(task) = self.task.take() {
            match wait(task).unwrap_or_else(|error| Err(Error::bug("a request ended without an answer").because(error))) {
                Ok(bytes) => self.bytes = bytes,
                Err(error) => {
                    self.error = Some(error.one_line());
                    return Err(error);
                }
            }
        }
        self.error.as_ref().map_or(Ok(()), |error| Err(Error::outside(error)))
    }
}

impl Drop for Ranges {
    fn drop(&mut self) {
        self.pieces.iter_mut().filter_map(|piece| piece.task.take()).for_each(|task| task.abort());
    }
}
