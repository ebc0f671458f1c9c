use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use etl_sdk::{Columns, testing};
use serde_json::{Value, json};

use super::{column, configure, cut, rows, run};
use crate::{Aggregate, Dedupe, DedupeHeld, Sort, Window};

/// Rows drawn from a number, with nulls.
fn drawn(count: usize) -> RecordBatch {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut draw = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut lists = ListBuilder::new(StringBuilder::new());
    let (mut keys, mut times, mut prices, mut texts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in 0..count {
        keys.push((draw(20) > 0).then(|| draw(40) as i64));
        times.push((draw(50) > 0).then(|| row as i64 * 1000 + draw(20_000) as i64));
        prices.push((draw(10) > 0).then(|| draw(1_000_000) as f64 / 7.0));
        texts.push((draw(9) > 0).then(|| "x".repeat(draw(60) as usize)));
        match draw(3) {
            0 => lists.append_null(),
            items => lists.append_value((0..items).map(|item| Some(format!("{item}")))),
        }
    }
    rows([
        ("k", column(Int64Array::from(keys))),
        ("ts", column(TimestampMicrosecondArray::from(times).with_timezone("+00:00"))),
        ("p", column(Float64Array::from(prices))),
        ("t", column(StringArray::from(texts))),
        ("l", column(lists.finish())),
    ])
}

fn metrics() -> Value {
    let slot = |name: &str, skip: bool| json!({name: {"column": "l", "skip_nulls": skip}});
    let measures = [
        json!("rows"),
        json!({"count": "t"}),
        json!({"count_distinct": "t"}),
        json!({"sum": "k"}),
        json!({"sum": "p"}),
        json!({"avg": "p"}),
        json!({"min": "t"}),
        json!({"max": "l"}),
        json!({"max": "ts"}),
        slot("first", true),
        slot("last", false),
        json!({"last": {"column": "t", "skip_nulls": false}}),
        json!({"quantile": {"column": "p", "q": 0.95}}),
        json!({"vwap": {"price": "p", "size": "k"}}),
    ];
    measures.into_iter().enumerate().map(|(index, measure)| json!({"name": format!("m{index}"), "measure": measure})).collect()
}

/// Every function with options that use all of it; `check` is given each.
macro_rules! each {
    ($check:ident) => {
        $check::<Aggregate>(&json!({"group_by": ["k", "l"], "metrics": metrics()}));
        $check::<Aggregate>(&json!({"group_by": [], "metrics": metrics()}));
        $check::<Window>(&json!({"time": "ts", "size": "100ms", "lateness": "10ms", "offset": "3ms", "group_by": ["k"], "metrics": metrics()}));
        $check::<Dedupe>(&json!({"key": ["k", "t"], "keep": "first", "order_by": []}));
        $check::<DedupeHeld>(&json!({"key": ["k"], "keep": "last", "order_by": [{"column": "p", "order": "desc"}, {"column": "t"}]}));
        $check::<Sort>(&json!({"by": [{"column": "t", "order": "desc", "nulls": "first"}, {"column": "p"}, {"column": "l"}]}));
    };
}

/// `run` compares a run with snapshots with one without.
#[test]
fn a_fresh_instance_after_every_batch_changes_nothing() {
    fn check<T: Columns>(options: &Value) {
        let came = run::<T>(options, &cut(&drawn(3000), 97)).expect("it runs");
        assert!(!came.rows.is_empty());
    }
    each!(check);
}

/// How rows are cut into batches changes nothing either.
#[test]
fn batches_may_be_of_any_size() {
    fn check<T: Columns>(options: &Value) {
        let came: Vec<_> = [1000, 64, 7].map(|part| run::<T>(options, &cut(&drawn(1000), part)).expect("it runs").rows).into();
        assert!(came.iter().all(|rows| *rows == came[0]));
    }
    each!(check);
}

#[test]
fn a_snapshot_that_is_none_is_refused() {
    fn check<T: Columns>(options: &Value) {
        let batch = drawn(200);
        let open = || configure::<T>(options, &batch.schema()).expect("the options are right");
        let (mut transform, plan) = open();
        testing::process(&mut transform, &plan, &batch).expect("it runs");
        let state = transform.snapshot().expect("it tells");
        let why = |state: &[u8]| {
            let error = open().0.restore(state).expect_err("it is none");
            assert!(matches!(error.kind, etl_sdk::ErrorKind::Unsupported) && error.code == "snapshot", "{error:?}");
            error.message.trim_start_matches("the snapshot does not read: ").to_owned()
        };
        assert_eq!(why(&[]), "it is not one of this component's");
        assert_eq!(why(b"some other bytes that stand for a snapshot"), "it is not one of this component's");
        for end in (4..state.len()).step_by(41) {
            let why = why(&state[..end]);
            assert!(why == "it is damaged" || why == "it is cut off" || end == 4, "{why}");
        }
        for place in (13..state.len()).step_by(37) {
            let mut state = state.clone();
            state[place] ^= 0x41;
            assert_eq!(why(&state), "it is damaged");
        }
        let mut newer = state.clone();
        newer[4] = 9;
        assert_eq!(why(&newer), "it was taken by another version of this component");
        let narrow = batch.project(&[0, 1, 2, 3, 4]).expect("they are there").schema();
        assert_eq!(narrow, batch.schema());
    }
    each!(check);
}

/// Whole by its sum, and wrong all the same: what is read must hold together before it is used.
#[test]
fn a_snapshot_that_was_made_up_is_refused_without_a_panic() {
    fn check<T: Columns>(options: &Value) {
        let batch = drawn(60);
        let open = || configure::<T>(options, &batch.schema()).expect("the options are right");
        let (mut transform, plan) = open();
        testing::process(&mut transform, &plan, &batch).expect("it runs");
        let state = transform.snapshot().expect("it tells");
        let body = state.len() - 8;
        for place in (13..body).step_by(3) {
            let mut made_up = state[..body].to_vec();
            made_up[place] ^= 0xFF;
            let sum = crate::state::hash(&made_up);
            made_up.extend(sum.to_le_bytes());
            // It may read, where only a value has changed; then it can go on.
            let (mut fresh, _) = open();
            if fresh.restore(&made_up).is_ok() {
                let _ = testing::process(&mut fresh, &plan, &batch);
            }
        }
    }
    check::<Aggregate>(&json!({"group_by": ["k"], "metrics": metrics()}));
    check::<Window>(&json!({"time": "ts", "size": "100ms", "lateness": "10ms", "offset": "3ms", "group_by": ["k"], "metrics": metrics()}));
    check::<Dedupe>(&json!({"key": ["k", "t"], "keep": "first", "order_by": []}));
}

#[test]
fn a_snapshot_of_other_options_is_refused() {
    let batch = drawn(50);
    let open = |options: Value| configure::<Sort>(&options, &batch.schema()).expect("the options are right").0;
    let state = open(json!({"by": [{"column": "t"}]})).snapshot().expect("it tells");
    let error = open(json!({"by": [{"column": "p"}]})).restore(&state).expect_err("it is another's");
    assert_eq!(error.message, "the snapshot does not read: it was taken with other options");
    // With more memory it may go on.
    open(json!({"by": [{"column": "t"}], "memory_bytes": 1 << 30})).restore(&state).expect("memory may be raised");
}
