//! Every pipeline below a folder: listed with how it ran last, and run one after the other.

use crate::support::{Answer, Pipeline, answer, program};

fn below(folder: &Pipeline, arguments: &[&str]) -> Answer {
    answer(program().current_dir(folder.path("")).args(arguments).args(["--state-dir", "state"]).env("COLUMNS", "100"))
}

#[test]
fn pipelines_are_found_run_and_listed_and_one_that_fails_stops_no_other() {
    let folder = Pipeline::new()
        .with("sales/orders/extract.yaml", "path: in.jsonl\n")
        .with("sales/orders/load.yaml", "path: out.jsonl\n")
        .with("sales/orders/in.jsonl", "{\"id\": 1}\n{\"id\": 2}\n")
        .with("clicks/extract.yaml", "path: gone.jsonl\n")
        .with("clicks/load.yaml", "path: out.jsonl\n")
        .with("old/extract.yaml", "path: in.jsonl\n")
        .with("old/load.yaml", "path: out.jsonl\n");
    let none = below(&folder, &["run", "--all", "old"]);
    assert_eq!(none.code, 2, "{none:?}");
    let ran = below(&folder, &["run", "--all", "."]);
    assert_eq!(ran.code, 3, "{ran:?}");
    insta::assert_snapshot!(ran.stdout, @r"
     pipeline │ result
    ──────────┼─────────
     clicks   │ failed
     orders   │ success
    ");
    assert!(ran.stderr.contains("`gone.jsonl` does not exist"), "{ran:?}");
    let listed = below(&folder, &["list", ".", "--json"]);
    let lines: Vec<serde_json::Value> = listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown = lines
        .iter()
        .map(|line| (line["name"].as_str().unwrap(), line["last"]["status"].as_str().unwrap(), &line["last"]["rows"]["loaded"]));
    assert_eq!(shown.collect::<Vec<_>>(), [("clicks", "failed", &0.into()), ("orders", "success", &2.into())]);
    let table = below(&folder, &["list", "."]).stdout;
    assert!(table.starts_with(" pipeline │ directory") && table.contains("sales/orders"), "{table}");
}
