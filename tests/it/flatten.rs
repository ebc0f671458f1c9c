//! Objects and lists as columns, where only the rows can tell how many.

use std::fmt::Write as _;

use crate::support::Pipeline;

/// Orders of one line each, but for the last of them, which comes in another batch and has three.
fn orders() -> String {
    let mut lines = String::new();
    for id in 0..9000 {
        writeln!(lines, r#"{{"id":{id},"who":{{"name":"n{id}"}},"lines":[{{"sku":"s","qty":"{id}"}}]}}"#).unwrap();
    }
    lines + "{\"id\":9000,\"who\":null,\"lines\":[{\"sku\":\"a\",\"qty\":\"1\"},{\"sku\":\"b\",\"qty\":\"2\"},{\"sku\":\"c\"}]}\n"
}

#[test]
fn lists_of_any_length_become_columns_that_all_batches_share() {
    let transform = "rename: {lines: positions}\nflatten:\n  who: {key_mapping: {name: customer}}\n  lines: {item_flatten: {strategy: recursive}}\n\
                     type: {lines_0_qty: integer}\nfill_null: {lines_2_sku: none}\ndrop: [lines_2_qty]\n";
    let pipeline = Pipeline::of(("orders.jsonl", &orders()), transform, "out.csv");
    let report = pipeline.run(0);
    assert_eq!((&report["rows"]["read"], &report["rows"]["loaded"]), (&9001.into(), &9001.into()), "{report:#}");
    let out = pipeline.read("out.csv");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "id,customer,lines_0_sku,lines_0_qty,lines_2_sku,lines_1_sku,lines_1_qty");
    assert_eq!([lines[1], lines[9000], lines[9001]], ["0,n0,s,0,none,,", "8999,n8999,s,8999,none,,", "9000,,a,1,c,b,2"]);
    let with_one_worker = pipeline.answer(&["run", "--workers", "1"]);
    assert_eq!((with_one_worker.code, pipeline.read("out.csv") == out), (0, true), "{with_one_worker:?}");
}

#[test]
fn a_list_that_is_too_long_for_columns_costs_its_row() {
    let long = vec!["1"; 5000].join(",");
    let lines = format!("{{\"id\":1,\"l\":[1]}}\n{{\"id\":2,\"l\":[{long}]}}\n{{\"id\":3,\"l\":[]}}\n");
    let pipeline = Pipeline::of(("in.jsonl", &lines), "flatten: {strategy: array_flatten}\n", "out.csv");
    let report = pipeline.run(0);
    assert_eq!(report["dead_letters"]["by_code"], serde_json::json!({"too_many_columns": 1}), "{report:#}");
    assert_eq!(pipeline.read("out.csv"), "id,l_0\n1,1\n3,\n");
    let letter = &pipeline.letters()[0];
    assert_eq!(letter["message"], "flattening `l` makes more than the 4096 columns that rows may have");
}
