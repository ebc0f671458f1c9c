//! Each transformer has a checkpoint and a mark of its own.

use serde_json::Value;

use super::{part, pipeline};
use crate::support::{Answer, Pipeline};

const THREE: &str = "\
transformers:
  all:
    convert: {price: str}
    load: {path: out/all.csv}
  german:
    filter: {field: country, operator: eq, value: DE}
    load: {path: out/german.jsonl}
  sums:
    transform:
      - aggregate: {group_by: [country], metrics: {count: count}}
    load: {path: out/sums.csv}
";

const OUTPUTS: [&str; 3] = ["out/all.csv", "out/german.jsonl", "out/sums.csv"];

fn three() -> Pipeline {
    pipeline(THREE).with("orders.csv", super::orders(60_000))
}

fn run(pipeline: &Pipeline, crash: Option<&str>, arguments: &[&str]) -> Answer {
    let state = pipeline.path("state");
    let mut command = pipeline.command(&["run", "--json", "--checkpoint-id", "night", "--state-dir", state.to_str().unwrap()]);
    command.args(arguments);
    if let Some(crash) = crash {
        command.env("ETL_HOST_CRASH_AT", crash);
    }
    crate::support::answer(&mut command)
}

fn outputs(pipeline: &Pipeline) -> Vec<String> {
    OUTPUTS.iter().map(|name| pipeline.read(name)).collect()
}

#[test]
fn a_run_that_is_killed_anywhere_is_gone_on_with_to_the_same_bytes() {
    let undisturbed = three();
    undisturbed.run(0);
    let expected = outputs(&undisturbed);
    let places = [
        "checkpoint.synced:2",
        "checkpoint.aside:5",
        "checkpoint.renamed:4",
        "checkpoint.renamed:9",
        "flush.due:3",
        "flush.done:2",
        "run.marked:2",
        "run.committing:1",
        "run.committing:2",
        "run.committing:3",
        "run.noted:1",
        "run.noted:2",
        "run.cleared:2",
    ];
    for place in places {
        let pipeline = three().with("extract.yaml", "type: file\npath: orders.csv\nbatch_size: 500\ncheckpoint: {interval: 4}\n");
        let killed = run(&pipeline, Some(place), &[]);
        assert_eq!(killed.code, -1, "{place}: {killed:?}");
        // Killed before the first checkpoint, it starts again.
        let done = run(&pipeline, None, &["--resume=if-unfinished"]);
        assert_eq!(done.code, 0, "{place}: {done:?}");
        let report: Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(report["status"], "success", "{place}");
        assert_eq!(outputs(&pipeline), expected, "{place}");
        let stray: Vec<String> = pipeline.names().into_iter().filter(|name| name.contains(".etl/")).collect();
        assert!(stray.is_empty(), "{place}: {stray:?}");
    }
}

#[test]
fn one_that_failed_is_gone_on_with_alone() {
    let broken = THREE.replace(
        "filter: {field: country, operator: eq, value: DE}",
        "jsonata: {expression: '$number(price) >= 0 ? $ : $', mode: record, on_error: fail}",
    );
    let rows = super::orders(60_000).replace("free", "1.5").replace("059999,IT,1.5", "059999,IT,free");
    // Its type is not to be guessed from rows that are all right.
    let extract = "type: file\npath: orders.csv\nbatch_size: 500\nschema: {price: string}\ncheckpoint: {interval: 4}\n";
    let pipeline = pipeline(&broken).with("orders.csv", &rows).with("extract.yaml", extract);
    let failed = run(&pipeline, None, &[]);
    assert_eq!(failed.code, 4, "{failed:?}");
    assert!(failed.stderr.contains("`--resume`"), "{failed:?}");
    let report: Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!(part(&report, "german")["status"], "failed");
    let before = std::fs::metadata(pipeline.path("out/all.csv")).unwrap().modified().unwrap();
    // Not without being told to.
    let refused = run(&pipeline, None, &[]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("the checkpoint `night.german` holds a run that is not finished"), "{refused:?}");
    let pipeline = pipeline.with("transform.yaml", broken.replace("on_error: fail", "on_error: skip"));
    let done = run(&pipeline, None, &["--resume", "--force"]);
    assert_eq!(done.code, 0, "{done:?}");
    let resumed: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(resumed["run_id"], report["run_id"], "it is the same run");
    assert_eq!(part(&resumed, "german")["rows"]["read"], 60_000);
    assert_eq!(part(&resumed, "all")["checkpoint"]["already_complete"], true);
    assert_eq!(std::fs::metadata(pipeline.path("out/all.csv")).unwrap().modified().unwrap(), before, "what is done is not done again");
    let again = run(&pipeline, None, &["--resume"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.stderr.contains("already complete"), "{again:?}");
}

#[test]
fn each_takes_the_newer_rows_that_it_has_not_loaded() {
    let transform = "\
transformers:
  first:
    load: {path: first.csv, write_mode: append}
  second:
    jsonata: {expression: '$exists(bad) and bad = \"yes\" ? $error(\"bad\") : $', mode: record, on_error: fail}
    load: {path: second.jsonl, write_mode: append}
";
    let pipeline = Pipeline::new()
        .with("in.csv", "id,bad\n1,no\n2,no\n3,yes\n")
        .with("extract.yaml", "type: file\npath: in.csv\nincremental: {cursor_field: id}\n")
        .with("transform.yaml", transform)
        .with("load.yaml", "type: file\n");
    let state = pipeline.path("state");
    let run = |code: i32| -> Value {
        let answer = pipeline.answer(&["run", "--json", "--state-dir", state.to_str().unwrap()]);
        assert_eq!(answer.code, code, "{answer:?}");
        serde_json::from_str(&answer.stdout).unwrap()
    };
    let report = run(4);
    assert_eq!((&part(&report, "first")["mark"], &part(&report, "second")["status"]), (&"3".into(), &"failed".into()));
    std::fs::write(pipeline.path("in.csv"), "id,bad\n1,no\n2,no\n3,no\n4,no\n").unwrap();
    let report = run(0);
    assert_eq!(part(&report, "first")["rows"]["filtered"], 3);
    assert_eq!(part(&report, "second")["rows"]["loaded"], 4);
    // Both are at one mark now.
    run(0);
    assert_eq!(pipeline.read("first.csv"), "id,bad\n1,no\n2,no\n3,yes\n4,no\n");
    let second: Vec<String> = (1..=4).map(|id| format!("{{\"id\":{id},\"bad\":\"no\"}}\n")).collect();
    assert_eq!(pipeline.read("second.jsonl"), second.concat());
}

#[test]
fn a_signal_stops_all_and_each_goes_on_from_its_own_place() {
    use rustix::process::{Pid, Signal, kill_process};
    let expected = {
        let undisturbed = three();
        undisturbed.run(0);
        outputs(&undisturbed)
    };
    let pipeline = three().with("extract.yaml", "type: file\npath: orders.csv\nbatch_size: 500\ncheckpoint: {interval: 4}\n");
    let state = pipeline.path("state");
    let arguments = ["run", "--quiet", "--checkpoint-id", "night", "--workers", "1", "--state-dir", state.to_str().unwrap()];
    let mut child = pipeline.command(&arguments).stderr(std::process::Stdio::piped()).spawn().unwrap();
    // Once the first checkpoint behind the start is there.
    while child.try_wait().unwrap().is_none() && !state.join("checkpoints/night.all/previous").exists() {
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&child), Signal::INT).ok();
    let ended = child.wait_with_output().unwrap();
    if ended.status.code() == Some(5) {
        let done = run(&pipeline, None, &["--resume"]);
        assert_eq!(done.code, 0, "{done:?}");
    } else {
        assert_eq!(ended.status.code(), Some(0), "it was faster");
    }
    assert_eq!(outputs(&pipeline), expected);
}
