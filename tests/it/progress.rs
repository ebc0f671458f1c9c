//! How far a run is, for programs that read along.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::Pipeline;

#[test]
fn progress_is_nine_fields_and_the_mode_a_line_on_stderr_and_the_last_line_knows_the_whole() {
    let rows: String = (0..300_000).map(|row| format!("{row},{}\n", if row % 1000 == 7 { "x".into() } else { row.to_string() })).collect();
    // Sums over lists, so that the run takes many intervals on whatever machine.
    let work = "transform:\n- convert: {n: int}\n- jsonata: {mode: record, expression: '{\"id\": id, \"n\": n, \"sum\": $sum([1..20])}'}\n";
    let pipeline = Pipeline::of(("rows.csv", &format!("id,n\n{rows}")), work, "out.csv");
    let answer = pipeline.answer(&["run", "--json", "--progress", "json", "--progress-interval", "0.01"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let report: Value = serde_json::from_str(&answer.stdout).unwrap();
    let events: Vec<Value> = answer.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.len() >= 3, "{answer:?}");
    let fields = ["stage", "batch", "batches", "records", "total", "elapsed_s", "remaining_s", "memory_mb", "errors", "mode"];
    for event in &events {
        let names: BTreeSet<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, BTreeSet::from(fields));
    }
    assert!(events.iter().all(|event| event["mode"] == "streaming"), "{answer:?}");
    let number = |event: &Value, name: &str| event[name].as_f64().unwrap_or_else(|| panic!("{name} in {event}"));
    for pair in events.windows(2) {
        for name in ["records", "elapsed_s", "errors", "batch"] {
            assert!(number(&pair[0], name) <= number(&pair[1], name), "{pair:#?}");
        }
    }
    // While the file is opened nobody knows how much is left.
    let flowing = events.iter().find(|event| event["stage"] != "extract").unwrap();
    assert!(flowing["stage"] == "transform" && number(flowing, "remaining_s") > 0.0, "{flowing:#}");
    let last = &events[events.len() - 1];
    assert_eq!(
        (&last["stage"], &last["total"], &last["records"], &last["errors"]),
        (&json!("load"), &json!(300_000), &json!(300_000), &json!(300))
    );
    assert_eq!((number(last, "remaining_s"), &last["batches"], &report["rows"]["read"]), (0.0, &last["batch"], &json!(300_000)));
}

#[test]
fn an_interval_of_nothing_is_refused() {
    let pipeline = Pipeline::of(("rows.csv", "id\n1\n"), "{}\n", "out.csv");
    let answer = pipeline.answer(&["run", "--progress", "json", "--progress-interval", "0"]);
    assert!(answer.code == 2 && answer.stderr.contains("must be a number of at least 0.01"), "{answer:?}");
}
