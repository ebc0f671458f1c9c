//! A whole pipeline, typed.

use super::extract::Extract;
use super::load::Load;
use super::problem::Problem;
use super::settings::{DeadLetters, Settings};
use super::transform::Transform;
use super::variables::Secrets;

/// A whole pipeline, as the user wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Its name: from `pipeline.yaml` or `settings.yaml`, else that of its directory.
    pub name: String,
    /// Its version, for people.
    pub version: Option<String>,
    /// What it is for, for people.
    pub description: Option<String>,
    /// Where rows come from.
    pub extract: Extract,
    /// What is done to rows on the way.
    pub transform: Transform,
    /// Where rows go to.
    pub load: Load,
    /// What holds for the whole pipeline.
    pub settings: Settings,
    /// Values that must not be printed.
    pub secrets: Secrets,
    pub(super) not_built: Vec<Problem>,
}

impl Pipeline {
    /// What is used and cannot run yet, with the places.
    pub fn not_built(&self) -> &[Problem] {
        &self.not_built
    }

    /// Where rows go that are refused: what `load` says, else the settings; `None` = nothing was said.
    pub fn dead_letters(&self) -> Option<&DeadLetters> {
        self.load.dead_letters.as_ref().or(self.settings.dlq.as_ref())
    }
}
