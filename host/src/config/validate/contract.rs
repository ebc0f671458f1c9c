//! Contracts: `schema`, `coercion_rules` and `validation_rules`, in files as the format's older dialects keep them, or in a metadata store.

use std::collections::BTreeMap;

use etl_steps::validate::{Bound, Limit, OnInvalid, Rule, Test};
use serde_json::json;

use super::columns::{rule, sound};
use super::{Making, Validation, schema, tell_apart};
use crate::config::canonical;
use crate::config::de::typed;
use crate::config::files::Text;
use crate::config::load::{ContractKind, ContractReference};
use crate::config::problem::{Findings, StoredContract, suggest};
use crate::config::yaml::{self, Node, Value};
use crate::error::Place;

/// What `coercion_rules` say: column to the type that its values are read as.
#[derive(Clone, Debug, Default)]
pub(super) struct Coercions(BTreeMap<String, String>);

impl Coercions {
    /// Whether every value of a column can be read as what the schema asks for.
    pub(super) fn makes_text(&self, column: &str) -> bool {
        self.0.get(column).is_some_and(|kind| matches!(kind.as_str(), "string" | "lowercase" | "uppercase" | "stripped_string"))
    }
}

/// What a column may be coerced to, after `coerce_to_` and `nullable_`.
const COERCIONS: [&str; 16] = [
    "string",
    "str",
    "integer",
    "int",
    "float",
    "number",
    "boolean",
    "bool",
    "datetime",
    "date",
    "uuid",
    "lowercase",
    "uppercase",
    "stripped_string",
    "list",
    "json",
];

/// Rules by name, of a column.
const RULES: [&str; 21] = [
    "min_length",
    "max_length",
    "only_allow",
    "only_allow_if",
    "greater_than_or_equal_to",
    "less_than_or_equal_to",
    "min_value",
    "max_value",
    "is_positive",
    "non_empty_string",
    "not_empty",
    "no_capital_characters",
    "no_special_characters",
    "matches_regex",
    "is_email",
    "is_url",
    "is_alphanumeric",
    "is_numeric_string",
    "is_unique",
    "required",
    "pattern",
];

impl Making<'_> {
    /// `contract`: a file, a directory with `schema`, `coercion_rules` and `validation_rules`, or the name of one in the metadata store.
    pub(super) fn contract(&mut self, node: &Node) {
        let Some(reference) = typed::<ContractReference>(node.clone(), self.findings) else { return };
        let ContractReference { kind, path, name, version } = reference;
        let path = match (kind, path, name) {
            (ContractKind::File, Some(path), None) => path,
            (_, None, Some(name)) => return self.stored(node, name, version),
            (_, Some(_), Some(_)) => {
                self.findings.wrong(node, "`contract` has a `path` and a `name`").hint =
                    Some("keep `path` for one in files, `name` for one in the metadata store".into());
                return;
            }
            (ContractKind::Database, ..) => {
                self.findings.wrong(node, "`contract` does not say which it is").hint =
                    Some("write `contract: {type: database, name: orders}`".into());
                return;
            }
            (ContractKind::File, None, None) => {
                self.findings.wrong(node, "`contract` does not say where it is").hint = Some("write `contract: ./contracts/orders`".into());
                return;
            }
        };
        let base = path.trim_end_matches('/');
        let candidates = |names: &[&str], endings: &[&str]| -> Vec<String> {
            names.iter().flat_map(|name| endings.iter().map(move |ending| format!("{base}/{name}{ending}"))).collect()
        };
        let whole: Vec<String> = ["", ".yaml", ".yml", ".json"].iter().map(|ending| format!("{base}{ending}")).collect();
        let schemas = candidates(&["schema"], &[".yaml", ".yml", ".json"]);
        let coercions = candidates(&["coercion_rules", "coercion"], &[".yaml", ".yml"]);
        let validations = candidates(&["validation_rules", "validation"], &[".yaml", ".yml"]);
        let found = [&whole, &schemas, &coercions, &validations].map(|paths| {
            let found: Vec<Option<Option<Text>>> = paths.iter().map(|path| self.findings.shelf.find(path)).collect();
            (found.iter().any(Option::is_none), found.into_iter().flatten().flatten().next())
        });
        if found.iter().any(|(unread, _)| *unread) {
            self.unread = Some(format!("`{path}`"));
            return;
        }
        let [(_, whole), (_, schema), (_, coercions), (_, validations)] = found;
        let rules = match (whole, schema) {
            (Some(whole), _) => of_contract_file(&whole, self.on_error, self.findings),
            (None, Some(schema)) => of_texts(Some(&schema), coercions.as_ref(), validations.as_ref(), self.on_error, self.findings),
            (None, None) => {
                let hint = format!("looked for `{base}`, `{base}.yaml` and `{base}/schema.yaml`, relative to the contract directory");
                self.findings.wrong(node, format!("there is no contract at `{path}`")).hint = Some(hint);
                return;
            }
        };
        self.rules.extend(rules);
    }
}

impl Making<'_> {
    /// `use_contract: true`: the one that the settings name.
    pub(super) fn contract_of_settings(&mut self, node: &Node) {
        match self.findings.shelf.contracts.as_ref().map(|contracts| contracts.named.clone()) {
            Some(Some(name)) => self.stored(node, name, None),
            Some(None) => {
                self.findings.wrong(node, "`use_contract` is true, but the settings name no contract").hint =
                    Some("add `contract: orders` to `settings.yaml`, or name one here: `contract: {name: orders}`".into());
            }
            None => self.unread = Some("the contract of the settings".into()),
        }
    }

    /// A contract of the metadata store.
    fn stored(&mut self, node: &Node, name: String, version: Option<String>) {
        let Some(contracts) = &self.findings.shelf.contracts else {
            // What is wrong with the settings is said already.
            self.unread = Some(format!("the contract `{name}`"));
            return;
        };
        let Some(store) = contracts.store.clone() else {
            self.findings
                .wrong(node, format!("the contract `{name}` is named, but the settings say of no metadata store that has it"))
                .hint = Some(
                "add `metadata_store: {type: postgres, connection_string: …}` to `settings.yaml`, or name files: `contract: \
                     ./contracts/orders`"
                    .into(),
            );
            return;
        };
        let asked = StoredContract { name, version, store, place: self.findings.place(node) };
        match self.findings.shelf.stored(&asked) {
            Some(text) => self.rules.extend(of_contract_file(&text, self.on_error, self.findings)),
            None => self.unread = Some(asked.to_string()),
        }
    }
}

/// The rules of a contract directory itself, as its oldest dialect has them. They warn: the original read and never applied them.
pub(in crate::config) fn of_files(texts: &[Text], on_error: Option<OnInvalid>, findings: &mut Findings) -> Option<Validation> {
    let find = |name: &str| {
        texts.iter().find(|text| {
            let file = text.name.rsplit(['/', '\\']).next().unwrap_or_default();
            file.split('.').next() == Some(name)
        })
    };
    let [schema, coercions, validations] = ["schema", "coercion_rules", "validation_rules"].map(find);
    let first = schema.or(validations).or(coercions)?;
    let on_error = on_error.unwrap_or(OnInvalid::Warn);
    let mut rules = of_texts(schema, coercions, validations, on_error, findings);
    tell_apart(&mut rules);
    let place = Place { file: first.name.clone(), line: 1, column: 1, key: String::new() };
    Some(Validation {
        rules,
        columns: Vec::new(),
        on_error,
        thresholds: Default::default(),
        limits: Default::default(),
        dead_letters: None,
        unread: None,
        place,
    })
}

/// Reads a file as a tree; what is wrong is noted under its own name.
fn tree(text: &Text, findings: &mut Findings, work: impl FnOnce(&Node, &mut Findings) -> Vec<Rule>) -> Vec<Rule> {
    let mut own = Findings { shelf: findings.shelf.clone(), ..Findings::of(&text.name) };
    let rules = yaml::parse(&text.text, &mut own).map(|node| work(&node, &mut own)).unwrap_or_default();
    findings.problems.append(&mut own.problems);
    rules
}

/// Rules of a JSON Schema in a file.
pub(super) fn of_schema_file(text: &Text, on_error: OnInvalid, findings: &mut Findings) -> Vec<Rule> {
    of_contract_file(text, on_error, findings)
}

/// Rules of a file that is a JSON Schema, or a whole contract with `schema`, `coercion_rules` and `validation_rules` in it.
fn of_contract_file(text: &Text, on_error: OnInvalid, findings: &mut Findings) -> Vec<Rule> {
    tree(text, findings, |node, findings| match node.given("schema").filter(|schema| schema.is_map()) {
        Some(inner) => {
            let coercions = node.given("coercion_rules").map(|node| coercions(node, findings)).unwrap_or_default();
            let mut rules = schema::rules(inner, &coercions, on_error, findings);
            if let Some(node) = node.given("validation_rules") {
                rules.extend(validations(node, on_error, findings));
            }
            rules
        }
        None => schema::rules(node, &Coercions::default(), on_error, findings),
    })
}

/// Rules of a contract in files of its own.
fn of_texts(
    schema: Option<&Text>,
    coercion: Option<&Text>,
    validation: Option<&Text>,
    on_error: OnInvalid,
    findings: &mut Findings,
) -> Vec<Rule> {
    let mut read = Coercions::default();
    if let Some(text) = coercion {
        tree(text, findings, |node, findings| {
            read = coercions(node, findings);
            Vec::new()
        });
    }
    let mut rules =
        schema.map(|text| tree(text, findings, |node, findings| schema::rules(node, &read, on_error, findings))).unwrap_or_default();
    if let Some(text) = validation {
        rules.extend(tree(text, findings, |node, findings| validations(node, on_error, findings)));
    }
    rules
}

/// The entries of a file of rules by column: under `rules`, or at its top.
fn by_column(node: &Node) -> Vec<(String, Node)> {
    let mut node = node.given("rules").filter(|rules| rules.is_map()).unwrap_or(node).clone();
    canonical::take_information(&mut node);
    node.entries().iter().map(|(key, value)| (key.name.clone(), value.clone())).collect()
}

fn coercions(node: &Node, findings: &mut Findings) -> Coercions {
    let mut read = BTreeMap::new();
    for (column, value) in by_column(node) {
        let Some(written) = value.text() else {
            findings.wrong(
                &value,
                format!("the coercion of `{column}` is {}, but must be a name such as `coerce_to_integer`", value.describe()),
            );
            continue;
        };
        let kind = written.strip_prefix("coerce_to_").unwrap_or(written);
        let kind = kind.strip_prefix("nullable_").unwrap_or(kind);
        let kind = if kind == "str" { "string" } else { kind };
        if COERCIONS.contains(&kind) || matches!(written, "coerce_empty_to_null" | "coerce_to_none") {
            read.insert(column, kind.to_owned());
        } else {
            findings.wrong(&value, format!("unknown coercion `{written}`")).hint = suggest(kind, &COERCIONS, "a value is coerced to");
        }
    }
    Coercions(read)
}

fn validations(node: &Node, on_error: OnInvalid, findings: &mut Findings) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (column, value) in by_column(node) {
        let named: Vec<(String, Node)> = match &value.value {
            Value::List(items) => items
                .iter()
                .flat_map(|item| match item.text() {
                    Some(name) => vec![(name.to_owned(), Node::beside(item, Value::Null))],
                    None => item.entries().iter().map(|(key, value)| (key.name.clone(), value.clone())).collect(),
                })
                .collect(),
            Value::Map(_) => value.entries().iter().map(|(key, value)| (key.name.clone(), value.clone())).collect(),
            _ => {
                findings.wrong(&value, format!("the rules of `{column}` are {}, but must be a list or a mapping", value.describe()));
                continue;
            }
        };
        for (name, argument) in named {
            if let Some((name, mut test)) = named_rule(&column, &name, &argument, findings) {
                if let Test::Schema { columns: columns @ None, .. } = &mut test {
                    *columns = Some(vec![column.clone()]);
                }
                rules.push(Rule { name: format!("{column}.{name}"), ..rule(&column, test, on_error, None) });
            }
        }
    }
    rules
}

/// `only_allow_if {condition_field, condition_value, allowed_values}`: where another column has a value, this one has one of those, or none.
fn only_allow_if(column: &str, node: &Node, findings: &mut Findings) -> Option<Test> {
    let inner = node.given("condition").filter(|condition| condition.is_map());
    let get = |name: &str, short: &str| node.given(name).or_else(|| inner.unwrap_or(node).given(short));
    let field = get("condition_field", "field").and_then(Node::text);
    let value = get("condition_value", "value").and_then(|value| value.json().ok());
    let allowed = node.given("allowed_values").and_then(|values| values.json().ok());
    let (Some(field), Some(value), Some(serde_json::Value::Array(mut allowed))) = (field, value, allowed) else {
        findings.wrong(node, "`only_allow_if` takes the other column, its value, and a list of values").hint =
            Some("write `{condition_field: kind, condition_value: gift, allowed_values: [0, 5]}`".into());
        return None;
    };
    allowed.push(serde_json::Value::Null);
    let schema = json!({
        "if": { "properties": { field: { "const": value } }, "required": [field] },
        "then": { "properties": { column: { "enum": allowed } } },
    });
    Some(Test::Schema { schema, columns: Some(vec![column.to_owned(), field.to_owned()]) })
}

/// One rule by its name in the format; its argument stands alone or under a key.
fn named_rule(column: &str, name: &str, node: &Node, findings: &mut Findings) -> Option<(String, Test)> {
    let argument = node.entries().first().map_or(node, |(_, value)| value);
    let number = |findings: &mut Findings| {
        let number = argument.json().ok().and_then(|value| Limit::of(&value)).filter(|limit| matches!(limit, Limit::Number(_)));
        if number.is_none() {
            findings.wrong(argument, format!("`{name}` takes a number, but this is {}", argument.describe()));
        }
        number
    };
    let length = |findings: &mut Findings| match argument.value {
        Value::Int(length) if length >= 0 => Some(length as u64),
        _ => {
            findings.wrong(argument, format!("`{name}` takes a whole number, 0 or more, but this is {}", argument.describe()));
            None
        }
    };
    let inclusive = |limit: Limit| Bound { limit, exclusive: false };
    let pattern = |pattern: &str| Test::Pattern(pattern.to_owned());
    let test = match name {
        "min_length" => Test::MinLength(length(findings)?),
        "max_length" => Test::MaxLength(length(findings)?),
        "greater_than_or_equal_to" | "min_value" => Test::Min(inclusive(number(findings)?)),
        "less_than_or_equal_to" | "max_value" => Test::Max(inclusive(number(findings)?)),
        "is_positive" => {
            let limit = if argument.is_null() { Limit::Number(0.into()) } else { number(findings)? };
            Test::Min(Bound { limit, exclusive: true })
        }
        "only_allow" => match argument.json() {
            Ok(serde_json::Value::Array(values)) if !values.is_empty() => Test::OneOf(values),
            _ => {
                findings.wrong(argument, format!("`only_allow` takes a list of values, but this is {}", argument.describe()));
                return None;
            }
        },
        "non_empty_string" | "not_empty" => Test::NotBlank,
        "no_capital_characters" => pattern(r"^\P{Uppercase}*$"),
        "no_special_characters" => pattern(r"^[a-zA-Z0-9\s]*$"),
        "is_email" => pattern(r"^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}$"),
        "is_url" => pattern(r"^https?://[^\s/$.?#].[^\s]*$"),
        "is_alphanumeric" => pattern(r"^[\p{L}\p{N}]+$"),
        "is_numeric_string" => pattern(r"^-?\d+(\.\d+)?$"),
        "is_unique" => Test::Schema { schema: json!({ "additionalProperties": { "uniqueItems": true } }), columns: None },
        "required" => Test::Required,
        "matches_regex" | "pattern" => {
            let text = argument.text()?;
            if !sound(argument, text, findings) {
                return None;
            }
            // The original matches from the start of a text.
            pattern(&if name == "pattern" { text.to_owned() } else { format!("^(?:{text})") })
        }
        "only_allow_if" => only_allow_if(column, node, findings)?,
        other => {
            findings.wrong(node, format!("unknown rule `{other}`")).hint = suggest(other, &RULES, "rules are");
            return None;
        }
    };
    Some((name.to_owned(), test))
}
