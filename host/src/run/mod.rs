//! Runs a plan: source, stages and sink joined, counted and reported. No formats, no SQL.

use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use arrow_schema::SchemaRef;
use chrono::{DateTime, SecondsFormat, Utc};

mod apply;
mod case;
mod chain;
mod difference;
mod letters;
mod preview;
mod process;
mod split;
mod spool;
mod stages;

pub use apply::{Applied, Apply, apply};
pub use case::{Came, CaseReport, run_case};
pub use chain::Watch;
pub use difference::{Difference, Letter};
pub use preview::{Look, Preview, preview};
use split::{Context, Seconds, run_split};
use stages::Components;
pub use stages::{Located, OpenStage, Stages};

use self::letters::Letters;
use crate::artifact::Library;
use crate::batch::Reject;
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::report::{DeadLetterReport, OutputReport, Phase, Progress, Quality, Rows, RunReport, StageReport, Status, StepQuality, Verdict};
use crate::sandbox::Sandbox;
use crate::sink::{self, RunName, Sink};
use crate::source::{self, ReadOptions, Source};

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
    letters::check(plan)?;
    let name = RunName { run_id: options.run_id.clone(), started: options.started, pipeline: plan.name.clone() };
    let sink: Box<dyn Sink> =
        if options.dry_run { sink::open_nothing(&plan.sink, &plan.root)? } else { sink::open(&plan.sink, &plan.root, &name)? };
    let source = open_source(plan, options, see_batches, sink.chunk_bytes())?;
    refuse_own_output(plan, source.as_ref())?;
    let stages = configure(source.schema())?;
    let letters = Letters::new(plan, options.dry_run, &name);
    let output = if stages.outputs.is_empty() { Some(source.schema()) } else { stages.outputs.last().cloned().flatten() };
    // A stage that remembers sees all batches in order.
    let workers = if stages.remembers { 1 } else { options.workers.get() };
    let work = Work { plan, options, source: source.as_ref(), sink: sink.as_ref(), stages: &stages, output, workers, stop };
    let mut unfinished = Unfinished { sink: sink.as_ref(), letters: &letters, is_done: false };
    let done = work.run(&letters, on_progress).inspect_err(|_| {
        for reason in letters.first().iter().take(SAMPLES) {
            tracing::warn!(reason, "a row was refused before the run failed");
        }
    })?;
    unfinished.is_done = true;
    let Done { rows, stages, seconds, quality, output, dead_letters } = done;
    warn_of_missing(&stages);
    let failed = quality.as_ref().is_some_and(|quality| quality.verdict == Verdict::Fail);
    let usage = process::usage();
    Ok(RunReport {
        run_id: options.run_id.clone(),
        pipeline: plan.name.clone(),
        status: match rows.crashed {
            _ if failed => Status::Failed,
            0 => Status::Success,
            _ => Status::PartialSuccess,
        },
        dry_run: options.dry_run,
        started: options.started.to_rfc3339_opts(SecondsFormat::Millis, true),
        phases: phases(plan, &rows, seconds, &dead_letters),
        rows,
        stages,
        quality,
        output,
        dead_letters,
        seconds: clock.elapsed().as_secs_f64(),
        cpu_seconds: usage.cpu_seconds,
        peak_memory_mb: usage.peak_memory_mb,
        workers,
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
/// Removes what a run has staged, unless it came to its end: also where the program panics.
struct Unfinished<'a> {
    sink: &'a dyn Sink,
    letters: &'a Letters,
    is_done: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        // The first error is the one to tell of.
        for second in [self.sink.abort(), self.letters.abort()].into_iter().filter_map(Result::err) {
            tracing::warn!(error = %second.one_line(), "what was staged could not be removed");
        }
    }
}

struct Done {
    rows: Rows,
    stages: Vec<StageReport>,
    seconds: Seconds,
    quality: Option<Quality>,
    output: OutputReport,
    dead_letters: DeadLetterReport,
}

impl Work<'_> {
    fn run(&self, letters: &Letters, on_progress: &mut dyn FnMut(&Progress)) -> Result<Done> {
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
            stop: self.stop,
        };
        // The columns of a file come from the rows of all splits.
        let together = self.stages.remembers || self.output.is_none() && self.sink.names_columns();
        let target = if together { 1 } else { self.options.splits.get().min(self.sink.max_splits()) };
        let mut splits = self.source.splits(NonZeroUsize::new(target).unwrap_or(NonZeroUsize::MIN))?;
        if splits.is_empty() && self.plan.root.join(&self.plan.sink.path).exists() {
            // That no file is there is no reason to lose what an earlier run has written.
            tracing::warn!(path = self.plan.sink.path, "the output stays as it is, since there was nothing to read");
            self.sink.abort()?;
            return Ok(done);
        }
        if splits.is_empty() {
            // Nothing to read still makes an output, an empty one.
            splits.push(source::Split { index: 0, files: Vec::new() });
        }
        let mut staged = Vec::with_capacity(splits.len());
        let mut looked = Instant::now();
        for split in &splits {
            let before = done.rows;
            let report = &mut done.dead_letters;
            letters.begin(split.index)?;
            let mut on_rejects = |rejects: &[Reject]| {
                rejects.iter().for_each(|reject| note(report, reject));
                letters.write(split.index, rejects)
            };
            let mut progress = |progress: &mut Progress| {
                if looked.elapsed() < Duration::from_millis(50) {
                    return;
                }
                looked = Instant::now();
                progress.rows.add(&before);
                progress.seconds = clock.elapsed().as_secs_f64();
                progress.memory_mb = process::memory_mb();
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
        // Dead letters are on disk before the other rows are shown: a crash in between may repeat one, and loses none.
        letters.commit()?;
        letters.tell(&mut done.dead_letters);
        let committed = self.sink.commit(staged)?;
        done.output = OutputReport { files: committed.files, bytes: committed.bytes, nulled: committed.nulled };
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

/// Counts a refused row.
fn note(report: &mut DeadLetterReport, reject: &Reject) {
    *report.by_reason.entry(reject.reason).or_default() += 1;
    *report.by_code.entry(reject.code.clone()).or_default() += 1;
    *report.by_stage.entry(reject.stage.clone()).or_default() += 1;
    if report.samples.len() < SAMPLES {
        let place = match (reject.line, reject.row) {
            (0, 0) => reject.source.to_string(),
            (0, row) => format!("{} row {row}", reject.source),
            (line, _) => format!("{}:{line}", reject.source),
        };
        report.samples.push(format!("{place}: {}", reject.message));
    }
}

fn phases(plan: &Plan, rows: &Rows, seconds: Seconds, letters: &DeadLetterReport) -> Vec<Phase> {
    use crate::batch::Reason;
    let count = |reasons: &[Reason]| reasons.iter().filter_map(|reason| letters.by_reason.get(reason)).sum::<u64>();
    let unparsed = count(&[Reason::ParseError, Reason::ExtractionError]);
    let unloaded = count(&[Reason::LoadError, Reason::SchemaMismatch]);
    let parsed = rows.read - unparsed;
    let steps = plan.stages.iter().flat_map(|stage| stage.steps.iter().map(String::as_str)).collect::<Vec<_>>().join(", ");
    vec![
        Phase { name: "extract", detail: plan.source.path.clone(), rows_in: rows.read, rows_out: parsed, seconds: seconds.extract },
        Phase { name: "transform", detail: steps, rows_in: parsed, rows_out: rows.loaded + unloaded, seconds: seconds.transform },
        Phase {
            name: "load",
            detail: plan.sink.path.clone(),
            rows_in: rows.loaded + unloaded,
            rows_out: rows.loaded,
            seconds: seconds.load,
        },
    ]
}
