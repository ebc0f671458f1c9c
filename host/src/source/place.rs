//! Where the bytes of a file are: on this machine's disk, or in a cloud storage.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use super::Asset;
use super::input::{Content, open_file};
use crate::error::{Context, Error, Result};
use crate::remote::store::{Object, ObjectReader, Store};

/// Where the bytes of a file are.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// On this machine's disk.
    File(PathBuf),
    /// In a cloud storage.
    Object(Store, Arc<Object>),
    /// With a server that answers once, from the start on.
    Answer(Arc<dyn Content>),
}

/// Reads from any place in it.
pub(super) trait Seekable: Read + Seek + Send {}

impl<R: Read + Seek + Send> Seekable for R {}

impl Place {
    /// Opens it at its start; `name` is how the user would name it.
    pub(super) fn open(&self, name: &str) -> Result<Box<dyn Seekable>> {
        Ok(match self {
            Self::File(path) => Box::new(open_file(path, name)?),
            Self::Object(store, object) => Box::new(ObjectReader::new(store.clone(), Object::clone(object), 0)),
            Self::Answer(_) => return Err(Error::bug(format!("`{name}` is read from its start only"))),
        })
    }

    /// Opens it at an offset.
    pub(super) fn open_at(&self, name: &str, offset: u64) -> Result<Box<dyn Seekable>> {
        let mut reader = self.open(name)?;
        reader.seek(SeekFrom::Start(offset)).outside(|| format!("could not read `{name}`"))?;
        Ok(reader)
    }

    /// Bytes that are there.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::File(path) => std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
            Self::Object(_, object) => object.bytes,
            Self::Answer(_) => 0,
        }
    }

    /// What a run depends on, where it reads this; nothing that can be looked at again of an answer.
    pub(super) fn asset(&self) -> Option<Asset> {
        Some(match self {
            Self::Answer(_) => return None,
            Self::File(path) => Asset::File(path.clone()),
            Self::Object(store, object) => {
                let Object { key, bytes, etag, modified } = &**object;
                Asset::Object { url: store.url(key), bytes: *bytes, etag: etag.clone().unwrap_or_default(), modified: *modified }
            }
        })
    }
}

/// What a reader of ours said through one of the standard library.
pub(super) fn ours(error: io::Error) -> Result<crate::error::Error, io::Error> {
    let is_ours = error.get_ref().is_some_and(|inner| inner.is::<crate::error::Error>());
    if !is_ours {
        return Err(error);
    }
    error.into_inner().expect("it was there").downcast().map(|error| *error).map_err(io::Error::other)
}
