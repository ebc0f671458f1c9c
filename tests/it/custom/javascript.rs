//! JavaScript functions.

use std::sync::LazyLock;

use insta::assert_snapshot;
use serde_json::json;

use super::{Module, has_javascript, letters, rows, told};

const SOURCE: &str = r#"
export function batch(records, { factor = 2 }) {
  for (const record of records) {
    if (record.a === 17) throw new RangeError(`will not have ${record.a}`);
    record.b = record.a * factor;
  }
  return records;
}

export async function record(record) {
  await null;
  switch (record.a) {
    case 2: return null;
    case 3: return [{ ...record, part: 1 }, { ...record, part: 2 }];
    case 4: return record.missing.deep;
    case 5: return { a: 5, nested: [() => 1] };
    case 6: return "text";
    case 7: while (true);
  }
  return record;
}

export function values(record) {
  return {
    exact: 9007199254740993n, same: record.big, date: new Date(Date.UTC(2024, 1, 29)), nan: NaN, none: undefined, set: new Set([1, 2]),
    map: new Map([["k", 1n]]), bytes: new Uint8Array([0, 255]), still: Date.now() === Date.now(), reach: attempt(() => fetch("http://127.0.0.1/")),
    random: Math.random() !== Math.random(),
  };
}

function attempt(call) {
  try { return String(call()); } catch (error) { return error.name; }
}

export class Stateful {
  factor = 10;
  run(records) { return records.map(({ a }) => ({ a: a * this.factor })); }
}
"#;

static JAVASCRIPT: LazyLock<Module> = LazyLock::new(|| Module::build("transforms.js", SOURCE, "batch"));

#[test]
fn a_function_that_throws_on_row_17_of_a_batch_loses_row_17() {
    if !has_javascript() {
        return;
    }
    let pipeline = JAVASCRIPT.pipeline("batch", "  kwargs: {factor: 3}\n", 3000);
    let report = pipeline.run(0);
    assert_eq!(report["rows"]["loaded"], json!(2999), "{report}");
    assert_snapshot!(letters(&pipeline).join("\n"), @"17 range_error: RangeError: will not have 17 (transforms.js:4, in batch)");
    assert_eq!(rows(&pipeline)[16], json!({"a": 18, "b": 54}));
}

#[test]
fn record_by_record_null_drops_a_list_expands_and_what_throws_or_loops_is_refused() {
    if !has_javascript() {
        return;
    }
    let pipeline = JAVASCRIPT.pipeline("record", "  mode: record\n  limits: {fuel_per_batch: 300000000}\n", 8);
    pipeline.run(4);
    assert_snapshot!(pipeline.read("out.jsonl"), @r#"
    {"a":1,"part":null}
    {"a":3,"part":1}
    {"a":3,"part":2}
    {"a":8}
    "#);
    let letters = letters(&pipeline);
    let shown: Vec<&str> = letters.iter().map(|letter| letter.split(';').next().unwrap()).collect();
    assert_snapshot!(shown.join("\n").split(" (in `").next().unwrap(), @r#"
    4 type_error: TypeError: can't access property "deep", record.missing is undefined (transforms.js:15, in record)
    5 not_serialisable: key `nested[0]`: a function has no JSON form
    6 not_a_row: returned a string where a row, an object, or a list of rows must be
    7 out_of_fuel: used all of its 300.0 M fuel
    "#);
}

#[test]
fn numbers_are_exact_and_nothing_is_reached() {
    if !has_javascript() {
        return;
    }
    let pipeline = JAVASCRIPT.pipeline("values", "  mode: record\n", 1).with("in.csv", "a,big\n1,9007199254740993\n");
    pipeline.run(0);
    assert_snapshot!(pipeline.read("out.jsonl"), @r#"{"exact":9007199254740993,"same":9007199254740993,"date":"2024-02-29T00:00:00.000Z","nan":null,"set":[1,2],"map":{"k":1},"bytes":"AP8=","still":true,"reach":"TypeError","random":true}"#);
    let pipeline = JAVASCRIPT.pipeline("Stateful", "", 2);
    pipeline.run(0);
    assert_eq!(rows(&pipeline), [json!({"a": 10}), json!({"a": 20})]);
}

#[test]
fn a_wrong_name_is_answered_with_the_right_ones() {
    if !has_javascript() {
        return;
    }
    assert_snapshot!(told(&JAVASCRIPT.pipeline("bacth", "", 1).answer(&["run"])), @r"
    2
    ./transform.yaml:2:3: error: `custom_function`: the component has no function `bacth`; it has `Stateful`, `batch`, `record`, `values`
      hint: did you mean `batch`?
    ");
}
