//! Objects in cloud storages, read and written through the front door, against real servers.

mod formats;

use crate::servers::s3::Bucket;
use crate::support::Pipeline;

/// A pipeline that copies objects.
fn copy(bucket: &Bucket, from: &str, to: &str) -> Pipeline {
    Pipeline::new()
        .with("extract.yaml", format!("type: cloud_storage\n{}", bucket.storage(from)))
        .with("load.yaml", format!("type: cloud_storage\n{}", bucket.storage(to)))
}
