//! Cloud storages: objects listed, read by ranges, and written so that they are seen whole or not at all.

mod credentials;
mod failure;
mod guarded;
#[cfg(test)]
mod homes;
mod read;
mod upload;

#[cfg(test)]
pub(crate) use homes::Home;
pub use read::{ObjectReader, Ranges};
pub use upload::{Completed, Part, Upload};

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream as _;
use object_store::multipart::MultipartStore;
use object_store::path::Path as Key;
use object_store::{
    Error as StoreError, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, UpdateVersion,
};
use serde::{Deserialize, Serialize};

use self::credentials::Given;
use self::failure::{failure, is_missing, may_not, says_why, unusable};
use self::guarded::Connector;
use super::wait;
use crate::config::cloud::Storage;
use crate::error::{Error, Result};
use crate::network::authority_texts;

/// An object, as the storage shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Its name in the bucket.
    pub key: String,
    /// Bytes in it.
    pub bytes: u64,
    /// The storage's name for just this content; another content has another.
    pub etag: Option<String>,
    /// When it was written, in nanoseconds since 1970.
    pub modified: u64,
}

/// A bucket, and how to reach it. Clones share the connections.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    /// The bucket as a URL, without a slash at the end.
    title: String,
    /// Texts that must not be seen.
    secrets: Vec<String>,
}

/// The storage's two faces.
struct Client {
    objects: Arc<dyn ObjectStore>,
    uploads: Arc<dyn MultipartStore>,
}

impl Client {
    fn of<S: ObjectStore + MultipartStore>(store: Arc<S>) -> Self {
        Self { objects: store.clone(), uploads: store }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.shared.title)
    }
}

impl Store {
    /// Makes ready to reach a bucket; `root` is what relative paths of key files start at, `authority_files` are certificates that are trusted
    /// beside those of the system. Nothing is asked of the storage yet.
    ///
    /// # Errors
    /// Config, where credentials have unknown names or cannot be.
    pub fn open(storage: &Storage, root: &Path, max_retries: u32, authority_files: &[PathBuf]) -> Result<Self> {
        let bare = Storage { path: None, prefix: None, pattern: None, ..storage.clone() };
        let title = bare.to_string().trim_end_matches('/').to_owned();
        let given = Given::new(storage, root)?;
        given.find_files()?;
        given.check_endpoint(storage.provider)?;
        let connector = Connector {
            guard: given.guarded(storage.provider)?,
            authorities: authority_texts(authority_files)?,
            tls: !given.is_asked_plainly(storage.provider),
        };
        let secrets = given.secrets();
        // Clients look for a reactor when they are made.
        let client = wait(async { given.client(storage.provider, &storage.bucket, max_retries, connector) });
        let client = client.map_err(|error| unusable(&title, &error, &secrets))?;
        Ok(Self { shared: Arc::new(Shared { client, title, secrets }) })
    }

    /// Checks what is given to reach a bucket, as far as that can be without asking anybody.
    ///
    /// # Errors
    /// Config, where credentials have unknown names or contradict each other.
    pub fn check(storage: &Storage, root: &Path) -> Result<()> {
        Given::new(storage, root).map(|_| ())
    }

    /// A bucket in this process's memory, for tests.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        let client = Client::of(Arc::new(object_store::memory::InMemory::new()));
        Self { shared: Arc::new(Shared { client, title: "s3://memory".into(), secrets: Vec::new() }) }
    }

    /// An object's name for a person, as a URL.
    pub fn url(&self, key: &str) -> String {
        format!("{}/{key}", self.shared.title)
    }

    /// The object; `None` where there is none.
    ///
    /// # Errors
    /// Outside.
    pub fn find(&self, key: &str) -> Result<Option<Object>> {
        wait(self.found(key))
    }

    async fn found(&self, key: &str) -> Result<Option<Object>> {
        let name = self.key(key)?;
        match self.objects().head(&name).await {
            Ok(meta) => Ok(Some(object(&meta))),
            // An answer without a body does not say whether it is the bucket that is missing.
            Err(error) if is_missing(&error) => match self.first(&name).await {
                Some(Err(error)) if !is_missing(&error) => Err(self.failed(format!("could not look at `{}`", self.url(key)), &error)),
                _ => Ok(None),
            },
            // Nor does it say what is wrong; one with a body does.
            Err(error) => {
                let said = if says_why(&error) { None } else { self.first(&name).await.and_then(Result::err) };
                Err(self.failed(format!("could not look at `{}`", self.url(key)), &said.unwrap_or(error)))
            }
        }
    }

    async fn first(&self, folder: &Key) -> Option<object_store::Result<ObjectMeta>> {
        let mut listing = self.objects().list((!folder.as_ref().is_empty()).then_some(folder));
        std::future::poll_fn(|context| Pin::new(&mut listing).poll_next(context)).await
    }

    /// Looks whether the bucket is there and lets objects be listed; answers false where it does not let that, which who only writes may lack.
    ///
    /// # Errors
    /// Outside, where there is no such bucket, the credentials do not hold or nobody answers.
    pub fn look(&self, folder: &str) -> Result<bool> {
        let folder = folder.trim_matches('/');
        match wait(self.first(&self.key(folder)?)) {
            Some(Err(error)) if may_not(&error) => Ok(false),
            Some(Err(error)) if !is_missing(&error) => Err(self.failed(format!("could not list `{}`", self.url(folder)), &error)),
            _ => Ok(true),
        }
    }

    /// All objects below a folder, in the order of their names; `""` is the bucket.
    ///
    /// # Errors
    /// Outside.
    pub fn list(&self, folder: &str) -> Result<Vec<Object>> {
        let folder = folder.trim_matches('/');
        let name = self.key(folder)?;
        let mut listing = self.objects().list((!folder.is_empty()).then_some(&name));
        let mut found = Vec::new();
        while let Some(next) = wait(std::future::poll_fn(|context| Pin::new(&mut listing).poll_next(context))) {
            match next {
                Ok(meta) => found.push(object(&meta)),
                Err(error) if is_missing(&error) => break,
                Err(error) => return Err(self.failed(format!("could not list `{}`", self.url(folder)), &error)),
            }
        }
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    /// Bytes of an object, which must not have changed since it was looked at.
    ///
    /// # Errors
    /// Outside, where it cannot be read or is not what it was.
    pub fn read(&self, object: &Object, range: Range<u64>) -> Result<Bytes> {
        wait(self.get(object, range))
    }

    async fn get(&self, object: &Object, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let name = self.key(&object.key)?;
        let reading = || format!("could not read `{}` at byte {}", self.url(&object.key), range.start);
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let answer = self.objects().get_opts(&name, options).await.map_err(|error| self.failed(reading(), &error))?;
        let now = answer.meta.e_tag.as_deref().map(bare);
        if now.is_some() && object.etag.is_some() && now != object.etag || answer.meta.size != object.bytes {
            return Err(Error::outside(format!("`{}` was changed while it was read", self.url(&object.key))).hint("run it again"));
        }
        let bytes = answer.bytes().await.map_err(|error| self.failed(reading(), &error))?;
        if bytes.len() as u64 != range.end - range.start {
            let message = format!("{}: {} bytes came, {} were asked for", reading(), bytes.len(), range.end - range.start);
            return Err(Error::outside(message));
        }
        Ok(bytes)
    }

    /// Writes a small object at once, in place of what is there.
    ///
    /// # Errors
    /// Outside.
    pub fn write(&self, key: &str, bytes: impl Into<Bytes>) -> Result<()> {
        let name = self.key(key)?;
        let written = wait(self.objects().put(&name, PutPayload::from(bytes.into())));
        written.map(|_| ()).map_err(|error| self.failed(format!("could not write `{}`", self.url(key)), &error))
    }

    /// Writes a small object at once, where there is none; answers whether it did. Of two who try at a time one does, where the storage
    /// can see to that.
    ///
    /// # Errors
    /// Outside.
    pub fn create(&self, key: &str, bytes: impl Into<Bytes>) -> Result<bool> {
        let name = self.key(key)?;
        let bytes = bytes.into();
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match wait(self.objects().put_opts(&name, PutPayload::from(bytes.clone()), options)) {
            Ok(_) => Ok(true),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(false),
            Err(StoreError::NotImplemented { .. } | StoreError::NotSupported { .. }) => {
                if self.find(key)?.is_some() {
                    return Ok(false);
                }
                self.write(key, bytes).map(|()| true)
            }
            Err(error) => Err(self.failed(format!("could not write `{}`", self.url(key)), &error)),
        }
    }

    /// Writes a small object in place of one that is as it was when it was looked at; answers whether it still was.
    ///
    /// # Errors
    /// Outside.
    pub fn replace(&self, key: &str, old: &Object, bytes: impl Into<Bytes>) -> Result<bool> {
        let name = self.key(key)?;
        let failed = |error: &StoreError| self.failed(format!("could not write `{}`", self.url(key)), error);
        let meta = match wait(self.objects().head(&name)) {
            Ok(meta) if meta.e_tag.as_deref().map(bare) == old.etag && meta.size == old.bytes => meta,
            Ok(_) => return Ok(false),
            Err(error) if is_missing(&error) => return Ok(false),
            Err(error) => return Err(failed(&error)),
        };
        let bytes = PutPayload::from(bytes.into());
        // Google compares generations, others entity tags. One that names neither cannot see to it that nobody comes between.
        let comparable = if self.shared.title.starts_with("gs://") { meta.version.is_some() } else { meta.e_tag.is_some() };
        if comparable {
            let mode = PutMode::Update(UpdateVersion { e_tag: meta.e_tag, version: meta.version });
            match wait(self.objects().put_opts(&name, bytes.clone(), PutOptions { mode, ..PutOptions::default() })) {
                Ok(_) => return Ok(true),
                Err(StoreError::Precondition { .. } | StoreError::AlreadyExists { .. } | StoreError::NotFound { .. }) => return Ok(false),
                Err(StoreError::NotImplemented { .. } | StoreError::NotSupported { .. }) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        wait(self.objects().put(&name, bytes)).map(|_| true).map_err(|error| failed(&error))
    }

    /// The whole of a small object; `None` where there is none.
    ///
    /// # Errors
    /// Outside, also where it has more than `limit` bytes.
    pub fn read_whole(&self, key: &str, limit: u64) -> Result<Option<(Object, Bytes)>> {
        let name = self.key(key)?;
        let failed = |error: &StoreError| self.failed(format!("could not read `{}`", self.url(key)), error);
        let answer = match wait(self.objects().get(&name)) {
            Ok(answer) => answer,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        let found = object(&answer.meta);
        if found.bytes > limit {
            return Err(Error::outside(format!("`{}` has {} bytes, and at most {limit} were expected", self.url(key), found.bytes)));
        }
        let bytes = wait(answer.bytes()).map_err(|error| failed(&error))?;
        Ok(Some((found, bytes)))
    }

    /// Removes an object; that it is not there is as good.
    ///
    /// # Errors
    /// Outside.
    pub fn remove(&self, key: &str) -> Result<()> {
        wait(self.removed(key))
    }

    async fn removed(&self, key: &str) -> Result<()> {
        let name = self.key(key)?;
        match self.objects().delete(&name).await {
            Err(error) if !is_missing(&error) => Err(self.failed(format!("could not remove `{}`", self.url(key)), &error)),
            _ => Ok(()),
        }
    }

    fn objects(&self) -> &dyn ObjectStore {
        &*self.shared.client.objects
    }

    fn key(&self, key: &str) -> Result<Key> {
        Key::parse(key).map_err(|error| {
            Error::config(format!("`{}` is no name of an object", self.url(key)))
                .because(anyhow::anyhow!("{error}"))
                .hint("a name has no empty part, no `.` and no `..` between its slashes")
        })
    }

    fn failed(&self, doing: String, error: &StoreError) -> Error {
        failure(doing, error, &self.shared.secrets)
    }
}

fn object(meta: &ObjectMeta) -> Object {
    let modified = meta.last_modified.timestamp_nanos_opt().and_then(|nanoseconds| u64::try_from(nanoseconds).ok()).unwrap_or_default();
    Object { key: meta.location.to_string(), bytes: meta.size, etag: meta.e_tag.as_deref().map(bare), modified }
}

/// An entity tag without its quotes, which listings of some storages leave out.
fn bare(etag: &str) -> String {
    etag.trim_start_matches("W/").trim_matches('"').to_owned()
}
