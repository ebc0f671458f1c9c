//! Variables in texts, and values that must not be printed.
//!
//! `${NAME}` is the variable's value, `${NAME:-default}` has a default, `${NAME:?message}` a message where it is absent, and `$${` is `${` itself. An empty
//! value counts as set. Variables are put in after the YAML is read, so that a value cannot change the file's structure.

use std::collections::BTreeSet;

use super::cloud;
use super::database::{password, password_options, percent_decoded};
use super::http::{careless_user, lone_user};
use super::odbc;
use super::problem::Findings;
use super::scalar::resolve;
use super::yaml::{Node, Value};

/// Looks a variable up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Values that must not be printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeSet<String>);

impl Secrets {
    /// Adds a value. One of fewer than four characters would hide half of every text, and is left out.
    pub fn add(&mut self, value: &str) {
        if value.chars().count() >= 4 {
            self.0.insert(value.to_owned());
            // As a document in JSON would quote it.
            let quoted = serde_json::Value::from(value).to_string();
            self.0.insert(quoted[1..quoted.len() - 1].to_owned());
        }
    }

    /// Adds those of others.
    pub fn extend(&mut self, others: &Self) {
        self.0.extend(others.0.iter().cloned());
    }

    /// Puts `***` in place of every secret within a text.
    pub fn mask(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        // The longest first: one secret may be part of another.
        let mut secrets: Vec<&String> = self.0.iter().collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for secret in secrets {
            if masked.contains(secret.as_str()) {
                masked = masked.replace(secret.as_str(), "***");
            }
        }
        masked
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

/// Puts variables into every text below a node. What is not set is noted, all of it.
pub(super) fn substitute(node: &mut Node, lookup: Lookup<'_>, secrets: &mut Secrets, findings: &mut Findings) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| substitute(item, lookup, secrets, findings)),
        Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| substitute(value, lookup, secrets, findings)),
        Value::Text(text) if text.contains("${") => {
            let text = std::mem::take(text);
            let replaced = replace(&text, lookup, secrets, 0);
            match replaced {
                Ok(replaced) => {
                    node.value = match node.raw {
                        Some(_) => resolve(&replaced),
                        None => Value::Text(replaced.clone()),
                    };
                    node.raw = node.raw.is_some().then_some(replaced);
                    note_secret(node, secrets);
                }
                Err(wrongs) => {
                    for Wrong { message, hint, unset } in wrongs {
                        let problem = findings.wrong(node, message);
                        problem.hint = Some(hint);
                        problem.unset = unset;
                    }
                    node.value = Value::Hole;
                }
            }
        }
        Value::Text(_) | Value::Int(_) | Value::Float(_) => note_secret(node, secrets),
        Value::Null | Value::Bool(_) | Value::Hole | Value::Gone => {}
    }
}

/// The names of the variables in every text below a node.
pub(super) fn used(node: &Node) -> BTreeSet<String> {
    match &node.value {
        Value::List(items) => items.iter().flat_map(used).collect(),
        Value::Map(entries) => entries.iter().flat_map(|(_, value)| used(value)).collect(),
        Value::Text(text) => {
            let names = text.match_indices("${").map(|(at, _)| &text[at + 2..]);
            names.map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// Puts variables into `http` of every `grants` of a transform: nowhere else in it does `${…}` mean one. All values of headers are secret.
pub(super) fn substitute_grants(node: &mut Node, lookup: Lookup<'_>, secrets: &mut Secrets, findings: &mut Findings) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| substitute_grants(item, lookup, secrets, findings)),
        Value::Map(entries) => {
            for (key, value) in entries {
                match key.name.as_str() {
                    "grants" => {
                        let Value::Map(granted) = &mut value.value else { continue };
                        for (_, http) in granted.iter_mut().filter(|(key, _)| key.name == "http") {
                            substitute(http, lookup, secrets, findings);
                            note_headers(http, secrets);
                        }
                    }
                    "transform" | "custom_function" => substitute_grants(value, lookup, secrets, findings),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn note_headers(http: &Node, secrets: &mut Secrets) {
    let Value::List(items) = &http.value else { return };
    let headers = items.iter().filter_map(|item| item.get("headers")).flat_map(|headers| headers.entries());
    for text in headers.filter_map(|(_, value)| value.text()) {
        secrets.add(text);
        secrets.add(text.rsplit(' ').next().unwrap_or(text));
    }
}

/// Notes a value whose key says that it is secret, and the password within a URL.
fn note_secret(node: &Node, secrets: &mut Secrets) {
    let Some(text) = node.text() else { return };
    let mut passwords: Vec<&str> = password(text).into_iter().chain(lone_user(text)).chain(password_options(text)).collect();
    // Whoever reads the URL by the letter ends it at the first of these.
    passwords.extend(password(text).and_then(|password| password.split(['@', '/', '?', '#']).next()));
    for password in &passwords {
        secrets.add(password);
        // As the other end would quote it.
        secrets.add(&percent_decoded(password));
    }
    // A message may have any piece of it: what a client takes for the host, or for the path.
    if let Some(user) = careless_user(text) {
        secrets.add(user);
        user.split([':', '@', '/', '?', '#']).for_each(|piece| secrets.add(piece));
    }
    odbc::secrets(text).iter().chain(&cloud::secrets(text)).for_each(|secret| secrets.add(secret));
    if node.path.ends_with("auth.api_key.value") {
        secrets.add(text);
    } else if passwords.is_empty() && is_secret(node.name().trim_end_matches(|c: char| c == ']' || c == '[' || c.is_ascii_digit())) {
        // Of `Bearer abc` the last word is the secret.
        secrets.add(text.rsplit(' ').next().unwrap_or(text));
    }
}

/// Whether a variable or key of this name holds something that must not be printed.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = words(name);
    if matches!(name.as_str(), "token_url" | "key_file" | "private_key_path") {
        return false;
    }
    let has = |word: &str| name.split('_').any(|part| part == word || part.strip_suffix('s') == Some(word));
    let key = has("key")
        && ["api", "access", "account", "private", "secret", "storage", "master", "auth", "client", "encryption", "signing", "sas"]
            .iter()
            .any(|word| has(word));
    key || ["password", "passwd", "pwd", "pass", "pgpass", "pin", "token", "secret", "credential", "apikey", "authorization", "passphrase"]
        .iter()
        .any(|word| has(word))
        || ["sig", "signature"].iter().any(|word| has(word))
}

/// The words of a name in lower case, with `_` between them: `accessKey`, `Access-Key` and `ACCESS_KEY` are one.
fn words(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut words = String::with_capacity(name.len() + 4);
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).map(|index| letters[index]);
        // The last capital of several begins the next word: `APIKey`.
        let ends = letters.get(index + 1).is_some_and(|next| next.is_lowercase());
        let starts = letter.is_uppercase()
            && before.is_some_and(|before| before.is_lowercase() || before.is_ascii_digit() || before.is_uppercase() && ends);
        words.extend(starts.then_some('_'));
        match letter {
            '-' | ' ' => words.push('_'),
            letter => words.push(letter.to_ascii_lowercase()),
        }
    }
    words
}

/// Whether a parameter of this name in the query of a URL holds something that must not be printed: there a key goes by short names, too.
pub(crate) fn is_secret_parameter(name: &str) -> bool {
    let lower = words(name);
    is_secret(name)
        || lower.starts_with("x_amz_")
        || lower.starts_with("x_goog_")
        || matches!(lower.as_str(), "key" | "code" | "auth" | "sslpassword")
        || lower.ends_with("_key")
}

struct Wrong {
    message: String,
    hint: String,
    /// The variable, where it is only that it is not set.
    unset: Option<String>,
}

/// Puts variables into one text; the error is everything that is wrong with it.
fn replace(text: &str, lookup: Lookup<'_>, secrets: &mut Secrets, depth: usize) -> Result<String, Vec<Wrong>> {
    let mut replaced = String::with_capacity(text.len());
    let mut wrongs = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            replaced.push_str(&rest[..start - 1]);
            replaced.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        replaced.push_str(&rest[..start]);
        let Some(end) = closing(&rest[start + 2..]) else {
            wrongs.push(Wrong {
                message: "a `${` is not closed".into(),
                hint: "close it with `}`, or write `$${` for `${` itself".into(),
                unset: None,
            });
            return Err(wrongs);
        };
        match variable(&rest[start + 2..start + 2 + end], lookup, secrets, depth) {
            Ok(value) => replaced.push_str(&value),
            Err(more) => wrongs.extend(more),
        }
        rest = &rest[start + 2 + end + 1..];
    }
    replaced.push_str(rest);
    if wrongs.is_empty() { Ok(replaced) } else { Err(wrongs) }
}

/// Where the brace closes that was opened before the text.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1_usize;
    let mut last = ' ';
    for (index, c) in text.char_indices() {
        match c {
            '{' if last == '$' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(index);
        }
        last = c;
    }
    None
}

/// The value of what stands between the braces.
fn variable(inside: &str, lookup: Lookup<'_>, secrets: &mut Secrets, depth: usize) -> Result<String, Vec<Wrong>> {
    let end = inside.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inside.len());
    let (name, rest) = inside.split_at(end);
    let known = rest.is_empty() || rest.starts_with(":-") || rest.starts_with(":?");
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !known || depth > 8 {
        let hint = "write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`; `$${` stands for `${` itself".into();
        return Err(vec![Wrong { message: format!("`${{{inside}}}` is not a variable"), hint, unset: None }]);
    }
    if let Some(value) = lookup(name) {
        if is_secret(name) {
            secrets.add(&value);
        }
        return Ok(value);
    }
    let hint = format!("set {name} in the environment, give `--var {name}=…`, or write a default: `${{{name}:-…}}`");
    if let Some(default) = rest.strip_prefix(":-") {
        return replace(default, lookup, secrets, depth + 1);
    }
    let message = match rest.strip_prefix(":?") {
        Some(message) if !message.is_empty() => format!("`${{{name}}}` is not set: {message}"),
        _ => format!("`${{{name}}}` is not set"),
    };
    Err(vec![Wrong { message, hint, unset: Some(name.to_owned()) }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_of_a_secret_however_its_words_are_joined() {
        for name in ["accessKey", "clientSecret", "authToken", "APIKey", "apikey", "X-Api-Key", "ACCESS_KEY", "oauth2Token", "dbPASSWORD"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["key", "keyId", "tokenUrl", "passenger", "primaryKey", "PINEAPPLE", "compass"] {
            assert!(!is_secret(name), "{name}");
        }
        assert!(is_secret_parameter("subscriptionKey") && is_secret_parameter("X-Amz-Date") && !is_secret_parameter("keyword"));
    }
}
