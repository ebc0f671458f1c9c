//! How a component is named: by file, by digest, or by its place in a registry.

use std::fmt;
use std::path::{Component as PathPart, Path};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A component as a user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Component {
    /// A file; relative to the contract directory.
    File(String),
    /// The component with these bytes, wherever it is.
    Digest(Digest),
    /// An artefact of a registry.
    Registry(Reference),
}

/// SHA-256 of bytes, written `sha256:` and 64 hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Digest([u8; 32]);

/// An artefact of a registry: `oci://registry/repository`, then `:tag`, `@sha256:…` or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Reference {
    /// Host and, where it is not the scheme's own, port.
    pub registry: String,
    /// Name in the registry, parts apart by `/`.
    pub repository: String,
    /// A name that may move from one artefact to another.
    pub tag: Option<String>,
    /// Digest of the artefact's manifest, which never moves.
    pub digest: Option<Digest>,
}

/// Why a text names no component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misnamed {
    /// What is wrong with it, to stand after the text itself.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Misnamed {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Misnamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Misnamed {}

/// An address as it may be shown: a user's name and password in it are left out.
pub fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = &rest[..rest.find('/').unwrap_or(rest.len())];
    match authority.rfind('@') {
        Some(at) if !authority[at..].starts_with("@sha256:") => format!("{scheme}://…{}", &rest[at..]),
        _ => text.to_owned(),
    }
}

impl FromStr for Component {
    type Err = Misnamed;

    fn from_str(text: &str) -> Result<Self, Misnamed> {
        if text.trim().is_empty() {
            return Err(Misnamed::new("names nothing"));
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return match scheme {
                "oci" => text.parse().map(Self::Registry),
                "http" | "https" => Err(Misnamed::new(format!("is a `{scheme}` address, from which components are not fetched"))
                    .hint("fetch the file and name it by path, or push it to a registry and write `oci://…`")),
                "file" => Err(Misnamed::new("is a `file` address").hint("write the path alone, relative to the contract directory")),
                _ => Err(Misnamed::new(format!("has the scheme `{scheme}`, which is not known"))
                    .hint("a component is a path, `sha256:…` or `oci://registry/name:tag`")),
            };
        }
        let lower = text.to_lowercase();
        if lower.starts_with("sha256:") {
            return text.parse().map(Self::Digest);
        }
        if lower.starts_with("sha512:") || lower.starts_with("sha1:") || lower.starts_with("md5:") {
            return Err(Misnamed::new("is not a SHA-256 digest").hint("write `sha256:` and 64 hex digits; `etl-host inspect` shows it"));
        }
        if lower.starts_with("oci:") {
            return Err(Misnamed::new("is not a registry's address").hint("write `oci://registry/name:tag`"));
        }
        Ok(Self::File(text.to_owned()))
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.write_str(path),
            Self::Digest(digest) => digest.fmt(f),
            Self::Registry(reference) => reference.fmt(f),
        }
    }
}

impl Digest {
    /// The digest of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 64 hex digits alone.
    pub fn hex(&self) -> String {
        hex(&self.0)
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

impl FromStr for Digest {
    type Err = Misnamed;

    fn from_str(text: &str) -> Result<Self, Misnamed> {
        let whole = "a digest is `sha256:` and 64 hex digits, as `etl-host inspect` shows it";
        let Some(digits) = text.strip_prefix("sha256:") else {
            let lower = text.to_lowercase().starts_with("sha256:");
            let message = if lower { "has `sha256` in capitals" } else { "does not start with `sha256:`" };
            return Err(Misnamed::new(message).hint(whole));
        };
        if let Some(wrong) = digits.chars().find(|c| !c.is_ascii_hexdigit()) {
            return Err(Misnamed::new(format!("has `{}` among its hex digits", wrong.escape_default())).hint(whole));
        }
        if digits.len() != 64 {
            return Err(Misnamed::new(format!("has {} hex digits, but must have 64", digits.len())).hint(whole));
        }
        if digits.chars().any(|c| c.is_ascii_uppercase()) {
            return Err(Misnamed::new("has hex digits in capitals").hint(format!("write `sha256:{}`", digits.to_lowercase())));
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).expect("hex digits are ASCII");
            *byte = u8::from_str_radix(pair, 16).expect("they were looked at");
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = Misnamed;

    fn try_from(text: String) -> Result<Self, Misnamed> {
        text.parse().map_err(|misnamed: Misnamed| Misnamed { message: format!("`{text}` {}", misnamed.message), ..misnamed })
    }
}

impl Reference {
    /// The same with the digest of a manifest.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }
}

impl FromStr for Reference {
    type Err = Misnamed;

    fn from_str(text: &str) -> Result<Self, Misnamed> {
        let example = "write `oci://registry/name:tag`, such as `oci://ghcr.io/team/clean:1.2`";
        let Some(rest) = text.strip_prefix("oci://") else {
            return Err(Misnamed::new("is not a registry's address").hint(example));
        };
        let (registry, path) = match rest.split_once('/') {
            Some((registry, path)) if !path.is_empty() => (registry, path),
            _ => return Err(Misnamed::new("names no repository").hint(example)),
        };
        if registry.is_empty() {
            return Err(Misnamed::new("names no registry").hint(example));
        }
        if registry.contains('@') {
            return Err(Misnamed::new("holds a user's name").hint("credentials come from `docker login` or the environment"));
        }
        check_registry(registry)?;
        let (path, digest) = match path.split_once('@') {
            Some((path, digest)) => {
                let digest: Digest = digest
                    .parse()
                    .map_err(|wrong: Misnamed| Misnamed { message: format!("has a digest that {}", wrong.message), ..wrong })?;
                (path, Some(digest))
            }
            None => (path, None),
        };
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (path, None),
        };
        if let Some(tag) = &tag {
            check_tag(tag)?;
        }
        check_repository(repository)?;
        if tag.is_none() && digest.is_none() {
            return Err(Misnamed::new("has neither tag nor digest").hint(format!("write `oci://{registry}/{repository}:TAG`")));
        }
        Ok(Self { registry: registry.to_owned(), repository: repository.to_owned(), tag, digest })
    }
}

/// Holds a registry to what a host and a port may be.
fn check_registry(registry: &str) -> Result<(), Misnamed> {
    let (host, port) = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) if !host.is_empty() && host.chars().all(|c| c.is_ascii_hexdigit() || c == ':' || c == '.') => {
            ("v6", port.strip_prefix(':').or(if port.is_empty() { None } else { Some("") }))
        }
        _ => registry.split_once(':').map_or((registry, None), |(host, port)| (host, Some(port))),
    };
    let labels = host.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    });
    if !labels || host.len() > 253 {
        return Err(Misnamed::new(format!("has the registry `{registry}`, which is no host's name")));
    }
    match port {
        Some(port) if port.parse::<u16>().is_err() || !port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(Misnamed::new(format!("has the registry `{registry}`, whose port is not a number up to 65535")))
        }
        // A lone word would be taken for a repository by other tools.
        None if !host.contains('.') && host != "localhost" && host != "v6" => {
            Err(Misnamed::new(format!("names no registry: `{host}` has neither a dot nor a port"))
                .hint("write the registry's whole name, such as `oci://ghcr.io/team/clean:1.2`"))
        }
        _ => Ok(()),
    }
}

fn check_repository(repository: &str) -> Result<(), Misnamed> {
    let right = |part: &str| {
        let inner = part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'));
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        inner && edge(part.chars().next()) && edge(part.chars().next_back())
    };
    if repository.len() > 255 || !repository.split('/').all(right) {
        let hint = match repository.chars().any(|c| c.is_ascii_uppercase()) {
            true => format!("names are in small letters: `{}`", repository.to_lowercase()),
            false => "a name has small letters, digits and, within, `.`, `_` and `-`; parts are apart by `/`".into(),
        };
        return Err(Misnamed::new(format!("has the name `{repository}`, which registries do not take")).hint(hint));
    }
    Ok(())
}

fn check_tag(tag: &str) -> Result<(), Misnamed> {
    let first = tag.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    if !first || tag.len() > 128 || !tag.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) {
        return Err(Misnamed::new(format!("has the tag `{tag}`, which registries do not take"))
            .hint("a tag has up to 128 letters, digits, `.`, `_` and `-`"));
    }
    Ok(())
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registry, repository, tag, digest } = self;
        write!(f, "oci://{registry}/{repository}")?;
        if let Some(tag) = tag {
            write!(f, ":{tag}")?;
        }
        match digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

impl TryFrom<String> for Reference {
    type Error = Misnamed;

    fn try_from(text: String) -> Result<Self, Misnamed> {
        text.parse().map_err(|misnamed: Misnamed| Misnamed { message: format!("`{text}` {}", misnamed.message), ..misnamed })
    }
}

/// Why a text names no module in Python or JavaScript, and what to do; `None` where it may.
pub fn misnamed_module(name: &str) -> Option<Misnamed> {
    let wrong = |message: &str, hint: &str| Some(Misnamed { message: message.to_owned(), hint: Some(hint.to_owned()) });
    if name.ends_with(".js") || name.ends_with(".mjs") {
        let below = Path::new(name).components().all(|part| matches!(part, PathPart::Normal(_) | PathPart::CurDir));
        return if below { None } else { wrong("is outside the contract directory", "name a file below it, by its path from there") };
    }
    let is_word = |part: &str| !part.is_empty() && part.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    if name.split('.').all(is_word) { None } else { wrong("is no module's name", "write `package.module`, or the path of a `.js` file") }
}

#[cfg(test)]
mod tests {
    use super::{Component, Digest, Reference};

    #[test]
    fn what_is_right_comes_out_as_it_was_written() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        for text in [
            "clean.wasm",
            "./a/b.wasm",
            "c:weird.wasm",
            &digest,
            "oci://ghcr.io/team/clean:1.2",
            "oci://localhost/clean:latest",
            "oci://127.0.0.1:5000/a/b_c/d.e:v1.0-rc.1",
            "oci://[::1]:5000/clean:1",
            &format!("oci://registry:5000/clean@{digest}"),
            &format!("oci://registry:5000/clean:1@{digest}"),
        ] {
            assert_eq!(text.parse::<Component>().map(|component| component.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let wrong = |text: &str| text.parse::<Component>().unwrap_err().to_string();
        insta::assert_snapshot!(
            [
                "",
                "http://example.com/a.wasm",
                "file:///a.wasm",
                "s3://bucket/a.wasm",
                "sha256:12",
                "sha256:xy",
                "SHA256:00",
                &format!("sha256:{}", "0F".repeat(32)),
                "sha512:00",
                "oci:ghcr.io/a:1",
                "oci://clean:1",
                "oci:///clean:1",
                "oci://team/clean:1",
                "oci://ghcr.io/",
                "oci://ghcr.io/clean",
                "oci://ghcr.io/Clean:1",
                "oci://ghcr.io/a//b:1",
                "oci://ghcr.io/clean:",
                "oci://ghcr.io/clean:a b",
                "oci://ghcr.io/clean:1@sha256:12",
                "oci://ghcr.io:99999/clean:1",
                "oci://ghcr..io/clean:1",
                "oci://ada@ghcr.io/clean:1",
            ]
            .map(|text| format!("{text}: {}", wrong(text)))
            .join("\n"), @r"
        : names nothing
        http://example.com/a.wasm: is a `http` address, from which components are not fetched; fetch the file and name it by path, or push it to a registry and write `oci://…`
        file:///a.wasm: is a `file` address; write the path alone, relative to the contract directory
        s3://bucket/a.wasm: has the scheme `s3`, which is not known; a component is a path, `sha256:…` or `oci://registry/name:tag`
        sha256:12: has 2 hex digits, but must have 64; a digest is `sha256:` and 64 hex digits, as `etl-host inspect` shows it
        sha256:xy: has `x` among its hex digits; a digest is `sha256:` and 64 hex digits, as `etl-host inspect` shows it
        SHA256:00: has `sha256` in capitals; a digest is `sha256:` and 64 hex digits, as `etl-host inspect` shows it
        sha256:0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F: has hex digits in capitals; write `sha256:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f`
        sha512:00: is not a SHA-256 digest; write `sha256:` and 64 hex digits; `etl-host inspect` shows it
        oci:ghcr.io/a:1: is not a registry's address; write `oci://registry/name:tag`
        oci://clean:1: names no repository; write `oci://registry/name:tag`, such as `oci://ghcr.io/team/clean:1.2`
        oci:///clean:1: names no registry; write `oci://registry/name:tag`, such as `oci://ghcr.io/team/clean:1.2`
        oci://team/clean:1: names no registry: `team` has neither a dot nor a port; write the registry's whole name, such as `oci://ghcr.io/team/clean:1.2`
        oci://ghcr.io/: names no repository; write `oci://registry/name:tag`, such as `oci://ghcr.io/team/clean:1.2`
        oci://ghcr.io/clean: has neither tag nor digest; write `oci://ghcr.io/clean:TAG`
        oci://ghcr.io/Clean:1: has the name `Clean`, which registries do not take; names are in small letters: `clean`
        oci://ghcr.io/a//b:1: has the name `a//b`, which registries do not take; a name has small letters, digits and, within, `.`, `_` and `-`; parts are apart by `/`
        oci://ghcr.io/clean:: has the tag ``, which registries do not take; a tag has up to 128 letters, digits, `.`, `_` and `-`
        oci://ghcr.io/clean:a b: has the tag `a b`, which registries do not take; a tag has up to 128 letters, digits, `.`, `_` and `-`
        oci://ghcr.io/clean:1@sha256:12: has a digest that has 2 hex digits, but must have 64; a digest is `sha256:` and 64 hex digits, as `etl-host inspect` shows it
        oci://ghcr.io:99999/clean:1: has the registry `ghcr.io:99999`, whose port is not a number up to 65535
        oci://ghcr..io/clean:1: has the registry `ghcr..io`, which is no host's name
        oci://ada@ghcr.io/clean:1: holds a user's name; credentials come from `docker login` or the environment
        ");
    }

    #[test]
    fn a_digest_is_its_hex() {
        let digest = Digest::of(b"abc");
        assert_eq!(digest.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let reference: Reference = "oci://ghcr.io/clean:1".parse().unwrap();
        assert_eq!(reference.pinned(digest.clone()).to_string(), format!("oci://ghcr.io/clean:1@{digest}"));
    }
}
