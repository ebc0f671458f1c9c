//! JSON lines in memory: what a transform of the records world emits.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};

use super::layout::{Column, Layout, object};
use super::nested::Columns;
use super::tape::{Node, Tape, parse_json};
use super::target::{Kind, Members};
use crate::config::extract::OnParseError;
use crate::error::{Context, Error, Result};

/// Reads JSON lines into columns whose types are those of all its rows together, by the lattice of the sources.
///
/// # Errors
/// Guest, naming the line that is no JSON object.
pub fn read_lines(lines: &[u8]) -> Result<RecordBatch> {
    let text = std::str::from_utf8(lines).map_err(|error| Error::guest(format!("the lines are not UTF-8, from byte {} on", error.valid_up_to())))?;
    let mut kind = Kind::Object(Members::default());
    let mut tapes = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut tape = Tape::default();
        parse_json(line, &mut tape).map_err(|bad| Error::guest(format!("line {} {}", index + 1, bad.message)))?;
        if !matches!(tape.nodes.first(), Some(Node::Object(_))) {
            return Err(Error::guest(format!("line {} is not a JSON object", index + 1)));
        }
        tape.infer(0, &mut kind);
        tapes.push(tape);
    }
    let layout = layout(object(kind), tapes.len());
    let mut columns = Columns::new(&layout, &[], tapes.len());
    for (index, tape) in tapes.iter().enumerate() {
        if let Some((column, misfit)) = columns.append(tape, &layout) {
            return Err(Error::guest(format!("line {} {}", index + 1, misfit.bad(column, &layout).message)));
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(tapes.len()));
    RecordBatch::try_new_with_options(layout.schema.clone(), columns.finish()?, &options).bug(|| "columns of one batch do not fit together".into())
}

/// The columns of just these rows.
fn layout(members: Members, rows: usize) -> Layout {
    let columns: Vec<Column> = members
        .into_iter()
        .map(|(name, kind)| Column { name, target: kind.target(), pinned: false, converted: false })
        .collect();
    let fields: Vec<Field> = columns.iter().map(|column| Field::new(&column.name, column.target.data_type(), true)).collect();
    Layout {
        schema: Arc::new(Schema::new(fields)),
        columns,
        unused: Default::default(),
        chosen: false,
        batch_rows: rows,
        exact: false,
        chunk_bytes: usize::MAX,
        on_parse_error: OnParseError::Fail,
        infer_rows: rows,
    }
}

#[cfg(test)]
mod tests {
    use super::read_lines;

    #[test]
    fn types_are_those_of_all_rows_together() {
        let rows = read_lines(b"{\"a\":1,\"b\":{\"c\":[1]}}\n{\"b\":null,\"d\":\"x\"}\n{\"a\":2.5}\n").unwrap();
        let mut out = Vec::new();
        crate::json::write_lines(&rows, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                "{\"a\":1.0,\"b\":{\"c\":[1]},\"d\":null}\n",
                "{\"a\":null,\"b\":null,\"d\":\"x\"}\n",
                "{\"a\":2.5,\"b\":null,\"d\":null}\n"
            )
        );
    }

    #[test]
    fn a_line_that_is_no_object_is_named() {
        assert_eq!(read_lines(b"{}\n[1]\n").unwrap_err().one_line(), "line 2 is not a JSON object");
    }
}
