//! Runs that take newer rows only: the mark is looked up before, and moved once everything is loaded.

use super::{StateArgs, checkpoints, setup};
use crate::error::Result;
use crate::plan::Plan;
use crate::report::{RunReport, Status};
use crate::run::RunOptions;
use crate::state::{Home, Mark};

/// The name of a plan's mark: on one machine another for each folder; servers may have the pipeline in different folders, so that they go
/// by its name.
fn mark_name(plan: &Plan, home: &Home) -> String {
    match home.shared {
        Some(_) => checkpoints::id_without_folder(plan),
        None => checkpoints::default_id(plan),
    }
}

/// What earlier runs of a plan that takes newer rows only have reached, for a command that moves nothing.
pub(super) fn reached(plan: &Plan, state: &StateArgs) -> Result<Option<String>> {
    if plan.incremental.is_none() {
        return Ok(None);
    }
    let home = setup::home(state)?;
    Mark::seen(&home, &mark_name(plan, &home))
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
    let home = setup::home(state)?;
    let mut mark = Mark::hold(&home, &mark_name(plan, &home))?;
    let start = mark.reached().filter(|_| !full_refresh).map(ToOwned::to_owned);
    let report = run(&RunOptions { reached: start, ..options.clone() })?;
    let loaded = matches!(report.status, Status::Success | Status::PartialSuccess) && !report.dry_run;
    if let Some(reached) = report.mark.as_ref().filter(|_| loaded) {
        mark.move_to(reached, &report.run_id)?;
    }
    Ok(report)
}
