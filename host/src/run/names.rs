//! Names under which runs of a pipeline are known from one call to the next.

use sha2::{Digest, Sha256};

use crate::config::component::hex;
use crate::plan::Plan;
use crate::state::Home;

/// The name of a pipeline's checkpoint: another for each folder and each set of parameters.
pub fn checkpoint_name(plan: &Plan) -> String {
    let root = plan.root.canonicalize().unwrap_or_else(|_| plan.root.clone());
    name_of(plan, &format!("{root:?} {:?}", plan.params))
}

/// The name of a plan's mark: on one machine another for each folder; servers may have the pipeline in different folders, so that they go
/// by its name. Each of several transformers has one of its own.
pub(super) fn mark_name(plan: &Plan, home: &Home) -> String {
    plan.named(&match home.shared {
        Some(_) => name_of(plan, &format!("{} {:?}", plan.name, plan.params)),
        None => checkpoint_name(plan),
    })
}

fn name_of(plan: &Plan, apart: &str) -> String {
    let safe = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    let name: String = plan.name.chars().map(safe).take(60).collect();
    format!("{name}-{}", hex(&Sha256::digest(apart)[..4]))
}
