//! Rows as bytes that compare as their values do, and a table that numbers those that differ.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::{DataType, SortOptions};
use etl_sdk::StageError;
use hashbrown::HashTable;

use crate::state::{Reader, Writer, broken, hash};

/// Encodes columns, row by row.
pub(crate) struct Encoder {
    converter: RowConverter,
    rows: Rows,
}

impl Encoder {
    pub(crate) fn new(fields: impl IntoIterator<Item = (DataType, SortOptions)>) -> Result<Self, StageError> {
        let fields = fields.into_iter().map(|(data_type, options)| SortField::new_with_options(data_type, options)).collect();
        let converter = RowConverter::new(fields)?;
        let rows = converter.empty_rows(0, 0);
        Ok(Self { converter, rows })
    }

    /// Whether values of a type can be encoded.
    pub(crate) fn takes(data_type: &DataType) -> bool {
        RowConverter::supports_fields(&[SortField::new(data_type.clone())])
    }

    /// Encodes the rows of a batch; one column at least.
    pub(crate) fn encode(&mut self, columns: &[ArrayRef]) -> Result<&Rows, StageError> {
        self.rows.clear();
        let columns: Vec<ArrayRef> = columns.iter().map(one_zero).collect();
        self.converter.append(&mut self.rows, &columns)?;
        Ok(&self.rows)
    }

    /// The rows that were encoded last.
    pub(crate) fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Makes columns of encoded rows.
    pub(crate) fn decode<'a>(&self, rows: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>, StageError> {
        let parser = self.converter.parser();
        // The parser borrows each row as long as itself.
        let rows: Vec<&[u8]> = rows.into_iter().collect();
        Ok(self.converter.convert_rows(rows.iter().map(|row| parser.parse(row)))?)
    }
}

/// Makes all zeros one and all NaN one, as `=` has it in SQL.
fn one_zero(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Float64 => Arc::new(
            array.as_primitive::<Float64Type>().unary::<_, Float64Type>(|value| if value.is_nan() { f64::NAN } else { value + 0.0 }),
        ),
        DataType::Float32 => Arc::new(
            array.as_primitive::<Float32Type>().unary::<_, Float32Type>(|value| if value.is_nan() { f32::NAN } else { value + 0.0 }),
        ),
        _ => array.clone(),
    }
}

/// Numbers keys from 0 in the order in which they first came.
#[derive(Default)]
pub(crate) struct Table {
    /// The upper half of an entry is a hash, the lower one the key's number.
    entries: HashTable<u64>,
    bytes: Vec<u8>,
    /// Where each key ends in `bytes`.
    ends: Vec<usize>,
}

impl Table {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes that it holds.
    pub(crate) fn held(&self) -> usize {
        self.entries.allocation_size() + self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    /// The key of a number.
    pub(crate) fn key(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[number]]
    }

    /// The number of a key, and whether it is new.
    #[inline]
    pub(crate) fn number(&mut self, key: &[u8]) -> (u32, bool) {
        let short = hash(key) & 0xFFFF_FFFF;
        let (bytes, ends) = (&self.bytes, &self.ends);
        let is_key = |entry: &u64| {
            entry >> 32 == short && {
                let number = (entry & 0xFFFF_FFFF) as usize;
                let start = number.checked_sub(1).map_or(0, |before| ends[before]);
                bytes[start..ends[number]] == *key
            }
        };
        if let Some(entry) = self.entries.find(spread(short), is_key) {
            return (*entry as u32, false);
        }
        let number = self.ends.len() as u32;
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
        self.entries.insert_unique(spread(short), short << 32 | u64::from(number), |entry| spread(entry >> 32));
        (number, true)
    }

    /// Encodes all keys anew: `prefix` bytes of each stay as they are, the columns of the others go through `widen`. Numbers stay.
    pub(crate) fn recode(
        self,
        prefix: usize,
        old: Option<&Encoder>,
        new: Option<&mut Encoder>,
        widen: impl Fn(Vec<ArrayRef>, usize) -> Result<Vec<ArrayRef>, StageError>,
    ) -> Result<Self, StageError> {
        let Some(new) = new else { return Ok(self) };
        let mut table = Self::default();
        let mut bytes = Vec::new();
        for start in (0..self.len()).step_by(crate::groups::ROWS_OUT) {
            let numbers = start..(start + crate::groups::ROWS_OUT).min(self.len());
            let columns = match old {
                Some(old) => old.decode(numbers.clone().map(|number| &self.key(number)[prefix..]))?,
                None => Vec::new(),
            };
            let rows = new.encode(&widen(columns, numbers.len())?)?;
            for (row, number) in rows.iter().zip(numbers) {
                bytes.clear();
                bytes.extend_from_slice(&self.key(number)[..prefix]);
                bytes.extend_from_slice(row.data());
                if !table.number(&bytes).1 {
                    return Err(StageError::internal("keys", "two keys have become one"));
                }
            }
        }
        Ok(table)
    }

    pub(crate) fn save(&self, writer: &mut Writer) {
        let lengths: Vec<u32> = (0..self.len()).map(|number| self.key(number).len() as u32).collect();
        writer.numbers(&lengths);
        writer.bytes(&self.bytes);
    }

    pub(crate) fn load(reader: &mut Reader<'_>) -> Result<Self, StageError> {
        let lengths = reader.numbers::<u32>()?;
        let mut bytes = reader.bytes()?;
        let mut table = Self::default();
        table.bytes.reserve_exact(bytes.len());
        table.ends.reserve_exact(lengths.len());
        for length in lengths {
            let (key, rest) = bytes.split_at_checked(length as usize).ok_or_else(|| broken("a key is cut off"))?;
            if !table.number(key).1 {
                return Err(broken("a key stands twice"));
            }
            bytes = rest;
        }
        if bytes.is_empty() { Ok(table) } else { Err(broken("there is more than its keys")) }
    }
}

/// The hash of an entry: a table looks at the highest and the lowest bits.
fn spread(short: u64) -> u64 {
    short.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
