//! Rows of an Arrow batch as values, without a text in between.
//!
//! Values are spelled as the JSON sink spells them: days, times and timestamps as ISO 8601 texts, bytes as base64. A number that
//! a double does not hold exactly (an integer beyond 2^53, a decimal of more than 15 digits) is the text of its digits. A null of a
//! column is null, unless the field's metadata says that the row does not have it (`etl:null` = `absent`, as JSON sources do); a
//! member of a nested object that is null is absent, since Arrow cannot tell the two apart and most such nulls only stand for
//! members that other objects have. A text whose field says that it is JSON (`etl:text` = `json`) is the value that it spells.

mod column;
mod spell;

use arrow_array::RecordBatch;

use std::cell::RefCell;
use std::rc::Rc;

use column::Column;
pub use column::unreadable;

use crate::Value;
use crate::marks::{ABSENT, is_marked};
use crate::value::{Object, Shape};

/// The rows of a batch, ready to be made into values in any order.
pub struct Rows {
    columns: Vec<Column>,
    /// The names of all columns.
    shape: Rc<Shape>,
    /// The columns that a row may lack.
    optional: Vec<usize>,
    /// What was missing in the last row that lacked a column, and the names that it had.
    last: RefCell<(Vec<usize>, Rc<Shape>)>,
    rows: usize,
}

impl Rows {
    /// Makes the rows of a batch ready.
    pub fn new(batch: &RecordBatch) -> Self {
        let fields = batch.schema_ref().fields();
        let shape = Shape::new(fields.iter().map(|field| field.name().as_str().into()).collect());
        let columns: Vec<Column> = fields.iter().zip(batch.columns()).map(|(field, array)| Column::new(field, array)).collect();
        let is_optional = |&index: &usize| columns[index].has_nulls() && is_marked(&fields[index], ABSENT);
        let optional = (0..columns.len()).filter(is_optional).collect();
        Self { columns, last: RefCell::new((Vec::new(), shape.clone())), shape, optional, rows: batch.num_rows() }
    }

    /// One row as an object.
    pub fn row(&self, index: usize) -> Value {
        let is_missing = |column: &usize| self.columns[*column].is_null(index);
        if self.optional.iter().any(is_missing) {
            return self.row_without(index, self.optional.iter().copied().filter(is_missing).collect());
        }
        let values = self.columns.iter().map(|column| column.value(index)).collect();
        Value::Object(Rc::new(Object::new(self.shape.clone(), values)))
    }

    /// One row as an object without these columns.
    fn row_without(&self, index: usize, missing: Vec<usize>) -> Value {
        let there = || (0..self.columns.len()).filter(|column| missing.binary_search(column).is_err());
        let values = there().map(|column| self.columns[column].value(index)).collect();
        let mut last = self.last.borrow_mut();
        // Rows that lack the same columns mostly follow each other.
        if last.0 != missing {
            let names = there().map(|column| self.shape.names()[column].clone());
            let shape = Shape::new(names.collect());
            *last = (missing, shape);
        }
        Value::Object(Rc::new(Object::new(last.1.clone(), values)))
    }

    /// All rows, in order.
    pub fn all(&self) -> impl Iterator<Item = Value> {
        (0..self.rows).map(|index| self.row(index))
    }
}

#[cfg(test)]
mod tests;
