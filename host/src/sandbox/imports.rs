//! What a component imports, and what stands behind it.
//!
//! Three kinds: the contract and the basics of WASI 0.2, which every component may import and which answer with nothing behind them unless a grant
//! says otherwise; `wasi:http/outgoing-handler`, which takes a grant; and all else, which is refused.

use serde::Serialize;

use super::component::CONTRACT;
use crate::error::{Error, Result};
use crate::plan::Grants;

/// What a component can reach for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// `wasi:clocks`.
    Clock,
    /// `wasi:random`.
    Random,
    /// `wasi:cli/environment`.
    Env,
    /// `wasi:http/outgoing-handler`.
    Http,
    /// `wasi:filesystem`.
    Files,
    /// `wasi:sockets`.
    Sockets,
}

impl Capability {
    /// The capability behind an import, where it is one.
    pub fn of(import: &str) -> Option<Self> {
        let name = import.split('@').next().unwrap_or_default();
        Some(match name.split_once('/').unwrap_or((name, "")) {
            ("wasi:clocks", _) => Self::Clock,
            ("wasi:random", _) => Self::Random,
            ("wasi:cli", "environment") => Self::Env,
            ("wasi:http", "outgoing-handler") => Self::Http,
            ("wasi:filesystem", _) => Self::Files,
            ("wasi:sockets", _) => Self::Sockets,
            _ => return None,
        })
    }

    /// Those behind a component's imports, each once.
    pub fn all(imports: &[String]) -> Vec<Self> {
        let mut found: Vec<Self> = imports.iter().filter_map(|import| Self::of(import)).collect();
        found.sort();
        found.dedup();
        found
    }

    /// Its name, as in `grants` where it stands there.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Env => "env",
            Self::Http => "http",
            Self::Files => "files",
            Self::Sockets => "sockets",
        }
    }

    /// What a stage gets of it.
    pub fn behind(self, grants: &Grants) -> String {
        let Grants { clock, random, env, http } = grants;
        match self {
            Self::Clock if *clock => "the real time".into(),
            Self::Clock => "stands still at the run's start".into(),
            Self::Random if *random => "real".into(),
            Self::Random => "drawn from the run's id, the same at every try".into(),
            Self::Env if env.is_empty() => "empty".into(),
            Self::Env => env.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" "),
            Self::Http if http.is_empty() => "refused".into(),
            Self::Http => http.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Self::Files => "no folder".into(),
            Self::Sockets => "refused".into(),
        }
    }

    /// What opens it.
    pub fn grant(self) -> Option<&'static str> {
        match self {
            Self::Clock => Some("grants: {clock: true}"),
            Self::Random => Some("grants: {random: true}"),
            Self::Env => Some("grants: {env: [NAME]}"),
            Self::Http => Some("grants: {http: [HOST]}"),
            Self::Files | Self::Sockets => None,
        }
    }
}

/// What an import gives a guest that was granted nothing.
pub fn meaning(import: &str) -> String {
    let name = import.split('@').next().unwrap_or_default();
    match Capability::of(import) {
        Some(Capability::Http) => "refused without `grants: {http: [HOST]}`".into(),
        Some(capability) => {
            let behind = capability.behind(&Grants::default());
            capability.grant().map_or_else(|| behind.clone(), |grant| format!("{behind}, unless `{grant}`"))
        }
        None if name.starts_with(CONTRACT) => "rows, log, counters".into(),
        None => match name {
            "wasi:cli/exit" => "ends the call as a crash",
            "wasi:cli/stdin" => "closed",
            "wasi:cli/stdout" | "wasi:cli/stderr" => "the last 8 KiB are shown with an error",
            "wasi:http/types" => "requests and responses",
            name if name.starts_with("wasi:cli/terminal") => "no terminal",
            name if name.starts_with("wasi:io/") => "streams of the above",
            _ => "unknown",
        }
        .into(),
    }
}

/// Whether this host has something to answer an import with.
pub(super) fn is_known(import: &str) -> bool {
    let known = ["etl:transform/", "wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];
    known.iter().any(|prefix| import.starts_with(prefix))
        || import.starts_with("wasi:http/types@")
        || Capability::of(import) == Some(Capability::Http)
}

/// Refuses a component that imports what its stage was not granted.
///
/// # Errors
/// Config: the import, and the grant to write.
pub fn check(name: &str, imports: &[String], grants: &Grants) -> Result<()> {
    let import = imports.iter().find(|import| Capability::of(import) == Some(Capability::Http));
    match import.filter(|_| grants.http.is_empty()) {
        None => Ok(()),
        Some(import) => Err(Error::config(format!("component `{name}` imports `{import}`, which is not granted")).hint(
            "name the hosts that it may call, `grants: {http: [api.example.com]}` in its `custom_function`; or build it without HTTP, which componentize-js puts in unless told `--disable http`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_is_answered_refused_or_unknown() {
        for known in ["etl:transform/host@1.0.0", "wasi:cli/environment@0.2.6", "wasi:http/types@0.2.4", "wasi:http/outgoing-handler@0.2.4"]
        {
            assert!(is_known(known), "{known}");
            assert_ne!(meaning(known), "unknown", "{known}");
        }
        for unknown in ["wasi:keyvalue/store@0.2.0", "wasi:http/incoming-handler@0.2.4", "acme:db/query"] {
            assert!(!is_known(unknown), "{unknown}");
            assert_eq!(meaning(unknown), "unknown", "{unknown}");
        }
        assert_eq!(meaning("wasi:clocks/wall-clock@0.2.6"), "stands still at the run's start, unless `grants: {clock: true}`");
        assert_eq!(meaning("wasi:sockets/tcp@0.2.6"), "refused");
    }
}
