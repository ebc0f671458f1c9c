//! Reads chunks of a split: when, how far ahead, and where a checkpoint is due.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use super::memory::Memory;
use super::process::pause;
use super::worker::{Done, Job, caught};
use crate::batch::Position;
use crate::config::extract::ProcessingMode;
use crate::error::{Error, Fault, PhaseName, Result};
use crate::source::{Chunk, Chunks, Decoded, View};

/// Chunks that a `hybrid` run reads ahead at most, however few rows they hold.
const MOST_AHEAD: usize = 1024;

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
            let mut next = Ok(None);
            if !self.is_interrupted() {
                next = input.next();
            }
            // A source that waits for somebody else is told to give up.
            if self.is_interrupted() && !matches!(next, Ok(Some(_))) {
                self.interrupted.store(true, Ordering::SeqCst);
                // Behind what was read last; where nothing was, the last checkpoint stands.
                if position != self.position && position.as_ref().is_none_or(Position::is_found_again) {
                    jobs.send(Job { sequence, chunk: None, mark: position }).ok();
                }
                return;
            }
            match next {
                Ok(None) => return,
                Ok(Some(chunk)) => {
                    let next = chunk.next();
                    if sequence == 0 && self.mode == ProcessingMode::Hybrid {
                        let before = position.as_ref().map_or(0, |position| position.earlier + position.row);
                        let rows = (next.earlier + next.row).saturating_sub(before).max(1);
                        let more = usize::try_from(self.chunk_rows.div_ceil(rows)).unwrap_or(MOST_AHEAD).min(MOST_AHEAD);
                        places.free += more;
                        places.total += more;
                    }
                    let due = self.interval.is_some_and(|interval| next.sequence - marked >= interval) && next.is_found_again();
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
                Err(_) if stopped() => return,
                Err(error) => return fail(sequence, error.in_phase(PhaseName::Extract)),
            }
        }
    }

    /// Reads all chunks for somebody else, until he wants no more.
    pub(super) fn feed(&self, push: &dyn Fn(Box<dyn Chunk>) -> bool) -> Result<()> {
        let chunks = (self.reopen)(self.position.as_ref())?;
        let mut input = Input { reader: self, chunks, position: self.position.clone(), stopped: &|| false };
        while let Some(chunk) = input.next()? {
            if !push(chunk) {
                break;
            }
        }
        Ok(())
    }

    /// Whether a run that keeps checkpoints was told to stop.
    fn is_interrupted(&self) -> bool {
        self.interval.is_some() && self.asked.load(Ordering::Relaxed)
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
            if error.fault() != Fault::Outside || error.is_given_up() || failures >= self.reader.max_retries || self.is_over() {
                return Err(error);
            }
            let wait = back_off(failures);
            failures += 1;
            let wait_ms = wait.as_millis() as u64;
            tracing::warn!(attempt = failures, wait_ms, error = %error.one_line(), "the source could not be read, trying again");
            if !pause(wait, &|| self.is_over()) {
                return Err(error);
            }
            self.chunks = match (self.reader.reopen)(self.position.as_ref()) {
                Ok(chunks) => chunks,
                Err(again) if again.fault() == Fault::Outside => Box::new(std::iter::once(Err(again))),
                // It can only be read from its start: what failed first is what to tell of.
                Err(again) => {
                    let hint = again.find_hint().map_or_else(String::new, |hint| format!(": {hint}"));
                    return Err(error.hint(format!("{again}{hint}")));
                }
            };
        }
    }

    /// Whether the run has ended or is to stop.
    fn is_over(&self) -> bool {
        (self.stopped)() || self.reader.asked.load(Ordering::Relaxed)
    }

    /// Reads everything before anything is worked on.
    fn hold(&mut self) -> Result<()> {
        let mut held: Vec<Box<dyn Chunk>> = Vec::new();
        let memory = self.reader.memory;
        while !self.is_over() {
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
#[derive(Clone)]
struct Held {
    next: Position,
    decoded: Vec<Decoded>,
}

impl Chunk for Held {
    fn next(&self) -> Position {
        self.next.clone()
    }

    fn seen_as(&self, _: &View) -> Box<dyn Chunk> {
        // They are parsed already.
        Box::new(self.clone())
    }

    fn decode(self: Box<Self>) -> Box<dyn Iterator<Item = Result<Decoded>> + Send> {
        Box::new(self.decoded.into_iter().map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::atomic::AtomicU32;

    use super::*;

    struct Nothing(u64);

    impl Chunk for Nothing {
        fn next(&self) -> Position {
            Position { row: self.0, ..Position::default() }
        }

        fn seen_as(&self, _: &View) -> Box<dyn Chunk> {
            Box::new(Self(self.0))
        }

        fn decode(self: Box<Self>) -> Box<dyn Iterator<Item = Result<Decoded>> + Send> {
            Box::new(std::iter::empty())
        }
    }

    /// Ten chunks of which the fifth fails outside `failures` times; answers what came, and from where it was read again.
    fn read(failures: u32, max_retries: u32, fault: Fault) -> (Vec<u64>, Vec<u64>, Option<String>) {
        let left = AtomicU32::new(failures);
        let again = std::sync::Mutex::new(Vec::new());
        let chunks = |from: u64, left: u32| -> Chunks {
            let chunk = move |row| match row == 5 && left > 0 {
                true => Err(Error::new(fault, "gone")),
                false => Ok(Box::new(Nothing(row)) as Box<dyn Chunk>),
            };
            Box::new((from + 1..=10).map(chunk))
        };
        let reopen = |position: Option<&Position>| {
            let from = position.map_or(0, |position| position.row);
            again.lock().unwrap().push(from);
            left.fetch_sub(1, Ordering::Relaxed);
            Ok(chunks(from, left.load(Ordering::Relaxed)))
        };
        let asked = AtomicBool::new(false);
        let memory = Memory::default();
        let reader = Reader {
            interval: None,
            position: None,
            asked: &asked,
            interrupted: AtomicBool::new(false),
            mode: ProcessingMode::Streaming,
            chunk_rows: 1,
            memory: &memory,
            max_retries,
            reopen: &reopen,
        };
        let mut input = Input { reader: &reader, chunks: chunks(0, failures), position: None, stopped: &|| false };
        let came = Cell::new(Vec::new());
        let error = loop {
            match input.next() {
                Ok(Some(chunk)) => {
                    let mut rows = came.take();
                    rows.push(chunk.next().row);
                    came.set(rows);
                }
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
            }
        };
        (came.into_inner(), again.into_inner().unwrap(), error)
    }

    #[test]
    fn reading_goes_on_behind_the_last_chunk_after_a_failure_outside_and_only_then() {
        assert_eq!(read(1, 3, Fault::Outside), ((1..=10).collect(), vec![4], None));
        assert_eq!(read(1, 0, Fault::Outside), ((1..=4).collect(), vec![], Some("gone".into())));
        assert_eq!(read(1, 3, Fault::Data), ((1..=4).collect(), vec![], Some("gone".into())));
        assert_eq!(read(2, 1, Fault::Outside), ((1..=4).collect(), vec![4], Some("gone".into())));
    }

    #[test]
    fn the_time_before_a_try_doubles_and_is_never_the_same_for_all() {
        for (failures, seconds) in [(0, 1), (1, 2), (2, 4), (6, 60), (40, 60)] {
            let waits: Vec<Duration> = (0..20).map(|_| back_off(failures)).collect();
            let least = Duration::from_secs(seconds);
            assert!(waits.iter().all(|wait| (least..=least.mul_f64(1.5)).contains(wait)), "{waits:?}");
            assert!(waits.iter().any(|wait| *wait != waits[0]));
        }
    }
}
