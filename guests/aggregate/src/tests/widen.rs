//! Rows of one schema, a snapshot, and rows of a wider one: it comes to the same as if all had come with the wider one.

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, NullArray, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray, TimestampMillisecondArray,
};
use arrow_schema::{Field, SchemaRef};
use etl_sdk::{Columns, StageError, testing};
use serde_json::{Value, json};

use super::{Came, column, configure, line, rows};
use crate::widen::widen_rows;
use crate::{Aggregate, Dedupe, DedupeHeld, Sort, Window};

fn through<T: Columns>(options: &Value, batches: &[RecordBatch], columns: &[SchemaRef]) -> Result<Came, StageError> {
    let mut came = Came::default();
    let (mut function, mut plan) = configure::<T>(options, &columns[0]).expect("the options are right");
    for (batch, schema) in batches.iter().zip(columns) {
        if batch.schema() != columns[0] || schema != &columns[0] {
            let state = function.snapshot()?;
            (function, plan) = configure::<T>(options, schema).expect("the options are right");
            function.restore(&state)?;
        }
        came.add(testing::process(&mut function, &plan, &widen_rows(batch, schema)?)?);
    }
    came.add(testing::finish(&mut function)?);
    Ok(came)
}

/// What comes of two batches, of which the second one has the wider columns; and it must not matter that they were not known before.
fn two<T: Columns>(options: &Value, first: &RecordBatch, second: &RecordBatch) -> Vec<String> {
    let (narrow, wide) = (first.schema(), second.schema());
    let batches = [first.clone(), second.clone()];
    let came = through::<T>(options, &batches, &[narrow, wide.clone()]).expect("it goes on");
    let known = through::<T>(options, &batches, &[wide.clone(), wide]).expect("it runs");
    assert_eq!(came.refused, known.refused);
    // Rows that go on as they come went on with the columns that were known then.
    if T::NAME != "dedupe" {
        assert_eq!(came.rows, known.rows, "{}", T::NAME);
    }
    came.rows
}

fn list(values: &[Option<&[i64]>]) -> ArrayRef {
    let mut lists = ListBuilder::new(Int64Builder::new());
    for value in values {
        match value {
            Some(items) => lists.append_value(items.iter().map(|item| Some(*item))),
            None => lists.append_null(),
        }
    }
    column(lists.finish())
}

fn object(members: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let (fields, columns): (Vec<_>, Vec<_>) =
        members.into_iter().map(|(name, member)| (Field::new(name, member.data_type().clone(), true), member)).unzip();
    Arc::new(StructArray::new(fields.into(), columns, None))
}

/// A batch whose every column is as narrow as they come, and one where each is wider or new.
fn batches() -> [RecordBatch; 2] {
    let first = rows([
        ("n", column(Int64Array::from(vec![Some(1), Some(2), None, Some(2)]))),
        ("d", column(Int64Array::from(vec![3, 1, 2, 1]))),
        ("u", column(NullArray::new(4))),
        ("o", object(vec![("a", column(Int64Array::from(vec![1, 2, 3, 2])))])),
        ("l", list(&[Some(&[1]), None, Some(&[1, 2]), None])),
    ]);
    let decimals = Decimal128Array::from(vec![250, 100, 300]).with_precision_and_scale(22, 2).expect("they fit");
    let second = rows([
        ("new", column(StringArray::from(vec![Some("x"), None, Some("y")]))),
        ("n", column(Float64Array::from(vec![Some(2.0), Some(0.5), None]))),
        ("d", column(decimals)),
        ("u", column(StringArray::from(vec![Some("b"), None, Some("a")]))),
        (
            "o",
            object(vec![
                ("a", column(Float64Array::from(vec![2.0, 2.5, 1.0]))),
                ("b", column(BooleanArray::from(vec![None, Some(true), None]))),
            ]),
        ),
        ("l", list(&[None, Some(&[0]), Some(&[9])])),
    ]);
    [first, second]
}

#[test]
fn what_is_measured_goes_on_when_columns_widen_and_new_ones_come() {
    let [first, second] = batches();
    let slot = |measure: &str, column: &str| json!({measure: {"column": column, "skip_nulls": false}});
    let measures = [
        json!("rows"),
        json!({"count": "u"}),
        json!({"count_distinct": "n"}),
        json!({"count_distinct": "o"}),
        json!({"sum": "n"}),
        json!({"sum": "d"}),
        json!({"avg": "n"}),
        json!({"avg": "d"}),
        json!({"min": "n"}),
        json!({"max": "d"}),
        json!({"min": "u"}),
        json!({"max": "o"}),
        json!({"max": "l"}),
        slot("first", "n"),
        slot("last", "o"),
        json!({"quantile": {"column": "d", "q": 0.5}}),
        json!({"vwap": {"price": "n", "size": "d"}}),
    ];
    let metrics: Value =
        measures.into_iter().enumerate().map(|(index, measure)| json!({"name": format!("m{index}"), "measure": measure})).collect();
    let whole = two::<Aggregate>(&json!({"group_by": [], "metrics": metrics}), &first, &second);
    let expected = "7 | 2 | 3 | 4 | 7.5 | 13.50 | 1.5 | 1.9285714285714286 | 0.5 | 3.00 | a | {a: 3.0, b: null} | [9] | 1.0 | {a: 1.0, b: null} | \
                    2.0 | 1.4411764705882353";
    assert_eq!(whole[0].split(" | ").count(), expected.split(" | ").count());
    assert_eq!(whole[0].split(" | ").take(11).collect::<Vec<_>>(), expected.split(" | ").take(11).collect::<Vec<_>>());
    for group in [json!(["n"]), json!(["u", "l"]), json!(["o"])] {
        let came = two::<Aggregate>(&json!({"group_by": group, "metrics": metrics}), &first, &second);
        assert!(came.len() > 2, "{came:?}");
    }
}

#[test]
fn rows_that_are_held_get_the_columns_of_those_that_come_later() {
    let [first, second] = batches();
    let by = json!([{"column": "n", "order": "desc"}, {"column": "d"}]);
    let sorted = two::<Sort>(&json!({"by": by}), &first, &second);
    assert_eq!(sorted.len(), 7);
    assert!(sorted[0].starts_with("null | 2.0 | 1.00 | null | {a: 2.0, b: null"), "{sorted:?}");
    for options in [
        json!({"key": ["n"], "keep": "last", "order_by": []}),
        json!({"key": ["n"], "keep": "last", "order_by": by}),
        json!({"key": [], "keep": "last", "order_by": []}),
        json!({"key": ["o", "l"], "keep": "first", "order_by": [{"column": "u"}, {"column": "l"}]}),
    ] {
        let kept = two::<DedupeHeld>(&options, &first, &second);
        assert!(kept.len() > 2, "{kept:?}");
    }
}

#[test]
fn keys_are_known_again_when_their_columns_widen() {
    let [first, second] = batches();
    let kept = |key: Value| two::<Dedupe>(&json!({"key": key, "keep": "first", "order_by": []}), &first, &second).len();
    assert_eq!(kept(json!(["n"])), 4, "1, 2, null, 0.5");
    assert_eq!(kept(json!(["u"])), 3);
    assert_eq!(kept(json!(["d"])), 4, "2.50 is new");
    let again = rows([
        ("d", column(Int64Array::from(vec![1, 9]))),
        ("u", column(StringArray::from(vec![None::<&str>, None]))),
        ("n", column(Int64Array::from(vec![2, 2]))),
        ("x", column(StringArray::from(vec![None::<&str>, None]))),
        ("o", object(vec![("a", column(Int64Array::from(vec![2, 2])))])),
        ("l", list(&[None, None])),
    ]);
    assert_eq!(two::<Dedupe>(&json!({"key": [], "keep": "first", "order_by": []}), &first, &again).len(), 4, "the 1 stood there before");
}

#[test]
fn values_that_become_text_are_known_by_their_text() {
    let first = rows([
        ("k", column(Int64Array::from(vec![10, 9]))),
        ("f", column(Float64Array::from(vec![1.0, 0.1]))),
        ("b", column(BooleanArray::from(vec![Some(true), None]))),
        ("l", list(&[Some(&[1, 2]), None])),
        ("o", object(vec![("a", column(StringArray::from(vec!["q\"", "w"])))])),
    ]);
    let text = |values: [&str; 2]| column(StringArray::from(values.to_vec()));
    let second = rows([
        ("k", text(["9", "x"])),
        ("f", text(["1", "y"])),
        ("b", text(["true", "z"])),
        ("l", text(["[1,2]", "n"])),
        ("o", text([r#"{"a":"q\""}"#, "m"])),
    ]);
    let sorted = two::<Sort>(&json!({"by": [{"column": "k"}]}), &first, &second);
    assert_eq!(sorted[0], r#"10 | 1 | true | [1,2] | {"a":"q\""}"#);
    for key in ["k", "f", "b", "l", "o"] {
        assert_eq!(two::<Dedupe>(&json!({"key": [key], "keep": "first", "order_by": []}), &first, &second).len(), 3, "{key}");
        assert_eq!(two::<DedupeHeld>(&json!({"key": [key], "keep": "last", "order_by": []}), &first, &second).len(), 3, "{key}");
        let metrics = json!([{"name": "n", "measure": {"count_distinct": key}}, {"name": "v", "measure": {"first": {"column": key, "skip_nulls": true}}}]);
        assert_eq!(two::<Aggregate>(&json!({"group_by": [key], "metrics": metrics}), &first, &second).len(), 3, "{key}");
    }
}

/// The least of the ints is not the least of their texts, and the rows that could tell are gone.
#[test]
fn what_cannot_be_told_of_the_state_is_refused_with_the_column() {
    let first = rows([("k", column(Int64Array::from(vec![10, 9])))]);
    let second = rows([("k", column(StringArray::from(vec!["x"])))]);
    let refused = |came: Result<Came, StageError>| line(came.expect_err("it cannot be told"));
    let columns = [first.schema(), second.schema()];
    let batches = [first.clone(), second];
    let minimum = json!({"group_by": [], "metrics": [{"name": "m", "measure": {"min": "k"}}]});
    let told = "what it remembers of column `k` is int, and cannot be told as text, which the column is now | bring the column to one type \
                before this step: `convert: {k: text}`";
    assert_eq!(refused(through::<Aggregate>(&minimum, &batches, &columns)), told);
    let held = json!({"key": [], "keep": "last", "order_by": [{"column": "k"}]});
    assert_eq!(refused(through::<DedupeHeld>(&held, &batches, &columns)), told);
    let large = rows([("k", column(Int64Array::from(vec![(1 << 53) + 1])))]);
    let floats = rows([("k", column(Float64Array::from(vec![0.5])))]);
    let sort = json!({"by": [{"column": "k"}]});
    assert!(
        refused(through::<Sort>(&sort, &[large.clone(), floats.clone()], &[large.schema(), floats.schema()]))
            .starts_with("column `k` has 9007199254740993 and is float now")
    );
}

#[test]
fn windows_stay_open_when_columns_widen_and_times_get_finer() {
    let minute = 60_000;
    let first =
        rows([("t", column(TimestampMillisecondArray::from(vec![0, 30_000, minute + 1]))), ("v", column(Int64Array::from(vec![1, 2, 3])))]);
    let second = rows([
        ("t", column(TimestampMicrosecondArray::from(vec![45_000_000, 61_000_001]))),
        ("v", column(Float64Array::from(vec![0.5, 0.25]))),
        ("other", column(StringArray::from(vec!["a", "b"]))),
    ]);
    let slot = |measure: &str| json!({"name": measure, "measure": {measure: {"column": "v", "skip_nulls": true}}});
    let metrics = json!([{"name": "s", "measure": {"sum": "v"}}, slot("first"), slot("last")]);
    let options = json!({"time": "t", "size": "1m", "lateness": "30s", "offset": "0s", "group_by": [], "metrics": metrics});
    let came = two::<Window>(&options, &first, &second);
    assert_eq!(
        came,
        ["1970-01-01T00:00:00 | 1970-01-01T00:01:00 | 3.5 | 1.0 | 0.5", "1970-01-01T00:01:00 | 1970-01-01T00:02:00 | 3.25 | 3.0 | 0.25"]
    );
    let days = rows([("t", column(Date32Array::from(vec![0, 1]))), ("v", column(Int64Array::from(vec![1, 2])))]);
    let daily = json!({"time": "t", "size": "1d", "lateness": "1d", "offset": "0s", "group_by": [], "metrics": metrics});
    assert_eq!(two::<Window>(&daily, &days, &second).len(), 2);
}

#[test]
fn a_column_that_comes_late_is_null_until_then_and_an_error_if_it_never_comes() {
    let first = rows([("k", column(Int64Array::from(vec![1, 2])))]);
    let second = rows([("k", column(Int64Array::from(vec![1, 3]))), ("v", column(Int64Array::from(vec![5, 6])))]);
    let metrics = json!([{"name": "n", "measure": "rows"}, {"name": "s", "measure": {"sum": "v"}}]);
    let aggregate = json!({"group_by": ["v"], "metrics": metrics, "late": true});
    assert_eq!(two::<Aggregate>(&aggregate, &first, &second), ["null | 2 | null", "5 | 1 | 5", "6 | 1 | 6"]);
    let sort = json!({"by": [{"column": "v", "order": "desc", "nulls": "first"}], "late": true});
    assert_eq!(two::<Sort>(&sort, &first, &second), ["1 | null", "2 | null", "3 | 6", "1 | 5"]);
    let dedupe = json!({"key": ["v"], "keep": "first", "order_by": [], "late": true});
    assert_eq!(two::<Dedupe>(&dedupe, &first, &second).len(), 3);
    let held = json!({"key": ["v"], "keep": "last", "order_by": [], "late": true});
    assert_eq!(two::<DedupeHeld>(&held, &first, &second), ["2 | null", "1 | 5", "3 | 6"]);

    fn never<T: Columns>(options: &Value, first: &RecordBatch) -> String {
        let columns = [first.schema()];
        line(through::<T>(options, std::slice::from_ref(first), &columns).expect_err("it never came"))
    }
    assert_eq!(never::<Aggregate>(&aggregate, &first), "group_by: there is no column `v` | did you mean `k`? columns here are `k`");
    assert!(never::<Sort>(&sort, &first).starts_with("by: there is no column `v`"));
    assert!(never::<Dedupe>(&dedupe, &first).starts_with("key: there is no column `v`"));
    assert!(never::<DedupeHeld>(&held, &first).starts_with("key: there is no column `v`"));
    let metrics = json!([{"name": "n", "measure": "rows"}]);
    let window = json!({"time": "v", "size": "1m", "lateness": "0s", "offset": "0s", "group_by": [], "metrics": metrics, "late": true});
    assert!(never::<Window>(&window, &first).starts_with("time: there is no column `v`"));
}
