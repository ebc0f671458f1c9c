//! One reading for several who each work on all of it: chunks are read and cut once, and parsed by each for itself.
//!
//! ```text
//! source ── feeds ──> window of chunks ──> lane 0
//!                                     ├──> lane 1
//!                                     └──> lane 2: the slowest, which holds the window
//! ```
//!
//! The window has so many chunks at most, so that memory is bounded: a slow lane holds the others back. A lane that ends, or fails, or is
//! told to stop holds nobody back any more; where no lane is left, reading ends.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use arrow_schema::SchemaRef;

use super::{Asset, Chunk, Chunks, Source, Split, View};
use crate::batch::Position;
use crate::error::{Error, Result};

/// Bytes of input that the window holds, as far as its chunks have the size that was asked for.
const WINDOW_BYTES: usize = 16 << 20;

/// A source that several lanes read.
pub struct Shared {
    source: Arc<dyn Source>,
    /// Chunks in the window at most.
    room: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Read, and not taken by all lanes yet.
    window: VecDeque<Box<dyn Chunk>>,
    /// Number of the first of them.
    first: u64,
    lanes: Vec<Place>,
    /// Whether a lane has begun to read.
    begun: bool,
    end: End,
}

/// Where a lane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The number of the chunk that it takes next.
    Before(u64),
    /// It wants no more.
    Gone,
}

/// Whether there is more to read.
enum End {
    Open,
    Read,
    Failed(Error),
}

impl Shared {
    /// Shares a source among so many lanes, where it makes chunks of so many bytes.
    pub fn new(source: Arc<dyn Source>, lanes: usize, chunk_bytes: usize) -> Arc<Self> {
        let state = State { window: VecDeque::new(), first: 0, lanes: vec![Place::Before(0); lanes], begun: false, end: End::Open };
        let room = (WINDOW_BYTES / chunk_bytes.max(1)).clamp(2, 16);
        Arc::new(Self { source, room, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// The source itself.
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    /// The source as a lane sees it, whose steps ask for these columns as text and give these a type of their own. A lane is taken once.
    pub fn lane(self: &Arc<Self>, number: usize, as_text: &[String], converted: &[String]) -> Lane {
        let seat = Arc::new(Seat { shared: self.clone(), number });
        Lane { seat, view: self.source.view(as_text, converted) }
    }

    /// Waits until a lane wants to read; false where none ever will.
    pub fn wait(&self) -> bool {
        let mut state = self.state();
        while !state.begun && state.is_wanted() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_wanted()
    }

    /// Puts a chunk into the window, once there is room; false where nobody wants it.
    pub fn push(&self, chunk: Box<dyn Chunk>) -> bool {
        let mut state = self.state();
        while state.window.len() >= self.room && state.is_wanted() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.is_wanted() {
            return false;
        }
        state.window.push_back(chunk);
        self.changed.notify_all();
        true
    }

    /// Says that all is read, or why reading goes no further; what was said first counts.
    pub fn end(&self, outcome: Result<()>) {
        let mut state = self.state();
        if matches!(state.end, End::Open) {
            state.end = match outcome {
                Ok(()) => End::Read,
                // It was tried as often as it may be.
                Err(error) => End::Failed(error.given_up()),
            };
        }
        self.changed.notify_all();
    }

    /// Why reading went no further, where it failed.
    pub fn failure(&self) -> Option<Error> {
        if let End::Failed(error) = &self.state().end { Some(error.again()) } else { None }
    }

    /// Says that a lane wants no more.
    pub fn leave(&self, number: usize) {
        let mut state = self.state();
        if std::mem::replace(&mut state.lanes[number], Place::Gone) == Place::Gone {
            return;
        }
        state.drop_taken();
        if !state.is_wanted() {
            state.window.clear();
            self.source.stop();
        }
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_wanted(&self) -> bool {
        self.lanes.iter().any(|place| *place != Place::Gone)
    }

    /// Lets go of the chunks that every lane has.
    fn drop_taken(&mut self) {
        let slowest = self.lanes.iter().filter_map(|place| if let Place::Before(next) = place { Some(*next) } else { None }).min();
        while slowest.is_some_and(|slowest| self.first < slowest) && self.window.pop_front().is_some() {
            self.first += 1;
        }
    }
}

/// A source as one of several sees it that read it together.
pub struct Lane {
    seat: Arc<Seat>,
    view: View,
}

/// A lane's place, which it leaves when nobody holds it any more.
struct Seat {
    shared: Arc<Shared>,
    number: usize,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.leave(self.number);
    }
}

impl Source for Lane {
    fn schema(&self) -> SchemaRef {
        self.view.schema()
    }

    fn splits(&self, _: NonZeroUsize) -> Result<Vec<Split>> {
        // All lanes take the input in the same parts.
        self.seat.shared.source.splits(NonZeroUsize::MIN)
    }

    fn inputs(&self) -> Vec<Asset> {
        self.seat.shared.source.inputs()
    }

    fn learned(&self) -> Option<String> {
        self.seat.shared.source.learned()
    }

    fn view(&self, as_text: &[String], converted: &[String]) -> View {
        self.seat.shared.source.view(as_text, converted)
    }

    /// All lanes read from the same position on, which whoever feeds them knows.
    fn read(&self, _: &Split, _: Option<&Position>) -> Result<Chunks> {
        let Seat { shared, number } = self.seat.as_ref();
        shared.state().begun = true;
        shared.changed.notify_all();
        Ok(Box::new(LaneChunks { shared: shared.clone(), number: *number, view: self.view.clone(), _seat: self.seat.clone() }))
    }

    fn stop(&self) {
        self.seat.shared.leave(self.seat.number);
    }
}

/// The chunks of a lane.
struct LaneChunks {
    shared: Arc<Shared>,
    number: usize,
    view: View,
    _seat: Arc<Seat>,
}

impl Iterator for LaneChunks {
    type Item = Result<Box<dyn Chunk>>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { shared, number, view, _seat: _ } = self;
        let mut state = shared.state();
        loop {
            let Place::Before(next) = state.lanes[*number] else {
                return Some(Err(Error::outside("stopped while rows were being read").given_up()));
            };
            if let Some(chunk) = state.window.get((next - state.first) as usize) {
                let chunk = chunk.seen_as(view);
                state.lanes[*number] = Place::Before(next + 1);
                state.drop_taken();
                shared.changed.notify_all();
                return Some(Ok(chunk));
            }
            match &state.end {
                End::Read => return None,
                End::Failed(error) => return Some(Err(error.again())),
                End::Open => state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Drop for LaneChunks {
    fn drop(&mut self) {
        self.shared.leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::super::layout::Layout;
    use super::super::target::Members;
    use super::super::{Decoded, ReadOptions};
    use super::*;
    use crate::config::extract::{FileSource, Reading};

    /// A source of nothing that knows whether it was stopped.
    #[derive(Default)]
    struct Nowhere(AtomicBool);

    impl Source for Nowhere {
        fn schema(&self) -> SchemaRef {
            self.view(&[], &[]).schema()
        }

        fn splits(&self, _: NonZeroUsize) -> Result<Vec<Split>> {
            Ok(Vec::new())
        }

        fn view(&self, _: &[String], _: &[String]) -> View {
            let layout = Layout::new(Members::default(), &FileSource::of(""), &Reading::default(), &ReadOptions::default());
            View(Arc::new(layout.unwrap()))
        }

        fn read(&self, _: &Split, _: Option<&Position>) -> Result<Chunks> {
            Ok(Box::new(std::iter::empty()))
        }

        fn stop(&self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    struct Numbered(u64);

    impl Chunk for Numbered {
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

    /// A source that is shared by so many lanes with room for two chunks, and their chunks.
    fn shared(lanes: usize) -> (Arc<Nowhere>, Arc<Shared>, Vec<Chunks>) {
        let source = Arc::new(Nowhere::default());
        let shared = Shared::new(source.clone(), lanes, usize::MAX);
        let split = Split { index: 0, files: Vec::new() };
        let chunks = (0..lanes).map(|number| shared.lane(number, &[], &[]).read(&split, None).unwrap());
        let chunks = chunks.collect();
        (source, shared, chunks)
    }

    fn rows(chunks: Chunks) -> Vec<u64> {
        chunks.map(|chunk| chunk.unwrap().next().row).collect()
    }

    #[test]
    fn every_lane_gets_every_chunk_in_order_and_the_slowest_holds_the_window() {
        let (_, shared, mut chunks) = shared(2);
        let pushed = AtomicBool::new(false);
        let mut slow = chunks.pop().unwrap();
        let mut quick = chunks.pop().unwrap();
        thread::scope(|scope| {
            assert!(shared.push(Box::new(Numbered(1))) && shared.push(Box::new(Numbered(2))));
            let (shared, done) = (&shared, &pushed);
            let third = scope.spawn(move || {
                assert!(shared.push(Box::new(Numbered(3))));
                done.store(true, Ordering::SeqCst);
                shared.end(Ok(()));
            });
            let taken: Vec<u64> = (0..2).map(|_| quick.next().unwrap().unwrap().next().row).collect();
            assert_eq!(taken, [1, 2]);
            assert!(!pushed.load(Ordering::SeqCst), "there is no room before the slow one has taken one");
            assert_eq!(slow.next().unwrap().unwrap().next().row, 1);
            third.join().unwrap();
        });
        assert_eq!((rows(quick), rows(slow)), (vec![3], vec![2, 3]));
    }

    #[test]
    fn a_lane_that_leaves_holds_nobody_back_and_without_any_reading_ends() {
        let (source, shared, mut chunks) = shared(2);
        assert!(shared.push(Box::new(Numbered(1))) && shared.push(Box::new(Numbered(2))));
        drop(chunks.remove(0));
        let mut left = chunks.remove(0);
        assert_eq!(left.next().unwrap().unwrap().next().row, 1);
        assert!(shared.push(Box::new(Numbered(3))));
        assert!(!source.0.load(Ordering::SeqCst));
        drop(left);
        assert!(source.0.load(Ordering::SeqCst), "nobody reads any more");
        assert!(!shared.push(Box::new(Numbered(4))) && !shared.wait());
    }

    #[test]
    fn what_goes_wrong_is_told_to_all_behind_the_last_chunk_and_is_not_tried_again() {
        let (_, shared, chunks) = shared(3);
        assert!(shared.push(Box::new(Numbered(1))));
        shared.end(Err(Error::outside("gone").while_doing("reading").hint("wait")));
        shared.end(Ok(()));
        for mut lane in chunks {
            assert!(lane.next().unwrap().is_ok());
            let error = lane.next().unwrap().err().unwrap();
            assert_eq!((error.one_line(), error.find_hint(), error.is_given_up()), ("reading: gone".into(), Some("wait"), true));
        }
    }
}
