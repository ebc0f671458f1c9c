//! Runs a plan: source, stages and sink joined, counted and reported. No formats, no SQL.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow_schema::SchemaRef;
use chrono::Utc;
use etl_steps::validate::Thresholds;

mod apply;
mod around;
mod case;
mod chain;
mod checkpoint;
mod difference;
mod follow;
pub mod journal;
mod lanes;
mod ledger;
mod letters;
pub mod many;
mod memory;
mod names;
mod opening;
mod options;
mod own;
mod preview;
mod process;
mod reader;
mod record;
mod replay;
mod sizes;
mod split;
mod spool;
mod stages;
mod table;
mod together;
mod worker;

pub use apply::{Applied, Apply, apply};
use around::Around;
pub use case::{Came, CaseReport, run_case};
pub use chain::Watch;
use checkpoint::{Basis, Checkpoint, Opened, Phase as At, Session, Totals};
pub use checkpoint::{Checkpoints, Start};
pub use difference::{Difference, Letter};
pub use follow::{Followed, follow, reached};
pub use lanes::{resolve_planned, run_planned};
use ledger::Ledger;
use memory::Memory;
pub use names::checkpoint_name;
pub use options::RunOptions;
pub use preview::{Look, Preview, preview};
pub use record::hint;
use record::{begun, phases};
pub use record::{failure, run_recorded, was_stopped};
pub use replay::{ReplayOptions, ReplayReport, Settled, replay, replay_planned, settle};
use split::{Context, Marks, run_split};
use stages::Components;
pub use stages::{Located, OpenStage, Stages};

use self::letters::Letters;
pub use self::letters::table_at;
use crate::config::load::Sink as SinkConfig;
use crate::crash;
use crate::error::{Error, Fault, PhaseName, Result};
use crate::plan::{Plan, StagePlan};
use crate::report::{OutputReport, Progress, Quality, RunReport, StageReport, Status, StepQuality, Verdict};
use crate::sandbox::Sandbox;
use crate::sink::{self, Committed, RunName, Sink};
use crate::source::{self, Newer, ReadOptions, Source};

/// Rejects that a report shows as sentences.
const SAMPLES: usize = 3;

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
    own::refuse_files(plan)?;
    let components = Components::load(plan, &options.library, sandbox)?;
    // A row is enough to be shown of what columns it is, where each page costs a request.
    let read = read_options(plan, options, components.see_batches(), 1 << 20, Some(1), None);
    let source = options.open_source(plan, read, &source::NEVER)?.schema();
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
    run_session(plan, options, Session::open(options, plan)?, sandbox, &Around::alone(stop, plan), on_progress)
}

/// Runs a plan, and once more where the sink's connection or transaction was lost: from the last checkpoint, else from the start, since what was not
/// committed is undone.
fn run_session(
    plan: &Plan,
    options: &RunOptions,
    mut opened: Option<Opened>,
    sandbox: &Sandbox,
    around: &Around<'_>,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<RunReport> {
    options.check_allowed(plan)?;
    let options = &follow::marked(plan, options)?;
    let mut attempts = 0;
    loop {
        let outcome = run_once(plan, options, opened, sandbox, around, on_progress);
        let Err(error) = &outcome else { return outcome };
        // Once it was lost, that it does not come back at once is the same trouble.
        let is_away = attempts > 0 && error.fault() == Fault::Outside && error.phase() == Some(PhaseName::Load) && !error.is_given_up();
        if !(error.is_lost() || is_away) || attempts >= plan.max_retries {
            return outcome;
        }
        let wait = Duration::from_secs(1 << attempts.min(5));
        attempts += 1;
        tracing::warn!(attempt = attempts, wait_s = wait.as_secs(), error = %error.one_line(), "the database undid the load or went away, it is tried again");
        if !process::pause(wait, &|| around.stop.load(Ordering::Relaxed)) {
            return outcome;
        }
        let resuming = options.checkpoints.clone().map(|checkpoints| Checkpoints { start: Start::ResumeUnfinished, ..checkpoints });
        opened = Session::open(&RunOptions { checkpoints: resuming, ..options.clone() }, plan)?;
    }
}

/// Runs a plan from its start, or from where a checkpoint says that it was.
fn run_once(
    plan: &Plan,
    options: &RunOptions,
    opened: Option<Opened>,
    sandbox: &Sandbox,
    around: &Around<'_>,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<RunReport> {
    if let Some(Opened { session, from: Some(from), .. }) = &opened
        && let At::Done(output) = &from.phase
    {
        return complete(plan, session, from, output);
    }
    let options = opened.as_ref().map_or_else(|| options.clone(), |opened| opened.session.options(options));
    own::refuse_files(plan)?;
    let components = Components::load(plan, &options.library, sandbox)?;
    let configure = |schema| components.configure(plan, &options, sandbox, schema);
    run_opened(plan, &options, opened, components.see_batches(), &configure, around, on_progress)
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
    run_opened(plan, options, None, see_batches, configure, &Around::alone(stop, plan), on_progress)
}

fn run_opened(
    plan: &Plan,
    options: &RunOptions,
    opened: Option<Opened>,
    see_batches: bool,
    configure: &dyn Fn(SchemaRef) -> Result<Stages>,
    around: &Around<'_>,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<RunReport> {
    let clock = Instant::now();
    letters::check(plan)?;
    check_thresholds(plan, opened.is_some())?;
    if opened.is_some() {
        plan.resumable()?;
        own::refuse_one_file(plan)?;
    }
    let name = run_name(plan, options);
    let (mut session, from, discarded) = opened.map_or((None, None, None), |opened| (Some(opened.session), opened.from, opened.discarded));
    if let Some((run_id, started)) = discarded {
        let discarded = RunName { run_id, started, ..name.clone() };
        Letters::new(plan, options, &discarded)?.discard()?;
        if matches!(plan.sink, SinkConfig::Database(_)) {
            // Its token would stay for ever.
            sink::open(&plan.sink, &plan.root, &discarded, None)
                .and_then(|sink| sink.abort())
                .map_err(|error| error.in_phase(PhaseName::Load))?;
        }
    }
    let sink: Box<dyn Sink> = if options.dry_run {
        sink::open_nothing(&plan.sink, &plan.root, &name)
    } else {
        sink::open(&plan.sink, &plan.root, &name, options.mark.as_ref())
    }
    .map_err(|error| error.in_phase(PhaseName::Load))?;
    let learned = from.as_ref().and_then(|from| from.learned.clone());
    let read = read_options(plan, options, see_batches, sink.chunk_bytes(), plan.limit, learned);
    let before = from.as_ref().map(|from| &from.totals);
    let mut opening = Progress { mode: plan.mode.name(), ..before.map(Totals::progress).unwrap_or_default() };
    let elapsed = opening.seconds;
    let mut look = || {
        (opening.seconds, opening.memory_mb) = (elapsed + clock.elapsed().as_secs_f64(), process::memory_mb());
        on_progress(&opening);
    };
    let (seat, chunk_bytes) = (around.seat(), sink.chunk_bytes());
    let source = opening::watched(around.deadline, around.stop, &mut look, |over| match seat {
        Some(seat) => seat.source(plan, see_batches, chunk_bytes),
        None => options.open_source(plan, read, over).map(Arc::from),
    });
    let source: Arc<dyn Source> = source.map_err(|error| {
        let error = if around.stop.load(Ordering::Relaxed) { stopped() } else { error };
        error.in_phase(PhaseName::Extract)
    })?;
    let newer =
        plan.incremental.as_ref().map(|incremental| Newer::new(source.clone(), incremental, options.reached.as_deref()).map(Arc::new));
    let newer = newer.transpose()?;
    if let Some((followed, newer)) = options.followed.as_ref().zip(newer.as_ref()) {
        followed.check(newer.family()).map_err(|error| error.in_phase(PhaseName::Extract))?;
    }
    let source: Arc<dyn Source> = newer.clone().map_or(source, |newer| Arc::new(newer));
    own::refuse_output(plan, source.as_ref())?;
    let stages = configure(source.schema()).map_err(|error| error.in_phase(PhaseName::Transform))?;
    let letters = Letters::new(plan, options, &name)?;
    let output = if stages.outputs.is_empty() { Some(source.schema()) } else { stages.outputs.last().cloned().flatten() };
    // A stage that remembers sees all batches in order.
    let workers = if stages.remembers { 1 } else { options.workers.get() };
    let work = Work {
        plan,
        options,
        source: source.as_ref(),
        newer: newer.as_deref(),
        sink: sink.as_ref(),
        stages: &stages,
        output,
        workers,
        around,
        clock,
    };
    let resumes = from.is_some();
    let _unfinished = Unfinished { sink: sink.as_ref(), letters: &letters, keeps: session.is_some() };
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

/// What the sink and the dead letters must know of a run.
fn run_name(plan: &Plan, options: &RunOptions) -> RunName {
    RunName {
        run_id: options.run_id.clone(),
        started: options.started,
        pipeline: plan.name.clone(),
        transformer: plan.transformer.clone(),
        max_retries: plan.max_retries,
        authority_files: options.network.authority_files.clone(),
    }
}

/// Tells of a run that was complete before.
fn complete(plan: &Plan, session: &Session, from: &Checkpoint, output: &OutputReport) -> Result<RunReport> {
    let options = session.options(&RunOptions::default());
    if session.is_marked() {
        // It was killed just before it cleared what it had staged.
        let name = run_name(plan, &options);
        Letters::new(plan, &options, &name)?.clear()?;
        sink::open(&plan.sink, &plan.root, &name, None)?.abort()?;
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
    let Totals { rows, batches, failed_batches, stages, tallies: _, seconds, elapsed, dead_letters, mark } = totals;
    let nothing_left = record::nothing_left(&rows, &stages, plan, options, &output);
    let failed = quality.as_ref().is_some_and(|quality| quality.verdict == Verdict::Fail) || nothing_left.is_some();
    let usage = process::usage();
    RunReport {
        status: match rows.crashed {
            _ if interrupted => Status::Interrupted,
            _ if failed || record::unpublished(&output).is_some() => Status::Failed,
            0 if output.published.iter().all(|done| done.error.is_none()) => Status::Success,
            _ => Status::PartialSuccess,
        },
        error: quality.as_ref().and_then(record::breached).or(nothing_left).or_else(|| record::unpublished(&output)),
        ended: Some(record::shown(Utc::now())),
        phases: phases(plan, &rows, seconds, &dead_letters, quality.as_ref(), &output),
        fuel: stages.iter().map(|stage: &StageReport| stage.fuel).sum(),
        rows,
        stages,
        quality,
        output,
        dead_letters,
        seconds: elapsed,
        cpu_seconds: usage.cpu_seconds,
        peak_memory_mb: usage.peak_memory_mb,
        workers,
        batches,
        failed_batches,
        mark,
        checkpoint: session.map(|session| session.report(already_complete)),
        ..begun(plan, options)
    }
}

/// What the stages of rules found; `None` where there are none.
fn judge(plan: &Plan, reports: &[StageReport]) -> Option<Quality> {
    let steps = plan.stages.iter().zip(reports).filter_map(|(stage, report)| {
        let rules = stage.validation.as_ref()?;
        let named: Vec<&str> = rules.columns.iter().map(|(name, _)| name.as_str()).collect();
        Some(StepQuality::of(&stage.name, &rules.rules, &named, &rules.thresholds, &report.tally))
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

/// Nobody wants a run any more that keeps no checkpoint.
fn stopped() -> Error {
    Error::outside("stopped before the end, nothing was written").given_up()
}

fn read_options(
    plan: &Plan,
    options: &RunOptions,
    see_batches: bool,
    chunk_bytes: usize,
    limit: Option<u64>,
    learned: Option<String>,
) -> ReadOptions {
    ReadOptions {
        batch_rows: if see_batches { plan.reading.batch_size } else { options.batch_rows },
        exact: see_batches,
        chunk_bytes,
        limit,
        converted: plan.converted.clone(),
        as_text: plan.as_text.clone(),
        columns: None,
        learned,
    }
}

/// What a commit has shown, as the report tells it.
fn shown(committed: Committed) -> OutputReport {
    let Committed { files, rows: _, bytes, nulled, tables, published } = committed;
    OutputReport { files, bytes, nulled, tables, published }
}

/// Refuses rules about the whole of the data where rows are shown before the whole was seen.
fn check_thresholds(plan: &Plan, by_checkpoint: bool) -> Result<()> {
    let judges = |stage: &StagePlan| stage.validation.as_ref().is_some_and(|rules| rules.thresholds != Thresholds::default());
    match plan.stages.iter().find(|stage| judges(stage)) {
        Some(stage) if by_checkpoint && matches!(plan.sink, SinkConfig::Database(_)) => Err(Error::config(format!(
            "stage `{}` has thresholds that judge all rows, but with checkpoints a table shows rows before all are judged",
            stage.name
        ))
        .hint("leave out `checkpoint` in extract.yaml, or `thresholds`")),
        _ => Ok(()),
    }
}

/// Everything a run works with.
struct Work<'a> {
    plan: &'a Plan,
    options: &'a RunOptions,
    source: &'a dyn Source,
    /// The source, where it takes newer rows only.
    newer: Option<&'a Newer>,
    sink: &'a dyn Sink,
    stages: &'a Stages,
    output: Option<SchemaRef>,
    workers: usize,
    around: &'a Around<'a>,
    /// When it began.
    clock: Instant,
}

/// Removes what a run has staged where the program panics, unless a checkpoint keeps it.
struct Unfinished<'a> {
    sink: &'a dyn Sink,
    letters: &'a Letters,
    keeps: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.keeps || !std::thread::panicking() {
            return;
        }
        for error in [self.sink.abort(), self.letters.abort()].into_iter().filter_map(Result::err) {
            tracing::warn!(error = %error.one_line(), "what was staged could not be removed");
        }
    }
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
    fn stop(&self) -> &AtomicBool {
        self.around.stop
    }

    fn run(
        &self,
        letters: &Letters,
        session: &mut Option<Session>,
        from: Option<Checkpoint>,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<Done> {
        let memory = Memory::new(self.options.max_memory_mb.or(self.plan.max_memory_mb));
        let rows_path = session.as_ref().map(Session::rows);
        let marks = session.as_ref().zip(rows_path.as_deref());
        let context = Context {
            source: self.source,
            sink: self.sink,
            stages: self.stages,
            output: self.output.clone(),
            workers: self.workers,
            root: &self.plan.root,
            stop: self.stop(),
            marks: marks.map(|(session, rows)| Marks { interval: session.interval(), rows }),
            mode: self.plan.mode,
            chunk_rows: self.plan.chunk_rows.get(),
            memory: &memory,
            deadline: self.around.deadline,
            max_failed_batches: self.plan.max_failed_batches,
            max_retries: self.plan.max_retries,
            // A dry run writes nothing.
            turn: self.around.turn.as_ref().filter(|_| !self.options.dry_run),
        };
        let mut ledger = Ledger {
            letters,
            session: None,
            sink: self.sink,
            on_progress,
            split: 0,
            splits: 1,
            last: Progress::default(),
            mode: self.plan.mode.name(),
            staged: Vec::new(),
            totals: Totals::new(&self.stages.reports),
            newer: self.newer,
            clock: self.clock,
            looked: Instant::now(),
        };
        let splits;
        let mut reached = None;
        let mut committing = false;
        if let Some(session) = session {
            let committed = if from.is_some() { self.sink.committed()? } else { None };
            let basis = Basis::now(self.plan, &self.source.inputs(), &self.stages.reports)?;
            if let Some(from) = from {
                let from = match self.sink.settled()?.filter(|_| committed.is_none()) {
                    Some(number) => session.settled(from, number)?,
                    None => from,
                };
                if committed.is_none() {
                    session.compare(&from, &basis)?;
                }
                letters.keep(&session.make_mark()?)?;
                letters.resume(&from.letters)?;
                session.begin(basis, &from.splits, self.source.learned());
                let Checkpoint { phase, splits: parts, staged, reached: place, totals, .. } = from;
                committing = phase == At::Committing;
                if let Some((newer, mark)) = self.newer.zip(totals.mark.as_ref()) {
                    newer.reached(mark)?;
                }
                (splits, reached, ledger.staged, ledger.totals) = (parts, place, staged, totals);
                if let Some(committed) = committed {
                    ledger.session = Some(session);
                    self.move_mark(&ledger)?;
                    return self.over(ledger, shown(committed), true);
                }
            } else {
                splits = self.splits()?;
                session.begin(basis, &splits, self.source.learned());
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
        if splits.is_empty() {
            self.sink.abort()?;
            return self.over(ledger, OutputReport::default(), false);
        }
        ledger.splits = splits.len();
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
        letters.tell(&mut ledger.totals.dead_letters);
        if judge(self.plan, &ledger.totals.stages).is_some_and(|quality| quality.verdict == Verdict::Fail) {
            // The letters say what is wrong with the data; of the rest nothing is shown.
            self.sink.abort()?;
            letters.commit()?;
            ledger.totals.rows.withheld = std::mem::take(&mut ledger.totals.rows.loaded);
            return self.over(ledger, OutputReport::default(), false);
        }
        if record::none_came(&ledger.totals.rows, &ledger.totals.stages, self.plan) && !self.options.dry_run && self.sink.has_output() {
            // What is there is better than nothing: the letters say why.
            self.sink.abort()?;
            letters.commit()?;
            ledger.totals.rows.withheld += std::mem::take(&mut ledger.totals.rows.loaded);
            return self.over(ledger, OutputReport::default(), false);
        }
        if let Some(turn) = context.turn
            && !turn.wait(self.stop(), &|| context.deadline.check())?
        {
            return Err(stopped());
        }
        ledger.note(At::Committing)?;
        crash::at("run.committing");
        // Dead letters are on disk before the other rows are shown: a crash in between may repeat one, and loses none.
        ledger.loading();
        let in_load = |error: Error| error.in_phase(PhaseName::Load);
        letters.commit().map_err(in_load)?;
        if let (Some((followed, family)), Some(mark)) = (self.followed(), self.next_mark(&ledger)) {
            followed.promise(mark, family, self.options)?;
        }
        crash::at("run.promised");
        let committed = self.sink.commit(ledger.staged.clone()).map_err(in_load)?;
        crash::at("run.committed");
        self.move_mark(&ledger)?;
        self.over(ledger, shown(committed), false)
    }

    /// The mark that the commit moves, and what kind of values it has; none of a run that takes all rows or writes nothing.
    fn followed(&self) -> Option<(&Followed, &'static str)> {
        let followed = self.options.followed.as_ref().filter(|_| !self.options.dry_run)?;
        Some((followed, self.newer?.family()))
    }

    /// Where the mark goes; none where it stays.
    fn next_mark<'a>(&self, ledger: &'a Ledger<'_>) -> Option<&'a str> {
        let was_cut = self.plan.limit.is_some_and(|limit| ledger.totals.rows.read >= limit);
        // Rows of a query come in the order of the cursor; of others the limit may have left out older ones.
        ledger.totals.mark.as_deref().filter(|_| !was_cut || self.plan.reads_by_mark())
    }

    /// Moves the mark, since the commit is done.
    fn move_mark(&self, ledger: &Ledger<'_>) -> Result<()> {
        let Some((followed, family)) = self.followed() else { return Ok(()) };
        let mark = self.next_mark(ledger);
        if mark.is_none() && ledger.totals.mark.is_some() {
            tracing::warn!("the mark stays where it was, since a limit has left rows out: the next run takes these rows again");
        }
        followed.done(mark, family, self.plan, self.options)
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

    /// The parts of the input that are worked on one after the other; none where there is nothing to read and the output stays.
    fn splits(&self) -> Result<Vec<source::Split>> {
        // The columns of a file come from the rows of all splits.
        let together = self.stages.remembers || self.output.is_none() && self.sink.names_columns();
        let target = if together { 1 } else { self.options.splits.get().min(self.sink.max_splits()) };
        let mut splits = self.source.splits(NonZeroUsize::new(target).unwrap_or(NonZeroUsize::MIN))?;
        if splits.is_empty() && self.sink.has_output() {
            // That no file is there is no reason to lose what an earlier run has written.
            tracing::warn!(path = self.plan.sink.title(), "the output stays as it is, since there was nothing to read");
            return Ok(splits);
        }
        if splits.is_empty() {
            // Nothing to read still makes an output, an empty one.
            splits.push(source::Split { index: 0, files: Vec::new() });
        }
        Ok(splits)
    }
}
