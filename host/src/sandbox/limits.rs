//! What a stage may use, and who counts.

use std::time::Duration;

use serde::Serialize;
use wasmtime::ResourceLimiter;

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
            output_bytes: None,
        }
    }
}

/// Bytes that a guest may hand over in one call.
pub(super) const EMIT_BYTES: usize = 64 << 20;

impl Limits {
    /// Fuel for a batch of `rows`.
    pub fn fuel(&self, rows: usize) -> u64 {
        self.fuel_per_batch.saturating_add(self.fuel_per_row.saturating_mul(rows as u64))
    }

    /// Bytes that may come out of a batch of `input` bytes.
    pub(super) fn output(&self, input: usize) -> usize {
        self.output_bytes.unwrap_or_else(|| EMIT_BYTES.max(input.saturating_mul(16)))
    }
}

/// A limit that a guest ran into; travels through wasmtime as the cause of the trap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Exceeded {
    Memory { asked: usize, limit: usize },
    Table { asked: usize, limit: usize },
    Output { asked: usize, limit: usize },
    /// A call that breaks the contract.
    Contract(String),
}

impl std::fmt::Display for Exceeded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory { asked, limit } => write!(f, "asked for {} of memory, the limit is {}", bytes(*asked), bytes(*limit)),
            Self::Table { asked, limit } => write!(f, "asked for tables of {asked} elements, the limit is {limit}"),
            Self::Output { asked, limit } => write!(f, "emitted {}, the limit is {}", bytes(*asked), bytes(*limit)),
            Self::Contract(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Exceeded {}

/// Bytes as a person says them.
pub(super) fn bytes(count: usize) -> String {
    match count {
        0..1024 => format!("{count} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", count as f64 / 1024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}

/// Sums the memories and tables of a store, which wasmtime's own limiter counts each by itself.
#[derive(Debug)]
pub(super) struct Meter {
    memory_limit: usize,
    table_limit: usize,
    memory: usize,
    tables: usize,
}

impl Meter {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { memory_limit: limits.memory_bytes, table_limit: limits.table_elements, memory: 0, tables: 0 }
    }

    /// Bytes of all memories now; memories never shrink, so it is the most so far too.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let asked = self.memory.saturating_add(desired - current);
        if asked > self.memory_limit {
            // An `Ok(false)` would end in a bare `unreachable` with no word of memory.
            return Err(Exceeded::Memory { asked, limit: self.memory_limit }.into());
        }
        self.memory = asked;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let asked = self.tables.saturating_add(desired - current);
        if asked > self.table_limit {
            return Err(Exceeded::Table { asked, limit: self.table_limit }.into());
        }
        self.tables = asked;
        Ok(true)
    }
}
