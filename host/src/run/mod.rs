//! Runs a plan: source, stages and sink joined, counted and reported. No formats, no SQL.

use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use arrow_schema::SchemaRef;
use chrono::{DateTime, SecondsFormat, Utc};

mod apply;
mod case;
mod chain;
mod checkpoint;
mod difference;
mod ledger;
mod preview;
mod process;
mod split;
mod spool;
mod stages;
mod worker;

pub use apply::{Applied, Apply, apply};
pub use case::{Came, CaseReport, run_case};
pub use chain::Watch;
use checkpoint::{Basis, Checkpoint, Opened, Phase as At, Session, Totals};
pub use checkpoint::{Checkpoints, Start};
pub use difference::{Difference, Letter};
use ledger::Ledger;
pub use preview::{Look, Preview, preview};
use split::{Context, Marks, Seconds, run_split};
use stages::Components;
pub use stages::{Located, OpenStage, Stages};

use crate::artifact::Library;
use crate::crash;
use crate::error::{Error, Result};
use crate::plan::{DeadLetters as DeadLettersPlan, Plan};
use crate::report::{DeadLetterReport, OutputReport, Phase, Progress, Quality, Rows, RunReport, StageReport, Status, StepQuality, Verdict};
use crate::sandbox::Sandbox;
use crate::sink::dead_letters::{self, DeadLetters};
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
    /// How it keeps checkpoints, where it does; a dry run keeps none.
    pub checkpoints: Option<Checkpoints>,
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
            checkpoints: None,
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

/// Runs a plan to its end. Blocks the calling thread; `stop`, once set, ends it at the next batch with nothing written, or with a
/// checkpoint where it keeps some.
///
/// # Errors
/// Nothing of the output is visible after an error. What was staged is removed, unless a checkpoint can be gone on from.
pub fn run(
    plan: &Plan,
    options: &RunOptions,
    sandbox: &Sandbox,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<RunReport> {
    let opened = Session::open(options)?;
    if let Some(Opened { session, from: Some(from), .. }) = &opened
        && let At::Done(output) = &from.phase
    {
        return complete(plan, session, from, output);
    }
    let options = opened.as_ref().map_or_else(|| options.clone(), |opened| opened.session.options(options));
    let components = Components::load(plan, &options.library, sandbox)?;
    let configure = |schema| components.configure(plan, &options, sandbox, schema);
    run_opened(plan, &options, opened, components.see_batches(), &configure, stop, on_progress)
}

/// Runs a plan with stages that the caller opens once the source's schema is known; `see_batches` says whether they see the rows of a batch together.
///
/// It keeps no checkpoints, since nobody could tell whether the stages have changed.
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
    run_opened(plan, options, None, see_batches, configure, stop, on_progress)
}

fn run_opened(
    plan: &Plan,
    options: &RunOptions,
    opened: Option<Opened>,
    see_batches: bool,
    configure: &dyn Fn(SchemaRef) -> Result<Stages>,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<RunReport> {
    check_letters(plan)?;
    let name = RunName { run_id: options.run_id.clone(), started: options.started, pipeline: plan.name.clone() };
    let place = match (&plan.dead_letters, options.dry_run) {
        (DeadLettersPlan::File(path), false) => dead_letters::Place::File(path.clone()),
        (DeadLettersPlan::Memory, false) => dead_letters::Place::Memory,
        (DeadLettersPlan::Off, _) | (_, true) => dead_letters::Place::Nowhere,
    };
    let (mut session, from, discarded) = opened.map_or((None, None, None), |opened| (Some(opened.session), opened.from, opened.discarded));
    if let Some((run_id, started)) = discarded {
        DeadLetters::new(place.clone(), &RunName { run_id, started, pipeline: plan.name.clone() }).discard()?;
    }
    let sink: Box<dyn Sink> =
        if options.dry_run { sink::open_nothing(&plan.sink, &plan.root)? } else { sink::open(&plan.sink, &plan.root, &name)? };
    let source = open_source(plan, options, see_batches, sink.chunk_bytes())?;
    refuse_own_output(plan, source.as_ref())?;
    let stages = configure(source.schema())?;
    let letters = DeadLetters::new(place, &name);
    let output = if stages.outputs.is_empty() { Some(source.schema()) } else { stages.outputs.last().cloned().flatten() };
    // A stage that remembers sees all batches in order.
    let workers = if stages.remembers { 1 } else { options.workers.get() };
    let work = Work { plan, options, source: source.as_ref(), sink: sink.as_ref(), stages: &stages, output, workers, stop };
    let resumes = from.is_some();
    let done = work.run(&letters, &mut session, from, on_progress).inspect_err(|_| {
        for reason in letters.first().iter().take(SAMPLES) {
            tracing::warn!(reason, "a row was refused before the run failed");
        }
        if session.as_ref().is_some_and(|session| resumes || session.has_progress()) {
            // What is staged stays for the one who goes on.
            return;
        }
        // The first error is the one to tell of.
        let forgotten = session.as_ref().map_or(Ok(()), Session::forget);
        for second in [sink.abort(), letters.abort(), forgotten].into_iter().filter_map(Result::err) {
            tracing::warn!(error = %second.one_line(), "what was staged could not be removed");
        }
    })?;
    warn_of_missing(&done.totals.stages);
    Ok(report(plan, options, done, workers, session.as_ref()))
}

/// Tells of a run that was complete before.
fn complete(plan: &Plan, session: &Session, from: &Checkpoint, output: &OutputReport) -> Result<RunReport> {
    let options = session.options(&RunOptions::default());
    if session.is_marked() {
        // It was killed just before it cleared what it had staged.
        let name = RunName { run_id: options.run_id.clone(), started: options.started, pipeline: plan.name.clone() };
        if let DeadLettersPlan::File(path) = &plan.dead_letters {
            DeadLetters::new(dead_letters::Place::File(path.clone()), &name).clear()?;
        }
        sink::open(&plan.sink, &plan.root, &name)?.abort()?;
        session.remove_mark()?;
    }
    let totals = from.totals.clone();
    let quality = judge(plan, &totals.stages);
    let done = Done { totals, quality, output: output.clone(), interrupted: false, already_complete: true };
    Ok(report(plan, &options, done, 0, Some(session)))
}

/// Says what a run came to.
fn report(plan: &Plan, options: &RunOptions, done: Done, workers: usize, session: Option<&Session>) -> RunReport {
    let Done { totals, quality, output, interrupted, already_complete } = done;
    let Totals { rows, batches: _, stages, tallies: _, seconds, elapsed, dead_letters } = totals;
    let failed = quality.as_ref().is_some_and(|quality| quality.verdict == Verdict::Fail);
    let usage = process::usage();
    RunReport {
        run_id: options.run_id.clone(),
        pipeline: plan.name.clone(),
        status: match rows.crashed {
            _ if interrupted => Status::Interrupted,
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
        seconds: elapsed,
        cpu_seconds: usage.cpu_seconds,
        peak_memory_mb: usage.peak_memory_mb,
        workers,
        checkpoint: session.map(|session| session.report(already_complete)),
    }
}

/// What the stages of rules found; `None` where there are none.
fn judge(plan: &Plan, reports: &[StageReport]) -> Option<Quality> {
    let steps = plan.stages.iter().zip(reports).filter_map(|(stage, report)| {
        let rules = stage.validation.as_ref()?;
        Some(StepQuality::of(&stage.name, &rules.rules, &rules.thresholds, &report.tally))
    });
    Quality::of(steps.collect())
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
    totals: Totals,
    quality: Option<Quality>,
    output: OutputReport,
    interrupted: bool,
    already_complete: bool,
}

impl Work<'_> {
    fn run(
        &self,
        letters: &DeadLetters,
        session: &mut Option<Session>,
        from: Option<Checkpoint>,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<Done> {
        let rows_path = session.as_ref().map(Session::rows);
        let marks = session.as_ref().zip(rows_path.as_deref());
        let context = Context {
            source: self.source,
            sink: self.sink,
            stages: self.stages,
            output: self.output.clone(),
            workers: self.workers,
            stop: self.stop,
            marks: marks.map(|(session, rows)| Marks { interval: session.interval(), rows }),
        };
        let silent = self.plan.stages.iter().filter(|stage| stage.validation.as_ref().is_some_and(|rules| !rules.keeps_letters));
        let mut ledger = Ledger {
            letters,
            session: None,
            silent: silent.map(|stage| stage.name.as_str()).collect(),
            on_progress,
            split: 0,
            staged: Vec::new(),
            totals: Totals::new(&self.stages.reports),
            clock: Instant::now(),
            looked: Instant::now(),
        };
        let splits;
        let mut reached = None;
        let mut committing = false;
        if let Some(session) = session {
            let committed = if from.is_some() { self.sink.committed()? } else { None };
            let basis = Basis::now(self.plan, &self.source.inputs(), &self.stages.reports)?;
            if let Some(from) = from {
                if committed.is_none() {
                    session.compare(&from, &basis)?;
                }
                letters.keep(&session.make_mark()?)?;
                letters.resume(&from.letters)?;
                session.begin(basis, &from.splits);
                let Checkpoint { phase, splits: parts, staged, reached: place, totals, .. } = from;
                committing = phase == At::Committing;
                (splits, reached, ledger.staged, ledger.totals) = (parts, place, staged, totals);
                if let Some(committed) = committed {
                    ledger.session = Some(session);
                    return self.over(ledger, OutputReport { files: committed.files, bytes: committed.bytes }, true);
                }
            } else {
                splits = self.splits()?;
                session.begin(basis, &splits);
                let mark = session.make_mark()?;
                crash::at("run.marked");
                self.sink.keep(&mark)?;
                letters.keep(&mark)?;
            }
            ledger.session = Some(session);
            if reached.is_none() && !committing {
                ledger.note(At::Working)?;
            }
        } else {
            splits = self.splits()?;
        }
        for split in splits.iter().skip(ledger.staged.len()) {
            let from = reached.take();
            ledger.split = split.index;
            if from.is_none() {
                letters.begin(split.index)?;
            }
            let report = run_split(&context, split, from.as_ref(), &mut ledger)?;
            let interrupted = report.interrupted;
            ledger.done(report);
            if interrupted {
                ledger.totals.elapsed += ledger.clock.elapsed().as_secs_f64();
                return Ok(Done {
                    totals: ledger.totals,
                    quality: None,
                    output: OutputReport::default(),
                    interrupted,
                    already_complete: false,
                });
            }
            ledger.note(At::Working)?;
        }
        if !ledger.totals.rows.balance() {
            return Err(Error::bug(format!("rows do not balance, so nothing was written: {:?}", ledger.totals.rows)));
        }
        ledger.totals.dead_letters.path = letters.path().map(ToOwned::to_owned);
        if judge(self.plan, &ledger.totals.stages).is_some_and(|quality| quality.verdict == Verdict::Fail) {
            // The letters say what is wrong with the data; of the rest nothing is shown.
            self.sink.abort()?;
            letters.commit()?;
            ledger.totals.rows.withheld = std::mem::take(&mut ledger.totals.rows.loaded);
            return self.over(ledger, OutputReport::default(), false);
        }
        ledger.note(At::Committing)?;
        crash::at("run.committing");
        // Dead letters are on disk before the other rows are shown: a crash in between may repeat one, and loses none.
        letters.commit()?;
        let committed = self.sink.commit(ledger.staged.clone())?;
        self.over(ledger, OutputReport { files: committed.files, bytes: committed.bytes }, false)
    }

    /// Ends a run: what is kept to go on with it goes.
    fn over(&self, mut ledger: Ledger<'_>, output: OutputReport, already_complete: bool) -> Result<Done> {
        ledger.totals.elapsed += ledger.clock.elapsed().as_secs_f64();
        ledger.clock = Instant::now();
        ledger.note(At::Done(output.clone()))?;
        crash::at("run.noted");
        if let Some(session) = &ledger.session {
            let sink = self.sink.abort();
            crash::at("run.cleared");
            let cleared = [sink, ledger.letters.close(), session.remove_mark()];
            for error in cleared.into_iter().filter_map(Result::err) {
                tracing::warn!(error = %error.one_line(), "the output is in place, but temporary files could not be removed");
            }
        }
        let quality = judge(self.plan, &ledger.totals.stages);
        Ok(Done { totals: ledger.totals, quality, output, interrupted: false, already_complete })
    }

    /// The parts of the input that are worked on one after the other.
    fn splits(&self) -> Result<Vec<source::Split>> {
        // The columns of a file come from the rows of all splits.
        let together = self.stages.remembers || self.output.is_none() && self.sink.names_columns();
        let target = if together { 1 } else { self.options.splits.get().min(self.sink.max_splits()) };
        let mut splits = self.source.splits(NonZeroUsize::new(target).unwrap_or(NonZeroUsize::MIN))?;
        if splits.is_empty() {
            // Nothing to read still makes an output, an empty one.
            splits.push(source::Split { index: 0, files: Vec::new() });
        }
        Ok(splits)
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
