//! One value for each group: the first, the last, the least or the greatest.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray, Decimal128Array, Float64Array, Int64Array, make_array};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, SortOptions};
use etl_sdk::StageError;

use crate::keys::Encoder;
use crate::state::{Reader, Writer, broken};
use crate::values::{Kind, bytes, f64s, from_i64s, from_i128s, i64s, i128s, normal};
use crate::widen::{cannot, keeps_order, widen};

/// No row was taken yet.
const UNSET: u8 = 0;
/// A null was taken.
const NULL: u8 = 1;
/// A value was taken.
const VALUE: u8 = 2;

/// Which rows are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Min,
    Max,
    First { skip_nulls: bool },
    Last { skip_nulls: bool },
}

/// One value for each group.
pub(crate) struct Slots {
    rule: Rule,
    data_type: DataType,
    marks: Vec<u8>,
    /// When the row was that was taken, where rows have a time.
    times: Vec<i64>,
    data: Data,
}

enum Data {
    I64(Vec<i64>),
    F64(Vec<f64>),
    I128(Vec<i128>),
    Bytes(Spans),
    Encoded(Spans),
}

/// The values of a batch, in the form in which they are held.
pub(crate) enum Values {
    I64(Int64Array),
    F64(Float64Array),
    I128(Decimal128Array),
    Bytes(BinaryArray),
    Encoded(BinaryArray, Option<NullBuffer>),
}

impl Values {
    /// Reads a column; `encoder` is for values that must be encoded.
    pub(crate) fn new(array: &ArrayRef, encoder: Option<&mut Encoder>) -> Result<Self, StageError> {
        Ok(match Kind::of(array.data_type()) {
            Kind::I64 => Self::I64(i64s(array)),
            Kind::F64 => Self::F64(f64s(array)),
            Kind::I128 => Self::I128(i128s(array)),
            Kind::Bytes => Self::Bytes(bytes(array)),
            Kind::Encoded => {
                let encoder = encoder.ok_or_else(|| StageError::internal("encoder", "a nested column has no encoder"))?;
                let rows = encoder.encode(std::slice::from_ref(array))?;
                Self::Encoded(BinaryArray::from_iter_values(rows.iter()), array.logical_nulls())
            }
        })
    }

    fn nulls(&self) -> Option<&NullBuffer> {
        match self {
            Self::I64(array) => array.nulls(),
            Self::F64(array) => array.nulls(),
            Self::I128(array) => array.nulls(),
            Self::Bytes(array) => array.nulls(),
            Self::Encoded(_, nulls) => nulls.as_ref(),
        }
    }
}

/// The encoder for values of a type; none where they are held as they are.
pub(crate) fn encoder(data_type: &DataType) -> Result<Option<Encoder>, StageError> {
    match Kind::of(data_type) {
        Kind::Encoded => Encoder::new([(data_type.clone(), SortOptions::default())]).map(Some),
        _ => Ok(None),
    }
}

impl Slots {
    pub(crate) fn new(rule: Rule, data_type: &DataType) -> Self {
        let data = match Kind::of(data_type) {
            Kind::I64 => Data::I64(Vec::new()),
            Kind::F64 => Data::F64(Vec::new()),
            Kind::I128 => Data::I128(Vec::new()),
            Kind::Bytes => Data::Bytes(Spans::default()),
            Kind::Encoded => Data::Encoded(Spans::default()),
        };
        Self { rule, data_type: data_type.clone(), marks: Vec::new(), times: Vec::new(), data }
    }

    pub(crate) fn grow(&mut self, groups: usize) {
        self.marks.resize(groups, UNSET);
        match &mut self.data {
            Data::I64(values) => values.resize(groups, 0),
            Data::F64(values) => values.resize(groups, 0.0),
            Data::I128(values) => values.resize(groups, 0),
            Data::Bytes(spans) | Data::Encoded(spans) => spans.spans.resize(groups, (0, 0)),
        }
    }

    pub(crate) fn held(&self) -> usize {
        let data = match &self.data {
            Data::I64(values) => values.capacity() * 8,
            Data::F64(values) => values.capacity() * 8,
            Data::I128(values) => values.capacity() * 16,
            Data::Bytes(spans) | Data::Encoded(spans) => spans.spans.capacity() * 8 + spans.bytes.capacity(),
        };
        data + self.marks.capacity() + self.times.capacity() * 8
    }

    /// Takes what is to be taken of the `rows`, each of which belongs to the group beside it.
    pub(crate) fn update(&mut self, values: &Values, rows: &[u32], groups: &[u32], times: Option<&[i64]>) -> Result<(), StageError> {
        if times.is_some() {
            self.times.resize(self.marks.len(), 0);
        }
        let mut taker = Taker {
            rule: self.rule,
            marks: &mut self.marks,
            times: &mut self.times,
            row_times: times,
            nulls: values.nulls().filter(|nulls| nulls.null_count() > 0),
        };
        match (&mut self.data, values) {
            (Data::I64(held), Values::I64(array)) => {
                let array = array.values();
                taker.run(rows, groups, held, |held, group, row| array[row].cmp(&held[group]), |held, group, row| held[group] = array[row]);
            }
            (Data::F64(held), Values::F64(array)) => {
                let array = array.values();
                taker.run(
                    rows,
                    groups,
                    held,
                    |held, group, row| order(array[row], held[group]),
                    |held, group, row| held[group] = array[row],
                );
            }
            (Data::I128(held), Values::I128(array)) => {
                let array = array.values();
                taker.run(rows, groups, held, |held, group, row| array[row].cmp(&held[group]), |held, group, row| held[group] = array[row]);
            }
            (Data::Bytes(held), Values::Bytes(array)) | (Data::Encoded(held), Values::Encoded(array, _)) => {
                taker.run(
                    rows,
                    groups,
                    held,
                    |held, group, row| array.value(row).cmp(held.get(group)),
                    |held, group, row| held.set(group, array.value(row)),
                );
                held.tidy();
            }
            _ => return Err(StageError::internal("kind", "a column is of another kind than its slots")),
        }
        Ok(())
    }

    /// The values of some groups as a column.
    pub(crate) fn column(&self, groups: std::ops::Range<usize>, encoder: Option<&Encoder>) -> Result<ArrayRef, StageError> {
        let marks = &self.marks[groups.clone()];
        let nulls = NullBuffer::from_iter(marks.iter().map(|mark| *mark == VALUE));
        let nulls = (nulls.null_count() > 0).then_some(nulls);
        let data_type = normal(&self.data_type);
        match &self.data {
            Data::I64(values) => from_i64s(values[groups].to_vec(), nulls, &data_type),
            Data::F64(values) => Ok(Arc::new(Float64Array::new(values[groups].to_vec().into(), nulls))),
            Data::I128(values) => Ok(from_i128s(values[groups].to_vec(), nulls, &data_type)),
            Data::Bytes(spans) => {
                let lengths = groups.clone().map(|group| spans.get(group).len());
                let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
                let bytes: Vec<u8> = groups.flat_map(|group| spans.get(group).iter().copied()).collect();
                let array = BinaryArray::new(offsets, bytes.into(), nulls);
                let data = array.into_data().into_builder().data_type(data_type);
                // Checked: the state may have come from a snapshot.
                Ok(make_array(data.build()?))
            }
            Data::Encoded(spans) => {
                let encoder = encoder.ok_or_else(|| StageError::internal("encoder", "a nested column has no encoder"))?;
                let set: Vec<usize> = groups.clone().filter(|group| self.marks[*group] != UNSET).collect();
                let column = encoder.decode(set.iter().map(|group| spans.get(*group)))?.remove(0);
                let mut next = 0;
                let picks: Vec<Option<u32>> = groups
                    .map(|group| {
                        (self.marks[group] != UNSET).then(|| {
                            next += 1;
                            next - 1
                        })
                    })
                    .collect();
                Ok(arrow_select::take::take(&column, &arrow_array::UInt32Array::from(picks), None)?)
            }
        }
    }

    /// The same values as those of a wider type; times are so many times what they were.
    pub(crate) fn widen(
        self,
        to: &DataType,
        name: &str,
        old: Option<&Encoder>,
        new: Option<&mut Encoder>,
        times: i64,
    ) -> Result<Self, StageError> {
        let refused = || cannot(name, &self.data_type, to);
        let compares = matches!(self.rule, Rule::Min | Rule::Max);
        // The least of the ints is not the least of their texts.
        if compares && !keeps_order(&self.data_type, to) && self.marks.contains(&VALUE) {
            return Err(refused());
        }
        let groups = self.marks.len();
        let mut wider = Self::new(self.rule, to);
        wider.grow(groups);
        let values = Values::new(&widen(&self.column(0..groups, old)?, &normal(to), name)?, new)?;
        for group in (0..groups).filter(|group| self.marks[*group] != UNSET) {
            match (&mut wider.data, &values) {
                (Data::I64(held), Values::I64(array)) => held[group] = array.value(group),
                (Data::F64(held), Values::F64(array)) => held[group] = array.value(group),
                (Data::I128(held), Values::I128(array)) => held[group] = array.value(group),
                (Data::Bytes(held), Values::Bytes(array)) | (Data::Encoded(held), Values::Encoded(array, _)) => {
                    held.set(group, array.value(group));
                }
                _ => return Err(StageError::internal("kind", "a column is of another kind than its slots")),
            }
        }
        wider.times = self.times.iter().map(|time| time.checked_mul(times)).collect::<Option<_>>().ok_or_else(refused)?;
        wider.marks = self.marks;
        Ok(wider)
    }

    pub(crate) fn save(&self, writer: &mut Writer) {
        writer.bytes(&self.marks);
        writer.numbers(&self.times);
        match &self.data {
            Data::I64(values) => writer.numbers(values),
            Data::F64(values) => writer.numbers(values),
            Data::I128(values) => writer.numbers(values),
            Data::Bytes(spans) | Data::Encoded(spans) => spans.save(writer),
        }
    }

    pub(crate) fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), StageError> {
        self.marks = reader.bytes()?.to_vec();
        self.times = reader.numbers()?;
        let length = match &mut self.data {
            Data::I64(values) => {
                *values = reader.numbers()?;
                values.len()
            }
            Data::F64(values) => {
                *values = reader.numbers()?;
                values.len()
            }
            Data::I128(values) => {
                *values = reader.numbers()?;
                values.len()
            }
            Data::Bytes(spans) | Data::Encoded(spans) => {
                *spans = Spans::load(reader)?;
                spans.spans.len()
            }
        };
        let timed = self.times.is_empty() || self.times.len() == groups;
        if self.marks.len() == groups && length == groups && timed {
            Ok(())
        } else {
            Err(broken("its values are not as many as its groups"))
        }
    }
}

/// Numbers in order, NaN above all.
fn order(one: f64, other: f64) -> Ordering {
    one.partial_cmp(&other).unwrap_or_else(|| one.is_nan().cmp(&other.is_nan()))
}

/// Decides which rows are taken.
struct Taker<'a> {
    rule: Rule,
    marks: &'a mut [u8],
    times: &'a mut [i64],
    row_times: Option<&'a [i64]>,
    nulls: Option<&'a NullBuffer>,
}

impl Taker<'_> {
    #[inline]
    fn run<H>(
        &mut self,
        rows: &[u32],
        groups: &[u32],
        held: &mut H,
        compare: impl Fn(&H, usize, usize) -> Ordering,
        mut take: impl FnMut(&mut H, usize, usize),
    ) {
        for (&row, &group) in rows.iter().zip(groups) {
            let (row, group) = (row as usize, group as usize);
            let is_null = self.nulls.is_some_and(|nulls| nulls.is_null(row));
            let unset = self.marks[group] == UNSET;
            let wanted = match self.rule {
                Rule::Min => !is_null && (unset || compare(held, group, row) == Ordering::Less),
                Rule::Max => !is_null && (unset || compare(held, group, row) == Ordering::Greater),
                Rule::First { skip_nulls } => {
                    !(is_null && skip_nulls) && (unset || self.row_times.is_some_and(|times| times[row] < self.times[group]))
                }
                Rule::Last { skip_nulls } => {
                    !(is_null && skip_nulls) && (unset || self.row_times.is_none_or(|times| times[row] >= self.times[group]))
                }
            };
            if wanted {
                self.marks[group] = if is_null { NULL } else { VALUE };
                if let Some(times) = self.row_times {
                    self.times[group] = times[row];
                }
                take(held, group, row);
            }
        }
    }
}

/// Bytes for each group, in one vector.
#[derive(Default)]
pub(crate) struct Spans {
    bytes: Vec<u8>,
    /// Start and length.
    spans: Vec<(u32, u32)>,
    /// Bytes that belong to no group any more.
    waste: usize,
}

impl Spans {
    pub(crate) fn get(&self, group: usize) -> &[u8] {
        let (start, length) = self.spans[group];
        &self.bytes[start as usize..(start + length) as usize]
    }

    pub(crate) fn set(&mut self, group: usize, bytes: &[u8]) {
        let (start, length) = self.spans[group];
        if bytes.len() <= length as usize {
            self.bytes[start as usize..start as usize + bytes.len()].copy_from_slice(bytes);
            self.waste += length as usize - bytes.len();
            self.spans[group] = (start, bytes.len() as u32);
        } else {
            self.waste += length as usize;
            self.spans[group] = (self.bytes.len() as u32, bytes.len() as u32);
            self.bytes.extend_from_slice(bytes);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(crate) fn grow(&mut self, groups: usize) {
        self.spans.resize(groups, (0, 0));
    }

    pub(crate) fn held(&self) -> usize {
        self.spans.capacity() * 8 + self.bytes.capacity()
    }

    /// Throws waste away where it is more than half.
    pub(crate) fn tidy(&mut self) {
        if self.waste < 64 << 10 || self.waste * 2 < self.bytes.len() {
            return;
        }
        let mut bytes = Vec::with_capacity(self.bytes.len() - self.waste);
        for span in &mut self.spans {
            let start = bytes.len() as u32;
            bytes.extend_from_slice(&self.bytes[span.0 as usize..(span.0 + span.1) as usize]);
            span.0 = start;
        }
        self.bytes = bytes;
        self.waste = 0;
    }

    pub(crate) fn save(&self, writer: &mut Writer) {
        let lengths: Vec<u32> = self.spans.iter().map(|span| span.1).collect();
        writer.numbers(&lengths);
        let live: usize = lengths.iter().map(|length| *length as usize).sum();
        writer.number(live as u64);
        (0..self.spans.len()).for_each(|group| writer.raw(self.get(group)));
    }

    pub(crate) fn load(reader: &mut Reader<'_>) -> Result<Self, StageError> {
        let lengths = reader.numbers::<u32>()?;
        let bytes = reader.bytes()?.to_vec();
        let mut start = 0u32;
        let mut spans = Vec::with_capacity(lengths.len());
        for length in lengths {
            spans.push((start, length));
            start = start.checked_add(length).ok_or_else(|| broken("its values are too long"))?;
        }
        if start as usize == bytes.len() {
            Ok(Self { bytes, spans, waste: 0 })
        } else {
            Err(broken("its values do not end where they should"))
        }
    }
}
