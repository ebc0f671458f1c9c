//! Rewrites older spellings to the canonical ones, before anything is typed.
//!
//! Only names and nesting change: every node keeps the place and the path that the user wrote, so that messages speak of that.

use super::cloud::Storage;
use super::problem::{Findings, list, suggest};
use super::yaml::{Key, Node, Value};

/// Older name, canonical name.
pub(super) type Names = &'static [(&'static str, &'static str)];

/// Of `extract.yaml`, whatever its type.
pub(super) const EXTRACT: Names = &[("source_type", "type")];
/// Of `load.yaml`, whatever its type.
pub(super) const LOAD: Names = &[("destination_type", "type"), ("target_type", "type"), ("dead_letter_queue", "dlq")];
/// Of `type: http`.
pub(super) const HTTP: Names = &[("api_endpoint", "endpoint")];
/// Of `type: file`.
pub(super) const FILE: Names = &[("file_path", "path")];
/// Of an extracting `type: database`.
pub(super) const DATABASE_SOURCE: Names = &[("query_params", "params")];
/// Of a loading `type: database`.
pub(super) const DATABASE_SINK: Names = &[("target_table", "table"), ("schema", "schema_name")];
/// Of `csv_options`.
pub(super) const CSV: Names = &[("quotechar", "quote_char"), ("escapechar", "escape_char")];
/// Of a dead-letter queue.
pub(super) const DEAD_LETTERS: Names = &[("storage_path", "path"), ("schema", "schema_name")];
/// Of `ssh_tunnel`.
pub(super) const SSH_TUNNEL: Names = &[("private_key_path", "key_file")];
/// Of `storage`.
pub(super) const STORAGE: Names = &[("container", "bucket")];
/// Of `pagination`: the flat keys of the latest dialect, and where they belong.
pub(super) const PAGINATION: &[(&str, &str, &str)] = &[
    ("page_param", "page", "param_name"),
    ("offset_param", "offset", "param_name"),
    ("cursor_param", "cursor", "param_name"),
    ("cursor_path", "cursor", "response_path"),
    ("next_link_path", "next_url", "response_path"),
];
/// Keys of `storage` that may stand beside it.
pub(super) const BESIDE_STORAGE: [&str; 7] = ["provider", "bucket", "container", "path", "prefix", "pattern", "credentials"];
/// Keys of any file that are for people only.
pub(super) const INFORMATION: [&str; 3] = ["title", "description", "version"];

/// What the top of a file says for people.
#[derive(Clone, Debug, Default)]
pub(super) struct Information {
    /// `description`.
    pub(super) description: Option<String>,
    /// `version`.
    pub(super) version: Option<String>,
}

/// Takes out what the top of a file says for people.
pub(super) fn take_information(node: &mut Node) -> Information {
    let [_, description, version] = INFORMATION.map(|name| node.take(name).and_then(|(_, node)| node.text().map(str::to_owned)));
    Information { description, version }
}

/// Gives older names their canonical one; both at once is a mistake.
pub(super) fn rename(node: &mut Node, names: Names, findings: &mut Findings) {
    for (old, new) in names {
        let Some((mut key, value)) = node.take(old) else { continue };
        if refuse_double(node, &key, &value, new, findings) {
            continue;
        }
        key.name = (*new).to_owned();
        node.put(key, value);
    }
}

/// Notes that a key says what another one says already.
fn refuse_double(node: &Node, key: &Key, value: &Node, name: &str, findings: &mut Findings) -> bool {
    let Some((other, _)) = node.entries().iter().find(|(other, _)| other.name == name) else { return false };
    let message = format!("`{}` and `{}` on line {} say the same", key.written, other.written, other.line);
    findings.wrong_key(key, value, message).hint = Some(format!("keep `{name}`"));
    true
}

/// Works on the mapping under a key, where there is one.
fn within(node: &mut Node, name: &str, work: impl FnOnce(&mut Node)) {
    let Value::Map(entries) = &mut node.value else { return };
    if let Some((_, value)) = entries.iter_mut().find(|(key, value)| key.name == name && value.is_map()) {
        work(value);
    }
}

/// Moves `from` out of the mapping under `within` to the level above, as `to`.
fn lift(node: &mut Node, outer: &str, from: &str, to: &str, findings: &mut Findings) {
    let mut lifted = None;
    within(node, outer, |inner| lifted = inner.take(from));
    let Some((mut key, value)) = lifted else { return };
    if !refuse_double(node, &key, &value, to, findings) {
        key.name = to.to_owned();
        node.put(key, value);
    }
}

/// Moves `from` into the mapping under `to`, as `name`.
fn push_down(node: &mut Node, from: &str, to: &str, name: &str, findings: &mut Findings) {
    let Some((mut key, value)) = node.take_given(from) else { return };
    if !node.get(to).is_some_and(Node::is_map) {
        node.take(to);
        let outer = Key { name: to.to_owned(), written: key.written.clone(), ..key.clone() };
        let map = Node::beside(&value, Value::Map(Vec::new()));
        node.put(outer, map);
    }
    within(node, to, |inner| {
        if !refuse_double(inner, &key, &value, name, findings) {
            key.name = name.to_owned();
            inner.put(key, value);
        }
    });
}

/// Finds out and takes the type of a section: what it says, or what its keys show.
///
/// `signs` are the types with the keys that only they have.
pub(super) fn take_type(
    node: &mut Node,
    known: &[&'static str],
    signs: &[(&'static str, &[&str])],
    findings: &mut Findings,
) -> Option<(&'static str, Node)> {
    if let Some((_, value)) = node.take_given("type") {
        let written = value.text().unwrap_or_default().to_owned();
        if let Some(found) = known.iter().find(|name| name.eq_ignore_ascii_case(written.trim())) {
            return Some((found, value));
        }
        if value.value != Value::Hole {
            let message = format!("{} is {}, but must be one of {}", value.quoted(), value.describe(), list(known.iter().copied()));
            let hint = crate::error::did_you_mean(&written, known.iter().copied()).map(|name| format!("did you mean `{name}`?"));
            findings.wrong(&value, message).hint = hint;
        }
        return None;
    }
    let mut candidates: Vec<(&'static str, &Key, &Node)> = Vec::new();
    for (kind, keys) in signs {
        let sign = node.entries().iter().find(|(key, value)| keys.contains(&key.name.as_str()) && !value.is_null());
        if let Some((key, value)) = sign {
            candidates.push((kind, key, value));
        }
    }
    match candidates.as_slice() {
        [(kind, _, value)] => Some((kind, Node::beside(value, Value::Null))),
        [] => {
            findings.wrong(node, "the key `type` is missing").hint = Some(format!("types are {}", list(known.iter().copied())));
            None
        }
        [(one, one_key, _), (two, two_key, value), ..] => {
            let message =
                format!("the key `type` is missing, and `{}` means `{one}` while `{}` means `{two}`", one_key.written, two_key.written);
            let hint = format!("write `type: {one}` or `type: {two}`");
            findings.wrong_key(two_key, value, message).hint = Some(hint);
            None
        }
    }
}

/// Takes the given keys out of a mapping into one of their own.
pub(super) fn split_off(node: &mut Node, names: &[&str]) -> Node {
    let mut taken = Node::beside(node, Value::Map(Vec::new()));
    if let Value::Map(entries) = &mut node.value {
        for (key, value) in std::mem::take(entries) {
            match names.contains(&key.name.as_str()) {
                true => taken.put(key, value),
                false => entries.push((key, value)),
            }
        }
    }
    taken
}

/// `csv_options`, of any section with files.
pub(super) fn files(node: &mut Node, findings: &mut Findings) {
    within(node, "csv_options", |options| rename(options, CSV, findings));
}

/// `type: http`.
pub(super) fn http(node: &mut Node, findings: &mut Findings) {
    rename(node, HTTP, findings);
    files(node, findings);
    within(node, "pagination", |pagination| {
        // The latest dialect has one name for both: a path says that the link stands in the response, not in a header.
        let (path, strategy) = (pagination.given("next_link_path").is_some(), pagination.given("strategy").and_then(Node::text));
        if path && strategy == Some("link") {
            let (key, strategy) = pagination.take("strategy").expect("it was there");
            pagination.put(key, Node::beside(&strategy, Value::Text("next_url".to_owned())));
        }
        for (from, to, name) in PAGINATION {
            push_down(pagination, from, to, name, findings);
        }
        let Some((key, value)) = pagination.take_given("max_pages") else { return };
        let named = |name: &str| Key { name: name.to_owned(), ..key.clone() };
        let kind = |name: &str| Node::around(named("type"), Node::beside(&value, Value::Text(name.to_owned())));
        let mut condition = kind("max_pages");
        condition.put(named("value"), value.clone());
        let (conditions_key, mut conditions) = pagination.take_given("stop_conditions").unwrap_or_else(|| {
            // The default condition of the strategy holds beside it.
            let by_number = !pagination.given("strategy").and_then(Node::text).is_some_and(|text| !matches!(text, "page" | "offset"));
            let default = if by_number { vec![kind("fewer_records")] } else { Vec::new() };
            (named("stop_conditions"), Node::beside(&value, Value::List(default)))
        });
        if let Value::List(items) = &mut conditions.value {
            items.push(condition);
        }
        pagination.put(conditions_key, conditions);
    });
}

/// `database` with its URL, and `ssh_tunnel`. Answers `database.type`.
pub(super) fn database(node: &mut Node, findings: &mut Findings) -> Option<Node> {
    lift(node, "database", "url", "connection_string", findings);
    lift(node, "database", "ssh_tunnel", "ssh_tunnel", findings);
    within(node, "ssh_tunnel", |tunnel| {
        rename(tunnel, SSH_TUNNEL, findings);
        let enabled = tunnel.given("enabled").map(|node| &node.value);
        let unused = enabled == Some(&Value::Bool(false));
        if enabled.is_none() && !tunnel.entries().is_empty() {
            findings.wrong(tunnel, "`ssh_tunnel` says which machine is in between, but not that it is used").hint =
                Some("add `enabled: true`; `enabled: false` asks the database directly".into());
        }
        for name in ["host", "username"] {
            if !unused && tunnel.given(name).is_none() {
                findings.wrong(tunnel, format!("the key `{name}` is missing in `{}`", tunnel.path));
            }
        }
    });
    let mut kind = None;
    within(node, "database", |inner| kind = inner.take_given("type").map(|(_, value)| value));
    if let Some((key, value)) = node.take_given("database") {
        match &value.value {
            Value::Map(rest) => {
                for (key, value) in rest {
                    findings.wrong_key(key, value, format!("unknown key `{}`", key.written)).hint =
                        suggest(&key.written, &["url", "type", "ssh_tunnel"], "keys here are");
                }
            }
            _ => {
                let message = format!("`{}` is {}, but must be a mapping", key.written, value.describe());
                findings.wrong(&value, message).hint = Some("write `database: {url: …}` or `connection_string: …`".into());
            }
        }
    }
    if node.given("connection_string").is_none() {
        node.take("connection_string");
        findings.wrong(node, "the key `connection_string` is missing").hint = Some("`database: {url: …}` says the same".into());
        let key = Key { name: "connection_string".into(), written: "connection_string".into(), line: node.line, column: node.column };
        let hole = Node::beside(node, Value::Hole);
        node.put(key, hole);
    }
    kind
}

/// The file of `type: sqlite`, which is its database.
pub(super) fn sqlite_path(node: &mut Node, findings: &mut Findings) {
    rename(node, FILE, findings);
    let Some((mut key, mut value)) = node.take_given("path") else { return };
    if refuse_double(node, &key, &value, "connection_string", findings) || refuse_double(node, &key, &value, "database", findings) {
        return;
    }
    key.name = "connection_string".into();
    if let Some(path) = value.text() {
        value.value = Value::Text(format!("sqlite:///{path}"));
        value.raw = None;
    }
    node.put(key, value);
}

/// A `path` that is the URL of an object, such as `s3://bucket/path`, as `storage`; answers whether it was one.
pub(super) fn object_url(node: &mut Node, findings: &mut Findings) -> bool {
    let Some(url) = node.given("path").and_then(Node::text).map(str::to_owned) else { return false };
    let Some(parts) = Storage::of_url(&url) else { return false };
    let (mut key, mut value) = node.take_given("path").expect("it was there");
    if parts.bucket.is_empty() {
        let message = format!("`{}` names no bucket", key.written);
        findings.wrong_key(&key, &value, message).hint = Some(format!("write `{}://bucket/path`", url.split(':').next().unwrap_or("s3")));
        value.value = Value::Hole;
    }
    let text = |text: &str| Node::beside(&value, Value::Text(text.to_owned()));
    let named = |name: &str| Key { name: name.to_owned(), ..key.clone() };
    let mut storage = Node::beside(&value, Value::Map(Vec::new()));
    storage.put(named("provider"), text(parts.provider));
    storage.put(named("bucket"), text(parts.bucket));
    storage.put(named("path"), text(parts.path));
    let mut credentials = node.take_given("credentials");
    if let Some(account) = parts.account {
        let (_, credentials) = credentials.get_or_insert_with(|| (named("credentials"), Node::beside(&value, Value::Map(Vec::new()))));
        credentials.put(named("account_name"), text(account));
    }
    if let Some((key, credentials)) = credentials {
        storage.put(key, credentials);
    }
    key.name = "storage".into();
    node.put(key, storage);
    true
}

/// `storage`, and its keys beside it.
pub(super) fn cloud(node: &mut Node, findings: &mut Findings) {
    for name in BESIDE_STORAGE {
        push_down(node, name, "storage", name, findings);
    }
    within(node, "storage", |storage| rename(storage, STORAGE, findings));
}

/// `dlq`: `true` is what holds anyway, `false` is one that is not enabled.
pub(super) fn dead_letters(node: &mut Node, findings: &mut Findings) {
    let Some((key, value)) = node.take_given("dlq") else { return };
    match value.value {
        Value::Bool(true) => {}
        Value::Bool(false) => {
            let enabled = Key { name: "enabled".into(), ..key.clone() };
            node.put(key, Node::around(enabled, value));
        }
        _ => {
            node.put(key, value);
            within(node, "dlq", |queue| rename(queue, DEAD_LETTERS, findings));
        }
    }
}

/// `validation`, of an extract or a load.
pub(super) fn validation(node: &mut Node, findings: &mut Findings) {
    within(node, "validation", |validation| {
        dead_letters(validation, findings);
        if validation.get("schema").is_some_and(|schema| schema.text().is_some()) {
            rename(validation, &[("schema", "schema_path")], findings);
        }
        if validation.get("contract").is_some_and(|contract| contract.text().is_some())
            && let Some((key, value)) = validation.take("contract")
        {
            let path = Key { name: "path".into(), ..key.clone() };
            validation.put(key, Node::around(path, value));
        }
    });
}
