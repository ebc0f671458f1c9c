//! What a hostile reader of files and pipelines found, each held by a test.

use std::collections::HashSet;

use crate::support::Pipeline;

#[test]
fn uuids_are_unique_across_splits() {
    let rows: String = (0..2000).map(|row| format!("{row}\n")).collect();
    let pipeline = Pipeline::new()
        .with("in/a.csv", format!("id\n{rows}"))
        .with("in/b.csv", format!("id\n{rows}"))
        .with("extract.yaml", "path: in/*.csv\n")
        .with("transform.yaml", "add: {key: uuid()}\nselect: [key]\n")
        .with("load.yaml", "type: file\npath: out.csv\n");
    let answer = pipeline.answer(&["run", "--splits", "2"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let output = pipeline.read("out.csv");
    let keys: HashSet<&str> = output.lines().skip(1).collect();
    assert_eq!(keys.len(), 4000);
}

#[test]
fn dead_letters_do_not_go_to_the_output_or_the_input() {
    for (output, letters, what) in [("dlq/x.jsonl", "dlq/x.jsonl", "output"), ("out.jsonl", "in.csv.jsonl", "input")] {
        let pipeline = Pipeline::new()
            .with("in.csv.jsonl", "{\"a\":1}\n{\n")
            .with("extract.yaml", "path: in.csv.jsonl\n")
            .with("load.yaml", format!("type: file\npath: {output}\ndlq: {{enabled: true, path: {letters}}}\n"));
        let answer = pipeline.answer(&["run"]);
        assert_eq!(answer.code, 2, "{answer:?}");
        assert_eq!(
            answer.stderr,
            format!(
                "error: the dead letters would go to `{letters}`, which is the {what}\n  hint: give them a `path` of their own under `dlq`\n"
            )
        );
    }
}

#[test]
fn text_behind_a_json_list_fails_the_run() {
    for tail in ["[{\"a\": 2}]", "garbage"] {
        let pipeline = Pipeline::new()
            .with("in.json", format!("[{{\"a\": 1}}]\n{tail}\n"))
            .with("extract.yaml", "path: in.json\n")
            .with("load.yaml", "path: out.jsonl\n");
        let answer = pipeline.answer(&["run"]);
        assert_eq!(answer.code, 1, "{answer:?}");
        assert!(answer.stderr.contains("there is more text behind its list"), "{answer:?}");
    }
}

#[test]
fn lines_that_end_in_a_carriage_return_alone_are_no_empty_file() {
    let pipeline =
        Pipeline::new().with("in.csv", "a,b\r1,2\r3,4\r").with("extract.yaml", "path: in.csv\n").with("load.yaml", "path: out.jsonl\n");
    let answer = pipeline.answer(&["run"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains("end in a carriage return alone"), "{answer:?}");
    let pipeline =
        Pipeline::new().with("in.csv", "a,b\r\n1,2\r\n").with("extract.yaml", "path: in.csv\n").with("load.yaml", "path: out.jsonl\n");
    pipeline.run(0);
    assert_eq!(pipeline.read("out.jsonl"), "{\"a\":1,\"b\":2}\n");
}

#[test]
fn control_characters_of_the_data_do_not_reach_the_screen() {
    let pipeline = Pipeline::of(("in.csv", "a\n\u{1b}[2Jx\n1\n"), "convert: {a: int}\n", "out.jsonl");
    let answer = pipeline.answer(&["run"]);
    assert!(!answer.stderr.contains('\u{1b}') && answer.stderr.contains("` [2Jx`"), "{answer:?}");
}
