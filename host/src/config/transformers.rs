//! `transformers`: several transforms over one extract, each with a load of its own.

use super::canonical::{self, INFORMATION};
use super::load::Load;
use super::lower::OPERATIONS;
use super::problem::{Findings, list, suggest};
use super::transform::Transform;
use super::yaml::{Key, Node, Value};
use crate::error::Place;

/// Characters of a name at most: it is a part of names of checkpoints and marks.
const LONGEST: usize = 30;

/// One of several transforms over one extract.
#[derive(Clone, Debug, PartialEq)]
pub struct Transformer {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// What is done to rows on the way.
    pub transform: Transform,
    /// Where they go to.
    pub load: Load,
}

/// A transformer as it stands in the file.
pub(super) struct Written {
    pub(super) name: String,
    pub(super) place: Place,
    /// What `transform.yaml` would hold.
    pub(super) transform: Node,
    /// What `load.yaml` would hold, as far as it differs.
    pub(super) load: Option<Node>,
}

/// Takes the transformers out of what `transform.yaml` holds; none where it holds one transform.
pub(super) fn take(section: &mut Node, findings: &mut Findings) -> Option<Vec<Written>> {
    let (_, body) = section.take_given("transformers")?;
    canonical::take_information(section);
    for (key, value) in section.entries().iter().filter(|(_, value)| !value.is_null()) {
        if OPERATIONS.contains(&key.name.as_str()) || key.name == "transform" {
            findings.wrong_key(key, value, format!("`{}` stands beside `transformers`, where it would not run", key.written)).hint =
                Some("move it into each transformer that needs it".into());
        } else {
            let names: Vec<&str> = std::iter::once("transformers").chain(INFORMATION).collect();
            let hint = suggest(&key.written, &names, "beside `transformers` keys are");
            findings.wrong_key(key, value, format!("unknown key `{}`", key.written)).hint = hint;
        }
    }
    let example = "write `transformers: {daily: {transform: [ … ], load: {path: daily.parquet}}}`";
    if !body.is_map() {
        findings.wrong(&body, format!("`transformers` is {}, but must be a mapping of names", body.describe())).hint = Some(example.into());
        return Some(Vec::new());
    }
    if body.entries().is_empty() {
        findings.wrong(&body, "`transformers` names none").hint = Some(example.into());
    }
    let entries = if let Value::Map(entries) = body.value { entries } else { Vec::new() };
    Some(entries.into_iter().filter_map(|(key, node)| written(&key, node, findings)).collect())
}

fn written(key: &Key, mut node: Node, findings: &mut Findings) -> Option<Written> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if key.name.is_empty() || key.name.len() > LONGEST || !key.name.chars().all(is_plain) {
        let message = format!("`{}` cannot be the name of a transformer", key.written);
        findings.wrong_key(key, &node, message).hint = Some(format!("it has 1 to {LONGEST} of a to z, A to Z, 0 to 9, `-` and `_`"));
        return None;
    }
    if !node.is_map() {
        let message = format!("the transformer `{}` is {}, but must be a mapping", key.written, node.describe());
        findings.wrong(&node, message).hint = Some("it holds what `transform.yaml` would hold, and `load`".into());
        return None;
    }
    let load = node.take_given("load").map(|(_, load)| load);
    if let Some(load) = load.as_ref().filter(|load| !load.is_map()) {
        findings.wrong(load, format!("`load` is {}, but must be a mapping", load.describe()));
        return None;
    }
    Some(Written { name: key.name.clone(), place: findings.key_place(key, &node), transform: node, load })
}

/// What a transformer's load comes to: its own keys over those that all share, mappings within them key by key.
pub(super) fn over(own: Option<Node>, mut shared: Node, findings: &mut Findings) -> Node {
    let Some(mut own) = own else { return shared };
    if !shared.is_map() {
        return own;
    }
    for node in [&mut own, &mut shared] {
        // Two spellings of one key are one key.
        for names in [canonical::LOAD, canonical::FILE, canonical::DATABASE_SINK] {
            canonical::rename(node, names, findings);
        }
    }
    lay(&mut own, shared);
    own
}

fn lay(own: &mut Node, shared: Node) {
    let Value::Map(entries) = shared.value else { return };
    for (key, value) in entries {
        let Value::Map(there) = &mut own.value else { return };
        match there.iter_mut().find(|(other, _)| other.name == key.name) {
            Some((_, mine)) if mine.is_map() && value.is_map() => lay(mine, value),
            Some(_) => {}
            None => there.push((key, value)),
        }
    }
}

/// Names for a message.
pub(super) fn names(transformers: &[Transformer]) -> String {
    list(transformers.iter().map(|transformer| transformer.name.as_str()))
}
