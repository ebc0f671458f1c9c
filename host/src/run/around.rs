//! What a run shares with others that are at work on the same input.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::split::Deadline;
use super::table::Seat;
use crate::error::{Error, Result};
use crate::plan::Plan;

/// Time between two looks at whether the run is to stop.
const LOOK: Duration = Duration::from_millis(20);

/// What a run shares with others.
pub(super) struct Around<'a> {
    /// Set from outside to end it before its time.
    pub(super) stop: &'a AtomicBool,
    /// Its place at the reading that it shares; taken once, since whoever starts again reads for himself.
    seat: Mutex<Option<Seat>>,
    /// When it may write, where others write the same file.
    pub(super) turn: Option<Turn<'a>>,
    /// When it must have ended, however often it starts again.
    pub(super) deadline: Deadline,
}

impl<'a> Around<'a> {
    /// A run that shares nothing, and begins now.
    pub(super) fn alone(stop: &'a AtomicBool, plan: &Plan) -> Self {
        Self::beside(stop, plan, None, None)
    }

    /// A run beside others, which begins now.
    pub(super) fn beside(stop: &'a AtomicBool, plan: &Plan, seat: Option<Seat>, turn: Option<Turn<'a>>) -> Self {
        Self { stop, seat: Mutex::new(seat), turn, deadline: Deadline::after(plan.timeout) }
    }

    /// Takes the place at the reading that is shared.
    pub(super) fn seat(&self) -> Option<Seat> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Which of several runs have ended.
pub(super) struct Turns {
    ended: Mutex<Vec<bool>>,
    changed: Condvar,
    /// For each run the file that it alone may write while it writes.
    files: Vec<Option<PathBuf>>,
}

impl Turns {
    pub(super) fn new(files: Vec<Option<PathBuf>>) -> Self {
        Self { ended: Mutex::new(vec![false; files.len()]), changed: Condvar::new(), files }
    }

    /// The turn of a run; none where nobody writes its file before it.
    pub(super) fn of(&self, number: usize) -> Option<Turn<'_>> {
        let file = self.files[number].as_ref()?;
        let before: Vec<usize> = (0..number).filter(|other| self.files[*other].as_ref() == Some(file)).collect();
        (!before.is_empty()).then_some(Turn { turns: self, before })
    }

    /// Notes that a run has ended, whatever came of it.
    pub(super) fn end(&self, number: usize) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)[number] = true;
        self.changed.notify_all();
    }
}

/// When a run may write.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    /// The runs that come before it.
    before: Vec<usize>,
}

impl Turn<'_> {
    /// Waits until all that come before it have ended; false where the run is to stop first.
    pub(super) fn wait(&self, stop: &AtomicBool, check: &dyn Fn() -> Result<()>) -> Result<bool> {
        let mut ended = self.turns.ended.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.before.iter().all(|run| ended[*run]) {
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            check()?;
            ended = self.turns.changed.wait_timeout(ended, LOOK).map_err(|_| Error::bug("a thread that wrote before has panicked"))?.0;
        }
        Ok(true)
    }
}
