//! Finds the fields of the rows of a batch, before any of them is parsed.

use super::dialect::{Dialect, Quoted};

/// Where fields start. Column by column: the starts of one column's fields stand together, so that a column is parsed in one tight loop.
///
/// A field ends one byte before the next column's field starts; one more column says where the last field ends.
pub(super) struct Index {
    starts: Vec<u32>,
    stride: usize,
    /// Columns of a row.
    columns: usize,
    /// Rows that have as many fields as there are columns.
    pub(super) rows: usize,
}

/// A row that the index leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Odd {
    /// It has this many fields.
    Ragged(usize),
    /// A quote that opens a field does not close it.
    Stray,
}

impl Index {
    /// Makes an index for rows of so many columns.
    pub(super) fn new(columns: usize, rows: usize) -> Self {
        // Not a power of two, or all columns would fight for the same lines of the cache.
        let stride = rows + 16;
        Self { starts: vec![0; stride * (columns + 1)], stride, columns, rows: 0 }
    }

    /// Forgets all rows.
    pub(super) fn clear(&mut self) {
        self.rows = 0;
    }

    /// The fields of a column: for each row, where it starts and ends.
    pub(super) fn column(&self, column: usize) -> impl ExactSizeIterator<Item = (usize, usize)> + Clone + '_ {
        let starts = &self.starts[column * self.stride..][..self.rows];
        let ends = &self.starts[(column + 1) * self.stride..][..self.rows];
        starts.iter().zip(ends).map(|(&start, &end)| (start as usize, end as usize - 1))
    }

    /// Where a field starts and ends.
    pub(super) fn field(&self, column: usize, row: usize) -> (usize, usize) {
        (self.starts[column * self.stride + row] as usize, self.starts[(column + 1) * self.stride + row] as usize - 1)
    }
}

/// Walks through the bytes that mean something: delimiter, line feed, quote; 64 bytes at a time.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    dialect: Dialect,
    block: usize,
    mask: u64,
}

impl<'a> Walk<'a> {
    /// Starts at an offset.
    pub(super) fn new(bytes: &'a [u8], dialect: Dialect, at: usize) -> Self {
        let mut walk = Self { bytes, dialect, block: 0, mask: 0 };
        walk.seek(at);
        walk
    }

    /// Goes on at an offset.
    #[inline]
    fn seek(&mut self, at: usize) {
        let block = at & !63;
        if block != self.block || self.mask == 0 {
            self.block = block;
            self.mask = self.load(block);
        }
        self.mask &= u64::MAX << (at & 63);
    }

    #[inline]
    fn load(&self, block: usize) -> u64 {
        match self.bytes.get(block..block + 64) {
            Some(bytes) => meaning(bytes.try_into().expect("64 bytes were asked for"), self.dialect),
            None => self.load_last(block),
        }
    }

    #[cold]
    fn load_last(&self, block: usize) -> u64 {
        let Some(rest) = self.bytes.get(block..).filter(|rest| !rest.is_empty()) else { return 0 };
        let mut padded = [0u8; 64];
        padded[..rest.len()].copy_from_slice(rest);
        meaning(&padded, self.dialect)
    }

    /// The next byte that means something.
    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.mask == 0 {
            self.block += 64;
            if self.block >= self.bytes.len() {
                return None;
            }
            self.mask = self.load(self.block);
        }
        let at = self.block + self.mask.trailing_zeros() as usize;
        self.mask &= self.mask - 1;
        Some(at)
    }

    /// Adds the row at `start` to the index; answers where the next line starts and, where the row is left out, why.
    #[inline]
    pub(super) fn row(&mut self, index: &mut Index, start: usize) -> (usize, Option<Odd>) {
        let Dialect { delimiter, quote, .. } = self.dialect;
        let mut slot = index.rows;
        index.starts[slot] = start as u32;
        let mut field = start;
        let mut fields = 1;
        loop {
            let Some(at) = self.next() else {
                let end = self.bytes.len();
                return self.end_row(index, fields, start, end, end);
            };
            let byte = self.bytes[at];
            if byte == delimiter {
                field = at + 1;
                fields += 1;
                if fields <= index.columns {
                    slot += index.stride;
                    index.starts[slot] = field as u32;
                }
            } else if byte == b'\n' {
                return self.end_row(index, fields, start, at, at + 1);
            } else if at == field && byte == quote {
                match self.dialect.quoted_end(self.bytes, at, true) {
                    Quoted::Closed(close) => self.seek(close + 1),
                    Quoted::Stray | Quoted::More => {
                        let next = memchr::memchr(b'\n', &self.bytes[at..]).map_or(self.bytes.len(), |end| at + end + 1);
                        self.seek(next);
                        return (next, Some(Odd::Stray));
                    }
                }
            }
        }
    }

    #[inline]
    fn end_row(&self, index: &mut Index, fields: usize, start: usize, end: usize, next: usize) -> (usize, Option<Odd>) {
        if fields != index.columns {
            return (next, Some(Odd::Ragged(fields)));
        }
        let end = if end > start && self.bytes[end - 1] == b'\r' { end - 1 } else { end };
        index.starts[index.columns * index.stride + index.rows] = end as u32 + 1;
        index.rows += 1;
        (next, None)
    }

    /// Leaves out bytes up to `next`.
    pub(super) fn skip_to(&mut self, next: usize) {
        self.seek(next);
    }
}

/// One bit a byte that means something.
#[cfg(target_arch = "x86_64")]
#[inline]
fn meaning(bytes: &[u8; 64], dialect: Dialect) -> u64 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8};
    let word = |at: usize| i64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes were asked for"));
    // SAFETY: SSE2 belongs to every x86-64 processor.
    unsafe {
        let delimiter = _mm_set1_epi8(dialect.delimiter as i8);
        let quote = _mm_set1_epi8(dialect.quote as i8);
        let line = _mm_set1_epi8(b'\n' as i8);
        let mut mask = 0;
        for part in 0..4 {
            let bytes = _mm_set_epi64x(word(part * 16 + 8), word(part * 16));
            let either = _mm_or_si128(_mm_cmpeq_epi8(bytes, delimiter), _mm_cmpeq_epi8(bytes, line));
            let any = _mm_or_si128(either, _mm_cmpeq_epi8(bytes, quote));
            mask |= u64::from(_mm_movemask_epi8(any) as u32) << (part * 16);
        }
        mask
    }
}

/// One bit a byte that means something.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn meaning(bytes: &[u8; 64], dialect: Dialect) -> u64 {
    let mut mask = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let any = (byte == dialect.delimiter) | (byte == dialect.quote) | (byte == b'\n');
        mask |= u64::from(any) << at;
    }
    mask
}
