//! Files whose cells say something else than they seem to.

use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook};

use crate::support::Pipeline;

fn pipeline(name: &str, content: impl AsRef<[u8]>, options: &str) -> Pipeline {
    Pipeline::new().with(name, content).with("extract.yaml", format!("path: {name}\n{options}")).with("load.yaml", "path: out.jsonl\n")
}

#[test]
fn times_of_day_dates_in_headers_and_errors_of_a_workbook_are_told() {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    let day = ExcelDateTime::from_ymd(2024, 1, 1).unwrap();
    sheet.write_with_format(0, 0, &day, &Format::new().set_num_format("yyyy-mm-dd")).unwrap();
    sheet.write(0, 1, "at").unwrap();
    sheet.write(0, 2, "share").unwrap();
    sheet.write(1, 0, 5).unwrap();
    let time = ExcelDateTime::from_hms(10, 30, 0).unwrap();
    sheet.write_with_format(1, 1, &time, &Format::new().set_num_format("hh:mm")).unwrap();
    sheet.write_formula(1, 2, Formula::new("=1/0").set_result("#DIV/0!")).unwrap();
    let pipeline = pipeline("in.xlsx", workbook.save_to_buffer().unwrap(), "");
    let answer = pipeline.answer(&["run"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let row: serde_json::Value = serde_json::from_str(&pipeline.read("out.jsonl")).unwrap();
    assert_eq!((&row["2024-01-01"], &row["at"]), (&5.into(), &"10:30:00".into()), "{row}");
}

#[test]
fn a_document_that_is_not_there_is_no_empty_list() {
    let pipeline = pipeline("in.json", "", "").with("out.jsonl", "{\"old\":1}\n");
    let answer = pipeline.answer(&["run"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains("`in.json` is not a JSON document: it is empty"), "{answer:?}");
    assert_eq!(pipeline.read("out.jsonl"), "{\"old\":1}\n");
}

#[test]
fn names_that_python_has_for_encodings_are_read() {
    for label in ["latin-1", "latin_1", "iso8859-1", "cp1252"] {
        let pipeline = pipeline("in.csv", b"v\n\xe9\n", &format!("csv_options: {{encoding: {label}}}\n"));
        pipeline.run(0);
        assert_eq!(pipeline.read("out.jsonl"), "{\"v\":\"é\"}\n");
    }
    let marked = pipeline("in.csv", "\u{feff}v\né\n", "csv_options: {encoding: utf-8-sig}\n");
    marked.run(0);
    assert_eq!(marked.read("out.jsonl"), "{\"v\":\"é\"}\n");
}

#[test]
fn a_character_that_an_encoding_lacks_costs_its_row() {
    let pipeline = pipeline("in.csv", "v\n€\na\n", "").with("load.yaml", "path: out.csv\ncsv_options: {encoding: latin1}\n");
    let report = pipeline.run(0);
    assert_eq!(report["rows"]["rejected"], 1, "{report}");
    assert_eq!(pipeline.read("out.csv"), "v\na\n");
}
