//! Storages that go away in the midst of a run and come back.

use std::thread;
use std::time::Duration;

use crate::servers::azure::Container;
use crate::servers::relay::Relay;
use crate::servers::s3::Bucket;
use crate::support::Pipeline;

/// Time for which a server is away that starts anew.
const AWAY: Duration = Duration::from_secs(12);

fn rows() -> String {
    let rows: String = (0..400_000_u32).map(|row| format!("{row},place {},{}.5\n", row % 7919, row % 97)).collect();
    format!("id,place,price\n{rows}")
}

/// Runs a pipeline whose storage is behind a relay that goes away; answers rows that were loaded.
fn run(pipeline: &Pipeline, relay: &Relay) -> u64 {
    thread::scope(|scope| {
        let loaded = scope.spawn(|| pipeline.run(0)["rows"]["loaded"].as_u64().unwrap());
        relay.until_away();
        // It is the time that counts.
        thread::sleep(AWAY);
        relay.come_back();
        loaded.join().unwrap()
    })
}

fn behind(relay: &Relay, port: u16, storage: &str) -> String {
    format!("type: cloud_storage\n{}", storage.replace(&format!(":{port}"), &format!(":{}", relay.port)))
}

#[test]
fn a_storage_that_starts_anew_while_rows_are_uploaded_gets_them_all_the_same() {
    let rows = rows();
    let bucket = Bucket::new();
    let relay = Relay::start(bucket.port(), [4 << 20, u64::MAX]);
    let pipeline = Pipeline::new().with("in.csv", &rows).with("extract.yaml", "path: in.csv\n");
    let pipeline = pipeline.with("load.yaml", behind(&relay, bucket.port(), &bucket.storage("out.csv")));
    assert_eq!(run(&pipeline, &relay), 400_000);
    assert!(bucket.objects()["out.csv"] == rows.as_bytes());
    assert_eq!(bucket.uploads(), 0);
}

#[test]
fn a_storage_that_starts_anew_while_it_is_read_is_read_on() {
    let rows = rows();
    let bucket = Bucket::new();
    bucket.put("in.csv", &rows);
    let relay = Relay::start(bucket.port(), [u64::MAX, 5 << 20]);
    let pipeline = Pipeline::new().with("load.yaml", "path: out.csv\n");
    let pipeline = pipeline.with("extract.yaml", behind(&relay, bucket.port(), &bucket.storage("in.csv")));
    assert_eq!(run(&pipeline, &relay), 400_000);
    assert!(pipeline.read("out.csv") == rows);
}

#[test]
fn azure_may_start_anew_while_it_is_written_and_read() {
    let Some(container) = Container::named("away") else { return };
    let rows = rows();
    let relay = Relay::start(container.port(), [4 << 20, u64::MAX]);
    let write = Pipeline::new().with("in.csv", &rows).with("extract.yaml", "path: in.csv\n");
    let write = write.with("load.yaml", behind(&relay, container.port(), &container.storage("out.csv")));
    assert_eq!(run(&write, &relay), 400_000);
    let relay = Relay::start(container.port(), [u64::MAX, 5 << 20]);
    let read = Pipeline::new().with("load.yaml", "path: back.csv\n");
    let read = read.with("extract.yaml", behind(&relay, container.port(), &container.storage("out.csv")));
    assert_eq!(run(&read, &relay), 400_000);
    assert!(read.read("back.csv") == rows);
}

#[test]
fn a_storage_that_stays_away_is_given_up_with_what_has_it_asked_for_longer() {
    let bucket = Bucket::new();
    let relay = Relay::start(bucket.port(), [0, 0]);
    let pipeline =
        Pipeline::new().with("in.csv", "id\n1\n").with("extract.yaml", "path: in.csv\n").with("settings.yaml", "max_retries: 0\n");
    let pipeline = pipeline.with("load.yaml", behind(&relay, bucket.port(), &bucket.storage("out.csv")));
    let done = pipeline.answer(&["run"]);
    assert_eq!(done.code, 3, "{done:?}");
    assert!(done.stderr.contains("`max_retries` in settings.yaml has it asked for longer"), "{done:?}");
}
