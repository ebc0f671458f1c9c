//! Many runs of one pipeline: sets of parameters, pace, results, resuming.

use crate::support::{Answer, Pipeline};

const EXTRACT: &str = "path: in/${day}.jsonl\ninput_params: {day: {required: true}, note: {default: none}}\nfail_on_empty: true\n";

/// A pipeline that reads and writes a file a day.
fn daily(days: &[&str]) -> Pipeline {
    let pipeline = Pipeline::of(("in/x.jsonl", "{\"id\": 0}\n"), "", "out/${day}.jsonl").with("extract.yaml", EXTRACT);
    days.iter().fold(pipeline, |pipeline, day| pipeline.with(&format!("in/{day}.jsonl"), format!("{{\"id\": \"{day}\"}}\n")))
}

fn answer(pipeline: &Pipeline, arguments: &[&str]) -> Answer {
    let state = pipeline.path("state");
    crate::support::answer(pipeline.command(&[&["run-many"], arguments].concat()).env("ETL_HOST_STATE_DIR", state).env("COLUMNS", "100"))
}

/// Seconds come out as `_`, so that a snapshot is the same on every machine.
fn without_times(text: &str) -> String {
    let mut shown = String::new();
    for word in text.split_inclusive([' ', '\n']) {
        let bare = word.trim_end();
        let time = bare.len() >= 3 && bare.contains('.') && bare.chars().all(|character| character.is_ascii_digit() || character == '.');
        shown.push_str(if time { "_" } else { bare });
        shown.push_str(&word[bare.len()..]);
    }
    shown
}

#[test]
fn a_parameter_is_a_variable_and_each_value_is_a_run() {
    let pipeline = daily(&["2024-01-01", "2024-01-02", "2024-01-03"]);
    let answer = answer(&pipeline, &["--dates", "day=2024-01-01..2024-01-04", "--parallel", "2"]);
    assert_eq!(answer.code, 3, "{answer:?}");
    insta::assert_snapshot!(without_times(&answer.stdout), @r"
     run            │ status  │ read │ loaded │ rejected │ seconds │ error
    ────────────────┼─────────┼──────┼────────┼──────────┼─────────┼──────────────────────────────────
     day=2024-01-01 │ success │    1 │      1 │        0 │    _ │
     day=2024-01-02 │ success │    1 │      1 │        0 │    _ │
     day=2024-01-03 │ success │    1 │      1 │        0 │    _ │
     day=2024-01-04 │ failed  │    0 │      0 │        0 │    _ │ `in/2024-01-04.jsonl` does not …
    ");
    assert!(answer.stderr.contains("4 runs: 3 success, 1 failed"), "{answer:?}");
    assert_eq!(pipeline.read("out/2024-01-02.jsonl"), "{\"id\":\"2024-01-02\"}\n");
    assert!(!pipeline.path("out/2024-01-04.jsonl").exists());
}

#[test]
fn a_later_call_does_what_is_left() {
    let pipeline = daily(&["a", "b"]);
    let first = answer(&pipeline, &["--values", "day=a,c,b", "--json"]);
    assert_eq!(first.code, 3, "{first:?}");
    let before = std::fs::metadata(pipeline.path("out/a.jsonl")).unwrap().modified().unwrap();
    let pipeline = pipeline.with("in/c.jsonl", "{\"id\": 3}\n");
    let second = answer(&pipeline, &["--values", "day=a,c,b", "--json", "--resume"]);
    assert_eq!(second.code, 0, "{second:?}");
    assert!(second.stderr.contains("2 of 3 runs are done already"), "{second:?}");
    assert_eq!(std::fs::metadata(pipeline.path("out/a.jsonl")).unwrap().modified().unwrap(), before);
    let runs = |answer: &Answer| serde_json::from_str::<serde_json::Value>(&answer.stdout).unwrap()["runs"].clone();
    let (first, second) = (runs(&first), runs(&second));
    assert_eq!(first[0]["run_id"], second[0]["run_id"]);
    assert_eq!((&first[1]["status"], &second[1]["status"]), (&"failed".into(), &"success".into()));
}

#[test]
fn one_failure_stops_the_others_only_where_asked() {
    let pipeline = daily(&["a", "b"]);
    let answer = answer(&pipeline, &["--values", "day=a,c,b", "--fail-fast", "--quiet"]);
    assert_eq!(answer.code, 3, "{answer:?}");
    assert!(answer.stderr.starts_with("error: day=c: ") && answer.stderr.contains("--resume"), "{answer:?}");
    assert!(pipeline.path("out/a.jsonl").exists() && !pipeline.path("out/b.jsonl").exists());
}

#[test]
fn runs_that_would_overwrite_each_other_are_refused_and_those_that_append_take_turns() {
    let pipeline = daily(&["a", "b"]).with("load.yaml", "type: file\npath: out.jsonl\n");
    let refused = answer(&pipeline, &["--values", "day=a,b"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    insta::assert_snapshot!(refused.stderr, @r"
    error: the runs `day=a` and `day=b` would both write `out.jsonl`
      hint: put a parameter into `path` of load.yaml, such as `${day}`, or use `write_mode: append`
    ");
    let pipeline = pipeline.with("load.yaml", "type: file\npath: out.jsonl\nwrite_mode: append\n");
    let done = answer(&pipeline, &["--values", "day=a,b", "--parallel", "2"]);
    assert_eq!(done.code, 0, "{done:?}");
    let mut lines: Vec<String> = pipeline.read("out.jsonl").lines().map(ToOwned::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["{\"id\":\"a\"}", "{\"id\":\"b\"}"]);
}

#[test]
fn sets_come_from_files_and_what_is_wrong_with_one_fails_that_one() {
    let pipeline = daily(&["a", "b"])
        .with("extract.yaml", "path: in/${day}.jsonl\ninput_params: {day: {required: true}, count: {type: int}}\n")
        .with("sets.csv", "day,count\na,1\nb,many\n")
        .with("sets.yaml", "first: {day: a, count: 1}\nsecond: {day: b}\n")
        .with("days.txt", "a\n\nb\n");
    let table = answer(&pipeline, &["--sets", "sets.csv", "--quiet"]);
    assert_eq!(table.code, 2, "{table:?}");
    assert_eq!(table.stderr, "error: count=many day=b: parameter `count` is `many`, but must be a whole number of 64 bits (type `int`)\n");
    assert!(pipeline.path("out/a.jsonl").exists());
    for arguments in [["--sets", "sets.yaml"], ["--values-from", "day=days.txt"]] {
        let done = answer(&pipeline, &arguments);
        assert_eq!(done.code, 0, "{done:?}");
    }
    for (arguments, words) in [
        (vec!["--values", "day=a,a"], "sets 1 and 2 are the same: day=a"),
        (vec!["--values", "days=a"], "parameter `day` is missing, which this uses as `${day}`"),
        (vec!["--values", "dax=a", "--param", "day=a"], "the pipeline takes no parameter `dax`"),
        (vec!["--values", "day=a", "--param", "day=b"], "`--param day=…` is for all runs, but the set `day=a` has its own `day`"),
        (vec!["--dates", "day=2024-01-01..2023-01-01"], "`2024-01-01..2023-01-01` ends before it begins"),
        (vec!["--values", "day=a", "--id", "../x"], "`--id ../x` must be letters"),
        (vec!["--sets", "nothing.yaml"], "nothing.yaml"),
    ] {
        let wrong = answer(&pipeline, &arguments);
        assert!(wrong.code >= 2 && wrong.stderr.contains(words), "{arguments:?} {wrong:?}");
    }
}
