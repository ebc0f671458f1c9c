//! Runs that are killed in the middle of every kind of input, and go on without reading again what is done.

use std::io::Write;

use super::pipelines::{assert_same, came, ran, report, run};
use crate::support::Pipeline;

/// Rows of `id, name, price`.
const ROWS: usize = 60_000;

fn rows(from: usize, to: usize) -> impl Iterator<Item = (usize, String, String)> {
    (from..to).map(|id| (id, format!("näme <{id}>, {}", "x".repeat(id % 40)), format!("{}.5", id % 991)))
}

fn csv(from: usize, to: usize) -> Vec<u8> {
    let lines = rows(from, to).map(|(id, name, price)| format!("{id},\"{name}\",{price}\n"));
    format!("id,name,price\n{}", lines.collect::<String>()).into_bytes()
}

fn object((id, name, price): (usize, String, String)) -> String {
    format!("{{\"id\": {id}, \"name\": \"{name}\", \"price\": {price}}}")
}

fn jsonl(from: usize, to: usize) -> Vec<u8> {
    rows(from, to).map(|row| object(row) + "\n").collect::<String>().into_bytes()
}

fn document(from: usize, to: usize) -> Vec<u8> {
    let objects: Vec<String> = rows(from, to).map(object).collect();
    format!("{{\"next\": null, \"items\": [{}]}}", objects.join(",\n")).into_bytes()
}

fn xml(from: usize, to: usize) -> Vec<u8> {
    let record = |(id, name, price): (usize, String, String)| {
        let name = name.replace('<', "&lt;");
        format!("<row><id>{id}</id><name>{name}</name><price>{price}</price></row>\n")
    };
    format!("<rows>\n{}</rows>\n", rows(from, to).map(record).collect::<String>()).into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zipped(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn utf16(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

fn workbook(from: usize, to: usize) -> Vec<u8> {
    let mut workbook = rust_xlsxwriter::Workbook::new();
    let sheet = workbook.add_worksheet();
    for (column, name) in (0..).zip(["id", "name", "price"]) {
        sheet.write(0, column, name).unwrap();
    }
    for (line, (id, name, price)) in (1..).zip(rows(from, to)) {
        sheet.write(line, 0, id as f64).unwrap();
        sheet.write(line, 1, name).unwrap();
        sheet.write(line, 2, price.parse::<f64>().unwrap()).unwrap();
    }
    workbook.save_to_buffer().unwrap()
}

fn parquet(from: usize, to: usize) -> Vec<u8> {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
    let columns: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(rows(from, to).map(|(id, ..)| id as i64).collect::<Int64Array>())),
        ("name", Arc::new(rows(from, to).map(|(_, name, _)| Some(name)).collect::<StringArray>())),
        ("price", Arc::new(rows(from, to).map(|(.., price)| price.parse::<f64>().unwrap()).collect::<Float64Array>())),
    ];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let properties = ::parquet::file::properties::WriterProperties::builder()
        .set_max_row_group_row_count(Some(4000))
        .set_compression(::parquet::basic::Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .build();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

/// A run that is killed behind its n-th checkpoint and gone on with, against one that is not; `least` is how many times it must be killed.
fn killed_and_gone_on_with(name: &str, extract: &str, files: &[(&str, Vec<u8>)], arguments: &[&str], least: u32) {
    let pipeline = || {
        let pipeline = Pipeline::new()
            .with("extract.yaml", format!("{extract}\nbatch_size: 500\ncheckpoint: {{enabled: true, interval: 1}}\n"))
            .with("transform.yaml", "convert: {id: int, price: float}\nfilter: {field: price, operator: lt, value: 950}\n")
            .with("load.yaml", "type: file\npath: out/rows.csv\n");
        files.iter().fold(pipeline, |pipeline, (name, bytes)| pipeline.with(name, bytes))
    };
    let undisturbed = pipeline();
    let done = ran(&undisturbed, arguments);
    assert_eq!(done.code, 0, "{name}: {done:?}");
    let expected = came(&undisturbed, &report(&done));
    let mut kills = 0;
    for times in [2, 3, 5] {
        let pipeline = pipeline();
        let mut command = run(&pipeline, arguments);
        if command.env("ETL_HOST_CRASH_AT", format!("checkpoint.renamed:{times}")).output().unwrap().status.code().is_some() {
            break;
        }
        kills += 1;
        let done = ran(&pipeline, &[arguments, &["--resume"]].concat());
        assert_eq!(done.code, 0, "{name}, killed behind {times}: {done:?}");
        assert_same(&came(&pipeline, &report(&done)), &expected, &format!("{name}, killed behind {times}"));
    }
    assert!(kills >= least, "{name}: only {kills} kills");
}

#[test]
fn every_format_is_gone_on_with_from_its_place() {
    let cases: [(&str, &str, &str, Vec<u8>); 10] = [
        ("csv", "path: a.csv", "a.csv", csv(0, ROWS)),
        ("csv in UTF-16", "path: a.csv", "a.csv", utf16(&csv(0, ROWS))),
        ("csv.gz", "path: a.csv.gz", "a.csv.gz", gzip(&csv(0, ROWS))),
        ("csv in zip", "path: a.zip\nformat: csv", "a.zip", zipped(&[("b/1.csv", csv(0, ROWS / 2)), ("b/2.csv", csv(ROWS / 2, ROWS))])),
        ("json lines", "path: a.jsonl", "a.jsonl", jsonl(0, ROWS)),
        ("json document", "path: a.json", "a.json", document(0, ROWS)),
        ("json document, compressed", "path: a.json.gz", "a.json.gz", gzip(&document(0, ROWS))),
        ("xml", "path: a.xml", "a.xml", xml(0, ROWS)),
        ("workbook", "path: a.xlsx", "a.xlsx", workbook(0, ROWS)),
        ("parquet", "path: a.parquet", "a.parquet", parquet(0, 400_000)),
    ];
    for (name, extract, file, bytes) in cases {
        killed_and_gone_on_with(name, extract, &[(file, bytes)], &[], 1);
    }
}

#[test]
fn several_files_are_gone_on_with_in_splits_and_under_a_limit() {
    let parts: Vec<(String, Vec<u8>)> =
        (0..6).map(|part| (format!("in/{part}.jsonl"), jsonl(part * 20_000, (part + 1) * 20_000))).collect();
    let files: Vec<(&str, Vec<u8>)> = parts.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    killed_and_gone_on_with("files", "path: in/*.jsonl", &files, &[], 3);
    killed_and_gone_on_with("splits", "path: in/*.jsonl", &files, &["--splits", "3"], 3);
    killed_and_gone_on_with("limit", "path: in/*.jsonl", &files, &["--limit", "77777"], 3);
    killed_and_gone_on_with("one worker", "path: in/*.jsonl", &files, &["--workers", "1"], 3);
}
