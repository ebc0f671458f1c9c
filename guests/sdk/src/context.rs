//! What the host gives to every transform: a log, counters, the run's time and seed.

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the author.
    Debug,
    /// Good to know.
    Info,
    /// A person may want to act.
    Warn,
    /// A person must act.
    Error,
}

/// Writes a line to the run's log; [`log!`](crate::log!) formats one.
pub fn log(level: Level, message: &str) {
    imp::log(level, message);
}

/// Adds to a counter of the run's report, such as `missing_column.price`.
pub fn count(name: &str, by: u64) {
    imp::count(name, by);
}

/// Milliseconds since 1970 UTC at which the run started: the same for every batch and every retry.
pub fn now_ms() -> i64 {
    imp::now_ms()
}

/// A number drawn from the run's id: the same for every batch and every retry of one run.
pub fn seed() -> u64 {
    imp::seed()
}

/// Formats a line and writes it to the run's log: `log!(Warn, "no rate for `{currency}`")`.
#[macro_export]
macro_rules! log {
    ($level:ident, $($format:tt)+) => {
        $crate::log($crate::Level::$level, &::std::format!($($format)+))
    };
}

#[cfg(target_arch = "wasm32")]
mod imp {
    use super::Level;
    use crate::bindings::columns::etl::transform::host;

    pub(super) fn log(level: Level, message: &str) {
        let level = match level {
            Level::Debug => host::Level::Debug,
            Level::Info => host::Level::Info,
            Level::Warn => host::Level::Warn,
            Level::Error => host::Level::Error,
        };
        host::log(level, message);
    }

    pub(super) use host::{count, now_ms, seed};
}

#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod imp {
    use std::cell::RefCell;

    use super::Level;
    use crate::testing::Run;

    thread_local! {
        /// The run that this thread's transforms believe to be in.
        pub(crate) static RUN: RefCell<Run> = RefCell::new(Run::default());
    }

    pub(super) fn log(level: Level, message: &str) {
        RUN.with_borrow_mut(|run| run.log.push((level, message.to_owned())));
    }

    pub(super) fn count(name: &str, by: u64) {
        RUN.with_borrow_mut(|run| *run.counters.entry(name.to_owned()).or_default() += by);
    }

    pub(super) fn now_ms() -> i64 {
        RUN.with_borrow(|run| run.now_ms)
    }

    pub(super) fn seed() -> u64 {
        RUN.with_borrow(|run| run.seed)
    }
}
