//! A stage that is a guest: policies, retries, and the search for the guilty rows.

mod guilty;
mod widen;

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::SchemaRef;

use self::guilty::Search;
use super::{Output, Stage, Usage};
use crate::batch::{Batch, Origin, Reason, RowNumbers};
use crate::config::transform::{OnError, OnTrap};
use crate::error::{Context, Error, Result};
use crate::json;
use crate::sandbox::{Failure, FailureKind, Instance, Processed, Recipe, Rows, Scope};

/// Schemas for which a stateless stage keeps an instance open.
const OPEN_INSTANCES: usize = 4;

/// Batches between two snapshots of a stage that remembers, at least; after a crash those since the last one are worked through again.
const SNAPSHOT_BATCHES: usize = 16;

/// Tries of a batch whose guest says that trying again may help.
const TRANSIENT_TRIES: u32 = 3;

/// What happens when a guest fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// When it refuses a row or a batch.
    pub on_error: OnError,
    /// When it crashes or runs into a limit.
    pub on_trap: OnTrap,
    /// Share of a batch's rows that may fail before the run does.
    pub max_error_ratio: f64,
    /// Whether it holds rows to rules: then a row that it rejects goes to the dead letters as not valid, one that it leaves out counts as skipped,
    /// and one that it fails on ends the run, since each rule says for itself which it is.
    pub judges: bool,
    /// Whether what it remembers is the same whatever columns rows have, so that it may go on with any.
    pub any_columns: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { on_error: OnError::DeadLetter, on_trap: OnTrap::Bisect, max_error_ratio: 0.1, judges: false, any_columns: false }
    }
}

/// Reads the JSON lines that a guest of the records world emits; the sources know how.
pub type ReadLines = fn(&[u8]) -> Result<RecordBatch>;

/// A guest as a stage.
pub struct ComponentStage {
    recipe: Recipe,
    policy: Policy,
    scope: Scope,
    read_lines: ReadLines,
    /// Open instances, the last used one last.
    open: Vec<(SchemaRef, Instance)>,
    memory: Memory,
    usage: Usage,
}

/// What it takes to bring a stage that remembers back to where it was.
#[derive(Default)]
struct Memory {
    snapshot: Option<Vec<u8>>,
    since: Vec<Batch>,
    /// Bytes of the batches since.
    bytes: usize,
    /// Rows that went in and have not been accounted for, since they may come out later, for themselves or within others.
    held: u64,
}

impl Memory {
    /// Whether it is time for a snapshot: not before as many bytes came as the last one has, or a state that grows would be written over and over.
    fn is_due(&self) -> bool {
        self.since.len() >= SNAPSHOT_BATCHES && self.bytes >= self.snapshot.as_ref().map_or(0, Vec::len)
    }
}

impl ComponentStage {
    /// Opens the stage for rows of a schema, so that wrong options show before a row is read.
    ///
    /// # Errors
    /// As the guest says: config for options, guest for a crash.
    pub fn open(
        recipe: Recipe,
        policy: Policy,
        scope: Scope,
        read_lines: ReadLines,
        schema: &SchemaRef,
    ) -> Result<(Self, super::Configured)> {
        let mut stage = Self::closed(recipe, policy, scope, read_lines);
        let instance = stage.instance(schema)?;
        let plan = instance.plan();
        let configured = super::Configured { output: plan.output.clone(), columns: plan.columns.as_ref().map(|columns| columns.to_vec()) };
        Ok((stage, configured))
    }

    /// Makes the stage without opening it, where the schema of its rows is not known yet.
    pub fn closed(recipe: Recipe, policy: Policy, scope: Scope, read_lines: ReadLines) -> Self {
        Self { recipe, policy, scope, read_lines, open: Vec::new(), memory: Memory::default(), usage: Usage::default() }
    }

    /// The instance for a schema; opened where there is none.
    fn instance(&mut self, schema: &SchemaRef) -> Result<&mut Instance> {
        // One that keeps its columns was made to hold these before.
        let same = |open: &SchemaRef| self.keeps_columns() || Arc::ptr_eq(open, schema) || open == schema;
        if let Some(index) = self.open.iter().position(|(open, _)| same(open)) {
            let last = self.open.len() - 1;
            self.open.swap(index, last);
        } else {
            let snapshot = match self.scope {
                Scope::Stream => self.state_now()?,
                _ => None,
            };
            if self.open.len() >= OPEN_INSTANCES || self.scope == Scope::Stream {
                self.close_first();
            }
            let instance = self.open_fresh(schema, snapshot.as_deref())?;
            self.open.push((schema.clone(), instance));
        }
        Ok(&mut self.open.last_mut().expect("one was found or pushed").1)
    }

    fn open_fresh(&mut self, schema: &SchemaRef, snapshot: Option<&[u8]>) -> Result<Instance> {
        self.usage.instances += 1;
        self.recipe.open(schema, snapshot).map_err(|problems| self.configure_error(problems))
    }

    fn configure_error(&self, problems: Vec<Failure>) -> Error {
        let stage = &self.recipe.stage;
        let mut problems = problems.into_iter();
        let first = problems.next().expect("a refusal has a reason");
        let at = |problem: &Failure| problem.field.as_ref().map(|field| format!("`{field}`: ")).unwrap_or_default();
        let rest: Vec<String> = problems.map(|problem| format!("{}{}", at(&problem), problem.full_message())).collect();
        let field = first.field.as_ref().map(|field| format!(", `{field}`")).unwrap_or_default();
        let error = first.into_error(format!("stage `{stage}`{field}"));
        if rest.is_empty() { error } else { error.because(anyhow::anyhow!("and {}", rest.join("; and "))) }
    }

    /// What a stage that remembers knows now.
    fn state_now(&mut self) -> Result<Option<Vec<u8>>> {
        match self.open.last_mut() {
            Some((_, instance)) => {
                let snapshot = instance
                    .snapshot()
                    .map_err(|failure| failure.into_error(format!("taking a snapshot of stage `{}`", self.recipe.stage)))?;
                self.memory = Memory { snapshot: Some(snapshot.clone()), since: Vec::new(), bytes: 0, held: self.memory.held };
                Ok(Some(snapshot))
            }
            None => Ok(self.memory.snapshot.clone()),
        }
    }

    fn close_first(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let (_, mut instance) = self.open.remove(0);
        gather(&mut self.usage, &mut instance);
    }

    /// Throws the used instance away: after a trap none of its calls can be made.
    fn discard(&mut self) {
        if let Some((_, mut instance)) = self.open.pop() {
            gather(&mut self.usage, &mut instance);
        }
    }

    /// Brings a stage that remembers back to where it was before the batch.
    fn rewind(&mut self, schema: &SchemaRef) -> Result<()> {
        // One that keeps its columns is opened for those of all rows so far.
        let schema = &self.open.last().map_or_else(|| schema.clone(), |(open, _)| open.clone());
        self.discard();
        let snapshot = self.memory.snapshot.take();
        let fresh = self.open_fresh(schema, snapshot.as_deref());
        self.memory.snapshot = snapshot;
        let mut instance = fresh?;
        for batch in &self.memory.since {
            let lines = lines_of(&instance, &batch.rows);
            let rows = if lines.is_some() { batch.rows.clone() } else { self.fit(&batch.rows, schema)? };
            instance
                .process_as(&rows, &batch.rows, lines, batch.sequence, 0)
                .map_err(|failure| failure.into_error(format!("stage `{}` failed on rows that it had passed before", self.recipe.stage)))?;
        }
        self.open.push((schema.clone(), instance));
        Ok(())
    }

    /// One try of a batch, or of the part of it from `first_row` on.
    fn attempt(&mut self, rows: &RecordBatch, sequence: u64, first_row: usize) -> Result<Result<Processed, Failure>> {
        self.instance(&rows.schema())?;
        let (schema, takes_lines) = self.open.last().map(|(open, instance)| (open.clone(), instance.takes_lines())).expect("it is open");
        let fitted = if takes_lines { rows.clone() } else { self.fit(rows, &schema)? };
        let mut tries = 0;
        loop {
            let instance = self.instance(&schema)?;
            let held_bytes = instance.memory_bytes();
            let lines = lines_of(instance, rows);
            let outcome = instance.process_as(&fitted, rows, lines, sequence, first_row as u32).and_then(|mut processed| {
                read_emitted(&mut processed, self.read_lines)?;
                Ok(processed)
            });
            let Err(failure) = outcome else { return Ok(outcome) };
            if self.scope == Scope::Stream && failure.code == "memory_limit" && held_bytes > self.recipe.limits.memory_bytes / 2 {
                // What it remembers has grown too large: no row of this batch is to blame.
                return Err(failure.into_error(format!("stage `{}` remembers too much", self.recipe.stage)));
            }
            match failure.kind {
                FailureKind::Options | FailureKind::Unsupported | FailureKind::Host => {
                    return Err(failure.into_error(format!("stage `{}`", self.recipe.stage)));
                }
                FailureKind::Transient(wait) if tries + 1 < TRANSIENT_TRIES => {
                    let wait = wait.unwrap_or(Duration::from_secs(1 << tries)).min(Duration::from_secs(30));
                    tries += 1;
                    tracing::warn!(
                        stage = &*self.recipe.stage,
                        attempt = tries,
                        wait_ms = wait.as_millis() as u64,
                        message = failure.message,
                        "the transform asks to be tried again"
                    );
                    std::thread::sleep(wait);
                    if self.scope == Scope::Stream {
                        self.rewind(&schema)?;
                    }
                    continue;
                }
                _ => {}
            }
            if self.scope == Scope::Stream {
                self.rewind(&schema)?;
            } else if failure.is_fatal() {
                self.discard();
            }
            return Ok(Err(failure));
        }
    }

    /// What the policy says of a batch that failed.
    fn give_up(&mut self, batch: &Batch, failure: Failure) -> Result<Output> {
        let fatal = failure.is_fatal();
        let fail = match (fatal, self.policy.on_error, self.policy.on_trap) {
            (false, OnError::Fail, _) => true,
            (false, _, _) if self.policy.judges => true,
            (true, _, OnTrap::Restart) => match self.attempt(&batch.rows, batch.sequence, 0)? {
                Ok(processed) => {
                    let output = self.output(batch, processed)?;
                    self.remember(batch)?;
                    return Ok(output);
                }
                Err(_) => true,
            },
            _ => false,
        };
        if fail {
            return Err(self.run_error(batch, failure));
        }
        if fatal && self.policy.on_trap == OnTrap::Bypass {
            tracing::warn!(
                stage = &*self.recipe.stage,
                batch = batch.sequence,
                message = failure.full_message(),
                "the transform failed, the batch goes on as it came"
            );
            return Ok(Output { batches: vec![batch.clone()], ..Output::default() });
        }
        let mut output = Output::default();
        let mut search = Search::new(batch, self.policy.max_error_ratio);
        // A guest that says that the batch is wrong means all of it; one that broke on it broke on some row, as if it had crashed.
        let refused = failure.kind == FailureKind::Data && self.scope == Scope::BatchLocal && failure.row.is_none();
        if fatal && self.policy.on_trap == OnTrap::FailBatch || refused {
            self.refuse_all(batch, &failure, &mut output);
        } else if self.scope == Scope::Stateless {
            self.narrow(&mut search, failure, &mut output)?;
        } else {
            self.without_guilty(&mut search, failure, &mut output)?;
        }
        Ok(output)
    }

    /// Turns what came out of a batch, or of its part from `first_row` on, into the stage's output.
    fn output(&mut self, batch: &Batch, processed: Processed) -> Result<Output> {
        let Processed { emitted, rejected, filtered, expanded, later, counters } = processed;
        for (name, by) in counters {
            crate::report::count(&mut self.usage.counters, name, by, self.recipe.limits.counters);
        }
        let (filtered, skipped) = if self.policy.judges { (0, filtered) } else { (filtered, 0) };
        let mut output = match later {
            true => {
                // Rows that come out stand for some that went in before; what is left in the end was left out.
                let held = self.memory.held + filtered;
                self.memory.held = held.saturating_sub(expanded);
                Output { expanded: expanded.saturating_sub(held), ..Output::default() }
            }
            false => Output { filtered, skipped, expanded, ..Output::default() },
        };
        for (rows, origins) in emitted {
            let Rows::Batch(rows) = rows else { return Err(Error::bug("JSON lines came this far unread")) };
            if rows.num_rows() == 0 {
                continue;
            }
            let numbers = match origins {
                Some(origins) => batch.origin.rows.take(origins.into_iter().map(|row| row as usize)),
                None if rows.num_rows() == batch.rows.num_rows() && !later => batch.origin.rows.clone(),
                None => RowNumbers::Each(vec![0; rows.num_rows()].into()),
            };
            let origin = Origin { source: batch.origin.source.clone(), rows: numbers };
            output.batches.push(Batch { rows, origin, sequence: batch.sequence });
        }
        let reason = if self.policy.judges { Reason::ValidationError } else { Reason::TransformationError };
        for rejected in rejected {
            if !self.policy.judges && self.policy.on_error == OnError::Skip {
                output.skipped += 1;
                continue;
            }
            let reject = self.reject(batch, rejected.row as usize, reason, rejected.code, rejected.message, rejected.field);
            if !self.policy.judges && self.policy.on_error == OnError::Fail {
                return Err(Error::data(format!(
                    "stage `{}` refused row {} of `{}`: {}",
                    reject.stage, reject.row, reject.source, reject.message
                ))
                .hint("`on_error: dead_letter` sends such rows to the dead letters"));
            }
            output.rejects.push(reject);
        }
        Ok(output)
    }

    /// Notes a batch that a stage which remembers has passed.
    fn remember(&mut self, batch: &Batch) -> Result<()> {
        if self.scope != Scope::Stream {
            return Ok(());
        }
        self.memory.since.push(batch.clone());
        self.memory.bytes += bytes_of(&batch.rows);
        if self.memory.is_due() {
            self.state_now()?;
        }
        Ok(())
    }

    fn run_error(&self, batch: &Batch, failure: Failure) -> Error {
        let row = failure.row.map(|row| row as usize).filter(|row| *row < batch.rows.num_rows());
        let place = match row {
            Some(row) => format!("row {} of `{}`", batch.origin.rows.get(row), batch.origin.source),
            None => self.range(batch),
        };
        failure.into_error(format!("stage `{}` failed on {place}", self.recipe.stage))
    }

    /// A batch as a person finds it.
    fn range(&self, batch: &Batch) -> String {
        let rows = batch.rows.num_rows();
        let (first, last) = (batch.origin.rows.get(0), batch.origin.rows.get(rows.saturating_sub(1)));
        format!("rows {first} to {last} of `{}`", batch.origin.source)
    }
}

impl Stage for ComponentStage {
    fn name(&self) -> &str {
        &self.recipe.stage
    }

    fn process(&mut self, batch: Batch) -> Result<Output> {
        if self.keeps_columns() {
            self.widen(&batch)?;
        }
        match self.attempt(&batch.rows, batch.sequence, 0)? {
            Ok(processed) => {
                let output = self.output(&batch, processed)?;
                self.remember(&batch)?;
                Ok(output)
            }
            Err(failure) => self.give_up(&batch, failure),
        }
    }

    fn finish(&mut self) -> Result<Output> {
        let mut output = Output::default();
        let nowhere = |schema: SchemaRef| Batch {
            rows: RecordBatch::new_empty(schema),
            origin: Origin { source: Arc::from(""), rows: RowNumbers::Each([].into()) },
            sequence: u64::MAX,
        };
        for (schema, mut instance) in std::mem::take(&mut self.open) {
            let processed = instance.finish().and_then(|mut processed| {
                read_emitted(&mut processed, self.read_lines)?;
                Ok(processed)
            });
            let processed = processed.map_err(|failure| match failure.kind {
                // A column that never came.
                FailureKind::Options => self.configure_error(vec![failure]),
                _ => failure.into_error(format!("finishing stage `{}`", self.recipe.stage)),
            });
            gather(&mut self.usage, &mut instance);
            add(&mut output, self.output(&nowhere(schema), processed?)?);
        }
        output.filtered += std::mem::take(&mut self.memory.held);
        Ok(output)
    }

    fn snapshot(&mut self) -> Result<Vec<u8>> {
        if self.scope != Scope::Stream {
            return Ok(Vec::new());
        }
        // Our own count and the schema of the rows stand before what the guest remembers.
        let mut state = self.memory.held.to_le_bytes().to_vec();
        let guest = self.state_now()?;
        if let (Some(guest), Some((schema, _))) = (guest, self.open.last()) {
            let mut bytes = Vec::new();
            let written = StreamWriter::try_new(&mut bytes, schema).and_then(|mut writer| writer.finish());
            written.bug(|| "a schema cannot be written".into())?;
            state.extend((bytes.len() as u64).to_le_bytes());
            state.extend(bytes);
            state.extend(guest);
        }
        Ok(state)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.open.clear();
        self.memory = Memory::default();
        let cut_off = || Error::data(format!("the snapshot of stage `{}` is cut off", self.recipe.stage));
        if state.is_empty() {
            return Ok(());
        }
        let (held, rest) = state.split_first_chunk().ok_or_else(cut_off)?;
        self.memory.held = u64::from_le_bytes(*held);
        if rest.is_empty() {
            return Ok(());
        }
        let (length, rest) = rest.split_first_chunk().ok_or_else(cut_off)?;
        let (schema, guest) = rest.split_at_checked(u64::from_le_bytes(*length) as usize).ok_or_else(cut_off)?;
        let schema = StreamReader::try_new(schema, None).map_err(|error| cut_off().because(error))?.schema();
        // It is opened now: no more rows may come, and what it remembers is to come out all the same.
        let instance = self.open_fresh(&schema, Some(guest))?;
        self.open.push((schema, instance));
        self.memory.snapshot = Some(guest.to_vec());
        Ok(())
    }

    fn usage(&mut self) -> Usage {
        for (_, instance) in &mut self.open {
            gather(&mut self.usage, instance);
        }
        std::mem::take(&mut self.usage)
    }
}

fn gather(usage: &mut Usage, instance: &mut Instance) {
    let used = instance.used();
    usage.fuel += used.fuel;
    usage.fuel_share = usage.fuel_share.max(used.fuel_share);
    usage.memory_bytes = usage.memory_bytes.max(used.memory_bytes);
}

/// Reads JSON lines, so that lines that are none count as the guest's failure on this batch.
fn read_emitted(processed: &mut Processed, read_lines: ReadLines) -> Result<(), Failure> {
    for (rows, _) in &mut processed.emitted {
        if let Rows::Lines(lines) = rows {
            let batch = read_lines(lines)
                .map_err(|error| Failure::broken_contract(format!("emitted lines that do not read: {}", error.one_line())))?;
            *rows = Rows::Batch(batch);
        }
    }
    Ok(())
}

fn lines_of(instance: &Instance, rows: &RecordBatch) -> Option<Vec<u8>> {
    instance.takes_lines().then(|| {
        let mut lines = Vec::with_capacity(rows.get_array_memory_size());
        json::write_records(rows, &mut lines);
        lines
    })
}

/// Bytes of the rows themselves, without what else stands in the buffers that they share.
fn bytes_of(rows: &RecordBatch) -> usize {
    rows.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or_default()).sum()
}

fn filter(batch: &Batch, keep: &BooleanBuffer) -> Result<Batch> {
    let rows =
        arrow_select::filter::filter_record_batch(&batch.rows, &BooleanArray::new(keep.clone(), None)).bug(|| "leaving out rows".into())?;
    let origin = Origin { source: batch.origin.source.clone(), rows: batch.origin.rows.take(keep.set_indices()) };
    Ok(Batch { rows, origin, sequence: batch.sequence })
}

fn add(output: &mut Output, more: Output) {
    let Output { batches, rejects, filtered, expanded, crashed, skipped, failed_batches } = more;
    output.batches.extend(batches);
    output.rejects.extend(rejects);
    output.filtered += filtered;
    output.expanded += expanded;
    output.crashed += crashed;
    output.skipped += skipped;
    output.failed_batches += failed_batches;
}
