//! Values to the columns of an Arrow batch, with types found on the way.
//!
//! The types are those of the host's JSON source: null < bool; integer < float < text; objects and lists nested; what fits nowhere
//! becomes JSON text. A column starts without a type and widens when a value asks for it, so that a value is looked at once.

mod builder;

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, Field, Schema};

use builder::Members;

use crate::marks::{ABSENT, marked};
use crate::{Value, describe};

/// Fields that a schema may have in all.
const MAX_FIELDS: usize = 4096;
/// Bytes of a column's name.
const MAX_NAME: usize = 255;

/// The columns of a batch as they grow.
pub struct Columns {
    members: Members,
    rows: usize,
}

/// Why a value is no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoRow {
    /// It is no object; what it is instead.
    NotAnObject(&'static str),
    /// A column would have a name of so many bytes.
    LongName(usize),
}

impl Columns {
    /// Starts without a column.
    pub fn new() -> Self {
        Self { members: Members::default(), rows: 0 }
    }

    /// Starts with columns that are there whether a row has them or not.
    pub fn with_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut columns = Self::new();
        for name in names {
            columns.members.place(name, 0, 0);
        }
        columns
    }

    /// Whether a column may not have this name.
    pub fn is_too_long(name: &str) -> bool {
        name.len() > MAX_NAME
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Where the value is no row; nothing is added then.
    pub fn append(&mut self, value: &Value) -> Result<(), NoRow> {
        let Value::Object(object) = value else { return Err(NoRow::NotAnObject(describe(value))) };
        if let Some(name) = object.keys().find(|name| Self::is_too_long(name)) {
            return Err(NoRow::LongName(name.len()));
        }
        self.members.append(object.iter().map(|(name, value)| (&**name, value)), self.rows);
        self.rows += 1;
        Ok(())
    }

    /// The rows as a batch. Columns of nothing but null have no type; those without a null of their own say so.
    ///
    /// # Errors
    /// Where there are more columns than a batch may have.
    pub fn finish(self) -> Result<RecordBatch, ArrowError> {
        let Self { members, rows } = self;
        let count = members.len();
        let mut total: usize = members.fields().sum();
        let mut fields: Vec<Field> = Vec::with_capacity(count);
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(count);
        let mut left = total;
        for (name, builder, lacks) in members.into_parts() {
            let within = builder.fields();
            // Objects of many members are kept as text from where the schema would grow too large.
            let as_text = within > 1 && total > MAX_FIELDS && left + count > MAX_FIELDS;
            left = left.saturating_sub(within);
            if as_text {
                total = total - within + 1;
            }
            let (field, array) = builder.finish(&name, 0, as_text)?;
            // Whether or not a row lacks it: batches that differ in that have one schema.
            fields.push(if lacks { marked(field, ABSENT) } else { field });
            arrays.push(array);
        }
        if total > MAX_FIELDS {
            return Err(ArrowError::SchemaError(format!("{count} columns came out, but a batch has at most {MAX_FIELDS}")));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
    }
}

impl Default for Columns {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
