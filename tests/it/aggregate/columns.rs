//! Rows whose columns change from batch to batch, as JSONata, Python and lists that are laid out give them.

use std::fmt::Write as _;

use crate::support::Pipeline;

const RECORD: &str = "transform:\n  - jsonata: {mode: record, expression: '";

/// Reads so many rows a batch.
fn of(lines: &str, batch: usize, transform: &str) -> Pipeline {
    let pipeline = Pipeline::of(("in.jsonl", lines), transform, "out.jsonl");
    let extract = pipeline.read("extract.yaml");
    pipeline.with("extract.yaml", format!("{extract}batch_size: {batch}\n"))
}

fn came(lines: &str, batch: usize, transform: &str) -> String {
    let pipeline = of(lines, batch, transform);
    pipeline.run(0);
    pipeline.read("out.jsonl")
}

#[test]
fn a_last_batch_of_ints_adds_up_with_the_floats_before() {
    let mut lines: String = (0..1000).fold(String::new(), |mut lines, id| {
        let _ = writeln!(lines, "{{\"id\":{id},\"price\":1.5}}");
        lines
    });
    lines.push_str("{\"id\":1000,\"price\":2}\n");
    let sum = "{\"total\": price * 1}'}\n  - aggregate: {metrics: {s: {sum: total}, n: count}}\n";
    assert_eq!(came(&lines, 1000, &format!("{RECORD}{sum}")), "{\"s\":1502.0,\"n\":1001}\n");
    // The other way round, and one by one.
    let turned: String = lines.lines().rev().map(|line| format!("{line}\n")).collect();
    assert_eq!(came(&turned, 1, &format!("{RECORD}{sum}")), "{\"s\":1502.0,\"n\":1001}\n");
}

const ROWS: &str =
    "{\"id\":1,\"k\":\"a\"}\n{\"id\":2,\"k\":\"b\"}\n{\"id\":1,\"k\":\"c\"}\n{\"id\":3,\"k\":\"d\"}\n{\"id\":2,\"k\":\"e\"}\n";

/// Other columns and types for each row.
const CHANGING: &str = "$merge([{\"id\": id}, k = \"a\" ? {\"n\": 4, \"m\": true} : k = \"b\" ? {\"n\": 5.5} : k = \"c\" ? {\"n\": null} : \
                        k = \"d\" ? {\"n\": \"4\", \"later\": [1, 2]} : {\"m\": \"x\", \"n\": 4}])'}\n";

#[test]
fn rows_come_to_the_same_however_they_are_cut_and_ordered() {
    let turned: String = ROWS.lines().rev().map(|line| format!("{line}\n")).collect();
    for (step, expected) in [
        ("aggregate: {metrics: {n: count}}", "{\"n\":5}\n"),
        ("aggregate: {metrics: {n: {count_distinct: n}, ids: {sum: id}}}", "{\"n\":2,\"ids\":9}\n"),
        ("aggregate: {metrics: {all: {count: m}, late: {count: later}}}", "{\"all\":2,\"late\":1}\n"),
    ] {
        for batch in [1, 2, 3, 100] {
            for lines in [ROWS, &turned] {
                assert_eq!(came(lines, batch, &format!("{RECORD}{CHANGING}  - {step}\n")), expected, "{step} by {batch}");
            }
        }
    }
    for (step, ids) in [
        ("dedupe: [id]", "1 2 3"),
        ("dedupe: {key: id, keep: last}", "1 3 2"),
        ("sort: [-id, n]", "3 2 2 1 1"),
        ("dedupe: true", "1 2 1 3 2"),
    ] {
        for batch in [1, 2, 100] {
            let text = came(ROWS, batch, &format!("{RECORD}{CHANGING}  - {step}\n"));
            let found: Vec<_> =
                text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].to_string()).collect();
            assert_eq!(found.join(" "), ids, "{step} by {batch}: {text}");
        }
    }
    // Rows that go on as they come go on as they came, whatever came with others.
    let text = came(ROWS, 1, &format!("{RECORD}{CHANGING}  - dedupe: [id]\n"));
    assert_eq!(text, "{\"id\":1,\"n\":4,\"m\":true}\n{\"id\":2,\"n\":5.5}\n{\"id\":3,\"n\":\"4\",\"later\":[1,2]}\n");
}

#[test]
fn a_column_that_comes_with_a_later_batch_counts_as_null_until_then() {
    let lists = "{\"l\":[1,2]}\n{\"l\":[]}\n{\"l\":[3,4,5]}\n{\"l\":null}\n{\"l\":[null,6,7,8]}\n";
    let flatten = "transform:\n  - flatten: {strategy: array_flatten}\n";
    assert_eq!(came(lists, 2, &format!("{flatten}  - aggregate: {{metrics: {{n: count, s: {{sum: l_3}}}}}}\n")), "{\"n\":5,\"s\":8}\n");
    let sorted = came(lists, 2, &format!("{flatten}  - sort: [-l_3, l_0]\n"));
    assert!(sorted.starts_with("{\"l_0\":null,\"l_1\":6,\"l_2\":7,\"l_3\":8}\n"), "{sorted}");
    assert_eq!(sorted.lines().count(), 5);
    let pipeline = of(lists, 2, &format!("{flatten}  - aggregate: {{metrics: {{n: count, s: {{sum: l_9}}}}}}\n"));
    let answer = pipeline.answer(&["run"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("stage `aggregate`, `metrics.s.sum`: there is no column `l_9`"), "{answer:?}");
    assert!(answer.stderr.contains("columns here are `l_0`, `l_1`, `l_2`, `l_3`"), "{answer:?}");
}

#[test]
fn a_column_whose_change_cannot_be_worked_in_is_told_with_its_rows() {
    let text = "{\"id\":1}\n{\"id\":2}\n";
    for (step, reason) in [
        ("aggregate: {metrics: {s: {sum: v}}}", "`metrics.s.sum`: it takes a number, but column `v` is text"),
        ("aggregate: {metrics: {least: {min: v}}}", "what it remembers of column `v` is int, and cannot be told as text"),
    ] {
        let pipeline = of(text, 1, &format!("{RECORD}{{\"v\": id = 1 ? 4 : \"many\"}}'}}\n  - {step}\n"));
        let answer = pipeline.answer(&["run"]);
        assert_eq!(answer.code, 1, "{answer:?}");
        assert!(answer.stderr.contains("stage `aggregate` cannot go on with rows 2 to 2 of `"), "{answer:?}");
        assert!(answer.stderr.contains(&format!("column `v` was int and is text; {reason}")), "{answer:?}");
        assert!(answer.stderr.contains("convert: {v: "), "{answer:?}");
    }
}

/// Guests whose memory does not depend on columns get rows as they come.
#[test]
fn unique_keys_and_the_rows_of_a_whole_dataset_do_not_mind_other_columns() {
    let whole = "  - jsonata: {scope: dataset, expression: '{\"ids\": $sum(id), \"x\": $count($[m = \"x\"])}'}\n";
    for batch in [1, 2, 100] {
        assert_eq!(came(ROWS, batch, &format!("{RECORD}{CHANGING}{whole}")), "{\"ids\":9,\"x\":1}\n", "by {batch}");
        let pipeline = of(ROWS, batch, &format!("{RECORD}{CHANGING}  - validate: {{unique: [[id]], thresholds: {{quality: 1}}}}\n"));
        pipeline.answer(&["run", "--json"]);
        assert_eq!(pipeline.letters().len(), 2, "by {batch}");
    }
}

#[test]
fn windows_do_not_mind_that_a_column_changes_which_they_do_not_read() {
    let rows: String = (0..6).map(|row| format!("{{\"row\":{row},\"ts\":\"2024-03-01T09:0{row}:00Z\"}}\n")).collect();
    let record = "$merge([{\"ts\": ts, \"v\": row / 2}, row > 2 ? {\"other\": row} : row > 1 ? {\"other\": \"text\"} : {}])'}\n";
    let window = "  - convert: {ts: datetime}\n  - window: {time: ts, size: 2m, metrics: {s: {sum: v}}}\n  - select: [s]\n";
    for batch in [1, 2, 4, 6] {
        let text = came(&rows, batch, &format!("{RECORD}{record}{window}"));
        let sums: Vec<f64> =
            text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["s"].as_f64().unwrap()).collect();
        assert_eq!(sums, [0.5, 2.5, 4.5], "by {batch}: {text}");
    }
}
