//! Each transformer writes what it would write if it was alone, whatever becomes of the others.

use super::{TWO, part, pipeline};
use crate::support::Pipeline;

/// The same rows by a pipeline with this transform only.
fn alone(transform: &str, output: &str) -> String {
    let pipeline = pipeline(transform).with("load.yaml", format!("type: file\npath: {output}\n"));
    assert_eq!(pipeline.answer(&["run", "--quiet"]).code, 0);
    pipeline.read(output)
}

const DAILY: &str = "transform:\n  - convert: {price: float}\n  - add: {label: 'order ${id}'}\n";
const GERMAN: &str = "convert: {id: str, price: str}\nfilter: {field: country, operator: eq, value: DE}\n";

#[test]
fn each_of_several_writes_what_it_would_alone() {
    let pipeline = pipeline(TWO);
    let report = pipeline.run(0);
    assert_eq!(report["status"], "success");
    assert_eq!(pipeline.read("out/daily.csv"), alone(DAILY, "daily.csv"));
    assert_eq!(pipeline.read("out/german.jsonl"), alone(GERMAN, "german.jsonl"));
    let rows = |name: &str| {
        let rows = &part(&report, name)["rows"];
        ["read", "loaded", "filtered", "rejected"].map(|count| rows[count].as_u64().unwrap())
    };
    assert_eq!(rows("daily"), [1000, 990, 0, 10]);
    assert_eq!(rows("german"), [1000, 334, 666, 0]);
    let all = |count: &str| report["rows"][count].as_u64().unwrap();
    assert_eq!(["read", "loaded", "filtered", "rejected"].map(all), [1000, 1324, 666, 10]);
    let daily = part(&report, "daily");
    assert_eq!([&daily["processed"], &daily["succeeded"], &daily["failed"]], [1000, 990, 10]);
}

#[test]
fn one_that_fails_commits_nothing_and_the_others_are_as_ever() {
    // At row 500 a policy says that the run fails.
    let failing = "  strict:\n    transform:\n      - jsonata: {expression: '$number(price) < 1000 ? $ : $', mode: record, on_error: fail}\n    load: {path: out/strict.csv}\n";
    let pipeline = pipeline(&format!("{TWO}{failing}"));
    let report = pipeline.run(4);
    assert_eq!(report["status"], "partial_success");
    assert_eq!(part(&report, "strict")["status"], "failed");
    assert_eq!(part(&report, "strict")["succeeded"], 0);
    assert!(part(&report, "strict")["error"]["message"].as_str().unwrap().contains("free"), "{report}");
    assert_eq!(part(&report, "daily")["status"], "success");
    assert_eq!(pipeline.read("out/daily.csv"), alone(DAILY, "daily.csv"));
    assert_eq!(pipeline.read("out/german.jsonl"), alone(GERMAN, "german.jsonl"));
    let names: Vec<String> = pipeline.names().into_iter().filter(|name| name.starts_with("out/")).collect();
    assert_eq!(names, ["out/daily.csv", "out/german.jsonl"], "what failed leaves nothing behind");
    let transform = report["phases"].as_array().unwrap().iter().find(|phase| phase["name"] == "transform").unwrap();
    assert_eq!(transform["status"], "success");
    assert!(transform["error"].as_str().unwrap().starts_with("strict: "), "{transform}");
    // The table of runs and the one record tell the same.
    let shown = pipeline.answer(&["run", "--no-history"]);
    assert_eq!(shown.code, 4);
    assert!(shown.stderr.contains("3 transformers: 2 success, 1 failed"), "{}", shown.stderr);
    assert!(shown.stderr.contains("transformer strict: failed, nothing of it was written"), "{}", shown.stderr);
}

#[test]
fn where_all_fail_the_run_fails_with_the_reason_of_each() {
    let strict = |name: &str, column: &str| {
        format!(
            "  {name}:\n    transform:\n      - jsonata: {{expression: '$number({column})', mode: record, on_error: fail}}\n    load: {{path: out/{name}.csv}}\n"
        )
    };
    let pipeline = pipeline(&format!("transformers:\n{}{}", strict("one", "price"), strict("two", "country")));
    let answer = pipeline.answer(&["run", "--json"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    let report: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(report["status"], "failed");
    assert!(answer.stderr.contains("transformer `one`") && answer.stderr.contains("transformer `two`"), "{}", answer.stderr);
    assert!(!pipeline.path("out").exists() || std::fs::read_dir(pipeline.path("out")).unwrap().next().is_none());
}

#[test]
fn a_failure_of_the_extract_fails_all_with_one_error() {
    let pipeline = pipeline(TWO)
        .with("orders.csv", super::orders(1000).replace("000500,", "000500,\"x,y\n"))
        .with("extract.yaml", "type: file\npath: orders.csv\nbatch_size: 50\non_parse_error: fail\n");
    let answer = pipeline.answer(&["run", "--json"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert_eq!(answer.stderr.matches("error:").count(), 1, "{}", answer.stderr);
    assert!(!pipeline.names().iter().any(|name| name.starts_with("out/")));
}

#[test]
fn data_that_is_not_good_enough_for_one_stops_that_one_before_its_load() {
    let judged = "  judged:\n    transform:\n      - validate: {rules: {price: {type: float}}, on_error: quarantine, thresholds: {error_rate: 0.001}}\n    load: {path: out/judged.csv}\n";
    let pipeline = pipeline(&format!("{TWO}{judged}"));
    let report = pipeline.run(4);
    let judged = part(&report, "judged");
    assert_eq!(judged["status"], "failed", "{judged}");
    assert_eq!(judged["quality"]["verdict"], "FAIL");
    assert_eq!(judged["error"]["phase"], "validate");
    assert!(judged["rows"]["withheld"].as_u64().unwrap() > 0);
    assert_eq!(part(&report, "daily")["status"], "success");
    assert!(!pipeline.path("out/judged.csv").exists());
}

#[test]
fn a_load_that_is_refused_rolls_back_and_leaves_the_others() {
    let pipeline = pipeline(TWO).with("out/daily.csv/in_the_way", "");
    let report = pipeline.run(4);
    assert_eq!(part(&report, "daily")["status"], "failed");
    assert_eq!(part(&report, "daily")["error"]["phase"], "load");
    assert_eq!(pipeline.read("out/german.jsonl"), alone(GERMAN, "german.jsonl"));
}

#[test]
fn five_share_a_reading_and_a_slow_one_holds_no_rows_back_for_ever() {
    let mut transform = String::from("transformers:\n");
    for number in 0..4 {
        transform.push_str(&format!("  quick{number}:\n    select: [id]\n    load: {{path: out/quick{number}.csv}}\n"));
    }
    // An expression takes a thousand times as long as a selection, and a sort holds all rows.
    transform.push_str("  slow:\n    transform:\n      - jsonata: {expression: '$sum([1..200]) > 0 ? $ : $', mode: record}\n      - sort: [-id]\n    load: {path: out/slow.csv}\n");
    let pipeline = pipeline(&transform).with("orders.csv", super::orders(20_000));
    let report = pipeline.run(0);
    for number in 0..4 {
        assert_eq!(pipeline.read(&format!("out/quick{number}.csv")), pipeline.read("out/quick0.csv"));
        assert_eq!(part(&report, &format!("quick{number}"))["rows"]["loaded"], 20_000);
    }
    assert_eq!(part(&report, "slow")["rows"]["loaded"], 20_000);
    assert!(pipeline.read("out/slow.csv").lines().nth(1).unwrap().starts_with("019999"));
}

#[test]
fn two_tables_of_one_sqlite_file_are_loaded_one_after_the_other() {
    let transform = "\
transformers:
  all:
    load: {table: all_orders}
  german:
    filter: {field: country, operator: eq, value: DE}
    load: {table: german_orders}
";
    let rows = 60_000;
    let pipeline = Pipeline::new()
        .with("orders.csv", super::orders(rows))
        .with("extract.yaml", "type: file\npath: orders.csv\n")
        .with("transform.yaml", transform)
        .with(
            "load.yaml",
            "type: database\nconnection_string: sqlite:///shop.db\ncreate_table: if_missing\nwrite_method: truncate_and_load\n",
        );
    let report = pipeline.run(0);
    assert_eq!(report["status"], "success", "{report}");
    // Once more with checkpoints, which stand in that file, too.
    let state = pipeline.path("state");
    let again = pipeline.answer(&["run", "--quiet", "--checkpoint-id", "night", "--state-dir", state.to_str().unwrap()]);
    assert_eq!(again.code, 0, "{again:?}");
    let connection = rusqlite::Connection::open(pipeline.path("shop.db")).unwrap();
    let count =
        |table: &str| connection.query_row(&format!("SELECT count(*) FROM {table}"), (), |row| row.get::<_, i64>(0)).unwrap() as usize;
    assert_eq!([count("all_orders"), count("german_orders")], [rows, rows / 3]);
}
