//! Tests of what formats other than CSV are read as.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use serde_json::json;

use super::ReadOptions;
use super::testing::{read, try_read};
use crate::error::Fault;

#[test]
fn nested_json_stays_nested_and_what_fits_nowhere_is_json_text() {
    let text = concat!(
        r#"{"id":1,"who":{"name":"A","tags":["x"]},"n":1,"mixed":{"a":1},"big":12345678901234567890,"none":null}"#,
        "\n\n",
        r#"{"n":2.5,"id":2,"who":{"name":null,"tags":[],"age":3},"mixed":"t","big":1,"extra":[{"k":1},{"k":2.5}]}"#,
        "\n",
    );
    let got = read("a.jsonl", text, json!({}), json!({}));
    assert_eq!(
        got.schema,
        "id Int64, who Struct(\"name\": Utf8, \"tags\": List(Utf8), \"age\": Int64), n Float64, mixed Utf8, big Utf8, none Null, \
         extra List(Struct(\"k\": Float64))"
    );
    assert_eq!(
        got.rows,
        [
            r#"1 {"id":1,"who":{"name":"A","tags":["x"]},"n":1.0,"mixed":"{\"a\":1}","big":"12345678901234567890"}"#,
            r#"2 {"id":2,"who":{"tags":[],"age":3},"n":2.5,"mixed":"\"t\"","big":"1","extra":[{"k":1.0},{"k":2.5}]}"#,
        ]
    );
    assert_eq!(got.rejects, Vec::<String>::new());
}

#[test]
fn a_bad_line_of_json_costs_that_line() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(70), "]".repeat(70));
    let lines = [
        br#"{"a":1,"o":{"b":1}}"#.as_slice(),
        br#"{"a":1"#,
        br"[1]",
        br#"{"a":"x"}"#,
        br#"{"a":1,"new":5}"#,
        br#"{"a":1,"o":{"c":5}}"#,
        br#"{"a":1,"a":2}"#,
        deep.as_bytes(),
        b"{\"a\":\"\xFF\"}",
        br#"{"a":7,"gone":null}"#,
    ];
    let got = read("a.jsonl", lines.join(&b'\n'), json!({}), json!({"infer_rows": 1}));
    assert_eq!(got.rows, [r#"1 {"a":1,"o":{"b":1}}"#, r#"10 {"a":7}"#]);
    let unknown = "no row of the first 1 has it; name it under `schema`, or raise `infer_rows`";
    assert_eq!(
        got.rejects,
        [
            "2 2 invalid_json: line 2 is not JSON: a `,` or `}` should stand here, at character 7 of the record".into(),
            "3 3 not_an_object: line 3 is no object, so it has no columns".into(),
            "4 4 type_mismatch: line 4, column `a`: `x` is not an int64, the type inferred from the first 1 rows; \
             pin `schema: {a: string}` to read the column as text"
                .into(),
            format!("5 5 unknown_column: line 5, column `new`: {unknown}"),
            format!("6 6 unknown_column: line 6, column `o.c`: {unknown}"),
            "7 7 duplicate_key: line 7, column `a`: the record has it twice".into(),
            "8 8 too_deep: line 8 is nested more than 64 levels deep".into(),
            "9 9 invalid_utf8: line 9 is not UTF-8: byte 7 of it is 0xFF; name the file's encoding under `json_options`, or in the XML declaration".into(),
        ]
    );
    let got = read("a.jsonl", lines.join(&b'\n'), json!({}), json!({"infer_rows": 1, "on_parse_error": "skip"}));
    assert_eq!((got.rows.len(), got.rejects.len(), got.skipped), (2, 0, 8));
    let failed = try_read(
        &[("a.jsonl", &lines.join(&b'\n'))],
        json!({"path": "a.jsonl"}),
        json!({"infer_rows": 1, "on_parse_error": "fail"}),
        ReadOptions::default(),
    )
    .unwrap_err();
    assert_eq!(failed.fault(), Fault::Data);
    assert_eq!(
        failed.to_string(),
        "`a.jsonl` has a row that does not parse: line 2 is not JSON: a `,` or `}` should stand here, at character 7 of the record"
    );
    assert_eq!(failed.place().map(ToString::to_string), Some("a.jsonl:2".into()));
}

#[test]
fn a_converted_column_of_json_keeps_every_value_as_text() {
    let text = "{\"q\":1}\n{\"q\":\"n/a\"}\n{\"q\":{\"x\":[1.50]}}\n";
    let options = ReadOptions { converted: vec!["q".into()], ..ReadOptions::default() };
    let got = try_read(&[("a.jsonl", text.as_bytes())], json!({"path": "a.jsonl"}), json!({"infer_rows": 1}), options).unwrap();
    assert_eq!(got.schema, "q Int64");
    assert_eq!(got.rows, [r#"1 {"q":"1"}"#, r#"2 {"q":"n/a"}"#, r#"3 {"q":"{\"x\":[1.50]}"}"#]);
}

#[test]
fn the_records_of_a_document_are_found() {
    let list = |text: &str, source| read("a.json", text, source, json!({})).rows;
    assert_eq!(list(r#" [ {"a":1} , {"a":"],["} ] "#, json!({})), [r#"1 {"a":"1"}"#, r#"2 {"a":"],["}"#]);
    assert_eq!(list(r#"{"values":[{"a":0}],"records":{"a":9},"results":[{"a":1}]}"#, json!({})), [r#"1 {"a":1}"#]);
    assert_eq!(list(r#"{"a":1,"b":[1,2]}"#, json!({})), [r#"1 {"a":1,"b":[1,2]}"#]);
    assert_eq!(list(r#"{"x":{"y":[[0],[{"a":5}]]}}"#, json!({"response_path": "x.y.1"})), [r#"1 {"a":5}"#]);
    assert_eq!(list(r#"{"x":{"a":5},"y":1}"#, json!({"response_path": "x"})), [r#"1 {"a":5}"#]);
    assert_eq!(list("{\"a\":1}\n{\"a\":2}\n", json!({"json_options": {"lines": true}})), [r#"1 {"a":1}"#, r#"2 {"a":2}"#]);
    let fails = |text: &str, source: serde_json::Value| {
        let mut source = source;
        source["path"] = "a.json".into();
        let error = try_read(&[("a.json", text.as_bytes())], source, json!({}), ReadOptions::default()).unwrap_err();
        (error.to_string(), error.find_hint().map(str::to_owned))
    };
    assert_eq!(
        fails("{\"a\":1}\n{\"a\":2}\n", json!({})),
        (
            "`a.json` is not a JSON document: several values follow each other".into(),
            Some("one object a line is read by `format: jsonl`".into())
        )
    );
    assert_eq!(
        fails(r#"{"x":{"a":5}}"#, json!({"response_path": "x.rows"})).0,
        "`response_path` is `x.rows`, but in `a.json` `x` has no `rows`; it has `a`"
    );
    assert_eq!(
        fails(r#"[{"a":1} {"a":2}]"#, json!({})).0,
        "`a.json` is not a JSON document: a `,` or `]` should stand between two records"
    );
}

#[test]
fn xml_records_are_objects_of_attributes_children_and_text() {
    let text = r#"<?xml version="1.0" encoding="ISO-8859-1"?><!DOCTYPE r [<!ENTITY x "y">]>
<shop xmlns="urn:x"><order id="007" n="5"><item sku="a">2</item><item sku="b">3</item><note><![CDATA[<&>]]> &#228; &amp;</note><gone/></order>
<order id="8" n="6"><item sku="c">4</item><note>"#;
    let mut bytes = text.as_bytes().to_vec();
    bytes.extend_from_slice(b"\xE4</note></order><order id=\"9\" n=\"x\">&no;</order></shop>");
    let got = read("a.xml", bytes, json!({}), json!({"infer_rows": 2}));
    assert_eq!(got.schema, "@id Utf8, @n Int64, item List(Struct(\"@sku\": Utf8, \"#text\": Int64)), note Utf8, gone Utf8");
    assert_eq!(
        got.rows,
        [
            r##"1 {"@id":"007","@n":5,"item":[{"@sku":"a","#text":2},{"@sku":"b","#text":3}],"note":"<&> ä &"}"##,
            r##"2 {"@id":"8","@n":6,"item":[{"@sku":"c","#text":4}],"note":"ä"}"##,
        ]
    );
    assert_eq!(got.rejects, ["3 3 invalid_xml: line 3 is not XML: `&no;` is not known, only the entities of XML itself are"]);
}

#[test]
fn a_worksheet_gives_numbers_dates_and_texts() {
    let mut workbook = rust_xlsxwriter::Workbook::new();
    workbook.add_worksheet();
    let sheet = workbook.add_worksheet().set_name("Data").unwrap();
    let date = rust_xlsxwriter::ExcelDateTime::from_ymd(2024, 5, 31).unwrap();
    sheet.write(0, 0, "a report").unwrap();
    for (column, name) in ["id", "when", "share", "code", "id"].iter().enumerate() {
        sheet.write(2, column as u16, *name).unwrap();
    }
    sheet.write(3, 0, 5).unwrap();
    sheet.write_with_format(3, 1, &date, &rust_xlsxwriter::Format::new().set_num_format("yyyy-mm-dd")).unwrap();
    sheet.write(3, 2, 0.5).unwrap();
    sheet.write(3, 3, "00123").unwrap();
    sheet.write(3, 4, true).unwrap();
    let got = read("a.xlsx", workbook.save_to_buffer().unwrap(), json!({"excel_options": {"sheet": "Data", "skip_rows": 2}}), json!({}));
    assert_eq!(got.schema, "id Int64, when Timestamp(µs), share Float64, code Utf8, id_2 Boolean");
    assert_eq!(got.rows, [r#"1 {"id":5,"when":"2024-05-31T00:00:00","share":0.5,"code":"00123","id_2":true}"#]);
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn parquet_files_of_different_types_are_brought_to_one() {
    let one = parquet(vec![("a", Arc::new(Int32Array::from(vec![1]))), ("b", Arc::new(StringArray::from(vec!["x"])))]);
    let two = parquet(vec![("b", Arc::new(StringArray::from(vec!["5"]))), ("a", Arc::new(Int64Array::from(vec![1 << 40])))]);
    let files = [("1.parquet", one.as_slice()), ("2.parquet", two.as_slice())];
    let got = try_read(&files, json!({"path": "*.parquet"}), json!({"schema": {"b": "int"}}), ReadOptions::default()).unwrap();
    assert_eq!(got.schema, "a Int64, b Int64");
    assert_eq!(got.rows, [r#"1 {"a":1099511627776,"b":5}"#]);
    assert_eq!(got.rejects, ["1 0 type_mismatch: row 1, column `b`: `x` is not an int64, the type that `schema` gives it"]);
}

#[test]
fn chunks_of_one_parquet_file_are_decoded_on_several_threads() {
    let rows = RecordBatch::try_from_iter([("id", Arc::new((0..6_000_000).collect::<Int64Array>()) as ArrayRef)]).unwrap();
    // Many small pages, since each is a place to be mixed up.
    let properties = ::parquet::file::properties::WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_compression(::parquet::basic::Compression::UNCOMPRESSED)
        .set_data_page_row_count_limit(2000)
        .set_write_batch_size(1000)
        .build();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.parquet"), writer.into_inner().unwrap()).unwrap();
    let source = serde_json::from_value(json!({"path": "a.parquet"})).unwrap();
    let source = super::open_files(&source, &crate::config::extract::Reading::default(), ReadOptions::default(), folder.path()).unwrap();
    let split = source.splits(std::num::NonZeroUsize::MIN).unwrap().remove(0);
    let check = |chunk: Box<dyn super::Chunk>| {
        let mut sum = 0;
        for decoded in chunk.decode() {
            let batch = decoded.unwrap().batch;
            let ids = arrow_array::cast::AsArray::as_primitive::<arrow_array::types::Int64Type>(batch.rows.column(0));
            assert_eq!(ids.value(0) as u64 + 1, batch.origin.rows.get(0));
            sum += ids.values().iter().sum::<i64>();
        }
        sum
    };
    // Threads meet by chance: with one place to read on from for all, one round in three failed.
    for _ in 0..8 {
        let chunks: Vec<_> = source.read(&split, None).unwrap().map(|chunk| chunk.unwrap()).collect();
        assert!(chunks.len() > 3);
        let sum: i64 = std::thread::scope(|scope| {
            let threads: Vec<_> = chunks.into_iter().map(|chunk| scope.spawn(|| check(chunk))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(sum, 6_000_000 * 5_999_999 / 2);
    }
}
