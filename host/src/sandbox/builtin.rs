//! The guests that ship inside the binary.

/// The simple operations.
pub const OPS: &[u8] = include_bytes!(env!("ETL_OPS_WASM"));

/// JSONata expressions.
pub const JSONATA: &[u8] = include_bytes!(env!("ETL_JSONATA_WASM"));

/// Rules that rows must satisfy.
pub const VALIDATE: &[u8] = include_bytes!(env!("ETL_VALIDATE_WASM"));

/// Aggregates, de-duplication, sorting, windows.
pub const AGGREGATE: &[u8] = include_bytes!(env!("ETL_AGGREGATE_WASM"));
