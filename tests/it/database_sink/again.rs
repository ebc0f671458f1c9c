//! What is done once more: a load whose server went away, letters that are replayed. And what is never seen: passwords.

use std::process::Stdio;

use serde_json::Value;

use super::{Kind, every, letters, pipeline};
use crate::servers::{mariadb, postgres, until};
use crate::support::{Answer, Pipeline, answer, program};

/// A server that is stopped and started again.
pub(crate) trait Restarts {
    fn stop(&mut self);
    fn resume(&mut self);
    /// Runs SQL on the database that is loaded; answers the values of rows, with one blank between any two.
    fn values(&self, sql: &str) -> String;
    /// SQL that has a load of the table `orders` take a while.
    const SLOW: &str;
}

impl Restarts for postgres::Server {
    fn stop(&mut self) {
        self.stop();
    }

    fn resume(&mut self) {
        self.resume();
    }

    fn values(&self, sql: &str) -> String {
        self.sql("postgres", sql).trim().replace('|', " ")
    }

    const SLOW: &str = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END$$; \
        CREATE TRIGGER slow BEFORE INSERT ON orders FOR EACH ROW WHEN (NEW.id % 1000 = 0) EXECUTE FUNCTION slow()";
}

impl Restarts for mariadb::Server {
    fn stop(&mut self) {
        self.stop();
    }

    fn resume(&mut self) {
        self.resume();
    }

    fn values(&self, sql: &str) -> String {
        self.sql("shop", sql).trim().replace('\t', " ")
    }

    const SLOW: &str = "CREATE TRIGGER slow BEFORE INSERT ON orders FOR EACH ROW DO SLEEP(IF(NEW.id % 100 = 0, 0.002, 0))";
}

/// Stops the server of a load in its middle and starts it again; answers what the run came to and said. `connection` leads to the server.
pub(crate) fn survives_a_restart<S: Restarts>(mut server: S, connection: &str, count: u32) -> (Value, String) {
    let rows: String = (0..count).map(|row| format!("{row},x\n")).collect();
    let pipeline = Pipeline::new()
        .with("in.csv", format!("id,note\n{rows}"))
        .with("extract.yaml", "path: in.csv\nbatch_size: 1000\ncheckpoint: {enabled: true, interval: 2}\n")
        .with("load.yaml", format!("type: database\ntable: orders\nconnection_string: {connection}\nwrite_method: insert\n"));
    server.values("CREATE TABLE orders (id bigint, note varchar(9))");
    server.values(S::SLOW);
    let mut command = pipeline.command(&["run", "--json"]);
    let run = command.env("ETL_HOST_STATE_DIR", pipeline.path("state")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until(|| server.values("SELECT count(*) FROM orders") != "0");
    server.stop();
    server.resume();
    let done = run.wait_with_output().unwrap();
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(0), "{stderr}");
    let there = server.values("SELECT count(*), count(DISTINCT id) FROM orders");
    assert_eq!(there, format!("{count} {count}"), "{stderr}");
    (serde_json::from_slice(&done.stdout).unwrap(), stderr)
}

#[test]
fn a_server_that_is_stopped_and_started_in_mid_run_is_survived() {
    let Some(server) = postgres::Server::start() else { return };
    let url = server.url("postgres");
    let (report, told) = survives_a_restart(server, &url, 150_000);
    assert_eq!(report["rows"]["loaded"], 150_000, "{report}");
    assert!(told.contains("the database went away"), "{told}");
    let Some(server) = mariadb::Server::start() else { return };
    server.sql("mysql", "CREATE DATABASE shop");
    let url = server.url("shop");
    let (report, told) = survives_a_restart(server, &url, 150_000);
    assert_eq!(report["rows"]["loaded"], 150_000, "{report}");
    assert!(told.contains("the database went away"), "{told}");
}

fn ask(pipeline: &Pipeline, arguments: &[&str]) -> Answer {
    answer(program().current_dir(pipeline.path("")).env("ETL_HOST_STATE_DIR", pipeline.path("state")).args(arguments))
}

/// As [`ask`], and tells all it can of what it does.
pub(super) fn trace(pipeline: &Pipeline, arguments: &[&str]) -> Answer {
    let mut program = program();
    program.current_dir(pipeline.path("")).env("ETL_HOST_STATE_DIR", pipeline.path("state")).env("ETL_HOST_LOG", "trace");
    answer(program.args(arguments))
}

#[test]
fn letters_are_replayed_into_a_table_once() {
    for place in every() {
        place.sql(
            "CREATE TABLE notes (note varchar(9) PRIMARY KEY); INSERT INTO notes VALUES ('a'); \
             CREATE TABLE orders (id int, note varchar(9), FOREIGN KEY (note) REFERENCES notes (note))",
        );
        let pipeline = pipeline("id,note\n1,a\n2,z\n3,y\n4,a\n", &place, "write_method: truncate_and_load\n");
        assert_eq!(pipeline.run(0)["rows"]["loaded"], 2);
        assert_eq!(letters(&pipeline).len(), 2);
        place.sql("INSERT INTO notes VALUES ('z')");
        let replayed = ask(&pipeline, &["dlq", "replay", ".", "--json"]);
        let report: Value = serde_json::from_str(&replayed.stdout).unwrap_or_else(|_| panic!("{replayed:?}"));
        assert_eq!((&report["settled"]["resolved"], &report["settled"]["refused_again"]), (&1.into(), &1.into()), "{replayed:?}");
        assert_eq!(place.sql("SELECT id, note FROM orders ORDER BY id"), "1|a\n2|z\n4|a\n", "{:?}", place.kind());
        // Killed behind the commit, it knows that the row has arrived.
        place.sql("INSERT INTO notes VALUES ('y')");
        let mut killed = program();
        killed.current_dir(pipeline.path("")).env("ETL_HOST_STATE_DIR", pipeline.path("state")).env("ETL_HOST_CRASH_AT", "table.settled:1");
        assert_eq!(answer(killed.args(["dlq", "replay", ".", "--json"])).code, -1);
        let settled = ask(&pipeline, &["dlq", "replay", ".", "--json"]);
        let report: Value = serde_json::from_str(&settled.stdout).unwrap_or_else(|_| panic!("{settled:?}"));
        assert_eq!(report["interrupted"]["resolved"], 1, "{settled:?}");
        assert_eq!(place.sql("SELECT id, note FROM orders ORDER BY id"), "1|a\n2|z\n3|y\n4|a\n", "{:?}", place.kind());
        assert_eq!(place.sql("SELECT count(*) FROM etl_host_tokens"), "0\n");
    }
}

#[test]
fn a_password_is_never_seen() {
    for place in every().into_iter().filter(|place| place.kind() != Kind::Sqlite) {
        let password = if place.kind() == Kind::Postgres { postgres::PASSWORD } else { mariadb::PASSWORD };
        place.sql("CREATE TABLE orders (id int PRIMARY KEY, n int NOT NULL)");
        let pipeline = pipeline("id,n\n1,1\n2,\n", &place, "write_method: insert\n")
            .with("extract.yaml", "path: in.csv\ncheckpoint: {enabled: true, interval: 1}\n");
        let wrong = pipeline.read("load.yaml").replace(&place.url(), &place.url().replace("127.0.0.1:", "127.0.0.1:1"));
        let pipeline = pipeline.with("wrong.yaml", wrong).with("never.yaml", pipeline_never(&place.url()));
        for (arguments, code) in [
            (&["plan", "."][..], 0),
            (&["plan", ".", "--json"], 0),
            (&["check", "."], 0),
            (&["run", ".", "--json"], 0),
            (&["run", ".", "--load", "never.yaml", "--checkpoint-id", "other"], 2),
            (&["run", ".", "--load", "wrong.yaml", "--checkpoint-id", "third"], 3),
            (&["history"], 0),
            (&["history", "--json"], 0),
        ] {
            let answer = trace(&pipeline, arguments);
            let all = format!("{}{}", answer.stdout, answer.stderr);
            assert!(!all.contains(password), "{arguments:?}: {all}");
            assert!(answer.code == code || arguments[0] == "run", "{arguments:?}: {answer:?}");
        }
        for name in pipeline.names().iter().filter(|name| !name.ends_with(".yaml")) {
            let bytes = std::fs::read(pipeline.path(name)).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains(password), "{name}");
        }
    }
}

fn pipeline_never(url: &str) -> String {
    format!("type: database\ntable: nowhere\ncreate_table: never\nconnection_string: {url}\n")
}

#[test]
fn thresholds_over_all_rows_and_checkpoints_do_not_go_together() {
    for place in every() {
        let pipeline = pipeline("id\n1\n", &place, "write_method: insert\n")
            .with("extract.yaml", "path: in.csv\ncheckpoint: {enabled: true, interval: 1}\n")
            .with("transform.yaml", "validate: {rules: {id: {required: true}}, thresholds: {error_rate: 0.1}}\n");
        let answer = ask(&pipeline, &["run", "."]);
        assert_eq!(answer.code, 2, "{answer:?}");
        assert!(answer.stderr.contains("with checkpoints a table shows rows before all are judged"), "{answer:?}");
    }
}
