//! Builds a text column: one buffer of bytes, one of offsets.

use arrow_array::StringArray;
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

/// A text column on its way. What is pushed must be whole UTF-8 texts, which the callers' types make sure of.
pub(crate) struct TextBuilder {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
}

impl TextBuilder {
    /// Starts a column of `rows` texts of about `bytes` bytes in all.
    pub(crate) fn new(rows: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { bytes: Vec::with_capacity(bytes), offsets }
    }

    /// Adds a piece to the current text.
    #[inline]
    pub(crate) fn push(&mut self, text: &str) {
        append(&mut self.bytes, text.as_bytes());
    }

    /// Lends the bytes of the current text to a writer of [`crate::format`] or [`crate::json`], all of which write UTF-8.
    #[inline]
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends the current text.
    ///
    /// # Panics
    /// Where a batch has more than 2 GiB of text: the memory limit of a stage is far below.
    #[inline]
    pub(crate) fn end(&mut self) {
        self.offsets.push(i32::try_from(self.bytes.len()).expect("a batch has less than 2 GiB of text"));
    }

    /// Ends the column.
    pub(crate) fn finish(self, nulls: Option<NullBuffer>) -> StringArray {
        // SAFETY: offsets start at 0, never fall and end at the buffer's length; every piece was UTF-8, and so is what they join to.
        unsafe {
            let offsets = OffsetBuffer::new_unchecked(ScalarBuffer::from(self.offsets));
            StringArray::new_unchecked(offsets, Buffer::from_vec(self.bytes), nulls)
        }
    }
}

/// Appends bytes; as `extend_from_slice`, but short ones in a few moves, because a copy of a length not known beforehand is a call out of
/// the sandbox's compiled code.
#[inline]
pub(crate) fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = bytes.len();
    if length > 32 {
        return out.extend_from_slice(bytes);
    }
    out.reserve(length);
    let from = bytes.as_ptr();
    // SAFETY: `length` bytes can be read at `from` and, after `reserve`, written at `to`; every move below stays within them, the last
    // ones overlap those before, and `out` and `bytes` are apart because one is borrowed mutably.
    unsafe {
        let to = out.as_mut_ptr().add(out.len());
        macro_rules! both_ends {
            ($size:literal) => {{
                from.cast::<[u8; $size]>().copy_to_nonoverlapping(to.cast(), 1);
                from.add(length - $size).cast::<[u8; $size]>().copy_to_nonoverlapping(to.add(length - $size).cast(), 1);
            }};
        }
        match length {
            16.. => both_ends!(16),
            8.. => both_ends!(8),
            4.. => both_ends!(4),
            2.. => both_ends!(2),
            1 => *to = *from,
            0 => {}
        }
        out.set_len(out.len() + length);
    }
}

/// Makes a column of the same text in every row.
pub(crate) fn repeat(text: &str, rows: usize) -> StringArray {
    let length = i32::try_from(text.len() * rows).map(|_| text.len() as i32).expect("a batch has less than 2 GiB of text");
    let offsets = (0..=rows as i32).map(|row| row * length).collect();
    TextBuilder { bytes: text.repeat(rows).into_bytes(), offsets }.finish(None)
}

/// The name that is most like another, where one is like enough for a slip of the finger.
pub(crate) fn near<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).max(1);
    names.map(|other| (distance(name, other), other)).min().filter(|(distance, _)| *distance <= allowed).map(|(_, other)| other)
}

/// Letters to put in, leave out or change to make one text of another, whatever their case.
fn distance(left: &str, right: &str) -> usize {
    let [left, right] = [left, right].map(|text| text.to_lowercase().chars().collect::<Vec<char>>());
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, letter) in left.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], above + 1);
        for (index, other) in right.iter().enumerate() {
            let changed = diagonal + usize::from(letter != other);
            diagonal = row[index + 1];
            row[index + 1] = changed.min(diagonal + 1).min(row[index] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_arrive_whole() {
        let all: Vec<u8> = (0..40).collect();
        for length in 0..=all.len() {
            let mut out = vec![99];
            append(&mut out, &all[..length]);
            append(&mut out, &all[40 - length..]);
            assert_eq!(out, [&[99], &all[..length], &all[40 - length..]].concat());
        }
    }
}
