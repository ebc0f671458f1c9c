//! One reading for the runs of several transformers: the source is opened once all of them have said how they need it, and read once.

use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::RunOptions;
use super::memory::Memory;
use super::opening::watched;
use super::reader::Reader;
use super::split::Deadline;
use super::worker::caught;
use crate::batch::Position;
use crate::config::extract::ProcessingMode;
use crate::error::{Error, PhaseName, Result};
use crate::plan::Plan;
use crate::source::{ReadOptions, Shared, Source, Split};

/// Where runs meet that read together.
pub(super) struct Table {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Runs that have not said how they need the source.
    awaited: usize,
    /// Those that have: the others will not read.
    seated: Vec<bool>,
    /// Whether a stage of any sees the rows of a batch together.
    see_batches: bool,
    /// The largest chunks that any asks for.
    chunk_bytes: usize,
    opened: Option<Result<Arc<Shared>>>,
}

impl Table {
    /// Lays a table for so many runs.
    pub(super) fn new(runs: usize) -> Arc<Self> {
        let state = State { awaited: runs, seated: vec![false; runs], see_batches: false, chunk_bytes: 1, opened: None };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    /// The place of a run.
    pub(super) fn seat(self: &Arc<Self>, number: usize) -> Seat {
        Seat { table: self.clone(), number, said: false }
    }

    /// Opens the source and reads it, for as long as any run wants rows; `position` is where all of them start.
    pub(super) fn serve(&self, plan: &Plan, options: &RunOptions, learned: Option<String>, position: Option<Position>, stop: &AtomicBool) {
        let mut state = self.state();
        while state.awaited > 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let State { seated, see_batches, chunk_bytes, .. } = &*state;
        if !seated.contains(&true) {
            return;
        }
        let (seated, chunk_bytes) = (seated.clone(), *chunk_bytes);
        let read = ReadOptions {
            batch_rows: if *see_batches { plan.reading.batch_size } else { options.batch_rows },
            exact: *see_batches,
            chunk_bytes,
            limit: plan.limit,
            learned,
            ..ReadOptions::default()
        };
        drop(state);
        let open = |over: &AtomicBool| options.open_source(plan, read, over);
        let opened =
            caught(|| watched(Deadline::after(plan.timeout), stop, &mut || {}, open)).map_err(|error| error.in_phase(PhaseName::Extract));
        let shared = opened.map(|source| Shared::new(Arc::from(source), seated.len(), chunk_bytes));
        if let Ok(shared) = &shared {
            (0..seated.len()).filter(|number| !seated[*number]).for_each(|number| shared.leave(number));
        }
        let reading = shared.as_ref().ok().cloned();
        self.state().opened = Some(shared);
        self.changed.notify_all();
        let Some(shared) = reading.filter(|shared| shared.wait()) else { return };
        let outcome = caught(|| feed(plan, &shared, position, stop));
        shared.end(outcome.map_err(|error| error.in_phase(PhaseName::Extract)));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads all chunks, again where reading fails.
fn feed(plan: &Plan, shared: &Shared, position: Option<Position>, stop: &AtomicBool) -> Result<()> {
    let source = shared.source();
    let split = source.splits(NonZeroUsize::MIN)?.into_iter().next().unwrap_or(Split { index: 0, files: Vec::new() });
    let memory = Memory::default();
    let reader = Reader {
        interval: None,
        position,
        asked: stop,
        interrupted: AtomicBool::new(false),
        // How far ahead of its work each run reads is up to that run.
        mode: ProcessingMode::Streaming,
        chunk_rows: 1,
        memory: &memory,
        max_retries: plan.max_retries,
        reopen: &|position| source.read(&split, position),
    };
    reader.feed(&|chunk| shared.push(chunk))
}

/// The place of a run at a table.
pub(super) struct Seat {
    table: Arc<Table>,
    number: usize,
    said: bool,
}

impl Seat {
    /// Says how the run needs the source, and waits for the others to do so; answers the source as this plan sees it.
    ///
    /// # Errors
    /// Where the source cannot be opened, which all are told.
    pub(super) fn source(mut self, plan: &Plan, see_batches: bool, chunk_bytes: usize) -> Result<Arc<dyn Source>> {
        let table = self.table.clone();
        let mut state = table.state();
        state.see_batches |= see_batches;
        state.chunk_bytes = state.chunk_bytes.max(chunk_bytes);
        state.seated[self.number] = true;
        self.said = true;
        state.awaited -= 1;
        table.changed.notify_all();
        loop {
            match &state.opened {
                Some(Ok(shared)) => return Ok(Arc::new(shared.lane(self.number, &plan.as_text, &plan.converted))),
                Some(Err(error)) => return Err(error.again()),
                None => state = table.changed.wait(state).map_err(|_| Error::bug("a thread that opened the source has panicked"))?,
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.said {
            self.table.state().awaited -= 1;
            self.table.changed.notify_all();
        }
    }
}
