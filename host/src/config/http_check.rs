//! What `type: http` must not say: keys that contradict each other, and keys that would do nothing.

use std::collections::BTreeMap;

use serde_json::Value;

use super::extract::{Incremental, InputParams};
use super::http::{Auth, HttpSource, ResponseFormat, placeholders};
use super::pagination::{Increment, PaginationStrategy, StopCondition, StopKind};
use super::problem::{Findings, suggest};
use super::yaml::Node;

/// What a request gets its parameters from.
pub(super) struct Given<'a> {
    pub(super) input_params: &'a InputParams,
    pub(super) param_mapping: &'a BTreeMap<String, String>,
    pub(super) incremental: Option<&'a Incremental>,
}

/// Checks a typed section; `place` is its tree.
pub(super) fn check(source: &HttpSource, given: &Given<'_>, place: &Node, findings: &mut Findings) {
    check_places(source, given, place, findings);
    check_params(source, place, findings);
    if let Some(pagination) = place.given("pagination") {
        check_pagination(source, given, pagination, findings);
    }
    if let (Some(auth), Some(node)) = (&source.auth, place.given("auth")) {
        check_auth(auth, node, findings);
    }
    let lines = matches!(source.response_format, ResponseFormat::Ndjson | ResponseFormat::Csv | ResponseFormat::Text);
    if let Some(path) = place.given("response_path").filter(|_| lines) {
        let message = "`response_path` leads into JSON or XML, but `response_format` is neither";
        findings.wrong(path, message).hint = Some("leave out `response_path`, or set `response_format: json`".into());
    }
    if let Some(cap) =
        place.given("max_response_mb").filter(|_| matches!(source.response_format, ResponseFormat::Ndjson | ResponseFormat::Csv))
    {
        let message = "`max_response_mb` is given, but CSV and NDJSON are read as they come, whatever their size";
        findings.wrong(cap, message).hint = Some("leave it out".into());
    }
    if let Some(options) = place.given("csv_options").filter(|_| source.response_format != ResponseFormat::Csv) {
        findings.wrong(options, "`csv_options` is given, but `response_format` is not `csv`").hint = Some("leave it out".into());
    }
    if let Some(factor) = place.given("retry").and_then(|retry| retry.get("backoff_factor"))
        && !(0.0..=100.0).contains(&source.retry.backoff_factor)
    {
        findings.wrong(factor, format!("`backoff_factor` is {}, but must be between 0 and 100", source.retry.backoff_factor));
    }
}

/// Every `{name}` must have a value.
fn check_places(source: &HttpSource, given: &Given<'_>, place: &Node, findings: &mut Findings) {
    let Given { input_params, param_mapping, incremental } = given;
    let mut names: Vec<&str> = source.params.keys().map(String::as_str).collect();
    names.extend(input_params.0.iter().map(|(name, _)| param_mapping.get(name).unwrap_or(name).as_str()));
    names.extend(incremental.and_then(|incremental| incremental.param.as_deref()));
    for key in ["url", "base_url", "endpoint"] {
        let Some(node) = place.given(key) else { continue };
        let Some(text) = node.text() else { continue };
        for name in placeholders(text) {
            if names.contains(&name) {
                continue;
            }
            let hint = suggest(name, &names, "parameters here are")
                .unwrap_or_else(|| format!("add `{name}` to `input_params` and give a run `--param {name}=…`, or to `params`"));
            findings.wrong(node, format!("{} has `{{{name}}}`, but there is no parameter of that name", node.quoted())).hint = Some(hint);
        }
    }
}

fn check_params(source: &HttpSource, place: &Node, findings: &mut Findings) {
    let Some(params) = place.given("params") else { return };
    for (name, value) in &source.params {
        let nested = match value {
            Value::Object(_) => true,
            Value::Array(items) => items.iter().any(|item| item.is_object() || item.is_array()),
            _ => false,
        };
        if let Some(node) = params.get(name).filter(|_| nested) {
            let message =
                format!("the parameter `{name}` is {}, but must be a text, a number, true, false, or a list of them", node.describe());
            findings.wrong(node, message).hint = Some("write it as the text that the server wants to see".into());
        }
    }
}

fn check_auth(auth: &Auth, node: &Node, findings: &mut Findings) {
    let Some(key) = &auth.api_key else { return };
    let at = node.given("api_key").unwrap_or(node);
    match (&key.header_name, &key.query_param_name) {
        (Some(_), Some(_)) => {
            findings.wrong(at, "`header_name` and `query_param_name` both say where the key goes").hint = Some("keep one of them".into());
        }
        (None, None) => {
            findings.wrong(at, "`api_key` does not say where the key goes").hint =
                Some("add `header_name: X-API-Key` or `query_param_name: api_key`".into());
        }
        _ => {}
    }
}

fn check_pagination(source: &HttpSource, given: &Given<'_>, node: &Node, findings: &mut Findings) {
    let pagination = &source.pagination;
    if !pagination.enabled {
        if node.given("enabled").is_none() && !node.entries().is_empty() {
            findings.wrong(node, "`pagination` says how pages are asked for, but not that they are").hint =
                Some("add `enabled: true`; `enabled: false` asks for one page".into());
        }
        return;
    }
    let own = match pagination.strategy {
        PaginationStrategy::Page => Some("page"),
        PaginationStrategy::Offset => Some("offset"),
        PaginationStrategy::Cursor => Some("cursor"),
        PaginationStrategy::NextUrl => Some("next_url"),
        PaginationStrategy::LinkHeader => None,
    };
    let strategy = own.unwrap_or("link_header");
    for other in ["page", "offset", "cursor", "next_url"].into_iter().filter(|other| Some(*other) != own) {
        if let Some((key, value)) = node.entries().iter().find(|(key, value)| key.name == other && !value.is_null()) {
            findings.wrong_key(key, value, format!("`{}` is not used, since `strategy` is `{strategy}`", key.written)).hint =
                Some(format!("leave it out, or write `strategy: {other}`"));
        }
    }
    let json = source.response_format == ResponseFormat::Json;
    if matches!(pagination.strategy, PaginationStrategy::Cursor | PaginationStrategy::NextUrl) && !json {
        findings.wrong(node, format!("`strategy: {strategy}` looks for the next page in JSON, but `response_format` is not `json`")).hint =
            Some("`page`, `offset` and `link_header` go with every format".into());
    }
    if pagination.strategy == PaginationStrategy::Page && pagination.page.increment == 0 {
        findings.wrong(node.get("page").unwrap_or(node), "`increment` is 0, so every page would be the first");
    }
    if pagination.strategy == PaginationStrategy::Offset {
        check_offset(source, given, node, findings);
    }
    let conditions = pagination.stop_conditions.as_deref().unwrap_or_default();
    let nodes = node.given("stop_conditions").and_then(|conditions| conditions.items()).unwrap_or_default();
    for (condition, node) in conditions.iter().zip(nodes) {
        check_condition(condition, json, node, findings);
    }
}

/// How far the next offset is must be a number above 0 that is known before a row is read.
fn check_offset(source: &HttpSource, given: &Given<'_>, node: &Node, findings: &mut Findings) {
    let pagination = &source.pagination;
    // A run says how far it is.
    let of_run = |name: &String| given.input_params.0.iter().any(|(param, _)| given.param_mapping.get(param).unwrap_or(param) == name);
    let at = node.given("offset").unwrap_or(node);
    let (name, records) = match &pagination.offset.increment_by {
        Increment::Records(0) => {
            findings.wrong(at, "`increment_by` is 0, so every page would be the first");
            return;
        }
        Increment::Records(_) => return,
        Increment::PageSize => (&pagination.limit_param, pagination.page_size),
        Increment::Param(name) => (name, pagination.page_size.filter(|_| *name == pagination.limit_param)),
    };
    if of_run(name) || records.is_some() {
        return;
    }
    let found = source.params.get(name).and_then(|value| match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    });
    if found.is_none_or(|number| number == 0) {
        let size = if *name == pagination.limit_param { "`page_size: 100`, " } else { "" };
        findings.wrong(at, format!("the next offset is as far as the parameter `{name}` says, which `params` has not as a number")).hint =
            Some(format!("write {size}`params: {{{name}: 100}}` or `offset: {{increment_by: 100}}`"));
    }
}

fn check_condition(condition: &StopCondition, json: bool, node: &Node, findings: &mut Findings) {
    let StopCondition { kind, value, response_path } = condition;
    let name = node.get("type").and_then(Node::text).unwrap_or_default();
    match kind {
        StopKind::MaxPages | StopKind::MaxRecords => {
            if value.as_ref().and_then(Value::as_u64).is_none_or(|value| value == 0) {
                findings.wrong(node, format!("`{name}` has no `value`, which must be a whole number above 0")).hint =
                    Some(format!("write `{{type: {name}, value: 100}}`"));
            }
        }
        StopKind::Custom => {
            if response_path.is_none() {
                findings.wrong(node, "`custom` has no `response_path`").hint =
                    Some("write `{type: custom, response_path: meta.more, value: false}`".into());
            } else if !json {
                findings.wrong(node, "`custom` looks into JSON, but `response_format` is not `json`");
            }
        }
        StopKind::EmptyResponse | StopKind::FewerRecords => {
            if value.is_some() {
                findings.wrong(node, format!("`{name}` takes no `value`"));
            }
        }
    }
    if let Some(path) = node.given("response_path").filter(|_| *kind != StopKind::Custom) {
        findings.wrong(path, format!("`{name}` takes no `response_path`"));
    }
}
