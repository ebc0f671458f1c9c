//! A run that ends before its time: nothing of it is seen, and the next one is as if it had not been.

mod full_disk;
pub(crate) mod kills;
pub(crate) mod pipelines;
mod resume;
mod sources;
mod steps;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Pipeline, answer};

const TRANSFORM: &str = "rename: {qty: quantity}\nconvert: {price: float}\nadd: {label: 'order ${id} of ${place}'}\n";

/// A pipeline over many rows, with the output of an earlier run over some of them.
fn pipeline(load: &str) -> Pipeline {
    let places = ["north", "south", "east", "west"];
    let rows: String = (0..150_000).map(|row| format!("{row},{}.25,{},{}\n", row % 977, row % 7, places[row % 4])).collect();
    let pipeline = Pipeline::new()
        .with("orders.csv", format!("id,price,qty,place\n{rows}"))
        .with("extract.yaml", "path: orders.csv\n")
        .with("transform.yaml", TRANSFORM)
        .with("load.yaml", load);
    let done = pipeline.answer(&["run", "--quiet", "--limit", "5000"]);
    assert_eq!(done.code, 0, "{done:?}");
    pipeline
}

/// What is to be seen in the output folder: names with their bytes.
fn seen(pipeline: &Pipeline) -> BTreeMap<String, Vec<u8>> {
    let out = pipeline.names().into_iter().filter(|name| name.starts_with("out/") && !is_hidden(name));
    out.map(|name| (name.clone(), fs::read(pipeline.path(&name)).unwrap())).collect()
}

/// As `seen`, without the parts of names that differ from run to run.
fn comparable(pipeline: &Pipeline) -> BTreeMap<String, Vec<u8>> {
    seen(pipeline).into_iter().map(|(name, bytes)| (name.split("/part_").next().unwrap().to_owned(), bytes)).collect()
}

fn is_hidden(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with('.'))
}

/// Bytes that are staged now.
fn staged(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => staged(&entry.path()),
            Ok(metadata) if is_hidden(entry.path().to_str().unwrap_or_default()) => metadata.len(),
            _ => 0,
        })
        .sum()
}

/// Starts a run and waits until it has staged so many bytes; `None` where it ended before.
fn started(pipeline: &Pipeline, bytes: u64) -> Option<Child> {
    let mut child = pipeline.command(&["run", "--quiet"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    loop {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        if staged(&pipeline.path("out")) >= bytes {
            return Some(child);
        }
        std::thread::yield_now();
    }
}

fn killed_at_any_moment(load: &str) {
    let undisturbed = pipeline(load);
    undisturbed.run(0);
    let expected = comparable(&undisturbed);
    let size: u64 = expected.values().map(|bytes| bytes.len() as u64).sum();
    let mut kills = 0;
    for percent in [0, 1, 30, 60, 90] {
        let pipeline = pipeline(load);
        let old = seen(&pipeline);
        let Some(mut child) = started(&pipeline, size * percent / 100) else {
            assert!(comparable(&pipeline) == expected, "{percent} %: the run was not killed and its output differs");
            continue;
        };
        child.kill().unwrap();
        let status = child.wait().unwrap();
        // A commit of several files that was interrupted is undone by the next run.
        let in_commit = pipeline.names().iter().any(|name| name.ends_with(".etl/journal"));
        if status.code().is_none() && !in_commit {
            let now = seen(&pipeline);
            assert!(
                now == old || comparable(&pipeline) == expected,
                "{percent} %: a killed run left {:?}, before there were {:?}",
                now.keys(),
                old.keys()
            );
            kills += 1;
        }
        pipeline.run(0);
        let found = comparable(&pipeline);
        assert!(found == expected, "{percent} %: after the kill {:?}, undisturbed {:?}", found.keys(), expected.keys());
        let stray: Vec<String> = pipeline.names().into_iter().filter(|name| is_hidden(name)).collect();
        assert!(stray.is_empty(), "{percent} %: the next run left {stray:?}");
    }
    assert!(kills >= 2, "only {kills} runs were killed");
}

#[test]
fn a_killed_run_leaves_the_old_json_lines_and_the_next_one_cleans_up() {
    killed_at_any_moment("type: file\npath: out/orders.jsonl\n");
}

#[test]
fn a_killed_run_leaves_the_old_xml_and_the_next_one_cleans_up() {
    killed_at_any_moment("type: file\npath: out/orders.xml\n");
}

#[test]
fn a_killed_run_leaves_the_old_parquet_and_the_next_one_cleans_up() {
    killed_at_any_moment("type: file\npath: out/orders.parquet\n");
}

#[test]
fn a_killed_run_leaves_the_old_partitions_and_the_next_one_cleans_up() {
    killed_at_any_moment("type: file\npath: out/orders\nformat: jsonl\npartition_by: [place]\n");
}

#[test]
fn a_full_disk_is_something_outside_and_leaves_the_old_output() {
    for (name, load) in [
        ("jsonl", "path: out/orders.jsonl\n"),
        ("parquet", "path: out/orders.parquet\n"),
        ("partitions", "path: out/orders\nformat: jsonl\npartition_by: [place]\n"),
    ] {
        let pipeline = pipeline(&format!("type: file\n{load}"));
        let before = (pipeline.names(), seen(&pipeline));
        let run = pipeline.command(&["run"]);
        let mut shell = Command::new("sh");
        // The limit of a file's size answers as a full disk does, once its signal is ignored.
        shell
            .args(["-c", "trap '' XFSZ; ulimit -f 256; exec \"$0\" run . --quiet"])
            .arg(run.get_program())
            .current_dir(run.get_current_dir().unwrap());
        for (name, value) in run.get_envs() {
            value.map(|value| shell.env(name, value));
        }
        let done = answer(&mut shell);
        assert_eq!(done.code, 3, "{name}: {done:?}");
        assert!(done.stderr.contains("File too large"), "{name}: {done:?}");
        assert!((pipeline.names(), seen(&pipeline)) == before, "{name}: {:?}", pipeline.names());
    }
}

#[test]
fn a_run_that_is_told_to_stop_writes_nothing() {
    for signal in [Signal::TERM, Signal::INT] {
        let pipeline = pipeline("type: file\npath: out/orders.jsonl\n");
        let before = (pipeline.names(), seen(&pipeline));
        let child = started(&pipeline, 1).expect("the run is slow enough to be stopped");
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(5), "{stderr}");
        assert_eq!(
            stderr,
            "stopping; nothing will be written (once more to stop at once)\nerror: stopped before the end, nothing was written\n"
        );
        assert!((pipeline.names(), seen(&pipeline)) == before, "{:?}", pipeline.names());
    }
}

#[test]
fn a_program_that_panics_while_it_runs_a_pipeline_leaves_nothing_staged() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::AtomicBool;

    use etl_host::config::{Files, Text, parse};
    use etl_host::plan::{Overrides, Plan};
    use etl_host::run::{RunOptions, run};
    use etl_host::sandbox::{Options, Sandbox};

    let pipeline = pipeline("path: out/orders.jsonl\n");
    let before = pipeline.names();
    let text = |name: &str| Some(Text { text: pipeline.read(name), name: name.into() });
    let files = Files {
        name: "orders".into(),
        extract: text("extract.yaml"),
        transform: text("transform.yaml"),
        load: text("load.yaml"),
        ..Files::default()
    };
    let parsed = parse(&files, &|_| None).unwrap();
    let plan = Plan::new(&parsed, &pipeline.path(""), &Overrides::default(), &|_| None).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let sandbox = Sandbox::open(Options::default(), runtime.handle().clone()).unwrap();
    let (folder, stop) = (pipeline.path(""), AtomicBool::new(false));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut on_progress = |_: &_| {
            assert!(staged(&folder) == 0, "rows are staged, and the progress of them cannot be shown");
        };
        run(&plan, &RunOptions::default(), &sandbox, &stop, &mut on_progress).map(|report| report.rows)
    }));
    assert!(panicked.is_err(), "{panicked:?}");
    assert_eq!(pipeline.names(), before);
}
