//! What can only be on this machine.

use super::ROWS;
use crate::support::Pipeline;

#[test]
fn dead_letters_and_folders_of_the_host_are_no_objects() {
    let local = || Pipeline::new().with("rows.csv", ROWS).with("extract.yaml", "path: rows.csv\n").with("load.yaml", "path: out.csv\n");
    let queue = "path: out.csv\ndlq: {path: 's3://bucket/letters.jsonl'}\n";
    let within = "path: out.csv\nvalidation: {rules: {id: {required: true}}, dlq: {path: 'az://bucket/letters.jsonl'}}\n";
    for pipeline in [
        local().with("load.yaml", queue),
        local().with("settings.yaml", "dlq: {path: 'gs://bucket/letters.jsonl'}\n"),
        local().with("load.yaml", within),
    ] {
        for command in ["check", "plan", "run"] {
            let before = pipeline.names();
            let done = pipeline.answer(&[command]);
            assert_eq!(done.code, 2, "{command}: {done:?}");
            assert!(done.stderr.contains("but dead letters are added row by row") && done.stderr.contains("backend: database"), "{done:?}");
            assert_eq!(pipeline.names(), before);
        }
    }
    let pipeline = local();
    for arguments in [["--state-dir", "s3://bucket/state"], ["--checkpoint-dir", "gs://bucket/c"], ["--cache-dir", "file:///tmp/cache"]] {
        let done = pipeline.answer(&["run", arguments[0], arguments[1]]);
        assert_eq!(done.code, 2, "{done:?}");
        assert!(done.stderr.contains("but must be a path of this machine"), "{done:?}");
    }
    assert!(pipeline.names().iter().all(|name| !name.contains(':') && name != "out.csv"), "{:?}", pipeline.names());
}
