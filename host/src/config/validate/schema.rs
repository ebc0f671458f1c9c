//! JSON Schemas, lowered: what a property of one scalar type says becomes rules by column, which are fast and counted one by one; all else
//! stays a JSON Schema that is held against the columns it speaks of.
//!
//! Nothing is fetched: a `$ref` stays within the schema. Null counts as an absent key, since a column cannot tell the two apart, so a property
//! that may be null is never missing. A text that reads as a number is one, since a reader may have made a column text for one bad value.

use std::collections::{BTreeMap, BTreeSet};

use etl_steps::validate::{Bound, Kind, Limit, OnInvalid, Rule, Test};
use serde_json::{Map, Value as Json};

use super::columns::{FORMATS, rule, sound};
use super::contract::Coercions;
use crate::config::problem::Findings;
use crate::config::yaml::{Node, Value, shorten};

/// Meta-schemas that are known, without the scheme and a closing `#`.
const DRAFTS: [&str; 5] = [
    "json-schema.org/draft-04/schema",
    "json-schema.org/draft-06/schema",
    "json-schema.org/draft-07/schema",
    "json-schema.org/draft/2019-09/schema",
    "json-schema.org/draft/2020-12/schema",
];

/// Keywords that ask for nothing.
const ANNOTATIONS: [&str; 19] = [
    "$schema",
    "$id",
    "id",
    "$comment",
    "$anchor",
    "$defs",
    "definitions",
    "title",
    "description",
    "version",
    "default",
    "examples",
    "example",
    "deprecated",
    "readOnly",
    "writeOnly",
    "nullable",
    "coercion",
    "x-order",
];

/// Mistakes of one schema that are told.
const MAX_MISTAKES: usize = 20;

/// Keywords that hold schemas for the same value.
const IN_PLACE: [&str; 8] = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"];

/// Lowers a JSON Schema.
pub(super) fn rules(node: &Node, coercions: &Coercions, on_error: OnInvalid, findings: &mut Findings) -> Vec<Rule> {
    let before = findings.problems.len();
    let Some(schema) = checked(node, findings) else { return Vec::new() };
    if findings.problems.len() > before {
        return Vec::new();
    }
    let Json::Object(schema) = schema else { return Vec::new() };
    Lower { node, coercions, on_error, rules: Vec::new(), findings }.top(&schema)
}

/// Notes everything that is wrong with a schema.
fn checked(node: &Node, findings: &mut Findings) -> Option<Json> {
    if !node.is_map() {
        findings.wrong(node, format!("{} is {}, but must be a JSON Schema, which is a mapping", node.quoted(), node.describe()));
        return None;
    }
    let mut schema = match node.json() {
        Ok(schema) => schema,
        Err(number) => {
            findings.wrong(number, format!("{} is a number that JSON does not have", number.describe()));
            return None;
        }
    };
    if let Some(dialect) = node.given("$schema") {
        let written = dialect.text().unwrap_or_default();
        let known = written.split_once("://").map_or(written, |(_, rest)| rest).trim_end_matches('#');
        if !DRAFTS.contains(&known) {
            let hint = "drafts 4, 6, 7, 2019-09 and 2020-12 are known, such as `https://json-schema.org/draft/2020-12/schema`";
            findings.wrong(dialect, format!("`$schema` is {}, which is not known, and nothing is fetched", dialect.describe())).hint =
                Some(hint.into());
            return None;
        }
    }
    // Identifiers change what a `$ref` means, and there is only this one document.
    if let Some(top) = schema.as_object_mut() {
        top.remove("$id");
        top.remove("id").filter(|id| !id.is_string()).and_then(|id| top.insert("id".into(), id));
    }
    match jsonschema::meta::validator_for(&schema) {
        Ok(validator) => {
            for error in validator.iter_errors(&schema).take(MAX_MISTAKES) {
                let at = find(node, &error.instance_path().to_string()).unwrap_or(node);
                findings.wrong(at, format!("this is no JSON Schema: {}", shorten(&error.to_string())));
            }
        }
        Err(error) => drop(findings.wrong(node, format!("this is no JSON Schema: {}", shorten(&error.to_string())))),
    }
    references(node, node, findings);
    endless(node, findings);
    Some(schema)
}

/// Notes every `$ref` that leads out of the schema or nowhere.
fn references(node: &Node, root: &Node, findings: &mut Findings) {
    for (key, value) in node.entries() {
        if matches!(key.name.as_str(), "const" | "enum" | "default" | "examples") {
            continue;
        }
        if let ("$ref" | "$dynamicRef" | "$recursiveRef", Some(target)) = (key.name.as_str(), value.text()) {
            match target.strip_prefix('#') {
                None => {
                    findings
                        .wrong(value, format!("`{}` leads out of the schema to {}, and nothing is fetched", key.name, value.describe()))
                        .hint = Some("put what it means under `$defs` and write `#/$defs/name`".into());
                }
                Some(pointer) if (pointer.is_empty() || pointer.starts_with('/')) && find(root, pointer).is_none() => {
                    findings.wrong(value, format!("`{}` leads to `{}`, which is not there", key.name, shorten(target)));
                }
                Some(_) => {}
            }
        }
        references(value, root, findings);
    }
    if let Value::List(items) = &node.value {
        items.iter().for_each(|item| references(item, root, findings));
    }
}

/// Notes schemas that refer to themselves without a value in between, which no value could be held against.
fn endless(root: &Node, findings: &mut Findings) {
    fn visit<'n>(node: &'n Node, root: &'n Node, path: &mut Vec<*const Node>, done: &mut BTreeSet<*const Node>) -> Option<&'n Node> {
        let this = std::ptr::from_ref(node);
        if path.contains(&this) {
            return Some(node);
        }
        if !done.insert(this) {
            return None;
        }
        path.push(this);
        let mut found = None;
        for (key, value) in node.entries() {
            let next: Vec<&Node> = match (key.name.as_str(), &value.value) {
                ("$ref", _) => value.text().and_then(|text| find(root, text.strip_prefix('#')?)).into_iter().collect(),
                (name, Value::List(items)) if IN_PLACE.contains(&name) => items.iter().collect(),
                ("dependentSchemas", Value::Map(entries)) => entries.iter().map(|(_, value)| value).collect(),
                (name, Value::Map(_)) if IN_PLACE.contains(&name) => vec![value],
                _ => Vec::new(),
            };
            found = found.or_else(|| next.into_iter().find_map(|next| visit(next, root, path, done).map(|_| value)));
        }
        path.pop();
        found
    }
    fn each<'n>(node: &'n Node, root: &'n Node, done: &mut BTreeSet<*const Node>, findings: &mut Findings) {
        if let Some(found) = visit(node, root, &mut Vec::new(), done) {
            findings.wrong(found, "this refers to itself without end").hint = Some("put a property or an item in between".into());
        }
        node.entries().iter().for_each(|(_, value)| each(value, root, done, findings));
        if let Value::List(items) = &node.value {
            items.iter().for_each(|item| each(item, root, done, findings));
        }
    }
    each(root, root, &mut BTreeSet::new(), findings);
}

/// Finds a node by JSON pointer.
fn find<'n>(node: &'n Node, pointer: &str) -> Option<&'n Node> {
    pointer.split('/').skip(1).try_fold(node, |node, part| {
        let name = part.replace("~1", "/").replace("~0", "~");
        match &node.value {
            Value::List(items) => items.get(name.parse::<usize>().ok()?),
            _ => node.get(&name),
        }
    })
}

struct Lower<'a> {
    node: &'a Node,
    coercions: &'a Coercions,
    on_error: OnInvalid,
    rules: Vec<Rule>,
    findings: &'a mut Findings,
}

impl Lower<'_> {
    fn top(mut self, schema: &Map<String, Json>) -> Vec<Rule> {
        let mut rest = Map::new();
        let properties = match schema.get("properties") {
            Some(Json::Object(properties)) => properties.clone(),
            _ => Map::new(),
        };
        let required: BTreeSet<&str> =
            schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
        for (keyword, value) in schema {
            match (keyword.as_str(), value) {
                ("properties", _) => {}
                ("required", _) => self.required(&required, &properties),
                ("type", value) if is_object(value) => {}
                ("additionalProperties", Json::Bool(true)) => {}
                ("additionalProperties", Json::Bool(false)) if !schema.contains_key("patternProperties") => {
                    let known = properties.keys().cloned().collect();
                    let test = Test::OnlyColumns(known);
                    self.rules.push(Rule { name: "only_columns".into(), column: None, test, on_error: self.on_error, message: None });
                }
                (name, _) if ANNOTATIONS.contains(&name) => {}
                (_, value) => drop(rest.insert(keyword.clone(), value.clone())),
            }
        }
        let definitions = definitions(schema);
        // What refers to other places than definitions would lose its way in a part.
        let within = |value: &Json| refers_only_to_definitions(value);
        let split = properties.values().all(within) && rest.values().all(within) && definitions.values().all(within);
        let mut whole = !split;
        for (name, property) in &properties {
            let coerced = self.coercions.makes_text(name);
            match self.property(name, property, coerced) {
                Some(rules) => self.rules.extend(rules),
                None if split => {
                    let schema = with(
                        &definitions,
                        schema,
                        [("properties".to_owned(), Json::Object([(name.clone(), property.clone())].into_iter().collect()))],
                    );
                    self.push(format!("{name}.schema"), Some(name), schema, Some(vec![name.clone()]));
                }
                None => whole = true,
            }
        }
        if whole && !split {
            let all = schema.iter().filter(|(name, _)| *name != "required").map(|(name, value)| (name.clone(), value.clone()));
            self.push("schema".into(), None, Json::Object(all.collect()), None);
        } else if !rest.is_empty() {
            // Some keywords look at the properties beside them.
            if rest.keys().any(|name| name == "additionalProperties" || name == "unevaluatedProperties") {
                rest.insert("properties".into(), Json::Object(properties.clone()));
            }
            self.push("schema".into(), None, with(&definitions, schema, rest), None);
        }
        self.rules
    }

    fn push(&mut self, name: String, column: Option<&String>, schema: Json, columns: Option<Vec<String>>) {
        self.rules.push(Rule {
            name,
            column: column.cloned(),
            test: Test::Schema { schema, columns },
            on_error: self.on_error,
            message: None,
        });
    }

    fn required(&mut self, required: &BTreeSet<&str>, properties: &Map<String, Json>) {
        let nullable = |name: &str| {
            let types = properties.get(name).and_then(|property| property.get("type")).and_then(Json::as_array);
            types.is_some_and(|types| types.iter().any(|kind| kind == "null"))
        };
        for name in required.iter().filter(|name| !nullable(name)) {
            self.rules.push(rule(name, Test::Required, self.on_error, None));
        }
    }

    /// The rules of a property; absent where rules by column cannot say the same.
    fn property(&mut self, name: &str, property: &Json, coerced_to_text: bool) -> Option<Vec<Rule>> {
        let Json::Object(schema) = property else {
            return (*property == Json::Bool(true)).then(Vec::new);
        };
        let asks: BTreeMap<&str, &Json> =
            schema.iter().map(|(key, value)| (key.as_str(), value)).filter(|(key, _)| !ANNOTATIONS.contains(key)).collect();
        if asks.is_empty() {
            return Some(Vec::new());
        }
        let kind = match one_type(asks.get("type")?)? {
            "string" => Kind::String,
            "integer" => Kind::Integer,
            "number" => Kind::Number,
            "boolean" => Kind::Boolean,
            "object" => Kind::Object,
            "array" => Kind::Array,
            _ => return None,
        };
        let mut tests = Vec::new();
        if !(kind == Kind::String && coerced_to_text) {
            tests.push(Test::Type(kind));
        }
        let numeric = matches!(kind, Kind::Integer | Kind::Number);
        let length =
            |value: &Json| value.as_u64().or_else(|| value.as_f64().filter(|length| length.fract() == 0.0).map(|length| length as u64));
        for (keyword, value) in asks {
            let bound = |exclusive| value.as_number().map(|number| Bound { limit: Limit::Number(number.clone()), exclusive });
            tests.push(match keyword {
                "type" => continue,
                "minimum" if numeric => Test::Min(bound(schema.get("exclusiveMinimum") == Some(&Json::Bool(true)))?),
                "maximum" if numeric => Test::Max(bound(schema.get("exclusiveMaximum") == Some(&Json::Bool(true)))?),
                "exclusiveMinimum" | "exclusiveMaximum" if value.is_boolean() && numeric => continue,
                "exclusiveMinimum" if numeric => Test::Min(bound(true)?),
                "exclusiveMaximum" if numeric => Test::Max(bound(true)?),
                "multipleOf" if numeric => Test::MultipleOf(value.as_f64()?),
                "minLength" if kind == Kind::String => Test::MinLength(length(value)?),
                "maxLength" if kind == Kind::String => Test::MaxLength(length(value)?),
                "pattern" if kind == Kind::String => Test::Pattern(self.pattern(name, value.as_str()?)?),
                "format" if kind == Kind::String => match value.as_str()? {
                    format if FORMATS.contains(&format) => Test::Format(format.to_owned()),
                    // A format that is not known asks for nothing.
                    _ => continue,
                },
                "enum" if !matches!(kind, Kind::Object | Kind::Array) => Test::OneOf(value.as_array()?.clone()),
                "const" if !matches!(kind, Kind::Object | Kind::Array) => Test::OneOf(vec![value.clone()]),
                _ => return None,
            });
        }
        Some(tests.into_iter().map(|test| rule(name, test, self.on_error, None)).collect())
    }

    /// A pattern in this language's spelling; what is wrong with it is noted.
    fn pattern(&mut self, column: &str, pattern: &str) -> Option<String> {
        let translated = jsonschema_regex::to_rust_regex(pattern).map_or_else(|()| pattern.to_owned(), std::borrow::Cow::into_owned);
        let node = self.node.get("properties").and_then(|properties| properties.get(column)).and_then(|column| column.get("pattern"));
        // Noted here; the rule itself stands, so that what is wrong is said once.
        sound(node.unwrap_or(self.node), &translated, self.findings);
        Some(translated)
    }
}

/// Whether a type is `object`.
fn is_object(value: &Json) -> bool {
    value == "object" || value.as_array().is_some_and(|types| types.iter().any(|kind| kind == "object"))
}

/// The one type that there is beside null.
fn one_type(value: &Json) -> Option<&str> {
    match value {
        Json::String(name) => Some(name),
        Json::Array(names) => {
            let mut named = names.iter().filter(|name| *name != "null");
            let first = named.next()?.as_str();
            if named.next().is_none() { first } else { None }
        }
        _ => None,
    }
}

fn definitions(schema: &Map<String, Json>) -> Map<String, Json> {
    let names = ["$defs", "definitions"];
    names.iter().filter_map(|name| schema.get(*name).map(|value| ((*name).to_owned(), value.clone()))).collect()
}

fn refers_only_to_definitions(value: &Json) -> bool {
    match value {
        Json::Object(entries) => entries.iter().all(|(key, value)| match (key.as_str(), value.as_str()) {
            ("$ref", Some(target)) => target.starts_with("#/$defs/") || target.starts_with("#/definitions/"),
            ("$dynamicRef" | "$recursiveRef" | "$dynamicAnchor" | "$recursiveAnchor", _) => false,
            _ => refers_only_to_definitions(value),
        }),
        Json::Array(items) => items.iter().all(refers_only_to_definitions),
        _ => true,
    }
}

/// A part of a schema, with its definitions and its draft.
fn with(definitions: &Map<String, Json>, schema: &Map<String, Json>, part: impl IntoIterator<Item = (String, Json)>) -> Json {
    let draft = schema.get("$schema").map(|draft| ("$schema".to_owned(), draft.clone()));
    Json::Object(draft.into_iter().chain(definitions.clone()).chain(part).collect())
}
