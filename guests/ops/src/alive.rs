//! Which rows are still there.

use arrow_buffer::{BooleanBuffer, Buffer};

/// One bit a row: set while the row has been neither filtered out nor rejected.
#[derive(Clone, Debug)]
pub(crate) struct Alive {
    words: Vec<u64>,
    rows: usize,
    whole: bool,
}

impl Alive {
    /// All rows.
    pub(crate) fn all(rows: usize) -> Self {
        Self { words: vec![u64::MAX; rows.div_ceil(64)], rows, whole: true }
    }

    /// Whether all rows are there.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether a row is there.
    #[inline]
    pub(crate) fn has(&self, row: usize) -> bool {
        self.words[row / 64] >> (row % 64) & 1 == 1
    }

    /// Takes a row out.
    pub(crate) fn kill(&mut self, row: usize) {
        self.words[row / 64] &= !(1 << (row % 64));
        self.whole = false;
    }

    /// Takes out the rows that do not pass; asks for all rows, those already gone too.
    #[inline]
    pub(crate) fn retain(&mut self, mut pass: impl FnMut(usize) -> bool) {
        let mut lost = 0;
        for (index, word) in self.words.iter_mut().enumerate() {
            let start = index * 64;
            let mut bits = 0u64;
            for bit in 0..64.min(self.rows - start) {
                bits |= u64::from(pass(start + bit)) << bit;
            }
            let before = *word;
            *word &= bits;
            // The bits behind the last row are set at first and mean nothing.
            lost |= before & !bits & (u64::MAX >> (64 - 64.min(self.rows - start)));
        }
        self.whole &= lost == 0;
    }

    /// The rows that are there, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.rows).filter(|row| self.has(*row))
    }

    /// The bits; `None` where all rows are there.
    pub(crate) fn into_keep(self) -> Option<BooleanBuffer> {
        let Self { words, rows, whole } = self;
        let little: Vec<u64> = words.into_iter().map(u64::to_le).collect();
        (!whole).then(|| BooleanBuffer::new(Buffer::from_vec(little), 0, rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_and_never_come_back() {
        let mut alive = Alive::all(130);
        alive.retain(|_| true);
        assert!(alive.is_whole() && alive.clone().into_keep().is_none());
        alive.kill(64);
        alive.retain(|row| row % 2 == 0);
        assert_eq!(alive.rows().collect::<Vec<_>>(), (0..130).step_by(2).filter(|row| *row != 64).collect::<Vec<_>>());
        assert_eq!(alive.into_keep().map(|keep| (keep.len(), keep.count_set_bits())), Some((130, 64)));
        assert!(Alive::all(0).rows().next().is_none());
    }
}
