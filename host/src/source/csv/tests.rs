use std::num::NonZeroUsize;

use serde_json::{Value, json};

use crate::config::extract::{FileSource, Reading};
use crate::source::{ReadOptions, open_files};

/// Reads a file; answers rows as text and rejects as `row line code: message`.
fn read(text: impl AsRef<[u8]>, options: Value, reading: Value, read_options: ReadOptions) -> (Vec<String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), text).unwrap();
    let mut source = options;
    source["path"] = "a.csv".into();
    let source: FileSource = serde_json::from_value(source).unwrap();
    let reading: Reading = serde_json::from_value(reading).unwrap();
    let source = open_files(&source, &reading, read_options, folder.path()).unwrap();
    let (mut rows, mut rejects) = (Vec::new(), Vec::new());
    for split in source.splits(NonZeroUsize::MIN).unwrap() {
        for chunk in source.read(&split, None).unwrap() {
            for decoded in chunk.unwrap().decode() {
                let decoded = decoded.unwrap();
                let batch = &decoded.batch.rows;
                for row in 0..batch.num_rows() {
                    let mut cells = vec![decoded.batch.origin.rows.get(row).to_string()];
                    for column in batch.columns() {
                        cells.push(match column.is_null(row) {
                            true => "null".into(),
                            false => arrow_cast::display::array_value_to_string(column, row).unwrap().escape_default().to_string(),
                        });
                    }
                    rows.push(cells.join("|"));
                }
                rejects.extend(
                    decoded.rejects.iter().map(|reject| format!("{} {} {}: {}", reject.row, reject.line, reject.code, reject.message)),
                );
            }
        }
    }
    (rows, rejects)
}

fn plain(text: impl AsRef<[u8]>) -> (Vec<String>, Vec<String>) {
    read(text, json!({}), json!({}), ReadOptions::default())
}

fn types(text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), text).unwrap();
    let source: FileSource = serde_json::from_value(json!({"path": "a.csv"})).unwrap();
    let source = open_files(&source, &Reading::default(), ReadOptions::default(), folder.path()).unwrap();
    source.schema().fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect()
}

#[test]
fn types_are_those_that_lose_nothing() {
    let text =
        "i,f,b,zip,big,plus,blank,empty,mixed,quoted\n1,1.5,true,00123,9223372036854775808,+5, 7,,1,\"5\"\n-2,3,FALSE,4,1,6,8,,x,\"6\"\n";
    let expected = [
        "i Int64",
        "f Float64",
        "b Boolean",
        "zip Utf8",
        "big Utf8",
        "plus Utf8",
        "blank Utf8",
        "empty Null",
        "mixed Utf8",
        "quoted Int64",
    ];
    assert_eq!(types(text), expected);
}

#[test]
fn quotes_line_breaks_and_blank_lines_are_read_as_meant() {
    let text = "a,b\r\n\"x,\"\"y\"\"\",1\r\n\r\n\"two\r\nlines\",2\n\n,3\n\"\",4\n 5\" pipe ,5";
    let (rows, rejects) = plain(text);
    assert_eq!(rows, [r#"1|x,\"y\"|1"#, r"2|two\r\nlines|2", "3|null|3", "4||4", r#"5| 5\" pipe |5"#]);
    assert_eq!(rejects, Vec::<String>::new());
}

#[test]
fn a_bad_row_costs_that_row() {
    let text = b"id,name\n1,a\n2\n3,c,d\nid,name\n\"4\",\"x\"y\n5,\"open\n6,f\n7,\xFF\n8,h\0\n9,i\n".as_slice();
    let (rows, rejects) = plain(text);
    assert_eq!(rows, ["1|1|a", "7|6|f", "10|9|i"]);
    let expected = [
        "2 3 ragged_row: line 3 has 1 field, the header has 2",
        "3 4 ragged_row: line 4 has 3 fields, the header has 2",
        "4 5 repeated_header: line 5 is the header once more",
        "5 6 stray_quote: line 6 has a \" that closes a field and is followed by more text; a \" within a field is doubled, or set `csv_options.quote_char` or `escape_char`",
        "6 7 unterminated_quote: line 7 has a \" that opens a field, and nothing closes it; a \" within a field is doubled, or set `csv_options.quote_char` or `escape_char`",
        "8 9 invalid_utf8: line 9 is not UTF-8: byte 3 of it is 0xFF; name the file's encoding: `csv_options: {encoding: windows-1252}`",
        "9 10 nul_byte: line 10 is no text: byte 4 of it is NUL; the file is damaged, or in UTF-16: `csv_options: {encoding: utf-16le}`",
    ];
    assert_eq!(rejects, expected);
}

#[test]
fn a_value_that_does_not_fit_its_inferred_type_is_refused_or_kept_as_text() {
    let text = "id,qty\n1,5\n2,6\n3,n/a\n4,007\n";
    let reading = json!({"infer_rows": 2});
    let (rows, rejects) = read(text, json!({}), reading.clone(), ReadOptions::default());
    assert_eq!(rows, ["1|1|5", "2|2|6"]);
    let hint = "pin `schema: {qty: string}` to read the column as text";
    let expected = [
        format!("3 4 type_mismatch: line 4, column `qty`: `n/a` is not an int64, the type inferred from the first 2 rows; {hint}"),
        format!("4 5 type_mismatch: line 5, column `qty`: `007` is not an int64, the type inferred from the first 2 rows; {hint}"),
    ];
    assert_eq!(rejects, expected);
    let options = ReadOptions { converted: vec!["qty".into()], ..ReadOptions::default() };
    let (rows, rejects) = read(text, json!({}), reading.clone(), options);
    assert_eq!((rows.join(" "), rejects.len()), ("1|1|5 2|2|6 3|3|n/a 4|4|007".into(), 0));
    let (_, rejects) = read(text, json!({}), json!({"schema": {"qty": "int"}}), ReadOptions::default());
    assert_eq!(rejects, ["3 4 type_mismatch: line 4, column `qty`: `n/a` is not an int64, the type that `schema` gives it"]);
    let (rows, _) = read(text, json!({}), reading, ReadOptions { as_text: vec!["qty".into()], ..ReadOptions::default() });
    assert_eq!(rows.join(" "), "1|1|5 2|2|6 3|3|n/a 4|4|007");
}

#[test]
fn a_pinned_type_reads_what_people_write() {
    let text = "d,t,n,q\n2024-05-31,2024-05-31T10:00:00+02:00, 1.50 ,\"\"\n";
    let reading = json!({"schema": {"d": "date", "t": "datetime", "n": "decimal(10,2)", "q": "int"}});
    let (rows, rejects) = read(text, json!({}), reading, ReadOptions::default());
    assert_eq!((rows, rejects.len()), (vec!["1|2024-05-31|2024-05-31T08:00:00Z|1.50|null".into()], 0));
}

#[test]
fn every_option_is_honoured() {
    let options = json!({"csv_options": {"delimiter": ";", "quote_char": "'", "escape_char": "\\", "has_header": false, "skip_rows": 2, "encoding": "windows-1252"}});
    let (rows, rejects) = read(b"x\ny\n1;'it\\'s; \xE4'\n2;'a\\\\b'\n", options, json!({}), ReadOptions::default());
    assert_eq!(rows, [r"1|1|it\'s; \u{e4}", r"2|2|a\\b"]);
    assert_eq!(rejects, Vec::<String>::new());
    let (rows, _) = read("a,b,a,\n1,2,3,4\n", json!({"columns": ["a_2", "a", "column_4"]}), json!({}), ReadOptions::default());
    assert_eq!(rows, ["1|3|1|4"]);
}

#[test]
fn a_row_without_end_is_refused_and_the_next_ones_are_read() {
    let mut text = b"a,b\n1,x\n2,".to_vec();
    text.resize(text.len() + (17 << 20), b'y');
    text.extend_from_slice(b"\n3,z\n");
    let (rows, rejects) = plain(&text);
    assert_eq!(rows, ["1|1|x", "3|3|z"]);
    assert_eq!(rejects, ["2 3 row_too_long: line 3 has more than 16 MiB"]);
}

#[test]
fn a_quote_that_nothing_closes_costs_its_line_only() {
    let mut text = String::from("a,b\n0,\"open\n");
    for row in 1..200_000 {
        text.push_str(&format!("{row},text of row {row}\n"));
    }
    let (rows, rejects) = plain(&text);
    assert_eq!((rows.len(), rejects.len()), (199_999, 1));
}

#[test]
fn files_may_differ_in_the_order_of_columns_and_lack_some() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("1.csv"), "a,b\n1,x\n").unwrap();
    std::fs::write(folder.path().join("2.csv"), "c,b,a\n2.5,y,2\n").unwrap();
    std::fs::write(folder.path().join("3.csv"), "b\nz\n").unwrap();
    let source: FileSource = serde_json::from_value(json!({"path": "*.csv"})).unwrap();
    let reading: Reading = serde_json::from_value(json!({"infer_rows": 1})).unwrap();
    let source = open_files(&source, &reading, ReadOptions::default(), folder.path()).unwrap();
    let mut shown = Vec::new();
    for chunk in source.read(&source.splits(NonZeroUsize::MIN).unwrap()[0], None).unwrap() {
        for decoded in chunk.unwrap().decode() {
            let batch = decoded.unwrap().batch.rows;
            let mut writer = arrow_json::LineDelimitedWriter::new(Vec::new());
            writer.write(&batch).unwrap();
            shown.push(String::from_utf8(writer.into_inner()).unwrap());
        }
    }
    assert_eq!(shown, ["{\"a\":1,\"b\":\"x\"}\n", "{\"a\":2,\"b\":\"y\",\"c\":2.5}\n", "{\"b\":\"z\"}\n"]);
}
