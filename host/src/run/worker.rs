//! The threads of a split that work on chunks.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use super::chain::Chain;
use super::split::{Context, SEQUENCE_BITS, Seconds};
use crate::batch::{Batch, Position, Reject};
use crate::error::{Error, PhaseName, Result};
use crate::report::{Rows, StageReport};
use crate::sink::{Encode, Encoded};
use crate::source::{Chunk, Decoded};
use crate::stage::Output;

/// What a worker made of one chunk.
pub(super) struct Done {
    pub(super) sequence: usize,
    pub(super) outcome: Result<Finished>,
}

pub(super) struct Finished {
    pub(super) encoded: Encoding,
    pub(super) rejects: Vec<Reject>,
    pub(super) rows: Rows,
    pub(super) batches: u64,
    pub(super) failed_batches: u64,
    pub(super) stages: Vec<StageReport>,
    pub(super) seconds: Seconds,
    /// Where the input goes on.
    pub(super) next: Option<Position>,
    /// Where a checkpoint is due behind it, with what the stages remember then.
    pub(super) mark: Option<(Position, Vec<Vec<u8>>)>,
}

pub(super) enum Encoding {
    Encoded(Encoded),
    /// The sink's schema was not known yet.
    Rows(Vec<Batch>),
}

/// What a worker is given.
pub(super) struct Job {
    pub(super) sequence: usize,
    /// None behind the last chunk of a run that was told to stop.
    pub(super) chunk: Option<Box<dyn Chunk>>,
    /// Where a checkpoint is due behind it.
    pub(super) mark: Option<Position>,
}

/// Works on chunks.
pub(super) struct Worker<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) split: usize,
    pub(super) encode: &'a OnceLock<Arc<dyn Encode>>,
    /// Opens the stages, as they were at the checkpoint.
    pub(super) open: &'a (dyn Fn() -> Result<Chain> + Sync),
    pub(super) interrupted: &'a AtomicBool,
}

impl Worker<'_> {
    /// Works on chunks until there are no more.
    pub(super) fn work(&self, jobs: &Mutex<Receiver<Job>>, done: Sender<Done>, stopped: &(dyn Fn() -> bool + Sync)) {
        let Self { context, split, encode, open, interrupted } = *self;
        let mut chain = None;
        loop {
            let job = jobs.lock().expect("receiving does not panic").recv();
            let Ok(Job { sequence, chunk, mark }) = job else { break };
            if stopped() {
                return;
            }
            let outcome = caught(|| {
                let chain = match &mut chain {
                    Some(chain) => chain,
                    none => none.insert(open()?),
                };
                let mut finished = match chunk {
                    Some(chunk) => chunk_through(context, split, chunk, chain, encode)?,
                    None => Finished::new(context),
                };
                if let Some(position) = mark {
                    let snapshots = if context.stages.remembers { chain.snapshot()? } else { Vec::new() };
                    finished.mark = Some((position, snapshots));
                }
                Ok(finished)
            });
            if done.send(Done { sequence, outcome }).is_err() {
                return;
            }
        }
        // What is held back by a run that was told to stop is in its checkpoint.
        if interrupted.load(Ordering::SeqCst) {
            return;
        }
        // Only a stage that remembers holds rows back, and then there is one worker.
        if chain.is_none() && context.workers > 1 {
            return;
        }
        let outcome = caught(|| {
            let mut chain = chain.map_or_else(open, Ok)?;
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
}

/// Says in which phase an error happened.
pub(super) fn in_phase(phase: PhaseName) -> impl Fn(Error) -> Error {
    move |error| error.in_phase(phase)
}

/// Makes an error of a panic: a thread that just ended would leave the others waiting for its chunk for ever.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let text = |panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or_else(String::new, |text| (*text).to_owned()),
    };
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Error::bug(format!("a thread panicked: {}", text(panic)))))
}

/// One chunk through the stages into the sink's form.
pub(super) fn chunk_through(
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
        let Decoded { mut batch, rejects, skipped, filtered } = decoded.map_err(in_phase(PhaseName::Extract))?;
        batch.sequence |= (split as u64) << SEQUENCE_BITS;
        finished.seconds.extract += lap();
        finished.batches += 1;
        let first = finished.rejects.len();
        finished.rows.read += batch.rows.num_rows() as u64 + rejects.len() as u64 + skipped + filtered;
        finished.rows.filtered += filtered;
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
    pub(super) fn new(context: &Context<'_>) -> Self {
        let stages = context.stages.reports.clone();
        Self {
            encoded: Encoding::Rows(Vec::new()),
            rejects: Vec::new(),
            rows: Rows::default(),
            batches: 0,
            failed_batches: 0,
            stages,
            seconds: Seconds::default(),
            next: None,
            mark: None,
        }
    }

    /// Counts a stage's output and answers the rows that go on.
    pub(super) fn take(&mut self, output: Output) -> Vec<Batch> {
        let Output { batches, rejects, filtered, expanded, crashed, skipped, failed_batches } = output;
        self.rows.rejected += rejects.len() as u64;
        self.rows.filtered += filtered;
        self.rows.expanded += expanded;
        self.rows.crashed += crashed;
        self.rows.skipped += skipped;
        self.failed_batches += failed_batches;
        self.rejects.extend(rejects);
        batches
    }

    pub(super) fn write(&mut self, encoder: &mut dyn crate::sink::Encoder, batches: &[Batch]) -> Result<()> {
        for batch in batches {
            let rejects = encoder.write(batch)?;
            self.rows.rejected += rejects.len() as u64;
            self.rows.loaded += (batch.rows.num_rows() - rejects.len()) as u64;
            self.rejects.extend(rejects);
        }
        Ok(())
    }

    pub(super) fn encode(&mut self, batches: Vec<Batch>, encode: &OnceLock<Arc<dyn Encode>>) -> Result<()> {
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
