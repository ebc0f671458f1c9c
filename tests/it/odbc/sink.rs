//! Rows in tables by ODBC.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Base;
use crate::database_source::run;
use crate::support::{Pipeline, answer};

const ORDERS: &str = "id,n,note\n1,10,one\n2,20,zw\u{f6}lf\n3,,\n";

fn pipeline(csv: &str, url: &str, load: &str) -> Pipeline {
    Pipeline::new()
        .with("in.csv", csv)
        .with("extract.yaml", "path: in.csv\n")
        .with("load.yaml", format!("type: database\ntable: orders\nconnection_string: {url}\n{load}"))
}

/// The table of a report.
fn table(report: &Value) -> [u64; 3] {
    let table = &report["output"]["tables"][0];
    ["inserted", "updated", "deleted"].map(|name| table[name].as_u64().unwrap_or_else(|| panic!("{report}")))
}

/// The rows of `orders`, in order.
fn orders(base: &Base) -> Vec<Value> {
    base.rows("SELECT id, n, note FROM orders ORDER BY id")
}

fn row(id: i64, n: Option<i64>, note: Option<&str>) -> Value {
    json!({"id": id, "n": n, "note": note})
}

#[test]
fn every_method_does_what_it_says() {
    for base in Base::all() {
        let what = base.name();
        let (old, new) = (
            |id| row(id, Some(5), Some("old")),
            |id, n| {
                row(
                    id,
                    n,
                    if id == 1 {
                        Some("one")
                    } else if id == 2 {
                        Some("zw\u{f6}lf")
                    } else {
                        None
                    },
                )
            },
        );
        for (method, more, counts, rows) in [
            ("insert", "", [3, 0, 0], vec![new(1, Some(10)), new(2, Some(20)), new(3, None), old(7)]),
            ("truncate_and_load", "", [3, 0, 0], vec![new(1, Some(10)), new(2, Some(20)), new(3, None)]),
            ("upsert", "", [2, 1, 0], vec![new(1, Some(10)), new(2, Some(20)), new(3, None), old(7)]),
            ("upsert", "update_columns: [n]\n", [2, 1, 0], vec![new(1, Some(10)), row(2, Some(20), Some("old")), new(3, None), old(7)]),
            ("upsert", "update_columns: []\n", [2, 1, 0], vec![new(1, Some(10)), old(2), new(3, None), old(7)]),
            ("replace", "", [3, 0, 1], vec![new(1, Some(10)), new(2, Some(20)), new(3, None), old(7)]),
            ("update", "", [0, 1, 0], vec![new(2, Some(20)), old(7)]),
            ("delete", "", [0, 0, 1], vec![old(7)]),
        ] {
            base.sql("DROP TABLE IF EXISTS orders");
            base.sql("CREATE TABLE orders (id int PRIMARY KEY, n int, note varchar(20))");
            base.sql("INSERT INTO orders VALUES (7, 5, 'old')");
            if !["insert", "truncate_and_load"].contains(&method) {
                base.sql("INSERT INTO orders VALUES (2, 5, 'old')");
            }
            let report = pipeline(ORDERS, &base.url("mssql"), &format!("write_method: {method}\nprimary_key: id\n{more}")).run(0);
            assert_eq!((table(&report), report["rows"]["loaded"].as_u64()), (counts, Some(3)), "{what} {method} {more}");
            assert_eq!(orders(&base), rows, "{what} {method} {more}");
        }
    }
}

#[test]
fn keys_of_many_columns_that_come_again_are_taken_in_their_order() {
    for base in Base::all() {
        for method in ["upsert", "replace"] {
            base.sql("DROP TABLE IF EXISTS orders");
            base.sql("CREATE TABLE orders (id int, n int, note varchar(20), PRIMARY KEY (id, n))");
            let csv = "id,n,note\n1,1,a\n1,2,b\n1,1,c\n2,1,d\n1,1,e\n";
            pipeline(csv, &base.url("mssql"), &format!("write_method: {method}\nprimary_key: [id, n]\n")).run(0);
            let found = base.rows("SELECT id, n, note FROM orders ORDER BY id, n");
            assert_eq!(
                found,
                [row(1, Some(1), Some("e")), row(1, Some(2), Some("b")), row(2, Some(1), Some("d"))],
                "{} {method}",
                base.name()
            );
        }
    }
}

#[test]
fn rows_that_the_database_refuses_are_found_and_the_rest_loads() {
    let bad = |row: usize| row % 100 == 7;
    let csv = |row: usize| match (bad(row), row % 400) {
        (true, 7) => format!("{row},,a\n"),
        (true, 107) => format!("{row},-1,a\n"),
        (true, 207) => format!("{},5,a\n", row - 1),
        (true, _) => format!("{row},5,much too long\n"),
        _ => format!("{row},5,\u{e4}\n"),
    };
    let csv = format!("id,n,note\n{}", (1..=3000).map(csv).collect::<String>());
    for base in Base::all() {
        for method in ["insert", "upsert", "replace"] {
            base.sql("DROP TABLE IF EXISTS orders");
            base.sql(
                "CREATE TABLE orders (id int PRIMARY KEY, n int NOT NULL CHECK (n > 0), note varchar(5) CONSTRAINT length_check CHECK (length(note) < 6))",
            );
            let pipeline = pipeline(&csv, &base.url("mssql"), &format!("primary_key: id\nwrite_method: {method}\n"));
            let pipeline = pipeline.with("settings.yaml", "max_error_ratio: 1.0\n");
            let report = pipeline.run(0);
            let what = format!("{} {method} {report}", base.name());
            let repeats = |row: usize| bad(row) && row % 400 == 207;
            let expected: Vec<u64> =
                (1..=3000).filter(|row| bad(*row) && (!repeats(*row) || method == "insert")).map(|row| row as u64).collect();
            let mut letters: Vec<(u64, String)> = pipeline
                .letters()
                .iter()
                .map(|letter| (letter["metadata"]["row"].as_u64().unwrap(), letter["error_type"].as_str().unwrap().to_owned()))
                .collect();
            letters.sort();
            assert_eq!(letters.iter().map(|(row, _)| *row).collect::<Vec<_>>(), expected, "{what}");
            assert_eq!(base.rows("SELECT count(*) AS n FROM orders"), [json!({"n": 2970})], "{what}");
            let code = |row: u64| letters.iter().find(|(number, _)| *number == row).map(|(_, code)| code.as_str());
            assert_eq!((code(7), code(107)), (Some("not_null_violation"), Some("check_violation")), "{what}");
            let too_long = if base.name() == "SQLite" { "check_violation" } else { "string_too_long" };
            assert_eq!(code(307), Some(too_long), "{what}");
            if method == "insert" {
                assert_eq!(code(207), Some("unique_violation"), "{what}");
            }
        }
    }
}

#[test]
fn all_common_types_arrive_as_what_they_are() {
    let Some(base) = Base::postgres() else { return };
    let columns = "id int PRIMARY KEY, small smallint, big bigint, single real, double double precision, exact numeric(30,10), truth boolean, \
                   day date, clock time, moment timestamp, instant timestamptz, word varchar(40), long text, bytes bytea, uid uuid, doc jsonb";
    base.sql(&format!("CREATE TABLE given ({columns}); CREATE TABLE orders ({columns})"));
    base.sql(
        "INSERT INTO given VALUES (1, -32768, 9007199254740993, 1.5, 1e300, 12345678901234567890.0123456789, true, '0001-01-01', '23:59:59.000001',
             '2024-02-29 12:34:56.789012', '2024-02-29 12:00:00+02', 'aß€😀', repeat('lö', 60000), '\\x00ff', '00000000-0000-0000-0000-00000000abcd',
             '{\"a\": [1, null]}'),
             (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
             (3, 0, -1, 0, -1.5, -0.0000000001, false, '9999-12-31', '00:00:00', '1969-12-31 23:59:59.999999', '1970-01-01 00:00:00+00', '', '', '', NULL, '[]')",
    );
    let Base::Postgres(database) = &base else { unreachable!("it is PostgreSQL") };
    for (method, rows) in [("insert", 3), ("upsert", 3), ("replace", 3), ("delete", 0)] {
        let extract = json!({"type": "database", "connection_string": database.url(), "query": "SELECT * FROM given"});
        let load = json!({"type": "database", "table": "orders", "connection_string": base.url("mssql"), "primary_key": "id", "write_method": method});
        let pipeline = Pipeline::new().with("extract.yaml", extract.to_string()).with("load.yaml", load.to_string());
        pipeline.run(0);
        assert!(pipeline.letters().is_empty(), "{method} {:?}", pipeline.letters());
        assert_eq!(database.sql("SELECT count(*) FROM orders"), format!("{rows}\n"), "{method}");
        assert_eq!(database.sql("SELECT * FROM orders EXCEPT SELECT * FROM given"), "", "{method}");
    }
}

#[test]
fn a_table_that_is_missing_is_made_and_gets_new_columns() {
    let Some(base) = Base::sqlite() else { return };
    // Its file takes types of any name, so that those of Oracle are written down at least.
    let load = "primary_key: id\n";
    pipeline("id,at,price\n1,2024-02-29,1.5\n", &base.url("oracle"), load).with("transform.yaml", "convert: {at: date}\n").run(0);
    pipeline("id,at,price,word\n2,2024-03-01,2.5,new\n", &base.url("oracle"), load).with("transform.yaml", "convert: {at: date}\n").run(0);
    let found = base.rows("SELECT * FROM orders ORDER BY id");
    assert_eq!(found.iter().map(|row| row["WORD"].clone()).collect::<Vec<_>>(), [Value::Null, json!("new")], "{found:?}");
    let made = base.rows("SELECT sql FROM sqlite_master WHERE name = 'ORDERS'");
    let expected =
        "CREATE TABLE \"ORDERS\" (\"ID\" number(19) NOT NULL, \"AT\" date, \"PRICE\" binary_double, \"WORD\" clob, PRIMARY KEY (\"ID\"))";
    let flat = |text: &str| text.replace(", \"WORD\" clob", "").replace(' ', "");
    assert_eq!(flat(made[0]["sql"].as_str().unwrap()), flat(expected));
    let never = run(
        &pipeline(ORDERS, &base.url("mssql"), "create_table: never\n")
            .with("load.yaml", format!("type: mssql\ntable: none\ncreate_table: never\nconnection_string: {}\n", base.url("mssql"))),
        &[],
    );
    assert!(never.code == 2 && never.stderr.contains("there is no table `none`"), "{never:?}");
}

#[test]
fn a_load_that_is_killed_and_gone_on_with_neither_loses_nor_doubles_rows() {
    let csv = format!("id,n,note\n{}", (1..=3000).map(|id| format!("{id},{},x\n", if id % 500 == 0 { -1 } else { 1 })).collect::<String>());
    for base in Base::all() {
        // SQLite's tokens are made in the words of Oracle too.
        let schemes: &[&str] = if base.name() == "SQLite" { &["mssql", "oracle"] } else { &["mssql"] };
        for (scheme, step) in
            schemes.iter().flat_map(|scheme| ["table.token", "table.settled", "table.committed"].map(|step| (scheme, step)))
        {
            base.sql("DROP TABLE IF EXISTS orders");
            base.sql("DROP TABLE IF EXISTS etl_host_tokens");
            base.sql("CREATE TABLE orders (id int, n int CHECK (n > 0), note varchar(20))");
            let pipeline = pipeline(&csv, &base.url(scheme), "write_method: insert\n")
                .with("extract.yaml", "path: in.csv\nbatch_size: 200\ncheckpoint: {enabled: true, interval: 1}\n")
                .with("transform.yaml", "jsonata: {mode: batch, expression: \"$\"}\n");
            let state = TempDir::new().unwrap();
            let mut kills = 0;
            loop {
                let mut command = pipeline.command(&["run", "--quiet"]);
                if kills > 0 {
                    command.arg("--resume");
                }
                let every = if step == "table.committed" { 1 } else { 3 };
                let ran = answer(command.env("ETL_HOST_CHECKPOINT_DIR", state.path()).env("ETL_HOST_CRASH_AT", format!("{step}:{every}")));
                if ran.code == 0
                    || ran.code != -1 && kills > 0 && step == "table.committed" && ran.stderr.contains("there is no checkpoint")
                {
                    break;
                }
                assert_eq!(ran.code, -1, "{} {scheme} {step} {ran:?}", base.name());
                kills += 1;
                assert!(kills < 100, "{} {scheme} {step}: the run does not end", base.name());
                if step == "table.committed" && kills == 1 {
                    let ran = answer(pipeline.command(&["run", "--quiet", "--resume"]).env("ETL_HOST_CHECKPOINT_DIR", state.path()));
                    assert_eq!(ran.code, 0, "{ran:?}");
                    break;
                }
            }
            assert!(kills >= 1, "{} {scheme} {step}: {kills}", base.name());
            let found = base.rows("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM orders");
            assert_eq!(found, [json!({"n": 2994, "ids": 2994})], "{} {scheme} {step} after {kills} kills", base.name());
            assert_eq!(pipeline.letters().len(), 6, "{} {scheme} {step}", base.name());
        }
    }
}

#[test]
fn what_is_not_there_for_odbc_is_refused_with_what_to_do() {
    let Some(base) = Base::sqlite() else { return };
    base.sql("CREATE TABLE orders (id int, n int, note varchar(20))");
    let merge = run(&pipeline(ORDERS, &base.url("mssql"), "merge: [{into: canonical, key: [id]}]\n"), &[]);
    assert!(merge.code == 2 && merge.stderr.contains("`merge` is not there for Microsoft SQL Server and Oracle"), "{merge:?}");
    let view = run(&pipeline(ORDERS, &base.url("mssql"), "publish: [totals]\n"), &[]);
    assert!(view.code == 2 && view.stderr.contains("only PostgreSQL has views that are refreshed"), "{view:?}");
    let upsert = run(&pipeline(ORDERS, &base.url("mssql"), "primary_key: id\n"), &[]);
    assert!(upsert.code == 2 && upsert.stderr.contains("needs a unique index on its key"), "{upsert:?}");
}

#[test]
fn what_is_published_runs_after_the_commit_and_a_dry_run_changes_nothing() {
    for base in Base::all() {
        base.sql("CREATE TABLE orders (id int PRIMARY KEY, n int, note varchar(20))");
        base.sql("CREATE TABLE totals (n int)");
        let pipeline = pipeline(ORDERS, &base.url("mssql"), "primary_key: id\npublish: [INSERT INTO totals SELECT count(*) FROM orders]\n");
        assert_eq!(pipeline.answer(&["run", "--dry-run"]).code, 0);
        assert_eq!(base.rows("SELECT count(*) AS n FROM orders"), [json!({"n": 0})], "{}", base.name());
        pipeline.run(0);
        assert_eq!(base.rows("SELECT n FROM totals"), [json!({"n": 3})], "{}", base.name());
    }
}
