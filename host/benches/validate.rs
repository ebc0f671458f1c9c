//! Measures what rules cost, one by one and together: CPU nanoseconds a row, one thread, in the sandbox, 1 M rows of ten columns made in memory.
//!
//! `cargo bench --bench validate`; with `--write FILE` it writes the rows as Parquet instead, for `validate.py` to hold other tools to the same rules.
#![expect(clippy::print_stdout, reason = "a measurement prints its result")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray};
use etl_host::batch::{Batch, Origin, RowNumbers};
use etl_host::plan::Limits;
use etl_host::sandbox::{Options, Recipe, Sandbox, VALIDATE};
use etl_host::source::read_lines;
use etl_host::stage::{ComponentStage, Policy, Stage};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// The program's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: usize = 1_000_000;
const BATCH: usize = 8192;

/// Times that each set of rules is judged; the median counts.
const ROUNDS: usize = 5;

/// Orders: one row in a hundred breaks each rule.
fn rows(first: usize) -> RecordBatch {
    let range = first..ROWS.min(first + BATCH);
    let texts = |make: &dyn Fn(usize) -> String| -> ArrayRef { Arc::new(range.clone().map(|n| Some(make(n))).collect::<StringArray>()) };
    let bad = |n: usize, rule: usize| n * 7919 % 100 == rule;
    let skus = texts(&|n| if bad(n, 7) { "none".into() } else { format!("SKU-{:04}", n % 10_000) });
    let pieces: ArrayRef = Arc::new(Int64Array::from_iter_values(range.clone().map(|n| n as i64 % 9 + 1)));
    let item = StructArray::try_from(vec![("sku", skus), ("pieces", pieces)]).expect("the columns have one length");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(range.clone().map(|n| if bad(n, 1) { n as i64 - 1 } else { n as i64 })))),
        ("customer", Arc::new(range.clone().map(|n| (!bad(n, 2)).then(|| format!("C{:07}", n % 100_000))).collect::<StringArray>())),
        ("email", texts(&|n| if bad(n, 3) { "nobody".into() } else { format!("user{}@example.com", n * 31 % 100_000) })),
        ("country", texts(&|n| if bad(n, 4) { "XX" } else { ["DE", "FR", "US", "JP", "BR"][n % 5] }.to_owned())),
        ("quantity", Arc::new(Int64Array::from_iter_values(range.clone().map(|n| if bad(n, 5) { -1 } else { n as i64 % 50 + 1 })))),
        ("price", Arc::new(Float64Array::from_iter_values(range.clone().map(|n| (n * 7919 % 1_000_000) as f64 / 100.0)))),
        (
            "total",
            Arc::new(Float64Array::from_iter_values(range.clone().map(|n| {
                let quantity = if bad(n, 5) { -1.0 } else { (n % 50 + 1) as f64 };
                quantity * ((n * 7919 % 1_000_000) as f64 / 100.0) + f64::from(u8::from(bad(n, 6)))
            }))),
        ),
        ("paid", Arc::new(BooleanArray::from_iter(range.clone().map(|n| Some(n % 3 == 0))))),
        (
            "ordered_at",
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(range.clone().map(|n| 1_700_000_000_000_000 + n as i64 * 7_000_000))
                    .with_timezone("UTC"),
            ),
        ),
        ("item", Arc::new(item)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .expect("the columns have one length")
}

/// Rules by name, as the guest gets them.
fn rules() -> Vec<(&'static str, Value)> {
    let rule = |name: &str, column: Option<&str>, test: Value| json!({"name": name, "column": column, "test": test, "on_error": "warn", "message": null});
    let of = |column: &str, name: &str, test: Value| rule(&format!("{column}.{name}"), Some(column), test);
    let schema = json!({"properties": {"item": {"type": "object", "required": ["sku", "pieces"],
        "properties": {"sku": {"type": "string", "pattern": "^SKU-[0-9]{4}$"}, "pieces": {"type": "integer", "minimum": 1}}}}});
    vec![
        ("required", of("customer", "required", json!("required"))),
        ("type", of("email", "type", json!({"type": "string"}))),
        ("range", of("quantity", "min", json!({"min": {"limit": {"number": 0}}}))),
        ("length", of("customer", "max_length", json!({"max_length": 8}))),
        ("pattern", of("email", "pattern", json!({"pattern": "^[^@ ]+@[^@ ]+\\.[a-z]{2,}$"}))),
        ("format", of("email", "format", json!({"format": "email"}))),
        ("enum", of("country", "enum", json!({"one_of": ["DE", "FR", "US", "JP", "BR"]}))),
        ("unique", rule("unique(id)", Some("id"), json!({"unique": ["id"]}))),
        ("expression", rule("total", None, json!({"expression": "$abs(quantity * price - total) < 0.01"}))),
        ("json schema", rule("schema", None, json!({"schema": {"schema": schema, "columns": ["item"]}}))),
    ]
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let batches: Vec<RecordBatch> = (0..ROWS).step_by(BATCH).map(rows).collect();
    if let Some("--write") = arguments.next().as_deref() {
        let path = arguments.next().ok_or_else(|| anyhow!("name a file"))?;
        let mut writer = parquet::arrow::ArrowWriter::try_new(std::fs::File::create(path)?, batches[0].schema(), None)?;
        batches.iter().try_for_each(|batch| writer.write(batch))?;
        writer.close()?;
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let sandbox = Sandbox::open(Options { cache: None, compiler: None, ..Options::default() }, runtime.handle().clone())?;
    let component = sandbox.load(VALIDATE, "validate")?;
    let rules = rules();
    let all: Vec<Value> = rules.iter().map(|(_, rule)| rule.clone()).collect();
    let sets = std::iter::once(("no rule", Vec::new()))
        .chain(rules.iter().map(|(name, rule)| (*name, vec![rule.clone()])))
        .chain(std::iter::once(("all", all)));
    println!("{:<14} {:>11} {:>12} {:>14} {:>8}", "rules", "cpu ns/row", "wall ns/row", "rows/s (wall)", "broken");
    for (name, rules) in sets {
        let mut figures: Vec<(Duration, Duration)> = Vec::new();
        let mut broken = 0;
        for _ in 0..ROUNDS {
            let unique = rules.iter().any(|rule| rule["test"].get("unique").is_some());
            let recipe = Recipe {
                function: if unique { "unique" } else { "rules" }.into(),
                component: component.clone(),
                options: json!({"rules": rules, "key_bytes": 150 << 20}).to_string(),
                limits: Limits { memory_bytes: 512 << 20, fuel_per_row: 10_000_000, ..Limits::default() },
                access: Arc::default(),
                stage: Arc::from("validate"),
                now_ms: 0,
                seed: 0,
                handle: runtime.handle().clone(),
            };
            let scope = component.function(Some(&recipe.function))?.state;
            let mut stage = ComponentStage::open(recipe, Policy::default(), scope, read_lines, &batches[0].schema())?.0;
            let (clock, before) = (Instant::now(), cpu());
            for (sequence, rows) in batches.iter().enumerate() {
                let origin = Origin { source: Arc::from("orders"), rows: RowNumbers::From((sequence * BATCH) as u64 + 1) };
                std::hint::black_box(stage.process(Batch { rows: rows.clone(), origin, sequence: sequence as u64 })?);
            }
            figures.push((cpu() - before, clock.elapsed()));
            broken = stage.usage().counters.get("rows_broken").copied().unwrap_or_default();
        }
        figures.sort();
        let (cpu, wall) = figures[ROUNDS / 2];
        let each = |time: Duration| time.as_nanos() as f64 / ROWS as f64;
        println!("{name:<14} {:>11.1} {:>12.1} {:>14.0} {broken:>8}", each(cpu), each(wall), 1e9 / each(wall));
    }
    Ok(())
}

/// CPU time of this thread, on which calls into guests run too.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
