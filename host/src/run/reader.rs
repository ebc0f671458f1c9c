//! Reads chunks of a split: when, how far ahead, and where a checkpoint is due.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use super::memory::Memory;
use super::worker::{Done, Job, caught};
use crate::batch::Position;
use crate::config::extract::ProcessingMode;
use crate::error::{Error, Fault, PhaseName, Result};
use crate::source::{Chunk, Chunks, Decoded};

/// Chunks that a `hybrid` run reads ahead at most, however few rows they hold.
const MOST_AHEAD: usize = 1024;

/// How long a pause may go on unasked whether the run is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Reads chunks.
pub(super) struct Reader<'a> {
    /// Batches from one checkpoint to the next, where they are kept.
    pub(super) interval: Option<u64>,
    /// Where reading starts; none = at the start.
    pub(super) position: Option<Position>,
    /// Whether the run was told to stop.
    pub(super) asked: &'a AtomicBool,
    /// Whether it did so before the end of the input.
    pub(super) interrupted: AtomicBool,
    pub(super) mode: ProcessingMode,
    /// Rows that a `hybrid` run reads ahead.
    pub(super) chunk_rows: u64,
    pub(super) memory: &'a Memory,
    /// How often reading is tried again where something outside fails.
    pub(super) max_retries: u32,
    /// Reads the split from a position on, or from its start.
    pub(super) reopen: &'a (dyn Fn(Option<&Position>) -> Result<Chunks> + Sync),
}

/// Places for chunks: one that exists has one, and gives it back once it is appended.
struct Places {
    returned: Receiver<()>,
    /// Those that nothing has.
    free: usize,
    /// All there are.
    total: usize,
}

impl Places {
    /// Waits for one to be free; false where nobody gives any back any more.
    fn wait(&mut self) -> bool {
        if self.free == 0 && !self.one_back() {
            return false;
        }
        self.free += self.returned.try_iter().count();
        true
    }

    fn one_back(&mut self) -> bool {
        let back = self.returned.recv().is_ok();
        self.free += usize::from(back);
        back
    }
}

impl Reader<'_> {
    /// Reads chunks while there are places for them: `places`, given back one by one.
    pub(super) fn read(
        &self,
        chunks: Chunks,
        places: usize,
        returned: Receiver<()>,
        jobs: Sender<Job>,
        failed: Sender<Done>,
        stopped: &(dyn Fn() -> bool + Sync),
    ) {
        let fail = |sequence, error: Error| {
            // Nobody listens any more where another error came first.
            failed.send(Done { sequence, outcome: Err(error) }).ok();
        };
        let mut places = Places { returned, free: places, total: places };
        let mut input = Input { reader: self, chunks, position: self.position.clone(), stopped };
        if self.mode == ProcessingMode::Full
            && let Err(error) = input.hold()
        {
            return fail(0, error.in_phase(PhaseName::Extract));
        }
        let mut position = self.position.clone();
        let mut marked = position.as_ref().map_or(0, |position| position.sequence);
        for sequence in 0.. {
            if !places.wait() || stopped() {
                return;
            }
            // Nothing more is begun where what is under way takes much: it is ended first.
            while self.memory.is_high() && places.free < places.total {
                if !places.one_back() || stopped() {
                    return;
                }
            }
            if let Err(error) = self.memory.check() {
                return fail(sequence, error);
            }
            if self.interval.is_some() && self.asked.load(Ordering::Relaxed) {
                self.interrupted.store(true, Ordering::SeqCst);
                // Behind what was read last; where nothing was, the last checkpoint stands.
                if position != self.position {
                    jobs.send(Job { sequence, chunk: None, mark: position }).ok();
                }
                return;
            }
            match input.next() {
                Ok(None) => return,
                Ok(Some(chunk)) => {
                    let next = chunk.next();
                    if sequence == 0 && self.mode == ProcessingMode::Hybrid {
                        let rows = next.row.saturating_sub(position.as_ref().map_or(0, |position| position.row)).max(1);
                        let more = usize::try_from(self.chunk_rows.div_ceil(rows)).unwrap_or(MOST_AHEAD).min(MOST_AHEAD);
                        places.free += more;
                        places.total += more;
                    }
                    let due = self.interval.is_some_and(|interval| next.sequence - marked >= interval);
                    if due {
                        marked = next.sequence;
                    }
                    let mark = due.then(|| next.clone());
                    position = Some(next);
                    places.free -= 1;
                    if jobs.send(Job { sequence, chunk: Some(chunk), mark }).is_err() {
                        return;
                    }
                }
                Err(error) => return fail(sequence, error.in_phase(PhaseName::Extract)),
            }
        }
    }
}

/// The chunks of a split, read on where reading failed.
struct Input<'a> {
    reader: &'a Reader<'a>,
    chunks: Chunks,
    /// Behind the last chunk.
    position: Option<Position>,
    stopped: &'a (dyn Fn() -> bool + Sync),
}

impl Input<'_> {
    /// The next chunk. Where something outside fails, it is tried again after 1, 2, 4 … s.
    fn next(&mut self) -> Result<Option<Box<dyn Chunk>>> {
        let mut failures = 0;
        loop {
            let error = match caught(|| self.chunks.next().transpose()) {
                Ok(chunk) => {
                    if let Some(chunk) = &chunk {
                        self.position = Some(chunk.next());
                    }
                    return Ok(chunk);
                }
                Err(error) => error,
            };
            if error.fault() != Fault::Outside || failures >= self.reader.max_retries {
                return Err(error);
            }
            let wait = back_off(failures);
            failures += 1;
            let wait_ms = wait.as_millis() as u64;
            tracing::warn!(attempt = failures, wait_ms, error = %error.one_line(), "the source could not be read, trying again");
            if !self.pause(wait) {
                return Err(error);
            }
            self.chunks = match (self.reader.reopen)(self.position.as_ref()) {
                Ok(chunks) => chunks,
                Err(error) => Box::new(std::iter::once(Err(error))),
            };
        }
    }

    /// Waits; false where the run is to stop.
    fn pause(&self, length: Duration) -> bool {
        let end = Instant::now() + length;
        while !(self.stopped)() && !self.reader.asked.load(Ordering::Relaxed) {
            match end.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return true,
                left => std::thread::sleep(left.min(LOOK)),
            }
        }
        false
    }

    /// Reads everything before anything is worked on.
    fn hold(&mut self) -> Result<()> {
        let mut held: Vec<Box<dyn Chunk>> = Vec::new();
        let memory = self.reader.memory;
        while !(self.stopped)() && !self.reader.asked.load(Ordering::Relaxed) {
            let Some(chunk) = self.next()? else { break };
            let next = chunk.next();
            let decoded = caught(|| chunk.decode().collect::<Result<Vec<Decoded>>>())?;
            memory.hold(decoded.iter().map(|decoded| decoded.batch.rows.get_array_memory_size() as u64).sum());
            memory.check()?;
            held.push(Box::new(Held { next, decoded }));
        }
        self.chunks = Box::new(held.into_iter().map(Ok));
        Ok(())
    }
}

/// Time before the next try after so many failures: 1, 2, 4 … s, at most a minute, and up to half as much more, so that many do not come at once.
fn back_off(failures: u32) -> Duration {
    let base = Duration::from_secs(1 << failures.min(6)).min(Duration::from_secs(60));
    let share = uuid::Uuid::new_v4().as_u128() % 1000;
    base + base.mul_f64(share as f64 / 2000.0)
}

/// Rows that were read and wait for the rest.
struct Held {
    next: Position,
    decoded: Vec<Decoded>,
}

impl Chunk for Held {
    fn next(&self) -> Position {
        self.next.clone()
    }

    fn decode(self: Box<Self>) -> Box<dyn Iterator<Item = Result<Decoded>> + Send> {
        Box::new(self.decoded.into_iter().map(Ok))
    }
}
