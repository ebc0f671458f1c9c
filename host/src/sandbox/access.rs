//! What the guests of one stage may reach, ready for use: all of a stage's instances share one, and no two stages do.

use std::sync::Arc;

use crate::plan::Grants;

/// What the guests of one stage may reach beyond their rows. The default is nothing.
#[derive(Default)]
pub struct Access {
    /// Whether they see the real time.
    pub(super) clock: bool,
    /// Whether they draw real random numbers.
    pub(super) random: bool,
    /// Their environment.
    pub(super) env: Vec<(String, String)>,
}

impl Access {
    /// Makes ready what a stage was granted.
    pub(super) fn new(grants: &Grants) -> Arc<Self> {
        let Grants { clock, random, env, http: _ } = grants;
        let env = env.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
        Arc::new(Self { clock: *clock, random: *random, env })
    }
}
