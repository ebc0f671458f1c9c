//! The stages of a plan: components loaded, configured on the schema that reaches each, ready to be opened for every worker.

use std::sync::Arc;

use arrow_schema::SchemaRef;

use super::RunOptions;
use super::chain::Chain;
use crate::error::Result;
use crate::plan::{ComponentName, Plan, StagePlan};
use crate::report::StageReport;
use crate::sandbox::{Component, Recipe, Sandbox, Scope};
use crate::source::read_lines;
use crate::stage::{ComponentStage, Policy, Stage};

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
pub(super) struct Components(Vec<(Arc<Component>, String, Scope)>);

impl Components {
    /// Loads each stage's component and finds its function.
    pub(super) fn load(plan: &Plan, sandbox: &Sandbox) -> Result<Self> {
        plan.stages.iter().map(|stage| load(stage, sandbox)).collect::<Result<_>>().map(Self)
    }

    /// Whether a stage sees the rows of a batch together, so that it can tell how many there are.
    pub(super) fn see_batches(&self) -> bool {
        self.0.iter().any(|(_, _, scope)| *scope != Scope::Stateless)
    }

    /// Configures each stage on the schema that reaches it, so that wrong options show before a row is read.
    pub(super) fn configure(&self, plan: &Plan, options: &RunOptions, sandbox: &Sandbox, source: SchemaRef) -> Result<Stages> {
        let seed = seed(&options.run_id);
        let mut schema = Some(source);
        let mut stages = Stages { open: Vec::new(), reports: Vec::new(), outputs: Vec::new(), remembers: false };
        for (stage, (component, function, scope)) in plan.stages.iter().zip(&self.0) {
            let recipe = Recipe {
                component: component.clone(),
                function: function.clone(),
                options: stage.options.to_string(),
                limits: stage.limits,
                stage: Arc::from(stage.name.as_str()),
                now_ms: options.started.timestamp_millis(),
                seed,
                handle: sandbox.handle().clone(),
            };
            let policy = Policy { on_error: stage.on_error, on_trap: stage.on_trap, max_error_ratio: stage.max_error_ratio };
            let (input, scope) = (schema.take(), *scope);
            if let Some(input) = &input {
                let opened = ComponentStage::open(recipe.clone(), policy, scope, read_lines, input);
                schema = opened.map_err(|error| error.at(stage.place.clone()))?.1.output;
            }
            stages.open.push(Box::new(move || {
                Ok(match &input {
                    Some(input) => Box::new(ComponentStage::open(recipe.clone(), policy, scope, read_lines, input)?.0),
                    None => Box::new(ComponentStage::closed(recipe.clone(), policy, scope, read_lines)),
                })
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

fn load(stage: &StagePlan, sandbox: &Sandbox) -> Result<(Arc<Component>, String, Scope)> {
    let component = match &stage.component {
        ComponentName::Ops => sandbox.load(crate::sandbox::OPS, "the built-in `ops`")?,
        ComponentName::Jsonata => sandbox.load(crate::sandbox::JSONATA, "the built-in `jsonata`")?,
        ComponentName::Validate => sandbox.load(crate::sandbox::VALIDATE, "the built-in `validate`")?,
        ComponentName::Aggregate => sandbox.load(crate::sandbox::AGGREGATE, "the built-in `aggregate`")?,
        ComponentName::Digest(name) | ComponentName::Oci(name) | ComponentName::Module(name) => {
            return Err(crate::error::Error::config(format!("component `{name}` is not built yet")).at(stage.place.clone()));
        }
        ComponentName::File(path) => {
            sandbox.load_file(path).map_err(|error| error.while_doing(format!("stage `{}`", stage.name)).at(stage.place.clone()))?
        }
    };
    let function = component.function(stage.function.as_deref()).map_err(|error| error.at(stage.place.clone()))?;
    let (name, scope) = (function.name.clone(), function.state);
    Ok((component, name, scope))
}

/// Draws the run's seed from its id: FNV-1a, 64 bits.
fn seed(run_id: &str) -> u64 {
    run_id.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}
