//! `jsonata` and `filter: {expression}`, on real files.

use std::sync::Arc;

use etl_host::plan::Limits;
use etl_host::sandbox::{Instance, JSONATA, Options, Processed, Recipe, Rows, Sandbox};
use serde_json::{Value, json};

use crate::support::{Pipeline, answer, program, root};

const ORDERS: &str = concat!(
    "{\"id\":1,\"who\":{\"name\":\"Ada\"},\"items\":[{\"sku\":\"a\",\"price\":2.5,\"qty\":2},{\"sku\":\"b\",\"price\":1,\"qty\":1}]}\n",
    "{\"id\":2,\"who\":{\"name\":\"Alan\"},\"items\":[]}\n",
    "{\"id\":3,\"who\":null,\"items\":[{\"sku\":\"c\",\"price\":7,\"qty\":9}]}\n",
);

fn step(mode: &str, expression: &str) -> String {
    json!({"jsonata": {"mode": mode, "expression": expression}}).to_string()
}

fn numbers(count: usize) -> String {
    (1..=count).map(|n| format!("{{\"n\":{n}}}\n")).collect()
}

/// Runs a step on rows and answers the lines that come out.
fn lines(input: &str, transform: &str) -> Vec<String> {
    let pipeline = Pipeline::of(("in.jsonl", input), transform, "out.jsonl");
    pipeline.run(0);
    pipeline.read("out.jsonl").lines().map(str::to_owned).collect()
}

fn rows(report: &Value) -> Vec<u64> {
    ["read", "loaded", "filtered", "rejected", "expanded"].iter().map(|name| report["rows"][name].as_u64().unwrap()).collect()
}

#[test]
fn by_record_a_row_becomes_a_row_or_several_or_none() {
    let remap = "{'id': id, 'name': $uppercase(who.name), 'total': $sum(items.(price * qty)), 'skus': [items.sku]}";
    assert_eq!(
        lines(ORDERS, &step("record", remap)),
        [
            "{\"id\":1,\"name\":\"ADA\",\"total\":6,\"skus\":[\"a\",\"b\"]}",
            "{\"id\":2,\"name\":\"ALAN\",\"total\":null,\"skus\":[]}",
            "{\"id\":3,\"name\":null,\"total\":63,\"skus\":[\"c\"]}"
        ]
    );
    let pipeline = Pipeline::of(("in.jsonl", ORDERS), &step("record", "items.{'order': %.id, 'sku': sku}"), "out.jsonl");
    let report = pipeline.run(0);
    assert_eq!(rows(&report), [3, 3, 0, 0, 0]);
    assert_eq!(pipeline.read("out.jsonl").lines().next(), Some("{\"order\":1,\"sku\":\"a\"}"));
    let report = Pipeline::of(("in.jsonl", ORDERS), &step("record", "id > 1 ? {'id': id}"), "out.jsonl").run(0);
    assert_eq!(rows(&report), [3, 2, 1, 0, 0]);
}

#[test]
fn a_key_that_a_row_does_not_have_is_absent_and_not_null() {
    let input = "{\"a\":\"x\",\"b\":\"y\",\"n\":null}\n{\"a\":\"z\"}\n{\"a\":\"w\",\"n\":1}\n";
    let expression = "{'text': a & '-' & b, 'there': $exists(b), 'n': $type(n), 'keys': $join($keys($), ',')}";
    let expected = [
        "{\"text\":\"x-y\",\"there\":true,\"n\":\"null\",\"keys\":\"a,b,n\"}",
        // Where some rows have a null of their own, null it is for all: the two are not told apart in one column.
        "{\"text\":\"z-\",\"there\":false,\"n\":\"null\",\"keys\":\"a,n\"}",
        "{\"text\":\"w-\",\"there\":false,\"n\":\"number\",\"keys\":\"a,n\"}",
    ];
    assert_eq!(lines(input, &step("record", expression)), expected);
    assert_eq!(lines(input, &step("batch", &format!("$.{expression}"))), expected);
    // The simple operations before it change nothing of that.
    let transform = json!({"rename": {"b": "c"}, "convert": {"c": "str"}, "jsonata": {"mode": "record", "expression": "{'c': 'c=' & c}"}});
    assert_eq!(lines(input, &transform.to_string()), ["{\"c\":\"c=y\"}", "{\"c\":\"c=\"}", "{\"c\":\"c=\"}"]);
    // A table has all its columns.
    let pipeline = Pipeline::of(("in.csv", "a,b\nx,y\nz,\n"), &step("record", "{'there': $exists(b)}"), "out.jsonl");
    pipeline.run(0);
    assert_eq!(pipeline.read("out.jsonl"), "{\"there\":true}\n{\"there\":true}\n");
}

#[test]
fn a_dead_letter_has_the_keys_that_the_row_had() {
    let input = "{\"a\":\"x\",\"b\":\"y\"}\n{\"a\":\"z\"}\n";
    let pipeline = Pipeline::of(("in.jsonl", input), &step("record", "$exists(b) ? $ : $error('no b')"), "out.jsonl");
    pipeline.run(0);
    assert_eq!(pipeline.letters()[0]["record"], json!({"a": "z"}));
}

#[test]
fn a_step_does_not_see_what_the_step_before_gave_no_value_for() {
    let rows: String = (1..=10).map(|id| format!("{{\"id\":{id},\"x\":{}}}\n", id * 10)).collect();
    let transform = |first: &str| {
        json!([
            {"jsonata": {"mode": "record", "expression": first}},
            {"rename": {"late": "later"}},
            {"jsonata": {"scope": "dataset", "expression": "{'n': $count($), 's': $sum(later), 'keys': $join($keys($[0]), ',')}"}},
        ])
        .to_string()
    };
    for batch_size in [3, 100] {
        let of = |first: &str| {
            Pipeline::of(("in.jsonl", &rows), &transform(first), "out.jsonl")
                .with("extract.yaml", format!("path: in.jsonl\nbatch_size: {batch_size}\n"))
        };
        let pipeline = of("{'id': id, 'late': id > 5 ? x}");
        pipeline.run(0);
        assert_eq!(pipeline.read("out.jsonl"), "{\"n\":10,\"s\":400,\"keys\":\"id\"}\n");
        // A null that it gave is one.
        let answer = of("{'id': id, 'late': id > 5 ? x : null}").answer(&["run"]);
        let told = "finishing stage `jsonata_2`: `$sum`: argument 1 must be an array of numbers (T0412)";
        assert!(answer.code == 1 && answer.stderr.contains(told), "{answer:?}");
    }
}

#[test]
fn values_of_any_kind_stay_what_they_are_in_json() {
    let expression = "{'id': n, 'new': n = 8 ? [1] : 't', 'm': {'e': {}, 'f': 1}, 'l': [{}], 'mix': [1, 'x', {'y': []}]}";
    let transform = json!([
        {"jsonata": {"mode": "record", "expression": expression}},
        {"filter": {"field": "id", "operator": "gte", "value": 7}},
        {"rename": {"new": "old"}},
        {"select": ["id", "old", "m", "l", "mix"]},
    ]);
    let nested = "\"m\":{\"e\":{},\"f\":1},\"l\":[{}],\"mix\":[1,\"x\",{\"y\":[]}]}";
    let expected = [("7", "\"t\""), ("8", "[1]"), ("9", "\"t\"")].map(|(id, old)| format!("{{\"id\":{id},\"old\":{old},{nested}"));
    assert_eq!(lines(&numbers(9), &transform.to_string()), expected);
    // As a source reads them, and as a step behind sees them.
    assert_eq!(lines(&expected.join("\n"), ""), expected);
    let after = step("record", "{'kind': $type(old), 'keys': $count($keys(m)), 'y': $type(mix[2].y)}");
    let seen = |kind: &str| format!("{{\"kind\":\"{kind}\",\"keys\":2,\"y\":\"array\"}}");
    assert_eq!(lines(&expected.join("\n"), &after), [seen("string"), seen("array"), seen("string")]);
    // Everywhere else, and once the values are changed, they are texts.
    let transform = json!([{"jsonata": {"mode": "record", "expression": "{'v': n = 1 ? [1] : 't'}"}}, {"convert": {"v": "str"}}]);
    assert_eq!(lines(&numbers(2), &transform.to_string()), ["{\"v\":\"[1]\"}", "{\"v\":\"\\\"t\\\"\"}"]);
    let pipeline = Pipeline::of(("in.jsonl", &expected.join("\n")), "select: [id, old]", "out.csv");
    pipeline.run(0);
    assert_eq!(pipeline.read("out.csv"), "id,old\n7,\"\"\"t\"\"\"\n8,[1]\n9,\"\"\"t\"\"\"\n");
    let pipeline = Pipeline::of(
        ("in.jsonl", &numbers(600)),
        &step("dataset", "{'by': ${'k' & n: 1}}").replace("\"mode\":\"dataset\"", "\"scope\":\"dataset\""),
        "out.json",
    );
    pipeline.run(0);
    let made: Value = serde_json::from_str(&pipeline.read("out.json")).unwrap();
    assert_eq!(made[0]["by"].as_object().map(serde_json::Map::len), Some(600));
}

#[test]
fn an_error_costs_the_row_it_is_about_and_names_the_code_of_the_language() {
    let pipeline = Pipeline::of(("in.jsonl", &numbers(20)), &step("record", "{'n': n = 17 ? n & 'x' - 1 : n}"), "out.jsonl");
    let report = pipeline.run(0);
    assert_eq!(rows(&report), [20, 19, 0, 1, 0]);
    let letters = pipeline.letters();
    assert_eq!((&letters[0]["error_type"], &letters[0]["metadata"]["row"]), (&json!("T2001"), &json!(17)));
    assert_eq!((&letters[0]["record"], &letters[0]["stage"]), (&json!({"n": 17}), &json!("jsonata")));

    for (on_error, code) in [("fail", 1), ("skip", 0)] {
        let transform = json!({"jsonata": {"mode": "record", "expression": "{'n': n = 17 ? n & 'x' - 1 : n}", "on_error": on_error}});
        let pipeline = Pipeline::of(("in.jsonl", &numbers(20)), &transform.to_string(), "out.jsonl");
        let report = pipeline.run(code);
        assert_eq!(report["rows"]["skipped"].as_u64(), Some(u64::from(on_error == "skip")), "{report}");
    }
}

#[test]
fn a_row_that_recurses_for_ever_costs_that_row_only() {
    let expression = "($f := function($x) { 1 + $f($x) }; {'n': n = 5 ? $f(n) : n})";
    let pipeline = Pipeline::of(("in.jsonl", &numbers(9)), &step("record", expression), "out.jsonl");
    let answer = pipeline.answer(&["run", "--json"]);
    assert!(matches!(answer.code, 0 | 4), "{answer:?}");
    assert_eq!(pipeline.read("out.jsonl").lines().count(), 8);
    let letters = pipeline.letters();
    assert_eq!((letters.len(), &letters[0]["metadata"]["row"]), (1, &json!(5)));
}

#[test]
fn by_batch_the_rows_of_a_batch_are_one_list() {
    let transform = step("batch", "{'count': $count($), 'sum': $sum(n)}");
    let pipeline = Pipeline::of(("in.jsonl", &numbers(10)), &transform, "out.jsonl")
        .with("extract.yaml", "type: file\npath: in.jsonl\nbatch_size: 4\n");
    let report = pipeline.run(0);
    assert_eq!(pipeline.read("out.jsonl"), "{\"count\":4,\"sum\":10}\n{\"count\":4,\"sum\":26}\n{\"count\":2,\"sum\":19}\n");
    assert_eq!(rows(&report), [10, 3, 7, 0, 0]);

    // A batch that fails is refused as a whole, with one reason.
    let transform = step("batch", "$[n > 4].{'half': n = 6 ? $number('x') : n / 2}");
    let pipeline = Pipeline::of(("in.jsonl", &numbers(10)), &transform, "out.jsonl")
        .with("extract.yaml", "type: file\npath: in.jsonl\nbatch_size: 4\n")
        .with("settings.yaml", "max_error_ratio: 0.5\n");
    let report = pipeline.run(0);
    assert_eq!(pipeline.read("out.jsonl"), "{\"half\":4.5}\n{\"half\":5.0}\n");
    assert_eq!(rows(&report), [10, 2, 4, 4, 0]);
    assert!(pipeline.letters().iter().all(|letter| letter["error_type"] == "D3030"));
}

#[test]
fn on_a_data_set_an_expression_sees_all_rows_once() {
    let transform = json!({"jsonata": {"scope": "dataset", "expression": "$.{'n': n, 'share': n / $sum($$.n)}"}}).to_string();
    let pipeline = Pipeline::of(("in.jsonl", &numbers(9)), &transform, "out.jsonl")
        .with("extract.yaml", "type: file\npath: in.jsonl\nbatch_size: 2\n");
    pipeline.run(0);
    assert_eq!(pipeline.read("out.jsonl").lines().next_back(), Some("{\"n\":9,\"share\":0.2}"));
    assert_eq!(pipeline.read("out.jsonl").lines().count(), 9);

    let transform = json!({"jsonata": {"scope": "dataset", "expression": "$", "limits": {"memory_mb": 20}}}).to_string();
    let long: String = (0..40_000).map(|n| format!("{{\"n\":{n},\"text\":\"{}\"}}\n", "x".repeat(100))).collect();
    let answer = Pipeline::of(("in.jsonl", &long), &transform, "out.jsonl").answer(&["run"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains("`scope: dataset` holds all rows in memory"), "{answer:?}");
}

#[test]
fn a_filter_keeps_the_rows_for_which_an_expression_is_true() {
    let transform = "filter: {expression: '$count(items) > 0 and (who.name ? true : $sum(items.price) > 5)'}";
    let kept: Vec<Value> = lines(ORDERS, transform).iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone()).collect();
    assert_eq!(kept, [1, 3]);
    // Before and behind other steps, too.
    let transform = "- rename: {n: m}\n- filter: {expression: 'm % 2 = 0'}\n- add: {double: '${m}${m}'}\n";
    assert_eq!(lines(&numbers(4), transform), ["{\"m\":2,\"double\":\"22\"}", "{\"m\":4,\"double\":\"44\"}"]);
}

#[test]
fn any_number_of_workers_gives_the_same_bytes() {
    let input: String = (0..30_000)
        .map(|n| format!("{{\"n\":{n},\"v\":{},\"o\":{{\"k\":\"{}\"}}}}\n", if n % 977 == 0 { "null" } else { "1.5" }, n % 7))
        .collect();
    let expression = "{'n': n, 'v': v * 2, 'k': o.k, 'late': n > 29000 ? 'x'}";
    for (mode, expression) in [("record", expression), ("batch", "$.{'n': n, 'rank': $count($$)}")] {
        for output in ["out.jsonl", "out.csv"] {
            let run = |workers| {
                let pipeline = Pipeline::of(("in.jsonl", &input), &step(mode, expression), output);
                let answer = pipeline.answer(&["run", "--workers", workers]);
                assert_eq!(answer.code, 0, "{answer:?}");
                (pipeline.read(output), pipeline.letters().len())
            };
            let one = run("1");
            assert_eq!(one.0.lines().count() + one.1, 30_000 + usize::from(output == "out.csv"), "{mode} {output}");
            assert!(run("3") == one, "{mode} {output}");
        }
    }
}

/// Rows whose columns change on the way: a number that turns out to be none, a column that comes late, one that is null at first.
const CHANGING: &str = "n < 6000 ? {'n': n, 'v': n, 'gone': 'x', 'o': {'a': 1}, 'null': null} \
                        : {'n': n, 'v': n + 0.5, 'late': 'y', 'o': {'a': 'b', 'c': true}, 'null': n, 'mixed': n = 7000 ? [1] : 'text'}";

#[test]
fn columns_that_change_on_the_way_lose_no_value() {
    let input = numbers(12_000);
    // Each batch sees only its own rows.
    let extract = "type: file\npath: in.jsonl\nbatch_size: 1000\n";
    for output in ["out.jsonl", "out.json", "out.csv", "out.parquet"] {
        let transform = json!([{"jsonata": {"expression": format!("$.({CHANGING})")}}]).to_string();
        let pipeline = Pipeline::of(("in.jsonl", &input), &transform, output).with("extract.yaml", extract);
        let report = pipeline.run(0);
        assert_eq!(rows(&report), [12_000, 12_000, 0, 0, 0], "{output}: {:?}", pipeline.letters().first());
        let text = match output {
            "out.parquet" => {
                // Read it back with ourselves.
                let back = Pipeline::new()
                    .with("extract.yaml", format!("type: file\npath: {}\n", pipeline.path(output).display()))
                    .with("load.yaml", "type: file\npath: out.jsonl\n");
                back.run(0);
                back.read("out.jsonl")
            }
            _ => pipeline.read(output),
        };
        let all: Vec<&str> = text.lines().collect();
        let (first, last) = (all[usize::from(matches!(output, "out.csv" | "out.json"))..][..2].join(" "), all[all.len() - 2..].join(" "));
        let wanted: (&[&str], &[&str]) = match output {
            "out.csv" => (&["1,1,x,", ",,"], &["12000,12000.5,,", ",y,"]),
            _ => (&["\"n\":1,\"v\":1", "\"gone\":\"x\""], &["\"n\":12000,\"v\":12000.5", "\"late\":\"y\"", "\"c\":true", "\"null\":12000"]),
        };
        for (text, wanted) in [(first, wanted.0), (last, wanted.1)] {
            for part in wanted {
                assert!(text.contains(part), "{output}: {part} is not in {text}");
            }
        }
    }
}

#[test]
fn a_mistake_in_an_expression_is_found_where_it_stands() {
    let transform = "jsonata:\n  mode: record\n  expression: |\n    {\n      \"a\": a,\n      \"b\": $sum(b\n    }\n";
    let answer = Pipeline::of(("in.jsonl", ORDERS), transform, "out.jsonl").answer(&["check"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("transform.yaml:7:5") || answer.stdout.contains("transform.yaml:7:5"), "{answer:?}");
}

#[test]
fn templates_of_the_format_run() {
    let folder = root().join("../shared/compat");
    let folder = std::env::var_os("ETL_COMPAT_DIR").map_or(folder, Into::into);
    if !folder.is_dir() {
        #[expect(clippy::print_stdout, reason = "a test that does nothing says so")]
        {
            println!("skipped: no templates in {} (set ETL_COMPAT_DIR)", folder.display());
        }
        return;
    }
    let people = "id,firstName,lastName,email,age,tags_string\n1,Ada,Lovelace,ADA@X.ORG,36,\"a,b\"\n2,Kid,Doe,k@x.org,9,c\n";
    let scores = "{\"userId\":1,\"fullName\":\"Ada\",\"score\":\"0.5\",\"count\":2}\n";
    for version in ["templates-0.0.25", "templates-0.0.35"] {
        let template = |name: &str| std::fs::read_to_string(folder.join(version).join(name)).unwrap();
        let pipeline = Pipeline::of(("in.csv", people), &template("transform_jsonata.yaml"), "out.jsonl");
        pipeline.run(0);
        let row: Value = serde_json::from_str(pipeline.read("out.jsonl").lines().nth(1).unwrap()).unwrap();
        assert_eq!(
            (&row["full_name"], &row["email"], &row["is_adult"], &row["tags"]),
            (&json!("Kid Doe"), &json!("k@x.org"), &json!(false), &json!(["c"]))
        );
        let pipeline = Pipeline::of(("in.jsonl", scores), &template("transform_combined.yaml"), "out.jsonl");
        pipeline.run(0);
        let row: Value = serde_json::from_str(&pipeline.read("out.jsonl")).unwrap();
        assert_eq!(
            (&row["user_id"], &row["score_pct"], &row["name_upper"], &row["source"]),
            (&json!(1), &json!(50), &json!("ADA"), &json!("api"))
        );
    }
}

/// The guest itself, brought back from a snapshot at every batch.
#[test]
fn a_data_set_that_is_brought_back_at_every_batch_gives_the_same_rows() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let options = Options { cache: Some(cache.path().to_owned()), compiler: None, ..Options::default() };
    let sandbox = Sandbox::open(options, runtime.handle().clone()).unwrap();
    let component = sandbox.load(JSONATA, "jsonata").unwrap();
    let recipe = Recipe {
        function: component.function(Some("dataset")).unwrap().name.clone(),
        component,
        options: json!({"expression": "$^(>n).{'n': n, 'of': $count($$)}"}).to_string(),
        limits: Limits::default(),
        access: Arc::default(),
        stage: Arc::from("jsonata"),
        now_ms: 0,
        seed: 0,
        handle: sandbox.handle().clone(),
    };
    let batches: Vec<_> = (0..5).map(|number| etl_host::source::read_lines(numbers(10 + number).as_bytes()).unwrap()).collect();
    let schema = batches[0].schema();
    let shown = |processed: Processed| -> Vec<String> {
        processed.emitted.iter().map(|(rows, _)| if let Rows::Batch(rows) = rows { format!("{rows:?}") } else { String::new() }).collect()
    };
    let open = |state: Option<&[u8]>| -> Instance { recipe.open(&schema, state).unwrap() };
    let mut whole = open(None);
    let mut state: Option<Vec<u8>> = None;
    for (number, batch) in batches.iter().enumerate() {
        whole.process(batch, None, number as u64, 0).unwrap();
        let mut brought_back = open(state.as_deref());
        brought_back.process(batch, None, number as u64, 0).unwrap();
        state = Some(brought_back.snapshot().unwrap());
    }
    let expected = shown(whole.finish().unwrap());
    assert!(expected[0].contains("60"), "{expected:?}");
    assert_eq!(shown(open(state.as_deref()).finish().unwrap()), expected);
}

#[test]
fn plan_says_what_is_read_and_inspect_what_there_is() {
    let pipeline = Pipeline::of(("in.jsonl", ORDERS), &step("record", "{'id': id}"), "out.jsonl");
    let plan = pipeline.answer(&["plan"]);
    assert_eq!(plan.code, 0, "{plan:?}");
    assert!(plan.stdout.contains("jsonata by record"), "{plan:?}");
    let schema = answer(program().args(["schema", "transform"]));
    assert!(schema.stdout.contains("With `mode: batch`, which rows it gets at once"), "the JSON Schema knows the keys");
}

#[test]
fn a_regular_expression_that_burns_the_fuel_of_a_row_is_named_in_its_dead_letter() {
    let rows = format!("{{\"t\":\"ok\"}}\n{{\"t\":\"{}b\"}}\n{{\"t\":\"aa\"}}\n", "a".repeat(40));
    let transform = "jsonata: {mode: record, expression: '{\"t\": t, \"m\": $contains(t, /^(?=(a+)+$)/)}'}\n";
    let pipeline = Pipeline::of(("in.jsonl", &rows), transform, "out.jsonl");
    pipeline.run(4);
    assert_eq!(pipeline.read("out.jsonl"), "{\"t\":\"ok\",\"m\":false}\n{\"t\":\"aa\",\"m\":true}\n");
    let message = pipeline.letters()[0]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("used all of its 52.0 M fuel on a regular expression"), "{message}");
}
