//! From JSON to checks.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::Schema;
use super::node::{Check, Id, Kinds, Named, Node, Pattern};
use crate::format::Format;

/// Schemas within schemas, so that a document cannot take all the stack.
const MAX_DEPTH: usize = 200;

/// A version of the language.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Draft {
    Four,
    Six,
    Seven,
    Of2019,
    Of2020,
}

/// Compiles a document; a message where it cannot be.
pub(super) fn compile(document: &Value) -> Result<Schema, String> {
    let draft = match document.get("$schema").and_then(Value::as_str) {
        Some(dialect) if dialect.contains("draft-04") => Draft::Four,
        Some(dialect) if dialect.contains("draft-06") => Draft::Six,
        Some(dialect) if dialect.contains("draft-07") => Draft::Seven,
        Some(dialect) if dialect.contains("2019-09") => Draft::Of2019,
        _ => Draft::Of2020,
    };
    let mut compiling = Compiling {
        document,
        draft,
        nodes: Vec::new(),
        places: HashMap::new(),
        resources: vec![String::new()],
        anchors: HashMap::new(),
        dynamic_anchors: HashSet::new(),
        depth: 0,
    };
    compiling.gather(document, &mut String::new(), 0, 0)?;
    compiling.schema(String::new(), 0)?;
    let (mut dynamic, mut recursive) = (HashMap::new(), HashMap::new());
    let refers = |nodes: &[Node], wanted: fn(&Check) -> bool| nodes.iter().any(|node| node.checks.iter().any(wanted));
    if refers(&compiling.nodes, |check| matches!(check, Check::DynamicReference { .. })) {
        for key in compiling.dynamic_anchors.clone() {
            let id = compiling.schema(compiling.anchors[&key].clone(), key.0)?;
            dynamic.insert(key, id);
        }
    }
    if refers(&compiling.nodes, |check| matches!(check, Check::RecursiveReference(_))) {
        for (resource, pointer) in compiling.resources.clone().into_iter().enumerate() {
            if document.pointer(&pointer).and_then(|schema| schema.get("$recursiveAnchor")) == Some(&Value::Bool(true)) {
                recursive.insert(resource, compiling.schema(pointer, resource)?);
            }
        }
    }
    Ok(Schema { reads: reads(document), nodes: compiling.nodes, dynamic, recursive })
}

/// The properties of a row that a schema may look at: its own, where all that it asks is about single ones.
fn reads(document: &Value) -> Option<HashSet<String>> {
    let mut names = HashSet::new();
    for (keyword, value) in document.as_object()? {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => names.extend(properties.keys().cloned()),
            ("required", Value::Array(required)) => names.extend(required.iter().filter_map(Value::as_str).map(str::to_owned)),
            ("$schema" | "$id" | "id" | "$defs" | "definitions" | "$comment" | "title" | "description" | "type", _) => {}
            // Schemas in place are about the row as well.
            ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => {
                for schema in schemas {
                    names.extend(reads(schema)?);
                }
            }
            ("not" | "if" | "then" | "else", schema) => names.extend(reads(schema)?),
            _ => return None,
        }
    }
    Some(names)
}

struct Compiling<'d> {
    document: &'d Value,
    draft: Draft,
    nodes: Vec<Node>,
    /// Pointers to the schemas that were started.
    places: HashMap<String, Id>,
    /// Pointers to parts with an identifier of their own; the first is the document.
    resources: Vec<String>,
    /// Resources and names in them to pointers.
    anchors: HashMap<(usize, String), String>,
    dynamic_anchors: HashSet<(usize, String)>,
    depth: usize,
}

impl<'d> Compiling<'d> {
    /// Finds what has a name or an identifier.
    fn gather(&mut self, value: &'d Value, pointer: &mut String, mut resource: usize, depth: usize) -> Result<(), String> {
        if depth > 2 * MAX_DEPTH {
            return Err(format!("it is nested more than {} deep", 2 * MAX_DEPTH));
        }
        if !pointer.is_empty() && self.has_identifier(value) {
            resource = self.resources.len();
            self.resources.push(pointer.clone());
        }
        let mut name = |name: Option<&str>, is_dynamic: bool| {
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                self.anchors.insert((resource, name.to_owned()), pointer.clone());
                if is_dynamic {
                    self.dynamic_anchors.insert((resource, name.to_owned()));
                }
            }
        };
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        match self.draft {
            Draft::Four => name(text("id").and_then(|id| id.strip_prefix('#')), false),
            Draft::Six | Draft::Seven => name(text("$id").and_then(|id| id.strip_prefix('#')), false),
            Draft::Of2019 | Draft::Of2020 => {
                name(text("$anchor"), false);
                name(text("$dynamicAnchor"), true);
            }
        }
        let length = pointer.len();
        let mut visit = |step: &str, value: &'d Value| {
            push(pointer, step);
            let done = self.gather(value, pointer, resource, depth + 1);
            pointer.truncate(length);
            done
        };
        match value {
            Value::Object(members) => members
                .iter()
                .filter(|(key, _)| !matches!(key.as_str(), "const" | "enum" | "default" | "examples"))
                .try_for_each(|(key, value)| visit(key, value)),
            Value::Array(items) => items.iter().enumerate().try_for_each(|(index, value)| visit(&index.to_string(), value)),
            _ => Ok(()),
        }
    }

    /// Whether a schema starts a resource of its own.
    fn has_identifier(&self, schema: &Value) -> bool {
        let key = if self.draft == Draft::Four { "id" } else { "$id" };
        // Beside a reference nothing counts in older drafts.
        let counts = self.draft > Draft::Seven || schema.get("$ref").is_none();
        counts && schema.get(key).and_then(Value::as_str).is_some_and(|id| !id.starts_with('#'))
    }

    /// Compiles the schema at a pointer, once.
    fn schema(&mut self, pointer: String, resource: usize) -> Result<Id, String> {
        if let Some(id) = self.places.get(&pointer) {
            return Ok(*id);
        }
        let document = self.document;
        let schema = document.pointer(&pointer).ok_or_else(|| format!("`#{pointer}` is not there"))?;
        let resource = self.resources.iter().position(|start| *start == pointer).unwrap_or(resource);
        let id = self.nodes.len();
        self.places.insert(pointer.clone(), id);
        self.nodes.push(Node { resource, checks: Vec::new(), tracks: false });
        if self.depth == MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} deep"));
        }
        self.depth += 1;
        let checks = match schema {
            Value::Bool(true) => Vec::new(),
            Value::Bool(false) => vec![Check::Never],
            Value::Object(schema) => Keywords { all: self, schema, pointer: &pointer, resource }.checks()?,
            other => return Err(format!("`#{pointer}` is `{other}`, which is no schema")),
        };
        self.depth -= 1;
        self.nodes[id].tracks = checks.iter().any(|check| matches!(check, Check::UnevaluatedItems(_) | Check::UnevaluatedProperties(_)));
        self.nodes[id].checks = checks;
        Ok(id)
    }

    /// The place that a reference leads to.
    fn resolve(&self, reference: &str, resource: usize) -> Result<(String, usize), String> {
        let fragment =
            reference.strip_prefix('#').ok_or_else(|| format!("`{reference}` leads out of the schema, and nothing is fetched"))?;
        let fragment = decoded(fragment);
        let pointer = if fragment.is_empty() || fragment.starts_with('/') {
            format!("{}{fragment}", self.resources[resource])
        } else {
            let found = self.anchors.get(&(resource, fragment.clone()));
            found.ok_or_else(|| format!("`#{fragment}` is not there"))?.clone()
        };
        // The innermost resource that the place is in.
        let within = |start: &str| pointer.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let innermost =
            (0..self.resources.len()).filter(|index| within(&self.resources[*index])).max_by_key(|index| self.resources[*index].len());
        Ok((pointer, innermost.unwrap_or(0)))
    }
}

/// The keywords of one schema.
struct Keywords<'a, 'd> {
    all: &'a mut Compiling<'d>,
    schema: &'d Map<String, Value>,
    pointer: &'a str,
    resource: usize,
}

impl<'d> Keywords<'_, 'd> {
    fn checks(mut self) -> Result<Vec<Check>, String> {
        let draft = self.all.draft;
        let mut checks = Vec::new();
        self.references(&mut checks)?;
        if !checks.is_empty() && draft <= Draft::Seven {
            return Ok(checks);
        }
        self.scalars(&mut checks)?;
        self.lists(&mut checks)?;
        self.objects(&mut checks)?;
        self.in_place(&mut checks)?;
        if draft >= Draft::Of2019 {
            checks.extend(self.one("unevaluatedItems")?.map(Check::UnevaluatedItems));
            checks.extend(self.one("unevaluatedProperties")?.map(Check::UnevaluatedProperties));
        }
        Ok(checks)
    }

    fn references(&mut self, checks: &mut Vec<Check>) -> Result<(), String> {
        let draft = self.all.draft;
        if let Some(target) = self.text("$ref") {
            let (pointer, resource) = self.all.resolve(target, self.resource)?;
            checks.push(Check::Reference(self.all.schema(pointer, resource)?));
        }
        if let Some(target) = self.text("$dynamicRef").filter(|_| draft == Draft::Of2020) {
            let (pointer, resource) = self.all.resolve(target, self.resource)?;
            let id = self.all.schema(pointer, resource)?;
            let name = decoded(target.trim_start_matches('#'));
            checks.push(match self.all.dynamic_anchors.contains(&(self.resource, name.clone())) {
                true => Check::DynamicReference { id, name },
                false => Check::Reference(id),
            });
        }
        if let Some(target) = self.text("$recursiveRef").filter(|_| draft == Draft::Of2019) {
            let (pointer, resource) = self.all.resolve(target, self.resource)?;
            checks.push(Check::RecursiveReference(self.all.schema(pointer, resource)?));
        }
        Ok(())
    }

    fn scalars(&mut self, checks: &mut Vec<Check>) -> Result<(), String> {
        let draft = self.all.draft;
        let kinds = match self.schema.get("type") {
            Some(Value::String(name)) => Some(Kinds::of([name.as_str()])),
            Some(Value::Array(names)) => Some(Kinds::of(names.iter().filter_map(Value::as_str))),
            _ => None,
        };
        if let Some(kinds) = kinds {
            checks.push(Check::Type(kinds.ok_or_else(|| self.wrong("type", "names a type that there is not"))?));
        }
        if let Some(Value::Array(values)) = self.schema.get("enum") {
            checks.push(Check::OneOf(values.clone()));
        }
        if let Some(value) = self.schema.get("const").filter(|_| draft > Draft::Four) {
            checks.push(Check::OneOf(vec![value.clone()]));
        }
        let number = |name: &str| self.schema.get(name).and_then(Value::as_number).cloned();
        let is_set = |name: &str| draft == Draft::Four && self.schema.get(name) == Some(&Value::Bool(true));
        checks.extend(number("minimum").map(|limit| Check::Least(limit, is_set("exclusiveMinimum"))));
        checks.extend(number("maximum").map(|limit| Check::Most(limit, is_set("exclusiveMaximum"))));
        checks.extend(number("exclusiveMinimum").map(|limit| Check::Least(limit, true)));
        checks.extend(number("exclusiveMaximum").map(|limit| Check::Most(limit, true)));
        checks.extend(number("multipleOf").map(Check::MultipleOf));
        checks.extend(self.count("minLength").map(Check::MinLength));
        checks.extend(self.count("maxLength").map(Check::MaxLength));
        if let Some(written) = self.text("pattern") {
            checks.push(Check::Pattern(Pattern { written: written.to_owned(), regex: self.regex("pattern", written)? }));
        }
        checks.extend(self.text("format").and_then(Format::of).map(Check::Format));
        Ok(())
    }

    fn lists(&mut self, checks: &mut Vec<Check>) -> Result<(), String> {
        let draft = self.all.draft;
        checks.extend(self.count("minItems").map(Check::MinItems));
        checks.extend(self.count("maxItems").map(Check::MaxItems));
        if self.schema.get("uniqueItems") == Some(&Value::Bool(true)) {
            checks.push(Check::UniqueItems);
        }
        let (prefix, rest) = match draft {
            Draft::Of2020 => (self.several("prefixItems")?, self.one("items")?),
            _ if self.schema.get("items").is_some_and(Value::is_array) => (self.several("items")?, self.one("additionalItems")?),
            _ => (Vec::new(), self.one("items")?),
        };
        if !prefix.is_empty() || rest.is_some() {
            checks.push(Check::Items { prefix, rest });
        }
        if draft > Draft::Four
            && let Some(item) = self.one("contains")?
        {
            let counts = draft >= Draft::Of2019;
            let least = self.count("minContains").filter(|_| counts).unwrap_or(1);
            let most = self.count("maxContains").filter(|_| counts).unwrap_or(u64::MAX);
            checks.push(Check::Contains { item, least, most, marks: draft == Draft::Of2020 });
        }
        Ok(())
    }

    fn objects(&mut self, checks: &mut Vec<Check>) -> Result<(), String> {
        checks.extend(self.count("minProperties").map(Check::MinProperties));
        checks.extend(self.count("maxProperties").map(Check::MaxProperties));
        if let Some(names) = self.schema.get("required").and_then(texts) {
            checks.push(Check::Required(names));
        }
        let mut named = Named::default();
        for (name, id) in self.members("properties")? {
            named.insert(name, id);
        }
        let mut patterns = Vec::new();
        for (pattern, id) in self.members("patternProperties")? {
            patterns.push((self.regex("patternProperties", &pattern)?, id));
        }
        let rest = self.one("additionalProperties")?;
        if !named.is_empty() || !patterns.is_empty() || rest.is_some() {
            checks.push(Check::Properties { named, patterns, rest });
        }
        if self.all.draft > Draft::Four {
            checks.extend(self.one("propertyNames")?.map(Check::PropertyNames));
        }
        let (mut names, mut schemas) = (Vec::new(), Vec::new());
        for keyword in ["dependencies", "dependentRequired", "dependentSchemas"] {
            let Some(Value::Object(members)) = self.schema.get(keyword) else { continue };
            if keyword != "dependencies" && self.all.draft < Draft::Of2019 {
                continue;
            }
            for (name, value) in members {
                match texts(value) {
                    Some(required) => names.push((name.clone(), required)),
                    None => schemas.push((name.clone(), self.within(&[keyword, name])?)),
                }
            }
        }
        checks.extend((!names.is_empty()).then_some(Check::DependentRequired(names)));
        checks.extend((!schemas.is_empty()).then_some(Check::DependentSchemas(schemas)));
        Ok(())
    }

    fn in_place(&mut self, checks: &mut Vec<Check>) -> Result<(), String> {
        for keyword in ["allOf", "anyOf", "oneOf"].into_iter().filter(|keyword| self.schema.contains_key(*keyword)) {
            let ids = self.several(keyword)?;
            checks.push(match keyword {
                "allOf" => Check::AllOf(ids),
                "anyOf" => Check::AnyOf(ids),
                _ => Check::ExactlyOneOf(ids),
            });
        }
        checks.extend(self.one("not")?.map(Check::Not));
        if self.all.draft >= Draft::Seven
            && let Some(test) = self.one("if")?
        {
            checks.push(Check::If { test, then: self.one("then")?, otherwise: self.one("else")? });
        }
        Ok(())
    }

    /// Compiles the schema at a place within this one.
    fn within(&mut self, steps: &[&str]) -> Result<Id, String> {
        let mut pointer = self.pointer.to_owned();
        steps.iter().for_each(|step| push(&mut pointer, step));
        self.all.schema(pointer, self.resource)
    }

    fn one(&mut self, keyword: &str) -> Result<Option<Id>, String> {
        match self.schema.get(keyword) {
            Some(Value::Object(_) | Value::Bool(_)) => self.within(&[keyword]).map(Some),
            _ => Ok(None),
        }
    }

    fn several(&mut self, keyword: &str) -> Result<Vec<Id>, String> {
        let count = self.schema.get(keyword).and_then(Value::as_array).map_or(0, Vec::len);
        (0..count).map(|index| self.within(&[keyword, &index.to_string()])).collect()
    }

    fn members(&mut self, keyword: &str) -> Result<Vec<(String, Id)>, String> {
        let members = self.schema.get(keyword).and_then(Value::as_object);
        members.into_iter().flat_map(Map::keys).map(|name| Ok((name.clone(), self.within(&[keyword, name])?))).collect()
    }

    fn text(&self, keyword: &str) -> Option<&'d str> {
        self.schema.get(keyword).and_then(Value::as_str)
    }

    fn count(&self, keyword: &str) -> Option<u64> {
        let value = self.schema.get(keyword)?;
        value.as_u64().or_else(|| value.as_f64().filter(|count| *count >= 0.0).map(|count| count as u64))
    }

    fn regex(&self, keyword: &str, pattern: &str) -> Result<regex::Regex, String> {
        let translated = jsonschema_regex::to_rust_regex(pattern);
        let translated = translated.as_deref().unwrap_or(pattern);
        etl_steps::validate::compile(translated).map_err(|error| self.wrong(keyword, &format!("`{pattern}`: {}", error.message)))
    }

    fn wrong(&self, keyword: &str, message: &str) -> String {
        format!("`#{}/{keyword}`: {message}", self.pointer)
    }
}

/// A list of nothing but texts.
fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

/// Adds a step to a JSON pointer.
fn push(pointer: &mut String, step: &str) {
    pointer.push('/');
    for character in step.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

/// A fragment of an address without its percent signs.
fn decoded(fragment: &str) -> String {
    let (bytes, mut out, mut index) = (fragment.as_bytes(), Vec::with_capacity(fragment.len()), 0);
    while let Some(byte) = bytes.get(index) {
        let escaped = (*byte == b'%').then(|| fragment.get(index + 1..index + 3)).flatten();
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(escaped) => {
                out.push(escaped);
                index += 3;
            }
            None => {
                out.push(*byte);
                index += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| fragment.to_owned())
}
