//! What will run: names resolved, contradictions refused, steps fused into stages. Pure: no file is touched.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use etl_steps::validate::{Rule, Thresholds};
use serde::Serialize;
use serde_json::Value;

mod gather;
mod grants;
mod limits;
mod params;
mod stages;
mod validate;

pub use grants::Grants;
pub use limits::Limits;
pub use stages::BY_RECORD;

use crate::config::component::{Digest, Reference};
use crate::config::extract::{FileSource, Reading, Source};
use crate::config::load::{FileSink, Sink};
use crate::config::pipeline::Pipeline;
use crate::config::settings::{DeadLetterBackend, DeadLetters as Settings};
use crate::config::transform::{OnError, OnTrap, Step, Transform};
use crate::error::{Error, Place, Result};

/// What will run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The pipeline's name.
    pub name: String,
    /// The contract directory; paths are relative to it.
    pub root: PathBuf,
    /// Where rows come from.
    pub source: FileSource,
    /// How they are read.
    pub reading: Reading,
    /// What is done to them, in order.
    pub stages: Vec<StagePlan>,
    /// Where they go to.
    pub sink: FileSink,
    /// Where those go that go no further.
    pub dead_letters: DeadLetters,
    /// Rows to read at most.
    pub limit: Option<u64>,
    /// Columns of the source that are made text before anything looks at them.
    pub as_text: Vec<String>,
    /// Columns of the source that are converted before anything looks at them.
    pub converted: Vec<String>,
}

/// A stage: one guest, configured.
#[derive(Clone, Debug)]
pub struct StagePlan {
    /// The name under which messages speak of it.
    pub name: String,
    /// The component.
    pub component: ComponentName,
    /// The function of it; absent = its only one.
    pub function: Option<String>,
    /// Options as JSON.
    pub options: Value,
    /// What it may use.
    pub limits: Limits,
    /// What it may reach.
    pub grants: Grants,
    /// What happens when it refuses rows.
    pub on_error: OnError,
    /// What happens when it crashes.
    pub on_trap: OnTrap,
    /// Share of a batch's rows on which it may crash before the run fails.
    pub max_error_ratio: f64,
    /// The steps in it, for a person.
    pub steps: Vec<String>,
    /// The rules that it holds rows to, where that is what it does.
    pub validation: Option<Arc<Validation>>,
    /// Where each of the steps stands in the user's text; as many as there are steps.
    pub places: Vec<Place>,
    /// Where it starts in the user's text.
    pub place: Place,
}

/// What a stage holds rows to, as the report tells it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Validation {
    /// The rules in the order in which the guest counts them.
    pub rules: Vec<Rule>,
    /// What the data must come to as a whole.
    pub thresholds: Thresholds,
    /// Where rows go that it refuses; `None` = where those of the pipeline go.
    pub dead_letters: Option<DeadLetters>,
}

/// Names a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentName {
    /// The simple operations, which ship inside the binary as all that follow down to [`ComponentName::Aggregate`].
    Ops,
    /// JSONata expressions.
    Jsonata,
    /// Rules that rows must satisfy.
    Validate,
    /// Aggregates, de-duplication, sorting, windows.
    Aggregate,
    /// A file.
    File(PathBuf),
    /// A component of the store.
    Digest(Digest),
    /// A component of a registry.
    Oci(Reference),
    /// A component that `build` made of a module in Python or JavaScript, by the module's dotted name; the lock file says which.
    Module(String),
}

impl fmt::Display for ComponentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ops => f.write_str("the built-in `ops`"),
            Self::Jsonata => f.write_str("the built-in `jsonata`"),
            Self::Validate => f.write_str("the built-in `validate`"),
            Self::Aggregate => f.write_str("the built-in `aggregate`"),
            Self::File(path) => path.display().fmt(f),
            Self::Digest(digest) => digest.fmt(f),
            Self::Oci(reference) => reference.fmt(f),
            Self::Module(module) => f.write_str(module),
        }
    }
}

/// Where rows go that go no further.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetters {
    /// A file of JSON lines, or a folder with one for each pipeline.
    File(PathBuf),
    /// The report only.
    Memory,
    /// They are counted, not kept.
    Off,
}

/// What the command line adds to a pipeline.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The run's parameters.
    pub params: BTreeMap<String, String>,
    /// Rows to read at most.
    pub limit: Option<u64>,
}

impl Plan {
    /// Works out what will run. `env` answers the variables that a stage was granted.
    ///
    /// # Errors
    /// Config: everything that is used and not built yet, unknown and missing parameters.
    pub fn new(pipeline: &Pipeline, root: &Path, overrides: &Overrides, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<Error>> {
        let mut errors: Vec<Error> = pipeline.not_built().iter().cloned().map(Error::from).collect();
        let params = match params::parameters(pipeline, &overrides.params) {
            Ok(params) => params,
            Err(wrong) => {
                errors.extend(wrong);
                BTreeMap::new()
            }
        };
        let stages = stages::stages(pipeline, root, &params, env, &mut errors);
        let (Source::File(source), Sink::File(sink), true) = (&pipeline.extract.source, &pipeline.load.sink, errors.is_empty()) else {
            if errors.is_empty() {
                errors.push(Error::config("this pipeline's source or sink is not built yet"));
            }
            return Err(errors);
        };
        let reading = pipeline.extract.reading.clone();
        let limit = [overrides.limit, reading.max_records].into_iter().flatten().min();
        let (mut as_text, converted) = retyped(&pipeline.transform);
        validate::keep_texts(pipeline, source, &mut as_text);
        Ok(Self {
            name: pipeline.name.clone(),
            root: root.to_owned(),
            source: source.clone(),
            reading,
            stages,
            sink: sink.clone(),
            dead_letters: dead_letters(pipeline.dead_letters(), &pipeline.name, root),
            limit,
            as_text,
            converted,
        })
    }
}

/// The place of dead letters; `None` settings are the default.
fn dead_letters(settings: Option<&Settings>, name: &str, root: &Path) -> DeadLetters {
    let default = || root.join("dlq").join(format!("{name}.jsonl"));
    match settings {
        None => DeadLetters::File(default()),
        Some(settings) if !settings.enabled => DeadLetters::Off,
        Some(settings) => match settings.backend {
            DeadLetterBackend::Memory => DeadLetters::Memory,
            // A database is listed as not built.
            DeadLetterBackend::File | DeadLetterBackend::Database => match &settings.path {
                None => DeadLetters::File(default()),
                Some(path) if path.ends_with(".jsonl") || path.ends_with(".json") => DeadLetters::File(root.join(path)),
                Some(folder) => DeadLetters::File(root.join(folder).join(format!("{name}.jsonl"))),
            },
        },
    }
}

/// The place of dead letters that a validation asks for; `None` where it is that of the pipeline.
fn own_letters(asked: Option<&Settings>, pipeline: &Pipeline, root: &Path) -> Option<DeadLetters> {
    // `dlq: {enabled: true}` names no place.
    let asked = asked.filter(|asked| !asked.enabled || asked.path.is_some() || asked.backend != DeadLetterBackend::File)?;
    let own = dead_letters(Some(asked), &pipeline.name, root);
    (own != dead_letters(pipeline.dead_letters(), &pipeline.name, root)).then_some(own)
}

/// Columns of the source whose type the first steps set before anything looks at them: those made text, and those made something else.
fn retyped(transform: &Transform) -> (Vec<String>, Vec<String>) {
    // Current name to name in the source; a column that is not in it has its own.
    let mut sources: BTreeMap<String, Option<String>> = BTreeMap::new();
    let (mut text, mut other) = (Vec::new(), Vec::new());
    for placed in &transform.steps {
        match &placed.step {
            Step::Simple(etl_steps::Step::Rename(pairs)) => {
                let old: Vec<Option<String>> =
                    pairs.iter().map(|(from, _)| sources.remove(from).unwrap_or_else(|| Some(from.clone()))).collect();
                for (from, _) in pairs {
                    sources.entry(from.clone()).or_insert(None);
                }
                for ((_, to), source) in pairs.iter().zip(old) {
                    sources.insert(to.clone(), source);
                }
            }
            Step::Simple(etl_steps::Step::Convert { fields, .. }) => {
                for (field, kind) in fields {
                    let Some(source) = sources.get(field).cloned().unwrap_or_else(|| Some(field.clone())) else { continue };
                    let list = if *kind == etl_steps::Type::String { &mut text } else { &mut other };
                    if !list.contains(&source) {
                        list.push(source);
                    }
                }
                // A second `convert` would see the first one's types.
                break;
            }
            // Rules read a text as what it stands for.
            Step::Simple(etl_steps::Step::Drop(_)) | Step::Validate(_) => {}
            _ => break,
        }
    }
    (text, other)
}
