//! Components as artefacts: how one is named, found, pinned and shipped.
//!
//! A component is found by path, by digest in the [`Store`], or by reference in a registry. The [`Lock`] of a contract
//! directory pins each to the digest of its bytes; what is found is held to that before it runs.

use std::borrow::Cow;
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component as Part, Path, PathBuf};

use chrono::DateTime;
use serde::Serialize;

pub mod build;
mod credentials;
mod lock;
mod manifest;
pub mod project;
mod registry;
mod store;

pub use credentials::{Login, Secret};
pub use lock::{FILE as LOCK_FILE, Lock, Pin, PinKind, SourceFile};
pub use registry::{Pulled, Pushed, Registries};
pub use store::Store;

use crate::config::component::{Component, Digest, Reference};
use crate::error::{Context, Error, Result, near};
use crate::plan::ComponentName;
use crate::sandbox::check_component;

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
    /// A registry, from which it was pulled just now.
    Registry,
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

/// Where components come from that the contract directory does not hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Library {
    /// Those of this machine.
    pub store: Store,
    /// Those of others.
    pub registries: Registries,
    /// Whether registries are left alone: what is not in the store is an error.
    pub offline: bool,
}

impl Library {
    /// Pulls a component into the store. Where there is no store it is pulled all the same.
    ///
    /// # Errors
    /// As [`Registries::pull`]; outside, where it cannot be kept; config, where it is no WebAssembly component.
    pub fn pull(&self, reference: &Reference) -> Result<Pulled> {
        if self.offline {
            return Err(Error::outside(format!(
                "component `{reference}` is not in the store{}, and no registry is asked here",
                self.store.shown()
            ))
            .hint(format!("bring it there with `etl-host pull {reference}`")));
        }
        let pulled = self.registries.pull(reference)?;
        check_component(&pulled.wasm, &reference.to_string())?;
        if self.store.is_there() {
            self.store.add(&pulled.wasm)?;
            // Last: whoever finds the manifest finds the component.
            self.store.add(&pulled.manifest)?;
        }
        tracing::info!(reference = %pulled.reference, digest = %pulled.digest, bytes = pulled.wasm.len(), "pulled a component");
        Ok(pulled)
    }

    /// Adds a component's file to the store.
    ///
    /// # Errors
    /// Outside, where it cannot be read or kept; config, where it is no WebAssembly component.
    pub fn add(&self, file: &Path) -> Result<Digest> {
        let (wasm, _) = read(file)?;
        check_component(&wasm, &file.display().to_string())?;
        self.store.add(&wasm)
    }

    /// Pushes a component's file under a tag. Its time is the file's, or what `SOURCE_DATE_EPOCH` says, so that a second push changes nothing.
    ///
    /// # Errors
    /// As [`Registries::push`]; outside, where the file cannot be read.
    pub fn push(&self, file: &Path, reference: &Reference) -> Result<Pushed> {
        let (wasm, _) = read(file)?;
        let shown = file.display().to_string();
        check_component(&wasm, &shown)?;
        let modified =
            std::fs::metadata(file).and_then(|metadata| metadata.modified()).outside(|| format!("opening component `{shown}`"))?;
        let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| DateTime::from_timestamp(seconds.parse().ok()?, 0));
        let title = file.file_name().map_or_else(|| shown.clone(), |name| name.to_string_lossy().into_owned());
        self.registries.push(wasm, &title, given.unwrap_or_else(|| modified.into()), reference)
    }

    /// Finds a component that the command line names: a tag may name any, as nothing runs.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn find(&self, component: &Component) -> Result<Found> {
        let name = match component {
            Component::File(path) => ComponentName::File(path.into()),
            Component::Digest(digest) => ComponentName::Digest(digest.clone()),
            Component::Registry(reference) if reference.digest.is_some() => ComponentName::Oci(reference.clone()),
            Component::Registry(reference) => {
                let Pulled { wasm, digest, reference, .. } = self.pull(reference)?;
                let (wasm, name) = (Cow::Owned(wasm), reference.to_string());
                return Ok(Found { wasm, name, digest, origin: Origin::Registry, pinned: Pinned::Nothing });
            }
        };
        resolve(&name, Path::new(""), &Lock::default(), self)
    }

    /// The component of a manifest, as far as both are in the store.
    fn stored(&self, manifest: &Digest, name: &Reference) -> Result<Option<(Vec<u8>, Digest)>> {
        let Some(manifest) = self.store.get(manifest)? else { return Ok(None) };
        let layer = manifest::layer(&manifest, &name.to_string())?;
        Ok(self.store.get(&layer.digest)?.map(|wasm| (wasm, layer.digest)))
    }
}

/// Finds a component of a pipeline, and holds it to its pin. `root` is the contract directory.
///
/// # Errors
/// Outside, where it is not there or cannot be read; config, where it is not what it is pinned to, or must be pinned first.
pub fn resolve(name: &ComponentName, root: &Path, lock: &Lock, library: &Library) -> Result<Found> {
    match name {
        ComponentName::Ops => Ok(built_in(name, crate::sandbox::OPS)),
        ComponentName::Jsonata => Ok(built_in(name, crate::sandbox::JSONATA)),
        ComponentName::Validate => Ok(built_in(name, crate::sandbox::VALIDATE)),
        ComponentName::Aggregate => Ok(built_in(name, crate::sandbox::AGGREGATE)),
        ComponentName::File(path) => by_path(path, root, lock),
        ComponentName::Digest(digest) => by_digest(digest, root, lock, &library.store),
        ComponentName::Oci(reference) => by_reference(reference, root, lock, library),
        ComponentName::Module(module) => by_module(module, root, lock),
    }
}

fn built_in(name: &ComponentName, wasm: &'static [u8]) -> Found {
    Found { wasm: Cow::Borrowed(wasm), name: name.to_string(), digest: Digest::of(wasm), origin: Origin::BuiltIn, pinned: Pinned::Program }
}

fn by_path(path: &Path, root: &Path, lock: &Lock) -> Result<Found> {
    let pin = lock.find(PinKind::Path, &path_name(path, root));
    let built = pin.is_some_and(|pin| !pin.built_from.is_empty());
    let build = || format!("run `etl-host build {}`", near(root));
    let opened = read(path);
    let (wasm, digest) = match opened {
        Err(error) if built || root.join("Cargo.toml").is_file() => return Err(error.hint(build())),
        opened => opened?,
    };
    let pinned = match pin {
        Some(pin) => {
            held_to_sources(pin, root)?;
            if pin.digest != digest {
                let hint = if built { build() } else { format!("if that is meant, pin it anew with `etl-host lock {}`", near(root)) };
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
                    .hint(format!("run `etl-host build {}`", near(root))));
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
        None => Err(Error::outside(format!("component `{digest}` is not in the store{}", store.shown()))
            .hint("bring it there with `etl-host add FILE` or `etl-host pull oci://…`")),
    }
}

fn by_reference(reference: &Reference, root: &Path, lock: &Lock, library: &Library) -> Result<Found> {
    let name = reference.to_string();
    let lock_command = format!("etl-host lock {}", near(root));
    let pin = lock.find(PinKind::Oci, &name);
    let pinned = pin.map(|pin| pinned_reference(pin, reference, root)).transpose()?;
    let Some(manifest) = pinned.as_ref().unwrap_or(reference).digest.clone() else {
        return Err(Error::config(format!("component `{name}` is not pinned: its tag may name something else tomorrow"))
            .hint(format!("pin it with `{lock_command}`, or write `{name}@sha256:…`")));
    };
    let target = reference.pinned(manifest.clone());
    // By the component's own digest first: a directory may bring its components along, or they were added by hand.
    let known = match pin.map(|pin| library.store.get(&pin.digest)).transpose()?.flatten() {
        Some(wasm) => Some((wasm, pin.expect("it has a digest").digest.clone())),
        None => library.stored(&manifest, reference)?,
    };
    let (wasm, digest, origin) = match known {
        Some((wasm, digest)) => (wasm, digest, Origin::Store),
        None => {
            let pulled = library.pull(&target)?;
            (pulled.wasm, pulled.digest, Origin::Registry)
        }
    };
    if let Some(pin) = pin.filter(|pin| pin.digest != digest) {
        return Err(changed(&name, pin, &digest, root).hint(format!("if that is meant, pin it anew with `{lock_command} --update`")));
    }
    let pinned = if reference.digest.is_some() { Pinned::Name } else { Pinned::Lock };
    Ok(Found { wasm: Cow::Owned(wasm), name, digest, origin, pinned })
}

/// The reference that a pin holds, which is that of its name with a manifest's digest.
fn pinned_reference(pin: &Pin, name: &Reference, root: &Path) -> Result<Reference> {
    let wrong = || {
        let lock = root.join(LOCK_FILE);
        Error::config(format!("`{}` pins `{}` to `{}`, which is another component", lock.display(), pin.name, pin.component))
            .hint(format!("pin it anew with `etl-host lock {} --update`", root.display()))
    };
    let pinned: Reference = pin.component.parse().map_err(|error| wrong().because(error))?;
    match &pinned.digest {
        Some(digest) if name.pinned(digest.clone()) == pinned && name.digest.as_ref().is_none_or(|own| own == digest) => Ok(pinned),
        _ => Err(wrong()),
    }
}

fn by_module(module: &str, root: &Path, lock: &Lock) -> Result<Found> {
    let build = format!("run `etl-host build {}`", near(root));
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

/// Pins a component of a pipeline to what it is now; `None` where its own name does, or the program. `update` asks a tag anew.
///
/// # Errors
/// As [`resolve`], but for what is not pinned yet or no longer what it was.
pub fn pin(name: &ComponentName, root: &Path, lock: &Lock, library: &Library, update: bool) -> Result<Option<Pin>> {
    let pinned = |name, kind, component, digest| Some(Pin { name, kind, component, digest, built_from: Vec::new(), tool: None });
    match name {
        ComponentName::File(path) => {
            let (_, digest) = read(path)?;
            let name = path_name(path, root);
            // What it was built from is not forgotten as long as it is the same.
            let same = lock.find(PinKind::Path, &name).filter(|old| old.digest == digest).cloned();
            Ok(same.or_else(|| pinned(name.clone(), PinKind::Path, name, digest)))
        }
        ComponentName::Oci(reference) => {
            let old = lock.find(PinKind::Oci, &reference.to_string());
            if let Some(old) = old.filter(|_| !update) {
                resolve(name, root, lock, library)?;
                return Ok(Some(old.clone()));
            }
            let known = reference.digest.as_ref().map(|digest| library.stored(digest, reference)).transpose()?.flatten();
            let (target, digest) = match known {
                Some((_, digest)) => (reference.clone(), digest),
                None => {
                    let pulled = library.pull(reference)?;
                    (pulled.reference, pulled.digest)
                }
            };
            Ok(pinned(reference.to_string(), PinKind::Oci, target.to_string(), digest))
        }
        _ => resolve(name, root, lock, library).map(|_| None),
    }
}

/// What the lock file calls a component named by path: relative to the contract directory where it is below it, without `./`.
pub fn path_name(path: &Path, root: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    let parts: PathBuf = path.components().filter(|part| *part != Part::CurDir).collect();
    parts.display().to_string()
}

/// Writes a component to a file, whole or not at all.
///
/// # Errors
/// Outside, where it cannot be written.
pub fn write_component(path: &Path, wasm: &[u8]) -> Result<()> {
    write_whole(path, wasm, 0o644)
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
