//! Components as artefacts: how one is named, found, pinned and shipped.
//!
//! A component is found by path, by digest in the [`Store`], or by reference in a registry. The [`Lock`] of a contract
//! directory pins each to the digest of its bytes; what is found is held to that before it runs.

use std::borrow::Cow;
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component as Part, Path, PathBuf};

use serde::Serialize;

pub mod build;
mod lock;
pub mod project;
mod store;

pub use lock::{FILE as LOCK_FILE, Lock, Pin, PinKind, SourceFile};
pub use store::Store;

use crate::config::component::{Digest, Reference};
use crate::error::{Context, Error, Result};
use crate::plan::ComponentName;

/// A component that was found and is what it is pinned to.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its bytes.
    pub wasm: Cow<'static, [u8]>,
    /// What the user calls it.
    pub name: String,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Where it was found.
    pub origin: Origin,
    /// What holds it to its digest.
    pub pinned: Pinned,
}

/// Where a component was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// In the program itself.
    BuiltIn,
    /// A file.
    File(PathBuf),
    /// The store.
    Store,
}

/// What holds a component to its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pinned {
    /// The program, which it is a part of.
    Program,
    /// Its own name.
    Name,
    /// The lock file.
    Lock,
    /// Nothing: it runs whatever it is.
    Nothing,
}

/// Finds a component of a pipeline, and holds it to its pin. `root` is the contract directory.
///
/// # Errors
/// Outside, where it is not there or cannot be read; config, where it is not what it is pinned to, or must be pinned first.
pub fn resolve(name: &ComponentName, root: &Path, lock: &Lock, store: &Store) -> Result<Found> {
    match name {
        ComponentName::Ops => Ok(built_in(name, crate::sandbox::OPS)),
        ComponentName::Jsonata => Ok(built_in(name, crate::sandbox::JSONATA)),
        ComponentName::Validate => Ok(built_in(name, crate::sandbox::VALIDATE)),
        ComponentName::Aggregate => Ok(built_in(name, crate::sandbox::AGGREGATE)),
        ComponentName::File(path) => by_path(path, root, lock),
        ComponentName::Digest(digest) => by_digest(digest, root, lock, store),
        ComponentName::Oci(reference) => by_reference(reference, lock, store),
        ComponentName::Module(module) => by_module(module, root, lock),
    }
}

fn built_in(name: &ComponentName, wasm: &'static [u8]) -> Found {
    Found { wasm: Cow::Borrowed(wasm), name: name.to_string(), digest: Digest::of(wasm), origin: Origin::BuiltIn, pinned: Pinned::Program }
}

fn by_path(path: &Path, root: &Path, lock: &Lock) -> Result<Found> {
    let pin = lock.find(PinKind::Path, &path_name(path, root));
    let built = pin.is_some_and(|pin| !pin.built_from.is_empty());
    let build = || format!("run `etl-host build {}`", root.display());
    let opened = read(path);
    let (wasm, digest) = match opened {
        Err(error) if built || root.join("Cargo.toml").is_file() => return Err(error.hint(build())),
        opened => opened?,
    };
    let pinned = match pin {
        Some(pin) => {
            held_to_sources(pin, root)?;
            if pin.digest != digest {
                let hint = if built { build() } else { format!("if that is meant, pin it anew with `etl-host lock {}`", root.display()) };
                return Err(changed(&path.display().to_string(), pin, &digest, root).hint(hint));
            }
            Pinned::Lock
        }
        None => Pinned::Nothing,
    };
    Ok(Found { wasm: Cow::Owned(wasm), name: path.display().to_string(), digest, origin: Origin::File(path.to_owned()), pinned })
}

/// Holds the files that a component was built from to what they were then.
fn held_to_sources(pin: &Pin, root: &Path) -> Result<()> {
    for source in &pin.built_from {
        let path = root.join(&source.path);
        let reading = || format!("reading `{}`, from which `{}` was built", path.display(), pin.name);
        match store::read_capped(&path, reading)? {
            Some(bytes) if Digest::of(&bytes) == source.digest => {}
            found => {
                let what = if found.is_some() { "has changed since" } else { "is gone since" };
                return Err(Error::config(format!("`{}` {what} `{}` was built from it", path.display(), pin.name))
                    .hint(format!("run `etl-host build {}`", root.display())));
            }
        }
    }
    Ok(())
}

fn by_digest(digest: &Digest, root: &Path, lock: &Lock, store: &Store) -> Result<Found> {
    let found =
        |wasm, origin| Found { wasm: Cow::Owned(wasm), name: digest.to_string(), digest: digest.clone(), origin, pinned: Pinned::Name };
    // A contract directory that brings its components along needs no store.
    for pin in lock.pins().iter().filter(|pin| pin.digest == *digest && pin.kind != PinKind::Oci) {
        let path = root.join(&pin.component);
        if let Ok((wasm, on_disk)) = read(&path)
            && on_disk == *digest
        {
            return Ok(found(wasm, Origin::File(path)));
        }
    }
    match store.get(digest)? {
        Some(wasm) => Ok(found(wasm, Origin::Store)),
        None => Err(Error::outside(format!("component `{digest}` is not in the store"))
            .hint("bring it there with `etl-host add FILE` or `etl-host pull oci://…`")),
    }
}

fn by_reference(reference: &Reference, lock: &Lock, store: &Store) -> Result<Found> {
    let _ = (lock, store);
    Err(Error::config(format!("component `{reference}` is not built yet")))
}

fn by_module(module: &str, root: &Path, lock: &Lock) -> Result<Found> {
    let build = format!("run `etl-host build {}`", root.display());
    let Some(pin) = lock.find(PinKind::Module, module) else {
        return Err(Error::config(format!("the module `{module}` is not built into a component")).hint(build));
    };
    held_to_sources(pin, root)?;
    let path = root.join(&pin.component);
    let (wasm, digest) = read(&path).map_err(|error| error.hint(build.clone()))?;
    if digest != pin.digest {
        return Err(changed(module, pin, &digest, root).hint(build));
    }
    Ok(Found { wasm: Cow::Owned(wasm), name: module.to_owned(), digest, origin: Origin::File(path), pinned: Pinned::Lock })
}

/// Says that a component is not what it is pinned to.
fn changed(name: &str, pin: &Pin, found: &Digest, root: &Path) -> Error {
    let lock = root.join(LOCK_FILE);
    Error::config(format!("component `{name}` is not what it is pinned to: `{}` has {}, found {found}", lock.display(), pin.digest))
}

/// Reads a component that must be there.
fn read(path: &Path) -> Result<(Vec<u8>, Digest)> {
    let opening = || format!("opening component `{}`", path.display());
    let wasm = store::read_capped(path, opening)?
        .ok_or_else(|| std::io::Error::from_raw_os_error(rustix::io::Errno::NOENT.raw_os_error()))
        .outside(opening)?;
    let digest = Digest::of(&wasm);
    Ok((wasm, digest))
}

/// What the lock file calls a component named by path: relative to the contract directory where it is below it, without `./`.
pub fn path_name(path: &Path, root: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    let parts: PathBuf = path.components().filter(|part| *part != Part::CurDir).collect();
    parts.display().to_string()
}

/// Writes a file whole or not at all, and durably.
fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let writing = || format!("writing `{}`", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".etl-host-").tempfile_in(folder).outside(writing)?;
    file.write_all(bytes).outside(writing)?;
    file.as_file().set_permissions(Permissions::from_mode(mode)).outside(writing)?;
    file.as_file().sync_all().outside(writing)?;
    file.persist(path).map_err(|error| error.error).outside(writing)?;
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).outside(writing)
}
