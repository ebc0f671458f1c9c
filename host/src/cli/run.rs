//! `etl-host run`.

use std::num::{NonZeroU64, NonZeroUsize};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;

use super::checkpoints::{CheckpointArgs, how_to_go_on};
use super::table::{Column, lay_out};
use super::terminal::{self, Progressing, Telling};
use super::{CacheArgs, ContractArgs, Failures, LibraryArgs, NetworkArgs, Outcome, StateArgs, contract, setup, transformers, worst};
use crate::error::{Context, Error, Fault, Result};
use crate::pipeline::{Discovery, discover};
use crate::plan::{Plan, Planned};
use crate::report::{Status, Verdict};
use crate::run::{Checkpoints, RunOptions, failure, follow, hint, run_planned, was_stopped};
use crate::sandbox::Sandbox;

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    contract: ContractArgs,
    /// Run every pipeline that is found below DIRECTORY, one after the other, whatever becomes of the others
    #[arg(long, conflicts_with_all = ["extract", "transform", "load", "checkpoint_id"])]
    all: bool,
    /// Read and transform, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as one JSON object on stdout
    #[arg(long)]
    json: bool,
    /// Print errors only
    #[arg(long, short)]
    quiet: bool,
    /// Say how far the run is on stderr: as text for a person, or as one JSON object a line
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    progress: String,
    /// Time between two lines of `--progress json`
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    progress_interval: Duration,
    /// Threads that work on rows [default: as many as there are cores]
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
    /// Cut the input into at most so many parts, each staged on its own
    #[arg(long, value_name = "N", default_value = "1")]
    splits: NonZeroUsize,
    /// Stop rather than take more memory than this [default: what extract.yaml says, else no limit]
    #[arg(long, value_name = "MIB")]
    max_memory_mb: Option<NonZeroU64>,
    #[command(flatten)]
    checkpoints: CheckpointArgs,
    #[command(flatten)]
    library: LibraryArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    state: StateArgs,
    /// Take all rows, though extract.yaml says `incremental` and earlier runs have loaded some
    #[arg(long)]
    full_refresh: bool,
    /// Keep no record of this run in the history
    #[arg(long)]
    no_history: bool,
}

/// Runs a pipeline, or all below a root, and tells what happened.
pub(super) fn run(args: RunArgs) -> Outcome {
    if args.all {
        return all(args);
    }
    let planned = contract::planned(&args.contract)?;
    let runtime = setup::runtime()?;
    let sandbox = setup::sandbox_reaching(&args.cache, args.network.network(&args.library), &runtime)?;
    let checkpoints = checkpoints(&args, planned.common())?;
    let words = match checkpoints {
        Some(_) => "stopping behind what was read, with a checkpoint (once more to stop at once)",
        None => "stopping; nothing will be written (once more to stop at once)",
    };
    let stop = stop_on_signal(&runtime, words)?;
    Ok(ExitCode::from(one(&args, &planned, checkpoints, &sandbox, &stop)?))
}

/// Runs every pipeline below a root.
fn all(mut args: RunArgs) -> Outcome {
    let root = args.contract.directory.clone();
    let pipelines = discover(&root, &Discovery::default())?;
    if pipelines.is_empty() {
        return Err(Error::config(format!("there is no pipeline below `{}`", root.display()))
            .hint("a pipeline is a directory, at most two levels down, with extract.yaml and load.yaml, or with pipeline.yaml")
            .into());
    }
    let runtime = setup::runtime()?;
    let sandbox = setup::sandbox_reaching(&args.cache, args.network.network(&args.library), &runtime)?;
    let stop = stop_on_signal(&runtime, "stopping; no further pipeline is run (once more to stop at once)")?;
    let mut codes = Vec::new();
    for pipeline in &pipelines {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        args.contract.directory.clone_from(&pipeline.directory);
        let code = contract::planned(&args.contract)
            .and_then(|planned| one(&args, &planned, checkpoints(&args, planned.common())?, &sandbox, &stop));
        codes.push(code.unwrap_or_else(|Failures(errors)| {
            terminal::talk(&format!("{}: failed", pipeline.name));
            errors.iter().for_each(terminal::error);
            worst(errors.iter().map(Error::fault))
        }));
    }
    if !args.quiet && !args.json {
        let word = |code: Option<&u8>| match code {
            None => "not run",
            Some(0) => "success",
            Some(4) => "partial success",
            Some(5) => "interrupted",
            Some(_) => "failed",
        };
        let columns = [
            Column::of("pipeline", false, true, pipelines.iter().map(|pipeline| terminal::printable(&pipeline.name))),
            Column::of("result", false, true, (0..pipelines.len()).map(|index| word(codes.get(index)).to_owned())),
        ];
        terminal::data(&lay_out(&columns, terminal::columns()).lines.join("\n"));
    }
    let failed = codes.iter().copied().filter(|code| !matches!(code, 0 | 4 | 5)).max();
    let stopped = (codes.len() < pipelines.len()).then_some(5);
    Ok(ExitCode::from(failed.or(stopped).or(codes.into_iter().max()).unwrap_or(0)))
}

/// How a run keeps checkpoints, where it does.
fn checkpoints(args: &RunArgs, plan: &Plan) -> Result<Option<Checkpoints>> {
    Ok(args.checkpoints.checkpoints(plan, &args.state)?.filter(|_| !args.dry_run))
}

/// Runs one pipeline; answers the exit code that says how it ended.
fn one(args: &RunArgs, planned: &Planned, checkpoints: Option<Checkpoints>, sandbox: &Sandbox, stop: &AtomicBool) -> Result<u8, Failures> {
    let mut options = RunOptions {
        dry_run: args.dry_run,
        splits: args.splits,
        max_memory_mb: args.max_memory_mb,
        library: setup::library(&args.library, None),
        network: args.network.network(&args.library),
        state: setup::home_if_any(&args.state)?,
        checkpoints,
        ..RunOptions::default()
    };
    if let Some(workers) = args.workers {
        options.workers = workers;
    }
    let telling = if args.progress == "json" { Telling::Json(args.progress_interval) } else { Telling::Text };
    let mut progressing = Progressing::telling(args.quiet, telling);
    let history = if args.no_history || args.dry_run { None } else { setup::history(&args.state) };
    let report = follow(
        planned,
        &options,
        || setup::home(&args.state).map(Some),
        args.full_refresh,
        |options| run_planned(planned, options, sandbox, history.as_ref(), stop, &mut |progress| progressing.show(progress)),
    );
    progressing.clear();
    let unfinished = || {
        let checkpoints = options.checkpoints.as_ref()?;
        planned.plans().iter().any(|plan| checkpoints.of(plan).is_unfinished()).then(|| how_to_go_on(&checkpoints.report()))
    };
    let report = report.inspect_err(|error| {
        if args.json {
            terminal::data(&serde_json::to_string(&failure(planned.common(), &options, error, stop)).expect("a report is plain data"));
        }
        if let Some(how) = unfinished().filter(|_| error.fault() != Fault::Config) {
            terminal::talk(&format!("the run is not finished; {how}"));
        }
    });
    let report = match report {
        Err(error) if was_stopped(&error, stop) => {
            terminal::error(&error);
            return Ok(5);
        }
        report => report?,
    };
    progressing.end(report.rows.read);
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
    } else if !args.quiet && telling == Telling::Text {
        terminal::talk(terminal::summary(&report).trim_end());
    }
    if !report.transformers.is_empty() {
        let errors = transformers::errors(&report);
        errors.iter().for_each(terminal::error);
        if let Some(how) = unfinished().filter(|_| report.status != Status::Interrupted) {
            terminal::talk(&format!("not every transformer is finished; {how}"));
        }
        let worst = worst(errors.iter().map(Error::fault));
        return Ok(if report.status == Status::Failed { worst } else { code(report.status) });
    }
    for (quality, step) in report.quality.iter().flat_map(|quality| quality.steps.iter().map(move |step| (quality, step))) {
        for breach in &step.breaches {
            let error = Error::data(format!("stage `{}`: {}, so nothing was written", step.name, breach.sentence(step)));
            terminal::error(&error.hint(hint(quality)));
        }
    }
    if let Some(wrong) = report
        .error
        .as_ref()
        .filter(|error| error.kind == Fault::Data && report.quality.iter().all(|quality| quality.verdict != Verdict::Fail))
    {
        terminal::error(&Error::data(wrong.message.clone()).hint(wrong.hint.clone().unwrap_or_default()));
    }
    for done in &report.output.published {
        if let Some(error) = &done.error {
            terminal::error(
                &Error::outside(format!("the rows are loaded, but `{}` failed", done.what)).because(anyhow::anyhow!("{error}")),
            );
        }
    }
    Ok(code(report.status))
}

/// The exit code that says how a run ended.
fn code(status: Status) -> u8 {
    match status {
        Status::Success => 0,
        Status::PartialSuccess => 4,
        Status::Failed | Status::Running => 1,
        Status::Interrupted => 5,
    }
}

/// Reads the time between two lines of progress.
fn interval(text: &str) -> Result<Duration, String> {
    setup::seconds(text)
        .ok()
        .filter(|interval| *interval >= Duration::from_millis(10))
        .ok_or_else(|| "must be a number of at least 0.01".into())
}

/// Lets a first SIGINT or SIGTERM set the flag, which is answered, and say `words`; a second one ends the process at once.
pub(super) fn stop_on_signal(runtime: &tokio::runtime::Runtime, words: &'static str) -> Result<Arc<AtomicBool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let _guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).outside(|| "listening for SIGINT".into())?;
    let mut hang_up = signal(SignalKind::hangup()).outside(|| "listening for SIGHUP".into())?;
    // A file that may not grow is an error of its write, and told as one.
    let mut too_large = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).outside(|| "listening for SIGXFSZ".into())?;
    let mut terminate = signal(SignalKind::terminate()).outside(|| "listening for SIGTERM".into())?;
    runtime.spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
                _ = too_large.recv() => continue,
            }
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            terminal::talk(words);
        }
    });
    Ok(stop)
}
