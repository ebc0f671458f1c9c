//! Values of one type as values of another, where nothing of them is lost.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, StringArray, StructArray, new_null_array};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{DataType, Field};

use crate::error::{Context, Result};
use crate::json::{Cell, Style};

/// A value for a message.
pub(crate) fn short(column: &ArrayRef, index: usize) -> String {
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
pub(crate) fn convert(column: &ArrayRef, to: &DataType) -> Result<(ArrayRef, Option<BooleanBuffer>)> {
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

/// Whether there is a value.
pub(crate) fn is_some(column: &ArrayRef, index: usize) -> bool {
    column.data_type() != &DataType::Null && column.is_valid(index)
}
