//! What every source promises, checked for every format and packing.

use std::io::{Cursor, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::tests::Served;
use super::{Decoded, ReadOptions, Source, Split, file, objects, open_files};
use crate::batch::Position;
use crate::config::cloud::Storage;
use crate::config::extract::{FileSource, Reading};
use crate::error::Fault;
use crate::remote::store;
use crate::remote::store::Store;

/// Where files are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Home {
    Disk,
    Bucket(store::Home),
    /// Pages of an HTTP interface.
    Web,
}

/// One way of keeping rows.
struct Case {
    home: Home,
    name: &'static str,
    options: Value,
    /// Makes the file from rows of `id, name, price, ok`.
    write: fn(&[Row]) -> Vec<u8>,
    extension: &'static str,
    /// Whether chunks follow `chunk_bytes`.
    streams: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    id: i64,
    name: String,
    price: Option<f64>,
    ok: bool,
}

fn rows(count: i64) -> Vec<Row> {
    let row = |id| Row { id, name: format!("n,\"ä\" <{id}>"), price: (id % 7 != 3).then_some(id as f64 + 0.25), ok: id % 3 == 0 };
    (0..count).map(row).collect()
}

fn csv(rows: &[Row]) -> Vec<u8> {
    let mut text = String::from("id,name,price,ok\r\n");
    for Row { id, name, price, ok } in rows {
        let price = price.map(|price| price.to_string()).unwrap_or_default();
        text.push_str(&format!("{id},\"{}\",{price},{ok}\r\n", name.replace('"', "\"\"")));
    }
    text.into_bytes()
}

fn object(row: &Row) -> Value {
    json!({"id": row.id, "name": row.name, "price": row.price, "ok": row.ok})
}

fn jsonl(rows: &[Row]) -> Vec<u8> {
    rows.iter().map(|row| format!("{}\n", object(row))).collect::<String>().into_bytes()
}

fn array(rows: &[Row]) -> Vec<u8> {
    serde_json::to_vec_pretty(&rows.iter().map(object).collect::<Vec<_>>()).unwrap()
}

fn document(rows: &[Row]) -> Vec<u8> {
    let rows: Vec<Value> = rows.iter().map(object).collect();
    json!({"next": null, "meta": {"a]": ["}", 1]}, "items": rows, "end": 1}).to_string().into_bytes()
}

fn nested_document(rows: &[Row]) -> Vec<u8> {
    let rows: Vec<Value> = rows.iter().map(object).collect();
    json!({"pages": [{"x": [0]}, {"rows": rows}]}).to_string().into_bytes()
}

fn xml(rows: &[Row]) -> Vec<u8> {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- <r> --><rows>\n");
    for Row { id, name, price, ok } in rows {
        let name = name.replace('&', "&amp;").replace('<', "&lt;");
        let price = price.map(|price| format!("<price>{price}</price>")).unwrap_or_else(|| "<price/>".into());
        text.push_str(&format!("  <row><id>{id}</id><name>{name}</name>{price}<ok>{ok}</ok></row>\n"));
    }
    text.push_str("</rows>\n");
    text.into_bytes()
}

fn batch(rows: &[Row]) -> RecordBatch {
    let columns: [(&str, ArrayRef); 4] = [
        ("id", Arc::new(rows.iter().map(|row| row.id).collect::<Int64Array>())),
        ("name", Arc::new(rows.iter().map(|row| Some(row.name.as_str())).collect::<StringArray>())),
        ("price", Arc::new(rows.iter().map(|row| row.price).collect::<Float64Array>())),
        ("ok", Arc::new(rows.iter().map(|row| Some(row.ok)).collect::<BooleanArray>())),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn parquet(rows: &[Row]) -> Vec<u8> {
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;
    let rows = batch(rows);
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(37)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

fn excel(rows: &[Row]) -> Vec<u8> {
    let mut workbook = rust_xlsxwriter::Workbook::new();
    let sheet = workbook.add_worksheet();
    for (column, name) in ["id", "name", "price", "ok"].iter().enumerate() {
        sheet.write(0, column as u16, *name).unwrap();
    }
    for (number, row) in rows.iter().enumerate() {
        let number = number as u32 + 1;
        sheet.write(number, 0, row.id as f64).unwrap();
        sheet.write(number, 1, row.name.as_str()).unwrap();
        if let Some(price) = row.price {
            sheet.write(number, 2, price).unwrap();
        }
        sheet.write(number, 3, row.ok).unwrap();
    }
    workbook.save_to_buffer().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zipped(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    writer.add_directory("deep", options).unwrap();
    writer.start_file(format!("deep/{name}"), options).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap().into_inner()
}

fn utf16(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

fn cases() -> Vec<Case> {
    // A response is packed by HTTP's own means.
    let pages = cases_in(Home::Web).into_iter().filter(|case| matches!(case.extension, "csv" | "jsonl" | "json" | "xml"));
    let buckets = store::Home::every().into_iter().map(Home::Bucket);
    std::iter::once(Home::Disk).chain(buckets).flat_map(cases_in).chain(pages).collect()
}

fn cases_in(home: Home) -> Vec<Case> {
    let case = |name, extension, write, options, streams| Case { home, name, options, write, extension, streams };
    vec![
        case("csv", "csv", csv, json!({}), true),
        case("tsv with commas", "tsv", csv, json!({"csv_options": {"delimiter": ","}}), true),
        case("csv, byte order mark", "csv", |rows| [b"\xEF\xBB\xBF".as_slice(), &csv(rows)].concat(), json!({}), true),
        case("csv, UTF-16", "csv", |rows| utf16(&csv(rows)), json!({}), true),
        case("csv.gz", "csv.gz", |rows| gzip(&csv(rows)), json!({}), true),
        case("csv.zst", "csv.zst", |rows| zstd::encode_all(&csv(rows)[..], 1).unwrap(), json!({}), true),
        case("csv in zip", "zip", |rows| zipped("a.csv", &csv(rows)), json!({}), true),
        case("csv.gz in zip", "zip", |rows| zipped("a.csv.gz", &gzip(&csv(rows))), json!({}), true),
        case("jsonl", "jsonl", jsonl, json!({}), true),
        case("jsonl.gz", "ndjson.gz", |rows| gzip(&jsonl(rows)), json!({}), true),
        case("json list", "json", array, json!({}), true),
        case("json object", "json", document, json!({}), true),
        case("json path", "json", nested_document, json!({"response_path": "pages.1.rows"}), true),
        case("xml", "xml", xml, json!({}), true),
        case("xml, record tag", "xml", xml, json!({"xml_options": {"record_tag": "row"}}), true),
        case("parquet", "parquet", parquet, json!({}), false),
        case("parquet.gz", "parquet.gz", |rows| gzip(&parquet(rows)), json!({}), false),
        case("excel", "xlsx", excel, json!({}), true),
    ]
}

/// A folder with the rows in two files, on disk, in a bucket, or as pages of a server.
struct Fixture {
    folder: TempDir,
    source: FileSource,
    store: Option<(Storage, Store)>,
    served: Option<Served>,
}

impl Fixture {
    fn new(case: &Case, rows: &[Row]) -> Self {
        let folder = TempDir::new().unwrap();
        let (first, second) = rows.split_at(rows.len() * 2 / 3);
        let store = if let Home::Bucket(home) = case.home { Some(home.make()) } else { None };
        let pages = || [first, second].map(|rows| (case.write)(rows)).to_vec();
        let served = (case.home == Home::Web).then(|| Served::new(pages(), case.extension, &case.options));
        for (number, rows) in [first, second].iter().enumerate() {
            let (name, bytes) = (format!("part{number}.{}", case.extension), (case.write)(rows));
            match &store {
                None => std::fs::write(folder.path().join(name), bytes).unwrap(),
                Some((_, store)) => store.write(&name, bytes).unwrap(),
            }
        }
        let mut options = case.options.clone();
        options["path"] = format!("part*.{}", case.extension).into();
        Self { source: serde_json::from_value(options).unwrap(), folder, store, served }
    }

    fn open(&self, options: ReadOptions) -> Box<dyn Source> {
        if let Some(served) = &self.served {
            return served.open(&options);
        }
        let Some((storage, store)) = &self.store else {
            return open_files(&self.source, &Reading::default(), options, self.folder.path()).unwrap();
        };
        let storage = Storage { path: Some(self.source.path.clone()), ..storage.clone() };
        let found = objects::find(&storage, store).unwrap();
        Box::new(file::Files::open(&self.source, &Reading::default(), &options, found).unwrap())
    }
}

fn sizes(batch_rows: usize, chunk_bytes: usize, exact: bool) -> ReadOptions {
    ReadOptions { batch_rows: NonZeroUsize::new(batch_rows).unwrap(), chunk_bytes, exact, ..ReadOptions::default() }
}

fn to_rows(batch: &RecordBatch) -> Vec<Row> {
    let mut writer = arrow_json::ArrayWriter::new(Vec::new());
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    let rows: Vec<Value> = serde_json::from_slice(&writer.into_inner()).unwrap();
    let row = |row: Value| Row {
        id: row["id"].as_i64().unwrap(),
        name: row["name"].as_str().unwrap().into(),
        price: row["price"].as_f64(),
        ok: row["ok"].as_bool().unwrap(),
    };
    rows.into_iter().map(row).collect()
}

/// Rows of a chunk, and where it ends.
fn read(source: &dyn Source, split: &Split, from: Option<&Position>) -> Vec<(Vec<Row>, Position)> {
    let chunks = source.read(split, from).unwrap();
    let mut sequence = from.map_or(0, |from| from.sequence);
    chunks
        .map(|chunk| {
            let chunk = chunk.unwrap();
            let next = chunk.next();
            let mut rows = Vec::new();
            for decoded in chunk.decode() {
                let decoded = decoded.unwrap();
                assert_eq!(decoded.rejects, []);
                assert_eq!(decoded.batch.sequence, sequence);
                sequence += 1;
                rows.extend(to_rows(&decoded.batch.rows));
            }
            assert_eq!(next.sequence, sequence);
            (rows, next)
        })
        .collect()
}

fn all(source: &dyn Source, splits: usize) -> Vec<Row> {
    let splits = source.splits(NonZeroUsize::new(splits).unwrap()).unwrap();
    splits.iter().flat_map(|split| read(source, split, None)).flat_map(|(rows, _)| rows).collect()
}

fn each_case(check: impl Fn(&Case)) {
    for case in cases() {
        name_case(&case);
        check(&case);
    }
}

/// Names the case in the output of a failing test.
#[expect(clippy::print_stderr, reason = "shown only where a test fails")]
fn name_case(case: &Case) {
    eprintln!("case: {} in {:?}", case.name, case.home);
}

#[test]
fn all_rows_come_in_order_whatever_the_size_of_chunks() {
    let expected = rows(100);
    each_case(|case| {
        let fixture = Fixture::new(case, &expected);
        for options in [sizes(8192, 1 << 20, false), sizes(7, 1, false), sizes(7, 1, true), sizes(1, 300, false), sizes(1000, 1, true)] {
            assert_eq!(all(&*fixture.open(options.clone()), 1), expected, "{options:?}");
        }
    });
}

#[test]
fn reading_on_from_any_chunk_gives_just_the_rest() {
    let expected = rows(60);
    each_case(|case| {
        let fixture = Fixture::new(case, &expected);
        for exact in [false, true] {
            let source = fixture.open(sizes(4, 1, exact));
            let split = &source.splits(NonZeroUsize::MIN).unwrap()[0];
            let chunks = read(&*source, split, None);
            let mut done = 0;
            for (rows, next) in &chunks {
                done += rows.len();
                let text = serde_json::to_string(next).unwrap();
                let next: Position = serde_json::from_str(&text).unwrap();
                let rest: Vec<Row> = read(&*source, split, Some(&next)).into_iter().flat_map(|(rows, _)| rows).collect();
                assert_eq!(rest, expected[done..], "from {next:?}");
            }
            assert_eq!(done, expected.len());
        }
    });
}

#[test]
fn exact_batches_have_just_so_many_rows_up_to_the_end_of_a_file() {
    each_case(|case| {
        let fixture = Fixture::new(case, &rows(90));
        let source = fixture.open(sizes(8, 1, true));
        let split = &source.splits(NonZeroUsize::MIN).unwrap()[0];
        let mut counts = Vec::new();
        for chunk in source.read(split, None).unwrap() {
            counts.extend(chunk.unwrap().decode().map(|decoded| decoded.unwrap().batch.rows.num_rows()));
        }
        assert_eq!(counts, [8, 8, 8, 8, 8, 8, 8, 4, 8, 8, 8, 6]);
    });
}

#[test]
fn a_batch_of_wide_rows_has_fewer_of_them() {
    let wide = |id| Row { id, name: format!("{id:09}").repeat(1 << 16), price: Some(0.5), ok: true };
    let expected: Vec<Row> = (0..60).map(wide).collect();
    for case in cases().iter().filter(|case| matches!(case.name, "csv" | "jsonl.gz" | "json list" | "xml" | "parquet")) {
        let fixture = Fixture::new(case, &expected);
        let source = fixture.open(sizes(1000, 1 << 20, true));
        let split = &source.splits(NonZeroUsize::MIN).unwrap()[0];
        let mut numbers = Vec::new();
        let mut rows = 0;
        for chunk in source.read(split, None).unwrap() {
            for decoded in chunk.unwrap().decode() {
                let Decoded { batch, rejects, .. } = decoded.unwrap();
                assert!(rejects.is_empty(), "{}: {}", case.name, rejects[0].message);
                assert!(batch.rows.num_rows() <= 32, "{}: {} rows of more than half a MiB", case.name, batch.rows.num_rows());
                rows += batch.rows.num_rows();
                numbers.push(batch.sequence);
            }
        }
        assert_eq!(rows, 60, "{}", case.name);
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>(), "{}", case.name);
    }
}

#[test]
fn a_limit_holds_to_the_row() {
    let expected = rows(60);
    each_case(|case| {
        let fixture = Fixture::new(case, &expected);
        for limit in [0, 1, 39, 40, 41, 60, 1000] {
            let source = fixture.open(ReadOptions { limit: Some(limit), ..sizes(4, 1, false) });
            let count = 60.min(limit as usize);
            assert_eq!(all(&*source, 3), expected[..count]);
            let split = &source.splits(NonZeroUsize::MIN).unwrap()[0];
            if let Some((first, next)) = read(&*source, split, None).first() {
                let rest: usize = read(&*source, split, Some(next)).iter().map(|(rows, _)| rows.len()).sum();
                assert_eq!(first.len() + rest, count);
            }
        }
    });
}

#[test]
fn splits_cover_every_file_once() {
    let expected = rows(60);
    each_case(|case| {
        let fixture = Fixture::new(case, &expected);
        let source = fixture.open(ReadOptions::default());
        for target in [1, 2, 3] {
            let splits = source.splits(NonZeroUsize::new(target).unwrap()).unwrap();
            // What comes next on the web is known once a page is there.
            assert_eq!(splits.len(), if case.home == Home::Web { 1 } else { target.min(2) });
            assert_eq!(splits.iter().map(|split| split.index).collect::<Vec<_>>(), (0..splits.len()).collect::<Vec<_>>());
            assert_eq!(all(&*source, target), expected);
        }
    });
}

#[test]
fn chunks_stay_small_and_the_rows_of_a_chunk_are_whole_batches() {
    each_case(|case| {
        let fixture = Fixture::new(case, &rows(600));
        let source = fixture.open(sizes(8, 2000, true));
        let split = &source.splits(NonZeroUsize::MIN).unwrap()[0];
        let largest = read(&*source, split, None).iter().map(|(rows, _)| rows.len()).max();
        assert!(!case.streams || largest.is_some_and(|rows| rows <= 100), "{largest:?} rows in a chunk");
    });
}

#[test]
fn needed_columns_are_read_and_no_others() {
    each_case(|case| {
        let fixture = Fixture::new(case, &rows(10));
        let source = fixture.open(ReadOptions { columns: Some(vec!["ok".into(), "id".into(), "no".into()]), ..ReadOptions::default() });
        let names: Vec<String> = source.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["id", "ok"]);
        let split = &source.splits(NonZeroUsize::MIN).unwrap()[0];
        for chunk in source.read(split, None).unwrap() {
            for decoded in chunk.unwrap().decode() {
                let decoded = decoded.unwrap();
                assert_eq!((decoded.batch.rows.num_columns(), decoded.rejects.len()), (2, 0));
            }
        }
    });
}

#[test]
fn a_file_without_rows_has_none() {
    each_case(|case| {
        let fixture = Fixture::new(case, &[]);
        assert_eq!(all(&*fixture.open(ReadOptions::default()), 2), []);
    });
}

#[test]
fn an_empty_text_file_has_no_rows_and_no_match_is_an_empty_source() {
    let folder = TempDir::new().unwrap();
    for name in ["a.csv", "a.jsonl", "a.xml", "no*.csv"] {
        if !name.contains('*') {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let source: FileSource = serde_json::from_value(json!({"path": name})).unwrap();
        let source = open_files(&source, &Reading::default(), ReadOptions::default(), folder.path()).unwrap();
        assert_eq!(all(&*source, 1), [], "{name}");
        assert_eq!(source.schema().fields().len(), 0, "{name}");
    }
    std::fs::write(folder.path().join("a.json"), " \n").unwrap();
    let (fault, message, _) = failure(folder.path(), json!({"path": "a.json"}));
    assert_eq!((fault, message.as_str()), (Fault::Data, "`a.json` is not a JSON document: it is empty"));
}

fn failure(folder: &Path, options: Value) -> (Fault, String, Option<String>) {
    let source: FileSource = serde_json::from_value(options).unwrap();
    let result = open_files(&source, &Reading::default(), ReadOptions::default(), folder).and_then(|source| {
        for split in source.splits(NonZeroUsize::MIN)? {
            for chunk in source.read(&split, None)? {
                for decoded in chunk?.decode() {
                    decoded?;
                }
            }
        }
        Ok(())
    });
    let error = result.unwrap_err();
    let folder = folder.display().to_string();
    let shown = |text: &str| text.replace(&folder, "<folder>");
    (error.fault(), shown(&error.to_string()), error.find_hint().map(shown))
}

#[test]
fn a_missing_file_is_a_matter_of_the_outside_and_near_names_are_told() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("orders.csv"), "a\n1\n").unwrap();
    let fails = |path: &str| failure(folder.path(), json!({"path": path}));
    assert_eq!(
        fails("order.csv"),
        (
            Fault::Outside,
            "`order.csv` does not exist; it was looked for as `<folder>/order.csv`".into(),
            Some("there is `orders.csv`".into())
        )
    );
    assert_eq!(
        fails("data/orders.csv"),
        (
            Fault::Outside,
            "`data/orders.csv` does not exist; it was looked for as `<folder>/data/orders.csv`".into(),
            Some("the folder `<folder>/data` does not exist".into())
        )
    );
    let (fault, message, hint) = failure(folder.path(), json!({"path": "no*.csv", "fail_on_empty": true}));
    assert_eq!((fault, message.as_str()), (Fault::Outside, "`no*.csv` matches no file"));
    assert_eq!(hint.as_deref(), Some("`fail_on_empty: false` takes that as an empty source"));
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    assert_eq!(
        fails("sub"),
        (
            Fault::Outside,
            "`sub` is a folder, not a file".into(),
            Some("`sub/*.csv` reads the files in it, `sub/**/*.csv` those below too".into())
        )
    );
}

#[test]
fn a_file_whose_format_is_not_known_names_those_that_are() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("orders.dat"), "a\n1\n").unwrap();
    assert_eq!(
        failure(folder.path(), json!({"path": "orders.dat"})),
        (
            Fault::Config,
            "the name of `orders.dat` does not tell its format".into(),
            Some(
                "name it with `format`; extensions known are csv, tsv, json, jsonl (ndjson), parquet, xlsx (xlsm, xlsb, xls, ods), xml, each also with `.gz`, `.zst` or in a `.zip`"
                    .into()
            )
        )
    );
}

#[test]
fn a_damaged_file_is_told_from_a_bad_row() {
    let folder = TempDir::new().unwrap();
    let rows = rows(2000);
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let (fault, message, _) = failure(folder.path(), json!({"path": name}));
        (fault, message)
    };
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
    let (fault, message) = write("a.csv.gz", &cut(gzip(&csv(&rows))));
    assert_eq!(fault, Fault::Data);
    assert!(message.starts_with("`a.csv.gz` is damaged or cut off: it unpacks up to byte "), "{message}");
    assert_eq!(write("a.zip", &cut(zipped("a.csv", &csv(&rows)))), (Fault::Data, "`a.zip` is not a whole ZIP archive".into()));
    assert_eq!(write("a.parquet", &cut(parquet(&rows))), (Fault::Data, "`a.parquet` is not a whole Parquet file".into()));
    assert_eq!(write("a.xlsx", b"PK not really"), (Fault::Data, "`a.xlsx` is not a workbook that can be read".into()));
    assert_eq!(
        write("a.json", &cut(document(&rows))),
        (Fault::Data, "`a.json` is not a JSON document: it ends within a value, on line 1".into())
    );
    assert_eq!(write("a.xml", &cut(xml(&rows))), (Fault::Data, "`a.xml` is not an XML document: it ends within a record".into()));
}

#[test]
fn stars_find_files_in_the_order_of_their_names() {
    let folder = TempDir::new().unwrap();
    for name in ["b/2.csv", "a/x/1.csv", "c.csv", ".hidden/0.csv"] {
        let path: PathBuf = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "a\n1\n").unwrap();
    }
    let source: FileSource = serde_json::from_value(json!({"path": "**/*.csv"})).unwrap();
    let source = open_files(&source, &Reading::default(), ReadOptions::default(), folder.path()).unwrap();
    assert_eq!(source.splits(NonZeroUsize::MIN).unwrap()[0].files, ["a/x/1.csv", "b/2.csv", "c.csv"]);
}
