//! Large results: streamed, within bounds, in batches of the size that is asked for.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Base, rows, run};

#[test]
fn a_large_result_is_streamed_within_little_memory() {
    for base in Base::all() {
        let wide = match &base {
            Base::Postgres(_) => "SELECT n AS id, repeat('x', 500) AS text FROM generate_series(1, 300000) AS s(n)",
            Base::Mariadb(_) => "SELECT seq AS id, repeat('x', 500) AS text FROM seq_1_to_300000",
            Base::Sqlite(_) => {
                "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s LIMIT 300000) SELECT n AS id, printf('%500s', 'x') AS text FROM s"
            }
        };
        // 150 MB of values.
        let pipeline = base.pipeline(wide, &json!({"schema": {"id": "int"}}));
        let pipeline = pipeline.with("transform.yaml", "select: [id]\n");
        let done = run(&pipeline, &["--max-memory-mb", "120", "--workers", "1"]);
        assert_eq!(done.code, 0, "{} {done:?}", base.name());
        let text = pipeline.read("out.jsonl");
        assert_eq!((text.lines().count(), text.lines().last()), (300_000, Some("{\"id\":300000}")), "{}", base.name());
    }
}

#[test]
fn limits_and_sizes_of_batches_hold() {
    for base in Base::all() {
        base.fill(2500);
        let query = "SELECT * FROM t ORDER BY id";
        assert_eq!(base.rows(query, &json!({"max_records": 7})).len(), 7, "{}", base.name());
        let pipeline = base.pipeline(query, &json!({}));
        assert_eq!(run(&pipeline, &["--limit", "0"]).code, 0);
        assert_eq!(rows(&pipeline).len(), 0);
        // A step that sees batches sees them as large as is asked for.
        let pipeline = base.pipeline(query, &json!({"batch_size": 1000}));
        let pipeline = pipeline.with("transform.yaml", "jsonata: {mode: batch, expression: \"{'n': $count($), 'first': $[0].id}\"}\n");
        pipeline.run(0);
        let expected = [json!({"n": 1000, "first": 1}), json!({"n": 1000, "first": 1001}), json!({"n": 500, "first": 2001})];
        assert_eq!(rows(&pipeline), expected, "{}", base.name());
        let shown = pipeline.answer(&["preview", "--limit", "3"]);
        assert!(shown.code == 0 && shown.stdout.contains("row 3"), "{shown:?}");
        let dry = pipeline.answer(&["run", "--dry-run", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&dry.stdout).unwrap();
        assert_eq!(report["rows"]["read"], 2500, "{dry:?}");
    }
}

#[test]
fn a_value_too_large_costs_its_row() {
    for base in Base::all() {
        let large = match &base {
            Base::Postgres(_) => "repeat('x', 40000000)",
            // Beyond what a server lets through by default.
            Base::Mariadb(_) => "repeat('x', 16777200)",
            Base::Sqlite(_) => "hex(zeroblob(20000000))",
        };
        let query = format!("SELECT 1 AS id, 'a' AS text UNION ALL SELECT 2, {large} UNION ALL SELECT 3, 'c'");
        let pipeline = base.pipeline(&query, &json!({}));
        let report = pipeline.run(0);
        let (read, loaded) = (&report["rows"]["read"], &report["rows"]["loaded"]);
        if base.name() == "MariaDB" {
            assert_eq!((read, loaded), (&json!(3), &json!(3)), "{report}");
            continue;
        }
        assert_eq!((read, loaded), (&json!(3), &json!(2)), "{} {report}", base.name());
        assert_eq!(pipeline.letters()[0]["error_type"], "row_too_long", "{}", base.name());
    }
}

/// A query that runs for ever, or as good as.
fn endless(base: &Base) -> &'static str {
    match base {
        Base::Postgres(_) => "SELECT pg_sleep(1000)::text AS s",
        Base::Mariadb(_) => "SELECT sleep(1000) AS s",
        Base::Sqlite(_) => "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s) SELECT sum(n) AS total FROM s",
    }
}

#[test]
fn a_statement_without_an_end_is_ended_by_the_time_of_the_run_or_its_own() {
    for base in Base::all().into_iter().filter(|base| base.name() != "SQLite") {
        let started = Instant::now();
        let pipeline = base.pipeline(endless(&base), &json!({})).with("settings.yaml", "timeout_seconds: 1\n");
        let stopped = run(&pipeline, &[]);
        assert_eq!(stopped.code, 3, "{} {stopped:?}", base.name());
        assert!(stopped.stderr.contains("the run was not done after 1 s (`timeout_seconds`)"), "{} {stopped:?}", base.name());
        assert!(!stopped.stderr.contains("trying again"), "{} {stopped:?}", base.name());
        let stopped = run(&base.pipeline(endless(&base), &json!({"statement_timeout": 1})), &[]);
        assert!(started.elapsed() < Duration::from_secs(60), "{}", base.name());
        if base.name() == "MariaDB" && stopped.code == 0 {
            // `sleep` answers that it was ended, and the query goes on.
            continue;
        }
        assert_eq!(stopped.code, 2, "{} {stopped:?}", base.name());
        assert!(stopped.stderr.contains("ended the query after 1 s (`statement_timeout`)"), "{} {stopped:?}", base.name());
    }
}

#[test]
fn the_option_of_the_url_ends_a_statement_unless_the_pipeline_says_another_time() {
    let Some(base) = Base::all().into_iter().find(|base| base.name() == "PostgreSQL") else { return };
    let with = |query: &str, more: Value, options: &str| {
        let pipeline = base.pipeline(query, &more);
        let extract = pipeline.read("extract.yaml").replace(&base.url(), &format!("{}{options}", base.url()));
        pipeline.with("extract.yaml", extract)
    };
    let slow = with(endless(&base), json!({}), "?options[statement_timeout]=200ms");
    let ended = run(&slow, &[]);
    assert!(ended.code == 2 && ended.stderr.contains("` ended the query\n"), "{ended:?}");
    assert!(ended.stderr.contains("which goes before `options[statement_timeout]` of the URL"), "{ended:?}");
    let patient = with("SELECT pg_sleep(0.5)::text AS s", json!({"statement_timeout": 60}), "?options[statement_timeout]=200ms");
    assert_eq!(run(&patient, &[]).code, 0);
}
