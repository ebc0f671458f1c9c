//! What the author of a Rust transform imports.
//!
//! Two styles, each a trait and a macro:
//! - [`Columns`] and [`export_columns!`]: one function over the columns of a batch, in Arrow. Fast; what the shipped components use.
//! - [`Record`] and [`export_records!`]: one function over a row as a JSON object. Short; costs a text in and out for every row.
//!
//! Either way a component is a `cdylib` crate built with `cargo build --release --target wasm32-wasip2`. The traits are plain Rust, so a transform
//! is unit-tested natively with `testing`.

pub mod bindings;
#[cfg(feature = "http")]
pub mod http;

mod context;
mod error;
mod ipc;
mod options;
mod panic;

mod columns;
mod records;

#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use arrow_array;
pub use arrow_buffer;
pub use arrow_schema;
pub use serde_json;

pub use bindings::columns::etl::transform::types::{
    Cardinality, Descriptor, ErrorKind, Function, Rejection, StageError, StateScope as State,
};
pub use columns::{ColumnOp, Columns, Emit, Input, Output, Plan, Rows};
pub use context::{Level, count, log, now_ms, seed};
pub use error::Refusal;
pub use options::NoOptions;
pub use records::{Outcome, Record, RecordInput, RecordOutput, Row};

/// What the macros use; not for authors.
#[doc(hidden)]
pub mod private {
    pub use crate::columns::export::{
        Component as ColumnsComponent, Entry as ColumnsEntry, Instance as ColumnsInstance, describe as describe_columns,
    };
    pub use crate::records::export::{
        Component as RecordsComponent, Entry as RecordsEntry, Instance as RecordsInstance, describe as describe_records,
    };
}
