//! What one stage may use.

use std::time::Duration;

use serde::Serialize;

/// What one stage may use. The defaults are such that an honest transform never meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Fuel for each batch, whatever its size. Default: 50 million.
    pub fuel_per_batch: u64,
    /// Fuel for each row of a batch, on top. Default: 100,000.
    pub fuel_per_row: u64,
    /// Bytes of all memories of an instance together. Default: 64 MiB.
    pub memory_bytes: usize,
    /// Elements of all tables of an instance together. Default: 20,000.
    pub table_elements: usize,
    /// Wall-clock time for one batch. Default: 30 s.
    pub timeout: Duration,
    /// Names under which it may count. Default: 256.
    pub counters: usize,
    /// Bytes that one batch may emit; `None` = 64 MiB or 16 times the input, whichever is more.
    pub output_bytes: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel_per_batch: 50_000_000,
            fuel_per_row: 100_000,
            memory_bytes: 64 << 20,
            table_elements: 20_000,
            timeout: Duration::from_secs(30),
            counters: crate::report::MAX_COUNTERS,
            output_bytes: None,
        }
    }
}

impl Limits {
    /// The defaults for a component that was built of a module in Python or JavaScript, with an interpreter inside: 1 G fuel a batch and
    /// 5 M a row, 512 MiB, 100,000 elements.
    pub fn of_module() -> Self {
        Self { fuel_per_batch: 1_000_000_000, fuel_per_row: 5_000_000, memory_bytes: 512 << 20, table_elements: 100_000, ..Self::default() }
    }

    /// Fuel for a batch of `rows`.
    pub fn fuel(&self, rows: usize) -> u64 {
        self.fuel_per_batch.saturating_add(self.fuel_per_row.saturating_mul(rows as u64))
    }

    /// Bytes that may come out of a batch of `input` bytes.
    pub fn output(&self, input: usize) -> usize {
        self.output_bytes.unwrap_or_else(|| (64 << 20).max(input.saturating_mul(16)))
    }
}
