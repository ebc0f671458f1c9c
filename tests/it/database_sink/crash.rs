//! Loads that keep checkpoints and are killed: the same rows, dead letters and counts as without a kill.
//!
//! `ETL_CRASH_KILLS` and `ETL_CRASH_SEED` as for files.

use std::time::Instant;

use super::{Kind, Place, every};
use crate::crash::kills::{Moments, USUAL, for_so_long, number};
use crate::crash::pipelines::{self, Came, SIMPLE, assert_same, came, ran, report, run};
use crate::support::Pipeline;

/// Rows come into this table, which refuses some; a row that came twice would be there twice.
const TABLE: &str = "DROP TABLE IF EXISTS orders; DROP TABLE IF EXISTS etl_host_tokens; \
     CREATE TABLE orders (id bigint, price double precision CHECK (price < 976), quantity bigint, place varchar(20), at varchar(40), label varchar(80))";

const LOADS: [&str; 2] = ["write_method: insert\n", "write_method: truncate_and_load\n"];

fn pipeline(place: &Place, load: &str, rows: usize) -> Pipeline {
    place.sql(TABLE);
    place.sql("INSERT INTO orders (id, label) VALUES (-1, 'old')");
    let load = format!("type: database\ntable: orders\nconnection_string: {}\n{load}", place.url());
    pipelines::Kind { transform: SIMPLE, load: "path: unused\n", old_output: None, rows, in_bucket: false }
        .pipeline()
        .with("load.yaml", load)
}

/// What is there, and what the report says.
fn loaded(place: &Place, pipeline: &Pipeline, report: &serde_json::Value) -> Came {
    let mut came = came(pipeline, report);
    came.output.insert("orders".into(), place.sql("SELECT * FROM orders ORDER BY id, at").into_bytes());
    came.counts["tables"] = report["output"]["tables"].clone();
    came
}

fn killed_at_any_moment(place: &Place, load: &str, rows: usize) {
    let undisturbed = pipeline(place, load, rows);
    assert_eq!(ran(&undisturbed, &["--dry-run"]).code, 0);
    let clock = Instant::now();
    let done = ran(&undisturbed, &[]);
    let duration = clock.elapsed();
    assert_eq!(done.code, 0, "{done:?}");
    let expected = loaded(place, &undisturbed, &report(&done));
    assert!(expected.letters.len() > 10, "{:?}", expected.counts);
    let wanted = number("ETL_CRASH_KILLS", USUAL);
    let mut moments = Moments(number("ETL_CRASH_SEED", 1));
    let (mut kills, mut gone_on) = (0, 0);
    while kills < wanted {
        let pipeline = pipeline(place, load, rows);
        let mut arguments: &[&str] = &[];
        let done = loop {
            match for_so_long(&mut run(&pipeline, arguments), moments.within(duration)) {
                Some(done) if done.code == 0 => break done,
                Some(done) if done.stderr.contains("there is no checkpoint") => arguments = &[],
                Some(done) => panic!("after {kills} kills: {done:?}"),
                None => {
                    kills += 1;
                    arguments = &["--resume"];
                }
            }
        };
        let report = report(&done);
        gone_on += report["checkpoint"]["resumed"].as_u64().unwrap();
        assert_same(&loaded(place, &pipeline, &report), &expected, &format!("{:?} {load}, after {kills} kills", place.kind()));
        assert_eq!(place.sql("SELECT count(*) FROM etl_host_tokens"), "0\n");
    }
    assert!(gone_on > 0, "no run was gone on with");
    #[expect(clippy::print_stdout, reason = "whoever asks for many kills wants to know how many there were")]
    if wanted > USUAL {
        println!("{:?} {load}: {kills} kills, {gone_on} times gone on, no difference", place.kind());
    }
}

fn loads_survive_kills(kind: Kind) {
    for place in every().into_iter().filter(|place| place.kind() == kind) {
        killed_at_any_moment(&place, LOADS[0], 60_000);
        killed_at_any_moment(&place, LOADS[1], 20_000);
    }
}

#[test]
fn loads_into_postgresql_survive_kills() {
    loads_survive_kills(Kind::Postgres);
}

#[test]
fn loads_into_mariadb_survive_kills() {
    loads_survive_kills(Kind::Mariadb);
}

#[test]
fn loads_into_sqlite_survive_kills() {
    loads_survive_kills(Kind::Sqlite);
}

/// The steps, and how many times at most the process gets past one before it is killed there.
const STEPS: [(&str, u32); 12] = [
    ("run.marked", 1),
    ("checkpoint.synced", 3),
    ("checkpoint.renamed", 3),
    ("flush.due", 2),
    ("flush.done", 2),
    ("table.token", 3),
    ("table.settled", 3),
    ("run.committing", 1),
    ("letters.appended", 1),
    ("table.committed", 1),
    ("run.noted", 1),
    ("run.cleared", 1),
];

#[test]
fn loads_survive_a_kill_at_each_step() {
    for place in every() {
        let load = LOADS[0];
        let undisturbed = pipeline(&place, load, 20_000);
        let done = ran(&undisturbed, &[]);
        assert_eq!(done.code, 0, "{done:?}");
        let expected = loaded(&place, &undisturbed, &report(&done));
        let mut kills = 0;
        for (step, most) in STEPS {
            for times in 1..=most {
                let pipeline = pipeline(&place, load, 20_000);
                let mut command = run(&pipeline, &[]);
                let status = command.env("ETL_HOST_CRASH_AT", format!("{step}:{times}")).output().unwrap().status;
                let when = format!("{:?}, killed at {step}:{times}", place.kind());
                assert!(matches!(status.code(), None | Some(0)), "{when}: {status}");
                if status.code().is_some() {
                    break;
                }
                kills += 1;
                let is_checkpoint = |name: &String| name.ends_with("/current") || name.ends_with("/previous");
                let resume: &[&str] = if pipeline.names().iter().any(is_checkpoint) { &["--resume"] } else { &[] };
                let done = ran(&pipeline, resume);
                assert_eq!(done.code, 0, "{when}: {done:?}");
                assert_same(&loaded(&place, &pipeline, &report(&done)), &expected, &when);
                let again = ran(&pipeline, &["--resume"]);
                assert!(again.stderr.starts_with("already complete: run `"), "{when}: {again:?}");
                assert_same(&loaded(&place, &pipeline, &report(&again)), &expected, &when);
                assert_eq!(place.sql("SELECT count(*) FROM etl_host_tokens"), "0\n", "{when}");
            }
        }
        assert!(kills >= 15, "{:?}: only {kills} kills", place.kind());
    }
}

#[test]
fn a_load_without_checkpoints_that_is_killed_leaves_nothing() {
    for place in every() {
        let pipeline = pipeline(&place, LOADS[1], 20_000).with("extract.yaml", "path: orders.csv\n");
        let mut command = run(&pipeline, &[]);
        let status = command.env("ETL_HOST_CRASH_AT", "run.committing:1").output().unwrap().status;
        assert_eq!(status.code(), None, "{:?}", place.kind());
        assert_eq!(place.sql("SELECT id, label FROM orders"), "-1|old\n", "{:?}", place.kind());
    }
}
