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
