//! Pipelines that are killed and gone on with, and what must come out of them all the same.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::{Value, json};

use crate::servers::s3::Bucket;
use crate::support::{Answer, Pipeline, answer};

/// A pipeline that keeps checkpoints.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) transform: &'static str,
    pub(crate) load: &'static str,
    /// Whether the output has rows of an earlier run.
    pub(crate) old_output: Option<(&'static str, &'static str)>,
    pub(crate) rows: usize,
    /// Whether it reads and writes objects, which `out` in its folder then shows.
    pub(crate) in_bucket: bool,
}

/// Rows of which some do not convert, so that there are dead letters.
pub(crate) const SIMPLE: &str = "rename: {qty: quantity}\nconvert: {price: float}\nadd: {label: 'order ${id} of ${place}'}\n";

/// Every kind of pipeline, by name.
pub(crate) fn kind(name: &str) -> Kind {
    let plain = |transform, load| Kind { transform, load, old_output: None, rows: 150_000, in_bucket: false };
    match name {
        "json lines" => plain(SIMPLE, "path: out/orders.jsonl\n"),
        "json lines, compressed" => plain(SIMPLE, "path: out/orders.jsonl.gz\n"),
        "json array" => plain(SIMPLE, "path: out/orders.json\n"),
        "xml" => plain(SIMPLE, "path: out/orders.xml\n"),
        "csv, appended" => Kind {
            old_output: Some(("out/orders.csv", "id,price,quantity,place,at,label\n-1,1.5,1,old,,kept\n")),
            ..plain(SIMPLE, "path: out/orders.csv\nwrite_mode: append\n")
        },
        "parquet" => plain(SIMPLE, "path: out/orders.parquet\n"),
        "parquet in folders" => Kind {
            old_output: Some(("out/orders/place=gone/part_20200101T000000Z_00000000-00000-00001.parquet", "old")),
            ..plain(SIMPLE, "path: out/orders\nformat: parquet\npartition_by: [place]\n")
        },
        "parquet in a bucket" => Kind { in_bucket: true, ..plain(SIMPLE, "orders.parquet") },
        "json lines in a bucket" => Kind { in_bucket: true, ..plain(SIMPLE, "orders.jsonl.gz") },
        "objects in folders" => Kind {
            in_bucket: true,
            old_output: Some(("out/orders/place=gone/part_20200101T000000Z_00000000-00000-00001.csv", "old")),
            ..plain(SIMPLE, "orders/\nformat: csv\npartition_by: [place]")
        },
        "files of so many rows" => plain(SIMPLE, "path: out/orders.csv.gz\nmax_rows_per_file: 30000\n"),
        "workbook" => Kind { rows: 60_000, ..plain(SIMPLE, "path: out/orders.xlsx\n") },
        "jsonata" => Kind {
            rows: 60_000,
            ..plain(
                "convert: {price: float}\njsonata: {expression: '{\"id\": id, \"total\": price * $number(qty), \"place\": $uppercase(place)}', mode: record}\n",
                "path: out/totals.csv\n",
            )
        },
        "jsonata over all rows" => Kind {
            rows: 60_000,
            ..plain(
                "jsonata: {expression: '{\"rows\": $count($), \"sum\": $sum(id)}', mode: batch, scope: dataset}\n",
                "path: out/sum.jsonl\n",
            )
        },
        "window" => plain(
            "transform:\n  - convert: {price: float, at: datetime}\n  - window: {time: at, size: 1m, lateness: 1h, group_by: [place], ohlc: {price: price, \
             size: qty}, metrics: {orders: count}}\n",
            "path: out/bars.parquet\n",
        ),
        "aggregate" => plain(
            "transform:\n  - convert: {price: float}\n  - aggregate: {group_by: [place, qty, price], metrics: {orders: count, total: {sum: price}, p95: \
             {quantile: id, q: 0.95}}}\n",
            "path: out/groups.csv\n",
        ),
        "dedupe and sort" => plain(
            "transform:\n  - convert: {price: float}\n  - dedupe: {key: [price, place, qty], keep: first}\n  - sort: [-price, id]\n",
            "path: out/orders.jsonl\n",
        ),
        other => panic!("there is no pipeline `{other}`"),
    }
}

impl Kind {
    /// The pipeline in a folder of its own.
    pub(crate) fn pipeline(&self) -> Pipeline {
        let places = ["north", "south", "east", "west"];
        let row = |row: usize| {
            let price = if row % 5003 == 7 { "bad".to_owned() } else { format!("{}.25", row % 977) };
            let (hour, minute, second) = (row / 3600 % 24, row / 60 % 60, row % 60);
            format!(
                "{row},{price},{},{},2024-01-{:02}T{hour:02}:{minute:02}:{second:02}Z\n",
                row % 7,
                places[row * 7 / 3 % 4],
                1 + row / 86_400
            )
        };
        let rows: String = (0..self.rows).map(row).collect();
        let pipeline = Pipeline::new()
            .with("orders.csv", format!("id,price,qty,place,at\n{rows}"))
            .with("extract.yaml", "path: orders.csv\nbatch_size: 1000\ncheckpoint: {enabled: true, interval: 3}\n")
            .with("transform.yaml", self.transform)
            .with("load.yaml", format!("type: file\n{}", self.load));
        let pipeline = if self.in_bucket { self.with_bucket(pipeline) } else { pipeline };
        match self.old_output {
            Some((name, content)) => pipeline.with(name, content),
            None => pipeline,
        }
    }

    /// The same from a bucket into another, whose folder on the server's disk is the pipeline's `out`.
    fn with_bucket(&self, pipeline: Pipeline) -> Pipeline {
        let (from, to) = (Bucket::new(), Bucket::new());
        from.put("orders.csv", pipeline.read("orders.csv"));
        symlink(to.folder(), pipeline.path("out")).unwrap();
        let (path, rest) = self.load.split_once('\n').unwrap_or((self.load, ""));
        let reading = "batch_size: 1000\ncheckpoint: {enabled: true, interval: 3}\n";
        pipeline
            .with("extract.yaml", format!("type: cloud_storage\n{}{reading}", from.storage("orders.csv")))
            .with("load.yaml", format!("type: cloud_storage\n{}{rest}\n", to.storage(path)))
    }
}

/// A run of the pipeline, which keeps its checkpoints in its folder.
pub(crate) fn run(pipeline: &Pipeline, arguments: &[&str]) -> Command {
    let mut command = pipeline.command(&[&["run", "--json"], arguments].concat());
    command.env("ETL_HOST_STATE_DIR", pipeline.path("state"));
    command
}

/// As `run`, to the end.
pub(crate) fn ran(pipeline: &Pipeline, arguments: &[&str]) -> Answer {
    answer(&mut run(pipeline, arguments))
}

/// What came out: bytes of the output, dead letters, and counts; without what differs from run to run.
#[derive(Debug, PartialEq)]
pub(crate) struct Came {
    pub(crate) output: BTreeMap<String, Vec<u8>>,
    pub(crate) letters: Vec<Value>,
    pub(crate) counts: Value,
}

/// What is to be seen, and what the report says.
pub(crate) fn came(pipeline: &Pipeline, report: &Value) -> Came {
    let mut output = BTreeMap::new();
    for name in pipeline.names().iter().filter(|name| name.starts_with("out/") || name.starts_with("dlq/.")) {
        let bytes = fs::read(pipeline.path(name)).unwrap();
        let bytes = if name.ends_with(".xlsx") { sheets(&bytes) } else { bytes };
        output.insert(steady(name), bytes);
    }
    let letters = pipeline.letters().into_iter().map(|mut letter| {
        // The pipeline is named after its folder.
        for volatile in ["id", "timestamp", "pipeline"] {
            letter.as_object_mut().unwrap().remove(volatile);
        }
        letter["metadata"].as_object_mut().unwrap().remove("run");
        without_bucket(letter)
    });
    let stages: Vec<Value> = report["stages"].as_array().unwrap().iter().map(|stage| json!([stage["name"], stage["counters"]])).collect();
    let root = format!("{}/", pipeline.path("").canonicalize().unwrap().display());
    let counts = json!({
        "status": report["status"],
        "rows": report["rows"],
        "by_reason": report["dead_letters"]["by_reason"],
        "by_code": report["dead_letters"]["by_code"],
        "samples": report["dead_letters"]["samples"],
        "files": report["output"]["files"].as_array().unwrap().iter().map(|file| steady(file.as_str().unwrap()).replace(&root, "")).collect::<Vec<_>>(),
        "stages": stages,
    });
    Came { output, letters: letters.collect(), counts: without_bucket(counts) }
}

/// The same, with objects by their names in the bucket: each bucket has a name of its own.
fn without_bucket(value: Value) -> Value {
    let text = value.to_string();
    let Some((_, rest)) = text.split_once("s3://bucket-") else { return value };
    let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
    serde_json::from_str(&text.replace(&format!("s3://bucket-{number}/"), "")).unwrap()
}

/// A name without the time and the id of the run.
fn steady(name: &str) -> String {
    // Each bucket has a name of its own.
    let name = name.strip_prefix("s3://").and_then(|name| name.split_once('/')).map_or(name, |(_, key)| key);
    // `orders_<time>_<id>-00000-00001.csv`
    let Some((folder, file)) = name.rsplit_once('/') else { return name.to_owned() };
    match file.split_once('-') {
        Some((before, numbers)) if before.contains("T") && before.contains("Z_") => {
            format!("{folder}/{}_{numbers}", before.split('_').next().unwrap_or_default())
        }
        _ => name.to_owned(),
    }
}

/// What a workbook holds, without when it was made.
fn sheets(bytes: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut all = Vec::new();
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).unwrap();
        if !member.name().ends_with("core.xml") {
            all.extend_from_slice(member.name().as_bytes());
            member.read_to_end(&mut all).unwrap();
        }
    }
    all
}

/// Holds what came to what should have.
pub(crate) fn assert_same(found: &Came, expected: &Came, when: &str) {
    let names = |came: &Came| came.output.iter().map(|(name, bytes)| format!("{name} {} bytes", bytes.len())).collect::<Vec<_>>();
    assert!(found.output == expected.output, "{when}: the output is {:?}, undisturbed {:?}", names(found), names(expected));
    assert!(found.letters == expected.letters, "{when}: {} letters, undisturbed {}", found.letters.len(), expected.letters.len());
    assert_eq!(found.counts, expected.counts, "{when}");
}

/// The report that a run printed.
pub(crate) fn report(answer: &Answer) -> Value {
    serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("{answer:?}"))
}
