//! The options of the `jsonata` guest.

use serde::{Deserialize, Serialize};

/// The options of every function of the `jsonata` guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The expression.
    pub expression: String,
    /// For `dataset`: bytes of memory that the stage may use, so that it can say in time that the rows will not fit.
    #[serde(default)]
    pub memory_bytes: Option<usize>,
}
