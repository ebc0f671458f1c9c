//! The programs that compile: where they are, and what they say when they fail.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Context, Error, Result};

/// Lines of a failed tool's words that are shown.
const SHOWN_LINES: usize = 20;

/// A program that compiles.
pub(super) struct Tool {
    /// Its name.
    pub(super) name: &'static str,
    /// The variable that names it where it is not on the path.
    pub(super) variable: &'static str,
    /// How it is got.
    pub(super) install: &'static str,
    /// Folders below the contract directory, or one above it, in which it may be.
    pub(super) beside: &'static [&'static str],
}

impl Tool {
    /// Finds it: where its variable says, beside the contract directory, on the path.
    ///
    /// # Errors
    /// Outside, with how it is installed.
    pub(super) fn find(&self, root: &Path) -> Result<PathBuf> {
        let Self { name, variable, install, beside } = self;
        if let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
            let path = PathBuf::from(path);
            return match path.is_file() {
                true => Ok(path),
                false => Err(Error::outside(format!("`{variable}` is `{}`, which is no file", path.display()))
                    .hint(format!("let it name the program `{name}`; {install} installs it"))),
            };
        }
        let root = super::find::absolute(root);
        let near = root.ancestors().flat_map(|folder| beside.iter().map(move |beside| folder.join(beside)));
        let path = std::env::var_os("PATH").unwrap_or_default();
        near.chain(std::env::split_paths(&path)).map(|folder| folder.join(name)).find(|program| program.is_file()).ok_or_else(|| {
            Error::outside(format!("`{name}` is not installed")).hint(format!("{install}, or let {variable} name the program"))
        })
    }

    /// Its name and version.
    ///
    /// # Errors
    /// Outside, where it does not run.
    pub(super) fn version(&self, program: &Path) -> Result<String> {
        let said = run(Command::new(program).arg("--version"), self.name)?;
        let said = said.stdout.trim();
        Ok(if said.starts_with(self.name) { said.to_owned() } else { format!("{} {said}", self.name) })
    }
}

/// What a tool said, and whether it did its work.
pub(super) struct Said {
    pub(super) done: bool,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs a tool to its end.
///
/// # Errors
/// Outside, where it does not start.
pub(super) fn run(command: &mut Command, name: &str) -> Result<Said> {
    let output = command.stdin(Stdio::null()).output().outside(|| format!("starting `{name}`"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Said { done: output.status.success(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
}

/// The first lines of what a tool said, without those of its own inside.
pub(super) fn words(said: &Said) -> String {
    let text = if said.stderr.trim().is_empty() { &said.stdout } else { &said.stderr };
    let lines = text.lines().take_while(|line| !line.starts_with("Stack backtrace:"));
    lines.filter(|line| !line.trim().is_empty() && !line.starts_with("npm warn")).take(SHOWN_LINES).collect::<Vec<_>>().join("\n")
}
