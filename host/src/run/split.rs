//! The unit of work: one split through source, stages and sink, on all workers, with order kept.
//!
//! One thread reads chunks. Each worker takes the next chunk, parses it, passes it through its own stages and encodes
//! the result, all without waiting for another. The calling thread puts the chunks back in order and appends them. A
//! chunk is read only when there is a place for it, so that a bounded number of them exists at any time.
//!
//! Of a run that keeps checkpoints the reader marks the chunk behind which the next one is due. What the stages remember is asked for
//! right behind that chunk (where any does, one worker sees all chunks in order); once the chunk is appended, what is staged is put on
//! disk, and the checkpoint is written. A run that is told to stop ends with such a mark behind the last chunk that was read.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use arrow_schema::SchemaRef;
use serde::{Deserialize, Serialize};

use super::around::Turn;
use super::checkpoint::Reached;
use super::memory::Memory;
use super::reader::Reader;
use super::sizes::Sizes;
use super::spool::{Spool, SpoolFlushed};
use super::stages::Stages;
use super::worker::{Done, Encoding, Finished, Job, Worker, in_phase};
use crate::batch::{Batch, Reject};
use crate::config::extract::ProcessingMode;
use crate::crash;
use crate::error::{Error, PhaseName, Result};
use crate::report::{MAX_COUNTERS, Progress, Rows, StageReport, count};
use crate::sink::{Encode, Flushed, Load, Payload, Sink, Staged};
use crate::source::{Source, Split};

/// Chunks that may exist beyond one for each worker: one being read, one waiting to be appended.
const CHUNKS_AHEAD: usize = 2;

/// Time between two looks at the memory and the time that a run takes.
const LOOK: Duration = Duration::from_millis(20);

/// How often is looked whether a sink lets the run wait beyond its end.
const WATCH: Duration = Duration::from_millis(100);

/// Bits of a batch's number within its split. The split stands above them, so that stages see numbers that are unique in the run.
pub(super) const SEQUENCE_BITS: u32 = 40;

/// What a split is run with.
pub(super) struct Context<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) sink: &'a dyn Sink,
    pub(super) stages: &'a Stages,
    /// The schema that reaches the sink, where it is known before a row is read.
    pub(super) output: Option<SchemaRef>,
    pub(super) workers: usize,
    /// What relative paths of the input start at.
    pub(super) root: &'a Path,
    /// Set from outside to end the run before its time.
    pub(super) stop: &'a AtomicBool,
    /// How checkpoints are kept, where they are.
    pub(super) marks: Option<Marks<'a>>,
    pub(super) mode: ProcessingMode,
    /// Rows that a `hybrid` run reads ahead.
    pub(super) chunk_rows: u64,
    pub(super) memory: &'a Memory,
    pub(super) deadline: Deadline,
    /// Share of failed batches, from the third batch on, above which the run stops.
    pub(super) max_failed_batches: f64,
    /// How often reading is tried again where something outside fails.
    pub(super) max_retries: u32,
    /// When rows may be written, where others write the same file: until then they wait on disk.
    pub(super) turn: Option<&'a Turn<'a>>,
}

/// How checkpoints are kept.
#[derive(Clone, Copy)]
pub(super) struct Marks<'a> {
    /// Batches from one to the next.
    pub(super) interval: NonZeroUsize,
    /// Where rows stand that wait for their columns.
    pub(super) rows: &'a Path,
}

/// Looks on while a split is run.
pub(super) trait Watcher {
    /// Takes refused rows, in order.
    fn rejects(&mut self, rejects: &[Reject]) -> Result<()>;

    /// Is told how far the split is.
    fn progress(&mut self, progress: &mut Progress);

    /// Writes a checkpoint: everything up to here is on disk.
    fn checkpoint(&mut self, so_far: &SplitReport, reached: Reached) -> Result<()>;
}

/// What became of a split.
pub(super) struct SplitReport {
    pub(super) rows: Rows,
    pub(super) staged: Option<Staged>,
    pub(super) stages: Vec<StageReport>,
    pub(super) seconds: Seconds,
    pub(super) batches: u64,
    pub(super) failed_batches: u64,
    /// Whether it was told to stop before its end.
    pub(super) interrupted: bool,
}

/// Seconds of all workers together, by phase.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seconds {
    pub(super) extract: f64,
    pub(super) transform: f64,
    pub(super) load: f64,
}

/// Runs one split, from its start or from where a checkpoint says that it was; a sink that lets it wait is told when the run is to end.
pub(super) fn run_split(context: &Context<'_>, split: &Split, from: Option<&Reached>, watcher: &mut dyn Watcher) -> Result<SplitReport> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = thread::Builder::new().name("etl-watch".into()).spawn_scoped(scope, || {
            while !over.load(Ordering::Relaxed) {
                let stopped = context.marks.is_none() && context.stop.load(Ordering::Relaxed);
                if stopped || context.deadline.check().is_err() {
                    return context.sink.stop();
                }
                thread::park_timeout(WATCH);
            }
        });
        let watching = watching.map_err(|error| Error::outside("starting a thread").because(error))?;
        // Also where a panic ends it: the scope waits for whoever watches.
        let ended = Ended { over: &over, watching: watching.thread() };
        let report = read_and_load(context, split, from, watcher);
        drop(ended);
        // It was its time that ended it, whatever it waited for.
        report.map_err(|error| context.deadline.check().err().unwrap_or(error))
    })
}

/// Lets go, once it is dropped, whoever watches a split.
struct Ended<'a> {
    over: &'a AtomicBool,
    watching: &'a thread::Thread,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.watching.unpark();
    }
}

fn read_and_load(context: &Context<'_>, split: &Split, from: Option<&Reached>, watcher: &mut dyn Watcher) -> Result<SplitReport> {
    let encode: OnceLock<Arc<dyn Encode>> = OnceLock::new();
    let mut appender = Appender { context, split, load: None, encode: &encode, spool: None };
    if let Some(staged) = from.and_then(|from| from.staged.as_ref()) {
        appender.load(context.sink.begin(split.index, staged.schema()?, Some(staged))?);
    } else if let Some(schema) = context.output.as_ref().filter(|_| context.turn.is_none()) {
        appender.begin(schema.clone())?;
    } else if context.turn.is_some() || context.sink.names_columns() {
        appender.spool = Some(match (context.marks, from.and_then(|from| from.spool.as_ref())) {
            (Some(Marks { rows, .. }), Some(from)) => Spool::resume(rows, from)?,
            (marks, _) => Spool::open(marks.map(|marks| marks.rows))?,
        });
    }
    let position = from.map(|from| &from.position);
    let chunks = context.source.read(split, position).map_err(in_phase(PhaseName::Extract))?;
    let stop = AtomicBool::new(false);
    // Where checkpoints are kept, what was read is worked on to the end.
    let stopped = || stop.load(Ordering::Relaxed) || context.marks.is_none() && context.stop.load(Ordering::Relaxed);
    let reader = Reader {
        interval: context.marks.map(|marks| marks.interval.get() as u64),
        position: position.cloned(),
        asked: context.stop,
        interrupted: AtomicBool::new(false),
        mode: context.mode,
        chunk_rows: context.chunk_rows,
        memory: context.memory,
        max_retries: context.max_retries,
        reopen: &|position| context.source.read(split, position),
    };
    let open = || {
        let mut chain = context.stages.open()?;
        if let Some(from) = from.filter(|_| context.stages.remembers) {
            chain.restore(&from.snapshots)?;
        }
        Ok(chain)
    };
    let worker = Worker { context, split: split.index, encode: &encode, open: &open, interrupted: &reader.interrupted };
    let (jobs_in, jobs) = channel::<Job>();
    let jobs = Mutex::new(jobs);
    let (done_in, done) = channel::<Done>();
    let (places_in, places) = channel::<()>();
    thread::scope(|scope| {
        let read_failed = done_in.clone();
        thread::Builder::new()
            .name("etl-read".into())
            .spawn_scoped(scope, || reader.read(chunks, context.workers + CHUNKS_AHEAD, places, jobs_in, read_failed, &stopped))
            .map_err(|error| Error::outside("starting a thread").because(error))?;
        for number in 0..context.workers {
            let (done_in, jobs, worker, stopped) = (done_in.clone(), &jobs, &worker, &stopped);
            thread::Builder::new()
                .name(format!("etl-work-{number}"))
                .spawn_scoped(scope, move || worker.work(jobs, done_in, stopped))
                .map_err(|error| Error::outside("starting a thread").because(error))?;
        }
        drop(done_in);
        let outcome = collect(&mut appender, done, places_in, &reader.interrupted, watcher);
        // Readers and workers end at their next chunk, which may be long in coming.
        stop.store(true, Ordering::Relaxed);
        if outcome.is_err() {
            context.source.stop();
        }
        outcome
    })
    .and_then(|mut report| {
        if report.interrupted {
            return Ok(report);
        }
        if context.marks.is_none() && context.stop.load(Ordering::Relaxed) {
            return Err(super::stopped());
        }
        report.staged = appender.finish().map_err(in_phase(PhaseName::Load))?;
        Ok(report)
    })
}

/// Puts finished chunks in order and appends them.
fn collect(
    appender: &mut Appender<'_>,
    done: Receiver<Done>,
    places: Sender<()>,
    interrupted: &AtomicBool,
    watcher: &mut dyn Watcher,
) -> Result<SplitReport> {
    let mut collector = Collector {
        started: Instant::now(),
        sizes: Sizes::of(appender.context.root, appender.split),
        report: SplitReport {
            rows: Rows::default(),
            staged: None,
            stages: appender.context.stages.reports.clone(),
            seconds: Seconds::default(),
            batches: 0,
            failed_batches: 0,
            interrupted: false,
        },
        progress: Progress::default(),
        watcher,
    };
    let mut early: BTreeMap<usize, Result<Finished>> = BTreeMap::new();
    let mut expected = 0;
    let mut held_back = Vec::new();
    while let Some(Done { sequence, outcome }) = next(&done, appender.context)? {
        if sequence == usize::MAX {
            // One of each worker.
            held_back.push(outcome);
            continue;
        }
        // An error waits for its turn too, so that the first one in the input is the one told of, whichever worker was faster.
        early.insert(sequence, outcome);
        while let Some(finished) = early.remove(&expected) {
            expected += 1;
            collector.take(appender, finished?)?;
            // The reader has left where all is read.
            places.send(()).ok();
        }
    }
    for (_, finished) in early {
        collector.take(appender, finished?)?;
    }
    if interrupted.load(Ordering::SeqCst) {
        collector.report.interrupted = true;
        return Ok(collector.report);
    }
    // What a stage that remembers held back comes last.
    for finished in held_back {
        collector.take(appender, finished?)?;
    }
    let context = appender.context;
    if let Some(turn) = context.turn
        && !turn.wait(context.stop, &|| context.deadline.check())?
    {
        collector.report.interrupted = context.marks.is_some();
        return Ok(collector.report);
    }
    for batches in appender.unspool()? {
        if context.marks.is_some() && context.stop.load(Ordering::Relaxed) {
            // The last checkpoint has these rows still waiting.
            collector.report.interrupted = true;
            return Ok(collector.report);
        }
        let mut finished = Finished::new(context);
        finished.encoded = Encoding::Rows(batches?);
        collector.take(appender, finished)?;
    }
    Ok(collector.report)
}

/// Waits for the next chunk; while it waits, the run is held to its time and memory.
fn next(done: &Receiver<Done>, context: &Context<'_>) -> Result<Option<Done>> {
    loop {
        context.deadline.check()?;
        if context.stop.load(Ordering::Relaxed) {
            context.source.stop();
        }
        match done.recv_timeout(LOOK) {
            Ok(done) => return Ok(Some(done)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => context.memory.check()?,
        }
    }
}

/// Stops a run of which too many batches were refused as a whole: the first two may be bad luck.
fn check_failed(report: &SplitReport, most: f64) -> Result<()> {
    let SplitReport { batches, failed_batches, .. } = report;
    if *batches < 3 || *failed_batches as f64 / *batches as f64 <= most {
        return Ok(());
    }
    let message =
        format!("{failed_batches} of the first {batches} batches failed as a whole, but a share of {most} may (`max_error_ratio`)");
    Err(Error::guest(message).hint("the dead letters of a run that fails are not kept; `preview` and `test` show what the transform says"))
}

/// When a run must have ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deadline(Option<(Instant, Duration)>);

impl Deadline {
    /// So long from now, where there is a limit.
    pub(super) fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| Some((Instant::now().checked_add(timeout)?, timeout))))
    }

    pub(super) fn check(self) -> Result<()> {
        match self.0 {
            Some((end, timeout)) if Instant::now() >= end => {
                let message = format!("the run was not done after {} s (`timeout_seconds`)", timeout.as_secs());
                Err(Error::outside(message)
                    .hint("raise `timeout_seconds` in settings.yaml, 0 = no limit; with checkpoints, `--resume` goes on"))
            }
            _ => Ok(()),
        }
    }
}

/// Adds up what became of chunks.
struct Collector<'a> {
    started: Instant,
    sizes: Sizes,
    report: SplitReport,
    progress: Progress,
    watcher: &'a mut dyn Watcher,
}

impl Collector<'_> {
    /// Appends the next chunk.
    fn take(&mut self, appender: &mut Appender<'_>, finished: Finished) -> Result<()> {
        let Self { started, sizes, report, progress, watcher } = self;
        let Finished { mut rejects, mut rows, encoded, batches, failed_batches, stages, seconds, next, mark } = finished;
        appender.append(encoded, &mut rows, &mut rejects).map_err(in_phase(PhaseName::Load))?;
        for reject in &mut rejects {
            reject.batch &= (1 << SEQUENCE_BITS) - 1;
        }
        watcher.rejects(&rejects)?;
        report.rows.add(&rows);
        report.batches += batches;
        report.failed_batches += failed_batches;
        report.seconds.add(seconds);
        for (total, stage) in report.stages.iter_mut().zip(stages) {
            merge(total, stage);
        }
        appender.context.memory.note(&report.stages, appender.context.workers);
        check_failed(report, appender.context.max_failed_batches)?;
        if let Some((position, snapshots)) = mark {
            crash::at("flush.due");
            let (staged, spool) = appender.flush()?;
            crash::at("flush.done");
            watcher.checkpoint(report, Reached { position, staged, spool, snapshots })?;
        }
        progress.stage = PhaseName::Transform;
        progress.share = next.and_then(|next| sizes.share(&next));
        progress.rows = report.rows;
        progress.batches = report.batches;
        progress.seconds = started.elapsed().as_secs_f64();
        progress.fuel = report.stages.iter().map(|stage| (stage.name.clone(), stage.fuel)).collect();
        watcher.progress(progress);
        Ok(())
    }
}

impl Seconds {
    /// Adds up.
    pub(super) fn add(&mut self, other: Self) {
        let Self { extract, transform, load } = other;
        self.extract += extract;
        self.transform += transform;
        self.load += load;
    }
}

/// Adds what a stage used in another chunk or split.
pub(super) fn merge(total: &mut StageReport, stage: StageReport) {
    let StageReport { name: _, digest: _, processed, succeeded: _, failed, fuel, fuel_share, memory_mb, instances, counters, tally } =
        stage;
    total.processed += processed;
    total.failed += failed;
    total.succeeded = total.processed.saturating_sub(total.failed);
    total.fuel += fuel;
    total.fuel_share = total.fuel_share.max(fuel_share);
    total.memory_mb = total.memory_mb.max(memory_mb);
    total.instances += instances;
    for (name, by) in counters {
        count(&mut total.counters, name, by, MAX_COUNTERS);
    }
    total.tally.add(tally);
}

/// The sink's end of a split.
struct Appender<'a> {
    context: &'a Context<'a>,
    split: &'a Split,
    load: Option<Box<dyn Load>>,
    encode: &'a OnceLock<Arc<dyn Encode>>,
    /// Where rows wait whose columns nobody knows yet.
    spool: Option<Spool>,
}

impl Appender<'_> {
    fn begin(&mut self, schema: SchemaRef) -> Result<()> {
        let load = self.context.sink.begin(self.split.index, schema, None)?;
        self.load(load);
        Ok(())
    }

    fn load(&mut self, load: Box<dyn Load>) {
        self.encode.set(load.encoder()).unwrap_or_else(|_| unreachable!("a split begins once"));
        self.load = Some(load);
    }

    /// Puts on disk what was appended so far.
    fn flush(&mut self) -> Result<(Option<Flushed>, Option<SpoolFlushed>)> {
        let load = self.load.as_mut().map(|load| load.flush()).transpose()?;
        Ok((load, self.spool.as_mut().map(Spool::flush).transpose()?))
    }

    fn append(&mut self, encoding: Encoding, rows: &mut Rows, rejects: &mut Vec<Reject>) -> Result<()> {
        let encoded = match encoding {
            Encoding::Encoded(encoded) => encoded,
            Encoding::Rows(batches) => {
                let Some(first) = batches.first() else { return Ok(()) };
                if let Some(spool) = &mut self.spool {
                    return spool.push(&batches);
                }
                if self.load.is_none() {
                    self.begin(first.rows.schema())?;
                }
                let mut encoder = self.encode.get().expect("the split has begun").start()?;
                for batch in &batches {
                    let refused = encoder.write(batch)?;
                    rows.rejected += refused.len() as u64;
                    rows.loaded += (batch.rows.num_rows() - refused.len()) as u64;
                    rejects.extend(refused);
                }
                encoder.finish()?
            }
        };
        let empty = matches!(&encoded.payload, Payload::Rows(rows) if rows.is_empty());
        if let Some(load) = self.load.as_mut().filter(|_| !empty) {
            let refused = load.append(encoded)?;
            rows.rejected += refused.len() as u64;
            rows.loaded -= refused.len() as u64;
            rejects.extend(refused);
        }
        Ok(())
    }

    /// Ends the waiting of rows: the columns of all of them are known now.
    fn unspool(&mut self) -> Result<impl Iterator<Item = Result<Vec<Batch>>> + use<>> {
        let waiting = self.spool.take().map(Spool::finish).transpose()?;
        let (schema, batches) = waiting.unzip();
        if let Some(schema) = self.context.output.clone().filter(|_| batches.is_some()).or(schema.flatten()) {
            self.begin(schema)?;
        }
        Ok(batches.into_iter().flatten())
    }

    fn finish(mut self) -> Result<Option<Staged>> {
        if self.load.is_none() {
            // No row came and no schema was known: what is written has neither.
            self.begin(Arc::new(arrow_schema::Schema::empty()))?;
        }
        self.load.take().map(|load| load.finish()).transpose()
    }
}
