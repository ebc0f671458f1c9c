//! Metrics: what is measured, set up once, and the figures of all groups.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Decimal128Array, Float64Array, Int64Array};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, SortOptions};
use etl_sdk::StageError;
use etl_steps::aggregate::{Measure, Metric};

use crate::columns::{Found, Lookup};
use crate::keys::{Encoder, Table};
use crate::quantile::Log;
use crate::slots::{Rule, Slots, Values, encoder};
use crate::state::{Reader, Writer};
use crate::sums::{Compensated, Exact, fits};
use crate::values::{Kind, column, f64s, from_i128s, i64s, i128s, is_number, normal, power_of_ten, scale};
use crate::widen::{cannot, scale_factor, widen};

/// A metric, set up for the input.
pub(crate) struct Meter {
    pub(crate) name: String,
    what: What,
    /// The columns it reads: none, one, or price and size.
    columns: Vec<Found>,
    /// For values that must be encoded.
    encoder: Option<Encoder>,
}

/// What is measured; types are decided.
#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Rows,
    Count,
    CountDistinct,
    SumExact,
    SumFloat,
    AvgExact,
    AvgFloat,
    Slot(Rule),
    Quantile(f64),
    Vwap,
}

/// The values of a batch that a metric reads.
pub(crate) enum Column {
    None,
    Nulls(Option<NullBuffer>),
    /// The values stand in the metric's encoder.
    Encoded(Option<NullBuffer>),
    I64(Int64Array),
    I128(Decimal128Array),
    F64(Float64Array),
    Slot(Values),
    Pair(Float64Array, Float64Array),
}

impl Meter {
    /// Sets a metric up; what is wrong is told to `lookup`.
    pub(crate) fn new(metric: &Metric, lookup: &mut Lookup<'_>) -> Option<Self> {
        let option = |part: &str| format!("metrics.{}.{part}", metric.name);
        let name = metric.measure.name();
        let numbers = |lookup: &mut Lookup<'_>, column: &str, part: &str| lookup.column_of(column, &option(part), "a number", is_number);
        let (what, columns) = match &metric.measure {
            Measure::Rows => (What::Rows, Vec::new()),
            Measure::Count(column) => (What::Count, vec![lookup.column(column, &option(name))?]),
            Measure::CountDistinct(column) => {
                (What::CountDistinct, vec![lookup.column_of(column, &option(name), "values that compare", Encoder::takes)?])
            }
            Measure::Sum(column) | Measure::Avg(column) => {
                let found = numbers(lookup, column, name)?;
                let is_sum = matches!(metric.measure, Measure::Sum(_));
                let what = match (Kind::of(&found.data_type), is_sum) {
                    (Kind::I64 | Kind::I128, true) => What::SumExact,
                    (Kind::I64 | Kind::I128, false) => What::AvgExact,
                    (_, true) => What::SumFloat,
                    (_, false) => What::AvgFloat,
                };
                (what, vec![found])
            }
            Measure::Min(column) | Measure::Max(column) => {
                let rule = if matches!(metric.measure, Measure::Min(_)) { Rule::Min } else { Rule::Max };
                (What::Slot(rule), vec![lookup.column_of(column, &option(name), "values that compare", Encoder::takes)?])
            }
            Measure::First { column, skip_nulls } => {
                let found = lookup.column_of(column, &option(name), "values that can be held", Encoder::takes)?;
                (What::Slot(Rule::First { skip_nulls: *skip_nulls }), vec![found])
            }
            Measure::Last { column, skip_nulls } => {
                let found = lookup.column_of(column, &option(name), "values that can be held", Encoder::takes)?;
                (What::Slot(Rule::Last { skip_nulls: *skip_nulls }), vec![found])
            }
            Measure::Quantile { column, q } => (What::Quantile(*q), vec![numbers(lookup, column, name)?]),
            Measure::Vwap { price, size } => {
                let (price, size) = (numbers(lookup, price, name), numbers(lookup, size, "size"));
                (What::Vwap, vec![price?, size?])
            }
        };
        let encoder = match (what, columns.first()) {
            (What::CountDistinct, Some(found)) => Encoder::new([(found.data_type.clone(), SortOptions::default())]).map(Some),
            (What::Slot(_), Some(found)) => encoder(&found.data_type),
            _ => Ok(None),
        };
        match encoder {
            Ok(encoder) => Some(Self { name: metric.name.clone(), what, columns, encoder }),
            Err(problem) => {
                lookup.problem(problem.field(option(name)));
                None
            }
        }
    }

    /// The column that comes out.
    pub(crate) fn field(&self) -> Field {
        let input = self.columns.first().map(|found| &found.data_type);
        let data_type = match (self.what, input) {
            (What::Rows | What::Count | What::CountDistinct, _) => DataType::Int64,
            (What::SumExact, Some(input)) => match input {
                DataType::UInt64 => DataType::Decimal128(38, 0),
                input if input.is_integer() => DataType::Int64,
                input => DataType::Decimal128(38, scale(input)),
            },
            (What::Slot(_), Some(input)) => normal(input),
            _ => DataType::Float64,
        };
        Field::new(&self.name, data_type, true)
    }

    /// Reads what it needs of a batch.
    pub(crate) fn read(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Column, StageError> {
        let Some(first) = self.columns.first() else { return Ok(Column::None) };
        let array = column(columns, first.place, &first.data_type, rows);
        Ok(match self.what {
            What::Rows => Column::None,
            What::Count => Column::Nulls(array.logical_nulls()),
            What::CountDistinct => {
                let encoder = self.encoder.as_mut().ok_or_else(|| StageError::internal("encoder", "`count_distinct` has no encoder"))?;
                let nulls = array.logical_nulls();
                encoder.encode(&[array])?;
                Column::Encoded(nulls)
            }
            What::SumExact | What::AvgExact if Kind::of(&first.data_type) == Kind::I64 => Column::I64(i64s(&array)),
            What::SumExact | What::AvgExact => Column::I128(i128s(&array)),
            What::SumFloat | What::AvgFloat | What::Quantile(_) => Column::F64(f64s(&array)),
            What::Slot(_) => Column::Slot(Values::new(&array, self.encoder.as_mut())?),
            What::Vwap => {
                let size = &self.columns[1];
                Column::Pair(f64s(&array), f64s(&column(columns, size.place, &size.data_type, rows)))
            }
        })
    }

    /// The figures before any row came.
    pub(crate) fn figures(&self) -> Figures {
        match self.what {
            What::Rows | What::Count => Figures::Counts(Vec::new()),
            What::CountDistinct => Figures::Distinct(Table::default(), Vec::new()),
            What::SumExact | What::AvgExact => Figures::Exact(Exact::default()),
            What::SumFloat | What::AvgFloat => Figures::Float(Compensated::default()),
            What::Slot(rule) => Figures::Slots(Slots::new(rule, &self.columns[0].data_type)),
            What::Quantile(_) => Figures::Log(Log::default()),
            What::Vwap => Figures::Vwap(Compensated::default(), Compensated::default()),
        }
    }

    /// Makes the column of some groups; `name_group` says which group a sum is of that its type does not hold.
    pub(crate) fn column(
        &self,
        figures: &Figures,
        groups: Range<usize>,
        name_group: &dyn Fn(usize) -> String,
    ) -> Result<ArrayRef, StageError> {
        let floats = |values: &dyn Fn(usize) -> Option<f64>| -> ArrayRef { Arc::new(groups.clone().map(values).collect::<Float64Array>()) };
        let field = self.field();
        Ok(match (figures, self.what) {
            (Figures::Counts(counts) | Figures::Distinct(_, counts), _) => {
                Arc::new(Int64Array::from_iter_values(counts[groups].iter().map(|count| *count as i64)))
            }
            (Figures::Exact(exact), What::AvgExact) => {
                let power = power_of_ten(self.columns.first().map_or(0, |found| scale(&found.data_type)));
                floats(&|group| (exact.counts[group] > 0).then(|| exact.sums[group] as f64 / exact.counts[group] as f64 / power))
            }
            (Figures::Exact(exact), _) => {
                let nulls = NullBuffer::from_iter(exact.counts[groups.clone()].iter().map(|count| *count > 0));
                if field.data_type() == &DataType::Int64 {
                    let mut sums = Vec::with_capacity(groups.len());
                    for group in groups {
                        sums.push(
                            i64::try_from(exact.sums[group])
                                .map_err(|_| self.overflow(&exact.sums[group].to_string(), "int", &name_group(group)))?,
                        );
                    }
                    Arc::new(Int64Array::new(sums.into(), Some(nulls)))
                } else {
                    if let Some(group) = groups.clone().find(|group| exact.sums[*group].unsigned_abs() >= 10u128.pow(38)) {
                        return Err(self.too_many_digits(&name_group(group)));
                    }
                    from_i128s(exact.sums[groups].to_vec(), Some(nulls), field.data_type())
                }
            }
            (Figures::Float(sums), What::AvgFloat) => {
                floats(&|group| (sums.counts[group] > 0).then(|| sums.sum(group) / sums.counts[group] as f64))
            }
            (Figures::Float(sums), _) => floats(&|group| (sums.counts[group] > 0).then(|| sums.sum(group))),
            (Figures::Log(log), What::Quantile(q)) => floats(&|group| log.quantile(group, q)),
            (Figures::Vwap(amounts, sizes), _) => {
                floats(&|group| (sizes.counts[group] > 0 && sizes.sum(group) != 0.0).then(|| amounts.sum(group) / sizes.sum(group)))
            }
            (Figures::Slots(slots), _) => slots.column(groups, self.encoder.as_ref())?,
            (Figures::Log(_), _) => return Err(StageError::internal("figures", "a metric has figures of another kind")),
        })
    }

    fn overflow(&self, sum: &str, kind: &str, group: &str) -> StageError {
        let column = self.columns.first().map_or("", |found| &found.name);
        StageError::unsupported("sum_overflow", format!("the sum of `{column}`{group} is {sum}, more than {kind} can hold"))
            .field(format!("metrics.{}", self.name))
            .help(format!("convert the column before: `convert: {{{column}: \"decimal(38,0)\"}}` is exact, `float` is near"))
    }

    fn too_many_digits(&self, group: &str) -> StageError {
        let column = self.columns.first().map_or("", |found| &found.name);
        StageError::unsupported("sum_overflow", format!("the sum of `{column}`{group} has more than the 38 digits of a decimal"))
            .field(format!("metrics.{}", self.name))
            .help(format!("convert the column before: `convert: {{{column}: float}}` is near"))
    }
}

/// The figures of a metric for all groups.
pub(crate) enum Figures {
    Counts(Vec<u64>),
    Distinct(Table, Vec<u64>),
    Exact(Exact),
    Float(Compensated),
    Slots(Slots),
    Log(Log),
    Vwap(Compensated, Compensated),
}

impl Figures {
    pub(crate) fn held(&self) -> usize {
        match self {
            Self::Counts(counts) => counts.capacity() * 8,
            Self::Distinct(table, counts) => table.held() + counts.capacity() * 8,
            Self::Exact(exact) => exact.held(),
            Self::Float(sums) => sums.held(),
            Self::Slots(slots) => slots.held(),
            Self::Log(log) => log.held(),
            Self::Vwap(amounts, sizes) => amounts.held() + sizes.held(),
        }
    }

    pub(crate) fn grow(&mut self, groups: usize) {
        match self {
            Self::Counts(counts) | Self::Distinct(_, counts) => counts.resize(groups, 0),
            Self::Exact(exact) => exact.grow(groups),
            Self::Float(sums) => sums.grow(groups),
            Self::Slots(slots) => slots.grow(groups),
            Self::Log(_) => {}
            Self::Vwap(amounts, sizes) => {
                amounts.grow(groups);
                sizes.grow(groups);
            }
        }
    }

    /// Works rows in, each of which belongs to the group beside it.
    pub(crate) fn update(
        &mut self,
        meter: &Meter,
        column: &Column,
        rows: &[u32],
        groups: &[u32],
        times: Option<&[i64]>,
        name_group: &dyn Fn(usize) -> String,
    ) -> Result<(), StageError> {
        match (self, column) {
            (Self::Counts(counts), Column::None) => groups.iter().for_each(|group| counts[*group as usize] += 1),
            (Self::Counts(counts), Column::Nulls(nulls)) => {
                for (&row, &group) in rows.iter().zip(groups) {
                    counts[group as usize] += u64::from(nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row as usize)));
                }
            }
            (Self::Distinct(table, counts), Column::Encoded(nulls)) => {
                let Some(encoder) = &meter.encoder else { return Err(StageError::internal("encoder", "`count_distinct` has no encoder")) };
                let mut key = Vec::new();
                for (&row, &group) in rows.iter().zip(groups) {
                    if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row as usize)) {
                        continue;
                    }
                    key.clear();
                    key.extend_from_slice(&group.to_le_bytes());
                    key.extend_from_slice(encoder.rows().row(row as usize).data());
                    counts[group as usize] += u64::from(table.number(&key).1);
                }
            }
            (Self::Exact(exact), Column::I64(values)) => exact.update_i64(values, rows, groups),
            (Self::Exact(exact), Column::I128(values)) => {
                exact.update(values, rows, groups).map_err(|group| meter.too_many_digits(&name_group(group)))?;
            }
            (Self::Float(sums), Column::F64(values)) => sums.update(values, rows, groups),
            (Self::Slots(slots), Column::Slot(values)) => slots.update(values, rows, groups, times)?,
            (Self::Log(log), Column::F64(values)) => log.update(values, rows, groups),
            (Self::Vwap(amounts, sizes), Column::Pair(prices, volumes)) => {
                for (&row, &group) in rows.iter().zip(groups) {
                    let (row, group) = (row as usize, group as usize);
                    if prices.is_valid(row) && volumes.is_valid(row) {
                        amounts.add(group, prices.value(row) * volumes.value(row));
                        sizes.add(group, volumes.value(row));
                    }
                }
            }
            _ => return Err(StageError::internal("figures", "a metric has figures of another kind")),
        }
        Ok(())
    }

    /// Makes ready to be read: no more rows come.
    pub(crate) fn close(&mut self, groups: usize) {
        if let Self::Log(log) = self {
            log.order(groups);
        }
    }

    pub(crate) fn save(&self, writer: &mut Writer) {
        match self {
            Self::Counts(counts) => writer.numbers(counts),
            Self::Distinct(table, counts) => {
                table.save(writer);
                writer.numbers(counts);
            }
            Self::Exact(exact) => exact.save(writer),
            Self::Float(sums) => sums.save(writer),
            Self::Slots(slots) => slots.save(writer),
            Self::Log(log) => log.save(writer),
            Self::Vwap(amounts, sizes) => {
                amounts.save(writer);
                sizes.save(writer);
            }
        }
    }

    /// The same figures of wider columns; times of rows are so many times what they were.
    pub(crate) fn widen(self, old: &Meter, new: &mut Meter, times: i64) -> Result<Self, StageError> {
        let (Some(from), Some(to)) = (old.columns.first(), new.columns.first()) else { return Ok(self) };
        let refused = || cannot(&to.name, &from.data_type, &to.data_type);
        Ok(match (self, new.what) {
            (Self::Distinct(table, counts), _) => {
                // The bytes of the group's number stand before the value.
                let value = |columns: Vec<ArrayRef>, _| columns.iter().map(|column| widen(column, &to.data_type, &to.name)).collect();
                Self::Distinct(table.recode(4, old.encoder.as_ref(), new.encoder.as_mut(), value)?, counts)
            }
            (Self::Exact(exact), What::SumExact | What::AvgExact) => {
                let factor = scale_factor(&from.data_type, &to.data_type).ok_or_else(refused)?;
                Self::Exact(exact.times(factor).ok_or_else(refused)?)
            }
            (Self::Exact(exact), _) => Self::Float(exact.into_float(power_of_ten(scale(&from.data_type)))),
            (Self::Float(sums), What::SumExact | What::AvgExact) if sums.is_empty() => {
                let mut exact = Exact::default();
                exact.grow(sums.counts.len());
                Self::Exact(exact)
            }
            (Self::Float(_), What::SumExact | What::AvgExact) => return Err(refused()),
            (Self::Slots(slots), _) => {
                Self::Slots(slots.widen(&to.data_type, &to.name, old.encoder.as_ref(), new.encoder.as_mut(), times)?)
            }
            (figures, _) => figures,
        })
    }

    pub(crate) fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), StageError> {
        match self {
            Self::Counts(counts) => {
                *counts = reader.numbers()?;
                fits(&[counts.len()], groups)?;
            }
            Self::Distinct(table, counts) => {
                *table = Table::load(reader)?;
                *counts = reader.numbers()?;
                fits(&[counts.len()], groups)?;
            }
            Self::Exact(exact) => *exact = Exact::load(reader, groups)?,
            Self::Float(sums) => *sums = Compensated::load(reader, groups)?,
            Self::Slots(slots) => slots.load(reader, groups)?,
            Self::Log(log) => *log = Log::load(reader, groups)?,
            Self::Vwap(amounts, sizes) => (*amounts, *sizes) = (Compensated::load(reader, groups)?, Compensated::load(reader, groups)?),
        }
        Ok(())
    }
}
