//! What an expression gave, as rows.

use etl_jsonata_engine::{Columns, NoRow, Value, describe};
use etl_sdk::{Output, Refusal, StageError};

/// Rows of a batch that is emitted at the end of a data set.
const ROWS: usize = 8192;

/// Adds what an expression gave: an object is a row, a list its items, null and nothing none. Answers how many rows there are.
///
/// # Errors
/// Why it is no row; rows that stand before it in a list are there then, unless [`check`] was asked first.
pub(crate) fn append(columns: &mut Columns, value: Option<&Value>) -> Result<usize, Refusal> {
    match value {
        None | Some(Value::Null | Value::Undefined) => Ok(0),
        Some(Value::Array(items)) => {
            let mut rows = 0;
            for item in items.iter() {
                if !matches!(item, Value::Null | Value::Undefined) {
                    columns.append(item).map_err(no_row)?;
                    rows += 1;
                }
            }
            Ok(rows)
        }
        Some(value) => columns.append(value).map(|()| 1).map_err(no_row),
    }
}

/// Checks that a list has nothing but rows.
pub(crate) fn check(value: Option<&Value>) -> Result<(), Refusal> {
    let Some(Value::Array(items)) = value else { return Ok(()) };
    items.iter().try_for_each(|item| match item {
        Value::Null | Value::Undefined => Ok(()),
        Value::Object(members) => match members.keys().find(|name| Columns::is_too_long(name)) {
            Some(name) => Err(no_row(NoRow::LongName(name.len()))),
            None => Ok(()),
        },
        other => Err(no_row(NoRow::NotAnObject(describe(other)))),
    })
}

fn no_row(why: NoRow) -> Refusal {
    match why {
        NoRow::NotAnObject(what) => Refusal::new(
            "not_an_object",
            format!("the expression gave {what}, but a row is an object: write `{{\"name\": …}}`, a list of objects, or null for no row"),
        ),
        NoRow::LongName(bytes) => {
            Refusal::new("name_too_long", format!("the expression gave a column whose name has {bytes} bytes, but 255 are the most"))
        }
    }
}

/// As the failure of a whole batch.
pub(crate) fn whole(refusal: Refusal) -> StageError {
    StageError::data(refusal.code, refusal.message)
}

/// Emits rows under a schema of their own; `origins` as in [`Output::emit`].
pub(crate) fn emit(columns: Columns, origins: Option<&[u32]>, output: &mut Output<'_>) -> Result<(), StageError> {
    if columns.rows() == 0 {
        return Ok(());
    }
    let batch = columns.finish().map_err(|error| StageError::data("too_many_columns", error.to_string()))?;
    output.schema(&batch.schema())?;
    if origins.is_some() {
        return output.emit(&batch, origins);
    }
    for start in (0..batch.num_rows()).step_by(ROWS) {
        output.emit(&batch.slice(start, ROWS.min(batch.num_rows() - start)), None)?;
    }
    Ok(())
}
