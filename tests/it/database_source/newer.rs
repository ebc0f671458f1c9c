//! Incremental runs: what earlier runs have loaded is not asked for again.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Base, rows};
use crate::support::{Pipeline, answer};

/// Runs with a state of its own; answers what the run came to and the rows.
fn run(pipeline: &Pipeline, state: &TempDir) -> (Value, Vec<i64>) {
    let ran = answer(pipeline.command(&["run", "--json"]).env("ETL_HOST_STATE_DIR", state.path()));
    assert_eq!(ran.code, 0, "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    (report["rows"].clone(), rows(pipeline).iter().map(|row| row["id"].as_i64().unwrap()).collect())
}

#[test]
fn only_newer_rows_are_asked_for_and_none_is_lost() {
    for base in Base::all() {
        base.sql("CREATE TABLE t (id bigint, at timestamp NULL)");
        base.sql("INSERT INTO t VALUES (1, '2024-01-01 10:00:00'), (2, '2024-01-01 10:00:00.5'), (3, NULL), (4, '2024-01-02 10:00:00')");
        let state = TempDir::new().unwrap();
        let pipeline = base.pipeline("SELECT * FROM t", &json!({"incremental": {"cursor_field": "at"}}));
        let (counts, mut ids) = run(&pipeline, &state);
        ids.sort_unstable();
        assert_eq!((ids, &counts["rejected"]), (vec![1, 2, 4], &json!(1)), "{} {counts}", base.name());
        base.sql("INSERT INTO t VALUES (5, '2024-01-02 10:00:00'), (6, '2024-01-03 00:00:00')");
        let (counts, ids) = run(&pipeline, &state);
        assert_eq!(ids, [6], "{} {counts}", base.name());
        // A file of SQLite keeps times in any form, so all rows are looked at.
        let read = if base.name() == "SQLite" { 6 } else { 4 };
        assert_eq!((&counts["read"], &counts["rejected"]), (&json!(read), &json!(1)), "{} {counts}", base.name());
    }
}

#[test]
fn numbers_and_texts_are_followed_with_a_lag_or_an_initial_value() {
    for base in Base::all() {
        base.fill(30);
        let state = TempDir::new().unwrap();
        let pipeline = base.pipeline(
            "SELECT * FROM t WHERE text <> :no",
            &json!({
                "incremental": {"cursor_field": "id", "initial_value": 20, "lag": 2}, "params": {"no": "row 25"}
            }),
        );
        let (counts, ids) = run(&pipeline, &state);
        assert_eq!((ids, &counts["read"]), ([21, 22, 23, 24, 26, 27, 28, 29, 30].to_vec(), &json!(10)), "{} {counts}", base.name());
        base.sql("INSERT INTO t VALUES (31, 'row 31')");
        let (counts, ids) = run(&pipeline, &state);
        assert_eq!((ids, &counts["read"]), (vec![29, 30, 31], &json!(4)), "{} {counts}", base.name());
        // Texts in the order of their bytes, whatever the database's own is.
        base.sql("CREATE TABLE w (id bigint, word varchar(20))");
        base.sql("INSERT INTO w VALUES (1, 'B'), (2, 'a'), (3, 'Z'), (4, 'é')");
        let state = TempDir::new().unwrap();
        let words = base.pipeline("SELECT * FROM w", &json!({"incremental": {"cursor_field": "word", "initial_value": "Z"}}));
        let (counts, mut ids) = run(&words, &state);
        ids.sort_unstable();
        assert_eq!((ids, &counts["read"]), (vec![2, 4], &json!(3)), "{} {counts}", base.name());
    }
}

#[test]
fn times_in_a_column_of_texts_are_newer_by_when_they_are() {
    for base in Base::all() {
        base.sql("CREATE TABLE s (id bigint, at varchar(40))");
        base.sql("INSERT INTO s VALUES (1, '2024-03-01T10:00:00.5Z')");
        let state = TempDir::new().unwrap();
        let pipeline = base.pipeline("SELECT * FROM s", &json!({"incremental": {"cursor_field": "at"}}));
        assert_eq!(run(&pipeline, &state).1, [1], "{}", base.name());
        base.sql(
            "INSERT INTO s VALUES (2, '2024-03-01T10:00:00.512Z'), (3, '2024-03-01T09:00:00-02:00'), (4, '2024-03-01T11:00:00+02:00')",
        );
        let (_, mut ids) = run(&pipeline, &state);
        ids.sort_unstable();
        assert_eq!(ids, [2, 3], "{}", base.name());
    }
}

#[test]
fn a_query_may_ask_for_the_watermark_itself() {
    for base in Base::all() {
        base.fill(10);
        let state = TempDir::new().unwrap();
        let query = "SELECT * FROM t WHERE id > COALESCE(:watermark, 3) AND id < 9 ORDER BY id";
        let pipeline = base.pipeline(query, &json!({"incremental": {"cursor_field": "id"}}));
        let (counts, ids) = run(&pipeline, &state);
        assert_eq!((ids, &counts["read"]), (vec![4, 5, 6, 7, 8], &json!(5)), "{} {counts}", base.name());
        let (counts, ids) = run(&pipeline, &state);
        assert_eq!((ids.len(), &counts["read"]), (0, &json!(0)), "{} {counts}", base.name());
    }
    let without = super::pipeline("sqlite:///a.db", "SELECT :watermark AS w", &json!({})).answer(&["check"]);
    assert!(without.code == 2 && format!("{}{}", without.stdout, without.stderr).contains("add `incremental:"), "{without:?}");
}

#[test]
fn what_is_no_text_is_not_followed_letter_by_letter() {
    for base in Base::all() {
        let (query, more) = match &base {
            Base::Postgres(_) => ("SELECT id, k FROM t", ""),
            // A sum has more digits than we hold, so that it comes as text.
            Base::Mariadb(_) => ("SELECT id, sum(k) AS k FROM t GROUP BY id", "(10,2)"),
            Base::Sqlite(_) => continue,
        };
        base.sql(&format!("CREATE TABLE t (id bigint, k numeric{more})"));
        base.sql("INSERT INTO t VALUES (8, 8), (9, 9)");
        let refused = base.pipeline(query, &json!({"incremental": {"cursor_field": "k"}})).answer(&["run"]);
        assert_eq!(refused.code, 2, "{} {refused:?}", base.name());
        assert!(refused.stderr.contains("`incremental.cursor_field` is `k`, which is no text but is read as one"), "{refused:?}");
        assert!(refused.stderr.contains(r#"`schema: {k: "decimal(38,9)"}`"#), "{refused:?}");
        let state = TempDir::new().unwrap();
        let pinned = base.pipeline(query, &json!({"incremental": {"cursor_field": "k"}, "schema": {"k": "decimal(38,9)"}}));
        run(&pinned, &state);
        base.sql("INSERT INTO t VALUES (10, 10), (11, 11)");
        let (counts, mut ids) = run(&pinned, &state);
        ids.sort_unstable();
        assert_eq!(ids, [10, 11], "{} {counts}", base.name());
        let as_text = json!({"incremental": {"cursor_field": "id"}, "schema": {"id": "str"}});
        let refused = base.pipeline(query, &as_text).answer(&["run"]);
        assert!(refused.code == 2 && refused.stderr.contains("leave `id` out of `schema`"), "{} {refused:?}", base.name());
        if let Base::Postgres(_) = base {
            base.sql("CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TABLE m (id bigint, k mood, i interval, c char(2))");
            for (column, code) in [("k", 2), ("i", 2), ("c", 0)] {
                let answer = base.pipeline("SELECT * FROM m", &json!({"incremental": {"cursor_field": column}})).answer(&["run"]);
                assert_eq!(answer.code, code, "{column} {answer:?}");
            }
        }
    }
}
