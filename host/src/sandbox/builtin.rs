//! The guests that ship inside the binary.

/// The simple operations.
pub const OPS: &[u8] = include_bytes!(env!("ETL_OPS_WASM"));
