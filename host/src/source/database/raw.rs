//! Rows as a database sends them, cell after cell, not looked into yet.

use crate::source::cut::{BATCH_LIMIT, ROW_LIMIT};

/// The length of a cell that is null.
const NULL: u32 = u32::MAX;

/// Some rows.
#[derive(Debug, Default)]
pub(super) struct Raw {
    bytes: Vec<u8>,
    /// For each cell where it starts, and how long it is or [`NULL`].
    cells: Vec<(u32, u32)>,
    /// Cells of a row.
    width: usize,
    /// Rows behind which a batch ends.
    pub(super) batches: Vec<usize>,
    /// Rows that are too long, whose cells are null.
    pub(super) too_long: Vec<u32>,
}

impl Raw {
    pub(super) fn new(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.cells.len() / self.width
    }

    /// How many cells a row has.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Bytes of all of them.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + self.cells.len() * size_of::<(u32, u32)>()
    }

    /// A cell; none where it is null.
    pub(super) fn cell(&self, row: usize, column: usize) -> Option<&[u8]> {
        let (start, length) = self.cells[row * self.width + column];
        (length != NULL).then(|| &self.bytes[start as usize..(start + length) as usize])
    }

    /// Adds a cell to the last row; `write` puts its bytes behind the others.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let start = self.bytes.len();
        let present = write(&mut self.bytes);
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(NULL);
        self.cells.push((start as u32, if present { length } else { NULL }));
    }

    /// Ends a row; of one that is too long only the cell `kept` stays. `batch_rows` are those of a batch.
    pub(super) fn end_row(&mut self, batch_rows: usize, kept: Option<usize>) {
        let row = self.rows() - 1;
        let start = self.cells[row * self.width].0 as usize;
        if self.bytes.len() - start > ROW_LIMIT {
            let cell = kept.and_then(|column| Some((column, self.cell(row, column)?.to_vec())));
            self.bytes.truncate(start);
            self.bytes.shrink_to(BATCH_LIMIT * 2);
            self.cells[row * self.width..].fill((start as u32, NULL));
            if let Some((column, cell)) = cell.filter(|(_, cell)| cell.len() <= ROW_LIMIT / 2) {
                self.cells[row * self.width + column].1 = cell.len() as u32;
                self.bytes.extend_from_slice(&cell);
            }
            self.too_long.push(row as u32);
        }
        let first = self.batches.last().copied().unwrap_or(0);
        let bytes = self.bytes.len() - self.cells.get(first * self.width).map_or(0, |(start, _)| *start as usize);
        if row + 1 - first >= batch_rows || bytes >= BATCH_LIMIT {
            self.batches.push(row + 1);
        }
    }

    /// Takes the last row back.
    pub(super) fn drop_row(&mut self) {
        let row = self.rows() - 1;
        self.bytes.truncate(self.cells[row * self.width].0 as usize);
        self.cells.truncate(row * self.width);
        self.batches.pop_if(|end| *end > row);
        self.too_long.pop_if(|number| *number as usize >= row);
    }

    /// Whether a batch ends behind the last row.
    pub(super) fn is_whole(&self) -> bool {
        self.batches.last().copied().unwrap_or(0) == self.rows()
    }

    /// Ends the last batch.
    pub(super) fn end(&mut self) {
        if !self.is_whole() {
            self.batches.push(self.rows());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(raw: &mut Raw, cells: [Option<&[u8]>; 2]) {
        for cell in cells {
            raw.push(|bytes| {
                bytes.extend_from_slice(cell.unwrap_or_default());
                cell.is_some()
            });
        }
        raw.end_row(2, Some(0));
    }

    #[test]
    fn rows_are_kept_cell_by_cell_and_cut_into_batches() {
        let mut raw = Raw::new(2);
        for row in [[Some(&b"a"[..]), None], [Some(&b""[..]), Some(&b"bc"[..])], [None, Some(&b"d"[..])]] {
            add(&mut raw, row);
        }
        assert_eq!(
            (raw.cell(0, 0), raw.cell(0, 1), raw.cell(1, 0), raw.cell(2, 1)),
            (Some(&b"a"[..]), None, Some(&b""[..]), Some(&b"d"[..]))
        );
        assert_eq!((raw.rows(), raw.batches.as_slice(), raw.is_whole()), (3, &[2][..], false));
        raw.drop_row();
        assert!(raw.is_whole());
        raw.drop_row();
        assert_eq!((raw.rows(), raw.batches.len()), (1, 0));
        raw.end();
        assert_eq!(raw.batches, [1]);
    }

    #[test]
    fn of_a_row_that_is_too_long_its_place_and_key_stay() {
        let mut raw = Raw::new(2);
        add(&mut raw, [Some(b"1"), Some(b"x")]);
        add(&mut raw, [Some(b"2"), Some(&vec![b'x'; ROW_LIMIT])]);
        add(&mut raw, [Some(b"3"), Some(b"y")]);
        assert_eq!((raw.cell(1, 0), raw.cell(1, 1), raw.cell(2, 1)), (Some(&b"2"[..]), None, Some(&b"y"[..])));
        assert_eq!((raw.rows(), raw.too_long.as_slice()), (3, &[1][..]));
        assert!(raw.size() < 200);
    }
}
