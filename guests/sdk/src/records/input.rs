//! What a record transform reads from.

use super::Row;

/// The rows of a batch, each with its number, from 0; they are parsed as they are asked for.
pub struct RecordInput<'a> {
    lines: &'a [u8],
    next: u32,
    num_rows: u32,
    sequence: u64,
    first_row: u32,
}

impl<'a> RecordInput<'a> {
    /// Reads rows from JSON lines.
    pub(crate) fn new(lines: &'a [u8], num_rows: u32, sequence: u64, first_row: u32) -> Self {
        Self { lines, next: 0, num_rows, sequence, first_row }
    }

    /// The number of rows.
    pub fn num_rows(&self) -> usize {
        self.num_rows as usize
    }

    /// The batch's number in the run, the same when it is tried again.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The number of row 0 within the batch of that sequence: not 0 where the host passes a part of a batch to find a guilty row.
    pub fn first_row(&self) -> u32 {
        self.first_row
    }
}

impl Iterator for RecordInput<'_> {
    type Item = (u32, Row);

    /// Parses the next row.
    ///
    /// # Panics
    /// Where the host did not keep to the contract: a line that is not a JSON object.
    fn next(&mut self) -> Option<(u32, Row)> {
        if self.lines.is_empty() {
            return None;
        }
        // The end of a line is where the parser stops, so that each byte is looked at once.
        let mut rows = serde_json::Deserializer::from_slice(self.lines).into_iter::<Row>();
        let row = match rows.next()? {
            Ok(row) => row,
            Err(error) => panic!("the host sent a row {} that is no JSON object: {error}", self.next),
        };
        let rest = &self.lines[rows.byte_offset()..];
        self.lines = rest.strip_prefix(b"\n").unwrap_or(rest);
        let number = self.next;
        self.next += 1;
        Some((number, row))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn rows_come_one_by_one_with_their_numbers() {
        let lines = b"{\"b\":\"x\\n\",\"a\":0.1}\n{}\n{\"a\":{\"n\":[9007199254740993]}}\n";
        let rows: Vec<_> = RecordInput::new(lines, 3, 0, 0).map(|(number, row)| (number, Value::Object(row))).collect();
        assert_eq!(rows, [(0, json!({"b": "x\n", "a": 0.1})), (1, json!({})), (2, json!({"a": {"n": [9_007_199_254_740_993_i64]}}))]);
    }

    #[test]
    #[should_panic = "the host sent a row 1 that is no JSON object"]
    fn a_broken_line_is_a_bug_of_the_host() {
        RecordInput::new(b"{}\n[]\n", 2, 0, 0).for_each(drop);
    }
}
