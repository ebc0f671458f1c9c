//! `dedupe`: of rows with the same key one is kept.

use std::cmp::Ordering as Order;

use arrow_array::{ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{SchemaRef, SortOptions};
use arrow_select::take::take_record_batch;
use etl_sdk::{ColumnOp, Columns, Input, Output, Plan, StageError, State};
use etl_steps::aggregate::{Dedupe as Options, Keep};

use crate::columns::{Found, Lookup};
use crate::keys::{Encoder, Table};
use crate::memory::{Memory, thousands};
use crate::remember::{self, Head, Remember};
use crate::slots::Spans;
use crate::sort::{Ordering, read_all};
use crate::state::{Reader, Writer, broken};
use crate::store::Store;
use crate::values::column;
use crate::widen::{cannot, keeps_order, widen, widen_rows};

/// Stored rows beyond twice those that are kept at which the others are thrown away.
const SLACK: usize = 8192;

/// What is said where keys do not fit.
const LESS: &str = "leave rows out before it";

/// Keeps the first row of each key; rows go on as they come.
pub struct Dedupe {
    key: Key,
    table: Table,
    columns: Vec<ColumnOp>,
    memory: Memory,
    head: Head<Options>,
}

/// The columns of a key, set up for the input.
struct Key {
    columns: Vec<Found>,
    encoder: Option<Encoder>,
}

impl Key {
    fn new(key: &[String], input: &SchemaRef, lookup: &mut Lookup<'_>) -> Option<Self> {
        let all: Vec<String> = input.fields().iter().map(|field| field.name().clone()).collect();
        let names = if key.is_empty() { &all } else { key };
        let columns: Vec<Option<Found>> =
            names.iter().map(|name| lookup.column_of(name, "key", "values that compare", Encoder::takes)).collect();
        let columns = columns.into_iter().collect::<Option<Vec<_>>>()?;
        let encoder = match columns.is_empty() {
            true => Ok(None),
            false => Encoder::new(columns.iter().map(|found| (found.data_type.clone(), SortOptions::default()))).map(Some),
        };
        match encoder {
            Ok(encoder) => Some(Self { columns, encoder }),
            Err(problem) => {
                lookup.problem(problem.field("key"));
                None
            }
        }
    }

    /// Calls `each` with the number of every row's key, and whether it is new.
    fn number(
        &mut self,
        batch: &RecordBatch,
        rows: usize,
        table: &mut Table,
        mut each: impl FnMut(usize, u32, bool),
    ) -> Result<(), StageError> {
        match &mut self.encoder {
            Some(encoder) => {
                let keys: Vec<ArrayRef> =
                    self.columns.iter().map(|found| column(batch.columns(), found.place, &found.data_type, rows)).collect();
                for (row, key) in encoder.encode(&keys)?.iter().enumerate() {
                    let (number, is_new) = table.number(key.data());
                    each(row, number, is_new);
                }
            }
            // Rows without columns are all the same.
            None => (0..rows).for_each(|row| {
                let (number, is_new) = table.number(&[]);
                each(row, number, is_new);
            }),
        }
        Ok(())
    }
}

impl Columns for Dedupe {
    const NAME: &'static str = "dedupe";
    const SUMMARY: &'static str = "keeps the first row of each key, as rows come";
    const STATE: State = State::Stream;
    type Options = Options;

    fn configure(options: Options, input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>> {
        let Options { key, keep, order_by, memory_bytes, late } = &options;
        if *keep != Keep::First || !order_by.is_empty() {
            return Err(StageError::options("function", "rows are kept by order, which is the work of `dedupe_held`").into());
        }
        let mut lookup = Lookup::new(input, *late);
        let found = Key::new(key, input, &mut lookup);
        let Lookup { read, problems, missing, .. } = lookup;
        let Some(found) = found.filter(|_| problems.is_empty()) else { return Err(problems) };
        let (output, columns) = ColumnOp::extend(input, &[]);
        let head = Head::new(Self::NAME, &options, key, input, &read, missing);
        let plan = Plan::filter(output).reading(read);
        Ok((Self { key: found, table: Table::default(), columns, memory: Memory::new(*memory_bytes), head }, plan))
    }

    fn process(&mut self, input: &Input<'_>, output: &mut Output<'_>) -> Result<(), StageError> {
        let rows = input.num_rows();
        let mut keep = vec![false; rows];
        self.key.number(&input.read()?, rows, &mut self.table, |row, _, is_new| keep[row] = is_new)?;
        self.memory.check(self.table.held(), || format!("{} keys", thousands(self.table.len())), LESS)?;
        output.derive(input, Some(&BooleanBuffer::from(keep)), &self.columns, None)
    }

    fn finish(&mut self, _output: &mut Output<'_>) -> Result<(), StageError> {
        self.head.complete()
    }

    fn snapshot(&self) -> Result<Vec<u8>, StageError> {
        remember::snapshot(self)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StageError> {
        remember::restore(self, state)
    }
}

impl Remember for Dedupe {
    fn head(&self) -> &Head<Options> {
        &self.head
    }

    fn size(&self) -> usize {
        self.table.held()
    }

    fn save(&self, writer: &mut Writer) -> Result<(), StageError> {
        self.table.save(writer);
        Ok(())
    }

    fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), StageError> {
        self.table = Table::load(reader)?;
        Ok(())
    }

    fn widen(&mut self, old: Self) -> Result<(), StageError> {
        let Key { columns, encoder } = &mut self.key;
        let before = &old.key.columns;
        let widened = |found: &Found, values: &[ArrayRef], rows| match before.iter().position(|old| old.name == found.name) {
            Some(place) => widen(&values[place], &found.data_type, &found.name),
            None => Ok(new_null_array(&found.data_type, rows)),
        };
        let widened = |values: Vec<ArrayRef>, rows| columns.iter().map(|found| widened(found, &values, rows)).collect();
        self.table = old.table.recode(0, old.key.encoder.as_ref(), encoder.as_mut(), widened)?;
        Ok(())
    }
}

/// Keeps the last row of each key, or the first or last in some order; they come out at the end.
pub struct DedupeHeld {
    key: Key,
    keep: Keep,
    order: Option<Ordering>,
    table: Table,
    /// For each key the number of its row in the store.
    rows: Vec<u32>,
    /// For each key where its row stands in the order.
    ranks: Spans,
    store: Store,
    memory: Memory,
    head: Head<Options>,
}

impl Columns for DedupeHeld {
    const NAME: &'static str = "dedupe_held";
    const SUMMARY: &'static str = "keeps the last row of each key, or the first or last by other columns";
    const STATE: State = State::Stream;
    type Options = Options;

    fn configure(options: Options, input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>> {
        let Options { key, keep, order_by, memory_bytes, late } = &options;
        let mut lookup = read_all(input, *late);
        let found = Key::new(key, input, &mut lookup);
        let order = (!order_by.is_empty()).then(|| Ordering::new(order_by, "order_by", &mut lookup));
        let Some(found) = found.filter(|_| lookup.problems.is_empty()) else { return Err(lookup.problems) };
        let head = Head::new(Self::NAME, &options, &(key, keep, order_by), input, &lookup.read, lookup.missing);
        let dedupe = Self {
            key: found,
            keep: *keep,
            order: order.flatten(),
            table: Table::default(),
            rows: Vec::new(),
            ranks: Spans::default(),
            store: Store::new(input.clone()),
            memory: Memory::new(*memory_bytes),
            head,
        };
        Ok((dedupe, Plan::aggregate(input.clone())))
    }

    fn process(&mut self, input: &Input<'_>, _output: &mut Output<'_>) -> Result<(), StageError> {
        self.add(&input.read()?)?;
        let held = self.table.held() + self.rows.capacity() * 4 + self.ranks.held() + self.store.held();
        self.memory.check(held, || format!("{} keys with a row each", thousands(self.table.len())), LESS)
    }

    fn finish(&mut self, output: &mut Output<'_>) -> Result<(), StageError> {
        self.head.complete()?;
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_unstable();
        self.store.emit(&rows, output)
    }

    fn snapshot(&self) -> Result<Vec<u8>, StageError> {
        remember::snapshot(self)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StageError> {
        remember::restore(self, state)
    }
}

impl Remember for DedupeHeld {
    fn head(&self) -> &Head<Options> {
        &self.head
    }

    fn size(&self) -> usize {
        self.table.held() + self.rows.len() * 4 + self.ranks.held() + self.store.held()
    }

    fn save(&self, writer: &mut Writer) -> Result<(), StageError> {
        self.table.save(writer);
        writer.numbers(&self.rows);
        self.ranks.save(writer);
        self.store.save(writer)
    }

    fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), StageError> {
        self.table = Table::load(reader)?;
        self.rows = reader.numbers()?;
        self.ranks = Spans::load(reader)?;
        self.store.load(reader)?;
        let known = self.rows.iter().all(|row| (*row as usize) < self.store.rows());
        if !known || self.rows.len() != self.table.len() || self.ranks.len() != self.table.len() {
            return Err(broken("its rows are not those of its keys"));
        }
        Ok(())
    }

    fn widen(&mut self, old: Self) -> Result<(), StageError> {
        if let (Some(before), Some(now)) = (&old.order, &self.order) {
            // Rows that lost by the order of their ints are gone, and might win by that of their texts.
            let changed = before.columns().iter().zip(now.columns()).find(|(old, new)| !keeps_order(&old.data_type, &new.data_type));
            if let Some((old_column, new_column)) = changed.filter(|_| !old.rows.is_empty()) {
                return Err(cannot(&new_column.name, &old_column.data_type, &new_column.data_type));
            }
        }
        // One row of each key is left: they come again, in the order in which they came.
        let mut rows = old.rows;
        rows.sort_unstable();
        let schema = self.store.schema().clone();
        for chunk in rows.chunks(crate::groups::ROWS_OUT) {
            self.add(&widen_rows(&old.store.take(chunk.iter().map(|row| *row as usize))?, &schema)?)?;
        }
        Ok(())
    }
}

impl DedupeHeld {
    /// Works rows in.
    fn add(&mut self, batch: &RecordBatch) -> Result<(), StageError> {
        let Self { key, keep, order, table, rows, ranks, store, .. } = self;
        let count = batch.num_rows();
        let encoded = order.as_mut().map(|order| order.encode(batch.columns(), count)).transpose()?;
        let first = store.rows() as u32;
        let mut touched = Vec::new();
        key.number(batch, count, table, |row, number, is_new| {
            let number = number as usize;
            if is_new {
                touched.push(number as u32);
                rows.push(first + row as u32);
                ranks.grow(number + 1);
                if let Some(encoded) = encoded {
                    ranks.set(number, encoded.row(row).data());
                }
                return;
            }
            let better = match (encoded, *keep) {
                (None, keep) => keep == Keep::Last,
                (Some(encoded), Keep::First) => encoded.row(row).data().cmp(ranks.get(number)) == Order::Less,
                (Some(encoded), Keep::Last) => encoded.row(row).data().cmp(ranks.get(number)) != Order::Less,
            };
            if better {
                touched.push(number as u32);
                rows[number] = first + row as u32;
                if let Some(encoded) = encoded {
                    ranks.set(number, encoded.row(row).data());
                }
            }
        })?;
        ranks.tidy();
        self.hold(batch, first, touched)
    }

    /// Stores those rows of a batch that are kept for now, by the keys that took one, and throws away what is not any more once it is much.
    fn hold(&mut self, batch: &RecordBatch, first: u32, mut touched: Vec<u32>) -> Result<(), StageError> {
        touched.sort_unstable();
        touched.dedup();
        let mut kept: Vec<u32> = touched.iter().map(|number| self.rows[*number as usize] - first).collect();
        kept.sort_unstable();
        if kept.len() == batch.num_rows() {
            self.store.push(batch.clone());
        } else if !kept.is_empty() {
            self.store.push(match batch.num_columns() {
                0 => batch.slice(0, kept.len()),
                _ => take_record_batch(batch, &UInt32Array::from(kept.clone()))?,
            });
            for number in touched {
                let row = &mut self.rows[number as usize];
                *row = first + kept.binary_search(&(*row - first)).expect("it was just collected") as u32;
            }
        }
        if self.store.rows() > 2 * self.rows.len() + SLACK {
            let mut live = self.rows.clone();
            live.sort_unstable();
            self.store.retain(&live)?;
            for row in &mut self.rows {
                *row = live.binary_search(row).expect("it was just collected") as u32;
            }
        }
        Ok(())
    }
}
