//! What a registry asks for when it answers 401.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// One way to say who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A name and a password with every request.
    Basic,
    /// A token, which the realm gives.
    Bearer {
        /// Address that gives tokens.
        realm: String,
        /// For whom the token is.
        service: Option<String>,
        /// What it allows.
        scope: Option<String>,
    },
}

/// Reads all challenges; those of other schemes are left out.
pub(super) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(read).collect()
}

/// Reads one header: `Bearer realm="…",service="…", Basic realm="…"`.
fn read(text: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',', '\t']);
    while !rest.is_empty() {
        let end = rest.find([' ', '=', ',', '\t']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let after = after.trim_start_matches([' ', '\t']);
        match (after.strip_prefix('='), found.last_mut()) {
            (Some(value), Some((_, parameters))) => {
                let (value, next) = parameter(value.trim_start());
                parameters.push((word.to_ascii_lowercase(), value));
                rest = next;
            }
            // A value without a scheme before it.
            (Some(value), None) => rest = parameter(value.trim_start()).1,
            (None, _) => {
                found.push((word.to_ascii_lowercase(), Vec::new()));
                rest = after;
            }
        }
        rest = rest.trim_start_matches([' ', ',', '\t']);
    }
    let challenge = |(scheme, parameters): (String, Vec<(String, String)>)| {
        let find = |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        match scheme.as_str() {
            "basic" => Some(Challenge::Basic),
            "bearer" => Some(Challenge::Bearer { realm: find("realm")?, service: find("service"), scope: find("scope") }),
            _ => None,
        }
    };
    found.into_iter().filter_map(challenge).collect()
}

/// Reads a parameter's value, in quotes or not, and what comes after it.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            character => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::{Challenge, read};

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| Challenge::Bearer {
            realm: realm.into(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        };
        let full = bearer("https://auth.example.com/token", Some("registry"), Some("repository:a/b:pull,push"));
        let cases = [
            (r#"Basic realm="x""#, vec![Challenge::Basic]),
            (r#"Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a/b:pull,push""#, vec![full.clone()]),
            (r#"bearer realm = "https://auth.example.com/token" , service=registry, scope="repository:a/b:pull,push""#, vec![full.clone()]),
            (r#"Negotiate, Basic realm="a\"b,c", Bearer realm="r""#, vec![Challenge::Basic, bearer("r", None, None)]),
            ("Bearer service=\"no realm\"", vec![]),
            ("realm=\"lost\"", vec![]),
            ("Bearer realm=\"open", vec![bearer("open", None, None)]),
            ("", vec![]),
            (",, ,", vec![]),
            ("==\"", vec![]),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
