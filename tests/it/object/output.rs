//! What comes to be in a bucket, and when.

use std::fs;

use super::{ROWS, bucket, copy, staged};
use crate::servers::s3::Bucket;
use crate::support::{Pipeline, answer, program};

/// Names of objects, without the time and the id of the run.
fn steady(names: Vec<String>) -> Vec<String> {
    let steady = |name: String| match name.split_once("/part_") {
        Some((folder, part)) => format!("{folder}/part{}", part.split_once('-').unwrap().1),
        None => name,
    };
    names.into_iter().map(steady).collect()
}

fn into(bucket: &Bucket, path: &str, rest: &str) -> Pipeline {
    copy(bucket, "in/rows.csv", path).with("load.yaml", format!("type: cloud_storage\n{}{rest}\n", bucket.storage(path)))
}

#[test]
fn partitions_come_and_go_with_the_run_and_append_adds_to_them() {
    let bucket = bucket();
    let pipeline = into(&bucket, "out/", "format: csv\npartition_by: [place]");
    bucket.put("out/place=north/notes.txt", "not ours");
    let report = pipeline.run(0);
    assert_eq!(report["output"]["files"].as_array().unwrap().len(), 2, "{report}");
    let parts = ["in/rows.csv", "out/place=north/notes.txt", "out/place=north/part00000-00001.csv", "out/place=south/part00000-00001.csv"];
    assert_eq!(steady(bucket.names()), parts);
    let first = bucket.names();
    bucket.put("in/rows.csv", "id,place,price\n4,north,1\n");
    pipeline.run(0);
    assert_eq!(steady(bucket.names()), [parts[0], parts[1], parts[2]]);
    assert_ne!(bucket.names()[2], first[2]);
    let adding = into(&bucket, "out/", "format: csv\npartition_by: [place]\nwrite_mode: append");
    adding.run(0);
    assert_eq!(steady(bucket.names()), [parts[0], parts[1], parts[2], parts[2]]);
    assert!(staged(&adding).is_empty());
}

#[test]
fn so_many_rows_make_an_object_and_a_folder_takes_those_of_each_run() {
    let bucket = bucket();
    into(&bucket, "out/rows.jsonl", "max_rows_per_file: 2").run(0);
    let second = bucket.names().into_iter().find(|name| name.starts_with("out/rows_") && name.ends_with("-00000-00002.jsonl")).unwrap();
    assert_eq!(bucket.text(&second), "{\"id\":3,\"place\":\"north\",\"price\":2.25}\n");
    let into_folder = |mode: &str| into(&bucket, "all/", &format!("format: csv\nwrite_mode: {mode}")).run(0);
    into_folder("append");
    into_folder("append");
    assert_eq!(bucket.names().iter().filter(|name| name.starts_with("all/part_")).count(), 2);
    into_folder("overwrite");
    let left: Vec<String> = bucket.names().into_iter().filter(|name| name.starts_with("all/part_")).collect();
    assert_eq!(left.len(), 1);
    assert_eq!(bucket.text(&left[0]), ROWS);
}

#[test]
fn a_large_object_is_uploaded_in_parts_and_is_what_a_file_would_be() {
    let bucket = Bucket::new();
    let rows: String = (0..400_000_u64).map(|row| format!("{row},place {},{}.5\n", row * 7919 % 10_007, row % 97)).collect();
    bucket.put("in/rows.csv", format!("id,place,price\n{rows}"));
    let pipeline = into(&bucket, "out.jsonl", "");
    pipeline.run(0);
    let local = copy(&bucket, "in/rows.csv", "").with("load.yaml", "path: out.jsonl\n");
    local.run(0);
    assert!(bucket.objects()["out.jsonl"] == fs::read(local.path("out.jsonl")).unwrap());
    assert!(bucket.objects()["out.jsonl"].len() > 16 << 20, "it must have several parts");
    assert_eq!(bucket.uploads(), 0);
}

#[test]
fn a_run_that_was_killed_leaves_nothing_in_sight_and_the_next_gives_up_its_uploads() {
    let bucket = bucket();
    let pipeline = into(&bucket, "out/", "format: csv\npartition_by: [place]");
    let mut command = pipeline.command(&["run"]);
    let status = command.env("ETL_HOST_CRASH_AT", "upload.done:1").output().unwrap().status;
    assert_eq!(status.code(), None);
    assert_eq!(bucket.names(), ["in/rows.csv"]);
    assert_eq!(bucket.uploads(), 2);
    // A run that fails before it writes clears up all the same.
    bucket.put("in/rows.csv", "id,place\n1,\"open");
    let failing = pipeline.with("extract.yaml", format!("type: cloud_storage\non_parse_error: fail\n{}", bucket.storage("in/rows.csv")));
    assert_eq!(failing.answer(&["run"]).code, 1);
    assert_eq!(bucket.uploads(), 0);
    assert!(staged(&failing).is_empty());
    assert_eq!(bucket.names(), ["in/rows.csv"]);
}

#[test]
fn a_commit_that_was_killed_is_completed_by_whoever_writes_there_next() {
    for step in ["commit.noted:1", "commit.sealed:1", "commit.moved:1", "commit.moved:2", "commit.placed:1"] {
        let bucket = bucket();
        into(&bucket, "out/", "format: csv\npartition_by: [place]").run(0);
        bucket.put("in/rows.csv", "id,place,price\n4,west,1\n5,east,1\n");
        let pipeline = into(&bucket, "out/", "format: csv\npartition_by: [place]");
        let mut command = pipeline.command(&["run"]);
        let status = command.env("ETL_HOST_CRASH_AT", step).output().unwrap().status;
        assert_eq!(status.code(), None, "{step}");
        // Another folder is another machine for all that the bucket knows; it fails before it writes.
        bucket.put("in/rows.csv", "id,place\n1,\"open");
        let other = into(&bucket, "out/", "format: csv\npartition_by: [place]")
            .with("extract.yaml", format!("type: cloud_storage\non_parse_error: fail\n{}", bucket.storage("in/rows.csv")));
        let done = other.answer(&["run"]);
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.stderr.contains("its commit is completed first"), "{step}: {done:?}");
        assert_eq!(
            steady(bucket.names()),
            ["in/rows.csv", "out/place=east/part00000-00001.csv", "out/place=west/part00000-00001.csv"],
            "{step}"
        );
        assert_eq!(bucket.uploads(), 0, "{step}");
    }
}

#[test]
fn dead_letters_are_sent_again_into_a_bucket_and_arrive_once() {
    let bucket = Bucket::new();
    bucket.put("in/rows.csv", "id,place,price\n1,north,x\n2,south,2\n");
    let load = format!("type: cloud_storage\n{}format: csv\npartition_by: [place]\nwrite_mode: append\n", bucket.storage("out/"));
    let pipeline = copy(&bucket, "in/rows.csv", "out/").with("load.yaml", load).with("transform.yaml", "convert: {price: float}\n");
    pipeline.run(0);
    assert_eq!(pipeline.letters().len(), 1);
    let mended = pipeline.with("transform.yaml", "convert: {price: string}\n");
    let replay = || {
        let mut command = program();
        command.current_dir(mended.path("")).args(["dlq", "replay", "."]);
        command
    };
    let status = replay().env("ETL_HOST_CRASH_AT", "commit.moved:1").output().unwrap().status;
    assert_eq!(status.code(), None);
    let done = answer(&mut replay());
    assert_eq!(done.code, 0, "{done:?}");
    let north: Vec<String> = bucket.names().into_iter().filter(|name| name.starts_with("out/place=north/")).collect();
    assert_eq!(north.len(), 1, "{:?}", bucket.names());
    assert_eq!(bucket.text(&north[0]), "id,price\n1,x\n");
    assert!(bucket.names().iter().all(|name| !name.contains("/.")), "{:?}", bucket.names());
}

#[test]
fn runs_that_would_overwrite_each_others_object_are_refused() {
    let bucket = bucket();
    let pipeline = copy(&bucket, "in/rows.csv", "out/rows.csv")
        .with("extract.yaml", format!("type: cloud_storage\ninput_params: [place]\n{}", bucket.storage("in/rows.csv")));
    let done = pipeline.answer(&["run-many", "--values", "place=a,b"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.stderr.contains("would both write `s3://"), "{done:?}");
}
