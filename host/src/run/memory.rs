//! Keeps the process within the memory that a run may take: first nothing is read ahead any more, then one batch at a time is worked on, then the run stops.
//!
//! Sizes of batches do not change in mid-run, since the same input has to give the same bytes: they follow from the limit at the start.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::process;
use crate::error::{Error, Result};
use crate::report::StageReport;

/// Share of the limit above which nothing is read ahead.
const HIGH: f64 = 0.75;

/// What a run holds its memory to.
#[derive(Debug, Default)]
pub(super) struct Memory {
    limit_mb: Option<NonZeroU64>,
    /// Bytes of rows that wait until all are read.
    held: AtomicU64,
    /// What instances of the stages hold together, in MiB, by stage.
    stages: Mutex<Vec<(String, f64)>>,
}

impl Memory {
    /// Starts with a limit in MiB, where there is one.
    pub(super) fn new(limit_mb: Option<NonZeroU64>) -> Self {
        Self { limit_mb, ..Self::default() }
    }

    /// Notes rows that wait until all are read.
    pub(super) fn hold(&self, bytes: u64) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether there is a limit.
    pub(super) fn is_limited(&self) -> bool {
        self.limit_mb.is_some()
    }

    /// Notes what stages hold, each instance so much as the largest.
    pub(super) fn note(&self, stages: &[StageReport], workers: usize) {
        if self.is_limited() {
            let of = |stage: &StageReport| (format!("stage `{}`", stage.name), stage.memory_mb * workers as f64);
            *self.stages.lock().unwrap_or_else(PoisonError::into_inner) = stages.iter().map(of).collect();
        }
    }

    /// Whether so much is in use that nothing more should be begun while something can be ended.
    pub(super) fn is_high(&self) -> bool {
        self.above(HIGH)
    }

    /// Holds the process to its limit.
    ///
    /// # Errors
    /// Config, where the process takes more than it may.
    pub(super) fn check(&self) -> Result<()> {
        let Some(limit_mb) = self.limit_mb.filter(|_| self.above(1.0)) else { return Ok(()) };
        // What was freed and is kept for later does not count.
        process::give_back_memory();
        let used = process::memory_mb();
        if used <= limit_mb.get() as f64 {
            return Ok(());
        }
        let mut parts = self.stages.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let held = self.held.load(Ordering::Relaxed) as f64 / 1_048_576.0;
        if held >= 1.0 {
            parts.push(("rows that wait until all are read".into(), held));
        }
        let known: f64 = parts.iter().map(|(_, mb)| mb).sum();
        parts.push(("compiled transforms, buffers of source and sink, the program itself".into(), (used - known).max(0.0)));
        parts.sort_by(|left, right| right.1.total_cmp(&left.1));
        let parts: Vec<String> = parts.iter().map(|(what, mb)| format!("{what} {mb:.0} MiB")).collect();
        let message = format!("the run takes {used:.0} MiB, but may take {limit_mb} (`max_memory_mb`); of it: {}", parts.join(", "));
        let hint = match held >= 1.0 {
            true => "`processing_mode: streaming` holds a few batches only; or raise `max_memory_mb`",
            false => "raise `max_memory_mb`, or use fewer `--workers`",
        };
        Err(Error::config(message).hint(hint))
    }

    fn above(&self, share: f64) -> bool {
        self.limit_mb.is_some_and(|limit_mb| process::memory_mb() > limit_mb.get() as f64 * share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_a_limit_is_never_high_and_one_above_it_is_told_what_takes_it() {
        assert!(!Memory::default().is_high());
        let memory = Memory::new(NonZeroU64::new(1));
        memory.hold(3 << 20);
        assert!(memory.is_high());
        memory.note(&[StageReport { name: "shape".into(), memory_mb: 0.5, ..StageReport::default() }], 2);
        let error = memory.check().unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("but may take 1 (`max_memory_mb`)")
                && text.contains("rows that wait until all are read 3 MiB")
                && text.contains("stage `shape` 1 MiB"),
            "{text}"
        );
        assert!(error.find_hint().is_some_and(|hint| hint.starts_with("`processing_mode: streaming`")));
        assert!(Memory::new(NonZeroU64::new(1 << 40)).check().is_ok());
    }
}
