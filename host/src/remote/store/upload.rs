//! Uploads in parts: nothing is seen of one before it is completed, and another process may complete it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use object_store::PutPayload;
use object_store::multipart::PartId;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::super::wait::wait;
use super::failure::{is_gone, is_refused};
use super::{Object, Store};
use crate::crash;
use crate::error::{Context, Error, Result};

/// Bytes of a part; a large object has larger ones, since storages take 10,000 of an object.
const PART: u64 = 8 << 20;
/// Parts of an object at most.
const PARTS: u64 = 9_000;
/// Parts that are on their way at once, of one object or of several.
const AT_ONCE: usize = 8;

/// An upload that is not completed: plain data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// The object that it is to be.
    pub key: String,
    /// The storage's name for it.
    pub id: String,
}

/// A part that the storage has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part(String);

/// What came of completing an upload.
#[derive(Debug)]
pub enum Completed {
    /// It is seen.
    Done,
    /// The storage does not know it, which may be since it is completed already: what it said.
    Gone(Error),
    /// It may not be completed, which some say of one that is completed already: what the storage said.
    Refused(Error),
}

/// Does several things, a few at a time; answers in their order.
fn all<T: Send + 'static, F: Future<Output = Result<T>> + Send + 'static>(jobs: impl Iterator<Item = F>) -> Result<Vec<T>> {
    wait(async {
        let mut running = JoinSet::new();
        let mut done: Vec<(usize, T)> = Vec::new();
        let ended = |ended: Result<(usize, Result<T>), tokio::task::JoinError>| {
            let (number, answer) = ended.bug(|| "a request panicked".into())?;
            answer.map(|answer| (number, answer))
        };
        for (number, job) in jobs.enumerate() {
            if running.len() >= AT_ONCE
                && let Some(next) = running.join_next().await
            {
                done.push(ended(next)?);
            }
            running.spawn(async move { (number, job.await) });
        }
        while let Some(next) = running.join_next().await {
            done.push(ended(next)?);
        }
        done.sort_by_key(|(number, _)| *number);
        Ok(done.into_iter().map(|(_, answer)| answer).collect())
    })
}

impl Store {
    /// Starts an upload for each name.
    ///
    /// # Errors
    /// Outside.
    pub fn begin_uploads(&self, keys: &[String]) -> Result<Vec<Upload>> {
        all(keys.iter().map(|key| {
            let (store, key) = (self.clone(), key.clone());
            async move {
                let name = store.key(&key)?;
                let id = store.shared.client.uploads.create_multipart(&name).await;
                let id = id.map_err(|error| store.failed(format!("could not start to write `{}`", store.url(&key)), &error))?;
                Ok(Upload { key, id })
            }
        }))
    }

    /// Uploads files, each for its upload, in parts and several at once; answers the parts of each.
    ///
    /// # Errors
    /// Outside.
    pub fn upload(&self, files: &[(&Upload, &Path)]) -> Result<Vec<Vec<Part>>> {
        let mut jobs = Vec::new();
        for (number, (upload, path)) in files.iter().enumerate() {
            let reading = || format!("cannot read `{}`", path.display());
            let file = Arc::new(File::open(path).outside(reading)?);
            let bytes = file.metadata().outside(reading)?.len();
            let size = PART.max(bytes.div_ceil(PARTS));
            jobs.extend((0..bytes.div_ceil(size)).map(|part| {
                let range = part * size..bytes.min((part + 1) * size);
                (number, part as usize, file.clone(), range, (*upload).clone())
            }));
        }
        let sent = all(jobs.into_iter().map(|(number, part, file, range, upload)| {
            let store = self.clone();
            async move {
                // Read only once it is its turn, so that few parts are in memory at a time; the pages are warm, so this is a copy.
                let mut bytes = vec![0; (range.end - range.start) as usize];
                file.read_exact_at(&mut bytes, range.start).outside(|| "cannot read what was staged".into())?;
                Ok((number, store.put_part(&upload, part, bytes.into()).await?))
            }
        }))?;
        let mut parts = vec![Vec::new(); files.len()];
        sent.into_iter().for_each(|(number, part)| parts[number].push(part));
        Ok(parts)
    }

    async fn put_part(&self, upload: &Upload, part: usize, bytes: Bytes) -> Result<Part> {
        let Upload { key, id } = upload;
        let name = self.key(key)?;
        let sent = self.shared.client.uploads.put_part(&name, id, part, PutPayload::from(bytes)).await;
        let sent = sent.map_err(|error| self.failed(format!("could not write part {} of `{}`", part + 1, self.url(key)), &error))?;
        Ok(Part(sent.content_id))
    }

    /// Completes an upload: the object is seen from now on.
    ///
    /// # Errors
    /// Outside.
    pub fn complete(&self, upload: &Upload, parts: &[Part]) -> Result<Completed> {
        wait(self.completed(upload.clone(), parts.to_vec()))
    }

    /// Completes several.
    ///
    /// # Errors
    /// Outside.
    pub fn complete_all(&self, uploads: &[(&Upload, &[Part])]) -> Result<Vec<Completed>> {
        all(uploads.iter().map(|(upload, parts)| {
            let (store, upload, parts) = (self.clone(), Upload::clone(upload), parts.to_vec());
            async move { store.completed(upload, parts).await }
        }))
    }

    async fn completed(&self, Upload { key, id }: Upload, parts: Vec<Part>) -> Result<Completed> {
        let name = self.key(&key)?;
        let parts = parts.into_iter().map(|part| PartId { content_id: part.0 }).collect();
        let Err(error) = self.shared.client.uploads.complete_multipart(&name, &id, parts).await else {
            crash::at("commit.moved");
            return Ok(Completed::Done);
        };
        let failed = self.failed(format!("could not put `{}` in place", self.url(&key)), &error);
        match error {
            error if is_gone(&error) => Ok(Completed::Gone(failed)),
            error if is_refused(&error) => Ok(Completed::Refused(failed)),
            _ => Err(failed),
        }
    }

    /// Looks at several objects.
    ///
    /// # Errors
    /// Outside.
    pub fn find_all(&self, keys: &[String]) -> Result<Vec<Option<Object>>> {
        all(keys.iter().map(|key| {
            let (store, key) = (self.clone(), key.clone());
            async move { store.found(&key).await }
        }))
    }

    /// Removes several objects; that one is not there is as good.
    ///
    /// # Errors
    /// Outside.
    pub fn remove_all(&self, keys: &[String]) -> Result<()> {
        all(keys.iter().map(|key| {
            let (store, key) = (self.clone(), key.clone());
            async move { store.removed(&key).await }
        }))
        .map(|_| ())
    }

    /// Gives up an upload; that there is none such is as good.
    ///
    /// # Errors
    /// Outside.
    pub fn abort(&self, upload: &Upload) -> Result<()> {
        let Upload { key, id } = upload;
        let name = self.key(key)?;
        match wait(self.shared.client.uploads.abort_multipart(&name, id)) {
            Err(error) if !is_gone(&error) && !is_refused(&error) => {
                Err(self.failed(format!("could not give up the upload of `{}`", self.url(key)), &error))
            }
            _ => Ok(()),
        }
    }
}
