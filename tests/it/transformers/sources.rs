//! Whatever the source: it is read once for all, and each sees of it what it would see alone.

use std::fmt::Write as _;

use serde_json::json;

use super::part;
use crate::http_source::api::{Api, Reply};
use crate::support::Pipeline;

/// Loads of two transformers that want different things of the columns, and their outputs.
const TWO: &str = "\
transformers:
  numbers:
    convert: {id: int, price: float}
    load: {path: numbers.csv}
  texts:
    convert: {id: str, price: str}
    load: {path: texts.jsonl}
";

const ALONE: [(&str, &str); 2] =
    [("convert: {id: int, price: float}\n", "numbers.csv"), ("convert: {id: str, price: str}\n", "texts.jsonl")];

/// Runs both together and each alone over one extract; what they wrote must be the same.
fn same(extract: &str, prepare: &dyn Fn(Pipeline) -> Pipeline) {
    let made = |transform: &str, load: &str| {
        prepare(Pipeline::new()).with("extract.yaml", extract).with("transform.yaml", transform).with("load.yaml", load)
    };
    let together = made(TWO, "type: file\n");
    let report = together.run(0);
    assert_eq!(report["status"], "success");
    for (transform, output) in ALONE {
        let alone = made(transform, &format!("type: file\npath: {output}\n"));
        assert_eq!(alone.answer(&["run", "--quiet"]).code, 0);
        assert_eq!(together.read(output), alone.read(output), "{extract}");
        assert!(together.read(output).lines().count() > 1000, "{extract}");
    }
}

fn lines(rows: usize) -> String {
    (0..rows).fold(String::new(), |mut text, id| {
        writeln!(text, "{{\"id\":{id},\"price\":{}.5,\"place\":\"p{}\"}}", id % 77, id % 5).unwrap();
        text
    })
}

#[test]
fn json_lines_xml_and_packed_csv_are_read_for_each_as_for_one() {
    same("type: file\npath: in.jsonl\n", &|pipeline| pipeline.with("in.jsonl", lines(5000)));
    let csv = super::orders(5000);
    same("type: file\npath: 'in/*.csv'\nbatch_size: 7\n", &|pipeline| pipeline.with("in/a.csv", &csv).with("in/b.csv", &csv));
    let rows: String = (0..2000).map(|id| format!("<row><id>{id}</id><price>{}.50</price></row>", id % 9)).collect();
    same("type: file\npath: in.xml\n", &|pipeline| pipeline.with("in.xml", format!("<rows>{rows}</rows>")));
}

#[test]
fn parquet_is_read_for_each_as_for_one() {
    let made = Pipeline::of(("in.jsonl", &lines(30_000)), "", "in.parquet");
    made.run(0);
    let bytes = std::fs::read(made.path("in.parquet")).unwrap();
    same("type: file\npath: in.parquet\n", &|pipeline| pipeline.with("in.parquet", &bytes));
}

#[test]
fn each_page_of_an_interface_is_asked_for_once() {
    const PAGES: usize = 12;
    let api = Api::start(|asked| {
        let page = asked.number("page").unwrap();
        let rows = if page <= PAGES { 100 } else { 0 };
        Reply::json(&json!((0..rows).map(|row| json!({ "id": page * 1000 + row, "price": row })).collect::<Vec<_>>()))
    });
    let extract = format!(
        "type: http\nurl: {}\npagination: {{enabled: true, strategy: page, page_delay: 0, stop_conditions: [{{type: empty_response}}]}}\n",
        api.url("/orders")
    );
    let host = api.address.to_string();
    for (transformers, strict) in [(2, false), (5, true)] {
        let mut transform = String::from("transformers:\n");
        for number in 0..transformers {
            writeln!(transform, "  t{number}:\n    convert: {{price: {}}}\n    load: {{path: t{number}.csv}}", ["str", "int"][number % 2])
                .unwrap();
        }
        if strict {
            transform.push_str(
                "  strict:\n    jsonata: {expression: '$error(\"no\")', mode: record, on_error: fail}\n    load: {path: strict.csv}\n",
            );
        }
        let pipeline = Pipeline::new().with("extract.yaml", &extract).with("transform.yaml", &transform).with("load.yaml", "type: file\n");
        let answer = pipeline.answer(&["run", "--json", "--allow-private-network", &host]);
        assert_eq!(answer.code, if strict { 4 } else { 0 }, "{answer:?}");
        let mut asked: Vec<usize> = api.asked().iter().map(|asked| asked.number("page").unwrap()).collect();
        asked.sort_unstable();
        assert_eq!(asked, (1..=PAGES + 1).collect::<Vec<_>>(), "each once");
        for number in 0..transformers {
            assert_eq!(pipeline.read(&format!("t{number}.csv")).lines().count(), PAGES * 100 + 1);
        }
    }
}

#[test]
fn a_page_that_fails_for_a_while_is_tried_again_once_for_all() {
    let api = Api::start(|asked| match asked.number("page").unwrap() {
        3 if asked.number == 2 => Reply::status("503 Service Unavailable"),
        page @ 1..=4 => Reply::json(&json!((0..10).map(|row| json!({ "id": page * 100 + row })).collect::<Vec<_>>())),
        _ => Reply::json(&json!([])),
    });
    let extract = format!(
        "type: http\nurl: {}\npagination: {{enabled: true, strategy: page, page_delay: 0, stop_conditions: [{{type: empty_response}}]}}\n",
        api.url("/orders")
    );
    let pipeline = Pipeline::new()
        .with("extract.yaml", extract)
        .with("transform.yaml", "transformers:\n  a:\n    load: {path: a.csv}\n  b:\n    load: {path: b.csv}\n")
        .with("load.yaml", "type: file\n");
    let answer = pipeline.answer(&["run", "--quiet", "--allow-private-network", &api.address.to_string()]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let asked: Vec<usize> = api.asked().iter().map(|asked| asked.number("page").unwrap()).collect();
    assert_eq!(asked.iter().filter(|page| **page == 3).count(), 2, "{asked:?}");
    assert_eq!(asked.len(), 6, "{asked:?}");
    assert_eq!((pipeline.read("a.csv").lines().count(), pipeline.read("b.csv")), (41, pipeline.read("a.csv")));
}

#[test]
fn a_query_is_run_once_for_all() {
    let pipeline = Pipeline::new();
    let connection = rusqlite::Connection::open(pipeline.path("shop.db")).unwrap();
    let rows = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 5000) SELECT id FROM n";
    connection.execute_batch(&format!("CREATE TABLE orders (id INTEGER PRIMARY KEY); INSERT INTO orders {rows}")).unwrap();
    drop(connection);
    // Chance is another for each time that the query is run.
    let query = "SELECT id, CAST(abs(random()) % 1000000 AS INTEGER) AS chance FROM orders";
    let pipeline = pipeline
        .with("extract.yaml", format!("type: database\nconnection_string: sqlite:///shop.db\nquery: {query}\nschema: {{chance: int}}\n"))
        .with(
            "transform.yaml",
            "transformers:\n  a:\n    load: {path: a.csv}\n  b:\n    convert: {id: float}\n    select: [chance]\n    load: {path: b.csv}\n",
        )
        .with("load.yaml", "type: file\n");
    let report = pipeline.run(0);
    assert_eq!(part(&report, "a")["rows"]["loaded"], 5000);
    let chances = |text: String, column: usize| -> Vec<String> {
        text.lines().skip(1).map(|line| line.split(',').nth(column).unwrap().to_owned()).collect()
    };
    let (one, other) = (chances(pipeline.read("a.csv"), 1), chances(pipeline.read("b.csv"), 0));
    assert_eq!(one.len(), 5000);
    assert!(one == other, "both saw the rows of one query");
}
