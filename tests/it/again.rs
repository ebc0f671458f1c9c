//! What a second run makes of a first one: of its mark, its letters, its rows in a table, its interrupted commit.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Answer, Pipeline, answer, program};

/// A command on the pipeline, with a state folder of its own.
fn command(pipeline: &Pipeline, arguments: &[&str]) -> Command {
    let mut command = pipeline.command(arguments);
    command.env("ETL_HOST_STATE_DIR", pipeline.path("state"));
    command
}

fn ran(pipeline: &Pipeline, arguments: &[&str]) -> Answer {
    answer(&mut command(pipeline, arguments))
}

/// Runs and is killed at a step of the program.
fn killed(pipeline: &Pipeline, step: &str) {
    let status = command(pipeline, &["run"]).env("ETL_HOST_CRASH_AT", format!("{step}:1")).output().unwrap().status;
    assert_eq!(status.code(), None, "{step}: it was not killed");
}

/// A file that grows, of which newer rows are added to `load`'s target.
fn newer(load: &str) -> Pipeline {
    Pipeline::new()
        .with("in.csv", "id\n1\n2\n3\n")
        .with("extract.yaml", "path: in.csv\nincremental: {cursor_field: id}\n")
        .with("load.yaml", load)
}

const TABLE: &str = "type: sqlite\nconnection_string: sqlite:///out.db\ntable: t\nwrite_method: insert\n";
/// Enough for several checkpoints.
const ROWS: i64 = 600_000;
const LINES: &str = "path: out.jsonl\nwrite_mode: append\n";

/// The ids that were loaded, in order.
fn ids(pipeline: &Pipeline) -> Vec<i64> {
    let mut ids: Vec<i64> = if pipeline.path("out.db").exists() {
        let copy = Pipeline::new()
            .with("extract.yaml", format!("connection_string: sqlite:///{}\nquery: SELECT id FROM t\n", pipeline.path("out.db").display()))
            .with("load.yaml", "path: ids.jsonl\n");
        assert_eq!(copy.answer(&["run"]).code, 0);
        lines(&copy.read("ids.jsonl"))
    } else {
        lines(&pipeline.read("out.jsonl"))
    };
    ids.sort_unstable();
    ids
}

fn lines(text: &str) -> Vec<i64> {
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_i64().unwrap()).collect()
}

#[test]
fn newer_rows_are_loaded_once_wherever_the_run_before_was_killed() {
    for load in [LINES, TABLE] {
        for step in ["run.promised", "run.committed", "run.noted"] {
            let pipeline = newer(load);
            killed(&pipeline, step);
            let done = ran(&pipeline, &["run"]);
            assert_eq!(done.code, 0, "{step}: {done:?}");
            assert_eq!(ids(&pipeline), [1, 2, 3], "{step}, {load}");
            // What told of the commit is gone, and the mark is where it should be.
            let names = pipeline.names();
            assert!(!names.iter().any(|name| name.ends_with(".done")), "{step}: {names:?}");
            let pipeline = pipeline.with("in.csv", "id\n1\n2\n3\n4\n");
            assert_eq!(ran(&pipeline, &["run"]).code, 0);
            assert_eq!(ids(&pipeline), [1, 2, 3, 4], "{step}, {load}");
        }
    }
}

#[test]
fn a_mark_is_not_compared_with_cursors_of_another_kind() {
    let pipeline = newer(LINES);
    assert_eq!(ran(&pipeline, &["run"]).code, 0);
    let pipeline = pipeline.with("in.csv", "id\n2\n12\nabc\n");
    let refused = ran(&pipeline, &["run"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("the cursor was a number when earlier runs set the mark, and is text now"), "{refused:?}");
    let pipeline = pipeline.with("in.csv", "id\n2\n12\n");
    assert_eq!(ran(&pipeline, &["run"]).code, 0);
    assert_eq!(ids(&pipeline), [1, 2, 3, 12]);
}

#[test]
fn a_run_that_a_limit_ended_leaves_the_mark_where_it_was() {
    let pipeline = newer(LINES).with("in.csv", "id\n9\n1\n2\n");
    let first = ran(&pipeline, &["run", "--limit", "1"]);
    assert!(first.code == 0 && first.stderr.contains("the mark stays where it was"), "{first:?}");
    let next = ran(&pipeline, &["run", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&next.stdout).unwrap()["rows"]["loaded"], json!(3), "{next:?}");
}

#[test]
fn a_commit_that_was_interrupted_is_undone_from_whatever_folder_the_next_run_is_started() {
    let pipeline = Pipeline::new()
        .with("in.csv", "id,name\n1,a\n2,b\n3,c\n")
        .with("extract.yaml", "path: in.csv\n")
        .with("load.yaml", "path: out/\nformat: jsonl\npartition_by: [name]\nwrite_mode: append\n");
    let folder = pipeline.path("");
    let name = folder.file_name().unwrap().to_str().unwrap();
    // Once from above, by a relative path, killed when all is in place and the journal still there.
    let mut above = program();
    above.current_dir(folder.parent().unwrap()).args(["run", name]).env("ETL_HOST_CRASH_AT", "commit.placed:1");
    assert_eq!(above.output().unwrap().status.code(), None);
    assert_eq!(pipeline.answer(&["run"]).code, 0);
    let written: Vec<String> = pipeline.names().into_iter().filter(|name| name.ends_with(".jsonl")).collect();
    assert_eq!(written.len(), 3, "{written:?}");
}

#[test]
fn checkpoints_are_gone_on_from_in_another_folder_too() {
    let pipeline = Pipeline::new()
        .with("in.csv", format!("id\n{}", (0..5000).map(|id| format!("{id}\n")).collect::<String>()))
        .with("extract.yaml", "path: in.csv\nbatch_size: 100\ncheckpoint: {enabled: true, interval: 5}\n")
        .with("transform.yaml", "jsonata: {mode: batch, expression: $}\n")
        .with("load.yaml", "path: out.jsonl\n");
    let folder = pipeline.path("");
    let mut above = program();
    above
        .current_dir(folder.parent().unwrap())
        .args(["run", folder.file_name().unwrap().to_str().unwrap()])
        .env("ETL_HOST_STATE_DIR", pipeline.path("state"))
        .env("ETL_HOST_CRASH_AT", "checkpoint.renamed:3");
    assert_eq!(above.output().unwrap().status.code(), None);
    let resumed = ran(&pipeline, &["run", "--resume"]);
    assert_eq!(resumed.code, 0, "{resumed:?}");
    assert_eq!(ids(&pipeline), (0..5000).collect::<Vec<_>>());
}

#[test]
fn a_table_that_has_rows_of_an_unfinished_run_is_not_started_again_unasked() {
    let pipeline = Pipeline::new()
        .with("in.csv", format!("id\n{}", (0..ROWS).map(|id| format!("{id}\n")).collect::<String>()))
        .with("extract.yaml", "path: in.csv\nbatch_size: 1000\ncheckpoint: {enabled: true, interval: 5}\n")
        .with("transform.yaml", "jsonata: {mode: batch, expression: $}\n")
        .with("load.yaml", TABLE);
    let status = command(&pipeline, &["run"]).env("ETL_HOST_CRASH_AT", "checkpoint.renamed:4").output().unwrap().status;
    assert_eq!(status.code(), None);
    let refused = ran(&pipeline, &["run", "--restart"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("which would be there twice") && refused.stderr.contains("--restart --force"), "{refused:?}");
    let resumed = ran(&pipeline, &["run", "--resume"]);
    assert_eq!(resumed.code, 0, "{resumed:?}");
    assert_eq!(ids(&pipeline), (0..ROWS).collect::<Vec<_>>());
}

#[test]
fn of_many_runs_into_a_table_one_that_fails_leaves_nothing_there() {
    let pipeline = Pipeline::new()
        .with("a.csv", format!("id\n{}x\n", (0..2000).map(|id| format!("{id}\n")).collect::<String>()))
        .with("b.csv", "id\n9000\n")
        .with(
            "extract.yaml",
            "path: ${day}.csv\nbatch_size: 10\nschema: {id: int}\non_parse_error: fail\ninput_params: {day: {required: true}}\n",
        )
        .with("load.yaml", TABLE);
    let first = ran(&pipeline, &["run-many", "--values", "day=a,b"]);
    assert_eq!(first.code, 1, "{first:?}");
    assert_eq!(ids(&pipeline), [9000]);
    let pipeline = pipeline.with("a.csv", "id\n1\n2\n");
    let second = ran(&pipeline, &["run-many", "--values", "day=a,b", "--resume"]);
    assert_eq!(second.code, 0, "{second:?}");
    assert_eq!(ids(&pipeline), [1, 2, 9000]);
}

#[test]
fn of_many_runs_one_that_was_killed_behind_its_commit_is_not_done_again() {
    let pipeline = Pipeline::new()
        .with("a.csv", "id\n1\n2\n")
        .with("extract.yaml", "path: ${day}.csv\ninput_params: {day: {required: true}}\n")
        .with("load.yaml", TABLE);
    let mut first = command(&pipeline, &["run-many", "--values", "day=a"]);
    assert_eq!(first.env("ETL_HOST_CRASH_AT", "run.committed:1").output().unwrap().status.code(), None);
    let second = ran(&pipeline, &["run-many", "--values", "day=a", "--resume"]);
    assert_eq!(second.code, 0, "{second:?}");
    assert_eq!(ids(&pipeline), [1, 2]);
}

#[test]
fn secrets_among_the_parameters_of_many_runs_are_neither_shown_nor_kept() {
    use std::os::unix::fs::PermissionsExt;
    let pipeline = Pipeline::new()
        .with("in.csv", "id\n1\n")
        .with("extract.yaml", "path: in.csv\ninput_params: [day, api_token]\n")
        .with("load.yaml", "path: out/${day}.jsonl\n")
        .with("sets.yaml", "- {day: a, api_token: S3CRET-TOKEN}\n- {day: b, api_token: S3CRET-OTHER}\n");
    let done = ran(&pipeline, &["run-many", "--sets", "sets.yaml", "--json"]);
    assert_eq!(done.code, 0, "{done:?}");
    let told = ran(&pipeline, &["run-many", "--sets", "sets.yaml"]);
    for text in [&done.stdout, &done.stderr, &told.stdout, &told.stderr] {
        assert!(!text.contains("S3CRET"), "{text}");
    }
    for name in pipeline.names().iter().filter(|name| name.starts_with("state/")) {
        let bytes = std::fs::read(pipeline.path(name)).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("S3CRET"), "{name}");
    }
    let mode = std::fs::metadata(pipeline.path("state")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}

#[test]
fn letters_of_a_run_whose_output_was_replaced_since_are_not_sent() {
    let rows: String = (1..=6).map(|id| format!("{id},{}\n", if id % 3 == 0 { "x" } else { "1" })).collect();
    let pipeline = Pipeline::new()
        .with("in.csv", format!("id,n\n{rows}"))
        .with("extract.yaml", "path: in.csv\n")
        .with("transform.yaml", "convert: {n: int}\n")
        .with("load.yaml", "path: out.jsonl\n");
    for _ in 0..2 {
        assert_eq!(ran(&pipeline, &["run"]).code, 0);
    }
    let pipeline = pipeline.with("transform.yaml", "convert: {n: str}\n");
    let mut replay = program();
    replay.args(["dlq", "replay"]).arg(pipeline.path("")).env("ETL_HOST_STATE_DIR", pipeline.path("state"));
    let replayed = answer(&mut replay);
    assert!(
        replayed.stderr.contains("2 resolved") && replayed.stderr.contains("2 not sent: the output was replaced since"),
        "{replayed:?}"
    );
    assert_eq!(ids(&pipeline), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_run_that_fails_answers_a_program_too_and_one_that_is_stopped_is_no_failure() {
    let pipeline = Pipeline::new().with("extract.yaml", "path: gone.csv\n").with("load.yaml", "path: out.jsonl\n");
    let failed = ran(&pipeline, &["run", "--json"]);
    assert_eq!(failed.code, 3, "{failed:?}");
    let report: Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!((&report["status"], &report["error"]["kind"]), (&json!("failed"), &json!("outside")), "{report}");
    let pipe = Pipeline::new().with("extract.yaml", "path: in.csv\n").with("load.yaml", "path: out.jsonl\n");
    assert!(Command::new("mkfifo").arg(pipe.path("in.csv")).status().unwrap().success());
    let refused = ran(&pipe, &["run"]);
    assert!(refused.code == 3 && refused.stderr.contains("is neither a file nor a folder"), "{refused:?}");
}

#[test]
fn a_run_that_finds_nothing_new_leaves_the_file_as_it_is() {
    for output in ["out.csv", "out.jsonl", "out.parquet"] {
        // Of what columns the rows would be nobody knows where none came.
        let pipeline = newer(&format!("path: {output}\nwrite_mode: append\n"))
            .with("transform.yaml", "jsonata: {mode: record, expression: '{\"id\": id, \"twice\": id * 2}'}\n");
        assert_eq!(ran(&pipeline, &["run"]).code, 0);
        let before = std::fs::read(pipeline.path(output)).unwrap();
        let idle = ran(&pipeline, &["run"]);
        assert_eq!(idle.code, 0, "{output}: {idle:?}");
        assert_eq!(std::fs::read(pipeline.path(output)).unwrap(), before, "{output}");
    }
}
