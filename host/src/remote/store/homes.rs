//! Buckets for lists of promises: in memory, and of every storage as its own server or one that speaks like it serves it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::Store;
use crate::config::cloud::Storage;
use crate::servers::azure::Container;
use crate::servers::s3::{Bucket, KEY, SECRET, Server};

/// What has the bucket of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Home {
    Memory,
    S3,
    /// The S3 server, in the dialect of Google.
    Google,
    Azure,
}

impl Home {
    /// All that the machine has; in CI it has all.
    pub(crate) fn every() -> Vec<Self> {
        static AZURE: LazyLock<bool> = LazyLock::new(|| Container::new().is_some());
        [Self::Memory, Self::S3, Self::Google, Self::Azure].into_iter().filter(|home| *home != Self::Azure || *AZURE).collect()
    }

    /// A new bucket.
    pub(crate) fn make(self) -> (Storage, Store) {
        static GOOGLE: LazyLock<Server> = LazyLock::new(Server::start_open);
        static NAMES: AtomicU32 = AtomicU32::new(0);
        let (provider, bucket, credentials) = match self {
            Self::Memory => ("s3", "memory".into(), json!({})),
            Self::S3 => {
                let bucket = Bucket::new();
                let endpoint = format!("http://127.0.0.1:{}", bucket.port());
                let credentials = json!({"access_key_id": KEY, "secret_access_key": SECRET, "region": "us-east-1", "endpoint": endpoint});
                ("s3", bucket.name, credentials)
            }
            Self::Google => {
                let name = format!("google-{}", NAMES.fetch_add(1, Ordering::Relaxed));
                GOOGLE.make_bucket(&name);
                let key = json!({
                    "gcs_base_url": GOOGLE.url(), "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": "",
                });
                ("gcs", name, json!({"service_account_key": key.to_string(), "allow_http": "true"}))
            }
            Self::Azure => {
                let container = Container::new().expect("there is a server, or nobody asks");
                let connection = container.connection();
                ("azure", container.name, json!({"connection_string": connection}))
            }
        };
        let storage = json!({"provider": provider, "bucket": bucket, "credentials": credentials});
        let storage: Storage = serde_json::from_value(storage).expect("it is a storage");
        let store = match self {
            Self::Memory => Store::in_memory(),
            _ => Store::open(&storage, "/".as_ref(), 0, &[]).expect("its credentials are right"),
        };
        (storage, store)
    }
}
