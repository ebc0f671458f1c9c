//! What one stage may reach.

use serde::{Serialize, Serializer};

use crate::config::grants::{self, HttpGrant};
use crate::config::settings::Secret;

/// What one stage may reach beyond its rows, with the values that it is granted. Printed, it shows their names only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Grants {
    /// Whether it sees the real time.
    pub clock: bool,
    /// Whether it draws real random numbers.
    pub random: bool,
    /// Variables of the environment that it sees; one that is not set is left out.
    #[serde(serialize_with = "names")]
    pub env: Vec<(String, Secret)>,
    /// Hosts that it may call by HTTP.
    pub http: Vec<HttpGrant>,
}

impl Grants {
    /// Looks up what was granted. A variable that is not set is warned of.
    pub(super) fn new(written: &grants::Grants, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let grants::Grants { clock, random, env: names, http } = written;
        let mut values = Vec::new();
        for name in names {
            match env(name) {
                Some(value) => values.push((name.clone(), Secret(value))),
                None => tracing::warn!(name, "a granted variable is not set"),
            }
        }
        Self { clock: *clock, random: *random, env: values, http: http.clone() }
    }

    /// What is granted, one phrase each; nothing where nothing is.
    pub fn describe(&self) -> Vec<String> {
        let Self { clock, random, env, http } = self;
        let mut told = Vec::new();
        if *clock {
            told.push("clock".to_owned());
        }
        if *random {
            told.push("random".to_owned());
        }
        if !env.is_empty() {
            told.push(format!("env {}", env.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")));
        }
        told.extend(http.iter().map(|grant| format!("http {grant}")));
        told
    }
}

fn names<S: Serializer>(env: &[(String, Secret)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(env.iter().map(|(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_never_shown() {
        let headers = vec![("authorization".to_owned(), Secret("Bearer hunter22".into()))];
        let host = "api.example.com:8443".parse().expect("it is a host");
        let http = vec![HttpGrant { host, headers, methods: vec![grants::Method::Get] }];
        let written = grants::Grants { clock: true, random: false, env: vec!["TOKEN".into(), "UNSET".into()], http };
        let grants = Grants::new(&written, &|name| (name == "TOKEN").then(|| "hunter22".to_owned()));
        assert_eq!(grants.describe(), ["clock", "env TOKEN", "http api.example.com:8443 (GET; adds authorization)"]);
        let json = serde_json::to_string(&grants).expect("it is JSON");
        let host = r#"{"host":"api.example.com:8443","headers":["authorization"],"methods":["GET"]}"#;
        assert_eq!(json, format!(r#"{{"clock":true,"random":false,"env":["TOKEN"],"http":[{host}]}}"#));
        assert!(!format!("{grants:?}").contains("hunter22"));
    }
}
