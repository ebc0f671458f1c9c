//! A query by ODBC.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Base;
use crate::database_source::{rows, run};
use crate::support::answer;

fn read(base: &Base, query: &str, more: &Value) -> Vec<Value> {
    let pipeline = base.pipeline(query, more);
    pipeline.run(0);
    rows(&pipeline)
}

#[test]
fn all_common_types_arrive_as_what_they_are() {
    if let Some(base) = Base::postgres() {
        base.sql(
            "CREATE TABLE v (small smallint, whole int, big bigint, single real, double double precision, exact numeric(38,10),
                 day date, clock time, moment timestamp, instant timestamptz, word varchar(20), fixed char(4), long text, bytes bytea, id uuid)",
        );
        base.sql(
            "INSERT INTO v VALUES (-32768, 2147483647, 9007199254740993, 1.5, 1e300, 1234567890123456789012345678.0123456789,
                 '0001-01-01', '23:59:59.000001', '2024-02-29 12:34:56.789012', '2024-02-29 12:00:00+02', 'aß€😀', 'ab', 'löng', '\\x00ff',
                 '00000000-0000-0000-0000-00000000abcd'),
                 (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
                 (0, 0, 0, 0, 0, 0, '9999-12-31', '00:00:00', '9999-12-31 23:59:59', '1970-01-01 00:00:00+00', '', '', '', '', NULL)",
        );
        let found = read(&base, "SELECT * FROM v", &json!({}));
        assert_eq!(
            found[0],
            json!({
                "small": -32768, "whole": 2_147_483_647, "big": 9_007_199_254_740_993_i64, "single": 1.5, "double": 1e300,
                "exact": 1_234_567_890_123_456_789_012_345_678.012_345_678_9_f64, "day": "0001-01-01", "clock": "23:59:59.000001",
                "moment": "2024-02-29T12:34:56.789012", "instant": "2024-02-29T10:00:00Z", "word": "aß€😀", "fixed": "ab  ", "long": "löng",
                "bytes": "AP8=", "id": "00000000-0000-0000-0000-00000000abcd",
            })
        );
        assert!(found[1].as_object().unwrap().values().all(Value::is_null), "{}", found[1]);
        assert_eq!(
            (&found[2]["day"], &found[2]["word"], &found[2]["moment"]),
            (&json!("9999-12-31"), &json!(""), &json!("9999-12-31T23:59:59"))
        );
        let exact = read(&base, "SELECT exact FROM v", &json!({"schema": {"exact": "string"}}));
        assert_eq!(exact[0]["exact"], "1234567890123456789012345678.0123456789");
        // The same by the rows' buffers, where no column is without a limit.
        let short = read(&base, "SELECT small, exact, clock, moment, instant, word, fixed, id FROM v", &json!({}));
        for (short, whole) in short.iter().zip(&found) {
            for (name, value) in short.as_object().unwrap() {
                assert_eq!(value, &whole[name], "{name}");
            }
        }
    }
    if let Some(base) = Base::sqlite() {
        base.sql("CREATE TABLE v (whole INTEGER, big BIGINT, double DOUBLE, word VARCHAR(20), long TEXT, bytes BLOB, day DATE, moment TIMESTAMP)");
        base.sql("INSERT INTO v VALUES (7, 9007199254740993, 1.5, 'aß€😀', 'löng', x'00ff', '2024-02-29', '2024-02-29 12:34:56.789'), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)");
        let found = read(&base, "SELECT * FROM v", &json!({}));
        assert_eq!(
            found[0],
            json!({"whole": 7, "big": 9_007_199_254_740_993_i64, "double": 1.5, "word": "aß€😀", "long": "löng", "bytes": "AP8=",
                   "day": "2024-02-29", "moment": "2024-02-29T12:34:56.789"})
        );
        assert!(found[1].as_object().unwrap().values().all(Value::is_null), "{}", found[1]);
    }
}

#[test]
fn parameters_are_bound_and_never_pasted() {
    for base in Base::all() {
        base.sql("CREATE TABLE t (id bigint, name varchar(40))");
        base.sql("INSERT INTO t VALUES (1, 'x'' OR 1=1'), (2, 'b'), (9007199254740993, 'c')");
        let ids = |query: &str, params: Value| -> Vec<i64> {
            read(&base, query, &json!({"params": params})).iter().map(|row| row["id"].as_i64().unwrap()).collect()
        };
        assert_eq!(ids("SELECT id FROM t WHERE name = :name", json!({"name": "x' OR 1=1"})), [1], "{}", base.name());
        assert_eq!(
            ids("SELECT id FROM t WHERE id IN :ids AND id > :low ORDER BY id", json!({"ids": [1, 2, 9_007_199_254_740_993_i64], "low": 1})),
            [2, 9_007_199_254_740_993]
        );
    }
}

#[test]
fn values_of_any_length_arrive_whole() {
    for base in Base::all() {
        let long = if base.name() == "SQLite" { "hex(zeroblob(100000))" } else { "repeat('0', 200000)" };
        base.sql("CREATE TABLE t (id bigint, long text)");
        base.sql(&format!("INSERT INTO t SELECT 1, {long} || 'ß'"));
        base.sql("INSERT INTO t VALUES (2, 'short'), (3, ''), (4, NULL)");
        for length in [1_022, 1_023, 1_024, 33_790, 33_791, 66_558] {
            base.sql(&format!("INSERT INTO t SELECT {length}, substr(long, 1, {length}) FROM t WHERE id = 1"));
        }
        let found = read(&base, "SELECT * FROM t ORDER BY id", &json!({}));
        let text = |row: usize| found[row]["long"].as_str();
        assert!(text(0) == Some(&("0".repeat(200_000) + "ß")), "{} {:?}", base.name(), text(0).map(str::len));
        assert_eq!((text(1), text(2), text(3)), (Some("short"), Some(""), None), "{}", base.name());
        for row in &found[4..] {
            assert_eq!(row["long"].as_str().unwrap().len() as i64, row["id"].as_i64().unwrap(), "{}", base.name());
        }
    }
}

#[test]
fn a_value_longer_than_its_driver_said_is_an_error_and_never_cut() {
    let Some(base) = Base::postgres() else { return };
    // The driver takes a varchar without a limit for one of 255.
    base.sql("CREATE TABLE t (id int, note varchar)");
    base.sql("INSERT INTO t VALUES (1, 'a'), (2, repeat('x', 511))");
    let more = json!({});
    let refused = run(&base.pipeline("SELECT * FROM t", &more), &[]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.stderr.contains("a value of column `note`") && refused.stderr.contains("CAST(note AS"), "{refused:?}");
    assert_eq!(read(&base, "SELECT id, CAST(note AS varchar(1000)) AS note FROM t", &more)[1]["note"].as_str().unwrap().len(), 511);
}

#[test]
fn a_killed_run_goes_on_behind_the_last_row_and_loses_and_doubles_none() {
    for base in Base::all() {
        let numbers = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 2000) SELECT n FROM s";
        base.sql("CREATE TABLE t (id int, day date, moment timestamp, n decimal(9,2), wide varchar(8000))");
        let (day, moment, wide) = match base.name() {
            "SQLite" => (
                "date('2024-01-01', '+' || (n / 150) || ' days')",
                "strftime('%Y-%m-%d %H:%M:%S.000', 1700000000 + n / 3, 'unixepoch')",
                "printf('%8000s', 'x')",
            ),
            _ => ("date '2024-01-01' + n / 150", "timestamp '2024-01-01' + n / 3 * interval '1.000001 s'", "repeat('x', 8000)"),
        };
        // Values that many rows share, none at all for some.
        base.sql(&format!(
            "INSERT INTO t SELECT n, CASE WHEN n < 130 THEN NULL ELSE {day} END, {moment}, n % 7 + 0.5, {wide} FROM ({numbers}) AS numbers"
        ));
        // Of SQLite only numbers are numbers, and its dialect has neither `TO_TIMESTAMP` nor types to cast to.
        let keys: &[(&str, &str)] = match base.name() {
            "SQLite" => &[("mssql", "id"), ("oracle", "id")],
            _ => &[
                ("mssql", "id"),
                ("mssql", "day"),
                ("mssql", "moment"),
                ("mssql", "n"),
                ("oracle", "day"),
                ("oracle", "moment"),
                ("oracle", "n"),
            ],
        };
        for (scheme, key) in keys {
            let more = json!({"cursor_field": key, "batch_size": 100, "checkpoint": {"enabled": true, "interval": 1}});
            let pipeline = crate::database_source::pipeline(&base.url(scheme), "SELECT * FROM t", &more)
                .with("transform.yaml", "jsonata: {mode: batch, expression: \"$\"}\n");
            let state = TempDir::new().unwrap();
            let mut kills = 0;
            loop {
                let mut command = pipeline.command(&["run", "--quiet"]);
                if kills > 0 {
                    command.arg("--resume");
                }
                let ran = answer(command.env("ETL_HOST_CHECKPOINT_DIR", state.path()).env("ETL_HOST_CRASH_AT", "flush.done:3"));
                if ran.code == 0 {
                    break;
                }
                assert_eq!(ran.code, -1, "{} {scheme} {key} {ran:?}", base.name());
                kills += 1;
            }
            assert!(kills >= 4, "{} {key}: {kills}", base.name());
            let mut ids: Vec<i64> = rows(&pipeline).iter().map(|row| row["id"].as_i64().unwrap()).collect();
            ids.sort_unstable();
            assert!(ids.iter().copied().eq(1..=2000), "{} {scheme} {key}: {} rows", base.name(), ids.len());
        }
    }
}

#[test]
fn a_key_that_rows_are_not_found_again_by_is_refused() {
    for base in Base::all() {
        base.sql("CREATE TABLE t (id int, name varchar(40))");
        let refused = run(&base.pipeline("SELECT * FROM t", &json!({"cursor_field": "name"})), &[]);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.stderr.contains("rows cannot be found again by that") && refused.stderr.contains("a day or a time"), "{refused:?}");
        let query = "WITH all_of_them AS (SELECT * FROM t) SELECT * FROM all_of_them";
        let within = run(&base.pipeline(query, &json!({"cursor_field": "id"})), &[]);
        assert!(within.code == 2 && within.stderr.contains("the query starts with `WITH`"), "{within:?}");
        assert_eq!(run(&base.pipeline(query, &json!({})), &[]).code, 0);
    }
}

#[test]
fn what_a_query_changes_is_undone_and_what_answers_nothing_is_refused() {
    let Some(base) = Base::postgres() else { return };
    base.sql("CREATE TABLE t (id int)");
    base.sql("INSERT INTO t VALUES (1), (2)");
    assert_eq!(read(&base, "DELETE FROM t RETURNING id", &json!({})).len(), 2);
    assert_eq!(base.rows("SELECT count(*) AS n FROM t"), [json!({"n": 2})]);
    let refused = run(&base.pipeline("DELETE FROM t", &json!({})), &[]);
    assert!(refused.code == 2 && refused.stderr.contains("answers no rows"), "{refused:?}");
    assert_eq!(base.rows("SELECT count(*) AS n FROM t"), [json!({"n": 2})]);
}

#[test]
fn a_query_that_is_wrong_or_too_slow_says_so() {
    for base in Base::all() {
        base.sql("CREATE TABLE t (id int)");
        let missing = run(&base.pipeline("SELECT * FROM none_such", &json!({})), &[]);
        assert!(
            missing.code == 2 && missing.stderr.contains("the query names what") && missing.stderr.contains("none_such"),
            "{missing:?}"
        );
    }
    let Some(base) = Base::postgres() else { return };
    let wrong = run(&base.pipeline("SELECT FROM WHERE", &json!({})), &[]);
    assert!(wrong.code == 2 && wrong.stderr.contains("the query does not run on"), "{wrong:?}");
    let slow = run(&base.pipeline("SELECT pg_sleep(60)::text AS a", &json!({"statement_timeout": 1})), &[]);
    assert!(slow.code == 2 && slow.stderr.contains("after 1 s (`statement_timeout`)"), "{slow:?}");
}
