//! Cases of `etl-host test`: rows that go in, and what is to come out.
//!
//! A file of `tests/` holds one case, several as `cases: […]`, or several as YAML documents.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use chrono::{DateTime, TimeZone, Utc};
use etl_steps::Type;
use serde::Deserialize;
use serde_json::{Number, Value as Json};

use super::de::{Beside, keys_of, typed, typed_beside};
use super::expectation::{self, Cut};
use super::files::Text;
use super::problem::{Findings, Problem, suggest};
use super::yaml::{Key, Node, Value, parse_all};
use crate::error::Place;

/// A case: rows, what they are worked on with, and what is to come of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What it is called.
    pub name: String,
    /// Where it starts.
    pub place: Place,
    /// The run's parameters.
    pub params: BTreeMap<String, String>,
    /// What variables hold that a stage was granted; nothing of the environment is seen.
    pub env: BTreeMap<String, String>,
    /// What `now()` shows.
    pub clock: DateTime<Utc>,
    /// What chance is drawn from.
    pub seed: u64,
    /// Which of several transformers is tested, and where it is named.
    pub transformer: Option<(String, Place)>,
    /// The one stage that is tested, and where it is named; absent = the whole chain.
    pub stage: Option<(String, Place)>,
    /// Rows of a batch; absent = as the pipeline says.
    pub batch_size: Option<NonZeroUsize>,
    /// Types of columns that are not to be inferred.
    pub schema: BTreeMap<String, Type>,
    /// The rows.
    pub input: Input,
    /// What is to come out; absent = nothing is said, so that anything that comes out is wrong.
    pub expect: Option<Expect>,
}

/// The rows of a case.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// As JSON lines.
    Rows(String),
    /// In a file, relative to the file of the case.
    File {
        /// Its path.
        path: String,
        /// Where it is named.
        place: Place,
    },
}

/// What is to come out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expect {
    /// The rows. A column that a row lacks is null in it.
    pub rows: Vec<serde_json::Map<String, Json>>,
    /// The rows that go no further.
    pub dead_letters: Vec<ExpectedLetter>,
    /// Counts of rows.
    pub counts: Counts,
    /// A part of the message with which the run is to fail.
    pub error: Option<String>,
    /// Whether rows may come in any order.
    pub unordered: bool,
    /// By how much numbers may differ.
    pub tolerance: Option<f64>,
}

/// A row that is to go no further; what is given is compared.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExpectedLetter {
    /// Its number in the input, from 1.
    pub row: Option<u64>,
    /// The stage that refuses it.
    pub stage: Option<String>,
    /// The code, such as `convert_float`.
    pub code: Option<String>,
    /// The column.
    pub column: Option<String>,
    /// The kind of reason, such as `transformation_error`.
    pub reason: Option<String>,
    /// A part of the message.
    pub message: Option<String>,
}

/// How many rows; what is given is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Counts {
    /// Rows that come out.
    pub rows: Option<u64>,
    /// Rows that are left out on purpose.
    pub filtered: Option<u64>,
    /// Rows that go no further.
    pub dead_letters: Option<u64>,
    /// Rows that a policy `skip` leaves out.
    pub skipped: Option<u64>,
    /// Rows that come out more than went in.
    pub expanded: Option<u64>,
    /// Those of the dead letters on which a transform crashed.
    pub crashed: Option<u64>,
}

/// A file of cases.
#[derive(Clone, Debug, PartialEq)]
pub struct Cases {
    /// The file.
    pub file: Text,
    /// Its cases in order.
    pub cases: Vec<Case>,
    /// Where each case's expectation stands.
    cuts: Vec<Cut>,
}

/// The keys of a case that are read by hand.
const OWN: [&str; 2] = ["input", "expect"];

/// What is typed by serde.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    name: Option<String>,
    params: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
    clock: Option<String>,
    seed: u64,
    transformer: Option<String>,
    stage: Option<String>,
    batch_size: Option<NonZeroUsize>,
    schema: BTreeMap<String, Type>,
}

/// What is typed by serde of what is expected.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenExpect {
    dead_letters: Vec<ExpectedLetter>,
    counts: Counts,
    error: Option<String>,
    unordered: bool,
    tolerance: Option<f64>,
}

/// Reads a file of cases; `stem` names a case that has no name of its own.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse_cases(file: &Text, stem: &str) -> Result<Cases, Vec<Problem>> {
    let mut findings = Findings::of(&file.name);
    let mut nodes = Vec::new();
    for document in parse_all(&file.text, &mut findings).unwrap_or_default() {
        gather(document, &mut nodes, &mut findings);
    }
    if nodes.is_empty() && findings.problems.is_empty() {
        let place = Place { file: file.name.clone(), ..Place::default() };
        findings.wrong_at(place, "the file has no case").hint =
            Some("a case has `input: [{column: value}]` and `expect: {rows: [...]}`".into());
    }
    let several = nodes.len() > 1;
    let mut cases: Vec<Case> = Vec::new();
    let mut cuts = Vec::new();
    for (index, node) in nodes.into_iter().enumerate() {
        cuts.push(Cut::of(&file.text, &node));
        let default = if several { format!("{stem} {}", index + 1) } else { stem.to_owned() };
        let place = findings.place(&node);
        let Some(case) = case(node, default, &mut findings) else { continue };
        if let Some(other) = cases.iter().find(|other| other.name == case.name) {
            let message = format!("two cases are called `{}`, on lines {} and {}", case.name, other.place.line, place.line);
            findings.wrong_at(place, message).hint = Some("give each a `name` of its own".into());
        }
        cases.push(case);
    }
    findings.problems.sort_by_key(|problem| (problem.place.line, problem.place.column));
    if findings.problems.is_empty() { Ok(Cases { file: file.clone(), cases, cuts }) } else { Err(findings.problems) }
}

impl Cases {
    /// The file's text with another expectation for some cases, given by their index; everything else stays byte for byte.
    ///
    /// # Errors
    /// Config, where the text is written in a way in which that cannot be done.
    pub fn with_expectations(&self, fresh: &[(usize, Expect)]) -> Result<String, Problem> {
        let mut text = self.file.text.clone();
        // From the end, so that what stands before stays where it is.
        for (index, expect) in fresh.iter().rev() {
            let case = &self.cases[*index];
            text = self.cuts[*index].put(&text, expect).map_err(|message| {
                Problem::new(case.place.clone(), message).hint("write the keys of the case on lines of their own, or mend `expect` by hand")
            })?;
        }
        let stem = self.cases.first().map(|case| case.name.clone()).unwrap_or_default();
        let again = parse_cases(&Text { name: self.file.name.clone(), text: text.clone() }, &stem).map(|again| again.cases);
        let right = again.is_ok_and(|again| {
            again.len() == self.cases.len()
                && again.iter().zip(&self.cases).enumerate().all(|(index, (again, case))| {
                    let wanted = fresh.iter().find(|(of, _)| *of == index).map(|(_, expect)| expect).or(case.expect.as_ref());
                    let same = |one: &Case, other: &Case| {
                        // Places move, and a name may be the file's own.
                        (&one.params, &one.env, one.clock, one.seed, one.batch_size, &one.schema)
                            == (&other.params, &other.env, other.clock, other.seed, other.batch_size, &other.schema)
                            && one.transformer.as_ref().map(|one| &one.0) == other.transformer.as_ref().map(|other| &other.0)
                            && one.stage.as_ref().map(|stage| &stage.0) == other.stage.as_ref().map(|stage| &stage.0)
                            && match (&one.input, &other.input) {
                                (Input::File { path: one, .. }, Input::File { path: other, .. }) => one == other,
                                (one, other) => one == other,
                            }
                    };
                    same(again, case) && again.expect.as_ref() == wanted
                })
        });
        match right {
            true => Ok(text),
            false => {
                let place = Place { file: self.file.name.clone(), ..Place::default() };
                Err(Problem::new(place, "the expectation cannot be written into this file without changing the rest of it")
                    .hint("an alias or an unusual indentation may be the reason: mend `expect` by hand"))
            }
        }
    }
}

/// Takes the cases of one document.
fn gather(mut document: Node, nodes: &mut Vec<Node>, findings: &mut Findings) {
    if !document.is_map() {
        let message = format!("a case is {}, but must be a mapping", document.describe());
        findings.wrong(&document, message).hint = Some("several cases stand under `cases:`, each after a `-`".into());
        return;
    }
    let Some((_, list)) = document.take("cases") else { return nodes.push(document) };
    for (key, value) in document.entries() {
        findings.wrong_key(key, value, format!("`{}` stands beside `cases`", key.written)).hint = Some("move it into each case".into());
    }
    match list.value {
        Value::List(items) => {
            for item in items {
                match item.is_map() {
                    true => nodes.push(item),
                    false => drop(findings.wrong(&item, format!("a case is {}, but must be a mapping", item.describe()))),
                }
            }
        }
        _ => drop(findings.wrong(&list, format!("`cases` is {}, but must be a list of cases", list.describe()))),
    }
}

fn case(mut node: Node, default: String, findings: &mut Findings) -> Option<Case> {
    let before = findings.problems.len();
    let place = findings.place(&node);
    let stage_place = node.get("stage").map(|stage| findings.place(stage));
    let transformer_place = node.get("transformer").map(|transformer| findings.place(transformer));
    let clock_node = node.get("clock").cloned();
    let (input, expect) = (node.take_given("input"), node.take("expect"));
    let meant = |node: &Node, key: &str| {
        node.entries()
            .iter()
            .any(|(other, _)| crate::error::did_you_mean(&other.written, [key]).is_some() && !keys_of::<Written>().contains(&&*other.name))
    };
    let input = match input {
        Some((_, input)) => self::input(input, findings),
        None if meant(&node, "input") => None,
        None => {
            findings.wrong(&node, "the key `input` is missing").hint =
                Some("write `input: [{column: value}]`, or `input: []` for no rows".into());
            None
        }
    };
    let expect = expect.map(|(key, value)| self::expect(&key, value, findings));
    let beside = Beside { path: node.path.clone(), keys: OWN.to_vec(), elsewhere: vec![("`expect`", keys_of_expect())] };
    let written = typed_beside::<Written>(node, &beside, findings);
    let clock = match written.as_ref().and_then(|written| written.clock.as_deref()) {
        None => Some(Utc.with_ymd_and_hms(2000, 1, 1, 0, 0, 0).single().expect("it is a moment")),
        Some(text) => {
            let moment = moment(text);
            if let (None, Some(node)) = (moment, &clock_node) {
                let message = format!("`clock` is {}, but must be a moment such as `2026-01-01T00:00:00Z`", node.describe());
                findings.wrong(node, message);
            }
            moment
        }
    };
    if findings.problems.len() > before {
        return None;
    }
    let Written { name, params, env, clock: _, seed, transformer, stage, batch_size, schema } = written?;
    Some(Case {
        name: name.unwrap_or(default),
        place,
        params,
        env,
        clock: clock?,
        seed,
        transformer: transformer.zip(transformer_place),
        stage: stage.zip(stage_place),
        batch_size,
        schema,
        input: input?,
        expect: expect.flatten(),
    })
}

/// The keys of `expect`, which people write beside it.
fn keys_of_expect() -> &'static [&'static str] {
    &["rows", "dead_letters", "counts", "error", "unordered", "tolerance"]
}

/// Reads a moment: ISO 8601, a date alone is its midnight, no offset is UTC.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(moment) = DateTime::parse_from_rfc3339(&text.replacen(' ', "T", 1)) {
        return Some(moment.to_utc());
    }
    let local = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    let local = local.iter().find_map(|form| chrono::NaiveDateTime::parse_from_str(text, form).ok());
    let day = || chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    local.or_else(day).map(|moment| moment.and_utc())
}

fn input(node: Node, findings: &mut Findings) -> Option<Input> {
    if node.is_map() {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            file: String,
        }
        let place = findings.place(node.get("file").unwrap_or(&node));
        return typed::<File>(node, findings).map(|File { file }| Input::File { path: file, place });
    }
    let rows = rows(&node, "input", "a list of rows, or `{file: rows.jsonl}`", findings)?;
    let mut lines = String::new();
    for row in rows {
        lines.push_str(&Json::Object(row).to_string());
        lines.push('\n');
    }
    Some(Input::Rows(lines))
}

/// Reads a list of mappings.
fn rows(node: &Node, name: &str, must: &str, findings: &mut Findings) -> Option<Vec<serde_json::Map<String, Json>>> {
    let Value::List(items) = &node.value else {
        let message = format!("`{name}` is {}, but must be {must}", node.describe());
        let hint = node.is_map().then(|| format!("put a `-` before each row of `{name}`"));
        findings.wrong(node, message).hint = hint;
        return None;
    };
    let mut rows = Vec::with_capacity(items.len());
    for item in items {
        if !item.is_map() {
            findings.wrong(item, format!("a row of `{name}` is {}, but must be a mapping of columns to values", item.describe()));
            continue;
        }
        match json(item) {
            Ok(Json::Object(row)) => rows.push(row),
            Ok(_) => {}
            Err(number) => drop(findings.wrong(number, format!("{} is a number that JSON does not have", number.describe()))),
        }
    }
    Some(rows)
}

/// A node as JSON, its numbers with all the digits that JSON's own numbers can hold.
fn json(node: &Node) -> Result<Json, &Node> {
    Ok(match (&node.value, &node.raw) {
        (Value::List(items), _) => Json::Array(items.iter().map(json).collect::<Result<_, _>>()?),
        (Value::Map(entries), _) => {
            let pairs = entries.iter().map(|(key, value)| Ok((key.name.clone(), json(value)?)));
            Json::Object(pairs.collect::<Result<_, _>>()?)
        }
        // A whole number beyond 64 bits with a sign may fit those without.
        (Value::Text(_), Some(raw)) => match raw.parse::<u64>() {
            Ok(number) if !(raw.len() > 1 && raw.starts_with('0')) => Json::Number(Number::from(number)),
            _ => return node.json(),
        },
        _ => return node.json(),
    })
}

fn expect(key: &Key, mut node: Node, findings: &mut Findings) -> Option<Expect> {
    if node.is_null() {
        node.value = Value::Map(Vec::new());
    }
    if !node.is_map() {
        let message = format!("`expect` is {}, but must be a mapping", node.describe());
        findings.wrong_key(key, &node, message).hint = Some("write `expect: {rows: [...]}`".into());
        return None;
    }
    let rows = match node.take_given("rows") {
        Some((_, rows)) => self::rows(&rows, "expect.rows", "a list of rows", findings),
        None => Some(Vec::new()),
    };
    for (name, choices) in [("reason", REASONS)] {
        let letters = node.get("dead_letters").map(|letters| match &letters.value {
            Value::List(items) => items.as_slice(),
            _ => &[],
        });
        for value in letters.into_iter().flatten().filter_map(|letter| letter.given(name)) {
            if let Some(text) = value.text().filter(|text| !choices.contains(text)) {
                let hint = suggest(text, &choices, "they are");
                findings.wrong(value, format!("`{text}` is no reason of a dead letter")).hint = hint;
            }
        }
    }
    let tolerance = node.get("tolerance").cloned();
    let beside = Beside { path: node.path.clone(), keys: vec!["rows"], ..Beside::default() };
    let WrittenExpect { dead_letters, counts, error, unordered, tolerance: wide } = typed_beside::<WrittenExpect>(node, &beside, findings)?;
    if let (Some(wide), Some(node)) = (wide, &tolerance)
        && !(wide >= 0.0 && wide.is_finite())
    {
        findings.wrong(node, format!("`tolerance` is {}, but must be 0 or more", node.describe()));
    }
    Some(Expect { rows: rows?, dead_letters, counts, error, unordered, tolerance: wide })
}

/// Reasons of dead letters.
const REASONS: [&str; 9] = [
    "extraction_error",
    "parse_error",
    "transformation_error",
    "validation_error",
    "load_error",
    "schema_mismatch",
    "limit_exceeded",
    "connection_error",
    "unknown",
];

impl ExpectedLetter {
    /// What is given of it.
    pub fn fields(&self) -> serde_json::Map<String, Json> {
        expectation::letter(self)
    }
}

impl Expect {
    /// As YAML that stands `indent` blanks deep.
    pub fn to_yaml(&self, indent: usize) -> String {
        expectation::write(self, indent)
    }
}
