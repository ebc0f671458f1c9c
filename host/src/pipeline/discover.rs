//! Finds the pipelines under a root.

use std::path::{Path, PathBuf};

use crate::error::{Context, Result};

/// What is looked through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// How deep below the root: 1 looks at its own directories only. Default: 2.
    pub levels: usize,
    /// Names of directories that are left out, with all below them. Default: `templates` and `old`. Hidden ones are left out in any case.
    pub excluded: Vec<String>,
}

impl Default for Discovery {
    fn default() -> Self {
        Self { levels: 2, excluded: vec!["templates".into(), "old".into()] }
    }
}

/// A pipeline that was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Discovered {
    /// The name of its directory.
    pub name: String,
    /// Its contract directory.
    pub directory: PathBuf,
}

/// Finds the contract directories under a root, sorted by name: those that hold `extract.yaml` and `load.yaml`, or `pipeline.yaml` (`.yml` too).
///
/// ```
/// use etl_host::pipeline::{Discovery, discover};
///
/// let root = tempfile::tempdir()?;
/// for directory in ["sales/orders", "clicks", "old/clicks", "notes"] {
///     std::fs::create_dir_all(root.path().join(directory))?;
/// }
/// for directory in ["sales/orders", "clicks", "old/clicks"] {
///     std::fs::write(root.path().join(directory).join("extract.yaml"), "path: in.csv\n")?;
///     std::fs::write(root.path().join(directory).join("load.yaml"), "type: file\npath: out.csv\n")?;
/// }
/// let names: Vec<String> = discover(root.path(), &Discovery::default())?.into_iter().map(|found| found.name).collect();
/// assert_eq!(names, ["clicks", "orders"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Outside, where the root or a directory below it cannot be listed.
pub fn discover(root: &Path, discovery: &Discovery) -> Result<Vec<Discovered>> {
    let mut found = Vec::new();
    look(root, discovery, discovery.levels, &mut found)?;
    found.sort();
    Ok(found)
}

fn look(folder: &Path, discovery: &Discovery, levels: usize, found: &mut Vec<Discovered>) -> Result<()> {
    if levels == 0 {
        return Ok(());
    }
    let listing = || format!("looking for pipelines in `{}`", folder.display());
    for entry in std::fs::read_dir(folder).outside(listing)? {
        let directory = entry.outside(listing)?.path();
        let Some(name) = directory.file_name().and_then(|name| name.to_str()) else { continue };
        if name.starts_with('.') || discovery.excluded.iter().any(|excluded| excluded == name) || !directory.is_dir() {
            continue;
        }
        if is_contract(&directory) {
            found.push(Discovered { name: name.to_owned(), directory });
        } else {
            look(&directory, discovery, levels - 1, found)?;
        }
    }
    Ok(())
}

/// Whether a directory holds the files that a pipeline needs.
fn is_contract(directory: &Path) -> bool {
    let has = |name: &str| ["yaml", "yml"].iter().any(|end| directory.join(format!("{name}.{end}")).is_file());
    has("extract") && has("load") || has("pipeline")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn directories_with_the_files_of_a_pipeline_are_found_to_the_depth_asked_for() {
        let root = tempfile::tempdir().unwrap();
        for (directory, files) in [
            ("b", &["extract.yml", "load.yaml"][..]),
            ("a", &["pipeline.yaml"]),
            ("half", &["extract.yaml"]),
            ("group/c", &["pipeline.yml"]),
            ("group/deep/d", &["pipeline.yml"]),
            ("b/inner", &["pipeline.yml"]),
            ("templates/e", &["pipeline.yaml"]),
            ("group/old", &["pipeline.yaml"]),
            (".hidden", &["pipeline.yaml"]),
        ] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
            files.iter().for_each(|file| fs::write(root.path().join(directory).join(file), "").unwrap());
        }
        let names =
            |discovery: &Discovery| discover(root.path(), discovery).unwrap().into_iter().map(|found| found.name).collect::<Vec<_>>();
        let default = Discovery::default();
        assert_eq!(names(&default), ["a", "b", "c"]);
        assert_eq!(names(&Discovery { levels: 1, ..default.clone() }), ["a", "b"]);
        assert_eq!(names(&Discovery { levels: 3, excluded: vec!["b".into()] }), ["a", "c", "d", "e", "old"]);
        assert!(discover(&root.path().join("gone"), &default).is_err());
    }
}
