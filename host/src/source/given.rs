//! Rows that a caller gives as JSON lines: read as the JSON lines source reads a file.

use std::sync::Arc;

use arrow_schema::SchemaRef;

use super::cut::Text;
use super::json::{ParseJson, chunk};
use super::layout::{Layout, object};
use super::tape::{Node, Tape, parse_json};
use super::target::{Kind, Members};
use super::{Decoded, ReadOptions};
use crate::batch::Position;
use crate::config::extract::{FileSource, Reading};
use crate::error::Result;

/// Rows in memory, batch by batch.
#[derive(Debug)]
pub struct Given {
    /// The schema of all of them.
    pub schema: SchemaRef,
    /// The batches in order, each of so many rows as `options` say, the last one aside.
    pub batches: Vec<Decoded>,
}

/// Reads JSON lines, one object each; `name` is what messages call them.
///
/// Types are inferred from all rows, by the lattice of the JSON sources, or pinned by `reading`.
///
/// # Errors
/// Data, where a line does not parse or a value does not fit and the policy of `reading` says that this fails.
pub fn given(lines: &str, name: &str, reading: &Reading, options: &ReadOptions) -> Result<Given> {
    let mut ranges = Vec::new();
    let mut start = 0;
    let mut kind = Kind::Object(Members::default());
    for line in lines.split_inclusive('\n') {
        let content = line.trim_end_matches(['\r', '\n']);
        if !content.trim().is_empty() {
            ranges.push((start as u32, (start + content.len()) as u32));
            let mut tape = Tape::default();
            if parse_json(content, &mut tape).is_ok() && matches!(tape.nodes.first(), Some(Node::Object(_))) {
                tape.infer(0, &mut kind);
            }
        }
        start += line.len();
    }
    let layout = Arc::new(Layout::new(object(kind).with_optional(), &FileSource::of(name), reading, options)?);
    let schema = layout.schema.clone();
    let rows = ranges.len();
    let first = Position { line: 1, ..Position::default() };
    let next = Position { row: rows as u64, ..first.clone() };
    let text = Text { bytes: lines.as_bytes().to_vec(), ranges, rows, too_long: Vec::new(), first, next };
    let batches = match rows {
        0 => Vec::new(),
        _ => chunk(text, ParseJson, &layout, &Arc::from(name)).decode().collect::<Result<_>>()?,
    };
    Ok(Given { schema, batches })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    #[test]
    fn rows_are_typed_by_all_of_them_or_pinned_and_cut_into_batches() {
        let lines = "{\"a\":1,\"zip\":8001}\n\n{\"a\":2.5,\"zip\":\"08002\"}\n{\"a\":null,\"b\":true}\n";
        let reading = Reading { schema: [("b".to_owned(), etl_steps::Type::String)].into(), ..Reading::default() };
        let options = ReadOptions { batch_rows: NonZeroUsize::new(2).unwrap(), exact: true, ..ReadOptions::default() };
        let Given { schema, batches } = given(lines, "rows", &reading, &options).unwrap();
        let types: Vec<String> = schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
        assert_eq!(types, ["a Float64", "zip Utf8", "b Utf8"]);
        let mut out = Vec::new();
        batches.iter().for_each(|decoded| crate::json::write_lines(&decoded.batch.rows, &mut out));
        let expected =
            "{\"a\":1.0,\"zip\":\"8001\",\"b\":null}\n{\"a\":2.5,\"zip\":\"08002\",\"b\":null}\n{\"a\":null,\"zip\":null,\"b\":\"true\"}\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let numbers: Vec<(u64, u64)> = batches.iter().map(|decoded| (decoded.batch.sequence, decoded.batch.origin.rows.get(0))).collect();
        assert_eq!(numbers, [(0, 1), (1, 3)]);
    }
}
