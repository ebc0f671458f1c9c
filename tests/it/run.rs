//! `run`, on real files.

use serde_json::json;

use crate::support::Pipeline;

const ORDERS: &str = "id,price,qty\n1,9.50,2\n2,free,1\n3,1.25,x\n4,,3\n";
const TRANSFORM: &str = "convert: {price: float, qty: int}\ndefaults: {price: 0.0}\nadd: {label: 'order ${id}'}\n";

#[test]
fn rows_are_converted_filled_computed_and_written_and_bad_ones_are_kept_with_their_reason() {
    let pipeline = Pipeline::of(("orders.csv", ORDERS), TRANSFORM, "out/orders.jsonl");
    let report = pipeline.run(0);
    assert_eq!(report["rows"], json!({"read": 4, "loaded": 2, "filtered": 0, "rejected": 2, "skipped": 0, "expanded": 0, "crashed": 0}));
    assert_eq!(
        pipeline.read("out/orders.jsonl"),
        "{\"id\":1,\"price\":9.5,\"qty\":2,\"label\":\"order 1\"}\n{\"id\":4,\"price\":0.0,\"qty\":3,\"label\":\"order 4\"}\n"
    );
    let letters = pipeline.letters();
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[0]["message"], "cannot convert `free` in column `price` to float");
    assert_eq!(letters[0]["record"], json!({"id": 2, "price": "free", "qty": "1"}));
    assert_eq!((&letters[0]["metadata"]["row"], &letters[1]["metadata"]["row"]), (&json!(2), &json!(3)));
    assert_eq!(letters[1]["reason"], "transformation_error");
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let pipeline = Pipeline::of(("orders.csv", ORDERS), TRANSFORM, "out/orders.jsonl");
    let before = pipeline.names();
    let answer = pipeline.answer(&["run", "--dry-run"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stderr.contains("(dry run: nothing was written)"), "{answer:?}");
    assert!(answer.stderr.contains("4 read = 2 would be loaded + 0 filtered + 2 rejected"), "{answer:?}");
    assert_eq!(pipeline.names(), before);
}

#[test]
fn a_limit_is_exact() {
    let pipeline = Pipeline::of(("orders.csv", ORDERS), TRANSFORM, "out.jsonl");
    let answer = pipeline.answer(&["run", "--json", "--limit", "1"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(pipeline.read("out.jsonl"), "{\"id\":1,\"price\":9.5,\"qty\":2,\"label\":\"order 1\"}\n");
}

#[test]
fn quiet_says_nothing_where_all_is_well() {
    let pipeline = Pipeline::of(("orders.csv", ORDERS), TRANSFORM, "out.jsonl");
    let answer = pipeline.answer(&["run", "--quiet"]);
    assert_eq!((answer.code, answer.stdout.as_str(), answer.stderr.as_str()), (0, "", ""));
}

#[test]
fn the_output_is_the_same_whatever_the_number_of_workers_and_splits() {
    let rows: String = (0..60_000)
        .map(|row| format!("{row},{}.25,{}\n", row % 500, if row % 7919 == 0 { "x".into() } else { (row % 9).to_string() }))
        .collect();
    let mut outputs = Vec::new();
    for (workers, splits) in [("1", "1"), ("2", "1"), ("3", "2")] {
        let pipeline = Pipeline::new()
            .with("in/a.csv", format!("id,price,qty\n{rows}"))
            .with("in/b.csv", "qty,id,price\n1,70000,2\n")
            .with("extract.yaml", "path: in/*.csv\n")
            .with("transform.yaml", TRANSFORM)
            .with("load.yaml", "type: file\npath: out.jsonl\n");
        let answer = pipeline.answer(&["run", "--json", "--workers", workers, "--splits", splits]);
        assert_eq!(answer.code, 0, "{answer:?}");
        let letters: Vec<_> = pipeline.letters().into_iter().map(|letter| letter["metadata"]["row"].clone()).collect();
        outputs.push((pipeline.read("out.jsonl"), letters));
    }
    assert_eq!(outputs[0].0.lines().count(), 60_001 - 8);
    assert!(outputs.iter().all(|output| *output == outputs[0]));
}

#[test]
fn a_missing_file_is_something_outside() {
    let pipeline = Pipeline::new().with("extract.yaml", "path: gone.csv\n").with("load.yaml", "type: file\npath: out.jsonl\n");
    assert_eq!(pipeline.answer(&["run"]).code, 3);
}

#[test]
#[cfg(not(feature = "odbc"))]
fn a_database_that_takes_odbc_is_refused_before_anything_runs() {
    let pipeline = Pipeline::new()
        .with("orders.csv", ORDERS)
        .with("extract.yaml", "path: orders.csv\n")
        .with("load.yaml", "type: mssql\ntable: t\nconnection_string: mssql://sa:s3cret-word@host/name\n");
    for command in ["check", "plan", "run"] {
        let answer = pipeline.answer(&[command]);
        assert_eq!(answer.code, 2, "{answer:?}");
        assert!(answer.stderr.contains("are reached by ODBC, which this program was built without"), "{answer:?}");
        assert!(answer.stderr.contains("--features odbc") && answer.stderr.contains("unixodbc-dev"), "{answer:?}");
        assert!(!answer.stderr.contains("s3cret-word"), "{answer:?}");
    }
}

#[test]
fn a_pipeline_that_would_read_its_own_output_is_refused() {
    let pipeline = Pipeline::of(("orders.csv", ORDERS), TRANSFORM, "orders.csv");
    let answer = pipeline.answer(&["run"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("the pipeline would read `orders.csv`, which is the file that it writes"), "{answer:?}");
    assert_eq!(pipeline.read("orders.csv"), ORDERS);
}
