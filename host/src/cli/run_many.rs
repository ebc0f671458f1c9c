//! `etl-host run-many`.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::sets::{self, SetArgs};
use super::table::{Column, fit, lay_out};
use super::terminal::{self, grouped};
use super::{CacheArgs, ContractArgs, Failures, LibraryArgs, NetworkArgs, Outcome, StateArgs, contract, exit_code, run, setup};
use crate::config::component::hex;
use crate::config::database::WriteMethod;
use crate::config::load::{Sink, WriteMode};
use crate::config::sets::ParamSet;
use crate::config::variables::is_secret;
use crate::error::{Error, Fault, Result, near};
use crate::plan::{Plan, Planned};
use crate::report::{RunReport, Status};
use crate::run::journal::{Ending, Entry, Journal};
use crate::run::many::{Pace, Task, run_many as run_tasks};
use crate::run::{Checkpoints, RunOptions, Start, follow, run_planned};
use crate::sandbox::Sandbox;
use crate::sink::Mark;
use crate::state::History;

/// Batches from one checkpoint of a run to the next.
const BATCHES: NonZeroUsize = NonZeroUsize::new(100).expect("100 is not zero");

/// Arguments of `run-many`.
#[derive(Debug, Args)]
pub(super) struct RunManyArgs {
    #[command(flatten)]
    contract: ContractArgs,
    #[command(flatten)]
    sets: SetArgs,
    /// Days from one of `--dates` to the next: a number and d, w, m or y
    #[arg(long, value_name = "STEP", default_value = "1d", requires = "dates")]
    step: String,
    /// Runs at once
    #[arg(long, value_name = "N", default_value = "1")]
    parallel: NonZeroUsize,
    /// Start the next N runs only once these N are done
    #[arg(long, value_name = "N")]
    batch_size: Option<NonZeroUsize>,
    /// Wait between two batches or, without batches, between two runs
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = setup::seconds)]
    delay: Duration,
    /// Start at most so many runs a minute
    #[arg(long, value_name = "N")]
    max_per_minute: Option<NonZeroUsize>,
    /// Start no further run once one has failed
    #[arg(long)]
    fail_fast: bool,
    /// Leave out the runs that an earlier call has done
    #[arg(long)]
    resume: bool,
    /// Name under which it is kept what is done [default: from the pipeline and what all runs share]
    #[arg(long, value_name = "NAME")]
    id: Option<String>,
    /// Read and transform, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the results as one JSON object on stdout
    #[arg(long)]
    json: bool,
    /// Print errors only
    #[arg(long, short)]
    quiet: bool,
    /// Threads that work on rows, of all runs together [default: as many as there are cores]
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
    #[command(flatten)]
    library: LibraryArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

/// What became of one run.
struct Ended {
    entry: Entry,
    /// Whose fault it is that it failed.
    fault: Option<Fault>,
}

/// Runs a pipeline once for each set, and tells what became of each.
pub(super) fn run_many(args: &RunManyArgs) -> Outcome {
    let sets = sets::read(&args.sets, &args.step)?;
    for (name, _) in &args.contract.params {
        if let Some(set) = sets.iter().find(|set| set.params.contains_key(name)) {
            let message = format!("`--param {name}=…` is for all runs, but the set `{}` has its own `{name}`", set.name);
            return Err(Error::config(message).into());
        }
    }
    let planned = planned(args, &sets)?;
    let runtime = setup::runtime()?;
    let sandbox = setup::sandbox_reaching(&args.cache, args.network.network(&args.library), &runtime)?;
    let series = series(args)?;
    let (mut journal, before, history) = match args.dry_run {
        // Nothing is done that a later call could leave out.
        true => (None, BTreeMap::new(), None),
        false => {
            let path = setup::state_folder(&args.state)?.join("many").join(format!("{series}.jsonl"));
            let (journal, before) = Journal::open(&path, args.resume)?;
            (Some(journal), before, setup::history(&args.state))
        }
    };
    let keys: Vec<String> = sets.iter().map(key).collect();
    let mut ended: Vec<Option<Ended>> = Vec::with_capacity(sets.len());
    let mut tasks = Vec::new();
    let mut plans = Vec::with_capacity(sets.len());
    for (index, (key, planned)) in keys.iter().zip(planned).enumerate() {
        let done = before.get(key).filter(|entry| entry.status.is_done());
        let (targets, planned) = planned.unzip();
        if done.is_none() {
            tasks.push(Task { index, targets: targets.unwrap_or_default() });
        }
        // Each run has the files as they were when the call began.
        plans.push(Mutex::new(planned.filter(|_| done.is_none())));
        ended.push(done.map(|entry| Ended { entry: entry.clone(), fault: None }));
    }
    let earlier = sets.len() - tasks.len();
    if earlier > 0 && !args.quiet {
        terminal::talk(&format!("{} of {} runs are done already", grouped(earlier as u64), grouped(sets.len() as u64)));
    }
    let stop = run::stop_on_signal(&runtime, "stopping; runs that are under way keep a checkpoint (once more to stop at once)")?;
    let pace = Pace {
        parallel: args.parallel,
        batch_size: args.batch_size,
        delay: args.delay,
        spacing: args.max_per_minute.map_or(Duration::ZERO, |runs| Duration::from_secs(60) / runs.get().try_into().unwrap_or(u32::MAX)),
    };
    let workers = args.workers.unwrap_or_else(|| RunOptions::default().workers).get().div_ceil(args.parallel.get());
    let workers = NonZeroUsize::new(workers).unwrap_or(NonZeroUsize::MIN);
    let halted = AtomicBool::new(false);
    let journal = Mutex::new(&mut journal);
    let note = |entry: &Entry| match &mut **journal.lock().expect("writing a journal does not panic") {
        Some(journal) => journal.append(entry),
        None => Ok(()),
    };
    let one = |task: &Task| -> Result<Option<Ended>> {
        if halted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let key = &keys[task.index];
        let options = RunOptions {
            dry_run: args.dry_run,
            workers,
            library: setup::library(&args.library, None),
            network: args.network.network(&args.library),
            ..RunOptions::default()
        };
        let each = Each { sandbox: &sandbox, history: history.as_ref(), state: &args.state, stop: &stop };
        let clock = Instant::now();
        // One that could not be planned fails here, with its reasons.
        let planned = plans[task.index].lock().unwrap_or_else(PoisonError::into_inner).take();
        let planned = match planned.map_or_else(|| contract::planned(&with(&args.contract, &sets[task.index])), Ok) {
            Ok(planned) => planned,
            Err(failures) => {
                let ended = failed(key, &options.run_id, &failures, clock);
                note(&ended.entry)?;
                return Ok(Some(ended));
            }
        };
        let before = before.get(key).filter(|_| args.resume);
        let proof = if args.dry_run { None } else { Some(Proof::new(args, &series, key, &planned, before)?) };
        if let (Some(Proof::Marks), Some(before)) = (&proof, before)
            && before.status == Ending::Running
            && let Some(ended) = ended_unseen(&planned, before, &args.library.ca_file)?
        {
            note(&ended.entry)?;
            if ended.entry.status.is_done() {
                Proof::Marks.forget(&planned, &before.run_id, &args.library.ca_file);
            }
            return Ok(Some(ended));
        }
        let run_id = options.run_id.clone();
        note(&Entry { key: key.clone(), status: Ending::Running, run_id, read: 0, loaded: 0, rejected: 0, seconds: 0.0, error: None })?;
        let options = proof.as_ref().map_or_else(|| options.clone(), |proof| proof.options(options.clone()));
        let ended = each.run(&planned, options, key);
        // A run that was stopped is to be gone on with by the next call.
        if ended.entry.status != Ending::Running {
            note(&ended.entry)?;
            if let Some(proof) = proof.filter(|_| ended.entry.status.is_done()) {
                // What became of it is in the journal now.
                proof.forget(&planned, &ended.entry.run_id, &args.library.ca_file);
            }
        }
        if args.fail_fast && ended.entry.status == Ending::Failed {
            halted.store(true, Ordering::Relaxed);
        }
        Ok(Some(ended))
    };
    let clock = Instant::now();
    let mut count = earlier;
    let mut broken = None;
    run_tasks(tasks, &pace, &stop, &one, &mut |task, answer| match answer {
        Ok(Some(end)) => {
            count += 1;
            if !args.quiet {
                terminal::talk(&line(count, sets.len(), &sets[task.index].name, &end.entry));
            }
            ended[task.index] = Some(end);
        }
        Ok(None) => {}
        Err(error) => {
            halted.store(true, Ordering::Relaxed);
            broken.get_or_insert(error);
        }
    });
    if args.json {
        terminal::data(&as_json(&sets, &ended));
    } else if !args.quiet {
        terminal::data(&table(&sets, &ended));
        terminal::talk(&totals(&ended, clock.elapsed()));
    } else {
        for (set, end) in sets.iter().zip(&ended) {
            if let Some(error) = end.as_ref().and_then(|end| end.entry.error.as_ref()) {
                terminal::talk(&format!("error: {}: {error}", set.name));
            }
        }
    }
    if let Some(error) = broken {
        return Err(error.into());
    }
    let is_left = |end: &Option<Ended>| end.as_ref().is_none_or(|end| end.entry.status == Ending::Running);
    let left = ended.iter().any(is_left);
    if left {
        terminal::talk("not all runs were done; the same command with `--resume` does those that are left");
    }
    let faults: Vec<Fault> = ended.iter().flatten().filter_map(|end| end.fault).collect();
    let partial = ended.iter().flatten().any(|end| end.entry.status == Ending::PartialSuccess);
    Ok(match (faults.is_empty(), left, partial) {
        (_, true, _) if stop.load(Ordering::Relaxed) => ExitCode::from(5),
        (false, ..) => exit_code(faults.into_iter()),
        (true, true, _) => ExitCode::from(3),
        (true, false, true) => ExitCode::from(4),
        (true, false, false) => ExitCode::SUCCESS,
    })
}

/// The contract's arguments with those of a set.
fn with(contract: &ContractArgs, set: &ParamSet) -> ContractArgs {
    let mut contract = contract.clone();
    contract.params.extend(set.params.clone());
    contract
}

/// What a run writes, and its plan.
type Ready = (Vec<PathBuf>, Planned);

/// What each run writes and its plan, where it can be planned; two that would overwrite each other are refused before anything runs.
fn planned(args: &RunManyArgs, sets: &[ParamSet]) -> Result<Vec<Option<Ready>>, Failures> {
    let mut writers: HashMap<PathBuf, usize> = HashMap::new();
    let mut all = Vec::with_capacity(sets.len());
    let mut wrong = None;
    for (index, set) in sets.iter().enumerate() {
        // What is wrong with one set fails that run alone; what is wrong with all is told at once.
        let planned = match contract::planned(&with(&args.contract, set)) {
            Ok(planned) => planned,
            Err(failures) => {
                wrong.get_or_insert(failures);
                all.push(None);
                continue;
            }
        };
        let written: Vec<(PathBuf, bool)> = planned.plans().iter().map(target).collect();
        for (target, overwrites) in &written {
            let Some(first) = writers.insert(target.clone(), index) else { continue };
            if !overwrites || args.dry_run {
                continue;
            }
            let message = format!("the runs `{}` and `{}` would both write `{}`", sets[first].name, set.name, near(target));
            let names: Vec<&str> = set.params.keys().map(String::as_str).collect();
            let hint =
                format!("put a parameter into `path` of load.yaml, such as `${{{}}}`, or use `write_mode: append`", names.join("}-${"));
            return Err(Error::config(message).hint(hint).into());
        }
        all.push(Some((written.into_iter().map(|(target, _)| target).collect(), planned)));
    }
    match wrong {
        Some(failures) if all.iter().all(Option::is_none) => Err(failures),
        _ => Ok(all),
    }
}

/// What a run writes, and whether that replaces what is there.
fn target(plan: &Plan) -> (PathBuf, bool) {
    match &plan.sink {
        Sink::File(sink) => (plan.root.join(&sink.path), sink.write_mode == WriteMode::Overwrite),
        Sink::CloudStorage(sink) => (plan.sink.title().into(), sink.write_mode == WriteMode::Overwrite),
        Sink::Database(sink) => (plan.sink.title().into(), sink.write_method == Some(WriteMethod::TruncateAndLoad)),
    }
}

/// Names what is kept of these runs.
fn series(args: &RunManyArgs) -> Result<String> {
    Ok(match &args.id {
        Some(id) => {
            let plain = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
            if id.is_empty() || id.len() > 100 || id.starts_with('.') || !id.chars().all(plain) {
                return Err(Error::config(format!(
                    "`--id {id}` must be letters, digits, `.`, `_` and `-`, and begin with none of the dots"
                )));
            }
            id.clone()
        }
        None => {
            let ContractArgs { directory, extract, transform, load, vars, params, limit } = &args.contract;
            let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
            let files = [extract, transform, load].map(|file| file.as_deref().map(whole));
            // Variables may hold secrets: only their digest gets into the name.
            let shared = json!([whole(directory), files, vars, params, limit]);
            let digest = Sha256::digest(shared.to_string());
            hex(&digest[..8])
        }
    })
}

/// Names a set in the journal: by its parameters, and by a digest of those that are secret.
fn key(set: &ParamSet) -> String {
    let digest = |value: &str| format!("sha256:{}", hex(&Sha256::digest(value)[..16]));
    let shown = |(name, value): (&String, &String)| (name.clone(), if is_secret(name) { digest(value) } else { value.clone() });
    json!(set.params.iter().map(shown).collect::<BTreeMap<_, _>>()).to_string()
}

/// What a run leaves until its end is noted, so that one which an earlier call saw start is neither lost nor done twice.
enum Proof {
    /// Checkpoints: it can be gone on with.
    Checkpoints(Checkpoints),
    /// Marks that come with the commits. For tables, which would show the rows of a run that goes on later, unless the pipeline wants that;
    /// and for sources that cannot be read on in the middle.
    Marks,
}

impl Proof {
    fn new(args: &RunManyArgs, series: &str, key: &str, planned: &Planned, before: Option<&Entry>) -> Result<Self> {
        let plan = planned.common();
        let has_table = planned.plans().iter().any(|plan| matches!(plan.sink, Sink::Database(_)));
        if !plan.checkpoint.enabled && (has_table || plan.resumable().is_err()) {
            return Ok(Self::Marks);
        }
        let folder = setup::state_folder(&args.state)?.join("checkpoints");
        let id = format!("many-{series}-{}", hex(&Sha256::digest(key)[..8]));
        let interval = if plan.checkpoint.enabled { plan.checkpoint.interval } else { BATCHES };
        // With checkpoints of its own a table has rows of a run that failed too: what is left of it is loaded, nothing twice.
        let left = match has_table {
            true => before.is_some_and(|entry| !entry.status.is_done()),
            false => before.is_some_and(|entry| entry.status == Ending::Running),
        };
        let start = if left && !checkpoint_folders(&folder, &id).is_empty() { Start::Resume } else { Start::Restart };
        Ok(Self::Checkpoints(Checkpoints { folder, id, interval, start, force: false }))
    }

    fn options(&self, options: RunOptions) -> RunOptions {
        match self {
            Self::Checkpoints(checkpoints) => RunOptions { checkpoints: Some(checkpoints.clone()), ..options },
            Self::Marks => RunOptions { leaves_mark: true, ..options },
        }
    }

    fn forget(self, planned: &Planned, run_id: &str, authority_files: &[PathBuf]) {
        match self {
            Self::Checkpoints(Checkpoints { folder, id, .. }) => {
                checkpoint_folders(&folder, &id).into_iter().for_each(|folder| drop(std::fs::remove_dir_all(folder)));
            }
            Self::Marks => {
                for plan in planned.plans() {
                    let removed = mark(plan, run_id).and_then(|mark| mark.remove(&plan.sink, &plan.root, authority_files));
                    if let Err(error) = removed {
                        tracing::warn!(error = %error.one_line(), "the run is loaded, but what tells so could not be removed");
                    }
                }
            }
        }
    }
}

/// What the commit of a plan's run leaves.
fn mark(plan: &Plan, run_id: &str) -> Result<Mark> {
    Mark::new(&plan.sink, &plan.root, &plan.named(run_id))
}

/// How a run ended of which an earlier call saw the start and not the end; none where it has shown nothing, and is to be done again.
fn ended_unseen(planned: &Planned, before: &Entry, authority_files: &[PathBuf]) -> Result<Option<Ended>> {
    let done = planned
        .plans()
        .iter()
        .map(|plan| mark(plan, &before.run_id)?.is_done(&plan.sink, &plan.root, authority_files))
        .collect::<Result<Vec<_>>>()?;
    if !done.contains(&true) {
        return Ok(None);
    }
    if !done.contains(&false) {
        let entry = Entry { status: Ending::Success, ..before.clone() };
        return Ok(Some(Ended { entry, fault: None }));
    }
    let names = |is_done: bool| {
        let of = planned.plans().iter().zip(&done).filter(|(_, done)| **done == is_done);
        of.filter_map(|(plan, _)| Some(format!("`{}`", plan.lane()?))).collect::<Vec<_>>().join(", ")
    };
    let error = format!("an earlier call was killed when {} had loaded its rows and {} had not", names(true), names(false));
    let entry = Entry { status: Ending::Failed, error: Some(error), ..before.clone() };
    Ok(Some(Ended { entry, fault: Some(Fault::Outside) }))
}

/// The folder of a run's checkpoint, and those of its transformers.
fn checkpoint_folders(folder: &Path, id: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_its = |name: &str| name.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    entries.filter(|path| path.file_name().is_some_and(|name| is_its(&name.to_string_lossy()))).collect()
}

/// What became of a run that failed.
fn failed(key: &str, run_id: &str, Failures(errors): &Failures, clock: Instant) -> Ended {
    let sentence = |error: &Error| match error.place() {
        Some(place) => format!("{place}: {}", error.one_line()),
        None => error.one_line(),
    };
    let entry = Entry {
        key: key.to_owned(),
        status: Ending::Failed,
        run_id: run_id.to_owned(),
        read: 0,
        loaded: 0,
        rejected: 0,
        seconds: clock.elapsed().as_secs_f64(),
        error: Some(errors.iter().map(sentence).collect::<Vec<_>>().join("; ")),
    };
    Ended { entry, fault: Some(errors.first().map_or(Fault::Bug, Error::fault)) }
}

/// What all runs share.
struct Each<'a> {
    sandbox: &'a Sandbox,
    history: Option<&'a History>,
    state: &'a StateArgs,
    stop: &'a AtomicBool,
}

impl Each<'_> {
    /// Does one run.
    fn run(&self, planned: &Planned, options: RunOptions, key: &str) -> Ended {
        let clock = Instant::now();
        let run_id = options.run_id.clone();
        let secrets = &planned.common().secrets;
        let report = self.report(planned, options);
        let seconds = clock.elapsed().as_secs_f64();
        match report {
            Ok(report) => {
                let (status, fault) = match report.status {
                    Status::Success => (Ending::Success, None),
                    Status::PartialSuccess => (Ending::PartialSuccess, None),
                    // The rows are there: what could not be published is no reason to load them again.
                    Status::Failed if report.output.published.iter().any(|done| done.error.is_some()) => {
                        (Ending::PartialSuccess, Some(Fault::Outside))
                    }
                    Status::Failed => (Ending::Failed, Some(Fault::Data)),
                    Status::Interrupted | Status::Running => (Ending::Running, None),
                };
                let RunReport { run_id, rows, error, .. } = report;
                let error = error.map(|error| secrets.mask(&error.message));
                Ended {
                    entry: Entry {
                        key: key.to_owned(),
                        status,
                        run_id,
                        read: rows.read,
                        loaded: rows.loaded,
                        rejected: rows.rejected,
                        seconds,
                        error,
                    },
                    fault,
                }
            }
            Err(error) => {
                let mut ended = failed(key, &run_id, &Failures(vec![error]), clock);
                ended.entry.error = ended.entry.error.map(|error| secrets.mask(&error));
                ended
            }
        }
    }

    fn followed(&self, planned: &Planned, options: &RunOptions) -> Result<RunReport> {
        follow(
            planned,
            options,
            || setup::home(self.state).map(Some),
            false,
            |options| run_planned(planned, options, self.sandbox, self.history, self.stop, &mut |_| {}),
        )
    }

    fn report(&self, planned: &Planned, mut options: RunOptions) -> Result<RunReport> {
        let shows_as_it_goes = planned.plans().iter().any(|plan| matches!(plan.sink, Sink::Database(_)));
        let report = self.followed(planned, &options);
        match (report, &mut options.checkpoints) {
            // What it started with has changed since, such as a mistake that was mended: nothing of it was shown, so it starts again.
            (Err(error), Some(checkpoints))
                if checkpoints.start == Start::Resume && error.fault() == Fault::Config && !shows_as_it_goes =>
            {
                tracing::warn!(error = %error.one_line(), "a run that was interrupted starts again");
                checkpoints.start = Start::Restart;
                self.followed(planned, &options)
            }
            (report, _) => report,
        }
    }
}

fn word(status: Ending) -> &'static str {
    match status {
        Ending::Running => "not done",
        Ending::Success => "success",
        Ending::PartialSuccess => "partial",
        Ending::Failed => "failed",
    }
}

/// What is said as a run ends.
fn line(count: usize, of: usize, name: &str, entry: &Entry) -> String {
    let width = of.to_string().len();
    let rows = format!("{} read, {} loaded, {} rejected", grouped(entry.read), grouped(entry.loaded), grouped(entry.rejected));
    let what = entry.error.as_deref().map_or(rows, ToOwned::to_owned);
    format!("[{count:>width$}/{of}] {:<8} {name}  {what}  {:.2} s", word(entry.status), entry.seconds)
}

/// All runs, for a person.
fn table(sets: &[ParamSet], ended: &[Option<Ended>]) -> String {
    let column = |head: &str, right: bool, of: &dyn Fn(&Entry) -> String, none: &str| {
        let cells = ended.iter().map(|end| end.as_ref().map_or(none.to_owned(), |end| of(&end.entry)));
        Column::of(head, right, true, cells)
    };
    let mut columns = vec![
        Column::of("run", false, true, sets.iter().map(|set| terminal::printable(&set.name))),
        column("status", false, &|entry| word(entry.status).to_owned(), word(Ending::Running)),
        column("read", true, &|entry| grouped(entry.read), ""),
        column("loaded", true, &|entry| grouped(entry.loaded), ""),
        column("rejected", true, &|entry| grouped(entry.rejected), ""),
        column("seconds", true, &|entry| format!("{:.2}", entry.seconds), ""),
    ];
    if ended.iter().flatten().any(|end| end.entry.error.is_some()) {
        let error = |entry: &Entry| {
            entry.error.as_deref().map_or_else(String::new, |error| fit(&terminal::printable(error).replace('\n', " "), 400))
        };
        columns.push(column("error", false, &error, ""));
    }
    lay_out(&columns, terminal::columns()).lines.join("\n")
}

fn totals(ended: &[Option<Ended>], took: Duration) -> String {
    let of = |status: Ending| ended.iter().flatten().filter(|end| end.entry.status == status).count();
    let parts = [
        (of(Ending::Success), "success"),
        (of(Ending::PartialSuccess), "partial success"),
        (of(Ending::Failed), "failed"),
        (ended.iter().filter(|end| end.is_none()).count(), "not done"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{} {word}", grouped(*count as u64)));
    let runs = if ended.len() == 1 { "run" } else { "runs" };
    format!("{} {runs}: {} in {:.1} s", grouped(ended.len() as u64), parts.collect::<Vec<_>>().join(", "), took.as_secs_f64())
}

fn as_json(sets: &[ParamSet], ended: &[Option<Ended>]) -> String {
    let runs = sets.iter().zip(ended).map(|(set, end)| match end {
        Some(Ended { entry, .. }) => json!({
            "name": set.name, "params": set.shown(), "status": entry.status, "run_id": entry.run_id,
            "rows": { "read": entry.read, "loaded": entry.loaded, "rejected": entry.rejected },
            "seconds": entry.seconds, "error": entry.error,
        }),
        None => json!({ "name": set.name, "params": set.shown(), "status": "pending" }),
    });
    json!({ "runs": runs.collect::<Vec<_>>() }).to_string()
}
