//! Rows of an Arrow batch as values, without a text in between.
//!
//! Values are spelled as the JSON sink spells them: days, times and timestamps as ISO 8601 texts, bytes as base64. A number that
//! a double does not hold exactly (an integer beyond 2^53, a decimal of more than 15 digits) is the text of its digits. A null of a
//! column is null; a member of a nested object that is null is absent, since Arrow cannot tell the two apart and most such
//! nulls only stand for members that other objects have.

mod column;
mod spell;

use arrow_array::RecordBatch;

use std::rc::Rc;

use column::Column;
pub use column::unreadable;

use crate::Value;
use crate::value::{Object, Shape};

/// The rows of a batch, ready to be made into values in any order.
pub struct Rows {
    columns: Vec<Column>,
    /// The names of all rows.
    shape: Rc<Shape>,
    rows: usize,
}

impl Rows {
    /// Makes the rows of a batch ready.
    pub fn new(batch: &RecordBatch) -> Self {
        let names = batch.schema_ref().fields().iter().map(|field| field.name().as_str().into());
        Self { columns: batch.columns().iter().map(Column::new).collect(), shape: Shape::new(names.collect()), rows: batch.num_rows() }
    }

    /// One row as an object.
    pub fn row(&self, index: usize) -> Value {
        let values = self.columns.iter().map(|column| column.value(index)).collect();
        Value::Object(Rc::new(Object::new(self.shape.clone(), values)))
    }

    /// All rows, in order.
    pub fn all(&self) -> impl Iterator<Item = Value> {
        (0..self.rows).map(|index| self.row(index))
    }
}

#[cfg(test)]
mod tests;
