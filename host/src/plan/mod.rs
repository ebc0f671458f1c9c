//! What will run: names resolved, contradictions refused, steps fused into stages. Pure: no file is touched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

mod limits;

pub use limits::Limits;

use crate::config::extract::{FileSource, Reading, Source};
use crate::config::load::{FileSink, Sink};
use crate::config::pipeline::Pipeline;
use crate::config::settings::{self, DeadLetterBackend};
use crate::config::transform::{CustomFunction, OnError, OnTrap, Step, Target, Transform};
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
    /// What happens when it refuses rows.
    pub on_error: OnError,
    /// What happens when it crashes.
    pub on_trap: OnTrap,
    /// Share of a batch's rows on which it may crash before the run fails.
    pub max_error_ratio: f64,
    /// The steps in it, for a person.
    pub steps: Vec<String>,
    /// Where it stands in the user's text.
    pub place: Place,
}

/// Names a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentName {
    /// The simple operations, which ship inside the binary.
    Ops,
    /// A file.
    File(PathBuf),
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
        let params = match parameters(pipeline, &overrides.params) {
            Ok(params) => params,
            Err(wrong) => {
                errors.extend(wrong);
                BTreeMap::new()
            }
        };
        let stages = stages(pipeline, root, &params, env, &mut errors);
        let (Source::File(source), Sink::File(sink), true) = (&pipeline.extract.source, &pipeline.load.sink, errors.is_empty()) else {
            if errors.is_empty() {
                errors.push(Error::config("this pipeline's source or sink is not built yet"));
            }
            return Err(errors);
        };
        let reading = pipeline.extract.reading.clone();
        let limit = [overrides.limit, reading.max_records].into_iter().flatten().min();
        let (as_text, converted) = retyped(&pipeline.transform);
        Ok(Self {
            name: pipeline.name.clone(),
            root: root.to_owned(),
            source: source.clone(),
            reading,
            stages,
            sink: sink.clone(),
            dead_letters: dead_letters(pipeline, root),
            limit,
            as_text,
            converted,
        })
    }
}

/// The run's parameters, held to what the pipeline says it takes.
fn parameters(pipeline: &Pipeline, given: &BTreeMap<String, String>) -> Result<BTreeMap<String, Value>, Vec<Error>> {
    let known = &pipeline.extract.input_params.0;
    let mut errors = Vec::new();
    for name in given.keys().filter(|name| !known.iter().any(|(known, _)| known == *name)) {
        let error = Error::config(format!("the pipeline takes no parameter `{name}`"));
        errors.push(match crate::error::did_you_mean(name, known.iter().map(|(name, _)| name.as_str())) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None if known.is_empty() => error.hint("it takes none; parameters stand in `input_params` of extract.yaml"),
            None => error.hint(format!("it takes {}", known.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", "))),
        });
    }
    let mut params = BTreeMap::new();
    for (name, param) in known {
        match (given.get(name), &param.default) {
            (Some(text), _) => {
                params.insert(name.clone(), Value::from(text.as_str()));
            }
            (None, Some(default)) => {
                params.insert(name.clone(), default.clone());
            }
            (None, None) if param.required => {
                let what = param.description.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
                errors.push(Error::config(format!("parameter `{name}` is missing{what}")).hint(format!("pass `--param {name}=…`")));
            }
            (None, None) => {}
        }
    }
    if errors.is_empty() { Ok(params) } else { Err(errors) }
}

/// Fuses neighbouring simple operations and lowers every step to a stage.
fn stages(
    pipeline: &Pipeline,
    root: &Path,
    params: &BTreeMap<String, Value>,
    env: &dyn Fn(&str) -> Option<String>,
    errors: &mut Vec<Error>,
) -> Vec<StagePlan> {
    let transform = &pipeline.transform;
    let limits = |own: &settings::Limits| limits(&own.or(&pipeline.settings.limits));
    let mut env_values = Vec::new();
    for name in &transform.grants.env {
        match env(name) {
            Some(value) => env_values.push((name.clone(), value)),
            None => tracing::warn!(name, "a granted variable is not set"),
        }
    }
    let mut steps: Vec<(Step, Place)> = transform.steps.iter().map(|placed| (placed.step.clone(), placed.place.clone())).collect();
    if transform.params_become_columns && !params.is_empty() {
        // Not `add`, in which a text would be an expression.
        let columns = params.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        steps.insert(0, (Step::Simple(etl_steps::Step::Defaults(columns)), Place::default()));
    }
    let mut stages: Vec<StagePlan> = Vec::new();
    let mut fused: Option<(etl_steps::Options, StagePlan)> = None;
    let close = |fused: Option<(etl_steps::Options, StagePlan)>, stages: &mut Vec<StagePlan>| {
        if let Some((options, mut stage)) = fused {
            stage.options = serde_json::to_value(options).expect("options are JSON");
            stages.push(stage);
        }
    };
    for (step, place) in steps {
        match step {
            Step::Simple(step) => {
                let (options, stage) = fused.get_or_insert_with(|| {
                    let options = etl_steps::Options { steps: Vec::new(), env: env_values.clone() };
                    let stage = StagePlan {
                        name: "ops".into(),
                        component: ComponentName::Ops,
                        function: None,
                        options: Value::Null,
                        limits: limits(&transform.limits),
                        on_error: OnError::DeadLetter,
                        on_trap: OnTrap::Bisect,
                        max_error_ratio: pipeline.settings.max_error_ratio,
                        steps: Vec::new(),
                        place,
                    };
                    (options, stage)
                });
                stage.steps.push(describe(&step));
                options.steps.push(step);
            }
            Step::Custom(custom) => {
                close(fused.take(), &mut stages);
                match custom_stage(&custom, root, params, limits(&custom.limits), pipeline.settings.max_error_ratio, place) {
                    Ok(stage) => stages.push(stage),
                    Err(error) => errors.push(error),
                }
            }
            // Those are listed as not built.
            Step::Jsonata(_) | Step::Later(_, _) => {}
        }
    }
    close(fused, &mut stages);
    // Two stages of one name could not be told apart in a report.
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for stage in &mut stages {
        let count = seen.entry(stage.name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            stage.name = format!("{}_{count}", stage.name);
        }
    }
    stages
}

fn custom_stage(
    custom: &CustomFunction,
    root: &Path,
    params: &BTreeMap<String, Value>,
    limits: Limits,
    max_error_ratio: f64,
    place: Place,
) -> Result<StagePlan> {
    let CustomFunction { target, mode: _, kwargs, limits: _, grants: _, on_error, on_trap, max_error_ratio: own_ratio } = custom;
    let (path, function) = match target {
        Target::Component { path, function } => (root.join(path), function.clone()),
        Target::Python { module, function } => {
            return Err(Error::config(format!(
                "the Python function `{module}.{function}` is not built into a component, which is not built yet"
            ))
            .at(place));
        }
    };
    // kwargs are under the run's parameters: those win.
    let mut options = kwargs.clone();
    for (name, value) in params {
        options.insert(name.clone(), value.clone());
    }
    let name = function
        .clone()
        .or_else(|| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "custom_function".into());
    Ok(StagePlan {
        steps: vec![format!("custom_function {}", path.display())],
        name,
        component: ComponentName::File(path),
        function,
        options: Value::Object(options),
        limits,
        on_error: *on_error,
        on_trap: *on_trap,
        max_error_ratio: own_ratio.unwrap_or(max_error_ratio),
        place,
    })
}

/// The limits that hold: what the user says, then the defaults.
fn limits(written: &settings::Limits) -> Limits {
    let settings::Limits { fuel_per_row, fuel_per_batch, memory_mb, timeout_ms, output_mb } = written;
    let mut limits = Limits::default();
    match (fuel_per_row, fuel_per_batch) {
        (Some(row), None) => limits.fuel_per_row = row.get(),
        (None, Some(batch)) => {
            limits.fuel_per_batch = batch.get();
            limits.fuel_per_row = 0;
        }
        (Some(row), Some(batch)) => (limits.fuel_per_row, limits.fuel_per_batch) = (row.get(), batch.get()),
        (None, None) => {}
    }
    let bytes = |mb: u64| usize::try_from(mb.saturating_mul(1 << 20)).unwrap_or(usize::MAX);
    if let Some(mb) = memory_mb {
        limits.memory_bytes = bytes(mb.get());
    }
    if let Some(ms) = timeout_ms {
        limits.timeout = Duration::from_millis(ms.get());
    }
    limits.output_bytes = output_mb.map(|mb| bytes(mb.get()));
    limits
}

fn dead_letters(pipeline: &Pipeline, root: &Path) -> DeadLetters {
    let default = || root.join("dlq").join(format!("{}.jsonl", pipeline.name));
    match pipeline.dead_letters() {
        None => DeadLetters::File(default()),
        Some(settings) if !settings.enabled => DeadLetters::Off,
        Some(settings) => match settings.backend {
            DeadLetterBackend::Memory => DeadLetters::Memory,
            // A database is listed as not built.
            DeadLetterBackend::File | DeadLetterBackend::Database => match &settings.path {
                None => DeadLetters::File(default()),
                Some(path) if path.ends_with(".jsonl") || path.ends_with(".json") => DeadLetters::File(root.join(path)),
                Some(folder) => DeadLetters::File(root.join(folder).join(format!("{}.jsonl", pipeline.name))),
            },
        },
    }
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
            Step::Simple(etl_steps::Step::Drop(_)) => {}
            _ => break,
        }
    }
    (text, other)
}

/// A step in a few words.
fn describe(step: &etl_steps::Step) -> String {
    use etl_steps::Step;
    match step {
        Step::Rename(pairs) => format!("rename {}", pairs.len()),
        Step::Convert { fields, .. } => format!("convert {}", fields.len()),
        Step::Defaults(pairs) => format!("defaults {}", pairs.len()),
        Step::Add(pairs) => format!("add {}", pairs.len()),
        Step::Select(names) => format!("select {}", names.len()),
        Step::Drop(names) => format!("drop {}", names.len()),
        Step::Filter(filter) => format!("filter {}", filter.field),
        Step::Map { field, .. } => format!("map {field}"),
        Step::Flatten(_) => "flatten".into(),
        Step::Unnest(field) => format!("unnest {field}"),
        Step::FillNull(pairs) => format!("fill_null {}", pairs.len()),
    }
}
