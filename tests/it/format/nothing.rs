//! Days without values: pipelines that ran yesterday run today.

use crate::support::Pipeline;

const STEPS: [&str; 9] = [
    "aggregate: {group_by: [id], metrics: {s: {sum: v}}}",
    "aggregate: {group_by: [v], metrics: {s: {max: id}}}",
    "filter: {field: v, operator: gt, value: 5}",
    "unnest: v",
    "dedupe: {key: [v]}",
    "sort: [-v]",
    "convert: {v: int}",
    "validate: {rules: {v: {min: 1}}}",
    "jsonata: {mode: record, expression: '{\"v\": v}'}",
];

#[test]
fn a_column_without_values_is_no_text_to_any_step() {
    let inputs = [
        ("in.csv", "id,v\n"),
        ("in.csv", "id,v\n1,\n2,\n"),
        ("in.jsonl", "{\"id\":1,\"v\":null}\n"),
        ("in.json", "[{\"id\":1,\"v\":null}]"),
    ];
    for (name, text) in inputs {
        for step in STEPS {
            for output in ["out.jsonl", "out.csv", "out.parquet", "out.xlsx"] {
                if output != "out.jsonl" && step != STEPS[0] {
                    continue;
                }
                let answer = Pipeline::of((name, text), step, output).answer(&["run"]);
                assert_eq!(answer.code, 0, "{text:?} {step} {output}: {answer:?}");
            }
        }
    }
}

#[test]
fn a_default_of_a_column_without_values_keeps_its_own_type() {
    for step in ["defaults: {v: 0}", "fill_null: {v: 0}", "add: {v: 'coalesce(${v}, 0)'}"] {
        for (name, text) in [("in.csv", "id,v\n1,\n2,\n"), ("in.jsonl", "{\"id\":1,\"v\":null}\n{\"id\":2,\"v\":null}\n")] {
            let pipeline = Pipeline::of((name, text), step, "out.jsonl");
            pipeline.run(0);
            assert_eq!(pipeline.read("out.jsonl"), "{\"id\":1,\"v\":0}\n{\"id\":2,\"v\":0}\n", "{step}");
        }
    }
}

#[test]
fn a_run_of_which_every_row_is_refused_leaves_the_output_as_it_was() {
    let pipeline = Pipeline::of(("in.csv", "id,v\n1,x\n2,y\n"), "convert: {v: int}", "out.jsonl").with("out.jsonl", "{\"old\":1}\n");
    let answer = pipeline.answer(&["run"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains("error: every row was refused, all 2 of them, so nothing was written"), "{answer:?}");
    assert_eq!((pipeline.read("out.jsonl"), pipeline.letters().len()), ("{\"old\":1}\n".into(), 2));
    // Nor where others were filtered, or left out by a rule, or counted by a step that none of them reached.
    for (step, said) in [
        (
            "transform:\n- filter: {field: id, operator: gt, value: 1}\n- convert: {v: int}\n",
            "no row came through: 1 of 2 were refused and 1 filtered",
        ),
        ("validate: {rules: {id: {min: 100, on_error: skip}}}\n", "every row was refused, all 2 of them"),
        ("transform:\n- convert: {v: int}\n- aggregate: {metrics: {n: count}}\n", "every row was refused, all 2 of them"),
    ] {
        let pipeline = Pipeline::of(("in.csv", "id,v\n1,x\n2,y\n"), step, "out.jsonl").with("out.jsonl", "{\"old\":1}\n");
        let answer = pipeline.answer(&["run"]);
        assert_eq!((answer.code, pipeline.read("out.jsonl").as_str()), (1, "{\"old\":1}\n"), "{step}: {answer:?}");
        assert!(answer.stderr.contains(said), "{step}: {answer:?}");
    }
}
