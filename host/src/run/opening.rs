//! The source while it is opened, which may take its time: interfaces are asked for pages that types are inferred from.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::split::Deadline;
use crate::error::Result;

/// Time between two looks at the clock.
const LOOK: Duration = Duration::from_millis(50);

/// Opens something by a thread of its own. What it is handed is set once the run is to stop or its time is over; meanwhile `look` is called again
/// and again.
///
/// # Errors
/// Those of `open`; outside, where the time is over.
pub(super) fn watched<T: Send>(
    deadline: Deadline,
    stop: &AtomicBool,
    look: &mut dyn FnMut(),
    open: impl FnOnce(&AtomicBool) -> Result<T> + Send,
) -> Result<T> {
    let over = AtomicBool::new(stop.load(Ordering::Relaxed));
    let span = tracing::Span::current();
    let opened = thread::scope(|scope| {
        let (done, is_done) = channel::<()>();
        let over = &over;
        let opening = scope.spawn(move || {
            let _done = done;
            span.in_scope(|| open(over))
        });
        while is_done.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            if stop.load(Ordering::Relaxed) || deadline.check().is_err() {
                over.store(true, Ordering::Relaxed);
            }
            look();
        }
        opening.join().unwrap_or_else(|panic| resume_unwind(panic))
    });
    if opened.is_err() && !stop.load(Ordering::Relaxed) {
        deadline.check()?;
    }
    opened
}
