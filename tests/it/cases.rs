//! `etl-host test`: what it says, whole, and what `--update` writes.

use std::fs;

use crate::cli::shown;
use crate::support::Pipeline;

const TRANSFORM: &str = "\
convert: {price: float}
add: {label: 'order ${id}'}
filter: {field: id, operator: ne, value: 9}
";

/// A pipeline whose source and sink are not there and not even known.
fn pipeline(transform: &str) -> Pipeline {
    Pipeline::new()
        .with("extract.yaml", "path: ${ETL_TEST_FOLDER}/in.csv\nbatch_size: ${ETL_TEST_ROWS}\n")
        .with("load.yaml", "type: postgres\nconnection_string: ${ETL_TEST_DATABASE}\ntable: orders\n")
        .with("transform.yaml", transform)
}

#[test]
fn cases_that_pass_and_cases_that_fail_each_with_its_reasons() {
    let cases = "\
cases:
  - name: prices are numbers
    input:
      - {id: 1, price: '1.5'}
      - {id: 2, price: abc}
      - {id: 9, price: '9'}
    expect:
      rows:
        - {label: order 1, price: 1.50, id: 1}
      dead_letters:
        - {row: 2, code: convert_float, column: price, message: cannot convert}
      counts: {filtered: 1, dead_letters: 1, rows: 1}
  - name: everything is wrong
    input:
      - {id: 1, price: '1.5'}
      - {id: 2, price: '2.5', note: a}
      - {id: 3, price: x}
      - {id: 4, price: y}
    expect:
      rows:
        - {id: 1, price: '1.5', label: order 1, gone: true}
        - {id: 2, price: 2.6, label: order 2}
        - {id: 5, price: 5, label: order 5}
      dead_letters:
        - {row: 3, code: convert_int, stage: opss}
        - {row: 8}
      counts: {filtered: 1}
  - input: [{id: 7, price: '7'}]
";
    insta::assert_snapshot!(shown(&pipeline(TRANSFORM).with("tests/prices.yaml", cases).answer(&["test"])), @r#"
    exit code 1
    --- stdout
    ./tests/prices.yaml
      ok      prices are numbers
      FAILED  everything is wrong
        column `gone` did not come
          expected  true in the first row
        column `note` was not expected
          came      null in the first row
        row 1, column `price`
          expected  "1.5"
          came      1.5
        row 2, column `price`
          expected  2.6
          came      2.5
        row 3 did not come
          expected  {"id":5,"price":5,"label":"order 5"}
        dead letter of row 3: stage
          expected  "opss"
          came      "ops"
        dead letter of row 3: code
          expected  "convert_int"
          came      "convert_float"
        a dead letter did not come
          expected  {"row":8}
        a dead letter was not expected: row 4, `convert_float`, column `price`, by `ops`
          cannot convert `y` in column `price` to float
        count `filtered`
          expected  1
          came      0
      FAILED  prices 3
        the case has no `expect`; `--update` writes what came
        row 1 was not expected
          came      {"id":7,"price":7.0,"label":"order 7"}
    1 passed, 2 failed
    "#);
}

#[test]
fn what_is_written_in_the_file_stays_but_for_the_expectations() {
    let cases = "\
# Prices of the shop.
name: prices   # of 2026
input:
  - {id: 1, price: \"1.5\"}   # fine
  - {id: 2, price: abc}
expect:   # as agreed
  unordered: true
  tolerance: 0.5
  rows:
    - {id: 1}
  counts: {rows: 7}
# The end.

---
# Two more.
cases:
  - name: without expectation
    stage: ops

    input:
    - {id: 3, price: 'yes', label: \"a: b\"}

  # About the last one.
  - name: in one line
    input: [{id: 4, price: 4, text: '2026-01-01'}]
    expect: {rows: []}
  - {name: right, input: [], expect: {}}
";
    let pipeline = pipeline(TRANSFORM).with("tests/prices.yml", cases);
    insta::assert_snapshot!(shown(&pipeline.answer(&["test", "--update"])), @r"
    exit code 0
    --- stdout
    ./tests/prices.yml
      updated prices
      updated without expectation
      updated in one line
      ok      right
    1 passed, 3 updated
    ");
    insta::assert_snapshot!(pipeline.read("tests/prices.yml"), @r#"
    # Prices of the shop.
    name: prices   # of 2026
    input:
      - {id: 1, price: "1.5"}   # fine
      - {id: 2, price: abc}
    expect:   # as agreed
      unordered: true
      tolerance: 0.5
      rows:
        - {id: 1, price: 1.5, label: order 1}
      dead_letters:
        - {row: 2, code: convert_float, column: price}
      counts: {rows: 1}
    # The end.

    ---
    # Two more.
    cases:
      - name: without expectation
        stage: ops

        input:
        - {id: 3, price: 'yes', label: "a: b"}
        expect:
          rows: []
          dead_letters:
            - {row: 1, code: convert_float, column: price}

      # About the last one.
      - name: in one line
        input: [{id: 4, price: 4, text: '2026-01-01'}]
        expect:
          rows:
            - {id: 4, price: 4.0, text: 2026-01-01, label: order 4}
      - {name: right, input: [], expect: {}}
    "#);
    let before = pipeline.read("tests/prices.yml");
    insta::assert_snapshot!(shown(&pipeline.answer(&["test", "--update"])), @r"
    exit code 0
    --- stdout
    ./tests/prices.yml
      ok      prices
      ok      without expectation
      ok      in one line
      ok      right
    4 passed
    ");
    assert_eq!(pipeline.read("tests/prices.yml"), before);
    assert_eq!(pipeline.names().iter().filter(|name| name.starts_with("tests/")).count(), 1, "{:?}", pipeline.names());
}

#[test]
fn windows_line_ends_stay() {
    let cases = "name: a\r\ninput: [{id: 1, price: '2'}]\r\nexpect:\r\n  rows: []\r\n# end\r\n";
    let pipeline = pipeline(TRANSFORM).with("tests/a.yaml", cases);
    assert_eq!(pipeline.answer(&["test", "--update"]).code, 0);
    let expected =
        "name: a\r\ninput: [{id: 1, price: '2'}]\r\nexpect:\r\n  rows:\r\n    - {id: 1, price: 2.0, label: order 1}\r\n# end\r\n";
    assert_eq!(pipeline.read("tests/a.yaml"), expected);
}

#[test]
fn a_case_in_braces_or_with_an_alias_is_not_written_over() {
    let braces = "{name: a, input: [{id: 1, price: '1'}], expect: {rows: []}}\n";
    let alias = "input: &rows\n  - {id: 1, price: '1'}\nexpect:\n  rows: &none []\n---\nname: b\ninput: []\nexpect: {rows: []}\n";
    let anchor =
        "name: one\ninput: [{id: 1, price: '1'}]\nexpect: {rows: &rows [{id: 1}]}\n---\nname: two\ninput: []\nexpect: {rows: []}\n";
    let anchor = anchor.replace("name: two\ninput: []", "name: two\ninput: *rows");
    let pipeline = pipeline(TRANSFORM).with("tests/a.yaml", braces).with("tests/b.yaml", alias).with("tests/c.yaml", &anchor);
    insta::assert_snapshot!(shown(&pipeline.answer(&["test", "--update"])), @r#"
    exit code 2
    --- stdout
    ./tests/a.yaml
      FAILED  a
        row 1 was not expected
          came      {"id":1,"price":1.0,"label":"order 1"}
    ./tests/b.yaml
      updated b 1
      ok      b
    ./tests/c.yaml
      FAILED  one
        column `price` was not expected
          came      1.0 in the first row
        column `label` was not expected
          came      "order 1" in the first row
      updated two
    1 passed, 2 failed, 2 updated
    --- stderr
    ./tests/a.yaml:1:1: error: the case stands in braces, into which nothing can be written
      hint: write the keys of the case on lines of their own, or mend `expect` by hand
    ./tests/c.yaml: error: the expectation cannot be written into this file without changing the rest of it
      hint: an alias or an unusual indentation may be the reason: mend `expect` by hand
    "#);
    assert_eq!(pipeline.read("tests/a.yaml"), braces);
    // The other case of the file is written.
    let untouched = &anchor[..anchor.find("expect: {rows: []}").unwrap()];
    assert!(pipeline.read("tests/c.yaml").starts_with(untouched), "{}", pipeline.read("tests/c.yaml"));
}

#[test]
fn every_mistake_of_the_case_files_is_told_at_once() {
    let wrong = "\
name: a
clok: 2026-01-01
clock: yesterday
seed: many
input:
  - {id: 1}
  - 7
expect:
  row: []
  tolerance: -1
  dead_letters: [{reason: convert_error}]
  dead_letters: []
---
cases:
  - name: b
    inputs: [{id: 1}]
    rows: []
  - name: c
    input: {id: 1}
    batch_size: 0
    schema: {id: intt}
  - 5
name: d
";
    let syntax = "input: [{id: 1}\nexpect: {}\n";
    let pipeline = pipeline(TRANSFORM)
        .with("tests/wrong.yaml", wrong)
        .with("tests/syntax.yaml", syntax)
        .with("tests/empty.yaml", "# nothing\n")
        .with("tests/twice.yaml", "name: x\ninput: []\n---\nname: x\ninput: []\n")
        .with("tests/list.yaml", "- input: []\n");
    insta::assert_snapshot!(shown(&pipeline.answer(&["test"])), @r"
    exit code 2
    --- stderr
    ./tests/empty.yaml: error: the file has no case
      hint: a case has `input: [{column: value}]` and `expect: {rows: [...]}`
    ./tests/list.yaml:1:1: error: a case is a list, but must be a mapping
      hint: several cases stand under `cases:`, each after a `-`
    ./tests/syntax.yaml:2:1: error: a `[` or `{` is not closed, or a comma is missing
      hint: close it, or put the text in quotes
    ./tests/twice.yaml:4:1: error: two cases are called `x`, on lines 1 and 4
      hint: give each a `name` of its own
    ./tests/wrong.yaml:2:1: error: `clok`: unknown key `clok`
      hint: did you mean `clock`?
    ./tests/wrong.yaml:4:7: error: `seed`: `seed` is the text `many`, but must be a whole number, 0 or more
    ./tests/wrong.yaml:7:5: error: `input[1]`: a row of `input` is `7`, but must be a mapping of columns to values
    ./tests/wrong.yaml:9:3: error: `expect.row`: unknown key `row`
      hint: did you mean `rows`? keys here are `dead_letters`, `counts`, `error`, `unordered`, `tolerance`, `rows`
    ./tests/wrong.yaml:11:27: error: `expect.dead_letters[0].reason`: `convert_error` is no reason of a dead letter
      hint: did you mean `connection_error`?
    ./tests/wrong.yaml:12:3: error: `dead_letters`: `dead_letters` stands twice in one mapping, on lines 11 and 12
      hint: keep one of them
    ./tests/wrong.yaml:16:5: error: `cases[0].inputs`: unknown key `inputs`
      hint: did you mean `input`?
    ./tests/wrong.yaml:17:5: error: `cases[0].rows`: unknown key `rows`
      hint: it belongs to `expect`
    ./tests/wrong.yaml:19:12: error: `cases[1].input`: the key `file` is missing in `cases[1].input`
    ./tests/wrong.yaml:19:13: error: `cases[1].input.id`: unknown key `id`
      hint: keys here are `file`
    ./tests/wrong.yaml:20:17: error: `cases[1].batch_size`: `batch_size` is `0`, but must be a whole number above 0
    ./tests/wrong.yaml:21:18: error: `cases[1].schema.id`: `id`: `intt` is not a type; types are str, string, int, integer, float, double, number, numeric, bool, boolean, datetime, date, decimal(p,s), timestamp, timestamp(tz), json
    ./tests/wrong.yaml:22:5: error: `cases[2]`: a case is `5`, but must be a mapping
    ./tests/wrong.yaml:23:1: error: `name`: `name` stands beside `cases`
      hint: move it into each case
    ");
}

#[test]
fn hostile_files_are_refused_with_a_sentence() {
    let deep = format!("input: [{{a: {}1{}}}]\n", "[".repeat(100), "]".repeat(100));
    let large = format!("name: a\ninput: [{{a: '{}'}}]\n", "x".repeat(1 << 20));
    let mut bomb = String::from("a: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("b{level}: &a{level} [{items}]\n"));
    }
    for (name, text, expected) in [
        ("deep", deep.as_bytes(), "nested"),
        ("large", large.as_bytes(), "a configuration file has at most 1048576"),
        ("bomb", bomb.as_bytes(), "more than 100000 values"),
        ("bytes", b"input: \xff\n", "is not UTF-8"),
        ("zero", b"input: [{a: \"\0\"}]\n", "tests/zero.yaml"),
    ] {
        let answer = pipeline(TRANSFORM).with(&format!("tests/{name}.yaml"), text).answer(&["test"]);
        assert!(answer.code == 2 || name == "zero" && answer.code == 1, "{name}: {answer:?}");
        assert!(format!("{}{}", answer.stdout, answer.stderr).contains(expected), "{name}: {answer:?}");
    }
}

#[test]
fn a_stage_a_parameter_or_a_file_that_is_not_there() {
    let cases = "\
cases:
  - {name: a, stage: osp, input: []}
  - {name: b, params: {day: 2026-01-01}, input: []}
  - {name: c, input: {file: gone.csv}}
  - {name: d, input: [], expect: {rows: []}}
";
    insta::assert_snapshot!(shown(&pipeline(TRANSFORM).with("tests/a.yaml", cases).answer(&["test"])), @r"
    exit code 2
    --- stdout
    ./tests/a.yaml
      BROKEN  a
      BROKEN  b
      BROKEN  c
      ok      d
    1 passed, 3 broken
    --- stderr
    ./tests/a.yaml:2:22: error: `cases[0].stage`: the pipeline has no stage `osp`
      hint: did you mean `ops`? its stages are `ops`
    ./tests/a.yaml:3:5: error: `cases[1]`: the pipeline takes no parameter `day`
      hint: it takes none; parameters stand in `input_params` of extract.yaml
    ./tests/a.yaml:4:29: error: `cases[2].input.file`: reading the rows of `gone.csv`
      because: `gone.csv` does not exist; it was looked for as `./tests/gone.csv`
    ");
}

#[test]
fn no_cases_and_a_filter_that_matches_none() {
    insta::assert_snapshot!(shown(&pipeline(TRANSFORM).answer(&["test"])), @r"
    exit code 2
    --- stderr
    error: there are no cases: `./tests` has no file `*.yaml`
      hint: `etl-host test --help` shows what a case looks like; with `input:` only, `--update` writes what is to be expected
    ");
    let some = pipeline(TRANSFORM).with("tests/a.yaml", "name: prices\ninput: []\n---\nname: labels\ninput: []\n");
    insta::assert_snapshot!(shown(&some.answer(&["test", "--filter", "label"])), @r"
    exit code 0
    --- stdout
    ./tests/a.yaml
      ok      labels
    1 passed
    ");
    insta::assert_snapshot!(shown(&some.answer(&["test", "--filter", "price s"])), @r"
    exit code 2
    --- stderr
    error: no case has `price s` in its name
      hint: did you mean `prices`?
    ");
}

#[test]
fn rows_of_a_file_clock_seed_parameters_and_variables() {
    let transform = "\
add: {at: now(), id: uuid(), region: env(REGION)}
grants: {env: [REGION]}
";
    let cases = "\
clock: 2026-01-01 12:30
seed: 7
env: {REGION: north}
input: {file: data/rows.csv}
schema: {zip: string}
expect:
  rows:
    - {zip: '08001', n: 1, at: '2026-01-01T12:30:00Z', id: 5f6bbb0a-0ff5-4a5a-8f52-3b29ab35f8d9, region: north}
";
    let pipeline = pipeline(transform).with("tests/a.yaml", cases).with("tests/data/rows.csv", "zip,n\n08001,1\n");
    let once = shown(&pipeline.answer(&["test"]));
    assert_eq!(once, shown(&pipeline.answer(&["test"])));
    insta::assert_snapshot!(once, @r#"
    exit code 1
    --- stdout
    ./tests/a.yaml
      FAILED  a
        row 1, column `id`
          expected  "5f6bbb0a-0ff5-4a5a-8f52-3b29ab35f8d9"
          came      "549303d6-7a86-46bc-bb1c-63bafeec2479"
    0 passed, 1 failed
    "#);
}

#[test]
fn the_source_is_not_read_and_nothing_is_written() {
    let pipeline = Pipeline::of(("in.csv", "id\n1\n"), "add: {a: b}\n", "out.jsonl").with("tests/a.yaml", "input: [{id: 1}]\n");
    fs::remove_file(pipeline.path("in.csv")).unwrap();
    let before = pipeline.names();
    assert_eq!(pipeline.answer(&["test"]).code, 1);
    assert_eq!(pipeline.names(), before);
}

#[test]
fn a_run_that_is_to_fail() {
    let transform = format!(
        "custom_function: {{component: '{}', function: ops, on_error: fail, kwargs: {{steps: [{{convert: {{fields: [[a, int]], on_error: reject}}}}]}}}}\n",
        env!("ETL_OPS_WASM")
    );
    let cases = "\
cases:
  - {name: right, input: [{a: x}], expect: {error: cannot convert `x`}}
  - {name: wrong, input: [{a: x}], expect: {error: no such thing}}
  - {name: not at all, input: [{a: '1'}], expect: {error: cannot convert}}
  - {name: unexpected, input: [{a: x}], expect: {rows: []}}
";
    let pipeline = pipeline(&transform).with("tests/a.yaml", cases);
    insta::assert_snapshot!(shown(&pipeline.answer(&["test"])), @r"
    exit code 1
    --- stdout
    ./tests/a.yaml
      ok      right
      FAILED  wrong
        the run failed, but not with `no such thing`
        error: stage `ops` refused row 1 of `input`: cannot convert `x` in column `a` to int
          hint: `on_error: dead_letter` sends such rows to the dead letters
      FAILED  not at all
        the run did not fail
          expected  a message with `cannot convert`
      FAILED  unexpected
        error: stage `ops` refused row 1 of `input`: cannot convert `x` in column `a` to int
          hint: `on_error: dead_letter` sends such rows to the dead letters
    1 passed, 3 failed
    ");
    let update = pipeline.answer(&["test", "--update", "--filter", "unexpected"]);
    assert_eq!((update.code, pipeline.read("tests/a.yaml").as_str()), (1, cases), "{update:?}");
}

#[test]
fn the_result_as_json() {
    let cases = "input: [{id: 1, price: x}]\nexpect: {rows: [{id: 1}]}\n";
    let answer = pipeline(TRANSFORM).with("tests/a.yaml", cases).answer(&["test", "--json"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    let json: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap(), @r#"
    {
      "passed": 0,
      "failed": 1,
      "updated": 0,
      "broken": 0,
      "files": [
        {
          "file": "./tests/a.yaml",
          "cases": [
            {
              "name": "a",
              "line": 1,
              "status": "failed",
              "differences": [
                {
                  "difference": "missing_row",
                  "row": 1,
                  "expected": {
                    "id": 1
                  }
                },
                {
                  "difference": "unexpected_letter",
                  "came": {
                    "row": 1,
                    "stage": "ops",
                    "code": "convert_float",
                    "column": "price",
                    "message": "cannot convert `x` in column `price` to float"
                  }
                }
              ],
              "errors": []
            }
          ]
        }
      ]
    }
    "#);
}
