//! What the other commands say of several transformers.

use serde_json::Value;

use super::{TWO, part, pipeline};
use crate::support::Pipeline;

fn json(pipeline: &Pipeline, arguments: &[&str]) -> Value {
    let answer = pipeline.answer(arguments);
    assert_eq!(answer.code, 0, "{answer:?}");
    serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

#[test]
fn a_plan_shows_each() {
    let pipeline = pipeline(TWO);
    let plan = json(&pipeline, &["plan", "--json"]);
    let lanes = plan["transformers"].as_array().unwrap();
    assert_eq!(lanes.len(), 2);
    assert_eq!((&lanes[0]["transformer"], &lanes[1]["sink"]["path"]), (&"daily".into(), &"out/german.jsonl".into()));
    // Each sees the columns as its own steps want them.
    let price = |lane: &Value| {
        lane["source"]["schema"].as_array().unwrap().iter().find(|column| column["name"] == "price").unwrap()["type"].clone()
    };
    assert_eq!(price(&lanes[1]), "Utf8");
    let text = pipeline.answer(&["plan"]).stdout;
    assert!(text.contains("transformer daily") && text.contains("transformer german"), "{text}");
    assert_eq!(pipeline.answer(&["check"]).code, 0);
}

#[test]
fn a_preview_shows_all_or_one() {
    let pipeline = pipeline(TWO);
    let all = json(&pipeline, &["preview", "--json", "--rows", "3"]);
    assert_eq!(all["transformers"].as_array().unwrap().len(), 2);
    let one = pipeline.answer(&["preview", "--transformer", "german", "--rows", "3"]);
    assert_eq!(one.code, 0, "{one:?}");
    assert!(one.stdout.contains("transformer german") && !one.stdout.contains("transformer daily"), "{}", one.stdout);
    let wrong = pipeline.answer(&["preview", "--transformer", "gernam"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("the pipeline has no transformer `gernam`"), "{}", wrong.stderr);
}

#[test]
fn a_case_names_the_transformer_that_it_is_for() {
    let case = "transformer: german\ninput: [{id: 1, country: DE, price: 2}, {id: 2, country: FR, price: 2}]\nexpect: {rows: [{id: '1', country: DE, price: '2'}], counts: {filtered: 1}}\n";
    let tested = pipeline(TWO).with("tests/german.yaml", case).answer(&["test"]);
    assert_eq!(tested.code, 0, "{tested:?}");
    let unnamed = pipeline(TWO).with("tests/german.yaml", case.replace("transformer: german\n", "")).answer(&["test"]);
    assert_eq!(unnamed.code, 2, "{unnamed:?}");
    assert!(unnamed.stderr.contains("the case does not say which one it is for"), "{}", unnamed.stderr);
}

#[test]
fn the_history_keeps_one_record_with_all_parts() {
    let failing =
        "  strict:\n    jsonata: {expression: '$number(price)', mode: record, on_error: fail}\n    load: {path: out/strict.csv}\n";
    let pipeline = pipeline(&format!("{TWO}{failing}"));
    let state = pipeline.path("state");
    let state = state.to_str().unwrap();
    assert_eq!(pipeline.answer(&["run", "--quiet", "--state-dir", state]).code, 4);
    let command = |arguments: &[&str]| {
        let mut command = crate::support::program();
        crate::support::answer(command.args(arguments).args(["--state-dir", state]))
    };
    let listed = command(&["history", "--json"]);
    let record: Value = serde_json::from_str(listed.stdout.lines().next().unwrap()).unwrap();
    assert_eq!((&record["status"], record["phases"].as_array().unwrap().len()), (&"partial_success".into(), 6));
    assert_eq!(listed.stdout.lines().count(), 1);
    assert_eq!(part(&record, "strict")["status"], "failed");
    let shown = command(&["show", record["run_id"].as_str().unwrap()]);
    assert!(shown.stdout.contains("transformer strict: failed") && shown.stdout.contains("transformer daily: success"), "{}", shown.stdout);
}

#[test]
fn run_many_runs_all_of_them_for_each_set() {
    let transform =
        "transformers:\n  a:\n    load: {path: 'out/a-${country}.csv'}\n  b:\n    select: [id]\n    load: {path: 'out/b-${country}.csv'}\n";
    let pipeline = pipeline(transform).with("extract.yaml", "type: file\npath: orders.csv\ninput_params: [country]\n");
    let many = pipeline.answer(&["run-many", "--values", "country=DE,FR", "--json"]);
    assert_eq!(many.code, 0, "{many:?}");
    let names: Vec<String> = pipeline.names().into_iter().filter(|name| name.starts_with("out/")).collect();
    assert_eq!(names, ["out/a-DE.csv", "out/a-FR.csv", "out/b-DE.csv", "out/b-FR.csv"]);
}

#[test]
fn the_schema_of_the_format_knows_them() {
    let schema = crate::support::answer(crate::support::program().args(["schema", "transform"]));
    let schema: Value = serde_json::from_str(&schema.stdout).unwrap();
    let several = schema["anyOf"].as_array().unwrap().iter().find(|shape| shape["properties"]["transformers"].is_object()).unwrap();
    let load = &several["properties"]["transformers"]["additionalProperties"]["properties"]["load"];
    assert!(load["anyOf"].as_array().unwrap().iter().all(|kind| kind["required"].as_array().unwrap().is_empty()), "{load}");
}
