//! Reads a contract directory from disk and hands its texts to the configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::variables::Lookup;
use crate::config::{Files, RULES, StoredContract, Text, Wanted, wanted};
use crate::error::{Context, Error, Fault, Result};
use crate::remote::contract;

/// Bytes of a configuration file.
const MAX_BYTES: u64 = 1 << 20;

/// Files that are read in place of those of the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explicit {
    /// In place of `extract.yaml`.
    pub extract: Option<PathBuf>,
    /// In place of `transform.yaml`.
    pub transform: Option<PathBuf>,
    /// In place of `load.yaml`.
    pub load: Option<PathBuf>,
}

/// A contract directory and its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The directory.
    pub root: PathBuf,
    /// Its files, without those that they name.
    pub files: Files,
}

/// Reads the files of a contract directory; `given` may also be a `pipeline.yaml`.
///
/// # Errors
/// Outside, where one cannot be read; config, where it is no text or there are two of one name.
pub fn find(given: &Path, explicit: &Explicit) -> Result<Found> {
    let metadata = std::fs::metadata(given).outside(|| format!("opening the contract directory `{}`", given.display()))?;
    let (root, single) = if metadata.is_dir() { (given.to_owned(), None) } else { (parent(given), Some(given.to_owned())) };
    let text = |explicit: &Option<PathBuf>, name: &str| match explicit {
        Some(path) => read_text(path, &path.display().to_string()).map(Some),
        None => find_text(&root, name),
    };
    let mut files = Files {
        name: directory_name(&root),
        directory: root.display().to_string(),
        extract: text(&explicit.extract, "extract")?,
        transform: text(&explicit.transform, "transform")?,
        load: text(&explicit.load, "load")?,
        settings: find_text(&root, "settings")?,
        rules: RULES.iter().filter_map(|name| find_rules(&root, name).transpose()).collect::<Result<_>>()?,
        pipeline: None,
        others: BTreeMap::new(),
        contracts: BTreeMap::new(),
    };
    match single {
        Some(path) => {
            (files.extract, files.transform, files.load) = (None, None, None);
            files.pipeline = Some(read_text(&path, &path.display().to_string())?);
        }
        None if files.extract.is_none() || files.load.is_none() => files.pipeline = find_text(&root, "pipeline")?,
        None => {
            for path in ["pipeline.yaml", "pipeline.yml"].map(|name| root.join(name)).into_iter().filter(|path| path.exists()) {
                tracing::warn!(file = %path.display(), "it is left out, since extract.yaml and load.yaml are there");
            }
        }
    }
    Ok(Found { root, files })
}

/// Adds the files that the files name, those that these name in turn, and contracts of a metadata store.
///
/// Answers why contracts were left out: their stores could not be reached.
///
/// # Errors
/// As [`find`]; config, where a store has no such contract.
pub fn complete(files: &mut Files, root: &Path, lookup: Lookup<'_>) -> Result<Vec<Error>> {
    let mut left_out: Vec<(StoredContract, Error)> = Vec::new();
    for _ in 0..4 {
        let wanted = wanted(files, lookup);
        let is_new = |wanted: &Wanted| match wanted {
            Wanted::File(_) => true,
            Wanted::Contract(asked) => !left_out.iter().any(|(known, _)| known == asked),
        };
        let wanted: Vec<Wanted> = wanted.into_iter().filter(is_new).collect();
        if wanted.is_empty() {
            break;
        }
        for wanted in wanted {
            match wanted {
                Wanted::File(path) => {
                    let full = root.join(&path);
                    let text = if full.is_file() { Some(read_text(&full, &full.display().to_string())?) } else { None };
                    files.others.insert(path, text);
                }
                Wanted::Contract(asked) => match contract::read(&asked, root) {
                    Ok(text) => {
                        files.contracts.insert(asked.title(), text);
                    }
                    Err(error) if error.fault() == Fault::Outside => {
                        let error = error.while_doing(format!("reading {asked}")).at(asked.place.clone());
                        left_out.push((asked, error));
                    }
                    Err(error) => return Err(error.at(asked.place)),
                },
            }
        }
    }
    Ok(left_out.into_iter().map(|(_, error)| error).collect())
}

fn parent(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The directory's own name, which is the pipeline's where it has no other.
fn directory_name(root: &Path) -> String {
    let absolute = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    absolute.file_name().map_or_else(|| "pipeline".into(), |name| name.to_string_lossy().into_owned())
}

/// As [`find_text`]; a schema may be JSON.
fn find_rules(root: &Path, name: &str) -> Result<Option<Text>> {
    let json = root.join(format!("{name}.json"));
    match find_text(root, name)? {
        None if name == "schema" && json.exists() => read_text(&json, &json.display().to_string()).map(Some),
        found => Ok(found),
    }
}

/// Reads `name.yaml` or `name.yml`, whichever is there.
fn find_text(root: &Path, name: &str) -> Result<Option<Text>> {
    let mut found: Vec<PathBuf> =
        ["yaml", "yml"].iter().map(|extension| root.join(format!("{name}.{extension}"))).filter(|path| path.exists()).collect();
    match found.len() {
        0 => Ok(None),
        1 => {
            let path = found.remove(0);
            let shown = path.display().to_string();
            read_text(&path, &shown).map(Some)
        }
        _ => Err(Error::config(format!("`{}` and `{}` are both there", found[0].display(), found[1].display())).hint("remove one of them")),
    }
}

/// Reads a configuration file; `shown` is what messages call it.
///
/// # Errors
/// As [`find`].
pub fn read_text(path: &Path, shown: &str) -> Result<Text> {
    read_text_of(path, shown, MAX_BYTES)
}

/// As [`read_text`], of at most so many bytes.
///
/// # Errors
/// As [`find`].
pub fn read_text_of(path: &Path, shown: &str, max_bytes: u64) -> Result<Text> {
    let reading = || format!("reading `{shown}`");
    let metadata = std::fs::metadata(path).outside(reading)?;
    if metadata.len() > max_bytes {
        return Err(Error::config(format!("`{shown}` has {} bytes, a configuration file has at most {max_bytes}", metadata.len())));
    }
    let bytes = std::fs::read(path).outside(reading)?;
    let text = String::from_utf8(bytes)
        .map_err(|error| Error::config(format!("`{shown}` is not UTF-8, from byte {} on", error.utf8_error().valid_up_to())))?;
    Ok(Text { name: shown.to_owned(), text })
}
