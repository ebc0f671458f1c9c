//! Modules behind symbolic links: a tool that runs in a sandbox sees a folder and nothing that links lead out of it to.

use std::fs;
use std::path::Path;

use super::find::MAX_SOURCE_BYTES;
use crate::error::{Context, Error, Result};

/// Files and folders that are copied at most.
const MOST: usize = 10_000;

/// Copies what the modules and packages of a folder are that links stand for, under their own names; of those with links within, the one in
/// which `module` is. Answers whether there were any.
///
/// # Errors
/// Outside, where something cannot be copied; config, where it is too much to be the source of a module.
pub(super) fn copy(folder: &Path, module: &Path, to: &Path) -> Result<bool> {
    let reading = || format!("reading `{}`", folder.display());
    let mut left = Left { entries: MOST, bytes: MAX_SOURCE_BYTES };
    let mut any = false;
    for entry in fs::read_dir(folder).outside(reading)? {
        let entry = entry.outside(reading)?;
        let path = entry.path();
        let is_link = entry.file_type().outside(reading)?.is_symlink();
        let holds = module.strip_prefix(&path).is_ok_and(|rest| rest.ancestors().any(|part| path.join(part).is_symlink()));
        let is_source = path.extension().is_some_and(|ending| ending == "py") && path.is_file() || path.join("__init__.py").is_file();
        if is_link && is_source || holds {
            fs::create_dir_all(to).outside(|| "writing in a temporary folder".into())?;
            left.copy(&path, &to.join(entry.file_name()), 0)?;
            any = true;
        }
    }
    Ok(any)
}

/// What may still be copied.
struct Left {
    entries: usize,
    bytes: u64,
}

impl Left {
    fn copy(&mut self, from: &Path, to: &Path, depth: usize) -> Result<()> {
        let copying = || format!("copying `{}`", from.display());
        let metadata = fs::metadata(from).outside(copying)?;
        let bytes = if metadata.is_file() { metadata.len() } else { 0 };
        let enough = self.entries.checked_sub(1).zip(self.bytes.checked_sub(bytes));
        let Some((entries, bytes)) = enough.filter(|_| depth < 32) else {
            return Err(Error::config(format!("`{}` is too much to be the source of a module", from.display()))
                .hint("does a link in it lead to a folder above it? keep modules apart from data"));
        };
        *self = Self { entries, bytes };
        if metadata.is_file() {
            fs::copy(from, to).outside(copying)?;
        } else if metadata.is_dir() {
            fs::create_dir_all(to).outside(copying)?;
            for entry in fs::read_dir(from).outside(copying)? {
                let entry = entry.outside(copying)?;
                // A link that leads nowhere is no source of anything.
                if entry.path().exists() && entry.file_name() != "__pycache__" {
                    self.copy(&entry.path(), &to.join(entry.file_name()), depth + 1)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_links_stand_for_is_copied_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for (path, text) in
            [("real.py", "1"), ("lib/pkg/__init__.py", "2"), ("root/own.py", "3"), ("root/deep/__init__.py", ""), ("data/big", "x")]
        {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            fs::write(at(path), text).unwrap();
        }
        for (to, link) in
            [("../real.py", "root/m.py"), ("../lib/pkg", "root/pkg"), ("../data", "root/data"), ("../../real.py", "root/deep/m.py")]
        {
            symlink(to, at(link)).unwrap();
        }
        let names = |path: &str| {
            let mut names: Vec<_> = fs::read_dir(at(path)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert!(copy(&at("root"), &at("root/own.py"), &at("one")).unwrap());
        assert_eq!(names("one"), ["m.py", "pkg"]);
        assert_eq!(
            (fs::read_to_string(at("one/m.py")).unwrap(), fs::read_to_string(at("one/pkg/__init__.py")).unwrap()),
            ("1".into(), "2".into())
        );
        assert!(copy(&at("root"), &at("root/deep/m.py"), &at("two")).unwrap());
        assert_eq!(names("two"), ["deep", "m.py", "pkg"]);
        assert_eq!(fs::read_to_string(at("two/deep/m.py")).unwrap(), "1");
        assert!(!copy(&at("lib"), &at("lib/pkg/__init__.py"), &at("three")).unwrap());
        // Round and round.
        symlink("..", at("root/deep/up")).unwrap();
        assert!(copy(&at("root"), &at("root/deep/m.py"), &at("four")).unwrap_err().to_string().contains("is too much to be the source"));
    }
}
