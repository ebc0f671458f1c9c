//! What the shape of the contract costs: three components that do the same work, see `guests/shapes`.
//!
//! ```sh
//! RUSTFLAGS="-C target-feature=+simd128" cargo build --profile guest --target wasm32-wasip2 -p etl-shapes --examples
//! cargo bench --bench shapes -- target/wasm32-wasip2/guest/examples
//! ```
//!
//! Each figure has all that a host must do for a batch: encode, call, check in full what comes back.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use etl_host::plan::Limits;
use etl_host::sandbox::{Instance, Options, Recipe, Rows, Sandbox};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

mod plain {
    wasmtime::component::bindgen!({ path: "../guests/shapes/wit", world: "shape-plain" });
}

mod raw {
    wasmtime::component::bindgen!({ path: "../guests/shapes/wit", world: "shape-raw" });
}

use raw::exports::etl::shapes::raw::{Column, Kind};

/// The program's allocator, so that the host's part costs what it costs there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 3] = [8192, 1024, 64];

/// Rows that a contestant works on in its turn, and turns.
const ROWS_A_TURN: usize = 4 * 8192;
const TURNS: usize = 60;

/// Fuel that no call of these can use up.
const FUEL: u64 = u64::MAX / 2;

/// Columns that the work reads, and those that it makes.
const READ: [&str; 4] = ["name", "city", "quantity", "price"];

#[expect(clippy::print_stdout, reason = "a benchmark tells its figures")]
fn main() -> Result<()> {
    // `cargo bench` adds `--bench`.
    let folder = std::env::args()
        .skip(1)
        .find(|arg| arg != "--bench")
        .context("name the folder with the components, see guests/shapes/README.md")?;
    let folder = Path::new(&folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let sandbox = Sandbox::open(Options::default(), runtime.handle().clone())?;
    let engine = Engine::new(Config::new().consume_fuel(true).cranelift_nan_canonicalization(true))?;
    let schema = batch(1)?.schema();
    let mut contestants: Vec<(&str, Box<dyn Contestant>)> = vec![
        ("plain", Box::new(Plain::open(&engine, &folder.join("shape_plain.wasm"))?)),
        (
            "derived",
            Box::new(Derived(
                recipe(&sandbox, &folder.join("shape_derived.wasm"))?.open(&schema, None).map_err(|problems| anyhow!("{problems:?}"))?,
            )),
        ),
        ("raw", Box::new(Raw::open(&engine, &folder.join("shape_raw.wasm"))?)),
        ("native", Box::new(Native)),
    ];
    let mut best = vec![[Duration::MAX; SIZES.len()]; contestants.len()];
    let mut fuel = vec![0; contestants.len()];
    for (size_index, size) in SIZES.into_iter().enumerate() {
        let batch = batch(size)?;
        let wanted = Native.pass(&batch)?.0;
        for _ in 0..TURNS {
            for (index, (name, contestant)) in contestants.iter_mut().enumerate() {
                let clock = Instant::now();
                for _ in 0..ROWS_A_TURN / size {
                    let (made, used) = contestant.pass(&batch)?;
                    ensure!(made.num_columns() == wanted.num_columns(), "`{name}` does something else");
                    if size_index == 0 {
                        fuel[index] = used;
                    }
                }
                best[index][size_index] = best[index][size_index].min(clock.elapsed());
            }
        }
        for (name, contestant) in &mut contestants {
            ensure!(contestant.pass(&batch)?.0.columns() == wanted.columns(), "`{name}` does something else");
        }
    }
    println!("| shape | {} | fuel a row at {} |", SIZES.map(|size| format!("{size} rows")).join(" | "), SIZES[0]);
    for (index, (name, _)) in contestants.iter().enumerate() {
        let figures = best[index].map(|time| format!("{:.0} ns a row", time.as_secs_f64() * 1e9 / ROWS_A_TURN as f64));
        println!("| {name} | {} | {} |", figures.join(" | "), fuel[index] / SIZES[0] as u64);
    }
    Ok(())
}

/// Ten columns of text.
fn batch(rows: usize) -> Result<RecordBatch> {
    let text = |value: &dyn Fn(usize) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values((0..rows).map(value))) };
    Ok(RecordBatch::try_from_iter([
        ("id", text(&|row| format!("{:06}", row * 7919 % 1_000_000))),
        ("name", text(&|row| format!("First{} Last{}", row % 97, row % 89))),
        ("email", text(&|row| format!("user{}@example.com", row * 31 % 100_000))),
        ("street", text(&|row| format!("{} Long Street", row % 311))),
        ("city", text(&|row| ["Berlin", "Paris", "New York", "Tokyo"][row % 4].into())),
        ("country", text(&|row| ["DE", "FR", "US", "JP"][row % 4].into())),
        ("quantity", text(&|row| (row % 100).to_string())),
        ("price", text(&|row| format!("{}.{:02}", row % 5000, row % 100))),
        ("created", text(&|row| format!("2024-{:02}-{:02}", row % 12 + 1, row % 28 + 1))),
        ("notes", text(&|row| format!("note {}", row % 11))),
    ])?)
}

/// One shape: a batch in, the batch with the work done and the fuel used out.
trait Contestant {
    fn pass(&mut self, batch: &RecordBatch) -> Result<(RecordBatch, u64)>;
}

/// The work without a sandbox.
struct Native;

impl Contestant for Native {
    fn pass(&mut self, batch: &RecordBatch) -> Result<(RecordBatch, u64)> {
        let text = |name| batch.column_by_name(name).expect("the batch has what the work reads").as_string::<i32>();
        let [name, city, quantity, price] = READ.map(text);
        let (quantity, price, label) = etl_shapes::work(name, city, quantity, price);
        Ok((merge(batch, quantity, price, label)?, 0))
    }
}

/// Puts what was made beside what stays.
fn merge(batch: &RecordBatch, quantity: Int64Array, price: Float64Array, label: StringArray) -> Result<RecordBatch> {
    let (quantity, price): (ArrayRef, ArrayRef) = (Arc::new(quantity), Arc::new(price));
    let columns = batch.schema_ref().fields().iter().zip(batch.columns()).map(|(field, column)| match field.name().as_str() {
        "name" => ("customer", column.clone()),
        "quantity" => ("quantity", quantity.clone()),
        "price" => ("price", price.clone()),
        name => (name, column.clone()),
    });
    let label: ArrayRef = Arc::new(label);
    Ok(RecordBatch::try_from_iter(columns.chain([("label", label)]))?)
}

/// The contract, through the host's own sandbox.
struct Derived(Instance);

fn recipe(sandbox: &Sandbox, file: &Path) -> Result<Recipe> {
    let component = sandbox.load_file(file)?;
    Ok(Recipe {
        function: component.function(None)?.name.clone(),
        component,
        options: "{}".into(),
        limits: Limits::default(),
        access: Arc::default(),
        stage: Arc::from("derived"),
        now_ms: 0,
        seed: 0,
        handle: sandbox.handle().clone(),
    })
}

impl Contestant for Derived {
    fn pass(&mut self, batch: &RecordBatch) -> Result<(RecordBatch, u64)> {
        let processed = self.0.process(batch, None, 0, 0).map_err(|failure| anyhow!("{failure:?}"))?;
        match processed.emitted.into_iter().next() {
            Some((Rows::Batch(rows), _)) => Ok((rows, self.0.used().fuel)),
            other => Err(anyhow!("no columns came: {other:?}")),
        }
    }
}

/// What a component of the other shapes runs in.
struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

fn load(engine: &Engine, file: &Path) -> Result<(Store<State>, Component, Linker<State>)> {
    let component = Component::from_file(engine, file)?;
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    let mut store = Store::new(engine, State { wasi: WasiCtx::builder().build(), table: ResourceTable::new() });
    store.set_fuel(FUEL)?;
    Ok((store, component, linker))
}

fn fuel_used(store: &mut Store<State>) -> Result<u64> {
    let used = FUEL - store.get_fuel()?;
    store.set_fuel(FUEL)?;
    Ok(used)
}

/// Whole Arrow IPC stream in and out.
struct Plain(Store<State>, plain::ShapePlain);

impl Plain {
    fn open(engine: &Engine, file: &Path) -> Result<Self> {
        let (mut store, component, linker) = load(engine, file)?;
        let guest = plain::ShapePlain::instantiate(&mut store, &component, &linker)?;
        Ok(Self(store, guest))
    }
}

impl Contestant for Plain {
    fn pass(&mut self, batch: &RecordBatch) -> Result<(RecordBatch, u64)> {
        let Self(store, guest) = self;
        let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref())?;
        writer.write(batch)?;
        let made = guest.etl_shapes_plain().call_transform(&mut *store, &writer.into_inner()?)?;
        let made = StreamReader::try_new(&made[..], None)?.next().context("no batch came")??;
        Ok((made, fuel_used(store)?))
    }
}

/// Buffers of the touched columns in and out.
struct Raw(Store<State>, raw::ShapeRaw);

impl Raw {
    fn open(engine: &Engine, file: &Path) -> Result<Self> {
        let (mut store, component, linker) = load(engine, file)?;
        let guest = raw::ShapeRaw::instantiate(&mut store, &component, &linker)?;
        Ok(Self(store, guest))
    }
}

impl Contestant for Raw {
    fn pass(&mut self, batch: &RecordBatch) -> Result<(RecordBatch, u64)> {
        let Self(store, guest) = self;
        let rows = batch.num_rows();
        let column = |name| {
            let array = batch.column_by_name(name).expect("the batch has what the work reads").as_string::<i32>();
            let offsets = array.offsets().inner().inner().as_slice().to_vec();
            Column {
                kind: Kind::Text,
                values: array.value_data().to_vec(),
                offsets,
                validity: array.nulls().map_or_else(Vec::new, |nulls| nulls.validity().to_vec()),
            }
        };
        let made = guest.etl_shapes_raw().call_transform(&mut *store, rows as u32, &READ.map(column))?;
        let [quantity, price, label]: [Column; 3] = made.try_into().map_err(|_| anyhow!("not three columns came"))?;
        let nulls = |validity: Vec<u8>| -> Result<Option<NullBuffer>> {
            ensure!(validity.is_empty() || validity.len() == rows.div_ceil(8), "a validity of another length came");
            Ok((!validity.is_empty()).then(|| NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(validity), 0, rows))))
        };
        ensure!(
            quantity.values.len() == 8 * rows && price.values.len() == 8 * rows && label.offsets.len() == 4 * (rows + 1),
            "columns of another length came"
        );
        let quantity = Int64Array::try_new(Buffer::from_vec(quantity.values).into(), nulls(quantity.validity)?)?;
        let price = Float64Array::try_new(Buffer::from_vec(price.values).into(), nulls(price.validity)?)?;
        let offsets = OffsetBuffer::new(Buffer::from_vec(label.offsets).into());
        let label = StringArray::try_new(offsets, Buffer::from_vec(label.values), nulls(label.validity)?)?;
        Ok((merge(batch, quantity, price, label)?, fuel_used(store)?))
    }
}
