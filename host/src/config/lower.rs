//! `transform.yaml`: from every shape that users write to one list of steps.

use etl_steps::OnConvertError;

use super::canonical;
use super::de::typed;
use super::grants::simple_grants;
use super::problem::{Findings, list, suggest};
use super::sections::check_limits;
use super::settings::Limits;
use super::transform::{PlacedStep, Step, Transform};
use super::yaml::{Node, Value, shorten};

/// The operations, in the order in which they run where they stand in one mapping.
pub(super) const OPERATIONS: [&str; 19] = [
    "rename",
    "flatten",
    "unnest",
    "convert",
    "type",
    "fill_null",
    "defaults",
    "map",
    "add",
    "select",
    "drop",
    "filter",
    "validate",
    "dedupe",
    "aggregate",
    "window",
    "sort",
    "jsonata",
    "custom_function",
];
/// What may stand beside operations.
pub(super) const SETTINGS: [&str; 3] = ["limits", "grants", "on_convert_error"];

/// Lowers what `transform.yaml` holds, or the parts of `pipeline.yaml` that say the same.
pub(super) fn transform(mut node: Node, findings: &mut Findings) -> Transform {
    let mut lowering =
        Lowering { transform: Transform::default(), on_convert_error: OnConvertError::default(), renamed: Vec::new(), findings };
    match node.value {
        Value::List(items) => lowering.list(items),
        Value::Map(_) => {
            canonical::take_information(&mut node);
            lowering.file(node);
        }
        Value::Null | Value::Hole => {}
        _ => {
            let message = format!("{} is {}, but must be a mapping or a list of steps", node.quoted(), node.describe());
            lowering.findings.wrong(&node, message);
        }
    }
    lowering.transform
}

/// A transform in the making.
pub(super) struct Lowering<'a> {
    transform: Transform,
    /// What holds for `convert` at this point.
    pub(super) on_convert_error: OnConvertError,
    /// Columns that are flattened as the oldest dialect does, with the name that `rename` gives those that hold nothing to flatten.
    pub(super) renamed: Vec<(String, String)>,
    pub(super) findings: &'a mut Findings,
}

impl Lowering<'_> {
    fn file(&mut self, mut node: Node) {
        let Some((_, body)) = node.take("transform") else {
            self.transform.params_become_columns = is_oldest_dialect(&node);
            return self.mapping(node);
        };
        self.settings(&mut node);
        let after: Vec<_> = ["jsonata", "custom_function"].into_iter().filter_map(|name| node.take_given(name)).collect();
        for (key, value) in node.entries() {
            if OPERATIONS.contains(&key.name.as_str()) {
                let message = format!("`{}` stands beside `transform`, where it would not run", key.written);
                self.findings.wrong_key(key, value, message).hint = Some("move it into `transform`".into());
            } else {
                let names: Vec<&str> =
                    ["transform", "jsonata", "custom_function"].into_iter().chain(SETTINGS).chain(canonical::INFORMATION).collect();
                let hint = suggest(&key.written, &names, "keys here are");
                self.findings.wrong_key(key, value, format!("unknown key `{}`", key.written)).hint = hint;
            }
        }
        for (key, value) in &after {
            if let Some((other, _)) = body.entries().iter().find(|(other, value)| other.name == key.name && !value.is_null()) {
                let message = format!("`{}` stands beside `transform` and, on line {}, in it", key.written, other.line);
                self.findings.wrong_key(key, value, message).hint = Some("keep one of them".into());
            }
        }
        match body.value {
            Value::List(items) => self.list(items),
            Value::Map(_) => self.mapping(body),
            Value::Null | Value::Hole => {}
            _ => {
                let message = format!("{} is {}, but must be a mapping or a list of steps", body.quoted(), body.describe());
                self.findings.wrong(&body, message);
            }
        }
        for (key, value) in after {
            self.step(&key.name, &value);
        }
    }

    /// One mapping with operations: they run in the order of [`OPERATIONS`].
    fn mapping(&mut self, mut node: Node) {
        self.settings(&mut node);
        if let (Some(_), Some((key, value))) = (node.given("convert"), node.entries().iter().find(|(key, _)| key.name == "type")) {
            self.findings.wrong_key(key, value, "`type` and `convert` say the same").hint = Some("keep `convert`".into());
            node.take("type");
        }
        let flattened: Vec<String> = node
            .given("flatten")
            .filter(|flatten| is_by_field(flatten))
            .map_or_else(Vec::new, |flatten| flatten.entries().iter().map(|(key, _)| key.name.clone()).collect());
        for name in OPERATIONS {
            let Some((_, mut value)) = node.take_given(name) else { continue };
            if name == "rename" {
                // In the oldest dialect a column's own name is before those of its members, whatever it is renamed to.
                for field in &flattened {
                    let new = value.take(field).and_then(|(_, new)| new.text().map(str::to_owned));
                    self.renamed.extend(new.map(|new| (field.clone(), new)));
                }
            }
            self.step(name, &value);
        }
        for (key, value) in node.entries() {
            let names: Vec<&str> = OPERATIONS.into_iter().chain(SETTINGS).collect();
            let hint = suggest(&key.written, &names, "operations are");
            self.findings.wrong_key(key, value, format!("unknown operation `{}`", key.written)).hint = hint;
        }
    }

    /// Steps as written.
    fn list(&mut self, items: Vec<Node>) {
        for item in items {
            self.item(item);
        }
    }

    /// One step of a list: `rename: {…}` or `{op: rename, …}`.
    fn item(&mut self, mut item: Node) {
        if !item.is_map() {
            let message = format!("a step must be a mapping such as `rename: {{old: new}}`, but this one is {}", item.describe());
            self.findings.wrong(&item, message);
            return;
        }
        let outer = self.on_convert_error;
        if let Some((_, node)) = item.take("on_convert_error") {
            self.on_convert_error = self.on_convert_error_of(node);
        }
        match item.take_given("op") {
            Some((_, op)) => {
                let name = op.text().unwrap_or_default();
                match OPERATIONS.contains(&name) {
                    true => {
                        let name = name.to_owned();
                        let arguments = self.arguments(&name, item);
                        self.step(&name, &arguments);
                    }
                    false => {
                        let hint = suggest(name, &OPERATIONS, "operations are");
                        self.findings.wrong(&op, format!("unknown operation `{}`", shorten(name))).hint = hint;
                    }
                }
            }
            None => self.keyed(&item),
        }
        self.on_convert_error = outer;
    }

    fn keyed(&mut self, item: &Node) {
        for (key, value) in item.entries().iter().filter(|(key, _)| !OPERATIONS.contains(&key.name.as_str())) {
            let hint = suggest(&key.written, &OPERATIONS, "operations are");
            self.findings.wrong_key(key, value, format!("unknown operation `{}`", key.written)).hint = hint;
        }
        let known: Vec<_> = item.entries().iter().filter(|(key, _)| OPERATIONS.contains(&key.name.as_str())).collect();
        match known.as_slice() {
            [(key, value)] => self.step(&key.name, value),
            [] if item.entries().is_empty() => drop(self.findings.wrong(item, "this step has no operation")),
            [] => {}
            several => {
                let names = list(several.iter().map(|(key, _)| key.written.as_str()));
                let message = format!("a step has one operation, but this one has {names}");
                self.findings.wrong(item, message).hint = Some("put a `-` before each; they run in the order of the list".into());
            }
        }
    }

    /// What `{op: …}` gives an operation, in the form that it has under its name.
    fn arguments(&mut self, name: &str, mut item: Node) -> Node {
        let inner = match name {
            "rename" | "convert" | "type" | "defaults" | "add" | "fill_null" => ["fields", "mapping"].as_slice(),
            "select" | "drop" => ["fields", "columns"].as_slice(),
            "unnest" => ["field", "column"].as_slice(),
            _ => &[],
        };
        let only = item.entries().len() == 1;
        match inner.iter().find_map(|key| item.take(key)) {
            Some((_, value))
                if only && (value.is_map() || !matches!(name, "rename" | "convert" | "type" | "defaults" | "add" | "fill_null")) =>
            {
                value
            }
            Some((key, value)) => {
                item.put(key, value);
                item
            }
            None => item,
        }
    }

    fn settings(&mut self, node: &mut Node) {
        if let Some((_, limits)) = node.take_given("limits")
            && let Some(typed) = typed::<Limits>(limits.clone(), self.findings)
        {
            check_limits(Some(&limits), &typed, self.findings);
            self.transform.limits = typed;
        }
        if let Some((_, grants)) = node.take_given("grants") {
            self.transform.grants = simple_grants(grants, self.findings);
        }
        if let Some((_, policy)) = node.take("on_convert_error") {
            self.on_convert_error = self.on_convert_error_of(policy);
        }
    }

    fn on_convert_error_of(&mut self, node: Node) -> OnConvertError {
        typed(node, self.findings).unwrap_or_default()
    }

    /// Adds a step that stands at a node.
    pub(super) fn push(&mut self, node: &Node, step: Step) {
        let place = self.findings.place(node);
        self.transform.steps.push(PlacedStep { step, place });
    }
}

/// Whether `flatten` has options by column, as the oldest dialect has it.
pub(super) fn is_by_field(node: &Node) -> bool {
    !node.entries().is_empty() && node.entries().iter().all(|(_, value)| value.is_map())
}

/// Whether operations stand as only the oldest dialect has them.
fn is_oldest_dialect(node: &Node) -> bool {
    node.given("type").is_some() || node.given("fill_null").is_some() || node.given("flatten").is_some_and(is_by_field)
}
