//! JSON lines in memory: what a transform of the records world emits.

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Fields};

use super::layout::{Column, Layout, object, schema_of};
use super::nested::Columns;
use super::tape::{Node, Tape, parse_json};
use super::target::{Kind, Members};
use crate::config::extract::OnParseError;
use crate::error::{Context, Error, Result};

/// Columns that lines may have, nested ones included: as many as a schema of the contract.
const MAX_COLUMNS: usize = 4096;

/// Bytes of a column's name, as in the contract.
const MAX_NAME: usize = 255;

/// Cells that lines may make: a row of one key costs a cell in every column that another row has.
const MAX_CELLS: usize = 1 << 25;

/// Reads JSON lines into columns whose types are those of all its rows together, by the lattice of the sources.
///
/// # Errors
/// Guest, naming the line that is no JSON object.
pub fn read_lines(lines: &[u8]) -> Result<RecordBatch> {
    let text = std::str::from_utf8(lines)
        .map_err(|error| Error::guest(format!("the lines are not UTF-8, from byte {} on", error.valid_up_to())))?;
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
    let layout = layout(object(kind).with_optional(), tapes.len());
    if let Some(column) = layout.columns.iter().find(|column| column.name.len() > MAX_NAME) {
        return Err(Error::guest(format!("they have a column whose name is {} bytes long, the limit is {MAX_NAME}", column.name.len())));
    }
    let columns = count(layout.schema.fields());
    if columns > MAX_COLUMNS {
        return Err(Error::guest(format!("they have {columns} columns, the limit is {MAX_COLUMNS}")));
    }
    if columns.saturating_mul(tapes.len()) > MAX_CELLS {
        return Err(Error::guest(format!("they make {} rows of {columns} columns, the limit is {MAX_CELLS} cells", tapes.len())));
    }
    let mut columns = Columns::new(&layout, &[], tapes.len());
    for (index, tape) in tapes.iter().enumerate() {
        if let Some((column, misfit)) = columns.append(tape, &layout) {
            let bad = misfit.bad(column, &layout);
            let place = bad.field.map(|field| format!(", column `{field}`:")).unwrap_or_default();
            return Err(Error::guest(format!("line {}{place} {}", index + 1, bad.message)));
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(tapes.len()));
    RecordBatch::try_new_with_options(layout.schema.clone(), columns.finish()?, &options)
        .bug(|| "columns of one batch do not fit together".into())
}

/// Counts columns and those within them.
fn count(fields: &Fields) -> usize {
    fields.iter().map(|field| within(field.data_type()) + 1).sum()
}

fn within(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => count(fields),
        DataType::List(item) => within(item.data_type()) + 1,
        _ => 0,
    }
}

/// The columns of just these rows.
fn layout(members: Members, rows: usize) -> Layout {
    let lacking = members.lacking();
    let mut columns: Vec<Column> = members.into_iter().map(|(name, kind)| Column::of(name, kind.target(), false)).collect();
    columns.iter_mut().for_each(|column| column.absent = lacking(&column.name));
    Layout {
        schema: schema_of(&columns),
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
    fn a_row_lacks_what_it_lacked_and_has_values_of_any_kind_as_they_were() {
        let lines = "{\"a\":1,\"b\":null,\"m\":\"t\"}\n{\"b\":2,\"m\":[{}]}\n{\"a\":3,\"b\":4,\"n\":{\"e\":{},\"l\":[\"x\",[1]]}}\n";
        let mut out = Vec::new();
        crate::json::write_records(&read_lines(lines.as_bytes()).unwrap(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), lines);
    }

    #[test]
    fn more_columns_or_cells_than_the_host_should_hold_are_refused() {
        let wide: String = (0..5000).map(|key| format!("{{\"k{key}\":1}}\n")).collect();
        assert_eq!(read_lines(wide.as_bytes()).unwrap_err().one_line(), "they have 5000 columns, the limit is 4096");
        let keys: Vec<String> = (0..4000).map(|key| format!("\"k{key}\":1")).collect();
        let long = format!("{{{}}}\n{}", keys.join(","), "{}\n".repeat(8999));
        assert_eq!(read_lines(long.as_bytes()).unwrap_err().one_line(), "they make 9000 rows of 4000 columns, the limit is 33554432 cells");
    }

    #[test]
    fn a_line_that_is_no_object_is_named() {
        assert_eq!(read_lines(b"{}\n[1]\n").unwrap_err().one_line(), "line 2 is not a JSON object");
    }
}
