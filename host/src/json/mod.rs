//! Rows as JSON.
//!
//! | value | JSON |
//! |---|---|
//! | null, NaN, infinity | `null` |
//! | float | the shortest text that reads back the same; integral ones end in `.0` |
//! | decimal | a number with all digits of its scale |
//! | day, time | `"2024-06-19"`, `"01:58:32"` |
//! | timestamp | `"2024-06-19T01:58:32Z"`; the offset of its zone, nothing without a zone; 3, 6 or 9 digits of fraction where there is one |
//! | bytes | base64 |
//! | list, struct, map | array, object, object |
//! | text whose field says that it is JSON | the value that it spells |

mod cell;
mod scalar;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use serde_json::Value;

pub use cell::Cell;

use crate::batch::is_absent;

/// Counts the numbers of a batch that are NaN or infinite, which JSON has not: they are written as null.
pub fn not_finite(rows: &RecordBatch) -> u64 {
    rows.columns().iter().map(|column| not_finite_in(column)).sum()
}

/// Counts them in a column.
pub fn not_finite_in(column: &dyn Array) -> u64 {
    fn of<T: ArrowPrimitiveType>(column: &dyn Array, is_finite: impl Fn(T::Native) -> bool) -> u64 {
        let column = column.as_primitive::<T>();
        // Most columns have none, whatever stands under their nulls.
        if column.values().iter().all(|value| is_finite(*value)) {
            0
        } else {
            column.iter().flatten().filter(|value| !is_finite(*value)).count() as u64
        }
    }
    match column.data_type() {
        DataType::Float64 => of::<Float64Type>(column, f64::is_finite),
        DataType::Float32 => of::<Float32Type>(column, f32::is_finite),
        DataType::Float16 => of::<Float16Type>(column, |value| value.is_finite()),
        DataType::Struct(_) => column.as_struct().columns().iter().map(|column| not_finite_in(column)).sum(),
        DataType::List(_) => {
            let lists = column.as_list::<i32>();
            (0..lists.len()).filter(|row| lists.is_valid(*row)).map(|row| not_finite_in(&lists.value(row))).sum()
        }
        _ => 0,
    }
}

/// How values are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Characters outside ASCII are written as `\u` escapes.
    pub ascii: bool,
    /// Decimals of more digits than a float holds exactly (15) are quoted, for readers that know floats only.
    pub exact: bool,
    /// What a row does not have is left out: nulls of columns that say so ([`is_absent`]), and members of objects that are null, of which
    /// Arrow cannot tell.
    pub sparse: bool,
}

/// The rows of one batch, ready to be written in any order.
#[derive(Debug)]
pub struct JsonRows {
    /// For each column what stands before its value, as `{"a":` or `,"b":`.
    columns: Vec<(Vec<u8>, Cell)>,
    /// Those of them that a row may lack; none in most batches.
    absent: Vec<bool>,
}

impl JsonRows {
    /// Makes the rows of a batch ready.
    pub fn new(rows: &RecordBatch, style: Style) -> Self {
        let column = |(index, field): (usize, &arrow_schema::FieldRef)| {
            let mut before = vec![if index == 0 { b'{' } else { b',' }];
            before.extend(key(field.name(), style));
            (before, Cell::of(field, rows.column(index), style))
        };
        let fields = rows.schema_ref().fields();
        let absent: Vec<bool> = fields.iter().map(|field| style.sparse && is_absent(field)).collect();
        let absent = if absent.contains(&true) { absent } else { Vec::new() };
        Self { columns: fields.iter().enumerate().map(column).collect(), absent }
    }

    /// Writes one row as an object, without a line end.
    pub fn write(&self, index: usize, out: &mut Vec<u8>) {
        if !self.absent.is_empty() {
            return self.write_there(index, out);
        }
        if self.columns.is_empty() {
            out.push(b'{');
        }
        for (before, cell) in &self.columns {
            out.extend_from_slice(before);
            cell.write_json(index, out);
        }
        out.push(b'}');
    }

    /// Writes one row without what it does not have.
    fn write_there(&self, index: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut first = true;
        for ((before, cell), &absent) in self.columns.iter().zip(&self.absent) {
            if absent && cell.is_null(index) {
                continue;
            }
            if !first {
                out.push(b',');
            }
            first = false;
            // Without the brace or comma that fits a full row.
            out.extend_from_slice(&before[1..]);
            cell.write_json(index, out);
        }
        out.push(b'}');
    }
}

/// Writes all rows, one object a line, each line ended by `\n`.
pub fn write_lines(rows: &RecordBatch, out: &mut Vec<u8>) {
    lines(rows, Style::default(), out);
}

/// As [`write_lines`], each row without what it does not have.
pub fn write_records(rows: &RecordBatch, out: &mut Vec<u8>) {
    lines(rows, Style { sparse: true, ..Style::default() }, out);
}

fn lines(rows: &RecordBatch, style: Style, out: &mut Vec<u8>) {
    let json = JsonRows::new(rows, style);
    for index in 0..rows.num_rows() {
        json.write(index, out);
        out.push(b'\n');
    }
}

/// One row as a JSON value; decimals of more than 15 digits are texts, so that no digit is lost.
pub fn row_json(rows: &RecordBatch, index: usize) -> Value {
    one_row(rows, index, Style { exact: true, ..Style::default() })
}

/// As [`row_json`], without what the row does not have: as its source wrote it.
pub fn record_json(rows: &RecordBatch, index: usize) -> Value {
    one_row(rows, index, Style { exact: true, sparse: true, ..Style::default() })
}

fn one_row(rows: &RecordBatch, index: usize, style: Style) -> Value {
    let mut text = Vec::new();
    // The one row alone, so that columns are not looked through for the sake of one value.
    JsonRows::new(&rows.slice(index, 1), style).write(0, &mut text);
    serde_json::from_slice(&text).expect("what we write is JSON")
}

/// Indents JSON text that has no blanks between its tokens: `step` blanks a level, after `level` levels.
pub fn indent(text: &[u8], step: usize, mut level: usize, out: &mut Vec<u8>) {
    let line = |level: usize, out: &mut Vec<u8>| {
        out.push(b'\n');
        out.resize(out.len() + step * level, b' ');
    };
    let (mut within, mut escaped) = (false, false);
    for (index, &byte) in text.iter().enumerate() {
        if within {
            out.push(byte);
            (within, escaped) = (escaped || byte != b'"', byte == b'\\' && !escaped);
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                level += 1;
                if !matches!(text.get(index + 1), Some(b'}' | b']')) {
                    line(level, out);
                }
            }
            b'}' | b']' => {
                level -= 1;
                if !matches!(text[index - 1], b'{' | b'[') {
                    line(level, out);
                }
                out.push(byte);
            }
            b',' => {
                out.push(b',');
                line(level, out);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                within = byte == b'"';
                out.push(byte);
            }
        }
    }
}

/// A key with its quotes and colon.
fn key(name: &str, style: Style) -> Vec<u8> {
    let mut key = vec![b'"'];
    scalar::escape(name, style.ascii, &mut key);
    key.extend_from_slice(b"\":");
    key
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{Int64Builder, ListBuilder, MapBuilder, StringBuilder};
    use arrow_array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array, Int64Array,
        NullArray, StringArray, StringViewArray, StructArray, TimestampMicrosecondArray, types::Int32Type,
    };
    use arrow_schema::{DataType, Field};

    use super::*;
    use crate::batch::{with_absent, with_json_text};

    fn every_type() -> RecordBatch {
        let mut lists = ListBuilder::new(Int64Builder::new());
        lists.append_value([Some(1), None]);
        lists.append_null();
        let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
        maps.keys().append_value("k\"");
        maps.values().append_value(7);
        maps.append(true).unwrap();
        maps.append(true).unwrap();
        let fields = vec![
            (Arc::new(Field::new("x", DataType::Int64, true)), Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef),
            (Arc::new(Field::new("y", DataType::Utf8, true)), Arc::new(StringArray::from(vec!["a\nb", ""])) as ArrayRef),
        ];
        let decimals = Decimal128Array::from(vec![Some(123_456_789_012_345_678_901), None]).with_precision_and_scale(38, 2).unwrap();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("int", Arc::new(Int64Array::from(vec![Some(i64::MIN), None]))),
            ("float", Arc::new(Float64Array::from(vec![24.0, f64::NAN]))),
            ("small", Arc::new(Float32Array::from(vec![0.1, f32::INFINITY]))),
            ("bool", Arc::new(BooleanArray::from(vec![Some(true), None]))),
            ("t\"ext", Arc::new(StringArray::from(vec![Some("é\u{1}"), None]))),
            ("view", Arc::new(StringViewArray::from(vec!["short", "a text too long to stand within a view"]))),
            ("dictionary", Arc::new(["a", "b"].into_iter().collect::<DictionaryArray<Int32Type>>())),
            ("bytes", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\x00\xff"), None]))),
            ("date", Arc::new(Date32Array::from(vec![19_893, 0]))),
            ("instant", Arc::new(TimestampMicrosecondArray::from(vec![1_718_762_312_000_000, 500_000]).with_timezone("UTC"))),
            ("decimal", Arc::new(decimals)),
            ("list", Arc::new(lists.finish())),
            ("struct", Arc::new(StructArray::from(fields))),
            ("map", Arc::new(maps.finish())),
            ("nothing", Arc::new(NullArray::new(2))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
    }

    #[test]
    fn every_type_has_its_json() {
        let mut out = Vec::new();
        write_lines(&every_type(), &mut out);
        let expected = concat!(
            r#"{"int":-9223372036854775808,"float":24.0,"small":0.1,"bool":true,"t\"ext":"é\u0001","view":"short","dictionary":"a","#,
            r#""bytes":"AP8=","date":"2024-06-19","instant":"2024-06-19T01:58:32Z","decimal":1234567890123456789.01,"list":[1,null],"#,
            r#""struct":{"x":1,"y":"a\nb"},"map":{"k\"":7},"nothing":null}"#,
            "\n",
            r#"{"int":null,"float":null,"small":null,"bool":null,"t\"ext":null,"view":"a text too long to stand within a view","#,
            r#""dictionary":"b","bytes":null,"date":"1970-01-01","instant":"1970-01-01T00:00:00.500Z","decimal":null,"list":null,"#,
            r#""struct":{"x":null,"y":""},"map":{},"nothing":null}"#,
            "\n",
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_slice_of_a_batch_is_written_like_the_rows_it_has() {
        let (mut all, mut parts) = (Vec::new(), Vec::new());
        write_lines(&every_type(), &mut all);
        write_lines(&every_type().slice(0, 1), &mut parts);
        write_lines(&every_type().slice(1, 1), &mut parts);
        assert_eq!(String::from_utf8(parts).unwrap(), String::from_utf8(all).unwrap());
    }

    #[test]
    fn a_record_lacks_what_the_row_did_not_have() {
        let nested = StructArray::from(vec![
            (Arc::new(Field::new("x", DataType::Int64, true)), Arc::new(Int64Array::from(vec![None, None])) as ArrayRef),
            (Arc::new(Field::new("y", DataType::Int64, true)), Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef),
        ]);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("a", Arc::new(Int64Array::from(vec![Some(1), None]))),
            ("b", Arc::new(Int64Array::from(vec![None, Some(2)]))),
            ("c", Arc::new(nested)),
        ];
        let rows = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap();
        let fields = rows.schema_ref().fields();
        let fields = vec![with_absent(&fields[0]), fields[1].clone(), fields[2].clone()];
        let rows = RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(fields)), rows.columns().to_vec()).unwrap();
        let mut out = Vec::new();
        write_records(&rows, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "{\"a\":1,\"b\":null,\"c\":{\"y\":1}}\n{\"b\":2,\"c\":{}}\n");
        assert_eq!(row_json(&rows, 1).as_object().unwrap().len(), 3);
    }

    #[test]
    fn a_text_that_is_marked_as_json_is_written_as_the_value_that_it_spells() {
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        let texts = ["{\"a\": [1, \"x \\\" ü\"],\n \"b\": 1.50}", "\"t\"", "no json", "\"\\ud800\"", "1e999", &deep];
        let marked = |name: &str| with_json_text(Field::new(name, DataType::Utf8, true));
        let column: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        let nested = StructArray::from(vec![(Arc::new(marked("j")), column.clone())]);
        let fields = vec![marked("top"), Field::new("in", nested.data_type().clone(), true)];
        let rows = RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(fields)), vec![column, Arc::new(nested)]).unwrap();
        let shown = |value: &str| format!("{{\"top\":{value},\"in\":{{\"j\":{value}}}}}");
        let text = |text: &str| shown(&serde_json::to_string(text).unwrap());
        let mut out = Vec::new();
        write_lines(&rows, &mut out);
        let expected =
            [shown("{\"a\":[1,\"x \\\" ü\"],\"b\":1.50}"), shown("\"t\""), text("no json"), text(texts[3]), text("1e999"), text(&deep)];
        assert_eq!(String::from_utf8(out).unwrap().lines().collect::<Vec<_>>(), expected);
        assert_eq!((row_json(&rows, 0)["in"]["j"]["a"][0].clone(), row_json(&rows, 5)["top"].clone()), (Value::from(1), Value::from(deep)));
        let mut ascii = Vec::new();
        JsonRows::new(&rows, Style { ascii: true, ..Style::default() }).write(0, &mut ascii);
        assert!(ascii.is_ascii() && String::from_utf8(ascii).unwrap().contains("\"x \\\" \\u00fc\""));
    }

    #[test]
    fn a_row_as_a_value_keeps_every_digit_of_a_decimal() {
        let row = row_json(&every_type(), 0);
        assert_eq!(row["decimal"], Value::from("1234567890123456789.01"));
        assert_eq!(row["int"], Value::from(i64::MIN));
    }

    #[test]
    fn ascii_style_escapes_what_is_not_ascii_in_keys_and_values() {
        let rows = RecordBatch::try_from_iter([("ü", Arc::new(StringArray::from(vec!["😀"])) as ArrayRef)]).unwrap();
        let mut out = Vec::new();
        JsonRows::new(&rows, Style { ascii: true, ..Style::default() }).write(0, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"\u00fc":"\ud83d\ude00"}"#);
    }

    #[test]
    fn indented_text_is_what_serde_json_makes_of_it() {
        let value = serde_json::json!({"a": [1, {"b\\": "x,{\"]"}, [], {}], "c": null, "d": {"e": true}});
        let mut out = Vec::new();
        indent(value.to_string().as_bytes(), 2, 0, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string_pretty(&value).unwrap());
    }
}
