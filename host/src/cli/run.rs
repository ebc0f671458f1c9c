//! `etl-host run`.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use super::checkpoints::{CheckpointArgs, how_to_go_on};
use super::terminal::{self, Progressing};
use super::{CacheArgs, ContractArgs, LibraryArgs, NetworkArgs, Outcome, contract, setup};
use crate::error::{Context, Error, Fault, Result};
use crate::report::Status;
use crate::run::{RunOptions, run as run_plan};

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    contract: ContractArgs,
    /// Read and transform, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as one JSON object on stdout
    #[arg(long)]
    json: bool,
    /// Print errors only
    #[arg(long, short)]
    quiet: bool,
    /// Threads that work on rows [default: as many as there are cores]
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
    /// Cut the input into at most so many parts, each staged on its own
    #[arg(long, value_name = "N", default_value = "1")]
    splits: NonZeroUsize,
    #[command(flatten)]
    checkpoints: CheckpointArgs,
    #[command(flatten)]
    library: LibraryArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

/// Runs a pipeline and tells what happened.
pub(super) fn run(args: RunArgs) -> Outcome {
    let plan = contract::planned(&args.contract)?;
    let runtime = setup::runtime()?;
    let sandbox = setup::sandbox_reaching(&args.cache, args.network.network(), &runtime)?;
    let mut options = RunOptions {
        dry_run: args.dry_run,
        splits: args.splits,
        library: setup::library(&args.library, None),
        checkpoints: args.checkpoints.checkpoints(&plan)?.filter(|_| !args.dry_run),
        ..RunOptions::default()
    };
    if let Some(workers) = args.workers {
        options.workers = workers;
    }
    let stop = stop_on_signal(&runtime, options.checkpoints.is_some())?;
    let mut progressing = Progressing::new(args.quiet);
    let report = run_plan(&plan, &options, &sandbox, &stop, &mut |progress| progressing.show(progress));
    progressing.clear();
    let report = report.inspect_err(|error| {
        if let Some(checkpoints) =
            options.checkpoints.as_ref().filter(|checkpoints| error.fault() != Fault::Config && checkpoints.is_unfinished())
        {
            terminal::talk(&format!("the run is not finished; {}", how_to_go_on(&checkpoints.report())));
        }
    })?;
    let gone_on = report.checkpoint.as_ref().filter(|_| !args.quiet);
    match (report.status, gone_on) {
        (Status::Interrupted, _) => {
            let checkpoint = report.checkpoint.as_ref().map(how_to_go_on).unwrap_or_default();
            terminal::talk(&format!("stopped after {} rows; {checkpoint}", report.rows.read));
        }
        (_, Some(checkpoint)) if checkpoint.already_complete => {
            terminal::talk(&format!("already complete: run `{}` has ended before, and nothing was done now", report.run_id));
        }
        _ => {}
    }
    if args.json {
        terminal::data(&serde_json::to_string(&report).bug(|| "writing the result as JSON".into())?);
    } else if !args.quiet {
        terminal::talk(terminal::summary(&report).trim_end());
    }
    for step in report.quality.iter().flat_map(|quality| &quality.steps) {
        for breach in &step.breaches {
            let error = Error::data(format!("stage `{}`: {}, so nothing was written", step.name, breach.sentence(step)));
            terminal::error(&error.hint("the dead letters hold the rows that were refused; mend the data, or change `thresholds`"));
        }
    }
    Ok(match report.status {
        Status::Success => ExitCode::SUCCESS,
        Status::PartialSuccess => ExitCode::from(4),
        Status::Failed => ExitCode::from(1),
        Status::Interrupted => ExitCode::from(5),
    })
}

/// Lets a first SIGINT or SIGTERM end the run with nothing written, or with a checkpoint; a second one ends the process at once.
fn stop_on_signal(runtime: &tokio::runtime::Runtime, checkpoints: bool) -> Result<Arc<AtomicBool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let _guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).outside(|| "listening for SIGINT".into())?;
    let mut terminate = signal(SignalKind::terminate()).outside(|| "listening for SIGTERM".into())?;
    runtime.spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            terminal::talk(match checkpoints {
                true => "stopping behind what was read, with a checkpoint (once more to stop at once)",
                false => "stopping; nothing will be written (once more to stop at once)",
            });
        }
    });
    Ok(stop)
}
