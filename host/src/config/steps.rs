//! The operations of `transform.yaml`, each from what users write to a step.

use etl_steps::flatten::{Flatten, FlattenColumn, FlattenOptions, Flattening};
use etl_steps::{Filter, Operator, Step as Simple, Type};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::component::{Component, Misnamed, misnamed_module, without_user};
use super::de::typed;
use super::grants::grants;
use super::lower::{Lowering, is_by_field};
use super::problem::list;
use super::sections::check_limits;
use super::transform::{CustomFunction, Step, Target, WrittenCustomFunction};
use super::validate::{Spot, validation};
use super::yaml::{Key, Node, Value, shorten};
use crate::error::did_you_mean;

impl Lowering<'_> {
    /// Lowers one operation.
    pub(super) fn step(&mut self, name: &str, node: &Node) {
        let step = match name {
            "rename" => self.rename(node).map(Simple::Rename),
            "convert" | "type" => self.convert(name, node).map(|fields| Simple::Convert { fields, on_error: self.on_convert_error }),
            "defaults" => self.values(name, node).map(Simple::Defaults),
            "fill_null" => self.fill_null(node).map(Simple::FillNull),
            "add" => self.add(node).map(Simple::Add),
            "select" => self.columns(name, node).map(Simple::Select),
            "drop" => self.columns(name, node).map(Simple::Drop),
            "filter" => match self.filter(node) {
                Some(Filtering::Expression(expression)) => return self.push(node, Step::Keep(expression)),
                Some(Filtering::Comparison(filter)) => Some(Simple::Filter(filter)),
                None => None,
            },
            "map" => self.look_up(node),
            "unnest" => self.unnest(node).map(Simple::Unnest),
            "flatten" => {
                if let Some(flattening) = self.flatten(node) {
                    self.push(node, Step::Flatten(flattening));
                }
                return;
            }
            "jsonata" => return self.jsonata(node),
            "validate" => {
                if let Some(validation) = validation(node, Spot::Step, self.findings) {
                    self.push(node, Step::Validate(Box::new(validation)));
                }
                return;
            }
            "custom_function" => {
                if let Some(function) = self.custom_function(node) {
                    self.push(node, Step::Custom(Box::new(function)));
                }
                return;
            }
            "aggregate" => return self.aggregate(node),
            "dedupe" => return self.dedupe(node),
            "sort" => return self.sort(node),
            "window" => return self.window(node),
            other => unreachable!("`{other}` is not among the operations"),
        };
        if let Some(step) = step.filter(|step| !is_idle(step)) {
            self.push(node, Step::Simple(step));
        }
    }

    /// The entries of a mapping with one entry a column.
    fn pairs<'n>(&mut self, name: &str, node: &'n Node, example: &str) -> Option<&'n [(Key, Node)]> {
        match node.is_map() {
            true => Some(node.entries()),
            false => {
                let message = format!("`{name}` is {}, but must be a mapping", node.describe());
                self.findings.wrong(node, message).hint = Some(format!("write `{name}: {{{example}}}`"));
                None
            }
        }
    }

    fn rename(&mut self, node: &Node) -> Option<Vec<(String, String)>> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (key, value) in self.pairs("rename", node, "old: new")? {
            let Some(new) = value.text().filter(|new| !new.is_empty()) else {
                let message = format!("the new name of `{}` is {}, but must be a text", key.written, value.describe());
                self.findings.wrong(value, message);
                continue;
            };
            if let Some((other, _)) = pairs.iter().find(|(_, other)| other == new) {
                let message = format!("`{other}` and `{}` both become `{new}`", key.written);
                self.findings.wrong(value, message).hint = Some("give each column a name of its own".into());
                continue;
            }
            pairs.push((key.name.clone(), new.to_owned()));
        }
        Some(pairs)
    }

    fn convert(&mut self, name: &str, node: &Node) -> Option<Vec<(String, Type)>> {
        let mut fields = Vec::new();
        for (key, value) in self.pairs(name, node, "price: float")? {
            match value.text().map(str::parse::<Type>) {
                Some(Ok(kind)) => fields.push((key.name.clone(), kind)),
                Some(Err(error)) => {
                    let written = value.text().unwrap_or_default();
                    let hint = did_you_mean(written, Type::NAMES).map(|name| format!("did you mean `{name}`?"));
                    self.findings.wrong(value, error.to_string()).hint = hint;
                }
                None => {
                    let message =
                        format!("the type of `{}` is {}, but must be one of {}", key.written, value.describe(), list(Type::NAMES));
                    self.findings.wrong(value, message);
                }
            }
        }
        Some(fields)
    }

    fn json(&mut self, node: &Node) -> Option<Json> {
        match node.json() {
            Ok(json) => Some(json),
            Err(number) => {
                self.findings.wrong(number, format!("{} is a number that columns cannot hold", number.describe()));
                None
            }
        }
    }

    fn values(&mut self, name: &str, node: &Node) -> Option<Vec<(String, Json)>> {
        let mut values = Vec::new();
        for (key, value) in self.pairs(name, node, "column: value")? {
            if let Some(json) = self.json(value) {
                values.push((key.name.clone(), json));
            }
        }
        Some(values)
    }

    fn fill_null(&mut self, node: &Node) -> Option<Vec<(String, Json)>> {
        let mut values = Vec::new();
        for (key, value) in self.pairs("fill_null", node, "column: value")? {
            // The oldest dialect has `{default: value}`.
            let value = value.get("default").filter(|_| value.entries().len() == 1).unwrap_or(value);
            if let Some(word) = value.text().filter(|word| word.starts_with('@') && !MOMENTS.contains(word)) {
                let message = format!("`{}` is no moment that `fill_null` knows; these are {}", shorten(word), list(MOMENTS));
                let near = did_you_mean(word, MOMENTS).map(|near| format!("did you mean `{near}`?"));
                self.findings.wrong(value, message).hint = near.or_else(|| Some("for a text that starts so, use `defaults`".into()));
                continue;
            }
            if let Some(json) = self.json(value) {
                values.push((key.name.clone(), json));
            }
        }
        Some(values)
    }

    fn add(&mut self, node: &Node) -> Option<Vec<(String, Json)>> {
        let values = self.values("add", node)?;
        for (_, value) in node.entries() {
            let Value::Text(text) = &value.value else {
                self.literal(value);
                continue;
            };
            if let Err(error) = etl_steps::expr::parse(text) {
                let mut place = self.findings.place(value);
                if !text.contains('\n') {
                    place.column += error.column.saturating_sub(1) + usize::from(value.raw.is_none());
                }
                self.findings.wrong_at(place, error.message).hint = error.hint;
            }
        }
        Some(values)
    }

    /// Holds a list or an object of `add` to what a column can hold as it is written.
    fn literal(&mut self, node: &Node) {
        let hint = || Some("a `jsonata` step makes such a value".into());
        let items: Vec<&Node> = match &node.value {
            Value::List(items) => items.iter().collect(),
            Value::Map(entries) => entries.iter().map(|(_, item)| item).collect(),
            Value::Text(text) if text.contains("${") => {
                let message = format!("`{}` stands in a list or an object, in which a text is only a text", shorten(text));
                self.findings.wrong(node, message).hint = hint();
                return;
            }
            _ => return,
        };
        if let (Value::List(_), Ok(json)) = (&node.value, node.json())
            && let Some(mixed) = json.as_array().and_then(|items| unlike(items))
        {
            let message = format!("the list has {} and {} in it, but the items of a list are of one type", mixed.0, mixed.1);
            self.findings.wrong(node, message).hint = hint();
            return;
        }
        items.into_iter().for_each(|item| self.literal(item));
    }

    pub(super) fn columns(&mut self, name: &str, node: &Node) -> Option<Vec<String>> {
        let Value::List(items) = &node.value else {
            let message = format!("`{name}` is {}, but must be a list of columns", node.describe());
            let example = node.text().unwrap_or("column");
            self.findings.wrong(node, message).hint = Some(format!("write `{name}: [{}]`", shorten(example)));
            return None;
        };
        let mut columns: Vec<String> = Vec::new();
        for item in items {
            match item.text() {
                Some(column) if columns.iter().any(|other| other == column) => {
                    self.findings.wrong(item, format!("`{column}` stands twice in `{name}`")).hint = Some("keep one of them".into());
                }
                Some(column) => columns.push(column.to_owned()),
                None => drop(self.findings.wrong(item, format!("a column of `{name}` is {}, but must be a text", item.describe()))),
            }
        }
        Some(columns)
    }

    fn filter(&mut self, node: &Node) -> Option<Filtering> {
        let WrittenFilter { field, operator, value, expression } = typed::<WrittenFilter>(node.clone(), self.findings)?;
        let value_node = node.get("value").unwrap_or(node);
        match (expression, field) {
            (Some(_), Some(_)) => drop(self.findings.wrong(node, "`filter` has `expression` or `field`, not both")),
            (Some(_), None) => {
                return self.expression(node.get("expression").unwrap_or(node)).map(Filtering::Expression);
            }
            (None, None) => drop(self.findings.wrong(node, "the key `field` is missing in `filter`")),
            (None, Some(field)) => {
                let name = operator_name(operator);
                let wrong = match (operator, &value) {
                    // One value is a list of it.
                    (Operator::In | Operator::NotIn, Json::Array(_) | Json::String(_) | Json::Number(_) | Json::Bool(_)) => None,
                    (Operator::In | Operator::NotIn, _) => {
                        Some(format!("`{name}` compares with a list, but `value` is {}", describe(node)))
                    }
                    // What says that it is so says nothing more.
                    (Operator::IsNull | Operator::IsNotNull, Json::Null | Json::Bool(true)) => None,
                    (Operator::IsNull | Operator::IsNotNull, _) => {
                        Some(format!("`{name}` compares with nothing, but `value` is {}", describe(node)))
                    }
                    (_, Json::Null) => Some(format!("`{name}` compares with a value, but `value` is {}", describe(node))),
                    (_, Json::Array(_) | Json::Object(_)) => {
                        Some(format!("`{name}` compares with one value, but `value` is {}", describe(node)))
                    }
                    _ => None,
                };
                let hint = match operator {
                    Operator::In | Operator::NotIn => Some("write `value: [a, b]`"),
                    Operator::Eq if value.is_null() => Some("`operator: is_null` finds what is null"),
                    Operator::Ne if value.is_null() => Some("`operator: is_not_null` finds what is not null"),
                    Operator::Eq if value.is_array() => Some("`operator: in` compares with a list"),
                    Operator::Ne if value.is_array() => Some("`operator: not_in` compares with a list"),
                    Operator::IsNull | Operator::IsNotNull => Some("leave `value` out"),
                    _ => None,
                };
                match wrong {
                    Some(message) => self.findings.wrong(value_node, message).hint = hint.map(str::to_owned),
                    None => {
                        let value = match operator {
                            Operator::In | Operator::NotIn if !value.is_array() => Json::Array(vec![value]),
                            Operator::IsNull | Operator::IsNotNull => Json::Null,
                            _ => value,
                        };
                        return Some(Filtering::Comparison(Filter { field, operator, value }));
                    }
                }
            }
        }
        None
    }

    fn look_up(&mut self, node: &Node) -> Option<Simple> {
        let WrittenMap { field, mapping, default: _ } = typed::<WrittenMap>(node.clone(), self.findings)?;
        // A null is a default too, other than none.
        let default = node.get("default").and_then(|default| self.json(default));
        Some(Simple::Map { field, mapping: mapping.into_iter().collect(), default })
    }

    fn unnest(&mut self, node: &Node) -> Option<String> {
        let field = match (node.text(), node.entries()) {
            (Some(text), _) => Some(text),
            (None, [(key, value)]) if matches!(key.name.as_str(), "field" | "column") => value.text(),
            _ => None,
        };
        if field.is_none() {
            let message = format!("`unnest` is {}, but must be the name of a column", node.describe());
            self.findings.wrong(node, message).hint = Some("write `unnest: items`".into());
        }
        field.map(str::to_owned)
    }

    /// `flatten: {strategy…}`, `flatten: [columns]`, `flatten: true`, or the oldest dialect's options by column.
    fn flatten(&mut self, node: &Node) -> Option<Flattening> {
        match &node.value {
            Value::Bool(false) => None,
            Value::Bool(true) => Some(Flattening::Alike(Flatten::default())),
            Value::List(_) => self.columns("flatten", node).map(|fields| Flattening::Alike(Flatten { fields, ..Flatten::default() })),
            Value::Map(_) if is_by_field(node) => {
                let columns = node.entries().iter().filter_map(|(key, options)| {
                    let renamed = self.renamed.iter().find(|(name, _)| *name == key.name).map(|(_, new)| new.clone());
                    let mut options = options.clone();
                    if options.get("item_flatten").is_some_and(|items| items.entries().is_empty()) {
                        // To the oldest dialect that says nothing.
                        options.take("item_flatten");
                    }
                    let options = typed::<FlattenOptions>(options, self.findings)?;
                    Some(FlattenColumn { name: key.name.clone(), renamed, options })
                });
                Some(Flattening::Each(columns.collect()))
            }
            _ => typed::<Flatten>(node.clone(), self.findings).map(Flattening::Alike),
        }
    }

    fn custom_function(&mut self, node: &Node) -> Option<CustomFunction> {
        let mut body = node.clone();
        let grants = body.take_given("grants").map(|(_, written)| grants(written, self.findings)).unwrap_or_default();
        let written = typed::<WrittenCustomFunction>(body, self.findings)?;
        let WrittenCustomFunction {
            component,
            module,
            function,
            callable,
            mode,
            kwargs,
            limits,
            grants: _,
            on_error,
            on_trap,
            max_error_ratio,
        } = written;
        check_limits(node.get("limits"), &limits, self.findings);
        let target = match (component, module, function, callable) {
            (Some(component), None, function, None) => {
                let node = node.get("component").unwrap_or(node);
                Target::Component { component: self.component(node, &component)?, function }
            }
            (None, Some(module), Some(function), None) => Target::Module { module, function },
            (None, None, None, Some(callable)) => match callable.rsplit_once('.') {
                Some((module, function)) if !module.is_empty() && !function.is_empty() => {
                    Target::Module { module: module.to_owned(), function: function.to_owned() }
                }
                _ => {
                    let at = node.get("callable").unwrap_or(node);
                    let message = format!("`callable` is {}, but must be `package.module.function`", at.describe());
                    self.findings.wrong(at, message);
                    return None;
                }
            },
            (None, Some(_), None, None) => return self.wrong_target(node, "the key `function` is missing beside `module`"),
            (None, None, Some(_), None) => return self.wrong_target(node, "the key `module` is missing beside `function`"),
            (None, None, None, None) => return self.wrong_target(node, "`custom_function` does not say what runs"),
            _ => return self.wrong_target(node, "`custom_function` says more than once what runs"),
        };
        if let Target::Module { module, .. } = &target
            && let Some(Misnamed { message, hint }) = misnamed_module(module)
        {
            let at = node.get("module").or_else(|| node.get("callable")).unwrap_or(node);
            self.findings.wrong(at, format!("`{}` {message}", shorten(module))).hint = hint;
            return None;
        }
        Some(CustomFunction { target, mode, kwargs, limits, grants, on_error, on_trap, max_error_ratio })
    }

    fn component(&mut self, node: &Node, text: &str) -> Option<Component> {
        match text.parse() {
            Ok(component) => Some(component),
            Err(Misnamed { message, hint }) => {
                let shown = without_user(text);
                self.findings.wrong(node, format!("`{}` {message}", shorten(&shown))).hint = hint;
                None
            }
        }
    }

    fn wrong_target(&mut self, node: &Node, message: &str) -> Option<CustomFunction> {
        self.findings.wrong(node, message).hint = Some("give `component`, or `module` and `function`, or `callable`".into());
        None
    }
}

/// Words that stand for a moment in `fill_null`.
const MOMENTS: [&str; 4] = ["@now", "@utcnow", "@week_start", "@week_end"];

/// What a `filter` keeps.
enum Filtering {
    /// Rows of which a column compares.
    Comparison(Filter),
    /// Rows for which a JSONata expression is true.
    Expression(String),
}

/// A `filter` as it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenFilter {
    /// The column.
    field: Option<String>,
    /// How it is compared. Default: `eq`.
    #[serde(default = "equal")]
    operator: Operator,
    /// What it is compared with: a list with `in` and `not_in`, nothing with `is_null` and `is_not_null`.
    #[serde(default)]
    value: Json,
    /// JSONata expression, in place of the other keys: rows are kept for which it is true by the rules of `$boolean`.
    expression: Option<String>,
}

fn equal() -> Operator {
    Operator::Eq
}

/// A `map` as it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenMap {
    /// The column.
    field: String,
    /// Value as text, replacement.
    mapping: serde_json::Map<String, Json>,
    /// For values that are not in the mapping. Default: the value stays.
    #[expect(dead_code, reason = "a null counts here, which typing takes for absent: it is read from the tree")]
    default: Option<Json>,
}

/// Two kinds of value that items of a list have, where a list cannot hold both.
fn unlike(items: &[Json]) -> Option<(&'static str, &'static str)> {
    let kind = |item: &Json| match item {
        Json::Null => None,
        Json::Bool(_) => Some("true or false"),
        Json::Number(_) => Some("numbers"),
        Json::String(_) => Some("texts"),
        Json::Array(_) => Some("lists"),
        Json::Object(_) => Some("objects"),
    };
    let mut kinds = items.iter().filter_map(kind);
    let first = kinds.next()?;
    if let Some(other) = kinds.find(|other| *other != first) {
        return Some((first, other));
    }
    match first {
        "lists" => unlike(&items.iter().filter_map(Json::as_array).flatten().cloned().collect::<Vec<_>>()),
        "objects" => {
            let names: std::collections::BTreeSet<&String> =
                items.iter().filter_map(Json::as_object).flat_map(|item| item.keys()).collect();
            names.into_iter().find_map(|name| unlike(&items.iter().filter_map(|item| item.get(name)).cloned().collect::<Vec<_>>()))
        }
        _ => None,
    }
}

/// Whether a step does nothing.
fn is_idle(step: &Simple) -> bool {
    match step {
        Simple::Rename(pairs) => pairs.is_empty(),
        Simple::Convert { fields, .. } => fields.is_empty(),
        Simple::Defaults(values) | Simple::Add(values) | Simple::Set(values) | Simple::FillNull(values) => values.is_empty(),
        // The original selects all where the list is empty.
        Simple::Select(columns) | Simple::Drop(columns) => columns.is_empty(),
        Simple::Filter(_) | Simple::Map { .. } | Simple::Unnest(_) => false,
    }
}

fn operator_name(operator: Operator) -> String {
    serde_json::to_value(operator).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

fn describe(filter: &Node) -> String {
    filter.get("value").map_or_else(|| "absent".into(), Node::describe)
}
