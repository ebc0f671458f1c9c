//! Lists and objects: what a column would bend or lose of what stands in them.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;

use super::columns::{Column, Holds};
use super::fit::{either, fit_column, some};
use crate::config::database::Dialect;
use crate::error::Result;
use crate::json;

/// The values of which something would not be kept: an item that does not fit the items of an array, and a number that JSON has not.
pub(super) fn unfit(column: &ArrayRef, to: &Column, dialect: Dialect) -> Result<Option<BooleanBuffer>> {
    if !column.data_type().is_nested() {
        return Ok(None);
    }
    match (&to.items, column.data_type()) {
        (Some((holds, drops)), DataType::List(_)) => {
            let lists = column.as_list::<i32>();
            let (items, unfit) = fit_column(lists.values(), *holds, dialect)?;
            let as_json = if lists.values().data_type().is_nested() { not_finite(lists.values()) } else { None };
            let unfit = either(either(unfit, drops.as_ref().and_then(|drops| drops.of(&items))), as_json);
            Ok(unfit.and_then(|unfit| {
                let of_row = |row: usize| {
                    let (start, end) = (lists.value_offsets()[row] as usize, lists.value_offsets()[row + 1] as usize);
                    lists.is_valid(row) && unfit.slice(start, end - start).count_set_bits() > 0
                };
                some((0..lists.len()).map(of_row).collect())
            }))
        }
        _ if to.holds == Holds::Array => Ok(None),
        _ => Ok(not_finite(column)),
    }
}

/// The lists and objects with a number that is NaN or infinite, which JSON would have as null.
fn not_finite(column: &ArrayRef) -> Option<BooleanBuffer> {
    if json::not_finite_in(column) == 0 {
        return None;
    }
    some((0..column.len()).map(|row| column.is_valid(row) && json::not_finite_in(&column.slice(row, 1)) > 0).collect())
}
