//! Who we are at a registry: the command line, the environment, then what `docker login` left behind.

use std::fmt;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::error::{Context, Error, Result};

/// Environment variables that name a registry and who we are there, and nowhere else.
pub(super) const REGISTRY: &str = "ETL_HOST_REGISTRY";
/// As [`REGISTRY`].
pub(super) const USERNAME: &str = "ETL_HOST_REGISTRY_USERNAME";
/// As [`REGISTRY`].
pub(super) const PASSWORD: &str = "ETL_HOST_REGISTRY_PASSWORD";

/// Bytes of a file with credentials.
const MAX_BYTES: u64 = 1 << 20;

/// A password or token; it shows in no message and no log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the registry only.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Who the command line says that we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub username: String,
    /// The password or access token.
    pub password: Secret,
}

/// What a registry is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credentials {
    /// Nothing.
    Anonymous,
    /// A name and a password.
    Login(Login),
    /// A token that is traded for others.
    Identity(Secret),
    /// A token as it is sent.
    Token(Secret),
}

/// Credentials, and where they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) credentials: Credentials,
    /// For messages: `the command line`, a variable, a file.
    pub(super) origin: String,
    /// What to know where there are none: a helper that we do not ask.
    pub(super) note: Option<String>,
}

impl Known {
    /// Texts that may not show, should a registry send them back.
    pub(super) fn secrets(&self) -> Vec<String> {
        match &self.credentials {
            Credentials::Anonymous => Vec::new(),
            Credentials::Login(login) => vec![login.password.0.clone(), basic(login)],
            Credentials::Identity(token) | Credentials::Token(token) => vec![token.0.clone()],
        }
    }
}

/// A name and a password as HTTP's basic authentication writes them.
pub(super) fn basic(login: &Login) -> String {
    STANDARD.encode(format!("{}:{}", login.username, login.password.0))
}

/// Finds the credentials for a registry. `env` answers variables.
///
/// # Errors
/// Config, where the variables or the file are wrong; outside, where the file cannot be read.
pub(super) fn find(registry: &str, login: Option<&Login>, env: &dyn Fn(&str) -> Option<String>) -> Result<Known> {
    let known = |credentials, origin: &str| Known { credentials, origin: origin.to_owned(), note: None };
    if let Some(login) = login {
        return Ok(known(Credentials::Login(login.clone()), "the command line"));
    }
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    match (set(REGISTRY), set(USERNAME), set(PASSWORD)) {
        (Some(named), Some(username), Some(password)) if named == registry => {
            return Ok(known(Credentials::Login(Login { username, password: Secret(password) }), &format!("the variable {PASSWORD}")));
        }
        // For another registry: it must not see them.
        (Some(_), Some(_), Some(_)) | (_, None, None) => {}
        (named, username, password) => {
            let missing = [(named, REGISTRY), (username, USERNAME), (password, PASSWORD)];
            let missing = missing.iter().filter(|(value, _)| value.is_none()).map(|(_, name)| *name).collect::<Vec<_>>().join(" and ");
            return Err(Error::config(format!("{missing} must be set beside the other variables with a registry's credentials"))
                .hint(format!("{REGISTRY} says which registry may see them, such as `{registry}`")));
        }
    }
    let folder = set("DOCKER_CONFIG").map(PathBuf::from).or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".docker")));
    let Some(path) = folder.map(|folder| folder.join("config.json")) else { return Ok(known(Credentials::Anonymous, "nowhere")) };
    let reading = || format!("reading the credentials in `{}`", path.display());
    let text = match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(known(Credentials::Anonymous, "nowhere")),
        Ok(metadata) if metadata.len() > MAX_BYTES => {
            return Err(Error::config(format!("`{}` has {} bytes, the limit is {MAX_BYTES}", path.display(), metadata.len())));
        }
        _ => std::fs::read(&path).outside(reading)?,
    };
    // The parser's own message could show a piece of the file.
    let config: DockerConfig = serde_json::from_slice(&text).map_err(|error| {
        Error::config(format!("`{}`, line {}, is no Docker configuration", path.display(), error.line()))
            .hint("mend or remove it; `docker login` writes it anew")
    })?;
    config.find(registry, &path.display().to_string())
}

/// What `docker login` writes.
#[derive(Default, Deserialize)]
#[serde(default)]
struct DockerConfig {
    auths: std::collections::BTreeMap<String, DockerAuth>,
    #[serde(rename = "credHelpers")]
    helpers: std::collections::BTreeMap<String, String>,
    #[serde(rename = "credsStore")]
    helper: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DockerAuth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl DockerConfig {
    fn find(mut self, registry: &str, file: &str) -> Result<Known> {
        let names = names(registry);
        let known = |credentials| Known { credentials, origin: format!("`{file}`"), note: None };
        let auth = names.iter().find_map(|name| self.auths.remove(name)).unwrap_or_default();
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(token) = given(auth.registrytoken) {
            return Ok(known(Credentials::Token(Secret(token))));
        }
        if let Some(token) = given(auth.identitytoken) {
            return Ok(known(Credentials::Identity(Secret(token))));
        }
        let login = match (given(auth.auth), given(auth.username), given(auth.password)) {
            (Some(encoded), ..) => {
                let decoded = STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                let Some((username, password)) = decoded.as_deref().and_then(|text| text.split_once(':')) else {
                    return Err(Error::config(format!("`auth` of `{registry}` in `{file}` is not a name and a password in base64"))
                        .hint(format!("`docker login {registry}` writes it anew")));
                };
                Some((username.to_owned(), password.trim_end_matches('\0').to_owned()))
            }
            (None, Some(username), Some(password)) => Some((username, password)),
            _ => None,
        };
        if let Some((username, password)) = login {
            return Ok(known(Credentials::Login(Login { username, password: Secret(password) })));
        }
        let helper = names.iter().find_map(|name| self.helpers.remove(name)).or(self.helper);
        let note = helper.map(|helper| format!("`{file}` leaves them to the helper `{helper}`, which etl-host does not ask"));
        Ok(Known { credentials: Credentials::Anonymous, origin: "nowhere".into(), note })
    }
}

/// The names under which Docker files a registry's credentials.
fn names(registry: &str) -> Vec<String> {
    let mut names = vec![registry.to_owned()];
    for prefix in ["https://", "http://"] {
        for suffix in ["", "/", "/v1/", "/v2/"] {
            names.push(format!("{prefix}{registry}{suffix}"));
        }
    }
    if registry == "docker.io" {
        names.insert(0, "https://index.docker.io/v1/".into());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::{Credentials, Known, Login, Secret, find};

    fn found(registry: &str, config: Option<&str>, variables: &[(&str, &str)]) -> crate::error::Result<Known> {
        let folder = tempfile::tempdir().unwrap();
        if let Some(config) = config {
            std::fs::write(folder.path().join("config.json"), config).unwrap();
        }
        let path = folder.path().to_str().unwrap().to_owned();
        let env = |name: &str| match name {
            "DOCKER_CONFIG" => Some(path.clone()),
            name => variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
        };
        find(registry, None, &env)
    }

    fn login(username: &str, password: &str) -> Credentials {
        Credentials::Login(Login { username: username.into(), password: Secret::new(password) })
    }

    #[test]
    fn each_registry_gets_its_own_and_no_others() {
        // ada:love, ben:hur:x
        let config = r#"{"auths": {"ghcr.io": {"auth": "YWRhOmxvdmU="}, "https://index.docker.io/v1/": {"auth": "YmVuOmh1cjp4"},
            "https://r.example.com:5000/v2/": {"identitytoken": "idt", "auth": "YWRhOg=="}, "bare.example.com": {}}, "other": 1}"#;
        let credentials = |registry| found(registry, Some(config), &[]).unwrap().credentials;
        assert_eq!(credentials("ghcr.io"), login("ada", "love"));
        assert_eq!(credentials("docker.io"), login("ben", "hur:x"));
        assert_eq!(credentials("r.example.com:5000"), Credentials::Identity(Secret::new("idt")));
        for other in ["r.example.com", "bare.example.com", "xghcr.io", "ghcr.io.evil.example"] {
            assert_eq!(credentials(other), Credentials::Anonymous, "{other}");
        }
        assert_eq!(found("ghcr.io", None, &[]).unwrap().credentials, Credentials::Anonymous);
    }

    #[test]
    fn variables_come_first_and_are_for_one_registry() {
        let variables = [("ETL_HOST_REGISTRY", "ghcr.io"), ("ETL_HOST_REGISTRY_USERNAME", "eve"), ("ETL_HOST_REGISTRY_PASSWORD", "pw")];
        let config = Some(r#"{"auths": {"ghcr.io": {"auth": "YWRhOmxvdmU="}}}"#);
        assert_eq!(found("ghcr.io", config, &variables).unwrap().credentials, login("eve", "pw"));
        assert_eq!(found("quay.io", config, &variables).unwrap().credentials, Credentials::Anonymous);
        let error = found("ghcr.io", config, &variables[1..]).unwrap_err();
        assert_eq!(error.to_string(), "ETL_HOST_REGISTRY must be set beside the other variables with a registry's credentials");
    }

    #[test]
    fn a_file_that_is_wrong_is_told_of_without_its_secrets() {
        for wrong in [r#"{"auths": {"ghcr.io": {"auth": "s3cr3t-not-base64"}}}"#, "{\"auths\": {\"ghcr.io\": \n\"s3cr3t\"}}", "s3cr3t"] {
            let error = found("ghcr.io", Some(wrong), &[]).unwrap_err();
            assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
        }
    }

    #[test]
    fn a_helper_is_not_asked_and_that_is_said() {
        let known = found("ghcr.io", Some(r#"{"credsStore": "desktop"}"#), &[]).unwrap();
        assert!(known.note.unwrap().contains("the helper `desktop`"));
        assert_eq!(format!("{:?}", login("ada", "s3cr3t")), "Login(Login { username: \"ada\", password: … })");
    }
}
