//! Rules that rows must satisfy, as a user meets them.

use serde_json::{Value, json};

use crate::support::Pipeline;

const ORDERS: &str = "id,price,email\n1,5,a@b.example\n2,-1,nobody\n3,7,\n3,9,c@d.example\n4,free,e@f.example\n";

fn orders(transform: &str) -> Pipeline {
    Pipeline::of(("orders.csv", ORDERS), transform, "out.jsonl")
}

fn ids(pipeline: &Pipeline) -> Vec<i64> {
    let out = pipeline.read("out.jsonl");
    out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_i64().unwrap()).collect()
}

fn step(report: &Value) -> &Value {
    &report["quality"]["steps"][0]
}

#[test]
fn a_row_that_breaks_a_rule_goes_to_the_dead_letters_with_rule_and_column() {
    let pipeline = orders("validate: {rules: {price: {type: number, min: 0}}, unique: [[id]]}\n");
    let report = pipeline.run(0);
    assert_eq!(ids(&pipeline), [1, 3]);
    let said: Vec<_> = pipeline
        .letters()
        .iter()
        .map(|letter| {
            let metadata = &letter["metadata"];
            format!("{} {} {} {}: {}", metadata["row"], letter["reason"], letter["error_type"], metadata["field"], letter["message"])
        })
        .collect();
    assert_eq!(
        said,
        [
            r#"2 "validation_error" "min" "price": "`price` is `-1`, but must be at least 0""#,
            r#"4 "validation_error" "unique" "id": "`id` 3 was there before""#,
            r#"5 "validation_error" "type" "price": "`price` is `free`, but must be a number; it also breaks `price.min`""#,
        ]
    );
    assert_eq!(report["quality"]["verdict"], "PASS_WITH_WARNINGS");
    assert_eq!((&step(&report)["score"], &step(&report)["error_rate"]), (&json!(40.0), &json!(0.6)));
    assert_eq!(
        step(&report)["rules"],
        json!([
            {"rule": "price.type", "column": "price", "on_error": "quarantine", "broken": 1},
            {"rule": "price.min", "column": "price", "on_error": "quarantine", "broken": 2},
            {"rule": "unique(id)", "column": "id", "on_error": "quarantine", "broken": 1},
        ])
    );
    assert_eq!(step(&report)["completeness"][2], json!({"column": "email", "filled": 4, "share": 0.8}));
}

#[test]
fn warn_keeps_the_row_skip_leaves_it_out_and_fail_ends_the_run() {
    let rules = |on_error: &str| format!("validate: {{rules: {{email: {{format: email}}}}, on_error: {on_error}}}\n");
    let pipeline = orders(&rules("warn"));
    let report = pipeline.run(0);
    assert_eq!((ids(&pipeline), pipeline.letters().len(), &step(&report)["warned"]), (vec![1, 2, 3, 3, 4], 0, &json!(1)));
    let pipeline = orders(&rules("skip"));
    let report = pipeline.run(0);
    assert_eq!((ids(&pipeline), &report["rows"]["skipped"], &report["rows"]["filtered"]), (vec![1, 3, 3, 4], &json!(1), &json!(0)));
    let pipeline = orders(&rules("fail")).with("out.jsonl", "old\n");
    let answer = pipeline.answer(&["run"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    let expected =
        "stage `validate` failed on row 2 of `orders.csv`: `email` is `nobody`, but must have the format `email` (rule `email.format`)";
    assert!(answer.stderr.contains(expected), "{answer:?}");
    assert_eq!((pipeline.read("out.jsonl"), pipeline.letters().len()), ("old\n".into(), 0));
}

#[test]
fn rules_on_a_column_that_is_not_there_are_a_mistake_where_the_columns_are_known() {
    for (rules, at, column) in
        [("rules: {id: {type: integer}, mail: {pattern: '^a$'}}", "1:47", "mail"), ("unique: [[id], [id, emial]]", "1:27", "emial")]
    {
        let pipeline = orders(&format!("validate: {{{rules}}}\n"));
        for command in ["plan", "run"] {
            let answer = pipeline.answer(&[command]);
            assert_eq!(answer.code, 2, "{answer:?}");
            let hint = "did you mean `email`? columns here are `id`, `price`, `email`";
            assert!(answer.stderr.contains(&format!("transform.yaml:{at}")) && answer.stderr.contains(hint), "{answer:?}");
            assert!(answer.stderr.contains(&format!("stage `validate`: there is no column `{column}`")), "{answer:?}");
        }
    }
    // Each row without it breaks the rule that it must be there.
    let report = orders("validate: {rules: {mail: {required: true, pattern: '^a$'}}, on_error: warn}\n").run(0);
    assert_eq!(step(&report)["warned"], 5);
    // What JSONata gives is known when it comes.
    let steps = "- jsonata: {mode: record, expression: '{\"id\": id, \"b\": id = 9 ? 1}'}\n- validate: {rules: {b: {min: 0}, mail: {pattern: '^a$'}}}\n";
    let pipeline = orders(steps);
    let report = pipeline.run(0);
    assert_eq!((&report["quality"]["verdict"], &step(&report)["score"]), (&json!("PASS_WITH_WARNINGS"), &json!(100.0)));
    assert_eq!(step(&report)["never_came"], json!(["mail"]));
    let answer = pipeline.answer(&["run"]);
    assert!(answer.stderr.contains("WARNING  no row had `mail`, so that its rules judged nothing"), "{answer:?}");
}

#[test]
fn a_check_that_cannot_be_worked_out_is_told_from_one_that_does_not_hold() {
    let checks =
        "checks: [{name: c1, expression: 'email > 0'}, {name: c2, expression: '$number(email) > price or id < 3'}], on_error: warn";
    let pipeline = orders(&format!("validate: {{{checks}}}\n"));
    let report = pipeline.run(0);
    let why = "T2009: a number and a text cannot be compared by `>`";
    let rules = &step(&report)["rules"];
    assert_eq!((&rules[0]["broken"], &rules[0]["undecided"]), (&json!(1), &json!(4)), "{rules}");
    assert_eq!(rules[0]["why"], why);
    // Values of rows do not tell reasons apart.
    assert_eq!(
        (&rules[1]["undecided"], &rules[1]["why"]),
        (&json!(4), &json!("D3030: unable to cast value to a number: \"…\"")),
        "{rules}"
    );
    let answer = pipeline.answer(&["run"]);
    assert!(answer.stderr.contains(&format!("could not be worked out in 4 rows: {why}")), "{answer:?}");
    let shown = pipeline.answer(&["preview"]);
    assert!(shown.stdout.contains(&format!("`c1` could not be worked out in 4 rows: {why}")), "{shown:?}");
    let shown: Value = serde_json::from_str(&pipeline.answer(&["preview", "--json"]).stdout).unwrap();
    assert_eq!(shown["steps"][1]["quality"]["rules"], *rules);
}

#[test]
fn data_that_passes_a_threshold_is_not_shown_and_its_letters_are_kept() {
    let rules = "rules: {email: {format: email}}, thresholds: {error_rate: 0.1, quality: 90, completeness: {email: 0.9, gone: 0.5}}";
    let pipeline = orders(&format!("validate: {{{rules}}}\n")).with("out.jsonl", "old\n");
    let report = pipeline.run(1);
    assert_eq!((&report["status"], &report["quality"]["verdict"]), (&json!("failed"), &json!("FAIL")));
    assert_eq!((&report["rows"]["loaded"], &report["rows"]["withheld"]), (&json!(0), &json!(4)));
    assert_eq!((pipeline.read("out.jsonl"), pipeline.letters().len()), ("old\n".into(), 1));
    assert!(pipeline.names().iter().all(|name| !name.contains("tmp") && !name.starts_with('.')), "{:?}", pipeline.names());
    let answer = pipeline.answer(&["run", "--quiet"]);
    let said: Vec<&str> = answer.stderr.lines().filter(|line| line.starts_with("error")).collect();
    assert_eq!(
        said,
        [
            "error: stage `validate`: 20 % of the rows were refused (1 of 5), `error_rate` allows 10 %: 10 points too many, so nothing was written",
            "error: stage `validate`: the quality score is 80 (4 of 5 rows broke no rule), `quality` asks for 90: 10 points too few, so nothing was written",
            "error: stage `validate`: 80 % of the values of `email` are there, `completeness` asks for 90 %: 10 points too few, so nothing was written",
            "error: stage `validate`: 0 % of the values of `gone` are there, `completeness` asks for 50 %: 50 points too few, so nothing was written",
        ]
    );
}

#[test]
fn figures_and_keys_do_not_depend_on_workers_or_batches() {
    let rows: String =
        (0..30_000).map(|row| format!("{},{}\n", row % 29_000, if row % 7 == 0 { "x".into() } else { row.to_string() })).collect();
    // Of 1,000 keys that come again, 143 rows are no integers, and 143 others are the first with theirs, as the one before was refused.
    for (transform, quarantined) in [
        ("validate: {rules: {n: {type: integer}}, unique: id}\n", json!(4286 + 714)),
        ("validate: {rules: {n: {type: integer}}}\n", json!(4286)),
    ] {
        let mut seen = Vec::new();
        for (workers, splits) in [("1", "1"), ("2", "1"), ("3", "2")] {
            let pipeline = Pipeline::of(("in.csv", &format!("id,n\n{rows}")), transform, "out.jsonl");
            let answer = pipeline.answer(&["run", "--json", "--workers", workers, "--splits", splits]);
            assert_eq!(answer.code, 0, "{answer:?}");
            let report: Value = serde_json::from_str(&answer.stdout).unwrap();
            assert_eq!(step(&report)["quarantined"], quarantined);
            seen.push((report["quality"].clone(), pipeline.read("out.jsonl")));
        }
        assert!(seen.iter().all(|one| *one == seen[0]));
    }
}

#[test]
fn a_schema_in_a_file_is_held_against_rows_as_they_come_in_and_a_contract_before_they_are_loaded() {
    let pipeline = Pipeline::new()
        .with("in.csv", "order_id,zip,amount\nORD-000001,01234,5\nORD-2,12345,7\nORD-000003,99999,-1\nORD-000004,1,8\n")
        .with("extract.yaml", "path: in.csv\nvalidation: {schema: ./source_schema.yaml, on_error: quarantine, dlq: true}\n")
        .with(
            "source_schema.yaml",
            "version: '1.0.0'\ntype: object\nproperties:\n  order_id: {type: string, pattern: '^ORD-[0-9]{6}$'}\n  zip: {type: string, minLength: 5}\nrequired: [order_id]\n",
        )
        .with("load.yaml", "type: file\npath: out.jsonl\nvalidation: {contract: ./contracts/orders, on_error: quarantine, dlq: true}\n")
        .with("contracts/orders/schema.yaml", "type: object\nproperties: {amount: {type: number}}\nrequired: [amount]\n")
        .with("contracts/orders/coercion_rules.yaml", "order_id: string\namount: float\n")
        .with("contracts/orders/validation_rules.yaml", "order_id:\n  - not_empty\n  - max_length: 20\namount:\n  - min_value: 0\n");
    let report = pipeline.run(0);
    assert_eq!(pipeline.read("out.jsonl"), "{\"order_id\":\"ORD-000001\",\"zip\":\"01234\",\"amount\":5}\n");
    let said: Vec<_> = pipeline.letters().iter().map(|letter| format!("{} {}", letter["stage"], letter["message"])).collect();
    assert_eq!(
        said,
        [
            r#""extract_validation" "`order_id` is `ORD-2`, but must match `^ORD-[0-9]{6}$`""#,
            r#""load_validation" "`amount` is -1, but must be at least 0""#,
            r#""extract_validation" "`zip` is `1`, but must have a length of at least 5""#,
        ]
    );
    let names: Vec<_> = report["quality"]["steps"].as_array().unwrap().iter().map(|step| step["name"].clone()).collect();
    assert_eq!(names, ["extract_validation", "load_validation"]);
}

#[test]
fn the_rules_of_the_oldest_dialect_warn() {
    let pipeline = orders("")
        .with("schema.json", "{\n\t\"type\": \"object\",\n\t\"properties\": {\"price\": {\"type\": \"number\", \"minimum\": 0}}\n}\n")
        .with("validation_rules.yaml", "rules:\n  email: {is_email: null}\n");
    let report = pipeline.run(0);
    assert_eq!(ids(&pipeline).len(), 5);
    assert_eq!(step(&report)["warned"], 2);
}

#[test]
fn hostile_schemas_are_refused_where_they_stand() {
    let deep = format!("{}true{}", "{\"not\": ".repeat(40), "}".repeat(40));
    for (schema, expected) in [
        ("{properties: {a: {$ref: 'https://example.com/x.json'}}}", "`$ref` leads out of the schema"),
        ("{properties: {a: {$ref: '#/$defs/none'}}}", "which is not there"),
        (
            "{$defs: {a: {$ref: '#/$defs/b'}, b: {allOf: [{$ref: '#/$defs/a'}]}}, properties: {a: {$ref: '#/$defs/a'}}}",
            "refers to itself without end",
        ),
        ("{properties: {a: {type: strng}}}", "this is no JSON Schema"),
        ("{$schema: 'https://example.com/meta', properties: {}}", "nothing is fetched"),
        ("{properties: {a: {type: string, pattern: '(((x{100}){100}){100}){100}'}}}", "which is the limit"),
        ("{properties: {a: {type: string, pattern: '(?=x)y'}}}", "look-around"),
    ] {
        let pipeline = orders(&format!("validate: {{schema: {schema}}}\n"));
        let answer = pipeline.answer(&["check"]);
        assert_eq!(answer.code, 2, "{schema} {answer:?}");
        assert!(answer.stderr.contains(expected) && answer.stderr.contains("transform.yaml:1:"), "{schema} {answer:?}");
    }
    let pipeline = orders(&format!("validate: {{schema: {{properties: {{id: {deep}}}}}}}\n"));
    assert!([0, 1, 2].contains(&pipeline.answer(&["run"]).code));
}

#[test]
fn plan_shows_the_rules() {
    let pipeline = orders("validate: {rules: {price: {type: number, min: 0, on_error: warn}}, unique: id, thresholds: {quality: 90}}\n");
    let answer = pipeline.answer(&["plan"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    for line in [
        "stage      validate: validate 3 rules",
        "price.type: a number (warn)",
        "price.min: at least 0 (warn)",
        "unique(id): once in the data (quarantine)",
        "quality at least 90",
    ] {
        assert!(answer.stdout.contains(line), "{line}: {answer:?}");
    }
}

#[test]
fn a_validation_keeps_the_rows_that_it_refuses_where_it_says() {
    let pipeline = |first: &str, second: &str| {
        Pipeline::new()
            .with("orders.csv", ORDERS)
            .with(
                "extract.yaml",
                format!("path: orders.csv\nvalidation: {{rules: {{price: {{type: number}}}}, on_error: quarantine, {first}}}\n"),
            )
            .with("transform.yaml", "convert: {price: float}\n")
            .with("load.yaml", format!("path: out.jsonl\nvalidation: {{rules: {{price: {{min: 6}}}}, on_error: quarantine, {second}}}\n"))
    };
    let rows = |pipeline: &Pipeline, file: &str| -> Vec<u64> {
        let row = |line: &str| serde_json::from_str::<Value>(line).unwrap()["metadata"]["row"].as_u64().unwrap();
        if pipeline.path(file).exists() { pipeline.read(file).lines().map(row).collect() } else { Vec::new() }
    };
    let apart = pipeline("dlq: {path: bad/extract.jsonl}", "dlq: {path: bad/load.jsonl}");
    let report = apart.run(0);
    assert_eq!((rows(&apart, "bad/extract.jsonl"), rows(&apart, "bad/load.jsonl"), apart.letters().len()), (vec![5], vec![1, 2], 0));
    let told: Vec<_> =
        report["dead_letters"]["apart"].as_array().unwrap().iter().map(|one| (one["stage"].clone(), one["count"].clone())).collect();
    assert_eq!(told, [(json!("extract_validation"), json!(1)), (json!("load_validation"), json!(2))]);
    assert_eq!(report["rows"]["rejected"], 3);

    let together = pipeline("dlq: {path: bad/all.jsonl}", "dlq: {path: bad/all.jsonl}");
    together.run(0);
    assert_eq!(rows(&together, "bad/all.jsonl"), [1, 2, 5]);

    // One is counted only, the other goes where all go.
    let counted = pipeline("dlq: false", "dlq: true");
    let report = counted.run(0);
    assert_eq!((counted.letters().len(), &report["rows"]["rejected"]), (2, &json!(3)));

    let shown = pipeline("dlq: {path: bad/extract.jsonl}", "dlq: true").answer(&["plan"]);
    assert!(shown.stdout.contains("those of `extract_validation`: bad/extract.jsonl"), "{shown:?}");
    let mixed = pipeline("dlq: {path: out.jsonl}", "dlq: true").answer(&["run"]);
    assert!(mixed.stderr.contains("the dead letters would go to `out.jsonl`, which is the output"), "{mixed:?}");
    let database = "dlq: {backend: database, connection_string: 'mysql://u:p@h/d'}";
    let database = pipeline(database, "dlq: true").answer(&["check"]);
    assert!(database.stderr.contains("dead letters go to PostgreSQL or SQLite only"), "{database:?}");
}

#[test]
fn a_failed_run_takes_back_the_letters_of_every_file() {
    let pipeline = Pipeline::new()
        .with("orders.csv", ORDERS)
        .with(
            "extract.yaml",
            "path: orders.csv\nvalidation: {rules: {price: {type: number}}, on_error: quarantine, dlq: {path: bad/extract.jsonl}}\n",
        )
        .with("load.yaml", "path: out.jsonl\nvalidation: {rules: {price: {min: 6}}, on_error: quarantine, dlq: {path: bad/load.jsonl}}\n")
        .with("bad/extract.jsonl", "{\"old\":1}\n");
    // The second file cannot be opened: it is a folder.
    std::fs::create_dir_all(pipeline.path("bad/load.jsonl/x")).unwrap();
    assert_eq!(pipeline.answer(&["run"]).code, 3);
    assert_eq!(pipeline.read("bad/extract.jsonl"), "{\"old\":1}\n");
    assert!(!pipeline.path("out.jsonl").exists());
}

#[test]
fn a_contract_in_a_file_is_held() {
    let pipeline = |contract: &str| {
        Pipeline::of(("in.csv", "amount\n5\n-1\n"), "", "out.jsonl")
            .with("load.yaml", format!("path: out.jsonl\nvalidation: {{{contract}, on_error: skip}}\n"))
            .with("contracts/orders.yaml", "schema:\n  type: object\n  properties: {amount: {type: number, minimum: 0}}\n")
    };
    for contract in
        ["contract: contracts/orders.yaml", "contract: contracts/orders", "schema: {properties: {amount: {type: number, minimum: 0}}}"]
    {
        let pipeline = pipeline(contract);
        pipeline.run(0);
        assert_eq!(pipeline.read("out.jsonl"), "{\"amount\":5}\n", "{contract}");
    }
}

#[test]
fn values_that_only_some_rows_may_have_are_refused_where_others_have_them() {
    let rules = "discount: {only_allow_if: {condition_field: kind, condition_value: gift, allowed_values: [0, 5]}}\n";
    let pipeline = Pipeline::of(("in.csv", "kind,discount\ngift,5\ngift,6\nsale,6\ngift,\n"), "", "out.csv")
        .with("validation_rules.yaml", rules)
        .with("load.yaml", "path: out.csv\nvalidation: {on_error: quarantine}\n");
    pipeline.run(0);
    assert_eq!(pipeline.read("out.csv"), "kind,discount\ngift,5\nsale,6\ngift,\n");
    let letters = pipeline.letters();
    assert_eq!((letters.len(), &letters[0]["record"]), (1, &json!({"kind": "gift", "discount": 6})));
    let wrong = pipeline.with("validation_rules.yaml", "discount: {only_allow_if: {condition: {field: kind, value: gift}}}\n");
    let wrong = wrong.answer(&["check"]);
    assert!(wrong.stderr.contains("`only_allow_if` takes the other column, its value, and a list of values"), "{wrong:?}");
}
