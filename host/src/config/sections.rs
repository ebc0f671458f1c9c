//! `extract.yaml`, `load.yaml` and `settings.yaml`: from trees to types.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use super::canonical::{self, Names};
use super::cloud::{CloudSink, CloudSource};
use super::database::{DatabaseSink, DatabaseSource, Dialect};
use super::de::{Beside, keys_of, typed, typed_beside};
use super::extract::{self, Extract, FileSource, Reading, Source};
use super::http::HttpSource;
use super::http_check::{self, Given};
use super::load::{self, FileSink, Load, Sink};
use super::local;
use super::options::{self, Way};
use super::problem::{Findings, suggest};
use super::query::{Query, WATERMARK};
use super::settings::{DeadLetterBackend, DeadLetters, Limits, Settings};
use super::validate::{Spot, validation};
use super::yaml::{Node, Value};
use crate::error::did_you_mean;

/// The types of `extract.yaml`.
pub(super) const SOURCES: [&str; 4] = ["file", "http", "database", "cloud_storage"];
/// The types of `load.yaml`.
pub(super) const SINKS: [&str; 9] = ["file", "database", "postgres", "postgresql", "mysql", "sqlite", "mssql", "oracle", "cloud_storage"];

/// Types an `extract` section.
pub(super) fn extract(mut node: Node, findings: &mut Findings) -> Option<Extract> {
    if !is_section(&node, findings) {
        return None;
    }
    canonical::take_information(&mut node);
    canonical::rename(&mut node, canonical::EXTRACT, findings);
    canonical::validation(&mut node, findings);
    let kind = canonical::take_type(
        &mut node,
        &SOURCES,
        &[
            ("http", &["url", "base_url", "api_endpoint", "endpoint"]),
            ("file", &["path", "file_path"]),
            ("database", &["query", "database", "connection_string"]),
            ("cloud_storage", &["storage", "bucket", "container"]),
        ],
        findings,
    );
    let reading = canonical::split_off(&mut node, keys_of::<Reading>());
    let mut common = canonical::split_off(&mut node, keys_of::<extract::Common>());
    let written = common.clone();
    let validation = common.take_given("validation").and_then(|(_, node)| validation(&node, Spot::Extract, findings));
    let reading = typed::<Reading>(reading, findings);
    let common = typed::<extract::Common>(common, findings);
    let (mut kind, _) = kind?;
    if kind == "file" {
        canonical::rename(&mut node, canonical::FILE, findings);
        if canonical::object_url(&mut node, findings) {
            kind = "cloud_storage";
        }
    } else if kind == "cloud_storage" && node.given("storage").is_none() {
        canonical::object_url(&mut node, findings);
    }
    let path = node.path.clone();
    let beside = |own: &str| {
        let mut keys = vec!["type"];
        keys.extend(keys_of::<Reading>());
        keys.extend(keys_of::<extract::Common>());
        let all = [
            ("file", "`type: file`", keys_of::<FileSource>()),
            ("http", "`type: http`", keys_of::<HttpSource>()),
            ("database", "`type: database`", keys_of::<DatabaseSource>()),
            ("cloud_storage", "`type: cloud_storage`", keys_of::<CloudSource>()),
        ];
        let elsewhere = all.into_iter().filter(|(name, ..)| *name != own).map(|(_, label, keys)| (label, keys)).collect();
        Beside { path: path.clone(), keys, elsewhere }
    };
    let source = match kind {
        "file" => {
            canonical::files(&mut node, findings);
            options::check(&node, node.get("path").and_then(Node::text), Way::Read, findings);
            typed_beside::<FileSource>(node, &beside(kind), findings).map(Source::File)
        }
        "http" => http(node, common.as_ref(), &beside(kind), findings).map(|source| Source::Http(Box::new(source))),
        "database" => {
            canonical::rename(&mut node, canonical::DATABASE_SOURCE, findings);
            let dialect = canonical::database(&mut node, findings);
            check_dialect(dialect.as_ref(), &node, findings);
            let (query, params) = (node.given("query").cloned(), node.given("params").cloned());
            let source = typed_beside::<DatabaseSource>(node, &beside(kind), findings);
            source.map(|mut source| {
                if let (Some(query), Some(common)) = (query, &common) {
                    source.place = findings.place(&query);
                    check_query(&source, (&query, params.as_ref()), common, findings);
                }
                Source::Database(source)
            })
        }
        _ => {
            canonical::cloud(&mut node, findings);
            canonical::files(&mut node, findings);
            options::check(&node, object(&node), Way::Read, findings);
            typed_beside::<CloudSource>(node, &beside(kind), findings).map(Source::CloudStorage)
        }
    };
    if let Some(common) = &common {
        check_params(kind, common, &written, findings);
    }
    let extract::Common { input_params, param_mapping, processing_mode, chunk_size, max_memory_mb, checkpoint, incremental, validation: _ } =
        common?;
    Some(Extract {
        reading: reading?,
        source: source?,
        input_params,
        param_mapping,
        variables: BTreeSet::new(),
        processing_mode,
        chunk_size,
        max_memory_mb,
        checkpoint,
        incremental,
        validation,
    })
}

/// Types a `load` section.
pub(super) fn load(mut node: Node, findings: &mut Findings) -> Option<Load> {
    if !is_section(&node, findings) {
        return None;
    }
    canonical::take_information(&mut node);
    canonical::rename(&mut node, canonical::LOAD, findings);
    canonical::validation(&mut node, findings);
    canonical::dead_letters(&mut node, findings);
    let kind = canonical::take_type(
        &mut node,
        &SINKS,
        &[
            ("database", &["table", "target_table", "database", "connection_string"]),
            ("file", &["path", "file_path"]),
            ("cloud_storage", &["storage", "bucket", "container"]),
        ],
        findings,
    );
    let mut common = canonical::split_off(&mut node, keys_of::<load::Common>());
    let validation = common.take_given("validation").and_then(|(_, node)| validation(&node, Spot::Load, findings));
    if let Some(queue) = common.given("dlq") {
        check_queue(queue, findings);
    }
    let common = typed::<load::Common>(common, findings);
    let (mut kind, _) = kind?;
    if kind == "file" {
        canonical::rename(&mut node, canonical::FILE, findings);
        if canonical::object_url(&mut node, findings) {
            kind = "cloud_storage";
        }
    } else if kind == "cloud_storage" && node.given("storage").is_none() {
        canonical::object_url(&mut node, findings);
    }
    let path = node.path.clone();
    let beside = |own: &str| {
        let mut keys = vec!["type"];
        keys.extend(keys_of::<load::Common>());
        let all = [
            ("file", "`type: file`", keys_of::<FileSink>()),
            ("database", "databases", keys_of::<DatabaseSink>()),
            ("cloud_storage", "`type: cloud_storage`", keys_of::<CloudSink>()),
        ];
        let elsewhere = all.into_iter().filter(|(name, ..)| *name != own).map(|(_, label, keys)| (label, keys)).collect();
        Beside { path: path.clone(), keys, elsewhere }
    };
    let sink = match kind {
        "file" => {
            canonical::files(&mut node, findings);
            options::check(&node, node.get("path").and_then(Node::text), Way::Written, findings);
            typed_beside::<FileSink>(node, &beside(kind), findings).map(Sink::File)
        }
        "cloud_storage" => {
            canonical::cloud(&mut node, findings);
            canonical::files(&mut node, findings);
            options::check(&node, object(&node), Way::Written, findings);
            typed_beside::<CloudSink>(node, &beside(kind), findings).map(Sink::CloudStorage)
        }
        kind => {
            canonical::rename(&mut node, canonical::DATABASE_SINK, findings);
            if kind == "sqlite" {
                canonical::sqlite_path(&mut node, findings);
            }
            let inner = canonical::database(&mut node, findings);
            let sign = (kind != "database").then(|| Node::beside(&node, Value::Text(kind.to_owned())));
            // One mismatch is enough.
            check_dialect(sign.as_ref().or(inner.as_ref()), &node, findings);
            typed_beside::<DatabaseSink>(node, &beside("database"), findings).map(|sink| Sink::Database(Box::new(sink)))
        }
    };
    let load::Common { batch_size, validation: _, dlq } = common?;
    Some(Load { batch_size, validation, dead_letters: dlq, sink: sink? })
}

/// Types the settings.
pub(super) fn settings(mut node: Node, findings: &mut Findings) -> Option<Settings> {
    if !is_section(&node, findings) {
        return None;
    }
    canonical::take_information(&mut node);
    canonical::rename(&mut node, SETTINGS, findings);
    canonical::dead_letters(&mut node, findings);
    if let Some(queue) = node.given("dlq") {
        check_queue(queue, findings);
    }
    check_store(&mut node, findings);
    let limits = node.given("limits").cloned();
    let beside = Beside { path: node.path.clone(), ..Beside::default() };
    let settings = typed_beside::<Settings>(node, &beside, findings)?;
    check_limits(limits.as_ref(), &settings.limits, findings);
    Some(settings)
}

/// Refuses a store of contracts that cannot be read, and writes the path of a SQLite file as a URL.
fn check_store(settings: &mut Node, findings: &mut Findings) {
    let Some((key, mut store)) = settings.take_given("metadata_store") else { return };
    let kind = store.given("type").cloned();
    let named = kind.as_ref().and_then(Node::text).unwrap_or_default().to_ascii_lowercase();
    if let (Some(kind), "mongodb" | "redis" | "memory") = (&kind, named.as_str()) {
        let message = match named.as_str() {
            "memory" => "`metadata_store.type` is `memory`, in which nobody can have put a contract before the run".to_owned(),
            _ => format!("`metadata_store.type` is `{named}`, which cannot be read; stores are `postgres` and `sqlite`"),
        };
        findings.wrong(kind, message).hint = Some(
            "export the contract to files and name them: `validation: {contract: ./contracts/orders}`; where no contract is named, leave \
             `metadata_store` out"
                .into(),
        );
        return;
    }
    if let Some((url_key, url)) = store.take_given("connection_string") {
        let path = url.text().filter(|text| named == "sqlite" && !text.contains("://")).map(|path| format!("sqlite:///{path}"));
        store.put(url_key, path.map_or_else(|| url.clone(), |path| Node::beside(&url, Value::Text(path))));
    }
    check_dialect(kind.as_ref(), &store, findings);
    settings.put(key, store);
}

/// Older names of the settings.
pub(super) const SETTINGS: Names = &[("dead_letter_queue", "dlq")];

/// Checks that fuel is not limited twice.
pub(super) fn check_limits(node: Option<&Node>, limits: &Limits, findings: &mut Findings) {
    if let (Some(node), Some(_), Some(_)) = (node, limits.fuel_per_row, limits.fuel_per_batch) {
        findings.wrong(node, "`fuel_per_row` and `fuel_per_batch` limit the same").hint = Some("keep one of them".into());
    }
}

/// Whether a section is a mapping, which is noted if not.
fn is_section(node: &Node, findings: &mut Findings) -> bool {
    if !node.is_map() && node.value != Value::Hole {
        findings.wrong(node, format!("{} is {}, but must be a mapping", node.quoted(), node.describe()));
    }
    node.is_map()
}

fn http(mut node: Node, common: Option<&extract::Common>, beside: &Beside, findings: &mut Findings) -> Option<HttpSource> {
    canonical::http(&mut node, findings);
    let place = node.clone();
    let source = typed_beside::<HttpSource>(node, beside, findings)?;
    let wrong = match (&source.url, &source.base_url, &source.endpoint) {
        (None, None, _) => Some(("the key `url` is missing", "or write `base_url` and `api_endpoint`")),
        (Some(_), Some(_), _) => Some(("`url` and `base_url` say the same", "keep `url`, or `base_url` with `api_endpoint`")),
        _ => None,
    };
    if let Some((message, hint)) = wrong {
        findings.wrong(place.given("base_url").unwrap_or(&place), message).hint = Some(hint.into());
        return None;
    }
    if let (Some(auth), Some(node)) = (&source.auth, place.given("auth")) {
        let kinds = [auth.bearer.is_some(), auth.basic.is_some(), auth.api_key.is_some(), auth.oauth2_cc.is_some()];
        if kinds.iter().filter(|given| **given).count() != 1 {
            findings.wrong(node, "`auth` must have exactly one of `bearer`, `basic`, `api_key`, `oauth2_cc`");
            return None;
        }
    }
    if let Some(extract::Common { input_params, param_mapping, incremental, .. }) = common {
        let given = Given { input_params, param_mapping, incremental: incremental.as_ref() };
        http_check::check(&source, &given, &place, findings);
    }
    Some(source)
}

/// What names the objects of a section.
fn object(node: &Node) -> Option<&str> {
    let storage = node.given("storage")?;
    ["pattern", "path", "prefix"].into_iter().find_map(|key| storage.given(key)).and_then(Node::text)
}

/// Checks that a type and the URL of a section speak of the same kind of database.
fn check_dialect(kind: Option<&Node>, section: &Node, findings: &mut Findings) {
    let (Some(kind), Some(connection)) = (kind, section.get("connection_string")) else { return };
    let Some(said) = kind.text().and_then(Dialect::parse) else {
        let message = format!("{} is {}, but must be one of {}", kind.quoted(), kind.describe(), super::problem::list(Dialect::NAMES));
        findings.wrong(kind, message);
        return;
    };
    let Some((scheme, _)) = connection.text().and_then(|url| url.split_once("://")) else { return };
    if Dialect::parse(scheme).is_some_and(|dialect| dialect != said) {
        let message = format!("the type is `{}`, but the URL's scheme is `{scheme}`", kind.text().unwrap_or_default());
        findings.wrong(connection, message);
    }
}

/// Checks that a query is one statement, that its parameters have values and that the values have parameters.
fn check_query(source: &DatabaseSource, (query, params): (&Node, Option<&Node>), common: &extract::Common, findings: &mut Findings) {
    let parsed = match Query::parse(&source.query, source.connection_string.dialect) {
        Ok(parsed) => parsed,
        Err(wrong) => {
            findings.wrong(query, format!("`query` {wrong}"));
            return;
        }
    };
    let used = parsed.names();
    let given = source.params.keys().map(String::as_str);
    let of_run = common.input_params.0.iter().map(|(name, _)| common.param_mapping.get(name).unwrap_or(name).as_str());
    let mut known: Vec<&str> = given.chain(of_run).collect();
    if common.incremental.is_some() {
        known.push(WATERMARK);
    }
    for name in used.iter().filter(|name| !known.contains(name)) {
        let hint = match did_you_mean(name, known.iter().copied()) {
            Some(near) => format!("did you mean `:{near}`?"),
            None if *name == WATERMARK => "`:watermark` is the mark of an incremental run: add `incremental: {cursor_field: …}`".into(),
            None => format!("give it under `params` or `input_params`; where `:{name}` is no parameter, write `\\:{name}`"),
        };
        findings.wrong(query, format!("`query` has the parameter `:{name}`, which has no value")).hint = Some(hint);
    }
    for (key, value) in params.map_or(&[][..], Node::entries).iter().filter(|(key, _)| !used.contains(&key.name.as_str())) {
        let hint = suggest(&key.name, &used, "parameters of the query are");
        findings.wrong_key(key, value, format!("`query` has no parameter `:{}`", key.written)).hint = hint;
    }
}

/// Checks what gives parameters of a run to the source by other names.
fn check_params(kind: &str, common: &extract::Common, written: &Node, findings: &mut Findings) {
    let asked = matches!(kind, "http" | "database");
    let mapping = written.given("param_mapping").map(Node::entries).unwrap_or_default();
    let names: Vec<&str> = common.input_params.0.iter().map(|(name, _)| name.as_str()).collect();
    for (key, value) in mapping {
        if !asked {
            findings.wrong_key(key, value, format!("`type: {kind}` takes no parameters, so `param_mapping` does nothing")).hint =
                Some("a parameter is a variable, too: `path: in/${day}.csv`".into());
            break;
        }
        if !names.contains(&key.name.as_str()) {
            findings.wrong_key(key, value, format!("`param_mapping` names `{}`, which is not among `input_params`", key.written)).hint =
                suggest(&key.name, &names, "parameters are");
        }
    }
    if let Some(param) = written.given("incremental").and_then(|incremental| incremental.given("param")).filter(|_| !asked) {
        findings.wrong(param, format!("`type: {kind}` takes no parameters, so `incremental.param` does nothing")).hint =
            Some("leave it out".into());
    }
}

/// Refuses dead letters where they cannot be: in a file elsewhere, in a table of a database that cannot have one.
pub(super) fn check_queue(node: &Node, findings: &mut Findings) {
    local::check_letters(node, findings);
    if let Some(queue) = reads_as::<DeadLetters>(node)
        && queue.backend == DeadLetterBackend::Database
        && let Some(connection) = queue.connection_string
        && !matches!(connection.dialect, Dialect::Sqlite | Dialect::Postgres)
    {
        let message = format!("is `{connection}`, but dead letters go to PostgreSQL or SQLite only");
        findings.wrong(node.get("connection_string").unwrap_or(node), format!("`dlq.connection_string` {message}")).hint =
            Some("write `postgresql://user:${PASSWORD}@host/name` or `sqlite:///letters.db`".into());
    }
}

/// What a node is as a type, where it is that.
fn reads_as<T: DeserializeOwned>(node: &Node) -> Option<T> {
    typed(node.clone(), &mut Findings::default())
}
