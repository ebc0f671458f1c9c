//! In the sandbox: an instance that goes on from the snapshot of another gives the same rows, byte by byte.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use etl_host::json::write_lines;
use etl_host::plan::{Grants, Limits};
use etl_host::sandbox::{AGGREGATE, Instance, Options, Processed, Recipe, Rows, Sandbox};
use serde_json::{Value, json};

/// Rows drawn from a number, every tenth of them out of order.
fn drawn(rows: i64) -> RecordBatch {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut draw = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % below) as i64
    };
    let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in 0..rows {
        columns.0.push((draw(20) > 0).then(|| draw(50)));
        columns.1.push((draw(50) > 0).then(|| row * 1000 - if draw(10) == 0 { draw(90_000) } else { 0 }));
        columns.2.push((draw(9) > 0).then(|| draw(100_000) as f64 / 7.0));
        columns.3.push((draw(9) > 0).then(|| format!("text {}", draw(300))));
    }
    let columns: [(&str, ArrayRef); 4] = [
        ("k", Arc::new(Int64Array::from(columns.0))),
        ("ts", Arc::new(TimestampMicrosecondArray::from(columns.1).with_timezone("UTC"))),
        ("price", Arc::new(Float64Array::from(columns.2))),
        ("note", Arc::new(StringArray::from(columns.3))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

/// Adds what came out to the lines of what came before.
fn tell(processed: Processed, lines: &mut Vec<u8>) {
    for (rows, _) in processed.emitted {
        let Rows::Batch(rows) = rows else { panic!("it is of the columnar world") };
        write_lines(&rows, lines);
    }
    processed.rejected.iter().for_each(|row| lines.extend(format!("{} {}\n", row.row, row.message).bytes()));
}

#[test]
fn a_fresh_instance_from_a_snapshot_after_every_batch_gives_the_same_rows() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let sandbox = Sandbox::open(Options::default(), runtime.handle().clone()).unwrap();
    let component = sandbox.load(AGGREGATE, "the built-in `aggregate`").unwrap();
    let metrics = json!([{"name": "rows", "measure": "rows"}, {"name": "s", "measure": {"sum": "price"}}, {"name": "n", "measure": {"max": "note"}},
        {"name": "l", "measure": {"last": {"column": "note", "skip_nulls": false}}}, {"name": "d", "measure": {"count_distinct": "note"}},
        {"name": "q", "measure": {"quantile": {"column": "price", "q": 0.9}}}, {"name": "v", "measure": {"vwap": {"price": "price", "size": "k"}}}]);
    let order = json!([{"column": "price", "order": "desc"}, {"column": "note"}]);
    let functions: [(&str, Value); 5] = [
        ("aggregate", json!({"group_by": ["k"], "metrics": metrics, "memory_bytes": 64 << 20})),
        (
            "window",
            json!({"time": "ts", "size": "100ms", "lateness": "20ms", "offset": "0s", "group_by": ["k"], "metrics": metrics, "memory_bytes": 64 << 20}),
        ),
        ("dedupe", json!({"key": ["k", "note"], "keep": "first", "order_by": [], "memory_bytes": 64 << 20})),
        ("dedupe_held", json!({"key": ["k"], "keep": "last", "order_by": order, "memory_bytes": 64 << 20})),
        ("sort", json!({"by": order, "memory_bytes": 64 << 20})),
    ];
    let rows = drawn(4000);
    let schema = rows.schema();
    for (function, options) in functions {
        let recipe = Recipe {
            component: component.clone(),
            function: function.into(),
            options: options.to_string(),
            limits: Limits::default(),
            access: sandbox.access(&Grants::default()).expect("nothing is granted"),
            stage: function.into(),
            now_ms: 0,
            seed: 7,
            handle: sandbox.handle().clone(),
        };
        let run = |after: &dyn Fn(Instance) -> Instance| {
            let mut lines = Vec::new();
            let mut instance = recipe.open(&schema, None).unwrap();
            for (sequence, start) in (0..rows.num_rows()).step_by(250).enumerate() {
                tell(instance.process(&rows.slice(start, 250), None, sequence as u64, 0).unwrap(), &mut lines);
                instance = after(instance);
            }
            tell(instance.finish().unwrap(), &mut lines);
            String::from_utf8(lines).unwrap()
        };
        let whole = run(&|instance| instance);
        let parts = run(&|mut instance| {
            let state = instance.snapshot().unwrap();
            recipe.open(&schema, Some(&state)).unwrap()
        });
        assert!(whole.lines().count() > 40, "{function} came to {whole}");
        assert!(whole == parts, "{function} differs after a snapshot");
        let failures = recipe.open(&schema, Some(b"no snapshot")).err().unwrap();
        assert_eq!(failures[0].message, "the snapshot does not read: it is not one of this component's", "{function}");
    }
}
