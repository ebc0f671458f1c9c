//! The stages of a plan: components loaded, configured on the schema that reaches each, ready to be opened for every worker.

use std::path::Path;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use serde_json::{Value, json};

use super::RunOptions;
use super::chain::Chain;
use crate::artifact::{self, Library, Lock, Origin, Pinned};
use crate::config::component::Digest;
use crate::error::{Error, Place, Result, did_you_mean};
use crate::plan::{ComponentName, Plan, StagePlan};
use crate::report::StageReport;
use crate::sandbox::{Component, Recipe, Sandbox, Scope, imports};
use crate::source::read_lines;
use crate::stage::{ComponentStage, Judge, Policy, Stage};

/// Opens one stage, configured for its input.
pub type OpenStage = Box<dyn Fn() -> Result<Box<dyn Stage>> + Send + Sync>;

/// The stages of a run, ready to be opened for every worker.
pub struct Stages {
    /// For each stage, how it is opened.
    pub open: Vec<OpenStage>,
    /// For each stage its name and the digest of its component, all figures zero.
    pub reports: Vec<StageReport>,
    /// For each stage the schema that comes out, where it is known.
    pub outputs: Vec<Option<SchemaRef>>,
    /// Whether a stage remembers, so that one worker must see all batches in order.
    pub remembers: bool,
}

impl Stages {
    /// Opens all of them.
    pub(super) fn open(&self) -> Result<Chain> {
        Ok(Chain::new(self.open.iter().map(|open| open()).collect::<Result<_>>()?))
    }
}

/// The components of a plan, found and loaded.
pub(super) struct Components(Vec<Loaded>);

/// One component, and which of its functions a stage runs.
struct Loaded {
    component: Arc<Component>,
    function: String,
    scope: Scope,
    located: Located,
}

/// Where a stage's component was found, and what holds it to its digest.
#[derive(Clone, Debug)]
pub struct Located {
    /// Digest of its bytes.
    pub digest: Digest,
    /// Where it was found.
    pub origin: Origin,
    /// What holds it to its digest.
    pub pinned: Pinned,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
}

impl Components {
    /// Finds each stage's component, holds it to the lock file, loads it and finds its function.
    pub(super) fn load(plan: &Plan, library: &Library, sandbox: &Sandbox) -> Result<Self> {
        let lock = Lock::read(&plan.root)?.unwrap_or_default();
        plan.stages.iter().map(|stage| load(stage, &plan.root, &lock, library, sandbox)).collect::<Result<_>>().map(Self)
    }

    /// Where each was found.
    pub(super) fn located(&self) -> Vec<Located> {
        self.0.iter().map(|loaded| loaded.located.clone()).collect()
    }

    /// Whether a stage sees the rows of a batch together, so that it can tell how many there are.
    pub(super) fn see_batches(&self) -> bool {
        self.0.iter().any(|loaded| loaded.scope != Scope::Stateless)
    }

    /// The first stage from an index on that remembers rows from batch to batch.
    pub(super) fn remembering<'a>(&self, plan: &'a Plan, from: usize) -> Option<&'a str> {
        let stages = plan.stages.iter().zip(&self.0).skip(from);
        stages.filter(|(_, loaded)| loaded.scope == Scope::Stream).map(|(stage, _)| stage.name.as_str()).next()
    }

    /// Configures each stage on the schema that reaches it, so that wrong options show before a row is read.
    pub(super) fn configure(&self, plan: &Plan, options: &RunOptions, sandbox: &Sandbox, source: SchemaRef) -> Result<Stages> {
        let seed = options.seed.unwrap_or_else(|| seed(&options.run_id));
        let mut schema = Some(source);
        let mut stages = Stages { open: Vec::new(), reports: Vec::new(), outputs: Vec::new(), remembers: false };
        for (stage, loaded) in plan.stages.iter().zip(&self.0) {
            let Loaded { component, function, scope, located: _ } = loaded;
            let recipe = Recipe {
                component: component.clone(),
                function: function.clone(),
                options: options_of(stage, schema.is_none()).to_string(),
                limits: stage.limits,
                access: sandbox.access(&stage.grants).map_err(|error| error.at(stage.place.clone()))?,
                stage: Arc::from(stage.name.as_str()),
                now_ms: options.started.timestamp_millis(),
                seed,
                handle: sandbox.handle().clone(),
            };
            let policy = Policy {
                on_error: stage.on_error,
                on_trap: stage.on_trap,
                max_error_ratio: stage.max_error_ratio,
                judges: stage.validation.is_some(),
                // The rows of `scope: dataset` are remembered as JSON, unique keys by their values.
                any_columns: matches!(stage.component, ComponentName::Jsonata | ComponentName::Validate),
            };
            let (input, scope) = (schema.take(), *scope);
            if let Some(input) = &input {
                check_columns(stage, input)?;
                let opened = ComponentStage::open(recipe.clone(), policy, scope, read_lines, input);
                schema = opened.map_err(|error| at_step(stage, &recipe, input, error))?.1.output;
            }
            stages.open.push(Box::new(move || {
                let stage = match &input {
                    Some(input) => ComponentStage::open(recipe.clone(), policy, scope, read_lines, input)?.0,
                    None => ComponentStage::closed(recipe.clone(), policy, scope, read_lines),
                };
                let stage: Box<dyn Stage> = Box::new(stage);
                Ok(if policy.judges { Box::new(Judge::of(stage)) } else { stage })
            }));
            stages.reports.push(StageReport {
                name: stage.name.clone(),
                digest: component.description.digest.clone(),
                ..StageReport::default()
            });
            stages.outputs.push(schema.clone());
            stages.remembers |= scope == Scope::Stream;
        }
        Ok(stages)
    }
}

fn load(stage: &StagePlan, root: &Path, lock: &Lock, library: &Library, sandbox: &Sandbox) -> Result<Loaded> {
    let at_stage = |error: Error| error.while_doing(format!("stage `{}`", stage.name)).at(stage.place.clone());
    let found = artifact::resolve(&stage.component, root, lock, library).map_err(at_stage)?;
    let component = sandbox.load(&found.wasm, &found.name).map_err(at_stage)?;
    let function = component.function(stage.function.as_deref()).map_err(|error| error.at(stage.place.clone()))?;
    let (name, scope) = (function.name.clone(), function.state);
    let imports = component.description.imports.clone();
    imports::check(&found.name, &imports, &stage.grants).map_err(at_stage)?;
    let located = Located { imports, digest: found.digest, origin: found.origin, pinned: found.pinned };
    Ok(Loaded { component, function: name, scope, located })
}

/// Checks that the columns which rules speak of are there; a column that is not breaks no rule, so that a slip would pass every row.
fn check_columns(stage: &StagePlan, input: &SchemaRef) -> Result<()> {
    // An empty source has no columns, and is no mistake.
    let Some(validation) = stage.validation.as_ref().filter(|_| !input.fields().is_empty()) else { return Ok(()) };
    let Some((column, place)) = validation.columns.iter().find(|(name, _)| input.index_of(name).is_err()) else { return Ok(()) };
    let names: Vec<&str> = input.fields().iter().map(|field| field.name().as_str()).collect();
    let near = did_you_mean(column, names.iter().copied()).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    let there: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    Err(Error::config(format!("stage `{}`: there is no column `{column}`", stage.name))
        .hint(format!("{near}columns here are {}; `required: true` lets each row without it break a rule", there.join(", ")))
        .at(place.clone()))
}

/// Says of an error where in the user's text it is: with the step, where the guest names one of several by its number.
fn at_step(stage: &StagePlan, recipe: &Recipe, input: &SchemaRef, error: Error) -> Error {
    /// The place of the step that an option is about, and the option within it.
    fn find<'a>(stage: &'a StagePlan, field: Option<&'a str>) -> Option<(&'a Place, &'a str)> {
        let (index, within) = field?.strip_prefix("steps[")?.split_once(']')?;
        let place = stage.places.get(index.parse::<usize>().ok()?).filter(|place| !place.file.is_empty())?;
        Some((place, within.trim_start_matches('.')))
    }
    // The guest is asked again: an error is a sentence, a failure says which option it means.
    let failures = recipe.open(input, None).err().unwrap_or_default();
    let Some((place, within)) = failures.first().and_then(|first| find(stage, first.field.as_deref())) else {
        return error.at(stage.place.clone());
    };
    let rest: Vec<String> = failures[1..]
        .iter()
        .map(|failure| match find(stage, failure.field.as_deref()) {
            Some((place, within)) => format!("{place}: `{within}`: {}", failure.message),
            None => failure.full_message(),
        })
        .collect();
    let error = failures[0].clone().into_error(format!("stage `{}`, `{within}`", stage.name)).at(place.clone());
    if rest.is_empty() { error } else { error.because(anyhow::anyhow!("and {}", rest.join("; and "))) }
}

/// The options as the guest gets them. The simple operations read variables from there; in a plan, which is shown, no value of one stands.
///
/// `late` says that the columns before the stage are known once rows have come.
fn options_of(stage: &StagePlan, late: bool) -> Value {
    let mut options = stage.options.clone();
    let is_steps = stage.component == ComponentName::Ops && options.get("steps").is_some();
    if late && (is_steps || stage.component == ComponentName::Aggregate) {
        options["late"] = true.into();
    }
    if is_steps {
        options["env"] = stage.grants.env.iter().map(|(name, value)| json!([name, value.0])).collect();
    }
    options
}

/// Draws the run's seed from its id: FNV-1a, 64 bits.
fn seed(run_id: &str) -> u64 {
    run_id.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}
