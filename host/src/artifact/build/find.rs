//! Finds the source of a module.

use std::path::{Component as Part, Path, PathBuf};

use crate::config::component::{Misnamed, misnamed_module};
use crate::error::{Context, Error, Result};

/// Bytes of a source file.
pub const MAX_SOURCE_BYTES: u64 = 64 << 20;

/// A module's source.
pub(super) struct Found {
    /// The file.
    pub(super) path: PathBuf,
    /// The folder from which its name leads to it.
    pub(super) folder: PathBuf,
    /// What it is written in.
    pub(super) language: Language,
}

/// What a module is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Python,
    JavaScript,
}

/// The folders in which modules are looked for, in this order: the contract directory, the working directory, then those that the user names.
pub(super) fn folders(root: &Path, search: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in std::iter::once(root).chain([Path::new(".")]).chain(search.iter().map(PathBuf::as_path)) {
        let same = |known: &PathBuf| absolute(known) == absolute(folder);
        if !folders.iter().any(same) {
            folders.push(folder.to_owned());
        }
    }
    folders
}

/// Finds a module by its dotted name (`a.b` is `a/b.py`, `a/b/__init__.py`, `a/b.js` or `a/b.mjs`), or by the path of its `.js` file.
///
/// # Errors
/// Config, with every place where it was looked for.
pub(super) fn module(root: &Path, name: &str, search: &[PathBuf]) -> Result<Found> {
    if let Some(Misnamed { message, hint }) = misnamed_module(name) {
        return Err(Error::config(format!("`{name}` {message}")).hint(hint.unwrap_or_default()));
    }
    let candidates: Vec<(String, Language)> = if name.ends_with(".js") || name.ends_with(".mjs") {
        vec![(name.to_owned(), Language::JavaScript)]
    } else {
        let path = name.replace('.', "/");
        vec![
            (format!("{path}.py"), Language::Python),
            (format!("{path}/__init__.py"), Language::Python),
            (format!("{path}.js"), Language::JavaScript),
            (format!("{path}.mjs"), Language::JavaScript),
        ]
    };
    let folders = folders(root, search);
    for folder in &folders {
        for (candidate, language) in &candidates {
            let path = folder.join(candidate);
            if path.is_file() {
                return Ok(Found { path, folder: folder.clone(), language: *language });
            }
        }
    }
    let looked: Vec<String> = folders
        .iter()
        .flat_map(|folder| candidates.iter().map(move |(candidate, _)| format!("`{}`", folder.join(candidate).display())))
        .collect();
    Err(Error::config(format!("the module `{name}` is not there; looked for {}", looked.join(", ")))
        .hint("put it into the contract directory, or name its folder with `--path`"))
}

/// Reads a source file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let reading = || format!("reading `{}`", path.display());
    let bytes = std::fs::metadata(path).outside(reading)?.len();
    if bytes > MAX_SOURCE_BYTES {
        return Err(Error::config(format!("`{}` has {bytes} bytes, a source file has at most {MAX_SOURCE_BYTES}", path.display())));
    }
    std::fs::read(path).outside(reading)
}

/// A path as it is found from a folder: `../` where it is not below it.
pub(super) fn relative(from: &Path, to: &Path) -> PathBuf {
    let (from, to) = (absolute(from), absolute(to));
    let common = from.components().zip(to.components()).take_while(|(one, two)| one == two).count();
    let up = from.components().skip(common).map(|_| Part::ParentDir);
    up.chain(to.components().skip(common)).collect()
}

/// A path without links and detours, where it is there.
pub(super) fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Language, module, relative};

    #[test]
    fn a_module_is_found_in_the_contract_directory_first() {
        let folder = tempfile::tempdir().unwrap();
        let (root, other) = (folder.path().join("contract"), folder.path().join("other"));
        for (file, text) in
            [("contract/pkg/mod/__init__.py", ""), ("other/pkg/mod.py", ""), ("contract/web.mjs", ""), ("other/lib/x.js", "")]
        {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let search = [other.clone()];
        let found = |name: &str| module(&root, name, &search).map(|found| (found.path, found.language)).map_err(|error| error.one_line());
        assert_eq!(found("pkg.mod"), Ok((root.join("pkg/mod/__init__.py"), Language::Python)));
        assert_eq!(found("web"), Ok((root.join("web.mjs"), Language::JavaScript)));
        assert_eq!(found("lib/x.js"), Ok((other.join("lib/x.js"), Language::JavaScript)));
        assert_eq!(found("../x.js"), Err("`../x.js` is outside the contract directory".into()));
        assert_eq!(found("pkg..mod"), Err("`pkg..mod` is no module's name".into()));
        let missing = found("none").unwrap_err().replace(folder.path().to_str().unwrap(), "…");
        assert_eq!(
            missing,
            "the module `none` is not there; looked for `…/contract/none.py`, `…/contract/none/__init__.py`, `…/contract/none.js`, \
             `…/contract/none.mjs`, `./none.py`, `./none/__init__.py`, `./none.js`, `./none.mjs`, `…/other/none.py`, \
             `…/other/none/__init__.py`, `…/other/none.js`, `…/other/none.mjs`"
        );
        assert_eq!(relative(&root, &other.join("pkg/mod.py")).to_str(), Some("../other/pkg/mod.py"));
        assert_eq!(relative(&root, &root.join("web.mjs")).to_str(), Some("web.mjs"));
    }
}
