//! `window`: rows fall into windows of event time, each of which is aggregated and comes out once it closes.

use std::collections::BTreeMap;

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, SchemaRef, TimeUnit};
use etl_sdk::{Columns, Input, Output, Plan, Refusal, StageError, State};
use etl_steps::Duration;
use etl_steps::aggregate::{WINDOW_END, WINDOW_START, Window as Options};

use crate::columns::{Found, Lookup};
use crate::groups::{Groups, Layout, ROWS_OUT, batch, schema};
use crate::memory::{Memory, thousands};
use crate::remember::{self, Head, Remember};
use crate::state::{Reader, Writer, broken};
use crate::values::{column, from_i64s, i64s};
use crate::widen::{cannot, time_unit};

/// Aggregates windows of time.
pub struct Window {
    layout: Layout,
    time: Found,
    span: Span,
    lateness: Duration,
    /// The windows that have not closed, by their start.
    open: BTreeMap<i64, Groups>,
    /// The latest time so far.
    latest: Option<i64>,
    output: SchemaRef,
    memory: Memory,
    head: Head<Options>,
}

/// Windows in the unit of the time's column.
#[derive(Clone, Copy)]
struct Span {
    size: i64,
    offset: i64,
    lateness: i64,
}

impl Span {
    /// The start of the window of a time; none where it would begin or close beyond what a column can hold.
    fn start(self, time: i64, is_date: bool) -> Option<i64> {
        let start = time.checked_sub(self.offset)?.div_euclid(self.size).checked_mul(self.size)?.checked_add(self.offset)?;
        let end = start.checked_add(self.size)?;
        end.checked_add(self.lateness)?;
        let fits = |day: i64| i32::try_from(day).is_ok();
        (!is_date || fits(start) && fits(end)).then_some(start)
    }

    /// Whether a window has closed.
    fn closed(self, start: i64, latest: Option<i64>) -> bool {
        latest.is_some_and(|latest| start + self.size + self.lateness <= latest)
    }
}

impl Columns for Window {
    const NAME: &'static str = "window";
    const SUMMARY: &'static str = "measures windows of event time";
    const STATE: State = State::Stream;
    type Options = Options;

    fn configure(options: Options, input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>> {
        let Options { time, size, lateness, offset, group_by, metrics, memory_bytes, late } = &options;
        let mut lookup = Lookup::new(input, *late);
        let found = lookup.column_of(time, "time", "a timestamp or date", is_time);
        let span = found.as_ref().and_then(|found| span(&found.data_type, *size, *lateness, *offset, &mut lookup));
        let layout = Layout::new(group_by, metrics, &mut lookup);
        let Lookup { read, problems, missing, .. } = lookup;
        let (Some(layout), Some(time), Some(span), true) = (layout, found, span, problems.is_empty()) else { return Err(problems) };
        let time = match time.place {
            Some(_) => time,
            // There is no such column yet, or no rows at all; what comes out has a type all the same.
            None => Found { data_type: DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), ..time },
        };
        let own = [WINDOW_START, WINDOW_END].map(|name| Field::new(name, time.data_type.clone(), true));
        let output = schema(own.into_iter().chain(layout.fields()).collect());
        let same = (&options.time, size, lateness, offset, group_by, metrics);
        let head = Head::new(Self::NAME, &options, &same, input, &read, missing);
        let plan = Plan::aggregate(output.clone()).reading(read);
        let memory = Memory::new(*memory_bytes);
        Ok((Self { layout, time, span, lateness: *lateness, open: BTreeMap::new(), latest: None, output, memory, head }, plan))
    }

    fn process(&mut self, input: &Input<'_>, output: &mut Output<'_>) -> Result<(), StageError> {
        let rows = input.num_rows();
        let read = input.read()?;
        let times = i64s(&column(read.columns(), self.time.place, &self.time.data_type, rows));
        let fallen = self.fall(&times, output)?;
        let read = self.layout.read(&read, rows)?;
        for (start, rows) in fallen {
            let groups = self.open.entry(start).or_insert_with(|| self.layout.groups());
            groups.update(&self.layout, &read, &rows, Some(times.values()))?;
        }
        self.emit(output, false)?;
        let groups: usize = self.open.values().map(Groups::len).sum();
        let held = self.open.values().map(|groups| groups.held() + size_of::<Groups>()).sum();
        self.memory.check(
            held,
            || format!("{} open windows with {} groups", thousands(self.open.len()), thousands(groups)),
            "make `lateness` or `size` less, so that windows close sooner",
        )
    }

    fn finish(&mut self, output: &mut Output<'_>) -> Result<(), StageError> {
        self.head.complete()?;
        self.emit(output, true)
    }

    fn snapshot(&self) -> Result<Vec<u8>, StageError> {
        remember::snapshot(self)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StageError> {
        remember::restore(self, state)
    }
}

impl Remember for Window {
    fn head(&self) -> &Head<Options> {
        &self.head
    }

    fn size(&self) -> usize {
        self.open.values().map(Groups::held).sum()
    }

    fn save(&self, writer: &mut Writer) -> Result<(), StageError> {
        writer.number(u8::from(self.latest.is_some()));
        writer.number(self.latest.unwrap_or_default());
        writer.number(self.open.len() as u64);
        for (start, groups) in &self.open {
            writer.number(*start);
            groups.save(writer);
        }
        Ok(())
    }

    fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), StageError> {
        let (known, latest) = (reader.number::<u8>()?, reader.number::<i64>()?);
        self.latest = (known == 1).then_some(latest);
        for _ in 0..reader.count()? {
            let start = reader.number::<i64>()?;
            if self.span.start(start, false) != Some(start) {
                return Err(broken("a window starts where none can"));
            }
            self.open.insert(start, Groups::load(&self.layout, reader)?);
        }
        Ok(())
    }

    fn widen(&mut self, old: Self) -> Result<(), StageError> {
        let Some(latest) = old.latest else { return Ok(()) };
        let refused = || cannot(&self.time.name, &old.time.data_type, &self.time.data_type);
        let factor = match (time_unit(&old.time.data_type), time_unit(&self.time.data_type)) {
            (Some(unit), Some(finer)) if unit % finer == 0 => unit / finer,
            _ => return Err(refused()),
        };
        self.latest = Some(latest.checked_mul(factor).ok_or_else(refused)?);
        for (start, groups) in old.open {
            let start = start.checked_mul(factor).filter(|start| self.span.start(*start, false) == Some(*start)).ok_or_else(refused)?;
            self.open.insert(start, groups.widen(&old.layout, &mut self.layout, factor)?);
        }
        Ok(())
    }
}

impl Window {
    /// Finds the window of each row, and rejects rows that have none or whose window has closed. Whether it has is decided row by row, so that
    /// it does not matter how rows are cut into batches.
    fn fall(&mut self, times: &Int64Array, output: &mut Output<'_>) -> Result<BTreeMap<i64, Vec<u32>>, StageError> {
        let is_date = self.time.data_type == DataType::Date32;
        let mut fallen: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        let mut last: Option<(i64, Vec<u32>)> = None;
        for row in 0..times.len() {
            if times.is_null(row) {
                output.reject(row, Refusal::new("no_time", format!("column `{}` has no time", self.time.name)).field(&self.time.name))?;
                continue;
            }
            let time = times.value(row);
            let Some(start) = self.span.start(time, is_date) else {
                let message = format!("the time in column `{}` is too far away for a window", self.time.name);
                output.reject(row, Refusal::new("time_range", message).field(&self.time.name))?;
                continue;
            };
            if self.span.closed(start, self.latest) {
                output.reject(row, self.late(start))?;
                continue;
            }
            self.latest = self.latest.max(Some(time));
            match &mut last {
                Some((window, rows)) if *window == start => rows.push(row as u32),
                last => {
                    let rows = fallen.remove(&start).unwrap_or_default();
                    if let Some((window, rows)) = last.replace((start, rows)) {
                        fallen.insert(window, rows);
                    }
                    last.as_mut().expect("it was just put there").1.push(row as u32);
                }
            }
        }
        fallen.extend(last);
        Ok(fallen)
    }

    fn late(&self, start: i64) -> Refusal {
        let show =
            |time: i64| from_i64s(vec![time], None, &self.time.data_type).map_or_else(|_| time.to_string(), |column| show_time(&column));
        let message = format!(
            "it came too late: its window {} to {} closed when a row of {} came (`lateness` is {})",
            show(start),
            show(start + self.span.size),
            show(self.latest.unwrap_or_default()),
            self.lateness
        );
        Refusal::new("late_row", message).field(&self.time.name)
    }

    /// Emits windows that have closed, or all of them.
    fn emit(&mut self, output: &mut Output<'_>, all: bool) -> Result<(), StageError> {
        let mut waiting: Vec<RecordBatch> = Vec::new();
        let mut rows = 0;
        while let Some(first) = self.open.first_entry() {
            if !all && !self.span.closed(*first.key(), self.latest) {
                break;
            }
            let (start, mut groups) = first.remove_entry();
            groups.close();
            for from in (0..groups.len()).step_by(ROWS_OUT) {
                let range = from..(from + ROWS_OUT).min(groups.len());
                let count = range.len();
                let edge = |time: i64| from_i64s(vec![time; count], None, &self.time.data_type);
                let mut columns = vec![edge(start)?, edge(start + self.span.size)?];
                columns.extend(groups.columns(&self.layout, range)?);
                waiting.push(batch(&self.output, columns, count)?);
                rows += count;
                if rows >= ROWS_OUT {
                    flush(&self.output, &mut waiting, output)?;
                    rows = 0;
                }
            }
        }
        flush(&self.output, &mut waiting, output)
    }
}

fn flush(schema: &SchemaRef, waiting: &mut Vec<RecordBatch>, output: &mut Output<'_>) -> Result<(), StageError> {
    match waiting.as_slice() {
        [] => return Ok(()),
        [one] => output.emit(one, None)?,
        several => output.emit(&arrow_select::concat::concat_batches(schema, several)?, None)?,
    }
    waiting.clear();
    Ok(())
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64)
}

/// Lengths in the unit of the column.
fn span(data_type: &DataType, size: Duration, lateness: Duration, offset: Duration, lookup: &mut Lookup<'_>) -> Option<Span> {
    let (unit, name) = match data_type {
        DataType::Timestamp(TimeUnit::Second, _) => (1_000_000_000, "seconds"),
        DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => (1_000_000, "milliseconds"),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => (1, "nanoseconds"),
        DataType::Date32 => (86_400_000_000_000, "days"),
        _ => (1000, "microseconds"),
    };
    let mut in_units = |length: Duration, option: &str| match length.nanoseconds % unit {
        0 => Some(length.nanoseconds / unit),
        _ => {
            let message = format!("the times are whole {name}, of which `{length}` is not a number");
            lookup.problem(StageError::options("window_unit", message).field(option));
            None
        }
    };
    let (size, lateness, offset) = (in_units(size, "size"), in_units(lateness, "lateness"), in_units(offset, "offset"));
    let (size, lateness, offset) = (size?, lateness?, offset?);
    if size == 0 {
        lookup.problem(StageError::options("window_size", "a window of no length holds no row").field("size"));
        return None;
    }
    Some(Span { size, offset: offset.rem_euclid(size), lateness })
}

/// A time for a message, in UTC.
fn show_time(column: &ArrayRef) -> String {
    let value = i64s(column).value(0);
    let nanoseconds = i128::from(value)
        * match column.data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
            DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => 1_000_000,
            DataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
            DataType::Date32 => 86_400_000_000_000,
            _ => 1000,
        };
    let (days, rest) = (nanoseconds.div_euclid(86_400_000_000_000), nanoseconds.rem_euclid(86_400_000_000_000) as u64);
    // The civil calendar from days since 1970, after Howard Hinnant's `civil_from_days`.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i128::from(month <= 2);
    let date = format!("{year:04}-{month:02}-{day:02}");
    if column.data_type() == &DataType::Date32 {
        return date;
    }
    let seconds = rest / 1_000_000_000;
    let fraction = rest % 1_000_000_000;
    let mut text = format!("{date}T{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction != 0 {
        text.push_str(format!(".{fraction:09}").trim_end_matches('0'));
    }
    if matches!(column.data_type(), DataType::Timestamp(_, Some(_))) {
        text.push('Z');
    }
    text
}
