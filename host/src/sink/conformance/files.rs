//! Files and objects in every format, read back by readers that are not ours.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use arrow_array::RecordBatch;
use arrow_schema::DataType;
use calamine::{Data, Reader as _};
use serde_json::Value;

use super::schema;
use crate::config::cloud::Storage;
use crate::config::extract::{Format, JsonOptions};
use crate::config::load::{Compression, FileSink};
use crate::error::Result;
use crate::remote::store::{Home, Object, Store};
use crate::sink::file::{self, in_bucket};
use crate::sink::output::Output;
use crate::sink::{RunName, Sink};

/// Where the bucket of a path is, and the path in it: `S3:data/`.
fn in_home(path: &str) -> Option<(Home, &str)> {
    let (name, path) = path.split_once(':')?;
    [Home::Memory, Home::S3, Home::Google, Home::Azure].into_iter().find(|home| format!("{home:?}") == name).map(|home| (home, path))
}

/// The path of a file, or of objects within their bucket.
pub(super) fn bare(path: &str) -> &str {
    in_home(path).map_or(path, |(_, path)| path)
}

/// Whether rows go to a bucket.
pub(super) fn is_object(sink: &FileSink) -> bool {
    in_home(&sink.path).is_some()
}

/// Buckets, each of the folder of a test.
type Buckets = BTreeMap<(PathBuf, Home), (Storage, Store)>;

static BUCKETS: LazyLock<Mutex<Buckets>> = LazyLock::new(Mutex::default);

/// Opens a sink of files or of objects.
pub(super) fn open(config: &FileSink, root: &Path, run: &RunName) -> Result<Box<dyn Sink>> {
    let Some((home, path)) = in_home(&config.path) else { return file::open(config, root, run, None) };
    let (storage, store) = BUCKETS.lock().unwrap().entry((root.to_owned(), home)).or_insert_with(|| home.make()).clone();
    let storage = Storage { path: Some(path.into()), ..storage };
    in_bucket(Arc::new(Output::in_bucket(config, &storage)?), [store.clone(), store], &storage, root, run, None)
}

/// Every way to write rows, to files and to objects; of each server those that differ in what becomes of objects, since bytes of all formats
/// are staged on this machine.
pub(super) fn every_sink() -> Vec<FileSink> {
    let files = every_file_sink();
    let folder = FileSink { format: Some(Format::Csv), ..FileSink::of("data/") };
    let mut sinks = files.clone();
    for home in Home::every() {
        let in_home = |sink: &FileSink| FileSink { path: format!("{home:?}:{}", sink.path), ..sink.clone() };
        let differs = |path: &str| matches!(path, "new/folder/a.jsonl" | "new/folder/a.parquet" | "a.csv.gz" | "data/");
        let wanted = files.iter().chain([&folder]).filter(|sink| home == Home::Memory || differs(&sink.path));
        sinks.extend(wanted.map(in_home));
    }
    sinks
}

pub(super) fn every_file_sink() -> Vec<FileSink> {
    let single = ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.parquet", "a.xlsx", "a.jsonl.gz", "a.csv.zst", "a.json.zst", "a.json.gz"];
    let single = single.into_iter().chain(["a.xml", "a.xml.gz", "a.xml.zst"]);
    let mut sinks: Vec<FileSink> = single.map(|path| FileSink::of(format!("new/folder/{path}"))).collect();
    sinks.push(FileSink { json_options: JsonOptions { indent: Some(2), ..JsonOptions::default() }, ..FileSink::of("a.json") });
    for path in ["a.jsonl", "a.json", "a.csv.gz", "a.parquet", "a.xlsx", "a.xml"] {
        sinks.push(FileSink { max_rows_per_file: Some(3.try_into().unwrap()), ..FileSink::of(path) });
        sinks.push(FileSink { partition_by: vec!["kind".into()], ..FileSink::of(path) });
    }
    let folder = FileSink { format: Some(Format::Parquet), partition_by: vec!["kind".into(), "day".into()], ..FileSink::of("data/") };
    sinks.push(FileSink { max_rows_per_file: Some(2.try_into().unwrap()), ..folder.clone() });
    sinks.push(folder);
    for compression in [Compression::None, Compression::Snappy, Compression::Lz4, Compression::Gzip] {
        sinks.push(FileSink { compression: Some(compression), ..FileSink::of("a.parquet") });
    }
    sinks
}

/// Every file below a folder and every object of its bucket, hidden ones too, with its bytes.
pub(super) fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let buckets: Vec<Store> =
        BUCKETS.lock().unwrap().iter().filter(|((folder, _), _)| folder == root).map(|(_, (_, store))| store.clone()).collect();
    let mut found = BTreeMap::new();
    for store in buckets {
        let object = |object: &Object| (object.key.clone(), store.read(object, 0..object.bytes).unwrap().to_vec());
        found.extend(store.list("").unwrap().iter().map(object));
    }
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap());
            }
        }
    }
    found
}

/// Reads everything back with readers that are not ours, as rows of JSON; folders of one row each come sorted by id.
pub(super) fn read_back(config: &FileSink, root: &Path) -> Vec<Value> {
    let mut rows = Vec::new();
    for (path, bytes) in files(root) {
        let name = path.rsplit('/').next().unwrap();
        let mut text = Vec::new();
        let (name, bytes) = if let Some(name) = name.strip_suffix(".gz") {
            std::io::copy(&mut flate2::read::MultiGzDecoder::new(&bytes[..]), &mut text).unwrap();
            (name, text)
        } else if let Some(name) = name.strip_suffix(".zst") {
            zstd::stream::copy_decode(&bytes[..], &mut text).unwrap();
            (name, text)
        } else {
            (name, bytes)
        };
        let mut found = match name.rsplit('.').next().unwrap() {
            "jsonl" => String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            "json" => serde_json::from_slice(&bytes).unwrap(),
            "csv" => read_csv(&bytes, b','),
            "tsv" => read_csv(&bytes, b'\t'),
            "xml" => read_xml(&bytes),
            "parquet" => read_parquet(bytes),
            "xlsx" => read_excel(bytes),
            _ => panic!("{path} is a stray file"),
        };
        for folder in path.split('/').filter(|folder| folder.contains('=')) {
            let (key, value) = folder.split_once('=').unwrap();
            let value = match value {
                "__HIVE_DEFAULT_PARTITION__" => Value::Null,
                text => Value::from(text.replace("%2F", "/")),
            };
            found.iter_mut().for_each(|row| row[key] = value.clone());
        }
        rows.extend(found);
    }
    if !config.partition_by.is_empty() || config.path.ends_with('/') {
        rows.sort_by_key(|row| row["id"].as_i64());
    }
    let order = |row: &Value| schema().fields().iter().map(|field| (field.name().clone(), row[field.name()].clone())).collect();
    rows.iter().map(|row| Value::Object(order(row))).collect()
}

fn read_csv(text: &[u8], delimiter: u8) -> Vec<Value> {
    // The quotes tell null from an empty text, so fields are told apart here and not by a library.
    let (mut records, mut record, mut field, mut quoted, mut was_quoted) = (Vec::new(), Vec::new(), Vec::new(), false, false);
    for &byte in text {
        match byte {
            b'"' => {
                (quoted, was_quoted) = {
                    if !quoted && was_quoted {
                        field.push(b'"');
                    }
                    (!quoted, true)
                }
            }
            byte if !quoted && (byte == delimiter || byte == b'\n') => {
                let text = String::from_utf8(std::mem::take(&mut field)).unwrap();
                record.push((!text.is_empty() || was_quoted).then_some(text));
                was_quoted = false;
                if byte == b'\n' {
                    records.push(std::mem::take(&mut record));
                }
            }
            byte => field.push(byte),
        }
    }
    assert!(!quoted && field.is_empty(), "the last line is open");
    let header = records.remove(0);
    let typed = |(name, text): (&Option<String>, Option<String>)| {
        let name = name.clone().unwrap();
        let value = typed(&name, text);
        (name, value)
    };
    records.into_iter().map(|record| Value::Object(header.iter().zip(record).map(typed).collect())).collect()
}

fn read_xml(text: &[u8]) -> Vec<Value> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(std::str::from_utf8(text).unwrap());
    let (mut rows, mut path, mut text) = (Vec::new(), Vec::new(), String::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                path.push(tag.name().0.to_owned());
                text.clear();
                if path.len() == 2 {
                    rows.push(Value::Object(serde_json::Map::new()));
                }
            }
            Event::Text(piece) => text.push_str(&piece.xml10_content()),
            Event::GeneralRef(name) => match name.resolve_char_ref().unwrap() {
                Some(letter) => text.push(letter),
                None => text.push_str(quick_xml::escape::resolve_xml_entity(&name.xml10_content()).unwrap()),
            },
            Event::End(_) => {
                let name = path.pop().unwrap();
                if let ["records", "record"] = *path.iter().map(String::as_str).collect::<Vec<_>>() {
                    rows.last_mut().unwrap()[&name] = typed(&name, Some(text.clone()));
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(path.is_empty(), "the document is open");
    rows
}

/// A value of a format of texts; no text is null.
fn typed(name: &str, text: Option<String>) -> Value {
    match (schema().field_with_name(name).unwrap().data_type(), text) {
        (_, None) => Value::Null,
        (DataType::Utf8 | DataType::Date32 | DataType::Timestamp(..), Some(text)) => Value::from(text),
        (_, Some(text)) => serde_json::from_str(&text).unwrap(),
    }
}

fn read_parquet(bytes: Vec<u8>) -> Vec<Value> {
    let reader = ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    batches.iter().flat_map(|rows| (0..rows.num_rows()).map(|index| crate::json::row_json(rows, index))).collect()
}

fn read_excel(bytes: Vec<u8>) -> Vec<Value> {
    let mut workbook = calamine::Xlsx::new(std::io::Cursor::new(bytes)).unwrap();
    let range = workbook.worksheet_range("Sheet1").unwrap();
    let mut rows = range.rows();
    let header: Vec<String> = rows.next().map(|row| row.iter().map(ToString::to_string).collect()).unwrap_or_default();
    let instant = |serial: f64| chrono::DateTime::from_timestamp_millis(((serial - 25_569.0) * 86_400_000.0).round() as i64).unwrap();
    let typed = |(name, cell): (&String, &Data)| {
        let kind = schema().field_with_name(name).unwrap().data_type().clone();
        let value = match (cell, kind) {
            (Data::Empty, _) => Value::Null,
            (Data::String(text), _) => Value::from(text.as_str()),
            (Data::Bool(truth), _) => Value::from(*truth),
            (Data::DateTime(time), DataType::Date32) => Value::from(instant(time.as_f64()).date_naive().to_string()),
            (Data::DateTime(time), _) => Value::from(instant(time.as_f64()).to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
            (Data::Float(number), DataType::Int64) => Value::from(*number as i64),
            (Data::Float(number), _) => Value::from(*number),
            (other, _) => panic!("{name} has {other:?}"),
        };
        (name.clone(), value)
    };
    rows.map(|row| Value::Object(header.iter().zip(row).map(typed).collect())).collect()
}
