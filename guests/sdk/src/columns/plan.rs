//! What a transform finds out when it is configured.

use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};

use super::ColumnOp;
use crate::Cardinality;

/// What a transform finds out when it is configured: the schema that comes out, the columns it reads, and how rows out relate to rows in.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub(crate) output: Option<SchemaRef>,
    pub(crate) columns: Option<Vec<usize>>,
    pub(crate) cardinality: Cardinality,
}

impl Plan {
    /// Promises one row out for each row in, in order, rejected ones aside.
    pub fn map(output: SchemaRef) -> Self {
        Self::new(output, Cardinality::Map)
    }

    /// Promises as [`map`](Self::map), but rows may be left out.
    pub fn filter(output: SchemaRef) -> Self {
        Self::new(output, Cardinality::Filter)
    }

    /// Promises any number of rows out for a row in.
    pub fn expand(output: SchemaRef) -> Self {
        Self::new(output, Cardinality::Expand)
    }

    /// Promises rows out that stand for many rows in and may come at the end only.
    pub fn aggregate(output: SchemaRef) -> Self {
        Self::new(output, Cardinality::Aggregate)
    }

    /// Promises nothing about the schema: [`Output::schema`](super::Output::schema) will tell it before the first rows.
    pub fn unknown(cardinality: Cardinality) -> Self {
        Self { output: None, columns: None, cardinality }
    }

    fn new(output: SchemaRef, cardinality: Cardinality) -> Self {
        Self { output: Some(output), columns: None, cardinality }
    }

    /// Names the columns that [`Input::read`](super::Input::read) will read, by index; without it, all are read.
    #[must_use]
    pub fn reading(mut self, columns: impl Into<Vec<usize>>) -> Self {
        self.columns = Some(columns.into());
        self
    }

    /// The schema that comes out, where it is known.
    pub fn output(&self) -> Option<&SchemaRef> {
        self.output.as_ref()
    }

    /// The columns that are read, by index; `None` = all.
    pub fn columns(&self) -> Option<&[usize]> {
        self.columns.as_deref()
    }

    /// How rows out relate to rows in.
    pub fn cardinality(&self) -> Cardinality {
        self.cardinality
    }
}

impl ColumnOp {
    /// Lays computed columns over those of the input: one of the same name takes its place, others come after. Answers what comes out, as a
    /// schema for the [`Plan`] and as operations for [`Output::derive`](super::Output::derive).
    pub fn extend(input: &Schema, computed: &[Field]) -> (SchemaRef, Vec<ColumnOp>) {
        let index = |number: usize| u32::try_from(number).expect("the host hands over 4,096 columns at most");
        let mut fields: Vec<_> = input.fields().iter().cloned().collect();
        let mut columns: Vec<_> = (0..fields.len()).map(|column| ColumnOp::Keep(index(column))).collect();
        for (number, field) in computed.iter().enumerate() {
            let operation = ColumnOp::Computed((index(number), field.name().clone()));
            match fields.iter().position(|other| other.name() == field.name()) {
                Some(place) => {
                    fields[place] = Arc::new(field.clone());
                    columns[place] = operation;
                }
                None => {
                    fields.push(Arc::new(field.clone()));
                    columns.push(operation);
                }
            }
        }
        (Arc::new(Schema::new(fields)), columns)
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::DataType;

    use super::*;

    #[test]
    fn a_computed_column_takes_the_place_of_its_namesake() {
        let input = Schema::new(vec![Field::new("a", DataType::Utf8, true), Field::new("b", DataType::Utf8, true)]);
        let (output, columns) =
            ColumnOp::extend(&input, &[Field::new("c", DataType::Int64, true), Field::new("a", DataType::Float64, true)]);
        assert_eq!(
            *output,
            Schema::new(vec![
                Field::new("a", DataType::Float64, true),
                Field::new("b", DataType::Utf8, true),
                Field::new("c", DataType::Int64, true)
            ])
        );
        assert_eq!(columns, [ColumnOp::Computed((1, "a".into())), ColumnOp::Keep(1), ColumnOp::Computed((0, "c".into()))]);
    }
}
