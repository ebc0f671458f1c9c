//! What every sink promises, held against every format.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use arrow_array::{ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use calamine::{Data, Reader as _};
use serde_json::Value;

use super::file::in_bucket;
use super::output::Output;
use super::*;
use crate::batch::{Origin, RowNumbers};
use crate::config::cloud::{CloudSink, Provider, Storage};
use crate::config::extract::{CsvOptions, ExcelOptions, Format, JsonOptions};
use crate::config::load::{Compression, FileSink, WriteMode, XmlTags};
use crate::error::Fault;

fn sink(path: &str) -> FileSink {
    FileSink {
        path: path.into(),
        format: None,
        write_mode: WriteMode::Overwrite,
        csv_options: CsvOptions::default(),
        json_options: JsonOptions::default(),
        excel_options: ExcelOptions::default(),
        xml_options: XmlTags::default(),
        compression: None,
        partition_by: Vec::new(),
        max_rows_per_file: None,
    }
}

/// What paths start with that are in a bucket.
const BUCKET: &str = "bucket:";

/// The bucket, in memory, of a test's folder.
fn store_of(root: &Path) -> Store {
    static STORES: LazyLock<Mutex<BTreeMap<PathBuf, Store>>> = LazyLock::new(Mutex::default);
    STORES.lock().unwrap().entry(root.to_owned()).or_insert_with(Store::in_memory).clone()
}

/// Opens a sink of files or of objects.
fn open(config: &FileSink, root: &Path, run: &RunName, mark: Option<&Mark>) -> Result<Box<dyn Sink>> {
    let Some(path) = config.path.strip_prefix(BUCKET) else { return super::file::open(config, root, run, mark.and_then(Mark::file)) };
    let FileSink {
        path: _,
        format,
        write_mode,
        csv_options,
        json_options,
        excel_options,
        xml_options,
        compression,
        partition_by,
        max_rows_per_file,
    } = config.clone();
    let storage = Storage {
        provider: Provider::S3,
        bucket: "memory".into(),
        path: Some(path.into()),
        prefix: None,
        pattern: None,
        credentials: BTreeMap::new(),
    };
    let sink = CloudSink {
        storage: storage.clone(),
        format,
        write_mode,
        csv_options,
        json_options,
        excel_options,
        xml_options,
        compression,
        partition_by,
        max_rows_per_file,
    };
    in_bucket(Arc::new(Output::of_objects(&sink)?), store_of(root), &storage, root, run, mark.and_then(Mark::file))
}

/// Puts a file or an object there.
fn put(config: &FileSink, root: &Path, path: &str, bytes: &[u8]) {
    if config.path.starts_with(BUCKET) {
        return store_of(root).write(path, bytes.to_vec()).unwrap();
    }
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Every way to write rows, to files and to objects.
fn every_sink() -> Vec<FileSink> {
    let mut sinks = every_file_sink();
    let in_bucket = |sink: FileSink| FileSink { path: format!("{BUCKET}{}", sink.path), ..sink };
    let objects: Vec<FileSink> = sinks.iter().cloned().map(in_bucket).collect();
    sinks.extend(objects);
    sinks.push(FileSink { format: Some(Format::Csv), ..sink("bucket:data/") });
    sinks
}

fn every_file_sink() -> Vec<FileSink> {
    let single = ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.parquet", "a.xlsx", "a.jsonl.gz", "a.csv.zst", "a.json.zst", "a.json.gz"];
    let single = single.into_iter().chain(["a.xml", "a.xml.gz", "a.xml.zst"]);
    let mut sinks: Vec<FileSink> = single.map(|path| sink(&format!("new/folder/{path}"))).collect();
    sinks.push(FileSink { json_options: JsonOptions { indent: Some(2), ..JsonOptions::default() }, ..sink("a.json") });
    for path in ["a.jsonl", "a.json", "a.csv.gz", "a.parquet", "a.xlsx", "a.xml"] {
        sinks.push(FileSink { max_rows_per_file: Some(3.try_into().unwrap()), ..sink(path) });
        sinks.push(FileSink { partition_by: vec!["kind".into()], ..sink(path) });
    }
    let folder = FileSink { format: Some(Format::Parquet), partition_by: vec!["kind".into(), "day".into()], ..sink("data/") };
    sinks.push(FileSink { max_rows_per_file: Some(2.try_into().unwrap()), ..folder.clone() });
    sinks.push(folder);
    for compression in [Compression::None, Compression::Snappy, Compression::Lz4, Compression::Gzip] {
        sinks.push(FileSink { compression: Some(compression), ..sink("a.parquet") });
    }
    sinks
}

/// The same, without those that cannot add to what is there.
fn every_appending_sink() -> Vec<FileSink> {
    let appends = |sink: &FileSink| {
        let whole = !sink.path.ends_with("xlsx") && !sink.path.starts_with(BUCKET);
        whole || sink.max_rows_per_file.is_some() || !sink.partition_by.is_empty() || sink.path.ends_with('/')
    };
    every_sink().into_iter().filter(appends).map(|sink| FileSink { write_mode: WriteMode::Append, ..sink }).collect()
}

fn run(run_id: &str) -> RunName {
    RunName {
        run_id: run_id.into(),
        started: "2024-06-19T01:58:32Z".parse().unwrap(),
        pipeline: "orders".into(),
        transformer: None,
        max_retries: 0,
    }
}

fn schema() -> SchemaRef {
    let field = |(name, kind): (&str, DataType)| Field::new(name, kind, true);
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let fields = [
        ("id", DataType::Int64),
        ("kind", DataType::Utf8),
        ("text", DataType::Utf8),
        ("price", DataType::Float64),
        ("paid", DataType::Boolean),
        ("day", DataType::Date32),
        ("at", instant),
    ];
    Arc::new(Schema::new(fields.into_iter().map(field).collect::<Vec<_>>()))
}

/// Rows with ids from `first` on.
fn batch(first: i64, rows: usize) -> Batch {
    let ids: Vec<i64> = (first..).take(rows).collect();
    let every = |n: i64| move |id: &i64| id % n != 0;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(ids.clone())),
        Arc::new(ids.iter().map(|id| every(5)(id).then(|| ["a/b", "ü"][(id % 2) as usize])).collect::<StringArray>()),
        Arc::new(ids.iter().map(|id| every(3)(id).then(|| format!("say \"{id}\",\n\tok"))).collect::<StringArray>()),
        Arc::new(ids.iter().map(|id| every(4)(id).then_some(*id as f64 / 4.0)).collect::<Float64Array>()),
        Arc::new(ids.iter().map(|id| every(7)(id).then_some(id % 2 == 0)).collect::<BooleanArray>()),
        Arc::new(ids.iter().map(|id| every(6)(id).then_some(19_893 + (id % 2) as i32)).collect::<Date32Array>()),
        Arc::new(
            ids.iter()
                .map(|id| every(8)(id).then_some(1_718_762_312_000_000 + id * 500_000))
                .collect::<TimestampMicrosecondArray>()
                .with_timezone("UTC"),
        ),
    ];
    let rows = RecordBatch::try_new(schema(), columns).unwrap();
    Batch { rows, origin: Origin { source: "in.csv".into(), rows: RowNumbers::From(first as u64) }, sequence: 0 }
}

/// What the rows with these ids read back as.
fn expected(ids: impl IntoIterator<Item = i64>) -> Vec<Value> {
    ids.into_iter().map(|id| crate::json::row_json(&batch(id, 1).rows, 0)).collect()
}

/// Stages batches as the chunks of a split.
fn stage(sink: &dyn Sink, split: usize, chunks: &[Batch]) -> Staged {
    let mut load = sink.begin(split, schema(), None).unwrap();
    let encode = load.encoder();
    for chunk in chunks {
        let mut encoder = encode.start().unwrap();
        // Two batches a chunk.
        let half = chunk.rows.num_rows() / 2;
        assert_eq!(encoder.write(&chunk.slice(0, half)).unwrap(), []);
        assert_eq!(encoder.write(&chunk.slice(half, chunk.rows.num_rows() - half)).unwrap(), []);
        load.append(encoder.finish().unwrap()).unwrap();
    }
    // A chunk whose rows were all filtered out.
    load.append(encode.start().unwrap().finish().unwrap()).unwrap();
    load.finish().unwrap()
}

/// Runs one whole run of rows with these ids.
fn write(config: &FileSink, root: &Path, run_id: &str, first: i64, rows: usize) -> Committed {
    let sink = open(config, root, &run(run_id), None).unwrap();
    let staged = stage(sink.as_ref(), 0, &[batch(first, rows)]);
    sink.commit(vec![staged]).unwrap()
}

/// Every file below a folder and every object of its bucket, hidden ones too, with its bytes.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let store = store_of(root);
    let objects = store.list("").unwrap().into_iter();
    let mut found: BTreeMap<String, Vec<u8>> =
        objects.map(|object| (object.key.clone(), store.read(&object, 0..object.bytes).unwrap().to_vec())).collect();
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

fn visible(root: &Path) -> Vec<String> {
    files(root).into_keys().filter(|path| !path.split('/').any(|name| name.starts_with('.'))).collect()
}

/// Reads everything back with readers that are not ours, as rows of JSON; folders of one row each come sorted by id.
fn read_back(config: &FileSink, root: &Path) -> Vec<Value> {
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

#[test]
fn nothing_is_visible_before_the_commit_and_every_row_after_it() {
    for config in every_sink() {
        let root = tempfile::tempdir().unwrap();
        let sink = open(&config, root.path(), &run("r1"), None).unwrap();
        let staged = stage(sink.as_ref(), 0, &[batch(1, 5), batch(6, 5)]);
        assert_eq!(visible(root.path()), Vec::<String>::new(), "{config:?}");
        let committed = sink.commit(vec![staged]).unwrap();
        assert_eq!(committed.rows, 10);
        let found = files(root.path());
        assert_eq!(committed.files.len(), found.len(), "{config:?} left {:?}", found.keys());
        assert_eq!(committed.bytes, found.values().map(|bytes| bytes.len() as u64).sum::<u64>());
        assert_eq!(read_back(&config, root.path()), expected(1..=10), "{config:?}");
    }
}

#[test]
fn splits_stand_in_their_order_and_a_split_begun_twice_counts_once() {
    for config in every_sink() {
        let root = tempfile::tempdir().unwrap();
        let sink = open(&config, root.path(), &run("r1"), None).unwrap();
        if sink.max_splits() == 1 {
            continue;
        }
        let last = stage(sink.as_ref(), 2, &[batch(8, 4)]);
        // The second has no rows, the first fails half-way, then runs twice.
        let middle = stage(sink.as_ref(), 1, &[]);
        let mut broken = sink.begin(0, schema(), None).unwrap();
        let mut encoder = broken.encoder().start().unwrap();
        encoder.write(&batch(1, 4)).unwrap();
        broken.append(encoder.finish().unwrap()).unwrap();
        drop(broken);
        let once = stage(sink.as_ref(), 0, &[batch(1, 4), batch(5, 3)]);
        let twice = stage(sink.as_ref(), 0, &[batch(1, 4), batch(5, 3)]);
        assert_eq!(once, twice);
        let committed = sink.commit(vec![last, once, middle, twice]).unwrap();
        assert_eq!(committed.rows, 11, "{config:?}");
        assert_eq!(read_back(&config, root.path()), expected(1..=11), "{config:?}");
    }
}

/// Stages chunks of which the process dies behind the `dies`-th, with a flush behind each; then another goes on from the `from`-th flush.
fn stage_in_two_lives(config: &FileSink, root: &Path, chunks: &[Batch], dies: usize, from: usize) -> Box<dyn Sink> {
    let append = |load: &mut Box<dyn Load>, chunk: &Batch| {
        let mut encoder = load.encoder().start().unwrap();
        assert_eq!(encoder.write(chunk).unwrap(), []);
        load.append(encoder.finish().unwrap()).unwrap();
    };
    let mark = root.join(".mark");
    fs::write(&mark, "").unwrap();
    let sink = open(config, root, &run("r1"), None).unwrap();
    sink.keep(&mark).unwrap();
    let mut load = sink.begin(0, schema(), None).unwrap();
    let mut flushed = vec![load.flush().unwrap()];
    for chunk in &chunks[..dies] {
        append(&mut load, chunk);
        flushed.push(load.flush().unwrap());
    }
    drop((load, sink));
    let sink = open(config, root, &run("r1"), None).unwrap();
    let text = serde_json::to_string(&flushed[from]).unwrap();
    let flushed: Flushed = serde_json::from_str(&text).unwrap();
    let mut load = sink.begin(0, flushed.schema().unwrap(), Some(&flushed)).unwrap();
    chunks[from..].iter().for_each(|chunk| append(&mut load, chunk));
    let staged = load.finish().unwrap();
    assert_eq!(sink.committed().unwrap(), None);
    let committed = sink.commit(vec![staged.clone()]).unwrap();
    assert_eq!(sink.committed().unwrap(), Some(Committed { rows: 0, ..committed }));
    sink
}

#[test]
fn a_load_that_goes_on_from_a_flush_gives_the_bytes_of_one_that_was_never_flushed() {
    let chunks = [batch(1, 4), batch(5, 3), batch(8, 5), batch(13, 1)];
    for config in every_sink().into_iter().chain(every_appending_sink()) {
        let undisturbed = tempfile::tempdir().unwrap();
        write(&FileSink { write_mode: WriteMode::Overwrite, ..config.clone() }, undisturbed.path(), "r0", 90, 3);
        let old: Vec<(String, Vec<u8>)> = files(undisturbed.path()).into_iter().collect();
        let sink = open(&config, undisturbed.path(), &run("r1"), None).unwrap();
        let mut load = sink.begin(0, schema(), None).unwrap();
        for chunk in &chunks {
            let mut encoder = load.encoder().start().unwrap();
            encoder.write(chunk).unwrap();
            load.append(encoder.finish().unwrap()).unwrap();
        }
        let staged = load.finish().unwrap();
        sink.commit(vec![staged]).unwrap();
        for (dies, from) in [(0, 0), (1, 1), (3, 3), (3, 2), (4, 4), (4, 3)] {
            let root = tempfile::tempdir().unwrap();
            old.iter().for_each(|(path, bytes)| put(&config, root.path(), path, bytes));
            let sink = stage_in_two_lives(&config, root.path(), &chunks, dies, from);
            sink.abort().unwrap();
            drop(sink);
            fs::remove_file(root.path().join(".mark")).unwrap();
            let (found, expected) = (files(root.path()), files(undisturbed.path()));
            assert!(found == expected, "{config:?}, {dies}, {from}: {:?}, undisturbed {:?}", found.keys(), expected.keys());
        }
    }
}

#[test]
fn what_an_interrupted_run_has_staged_stays_while_it_can_be_gone_on_with() {
    for config in every_sink() {
        let root = tempfile::tempdir().unwrap();
        let mark = root.path().join(".mark");
        fs::write(&mark, "").unwrap();
        let interrupted = open(&config, root.path(), &run("r1"), None).unwrap();
        interrupted.keep(&mark).unwrap();
        stage(interrupted.as_ref(), 0, &[batch(1, 5)]);
        drop(interrupted);
        let left = |root: &Path| files(root).into_keys().filter(|path| path.contains("/run-r1/00000")).count();
        assert!(left(root.path()) > 0, "{config:?}");
        write(&config, root.path(), "r2", 50, 2);
        assert!(left(root.path()) > 0, "{config:?}");
        fs::remove_file(&mark).unwrap();
        write(&config, root.path(), "r3", 60, 2);
        assert_eq!(left(root.path()), 0, "{config:?}");
        assert_eq!(read_back(&config, root.path()), expected(60..=61), "{config:?}");
    }
}

#[test]
fn an_aborted_run_leaves_the_old_output_as_it_was_and_no_stray_file() {
    for config in every_sink().into_iter().chain(every_appending_sink()) {
        for dropped in [false, true] {
            let root = tempfile::tempdir().unwrap();
            write(&FileSink { write_mode: WriteMode::Overwrite, ..config.clone() }, root.path(), "r1", 1, 7);
            let before = files(root.path());
            let sink = open(&config, root.path(), &run("r2"), None).unwrap();
            stage(sink.as_ref(), 0, &[batch(8, 5)]);
            if !dropped {
                sink.abort().unwrap();
            }
            drop(sink);
            assert_eq!(files(root.path()), before, "{config:?}");
        }
    }
}

#[test]
fn an_aborted_first_run_leaves_not_even_a_folder() {
    for config in every_sink() {
        let root = tempfile::tempdir().unwrap();
        let sink = open(&config, root.path(), &run("r1"), None).unwrap();
        stage(sink.as_ref(), 0, &[batch(1, 5)]);
        sink.abort().unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "{config:?}");
    }
}

#[test]
fn overwriting_replaces_all_of_the_old_output_and_nothing_else() {
    for config in every_sink() {
        let root = tempfile::tempdir().unwrap();
        write(&config, root.path(), "r1", 100, 20);
        fs::write(root.path().join(".kept"), "by the user").unwrap();
        let config = FileSink { write_mode: WriteMode::Overwrite, ..config };
        write(&config, root.path(), "r2", 1, 4);
        assert_eq!(fs::read_to_string(root.path().join(".kept")).unwrap(), "by the user");
        fs::remove_file(root.path().join(".kept")).unwrap();
        assert_eq!(read_back(&config, root.path()), expected(1..=4), "{config:?}");
    }
}

#[test]
fn appending_keeps_the_old_rows_and_starts_where_there_are_none() {
    for config in every_appending_sink() {
        let root = tempfile::tempdir().unwrap();
        write(&config, root.path(), "r1", 1, 5);
        write(&config, root.path(), "r2", 6, 0);
        let sink = open(&config, root.path(), &run("r3"), None).unwrap();
        let staged = [stage(sink.as_ref(), 0, &[batch(6, 2)]), stage(sink.as_ref(), 1, &[batch(8, 3)])];
        assert_eq!(sink.commit(staged.into()).unwrap().rows, 5);
        assert_eq!(read_back(&config, root.path()), expected(1..=10), "{config:?}");
    }
}

#[test]
fn a_run_without_rows_replaces_the_old_output_by_an_empty_one() {
    for config in every_sink() {
        for begun in [true, false] {
            let root = tempfile::tempdir().unwrap();
            write(&config, root.path(), "r1", 1, 5);
            let sink = open(&config, root.path(), &run("r2"), None).unwrap();
            let staged = if begun { vec![stage(sink.as_ref(), 0, &[])] } else { Vec::new() };
            assert_eq!(sink.commit(staged).unwrap().rows, 0);
            let path = config.path.trim_start_matches(BUCKET);
            if begun || !matches!(path, "new/folder/a.csv" | "new/folder/a.tsv" | "new/folder/a.csv.zst") {
                assert_eq!(read_back(&config, root.path()), expected([]), "{config:?}");
            }
        }
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_the_fault_of_the_world_outside() {
    for config in every_file_sink() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        let config = FileSink { path: format!("file/{}", config.path), ..config };
        let error = open(&config, root.path(), &run("r1"), None).map(|_| ()).unwrap_err();
        assert_eq!(error.fault(), Fault::Outside, "{error:?}");
        assert_eq!(error.find_hint(), Some("a part of the path is a file, not a folder"));
    }
}

#[test]
fn a_run_that_was_killed_leaves_the_old_output_and_the_next_run_clears_its_traces() {
    for config in every_sink() {
        let root = tempfile::tempdir().unwrap();
        write(&config, root.path(), "r1", 1, 5);
        let before = visible(root.path());
        let killed = open(&config, root.path(), &run("killed"), None).unwrap();
        stage(killed.as_ref(), 0, &[batch(50, 5)]);
        assert_eq!(visible(root.path()), before);
        // What a killed process leaves, without its lock: a copy of the folder.
        let left: Vec<(String, Vec<u8>)> = files(root.path()).into_iter().filter(|(path, _)| path.contains(".etl/run-")).collect();
        assert!(!left.is_empty());
        killed.abort().unwrap();
        for (path, bytes) in left {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        write(&config, root.path(), "r2", 1, 4);
        assert_eq!(read_back(&config, root.path()), expected(1..=4), "{config:?}");
    }
}

#[test]
fn two_runs_cannot_write_one_target_at_once() {
    for config in every_sink() {
        let root = tempfile::tempdir().unwrap();
        let first = open(&config, root.path(), &run("r1"), None).unwrap();
        let error = open(&config, root.path(), &run("r2"), None).map(|_| ()).unwrap_err();
        assert_eq!(error.fault(), Fault::Outside);
        assert!(error.to_string().starts_with("another run (`r1`) is writing `"), "{error}");
        drop(first);
        write(&config, root.path(), "r2", 1, 1);
    }
}
