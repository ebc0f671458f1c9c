//! JSONata expressions over rows: the guest behind `jsonata` and `filter: {expression}`.
//!
//! `record` evaluates once a row, `batch` once a batch, `dataset` once at the end, and `filter` keeps the rows for which the expression
//! is true. `evaluate` is for tests of the language.

#[cfg(any(test, target_arch = "wasm32"))]
mod allocate;
mod batch;
mod dataset;
mod evaluate;
mod filter;
mod program;
mod record;
mod result;

pub use batch::Batch;
pub use dataset::Dataset;
pub use evaluate::Evaluate;
pub use filter::Filter;
pub use record::Record;

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: allocate::Sizes = allocate::Sizes::new();

etl_sdk::export_columns!(Record, Batch, Dataset, Filter, Evaluate);

#[cfg(test)]
mod tests;
