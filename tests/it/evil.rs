//! Attacks: each function of `guests/evil` ends exactly as its line below says, and a neighbour in the same process does not notice.

mod ends;
mod grants;
mod http;
mod load;
mod sinks;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use etl_host::config::{Files, Text, parse};
use etl_host::error::Result;
use etl_host::json::write_lines;
use etl_host::plan::{Grants, Limits, Overrides, Plan};
use etl_host::report::RunReport;
use etl_host::run::{RunOptions, run};
use etl_host::sandbox::{Component, Failure, Instance, Options, Processed, Recipe, Sandbox, Scope};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Pipeline, answer, evil, program};

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());

/// One sandbox for attackers and neighbours alike.
static SANDBOX: LazyLock<(Sandbox, TempDir)> = LazyLock::new(|| {
    let cache = TempDir::new().unwrap();
    let options = Options { cache: Some(cache.path().to_owned()), ..Options::default() };
    (Sandbox::open(options, RUNTIME.handle().clone()).unwrap(), cache)
});

fn sandbox() -> &'static Sandbox {
    &SANDBOX.0
}

/// Runs a contract directory in this process.
fn run_here(pipeline: &Pipeline) -> Result<RunReport> {
    let text = |name: &str| pipeline.path(name).exists().then(|| Text { name: name.to_owned(), text: pipeline.read(name) });
    let files = Files {
        name: "here".into(),
        directory: ".".into(),
        extract: text("extract.yaml"),
        transform: text("transform.yaml"),
        load: text("load.yaml"),
        ..Files::default()
    };
    let parsed = parse(&files, &|_| None).unwrap();
    let plan = Plan::new(&parsed, &pipeline.path(""), &Overrides::default(), &|_| None).unwrap();
    run(&plan, &RunOptions::default(), sandbox(), &AtomicBool::new(false), &mut |_| {})
}

/// Three rows.
fn rows() -> RecordBatch {
    let columns: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        ("name", Arc::new(StringArray::from(vec![Some("a"), None, Some("c")]))),
        ("price", Arc::new(Float64Array::from(vec![1.5, 2.5, 3.5]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

/// Small enough that all attacks on time are over soon.
fn limits(function: &str) -> Limits {
    let limits = Limits { fuel_per_batch: 400_000_000, fuel_per_row: 0, timeout: Duration::from_secs(20), ..Limits::default() };
    match function {
        // Its lines are looked through for their ends.
        "stdout_flood" => Limits { fuel_per_batch: 4_000_000_000, ..limits },
        "sleep" => Limits { timeout: Duration::from_millis(300), ..limits },
        // Less fuel than lies between two looks at the clock, and more time than that: only a look at each call of the host ends it in time.
        "loop_random" => Limits { timeout: Duration::from_millis(300), fuel_per_batch: 9_000_000, ..limits },
        // Each turn is a call of the host, which takes longer than its fuel.
        "loop_host_calls" | "loop_read" | "loop_clock" | "schema_flood" | "derived_flood" => Limits { fuel_per_batch: 5_000_000, ..limits },
        _ => limits,
    }
}

/// How a function ends that was granted nothing, as a line: the phase and the failure, or what came out.
fn end(component: &Arc<Component>, function: &str, options: &str) -> String {
    end_granted(component, function, options, &Grants::default())
}

/// As [`end`], with grants.
fn end_granted(component: &Arc<Component>, function: &str, options: &str, grants: &Grants) -> String {
    let recipe = recipe(component, function, options, grants);
    let remembers = component.function(Some(function)).unwrap().state == Scope::Stream;
    life(&recipe, remembers).unwrap_or_else(|(phase, failures)| {
        let more = if failures.len() > 1 { format!(" and {} more", failures.len() - 1) } else { String::new() };
        let first = &failures[0];
        format!("{phase}: {}: {}{more}", cut(&first.code), cut(&first.full_message()))
    })
}

fn recipe(component: &Arc<Component>, function: &str, options: &str, grants: &Grants) -> Recipe {
    Recipe {
        component: component.clone(),
        function: function.into(),
        options: options.into(),
        limits: limits(function),
        access: sandbox().access(grants).unwrap(),
        stage: "evil".into(),
        now_ms: 1_700_000_000_000,
        seed: 7,
        handle: sandbox().handle().clone(),
    }
}

/// What a function counts on one batch.
fn counted(component: &Arc<Component>, function: &str, grants: &Grants) -> BTreeMap<String, u64> {
    let rows = rows();
    let mut instance = recipe(component, function, "{}", grants).open(&rows.schema(), None).unwrap();
    instance.process(&rows, lines(&instance, &rows), 0, 0).unwrap().counters
}

/// A text with its middle left out where it is very long.
fn cut(text: &str) -> String {
    if text.len() < 240 { text.to_owned() } else { format!("{}… ({} bytes)", &text[..20], text.len()) }
}

/// Configures, works on two batches, takes a snapshot, finishes, and goes back to the snapshot.
fn life(recipe: &Recipe, remembers: bool) -> Result<String, (&'static str, Vec<Failure>)> {
    let rows = rows();
    let mut instance = recipe.open(&rows.schema(), None).map_err(|failures| ("configure", failures))?;
    let in_phase = |phase| move |failure: Failure| (phase, vec![failure]);
    let mut said = String::from("ok");
    let mut counters = BTreeMap::<String, u64>::new();
    for sequence in 0..2 {
        let processed = instance.process(&rows, lines(&instance, &rows), sequence, 0).map_err(in_phase("process"))?;
        if sequence == 0 {
            said.push_str(&tell(&processed));
        }
        for (name, by) in processed.counters {
            let counter = counters.entry(name).or_default();
            *counter = counter.saturating_add(by);
        }
    }
    match counters.len() {
        many @ 4.. => said.push_str(&format!(", {many} counters")),
        _ => counters
            .iter()
            .for_each(|(name, count)| said.push_str(&format!(", {} {count}", if name.starts_with("random.") { "random" } else { name }))),
    }
    let snapshot = if remembers { instance.snapshot().map_err(in_phase("snapshot"))? } else { Vec::new() };
    instance.finish().map_err(in_phase("finish"))?;
    if remembers {
        let mut again = recipe.open(&rows.schema(), Some(&snapshot)).map_err(|failures| ("restore", failures))?;
        again.process(&rows, lines(&again, &rows), 2, 0).map_err(in_phase("process after restore"))?;
    }
    Ok(said)
}

fn lines(instance: &Instance, rows: &RecordBatch) -> Option<Vec<u8>> {
    instance.takes_lines().then(|| {
        let mut lines = Vec::new();
        write_lines(rows, &mut lines);
        lines
    })
}

fn tell(processed: &Processed) -> String {
    let Processed { emitted, rejected, filtered, expanded, later: _, counters: _ } = processed;
    let out: usize = emitted.iter().map(|(rows, _)| rows.count()).sum();
    let mut text = format!(", {out} rows");
    for (count, what) in [(*filtered, "filtered"), (*expanded, "expanded")] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    for row in rejected {
        let field = row.field.as_deref().unwrap_or_default();
        text.push_str(&format!(", row {} rejected with {} + {} + {} bytes", row.row, row.code.len(), row.message.len(), field.len()));
    }
    text
}

/// Runs a pipeline of the host's own operations again and again until it is told to stop; answers how often.
fn neighbour(stop: &AtomicBool) -> usize {
    let orders: String = (0..20_000).map(|row| format!("{row},{}.5\n", row % 100)).collect();
    let expected: String =
        (0..20_000).map(|row| format!("{{\"id\":{row},\"price\":{}.5,\"label\":\"order {row}\"}}\n", row % 100)).collect();
    let mut runs = 0;
    while !stop.load(Ordering::Relaxed) {
        let transform = "convert: {price: float}\nadd: {label: 'order ${id}'}\n";
        let pipeline = Pipeline::of(("orders.csv", &format!("id,price\n{orders}")), transform, "out.jsonl");
        let report = run_here(&pipeline).unwrap();
        assert_eq!((report.rows.read, report.rows.loaded, report.rows.crashed), (20_000, 20_000, 0));
        assert!(pipeline.read("out.jsonl") == expected, "the neighbour's rows are not what they should be");
        runs += 1;
    }
    runs
}

/// Does something beside a neighbour, which must not notice.
fn beside_a_neighbour(attack: impl FnOnce()) {
    static STOP: AtomicBool = AtomicBool::new(false);
    let neighbour = std::thread::spawn(|| neighbour(&STOP));
    let attacked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(attack));
    STOP.store(true, Ordering::Relaxed);
    let runs = neighbour.join().expect("the neighbour was disturbed");
    if let Err(panic) = attacked {
        std::panic::resume_unwind(panic);
    }
    assert!(runs > 2, "the neighbour ran {runs} times only");
}

/// Names of all functions, as `inspect` tells a user.
fn functions(path: &Path) -> Vec<String> {
    let done = answer(program().args(["inspect", "--json"]).arg(path));
    assert_eq!(done.code, 0, "{done:?}");
    let description: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    description["functions"].as_array().unwrap().iter().map(|function| function["name"].as_str().unwrap().to_owned()).collect()
}

/// Options of the functions that strike on a row; the name says how after a blank.
fn options(strike: Option<&str>) -> String {
    json!({ "column": "id", "value": 2, "do": strike.unwrap_or("reject") }).to_string()
}

/// Holds every function to its end, and the list of ends to the list of functions.
fn hold(component: &str, ends: &[(&str, &str)]) {
    let path = evil(component);
    let functions = functions(&path);
    let component = sandbox().load_file(&path).unwrap();
    let mut wrong = String::new();
    for function in &functions {
        if !ends.iter().any(|(name, _)| name.split(' ').next() == Some(function)) {
            wrong.push_str(&format!("    ({function:?}, {:?}),\n", end(&component, function, &options(None))));
        }
    }
    for (name, expected) in ends {
        let (function, strike) = name.split_once(' ').map_or((*name, None), |(function, strike)| (function, Some(strike)));
        if !functions.iter().any(|known| known == function) {
            wrong.push_str(&format!("    there is no attack `{function}`\n"));
            continue;
        }
        let found = end(&component, function, &options(strike));
        if found != *expected {
            wrong.push_str(&format!("    ({name:?}, {found:?}),\n"));
        }
    }
    assert!(wrong.is_empty(), "these ended otherwise:\n{wrong}");
}

#[test]
fn every_attack_ends_in_its_message_and_a_neighbour_is_undisturbed() {
    beside_a_neighbour(|| {
        hold("etl_evil", ends::COLUMNS);
        hold("evil_records", ends::RECORDS);
    });
}

#[test]
fn the_same_attack_ends_in_the_same_way_however_often_it_is_tried() {
    let component = sandbox().load_file(&evil("etl_evil")).unwrap();
    for function in ["read_random", "panic_process", "stderr_flood", "recurse", "emit_too_much"] {
        let first = end(&component, function, "{}");
        assert!((0..3).all(|_| end(&component, function, "{}") == first), "{function}");
    }
}
