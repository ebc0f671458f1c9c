//! Runs that are killed and gone on with, and servers that go away and come back.

use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::{Base, pipeline, rows, run};
use crate::servers::{mariadb, postgres};
use crate::support::{Answer, Pipeline, answer};

fn with_checkpoints(base: &Base, query: &str, key: &str) -> Pipeline {
    let more = json!({"cursor_field": key, "batch_size": 100, "checkpoint": {"enabled": true, "interval": 1}});
    // A step that sees batches, so that they are of the size that is asked for.
    base.pipeline(query, &more).with("transform.yaml", "jsonata: {mode: batch, expression: \"$\"}\n")
}

/// Kills the run at every step, and goes on with it until it is done; answers how often.
fn killed_at_every_step(pipeline: &Pipeline, step: &str, every: usize) -> usize {
    let state = TempDir::new().unwrap();
    for kills in 0..200 {
        let mut command = pipeline.command(&["run", "--quiet"]);
        if kills > 0 {
            command.arg("--resume");
        }
        command.env("ETL_HOST_CHECKPOINT_DIR", state.path()).env("ETL_HOST_CRASH_AT", format!("{step}:{every}"));
        let ran = answer(&mut command);
        if ran.code == 0 {
            return kills;
        }
        assert_eq!(ran.code, -1, "{ran:?}");
    }
    panic!("the run does not end");
}

#[test]
fn a_killed_run_goes_on_behind_the_last_row_and_loses_and_doubles_none() {
    for base in Base::all() {
        base.fill(2000);
        base.sql("CREATE TABLE ties (id bigint, day date, word varchar(20), n decimal(9,2))");
        let day = match &base {
            Base::Postgres(_) => "date '2024-01-01' + (id / 150)::int",
            Base::Mariadb(_) => "date_add('2024-01-01', interval id div 150 day)",
            Base::Sqlite(_) => "date('2024-01-01', '+' || (id / 150) || ' days')",
        };
        // Values that many rows share, none at all for some, words that are equal in some languages.
        base.sql(&format!(
            "INSERT INTO ties SELECT id, CASE WHEN id < 130 THEN NULL ELSE {day} END,
             CASE id % 4 WHEN 0 THEN 'a' WHEN 1 THEN 'A' WHEN 2 THEN NULL ELSE 'é' END, id % 7 + 0.5 FROM t"
        ));
        // Wide enough for many chunks.
        let wide = if base.name() == "SQLite" { "printf('%8000s', 'x')" } else { "repeat('x', 8000)" };
        for (table, key) in [("t", "id"), ("t", "text"), ("ties", "day"), ("ties", "word"), ("ties", "n")] {
            if base.name() == "SQLite" && key == "n" {
                // It has no decimals.
                continue;
            }
            let pipeline = with_checkpoints(&base, &format!("SELECT {table}.*, {wide} AS wide FROM {table}"), key);
            let kills = killed_at_every_step(&pipeline, "flush.done", 3);
            assert!(kills >= 4, "{} {key}: {kills}", base.name());
            let mut ids: Vec<i64> = rows(&pipeline).iter().map(|row| row["id"].as_i64().unwrap()).collect();
            ids.sort_unstable();
            assert!(ids.iter().copied().eq(1..=2000), "{} {key}: {} rows", base.name(), ids.len());
        }
    }
}

/// Runs it until it is killed after some rows, so that it can be gone on with from `state`.
fn killed_once(pipeline: &Pipeline, state: &TempDir) {
    let mut command = pipeline.command(&["run", "--quiet"]);
    let killed = answer(command.env("ETL_HOST_CHECKPOINT_DIR", state.path()).env("ETL_HOST_CRASH_AT", "flush.done:3"));
    assert_eq!(killed.code, -1, "{killed:?}");
}

fn gone_on_with(pipeline: &Pipeline, state: &TempDir) -> Answer {
    answer(pipeline.command(&["run", "--quiet", "--resume"]).env("ETL_HOST_CHECKPOINT_DIR", state.path()))
}

#[test]
fn a_row_that_differs_each_time_it_is_read_is_known_by_its_key() {
    for base in Base::all() {
        base.fill(2000);
        let (wide, now) = match &base {
            Base::Postgres(_) => ("repeat('x', 8000)", "clock_timestamp()"),
            Base::Mariadb(_) => ("repeat('x', 8000)", "uuid()"),
            Base::Sqlite(_) => ("printf('%8000s', 'x')", "hex(randomblob(8))"),
        };
        let volatile = with_checkpoints(&base, &format!("SELECT id, {now} AS loaded, {wide} AS wide FROM t"), "id");
        assert!(killed_at_every_step(&volatile, "flush.done", 3) >= 4, "{}", base.name());
        let ids = || rows(&volatile).iter().map(|row| row["id"].as_i64().unwrap()).collect::<Vec<_>>();
        assert_eq!(ids(), (1..=2000).collect::<Vec<_>>(), "{}", base.name());

        // Every row is changed while nobody reads.
        let plain = with_checkpoints(&base, &format!("SELECT id, text, {wide} AS wide FROM t"), "id");
        let state = TempDir::new().unwrap();
        killed_once(&plain, &state);
        base.sql("UPDATE t SET text = 'changed'");
        let done = gone_on_with(&plain, &state);
        assert_eq!(done.code, 0, "{} {done:?}", base.name());
        let ids: Vec<i64> = rows(&plain).iter().map(|row| row["id"].as_i64().unwrap()).collect();
        assert_eq!(ids, (1..=2000).collect::<Vec<_>>(), "{}", base.name());
    }
}

#[test]
fn days_and_times_of_every_age_are_found_again_in_postgresql() {
    for base in Base::all().into_iter().filter(|base| base.name() == "PostgreSQL") {
        let query = |day: &str| format!("SELECT id, {day} AS day, repeat('x', 8000) AS wide FROM t");
        base.fill(2000);
        for day in [
            "date '0003-01-01' - id::int",
            "timestamp '9999-12-30' + id * interval '1 hour'",
            "timestamptz '0001-02-01Z' - id * interval '1 day'",
        ] {
            let pipeline = with_checkpoints(&base, &query(day), "day");
            assert!(killed_at_every_step(&pipeline, "flush.done", 3) >= 4, "{day}");
            let mut ids: Vec<i64> = rows(&pipeline).iter().map(|row| row["id"].as_i64().unwrap()).collect();
            ids.sort_unstable();
            assert!(ids.iter().copied().eq(1..=2000), "{day}: {} rows", ids.len());
        }
    }
}

#[test]
fn among_rows_of_one_key_new_ones_are_taken() {
    for base in Base::all() {
        base.fill(2000);
        base.sql("CREATE TABLE ties (id bigint, day int, word varchar(20)); INSERT INTO ties SELECT id, id / 25, 'a' FROM t");
        let wide = if base.name() == "SQLite" { "printf('%8000s', 'x')" } else { "repeat('x', 8000)" };
        let grown = with_checkpoints(&base, &format!("SELECT id, day, word, {wide} AS wide FROM ties"), "day");
        let state = TempDir::new().unwrap();
        killed_once(&grown, &state);
        // One more of each key, in front of all others for who sorts by it.
        base.sql("INSERT INTO ties SELECT -day, day, 'new' FROM (SELECT DISTINCT day FROM ties) AS days");
        let done = gone_on_with(&grown, &state);
        assert_eq!(done.code, 0, "{} {done:?}", base.name());
        let mut ids: Vec<i64> = rows(&grown).iter().map(|row| row["id"].as_i64().unwrap()).filter(|id| *id > 0).collect();
        ids.sort_unstable();
        assert_eq!(ids, (1..=2000).collect::<Vec<_>>(), "{}", base.name());
        assert!(rows(&grown).len() > 2000, "{}", base.name());
    }
}

#[test]
fn a_query_without_a_key_keeps_no_checkpoints() {
    for base in Base::all() {
        base.fill(10);
        let more = json!({"checkpoint": {"enabled": true}});
        let answer = base.pipeline("SELECT * FROM t", &more).answer(&["check"]);
        let refused = run(&base.pipeline("SELECT * FROM t", &more), &[]);
        for said in [&answer.stderr, &refused.stderr] {
            assert!(
                said.contains("a query that has no `cursor_field`") && said.contains("cursor_field: id"),
                "{} {answer:?} {refused:?}",
                base.name()
            );
        }
        assert_eq!((answer.code, refused.code), (2, 2), "{}", base.name());
        let float = base.pipeline("SELECT id, 0.5e0 AS f FROM t", &json!({"cursor_field": "f"}));
        let refused = run(&float, &[]);
        assert!(refused.code == 2 && refused.stderr.contains("rows cannot be found again by that"), "{} {refused:?}", base.name());
    }
}

/// Runs a pipeline of very many rows, and lets `disturb` happen once the first came.
pub(crate) fn disturbed(pipeline: &Pipeline, disturb: impl FnOnce()) -> crate::support::Answer {
    let mut child = pipeline.command(&["run", "--progress", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    // Progress tells that rows come.
    while !String::from_utf8_lossy(&said).contains("\"stage\":\"transform\"") {
        let read = stderr.read(&mut buffer).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&buffer[..read]);
    }
    disturb();
    stderr.read_to_end(&mut said).unwrap();
    let output = child.wait_with_output().unwrap();
    crate::support::Answer {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(said).unwrap(),
    }
}

#[test]
fn a_server_that_goes_and_comes_back_costs_a_keyed_run_nothing() {
    let many = 400_000;
    /// Starts or stops a server; its URL; what it is.
    type Switched = (Box<dyn FnMut(bool)>, String, &'static str);
    let mut servers: Vec<Switched> = Vec::new();
    if let Some(server) = postgres::Server::start() {
        server.sql(
            "postgres",
            &format!("CREATE TABLE t AS SELECT n AS id, repeat('x', 200) AS text FROM generate_series(1, {many}) AS s(n)"),
        );
        let url = server.url("postgres");
        let mut server = server;
        servers.push((Box::new(move |up| if up { server.resume() } else { server.stop() }), url, "PostgreSQL"));
    }
    if let Some(server) = mariadb::Server::start() {
        server.sql("mysql", "CREATE DATABASE d");
        server.sql("d", &format!("CREATE TABLE t AS SELECT seq AS id, repeat('x', 200) AS text FROM seq_1_to_{many}"));
        let url = server.url("d");
        let mut server = server;
        servers.push((Box::new(move |up| if up { server.resume() } else { server.stop() }), url, "MariaDB"));
    }
    for (mut switch, url, name) in servers {
        let slow = "jsonata: {mode: batch, expression: \"$\"}\n";
        let keyed = pipeline(&url, "SELECT * FROM t", &json!({"cursor_field": "id"})).with("transform.yaml", slow);
        let keyed = keyed.with("settings.yaml", "max_retries: 5\n");
        let done = disturbed(&keyed, || {
            switch(false);
            switch(true);
        });
        assert_eq!(done.code, 0, "{name} {done:?}");
        assert!(done.stderr.contains("trying again"), "{name}: the server was gone too late");
        let ids = rows(&keyed).into_iter().map(|row| row["id"].as_i64().unwrap());
        assert!(ids.eq(1..=many), "{name}");
        let without = pipeline(&url, "SELECT * FROM t", &json!({})).with("transform.yaml", slow).with("settings.yaml", "max_retries: 5\n");
        let failed = disturbed(&without, || {
            switch(false);
            switch(true);
        });
        assert_eq!(failed.code, 3, "{name} {failed:?}");
        assert!(failed.stderr.contains("since it has no `cursor_field`"), "{name} {failed:?}");
        assert!(!without.path("out.jsonl").exists());
    }
}

#[test]
fn a_run_that_is_told_to_stop_ends_though_the_database_is_at_work() {
    for base in Base::all().into_iter().filter(|base| base.name() != "SQLite") {
        let sleep = if base.name() == "PostgreSQL" { "pg_sleep(1000)::text" } else { "sleep(1000)" };
        let endless = base.pipeline(&format!("SELECT {sleep} AS s"), &json!({}));
        let mut child = endless.command(&["run", "--quiet"]).stderr(Stdio::piped()).spawn().unwrap();
        let busy = || {
            match &base {
            Base::Postgres(database) => database.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(1000)%' AND state = 'active' AND query NOT LIKE '%pg_stat%'"),
            Base::Mariadb(database) => database.sql("SELECT count(*) FROM information_schema.processlist WHERE db = database() AND info LIKE 'SELECT sleep(1000)%'"),
            Base::Sqlite(_) => unreachable!("there is no server"),
        }
        };
        crate::servers::until(|| busy().trim() == "1");
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
        let started = std::time::Instant::now();
        let status = child.wait().unwrap();
        assert!(started.elapsed() < Duration::from_secs(20) && !status.success(), "{} {status:?}", base.name());
    }
}

#[test]
fn one_file_is_read_and_loaded_with_checkpoints_only_where_it_keeps_a_log() {
    let base = Base::all().into_iter().find(|base| base.name() == "SQLite").unwrap();
    base.fill(2000);
    base.sql("CREATE TABLE copy (id int, text varchar(20))");
    let load = format!("type: database\nconnection_string: {}\ntable: copy\nwrite_method: insert\n", base.url());
    let copied = with_checkpoints(&base, "SELECT id, text FROM t", "id").with("load.yaml", load);
    let state = TempDir::new().unwrap();
    let ran = || answer(copied.command(&["run", "--quiet"]).env("ETL_HOST_CHECKPOINT_DIR", state.path()));
    let refused = ran();
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("is read and loaded at once") && refused.stderr.contains("PRAGMA journal_mode = wal"), "{refused:?}");
    base.sql("PRAGMA journal_mode = wal");
    let done = ran();
    assert_eq!(done.code, 0, "{done:?}");
    let back = base.pipeline("SELECT id FROM copy ORDER BY id", &json!({}));
    assert_eq!(run(&back, &[]).code, 0);
    assert!(rows(&back).iter().map(|row| row["id"].as_i64().unwrap()).eq(1..=2000));
}
