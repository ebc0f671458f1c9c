//! Parameters of a run.

use crate::support::Pipeline;

const PARAMS: &str =
    "path: in.jsonl\ninput_params: {count: {type: int, required: true}, live: {type: bool, default: yes}, day: {type: date}}\n";

#[test]
fn a_parameter_that_is_not_of_its_type_is_refused_by_name_and_value() {
    let pipeline = Pipeline::of(("in.jsonl", "{\"id\": 1}\n"), "", "out.jsonl").with("extract.yaml", PARAMS);
    let answer = pipeline.answer(&["run", "--param", "count=abc", "--param", "day=tomorrow"]);
    insta::assert_snapshot!(format!("{}\n{}", answer.code, answer.stderr.trim_end()), @r"
    2
    error: parameter `count` is `abc`, but must be a whole number of 64 bits (type `int`)
      hint: pass `--param count=…`
    error: parameter `day` is `tomorrow`, but must be a day such as 2024-12-31 (type `date`)
      hint: pass `--param day=…`
    ");
    // A default is held to its type where the files are checked.
    let wrong = pipeline.with("extract.yaml", "path: in.jsonl\ninput_params: {count: {type: int, default: many}}\n");
    let answer = wrong.answer(&["check"]);
    assert!(answer.code == 2 && answer.stderr.contains("the default of parameter `count` is `\"many\"`"), "{answer:?}");
}

#[test]
fn parameters_reach_a_function_as_numbers_and_truths() {
    let step = format!("- custom_function: {{component: {}, kwargs: {{steps: [], count: 1}}}}\n", env!("ETL_OPS_WASM"));
    let pipeline = Pipeline::of(("in.jsonl", "{\"id\": 1}\n"), &step, "out.jsonl").with("extract.yaml", PARAMS);
    let answer = pipeline.answer(&["plan", "--json", "--param", "count=1_2", "--param", "day=2024-02-29"]);
    let plan: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    let options = serde_json::json!({"steps": [], "count": 12, "live": true, "day": "2024-02-29"});
    assert_eq!(plan["stages"][0]["options"], options, "{answer:?}");
}

#[test]
fn parameters_become_columns_in_the_oldest_dialect_whatever_rows_have() {
    let pipeline = Pipeline::of(("in.jsonl", "{\"id\": \"1\"}\n{\"id\": \"2\", \"live\": false}\n"), "type: {id: integer}\n", "out.jsonl")
        .with("extract.yaml", PARAMS);
    let answer = pipeline.answer(&["run", "--param", "count=7"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(pipeline.read("out.jsonl"), "{\"id\":1,\"live\":true,\"count\":7}\n{\"id\":2,\"live\":true,\"count\":7}\n");
}
