//! Connections that do not come about, and secrets on the way.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::json;

use super::{Base, everything, has_driver, url};
use crate::database_source::{pipeline, run};
use crate::servers::{free_port, postgres};

#[test]
fn a_server_that_refuses_or_talks_nonsense_is_told_by_name() {
    if !has_driver("FreeTDS", "tdsodbc") {
        return;
    }
    let more = json!({});
    let refused = run(
        &pipeline(&format!("mssql+pyodbc://sa:tds-s3cret@127.0.0.1:{}/sales?driver=FreeTDS", free_port()), "SELECT 1 AS a", &more),
        &[],
    );
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.stderr.contains("cannot connect to `mssql+pyodbc://sa:***@127.0.0.1:"), "{refused:?}");
    assert!(refused.stderr.contains("is the server running, and are host and port right?"), "{refused:?}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let (mut stream, mut bytes) = (stream, [0; 8]);
                stream.read_exact(&mut bytes).ok();
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").ok();
            });
        }
    });
    let nonsense = run(
        &pipeline(&format!("mssql+pyodbc://sa:tds-s3cret@127.0.0.1:{port}/sales?driver=FreeTDS&connect_timeout=5"), "SELECT 1 AS a", &more),
        &[],
    );
    assert!(nonsense.code != 0 && nonsense.stderr.contains("cannot connect to"), "{nonsense:?}");
    assert!(!format!("{refused:?}{nonsense:?}").contains("tds-s3cret"), "{refused:?} {nonsense:?}");
}

#[test]
fn a_driver_that_is_not_there_is_answered_with_those_that_are() {
    if !has_driver("SQLite3", "libsqliteodbc") {
        return;
    }
    let answer = run(&pipeline(&url("mssql", "Driver={Cassandra};PWD={odbc;s3cret}"), "SELECT 1 AS a", &json!({})), &[]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("the ODBC drivers of this machine are:") && answer.stderr.contains("SQLite3"), "{answer:?}");
    assert!(answer.stderr.contains("Driver=Cassandra;PWD=***;") && !answer.stderr.contains("s3cret"), "{answer:?}");
}

#[test]
fn a_password_is_seen_nowhere() {
    let Some(base) = Base::postgres() else { return };
    base.sql("CREATE TABLE t (id int)");
    base.sql("INSERT INTO t VALUES (1)");
    let state = tempfile::TempDir::new().unwrap();
    let mut seen = String::new();
    for query in ["SELECT * FROM t", "SELECT * FROM none_such"] {
        for arguments in [&["run"][..], &["plan"], &["check"], &["preview"]] {
            let pipeline = base.pipeline(query, &json!({"cursor_field": "id", "checkpoint": {"enabled": true}}));
            let mut command = pipeline.command(arguments);
            command.env("ETL_HOST_STATE_DIR", state.path()).env("ETL_HOST_CHECKPOINT_DIR", state.path()).env("ETL_HOST_LOG", "trace");
            seen += &format!("{:?}", crate::support::answer(&mut command));
        }
    }
    let wrong = base.string().replace(postgres::PASSWORD, "odbc-wr0ng-word");
    let refused = run(&pipeline(&url("mssql", &wrong), "SELECT 1 AS a", &json!({})), &[]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("are user and password right?"), "{refused:?}");
    seen += &format!("{refused:?}{}", everything(state.path()));
    assert!(seen.contains("none_such"), "{seen}");
    for secret in [postgres::PASSWORD, "odbc-wr0ng-word", "pg%2Ds3cret", "wr0ng"] {
        assert!(!seen.contains(secret), "{secret}: {seen}");
    }
}
