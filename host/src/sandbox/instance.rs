//! A configured instance of a guest: the calls, each with fuel, a time-out and its output checked.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use tokio::runtime::Handle;
use wasmtime::component::{Resource, ResourceAny};
use wasmtime::{CallHook, Store};

use super::access::Access;
use super::bindings::columnar::Transform;
use super::bindings::records::TransformRecords;
use super::bindings::types::{Cardinality, StageError};
use super::component::{Component, Program, Scope};
use super::engine::YIELD_INTERVAL;
use super::failure::{Failure, FailureKind};
use super::ipc;
use super::limits::{EMIT_BYTES, Exceeded};
use super::output::Output;
use super::processed::{Processed, settle};
use super::state::{Input, State};
use crate::plan::Limits;

/// Times that a guest may read a whole batch.
const READS: usize = 16;

/// Bytes of a snapshot that stand for a row, where the rows behind it were seen by another instance: what is done with it has fuel by them.
const SNAPSHOT_ROW_BYTES: usize = 64;

/// Of so many rows that a stage which remembers has seen, one counts once more in each batch: now and then what it remembers is moved as a whole,
/// as when a table grows, and the batch that happens to meet that must not run out of fuel.
const SEEN_ROWS: u64 = 16;

/// What it takes to open an instance, as often as need be.
#[derive(Clone)]
pub struct Recipe {
    /// The component.
    pub component: Arc<Component>,
    /// Name of the function.
    pub function: String,
    /// Options as JSON.
    pub options: String,
    /// What it may use.
    pub limits: Limits,
    /// What it may reach.
    pub access: Arc<Access>,
    /// Name of the stage, for logs.
    pub stage: Arc<str>,
    /// The run's start, which is the guest's clock.
    pub now_ms: i64,
    /// The run's seed.
    pub seed: u64,
    /// What drives the calls' time-outs.
    pub handle: Handle,
}

/// A configured instance. After a fatal failure it is gone.
pub struct Instance {
    store: Store<State>,
    calls: Calls,
    plan: Plan,
    limits: Limits,
    handle: Handle,
    rows_seen: u64,
    /// Whether it remembers from batch to batch.
    remembers: bool,
    fuel_used: u64,
    fuel_share: f64,
}

enum Calls {
    Columns(Box<Transform>, ResourceAny),
    Records(Box<TransformRecords>, ResourceAny),
}

/// What `configure` found out.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Schema of what comes out, where it is known.
    pub output: Option<SchemaRef>,
    /// Columns that are read, by index; `None` = all.
    pub columns: Option<Arc<[usize]>>,
    /// How rows out relate to rows in.
    pub cardinality: Cardinality,
}

/// What an instance has used.
#[derive(Clone, Debug, Default)]
pub struct Used {
    /// Fuel since it was last asked.
    pub fuel: u64,
    /// The largest share of a batch's budget.
    pub fuel_share: f64,
    /// The most memory so far, in bytes.
    pub memory_bytes: usize,
}

impl Recipe {
    /// Opens an instance for rows of a schema, from the start or from a snapshot.
    ///
    /// # Errors
    /// Every problem of the options at once; or one failure.
    pub fn open(&self, schema: &Schema, snapshot: Option<&[u8]>) -> Result<Instance, Vec<Failure>> {
        let mut store = new_store(&self.component, &self.access, &self.limits, &self.stage, self.now_ms, self.seed);
        let limits = self.limits;
        let remembers = self.component.function(Some(&self.function)).is_ok_and(|function| function.state == Scope::Stream);
        let rows_seen = snapshot.map_or(0, |state| state.len() / SNAPSHOT_ROW_BYTES);
        let fuel = limits.fuel(1000 + rows_seen);
        let input = ipc::schema_message(schema).map_err(|error| vec![Failure::new(FailureKind::Host, "bug", error.one_line())])?;
        let (function, options) = (&self.function, &self.options);
        let opened: Result<Result<(Calls, Plan), Vec<StageError>>, Failure> = match &self.component.program {
            Program::Columns(program) => call(&mut store, &self.handle, &limits, fuel, async |store| {
                let guest = program.instantiate_async(&mut *store).await?;
                let stage = guest.etl_transform_stage().instance();
                let opened = match snapshot {
                    None => stage.call_configure(&mut *store, function, options, &input).await?,
                    Some(state) => stage.call_restore(&mut *store, function, options, &input, state).await?,
                };
                Ok(match opened {
                    Ok((instance, plan)) => {
                        let output = plan.output.map(|message| ipc::read_schema(&message)).transpose()?;
                        let columns =
                            plan.columns.map(|columns| ipc::column_indexes(&columns, schema.fields().len())).transpose()?.map(Arc::from);
                        Ok((Calls::Columns(Box::new(guest), instance), Plan { output, columns, cardinality: plan.cardinality }))
                    }
                    Err(problems) => Err(problems),
                })
            }),
            Program::Records(program) => call(&mut store, &self.handle, &limits, fuel, async |store| {
                let guest = program.instantiate_async(&mut *store).await?;
                let stage = guest.etl_transform_record_stage().instance();
                let opened = match snapshot {
                    None => stage.call_configure(&mut *store, function, options).await?,
                    Some(state) => stage.call_restore(&mut *store, function, options, state).await?,
                };
                Ok(opened.map(|(instance, cardinality)| {
                    (Calls::Records(Box::new(guest), instance), Plan { output: None, columns: None, cardinality })
                }))
            }),
        };
        let (calls, plan) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(problems)) if problems.is_empty() => {
                return Err(vec![Failure::new(FailureKind::Contract, "broken_contract", "refused its options without a reason")]);
            }
            Ok(Err(problems)) => {
                let mut failures: Vec<Failure> = problems.into_iter().take(100).map(Failure::from_stage_error).collect();
                failures[0] = failures[0].clone().after(store.data().http.take_notes());
                return Err(failures);
            }
            Err(failure) => return Err(vec![failure]),
        };
        Ok(Instance {
            store,
            calls,
            plan,
            limits,
            handle: self.handle.clone(),
            rows_seen: rows_seen as u64,
            remembers,
            fuel_used: 0,
            fuel_share: 0.0,
        })
    }
}

/// Makes a store with its limits set, as they must be before anything is instantiated.
pub(super) fn new_store(component: &Component, access: &Access, limits: &Limits, stage: &Arc<str>, now_ms: i64, seed: u64) -> Store<State> {
    let mut store = Store::new(component.engine(), State::new(stage.clone(), access, limits, now_ms, seed));
    store.limiter(|state| &mut state.meter);
    store.set_hostcall_fuel(EMIT_BYTES.max(limits.memory_bytes) + (4 << 20));
    // Before every call of the host, WASI's too: it costs a guest next to no fuel, and the time-out around the call acts only when fuel has burned.
    store.call_hook(|store, hook| match hook {
        CallHook::CallingHost => Ok(store.data().check_time()?),
        _ => Ok(()),
    });
    // Not metered = only in the benchmark that measures what metering costs; asked once, since the refusal may carry a backtrace.
    store.data_mut().metered = store.set_fuel(0).is_ok();
    store
}

/// Makes a call with fuel and a time-out, and reads how it failed.
pub(super) fn call<T>(
    store: &mut Store<State>,
    handle: &Handle,
    limits: &Limits,
    fuel: u64,
    body: impl AsyncFnOnce(&mut Store<State>) -> wasmtime::Result<T>,
) -> Result<T, Failure> {
    if store.data().metered {
        store.set_fuel(fuel).map_err(|error| Failure::new(FailureKind::Host, "bug", error.to_string()))?;
        store.fuel_async_yield_interval(Some(YIELD_INTERVAL)).map_err(|error| Failure::new(FailureKind::Host, "bug", error.to_string()))?;
    }
    store.data_mut().start_call(limits.timeout);
    let outcome = handle.block_on(timed(limits, body(store)));
    let state = store.data();
    match outcome {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(Failure::from_trap(&error, fuel, state.last_words.take()).after(state.http.take_notes())),
        None => Err(Failure::timeout(limits.timeout, state.last_words.take()).after(state.http.take_notes())),
    }
}

async fn timed<T>(limits: &Limits, call: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limits.timeout, call).await.ok()
}

impl Instance {
    /// What `configure` found out.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether it takes rows as JSON lines.
    pub fn takes_lines(&self) -> bool {
        matches!(self.calls, Calls::Records(_, _))
    }

    /// Works on one batch, or on the part of it from `first_row` on.
    ///
    /// # Errors
    /// Where the failure is fatal the instance is gone; nothing of the batch has come out in any case.
    pub fn process(&mut self, rows: &RecordBatch, lines: Option<Vec<u8>>, sequence: u64, first_row: u32) -> Result<Processed, Failure> {
        self.process_as(rows, rows, lines, sequence, first_row)
    }

    /// As [`process`](Self::process) of rows that came with other columns: `came`, which is what goes on where the guest passes all columns on.
    ///
    /// # Errors
    /// As `process`.
    pub fn process_as(
        &mut self,
        rows: &RecordBatch,
        came: &RecordBatch,
        lines: Option<Vec<u8>>,
        sequence: u64,
        first_row: u32,
    ) -> Result<Processed, Failure> {
        let input_bytes = ipc::held_bytes(rows);
        let read_left = input_bytes.max(1 << 20).saturating_mul(READS);
        let input =
            Input { rows: rows.clone(), came: came.clone(), sequence, first_row, columns: self.plan.columns.clone(), lines, read_left };
        let output = self.output(rows.num_rows(), input_bytes);
        self.store.data_mut().start_batch(sequence, first_row);
        self.rows_seen += rows.num_rows() as u64;
        let seen = if self.remembers { self.rows_seen / SEEN_ROWS } else { 0 };
        let fuel = self.limits.fuel(rows.num_rows() + seen as usize);
        let (input, output) = self.lend(Some(input), output)?;
        let input = input.expect("an input was lent");
        let (batch, out) = (Resource::new_borrow(input.rep()), Resource::new_borrow(output.rep()));
        let calls = &self.calls;
        let outcome = call(&mut self.store, &self.handle, &self.limits, fuel, async |store| match calls {
            Calls::Columns(guest, instance) => guest.etl_transform_stage().instance().call_process(store, *instance, batch, out).await,
            Calls::Records(guest, instance) => {
                guest.etl_transform_record_stage().instance().call_process(store, *instance, batch, out).await
            }
        });
        self.meter(fuel);
        let output = self.take_back(Some(input), output)?;
        outcome?.map_err(|error| self.refusal(error))?;
        let counters = self.counters();
        Ok(Processed { counters, ..settle(output, rows.num_rows(), self.plan.cardinality)? })
    }

    /// Says that no more rows come.
    pub fn finish(&mut self) -> Result<Processed, Failure> {
        // What it held back it held in its memory.
        let bytes_limit = self.limits.output_bytes.unwrap_or_else(|| self.limits.output(0).max(self.limits.memory_bytes));
        let output = Output { bytes_limit, ..self.output(0, 0) };
        let fuel = self.limits.fuel(self.rows_seen as usize);
        self.store.data_mut().start_batch(u64::MAX, 0);
        let (_, output) = self.lend(None, output)?;
        let out = Resource::new_borrow(output.rep());
        let calls = &self.calls;
        let outcome = call(&mut self.store, &self.handle, &self.limits, fuel, async |store| match calls {
            Calls::Columns(guest, instance) => guest.etl_transform_stage().instance().call_finish(store, *instance, out).await,
            Calls::Records(guest, instance) => guest.etl_transform_record_stage().instance().call_finish(store, *instance, out).await,
        });
        self.meter(fuel);
        let output = self.take_back(None, output)?;
        outcome?.map_err(|error| self.refusal(error))?;
        match self.plan.cardinality {
            Cardinality::Map | Cardinality::Filter if output.emitted.iter().any(|emitted| emitted.rows() > 0) => Err(Failure::new(
                FailureKind::Contract,
                "broken_contract",
                "emitted rows at the end although it says that it emits one for each row",
            )),
            cardinality => {
                let counters = self.counters();
                let processed = settle(output, 0, Cardinality::Aggregate)?;
                Ok(Processed { later: cardinality == Cardinality::Aggregate, counters, ..processed })
            }
        }
    }

    /// What the guest and the host counted since this was last asked.
    fn counters(&mut self) -> BTreeMap<String, u64> {
        let state = self.store.data_mut();
        let mut counters = std::mem::take(&mut state.counters);
        for (name, count) in state.http.take_counters() {
            *counters.entry(name.into()).or_default() += count;
        }
        counters
    }

    /// Everything it remembers.
    pub fn snapshot(&mut self) -> Result<Vec<u8>, Failure> {
        let fuel = self.limits.fuel(self.rows_seen as usize);
        let calls = &self.calls;
        let outcome = call(&mut self.store, &self.handle, &self.limits, fuel, async |store| match calls {
            Calls::Columns(guest, instance) => guest.etl_transform_stage().instance().call_snapshot(store, *instance).await,
            Calls::Records(guest, instance) => guest.etl_transform_record_stage().instance().call_snapshot(store, *instance).await,
        });
        self.meter(fuel);
        let state = outcome?.map_err(|error| self.refusal(error))?;
        let limit = EMIT_BYTES.max(self.limits.memory_bytes);
        if state.len() > limit {
            return Err(Failure::from_exceeded(&Exceeded::Output { asked: state.len(), limit }));
        }
        Ok(state)
    }

    /// Bytes of memory that it holds now.
    pub fn memory_bytes(&self) -> usize {
        self.store.data().meter.memory()
    }

    /// What it has used since it was last asked.
    pub fn used(&mut self) -> Used {
        let state = self.store.data_mut();
        Used {
            fuel: std::mem::take(&mut self.fuel_used),
            fuel_share: std::mem::take(&mut self.fuel_share),
            memory_bytes: state.meter.memory(),
        }
    }

    /// Reads what a guest returned in place of rows, with what went wrong with its requests before.
    fn refusal(&self, error: StageError) -> Failure {
        Failure::from_stage_error(error).after(self.store.data().http.take_notes())
    }

    fn output(&self, input_rows: usize, input_bytes: usize) -> Output {
        Output { schema: self.plan.output.clone(), input_rows, bytes_limit: self.limits.output(input_bytes), ..Output::default() }
    }

    fn lend(&mut self, input: Option<Input>, output: Output) -> Result<(Option<Resource<Input>>, Resource<Output>), Failure> {
        let table = &mut self.store.data_mut().table;
        let full = |error: wasmtime::component::ResourceTableError| Failure::new(FailureKind::Host, "bug", error.to_string());
        let input = input.map(|input| table.push(input)).transpose().map_err(full)?;
        Ok((input, table.push(output).map_err(full)?))
    }

    fn take_back(&mut self, input: Option<Resource<Input>>, output: Resource<Output>) -> Result<Output, Failure> {
        let table = &mut self.store.data_mut().table;
        let gone = |error: wasmtime::component::ResourceTableError| Failure::new(FailureKind::Host, "bug", error.to_string());
        if let Some(input) = input {
            table.delete(input).map_err(gone)?;
        }
        table.delete(output).map_err(gone)
    }

    fn meter(&mut self, budget: u64) {
        if self.store.data().metered
            && let Ok(left) = self.store.get_fuel()
        {
            let used = budget.saturating_sub(left);
            self.fuel_used += used;
            self.fuel_share = self.fuel_share.max(used as f64 / budget.max(1) as f64);
        }
    }
}
