//! Steps to stages: neighbouring simple operations fused, every other step a stage of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use etl_steps::flatten::Flattening;
use serde_json::Value;

use super::validate;
use super::{ComponentName, Grants, Limits, StagePlan};
use crate::config::component::Component;
use crate::config::pipeline::Pipeline;
use crate::config::settings;
use crate::config::transform::{CustomFunction, Jsonata, Mode, OnError, OnTrap, Scope, Step, Target};
use crate::error::{Error, Place};

/// What follows the name of a module's function that gets one row after the other.
pub const BY_RECORD: &str = "@record";

/// The option that tells a module which of its options are parameters of the run only.
const PARAMS: &str = "@params";

/// Memory of a step that holds rows or groups, where the user does not say.
const GATHER_MEMORY_BYTES: usize = 512 << 20;

/// Makes parameters columns of every row, whatever it has in them, under the names that `rename` gives them: as the oldest dialect does, behind
/// `rename` and `flatten` and before anything else.
fn set_params(params: &BTreeMap<String, Value>, steps: &mut Vec<(Step, Place)>) {
    use etl_steps::Step as Simple;
    let place = steps.first().map(|(_, place)| place.clone()).unwrap_or_default();
    let is_shape = |(step, _): &(Step, Place)| matches!(step, Step::Simple(Simple::Rename(_)) | Step::Flatten(_));
    let behind = steps.iter().position(|step| !is_shape(step)).unwrap_or(steps.len());
    let renamed: Vec<&(String, String)> = steps[..behind]
        .iter()
        .filter_map(|(step, _)| if let Step::Simple(Simple::Rename(pairs)) = step { Some(pairs) } else { None })
        .flatten()
        .collect();
    let name_of = |name: &String| renamed.iter().find(|(old, _)| old == name).map_or(name, |(_, new)| new).clone();
    // Not `add`, in which a text would be an expression.
    let columns = params.iter().map(|(name, value)| (name_of(name), value.clone())).collect();
    // What is renamed is there, whether the source has it or not.
    let there =
        params.iter().filter(|(name, _)| name_of(name) != **name).map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>();
    steps.insert(behind, (Step::Simple(Simple::Set(columns)), place.clone()));
    if !there.is_empty() {
        steps.insert(0, (Step::Simple(Simple::Defaults(there)), place));
    }
}

/// Fuses neighbouring simple operations and lowers every step to a stage.
pub(super) fn stages(
    pipeline: &Pipeline,
    root: &Path,
    params: &BTreeMap<String, Value>,
    env: &dyn Fn(&str) -> Option<String>,
    errors: &mut Vec<Error>,
) -> Vec<StagePlan> {
    let transform = &pipeline.transform;
    let limits_over = |own: &settings::Limits, defaults: Limits| limits(&own.or(&pipeline.settings.limits), defaults);
    let limits = |own: &settings::Limits| limits_over(own, Limits::default());
    let grants = Grants::new(&transform.grants, env);
    let mut steps: Vec<(Step, Place)> = transform.steps.iter().map(|placed| (placed.step.clone(), placed.place.clone())).collect();
    if transform.params_become_columns && !params.is_empty() {
        set_params(params, &mut steps);
    }
    let mut stages: Vec<StagePlan> = Vec::new();
    if let Some(validation) = &pipeline.extract.validation {
        stages.extend(validate::stage("extract_validation", validation, pipeline, root, errors));
    }
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
                    let options = etl_steps::Options::default();
                    let stage = StagePlan {
                        name: "ops".into(),
                        component: ComponentName::Ops,
                        function: Some("ops".into()),
                        options: Value::Null,
                        limits: limits(&transform.limits),
                        grants: grants.clone(),
                        on_error: OnError::DeadLetter,
                        on_trap: OnTrap::Bisect,
                        max_error_ratio: pipeline.settings.max_error_ratio,
                        steps: Vec::new(),
                        validation: None,
                        places: Vec::new(),
                        place: place.clone(),
                    };
                    (options, stage)
                });
                stage.steps.push(describe(&step));
                stage.places.push(place);
                options.steps.push(step);
            }
            Step::Custom(custom) => {
                close(fused.take(), &mut stages);
                let defaults = match &custom.target {
                    Target::Component { .. } => Limits::default(),
                    Target::Module { .. } => Limits::of_module(),
                };
                stages.push(custom_stage(
                    &custom,
                    root,
                    params,
                    env,
                    limits_over(&custom.limits, defaults),
                    pipeline.settings.max_error_ratio,
                    place,
                ));
            }
            Step::Flatten(flattening) => {
                close(fused.take(), &mut stages);
                stages.push(flatten_stage(&flattening, limits(&transform.limits), pipeline.settings.max_error_ratio, place));
            }
            Step::Jsonata(jsonata) => {
                close(fused.take(), &mut stages);
                let limits = expression_limits(&jsonata.limits, &pipeline.settings.limits, limits(&jsonata.limits));
                stages.push(jsonata_stage(jsonata, limits, pipeline.settings.max_error_ratio, place));
            }
            Step::Keep(expression) => {
                close(fused.take(), &mut stages);
                let limits = expression_limits(&transform.limits, &pipeline.settings.limits, limits(&transform.limits));
                let options = etl_steps::jsonata::Options { expression, memory_bytes: None };
                stages.push(expression_stage("filter", "filter by expression", options, limits, pipeline.settings.max_error_ratio, place));
            }
            Step::Gather(gathering) => {
                close(fused.take(), &mut stages);
                let own = gathering.limits.or(&transform.limits);
                let mut limits = limits(&own);
                if own.or(&pipeline.settings.limits).memory_mb.is_none() {
                    limits.memory_bytes = GATHER_MEMORY_BYTES;
                }
                stages.push(super::gather::stage(gathering.gather, limits, pipeline.settings.max_error_ratio, place));
            }
            Step::Validate(validation) => {
                close(fused.take(), &mut stages);
                stages.extend(validate::stage("validate", &validation, pipeline, root, errors));
            }
        }
    }
    close(fused, &mut stages);
    if let Some(validation) = &pipeline.load.validation {
        stages.extend(validate::stage("load_validation", validation, pipeline, root, errors));
    }
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

/// Fuel for each row that an expression works on. It is dearer than a simple operation, and how much so only its author knows.
const EXPRESSION_FUEL_PER_ROW: u64 = 2_000_000;

/// The limits of an expression: as those of every stage, with more fuel where the user does not say how much.
pub(super) fn expression_limits(own: &settings::Limits, settings: &settings::Limits, limits: Limits) -> Limits {
    let written = own.or(settings);
    match (written.fuel_per_row, written.fuel_per_batch) {
        (None, None) => Limits { fuel_per_row: EXPRESSION_FUEL_PER_ROW, ..limits },
        _ => limits,
    }
}

/// A stage of its own, since the columns behind it may be known only once its rows have come.
fn flatten_stage(flattening: &Flattening, limits: Limits, max_error_ratio: f64, place: Place) -> StagePlan {
    StagePlan {
        name: "flatten".into(),
        component: ComponentName::Ops,
        function: Some("flatten".into()),
        options: serde_json::to_value(flattening).expect("options are JSON"),
        limits,
        grants: Grants::default(),
        on_error: OnError::DeadLetter,
        on_trap: OnTrap::Bisect,
        max_error_ratio,
        validation: None,
        steps: vec!["flatten".into()],
        places: vec![place.clone()],
        place,
    }
}

fn jsonata_stage(jsonata: Jsonata, limits: Limits, max_error_ratio: f64, place: Place) -> StagePlan {
    let Jsonata { expression, mode, scope, limits: _, on_error, on_trap } = jsonata;
    let (function, words) = match (mode, scope) {
        (Mode::Record, _) => ("record", "jsonata by record"),
        (Mode::Batch, Scope::Batch) => ("batch", "jsonata by batch"),
        (Mode::Batch, Scope::Dataset) => ("dataset", "jsonata on all rows"),
    };
    let memory_bytes = (scope == Scope::Dataset).then_some(limits.memory_bytes);
    StagePlan {
        name: "jsonata".into(),
        on_error,
        on_trap,
        ..expression_stage(function, words, etl_steps::jsonata::Options { expression, memory_bytes }, limits, max_error_ratio, place)
    }
}

fn expression_stage(
    function: &str,
    words: &str,
    options: etl_steps::jsonata::Options,
    limits: Limits,
    max_error_ratio: f64,
    place: Place,
) -> StagePlan {
    StagePlan {
        name: function.into(),
        component: ComponentName::Jsonata,
        function: Some(function.into()),
        options: serde_json::to_value(options).expect("options are JSON"),
        limits,
        grants: Grants::default(),
        on_error: OnError::DeadLetter,
        on_trap: OnTrap::Bisect,
        max_error_ratio,
        validation: None,
        steps: vec![words.into()],
        places: vec![place.clone()],
        place,
    }
}

fn custom_stage(
    custom: &CustomFunction,
    root: &Path,
    params: &BTreeMap<String, Value>,
    env: &dyn Fn(&str) -> Option<String>,
    limits: Limits,
    max_error_ratio: f64,
    place: Place,
) -> StagePlan {
    let CustomFunction { target, mode, kwargs, limits: _, grants, on_error, on_trap, max_error_ratio: own_ratio } = custom;
    let (component, name, function) = match target {
        Target::Component { component, function } => {
            let (named, own_name) = match component {
                Component::File(path) => (ComponentName::File(root.join(path).components().collect()), file_stem(path)),
                Component::Digest(digest) => (ComponentName::Digest(digest.clone()), digest.hex()[..12].to_owned()),
                Component::Registry(reference) => (ComponentName::Oci(reference.clone()), file_stem(&reference.repository)),
            };
            (named, function.clone().unwrap_or(own_name), function.clone())
        }
        Target::Module { module, function } => {
            // A component that is built of a module offers each function in both modes.
            let in_mode = if *mode == Mode::Record { format!("{function}{BY_RECORD}") } else { function.clone() };
            (ComponentName::Module(module.clone()), function.clone(), Some(in_mode))
        }
    };
    // kwargs are under the run's parameters: those win.
    let mut options = kwargs.clone();
    for (name, value) in params {
        options.insert(name.clone(), value.clone());
    }
    if matches!(target, Target::Module { .. }) {
        // A parameter may be meant for the source alone: a function that does not take it goes without.
        let only_params: Vec<&str> = params.keys().filter(|name| !kwargs.contains_key(*name)).map(String::as_str).collect();
        if !only_params.is_empty() {
            options.insert(PARAMS.into(), only_params.into());
        }
    }
    let shown = match target {
        Target::Component { .. } => component.to_string(),
        Target::Module { module, function } => format!("{module}.{function}"),
    };
    StagePlan {
        steps: vec![format!("custom_function {shown}")],
        validation: None,
        places: vec![place.clone()],
        name,
        component,
        function,
        options: Value::Object(options),
        limits,
        grants: Grants::new(grants, env),
        on_error: *on_error,
        on_trap: *on_trap,
        max_error_ratio: own_ratio.unwrap_or(max_error_ratio),
        place,
    }
}

/// The last part of a path, without its ending.
fn file_stem(path: &str) -> String {
    Path::new(path).file_stem().map_or_else(|| "custom_function".into(), |stem| stem.to_string_lossy().into_owned())
}

/// The limits that hold: what the user says, then the defaults.
pub(super) fn limits(written: &settings::Limits, defaults: Limits) -> Limits {
    let settings::Limits { fuel_per_row, fuel_per_batch, memory_mb, timeout_ms, output_mb } = written;
    let mut limits = defaults;
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

/// A step in a few words.
fn describe(step: &etl_steps::Step) -> String {
    use etl_steps::Step;
    match step {
        Step::Rename(pairs) => format!("rename {}", pairs.len()),
        Step::Convert { fields, .. } => format!("convert {}", fields.len()),
        Step::Defaults(pairs) => format!("defaults {}", pairs.len()),
        Step::Add(pairs) => format!("add {}", pairs.len()),
        Step::Set(pairs) => format!("parameters {}", pairs.len()),
        Step::Select(names) => format!("select {}", names.len()),
        Step::Drop(names) => format!("drop {}", names.len()),
        Step::Filter(filter) => format!("filter {}", filter.field),
        Step::Map { field, .. } => format!("map {field}"),
        Step::Unnest(field) => format!("unnest {field}"),
        Step::FillNull(pairs) => format!("fill_null {}", pairs.len()),
    }
}
