//! What a dry run finds out of a storage that it does not write to.

use std::sync::atomic::Ordering;

use super::ROWS;
use crate::servers::azure::Container;
use crate::servers::s3::{SECRET, Server};
use crate::support::Pipeline;

fn pipeline(storage: &str) -> Pipeline {
    let local = Pipeline::new().with("rows.csv", ROWS).with("extract.yaml", "path: rows.csv\n").with("settings.yaml", "max_retries: 0\n");
    local.with("load.yaml", format!("type: cloud_storage\n{storage}"))
}

#[test]
fn a_dry_run_finds_a_bucket_that_is_not_there_and_keys_that_are_wrong_and_writes_nothing() {
    let server = Server::start();
    server.make_bucket("rows");
    let storage =
        |bucket: &str| format!("storage: {{provider: s3, bucket: {bucket}, path: a/b.csv, credentials: {}}}\n", server.credentials());
    let look = |storage: &str| pipeline(storage).answer(&["run", "--dry-run"]);
    let done = look(&storage("rows"));
    assert_eq!(done.code, 0, "{done:?}");
    let done = look(&storage("missing"));
    assert_eq!(done.code, 3, "{done:?}");
    assert!(done.stderr.contains("NoSuchBucket") && done.stderr.contains("is the bucket's name right"), "{done:?}");
    let done = look(&storage("rows").replace(SECRET, "another-secret"));
    assert_eq!(done.code, 3, "{done:?}");
    assert!(done.stderr.contains("the key or the secret is wrong"), "{done:?}");
    // Who may only write may still write.
    server.front.listing_forbidden.store(true, Ordering::SeqCst);
    let done = look(&storage("rows"));
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stderr.contains("may not list there"), "{done:?}");
    let seen = server.front.take_seen();
    assert!(!seen.is_empty() && seen.iter().all(|request| request.starts_with("GET ")), "{seen:?}");
    assert!(server.objects("rows").is_empty());
}

#[test]
fn a_dry_run_finds_a_container_that_is_not_there() {
    let Some(container) = Container::named("looked-at") else { return };
    let there = container.storage("a/b.csv");
    assert_eq!(pipeline(&there).answer(&["run", "--dry-run"]).code, 0);
    let done = pipeline(&there.replace("looked-at", "missing")).answer(&["run", "--dry-run"]);
    assert_eq!(done.code, 3, "{done:?}");
    assert!(done.stderr.contains("ContainerNotFound"), "{done:?}");
}
