//! `etl-host dlq replay`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;

use super::super::run::stop_on_signal;
use super::super::terminal::{self, Progressing};
use super::super::{CacheArgs, LibraryArgs, NetworkArgs, Outcome, contract, setup};
use super::{QueueArgs, SelectionArgs, of_plans};
use crate::error::{Context, Error};
use crate::plan::{Plan, Planned};
use crate::report::{RunReport, Status};
use crate::run::{ReplayOptions, ReplayReport, RunOptions, Settled};
use crate::state::Filter;
use crate::state::letters::Selection;

/// Earlier runs that are looked at.
const RUNS: u32 = 10_000;

/// Arguments of `dlq replay`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReplayArgs {
    #[command(flatten)]
    queue: QueueArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    /// The letter with this id, or whose id starts so
    #[arg(long, value_name = "LETTER")]
    id: Option<String>,
    /// Where the rows go in: extract, the name of a stage, or load [default: the stage that refused each]
    #[arg(long, value_name = "STAGE")]
    from: Option<String>,
    /// Set a parameter that the pipeline takes (`input_params`)
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = super::super::pair)]
    params: Vec<(String, String)>,
    /// Print the result as one JSON object on stdout
    #[arg(long)]
    json: bool,
    /// Print errors only
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    library: LibraryArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

/// Sends letters through again.
pub(super) fn replay(args: &ReplayArgs) -> Outcome {
    if args.queue.directory.is_none() {
        return Err(Error::config("a replay needs the contract directory, which says what is done with the rows")
            .hint("`etl-host dlq replay DIR` takes the dead letters of that pipeline")
            .into());
    }
    let planned = contract::planned(&args.queue.contract(&args.params))?;
    if let Some(from) = args.from.as_deref().filter(|from| !["extract", "load"].contains(from)) {
        let chosen = args.selection.transformer.as_deref();
        let plans = planned.plans().iter().filter(|plan| chosen.is_none() || plan.lane() == chosen);
        let mut names: Vec<&str> = plans.flat_map(|plan| &plan.stages).map(|stage| stage.name.as_str()).collect();
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(*name));
        if !names.contains(&from) {
            let names: Vec<String> = ["extract"].iter().chain(&names).chain(&["load"]).map(|name| format!("`{name}`")).collect();
            return Err(Error::config(format!("the pipeline has no stage `{from}`")).hint(format!("it has {}", names.join(", "))).into());
        }
    }
    let queues = of_plans(&planned, &args.queue.state)?;
    if queues.is_empty() {
        return tell(args, &ReplayReport::default());
    }
    let runtime = setup::runtime()?;
    let sandbox = setup::sandbox_reaching(&args.cache, args.network.network(&args.library), &runtime)?;
    let selection = Selection { prefix: args.id.clone(), ..args.selection.selection(&[]) };
    let state = setup::home_if_any(&args.queue.state)?;
    let run = RunOptions {
        library: setup::library(&args.library, None),
        network: args.network.network(&args.library),
        state,
        ..RunOptions::default()
    };
    let options = ReplayOptions { selection, from: args.from.clone(), replaced: replaced(&planned, args), run };
    let stop = stop_on_signal(&runtime, "stopping; nothing will be written (once more to stop at once)")?;
    let mut progressing = Progressing::new(args.quiet);
    let mut report = ReplayReport::default();
    for letters in &queues {
        let one = crate::run::replay_planned(&planned, letters, &options, &sandbox, &stop, &mut |progress| progressing.show(progress));
        progressing.clear();
        report.add(one?);
    }
    tell(args, &report)
}

/// The runs whose output later ones have replaced, by the ids in letters, each with the last of these.
fn replaced(planned: &Planned, args: &ReplayArgs) -> BTreeMap<String, String> {
    let plans: Vec<&Plan> = planned.plans().iter().filter(|plan| plan.sink.replaces()).collect();
    let Some(history) = (!plans.is_empty()).then(|| setup::history(&args.queue.state)).flatten() else { return BTreeMap::new() };
    let common = planned.common();
    let filter = Filter { pipeline: Some(common.name.clone()), limit: Some(RUNS), ..Filter::default() };
    let runs = history.runs(&filter).unwrap_or_else(|error| {
        tracing::warn!(error = %error.one_line(), "earlier runs cannot be looked at, so that letters of all of them are sent");
        Vec::new()
    });
    let (params, root) = (common.shown_params(), common.root.canonicalize().unwrap_or_else(|_| common.root.clone()));
    let mut runs: Vec<&RunReport> = runs.iter().filter(|run| run.directory == root && run.parameters == params && !run.dry_run).collect();
    runs.sort_by(|a, b| b.started.cmp(&a.started));
    let mut replaced = BTreeMap::new();
    for plan in plans {
        let has_loaded = |run: &&RunReport| {
            let part = run.transformers.iter().find(|part| Some(part.name.as_str()) == plan.lane());
            matches!(part.map_or(run.status, |part| part.status), Status::Success | Status::PartialSuccess)
        };
        if let Some(last) = runs.iter().position(has_loaded) {
            replaced.extend(runs[last + 1..].iter().map(|run| (plan.named(&run.run_id), runs[last].run_id.clone())));
        }
    }
    replaced
}

fn tell(args: &ReplayArgs, report: &ReplayReport) -> Outcome {
    if args.json {
        terminal::data(&serde_json::to_string(report).bug(|| "writing the result as JSON".into())?);
    } else if !args.quiet {
        terminal::talk(&text(report));
    }
    let ReplayReport { settled, left, .. } = report;
    let done = settled.refused_again + settled.added + settled.returned == 0 && left.is_empty();
    Ok(if done { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn text(report: &ReplayReport) -> String {
    let ReplayReport { interrupted, settled, left, runs: _ } = report;
    let mut lines = Vec::new();
    if let Some(Settled { resolved, refused_again, added, returned }) = interrupted {
        lines.push(match resolved + refused_again + added {
            0 => format!("an earlier replay was interrupted before it loaded: {} letters are pending again", terminal::grouped(*returned)),
            _ => format!(
                "an earlier replay was interrupted after it loaded: {} letters resolved, {} refused again",
                terminal::grouped(*resolved),
                terminal::grouped(refused_again + added)
            ),
        });
    }
    let Settled { resolved, refused_again, added, returned: _ } = settled;
    lines.push(format!("{} resolved, {} refused again", terminal::grouped(*resolved), terminal::grouped(refused_again + added)));
    lines.extend(left.iter().map(|(why, count)| format!("{} not sent: {why}", terminal::grouped(*count))));
    lines.join("\n")
}
