//! Starts a project: a transform with a unit test, sample rows, cases and the contract directory that uses it.

use std::path::Path;

use crate::error::{Context, Error, Result};

mod sdk {
    include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
}

/// Languages in which a project can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Rust.
    Rust,
    /// Python.
    Python,
    /// JavaScript.
    JavaScript,
}

const COMMON: [(&str, &str); 4] = [
    ("extract.yaml", include_str!("templates/common/extract.yaml")),
    ("load.yaml", include_str!("templates/common/load.yaml")),
    ("data/orders.csv", include_str!("templates/common/orders.csv")),
    ("tests/orders.yaml", include_str!("templates/common/cases.yaml")),
];

const RUST: [(&str, &str); 5] = [
    ("transform.yaml", include_str!("templates/rust/transform.yaml")),
    ("Cargo.toml", include_str!("templates/rust/Cargo.toml")),
    ("src/lib.rs", include_str!("templates/rust/lib.rs")),
    ("README.md", include_str!("templates/rust/README.md")),
    (".gitignore", include_str!("templates/rust/gitignore")),
];

const PYTHON: [(&str, &str); 5] = [
    ("transform.yaml", include_str!("templates/python/transform.yaml")),
    ("transforms.py", include_str!("templates/python/transforms.py")),
    ("test_transforms.py", include_str!("templates/python/test_transforms.py")),
    ("README.md", include_str!("templates/python/README.md")),
    (".gitignore", include_str!("templates/python/gitignore")),
];

const JAVASCRIPT: [(&str, &str); 6] = [
    ("transform.yaml", include_str!("templates/js/transform.yaml")),
    ("transforms.js", include_str!("templates/js/transforms.js")),
    ("transforms.test.js", include_str!("templates/js/transforms.test.js")),
    ("package.json", include_str!("templates/js/package.json")),
    ("README.md", include_str!("templates/js/README.md")),
    (".gitignore", include_str!("templates/js/gitignore")),
];

/// Writes a project into a folder that is not there yet, and answers its files. The folder's name is the project's.
///
/// # Errors
/// Config, where the folder is there or has no fit name; outside, where it cannot be written.
pub fn create(folder: &Path, language: Language) -> Result<Vec<String>> {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'));
    if !fits {
        return Err(Error::config(format!("`{name}` is no name for a project"))
            .hint("a name starts with a small letter and has small letters, digits, `-` and `_`"));
    }
    if folder.symlink_metadata().is_ok() {
        return Err(Error::config(format!("`{}` is there already", folder.display())).hint("nothing was written; choose another name"));
    }
    let own: &[(&str, &str)] = match language {
        Language::Rust => &RUST,
        Language::Python => &PYTHON,
        Language::JavaScript => &JAVASCRIPT,
    };
    let mut files: Vec<(String, String)> = Vec::new();
    for (path, text) in COMMON.iter().chain(own) {
        files.push(((*path).to_owned(), text.replace("@NAME@", &name).replace("@CRATE@", &name.replace('-', "_"))));
    }
    if language == Language::Rust {
        files.push(("Cargo.lock".into(), sdk::CARGO_LOCK.into()));
        files.extend(sdk::SDK.iter().map(|(path, text)| (format!("sdk/{path}"), (*text).to_owned())));
    }
    for (path, text) in &files {
        let path = folder.join(path);
        let writing = || format!("writing `{}`", path.display());
        std::fs::create_dir_all(path.parent().unwrap_or(folder)).outside(writing)?;
        std::fs::write(&path, text).outside(writing)?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::{Language, create};

    #[test]
    fn nothing_is_overwritten_and_a_name_must_fit_a_crate() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("my-transform");
        let files = create(&project, Language::Rust).unwrap();
        assert!(files.contains(&"sdk/src/lib.rs".to_owned()) && files.contains(&"sdk/wit/transform.wit".to_owned()));
        let manifest = std::fs::read_to_string(project.join("sdk/Cargo.toml")).unwrap();
        assert!(!manifest.contains("workspace"), "{manifest}");
        std::fs::write(project.join("src/lib.rs"), "mine").unwrap();
        assert!(create(&project, Language::Python).unwrap_err().one_line().ends_with("is there already"));
        assert_eq!(std::fs::read_to_string(project.join("src/lib.rs")).unwrap(), "mine");
        for name in ["Mine", "1st", "a b", ".."] {
            assert!(create(&folder.path().join(name), Language::Python).is_err(), "{name}");
        }
    }
}
