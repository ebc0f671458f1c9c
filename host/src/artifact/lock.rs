//! The lock file of a contract directory: which bytes every component had when it was built or locked.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::component::Digest;
use crate::error::{Context, Error, Place, Result};

/// Name of the lock file in a contract directory.
pub const FILE: &str = "etl-host.lock";

/// Version of the format that is written, and the only one that is read.
const VERSION: u64 = 1;

/// Bytes of a lock file.
const MAX_BYTES: u64 = 1 << 20;

const HEADER: &str = "# Written by `etl-host build` and `etl-host lock`. Keep it beside the pipeline: `run` holds every component to it.\n";

/// What the components of a contract directory are pinned to, sorted by kind and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u64,
    components: Vec<Pin>,
}

/// One component, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// What the pipeline calls it: the path without `./`, the module's dotted name, the reference as it is written.
    pub name: String,
    /// How it is named.
    pub kind: PinKind,
    /// Where it is: a path relative to the contract directory, or the reference with its manifest's digest.
    pub component: String,
    /// Digest of the component's bytes.
    pub digest: Digest,
    /// The files that it was built from; empty where it came as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub built_from: Vec<SourceFile>,
    /// The tool that built it, with its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
}

/// How a pinned component is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PinKind {
    /// By path.
    Path,
    /// By the module that it was built from.
    Module,
    /// By its place in a registry.
    Oci,
}

/// A file that a component was built from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// Relative to the contract directory.
    pub path: PathBuf,
    /// Digest of its bytes.
    pub digest: Digest,
}

impl Default for Lock {
    fn default() -> Self {
        Self { version: VERSION, components: Vec::new() }
    }
}

impl Lock {
    /// Reads the lock file of a contract directory; `None` where there is none.
    ///
    /// # Errors
    /// Config, where it is not what `write` writes; outside, where it cannot be read.
    pub fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(FILE);
        let reading = || format!("reading the lock file `{}`", path.display());
        let bytes = match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Ok(metadata) if metadata.len() > MAX_BYTES => {
                return Err(Error::config(format!(
                    "the lock file `{}` has {} bytes, the limit is {MAX_BYTES}",
                    path.display(),
                    metadata.len()
                )));
            }
            _ => std::fs::read(&path).outside(reading)?,
        };
        Self::parse(&bytes, &path).map(Some)
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let again = "remove it and run `etl-host build` or `etl-host lock` on the directory, which write it anew";
        let wrong = |error: serde_yaml::Error| {
            let (line, column) = error.location().map_or((0, 0), |location| (location.line(), location.column()));
            let place = Place { file: path.display().to_string(), line, column, key: String::new() };
            Error::config("this is no lock file of etl-host").because(error).at(place).hint(again)
        };
        match serde_yaml::from_slice::<Versioned>(bytes).map_err(wrong)?.version {
            VERSION => serde_yaml::from_slice(bytes).map_err(wrong),
            version => {
                Err(Error::config(format!("the lock file `{}` has version {version}, this etl-host reads {VERSION}", path.display()))
                    .hint("use the etl-host that wrote it, or a newer one"))
            }
        }
    }

    /// Writes the lock file of a contract directory, whole or not at all; the same pins give the same bytes.
    ///
    /// # Errors
    /// Outside, where it cannot be written.
    pub fn write(&self, directory: &Path) -> Result<()> {
        let path = directory.join(FILE);
        let writing = || format!("writing the lock file `{}`", path.display());
        let text = serde_yaml::to_string(self).bug(writing)?;
        super::write_whole(&path, format!("{HEADER}{text}").as_bytes(), 0o644)
    }

    /// The pin of a component.
    pub fn find(&self, kind: PinKind, name: &str) -> Option<&Pin> {
        self.components.iter().find(|pin| pin.kind == kind && pin.name == name)
    }

    /// All pins.
    pub fn pins(&self) -> &[Pin] {
        &self.components
    }

    /// Adds a pin, in place of the one with its kind and name.
    pub fn upsert(&mut self, pin: Pin) {
        let order = |other: &Pin| (other.kind, other.name.as_str()).cmp(&(pin.kind, pin.name.as_str()));
        match self.components.binary_search_by(order) {
            Ok(index) => self.components[index] = pin,
            Err(_) => {
                self.components.retain(|other| (other.kind, &other.name) != (pin.kind, &pin.name));
                self.components.push(pin);
                self.components.sort_by(|one, two| (one.kind, &one.name).cmp(&(two.kind, &two.name)));
            }
        }
    }

    /// Keeps the pins that a test lets pass.
    pub fn retain(&mut self, keep: impl FnMut(&Pin) -> bool) {
        self.components.retain(keep);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{FILE, Lock, Pin, PinKind, SourceFile};
    use crate::config::component::Digest;

    fn pin(kind: PinKind, name: &str, bytes: &[u8]) -> Pin {
        Pin { name: name.into(), kind, component: format!("{name}.wasm"), digest: Digest::of(bytes), built_from: Vec::new(), tool: None }
    }

    #[test]
    fn what_is_written_is_read_in_one_order() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Lock::read(folder.path()).unwrap(), None);
        let mut lock = Lock::default();
        let module = Pin {
            built_from: vec![SourceFile { path: "clean.py".into(), digest: Digest::of(b"def") }],
            tool: Some("componentize-py 0.17".into()),
            ..pin(PinKind::Module, "clean", b"old")
        };
        lock.upsert(module.clone());
        lock.upsert(pin(PinKind::Path, "b.wasm", b"b"));
        lock.upsert(pin(PinKind::Path, "a.wasm", b"a"));
        lock.upsert(Pin { digest: Digest::of(b"new"), ..module });
        lock.write(folder.path()).unwrap();
        insta::assert_snapshot!(std::fs::read_to_string(folder.path().join(FILE)).unwrap(), @r"
        # Written by `etl-host build` and `etl-host lock`. Keep it beside the pipeline: `run` holds every component to it.
        version: 1
        components:
        - name: a.wasm
          kind: path
          component: a.wasm.wasm
          digest: sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb
        - name: b.wasm
          kind: path
          component: b.wasm.wasm
          digest: sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d
        - name: clean
          kind: module
          component: clean.wasm
          digest: sha256:11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437
          built_from:
          - path: clean.py
            digest: sha256:cb8379ac2098aa165029e3938a51da0bcecfc008fd6795f401178647f96c5b34
          tool: componentize-py 0.17
        ");
        let read = Lock::read(folder.path()).unwrap().unwrap();
        assert_eq!(read, lock);
        assert_eq!(read.find(PinKind::Module, "clean").unwrap().digest, Digest::of(b"new"));
        assert_eq!(read.find(PinKind::Path, "clean"), None);
    }

    #[test]
    fn what_is_no_lock_file_is_refused_with_its_place() {
        let wrong = |text: &str| {
            let error = Lock::parse(text.as_bytes(), Path::new("d/etl-host.lock")).unwrap_err();
            let place = error.place().map(ToString::to_string).unwrap_or_default();
            format!("{place} {}; {}", error.one_line(), error.find_hint().unwrap_or_default())
        };
        let entry = |digest: &str| format!("version: 1\ncomponents:\n- name: a\n  kind: path\n  component: a.wasm\n  digest: {digest}\n");
        insta::assert_snapshot!(
            ["", "version: 2\nelse: 1\n", "version: 1\ncomponents: []\nmore: 1\n", &entry("sha256:12"), &entry("12"), "]"].map(wrong).join("\n"), @r"
        d/etl-host.lock:1:1 this is no lock file of etl-host: missing field `version`; remove it and run `etl-host build` or `etl-host lock` on the directory, which write it anew
         the lock file `d/etl-host.lock` has version 2, this etl-host reads 1; use the etl-host that wrote it, or a newer one
        d/etl-host.lock:3:1 this is no lock file of etl-host: unknown field `more`, expected `version` or `components` at line 3 column 1; remove it and run `etl-host build` or `etl-host lock` on the directory, which write it anew
        d/etl-host.lock:3:3 this is no lock file of etl-host: components[0]: `sha256:12` has 2 hex digits, but must have 64; a digest is `sha256:` and 64 hex digits, as `etl-host inspect` shows it at line 3 column 3; remove it and run `etl-host build` or `etl-host lock` on the directory, which write it anew
        d/etl-host.lock:3:3 this is no lock file of etl-host: components[0]: `12` does not start with `sha256:`; a digest is `sha256:` and 64 hex digits, as `etl-host inspect` shows it at line 3 column 3; remove it and run `etl-host build` or `etl-host lock` on the directory, which write it anew
        d/etl-host.lock:1:1 this is no lock file of etl-host: did not find expected node content, while parsing a block node; remove it and run `etl-host build` or `etl-host lock` on the directory, which write it anew
        ");
    }
}
