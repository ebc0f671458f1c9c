//! The unit of work: one split through source, stages and sink, on all workers, with order kept.
//!
//! One thread reads chunks. Each worker takes the next chunk, parses it, passes it through its own stages and encodes
//! the result, all without waiting for another. The calling thread puts the chunks back in order and appends them. A
//! chunk is read only when there is a place for it, so that a bounded number of them exists at any time.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Instant;

use arrow_schema::SchemaRef;

use super::chain::Chain;
use super::sizes::Sizes;
use super::spool::Spool;
use super::stages::Stages;
use crate::batch::{Batch, Position, Reject};
use crate::error::{Error, PhaseName, Result};
use crate::report::{MAX_COUNTERS, Progress, Rows, StageReport, count};
use crate::sink::{Encode, Encoded, Load, Payload, Sink, Staged};
use crate::source::{Chunk, Decoded, Source, Split};
use crate::stage::Output;

/// Chunks that may exist beyond one for each worker: one being read, one waiting to be appended.
const CHUNKS_AHEAD: usize = 2;

/// Bits of a batch's number within its split. The split stands above them, so that stages see numbers that are unique in the run.
const SEQUENCE_BITS: u32 = 40;

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
}

/// What became of a split.
pub(super) struct SplitReport {
    pub(super) rows: Rows,
    pub(super) staged: Option<Staged>,
    pub(super) stages: Vec<StageReport>,
    pub(super) seconds: Seconds,
}

/// Seconds of all workers together, by phase.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seconds {
    pub(super) extract: f64,
    pub(super) transform: f64,
    pub(super) load: f64,
}

/// What a worker made of one chunk.
struct Done {
    sequence: usize,
    outcome: Result<Finished>,
}

struct Finished {
    encoded: Encoding,
    rejects: Vec<Reject>,
    rows: Rows,
    batches: u64,
    stages: Vec<StageReport>,
    seconds: Seconds,
    /// Where the input goes on.
    next: Option<Position>,
}

enum Encoding {
    Encoded(Encoded),
    /// The sink's schema was not known yet.
    Rows(Vec<Batch>),
}

type Job = (usize, Box<dyn Chunk>);

/// Runs one split: `on_rejects` is given the refused rows in order, `on_progress` how far it is.
pub(super) fn run_split(
    context: &Context<'_>,
    split: &Split,
    on_rejects: &mut dyn FnMut(&[Reject]) -> Result<()>,
    on_progress: &mut dyn FnMut(&mut Progress),
) -> Result<SplitReport> {
    let encode: OnceLock<Arc<dyn Encode>> = OnceLock::new();
    let spool = (context.output.is_none() && context.sink.names_columns()).then(Spool::open).transpose()?;
    let mut appender = Appender { context, split, load: None, encode: &encode, spool };
    if let Some(schema) = &context.output {
        appender.begin(schema.clone())?;
    }
    let chunks = context.source.read(split, None).map_err(in_phase(PhaseName::Extract))?;
    let stop = AtomicBool::new(false);
    let stopped = || stop.load(Ordering::Relaxed) || context.stop.load(Ordering::Relaxed);
    let (jobs_in, jobs) = sync_channel::<Job>(1);
    let jobs = Mutex::new(jobs);
    let (done_in, done) = channel::<Done>();
    let (places_in, places) = channel::<()>();
    for _ in 0..context.workers + CHUNKS_AHEAD {
        places_in.send(()).expect("the receiver is in scope");
    }
    thread::scope(|scope| {
        let read_failed = done_in.clone();
        thread::Builder::new()
            .name("etl-read".into())
            .spawn_scoped(scope, || read(chunks, places, jobs_in, read_failed, &stopped))
            .map_err(|error| Error::outside("starting a thread").because(error))?;
        for worker in 0..context.workers {
            let (done_in, jobs, encode, stopped) = (done_in.clone(), &jobs, &encode, &stopped);
            thread::Builder::new()
                .name(format!("etl-work-{worker}"))
                .spawn_scoped(scope, move || work(context, split.index, jobs, done_in, encode, stopped))
                .map_err(|error| Error::outside("starting a thread").because(error))?;
        }
        drop(done_in);
        let outcome = collect(&mut appender, done, places_in, on_rejects, on_progress);
        // Readers and workers end at their next chunk.
        stop.store(true, Ordering::Relaxed);
        outcome
    })
    .and_then(|mut report| {
        if context.stop.load(Ordering::Relaxed) {
            return Err(Error::outside("stopped before the end, nothing was written"));
        }
        report.staged = appender.finish().map_err(in_phase(PhaseName::Load))?;
        Ok(report)
    })
}

/// Reads chunks while there are places for them.
fn read(
    chunks: crate::source::Chunks,
    places: Receiver<()>,
    jobs: std::sync::mpsc::SyncSender<Job>,
    failed: Sender<Done>,
    stopped: &(dyn Fn() -> bool + Sync),
) {
    let mut chunks = chunks;
    let mut sequence = 0;
    while places.recv().is_ok() && !stopped() {
        match caught(|| chunks.next().transpose()) {
            Ok(None) => return,
            Ok(Some(chunk)) => {
                if jobs.send((sequence, chunk)).is_err() {
                    return;
                }
            }
            Err(error) => {
                // Nobody listens any more where another error came first.
                failed.send(Done { sequence, outcome: Err(error.in_phase(PhaseName::Extract)) }).ok();
                return;
            }
        }
        sequence += 1;
    }
}

/// Works on chunks until there are no more.
fn work(
    context: &Context<'_>,
    split: usize,
    jobs: &Mutex<Receiver<Job>>,
    done: Sender<Done>,
    encode: &OnceLock<Arc<dyn Encode>>,
    stopped: &(dyn Fn() -> bool + Sync),
) {
    let mut chain = None;
    loop {
        let job = jobs.lock().expect("receiving does not panic").recv();
        let Ok((sequence, chunk)) = job else { break };
        if stopped() {
            return;
        }
        let outcome = caught(|| {
            let chain = match &mut chain {
                Some(chain) => chain,
                none => none.insert(context.stages.open()?),
            };
            chunk_through(context, split, chunk, chain, encode)
        });
        if done.send(Done { sequence, outcome }).is_err() {
            return;
        }
    }
    // Only a stage that remembers holds rows back, and then there is one worker.
    let Some(mut chain) = chain.or_else(|| (context.workers == 1).then(|| context.stages.open().ok()).flatten()) else { return };
    let outcome = caught(|| {
        let mut finished = Finished::new(context);
        let batches = finished.take(chain.finish().map_err(in_phase(PhaseName::Transform))?);
        finished.encode(batches, encode)?;
        chain.usage(&mut finished.stages);
        Ok(finished)
    });
    let has_rows = outcome.as_ref().map_or(true, |finished| finished.rows != Rows::default());
    if context.workers == 1 || has_rows || outcome.is_err() {
        done.send(Done { sequence: usize::MAX, outcome }).ok();
    }
}

/// Says in which phase an error happened.
fn in_phase(phase: PhaseName) -> impl Fn(Error) -> Error {
    move |error| error.in_phase(phase)
}

/// Makes an error of a panic: a thread that just ended would leave the others waiting for its chunk for ever.
fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let text = |panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or_else(String::new, |text| (*text).to_owned()),
    };
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Error::bug(format!("a thread panicked: {}", text(panic)))))
}

/// One chunk through the stages into the sink's form.
fn chunk_through(
    context: &Context<'_>,
    split: usize,
    chunk: Box<dyn Chunk>,
    chain: &mut Chain,
    encode: &OnceLock<Arc<dyn Encode>>,
) -> Result<Finished> {
    let mut finished = Finished::new(context);
    finished.next = Some(chunk.next());
    let mut encoder = encode.get().map(|encode| encode.start()).transpose()?;
    let mut waiting = Vec::new();
    let mut clock = Instant::now();
    let mut lap = move || {
        let now = Instant::now();
        let seconds = (now - clock).as_secs_f64();
        clock = now;
        seconds
    };
    for decoded in chunk.decode() {
        let Decoded { mut batch, rejects, skipped } = decoded.map_err(in_phase(PhaseName::Extract))?;
        batch.sequence |= (split as u64) << SEQUENCE_BITS;
        finished.seconds.extract += lap();
        finished.batches += 1;
        let first = finished.rejects.len();
        finished.rows.read += batch.rows.num_rows() as u64 + rejects.len() as u64 + skipped;
        finished.rows.rejected += rejects.len() as u64;
        finished.rows.skipped += skipped;
        finished.rejects.extend(rejects);
        if batch.rows.num_rows() == 0 {
            continue;
        }
        let output = chain.process(batch).map_err(in_phase(PhaseName::Transform))?;
        let batches = finished.take(output);
        finished.seconds.transform += lap();
        match &mut encoder {
            Some(encoder) => finished.write(encoder.as_mut(), &batches).map_err(in_phase(PhaseName::Load))?,
            None => waiting.extend(batches),
        }
        // They were found column by column; a person reads them down the file.
        finished.rejects[first..].sort_by_key(|reject| reject.row);
        finished.seconds.load += lap();
    }
    finished.encoded = match encoder {
        Some(encoder) => Encoding::Encoded(encoder.finish()?),
        None => Encoding::Rows(waiting),
    };
    finished.seconds.load += lap();
    chain.usage(&mut finished.stages);
    Ok(finished)
}

impl Finished {
    fn new(context: &Context<'_>) -> Self {
        let stages = context.stages.reports.clone();
        Self {
            encoded: Encoding::Rows(Vec::new()),
            rejects: Vec::new(),
            rows: Rows::default(),
            batches: 0,
            stages,
            seconds: Seconds::default(),
            next: None,
        }
    }

    /// Counts a stage's output and answers the rows that go on.
    fn take(&mut self, output: Output) -> Vec<Batch> {
        let Output { batches, rejects, filtered, expanded, crashed, skipped } = output;
        self.rows.rejected += rejects.len() as u64;
        self.rows.filtered += filtered;
        self.rows.expanded += expanded;
        self.rows.crashed += crashed;
        self.rows.skipped += skipped;
        self.rejects.extend(rejects);
        batches
    }

    fn write(&mut self, encoder: &mut dyn crate::sink::Encoder, batches: &[Batch]) -> Result<()> {
        for batch in batches {
            let rejects = encoder.write(batch)?;
            self.rows.rejected += rejects.len() as u64;
            self.rows.loaded += (batch.rows.num_rows() - rejects.len()) as u64;
            self.rejects.extend(rejects);
        }
        Ok(())
    }

    fn encode(&mut self, batches: Vec<Batch>, encode: &OnceLock<Arc<dyn Encode>>) -> Result<()> {
        self.encoded = match encode.get() {
            Some(encode) => {
                let mut encoder = encode.start()?;
                self.write(encoder.as_mut(), &batches)?;
                Encoding::Encoded(encoder.finish()?)
            }
            None => Encoding::Rows(batches),
        };
        Ok(())
    }
}

/// Puts finished chunks in order and appends them.
fn collect(
    appender: &mut Appender<'_>,
    done: Receiver<Done>,
    places: Sender<()>,
    on_rejects: &mut dyn FnMut(&[Reject]) -> Result<()>,
    on_progress: &mut dyn FnMut(&mut Progress),
) -> Result<SplitReport> {
    let started = Instant::now();
    let sizes = Sizes::of(appender.context.root, appender.split);
    let mut report =
        SplitReport { rows: Rows::default(), staged: None, stages: appender.context.stages.reports.clone(), seconds: Seconds::default() };
    let mut progress = Progress::default();
    let mut early: BTreeMap<usize, Result<Finished>> = BTreeMap::new();
    let mut expected = 0;
    let mut take = |appender: &mut Appender<'_>, finished: Finished, report: &mut SplitReport| -> Result<()> {
        let Finished { mut rejects, mut rows, encoded, batches, stages, seconds, next } = finished;
        appender.append(encoded, &mut rows, &mut rejects).map_err(in_phase(PhaseName::Load))?;
        for reject in &mut rejects {
            reject.batch &= (1 << SEQUENCE_BITS) - 1;
        }
        on_rejects(&rejects)?;
        report.rows.add(&rows);
        report.seconds.extract += seconds.extract;
        report.seconds.transform += seconds.transform;
        report.seconds.load += seconds.load;
        for (total, stage) in report.stages.iter_mut().zip(stages) {
            merge(total, stage);
        }
        progress.stage = PhaseName::Transform;
        progress.rows = report.rows;
        if let Some(next) = next {
            progress.share = sizes.share(&next);
        }
        progress.batches += batches;
        progress.seconds = started.elapsed().as_secs_f64();
        progress.fuel = report.stages.iter().map(|stage| (stage.name.clone(), stage.fuel)).collect();
        on_progress(&mut progress);
        Ok(())
    };
    let mut held_back = Vec::new();
    for Done { sequence, outcome } in done {
        if sequence == usize::MAX {
            // One of each worker.
            held_back.push(outcome);
            continue;
        }
        // An error waits for its turn too, so that the first one in the input is the one told of, whichever worker was faster.
        early.insert(sequence, outcome);
        while let Some(finished) = early.remove(&expected) {
            expected += 1;
            take(appender, finished?, &mut report)?;
            // The reader has left where all is read.
            places.send(()).ok();
        }
    }
    // What a stage that remembers held back comes last.
    for (_, finished) in early {
        take(appender, finished?, &mut report)?;
    }
    for finished in held_back {
        take(appender, finished?, &mut report)?;
    }
    for batches in appender.unspool()? {
        let mut finished = Finished::new(appender.context);
        finished.encoded = Encoding::Rows(batches?);
        take(appender, finished, &mut report)?;
    }
    Ok(report)
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
        let load = self.context.sink.begin(self.split.index, schema)?;
        self.encode.set(load.encoder()).unwrap_or_else(|_| unreachable!("a split begins once"));
        self.load = Some(load);
        Ok(())
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
        match &mut self.load {
            Some(load) if !empty => load.append(encoded),
            _ => Ok(()),
        }
    }

    /// Ends the waiting of rows: the columns of all of them are known now.
    fn unspool(&mut self) -> Result<impl Iterator<Item = Result<Vec<Batch>>> + use<>> {
        let waiting = self.spool.take().map(Spool::finish).transpose()?;
        let (schema, batches) = waiting.unzip();
        if let Some(schema) = schema.flatten() {
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
