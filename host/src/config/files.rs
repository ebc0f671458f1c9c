//! The files of a contract directory: texts in, a pipeline out, or everything that is wrong.

use std::collections::BTreeMap;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use super::canonical::{self, Information};
use super::component::hex;
use super::extract::Extract;
use super::load::Load;
use super::lower;
use super::pipeline::Pipeline;
use super::problem::{Contracts, Findings, Problem, Shelf, Wanted, suggest};
use super::sections;
use super::settings::Settings;
use super::transform::Transform;
use super::transformers::{self, Transformer, Written};
use super::validate;
use super::variables::{Lookup, Secrets, substitute, substitute_grants, used};
use super::yaml::{self, Key, Node, Value};
use crate::error::Place;

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The file as the user would name it.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// The files of one pipeline. A file of its own comes before the same section of `pipeline`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Name of the pipeline where no file says another.
    pub name: String,
    /// The directory that was looked in, as the user would name it.
    pub directory: String,
    /// `pipeline.yaml`.
    pub pipeline: Option<Text>,
    /// `extract.yaml`.
    pub extract: Option<Text>,
    /// `transform.yaml`.
    pub transform: Option<Text>,
    /// `load.yaml`.
    pub load: Option<Text>,
    /// `settings.yaml`.
    pub settings: Option<Text>,
    /// `schema.yaml`, `coercion_rules.yaml` and `validation_rules.yaml` of the oldest dialect.
    pub rules: Vec<Text>,
    /// Files that the others name, by the path as written, and what is there; [`wanted`] answers which.
    pub others: BTreeMap<String, Option<Text>>,
    /// Contracts of a metadata store that the files name, by name and version as written; [`wanted`] answers which.
    pub contracts: BTreeMap<String, Text>,
}

impl Files {
    /// SHA-256 of all texts, each under the part that it plays.
    pub fn digest(&self) -> String {
        let Self { name: _, directory: _, pipeline, extract, transform, load, settings, rules, others, contracts } = self;
        let parts = [("pipeline", pipeline), ("extract", extract), ("transform", transform), ("load", load), ("settings", settings)];
        let parts = parts.into_iter().filter_map(|(part, text)| Some((part, text.as_ref()?)));
        let rules = rules.iter().map(|text| ("rules", text));
        let others = others.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_ref()?)));
        let mut hasher = Sha256::new();
        let contracts = contracts.iter().flat_map(|(title, text)| [("contract", title.as_str()), ("text", text.text.as_str())]);
        let texts = parts.chain(rules).chain(others).map(|(part, text)| (part, text.text.as_str()));
        for (part, text) in texts.chain(contracts) {
            for bytes in [part, text] {
                hasher.update((bytes.len() as u64).to_le_bytes());
                hasher.update(bytes);
            }
        }
        format!("sha256:{}", hex(&hasher.finalize()))
    }
}

/// Names of files in a contract directory, without `.yaml` or `.yml`.
pub const NAMES: [&str; 5] = ["pipeline", "extract", "transform", "load", "settings"];
/// Names of further files of the oldest dialect, without `.yaml`, `.yml` or `.json`.
pub const RULES: [&str; 3] = ["schema", "coercion_rules", "validation_rules"];

/// Types the files of a pipeline.
///
/// # Errors
/// Everything that is wrong in any of them, sorted by file and line.
pub fn parse(files: &Files, variables: Lookup<'_>) -> Result<Pipeline, Vec<Problem>> {
    let mut reading = Reading::new(files, variables);
    match reading.pipeline(files) {
        Some(pipeline) if reading.problems.is_empty() => Ok(pipeline),
        _ => {
            let secrets = reading.secrets;
            let mut problems = reading.problems;
            for problem in &mut problems {
                problem.message = secrets.mask(&problem.message);
                problem.hint = problem.hint.as_deref().map(|hint| secrets.mask(hint));
            }
            sort(&mut problems);
            // What transformers share is wrong in each of them.
            problems.dedup();
            Err(problems)
        }
    }
}

/// What the files name and is not among them yet.
pub fn wanted(files: &Files, variables: Lookup<'_>) -> Vec<Wanted> {
    let mut reading = Reading::new(files, variables);
    reading.pipeline(files);
    reading.shelf.wanted.take()
}

/// Parameters that the pipeline takes, with the texts of their defaults: its files may use parameters as variables.
pub fn takes(files: &Files) -> BTreeMap<String, Option<String>> {
    // What is wrong with the text is found by `parse`.
    let mut findings = Findings::default();
    let extract = match (&files.extract, &files.pipeline) {
        (Some(text), _) => yaml::parse(&text.text, &mut findings),
        (None, Some(text)) => yaml::parse(&text.text, &mut findings).and_then(|mut node| node.take("extract")).map(|(_, node)| node),
        (None, None) => None,
    };
    let Some(params) = extract.as_ref().and_then(|node| node.given("input_params")) else { return BTreeMap::new() };
    match &params.value {
        Value::List(names) => names.iter().filter_map(|name| Some((name.text()?.to_owned(), None))).collect(),
        _ => {
            let default = |param: &Node| Some(param.given("default")?.text()?.to_owned());
            params.entries().iter().map(|(key, param)| (key.name.clone(), default(param))).collect()
        }
    }
}

fn sort(problems: &mut [Problem]) {
    problems.sort_by_key(order);
}

fn order(problem: &Problem) -> (String, usize, usize) {
    (problem.place.file.clone(), problem.place.line, problem.place.column)
}

struct Reading<'a> {
    variables: Lookup<'a>,
    secrets: Secrets,
    problems: Vec<Problem>,
    shelf: Shelf,
}

/// A section, and the file that it stands in.
struct Section {
    file: String,
    node: Node,
}

/// What `pipeline.yaml` holds.
#[derive(Default)]
struct Parts {
    information: Information,
    name: Option<String>,
    extract: Option<Section>,
    transform: Option<Section>,
    load: Option<Section>,
    settings: Option<Section>,
}

impl<'a> Reading<'a> {
    fn new(files: &Files, variables: Lookup<'a>) -> Self {
        let shelf = Shelf { texts: Rc::new(files.others.clone()), ..Shelf::default() };
        Self { variables, secrets: Secrets::default(), problems: Vec::new(), shelf }
    }
}

impl Reading<'_> {
    fn pipeline(&mut self, files: &Files) -> Option<Pipeline> {
        let Files { name, directory, pipeline, extract, transform, load, settings, rules, others: _, contracts } = files;
        let parts = pipeline.as_ref().map(|text| self.parts(text)).unwrap_or_default();
        let whole = pipeline.as_ref();
        let extract = self.section(extract.as_ref(), parts.extract, "extract", whole, directory);
        let mut transform = match transform {
            Some(text) => self.tree(text),
            None => parts.transform,
        };
        let several = transform.as_mut().and_then(|section| self.several(section));
        let load = match (load, parts.load) {
            // Each transformer may say all of it.
            (None, None) if several.is_some() && whole.is_some() => None,
            (load, part) => self.section(load.as_ref(), part, "load", whole, directory),
        };
        let shared = settings.as_ref().and_then(|text| self.tree(text)).map(|section| self.typed(section, sections::settings));
        let inline = parts.settings.map(|section| self.typed(section, sections::settings));
        let settings = match (shared, inline) {
            (Some(shared), Some(inline)) => shared.zip(inline).map(|(shared, inline)| over(inline, shared)),
            (Some(settings), None) | (None, Some(settings)) => settings,
            (None, None) => Some(Settings::default()),
        };
        self.shelf.contracts = settings.as_ref().map(|settings| {
            let store = settings.metadata_store.as_ref().map(|store| store.connection_string.clone());
            Rc::new(Contracts { store, named: settings.contract.clone(), read: contracts.clone() })
        });
        let information = extract.as_ref().map(|_| parts.information);
        let used = extract.as_ref().map(|section| used(&section.node)).unwrap_or_default();
        let extract = extract.and_then(|section| self.typed(section, sections::extract));
        let extract = extract.map(|extract| Extract { variables: used, ..extract });
        let (transform, load, transformers) = match several {
            Some((file, written)) => {
                let transformers = written.into_iter().map(|one| self.transformer(one, &file, load.as_ref(), rules)).collect::<Vec<_>>();
                let transformers: Vec<Transformer> = transformers.into_iter().collect::<Option<_>>()?;
                (Transform::default(), Some(transformers.first()?.load.clone()), transformers)
            }
            None => {
                let transform = transform.map(|section| self.transform(section)).unwrap_or_default();
                let mut load = load.and_then(|section| self.typed(section, sections::load));
                if let (Some(load), true, true) = (&mut load, extract.is_some(), settings.is_some()) {
                    self.add_rules(rules, load);
                }
                (transform, load, Vec::new())
            }
        };
        let (extract, load, settings) = (extract?, load?, settings?);
        let Information { description, version } = information.unwrap_or_default();
        let name = parts.name.or_else(|| settings.name.clone()).unwrap_or_else(|| name.clone());
        let secrets = std::mem::take(&mut self.secrets);
        let digest = files.digest();
        Some(Pipeline { name, version, description, extract, transform, load, transformers, transformer: None, settings, digest, secrets })
    }

    /// The transformers of a transform section, with the file that they stand in; none where it is one transform.
    fn several(&mut self, section: &mut Section) -> Option<(String, Vec<Written>)> {
        let mut findings = Findings::of(&section.file);
        let written = transformers::take(&mut section.node, &mut findings);
        self.problems.append(&mut findings.problems);
        Some((section.file.clone(), written?))
    }

    /// Types one transformer; `shared` is the load that all have in common.
    fn transformer(&mut self, written: Written, file: &str, shared: Option<&Section>, rules: &[Text]) -> Option<Transformer> {
        let Written { name, place, transform, load: own } = written;
        let inside = place.key.clone();
        let empty = || Node::beside(&transform, Value::Map(Vec::new()));
        let common = shared.map(|section| section.node.clone()).filter(|node| !node.is_null()).unwrap_or_else(empty);
        let mut findings = Findings::of(file);
        let node = transformers::over(own, common, &mut findings);
        let known = self.problems.len();
        self.problems.append(&mut findings.problems);
        let load = self.typed(Section { file: file.to_owned(), node }, sections::load);
        // What it has from the shared load stands in that one's file.
        let shared_file = shared.map_or(file, |section| section.file.as_str());
        let mend = |problem: &mut Problem| {
            let is_own = problem.place.key.strip_prefix(&inside).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
            if !is_own {
                shared_file.clone_into(&mut problem.place.file);
            }
        };
        self.problems[known..].iter_mut().for_each(mend);
        let transform = self.transform(Section { file: file.to_owned(), node: transform });
        let mut load = load?;
        self.add_rules(rules, &mut load);
        Some(Transformer { name, place, transform, load })
    }

    /// Holds rows to the contract that lies in the directory itself, before they are loaded.
    fn add_rules(&mut self, rules: &[Text], load: &mut Load) {
        let mut findings = Findings { shelf: self.shelf.clone(), ..Findings::default() };
        let own = validate::of_files(rules, load.validation.as_ref().map(|validation| validation.on_error), &mut findings);
        self.problems.append(&mut findings.problems);
        match (&mut load.validation, own) {
            // A contract of its own comes in its place.
            (Some(validation), Some(own)) if validation.rules.is_empty() && validation.unread.is_none() => validation.rules = own.rules,
            (validation @ None, own) => *validation = own,
            _ => {}
        }
    }

    /// A section that there must be: from its own file, else from `pipeline.yaml`.
    fn section(&mut self, own: Option<&Text>, part: Option<Section>, name: &str, whole: Option<&Text>, directory: &str) -> Option<Section> {
        match (own, part, whole) {
            (Some(text), ..) => self.tree(text),
            (None, Some(part), _) => Some(part),
            // What is wrong with the whole file is said already, or the section is not in it.
            (None, None, Some(text)) => {
                if !self.problems.iter().any(|problem| problem.place.file == text.name && problem.place.key.is_empty()) {
                    let place = Place { file: text.name.clone(), ..Place::default() };
                    self.problems.push(
                        Problem::new(place, format!("the section `{name}` is missing"))
                            .hint(format!("add `{name}:` or a file `{name}.yaml`")),
                    );
                }
                None
            }
            (None, None, None) => {
                let place = Place { file: directory.to_owned(), ..Place::default() };
                let message = format!("`{name}.yaml` is missing");
                let hint = format!("looked for {name}.yaml, {name}.yml, pipeline.yaml and pipeline.yml in {directory}");
                self.problems.push(Problem::new(place, message).hint(hint));
                None
            }
        }
    }

    fn tree(&mut self, text: &Text) -> Option<Section> {
        let mut findings = Findings::of(&text.name);
        let node = yaml::parse(&text.text, &mut findings);
        self.problems.append(&mut findings.problems);
        node.map(|node| Section { file: text.name.clone(), node })
    }

    /// Types a section in which `${…}` is a variable.
    fn typed<T>(&mut self, section: Section, work: impl FnOnce(Node, &mut Findings) -> T) -> T {
        self.typed_after(section, substitute, work)
    }

    /// Types a section once variables have their values where `put` looks for them.
    fn typed_after<T>(
        &mut self,
        section: Section,
        put: impl FnOnce(&mut Node, Lookup<'_>, &mut Secrets, &mut Findings),
        work: impl FnOnce(Node, &mut Findings) -> T,
    ) -> T {
        let Section { file, mut node } = section;
        let mut findings = Findings { shelf: self.shelf.clone(), ..Findings::of(file) };
        put(&mut node, self.variables, &mut self.secrets, &mut findings);
        let typed = work(node, &mut findings);
        self.problems.append(&mut findings.problems);
        typed
    }

    /// Types the transform. `${…}` in it is a field, but in the hosts and headers of `grants` it is a variable, as in the other files.
    fn transform(&mut self, section: Section) -> Transform {
        self.typed_after(section, substitute_grants, lower::transform)
    }

    /// Takes `pipeline.yaml` apart.
    fn parts(&mut self, text: &Text) -> Parts {
        let Some(Section { file, mut node }) = self.tree(text) else { return Parts::default() };
        let mut findings = Findings::of(&file);
        if !node.is_map() {
            findings.wrong(&node, format!("{} is {}, but must be a mapping", node.quoted(), node.describe()));
            self.problems.append(&mut findings.problems);
            return Parts::default();
        }
        let information = canonical::take_information(&mut node);
        let name = node.take_given("name").and_then(|(_, name)| name.text().map(str::to_owned));
        let mut section = |name: &str| node.take_given(name).map(|(_, node)| Section { file: file.clone(), node });
        let (extract, load, inline) = (section("extract"), section("load"), section("settings"));
        let transform = transform_part(&mut node).map(|node| Section { file: file.clone(), node });
        canonical::rename(&mut node, sections::SETTINGS, &mut findings);
        let keys = super::de::keys_of::<Settings>();
        let top = canonical::split_off(&mut node, keys);
        let settings = match inline {
            Some(mut inline) if inline.node.is_map() => {
                canonical::rename(&mut inline.node, sections::SETTINGS, &mut findings);
                for (key, value) in top.entries() {
                    match inline.node.get(&key.name) {
                        Some(_) => {
                            let message = format!("`{}` stands at the top and in `settings`", key.written);
                            findings.wrong_key(key, value, message).hint = Some("keep one of them".into());
                        }
                        None => inline.node.put(key.clone(), value.clone()),
                    }
                }
                Some(inline)
            }
            Some(inline) => Some(inline),
            None => (!top.entries().is_empty()).then(|| Section { file: file.clone(), node: top }),
        };
        let names: Vec<&str> = ["name", "extract", "transform", "transformers", "jsonata", "custom_function", "load", "settings"]
            .into_iter()
            .chain(keys.iter().copied())
            .chain(canonical::INFORMATION)
            .collect();
        for (key, value) in node.entries() {
            let hint = suggest(&key.written, &names, "keys here are");
            findings.wrong_key(key, value, format!("unknown key `{}`", key.written)).hint = hint;
        }
        self.problems.append(&mut findings.problems);
        Parts { information, name, extract, transform, load, settings }
    }
}

/// Puts the parts of `pipeline.yaml` that `transform.yaml` would hold together as that file would.
fn transform_part(node: &mut Node) -> Option<Node> {
    let taken: Vec<(Key, Node)> =
        ["transform", "transformers", "jsonata", "custom_function"].into_iter().filter_map(|name| node.take_given(name)).collect();
    match taken.as_slice() {
        [] => None,
        // Here, too, the section may hold what the whole file would: `transform: {transform: …, jsonata: …}`.
        [(key, value)] if key.name == "transform" && (value.get("transform").is_some() || value.get("transformers").is_some()) => {
            Some(value.clone())
        }
        _ => {
            let mut file = Node::beside(node, Value::Map(Vec::new()));
            let has_body = taken.iter().any(|(key, _)| key.name == "transform" || key.name == "transformers");
            if !has_body {
                let key = Key { name: "transform".into(), written: "transform".into(), line: node.line, column: node.column };
                file.put(key, Node::beside(node, Value::Null));
            }
            taken.into_iter().for_each(|(key, value)| file.put(key, value));
            Some(file)
        }
    }
}

/// Settings of a pipeline over those of a shared file.
fn over(inline: Settings, shared: Settings) -> Settings {
    let Settings { name, dlq, metadata_store, contract, limits, max_error_ratio, max_retries, timeout_seconds } = inline;
    let default = Settings::default();
    Settings {
        name: name.or(shared.name),
        dlq: dlq.or(shared.dlq),
        metadata_store: metadata_store.or(shared.metadata_store),
        contract: contract.or(shared.contract),
        limits: limits.or(&shared.limits),
        max_error_ratio: if max_error_ratio == default.max_error_ratio { shared.max_error_ratio } else { max_error_ratio },
        max_retries: if max_retries == default.max_retries { shared.max_retries } else { max_retries },
        timeout_seconds: if timeout_seconds == default.timeout_seconds { shared.timeout_seconds } else { timeout_seconds },
    }
}
