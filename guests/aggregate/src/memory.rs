//! Holds a stage to its memory before the sandbox does, which could only say that it was too much.

use etl_sdk::StageError;

/// What batches, buffers and code need beside the state.
const RESERVE: u64 = 8 << 20;

/// The memory that a stage may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    limit: u64,
}

impl Memory {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit }
    }

    /// Bytes that the state may hold: it must fit once more in a snapshot, and half again while a vector grows.
    fn room(self) -> u64 {
        self.limit.saturating_sub(RESERVE) / 5 * 2
    }

    /// Refuses a state that is too large; `what` says what it is made of, `less` how there could be less.
    pub(crate) fn check(self, held: usize, what: impl FnOnce() -> String, less: &str) -> Result<(), StageError> {
        if held as u64 <= self.room() {
            return Ok(());
        }
        let message = format!(
            "{} take {}, but of the {} that the stage may use it can hold {}, since its state must fit beside a snapshot of it",
            what(),
            mebibytes(held as u64),
            mebibytes(self.limit),
            mebibytes(self.room())
        );
        let raise = (self.limit >> 20).max(64).saturating_mul(2);
        // Not a fault of these rows: the run ends, rather than looking for a guilty one.
        Err(StageError::unsupported("memory", message).help(format!("raise `limits: {{memory_mb: {raise}}}` of the step, or {less}")))
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

/// A number with its thousands apart, as `1,000,000`.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
