//! Runs that take newer rows only: the mark is looked up before, and moved once everything is loaded.

use super::{StateArgs, checkpoints, setup};
use crate::error::Result;
use crate::plan::{Plan, Planned};
use crate::report::{RunReport, Status};
use crate::run::RunOptions;
use crate::state::{Home, Mark};

/// The name of a plan's mark: on one machine another for each folder; servers may have the pipeline in different folders, so that they go
/// by its name. Each of several transformers has one of its own.
fn mark_name(plan: &Plan, home: &Home) -> String {
    plan.named(&match home.shared {
        Some(_) => checkpoints::id_without_folder(plan),
        None => checkpoints::default_id(plan),
    })
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
    planned: &Planned,
    options: &RunOptions,
    state: &StateArgs,
    full_refresh: bool,
    run: impl FnOnce(&RunOptions) -> Result<RunReport>,
) -> Result<RunReport> {
    if planned.common().incremental.is_none() {
        return run(options);
    }
    let home = setup::home(state)?;
    let hold = |plan: &Plan| Ok((plan.lane().map(ToOwned::to_owned), Mark::hold(&home, &mark_name(plan, &home))?));
    let mut marks = planned.plans().iter().map(hold).collect::<Result<Vec<_>>>()?;
    let mut options = options.clone();
    for (transformer, mark) in marks.iter().filter(|_| !full_refresh) {
        let start = mark.reached().map(ToOwned::to_owned);
        match transformer {
            None => options.reached = start,
            Some(name) => options.reached_by.extend(start.map(|start| (name.clone(), start))),
        }
    }
    let report = run(&options)?;
    for (transformer, mark) in &mut marks {
        let part = report.transformers.iter().find(|part| Some(&part.name) == transformer.as_ref());
        let (status, reached) = part.map_or((report.status, &report.mark), |part| (part.status, &part.mark));
        // What a transformer did not load its next run takes once more, and the others do not.
        let loaded = matches!(status, Status::Success | Status::PartialSuccess) && !report.dry_run;
        if let Some(reached) = reached.as_ref().filter(|_| loaded) {
            mark.move_to(reached, &report.run_id)?;
        }
    }
    Ok(report)
}
