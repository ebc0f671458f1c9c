//! Fits batches to the columns that a sink has settled on.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, ListArray, RecordBatch, RecordBatchOptions, StringArray, StructArray, new_null_array};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::batch::{Batch, Reason, Reject};
use crate::error::{Context, Result};
use crate::json::{Cell, Style, record_json};

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

pub(super) fn is_some(column: &ArrayRef, index: usize) -> bool {
    column.data_type() != &DataType::Null && column.is_valid(index)
}

fn note(unfit: &BooleanBuffer, column: &ArrayRef, misfits: &mut Misfits, field: &str, message: impl Fn(&str) -> String) {
    for index in unfit.set_indices() {
        // The first column that does not fit speaks for the row.
        misfits.entry(index).or_insert_with(|| (field.to_owned(), message(&short(column, index))));
    }
}

/// A value for a message.
pub(super) fn short(column: &ArrayRef, index: usize) -> String {
    let mut text = Vec::new();
    Cell::new(&column.slice(index, 1), Style::default()).write_text(0, &mut text);
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if let Some((cut, _)) = text.char_indices().nth(100) {
        text.truncate(cut);
        text.push('…');
    }
    text
}

/// Converts values where nothing is lost; answers which of them could not be.
pub(super) fn convert(column: &ArrayRef, to: &DataType) -> Result<(ArrayRef, Option<BooleanBuffer>)> {
    use DataType as T;
    let from = column.data_type();
    let cast = |column: &ArrayRef, to: &DataType| arrow_cast::cast(column, to);
    if from == to {
        return Ok((column.clone(), None));
    }
    let same_instant = |a: &Option<Arc<str>>, b: &Option<Arc<str>>| a.is_some() == b.is_some();
    match (from, to) {
        (T::Null, _) => Ok((new_null_array(to, column.len()), None)),
        (T::Dictionary(_, values), _) => convert(&cast(column, values).bug(|| "a dictionary cannot be unpacked".into())?, to),
        (T::RunEndEncoded(_, values), _) => {
            convert(&cast(column, values.data_type()).bug(|| "a run-end encoded column cannot be unpacked".into())?, to)
        }
        (_, T::Dictionary(_, values)) => {
            let (plain, unfit) = convert(column, values)?;
            Ok((cast(&plain, to).bug(|| "a dictionary cannot be packed".into())?, unfit))
        }
        (T::Struct(_), T::Struct(fields)) => convert_struct(column, fields),
        (T::List(_), T::List(item)) => convert_list(column.as_list(), item),
        (T::LargeList(item) | T::FixedSizeList(item, _) | T::ListView(item) | T::LargeListView(item), T::List(_)) => {
            match cast(column, &T::List(item.clone())) {
                Ok(list) => convert(&list, to),
                Err(_) => Ok(all_unfit(column, to)),
            }
        }
        (T::List(_), T::LargeList(item)) => {
            let (list, unfit) = convert(column, &T::List(item.clone()))?;
            Ok((cast(&list, to).bug(|| "a list cannot be made large".into())?, unfit))
        }
        (T::Utf8 | T::LargeUtf8 | T::Utf8View, T::Utf8 | T::LargeUtf8 | T::Utf8View)
        | (T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_), T::Binary | T::LargeBinary | T::BinaryView) => {
            Ok((cast(column, to).bug(|| format!("{from} does not convert to {to}"))?, None))
        }
        (_, T::Utf8 | T::LargeUtf8 | T::Utf8View) => {
            let texts: ArrayRef = Arc::new(texts(column));
            Ok((if to == &T::Utf8 { texts } else { cast(&texts, to).bug(|| format!("texts do not convert to {to}"))? }, None))
        }
        _ if is_number(from) && is_number(to) => there_and_back(column, to),
        (T::Date32 | T::Date64, T::Date32 | T::Date64 | T::Timestamp(..))
        | (T::Time32(_) | T::Time64(_), T::Time32(_) | T::Time64(_))
        | (T::Timestamp(..), T::Date32 | T::Date64) => there_and_back(column, to),
        (T::Timestamp(_, a), T::Timestamp(_, b)) if same_instant(a, b) => there_and_back(column, to),
        _ => Ok(all_unfit(column, to)),
    }
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// The text of every value.
fn texts(column: &ArrayRef) -> StringArray {
    let cell = Cell::new(column, Style::default());
    let mut text = Vec::new();
    let mut builder = arrow_array::builder::StringBuilder::with_capacity(column.len(), column.len() * 8);
    for index in 0..column.len() {
        if cell.is_null(index) {
            builder.append_null();
        } else {
            text.clear();
            cell.write_text(index, &mut text);
            builder.append_value(String::from_utf8_lossy(&text));
        }
    }
    builder.finish()
}

fn all_unfit(column: &ArrayRef, to: &DataType) -> (ArrayRef, Option<BooleanBuffer>) {
    let unfit = (0..column.len()).map(|index| is_some(column, index)).collect();
    (new_null_array(to, column.len()), Some(unfit))
}

/// Converts, converts back, and takes what is the same again.
fn there_and_back(column: &ArrayRef, to: &DataType) -> Result<(ArrayRef, Option<BooleanBuffer>)> {
    let Ok(there) = arrow_cast::cast(column, to) else { return Ok(all_unfit(column, to)) };
    let Ok(back) = arrow_cast::cast(&there, column.data_type()) else { return Ok(all_unfit(column, to)) };
    let same = arrow_ord::cmp::not_distinct(&back, column).bug(|| "converted values cannot be compared".into())?;
    // A cast to float and back saturates at the ends of the integers: 2^63 - 1 comes back the same though the float is 2^63.
    let saturated = |index: usize| is_extreme(column, index) && to.is_floating();
    let unfit: BooleanBuffer = (0..column.len()).map(|index| is_some(column, index) && (!same.value(index) || saturated(index))).collect();
    if unfit.count_set_bits() == 0 { Ok((there, None)) } else { Ok((there, Some(unfit))) }
}

fn is_extreme(column: &ArrayRef, index: usize) -> bool {
    use arrow_array::types::{Int64Type, UInt64Type};
    match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().value(index) == i64::MAX,
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(index) == u64::MAX,
        _ => false,
    }
}

fn convert_struct(column: &ArrayRef, fields: &arrow_schema::Fields) -> Result<(ArrayRef, Option<BooleanBuffer>)> {
    let given = column.as_struct();
    let mut unfit: Option<BooleanBuffer> = None;
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        columns.push(match given.column_by_name(field.name()) {
            None => new_null_array(field.data_type(), column.len()),
            Some(child) => {
                let (fitted, bad) = convert(child, field.data_type())?;
                unfit = either(unfit, bad);
                fitted
            }
        });
    }
    for (field, child) in given.fields().iter().zip(given.columns()) {
        if fields.find(field.name()).is_none() {
            unfit = either(unfit, Some((0..child.len()).map(|index| is_some(child, index)).collect()));
        }
    }
    let nulls = given.nulls().cloned();
    let unfit = unfit.map(|unfit| visible(unfit, nulls.as_ref())).filter(|unfit| unfit.count_set_bits() > 0);
    let fitted =
        StructArray::try_new_with_length(fields.clone(), columns, nulls, column.len()).bug(|| "fitted fields make no struct".into())?;
    Ok((Arc::new(fitted), unfit))
}

fn convert_list(given: &ListArray, item: &Arc<Field>) -> Result<(ArrayRef, Option<BooleanBuffer>)> {
    let (values, bad) = convert(given.values(), item.data_type())?;
    let unfit = bad.map(|bad| {
        let any = |index: usize| {
            let range = given.value_offsets()[index] as usize..given.value_offsets()[index + 1] as usize;
            given.is_valid(index) && range.into_iter().any(|item| bad.value(item))
        };
        (0..given.len()).map(any).collect::<BooleanBuffer>()
    });
    let fitted = ListArray::try_new(item.clone(), given.offsets().clone(), values, given.nulls().cloned());
    Ok((Arc::new(fitted.bug(|| "fitted items make no list".into())?), unfit.filter(|unfit| unfit.count_set_bits() > 0)))
}

fn either(a: Option<BooleanBuffer>, b: Option<BooleanBuffer>) -> Option<BooleanBuffer> {
    match (a, b) {
        (Some(a), Some(b)) => Some(&a | &b),
        (a, b) => a.or(b),
    }
}

fn visible(unfit: BooleanBuffer, nulls: Option<&NullBuffer>) -> BooleanBuffer {
    match nulls {
        Some(nulls) => &unfit & nulls.inner(),
        None => unfit,
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Float64Array, Int64Array};

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
