//! What an evaluation may use, and what it takes from the run.

/// Bounds of one evaluation; passing one is a [`crate::Failure`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nested evaluations at most; default 500.
    pub depth: usize,
    /// Milliseconds at most, by the clock of the machine; default `None` = unbounded.
    pub time_ms: Option<u64>,
    /// Items of a sequence at most; default 10,000,000.
    pub sequence: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 500, time_ms: None, sequence: 10_000_000 }
    }
}

/// What makes the evaluations of one run repeatable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// What `$now()` and `$millis()` say, in milliseconds since 1970.
    pub now_ms: i64,
    /// Seed of `$random()` and `$shuffle()`.
    pub seed: u64,
}
