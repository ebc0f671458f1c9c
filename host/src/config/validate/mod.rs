//! `validate` of a transform and `validation` of an extract or a load: from what users write to a list of rules.

mod columns;
mod contract;
mod schema;

use etl_steps::validate::{Check, OnInvalid, Rule, Test, Thresholds, UniqueKey};

use super::de::typed;
use super::jsonata::expression;
use super::problem::{Findings, list, suggest};
use super::sections::{check_limits, check_queue};
use super::settings::{DeadLetters, Limits};
use super::yaml::{Node, Value, shorten};
use crate::error::Place;

pub(super) use contract::of_files;

/// Rules that rows must satisfy.
#[derive(Clone, Debug, PartialEq)]
pub struct Validation {
    /// The rules in the order in which they are judged.
    pub rules: Vec<Rule>,
    /// The columns that `rules` and `unique` of the step itself name, and where; those that must be there aside, whose rule says so itself.
    pub columns: Vec<(String, Place)>,
    /// What becomes of a row that breaks a rule which does not say itself.
    pub on_error: OnInvalid,
    /// What the data must come to as a whole.
    pub thresholds: Thresholds,
    /// What judging may use.
    pub limits: Limits,
    /// Where rows go with `quarantine`, where that is not where all refused rows go.
    pub dead_letters: Option<DeadLetters>,
    /// A file or a contract with rules that nobody read.
    pub unread: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// Keys of every validation.
const KEYS: [&str; 8] = ["rules", "unique", "checks", "schema_path", "schema", "on_error", "thresholds", "limits"];

/// Where a validation stands, which decides what else it may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// A step of the transform.
    Step,
    /// `extract.validation`.
    Extract,
    /// `load.validation`.
    Load,
}

impl Spot {
    /// Keys that only this spot has.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Step => &[],
            Self::Extract => &["dlq"],
            Self::Load => &["dlq", "contract", "use_contract"],
        }
    }
}

/// Lowers a validation; what is wrong is noted.
pub(super) fn validation(node: &Node, spot: Spot, findings: &mut Findings) -> Option<Validation> {
    if !node.is_map() {
        let message = format!("{} is {}, but must be a mapping", node.quoted(), node.describe());
        findings.wrong(node, message).hint = Some("write `rules: {column: {required: true}}` under it".into());
        return None;
    }
    for (key, value) in node.entries() {
        if !KEYS.contains(&key.name.as_str()) && !spot.keys().contains(&key.name.as_str()) {
            let names: Vec<&str> = KEYS.into_iter().chain(spot.keys().iter().copied()).collect();
            findings.wrong_key(key, value, format!("unknown key `{}`", key.written)).hint = suggest(&key.written, &names, "keys here are");
        }
    }
    let default = if spot == Spot::Step { OnInvalid::Quarantine } else { OnInvalid::Fail };
    let on_error = node.given("on_error").and_then(|node| typed::<OnInvalid>(node.clone(), findings)).unwrap_or(default);
    let limits = node.given("limits").and_then(|node| typed::<Limits>(node.clone(), findings)).unwrap_or_default();
    check_limits(node.given("limits"), &limits, findings);
    let dead_letters = node.given("dlq").and_then(|node| typed::<DeadLetters>(node.clone(), findings));
    if let Some(queue) = node.given("dlq") {
        check_queue(queue, findings);
    }
    let mut making = Making { rules: Vec::new(), columns: Vec::new(), on_error, unread: None, findings };
    making.schema(node);
    let used = node.given("use_contract").and_then(|node| Some((node, typed::<bool>(node.clone(), making.findings)?)));
    match (node.given("contract"), used) {
        // The one that is named here comes first.
        (Some(contract), _) => making.contract(contract),
        (None, Some((used, true))) => making.contract_of_settings(used),
        _ => {}
    }
    making.columns(node);
    making.unique(node);
    making.checks(node);
    let Making { mut rules, mut columns, unread, .. } = making;
    let must_be_there = |name: &str| rules.iter().any(|rule| rule.test == Test::Required && rule.column.as_deref() == Some(name));
    columns.retain(|(name, _)| !must_be_there(name));
    // Keys last: a row that another rule refuses claims none.
    rules.sort_by_key(|rule| matches!(rule.test, Test::Unique(_)));
    tell_apart(&mut rules);
    let thresholds = node.given("thresholds").map(|node| thresholds(node, findings)).unwrap_or_default();
    let promises = !rules.is_empty() || unread.is_some() || thresholds != Thresholds::default();
    if !promises && findings.problems.is_empty() && spot == Spot::Step {
        findings.wrong(node, format!("{} has no rule", node.quoted())).hint =
            Some("write `rules: {column: {required: true}}` under it".into());
    }
    let place = findings.place(node);
    Some(Validation { rules, columns, on_error, thresholds, limits, dead_letters, unread, place })
}

/// Rules in the making.
struct Making<'a> {
    rules: Vec<Rule>,
    columns: Vec<(String, Place)>,
    on_error: OnInvalid,
    unread: Option<String>,
    findings: &'a mut Findings,
}

impl Making<'_> {
    /// `unique`: `id`, `[[id], [order, line]]`, or `[{columns: [id], on_error: warn}]`.
    fn unique(&mut self, node: &Node) {
        let Some(node) = node.given("unique") else { return };
        let Value::List(items) = &node.value else {
            match node.text() {
                Some(column) => self.key(node, vec![column.to_owned()], None),
                None => {
                    let message = format!("{} is {}, but must be a list of keys", node.quoted(), node.describe());
                    self.findings.wrong(node, message).hint = Some("write `unique: [[id]]`".into());
                }
            }
            return;
        };
        let plain: Vec<&str> = items.iter().filter_map(Node::text).collect();
        if plain.len() > 1 && plain.len() == items.len() {
            let (together, alone) = (plain.join(", "), plain.iter().map(|name| format!("[{name}]")).collect::<Vec<_>>().join(", "));
            self.findings.wrong(node, format!("{} does not say whether {} are one key or several", node.quoted(), list(plain))).hint =
                Some(format!("write `[[{together}]]` for their values taken together, `[{alone}]` for each alone"));
            return;
        }
        for item in items {
            match &item.value {
                Value::List(columns) => {
                    let names: Vec<String> = columns.iter().filter_map(|column| column.text().map(str::to_owned)).collect();
                    if names.len() == columns.len() {
                        self.key(item, names, None);
                    } else {
                        self.findings.wrong(item, "a key is a list of columns");
                    }
                }
                Value::Map(_) => {
                    if let Some(key) = typed::<UniqueKey>(item.clone(), self.findings) {
                        self.key(item, key.columns.clone(), Some(key));
                    }
                }
                _ => match item.text() {
                    Some(column) => self.key(item, vec![column.to_owned()], None),
                    None => drop(self.findings.wrong(item, format!("a key is a list of columns, but this one is {}", item.describe()))),
                },
            }
        }
    }

    fn key(&mut self, node: &Node, columns: Vec<String>, written: Option<UniqueKey>) {
        if columns.is_empty() {
            self.findings.wrong(node, "this key has no column");
            return;
        }
        if let Some(twice) = columns.iter().enumerate().find(|(index, name)| columns[..*index].contains(name)).map(|(_, name)| name) {
            self.findings.wrong(node, format!("`{twice}` stands twice in this key")).hint = Some("keep one of them".into());
            return;
        }
        let (name, on_error, message) = written.map_or((None, None, None), |key| (key.name, key.on_error, key.message));
        let name = name.unwrap_or_else(|| format!("unique({})", columns.join(", ")));
        let column = (columns.len() == 1).then(|| columns[0].clone());
        let place = self.findings.place(node);
        self.columns.extend(columns.iter().map(|name| (name.clone(), place.clone())));
        self.rules.push(Rule { name, column, test: Test::Unique(columns), on_error: on_error.unwrap_or(self.on_error), message });
    }

    /// `checks`: a list of expressions, with names where wanted.
    fn checks(&mut self, node: &Node) {
        let Some(node) = node.given("checks") else { return };
        let Value::List(items) = &node.value else {
            let message = format!("{} is {}, but must be a list of checks", node.quoted(), node.describe());
            self.findings.wrong(node, message).hint = Some("write `checks: [{name: total, expression: qty * price = total}]`".into());
            return;
        };
        for (index, item) in items.iter().enumerate() {
            let text = item.text().filter(|_| !item.is_map());
            let (check, at) = match text {
                Some(text) => (Check { expression: text.to_owned(), name: None, on_error: None, message: None }, item),
                None => match typed::<Check>(item.clone(), self.findings) {
                    Some(check) => (check, item.get("expression").unwrap_or(item)),
                    None => continue,
                },
            };
            let Some(text) = expression(at, self.findings) else { continue };
            let Check { expression: _, name, on_error, message } = check;
            self.rules.push(Rule {
                name: name.unwrap_or_else(|| format!("check_{}", index + 1)),
                column: None,
                test: Test::Expression(text),
                on_error: on_error.unwrap_or(self.on_error),
                message,
            });
        }
    }

    /// `schema_path` or `schema`.
    fn schema(&mut self, node: &Node) {
        // A text under `schema` is a path, as the format has it.
        let (path, inline) = match node.given("schema") {
            Some(schema) if schema.text().is_some() => (node.given("schema_path").or(Some(schema)), None),
            schema => (node.given("schema_path"), schema),
        };
        match (path, inline) {
            (Some(path), Some(_)) => {
                self.findings.wrong(path, "`schema_path` and `schema` say the same").hint = Some("keep one of them".into());
            }
            (Some(node), None) => {
                let Some(path) = node.text().map(str::to_owned) else {
                    self.findings.wrong(node, format!("{} is {}, but must be the path of a file", node.quoted(), node.describe()));
                    return;
                };
                match self.findings.shelf.find(&path) {
                    None => self.unread = Some(format!("`{path}`")),
                    Some(None) => {
                        let message = format!("the JSON Schema `{}` is not there", shorten(&path));
                        self.findings.wrong(node, message).hint = Some("paths are relative to the contract directory".into());
                    }
                    Some(Some(text)) => {
                        let rules = contract::of_schema_file(&text, self.on_error, self.findings);
                        self.rules.extend(rules);
                    }
                }
            }
            (None, Some(inline)) => {
                let rules = schema::rules(inline, &contract::Coercions::default(), self.on_error, self.findings);
                self.rules.extend(rules);
            }
            (None, None) => {}
        }
    }
}

/// Gives each rule a name of its own.
fn tell_apart(rules: &mut [Rule]) {
    let mut seen = std::collections::HashMap::<String, usize>::new();
    for rule in rules {
        let count = seen.entry(rule.name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            rule.name = format!("{} #{count}", rule.name);
        }
    }
}

fn thresholds(node: &Node, findings: &mut Findings) -> Thresholds {
    let Some(thresholds) = typed::<Thresholds>(node.clone(), findings) else { return Thresholds::default() };
    let mut hold = |node: Option<&Node>, number: Option<f64>, most: f64| {
        if let (Some(node), Some(number)) = (node, number)
            && !(0.0..=most).contains(&number)
        {
            let hint = (most < 2.0 && (0.0..=100.0).contains(&number)).then(|| format!("for {number} % write {}", number / 100.0));
            findings.wrong(node, format!("{} is {number}, but must be between 0 and {most}", node.quoted())).hint = hint;
        }
    };
    hold(node.get("error_rate"), thresholds.error_rate, 1.0);
    hold(node.get("quality"), thresholds.quality, 100.0);
    if let Some(columns) = node.get("completeness") {
        for (column, share) in &thresholds.completeness {
            hold(columns.get(column), Some(*share), 1.0);
        }
    }
    thresholds
}
