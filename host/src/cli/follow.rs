//! Runs that take newer rows only: the mark is looked up before, and moved once everything is loaded.

use super::{StateArgs, checkpoints, setup};
use crate::error::Result;
use crate::plan::Plan;
use crate::report::{RunReport, Status};
use crate::run::RunOptions;
use crate::state::Mark;

/// What earlier runs of a plan that takes newer rows only have reached, for a command that moves nothing.
pub(super) fn reached(plan: &Plan, state: &StateArgs) -> Result<Option<String>> {
    match plan.incremental {
        None => Ok(None),
        Some(_) => Mark::seen(&setup::state_folder(state)?, &checkpoints::default_id(plan)),
    }
}

/// Does a run from the mark of the earlier ones, or from the start where `full_refresh` says so.
pub(super) fn followed(
    plan: &Plan,
    options: &RunOptions,
    state: &StateArgs,
    full_refresh: bool,
    run: impl FnOnce(&RunOptions) -> Result<RunReport>,
) -> Result<RunReport> {
    if plan.incremental.is_none() {
        return run(options);
    }
    let mut mark = Mark::hold(&setup::state_folder(state)?, &checkpoints::default_id(plan))?;
    let start = mark.reached().filter(|_| !full_refresh).map(ToOwned::to_owned);
    let report = run(&RunOptions { reached: start, ..options.clone() })?;
    let loaded = matches!(report.status, Status::Success | Status::PartialSuccess) && !report.dry_run;
    if let Some(reached) = report.mark.as_ref().filter(|_| loaded) {
        mark.move_to(reached, &report.run_id)?;
    }
    Ok(report)
}
