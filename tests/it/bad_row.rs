//! A guest that fails for one row costs that row, whatever way it fails.

use serde_json::{Value, json};

use crate::support::{Pipeline, evil};

/// Runs 70,000 rows through a function that strikes on row 69,000; answers the one dead letter.
fn strike(what: &str) -> Value {
    let rows: String = (1..=70_000).map(|id| format!("{id},order {id}\n")).collect();
    let component = evil("etl_evil");
    let transform = format!(
        "- custom_function:\n    component: {}\n    function: on_row\n    kwargs: {{column: id, value: 69000, do: {what}}}\n",
        component.display()
    );
    let pipeline = Pipeline::of(("orders.csv", &format!("id,label\n{rows}")), &transform, "out.jsonl");
    let report = pipeline.run(4);
    assert_eq!(
        report["rows"],
        json!({"read": 70_000, "loaded": 69_999, "filtered": 0, "rejected": 1, "skipped": 0, "expanded": 0, "crashed": 1})
    );
    assert_eq!(report["status"], "partial_success");
    let expected: String =
        (1..=70_000).filter(|id| *id != 69_000).map(|id| format!("{{\"id\":{id},\"label\":\"order {id}\"}}\n")).collect();
    assert!(pipeline.read("out.jsonl") == expected, "a row other than 69,000 is lost, changed or out of order");
    let mut letters = pipeline.letters();
    assert_eq!(letters.len(), 1);
    let letter = letters.remove(0);
    assert_eq!((&letter["record"], &letter["metadata"]["row"]), (&json!({"id": 69_000, "label": "order 69000"}), &json!(69_000)));
    letter
}

#[test]
fn a_row_on_which_a_transform_loops_for_ever_is_the_only_one_lost() {
    let letter = strike("loop");
    assert_eq!((&letter["reason"], &letter["error_type"]), (&json!("limit_exceeded"), &json!("out_of_fuel")));
    assert_eq!(letter["message"], "used all of its 50.1 M fuel (in `etl_evil::row::Trigger::look`)");
}

#[test]
fn a_row_on_which_a_transform_panics_is_the_only_one_lost_and_the_letter_says_where() {
    let letter = strike("panic");
    assert_eq!((&letter["reason"], &letter["error_type"]), (&json!("transformation_error"), &json!("crash")));
    assert_eq!(
        letter["message"],
        "crashed (a panic, an abort or `unreachable`); it said: panicked at guests/evil/src/row.rs:132:30: row 0 is bad (in `etl_evil::row::Trigger::look`)"
    );
}

#[test]
fn a_row_on_which_a_transform_eats_all_memory_is_the_only_one_lost() {
    let letter = strike("memory");
    assert_eq!((&letter["reason"], &letter["error_type"]), (&json!("limit_exceeded"), &json!("memory_limit")));
    assert_eq!(letter["message"], "asked for 1025.1 MiB of memory, the limit is 64.0 MiB (in `etl_evil::row::Trigger::look`)");
}
