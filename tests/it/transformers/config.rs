//! What a user writes, and what is said of what cannot be.

use super::{TWO, pipeline};
use crate::support::Pipeline;

fn refused(pipeline: &Pipeline) -> String {
    let answer = pipeline.answer(&["check"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    answer.stderr
}

#[test]
fn two_that_write_the_same_are_refused_by_name() {
    let transform = "transformers:\n  one:\n    load: {path: out/a.csv}\n  two:\n    load: {path: ./out/../out/a.csv}\n";
    let stderr = refused(&pipeline(transform));
    assert!(stderr.contains("the transformers `one` and `two` would both write `./out/../out/a.csv`"), "{stderr}");
    assert!(stderr.contains("transform.yaml:4:3"), "{stderr}");
}

#[test]
fn steps_beside_transformers_are_refused() {
    let stderr = refused(&pipeline(&format!("select: [id]\n{TWO}")));
    assert!(stderr.contains("`select` stands beside `transformers`, where it would not run"), "{stderr}");
    let stderr = refused(&pipeline(&format!("limit: {{}}\n{TWO}")));
    assert!(stderr.contains("unknown key `limit`"), "{stderr}");
}

#[test]
fn names_and_shapes_that_cannot_be_are_refused_where_they_stand() {
    let stderr = refused(&pipeline("transformers:\n  'a b':\n    load: {path: a.csv}\n  c: 1\n  d:\n    load: x\n"));
    for message in ["`a b` cannot be the name of a transformer", "the transformer `c` is `1`", "`load` is the text `x`"] {
        assert!(stderr.contains(message), "{stderr}");
    }
    assert!(refused(&pipeline("transformers: []\n")).contains("`transformers` is a list, but must be a mapping of names"));
    assert!(refused(&pipeline("transformers: {}\n")).contains("`transformers` names none"));
}

#[test]
fn a_mistake_is_told_in_the_file_that_it_stands_in() {
    let pipeline =
        pipeline("transformers:\n  one:\n    load: {path: a.csv, csv_options: {delimter: ';'}}\n  two:\n    load: {path: b.csv}\n")
            .with("load.yaml", "type: file\nwrite_mod: append\n");
    let stderr = refused(&pipeline);
    assert!(stderr.contains("transform.yaml:3:39") && stderr.contains("unknown key `delimter`"), "{stderr}");
    assert_eq!(stderr.matches("load.yaml:2:1").count(), 1, "{stderr}");
    // What is missing is missing in the transformer.
    let pipeline = pipeline_without_target();
    let stderr = refused(&pipeline);
    assert!(stderr.contains("transform.yaml:") && stderr.contains("the key `path` is missing"), "{stderr}");
}

fn pipeline_without_target() -> Pipeline {
    pipeline("transformers:\n  one:\n    load: {write_mode: append}\n  two:\n    load: {path: b.csv}\n")
}

#[test]
fn a_load_lies_over_the_common_one_key_by_key() {
    let pipeline = pipeline("transformers:\n  one:\n    load: {file_path: a.csv, csv_options: {include_header: false}}\n  two: {}\n")
        .with("load.yaml", "type: file\npath: b.csv\ncsv_options: {delimiter: ';'}\n");
    assert_eq!(pipeline.answer(&["run", "--quiet"]).code, 0);
    assert!(pipeline.read("a.csv").starts_with("000000;DE;0.5\n"));
    assert!(pipeline.read("b.csv").starts_with("id;country;price\n000000;DE;0.5\n"));
}

#[test]
fn a_pipeline_file_holds_them_too_and_variables_stand_in_their_loads() {
    let pipeline = Pipeline::new().with("orders.csv", super::orders(10)).with(
        "pipeline.yaml",
        "name: shop\nextract: {type: file, path: orders.csv}\ntransformers:\n  one:\n    add: {x: '${country}'}\n    load: {type: file, path: '${OUT}/a.csv'}\n",
    );
    let answer = pipeline.answer(&["run", "--quiet", "--var", "OUT=out"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(pipeline.read("out/a.csv").contains("000000,DE,0.5,DE"));
}

#[test]
fn what_transformers_share_is_wrong_once() {
    let pipeline =
        pipeline(TWO).with("extract.yaml", "type: file\npath: '${MISSING}'\n").with("load.yaml", "type: file\nformat: '${GONE}'\n");
    let answer = pipeline.answer(&["plan"]);
    assert_eq!(answer.code, 2);
    assert_eq!(
        (answer.stderr.matches("extract.yaml:2").count(), answer.stderr.matches("load.yaml:2").count()),
        (1, 1),
        "{}",
        answer.stderr
    );
}
