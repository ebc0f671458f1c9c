//! JSON Schema: what is not lowered to rules by column. Drafts 4, 6, 7, 2019-09 and 2020-12, within one document: nothing is fetched.
//!
//! Every keyword of the drafts is honoured; formats are asserted. Patterns take linear time, so look-around is refused. Checked against the
//! official suite of tests, and against the crate `jsonschema` on random schemas and values.

mod columns;
mod compile;
mod explain;
mod judge;
mod node;
mod values;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use arrow_array::RecordBatch;
use serde_json::Value;

use crate::json;
use crate::value::Wrong;
use judge::Judge;
use node::Node;

/// What a row breaks.
#[derive(Debug, PartialEq)]
pub(crate) struct Broken {
    /// The column.
    pub(crate) column: Option<String>,
    /// One sentence.
    pub(crate) message: String,
}

/// A JSON Schema, compiled.
pub(crate) struct Schema {
    /// The first is the schema itself.
    nodes: Vec<Node>,
    /// Resources and names in them to the schema that `$dynamicRef` finds there; only filled where there is such a reference.
    dynamic: HashMap<(usize, String), usize>,
    /// Resources that say `$recursiveAnchor: true`, with their schemas; only filled where there is a `$recursiveRef`.
    recursive: HashMap<usize, usize>,
    /// Properties of a row that it may look at; absent = any.
    reads: Option<HashSet<String>>,
}

impl Schema {
    /// Compiles a schema.
    pub(crate) fn compile(schema: &Value) -> Result<Self, Wrong> {
        compile::compile(schema).map_err(|message| (format!("the JSON Schema does not compile: {message}"), None))
    }

    /// Whether it may look at a column.
    pub(crate) fn may_read(&self, column: &str) -> bool {
        self.reads.as_ref().is_none_or(|reads| reads.contains(column))
    }

    /// Whether a value satisfies it.
    fn holds(&self, value: &Value) -> bool {
        Judge::new(self).holds(0, value, None)
    }

    /// The first thing in a row that breaks it.
    pub(crate) fn explain(&self, rows: &RecordBatch, row: usize) -> Option<Broken> {
        explain::explain(self, &json::row(rows, row))
    }
}
