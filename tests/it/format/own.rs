//! What belongs to an output, and what does not.

use crate::support::Pipeline;

const ROWS: &str = "id,n\n1,a\n2,b\n3,c\n";

/// Names of the files in a folder.
fn names_in(pipeline: &Pipeline, folder: &str) -> Vec<String> {
    pipeline.names().into_iter().filter(|name| name.starts_with(folder)).collect()
}

#[test]
fn an_overwrite_by_so_many_rows_a_file_takes_no_file_away_that_another_has_written() {
    let pipeline = Pipeline::new()
        .with("in.csv", ROWS)
        .with("out/orders_20240101.csv", "somebody's")
        .with("out/orders_00001.csv", "somebody's")
        .with("extract.yaml", "path: in.csv\n")
        .with("load.yaml", "path: out/orders.csv\nmax_rows_per_file: 2\n");
    for _ in 0..2 {
        pipeline.run(0);
        assert_eq!(pipeline.read("out/orders_20240101.csv"), "somebody's");
        assert_eq!(pipeline.read("out/orders_00001.csv"), "somebody's");
        let parts: Vec<String> = names_in(&pipeline, "out/")
            .into_iter()
            .filter(|name| name.ends_with("-00000-00001.csv") || name.ends_with("-00000-00002.csv"))
            .collect();
        let texts: Vec<String> = parts.iter().map(|name| pipeline.read(name)).collect();
        assert_eq!(texts, ["id,n\n1,a\n2,b\n", "id,n\n3,c\n"], "{parts:?}");
    }
}

#[test]
fn a_run_that_would_read_parts_of_its_own_output_is_refused() {
    for (load, transform) in [
        ("path: d/out.csv\nmax_rows_per_file: 2\n", ""),
        ("path: d/out\nformat: csv\npartition_by: [k]\n", "add: {k: x}\n"),
        ("path: d\nformat: csv\npartition_by: [k]\nwrite_mode: append\n", "add: {k: x}\n"),
    ] {
        let pipeline = Pipeline::new()
            .with("d/x.csv", ROWS)
            .with("extract.yaml", "path: d/**/*.csv\n")
            .with("transform.yaml", transform)
            .with("load.yaml", load);
        pipeline.run(0);
        let before = names_in(&pipeline, "d/");
        let answer = pipeline.answer(&["run"]);
        assert_eq!(answer.code, 2, "{answer:?}");
        assert!(answer.stderr.contains("which is a file that it writes"), "{answer:?}");
        assert!(answer.stderr.starts_with("error: the pipeline would read `d/"), "{answer:?}");
        assert_eq!(names_in(&pipeline, "d/"), before);
    }
}

#[test]
fn neither_output_nor_dead_letters_take_the_place_of_what_a_pipeline_is_made_of() {
    for (load, what) in [
        ("path: extract.yaml\nformat: csv\n", "the output would take the place of `extract.yaml`"),
        ("path: ./step.wasm\nformat: csv\n", "the output would take the place of `step.wasm`"),
        ("path: out.csv\ndlq: {path: schema.json}\n", "the dead letters would take the place of `schema.json`"),
    ] {
        let pipeline = Pipeline::new()
            .with("in.csv", ROWS)
            .with("step.wasm", "")
            .with("schema.json", "{\"type\": \"object\"}")
            .with("extract.yaml", "path: in.csv\n")
            .with("transform.yaml", "custom_function: {component: step.wasm}\n")
            .with("load.yaml", load);
        let before = pipeline.names();
        let answer = pipeline.answer(&["run"]);
        assert_eq!(answer.code, 2, "{answer:?}");
        assert!(answer.stderr.contains(what), "{answer:?}");
        assert_eq!((pipeline.names(), pipeline.read("extract.yaml")), (before, "path: in.csv\n".into()));
    }
}
