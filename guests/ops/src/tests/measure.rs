//! How long the benchmark's chain takes; run by hand, optimised.

use std::time::Instant;

use super::*;

/// A chain like that of the pipeline benchmark over a million rows, in batches as the host passes them.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "a measurement tells its result")]
fn the_chain_of_the_benchmark() {
    const ROWS: usize = 8192;
    let text = |f: &dyn Fn(usize) -> Option<String>| -> ArrayRef { Arc::new((0..ROWS).map(f).collect::<StringArray>()) };
    let input = batch(vec![
        ("ID", text(&|row| Some((row * 7919 % 1_000_000).to_string()))),
        ("Price", text(&|row| Some(format!("{}.{:02}", row % 5000, row % 100)))),
        ("Active", text(&|row| Some(["true", "false", "yes", "0"][row % 4].into()))),
        ("created", text(&|row| Some(format!("2024-{:02}-{:02}T{:02}:{:02}:07Z", row % 12 + 1, row % 28 + 1, row % 24, row % 60)))),
        ("day", text(&|row| Some(format!("2024-{:02}-{:02}", row % 12 + 1, row % 28 + 1)))),
        ("first", text(&|row| (row % 11 != 0).then(|| format!("First{}", row % 97)))),
        ("last", text(&|row| Some(format!("Lastname{}", row % 89)))),
        ("status", text(&|row| (row % 5 != 0).then(|| "open".into()))),
        ("score", Arc::new((0..ROWS).map(|row| (row % 3 != 0).then_some(row as i64)).collect::<Int64Array>())),
        ("country", text(&|row| Some(["de", "us", "fr"][row % 3].into()))),
    ]);
    let whole = json!([
        {"rename": [["ID", "id"], ["Price", "price"], ["Active", "active"]]},
        {"convert": {"fields": [["id", "int"], ["price", "float"], ["active", "bool"], ["created", "datetime"], ["day", "date"]], "on_error": "reject"}},
        {"defaults": [["status", "new"], ["score", 0]]},
        {"add": [["full_name", "${first} ${last}"], ["loaded_at", "now()"]]},
        {"select": ["id", "price", "active", "created", "day", "full_name", "last", "status", "score", "country", "loaded_at"]},
    ]);
    let mut cases = vec![("all".to_owned(), whole)];
    for (name, target) in [("ID", "int"), ("Price", "float"), ("Active", "bool"), ("created", "datetime"), ("day", "date")] {
        cases.push((format!("{name} to {target}"), json!([{"convert": {"fields": [[name, target]], "on_error": "reject"}}])));
    }
    for (name, value) in [("status", json!("new")), ("score", json!(0))] {
        cases.push((format!("default {name}"), json!([{"defaults": [[name, value]]}])));
    }
    for expression in ["${first} ${last}", "now()", "uuid()", "upper(${first})", "${score}: ${day}"] {
        cases.push((expression.to_owned(), json!([{"add": [["x", expression]]}])));
    }
    cases.push(("filter".into(), json!([{"filter": {"field": "score", "operator": "gt", "value": 100}}])));
    for (name, steps) in cases {
        let (chain, plan) = configure(&steps, &input).expect("configures");
        let columns = input.project(&plan.columns).expect("columns");
        let best = (0..5).map(|_| {
            let start = Instant::now();
            for sequence in 0..1_000_000 / ROWS as u64 {
                std::hint::black_box(chain.process(&columns, &Context { sequence, ..CONTEXT }).expect("processes"));
            }
            start.elapsed()
        });
        println!("{name}: {:?} a million rows", best.min().unwrap_or_default());
    }
}
