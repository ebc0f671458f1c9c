//! Servers that are slow to come round, and objects that change.

use std::sync::atomic::Ordering;

use super::ROWS;
use crate::crash::pipelines::{kind, ran};
use crate::servers::s3::Server;
use crate::support::Pipeline;

fn server(rows: &str) -> Server {
    let server = Server::start();
    server.make_bucket("rows");
    server.put("rows", "in.csv", rows);
    server
}

fn pipeline(server: &Server) -> Pipeline {
    let storage = |path: &str| format!("storage: {{provider: s3, bucket: rows, path: {path}, credentials: {}}}\n", server.credentials());
    Pipeline::new()
        .with("extract.yaml", format!("type: cloud_storage\n{}", storage("in.csv")))
        .with("load.yaml", format!("type: cloud_storage\n{}", storage("out.csv")))
}

#[test]
fn a_server_that_is_overloaded_breaks_off_or_cuts_short_is_asked_again() {
    let rows: String = (0..60_000).map(|row| format!("{row},place {row},1.5\n")).collect();
    let rows = format!("id,place,price\n{rows}");
    let server = server(&rows);
    let front = &server.front;
    for trouble in [&front.overloaded, &front.broken, &front.cut] {
        front.cut_behind.store(100_000, Ordering::SeqCst);
        trouble.store(2, Ordering::SeqCst);
        let pipeline = pipeline(&server);
        assert_eq!(pipeline.run(0)["rows"]["loaded"], 60_000);
        assert!(server.objects("rows")["out.csv"] == rows.as_bytes());
        assert_eq!(trouble.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn a_server_that_stays_overloaded_is_given_up_after_the_retries_that_are_set() {
    let server = server(ROWS);
    server.front.overloaded.store(u32::MAX, Ordering::SeqCst);
    let pipeline = pipeline(&server).with("settings.yaml", "max_retries: 1\n");
    let done = pipeline.answer(&["run"]);
    assert_eq!(done.code, 3, "{done:?}");
    insta::assert_snapshot!(done.stderr, @r"
    error: could not read `s3://rows/.out.csv.etl/commit`
      because: SlowDown: Please reduce your request rate.
      hint: the storage is overloaded: run it again later, or less at a time; `max_retries` in settings.yaml has it asked for longer
    ");
    let asked = server.front.take_seen().len();
    assert!((2..=4).contains(&asked), "{asked} requests");
    assert_eq!(server.objects("rows").len(), 1);
}

#[test]
fn uploads_that_could_not_be_given_up_are_by_the_next_run() {
    let server = server(ROWS);
    let pipeline = pipeline(&server).with("settings.yaml", "max_retries: 0\n");
    let load = pipeline.read("load.yaml").replace("out.csv", "out/") + "format: csv\npartition_by: [place]\n";
    let pipeline = pipeline.with("load.yaml", load);
    server.front.uploads_overloaded.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let done = pipeline.answer(&["run"]);
        assert_eq!(done.code, 3, "{done:?}");
        assert!(done.stderr.contains("uploads that nobody needs are in the bucket, the next run gives them up"), "{done:?}");
    }
    assert_eq!(server.uploads("rows"), 4);
    server.front.uploads_overloaded.store(false, Ordering::SeqCst);
    pipeline.run(0);
    assert_eq!(server.uploads("rows"), 0);
    assert!(super::staged(&pipeline).is_empty());
}

#[test]
fn a_run_is_not_gone_on_with_where_its_object_has_changed() {
    let pipeline = kind("parquet in a bucket").pipeline();
    let mut command = crate::crash::pipelines::run(&pipeline, &[]);
    let status = command.env("ETL_HOST_CRASH_AT", "checkpoint.renamed:4").output().unwrap().status;
    assert_eq!(status.code(), None);
    let extract = pipeline.read("extract.yaml");
    let bucket = extract.split("bucket: ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    let input = pipeline.path("out").canonicalize().unwrap().parent().unwrap().join(bucket).join("orders.csv");
    let text = std::fs::read_to_string(&input).unwrap();
    std::fs::write(&input, format!("{text}1,1,1,north,\n")).unwrap();
    let done = ran(&pipeline, &["--resume"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.stderr.contains("/orders.csv` has 6"), "{done:?}");
    std::fs::write(&input, text.replacen("north", "NORTH", 1)).unwrap();
    let done = ran(&pipeline, &["--resume"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.stderr.contains("/orders.csv` has other content"), "{done:?}");
}
