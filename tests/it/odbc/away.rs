//! Servers that go away in mid-run and come back, and letters that are replayed.

use serde_json::{Value, json};

use super::{Base, has_driver, string, url};
use crate::database_sink::again::survives_a_restart;
use crate::database_source::interrupted::disturbed;
use crate::database_source::{pipeline, rows};
use crate::servers::postgres;
use crate::support::{Pipeline, answer, program};

fn server() -> Option<postgres::Server> {
    if has_driver("PostgreSQL Unicode", "odbc-postgresql") { postgres::Server::start() } else { None }
}

#[test]
fn a_server_that_goes_and_comes_back_costs_a_keyed_run_nothing() {
    let Some(mut server) = server() else { return };
    server.sql(
        "postgres",
        "CREATE TABLE t AS SELECT n AS id, repeat('x', 200)::varchar(200) AS text FROM generate_series(1, 200000) AS s(n)",
    );
    // Without these the driver has all rows before the first one is seen.
    let url = url("mssql", &(string(&server.url("postgres")).unwrap() + ";UseDeclareFetch=1;Fetch=100"));
    let slow = "jsonata: {mode: batch, expression: \"$\"}\n";
    let keyed = pipeline(&url, "SELECT * FROM t", &json!({"cursor_field": "id"})).with("transform.yaml", slow);
    let keyed = keyed.with("settings.yaml", "max_retries: 5\n");
    let done = disturbed(&keyed, || {
        server.stop();
        server.resume();
    });
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stderr.contains("trying again"), "the server was gone too late");
    assert!(!done.stderr.contains("panicked"), "{done:?}");
    assert!(rows(&keyed).into_iter().map(|row| row["id"].as_i64().unwrap()).eq(1..=200_000));
}

#[test]
fn a_server_that_is_stopped_and_started_in_mid_load_is_survived() {
    let Some(server) = server() else { return };
    let connection = url("mssql", &string(&server.url("postgres")).unwrap());
    let (_, stderr) = survives_a_restart(server, &connection, 40_000);
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn letters_are_replayed_into_a_table_once() {
    for base in Base::all() {
        base.sql("CREATE TABLE orders (id int, note varchar(9) CHECK (note <> 'z'))");
        let load = format!("type: database\ntable: orders\nconnection_string: {}\nwrite_method: insert\n", base.url("mssql"));
        let pipeline = Pipeline::new()
            .with("in.csv", "id,note\n1,a\n2,z\n3,z\n")
            .with("extract.yaml", "path: in.csv\n")
            .with("load.yaml", load)
            .with("settings.yaml", "max_error_ratio: 1.0\n");
        let ask = |arguments: &[&str], crash: Option<&str>| {
            let mut command = program();
            command.current_dir(pipeline.path("")).env("ETL_HOST_STATE_DIR", pipeline.path("state")).args(arguments);
            if let Some(step) = crash {
                command.env("ETL_HOST_CRASH_AT", step);
            }
            answer(&mut command)
        };
        assert_eq!(ask(&["run", "."], None).code, 0, "{}", base.name());
        assert_eq!(pipeline.letters().len(), 2, "{}", base.name());
        base.sql("DROP TABLE orders");
        base.sql("CREATE TABLE orders (id int, note varchar(9))");
        let replay = ["dlq", "replay", ".", "--json"];
        // Killed before the commit it has done nothing, behind the commit it knows that the rows have arrived.
        assert_eq!(ask(&replay, Some("table.token:1")).code, -1, "{}", base.name());
        assert_eq!(base.rows("SELECT count(*) AS n FROM orders"), [json!({"n": 0})], "{}", base.name());
        assert_eq!(ask(&replay, Some("table.settled:1")).code, -1, "{}", base.name());
        let settled = ask(&replay, None);
        let report: Value = serde_json::from_str(&settled.stdout).unwrap_or_else(|_| panic!("{} {settled:?}", base.name()));
        assert_eq!(report["interrupted"]["resolved"], 2, "{} {settled:?}", base.name());
        assert_eq!(base.rows("SELECT count(*) AS n FROM orders"), [json!({"n": 2})], "{}", base.name());
    }
}
