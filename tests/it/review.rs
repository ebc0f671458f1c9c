//! What a hostile reader of files and pipelines found, each held by a test.

use std::collections::HashSet;

use crate::support::Pipeline;

#[test]
fn uuids_are_unique_across_splits() {
    let rows: String = (0..2000).map(|row| format!("{row}\n")).collect();
    let pipeline = Pipeline::new()
        .with("in/a.csv", format!("id\n{rows}"))
        .with("in/b.csv", format!("id\n{rows}"))
        .with("extract.yaml", "path: in/*.csv\n")
        .with("transform.yaml", "add: {key: uuid()}\nselect: [key]\n")
        .with("load.yaml", "type: file\npath: out.csv\n");
    let answer = pipeline.answer(&["run", "--splits", "2"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let output = pipeline.read("out.csv");
    let keys: HashSet<&str> = output.lines().skip(1).collect();
    assert_eq!(keys.len(), 4000);
}
