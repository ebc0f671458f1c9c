//! What the guests of one stage may reach, ready for use: all of a stage's instances share one, and no two stages do.

use std::sync::Arc;

use super::Network;
use super::http::Egress;
use crate::error::Result;
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
    /// What they may ask for by HTTP, where that is anything.
    pub(super) http: Option<Arc<Egress>>,
}

impl Access {
    /// Makes ready what a stage was granted.
    ///
    /// # Errors
    /// Outside, where HTTP cannot be made ready.
    pub(super) fn new(grants: &Grants, network: &Network) -> Result<Arc<Self>> {
        let Grants { clock, random, env, http } = grants;
        let env = env.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
        let http = if http.is_empty() { None } else { Some(Arc::new(Egress::new(http, network)?)) };
        Ok(Arc::new(Self { clock: *clock, random: *random, env, http }))
    }
}
