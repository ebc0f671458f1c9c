//! Groups: their keys, numbered as they come, and the figures of every metric.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema, SchemaRef, SortOptions};
use etl_sdk::StageError;
use etl_steps::aggregate::Metric;

use crate::columns::{Found, Lookup};
use crate::keys::{Encoder, Table};
use crate::metric::{Column, Figures, Meter};
use crate::state::{Reader, Writer, broken};
use crate::values::column;
use crate::widen::widen;

/// Rows that come out at once.
pub(crate) const ROWS_OUT: usize = 8192;

/// How rows are grouped and measured, set up for the input.
pub(crate) struct Layout {
    keys: Vec<Found>,
    encoder: Option<Encoder>,
    meters: Vec<Meter>,
}

/// A batch, read; its keys stand in the layout's encoder.
pub(crate) struct Rows {
    columns: Vec<Column>,
}

impl Layout {
    /// Sets it up; what is wrong is told to `lookup`.
    pub(crate) fn new(group_by: &[String], metrics: &[Metric], lookup: &mut Lookup<'_>) -> Option<Self> {
        let keys: Vec<Option<Found>> =
            group_by.iter().map(|name| lookup.column_of(name, "group_by", "values that compare", Encoder::takes)).collect();
        let meters: Vec<Option<Meter>> = metrics.iter().map(|metric| Meter::new(metric, lookup)).collect();
        let (keys, meters) = (keys.into_iter().collect::<Option<Vec<_>>>()?, meters.into_iter().collect::<Option<Vec<_>>>()?);
        let encoder = match keys.is_empty() {
            true => None,
            false => Some(Encoder::new(keys.iter().map(|found| (found.data_type.clone(), SortOptions::default())))),
        };
        match encoder.transpose() {
            Ok(encoder) => Some(Self { keys, encoder, meters }),
            Err(problem) => {
                lookup.problem(problem.field("group_by"));
                None
            }
        }
    }

    /// The columns that come out.
    pub(crate) fn fields(&self) -> Vec<Field> {
        let keys = self.keys.iter().map(|found| Field::new(&found.name, found.data_type.clone(), true));
        keys.chain(self.meters.iter().map(Meter::field)).collect()
    }

    /// Whether all rows are one group.
    pub(crate) fn is_whole(&self) -> bool {
        self.keys.is_empty()
    }

    /// Reads what it needs of a batch.
    pub(crate) fn read(&mut self, batch: &RecordBatch, rows: usize) -> Result<Rows, StageError> {
        let columns = batch.columns();
        if let Some(encoder) = &mut self.encoder {
            let keys: Vec<ArrayRef> = self.keys.iter().map(|found| column(columns, found.place, &found.data_type, rows)).collect();
            encoder.encode(&keys)?;
        }
        let columns = self.meters.iter_mut().map(|meter| meter.read(columns, rows)).collect::<Result<_, _>>()?;
        Ok(Rows { columns })
    }

    /// No groups yet.
    pub(crate) fn groups(&self) -> Groups {
        Groups { table: Table::default(), count: 0, figures: self.meters.iter().map(Meter::figures).collect(), numbers: Vec::new() }
    }
}

/// The groups so far.
pub(crate) struct Groups {
    table: Table,
    count: usize,
    figures: Vec<Figures>,
    /// For each row of a batch its group.
    numbers: Vec<u32>,
}

impl Groups {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn held(&self) -> usize {
        self.table.held() + self.numbers.capacity() * 4 + self.figures.iter().map(Figures::held).sum::<usize>()
    }

    /// Works rows of a batch in, by their numbers; `times` has the time of every row of the batch.
    pub(crate) fn update(&mut self, layout: &Layout, batch: &Rows, rows: &[u32], times: Option<&[i64]>) -> Result<(), StageError> {
        let Self { table, count, figures, numbers } = self;
        numbers.clear();
        match &layout.encoder {
            Some(encoder) => {
                let keys = encoder.rows();
                numbers.extend(rows.iter().map(|row| table.number(keys.row(*row as usize).data()).0));
                *count = table.len();
            }
            None => {
                numbers.resize(rows.len(), 0);
                *count = (*count).max(usize::from(!rows.is_empty()));
            }
        }
        let name = |group: usize| name_group(layout, table, group);
        for ((figures, meter), column) in figures.iter_mut().zip(&layout.meters).zip(&batch.columns) {
            figures.grow(*count);
            figures.update(meter, column, rows, numbers, times, &name)?;
        }
        Ok(())
    }

    /// Makes the one group that there is without a row.
    pub(crate) fn ensure_whole(&mut self) {
        self.count = self.count.max(1);
        let count = self.count;
        self.figures.iter_mut().for_each(|figures| figures.grow(count));
    }

    /// Makes ready to be read: no more rows come.
    pub(crate) fn close(&mut self) {
        let count = self.count;
        self.figures.iter_mut().for_each(|figures| figures.close(count));
    }

    /// The columns of some groups.
    pub(crate) fn columns(&self, layout: &Layout, groups: Range<usize>) -> Result<Vec<ArrayRef>, StageError> {
        let mut columns = match &layout.encoder {
            Some(encoder) => encoder.decode(groups.clone().map(|group| self.table.key(group)))?,
            None => Vec::new(),
        };
        let name = |group: usize| name_group(layout, &self.table, group);
        for (figures, meter) in self.figures.iter().zip(&layout.meters) {
            columns.push(meter.column(figures, groups.clone(), &name)?);
        }
        Ok(columns)
    }

    pub(crate) fn save(&self, writer: &mut Writer) {
        writer.number(self.count as u64);
        self.table.save(writer);
        self.figures.iter().for_each(|figures| figures.save(writer));
    }

    pub(crate) fn load(layout: &Layout, reader: &mut Reader<'_>) -> Result<Self, StageError> {
        let mut groups = layout.groups();
        let count = reader.number::<u64>()?;
        groups.table = Table::load(reader)?;
        groups.count = match layout.is_whole() {
            true if count <= 1 => count as usize,
            false if count == groups.table.len() as u64 => count as usize,
            _ => return Err(broken("its keys are not as many as its groups")),
        };
        for figures in &mut groups.figures {
            figures.load(reader, groups.count)?;
        }
        Ok(groups)
    }
}

impl Groups {
    /// The same groups with wider columns; times of rows are so many times what they were.
    pub(crate) fn widen(self, old: &Layout, new: &mut Layout, times: i64) -> Result<Self, StageError> {
        let Self { table, count, figures, numbers: _ } = self;
        let Layout { keys, encoder, meters } = new;
        let keys = |columns: Vec<ArrayRef>, _| {
            keys.iter().zip(columns).map(|(found, column)| widen(&column, &found.data_type, &found.name)).collect()
        };
        let table = table.recode(0, old.encoder.as_ref(), encoder.as_mut(), keys)?;
        let figures = figures.into_iter().zip(&old.meters).zip(meters);
        let figures = figures.map(|((figures, old), new)| figures.widen(old, new, times)).collect::<Result<_, _>>()?;
        Ok(Self { table, count, figures, numbers: Vec::new() })
    }
}

/// A group for a message: ` in group {symbol: AAPL}`; nothing where all rows are one group.
fn name_group(layout: &Layout, table: &Table, group: usize) -> String {
    let Some(encoder) = &layout.encoder else { return String::new() };
    let Ok(columns) = encoder.decode([table.key(group)]) else { return String::new() };
    let values = layout.keys.iter().zip(&columns).map(|(found, column)| format!("{}: {}", found.name, show(column)));
    format!(" in group {{{}}}", values.collect::<Vec<_>>().join(", "))
}

/// The only value of a column, for a message.
fn show(column: &ArrayRef) -> String {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_schema::DataType;
    if column.is_null(0) {
        return "null".into();
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(0).chars().take(40).collect(),
        data_type if data_type.is_integer() => crate::values::i128s(column).value(0).to_string(),
        DataType::Float64 => format!("{:?}", column.as_primitive::<arrow_array::types::Float64Type>().value(0)),
        other => format!("a {}", crate::columns::describe(other)),
    }
}

/// Makes a batch of columns; there may be none.
pub(crate) fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, StageError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

/// A schema of fields.
pub(crate) fn schema(fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema::new(fields))
}
