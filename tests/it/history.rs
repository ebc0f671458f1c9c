//! The history of runs: what was written down of each, and how it is shown.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Answer, Pipeline, answer, program};

const ORDERS: &str = "id,price\n1,9.5\n2,free\n3,4\n";
const TRANSFORM: &str = "convert: {price: float}\n";

fn orders() -> Pipeline {
    Pipeline::of(("orders.csv", ORDERS), TRANSFORM, "out.jsonl").with("settings.yaml", "name: orders\n")
}

/// The program on a state folder.
fn ask(state: &Path, arguments: &[&str]) -> Answer {
    answer(program().env("ETL_HOST_STATE_DIR", state).env("COLUMNS", "80").args(arguments))
}

fn run(pipeline: &Pipeline, state: &Path, arguments: &[&str]) -> Answer {
    answer(pipeline.command(&[&["run"], arguments].concat()).env("ETL_HOST_STATE_DIR", state))
}

fn records(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn history(state: &Path, arguments: &[&str]) -> Vec<Value> {
    let answer = ask(state, &[&["history", "--json"], arguments].concat());
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{answer:?}");
    records(&answer.stdout)
}

#[test]
fn a_run_is_recorded_as_it_was_told_and_in_the_journal_too() {
    let (pipeline, state) = (orders(), TempDir::new().unwrap());
    let told: Value = serde_json::from_str(&run(&pipeline, state.path(), &["--json"]).stdout).unwrap();
    let phases: Vec<(&str, &str)> = told["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| (phase["name"].as_str().unwrap(), phase["status"].as_str().unwrap()))
        .collect();
    let skipped = ["validate", "merge"].map(|name| (name, "skipped"));
    let expected =
        [&[("extract", "success"), ("transform", "success")], &skipped[..], &[("load", "success"), ("publish", "skipped")]].concat();
    assert_eq!(phases, expected);
    let stage = &told["stages"][0];
    assert_eq!([&stage["processed"], &stage["succeeded"], &stage["failed"]], [3, 2, 1]);
    assert_eq!((&told["status"], &told["rows"]["rejected"]), (&json!("success"), &json!(1)));
    assert!(told["ended"].as_str() > told["started"].as_str() && told["configuration"].as_str().unwrap().starts_with("sha256:"), "{told}");
    let id = told["run_id"].as_str().unwrap();
    let shown = ask(state.path(), &["show", &id[..6], "--json"]);
    assert_eq!(records(&shown.stdout), std::slice::from_ref(&told));
    assert_eq!(history(state.path(), &[]), std::slice::from_ref(&told));
    assert_eq!(records(&fs::read_to_string(state.path().join("runs.jsonl")).unwrap()), [told]);
}

#[test]
fn only_the_user_may_read_what_is_kept() {
    let (pipeline, folder) = (orders(), TempDir::new().unwrap());
    let state = folder.path().join("of/etl-host");
    assert_eq!(run(&pipeline, &state, &[]).code, 0);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let files = ["state.db", "runs.jsonl"].map(|name| mode(&state.join(name)));
    assert_eq!((mode(&state), files), (0o700, [0o600, 0o600]));
}

#[test]
fn a_run_that_failed_says_where_and_whose_fault_it_was() {
    let state = TempDir::new().unwrap();
    let missing = orders().with("extract.yaml", "path: gone.csv\n");
    let broken = orders().with("extract.yaml", "path: orders.csv\nschema: {price: float}\non_parse_error: fail\n");
    let unfit = orders().with("transform.yaml", "validate: {rules: {price: {min: 100}}, thresholds: {error_rate: 0.1}}\n");
    let mut found = Vec::new();
    for pipeline in [missing, broken, unfit] {
        let answer = run(&pipeline, state.path(), &[]);
        let record = &history(state.path(), &["--limit", "1"])[0];
        let failed: Vec<&Value> = record["phases"].as_array().unwrap().iter().filter(|phase| phase["status"] == "failed").collect();
        assert!(failed.len() == 1 && failed[0]["error"] == record["error"]["message"], "{answer:?} {record:#}");
        found.push((
            record["status"].clone(),
            record["error"]["kind"].clone(),
            failed[0]["name"].clone(),
            record["rows"]["loaded"].clone(),
        ));
    }
    let expected = [("outside", "extract"), ("data", "extract"), ("data", "validate")];
    assert_eq!(found, expected.map(|(kind, phase)| (json!("failed"), json!(kind), json!(phase), json!(0))));
}

#[test]
fn secrets_are_written_nowhere() {
    let state = TempDir::new().unwrap();
    let pipeline = orders()
        .with("extract.yaml", "path: ${PASSWORD}.csv\ninput_params: {api_key: {type: str}, day: {type: date, default: 2026-01-31}}\n");
    let answer = run(&pipeline, state.path(), &["--param", "api_key=hunter-two", "--var", "PASSWORD=open-sesame"]);
    assert_eq!(answer.code, 3, "{answer:?}");
    let record = &history(state.path(), &[])[0];
    assert_eq!(record["parameters"], json!({"api_key": "***", "day": "2026-01-31"}));
    assert!(record["error"]["message"].as_str().unwrap().contains("***.csv"), "{record:#}");
    for entry in fs::read_dir(state.path()).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        let bytes = fs::read(entry.path()).unwrap();
        for secret in ["hunter-two", "open-sesame"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} stands in {:?}", entry.path());
        }
    }
}

#[test]
fn a_run_that_was_killed_is_seen_as_such() {
    let rows: String = (0..400_000).map(|row| format!("{row},{}.5\n", row % 90)).collect();
    let pipeline = orders().with("orders.csv", format!("id,price\n{rows}"));
    let state = TempDir::new().unwrap();
    let mut child = pipeline.command(&["run", "--quiet"]).env("ETL_HOST_STATE_DIR", state.path()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while history(state.path(), &[]).first().is_none_or(|run| run["status"] != "running") {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "the run was never seen running");
        thread::yield_now();
    }
    assert!(history(state.path(), &["--status", "running"])[0]["ended"].is_null());
    child.kill().unwrap();
    child.wait().unwrap();
    let died = &history(state.path(), &["--status", "failed"])[0];
    assert!(died["error"]["message"].as_str().unwrap().contains("ended without a word"), "{died:#}");
    assert_eq!((&died["phases"][0]["status"], &died["phases"][4]["status"]), (&json!("failed"), &json!("skipped")));
    assert_eq!(records(&fs::read_to_string(state.path().join("runs.jsonl")).unwrap()), std::slice::from_ref(died));
}

#[test]
fn many_processes_record_their_runs_at_once() {
    let state = TempDir::new().unwrap();
    // The first one makes the tables, and all of them want to be that.
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let answer = run(&orders(), state.path(), &["--quiet"]);
                assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
            });
        }
    });
    let runs = history(state.path(), &[]);
    assert!(runs.len() == 8 && runs.iter().all(|run| run["status"] == "success"), "{runs:#?}");
    let ids = |records: Vec<Value>| {
        let mut ids: Vec<String> = records.iter().map(|run| run["run_id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let journal = records(&fs::read_to_string(state.path().join("runs.jsonl")).unwrap());
    assert_eq!(ids(journal), ids(runs));
}

#[test]
fn where_nothing_can_be_recorded_the_run_goes_on_and_says_so() {
    let pipeline = orders().with("state", "a file");
    let answer = run(&pipeline, &pipeline.path("state"), &["--quiet"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stderr.contains("this run is not recorded, and goes on"), "{answer:?}");
    assert_eq!(pipeline.read("out.jsonl").lines().count(), 2);
    let quiet = run(&pipeline, &pipeline.path("state"), &["--quiet", "--no-history"]);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""));
}

#[test]
fn a_dry_run_is_not_recorded_and_looking_makes_nothing() {
    let (pipeline, folder) = (orders(), TempDir::new().unwrap());
    let state = folder.path().join("state");
    assert_eq!(run(&pipeline, &state, &["--dry-run"]).code, 0);
    for arguments in [&["history"][..], &["stats"]] {
        assert_eq!(ask(&state, arguments).code, 0);
    }
    assert_eq!(ask(&state, &["show", "a"]).code, 2);
    assert!(!state.exists());
}

#[test]
fn an_id_is_found_by_its_beginning_and_a_wrong_one_is_answered_with_one_that_is_near() {
    let state = TempDir::new().unwrap();
    for _ in 0..17 {
        assert_eq!(run(&orders(), state.path(), &["--quiet"]).code, 0);
    }
    let runs = history(state.path(), &["--limit", "100"]);
    let ids: Vec<&str> = runs.iter().map(|run| run["run_id"].as_str().unwrap()).collect();
    assert!(ask(state.path(), &["show", ids[3]]).stdout.starts_with(&format!("run {}  success\n  pipeline   orders in /", ids[3])));
    let typo = format!("{}x", &ids[3][..12]);
    let answer = ask(state.path(), &["show", &typo]);
    assert_eq!(answer.stderr, format!("error: no run has the id `{typo}`\n  hint: did you mean `{}`?\n", &ids[3][..13]));
    // Of seventeen two start with the same of sixteen letters.
    let double = ids.iter().enumerate().find(|(index, id)| ids[index + 1..].iter().any(|other| other[..1] == id[..1])).unwrap().1;
    let answer = ask(state.path(), &["show", &double[..1]]);
    assert!(answer.code == 2 && answer.stderr.starts_with("error: more than one run has an id that starts with"), "{answer:?}");
    let answer = ask(state.path(), &["stats", "--pipeline", "ordres"]);
    assert_eq!(answer.stderr, "error: no pipeline `ordres` has run\n  hint: did you mean `orders`?\n");
}

#[test]
fn statistics_count_what_ended_by_pipeline() {
    let state = TempDir::new().unwrap();
    for pipeline in [orders(), orders(), orders().with("extract.yaml", "path: gone.csv\n"), orders().with("settings.yaml", "name: other\n")]
    {
        run(&pipeline, state.path(), &["--quiet"]);
    }
    let stats = records(&ask(state.path(), &["stats", "--json"]).stdout);
    let [orders, other] = &stats[..] else { panic!("{stats:?}") };
    let counts =
        ["executions", "success", "failed", "rows_read", "rows_loaded", "rows_rejected"].map(|name| orders[name].as_u64().unwrap());
    assert_eq!(counts, [3, 2, 1, 6, 4, 2]);
    assert!(
        (orders["success_rate"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-9
            && orders["p95_seconds"].as_f64() >= orders["mean_seconds"].as_f64()
    );
    assert_eq!((&other["pipeline"], &other["last_status"]), (&json!("other"), &json!("success")));
    for arguments in [&["history"][..], &["stats"]] {
        let table = ask(state.path(), arguments).stdout;
        assert!(table.lines().count() >= 4 && table.lines().all(|line| line.chars().count() <= 80), "{table}");
    }
}
