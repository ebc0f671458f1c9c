//! Aggregates, de-duplication, sorting and windows: the guest behind those steps.
//!
//! All four remember: rows are worked into a state that is a few flat vectors, bounded by the stage's memory, and written as they stand into a
//! snapshot. Where rows come with other columns than before, it is made wider. Keys are rows encoded to bytes that compare as the values do, held in one arena and found through one hash table.

mod aggregate;
mod columns;
mod dedupe;
mod groups;
mod keys;
mod memory;
mod metric;
mod quantile;
mod remember;
mod slots;
mod sort;
mod state;
mod store;
mod sums;
mod values;
mod widen;
mod window;

pub use aggregate::Aggregate;
pub use dedupe::{Dedupe, DedupeHeld};
pub use sort::Sort;
pub use window::Window;

etl_sdk::export_columns!(Aggregate, Dedupe, DedupeHeld, Sort, Window);

#[cfg(test)]
mod tests;
