//! Runs that take newer rows only: the mark is looked up before, and moved with the commit.
//!
//! Where nothing else would tell after a crash whether a commit was done, it is promised before it to which mark it comes, and the commit
//! leaves something by which the next run finds out. A run with checkpoints moves the mark before its checkpoint says that it is done.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::RunOptions;
use super::names::mark_name;
use crate::error::{Context, Error, Result};
use crate::plan::{Plan, Planned};
use crate::report::RunReport;
use crate::sink;
use crate::state::{Home, Mark, Promised, Reached};

/// The mark that a run holds and moves.
#[derive(Clone, Debug)]
pub struct Followed {
    mark: Arc<Mutex<Mark>>,
    family: Option<String>,
}

/// What earlier runs of a plan that takes newer rows only have reached, for one who moves nothing.
///
/// # Errors
/// Outside, where it cannot be read.
pub fn reached(plan: &Plan, home: &Home) -> Result<Option<String>> {
    if plan.incremental.is_none() {
        return Ok(None);
    }
    Ok(Mark::seen(home, &mark_name(plan, home))?.map(|reached| reached.mark))
}

/// Does a run from the mark of the earlier ones, or from the start where `full_refresh` says so. Each of several transformers has a mark of
/// its own: what one did not load its next run takes once more, and the others do not. `home` is asked for only where a mark is kept in it.
///
/// # Errors
/// Outside, where another run holds the mark, or it cannot be read or moved; else as `run`.
pub fn follow(
    planned: &Planned,
    options: &RunOptions,
    home: impl FnOnce() -> Result<Option<Home>>,
    full_refresh: bool,
    run: impl FnOnce(&RunOptions) -> Result<RunReport>,
) -> Result<RunReport> {
    if planned.common().incremental.is_none() {
        return run(options);
    }
    let Some(home) = &home()? else { return run(options) };
    let mut options = options.clone();
    for plan in planned.plans() {
        let mut mark = Mark::hold(home, &mark_name(plan, home))?;
        if !options.dry_run {
            settle(&mut mark, plan, &options.network.authority_files)?;
        }
        let start = mark.reached().filter(|_| !full_refresh).cloned();
        let followed = Followed { mark: Arc::new(Mutex::new(mark)), family: start.as_ref().and_then(|start| start.family.clone()) };
        let start = start.map(|start| start.mark);
        match plan.lane() {
            None => (options.reached, options.followed) = (start, Some(followed)),
            Some(name) => {
                options.reached_by.extend(start.map(|start| (name.to_owned(), start)));
                options.followed_by.insert(name.to_owned(), followed);
            }
        }
    }
    run(&options)
}

/// The options with the mark that the commit leaves, where something is to be told by it.
pub(super) fn marked(plan: &Plan, options: &RunOptions) -> Result<RunOptions> {
    // Rows that are loaded twice into anything else are there once; a table is spared the table of tokens then.
    let wanted = options.leaves_mark || options.followed.is_some() && plan.sink.adds();
    let mark = match wanted && options.mark.is_none() && options.checkpoints.is_none() && !options.dry_run {
        true => Some(sink::Mark::new(&plan.sink, &plan.root, &options.run_id)?),
        false => options.mark.clone(),
    };
    Ok(RunOptions { mark, ..options.clone() })
}

/// Finds out whether a commit was done whose run did not live to tell.
fn settle(mark: &mut Mark, plan: &Plan, authority_files: &[PathBuf]) -> Result<()> {
    let Some(Promised { reached, proof }) = mark.promised().cloned() else { return Ok(()) };
    let proof: sink::Mark = serde_json::from_value(proof).outside(|| "reading what a commit has left".into())?;
    if !proof.is_done(&plan.sink, &plan.root, authority_files)? {
        return mark.forget_promise();
    }
    tracing::info!(mark = reached.mark, run_id = reached.run_id, "an earlier run has loaded its rows and died: its mark is moved now");
    mark.move_to(reached)?;
    proof.remove(&plan.sink, &plan.root, authority_files)
}

impl Followed {
    /// Refuses to compare cursors of one kind with a mark of another.
    pub(super) fn check(&self, family: &str) -> Result<()> {
        match &self.family {
            Some(before) if before != family => Err(Error::config(format!(
                "the cursor was {before} when earlier runs set the mark, and is {family} now: which rows are new cannot be told"
            ))
            .hint("pin the column's type under `schema` in extract.yaml, or start anew with `--full-refresh`")),
            _ => Ok(()),
        }
    }

    /// Notes where the commit that follows comes to.
    pub(super) fn promise(&self, mark: &str, family: &str, options: &RunOptions) -> Result<()> {
        let Some(proof) = &options.mark else { return Ok(()) };
        let proof = serde_json::to_value(proof).bug(|| "a mark as JSON".into())?;
        self.held().promise(Promised { reached: reached_by(mark, family, options), proof })
    }

    /// Moves the mark, since the commit is done; none where no row had a cursor.
    pub(super) fn done(&self, mark: Option<&str>, family: &str, plan: &Plan, options: &RunOptions) -> Result<()> {
        if let Some(mark) = mark {
            self.held().move_to(reached_by(mark, family, options))?;
        }
        match &options.mark {
            Some(proof) => proof.remove(&plan.sink, &plan.root, &options.network.authority_files),
            None => Ok(()),
        }
    }

    fn held(&self) -> MutexGuard<'_, Mark> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reached_by(mark: &str, family: &str, options: &RunOptions) -> Reached {
    Reached { mark: mark.to_owned(), family: Some(family.to_owned()), run_id: options.run_id.clone() }
}
