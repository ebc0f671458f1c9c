//! The reference implementation's own cases, as a folder of JSON; read, run and judged.

use std::path::Path;

use anyhow::{Context, Result, bail};
use etl_jsonata_engine::surrogate::shelter;
use serde_json::Value;

/// What an evaluation came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Value(Value),
    Undefined,
    /// An error with its code and sentence.
    Error(String, String),
    /// A trap or a limit of the sandbox: never right.
    Crash(String),
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{}", clip(&value.to_string())),
            Self::Undefined => f.write_str("undefined"),
            Self::Error(code, message) if message.is_empty() => f.write_str(code),
            Self::Error(code, message) => write!(f, "{code}: {}", clip(message)),
            Self::Crash(message) => write!(f, "crashed: {}", clip(message)),
        }
    }
}

fn clip(text: &str) -> String {
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// One case.
pub(crate) struct Case {
    pub(crate) group: String,
    pub(crate) id: String,
    pub(crate) expression: String,
    /// JSON text; `None` = undefined.
    pub(crate) input: Option<String>,
    /// JSON text of an object.
    pub(crate) bindings: Option<String>,
    pub(crate) time_ms: Option<u64>,
    pub(crate) depth: Option<u64>,
    pub(crate) expected: Outcome,
    unordered: bool,
}

/// Reads all cases, in the order of their groups' names.
pub(crate) fn read(folder: &Path) -> Result<Vec<Case>> {
    let mut groups: Vec<_> = std::fs::read_dir(folder.join("groups"))
        .with_context(|| format!("reading `{}`", folder.join("groups").display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    groups.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    groups.sort();
    let mut cases = Vec::new();
    for path in groups {
        let group = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let Value::Array(read) = json(&path)? else { bail!("`{}` is not a list of cases", path.display()) };
        for case in read {
            cases.push(Case::new(folder, &group, &case).with_context(|| format!("case {} of `{}`", case["id"], path.display()))?);
        }
    }
    Ok(cases)
}

fn json(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading `{}`", path.display()))?;
    serde_json::from_str(&shelter(&text)).with_context(|| format!("reading `{}`", path.display()))
}

impl Case {
    fn new(folder: &Path, group: &str, case: &Value) -> Result<Self> {
        let text = |key: &str| case[key].as_str().map(str::to_owned);
        let input = match (case.get("data"), case.get("dataset")) {
            (Some(data), _) => Some(data.to_string()),
            (None, Some(Value::String(name))) => Some(json(&folder.join("datasets").join(format!("{name}.json")))?.to_string()),
            (None, _) => None,
        };
        let code = text("code").or_else(|| case["error"]["code"].as_str().map(str::to_owned));
        let expected = match (case.get("result"), case.get("undefinedResult"), code) {
            (Some(value), None, None) => Outcome::Value(value.clone()),
            (None, Some(_), None) => Outcome::Undefined,
            (None, None, Some(code)) => Outcome::Error(code, String::new()),
            _ => bail!("it has not exactly one of `result`, `undefinedResult`, `code` and `error`"),
        };
        Ok(Self {
            group: group.to_owned(),
            id: text("id").context("it has no `id`")?,
            expression: text("expr").context("it has no `expr`")?,
            input,
            bindings: case.get("bindings").filter(|bindings| bindings.is_object()).map(Value::to_string),
            time_ms: case["timelimit"].as_u64(),
            depth: case["depth"].as_u64(),
            expected,
            unordered: case["unordered"].as_bool() == Some(true),
        })
    }

    /// Whether that is what should come of it.
    pub(crate) fn accepts(&self, outcome: &Outcome) -> bool {
        match (&self.expected, outcome) {
            (Outcome::Value(Value::Array(expected)), Outcome::Value(Value::Array(found))) if self.unordered => {
                let mut left: Vec<_> = found.iter().collect();
                expected.len() == found.len()
                    && expected.iter().all(|item| {
                        let place = left.iter().position(|other| same(item, other));
                        place.map(|place| left.swap_remove(place)).is_some()
                    })
            }
            (Outcome::Value(expected), Outcome::Value(found)) => same(expected, found),
            // The reference's own runner bounds time and depth from outside and calls both U1001; its evaluator has a code for each.
            (Outcome::Error(expected, _), Outcome::Error(found, _)) => {
                expected == found || expected == "U1001" && matches!(found.as_str(), "D1011" | "D1012")
            }
            (expected, found) => expected == found,
        }
    }
}

/// Compares as JavaScript does: a number is a double, however it is spelt, and the order of keys does not matter.
pub(crate) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other)),
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len() && one.iter().all(|(key, value)| other.get(key).is_some_and(|found| same(value, found)))
        }
        _ => one == other,
    }
}
