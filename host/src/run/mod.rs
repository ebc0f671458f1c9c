//! Runs a plan: source, stages and sink joined, counted and reported. No formats, no SQL.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use arrow_schema::SchemaRef;
use chrono::{DateTime, Utc};

mod apply;
mod case;
mod chain;
mod difference;
mod preview;
mod process;
mod record;
mod replay;
mod sizes;
mod split;
mod spool;
mod stages;

pub use apply::{Applied, Apply, apply};
pub use case::{Came, CaseReport, run_case};
pub use chain::Watch;
pub use difference::{Difference, Letter};
pub use preview::{Look, Preview, preview};
pub use record::run_recorded;
use record::{begun, phases};
pub use replay::{ReplayOptions, ReplayReport, Settled, replay, settle};
use split::{Context, Seconds, run_split};
use stages::Components;
pub use stages::{Located, OpenStage, Stages};

use crate::artifact::Library;
use crate::batch::Reject;
use crate::error::{Error, PhaseName, Result};
use crate::plan::{DeadLetters as DeadLettersPlan, Plan};
use crate::report::{DeadLetterReport, OutputReport, Progress, Quality, Rows, RunReport, StageReport, Status, StepQuality, Verdict};
use crate::sandbox::Sandbox;
use crate::sink::dead_letters::{self, DeadLetters};
use crate::sink::{self, Mark, RunName, Sink};
use crate::source::{self, ReadOptions, Source};
use crate::state::letters::TableLetters;
use crate::state::state_file;

/// Rejects that a report shows as sentences.
const SAMPLES: usize = 3;

/// How a plan is run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The run's id; the same id, input and parameters give the same bytes.
    pub run_id: String,
    /// When it starts: what `now()` shows.
    pub started: DateTime<Utc>,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// Threads that work on rows.
    pub workers: NonZeroUsize,
    /// Parts into which the input is cut; each is staged on its own and one commit shows all.
    pub splits: NonZeroUsize,
    /// Rows of a batch where no stage can tell how many there are.
    pub batch_rows: NonZeroUsize,
    /// Where components come from that the contract directory does not hold.
    pub library: Library,
    /// What stages draw chance from; absent = a number drawn from the run's id.
    pub seed: Option<u64>,
    /// The folder that keeps what is to outlive the process, such as tables of dead letters without a database of their own.
    pub state_dir: Option<PathBuf>,
    /// What the commit leaves beside the output, all or nothing, so that it can be told after a crash whether it was done.
    pub mark: Option<Mark>,
}

impl Default for RunOptions {
    fn default() -> Self {
        let one = NonZeroUsize::MIN;
        Self {
            run_id: uuid::Uuid::new_v4().to_string(),
            started: Utc::now(),
            dry_run: false,
            workers: std::thread::available_parallelism().unwrap_or(one),
            splits: one,
            batch_rows: NonZeroUsize::new(8192).expect("8192 is not zero"),
            library: Library::default(),
            seed: None,
            state_dir: None,
            mark: None,
        }
    }
}

/// What the stages of a plan come to, once the source's schema is known.
pub struct Resolved {
    /// The schema of the source.
    pub source: SchemaRef,
    /// The stages.
    pub stages: Stages,
    /// For each stage where its component was found.
    pub located: Vec<Located>,
}

/// Opens the source and the stages, without reading more than a sample and without writing: what `plan` shows.
///
/// # Errors
/// As [`run`].
pub fn resolve(plan: &Plan, options: &RunOptions, sandbox: &Sandbox) -> Result<Resolved> {
    let components = Components::load(plan, &options.library, sandbox)?;
    let source = open_source(plan, options, components.see_batches(), 1 << 20)?.schema();
    let stages = components.configure(plan, options, sandbox, source.clone())?;
    Ok(Resolved { source, stages, located: components.located() })
}

/// Runs a plan to its end. Blocks the calling thread; `stop`, once set, ends it at the next batch with nothing written.
///
/// # Errors
/// Nothing of the output is visible after an error; what was staged is removed.
pub fn run(
    plan: &Plan,
    options: &RunOptions,
    sandbox: &Sandbox,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<RunReport> {
    let components = Components::load(plan, &options.library, sandbox)?;
    let configure = |schema| components.configure(plan, options, sandbox, schema);
    run_with(plan, options, components.see_batches(), &configure, stop, on_progress)
}

/// Runs a plan with stages that the caller opens once the source's schema is known; `see_batches` says whether they see the rows of a batch together.
///
/// # Errors
/// As [`run`].
pub fn run_with(
    plan: &Plan,
    options: &RunOptions,
    see_batches: bool,
    configure: &dyn Fn(SchemaRef) -> Result<Stages>,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<RunReport> {
    let clock = Instant::now();
    check_letters(plan)?;
    let name = RunName { run_id: options.run_id.clone(), started: options.started, pipeline: plan.name.clone() };
    let sink: Box<dyn Sink> = if options.dry_run {
        sink::open_nothing(&plan.sink, &plan.root)
    } else {
        sink::open_marked(&plan.sink, &plan.root, &name, options.mark.as_ref())
    }
    .map_err(|error| error.in_phase(PhaseName::Load))?;
    let source = open_source(plan, options, see_batches, sink.chunk_bytes()).map_err(|error| error.in_phase(PhaseName::Extract))?;
    refuse_own_output(plan, source.as_ref())?;
    let stages = configure(source.schema()).map_err(|error| error.in_phase(PhaseName::Transform))?;
    let place = match (&plan.dead_letters, options.dry_run) {
        (DeadLettersPlan::File(path), false) => dead_letters::Place::File(path.clone()),
        (DeadLettersPlan::Table { path, table }, false) => dead_letters::Place::Table(table_of(path.as_deref(), table, options)?),
        (DeadLettersPlan::Memory, false) => dead_letters::Place::Memory,
        (DeadLettersPlan::Off, _) | (_, true) => dead_letters::Place::Nowhere,
    };
    let letters = DeadLetters::new(place, &name);
    let output = if stages.outputs.is_empty() { Some(source.schema()) } else { stages.outputs.last().cloned().flatten() };
    // A stage that remembers sees all batches in order.
    let workers = if stages.remembers { 1 } else { options.workers.get() };
    let work = Work { plan, options, source: source.as_ref(), sink: sink.as_ref(), stages: &stages, output, workers, stop };
    let done = work.run(&letters, on_progress).inspect_err(|_| {
        for reason in letters.first().iter().take(SAMPLES) {
            tracing::warn!(reason, "a row was refused before the run failed");
        }
        // The first error is the one to tell of.
        for second in [sink.abort(), letters.abort()].into_iter().filter_map(Result::err) {
            tracing::warn!(error = %second.one_line(), "what was staged could not be removed");
        }
    })?;
    let Done { rows, stages, seconds, quality, output, dead_letters } = done;
    warn_of_missing(&stages);
    let failed = quality.as_ref().is_some_and(|quality| quality.verdict == Verdict::Fail);
    let usage = process::usage();
    Ok(RunReport {
        status: match rows.crashed {
            _ if failed => Status::Failed,
            0 => Status::Success,
            _ => Status::PartialSuccess,
        },
        error: quality.as_ref().and_then(record::breached),
        ended: Some(record::shown(Utc::now())),
        phases: phases(plan, &rows, seconds, &dead_letters, quality.as_ref()),
        fuel: stages.iter().map(|stage: &StageReport| stage.fuel).sum(),
        rows,
        stages,
        quality,
        output,
        dead_letters,
        seconds: clock.elapsed().as_secs_f64(),
        cpu_seconds: usage.cpu_seconds,
        peak_memory_mb: usage.peak_memory_mb,
        workers,
        ..begun(plan, options)
    })
}

/// Tells of columns that steps name and rows have not: once a run, however many rows.
fn warn_of_missing(stages: &[StageReport]) {
    for stage in stages {
        for (counter, rows) in &stage.counters {
            if let Some(column) = counter.strip_prefix("missing_column.") {
                tracing::warn!(stage = stage.name, column, rows, "a step names a column that is not there");
            }
        }
    }
}

/// Refuses a pipeline that reads what it writes: the input would be gone, or the next run would read this one's output.
fn refuse_own_output(plan: &Plan, source: &dyn Source) -> Result<()> {
    let Ok(target) = plan.root.join(&plan.sink.path).canonicalize() else { return Ok(()) };
    let files = source.splits(NonZeroUsize::MIN)?.into_iter().flat_map(|split| split.files);
    match files.into_iter().find(|file| plan.root.join(file).canonicalize().is_ok_and(|file| file == target)) {
        Some(file) => Err(Error::config(format!("the pipeline would read `{file}`, which is the file that it writes"))
            .hint("write to another folder, or narrow the pattern of `extract.yaml`")),
        None => Ok(()),
    }
}

fn open_source(plan: &Plan, options: &RunOptions, see_batches: bool, chunk_bytes: usize) -> Result<Box<dyn Source>> {
    let read = ReadOptions {
        batch_rows: if see_batches { plan.reading.batch_size } else { options.batch_rows },
        exact: see_batches,
        chunk_bytes,
        limit: plan.limit,
        converted: plan.converted.clone(),
        as_text: plan.as_text.clone(),
        columns: None,
    };
    source::open(&plan.source, &plan.reading, read, &plan.root)
}

/// Everything a run works with.
struct Work<'a> {
    plan: &'a Plan,
    options: &'a RunOptions,
    source: &'a dyn Source,
    sink: &'a dyn Sink,
    stages: &'a Stages,
    output: Option<SchemaRef>,
    workers: usize,
    stop: &'a AtomicBool,
}

/// What a run came to.
struct Done {
    rows: Rows,
    stages: Vec<StageReport>,
    seconds: Seconds,
    quality: Option<Quality>,
    output: OutputReport,
    dead_letters: DeadLetterReport,
}

impl Work<'_> {
    fn run(&self, letters: &DeadLetters, on_progress: &mut dyn FnMut(&Progress)) -> Result<Done> {
        let clock = Instant::now();
        let mut done = Done {
            rows: Rows::default(),
            stages: self.stages.reports.clone(),
            seconds: Seconds::default(),
            quality: None,
            output: OutputReport::default(),
            dead_letters: DeadLetterReport::default(),
        };
        let context = Context {
            source: self.source,
            sink: self.sink,
            stages: self.stages,
            output: self.output.clone(),
            workers: self.workers,
            root: &self.plan.root,
            stop: self.stop,
        };
        // The columns of a file come from the rows of all splits.
        let together = self.stages.remembers || self.output.is_none() && self.sink.names_columns();
        let target = if together { 1 } else { self.options.splits.get().min(self.sink.max_splits()) };
        let mut splits = self.source.splits(NonZeroUsize::new(target).unwrap_or(NonZeroUsize::MIN))?;
        if splits.is_empty() {
            // Nothing to read still makes an output, an empty one.
            splits.push(source::Split { index: 0, files: Vec::new() });
        }
        let mut staged = Vec::with_capacity(splits.len());
        let mut looked = Instant::now();
        let silent = self.plan.stages.iter().filter(|stage| stage.validation.as_ref().is_some_and(|rules| !rules.keeps_letters));
        let silent: Vec<&str> = silent.map(|stage| stage.name.as_str()).collect();
        let count = splits.len() as f64;
        let mut reached = Progress::default();
        for (number, split) in splits.iter().enumerate() {
            let before = done.rows;
            let report = &mut done.dead_letters;
            letters.begin(split.index)?;
            let mut on_rejects = |rejects: &[Reject]| {
                rejects.iter().for_each(|reject| note(report, reject));
                if silent.is_empty() {
                    return letters.write(split.index, rejects);
                }
                let kept: Vec<Reject> = rejects.iter().filter(|reject| !silent.contains(&reject.stage.as_str())).cloned().collect();
                letters.write(split.index, &kept)
            };
            let mut progress = |progress: &mut Progress| {
                if looked.elapsed() < Duration::from_millis(50) {
                    return;
                }
                looked = Instant::now();
                progress.rows.add(&before);
                progress.seconds = clock.elapsed().as_secs_f64();
                progress.memory_mb = process::memory_mb();
                // Splits are about the same size.
                progress.share = progress.share.map(|share| (number as f64 + share) / count);
                reached.clone_from(progress);
                on_progress(progress);
            };
            let report = run_split(&context, split, &mut on_rejects, &mut progress)?;
            done.rows.add(&report.rows);
            done.seconds.extract += report.seconds.extract;
            done.seconds.transform += report.seconds.transform;
            done.seconds.load += report.seconds.load;
            for (total, stage) in done.stages.iter_mut().zip(report.stages) {
                split::merge(total, stage);
            }
            staged.extend(report.staged);
        }
        if !done.rows.balance() {
            return Err(Error::bug(format!("rows do not balance, so nothing was written: {:?}", done.rows)));
        }
        done.quality = self.judge(&done.stages);
        if done.quality.as_ref().is_some_and(|quality| quality.verdict == Verdict::Fail) {
            // The letters say what is wrong with the data; of the rest nothing is shown.
            self.sink.abort()?;
            letters.commit()?;
            letters.tell(&mut done.dead_letters);
            done.rows.withheld = std::mem::take(&mut done.rows.loaded);
            return Ok(done);
        }
        on_progress(&Progress {
            stage: PhaseName::Load,
            rows: done.rows,
            seconds: clock.elapsed().as_secs_f64(),
            memory_mb: process::memory_mb(),
            share: Some(1.0),
            ..reached
        });
        // Dead letters are on disk before the other rows are shown: a crash in between may repeat one, and loses none.
        letters.commit().map_err(|error| error.in_phase(PhaseName::Load))?;
        letters.tell(&mut done.dead_letters);
        let committed = self.sink.commit(staged).map_err(|error| error.in_phase(PhaseName::Load))?;
        done.output = OutputReport { files: committed.files, bytes: committed.bytes };
        Ok(done)
    }

    /// What the stages of rules found; `None` where there are none.
    fn judge(&self, reports: &[StageReport]) -> Option<Quality> {
        let steps = self.plan.stages.iter().zip(reports).filter_map(|(stage, report)| {
            let rules = stage.validation.as_ref()?;
            Some(StepQuality::of(&stage.name, &rules.rules, &rules.thresholds, &report.tally))
        });
        Quality::of(steps.collect())
    }
}

/// Refuses dead letters that would be mixed up with what is read, or lost under what is written.
fn check_letters(plan: &Plan) -> Result<()> {
    let DeadLettersPlan::File(letters) = &plan.dead_letters else { return Ok(()) };
    let same = |path: &str| {
        let path = plan.root.join(path);
        path == *letters || path.canonicalize().ok().zip(letters.canonicalize().ok()).is_some_and(|(path, letters)| path == letters)
    };
    for (path, what) in [(&plan.sink.path, "output"), (&plan.source.path, "input")] {
        if same(path) {
            return Err(Error::config(format!("the dead letters would go to `{path}`, which is the {what}"))
                .hint("give them a `path` of their own under `dlq`"));
        }
    }
    Ok(())
}

/// Opens the table of dead letters, so that what is wrong with it shows before a row is read.
fn table_of(path: Option<&Path>, table: &str, options: &RunOptions) -> Result<Arc<TableLetters>> {
    let state = || {
        let folder = options.state_dir.as_deref().ok_or_else(|| {
            Error::config("the dead letters go to the state database, but there is no folder for it")
                .hint("pass `--state-dir FOLDER`, or name a database: `dlq: {backend: database, connection_string: sqlite:///letters.db}`")
        });
        folder.map(state_file)
    };
    let path = path.map_or_else(state, |path| Ok(path.to_owned()))?;
    TableLetters::open(&path, table).map(Arc::new).map_err(|error| error.in_phase(PhaseName::Load))
}

/// Counts a refused row.
fn note(report: &mut DeadLetterReport, reject: &Reject) {
    *report.by_reason.entry(reject.reason).or_default() += 1;
    *report.by_code.entry(reject.code.clone()).or_default() += 1;
    if report.samples.len() < SAMPLES {
        let place = match (reject.line, reject.row) {
            (0, 0) => reject.source.to_string(),
            (0, row) => format!("{} row {row}", reject.source),
            (line, _) => format!("{}:{line}", reject.source),
        };
        report.samples.push(format!("{place}: {}", reject.message));
    }
}
