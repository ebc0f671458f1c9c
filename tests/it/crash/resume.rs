//! What a user meets who goes on with a run: refusals, races, damage, signals.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::pipelines::{Came, Kind, assert_same, came, kind, ran, report, run};
use crate::support::{Answer, Pipeline, answer};

/// A pipeline whose run was killed in the middle.
fn interrupted() -> Pipeline {
    let pipeline = small().pipeline();
    let mut command = run(&pipeline, &[]);
    let status = command.env("ETL_HOST_CRASH_AT", "checkpoint.renamed:4").output().unwrap().status;
    assert_eq!(status.code(), None);
    pipeline
}

fn small() -> Kind {
    Kind { rows: 90_000, ..kind("json lines") }
}

fn undisturbed() -> Came {
    let pipeline = small().pipeline();
    came(&pipeline, &report(&ran(&pipeline, &[])))
}

/// The folder of its checkpoint.
fn checkpoint(pipeline: &Pipeline) -> PathBuf {
    fs::read_dir(pipeline.path("state/checkpoints")).unwrap().next().unwrap().unwrap().path()
}

/// stderr, without what differs from folder to folder and from run to run.
fn said(pipeline: &Pipeline, answer: &Answer) -> String {
    let checkpoint = checkpoint(pipeline);
    let id = checkpoint.file_name().unwrap().to_str().unwrap();
    let folder = pipeline.path("").canonicalize().unwrap();
    let text = answer.stderr.replace(id, "ID").replace(pipeline.path("").to_str().unwrap(), "FOLDER/");
    text.replace(&format!("{}/", folder.to_str().unwrap()), "FOLDER/")
}

#[test]
fn a_run_whose_basis_has_changed_is_not_gone_on_with_unless_it_is_forced() {
    let expected = undisturbed();
    let pipeline = interrupted();
    let csv = fs::read_to_string(pipeline.path("orders.csv")).unwrap();
    let transform = fs::read_to_string(pipeline.path("transform.yaml")).unwrap();
    fs::write(pipeline.path("orders.csv"), format!("{csv}1,1,1,north,\n")).unwrap();
    fs::write(pipeline.path("transform.yaml"), transform.replace("order", "Order")).unwrap();
    let done = ran(&pipeline, &["--resume"]);
    assert_eq!(done.code, 2, "{done:?}");
    insta::assert_snapshot!(said(&pipeline, &done), @r"
    error: the checkpoint `ID` cannot be gone on from: what stage 1 (`ops`) does has changed; the input `orders.csv` has 3713645 bytes now, it had 3713632
      hint: put it back as it was, go on all the same with `--force`, or start again from the first row with `--restart`
    ");
    // What was written may stand elsewhere in its file, and comments may change.
    fs::write(pipeline.path("transform.yaml"), format!("# a comment\n\n{transform}")).unwrap();
    let modified = fs::metadata(pipeline.path("orders.csv")).unwrap().modified().unwrap();
    fs::write(pipeline.path("orders.csv"), csv).unwrap();
    fs::File::options().write(true).open(pipeline.path("orders.csv")).unwrap().set_modified(modified).unwrap();
    let done = ran(&pipeline, &["--resume"]);
    assert_eq!(done.code, 2, "{done:?}");
    insta::assert_snapshot!(said(&pipeline, &done), @r"
    error: the checkpoint `ID` cannot be gone on from: the input `orders.csv` was written to
      hint: put it back as it was, go on all the same with `--force`, or start again from the first row with `--restart`
    ");
    let done = ran(&pipeline, &["--resume", "--force"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stderr.contains("the run goes on though something has changed since it was interrupted"), "{done:?}");
    assert_same(&came(&pipeline, &report(&done)), &expected, "forced");
}

#[test]
fn an_unfinished_run_is_not_thrown_away_unasked() {
    let expected = undisturbed();
    let pipeline = interrupted();
    let done = ran(&pipeline, &[]);
    assert_eq!(done.code, 2, "{done:?}");
    let said = said(&pipeline, &done);
    let (before, after) = said.split_once("started ").unwrap();
    insta::assert_snapshot!(format!("{before}started{}", after.split_once(',').unwrap().1), @r"
    error: the checkpoint `ID` holds a run that is not finished: started 76280 rows read
      hint: `--resume` goes on with it, `--restart` discards it and starts from the first row
    ");
    let done = ran(&pipeline, &["--restart"]);
    assert_eq!(done.code, 0, "{done:?}");
    let restarted = report(&done);
    assert_eq!(restarted["checkpoint"]["resumed"], 0);
    assert_same(&came(&pipeline, &restarted), &expected, "restarted");
    let stray: Vec<String> = pipeline.names().into_iter().filter(|name| name.contains(".etl/")).collect();
    assert!(stray.is_empty(), "{stray:?}");
}

#[test]
fn where_there_is_nothing_to_go_on_with_it_says_so_or_starts() {
    let pipeline = small().pipeline();
    let done = ran(&pipeline, &["--resume"]);
    assert_eq!(done.code, 2, "{done:?}");
    insta::assert_snapshot!(said(&pipeline, &done), @r"
    error: there is no checkpoint `ID` in `state/checkpoints` to go on from
      hint: a run without `--resume` starts one; a checkpoint belongs to the pipeline and its parameters, or to its `--checkpoint-id`
    ");
    let done = ran(&pipeline, &["--resume=if-unfinished"]);
    assert_eq!(done.code, 0, "{done:?}");
    // A complete run is no obstacle to the next, and is not done again by the one who wants to go on.
    let first = report(&done)["run_id"].clone();
    assert_eq!(report(&ran(&pipeline, &["--resume"]))["run_id"], first);
    let done = ran(&pipeline, &["--resume=if-unfinished"]);
    assert_ne!(report(&done)["run_id"], first);
}

#[test]
fn a_torn_checkpoint_is_told_of_and_the_one_before_is_used() {
    let expected = undisturbed();
    let pipeline = interrupted();
    let current = checkpoint(&pipeline).join("current");
    let whole = fs::read(&current).unwrap();
    fs::write(&current, &whole[..whole.len() / 2]).unwrap();
    let done = ran(&pipeline, &["--resume"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stderr.contains("the last checkpoint cannot be used, the one before it is"), "{done:?}");
    assert_same(&came(&pipeline, &report(&done)), &expected, "from the one before");

    let pipeline = interrupted();
    for name in ["current", "previous"] {
        fs::write(checkpoint(&pipeline).join(name), "etl-host checkpoint 9 of a later version\n").unwrap();
    }
    let done = ran(&pipeline, &["--resume"]);
    assert_eq!(done.code, 2, "{done:?}");
    insta::assert_snapshot!(said(&pipeline, &done), @r"
    error: cannot use the checkpoint `state/checkpoints/ID/current`
      because: it was written by another version of etl-host (format 9, this one reads 1)
      hint: go on with the version that wrote it, or start again with `--restart`
    ");
    let done = ran(&pipeline, &["--restart"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_same(&came(&pipeline, &report(&done)), &expected, "restarted");
}

#[test]
fn what_was_staged_and_is_lost_is_told_with_what_to_do() {
    let pipeline = interrupted();
    let staged = pipeline.names().into_iter().find(|name| name.contains(".orders.jsonl.etl/run-") && name.ends_with("/part")).unwrap();
    fs::write(pipeline.path(&staged), "short").unwrap();
    let done = ran(&pipeline, &["--resume"]);
    assert_eq!(done.code, 3, "{done:?}");
    assert!(done.stderr.contains("has 5 bytes, but the checkpoint speaks of"), "{done:?}");
    assert!(done.stderr.contains("hint: what was staged is lost: `--restart` starts again from the first row"), "{done:?}");
}

#[test]
fn of_two_processes_that_race_for_a_checkpoint_one_is_told_who_has_it() {
    // So many rows that they are not all read when it is held up.
    let pipeline = Kind { rows: 600_000, ..kind("json lines") }.pipeline();
    let mut child = run(&pipeline, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !pipeline.names().iter().any(|name| name.ends_with("/previous")) {
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&child), Signal::STOP).unwrap();
    let done = ran(&pipeline, &["--resume"]);
    assert_eq!(done.code, 3, "{done:?}");
    let expected = format!("is in use by process {} on ", child.id());
    assert!(done.stderr.contains(&expected), "{done:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_run_that_is_told_to_stop_ends_with_a_checkpoint_and_is_gone_on_with() {
    for name in ["json lines", "window", "parquet in folders"] {
        // So many rows that they are not all read when the signal comes.
        let kind = Kind { rows: 600_000, ..kind(name) };
        let undisturbed = kind.pipeline();
        let expected = came(&undisturbed, &report(&ran(&undisturbed, &[])));
        for signal in [Signal::TERM, Signal::INT] {
            let pipeline = kind.pipeline();
            let child = run(&pipeline, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mark = || pipeline.names().iter().any(|name| name.ends_with("/previous"));
            while !mark() {
                std::thread::yield_now();
            }
            kill_process(Pid::from_child(&child), signal).unwrap();
            let output = child.wait_with_output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(5), "{name}: {stderr}");
            let told = Answer { code: 5, stdout: String::from_utf8(output.stdout).unwrap(), stderr };
            let stopped = report(&told);
            assert_eq!(stopped["status"], "interrupted");
            let told = said(&pipeline, &told).replace(&stopped["rows"]["read"].to_string(), "ROWS");
            insta::allow_duplicates! { insta::assert_snapshot!(told, @r"
    stopping behind what was read, with a checkpoint (once more to stop at once)
    stopped after ROWS rows; the checkpoint `ID` in `state/checkpoints/ID` has it: the same command with `--resume` goes on, with `--restart` starts again
    "); }
            let done = ran(&pipeline, &["--resume"]);
            assert_eq!(done.code, 0, "{name}: {done:?}");
            let report = report(&done);
            assert_eq!(report["checkpoint"]["resumed"], 1);
            assert_same(&came(&pipeline, &report), &expected, name);
        }
    }
}

#[test]
fn a_full_disk_leaves_a_run_that_can_be_gone_on_with() {
    for name in ["json lines", "json array", "xml", "csv, appended"] {
        let kind = kind(name);
        let undisturbed = kind.pipeline();
        let expected = came(&undisturbed, &report(&ran(&undisturbed, &[])));
        let pipeline = kind.pipeline();
        let command = run(&pipeline, &[]);
        let mut shell = Command::new("sh");
        // The limit of a file's size answers as a full disk does, once its signal is ignored.
        shell.args(["-c", "trap '' XFSZ; ulimit -f 10000; exec \"$0\" run . --quiet"]).arg(command.get_program());
        shell.current_dir(command.get_current_dir().unwrap());
        for (name, value) in command.get_envs() {
            value.map(|value| shell.env(name, value));
        }
        let full = answer(&mut shell);
        assert_eq!(full.code, 3, "{name}: {full:?}");
        assert!(full.stderr.contains("File too large"), "{name}: {full:?}");
        assert!(full.stderr.contains("the same command with `--resume` goes on"), "{name}: {full:?}");
        let done = ran(&pipeline, &["--resume"]);
        assert_eq!(done.code, 0, "{name}: {done:?}");
        assert_same(&came(&pipeline, &report(&done)), &expected, name);
    }
}

#[test]
fn a_first_error_in_the_data_leaves_nothing_to_go_on_with() {
    let pipeline = Pipeline::of(("a.jsonl", "{\"a\":1}\nno\n"), "rename: {a: b}\n", "out/b.jsonl")
        .with("extract.yaml", "path: a.jsonl\non_parse_error: fail\ncheckpoint: {enabled: true}\n");
    let done = ran(&pipeline, &[]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(!done.stderr.contains("--resume"), "{done:?}");
    assert!(!pipeline.names().iter().any(|name| name.contains(".etl") || name.contains("/run-")), "{:?}", pipeline.names());
    // The mended input is read by the same command.
    let mended = pipeline.with("a.jsonl", "{\"a\":1}\n");
    assert_eq!(ran(&mended, &[]).code, 0);
    assert_eq!(mended.read("out/b.jsonl"), "{\"b\":1}\n");
}
