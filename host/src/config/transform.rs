//! `transform.yaml`, typed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::aggregates::Gathering;
use super::component::Component;
use super::grants::Grants;
use super::settings::{Limits, ratio};
use super::validate::Validation;
use crate::error::Place;

/// What is done to rows on the way, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transform {
    /// The steps in the order in which they run.
    pub steps: Vec<PlacedStep>,
    /// What the simple operations may use.
    pub limits: Limits,
    /// What the simple operations may reach.
    pub grants: Grants,
    /// Whether the run's parameters become columns, as the oldest dialect has it.
    pub params_become_columns: bool,
}

/// A step, and where the user wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedStep {
    /// The step.
    pub step: Step,
    /// Where it stands.
    pub place: Place,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A simple operation, which the built-in guest runs; neighbours share an instance.
    Simple(etl_steps::Step),
    /// Objects and lists become columns.
    Flatten(etl_steps::flatten::Flattening),
    /// A JSONata expression.
    Jsonata(Jsonata),
    /// The rows for which a JSONata expression is true.
    Keep(String),
    /// The user's own component or function.
    Custom(Box<CustomFunction>),
    /// A step that sees rows of many batches.
    Gather(Box<Gathering>),
    /// Rules that rows must satisfy.
    Validate(Box<Validation>),
}

/// A JSONata expression.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jsonata {
    /// The expression.
    pub expression: String,
    /// What it is applied to. Default: `batch`.
    #[serde(default)]
    pub mode: Mode,
    /// With `mode: batch`, which rows it gets at once. Default: `batch`.
    #[serde(default)]
    pub scope: Scope,
    /// What it may use. Default: what the settings say.
    #[serde(default)]
    pub limits: Limits,
    /// What becomes of a row for which it fails; of all rows of the batch with `mode: batch`. Default: `dead_letter`.
    #[serde(default)]
    pub on_error: OnError,
    /// What happens when it runs into a limit. Default: `bisect`.
    #[serde(default)]
    pub on_trap: OnTrap,
}

/// What a function is applied to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The rows of a batch, as one list.
    #[default]
    Batch,
    /// One row after the other.
    Record,
}

/// Which rows a function gets at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Those of a batch.
    #[default]
    Batch,
    /// All.
    Dataset,
}

/// The user's own component or function.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomFunction {
    /// What runs.
    pub target: Target,
    /// What a module's function is applied to; a component says it itself. Default: `batch`.
    pub mode: Mode,
    /// Options that it gets, under the run's parameters.
    pub kwargs: serde_json::Map<String, serde_json::Value>,
    /// What it may use.
    pub limits: Limits,
    /// What it may reach.
    pub grants: Grants,
    /// What becomes of a row that it refuses.
    pub on_error: OnError,
    /// What happens when it crashes or runs into a limit.
    pub on_trap: OnTrap,
    /// Share of rows that it may refuse before the run fails.
    pub max_error_ratio: Option<f64>,
}

/// What a custom function runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A component.
    Component {
        /// Its name.
        component: Component,
        /// Name of the function, where the component has several.
        function: Option<String>,
    },
    /// A function in Python or JavaScript, which `etl-host build` makes a component of.
    Module {
        /// Dotted name of the module, or the path of a `.js` file.
        module: String,
        /// Name of the function.
        function: String,
    },
}

/// A `custom_function` as it is written.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WrittenCustomFunction {
    /// The component that runs: a file relative to the contract directory, `sha256:…`, or `oci://registry/name:tag`.
    pub(super) component: Option<String>,
    /// Module in Python or JavaScript, with `function`: its dotted name, as `package.module`, or the path of a `.js` file. `etl-host build` makes
    /// a component of it.
    pub(super) module: Option<String>,
    /// Function of the module; or of the component, where it has several.
    pub(super) function: Option<String>,
    /// Function as `package.module.function`, in place of `module` and `function`.
    pub(super) callable: Option<String>,
    /// What a module's function is applied to; a component says it itself. Default: `batch`.
    pub(super) mode: Mode,
    /// Options that it gets, under the run's parameters.
    pub(super) kwargs: serde_json::Map<String, serde_json::Value>,
    /// What it may use. Default: what the settings say.
    pub(super) limits: Limits,
    /// What it may reach. Default: nothing.
    pub(super) grants: Grants,
    /// What becomes of a row that it refuses. Default: `dead_letter`.
    pub(super) on_error: OnError,
    /// What happens when it crashes or runs into a limit. Default: `bisect`.
    pub(super) on_trap: OnTrap,
    /// Share of rows, 0 to 1, that it may refuse before the run fails. Default: no limit.
    #[serde(deserialize_with = "maybe_ratio")]
    #[schemars(with = "Option<f64>")]
    pub(super) max_error_ratio: Option<f64>,
}

fn maybe_ratio<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    ratio(deserializer).map(Some)
}

/// What becomes of a row that a stage refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It goes to the dead letters.
    #[default]
    DeadLetter,
    /// The run fails.
    Fail,
    /// It is left out and counted.
    Skip,
}

/// What happens when a stage crashes or runs into a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnTrap {
    /// A fresh instance narrows the batch down to the guilty rows; the others go on.
    #[default]
    Bisect,
    /// The whole batch is refused.
    FailBatch,
    /// The batch is tried once more in a fresh instance, then refused.
    Restart,
    /// The batch goes on as it came.
    Bypass,
}
