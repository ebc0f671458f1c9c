//! Rows whose columns change from batch to batch, for a stage that remembers: it has columns that hold all of them so far.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, new_null_array};
use arrow_schema::{DataType, Schema, SchemaRef};

use super::ComponentStage;
use crate::batch::Batch;
use crate::error::{Context, Error, Result};
use crate::exact;
use crate::join::join;
use crate::sandbox::{Failure, FailureKind, Scope};

impl ComponentStage {
    /// Whether all rows must come with the same columns, since what it remembers is made of them.
    pub(super) fn keeps_columns(&self) -> bool {
        self.scope == Scope::Stream && !self.policy.any_columns
    }

    /// Makes the columns of the stage hold those of a batch: it is opened anew with what it remembers where they do not.
    pub(super) fn widen(&mut self, batch: &Batch) -> Result<()> {
        let schema = batch.rows.schema();
        let Some((open, instance)) = self.open.last() else { return Ok(()) };
        if Arc::ptr_eq(open, &schema) || instance.takes_lines() {
            return Ok(());
        }
        let (open, joined) = (open.clone(), join(open, &schema));
        if joined == open {
            return Ok(());
        }
        let snapshot = self.state_now()?;
        self.usage.instances += 1;
        let instance = self.recipe.open(&joined, snapshot.as_deref()).map_err(|failures| self.changed(failures, batch, &open, &joined))?;
        self.close_first();
        self.open.push((joined, instance));
        Ok(())
    }

    /// Says which columns changed where the stage cannot go on with others.
    fn changed(&self, failures: Vec<Failure>, batch: &Batch, open: &Schema, joined: &Schema) -> Error {
        let schema = batch.rows.schema();
        let told: Vec<String> = joined
            .fields()
            .iter()
            .filter_map(|field| {
                let (before, now) = (open.field_with_name(field.name()).ok()?, schema.field_with_name(field.name()).ok()?);
                let changed = field.data_type() != before.data_type() && before.data_type() != &DataType::Null;
                changed.then(|| format!("column `{}` was {} and is {}", field.name(), kind(before.data_type()), kind(now.data_type())))
            })
            .take(5)
            .collect();
        let of_data = |failure: &Failure| matches!(failure.kind, FailureKind::Options | FailureKind::Unsupported | FailureKind::Data);
        match failures.first() {
            Some(first) if of_data(first) && !told.is_empty() => {
                let at = first.field.as_ref().map(|field| format!("`{field}`: ")).unwrap_or_default();
                let stage = &self.recipe.stage;
                let text = format!("stage `{stage}` cannot go on with {}: {}; {at}{}", self.range(batch), told.join(", "), first.message);
                Error::data(text)
                    .hint(first.help.clone().unwrap_or_else(|| "bring the column to one type before this step, with `convert`".into()))
            }
            _ => self.configure_error(failures),
        }
    }

    /// Brings rows to columns that hold them.
    ///
    /// # Errors
    /// Data, where a value of them would not be the same.
    pub(super) fn fit(&self, rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
        if !self.keeps_columns() || rows.schema() == *schema {
            return Ok(rows.clone());
        }
        let columns = schema.fields().iter().map(|field| {
            let Some(column) = rows.column_by_name(field.name()) else {
                return Ok(new_null_array(field.data_type(), rows.num_rows()));
            };
            if let Some(texts) = whole_floats(column, field.data_type()) {
                return Ok(texts);
            }
            let (fitted, unfit) = exact::convert(column, field.data_type())?;
            match unfit.and_then(|unfit| unfit.set_indices().next()) {
                None => Ok(fitted),
                Some(row) => Err(Error::data(format!(
                    "stage `{}`: column `{}` is {} in other rows, which does not hold {} exactly",
                    self.recipe.stage,
                    field.name(),
                    kind(field.data_type()),
                    exact::short(column, row)
                ))
                .hint("bring the column to one type before this step, with `convert`")),
            }
        });
        let columns = columns.collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(schema.clone(), columns, &options).bug(|| "fitted columns make no batch".into())
    }
}

/// Floats as texts, whole ones without a point: whether 1 came among ints or among floats depends on the other rows of its batch.
fn whole_floats(column: &ArrayRef, to: &DataType) -> Option<ArrayRef> {
    use arrow_array::types::Float64Type;
    let floats = column.as_primitive_opt::<Float64Type>().filter(|_| to == &DataType::Utf8)?;
    let text = |value: f64| match value.fract() == 0.0 && value.abs() <= (1i64 << 53) as f64 {
        true => (value as i64).to_string(),
        false => {
            let mut text = Vec::new();
            let one: ArrayRef = Arc::new(arrow_array::Float64Array::from(vec![value]));
            crate::json::Cell::new(&one, crate::json::Style::default()).write_text(0, &mut text);
            String::from_utf8_lossy(&text).into_owned()
        }
    };
    Some(Arc::new(floats.iter().map(|value| value.map(text)).collect::<StringArray>()))
}

/// A type as a user would name it.
fn kind(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "null".into(),
        DataType::Boolean => "bool".into(),
        data_type if data_type.is_integer() => "int".into(),
        data_type if data_type.is_floating() => "float".into(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".into(),
        DataType::Timestamp(_, None) => "timestamp".into(),
        DataType::Timestamp(_, Some(_)) => "datetime".into(),
        DataType::Date32 | DataType::Date64 => "date".into(),
        DataType::Struct(_) | DataType::Map(..) => "object".into(),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => "list".into(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        other => other.to_string(),
    }
}
