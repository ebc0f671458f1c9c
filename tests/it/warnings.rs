//! What a run warns of and does all the same.

use crate::support::Pipeline;

#[test]
fn a_pattern_that_matches_no_file_is_an_empty_source_and_a_warning() {
    let pipeline = Pipeline::new().with("extract.yaml", "path: in/*.csv\n").with("load.yaml", "type: file\npath: out.jsonl\n");
    let answer = pipeline.answer(&["run", "--quiet"]);
    let warning = " WARN etl_host::source::paths: no file matches, so that there is nothing to read; `fail_on_empty: true` makes that an error path=\"in/*.csv\"\n";
    assert_eq!((answer.code, answer.stderr.as_str()), (0, warning));
    assert_eq!(pipeline.read("out.jsonl"), "");
}

#[test]
fn a_column_that_is_renamed_and_not_there_is_warned_of_once_a_run() {
    let rows: String = (0..20_000).map(|id| format!("{{\"id\": {id}}}\n")).collect();
    let pipeline = Pipeline::of(("in.jsonl", &rows), "rename: {idd: number}\n", "out.jsonl");
    let answer = pipeline.answer(&["run", "--quiet"]);
    let warning = " WARN etl_host::run: a step names a column that is not there stage=\"ops\" column=\"idd\" rows=20000\n";
    assert_eq!((answer.code, answer.stderr.as_str()), (0, warning));
}

#[test]
fn a_pattern_that_matches_no_file_leaves_what_an_earlier_run_has_written() {
    for output in ["out.jsonl", "out.csv", "out.parquet", "parts/"] {
        let pipeline = Pipeline::new().with("in/a.csv", "id\n1\n").with("extract.yaml", "path: in/*.csv\n").with(
            "load.yaml",
            format!("type: file\npath: {output}\n{}", if output == "parts/" { "format: jsonl\nmax_rows_per_file: 5\n" } else { "" }),
        );
        pipeline.run(0);
        let written = |pipeline: &Pipeline| -> Vec<(String, Vec<u8>)> {
            let names = pipeline.names().into_iter().filter(|name| name.starts_with("out.") || name.starts_with("parts/"));
            names
                .filter(|name| pipeline.path(name).is_file())
                .map(|name| (name.clone(), std::fs::read(pipeline.path(&name)).unwrap()))
                .collect()
        };
        let before = written(&pipeline);
        assert!(!before.is_empty(), "{output}");
        std::fs::remove_file(pipeline.path("in/a.csv")).unwrap();
        let answer = pipeline.answer(&["run", "--quiet"]);
        assert_eq!(answer.code, 0, "{answer:?}");
        assert!(answer.stderr.contains("the output stays as it is, since there was nothing to read"), "{answer:?}");
        assert_eq!(written(&pipeline), before, "{output}");
        assert!(pipeline.names().iter().all(|name| !name.contains(".etl")), "{:?}", pipeline.names());
    }
}

#[test]
fn numbers_that_json_has_not_are_counted_and_warned_of_once() {
    let rows: String = (0..20_000).map(|row| if row % 2 == 0 { "1.5\n" } else { "nan\n" }).collect();
    for (output, nulled) in [("out.jsonl", 10_000), ("out.json", 10_000), ("out.csv", 0)] {
        let pipeline = Pipeline::of(("in.csv", &format!("n\n{rows}")), "convert: {n: float}\n", output);
        let answer = pipeline.answer(&["run", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
        assert_eq!(report["output"]["nulled"].as_u64().unwrap_or_default(), nulled, "{output}: {answer:?}");
        assert_eq!(
            answer.stderr.matches("were written as null: JSON has none such values=10000").count(),
            usize::from(nulled > 0),
            "{answer:?}"
        );
    }
}

#[test]
fn a_filter_on_a_column_that_is_not_there_is_an_error_before_a_row_is_read() {
    let pipeline = Pipeline::of(("in.csv", "price,qty\n1,2\n"), "filter: {field: prise, operator: gt, value: 0}\n", "out.jsonl");
    for command in ["plan", "run"] {
        let answer = pipeline.answer(&[command]);
        assert_eq!(answer.code, 2, "{answer:?}");
        assert!(answer.stderr.contains("there is no column `prise`") && answer.stderr.contains("did you mean `price`?"), "{answer:?}");
    }
}
