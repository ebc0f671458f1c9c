//! Objects in cloud storages, read and written through the front door, against real servers.

mod authority;
mod away;
mod formats;
mod listing;
mod local;
mod look;
mod output;
mod providers;
mod ranges;
mod secrets;
mod trouble;
mod two;

use crate::servers::s3::Bucket;
use crate::support::Pipeline;

const ROWS: &str = "id,place,price\n1,north,1.5\n2,south,\n3,north,2.25\n";

/// A pipeline that copies objects.
fn copy(bucket: &Bucket, from: &str, to: &str) -> Pipeline {
    Pipeline::new()
        .with("extract.yaml", format!("type: cloud_storage\n{}", bucket.storage(from)))
        .with("load.yaml", format!("type: cloud_storage\n{}", bucket.storage(to)))
}

/// A bucket with a few rows in `in/rows.csv`.
fn bucket() -> Bucket {
    let bucket = Bucket::new();
    bucket.put("in/rows.csv", ROWS);
    bucket
}

/// Names of what is staged in a pipeline's folder.
fn staged(pipeline: &Pipeline) -> Vec<String> {
    pipeline.names().into_iter().filter(|name| name.contains(".etl/")).collect()
}
