//! Which objects are read, and what is said where they cannot be.

use super::{ROWS, bucket, copy};
use crate::servers::s3::{Bucket, KEY};
use crate::support::Pipeline;

/// A pipeline that reads what `extract` says into a file.
fn read(extract: String) -> Pipeline {
    Pipeline::new().with("extract.yaml", extract).with("load.yaml", "path: out.jsonl\n")
}

#[test]
fn a_url_stands_wherever_a_path_does_with_its_format_packing_and_pattern() {
    let bucket = bucket();
    bucket.put("in/more.csv", "price,id,place\n7,4,west\n");
    bucket.put("in/.rows.csv.etl/commit", "no rows");
    let pipeline = Pipeline::new()
        .with("extract.yaml", format!("path: s3://{}/in/*.csv\ncredentials: {}\n", bucket.name, bucket.credentials()))
        .with("load.yaml", format!("type: file\npath: s3a://{}/out/all.jsonl.gz\ncredentials: {}\n", bucket.name, bucket.credentials()));
    let report = pipeline.run(0);
    assert_eq!(report["rows"]["read"], 4, "{report}");
    let back = read(format!("type: cloud_storage\n{}columns: [id, price]\n", bucket.storage("out/")));
    back.run(0);
    assert_eq!(
        back.read("out.jsonl"),
        "{\"id\":4,\"price\":7.0}\n{\"id\":1,\"price\":1.5}\n{\"id\":2,\"price\":null}\n{\"id\":3,\"price\":2.25}\n"
    );
    let named = read(format!("type: cloud_storage\npath: s3://{}/out/*.gz\ncredentials: {}\n", bucket.name, bucket.credentials()));
    assert_eq!(named.run(0)["rows"]["read"], 4);
    let archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let mut archive = archive;
    archive.start_file("rows.csv", zip::write::SimpleFileOptions::default()).unwrap();
    std::io::Write::write_all(&mut archive, ROWS.as_bytes()).unwrap();
    bucket.put("packed/rows.zip", archive.finish().unwrap().into_inner());
    let packed = read(format!("type: cloud_storage\n{}", bucket.storage("packed/rows.zip")));
    assert_eq!(packed.run(0)["rows"]["read"], 3);
}

#[test]
fn prefix_and_pattern_choose_objects_and_none_is_an_empty_source() {
    let bucket = bucket();
    bucket.put("in/rows.json", "[]");
    let storage =
        |keys: &str| format!("storage: {{provider: s3, bucket: {}, {keys}, credentials: {}}}\n", bucket.name, bucket.credentials());
    let report = read(storage("prefix: in/, pattern: '*.csv'")).run(0);
    assert_eq!(report["rows"]["read"], 3);
    let none = read(format!("{}format: csv\n", storage("prefix: none/")));
    assert_eq!(none.run(0)["rows"]["read"], 0);
    let failing = read(format!("{}format: csv\nfail_on_empty: true\n", storage("prefix: none/")));
    let done = failing.answer(&["run"]);
    assert_eq!(done.code, 3);
    assert!(done.stderr.contains(&format!("`s3://{}/none/` matches no object", bucket.name)), "{done:?}");
}

#[test]
fn what_cannot_be_read_is_said_with_what_to_do() {
    let bucket = bucket();
    let fails = |storage: String, code: i32| {
        let done = read(format!("type: cloud_storage\n{storage}")).answer(&["run"]);
        assert_eq!(done.code, code, "{done:?}");
        done.stderr.replace(&bucket.name, "BUCKET")
    };
    insta::assert_snapshot!(fails(bucket.storage("in/row.csv"), 3), @r"
    error: `s3://BUCKET/in/row.csv` does not exist
      hint: there is `in/rows.csv`
    ");
    insta::assert_snapshot!(fails(bucket.storage("in/rows.csv").replace(&bucket.name, "no-such-bucket"), 3), @r"
    error: could not look at `s3://no-such-bucket/in/rows.csv`
      because: NoSuchBucket
      hint: is the bucket's name right, and does it stand in this account and region? it is not made here
    ");
    insta::assert_snapshot!(fails(bucket.storage("in/rows.csv").replace(KEY, "AKIASOMEBODYELSE"), 3), @r"
    error: could not look at `s3://BUCKET/in/rows.csv`
      because: NotSignedUp: Your account is not signed up
      hint: the key or the secret is wrong: look at `storage.credentials`, and at the environment, which is asked where they are absent
    ");
    insta::assert_snapshot!(fails(bucket.storage("in/rows.csv").replace("access_key_id", "acces_key_id"), 2), @r"
    error: `credentials` has the unknown name `acces_key_id`
      hint: did you mean `access_key_id`?
    ");
    insta::assert_snapshot!(fails(bucket.storage("in/rows.csv").replace("http://127.0.0.1", "http://127.0.0.1:1/"), 3), @r"
    error: could not look at `s3://BUCKET/in/rows.csv`
      because: tcp connect error: Connection refused (os error 111)
      hint: is the address right and the storage up? `endpoint` under `storage.credentials` names another, and `max_retries` in settings.yaml has it asked for longer
    ");
}

#[test]
fn what_is_written_is_not_read_in_the_same_run() {
    let bucket = bucket();
    let pipeline = copy(&bucket, "in/", "in/rows.csv");
    let done = pipeline.answer(&["run"]);
    assert_eq!(done.code, 2, "{done:?}");
    insta::assert_snapshot!(done.stderr.replace(&bucket.name, "BUCKET"), @r"
    error: the pipeline would read `s3://BUCKET/in/rows.csv`, which is the object that it writes
      hint: write to another folder, or narrow the pattern of `extract.yaml`
    ");
    assert_eq!(bucket.text("in/rows.csv"), ROWS);
}

#[test]
fn a_pipeline_of_objects_is_checked_planned_previewed_and_run_dry_and_nothing_is_written() {
    let bucket: Bucket = bucket();
    let pipeline = copy(&bucket, "in/rows.csv", "out/rows.parquet").with("transform.yaml", "rename: {place: where}\n");
    for arguments in [&["check"][..], &["plan"], &["preview"], &["run", "--dry-run"]] {
        let done = pipeline.answer(arguments);
        assert_eq!(done.code, 0, "{arguments:?}: {done:?}");
        let shown = format!("{}{}", done.stdout, done.stderr);
        match arguments[0] {
            "plan" => assert!(shown.contains(&format!("cloud_storage s3://{}/out/rows.parquet, overwrite", bucket.name)), "{shown}"),
            "preview" => assert!(shown.contains("where") && shown.contains("south"), "{shown}"),
            _ => {}
        }
    }
    assert_eq!(bucket.names(), ["in/rows.csv"]);
    let wrong = pipeline.with("load.yaml", format!("type: cloud_storage\n{}write_mode: append\n", bucket.storage("out/rows.parquet")));
    let done = wrong.answer(&["check"]);
    assert_eq!(done.code, 2, "{done:?}");
    insta::assert_snapshot!(done.stderr.replace(&bucket.name, "BUCKET"), @r"
    ./load.yaml: error: `write_mode` is `append`, but `s3://BUCKET/out/rows.parquet` is one object, and storages cannot add to one
      hint: let each run write objects of its own: end `path` in `/`, or use `partition_by` or `max_rows_per_file`
    .: 1 mistake
    ");
}
