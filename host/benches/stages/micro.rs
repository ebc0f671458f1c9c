//! Figures of single stages, all in this process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use etl_host::batch::{Batch, Origin, RowNumbers};
use etl_host::plan::Limits;
use etl_host::sandbox::{OPS, Options, Recipe, Sandbox};
use etl_host::source::read_lines;
use etl_host::stage::{ComponentStage, Policy, Stage};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::native::NativeStage;
use crate::pipeline::runtime;

/// Rows of a batch, as the host cuts them.
const ROWS: usize = 8192;

/// Batches that a contestant works on in its turn, and turns.
const BATCHES: u64 = 16;
const ROUNDS: usize = 101;

/// Instances opened one after the other.
const INSTANCES: usize = 2000;

/// What was measured, and the figure.
pub(crate) type Table = Vec<(String, String)>;

/// Measures everything.
pub(crate) fn table() -> Result<Table> {
    let runtime = runtime()?;
    let folder = tempfile::tempdir()?;
    let open = |metered| -> Result<Sandbox> {
        let cache = folder.path().join(if metered { "metered" } else { "unmetered" });
        let sandbox = || {
            Sandbox::open(Options { cache: Some(cache.clone()), compiler: None, metered, ..Options::default() }, runtime.handle().clone())
        };
        // The first compiles, the second finds what it kept.
        sandbox()?.load(OPS, "ops")?;
        Ok(sandbox()?)
    };
    let (metered, unmetered) = (open(true)?, open(false)?);
    let rows = orders()?;
    let mut table = Table::new();
    instances(&metered, &rows, &mut table)?;
    for (name, steps) in [("rename, drop, select, filter", moves()), ("convert 5", converts())] {
        stages(name, &steps, [&metered, &unmetered], runtime.handle(), &rows, &mut table)?;
    }
    Ok(table)
}

/// Renames, drops, selects and filters, and computes no value.
fn moves() -> Value {
    json!([
        {"rename": [["orderId", "order_id"], ["customerName", "customer_name"], ["createdAt", "created_at"]]},
        {"drop": ["notes"]},
        {"select": ["order_id", "customer_name", "email", "country", "quantity", "unitPrice", "isGift", "created_at"]},
        {"filter": {"field": "quantity", "operator": "gt", "value": 10}},
    ])
}

/// Converts five columns of text.
fn converts() -> Value {
    let fields = json!([["orderId", "int"], ["price", "float"], ["gift", "bool"], ["createdAt", "datetime"], ["day", "date"]]);
    json!([{"convert": {"fields": fields, "on_error": "reject"}}])
}

/// A batch that both chains take: every type that a CSV gives, and texts to convert.
fn orders() -> Result<RecordBatch> {
    let text = |value: &dyn Fn(usize) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values((0..ROWS).map(value))) };
    let instant = |row: usize| format!("2024-{:02}-{:02}T{:02}:{:02}:07Z", row % 12 + 1, row % 28 + 1, row % 24, row % 60);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("orderId", text(&|row| (row * 7919 % 1_000_000).to_string())),
        ("customerName", text(&|row| format!("First{} Last{}", row % 97, row % 89))),
        ("email", text(&|row| format!("user{}@example.com", row * 31 % 100_000))),
        ("country", text(&|row| ["DE", "FR", "US", "JP"][row % 4].into())),
        ("quantity", Arc::new(Int64Array::from_iter_values((0..ROWS).map(|row| (row * 37 % 100) as i64)))),
        ("unitPrice", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| row as f64 / 7.0)))),
        ("isGift", Arc::new(BooleanArray::from_iter((0..ROWS).map(|row| Some(row % 3 == 0))))),
        ("createdAt", text(&instant)),
        ("status", text(&|row| ["new", "paid", "shipped"][row % 3].into())),
        ("notes", text(&|row| format!("note {}", row % 11))),
        ("price", text(&|row| format!("{}.{:02}", row % 5000, row % 100))),
        ("gift", text(&|row| ["true", "false"][row % 2].into())),
        ("day", text(&|row| format!("2024-{:02}-{:02}", row % 12 + 1, row % 28 + 1))),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

/// The ten columns that a chain works on.
fn ten(rows: &RecordBatch, steps: &Value) -> Result<RecordBatch> {
    let names = match steps[0].get("convert") {
        None => ["orderId", "customerName", "email", "country", "quantity", "unitPrice", "isGift", "createdAt", "status", "notes"],
        Some(_) => ["orderId", "customerName", "email", "country", "quantity", "price", "gift", "createdAt", "day", "status"],
    };
    let columns = names.iter().map(|name| rows.schema_ref().index_of(name)).collect::<Result<Vec<_>, _>>()?;
    Ok(rows.project(&columns)?)
}

fn recipe(sandbox: &Sandbox, steps: &Value) -> Result<Recipe> {
    let component = sandbox.load(OPS, "ops")?;
    Ok(Recipe {
        function: component.function(None)?.name.clone(),
        component,
        options: options(steps).to_string(),
        limits: Limits::default(),
        access: Arc::default(),
        stage: Arc::from("ops"),
        now_ms: 0,
        seed: 0,
        handle: sandbox.handle().clone(),
    })
}

fn options(steps: &Value) -> Value {
    json!({"steps": steps, "env": []})
}

/// Opens and closes instances; of that, what is spent before the options are read, which a function that does not exist shows.
fn instances(sandbox: &Sandbox, rows: &RecordBatch, table: &mut Table) -> Result<()> {
    for (name, steps) in [("rename, drop, select, filter", moves()), ("convert 5", converts())] {
        let recipe = recipe(sandbox, &steps)?;
        let nowhere = Recipe { function: "nowhere".into(), ..recipe.clone() };
        let schema = ten(rows, &steps)?.schema();
        recipe.open(&schema, None).map_err(|failures| anyhow!("{failures:?}"))?;
        ensure!(nowhere.open(&schema, None).is_err(), "a function that does not exist opened");
        let (mut opened, mut closed, mut bare) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..INSTANCES {
            let clock = Instant::now();
            let instance = recipe.open(&schema, None);
            opened.push(micros(clock.elapsed()));
            drop(instance);
            closed.push(micros(clock.elapsed()));
            let clock = Instant::now();
            drop(nowhere.open(&schema, None));
            bare.push(micros(clock.elapsed()));
        }
        table.push((
            format!("fresh instance of `ops`, cached: {name}"),
            format!("{:.0} us (with closing it {:.0}, of which without its options {:.0})", median(opened), median(closed), median(bare)),
        ));
    }
    Ok(())
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// CPU time a row of one chain: sandboxed, sandboxed without fuel, native, in turns.
fn stages(
    name: &str,
    steps: &Value,
    [metered, unmetered]: [&Sandbox; 2],
    handle: &Handle,
    rows: &RecordBatch,
    table: &mut Table,
) -> Result<()> {
    let rows = ten(rows, steps)?;
    let schema = rows.schema();
    let sandboxed = |sandbox| -> Result<Box<dyn Stage>> {
        let recipe = Recipe { handle: handle.clone(), ..recipe(sandbox, steps)? };
        let scope = recipe.component.function(None)?.state;
        Ok(Box::new(ComponentStage::open(recipe, Policy::default(), scope, read_lines, &schema)?.0))
    };
    let native = NativeStage::open(&options(steps), &schema, 0)?;
    let mut contestants = [sandboxed(metered)?, sandboxed(unmetered)?, Box::new(native)];
    let mut figures: [Vec<f64>; 3] = Default::default();
    let mut left: [usize; 3] = [0; 3];
    for round in 0..=ROUNDS {
        for (index, stage) in contestants.iter_mut().enumerate() {
            let batch = |sequence| Batch {
                rows: rows.clone(),
                origin: Origin { source: Arc::from("orders"), rows: RowNumbers::From(1) },
                sequence,
            };
            let before = cpu();
            for sequence in 0..BATCHES {
                let output = std::hint::black_box(stage.process(batch(sequence))?);
                left[index] += output.batches.iter().map(|batch| batch.rows.num_rows()).sum::<usize>();
            }
            // The first round warms up.
            if round > 0 {
                figures[index].push((cpu() - before).as_nanos() as f64 / (BATCHES as usize * ROWS) as f64);
            }
        }
    }
    ensure!(left[0] > 0 && left.iter().all(|rows| *rows == left[0]), "the contestants do not do the same: {left:?}");
    let ratio = |left: usize, right: usize| median(figures[left].iter().zip(&figures[right]).map(|(left, right)| left / right).collect());
    let (to_native, to_unmetered) = (ratio(0, 2), ratio(0, 1));
    let [sandboxed, unmetered, native] = figures.map(median);
    table.push((format!("stage of {name}: sandboxed / native"), format!("{to_native:.2} x cpu ({sandboxed:.1} and {native:.1} ns a row)")));
    table.push((
        format!("stage of {name}: sandboxed / unmetered"),
        format!("{to_unmetered:.2} x cpu ({sandboxed:.1} and {unmetered:.1} ns a row)"),
    ));
    Ok(())
}

/// CPU time of this thread, on which calls into guests run too.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
