//! A disk that fills up.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::pipelines::{assert_same, came, kind, ran, report, run};
use crate::support::Pipeline;

/// A small file system in a folder, as long as it is there.
struct Disk(PathBuf);

impl Disk {
    /// Makes one of so many KiB; `None` where that is not allowed, as in most containers: there a limit of file sizes has to do.
    fn of(folder: &Path, kib: u32) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"]).arg(folder).output();
        let mounted = done.is_ok_and(|done| done.status.success());
        if !mounted {
            #[expect(clippy::print_stderr, reason = "a skipped test says so")]
            {
                eprintln!("skipped: no disk can be mounted; run the tests as root");
            }
        }
        mounted.then(|| Self(folder.to_owned()))
    }

    /// Makes room.
    fn grow(&self) {
        assert!(Command::new("mount").args(["-o", "remount,size=256m"]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A run on a disk that is too small, and the run that goes on once there is room: the same comes out as if nothing had been.
fn fills_up_and_goes_on(name: &str, folder: &str, kib: u32, message: &str, hint: &str) {
    let when = format!("`{name}` with {kib} KiB for `{folder}`");
    let kind = kind(name);
    let undisturbed = kind.pipeline();
    let expected = came(&undisturbed, &report(&ran(&undisturbed, &[])));
    let pipeline = kind.pipeline();
    let Some(disk) = Disk::of(&pipeline.path(folder), kib) else { return };
    let full = ran(&pipeline, &[]);
    assert_eq!(full.code, 3, "{when}: {full:?}");
    let said = full.stderr.replace(pipeline.path("").to_str().unwrap(), "FOLDER/");
    assert!(
        said.contains(&format!("error: {message}")) && said.contains("\n  because: No space left on device (os error 28)\n"),
        "{when}: {said}"
    );
    assert!(said.contains(&format!("\n  hint: {hint}\n")), "{when}: {said}");
    let visible = |name: &String| (name.starts_with("out/") || name.starts_with("dlq/")) && !name.contains("/.");
    assert_eq!(pipeline.names().into_iter().filter(visible).collect::<Vec<_>>(), Vec::<String>::new(), "{when}");
    disk.grow();
    let done = ran(&pipeline, &["--resume=if-unfinished"]);
    assert_eq!(done.code, 0, "{when}: {done:?}");
    let report = report(&done);
    assert_eq!(report["checkpoint"]["resumed"] == 1, said.contains("the same command with `--resume` goes on"), "{when}: {report:#}");
    assert_same(&came(&pipeline, &report), &expected, &when);
}

const OUTPUT: &str = "the disk is full: free some space, or write elsewhere";
const CHECKPOINTS: &str = "the disk is full: free some space, or keep checkpoints elsewhere with `--checkpoint-dir`";

#[test]
fn an_output_that_has_no_room_shows_nothing_and_is_gone_on_with() {
    fills_up_and_goes_on("json lines", "out", 4000, "cannot write `out/.orders.jsonl.etl/run-", OUTPUT);
    fills_up_and_goes_on("parquet", "out", 400, "cannot write `out/.orders.parquet.etl/run-", OUTPUT);
}

#[test]
fn an_output_that_gets_room_in_time_is_written_as_if_there_had_been_room() {
    for (name, kib) in [("json lines", 4000), ("parquet", 400)] {
        let kind = kind(name);
        let undisturbed = kind.pipeline();
        let expected = came(&undisturbed, &report(&ran(&undisturbed, &[])));
        let pipeline = kind.pipeline();
        let Some(disk) = Disk::of(&pipeline.path("out"), kib) else { return };
        let mut child = run(&pipeline, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut lines: Vec<String> = Vec::new();
        for line in said {
            let full = "the disk of the output is full, trying again";
            if line.contains(full) && !lines.iter().any(|line| line.contains(full)) {
                disk.grow();
            }
            lines.push(line);
        }
        let done = child.wait_with_output().unwrap();
        assert!(!lines.is_empty() && done.status.success(), "{name}: {done:?} {lines:#?}");
        let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_same(&came(&pipeline, &report), &expected, name);
    }
}

#[test]
fn dead_letters_that_have_no_room_show_nothing_and_are_gone_on_with() {
    fills_up_and_goes_on("json lines", "dlq", 4, "cannot write `dlq/.", OUTPUT);
}

#[test]
fn checkpoints_that_have_no_room_stop_a_run_that_is_gone_on_with() {
    fills_up_and_goes_on("json lines", "state/checkpoints", 12, "cannot write the checkpoint `state/checkpoints/", CHECKPOINTS);
    // What the stages remember does not fit, from the first checkpoint on.
    fills_up_and_goes_on("dedupe and sort", "state/checkpoints", 2000, "cannot write the checkpoint `state/checkpoints/", CHECKPOINTS);
    let rows = "rows that wait for their columns cannot be kept in `state/checkpoints/";
    fills_up_and_goes_on(
        "jsonata",
        "state/checkpoints",
        1000,
        rows,
        "free some space, or keep checkpoints elsewhere with `--checkpoint-dir`",
    );
}

#[test]
fn a_run_whose_record_has_no_room_says_so_and_goes_on() {
    let pipeline = Pipeline::of(("in.csv", "id\n1\n"), "rename: {id: key}\n", "out.csv");
    let Some(disk) = Disk::of(&pipeline.path("state"), 4) else { return };
    let done = ran(&pipeline, &[]);
    assert_eq!((done.code, pipeline.read("out.csv").as_str()), (0, "key\n1\n"), "{done:?}");
    assert!(
        done.stderr.contains("this run is not recorded, and goes on") && done.stderr.contains("choose another folder by `--state-dir`"),
        "{done:?}"
    );
    disk.grow();
    let done = ran(&pipeline, &[]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    let mut history = crate::support::program();
    let shown = crate::support::answer(history.args(["history", "--json"]).env("ETL_HOST_STATE_DIR", pipeline.path("state")));
    assert_eq!(shown.stdout.lines().count(), 1, "{shown:?}");
}
