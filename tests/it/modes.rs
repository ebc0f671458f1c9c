//! How rows are pulled, within what memory and time, how many batches may fail, and which rows are new.

use serde_json::json;

use crate::support::{Answer, Pipeline};

fn numbers(from: u64, to: u64) -> String {
    (from..=to).map(|n| format!("{{\"n\": {n}, \"text\": \"{}\"}}\n", "row ".repeat(20))).collect()
}

fn run(pipeline: &Pipeline, arguments: &[&str]) -> Answer {
    pipeline.answer(&[&["run", "--quiet"], arguments].concat())
}

#[test]
fn every_mode_gives_the_same_bytes() {
    let input = numbers(1, 30_000);
    let output = |mode: &str| {
        let pipeline = Pipeline::of(("in.jsonl", &input), "add: {twice: 'concat(n, n)'}\n", "out.jsonl")
            .with("extract.yaml", format!("path: in.jsonl\nprocessing_mode: {mode}\nchunk_size: 500\n"));
        pipeline.run(0);
        pipeline.read("out.jsonl")
    };
    let streaming = output("streaming");
    assert_eq!(streaming.lines().count(), 30_000);
    for mode in ["full", "hybrid"] {
        assert!(output(mode) == streaming, "{mode} differs");
    }
}

#[test]
fn a_run_that_would_take_too_much_memory_stops_and_says_what_took_it() {
    // Small in the file, large in memory.
    let input = numbers(1, 400_000);
    let pipeline = |mode: &str| {
        Pipeline::of(("in.jsonl", &input), "", "out.jsonl").with("extract.yaml", format!("path: in.jsonl\nprocessing_mode: {mode}\n"))
    };
    let full = pipeline("full");
    let refused = run(&full, &["--max-memory-mb", "75"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused.stderr.contains("but may take 75 (`max_memory_mb`); of it: ")
            && refused.stderr.contains("rows that wait until all are read"),
        "{refused:?}"
    );
    assert!(refused.stderr.contains("`processing_mode: streaming` holds a few batches only"), "{refused:?}");
    assert!(!full.path("out.jsonl").exists());
    for mode in ["streaming", "hybrid"] {
        let pipeline = pipeline(mode);
        let done = run(&pipeline, &["--max-memory-mb", "75", "--workers", "1"]);
        assert_eq!(done.code, 0, "{mode} {done:?}");
        assert_eq!(pipeline.read("out.jsonl").lines().count(), 400_000);
    }
}

#[test]
fn a_run_of_which_too_many_batches_fail_stops() {
    let transform = json!({"jsonata": {"mode": "batch", "expression": "$[0].n % 20 = 1 ? $number('x') : $"}}).to_string();
    let pipeline =
        Pipeline::of(("in.jsonl", &numbers(1, 100)), &transform, "out.jsonl").with("extract.yaml", "path: in.jsonl\nbatch_size: 10\n");
    let stopped = run(&pipeline, &[]);
    assert_eq!(stopped.code, 1, "{stopped:?}");
    assert!(stopped.stderr.contains("batches failed as a whole, but a share of 0.1 may (`max_error_ratio`)"), "{stopped:?}");
    assert!(!pipeline.path("out.jsonl").exists());
    let pipeline = pipeline.with("settings.yaml", "max_error_ratio: 0.5\n");
    let report = pipeline.run(0);
    assert_eq!((&report["batches"], &report["failed_batches"]), (&json!(10), &json!(5)));
    assert_eq!(pipeline.read("out.jsonl").lines().count(), 50);
}

#[test]
fn a_run_ends_when_its_time_is_over() {
    let transform = json!({"jsonata": {"mode": "record", "expression": "{'n': $sum([1..40000])}"}}).to_string();
    let pipeline = Pipeline::of(("in.jsonl", &numbers(1, 20_000)), &transform, "out.jsonl")
        .with("settings.yaml", "timeout_seconds: 1\nlimits: {fuel_per_row: 1000000000}\n");
    let stopped = run(&pipeline, &[]);
    assert_eq!(stopped.code, 3, "{stopped:?}");
    assert!(stopped.stderr.contains("the run was not done after 1 s (`timeout_seconds`)"), "{stopped:?}");
    assert!(!pipeline.path("out.jsonl").exists());
}

#[test]
fn the_next_run_takes_the_rows_above_the_mark_of_the_last_that_loaded_everything() {
    let pipeline = Pipeline::of(("in.jsonl", "{\"id\": 1}\n{\"id\": 2}\n"), "", "out.jsonl")
        .with("extract.yaml", "path: in.jsonl\nincremental: {cursor_field: id}\n")
        .with("load.yaml", "type: file\npath: out.jsonl\nwrite_mode: append\n");
    let state = pipeline.path("state").display().to_string();
    let run = |pipeline: &Pipeline, more: &[&str]| {
        let answer = pipeline.answer(&[&["run", "--json", "--state-dir", &state], more].concat());
        (answer.code, serde_json::from_str::<serde_json::Value>(&answer.stdout).unwrap_or_default(), answer.stderr)
    };
    assert_eq!(run(&pipeline, &[]).1["mark"], "2");
    let pipeline = pipeline.with("in.jsonl", "{\"id\": 1}\n{\"id\": 2}\n{\"id\": 4}\n{\"id\": null}\n{\"id\": 3}\n");
    let (code, report, _) = run(&pipeline, &[]);
    assert_eq!((code, &report["mark"]), (0, &json!("4")));
    assert_eq!((&report["rows"]["filtered"], &report["rows"]["rejected"], &report["rows"]["loaded"]), (&json!(2), &json!(1), &json!(2)));
    assert_eq!(pipeline.read("out.jsonl"), "{\"id\":1}\n{\"id\":2}\n{\"id\":4}\n{\"id\":3}\n");
    assert_eq!(pipeline.letters()[0]["error_type"], "no_cursor");
    // A run that fails moves nothing.
    let pipeline = pipeline.with("in.jsonl", "{\"id\": 5}\nnot JSON\n");
    let pipeline = pipeline.with("extract.yaml", "path: in.jsonl\nincremental: {cursor_field: id}\non_parse_error: fail\n");
    assert_eq!(run(&pipeline, &[]).0, 1);
    let pipeline = pipeline.with("in.jsonl", "{\"id\": 5}\n");
    assert_eq!(run(&pipeline, &[]).1["rows"]["loaded"], 1);
    let (_, report, _) = run(&pipeline, &["--full-refresh"]);
    assert_eq!(report["rows"]["loaded"], 1);
    let pipeline = pipeline.with("extract.yaml", "path: in.jsonl\nincremental: {cursor_field: idd}\n");
    let (code, _, error) = run(&pipeline, &[]);
    assert_eq!(code, 2);
    assert!(error.contains("the source has no such column") && error.contains("did you mean `id`?"), "{error}");
}

#[test]
fn a_preview_shows_the_rows_that_the_next_run_would_take() {
    let pipeline = Pipeline::of(("in.jsonl", &numbers(1, 20)), "rename: {n: key}\n", "out.jsonl")
        .with("extract.yaml", "path: in.jsonl\nincremental: {cursor_field: n}\n");
    let state = pipeline.path("state").display().to_string();
    assert_eq!(pipeline.answer(&["run", "--quiet", "--state-dir", &state]).code, 0);
    let pipeline = pipeline.with("in.jsonl", numbers(1, 30));
    let shown = |more: &[&str]| {
        let answer = pipeline.answer(&[&["preview", "--json", "--rows", "3", "--state-dir", &state], more].concat());
        assert_eq!(answer.code, 0, "{answer:?}");
        let json: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
        json["steps"][1]["rows"].as_array().unwrap().iter().map(|row| row["values"]["key"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(shown(&[]), [21, 22, 23], "those behind the mark, though the first ones of the file are old");
    assert_eq!(shown(&["--full-refresh"]), [1, 2, 3]);
    // Looking moves nothing.
    assert_eq!(shown(&[]), [21, 22, 23]);
}
