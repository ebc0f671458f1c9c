//! Which key a server must have.

use std::path::{Path, PathBuf};

use russh::Preferred;
use russh::keys::known_hosts::known_host_keys_path;
use russh::keys::{Algorithm, HashAlg, PublicKey};

use super::file;
use crate::config::database::SshTunnel;
use crate::error::{Context, Error, Result};

/// The keys by which a server is known.
pub(super) struct HostKeys {
    host: String,
    port: u16,
    /// The file that the user would add it to.
    file: PathBuf,
    /// Its keys, each with file and line.
    known: Vec<(PathBuf, usize, PublicKey)>,
    /// Keys that nobody may have any more.
    revoked: Vec<String>,
}

impl HostKeys {
    /// Looks up how a server is known: in the file that is named, else in those of the user and of the machine.
    pub(super) fn of(tunnel: &SshTunnel, root: &Path) -> Result<Self> {
        let files = match &tunnel.known_hosts {
            Some(named) => {
                let file = file(named, root);
                if !file.is_file() {
                    return Err(Error::config(format!("`ssh_tunnel.known_hosts` is `{}`, but there is no such file", file.display()))
                        .hint(scan(&tunnel.host, tunnel.port, &file)));
                }
                vec![file]
            }
            None => {
                let own = std::env::home_dir().map(|home| home.join(".ssh/known_hosts"));
                own.into_iter().chain([PathBuf::from("/etc/ssh/ssh_known_hosts")]).collect()
            }
        };
        let mut known = Vec::new();
        let mut revoked = Vec::new();
        for file in &files {
            let unreadable = || format!("`{}` cannot be read", file.display());
            // As `ssh` does: a server on a port of its own is the machine's where the port is not mentioned.
            let text = std::fs::read_to_string(file).unwrap_or_default();
            for port in [tunnel.port, 22] {
                if known.is_empty() {
                    let keys = known_host_keys_path(&tunnel.host, port, file).outside(unreadable)?;
                    // The library does not count comments.
                    known.extend(keys.into_iter().map(|(_, key)| (file.clone(), line_of(&key, &text), key)));
                }
            }
            // Nor does it know patterns.
            let own = name(&tunnel.host, tunnel.port);
            for (number, line) in text.lines().enumerate() {
                if let Some(key) = line.split_once(char::is_whitespace).filter(|(names, _)| is_meant(names, &own)).and_then(|(_, key)| {
                    // A comment may stand behind it.
                    PublicKey::from_openssh(key.trim()).ok()
                }) {
                    known.push((file.clone(), number + 1, key));
                }
            }
            let keys = text.lines().filter_map(|line| line.strip_prefix("@revoked ")?.split_whitespace().nth(2));
            revoked.extend(keys.map(ToOwned::to_owned));
        }
        let file = files.into_iter().next().unwrap_or_else(|| "known_hosts".into());
        Ok(Self { host: tunnel.host.clone(), port: tunnel.port, file, known, revoked })
    }

    /// Algorithms to ask the server for: those of the keys by which it is known come first, since it may have several.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        let mut algorithms = Preferred::default().key.into_owned();
        let same = |known: &Algorithm, other: &Algorithm| match (known, other) {
            (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
            _ => known == other,
        };
        algorithms.sort_by_key(|algorithm| !self.known.iter().any(|(_, _, key)| same(&key.algorithm(), algorithm)));
        algorithms
    }

    /// Whether the key that a server has proven to have is its own.
    ///
    /// # Errors
    /// Config: it is not known, or known by another key.
    pub(super) fn check(&self, key: &PublicKey) -> Result<()> {
        let Self { host, port, file, known, revoked } = self;
        let title = format!("`{host}:{port}`");
        let print = format!("{} {}", key.algorithm().as_str(), key.fingerprint(HashAlg::Sha256));
        let text = key.to_openssh().unwrap_or_default();
        if text.split(' ').nth(1).is_some_and(|key| revoked.iter().any(|revoked| revoked == key)) {
            return Err(Error::config(format!("the SSH server {title} has a key that is revoked ({print}); nothing was sent to it")));
        }
        if known.iter().any(|(_, _, known)| known.key_data() == key.key_data()) {
            return Ok(());
        }
        let Some((at, line, _)) = known.first() else {
            let message = format!("the SSH server {title} is not known; its key is {print}, and nothing was sent to it");
            return Err(Error::config(message).hint(scan(host, *port, file)));
        };
        let message = format!(
            "the SSH server {title} HAS ANOTHER KEY than `{}` has in line {line}: it is {print}; somebody may be in between, and nothing was sent",
            at.display()
        );
        let hint = format!(
            "ask who keeps that server; only if its key was changed on purpose remove the old one by `ssh-keygen -f {} -R '{}'`",
            at.display(),
            name(host, *port)
        );
        Err(Error::config(message).hint(hint))
    }
}

/// Whether patterns, as a line of known machines starts with, mean a machine; names without a sign are somebody else's to compare.
fn is_meant(patterns: &str, name: &str) -> bool {
    let matches = |pattern: &str| is_like(pattern.as_bytes(), name.as_bytes());
    let has_signs = patterns.contains(['*', '?', '!']) && !patterns.starts_with(['#', '@', '|']);
    has_signs
        && patterns.split(',').any(|pattern| !pattern.starts_with('!') && matches(pattern))
        && !patterns.split(',').filter_map(|pattern| pattern.strip_prefix('!')).any(matches)
}

/// Whether a text is like a pattern, in which `*` stands for any signs and `?` for one.
fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|from| is_like(rest, &text[from..])),
        ([b'?', rest @ ..], [_, text @ ..]) => is_like(rest, text),
        ([one, rest @ ..], [other, text @ ..]) => one.eq_ignore_ascii_case(other) && is_like(rest, text),
        _ => false,
    }
}

/// The line of a text, from 1, in which a key stands.
fn line_of(key: &PublicKey, text: &str) -> usize {
    let key = key.to_openssh().unwrap_or_default();
    let body = key.split(' ').nth(1).unwrap_or_default();
    text.lines().position(|line| line.contains(body)).map_or(0, |at| at + 1)
}

/// How to make a server known.
fn scan(host: &str, port: u16, file: &Path) -> String {
    let scan = if port == 22 { format!("ssh-keyscan {host}") } else { format!("ssh-keyscan -p {port} {host}") };
    format!("compare its key with what its keeper says, then add it by `{scan} >> {}`", file.display())
}

/// A server as the file names it.
fn name(host: &str, port: u16) -> String {
    if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") }
}

#[cfg(test)]
mod tests {
    use super::is_meant;

    #[test]
    fn a_pattern_means_the_machines_that_ssh_takes_it_for() {
        for (patterns, name, meant) in [
            ("[127.0.0.*]:8822", "[127.0.0.1]:8822", true),
            ("[127.0.0.*]:8822", "[127.0.0.1]:22", false),
            ("*.example.com", "DB.example.com", true),
            ("db?,*.example.com,!db9.example.com", "db9.example.com", false),
            ("db?,*.example.com,!db9.example.com", "db9", true),
            ("!db9", "db9", false),
            ("!db9", "db8", false),
            ("# *", "#", false),
        ] {
            assert_eq!(is_meant(patterns, name), meant, "{patterns} {name}");
        }
    }
}
