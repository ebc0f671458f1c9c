//! JSON Schemas of the configuration files, for editors: made from the types, so that a doc comment is the manual.

use std::collections::BTreeMap;

use etl_steps::OnConvertError;
use etl_steps::flatten::Flatten;
use etl_steps::validate::Validate;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::aggregates::{WrittenAggregate, WrittenDedupe, WrittenSort, WrittenWindow};
use super::canonical::{self, Names};
use super::cloud::{CloudSink, CloudSource};
use super::database::{DatabaseSink, DatabaseSource};
use super::extract::{self, FileSource, Reading};
use super::grants::Grants;
use super::http::HttpSource;
use super::load::{self, FileSink};
use super::lower::OPERATIONS;
use super::settings::{Limits, Settings};
use super::steps::{WrittenFilter, WrittenMap};
use super::transform::{Jsonata, WrittenCustomFunction};

#[cfg(test)]
mod tests;

/// A kind of configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `extract.yaml`.
    Extract,
    /// `transform.yaml`.
    Transform,
    /// `load.yaml`.
    Load,
    /// `settings.yaml`.
    Settings,
    /// `pipeline.yaml`.
    Pipeline,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Extract, Self::Transform, Self::Load, Self::Settings, Self::Pipeline];

    /// Its name, which is that of the file without `.yaml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Extract => "extract",
            Self::Transform => "transform",
            Self::Load => "load",
            Self::Settings => "settings",
            Self::Pipeline => "pipeline",
        }
    }
}

/// Makes the JSON Schema of a kind of file, as users write it: older spellings are marked as such, a number may be a variable.
pub fn json_schema(kind: Kind) -> Value {
    let mut schema = match kind {
        Kind::Extract => extract(),
        Kind::Transform => transform(),
        Kind::Load => load(),
        Kind::Settings => settings(),
        Kind::Pipeline => pipeline(),
    };
    let file = schema.as_object_mut().expect("every schema above is an object");
    file.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    file.insert("title".into(), json!(format!("{}.yaml", kind.name())));
    schema
}

/// The operations of a transform; in a mapping they run in this order.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used: steps are read in the order in which users write them")]
struct Operations {
    /// Old name to new name. All pairs at once, so that a swap works; positions are kept, absent columns are counted.
    rename: Option<BTreeMap<String, String>>,
    /// Objects, and lists with `array_flatten`, become columns: options, or a list of columns, or `true`.
    flatten: Option<Flatten>,
    /// Column with lists: one row an item.
    unnest: Option<String>,
    /// Column to type: `str int float bool datetime date decimal(p,s) timestamp(tz) json`.
    convert: Option<BTreeMap<String, String>>,
    /// Column to value where null; `@now`, `@utcnow`, `@week_start`, `@week_end` stand for dates of the run's start.
    fill_null: Option<BTreeMap<String, Value>>,
    /// Column to value where missing or null; a text that is empty is a value.
    defaults: Option<BTreeMap<String, Value>>,
    /// Look-up of a column's values.
    map: Option<WrittenMap>,
    /// Column to literal or expression: a call such as `lower(${email})`, or a text with `${field}` or `${field:-default}` in it. In order, each sees those before.
    add: Option<BTreeMap<String, Value>>,
    /// Columns to keep, in this order.
    select: Option<Vec<String>>,
    /// Columns to drop; absent ones are ignored.
    drop: Option<Vec<String>>,
    /// Rows to keep.
    filter: Option<WrittenFilter>,
    /// Rules that rows must satisfy.
    validate: Option<Validate>,
    /// Of rows with the same key one is kept: options, or the columns of the key, or `true` for all columns.
    dedupe: Option<WrittenDedupe>,
    /// Rows of the same group become one row with what is measured of them.
    aggregate: Option<WrittenAggregate>,
    /// Rows fall into windows of event time side by side, each of which is measured.
    window: Option<WrittenWindow>,
    /// All rows in order: columns, `-column` from greatest to least, or options.
    sort: Option<WrittenSort>,
    /// A JSONata expression.
    jsonata: Option<Jsonata>,
    /// A component or function of your own.
    custom_function: Option<WrittenCustomFunction>,
    /// What the simple operations may use. Default: what the settings say.
    limits: Option<Limits>,
    /// What the simple operations may reach, such as variables for `env(NAME)`. Default: nothing.
    grants: Option<Grants>,
    /// What becomes of a value that `convert` cannot convert. Default: `reject`.
    on_convert_error: Option<OnConvertError>,
}

fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("$schema");
        schema.remove("title");
    }
    schema
}

/// One mapping made of the keys of several types.
fn object(parts: Vec<Value>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for part in parts {
        let Value::Object(mut part) = part else { continue };
        if let Some(Value::Object(more)) = part.remove("properties") {
            properties.extend(more);
        }
        if let Some(Value::Array(more)) = part.remove("required") {
            required.extend(more);
        }
    }
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn properties(schema: &mut Value) -> &mut Map<String, Value> {
    schema["properties"].as_object_mut().expect("`object` made it")
}

/// The keys for people on top of any file.
fn information() -> Value {
    json!({ "properties": {
        "title": { "type": "string", "description": "Title, for people." },
        "description": { "type": "string", "description": "What it is for, for people." },
        "version": { "type": ["string", "number"], "description": "Version, for people." },
    } })
}

/// The key `type`.
fn kind(names: &[&str]) -> Value {
    json!({ "properties": { "type": { "enum": names, "description": "What it is. Default: detected from the other keys." } } })
}

/// Adds older spellings of keys; what has one is not required, since the older one does as well.
fn older(schema: &mut Value, names: Names) {
    for (old, new) in names {
        let Some(mut value) = properties(schema).get(*new).cloned() else { continue };
        value["deprecated"] = json!(true);
        value["description"] = json!(format!("Older spelling of `{new}`."));
        properties(schema).insert((*old).to_owned(), value);
        optional(schema, new);
    }
}

fn optional(schema: &mut Value, name: &str) {
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|key| key != name);
    }
}

/// Changes a key's schema, where there is that key.
fn change(schema: &mut Value, name: &str, work: impl FnOnce(&mut Value)) {
    if let Some(value) = schema.get_mut("properties").and_then(|properties| properties.get_mut(name)) {
        work(value);
    }
}

/// Takes another schema, too.
fn either(schema: &mut Value, other: Value) {
    let description = schema.get("description").cloned();
    let one = schema.take();
    *schema = json!({ "anyOf": [one, other] });
    if let Some(description) = description {
        schema["description"] = description;
    }
}

/// The mapping in a key that may be absent.
fn inner(schema: &mut Value) -> &mut Value {
    match schema.get("anyOf").is_some() {
        true => &mut schema["anyOf"][0],
        false => schema,
    }
}

/// What sections with files, databases and dead letters have in older spellings, deep in them.
fn older_within(schema: &mut Value) {
    change(schema, "csv_options", |options| older(options, canonical::CSV));
    change(schema, "ssh_tunnel", |tunnel| older(inner(tunnel), canonical::SSH_TUNNEL));
    change(schema, "storage", |storage| older(inner(storage), canonical::STORAGE));
    change(schema, "dlq", dead_letters);
    change(schema, "validation", |validation| {
        let validation = inner(validation);
        loosen_rules(validation);
        change(validation, "schema", |schema| either(schema, json!({ "type": "string" })));
        change(validation, "contract", |contract| either(contract, json!({ "type": "string" })));
        change(validation, "dlq", dead_letters);
    });
    if properties(schema).contains_key("connection_string") && properties(schema).contains_key("ssh_tunnel") {
        let database = json!({
            "type": "object",
            "description": "Database, in place of `connection_string`.",
            "properties": { "url": { "type": "string" }, "type": { "type": "string" } },
            "required": ["url"],
        });
        properties(schema).insert("database".into(), database);
        optional(schema, "connection_string");
    }
}

fn dead_letters(queue: &mut Value) {
    older(inner(queue), canonical::DEAD_LETTERS);
    either(queue, json!({ "type": "boolean" }));
}

/// Lets a variable stand for a number or a truth value.
fn loosen(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let loose = |kind: &Value| matches!(kind.as_str(), Some("integer" | "number" | "boolean"));
            let kinds = match map.get("type") {
                Some(Value::Array(kinds)) if kinds.iter().any(loose) && !kinds.contains(&json!("string")) => kinds.clone(),
                Some(one) if loose(one) => vec![one.clone()],
                _ => Vec::new(),
            };
            if !kinds.is_empty() {
                let kinds: Vec<Value> = kinds.into_iter().chain([json!("string")]).collect();
                map.insert("type".into(), json!(kinds));
                map.insert("pattern".into(), json!("\\$\\{"));
            }
            map.values_mut().for_each(loosen);
            let is_choice = map.get("enum").is_some_and(Value::is_array)
                || map
                    .get("oneOf")
                    .and_then(Value::as_array)
                    .is_some_and(|of| of.iter().all(|one| one.get("const").is_some() || one.get("enum").is_some()));
            if is_choice || map.get("maxLength").is_some_and(Value::is_number) {
                either(schema, json!({ "type": "string", "pattern": "\\$\\{|^\\\\t$" }));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(loosen),
        _ => {}
    }
}

/// One of several kinds of section.
fn one_of(mut kinds: Vec<Value>) -> Value {
    kinds.iter_mut().for_each(loosen);
    json!({ "anyOf": kinds })
}

fn extract() -> Value {
    let section = |names: &[&str], own: Value, old: Names| {
        let mut schema = object(vec![information(), kind(names), own, of::<Reading>(), of::<extract::Common>()]);
        older(&mut schema, canonical::EXTRACT);
        older(&mut schema, old);
        older_within(&mut schema);
        schema
    };
    let mut http = section(&["http"], of::<HttpSource>(), canonical::HTTP);
    change(&mut http, "pagination", |pagination| {
        for (old, to, name) in canonical::PAGINATION {
            let description = format!("Older spelling of `{to}: {{{name}: …}}`.");
            properties(pagination).insert((*old).to_owned(), json!({ "type": "string", "deprecated": true, "description": description }));
        }
        let pages = json!({ "type": "integer", "minimum": 1, "description": "Pages at most, beside `stop_conditions`." });
        properties(pagination).insert("max_pages".into(), pages);
    });
    one_of(vec![
        section(&["file"], of::<FileSource>(), canonical::FILE),
        http,
        section(&["database"], of::<DatabaseSource>(), canonical::DATABASE_SOURCE),
        section(&["cloud_storage"], of::<CloudSource>(), &[]),
    ])
}

fn load() -> Value {
    let section = |names: &[&str], own: Value, old: Names| {
        let mut schema = object(vec![information(), kind(names), own, of::<load::Common>()]);
        older_within(&mut schema);
        older(&mut schema, canonical::LOAD);
        older(&mut schema, old);
        schema
    };
    let databases = ["database", "postgres", "postgresql", "mysql", "sqlite", "mssql", "oracle"];
    let mut database = section(&databases, of::<DatabaseSink>(), canonical::DATABASE_SINK);
    properties(&mut database)
        .insert("path".into(), json!({ "type": "string", "description": "File of the database. `type: sqlite` only." }));
    one_of(vec![section(&["file"], of::<FileSink>(), canonical::FILE), database, section(&["cloud_storage"], of::<CloudSink>(), &[])])
}

fn settings() -> Value {
    let mut schema = object(vec![information(), of::<Settings>()]);
    older_within(&mut schema);
    older(&mut schema, super::sections::SETTINGS);
    loosen(&mut schema);
    schema
}

/// Metrics may be `count`.
fn metrics(metrics: &mut Value) {
    let value = inner(metrics);
    let one = value["additionalProperties"].take();
    value["additionalProperties"] = json!({ "anyOf": [{ "const": "count" }, one] });
}

/// Columns of an order may be names, and one needs no list.
fn short_columns(columns: &mut Value) {
    let list = inner(columns);
    let one = list["items"].take();
    list["items"] = json!({ "anyOf": [{ "type": "string" }, one] });
    either(columns, json!({ "type": "string" }));
}

/// Adds the shorter ways in which rules may be written, and what a step may use.
fn loosen_rules(validate: &mut Value) {
    change(validate, "rules", |rules| {
        if let Some(column) = rules.get_mut("additionalProperties") {
            let many = json!({ "type": "array", "items": column.clone() });
            either(column, many);
        }
    });
    change(validate, "unique", |unique| {
        unique["type"] = json!(["array", "string"]);
        if let Some(key) = unique.get_mut("items") {
            either(key, json!({ "type": ["array", "string"], "items": { "type": "string" } }));
        }
    });
    change(validate, "checks", |checks| {
        if let Some(check) = checks.get_mut("items") {
            either(check, json!({ "type": "string" }));
        }
    });
    if let Some(keys) = validate.get_mut("properties").and_then(Value::as_object_mut) {
        keys.entry("limits").or_insert_with(of::<Limits>);
    }
}

/// What `transform` may hold: a mapping of operations, or a list of steps.
fn body() -> Value {
    let mut operations = object(vec![of::<Operations>()]);
    change(&mut operations, "flatten", |flatten| either(flatten, json!({ "type": ["array", "boolean", "object"] })));
    change(&mut operations, "unnest", |unnest| {
        let field = json!({ "field": { "type": "string" } });
        either(unnest, json!({ "type": "object", "properties": field, "required": ["field"], "additionalProperties": false }));
    });
    for name in ["aggregate", "window"] {
        change(&mut operations, name, |step| change(inner(step), "metrics", metrics));
    }
    change(&mut operations, "dedupe", |dedupe| {
        change(inner(dedupe), "order_by", short_columns);
        either(dedupe, json!({ "type": ["string", "array", "boolean"], "items": { "type": "string" } }));
    });
    change(&mut operations, "sort", |sort| {
        change(inner(sort), "by", short_columns);
        let by = inner(sort)["properties"]["by"].clone();
        either(sort, by);
    });
    older(&mut operations, &[("type", "convert")]);
    change(&mut operations, "validate", |validate| loosen_rules(inner(validate)));
    let mut step = operations.clone();
    properties(&mut step).retain(|name, _| name != "limits" && name != "grants");
    let op = json!({ "type": "object", "properties": { "op": { "enum": OPERATIONS } }, "required": ["op"] });
    json!({ "anyOf": [operations, { "type": "array", "items": { "anyOf": [step, op] } }] })
}

fn transform() -> Value {
    let body = body();
    let [mapping, list] = [body["anyOf"][0].clone(), body["anyOf"][1].clone()];
    let beside = ["jsonata", "custom_function", "limits", "grants", "on_convert_error"];
    let mut file = object(vec![information(), json!({ "properties": { "transform": body }, "required": ["transform"] })]);
    for name in beside {
        properties(&mut file).insert(name.into(), mapping["properties"][name].clone());
    }
    let top = object(vec![information(), mapping]);
    let several = object(vec![information(), json!({ "properties": { "transformers": transformers() }, "required": ["transformers"] })]);
    json!({ "anyOf": [file, top, list, several] })
}

/// Several transforms over one extract, by name.
fn transformers() -> Value {
    let body = body();
    let mut lane = object(vec![information(), body["anyOf"][0].clone(), json!({ "properties": { "transform": body } })]);
    let mut load = load();
    // What all have in common stands in `load.yaml`.
    for kind in load["anyOf"].as_array_mut().into_iter().flatten() {
        kind["required"] = json!([]);
    }
    load["description"] = json!("Where its rows go to: laid over `load.yaml` key by key. Default: `load.yaml` itself.");
    properties(&mut lane).insert("load".into(), load);
    json!({
        "type": "object",
        "description": "Several transforms over one extract, by name: the input is read once, each has a load of its own, and one that fails leaves the others alone.",
        "minProperties": 1,
        "propertyNames": { "pattern": "^[A-Za-z0-9_-]{1,30}$" },
        "additionalProperties": lane,
    })
}

fn pipeline() -> Value {
    let mut settings = settings();
    let body = body();
    let operations = body["anyOf"][0]["properties"].clone();
    let own = json!({
        "properties": {
            "name": { "type": "string", "description": "Name of the pipeline. Default: the name of its directory." },
            "extract": extract(),
            "transform": body,
            "transformers": transformers(),
            "jsonata": operations["jsonata"],
            "custom_function": operations["custom_function"],
            "load": load(),
            "settings": settings.clone(),
        },
        "required": ["extract", "load"],
    });
    properties(&mut settings).remove("name");
    object(vec![information(), settings, own])
}
