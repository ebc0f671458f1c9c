//! Paths that stand for this machine only, where a URL would become a folder named after its scheme.

use std::path::Path;

use super::problem::Findings;
use super::yaml::Node;

/// The scheme of a URL that stands where a path of this machine must.
pub(crate) fn scheme(path: &str) -> Option<&str> {
    let (scheme, _) = path.split_once("://")?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
    (scheme.starts_with(|letter: char| letter.is_ascii_alphabetic()) && scheme.chars().all(plain)).then_some(scheme)
}

/// Refuses a path of the command line that is a URL.
///
/// # Errors
/// What is wrong with it; without the URL, which may hold a password.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    match scheme(&path.to_string_lossy()) {
        Some(scheme) => Err(format!("is a URL of `{scheme}`, but must be a path of this machine")),
        None => Ok(()),
    }
}

/// Refuses a file of dead letters that is a URL.
pub(super) fn check_letters(queue: &Node, findings: &mut Findings) {
    let Some(path) = queue.given("path") else { return };
    let Some(scheme) = path.text().and_then(scheme) else { return };
    let message = format!("`dlq.path` is a URL of `{scheme}`, but dead letters are added row by row, to a file of this machine");
    findings.wrong(path, message).hint = Some(
        "write a path of this machine, or a table that servers share: `dlq: {backend: database, connection_string: \
         'postgresql://user:${PASSWORD}@host/name'}`"
            .into(),
    );
}
