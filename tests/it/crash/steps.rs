//! Runs that are killed at each of the steps between which a crash matters most.

use super::pipelines::{Kind, assert_same, came, kind, ran, report, run};
use crate::support::{Pipeline, answer};

/// The steps, and how many times at most the process gets past one before it is killed there.
const STEPS: [(&str, u32); 21] = [
    ("run.marked", 1),
    ("checkpoint.synced", 3),
    ("checkpoint.aside", 3),
    ("checkpoint.renamed", 3),
    ("flush.due", 2),
    ("flush.done", 2),
    ("run.committing", 1),
    ("letters.noted", 1),
    ("letters.torn", 1),
    ("letters.appended", 1),
    ("upload.begun", 1),
    ("upload.done", 1),
    ("commit.noted", 1),
    ("commit.sealed", 1),
    ("commit.aside", 2),
    ("commit.moved", 5),
    ("commit.placed", 1),
    ("commit.ended", 1),
    ("run.noted", 1),
    ("run.cleared", 1),
    ("nowhere", 1),
];

/// Runs until the process is killed at a step for the n-th time; whether it was.
fn killed_at(pipeline: &Pipeline, step: &str, times: u32, arguments: &[&str]) -> bool {
    let mut command = run(pipeline, arguments);
    let status = command.env("ETL_HOST_CRASH_AT", format!("{step}:{times}")).output().unwrap().status;
    assert!(matches!(status.code(), None | Some(0)), "{step}:{times}: {status}");
    status.code().is_none()
}

/// The arguments that go on with a run, or start it where it was killed before there was a checkpoint.
fn how_to_go_on(pipeline: &Pipeline) -> &'static [&'static str] {
    let is_checkpoint = |name: &String| name.ends_with("/current") || name.ends_with("/previous");
    if pipeline.names().iter().any(is_checkpoint) { &["--resume"] } else { &[] }
}

fn small(name: &str) -> Kind {
    Kind { rows: 60_000, ..kind(name) }
}

fn killed_at_each_step(name: &str, at_least: u32) {
    let kind = small(name);
    let undisturbed = kind.pipeline();
    let done = ran(&undisturbed, &[]);
    assert_eq!(done.code, 0, "{name}: {done:?}");
    let expected = came(&undisturbed, &report(&done));
    let mut kills = 0;
    for (step, most) in STEPS {
        for times in 1..=most {
            let pipeline = kind.pipeline();
            if !killed_at(&pipeline, step, times, &[]) {
                break;
            }
            kills += 1;
            // The one that goes on is killed at the same step too, unless it does not come to it any more.
            kills += u32::from(killed_at(&pipeline, step, times, how_to_go_on(&pipeline)));
            let when = format!("{name}, killed at {step}:{times}");
            let done = ran(&pipeline, how_to_go_on(&pipeline));
            assert_eq!(done.code, 0, "{when}: {done:?}");
            assert_same(&came(&pipeline, &report(&done)), &expected, &when);
            // Once more does nothing: the rows are not there twice.
            let again = ran(&pipeline, &["--resume"]);
            assert_eq!(again.code, 0, "{when}: {again:?}");
            assert!(again.stderr.starts_with("already complete: run `"), "{when}: {again:?}");
            assert_same(&came(&pipeline, &report(&again)), &expected, &when);
            let stray: Vec<String> = pipeline.names().into_iter().filter(|name| name.contains(".etl/") || name.contains("/run-")).collect();
            assert!(stray.is_empty(), "{when}: {stray:?}");
        }
    }
    assert!(kills >= at_least, "{name}: only {kills} kills");
}

#[test]
fn an_appended_csv_survives_a_kill_at_each_step() {
    killed_at_each_step("csv, appended", 25);
}

#[test]
fn parquet_in_folders_survives_a_kill_at_each_step() {
    killed_at_each_step("parquet in folders", 25);
}

#[test]
fn objects_survive_a_kill_at_each_step() {
    killed_at_each_step("objects in folders", 25);
}

#[test]
fn an_object_survives_a_kill_at_each_step() {
    killed_at_each_step("parquet in a bucket", 20);
}

#[test]
fn a_window_survives_a_kill_at_each_step() {
    killed_at_each_step("window", 20);
}

#[test]
fn another_run_undoes_a_commit_that_was_interrupted_and_the_first_can_still_be_gone_on_with() {
    let kind = small("parquet in folders");
    let undisturbed = kind.pipeline();
    let expected = came(&undisturbed, &report(&ran(&undisturbed, &[])));
    let old = kind.pipeline();
    for times in [1, 2] {
        let pipeline = kind.pipeline();
        assert!(killed_at(&pipeline, "commit.moved", times, &[]));
        // Another run of the same pipeline, without the checkpoint, is stopped by a file that does not read.
        std::fs::rename(pipeline.path("orders.csv"), pipeline.path("aside.csv")).unwrap();
        std::fs::write(pipeline.path("orders.csv"), "id,place\n1,\"open").unwrap();
        std::fs::write(pipeline.path("other.yaml"), "path: orders.csv\non_parse_error: fail\n").unwrap();
        let mut other = pipeline.command(&["run", "--extract", "other.yaml"]);
        let done = answer(other.env("ETL_HOST_STATE_DIR", pipeline.path("state")));
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.stderr.contains("an earlier run was interrupted while it committed, its output is undone"), "{done:?}");
        let visible = |pipeline: &Pipeline| {
            pipeline.names().into_iter().filter(|name| name.starts_with("out/") && !name.contains("/.")).collect::<Vec<_>>()
        };
        assert_eq!(visible(&pipeline), visible(&old));
        std::fs::rename(pipeline.path("aside.csv"), pipeline.path("orders.csv")).unwrap();
        let done = ran(&pipeline, &["--resume"]);
        assert_eq!(done.code, 0, "{done:?}");
        assert_same(&came(&pipeline, &report(&done)), &expected, "after another run");
    }
}
