//! `etl-host preview`: what it says, whole.

use crate::cli::shown;
use crate::support::Pipeline;

const ORDERS: &str = "\
Order,Customer,Price,Note
1,Ada,1.50,
2,\"\",abc,x
3,Grace,3,\"two
lines\"
4,  Alan ,4.25,y
5,Kim,5,z
";

const TRANSFORM: &str = "\
rename: {Order: id, Customer: name}
convert: {Price: float}
defaults: {Note: none}
add: {tag: 'order ${id}', twice: '${id}${id}'}
drop: [Note]
filter: {field: id, operator: ne, value: 3}
";

fn orders(transform: &str) -> Pipeline {
    of(("orders.csv", ORDERS), transform)
}

fn of(input: (&str, &str), transform: &str) -> Pipeline {
    Pipeline::of(input, transform, "out.jsonl").with("settings.yaml", "name: orders\n")
}

#[test]
fn every_step_with_what_it_changed() {
    let pipeline = orders(TRANSFORM);
    let before = pipeline.names();
    insta::assert_snapshot!(shown(&pipeline.answer(&["preview"])), @r#"
    exit code 0
    --- stdout
    source  orders.csv · 5 rows
       row │ Order │ Customer  │ Price  │ Note
           │   int │ string    │ string │ string
      ─────┼───────┼───────────┼────────┼────────────
         1 │     1 │ Ada       │ 1.50   │ ∅
         2 │     2 │ ""        │ abc    │ x
         3 │     3 │ Grace     │ 3      │ two\nlines
         4 │     4 │ "  Alan " │ 4.25   │ y
         5 │     5 │ Kim       │ 5      │ z

    ops 1/6  rename 2 · 5 rows
      renamed   Order → id, Customer → name
       row │> id │>name      │ Price  │ Note
           │ int │ string    │ string │ string
      ─────┼─────┼───────────┼────────┼────────────
         1 │   1 │ Ada       │ 1.50   │ ∅
         2 │   2 │ ""        │ abc    │ x
         3 │   3 │ Grace     │ 3      │ two\nlines
         4 │   4 │ "  Alan " │ 4.25   │ y
         5 │   5 │ Kim       │ 5      │ z

    ops 2/6  convert 1 · 4 rows, 1 refused
      retyped   Price string → float
       row │  id │ name      │ Price │ Note
           │ int │ string    │~float │ string
      ─────┼─────┼───────────┼───────┼────────────
         1 │   1 │ Ada       │   1.5 │ ∅
         3 │   3 │ Grace     │   3.0 │ two\nlines
         4 │   4 │ "  Alan " │  4.25 │ y
         5 │   5 │ Kim       │   5.0 │ z
      row 2 refused: convert_float: cannot convert `abc` in column `Price` to float

    ops 3/6  defaults 1 · 4 rows
      values    1 in Note
       row │  id │ name      │ Price │ Note
           │ int │ string    │ float │ string
      ─────┼─────┼───────────┼───────┼────────────
         1 │   1 │ Ada       │   1.5 │*none
         3 │   3 │ Grace     │   3.0 │ two\nlines
         4 │   4 │ "  Alan " │  4.25 │ y
         5 │   5 │ Kim       │   5.0 │ z

    ops 4/6  add 2 · 4 rows
      added     tag string, twice string
       row │  id │ name      │ Price │ Note       │+tag     │+twice
           │ int │ string    │ float │ string     │ string  │ string
      ─────┼─────┼───────────┼───────┼────────────┼─────────┼────────
         1 │   1 │ Ada       │   1.5 │ none       │ order 1 │ 11
         3 │   3 │ Grace     │   3.0 │ two\nlines │ order 3 │ 33
         4 │   4 │ "  Alan " │  4.25 │ y          │ order 4 │ 44
         5 │   5 │ Kim       │   5.0 │ z          │ order 5 │ 55

    ops 5/6  drop 1 · 4 rows
      removed   Note
       row │  id │ name      │ Price │ tag     │ twice
           │ int │ string    │ float │ string  │ string
      ─────┼─────┼───────────┼───────┼─────────┼────────
         1 │   1 │ Ada       │   1.5 │ order 1 │ 11
         3 │   3 │ Grace     │   3.0 │ order 3 │ 33
         4 │   4 │ "  Alan " │  4.25 │ order 4 │ 44
         5 │   5 │ Kim       │   5.0 │ order 5 │ 55

    ops 6/6  filter id · 3 rows, 1 left out
      left out  row 3
       row │  id │ name      │ Price │ tag     │ twice
           │ int │ string    │ float │ string  │ string
      ─────┼─────┼───────────┼───────┼─────────┼────────
         1 │   1 │ Ada       │   1.5 │ order 1 │ 11
         4 │   4 │ "  Alan " │  4.25 │ order 4 │ 44
         5 │   5 │ Kim       │   5.0 │ order 5 │ 55

    orders: 5 read = 3 to load + 1 left out + 1 refused; nothing was written
    "#);
    assert_eq!(pipeline.names(), before);
}

#[test]
fn a_narrow_terminal() {
    insta::assert_snapshot!(shown(&orders(TRANSFORM).answer(&["preview", "--rows", "2", "--width", "44"])), @r#"
    exit code 0
    --- stdout
    source  orders.csv · 2 rows
       row │ Order │ Customer │ Price  │ Note
           │   int │ string   │ string │ string
      ─────┼───────┼──────────┼────────┼────────
         1 │     1 │ Ada      │ 1.50   │ ∅
         2 │     2 │ ""       │ abc    │ x

    ops 1/6  rename 2 · 2 rows
      renamed   Order → id, Customer → name
       row │> id │>name   │ Price  │ Note
           │ int │ string │ string │ string
      ─────┼─────┼────────┼────────┼────────
         1 │   1 │ Ada    │ 1.50   │ ∅
         2 │   2 │ ""     │ abc    │ x

    ops 2/6  convert 1 · 1 row, 1 refused
      retyped   Price string → float
       row │  id │ name   │ Price │ Note
           │ int │ string │~float │ string
      ─────┼─────┼────────┼───────┼────────
         1 │   1 │ Ada    │   1.5 │ ∅
      row 2 refused: convert_float: cannot convert `abc` in column `Price` to float

    ops 3/6  defaults 1 · 1 row
      values    1 in Note
       row │  id │ name   │ Price │ Note
           │ int │ string │ float │ string
      ─────┼─────┼────────┼───────┼────────
         1 │   1 │ Ada    │   1.5 │*none

    ops 4/6  add 2 · 1 row
      added     tag string, twice string
       row │  id │ … │+tag     │+twice
           │ int │ … │ string  │ string
      ─────┼─────┼───┼─────────┼────────
         1 │   1 │ … │ order 1 │ 11
      … 3 more columns: name, Price, Note

    ops 5/6  drop 1 · 1 row
      removed   Note
       row │  id │ name   │ Price │ tag     │ …
           │ int │ string │ float │ string  │ …
      ─────┼─────┼────────┼───────┼─────────┼───
         1 │   1 │ Ada    │   1.5 │ order 1 │ …
      … 1 more column: twice

    ops 6/6  filter id · 1 row, nothing changed

    orders: 2 read = 1 to load + 0 left out + 1 refused; nothing was written
    "#);
    let told = orders(TRANSFORM).command(&["preview", "--rows", "2"]).env("COLUMNS", "44").output().unwrap();
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(text.lines().filter(|line| line.contains(['│', '┼'])).all(|line| line.chars().count() <= 44), "{text}");
}

#[test]
fn wide_characters_and_those_that_would_move_the_cursor() {
    let rows = "id,名前,text\n1,北京市朝阳区,\"a\u{1b}[31mred\"\n2,é🙂,\"tab\there\"\n3,e\u{301},NULL\n";
    let pipeline = of(("in.csv", rows), "add: {長い名前: '${名前}${名前}${名前}${名前}${名前}${名前}'}\n");
    insta::assert_snapshot!(shown(&pipeline.answer(&["preview"])), @r"
    exit code 0
    --- stdout
    source  in.csv · 3 rows
       row │  id │ 名前         │ text
           │ int │ string       │ string
      ─────┼─────┼──────────────┼────────────────
         1 │   1 │ 北京市朝阳区 │ a\u{1b}[31mred
         2 │   2 │ é🙂          │ tab\there
         3 │   3 │ é            │ NULL

    ops  add 1 · 3 rows
      added     長い名前 string
       row │  id │ 名前         │ text           │+長い名前
           │ int │ string       │ string         │ string
      ─────┼─────┼──────────────┼────────────────┼──────────────────────────────────────────
         1 │   1 │ 北京市朝阳区 │ a\u{1b}[31mred │ 北京市朝阳区北京市朝阳区北京市朝阳区北…
         2 │   2 │ é🙂          │ tab\there      │ é🙂é🙂é🙂é🙂é🙂é🙂
         3 │   3 │ é            │ NULL           │ éééééé

    orders: 3 read = 3 to load + 0 left out + 0 refused; nothing was written
    ");
}

#[test]
fn an_empty_source_and_no_stages() {
    insta::assert_snapshot!(shown(&of(("in.csv", "id,name\n"), TRANSFORM).answer(&["preview"])), @r"
    exit code 0
    --- stdout
    source  in.csv · 0 rows

    ops 1/6  rename 2 · 0 rows, nothing changed

    ops 2/6  convert 1 · 0 rows, nothing changed

    ops 3/6  defaults 1 · 0 rows
      added     Note string

    ops 4/6  add 2 · 0 rows
      added     tag string, twice string

    ops 5/6  drop 1 · 0 rows
      removed   Note

    ops 6/6  filter id · 0 rows, nothing changed

    orders: 0 read = 0 to load + 0 left out + 0 refused; nothing was written
    ");
    insta::assert_snapshot!(shown(&of(("in.jsonl", ""), "select: [a]\n").answer(&["preview"])), @r"
    exit code 0
    --- stdout
    source  in.jsonl · 0 rows

    ops  select 1 · 0 rows
      added     a string

    orders: 0 read = 0 to load + 0 left out + 0 refused; nothing was written
    ");
    insta::assert_snapshot!(shown(&of(("in.jsonl", "{\"a\":[1,{\"b\":null}],\"c\":{\"d\":1.5}}\n"), "").answer(&["preview"])), @r#"
    exit code 0
    --- stdout
    source  in.jsonl · 1 row
       row │ a              │ c
           │ list of string │ {d: float}
      ─────┼────────────────┼────────────
         1 │ [1,{"b":null}] │ {"d":1.5}

    orders: 1 read = 1 to load + 0 left out + 0 refused; nothing was written
    "#);
}

#[test]
fn a_step_that_cannot_be_is_told_behind_those_before_it() {
    let pipeline = orders("- rename: {Order: id}\n- select: [id, name]\n- add: {a: b}\n");
    insta::assert_snapshot!(shown(&pipeline.answer(&["preview", "--rows", "1"])), @r"
    exit code 2
    --- stdout
    source  orders.csv · 1 row
       row │ Order │ Customer │ Price  │ Note
           │   int │ string   │ string │ string
      ─────┼───────┼──────────┼────────┼────────
         1 │     1 │ Ada      │ 1.50   │ ∅

    ops  rename 1 · 1 row
      renamed   Order → id
       row │> id │ Customer │ Price  │ Note
           │ int │ string   │ string │ string
      ─────┼─────┼──────────┼────────┼────────
         1 │   1 │ Ada      │ 1.50   │ ∅

    orders: it goes no further; nothing was written
    --- stderr
    ./transform.yaml:2:11: error: `[1].select`: stage `ops`, `select[1]`: there is no column `name`
      hint: columns here are `id`, `Customer`, `Price`, `Note`
    ");
}

#[test]
fn rows_that_are_expanded_and_rows_that_do_not_parse() {
    let rows = "{\"id\":1,\"items\":[\"a\",\"b\"]}\n{\"id\":2,\n{\"id\":3,\"items\":[\"c\"]}\n";
    let pipeline = of(("in.jsonl", rows), "- unnest: items\n- rename: {items: item}\n");
    insta::assert_snapshot!(shown(&pipeline.answer(&["preview"])), @r#"
    exit code 0
    --- stdout
    source  in.jsonl · 2 rows, 1 refused
       row │  id │ items
           │ int │ list of string
      ─────┼─────┼────────────────
         1 │   1 │ ["a","b"]
         3 │   3 │ ["c"]
      row 2 refused: invalid_json: line 2 is not JSON: a key in quotes should stand here, at character 9 of the record

    ops 1/2  unnest items · 3 rows, 1 more than went in
      retyped   items list of string → string
      values    3 in items
       row │  id │ items
           │ int │~string
      ─────┼─────┼────────
         1 │   1 │*a
         1 │   1 │*b
         3 │   3 │*c

    ops 2/2  rename 1 · 3 rows
      renamed   items → item
       row │  id │>item
           │ int │ string
      ─────┼─────┼────────
         1 │   1 │ a
         1 │   1 │ b
         3 │   3 │ c

    orders: 3 read + 1 more than went in = 3 to load + 0 left out + 1 refused; nothing was written
    "#);
}

#[test]
fn more_rows_than_are_shown_are_counted() {
    let rows: String = (0..100).map(|row| format!("{row}\n")).collect();
    let pipeline = of(("in.csv", &format!("n\n{rows}")), "filter: {field: n, operator: gt, value: 49}\n");
    insta::assert_snapshot!(shown(&pipeline.answer(&["preview", "--rows", "2", "--limit", "80"])), @r"
    exit code 0
    --- stdout
    source  in.csv · 80 rows
       row │   n
           │ int
      ─────┼─────
         1 │   0
         2 │   1
      … 78 more rows

    ops  filter n · 30 rows, 50 left out
       row │   n
           │ int
      ─────┼─────
        51 │  50
        52 │  51
      … 28 more rows

    orders: 80 read = 30 to load + 50 left out + 0 refused; nothing was written
    ");
    insta::assert_snapshot!(shown(&pipeline.answer(&["preview", "--rows", "3"])), @r"
    exit code 0
    --- stdout
    source  in.csv · 3 rows
       row │   n
           │ int
      ─────┼─────
         1 │   0
         2 │   1
         3 │   2

    ops  filter n · 0 rows, 3 left out
      left out  rows 1, 2, 3

    orders: 3 read = 0 to load + 3 left out + 0 refused; nothing was written
    no row is left after a step: --limit reads more of the source
    ");
}

#[test]
fn one_stage_and_one_that_is_not_there() {
    let transform = format!(
        "- drop: [Note]\n- custom_function: {{component: '{}', function: ops, kwargs: {{steps: [{{convert: {{fields: [[Price, float]], on_error: reject}}}}]}}}}\n",
        env!("ETL_OPS_WASM")
    );
    let pipeline = orders(&transform);
    insta::assert_snapshot!(shown(&pipeline.answer(&["preview", "--rows", "2", "--stage", "ops_2"])), @r"
    exit code 0
    --- stdout
    ops_2  custom_function ROOT/target/guests/wasm32-wasip2/guest/etl_ops.wasm · 1 row, 1 refused
      retyped   Price string → float
       row │ Order │ Customer │ Price
           │   int │ string   │~float
      ─────┼───────┼──────────┼───────
         1 │     1 │ Ada      │   1.5
      row 2 refused: convert_float: cannot convert `abc` in column `Price` to float

    orders: 2 read = 1 to load + 0 left out + 1 refused; nothing was written
    ");
    insta::assert_snapshot!(shown(&pipeline.answer(&["preview", "--stage", "opps"])), @r"
    exit code 2
    --- stderr
    error: the pipeline has no stage `opps`
      hint: did you mean `ops`? its stages are `ops`, `ops_2`
    ");
}

#[test]
fn as_json_with_a_sink_that_is_not_built_and_not_reached() {
    let pipeline = orders("rename: {Order: id}\nconvert: {Price: float}\n")
        .with("load.yaml", "type: postgres\nconnection_string: ${ETL_TEST_DATABASE}\ntable: orders\n");
    let answer = pipeline.answer(&["preview", "--json", "--rows", "2"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
    let json: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&json["steps"][2]).unwrap(), @r#"
    {
      "stage": "ops",
      "step": 2,
      "steps": 2,
      "what": "convert 1",
      "columns": [
        {
          "name": "id",
          "type": "int",
          "change": null,
          "renamed_from": null,
          "type_before": null
        },
        {
          "name": "Customer",
          "type": "string",
          "change": null,
          "renamed_from": null,
          "type_before": null
        },
        {
          "name": "Price",
          "type": "float",
          "change": null,
          "renamed_from": null,
          "type_before": "string"
        },
        {
          "name": "Note",
          "type": "string",
          "change": null,
          "renamed_from": null,
          "type_before": null
        }
      ],
      "removed": [],
      "rows_out": 1,
      "rows": [
        {
          "row": 1,
          "values": {
            "id": 1,
            "Customer": "Ada",
            "Price": 1.5,
            "Note": null
          },
          "changed": []
        }
      ],
      "left_out": 0,
      "left_out_rows": [],
      "refused": [
        {
          "row": 2,
          "stage": "ops",
          "code": "convert_float",
          "column": "Price",
          "message": "cannot convert `abc` in column `Price` to float"
        }
      ],
      "skipped": 0,
      "expanded": 0
    }
    "#);
}

#[test]
fn rows_that_a_stage_holds_back_have_no_number() {
    let pipeline = of(("in.csv", "k,n\nb,1\na,2\nb,3\n"), "- sort: [k]\n- aggregate: {group_by: [k], metrics: {n: {sum: n}}}\n");
    insta::assert_snapshot!(shown(&pipeline.answer(&["preview"])), @r"
    exit code 0
    --- stdout
    source  in.csv · 3 rows
       row │ k      │   n
           │ string │ int
      ─────┼────────┼─────
         1 │ b      │   1
         2 │ a      │   2
         3 │ b      │   3

    sort  sort by k · 3 rows
      rows      they stand in another order
       row │ k      │   n
           │ string │ int
      ─────┼────────┼─────
         · │ a      │   2
         · │ b      │   1
         · │ b      │   3

    aggregate  aggregate by k to n = sum(n) · 2 rows, 1 left out
       row │ k      │   n
           │ string │ int
      ─────┼────────┼─────
         · │ a      │   2
         · │ b      │   4

    orders: 3 read = 2 to load + 1 left out + 0 refused; nothing was written
    ");
}
