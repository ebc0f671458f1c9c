//! Runs a plan: source, stages and sink joined, counted and reported. No formats, no SQL.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use arrow_schema::SchemaRef;
use chrono::{DateTime, SecondsFormat, Utc};

mod chain;
mod process;
mod split;

use chain::Chain;
use split::{Context, Seconds, run_split};

use crate::batch::Reject;
use crate::error::{Error, Result};
use crate::plan::{ComponentName, DeadLetters as DeadLettersPlan, Plan, StagePlan};
use crate::report::{DeadLetterReport, OutputReport, Phase, Progress, Rows, RunReport, StageReport, Status};
use crate::sandbox::{Component, Recipe, Sandbox, Scope};
use crate::sink::{self, DeadLetters, RunName, Sink};
use crate::source::{self, ReadOptions, Source};
use crate::stage::{ComponentStage, Policy, Stage};

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
        }
    }
}

/// A stage that is ready to be opened, as often as there are workers.
struct Ready {
    recipe: Recipe,
    policy: Policy,
    scope: Scope,
    /// The schema that reaches it, where it is known.
    input: Option<SchemaRef>,
    digest: String,
}

/// What the stages of a plan come to, once the source's schema is known.
pub struct Resolved {
    /// For each stage its name, the component's digest, and the schema that comes out where it is known.
    pub stages: Vec<(String, String, Option<SchemaRef>)>,
    /// The schema of the source.
    pub source: SchemaRef,
    /// The schema that reaches the sink, where it is known.
    pub output: Option<SchemaRef>,
}

/// Opens the source and the stages, without reading more than a sample and without writing: what `plan` shows.
///
/// # Errors
/// As [`run`].
pub fn resolve(plan: &Plan, sandbox: &Sandbox) -> Result<Resolved> {
    let options = RunOptions::default();
    let components = load_components(plan, sandbox)?;
    let source = open_source(plan, &options, &components, 1 << 20)?;
    let ready = ready_stages(plan, &options, sandbox, components, source.schema())?;
    let output = ready.1.clone();
    let mut outputs: Vec<Option<SchemaRef>> = ready.0.iter().skip(1).map(|stage| stage.input.clone()).collect();
    outputs.push(output.clone());
    let stages = ready.0.iter().zip(outputs).map(|(stage, output)| (stage.recipe.stage.to_string(), stage.digest.clone(), output)).collect();
    Ok(Resolved { stages, source: source.schema(), output })
}

/// Runs a plan to its end. Blocks the calling thread; `stop`, once set, ends it at the next batch with nothing written.
///
/// # Errors
/// Nothing of the output is visible after an error; what was staged is removed.
pub fn run(plan: &Plan, options: &RunOptions, sandbox: &Sandbox, stop: &AtomicBool, on_progress: &mut dyn FnMut(&Progress)) -> Result<RunReport> {
    let clock = Instant::now();
    let components = load_components(plan, sandbox)?;
    let name = RunName { run_id: options.run_id.clone(), started: options.started, pipeline: plan.name.clone() };
    let sink: Box<dyn Sink> = if options.dry_run { sink::open_nothing() } else { sink::open(&plan.sink, &plan.root, &name)? };
    let source = open_source(plan, options, &components, sink.chunk_bytes())?;
    let (ready, output) = ready_stages(plan, options, sandbox, components, source.schema())?;
    let letters = match (&plan.dead_letters, options.dry_run) {
        (DeadLettersPlan::File(path), false) => DeadLetters::file(path, &name)?,
        _ => DeadLetters::memory(&name),
    };
    let work = Work { plan, options, source: source.as_ref(), sink: sink.as_ref(), ready: &ready, output, stop };
    let outcome = work.run(letters, on_progress);
    let outcome = match outcome {
        Ok(done) => Ok(done),
        Err(error) => {
            // The first error is the one to tell of.
            if let Err(second) = sink.abort() {
                tracing::warn!(error = %second.one_line(), "what was staged could not be removed");
            }
            Err(error)
        }
    };
    let Done { rows, stages, seconds, output, dead_letters } = outcome?;
    if !rows.balance() {
        return Err(Error::bug(format!("rows do not balance: {rows:?}")));
    }
    let usage = process::usage();
    Ok(RunReport {
        run_id: options.run_id.clone(),
        pipeline: plan.name.clone(),
        status: if rows.crashed > 0 { Status::PartialSuccess } else { Status::Success },
        dry_run: options.dry_run,
        started: options.started.to_rfc3339_opts(SecondsFormat::Millis, true),
        phases: phases(plan, &rows, seconds, &dead_letters),
        rows,
        stages,
        output,
        dead_letters,
        seconds: clock.elapsed().as_secs_f64(),
        cpu_seconds: usage.cpu_seconds,
        peak_memory_mb: usage.peak_memory_mb,
        workers: work.workers(),
    })
}

fn load_components(plan: &Plan, sandbox: &Sandbox) -> Result<Vec<(Arc<Component>, String, Scope)>> {
    plan.stages.iter().map(|stage| load_component(stage, sandbox)).collect()
}

/// Loads a stage's component and finds its function.
fn load_component(stage: &StagePlan, sandbox: &Sandbox) -> Result<(Arc<Component>, String, Scope)> {
    let component = match &stage.component {
        ComponentName::Ops => sandbox.load(crate::sandbox::OPS, "the built-in `ops`")?,
        ComponentName::File(path) => sandbox.load_file(path).map_err(|error| error.while_doing(format!("stage `{}`", stage.name)).at(stage.place.clone()))?,
    };
    let function = component.function(stage.function.as_deref()).map_err(|error| error.at(stage.place.clone()))?;
    let (name, scope) = (function.name.clone(), function.state);
    Ok((component, name, scope))
}

fn open_source(plan: &Plan, options: &RunOptions, components: &[(Arc<Component>, String, Scope)], chunk_bytes: usize) -> Result<Box<dyn Source>> {
    // Only a stage that sees the rows of a batch together can tell how many there are.
    let exact = components.iter().any(|(_, _, scope)| *scope != Scope::Stateless);
    let read = ReadOptions {
        batch_rows: if exact { plan.reading.batch_size } else { options.batch_rows },
        exact,
        chunk_bytes,
        limit: plan.limit,
        converted: plan.converted.clone(),
        as_text: plan.as_text.clone(),
        columns: None,
    };
    source::open(&plan.source, &plan.reading, read, &plan.root)
}

/// Configures each stage on the schema that reaches it, so that wrong options show before a row is read.
fn ready_stages(
    plan: &Plan,
    options: &RunOptions,
    sandbox: &Sandbox,
    components: Vec<(Arc<Component>, String, Scope)>,
    schema: SchemaRef,
) -> Result<(Vec<Ready>, Option<SchemaRef>)> {
    let now_ms = options.started.timestamp_millis();
    let seed = seed(&options.run_id);
    let mut schema = Some(schema);
    let mut ready = Vec::with_capacity(plan.stages.len());
    for (stage, (component, function, scope)) in plan.stages.iter().zip(components) {
        let digest = component.description.digest.clone();
        let recipe = Recipe {
            component,
            function,
            options: stage.options.to_string(),
            limits: stage.limits,
            stage: Arc::from(stage.name.as_str()),
            now_ms,
            seed,
            handle: sandbox.handle().clone(),
        };
        let policy = Policy { on_error: stage.on_error, on_trap: stage.on_trap, max_error_ratio: stage.max_error_ratio };
        let input = schema.clone();
        if let Some(input) = &input {
            let (_, configured) = ComponentStage::open(recipe.clone(), policy, scope, input).map_err(|error| error.at(stage.place.clone()))?;
            schema = configured.output;
        }
        ready.push(Ready { recipe, policy, scope, input, digest });
    }
    Ok((ready, schema))
}

/// Draws the run's seed from its id: FNV-1a, 64 bits.
fn seed(run_id: &str) -> u64 {
    run_id.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// Everything a run works with.
struct Work<'a> {
    plan: &'a Plan,
    options: &'a RunOptions,
    source: &'a dyn Source,
    sink: &'a dyn Sink,
    ready: &'a [Ready],
    output: Option<SchemaRef>,
    stop: &'a AtomicBool,
}

/// What a run came to.
struct Done {
    rows: Rows,
    stages: Vec<StageReport>,
    seconds: Seconds,
    output: OutputReport,
    dead_letters: DeadLetterReport,
}

impl Work<'_> {
    /// A stage that remembers sees all batches in order, so it has one worker.
    fn workers(&self) -> usize {
        if self.ready.iter().any(|stage| stage.scope == Scope::Stream) { 1 } else { self.options.workers.get() }
    }

    fn open_stages(&self) -> Result<Chain> {
        let open = |ready: &Ready| -> Result<Box<dyn Stage>> {
            let Ready { recipe, policy, scope, input, digest: _ } = ready;
            Ok(match input {
                Some(input) => Box::new(ComponentStage::open(recipe.clone(), *policy, *scope, input)?.0),
                None => Box::new(ComponentStage::closed(recipe.clone(), *policy, *scope)),
            })
        };
        Ok(Chain::new(self.ready.iter().map(open).collect::<Result<_>>()?))
    }

    fn run(&self, mut letters: DeadLetters, on_progress: &mut dyn FnMut(&Progress)) -> Result<Done> {
        let clock = Instant::now();
        let stage_reports: Vec<StageReport> = self
            .ready
            .iter()
            .map(|stage| StageReport { name: stage.recipe.stage.to_string(), digest: stage.digest.clone(), ..StageReport::default() })
            .collect();
        let mut done = Done {
            rows: Rows::default(),
            stages: stage_reports.clone(),
            seconds: Seconds::default(),
            output: OutputReport::default(),
            dead_letters: DeadLetterReport::default(),
        };
        let open_stages = || self.open_stages();
        let context = Context {
            source: self.source,
            sink: self.sink,
            open_stages: &open_stages,
            stages: &stage_reports,
            output: self.output.clone(),
            workers: self.workers(),
            stop: self.stop,
        };
        let remembers = self.ready.iter().any(|stage| stage.scope == Scope::Stream);
        let target = if remembers { 1 } else { self.options.splits.get().min(self.sink.max_splits()) };
        let mut splits = self.source.splits(NonZeroUsize::new(target).unwrap_or(NonZeroUsize::MIN))?;
        if splits.is_empty() {
            // Nothing to read still makes an output, an empty one.
            splits.push(source::Split { index: 0, files: Vec::new() });
        }
        let mut staged = Vec::with_capacity(splits.len());
        let mut looked = Instant::now();
        for split in &splits {
            let before = done.rows;
            let report = &mut done.dead_letters;
            let mut on_reject = |reject: &Reject| {
                note(report, reject);
                letters.push(reject)
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
            let report = run_split(&context, split, &mut on_reject, &mut progress)?;
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
        // Dead letters are on disk before the other rows are shown: a crash in between may repeat one, and loses none.
        done.dead_letters.path = letters.commit()?;
        let committed = self.sink.commit(staged)?;
        done.output = OutputReport { files: committed.files, bytes: committed.bytes };
        Ok(done)
    }
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
        Phase { name: "load", detail: plan.sink.path.clone(), rows_in: rows.loaded + unloaded, rows_out: rows.loaded, seconds: seconds.load },
    ]
}
