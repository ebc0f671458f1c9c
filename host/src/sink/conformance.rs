//! What every sink promises, held against every format of files and objects, and against every database.

mod files;
mod tables;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde_json::Value;

use self::files::{bare, every_file_sink, files, is_object};
use self::tables::{Table, every_table};
use super::*;
use crate::batch::{Origin, RowNumbers};
use crate::config::load::{FileSink, WriteMode};
use crate::error::Fault;

/// A place that rows go to; in each test's folder there is another one.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a handful of them, in tests")]
enum Target {
    Files(FileSink),
    Table(Table),
}

impl Target {
    /// Opens the sink of a run.
    fn open(&self, root: &Path, run_id: &str) -> Result<Box<dyn Sink>> {
        match self {
            Self::Files(config) => files::open(config, root, &RunName::of(run_id)),
            Self::Table(table) => table.open(root, &RunName::of(run_id)),
        }
    }

    /// The same, where rows are added to those that are there, or take their place.
    fn that(&self, write_mode: WriteMode) -> Self {
        match self.clone() {
            Self::Files(config) => Self::Files(FileSink { write_mode, ..config }),
            Self::Table(table) => Self::Table(table.that(write_mode)),
        }
    }

    /// All that is there, hidden files too.
    fn found(&self, root: &Path) -> BTreeMap<String, Vec<u8>> {
        match self {
            Self::Files(_) => files(root),
            Self::Table(table) => table.found(root),
        }
    }

    /// What whoever looks sees of it.
    fn seen(&self, root: &Path) -> Vec<String> {
        self.found(root).into_keys().filter(|path| !path.split('/').any(|name| name.starts_with('.'))).collect()
    }

    /// Its rows, as readers see them that are not ours.
    fn rows(&self, root: &Path) -> Vec<Value> {
        match self {
            Self::Files(config) => files::read_back(config, root),
            Self::Table(table) => table.read_back(root),
        }
    }
}

/// Every way to write rows, over those that are there where it can.
fn every_sink() -> Vec<Target> {
    files::every_sink().into_iter().map(Target::Files).chain(every_table().into_iter().map(Target::Table)).collect()
}

/// Every way to add rows to those that are there.
fn every_appending_sink() -> Vec<Target> {
    let appends = |target: &Target| match target {
        Target::Files(sink) => {
            let whole = !sink.path.ends_with("xlsx") && !is_object(sink);
            whole || sink.max_rows_per_file.is_some() || !sink.partition_by.is_empty() || sink.path.ends_with('/')
        }
        Target::Table(_) => true,
    };
    every_sink().iter().filter(|target| appends(target)).map(|target| target.that(WriteMode::Append)).collect()
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
fn write(target: &Target, root: &Path, run_id: &str, first: i64, rows: usize) -> Committed {
    let sink = target.open(root, run_id).unwrap();
    let staged = stage(sink.as_ref(), 0, &[batch(first, rows)]);
    sink.commit(vec![staged]).unwrap()
}

#[test]
fn nothing_is_visible_before_the_commit_and_every_row_after_it() {
    for target in every_sink() {
        let root = tempfile::tempdir().unwrap();
        let sink = target.open(root.path(), "r1").unwrap();
        let staged = stage(sink.as_ref(), 0, &[batch(1, 5), batch(6, 5)]);
        assert_eq!(target.seen(root.path()), Vec::<String>::new(), "{target:?}");
        let committed = sink.commit(vec![staged]).unwrap();
        assert_eq!(committed.rows, 10);
        let found = target.found(root.path());
        assert_eq!(committed.files.len() + committed.tables.len(), found.len(), "{target:?} left {:?}", found.keys());
        if let Target::Files(_) = target {
            assert_eq!(committed.bytes, found.values().map(|bytes| bytes.len() as u64).sum::<u64>());
        }
        assert_eq!(target.rows(root.path()), expected(1..=10), "{target:?}");
    }
}

#[test]
fn splits_stand_in_their_order_and_a_split_begun_twice_counts_once() {
    for target in every_sink() {
        let root = tempfile::tempdir().unwrap();
        let sink = target.open(root.path(), "r1").unwrap();
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
        assert_eq!(committed.rows, 11, "{target:?}");
        assert_eq!(target.rows(root.path()), expected(1..=11), "{target:?}");
    }
}

/// Appends a chunk whose rows all fit.
fn append(load: &mut dyn Load, chunk: &Batch) {
    let mut encoder = load.encoder().start().unwrap();
    assert_eq!(encoder.write(chunk).unwrap(), []);
    assert_eq!(load.append(encoder.finish().unwrap()).unwrap(), []);
}

/// Stages chunks of which the process dies behind the `dies`-th, with a flush behind each and a checkpoint of those up to the `from`-th; then
/// another goes on from there.
fn stage_in_two_lives(target: &Target, root: &Path, chunks: &[Batch], dies: usize, from: usize) -> Box<dyn Sink> {
    let mark = root.join(".mark");
    fs::write(&mark, "").unwrap();
    let sink = target.open(root, "r1").unwrap();
    sink.keep(&mark).unwrap();
    let mut load = sink.begin(0, schema(), None).unwrap();
    let mut flushed = Vec::new();
    for number in 0..=dies {
        if number > 0 {
            append(load.as_mut(), &chunks[number - 1]);
        }
        flushed.push(load.flush().unwrap());
        if number <= from {
            sink.settle(number as u64 + 1).unwrap();
        }
    }
    drop((load, sink));
    let sink = target.open(root, "r1").unwrap();
    assert!(sink.settled().unwrap().is_none_or(|checkpoint| checkpoint == from as u64 + 1), "{target:?}, {dies}, {from}");
    let text = serde_json::to_string(&flushed[from]).unwrap();
    let flushed: Flushed = serde_json::from_str(&text).unwrap();
    let mut load = sink.begin(0, flushed.schema().unwrap(), Some(&flushed)).unwrap();
    chunks[from..].iter().for_each(|chunk| append(load.as_mut(), chunk));
    let staged = load.finish().unwrap();
    assert_eq!(staged.rows, chunks.iter().map(|chunk| chunk.rows.num_rows() as u64).sum::<u64>(), "{target:?}, {dies}, {from}");
    assert_eq!(sink.committed().unwrap(), None);
    let committed = sink.commit(vec![staged.clone()]).unwrap();
    let known = sink.committed().unwrap().expect("it is committed");
    assert_eq!((known.files, known.bytes, known.tables), (committed.files, committed.bytes, committed.tables));
    sink
}

#[test]
fn a_load_that_goes_on_from_a_flush_gives_the_bytes_of_one_that_was_never_flushed() {
    let chunks = [batch(1, 4), batch(5, 3), batch(8, 5), batch(13, 1)];
    for target in every_sink().into_iter().chain(every_appending_sink()) {
        let old_rows = |root: &Path| write(&target.that(WriteMode::Overwrite), root, "r0", 90, 3);
        let undisturbed = tempfile::tempdir().unwrap();
        old_rows(undisturbed.path());
        let sink = target.open(undisturbed.path(), "r1").unwrap();
        let mut load = sink.begin(0, schema(), None).unwrap();
        chunks.iter().for_each(|chunk| append(load.as_mut(), chunk));
        let staged = load.finish().unwrap();
        sink.commit(vec![staged]).unwrap();
        for (dies, from) in [(0, 0), (1, 1), (3, 3), (3, 2), (4, 4), (4, 3)] {
            let root = tempfile::tempdir().unwrap();
            old_rows(root.path());
            let sink = stage_in_two_lives(&target, root.path(), &chunks, dies, from);
            sink.abort().unwrap();
            drop(sink);
            fs::remove_file(root.path().join(".mark")).unwrap();
            let (found, expected) = (target.found(root.path()), target.found(undisturbed.path()));
            assert!(found == expected, "{target:?}, {dies}, {from}: {:?}, undisturbed {:?}", found.keys(), expected.keys());
        }
    }
}

#[test]
fn what_an_interrupted_run_has_staged_stays_while_it_can_be_gone_on_with() {
    for target in files::every_sink().into_iter().map(Target::Files) {
        let root = tempfile::tempdir().unwrap();
        let mark = root.path().join(".mark");
        fs::write(&mark, "").unwrap();
        let interrupted = target.open(root.path(), "r1").unwrap();
        interrupted.keep(&mark).unwrap();
        stage(interrupted.as_ref(), 0, &[batch(1, 5)]);
        drop(interrupted);
        let left = |root: &Path| files(root).into_keys().filter(|path| path.contains("/run-r1/00000")).count();
        assert!(left(root.path()) > 0, "{target:?}");
        write(&target, root.path(), "r2", 50, 2);
        assert!(left(root.path()) > 0, "{target:?}");
        fs::remove_file(&mark).unwrap();
        write(&target, root.path(), "r3", 60, 2);
        assert_eq!(left(root.path()), 0, "{target:?}");
        assert_eq!(target.rows(root.path()), expected(60..=61), "{target:?}");
    }
}

#[test]
fn an_aborted_run_leaves_the_old_output_as_it_was_and_no_stray_file() {
    for target in every_sink().into_iter().chain(every_appending_sink()) {
        for dropped in [false, true] {
            let root = tempfile::tempdir().unwrap();
            write(&target.that(WriteMode::Overwrite), root.path(), "r1", 1, 7);
            let before = target.found(root.path());
            let sink = target.open(root.path(), "r2").unwrap();
            stage(sink.as_ref(), 0, &[batch(8, 5)]);
            if !dropped {
                sink.abort().unwrap();
            }
            drop(sink);
            assert_eq!(target.found(root.path()), before, "{target:?}");
        }
    }
}

#[test]
fn an_aborted_first_run_leaves_not_even_a_folder() {
    for target in every_sink() {
        let root = tempfile::tempdir().unwrap();
        let sink = target.open(root.path(), "r1").unwrap();
        stage(sink.as_ref(), 0, &[batch(1, 5)]);
        sink.abort().unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "{target:?}");
    }
}

#[test]
fn overwriting_replaces_all_of_the_old_output_and_nothing_else() {
    for target in every_sink() {
        let root = tempfile::tempdir().unwrap();
        write(&target, root.path(), "r1", 100, 20);
        fs::write(root.path().join(".kept"), "by the user").unwrap();
        write(&target.that(WriteMode::Overwrite), root.path(), "r2", 1, 4);
        assert_eq!(fs::read_to_string(root.path().join(".kept")).unwrap(), "by the user");
        fs::remove_file(root.path().join(".kept")).unwrap();
        assert_eq!(target.rows(root.path()), expected(1..=4), "{target:?}");
    }
}

#[test]
fn appending_keeps_the_old_rows_and_starts_where_there_are_none() {
    for target in every_appending_sink() {
        let root = tempfile::tempdir().unwrap();
        write(&target, root.path(), "r1", 1, 5);
        write(&target, root.path(), "r2", 6, 0);
        let sink = target.open(root.path(), "r3").unwrap();
        let staged = [stage(sink.as_ref(), 0, &[batch(6, 2)]), stage(sink.as_ref(), 1, &[batch(8, 3)])];
        assert_eq!(sink.commit(staged.into()).unwrap().rows, 5);
        assert_eq!(target.rows(root.path()), expected(1..=10), "{target:?}");
    }
}

#[test]
fn a_run_without_rows_replaces_the_old_output_by_an_empty_one() {
    for target in every_sink() {
        for begun in [true, false] {
            let root = tempfile::tempdir().unwrap();
            write(&target, root.path(), "r1", 1, 5);
            let sink = target.open(root.path(), "r2").unwrap();
            let staged = if begun { vec![stage(sink.as_ref(), 0, &[])] } else { Vec::new() };
            assert_eq!(sink.commit(staged).unwrap().rows, 0);
            // Without columns there is no header, and whoever finds no input leaves a table as it is.
            let says_nothing = match &target {
                Target::Files(config) => {
                    matches!(bare(&config.path), "new/folder/a.csv" | "new/folder/a.tsv" | "new/folder/a.csv.zst")
                }
                Target::Table(_) => true,
            };
            if begun || !says_nothing {
                assert_eq!(target.rows(root.path()), expected([]), "{target:?}");
            }
        }
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_the_fault_of_the_world_outside() {
    for config in every_file_sink() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        let target = Target::Files(FileSink { path: format!("file/{}", config.path), ..config });
        let error = target.open(root.path(), "r1").map(|_| ()).unwrap_err();
        assert_eq!(error.fault(), Fault::Outside, "{error:?}");
        assert_eq!(error.find_hint(), Some("a part of the path is a file, not a folder"));
    }
}

#[test]
fn a_run_that_was_killed_leaves_the_old_output_and_the_next_run_clears_its_traces() {
    for target in every_sink() {
        let root = tempfile::tempdir().unwrap();
        write(&target, root.path(), "r1", 1, 5);
        let before = target.seen(root.path());
        // A table that is emptied within the transaction makes whoever looks wait for its end.
        let adding = if let Target::Table(_) = target { target.that(WriteMode::Append) } else { target.clone() };
        let killed = adding.open(root.path(), "killed").unwrap();
        stage(killed.as_ref(), 0, &[batch(50, 5)]);
        assert_eq!(target.seen(root.path()), before);
        if let Target::Table(_) = target {
            drop(killed);
            assert_eq!(target.rows(root.path()), expected(1..=5), "{target:?}");
            write(&target, root.path(), "r2", 1, 4);
            assert_eq!(target.rows(root.path()), expected(1..=4), "{target:?}");
            continue;
        }
        // What a killed process leaves, without its lock: a copy of the folder.
        let left: Vec<(String, Vec<u8>)> = target.found(root.path()).into_iter().filter(|(path, _)| path.contains(".etl/run-")).collect();
        assert!(!left.is_empty());
        killed.abort().unwrap();
        for (path, bytes) in left {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        write(&target, root.path(), "r2", 1, 4);
        assert_eq!(target.rows(root.path()), expected(1..=4), "{target:?}");
    }
}

#[test]
fn two_runs_cannot_write_one_file_at_once() {
    for target in files::every_sink().into_iter().map(Target::Files) {
        let root = tempfile::tempdir().unwrap();
        let first = target.open(root.path(), "r1").unwrap();
        let error = target.open(root.path(), "r2").map(|_| ()).unwrap_err();
        assert_eq!(error.fault(), Fault::Outside);
        assert!(error.to_string().starts_with("another run (`r1`) is writing `"), "{error}");
        drop(first);
        write(&target, root.path(), "r2", 1, 1);
    }
}
