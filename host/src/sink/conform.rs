//! Fits batches to the columns that a sink has settled on.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::batch::{Batch, Reason, Reject};
use crate::error::{Context, Result};
pub(super) use crate::exact::{convert, is_some, short};
use crate::json::record_json;

/// The columns of a sink, to which batches are fitted by name.
///
/// A column that a batch lacks is null. A column that the sink lacks must be null. A value of another type is converted where
/// nothing of it is lost: numbers to numbers of the same value, days to timestamps, anything to text. A row with a value that
/// does not fit is refused, never written with a null in its place.
#[derive(Clone, Debug)]
pub(super) struct Conform {
    target: SchemaRef,
    /// Whether values keep whatever type they have, as in text, where a column is no more than its name.
    any_type: bool,
}

/// What became of the rows of a batch.
#[derive(Debug)]
pub(super) struct Fitted {
    /// The rows that fit, in order.
    pub(super) rows: RecordBatch,
    /// The rows that do not, in order.
    pub(super) rejects: Vec<Reject>,
    /// Where in the batch those stood.
    misfits: Vec<usize>,
}

impl Fitted {
    /// Where in the batch each row that fits stood.
    pub(super) fn places(&self) -> Vec<usize> {
        (0..self.rows.num_rows() + self.misfits.len()).filter(|index| self.misfits.binary_search(index).is_err()).collect()
    }
}

/// For each row that does not fit: the column, and what is wrong with it.
type Misfits = BTreeMap<usize, (String, String)>;

impl Conform {
    /// Fits names only.
    pub(super) fn by_name(target: SchemaRef) -> Self {
        Self { target, any_type: true }
    }

    /// Fits names and types.
    pub(super) fn by_type(target: SchemaRef) -> Self {
        Self { target, any_type: false }
    }

    /// The columns that come out.
    pub(super) fn target(&self) -> &SchemaRef {
        &self.target
    }

    /// Fits a batch.
    pub(super) fn fit(&self, batch: &Batch) -> Result<Fitted> {
        let given = batch.rows.schema_ref();
        if Arc::ptr_eq(given, &self.target) || self.takes_as_is(given) {
            let rows = self.assemble(batch.rows.columns().to_vec(), batch.rows.num_rows())?;
            return Ok(Fitted { rows, rejects: Vec::new(), misfits: Vec::new() });
        }
        let rows = &batch.rows;
        let mut misfits = Misfits::new();
        let mut columns = Vec::with_capacity(self.target.fields().len());
        for field in self.target.fields() {
            columns.push(match rows.column_by_name(field.name()) {
                None if self.any_type => new_null_array(&DataType::Null, rows.num_rows()),
                None => new_null_array(field.data_type(), rows.num_rows()),
                Some(column) if self.any_type => column.clone(),
                Some(column) => {
                    let (fitted, unfit) = convert(column, field.data_type())?;
                    if let Some(unfit) = unfit {
                        note(&unfit, column, &mut misfits, field.name(), |value| {
                            format!("`{value}` ({}) does not fit column `{}` ({})", column.data_type(), field.name(), field.data_type())
                        });
                    }
                    fitted
                }
            });
        }
        for (field, column) in given.fields().iter().zip(rows.columns()) {
            if self.target.field_with_name(field.name()).is_err() {
                let unfit = (0..column.len()).map(|index| is_some(column, index)).collect();
                let names: Vec<String> = self.target.fields().iter().map(|field| format!("`{}`", field.name())).collect();
                note(&unfit, column, &mut misfits, field.name(), |_| {
                    format!("the output has no column `{}`; its columns are {}", field.name(), names.join(", "))
                });
            }
        }
        let fitted = self.assemble(columns, rows.num_rows())?;
        if misfits.is_empty() {
            return Ok(Fitted { rows: fitted, rejects: Vec::new(), misfits: Vec::new() });
        }
        let keep: BooleanArray = (0..rows.num_rows()).map(|index| Some(!misfits.contains_key(&index))).collect();
        let kept = arrow_select::filter::filter_record_batch(&fitted, &keep).bug(|| "rows that fit cannot be picked".into())?;
        let reject = |(index, (field, message)): (&usize, &(String, String))| {
            refuse(batch, *index, Reason::SchemaMismatch, "schema_mismatch", message.clone(), Some(field.clone()))
        };
        Ok(Fitted { rows: kept, rejects: misfits.iter().map(reject).collect(), misfits: misfits.into_keys().collect() })
    }

    fn takes_as_is(&self, given: &Schema) -> bool {
        let same = |(given, ours): (&Arc<Field>, &Arc<Field>)| {
            given.name() == ours.name() && (self.any_type || given.data_type() == ours.data_type())
        };
        given.fields().len() == self.target.fields().len() && given.fields().iter().zip(self.target.fields()).all(same)
    }

    fn assemble(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let schema = if self.any_type {
            let field = |(field, column): (&Arc<Field>, &ArrayRef)| Field::new(field.name(), column.data_type().clone(), true);
            Arc::new(Schema::new(self.target.fields().iter().zip(&columns).map(field).collect::<Vec<_>>()))
        } else {
            self.target.clone()
        };
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(schema, columns, &options).bug(|| "fitted columns make no batch".into())
    }
}

/// Tells whether no value of one type, null aside, ever fits another.
pub(super) fn never_fits(from: &DataType, to: &DataType) -> bool {
    !matches!(convert(&new_null_array(from, 0), to), Ok((_, None)))
}

/// Makes the reject of a row that a sink does not take.
pub(super) fn refuse(batch: &Batch, index: usize, reason: Reason, code: &str, message: String, field: Option<String>) -> Reject {
    Reject {
        reason,
        code: code.into(),
        message,
        field,
        record: record_json(&batch.rows, index),
        stage: "load".into(),
        source: batch.origin.source.clone(),
        row: batch.origin.rows.get(index),
        line: 0,
        batch: batch.sequence,
    }
}

/// The schema that a typed file has for rows of this one: every column may be null, a column without a type is text.
pub(super) fn settle(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| settle_field(field);
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn settle_field(field: &Field) -> Field {
    Field::new(field.name(), settle_type(field.data_type()), true)
}

fn settle_type(data_type: &DataType) -> DataType {
    use DataType as T;
    match data_type {
        T::Null | T::Utf8View | T::LargeUtf8 => T::Utf8,
        T::BinaryView | T::LargeBinary => T::Binary,
        T::Dictionary(_, values) => settle_type(values),
        T::RunEndEncoded(_, values) => settle_type(values.data_type()),
        T::List(item) | T::LargeList(item) | T::ListView(item) | T::LargeListView(item) | T::FixedSizeList(item, _) => {
            T::List(Arc::new(Field::new("element", settle_type(item.data_type()), true)))
        }
        T::Struct(fields) => T::Struct(fields.iter().map(|field| settle_field(field)).collect()),
        // No column of a Parquet file is of these types.
        T::Duration(_) | T::Interval(_) | T::Union(..) => T::Utf8,
        other => other.clone(),
    }
}

fn note(unfit: &BooleanBuffer, column: &ArrayRef, misfits: &mut Misfits, field: &str, message: impl Fn(&str) -> String) {
    for index in unfit.set_indices() {
        // The first column that does not fit speaks for the row.
        misfits.entry(index).or_insert_with(|| (field.to_owned(), message(&short(column, index))));
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Float64Array, Int64Array, StringArray, StructArray};

    use super::*;
    use crate::batch::{Origin, RowNumbers};

    fn batch(columns: Vec<(&str, ArrayRef)>) -> Batch {
        let rows = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap();
        Batch { rows, origin: Origin { source: "in.csv".into(), rows: RowNumbers::From(10) }, sequence: 3 }
    }

    fn target(fields: &[(&str, DataType)]) -> Conform {
        Conform::by_type(Arc::new(Schema::new(fields.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect::<Vec<_>>())))
    }

    #[test]
    fn columns_are_found_by_name_and_missing_ones_are_null() {
        let conform = target(&[("a", DataType::Int64), ("b", DataType::Utf8)]);
        let given = batch(vec![("b", Arc::new(StringArray::from(vec!["x"]))), ("c", Arc::new(Int64Array::from(vec![None::<i64>])))]);
        let Fitted { rows, rejects, .. } = conform.fit(&given).unwrap();
        assert_eq!(rejects, []);
        let expected = RecordBatch::try_new(
            conform.target().clone(),
            vec![Arc::new(Int64Array::from(vec![None::<i64>])), Arc::new(StringArray::from(vec!["x"]))],
        );
        assert_eq!(rows, expected.unwrap());
    }

    #[test]
    fn a_row_whose_value_would_change_is_refused_and_the_others_go_on() {
        let conform = target(&[("n", DataType::Float64)]);
        let given = batch(vec![("n", Arc::new(Int64Array::from(vec![Some(1), Some((1 << 53) + 1), None, Some(i64::MAX)])))]);
        let Fitted { rows, rejects, .. } = conform.fit(&given).unwrap();
        assert_eq!(rows.column(0).as_ref(), &Float64Array::from(vec![Some(1.0), None]) as &dyn Array);
        let expected = |row: u64, value: i64| Reject {
            reason: Reason::SchemaMismatch,
            code: "schema_mismatch".into(),
            message: format!("`{value}` (Int64) does not fit column `n` (Float64)"),
            field: Some("n".into()),
            record: serde_json::json!({ "n": value }),
            stage: "load".into(),
            source: "in.csv".into(),
            row,
            line: 0,
            batch: 3,
        };
        assert_eq!(rejects, [expected(11, (1 << 53) + 1), expected(13, i64::MAX)]);
    }

    #[test]
    fn a_value_in_a_column_that_the_output_lacks_is_not_lost_in_silence() {
        let given = batch(vec![("a", Arc::new(Int64Array::from(vec![1, 2]))), ("new", Arc::new(Int64Array::from(vec![None, Some(5)])))]);
        for conform in [target(&[("a", DataType::Int64)]), Conform::by_name(target(&[("a", DataType::Int64)]).target)] {
            let Fitted { rows, rejects, .. } = conform.fit(&given).unwrap();
            assert_eq!(rows.num_rows(), 1);
            assert_eq!(rejects.len(), 1);
            assert_eq!(rejects[0].message, "the output has no column `new`; its columns are `a`");
        }
    }

    #[test]
    fn anything_becomes_text_and_text_becomes_nothing_else() {
        let given = batch(vec![("x", Arc::new(Float64Array::from(vec![Some(1.5), None])))]);
        let Fitted { rows, rejects, .. } = target(&[("x", DataType::Utf8)]).fit(&given).unwrap();
        assert_eq!(rejects, []);
        assert_eq!(rows.column(0).as_ref(), &StringArray::from(vec![Some("1.5"), None]) as &dyn Array);

        let given = batch(vec![("x", Arc::new(StringArray::from(vec![Some("1"), None])))]);
        let Fitted { rows, rejects, .. } = target(&[("x", DataType::Int64)]).fit(&given).unwrap();
        assert_eq!((rows.num_rows(), rejects.len()), (1, 1));
    }

    #[test]
    fn nested_values_are_fitted_field_by_field_and_item_by_item() {
        let inner = |column: ArrayRef, name: &str| {
            let fields = vec![(Arc::new(Field::new(name, column.data_type().clone(), true)), column)];
            Arc::new(StructArray::from(fields)) as ArrayRef
        };
        let wanted = DataType::Struct(vec![Field::new("x", DataType::Float64, true)].into());
        let conform = target(&[("s", wanted)]);
        let Fitted { rows, rejects, .. } =
            conform.fit(&batch(vec![("s", inner(Arc::new(Int64Array::from(vec![1, (1 << 53) + 1])), "x"))])).unwrap();
        assert_eq!((rows.num_rows(), rejects.len()), (1, 1));
        let Fitted { rows, rejects, .. } =
            conform.fit(&batch(vec![("s", inner(Arc::new(Int64Array::from(vec![Some(1), None])), "y"))])).unwrap();
        assert_eq!((rows.num_rows(), rejects.len()), (1, 1));
    }
}
