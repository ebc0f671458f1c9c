//! Steps that took something else for what was written.

use crate::support::Pipeline;

fn came(input: &str, step: &str) -> String {
    let pipeline = Pipeline::of(("in.csv", input), step, "out.jsonl");
    pipeline.run(0);
    pipeline.read("out.jsonl")
}

fn refused(step: &str) -> String {
    let answer = Pipeline::of(("in.csv", "id,v\n1,a\n"), step, "out.jsonl").answer(&["check"]);
    assert_ne!(answer.code, 0, "{step}: {answer:?}");
    answer.stderr
}

#[test]
fn a_default_of_null_makes_unknown_values_null() {
    let rows = came("n\na\nb\nc\n", "map: {field: n, mapping: {a: 1, b: 2}, default: null}");
    assert_eq!(rows, "{\"n\":1}\n{\"n\":2}\n{\"n\":null}\n");
    let rows = came("n\na\nc\n", "map: {field: n, mapping: {a: x}}");
    assert_eq!(rows, "{\"n\":\"x\"}\n{\"n\":\"c\"}\n");
}

#[test]
fn parameters_of_the_oldest_dialect_come_before_what_the_row_has() {
    let pipeline = Pipeline::new()
        .with("in.csv", "id,region,type\n1,us,a\n")
        .with("extract.yaml", "path: in.csv\ninput_params: [region, type, plain]\n")
        .with("transform.yaml", "rename: {id: k, type: direction, plain: kind}\ntype: {k: str}\n")
        .with("load.yaml", "path: out.jsonl\n");
    let answer = pipeline.answer(&["run", "--param", "region=eu", "--param", "type=${b}", "--param", "plain=p"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let row: serde_json::Value = serde_json::from_str(&pipeline.read("out.jsonl")).unwrap();
    assert_eq!(row, serde_json::json!({"k": "1", "region": "eu", "direction": "${b}", "kind": "p"}), "{answer:?}");
}

#[test]
fn a_list_that_a_column_cannot_hold_as_it_is_written_is_a_mistake() {
    for (list, said) in [
        ("[1, x]", "the list has numbers and texts in it"),
        ("[true, 1]", "the list has true or false and numbers in it"),
        ("[{a: 1}, {a: x}]", "the list has numbers and texts in it"),
        ("[[1], [x]]", "the list has numbers and texts in it"),
        ("[1, '${id}']", "`${id}` stands in a list or an object"),
        ("{k: '${id}'}", "`${id}` stands in a list or an object"),
    ] {
        let stderr = refused(&format!("add: {{l: {list}}}"));
        assert!(stderr.contains(said) || list == "[1, '${id}']" && stderr.contains("numbers and texts"), "{list}: {stderr}");
        assert!(stderr.contains("transform.yaml:1:"), "{stderr}");
    }
    assert_eq!(came("id\n1\n", "add: {l: [1, null, 2.5], o: {a: 1}}"), "{\"id\":1,\"l\":[1.0,null,2.5],\"o\":{\"a\":1}}\n");
}

#[test]
fn what_a_function_cannot_read_is_counted() {
    let pipeline = Pipeline::of(("in.csv", "v\nabc\n7\n"), "add: {i: 'int(${v})', f: 'float(${v})', d: 'date(${v})'}", "out.jsonl");
    let report = pipeline.run(0);
    let counters = &report["stages"][0]["counters"];
    assert_eq!((&counters["converted_to_null.i"], &counters["converted_to_null.f"]), (&1.into(), &1.into()), "{report}");
    assert_eq!(counters["kept_unconverted.d"], 2, "{report}");
}

#[test]
fn spellings_of_the_original_are_understood_and_typos_are_not_texts() {
    assert_eq!(came("id,v\n1,2\n", "type: {v: double}"), "{\"id\":1,\"v\":2.0}\n");
    assert_eq!(came("id\n1\n2\n", "filter: {field: id, operator: in, value: 1}"), "{\"id\":1}\n");
    assert_eq!(came("id,v\n1,\n2,x\n", "filter: {field: v, operator: is_null, value: true}"), "{\"id\":1,\"v\":null}\n");
    let stderr = refused("fill_null: {v: '@today'}");
    assert!(stderr.contains("`@today` is no moment that `fill_null` knows"), "{stderr}");
}

#[test]
fn a_column_whose_type_changes_from_batch_to_batch_is_told() {
    let rows: String = (0..20_000).map(|id| format!("{id}\n")).collect();
    let step = "jsonata: {mode: record, expression: '{\"v\": id = 19000 ? \"n/a\" : id}'}";
    let answer = Pipeline::of(("in.csv", &format!("id\n{rows}")), step, "out.jsonl").answer(&["run"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stderr.contains("texts in some batches and something else in others"), "{answer:?}");
}
