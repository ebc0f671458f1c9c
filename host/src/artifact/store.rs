//! The store: components on this machine by digest, whoever brought them.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::config::component::Digest;
use crate::error::{Context, Error, Result};
use crate::sandbox::MAX_COMPONENT_BYTES;

/// A folder with a file `sha256/<hex>` for each component and each manifest that names one.
///
/// What is read from it is held to its digest every time, so that neither a damaged disk nor another user can change what runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    folder: Option<PathBuf>,
}

impl Store {
    /// The store in a folder, which need not be there yet; `None` = there is none, and nothing is kept.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// Reads what has a digest; `None` where it is not there.
    ///
    /// # Errors
    /// Outside, where it cannot be read. What is no longer what it was counts as absent.
    pub fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let Some(path) = self.path(digest) else { return Ok(None) };
        let Some(bytes) = read_capped(&path, || format!("reading `{}` of the store", path.display()))? else { return Ok(None) };
        let found = Digest::of(&bytes);
        if found != *digest {
            tracing::warn!(file = %path.display(), %found, "a component of the store is damaged, and left alone until it is pulled or added again");
            return Ok(None);
        }
        Ok(Some(bytes))
    }

    /// Adds bytes under their digest, whole or not at all; those that are there already are left alone.
    ///
    /// # Errors
    /// Outside, where they cannot be written; config, where there is no store.
    pub fn add(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        let path = self.path(&digest).ok_or_else(no_store)?;
        if matches!(self.get(&digest), Ok(Some(_))) {
            return Ok(digest);
        }
        let folder = path.parent().expect("the path has a folder");
        std::fs::create_dir_all(folder).outside(|| format!("making the folder `{}`", folder.display()))?;
        super::write_whole(&path, bytes, 0o644)?;
        Ok(digest)
    }

    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        self.folder.is_some()
    }

    /// Where it is, for a message.
    pub(super) fn shown(&self) -> String {
        self.folder.as_ref().map_or_else(|| ", as there is none".into(), |folder| format!(" `{}`", folder.display()))
    }

    /// The file that has, or would have, a digest.
    pub fn path(&self, digest: &Digest) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join("sha256").join(digest.hex()))
    }
}

/// Says that there is no store.
fn no_store() -> Error {
    Error::config("there is no folder for the store of components").hint("give `--store-dir FOLDER`, or set ETL_HOST_STORE or HOME")
}

/// Reads a file that may not be larger than a component; `None` where it is not there.
pub(super) fn read_capped(path: &Path, doing: impl Fn() -> String) -> Result<Option<Vec<u8>>> {
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.outside(&doing)?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_COMPONENT_BYTES as u64 + 1).read_to_end(&mut bytes).outside(&doing)?;
    if bytes.len() > MAX_COMPONENT_BYTES {
        let size = std::fs::metadata(path).map_or(bytes.len() as u64, |metadata| metadata.len());
        return Err(Error::config(format!("component `{}` is {size} bytes, the limit is {MAX_COMPONENT_BYTES}", path.display())));
    }
    Ok(Some(bytes))
}
