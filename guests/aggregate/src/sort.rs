//! `sort`: all rows are held, and come out in order.

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{SchemaRef, SortOptions};
use etl_sdk::{Columns, Input, Output, Plan, StageError, State};
use etl_steps::aggregate::{Nulls, Order, Sort as Options, SortColumn};

use crate::columns::{Found, Lookup};
use crate::keys::Encoder;
use crate::memory::{Memory, thousands};
use crate::remember::{self, Head, Remember};
use crate::state::{Reader, Writer, broken};
use crate::store::Store;
use crate::values::column;

/// Sorts all rows.
pub struct Sort {
    order: Ordering,
    /// The rows' keys, one behind the other.
    keys: Vec<u8>,
    /// Where each row's key ends.
    ends: Vec<u32>,
    store: Store,
    memory: Memory,
    head: Head<Options>,
}

/// Columns by which rows are ordered, set up for the input.
pub(crate) struct Ordering {
    columns: Vec<Found>,
    encoder: Encoder,
}

impl Ordering {
    /// Sets it up; what is wrong is told to `lookup`. Columns are looked up by their place in the input, all of which is read.
    pub(crate) fn new(by: &[SortColumn], option: &str, lookup: &mut Lookup<'_>) -> Option<Self> {
        let columns: Vec<Option<Found>> =
            by.iter().map(|by| lookup.column_of(&by.column, option, "values that compare", Encoder::takes)).collect();
        let columns = columns.into_iter().collect::<Option<Vec<_>>>()?;
        let options = by.iter().map(|by| SortOptions { descending: by.order == Order::Desc, nulls_first: by.nulls == Nulls::First });
        match Encoder::new(columns.iter().map(|found| found.data_type.clone()).zip(options)) {
            Ok(encoder) => Some(Self { columns, encoder }),
            Err(problem) => {
                lookup.problem(problem.field(option));
                None
            }
        }
    }

    pub(crate) fn columns(&self) -> &[Found] {
        &self.columns
    }

    /// Encodes the rows of a batch that has the columns that were looked up.
    pub(crate) fn encode(&mut self, columns: &[ArrayRef], rows: usize) -> Result<&arrow_row::Rows, StageError> {
        let keys: Vec<ArrayRef> = self.columns.iter().map(|found| column(columns, found.place, &found.data_type, rows)).collect();
        self.encoder.encode(&keys)
    }
}

/// Makes a look-up read every column, in the order of the input.
pub(crate) fn read_all<'a>(input: &'a SchemaRef, late: bool) -> Lookup<'a> {
    let mut lookup = Lookup::new(input, late);
    lookup.read = (0..input.fields().len()).collect();
    lookup
}

impl Columns for Sort {
    const NAME: &'static str = "sort";
    const SUMMARY: &'static str = "sorts all rows";
    const STATE: State = State::Stream;
    type Options = Options;

    fn configure(options: Options, input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>> {
        let Options { by, memory_bytes, late } = &options;
        let mut lookup = read_all(input, *late);
        let order = Ordering::new(by, "by", &mut lookup);
        let Some(order) = order.filter(|_| lookup.problems.is_empty()) else { return Err(lookup.problems) };
        let head = Head::new(Self::NAME, &options, by, input, &lookup.read, lookup.missing);
        let (store, memory) = (Store::new(input.clone()), Memory::new(*memory_bytes));
        Ok((Self { order, keys: Vec::new(), ends: Vec::new(), store, memory, head }, Plan::aggregate(input.clone())))
    }

    fn process(&mut self, input: &Input<'_>, _output: &mut Output<'_>) -> Result<(), StageError> {
        self.hold(input.read()?)?;
        // Putting them in order takes sixteen bytes a row.
        let held = self.store.held() + self.keys.capacity() + self.ends.capacity() * 4 + self.ends.len() * 16;
        self.memory.check(held, || format!("{} rows to sort", thousands(self.store.rows())), "leave rows or columns out before it")
    }

    fn finish(&mut self, output: &mut Output<'_>) -> Result<(), StageError> {
        self.head.complete()?;
        let key = |row: u32| {
            let start = (row as usize).checked_sub(1).map_or(0, |before| self.ends[before] as usize);
            &self.keys[start..self.ends[row as usize] as usize]
        };
        // The first bytes of a key, for most comparisons, and the row.
        let mut rows: Vec<(u64, u32)> = (0..self.ends.len() as u32).map(|row| (prefix(key(row)), row)).collect();
        rows.sort_unstable_by(|one, other| {
            one.0.cmp(&other.0).then_with(|| key(one.1).cmp(key(other.1))).then_with(|| one.1.cmp(&other.1))
        });
        for chunk in rows.chunks(crate::groups::ROWS_OUT) {
            output.emit(&self.store.take(chunk.iter().map(|(_, row)| *row as usize))?, None)?;
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Vec<u8>, StageError> {
        remember::snapshot(self)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StageError> {
        remember::restore(self, state)
    }
}

impl Sort {
    /// Keeps rows, and their keys.
    fn hold(&mut self, batch: RecordBatch) -> Result<(), StageError> {
        for key in self.order.encode(batch.columns(), batch.num_rows())?.iter() {
            self.keys.extend_from_slice(key.data());
            self.ends.push(self.keys.len() as u32);
        }
        self.store.push(batch);
        Ok(())
    }
}

impl Remember for Sort {
    fn head(&self) -> &Head<Options> {
        &self.head
    }

    fn size(&self) -> usize {
        self.store.held() + self.keys.len() + self.ends.len() * 4
    }

    fn save(&self, writer: &mut Writer) -> Result<(), StageError> {
        writer.bytes(&self.keys);
        writer.numbers(&self.ends);
        self.store.save(writer)
    }

    fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), StageError> {
        self.keys = reader.bytes()?.to_vec();
        self.ends = reader.numbers()?;
        self.store.load(reader)?;
        let ascend = self.ends.is_sorted() && self.ends.last().copied().unwrap_or(0) as usize == self.keys.len();
        if !ascend || self.ends.len() != self.store.rows() {
            return Err(broken("its keys are not those of its rows"));
        }
        Ok(())
    }

    fn widen(&mut self, old: Self) -> Result<(), StageError> {
        let schema = self.store.schema().clone();
        old.store.widened(&schema).try_for_each(|batch| self.hold(batch?))
    }
}

/// The first eight bytes of a key as a number that compares as they do.
fn prefix(key: &[u8]) -> u64 {
    let mut first = [0; 8];
    let length = key.len().min(8);
    first[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(first)
}
