//! Who counts what a guest uses.

use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::plan::Limits;

/// Bytes that a guest may hand over in one call.
pub(super) const EMIT_BYTES: usize = 64 << 20;

/// A limit that a guest ran into; travels through wasmtime as the cause of the trap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Exceeded {
    Memory {
        asked: usize,
        limit: usize,
    },
    Table {
        asked: usize,
        limit: usize,
    },
    Output {
        asked: usize,
        limit: usize,
    },
    Time(Duration),
    /// A call that breaks the contract.
    Contract(String),
}

impl std::fmt::Display for Exceeded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory { asked, limit } => write!(f, "asked for {} of memory, the limit is {}", bytes(*asked), bytes(*limit)),
            Self::Table { asked, limit } => write!(f, "asked for tables of {asked} elements, the limit is {limit}"),
            Self::Output { asked, limit } => write!(f, "emitted {}, the limit is {}", bytes(*asked), bytes(*limit)),
            Self::Time(limit) => write!(f, "did not return within {} s", limit.as_secs_f64()),
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
