//! What a store holds, and what a guest's calls do to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::access::Access;
use super::bindings::{data, host, records_data, types};
use super::http::{self, Guest};
use super::ipc;
use super::limits::{Exceeded, Meter};
use super::output::{Emitted, Output, derive, keep_mask, op_bytes};
use super::wasi::{self, Dice, LastWords};
use crate::plan::Limits;

/// Bytes of a log line, and of all lines of a batch.
const LOG_LINE_BYTES: usize = 1 << 10;
const LOG_BATCH_BYTES: usize = 64 << 10;

/// What naming a schema costs at least, since the host decodes and checks it.
const SCHEMA_BYTES: usize = 4 << 10;

/// Handles that a guest may hold: each is some of the host's memory, which no meter of the guest's sees.
const MAX_HANDLES: usize = 1_000;

/// A batch as a guest sees it.
#[expect(unreachable_pub, reason = "the generated bindings name it as public")]
pub struct Input {
    pub(super) rows: RecordBatch,
    /// The same rows with the columns that they came with.
    pub(super) came: RecordBatch,
    pub(super) sequence: u64,
    pub(super) first_row: u32,
    /// The columns that `configure` asked for.
    pub(super) columns: Option<Arc<[usize]>>,
    /// The rows as JSON lines, for the records world.
    pub(super) lines: Option<Vec<u8>>,
    /// Bytes that the guest may still read: it may look at its batch several times, not for ever.
    pub(super) read_left: usize,
}

impl Input {
    fn charge(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.read_left =
            self.read_left.checked_sub(bytes.max(64)).ok_or_else(|| Exceeded::Contract("read its batch over and over".into()))?;
        Ok(())
    }
}

/// What a store holds.
pub(super) struct State {
    wasi: WasiCtx,
    http_context: WasiHttpCtx,
    pub(super) http: Guest,
    pub(super) table: ResourceTable,
    pub(super) meter: Meter,
    pub(super) last_words: LastWords,
    pub(super) dice: Dice,
    pub(super) counters: BTreeMap<String, u64>,
    /// Names that `counters` may have.
    max_counters: usize,
    /// Bytes that the log may still take in this batch.
    pub(super) log_left: usize,
    pub(super) now_ms: i64,
    pub(super) seed: u64,
    /// Whether fuel is counted.
    pub(super) metered: bool,
    stage: Arc<str>,
    /// When the call that is under way began, and how long it may take.
    deadline: (Instant, Duration),
}

impl State {
    pub(super) fn new(stage: Arc<str>, access: &Access, limits: &Limits, now_ms: i64, seed: u64) -> Self {
        let last_words = LastWords::default();
        let dice = Dice::default();
        dice.seed(seed);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        Self {
            wasi: wasi::context(access, now_ms, &dice, &last_words),
            http_context: http::context(),
            http: Guest::new(stage.clone(), access.http.clone()),
            table,
            meter: Meter::new(limits),
            last_words,
            dice,
            counters: BTreeMap::new(),
            max_counters: limits.counters,
            log_left: LOG_BATCH_BYTES,
            now_ms,
            seed,
            metered: true,
            stage,
            deadline: (Instant::now(), Duration::ZERO),
        }
    }

    /// Notes that a call into the guest begins, which may take so long.
    pub(super) fn start_call(&mut self, timeout: Duration) {
        self.deadline = (Instant::now(), timeout);
        self.http.start_call(timeout);
    }

    /// Holds a guest that calls the host to its time.
    pub(super) fn check_time(&self) -> Result<(), Exceeded> {
        let (started, timeout) = self.deadline;
        if started.elapsed() > timeout { Err(Exceeded::Time(timeout)) } else { Ok(()) }
    }

    /// Makes ready for the next batch.
    pub(super) fn start_batch(&mut self, sequence: u64, first_row: u32) {
        self.log_left = LOG_BATCH_BYTES;
        // What was counted in a call that failed, or while configuring, does not count: how often those are made is the host's affair.
        self.counters.clear();
        self.dice.seed(self.seed ^ sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(first_row).rotate_left(32));
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http_context, table: &mut self.table, hooks: &mut self.http }
    }
}

/// Marks [`State`] as what the linker's functions work on.
pub(super) struct HasState;

impl HasData for HasState {
    type Data<'a> = &'a mut State;
}

impl types::Host for State {}

impl host::Host for State {
    fn log(&mut self, level: host::Level, message: String) -> wasmtime::Result<()> {
        let message = clip(message, LOG_LINE_BYTES);
        if message.len() > self.log_left {
            *self.counters.entry("log_bytes_dropped".into()).or_default() += message.len() as u64;
            return Ok(());
        }
        self.log_left -= message.len();
        let stage = &*self.stage;
        match level {
            host::Level::Debug => tracing::debug!(target: "guest", stage, "{message}"),
            host::Level::Info => tracing::info!(target: "guest", stage, "{message}"),
            host::Level::Warn => tracing::warn!(target: "guest", stage, "{message}"),
            host::Level::Error => tracing::error!(target: "guest", stage, "{message}"),
        }
        Ok(())
    }

    fn count(&mut self, name: String, by: u64) -> wasmtime::Result<()> {
        let mut name = clip(name, ipc::MAX_NAME);
        if name.starts_with("http.") {
            // Those are the host's own.
            name.insert_str(0, "guest.");
        }
        if self.counters.len() >= self.max_counters && !self.counters.contains_key(&name) {
            *self.counters.entry("counters_dropped".into()).or_default() += 1;
            return Ok(());
        }
        let counter = self.counters.entry(name).or_default();
        *counter = counter.saturating_add(by);
        Ok(())
    }

    fn now_ms(&mut self) -> wasmtime::Result<i64> {
        Ok(self.now_ms)
    }

    fn seed(&mut self) -> wasmtime::Result<u64> {
        Ok(self.seed)
    }
}

impl data::Host for State {}
impl records_data::Host for State {}

impl data::HostBatch for State {
    fn num_rows(&mut self, this: Resource<Input>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&this)?.rows.num_rows() as u32)
    }

    fn sequence(&mut self, this: Resource<Input>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&this)?.sequence)
    }

    fn first_row(&mut self, this: Resource<Input>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&this)?.first_row)
    }

    fn read(&mut self, this: Resource<Input>, columns: Option<Vec<u32>>) -> wasmtime::Result<Result<Vec<u8>, types::StageError>> {
        let input = self.table.get_mut(&this)?;
        let all = input.rows.num_columns();
        let rows = match (columns, &input.columns) {
            (None, None) => Ok(input.rows.clone()),
            (None, Some(columns)) => input.rows.project(columns),
            (Some(columns), _) => input.rows.project(&ipc::column_indexes(&columns, all)?),
        };
        let rows = rows.map_err(|error| wasmtime::Error::msg(error.to_string()))?;
        let message = ipc::batch_message(&rows).map_err(|error| wasmtime::Error::msg(error.one_line()))?;
        input.charge(message.len())?;
        Ok(Ok(message))
    }

    fn drop(&mut self, _this: Resource<Input>) -> wasmtime::Result<()> {
        // The host owns batches and lends them; there is nothing of the guest's to drop.
        Ok(())
    }
}

impl data::HostOutput for State {
    fn schema(&mut self, this: Resource<Output>, schema: Vec<u8>) -> wasmtime::Result<Result<(), types::StageError>> {
        let output = self.table.get_mut(&this)?;
        output.charge(schema.len() + SCHEMA_BYTES)?;
        output.schema = Some(ipc::read_schema(&schema)?);
        Ok(Ok(()))
    }

    fn emit(
        &mut self,
        this: Resource<Output>,
        rows: Vec<u8>,
        origins: Option<Vec<u32>>,
    ) -> wasmtime::Result<Result<(), types::StageError>> {
        let output = self.table.get_mut(&this)?;
        output.charge(rows.len())?;
        let schema = output.schema.clone().ok_or_else(|| Exceeded::Contract("emitted rows before it named their schema".into()))?;
        let rows = ipc::read_batch(rows, &schema)?;
        // A column of nulls has no bytes: a row costs one at least.
        output.charge(rows.num_rows())?;
        output.check_origins(origins.as_deref(), rows.num_rows())?;
        output.emitted.push(Emitted::Rows { rows, origins });
        Ok(Ok(()))
    }

    fn emit_derived(
        &mut self,
        this: Resource<Output>,
        base: Resource<Input>,
        keep: Option<Vec<u8>>,
        columns: Vec<data::ColumnOp>,
        computed: Option<Vec<u8>>,
    ) -> wasmtime::Result<Result<(), types::StageError>> {
        let Input { rows: base, came, .. } = self.table.get(&base)?;
        let (base, came) = (base.clone(), came.clone());
        let passes = computed.is_none()
            && columns.len() == base.num_columns()
            && columns.iter().enumerate().all(|(place, op)| matches!(op, data::ColumnOp::Keep(index) if *index as usize == place));
        let output = self.table.get_mut(&this)?;
        let names: usize = columns.iter().map(op_bytes).sum();
        output.charge(computed.as_ref().map_or(0, Vec::len) + names + base.num_rows())?;
        let keep = keep.map(|bits| keep_mask(bits, base.num_rows())).transpose()?;
        // What is passed on as it is needs no other columns than it came with.
        let rows = if passes { came } else { derive(&base, &columns, computed, output.schema.as_ref())? };
        // Passing the input on once is free. What repeats it moves no byte here, and all of them on the way.
        let free = if output.emitted.is_empty() { ipc::held_bytes(&base) } else { 0 };
        output.charge(ipc::held_bytes(&rows).saturating_sub(free))?;
        output.emitted.push(Emitted::Derived { rows, keep });
        Ok(Ok(()))
    }

    fn reject(&mut self, this: Resource<Output>, rows: Vec<types::Rejection>) -> wasmtime::Result<Result<(), types::StageError>> {
        self.table.get_mut(&this)?.reject(rows)?;
        Ok(Ok(()))
    }

    fn drop(&mut self, _this: Resource<Output>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl records_data::HostBatch for State {
    fn num_rows(&mut self, this: Resource<Input>) -> wasmtime::Result<u32> {
        data::HostBatch::num_rows(self, this)
    }

    fn sequence(&mut self, this: Resource<Input>) -> wasmtime::Result<u64> {
        data::HostBatch::sequence(self, this)
    }

    fn first_row(&mut self, this: Resource<Input>) -> wasmtime::Result<u32> {
        data::HostBatch::first_row(self, this)
    }

    fn read(&mut self, this: Resource<Input>) -> wasmtime::Result<Result<Vec<u8>, types::StageError>> {
        let input = self.table.get_mut(&this)?;
        let lines = input.lines.clone().unwrap_or_default();
        input.charge(lines.len())?;
        Ok(Ok(lines))
    }

    fn drop(&mut self, _this: Resource<Input>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl records_data::HostOutput for State {
    fn emit(
        &mut self,
        this: Resource<Output>,
        rows: Vec<u8>,
        origins: Option<Vec<u32>>,
    ) -> wasmtime::Result<Result<(), types::StageError>> {
        let output = self.table.get_mut(&this)?;
        output.charge(rows.len())?;
        if rows.last().is_some_and(|&byte| byte != b'\n') {
            return Err(Exceeded::Contract("emitted JSON lines whose last line has no end".into()).into());
        }
        let count = rows.iter().filter(|&&byte| byte == b'\n').count();
        output.check_origins(origins.as_deref(), count)?;
        output.emitted.push(Emitted::Lines { lines: rows, origins });
        Ok(Ok(()))
    }

    fn reject(&mut self, this: Resource<Output>, rows: Vec<types::Rejection>) -> wasmtime::Result<Result<(), types::StageError>> {
        self.table.get_mut(&this)?.reject(rows)?;
        Ok(Ok(()))
    }

    fn drop(&mut self, _this: Resource<Output>) -> wasmtime::Result<()> {
        Ok(())
    }
}

/// Cuts a guest's text at a character's end; line ends and escape sequences, which could draw on a terminal, become blanks.
pub(super) fn clip(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let mut end = bytes;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    if text.contains(char::is_control) {
        text = text.replace(char::is_control, " ");
    }
    text
}
