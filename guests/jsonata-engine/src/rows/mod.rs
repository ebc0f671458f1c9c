//! Rows of an Arrow batch as values, without a text in between.
//!
//! Values are spelled as the JSON sink spells them: days, times and timestamps as ISO 8601 texts, bytes as base64. A number that
//! a double does not hold exactly (an integer beyond 2^53, a decimal of more than 15 digits) is the text of its digits. A null of a
//! column is null; a member of a nested object that is null is absent, since Arrow cannot tell the two apart and most such
//! nulls only stand for members that other objects have.

mod column;
mod spell;

use arrow_array::RecordBatch;
use jsonata_core::map::IndexMap;
use jsonata_core::value::JValue;

use column::Column;
pub use column::unreadable;

/// The rows of a batch, ready to be made into values in any order.
pub struct Rows {
    columns: Vec<Column>,
    /// An object with all keys, to be copied: that costs no hashing.
    template: IndexMap<String, JValue>,
    rows: usize,
}

impl Rows {
    /// Makes the rows of a batch ready.
    pub fn new(batch: &RecordBatch) -> Self {
        let names = batch.schema_ref().fields().iter().map(|field| (field.name().clone(), JValue::Null));
        Self { columns: batch.columns().iter().map(Column::new).collect(), template: names.collect(), rows: batch.num_rows() }
    }

    /// One row as an object.
    pub fn row(&self, index: usize) -> JValue {
        let mut object = self.template.clone();
        for (value, column) in object.values_mut().zip(&self.columns) {
            *value = column.value(index);
        }
        JValue::object(object)
    }

    /// All rows, in order.
    pub fn all(&self) -> impl Iterator<Item = JValue> {
        (0..self.rows).map(|index| self.row(index))
    }
}

#[cfg(test)]
mod tests;
