//! The guest as the host would run it, natively.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, NullArray, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field};
use etl_sdk::testing::{Made, Run, configure, enter, process};
use etl_sdk::{Columns, StageError};
use serde_json::{Value, json};

use crate::{Alone, Remembering};

fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.iter().map(|(name, column)| (*name, column.clone(), true))).expect("equal lengths")
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn rule(column: &str, test: Value, on_error: &str) -> Value {
    let code = test.as_object().map_or_else(|| test.to_string(), |test| test.keys().next().cloned().unwrap_or_default());
    json!({"name": format!("{column}.{}", code.trim_matches('"')), "column": column, "test": test, "on_error": on_error, "message": null})
}

fn options(rules: &[Value]) -> Value {
    json!({ "rules": rules, "key_bytes": 1 << 26 })
}

/// Passes batches through; what came out of each.
fn run<T: Columns>(rules: &[Value], batches: &[RecordBatch]) -> Result<Vec<Made>, Vec<StageError>> {
    let (mut step, plan) = configure::<T>(&options(rules), &batches[0].schema())?;
    batches.iter().map(|batch| process(&mut step, &plan, batch).map_err(Vec::from)).collect()
}

/// The rows that a rule refuses, with what is said of the first.
fn refused(column: ArrayRef, test: Value) -> (Vec<u32>, String) {
    let made = run::<Alone>(&[rule("c", test, "quarantine")], &[batch(&[("c", column)])]).expect("the rule suits the column");
    let rows = made[0].rejections.iter().map(|rejection| rejection.row).collect();
    (rows, made[0].rejections.first().map(|first| first.message.clone()).unwrap_or_default())
}

fn ints() -> ArrayRef {
    Arc::new(Int64Array::from(vec![Some(-1), Some(0), None, Some(5), Some(10)]))
}

#[test]
fn null_satisfies_every_rule_but_required() {
    assert_eq!(refused(ints(), json!("required")), (vec![2], "`c` is missing".into()));
    assert_eq!(refused(Arc::new(NullArray::new(2)), json!("required")).0, [0, 1]);
    assert_eq!(refused(Arc::new(NullArray::new(2)), json!({"min": {"limit": {"number": 1}}})).0, [0u32; 0]);
}

#[test]
fn limits_hold_exactly_for_every_kind_of_number() {
    let min = |number: Value, exclusive: bool| json!({"min": {"limit": {"number": number}, "exclusive": exclusive}});
    let max = |number: Value, exclusive: bool| json!({"max": {"limit": {"number": number}, "exclusive": exclusive}});
    assert_eq!(refused(ints(), min(json!(0), false)), (vec![0], "`c` is -1, but must be at least 0".into()));
    assert_eq!(refused(ints(), min(json!(0), true)).0, [0, 1]);
    assert_eq!(refused(ints(), min(json!(-0.5), true)).0, [0]);
    assert_eq!(refused(ints(), max(json!(5), true)).0, [3, 4]);
    assert_eq!(refused(ints(), max(json!(4.5), true)).0, [3, 4]);
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![0.1, f64::NAN, -3.0, 1e9]));
    assert_eq!(refused(floats.clone(), min(json!(0.1), false)).0, [1, 2]);
    assert_eq!(refused(floats, max(json!(0.1), true)).0, [0, 1, 3]);
    let decimals: ArrayRef = Arc::new(Decimal128Array::from(vec![9, 10, 11]).with_precision_and_scale(5, 2).expect("it fits"));
    assert_eq!(refused(decimals.clone(), min(json!(0.1), false)), (vec![0], "`c` is 0.09, but must be at least 0.1".into()));
    assert_eq!(refused(decimals.clone(), min(json!(0.1), true)).0, [0, 1]);
    assert_eq!(refused(decimals.clone(), max(json!(0.105), false)).0, [2]);
    assert_eq!(refused(decimals, max(json!(0.11), true)).0, [2]);
    let big: ArrayRef = Arc::new(Int64Array::from(vec![9_007_199_254_740_993]));
    assert_eq!(refused(big, max(json!(9_007_199_254_740_992i64), false)).0, [0]);
    let text = texts(&[Some("12.5"), Some("-1"), Some("free"), None]);
    assert_eq!(refused(text, min(json!(0), false)), (vec![1, 2], "`c` is `-1`, but must be at least 0".into()));
}

#[test]
fn days_and_instants_have_limits_too_and_today_is_the_day_of_the_run() {
    enter(Run { now_ms: 1_705_320_000_000, ..Run::default() });
    let days: ArrayRef = Arc::new(Date32Array::from(vec![19_736, 19_737, 19_738]));
    let after = |limit: Value| json!({"max": {"limit": limit}});
    assert_eq!(refused(days.clone(), after(json!("today"))), (vec![2], "`c` is `2024-01-16`, but must be at most today".into()));
    assert_eq!(refused(days, after(json!({"moment": "2024-01-14"}))).0, [1, 2]);
    let instants: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from(vec![1_705_320_000_000_000, 1_705_320_000_000_001]).with_timezone("UTC"));
    assert_eq!(refused(instants, after(json!("now"))), (vec![1], "`c` is `2024-01-15T12:00:00.000001Z`, but must be at most now".into()));
    assert_eq!(refused(texts(&[Some("2024-01-15"), Some("2024-01-17T00:00Z"), Some("soon")]), after(json!("today"))).0, [1, 2]);
}

#[test]
fn a_value_is_of_a_type_where_it_is_or_reads_as_one() {
    let kind = |kind: &str| json!({ "type": kind });
    let text = texts(&[Some("12"), Some("1.5"), Some("x"), Some("true"), Some("2024-01-15"), Some("{\"a\":1}"), Some("[1]")]);
    let not = |wanted: &[u32]| (0..7).filter(|row| !wanted.contains(row)).collect::<Vec<u32>>();
    assert_eq!(refused(text.clone(), kind("integer")), (not(&[0]), "`c` is `1.5`, but must be a whole number".into()));
    assert_eq!(refused(text.clone(), kind("number")).0, not(&[0, 1]));
    assert_eq!(refused(text.clone(), kind("boolean")).0, not(&[3]));
    assert_eq!(refused(text.clone(), kind("date")).0, not(&[4]));
    assert_eq!(refused(text.clone(), kind("datetime")).0, not(&[4]));
    assert_eq!(refused(text.clone(), kind("object")).0, not(&[5]));
    assert_eq!(refused(text.clone(), kind("array")).0, not(&[6]));
    assert_eq!(refused(text, kind("string")).0, [0u32; 0]);
    assert_eq!(refused(ints(), kind("string")).0, [0, 1, 3, 4]);
    assert_eq!(refused(ints(), kind("boolean")).0, [0, 3, 4]);
    assert_eq!(refused(Arc::new(Float64Array::from(vec![1.0, 1.5, f64::INFINITY])), kind("integer")).0, [1, 2]);
    assert_eq!(refused(Arc::new(BooleanArray::from(vec![true])), kind("number")).0, [0]);
}

#[test]
fn lengths_count_characters_and_items() {
    let text = texts(&[Some("äöü"), Some("ab"), Some("abcd"), Some("")]);
    assert_eq!(refused(text.clone(), json!({"min_length": 3})), (vec![1, 3], "`c` is `ab`, but must have a length of at least 3".into()));
    assert_eq!(refused(text.clone(), json!({"max_length": 3})).0, [2]);
    assert_eq!(refused(text, json!("not_blank")), (vec![3], "`c` is blank".into()));
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("a"), None]);
    lists.append_null();
    assert_eq!(refused(Arc::new(lists.finish()), json!({"min_length": 3})).0, [0]);
    assert_eq!(refused(ints(), json!({"max_length": 1})).0, [0, 4]);
}

#[test]
fn patterns_formats_and_enumerations() {
    let mails = texts(&[Some("a@b.example"), Some("nobody"), None]);
    assert_eq!(
        refused(mails.clone(), json!({"pattern": "^[^@]+@[^@]+$"})),
        (vec![1], "`c` is `nobody`, but must match `^[^@]+@[^@]+$`".into())
    );
    assert_eq!(refused(mails.clone(), json!({"format": "email"})), (vec![1], "`c` is `nobody`, but must have the format `email`".into()));
    assert_eq!(refused(mails, json!({"one_of": ["nobody", 1]})), (vec![0], "`c` is `a@b.example`, but must be one of `nobody`, 1".into()));
    assert_eq!(refused(ints(), json!({"pattern": "^[0-9]$"})).0, [0, 4]);
    assert_eq!(refused(ints(), json!({"one_of": ["5", 0, 0.5]})).0, [0, 4]);
    assert_eq!(refused(ints(), json!({"multiple_of": 5.0})).0, [0]);
    assert_eq!(refused(Arc::new(Float64Array::from(vec![0.3, 0.35])), json!({"multiple_of": 0.1})).0, [1]);
}

#[test]
fn a_rule_that_does_not_suit_its_column_is_refused_before_a_row_is_seen() {
    let objects: ArrayRef = Arc::new(StructArray::from(vec![(Arc::new(Field::new("a", DataType::Int64, true)), ints())]));
    let rules = [
        rule("c", json!({"min": {"limit": {"number": 1}}}), "fail"),
        rule("c", json!({"pattern": "x"}), "fail"),
        rule("d", json!({"max": {"limit": {"moment": "2024-01-15"}}}), "fail"),
    ];
    let errors = run::<Alone>(&rules, &[batch(&[("c", objects), ("d", ints())])]).expect_err("none suits");
    let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "rule `c.min`: column `c`: `min` speaks of numbers and dates, but the column has objects",
            "rule `c.pattern`: column `c`: `pattern` speaks of text, but the column has objects",
            "rule `d.max`: column `d`: `max` is the moment `2024-01-15`, but the column has whole numbers",
        ]
    );
}

#[test]
fn the_severest_rule_decides_and_every_rule_is_counted() {
    enter(Run::default());
    let rows = batch(&[("c", ints())]);
    let rules = [
        rule("c", json!({"max": {"limit": {"number": 4}}}), "warn"),
        rule("c", json!({"min": {"limit": {"number": 0}}}), "skip"),
        rule("c", json!({"max": {"limit": {"number": 9}}}), "quarantine"),
        rule("gone", json!({"type": "string"}), "quarantine"),
    ];
    let made = &run::<Alone>(&rules, std::slice::from_ref(&rows)).expect("it runs")[0];
    let (kept, origins) = &made.batches[0];
    assert_eq!((kept.num_rows(), origins.as_deref()), (3, Some(&[1, 2, 3][..])));
    assert_eq!(made.rejections.len(), 1);
    assert_eq!(made.rejections[0].row, 4);
    assert_eq!(made.rejections[0].code, "max");
    assert_eq!(made.rejections[0].message, "`c` is 10, but must be at most 9; it also breaks `c.max`");
    let counters: Vec<(String, u64)> = enter(Run::default()).counters.into_iter().collect();
    let counted = counters.iter().map(|(name, by)| (name.as_str(), *by)).collect::<Vec<_>>();
    assert_eq!(counted, [("missing_column.gone", 5), ("rows_broken", 3), ("rule.0", 2), ("rule.1", 1), ("rule.2", 1)]);

    let fails = [rule("c", json!({"min": {"limit": {"number": 0}}}), "fail")];
    let error = run::<Alone>(&fails, &[rows]).expect_err("a row breaks it").remove(0);
    assert_eq!((error.row, error.message.as_str()), (Some(0), "`c` is -1, but must be at least 0 (rule `c.min`)"));
}

#[test]
fn a_key_is_refused_the_second_time_across_batches_and_a_refused_row_claims_none() {
    let unique = json!({"name": "unique(a, b)", "column": null, "test": {"unique": ["a", "b"]}, "on_error": "quarantine", "message": null});
    let rules = [rule("b", json!({"min": {"limit": {"number": 0}}}), "quarantine"), unique];
    let rows = |a: &[Option<&str>], b: &[Option<i64>]| batch(&[("a", texts(a)), ("b", Arc::new(Int64Array::from(b.to_vec())))]);
    let batches = [
        rows(&[Some("x"), Some("x"), Some("y"), None, None], &[Some(1), Some(1), Some(-1), Some(1), Some(1)]),
        rows(&[Some("y"), Some("x"), Some("x")], &[Some(1), Some(1), Some(2)]),
    ];
    let made = run::<Remembering>(&rules, &batches).expect("it runs");
    let said: Vec<Vec<(u32, &str)>> =
        made.iter().map(|made| made.rejections.iter().map(|one| (one.row, one.message.as_str())).collect()).collect();
    assert_eq!(
        said,
        [
            vec![(1, "`a` `x` with `b` 1 was there before"), (2, "`b` is -1, but must be at least 0")],
            vec![(1, "`a` `x` with `b` 1 was there before")]
        ]
    );
}

#[test]
fn going_on_from_a_snapshot_after_any_batch_gives_the_same() {
    let unique = |name: &str, on_error: &str| json!({"name": name, "column": null, "test": {"unique": [name]}, "on_error": on_error, "message": null});
    let rules = [unique("a", "skip"), unique("b", "warn")];
    let batches: Vec<RecordBatch> = (0..8i64)
        .map(|number| {
            let a = Int64Array::from_iter_values((0..50).map(|row| (row * 7 + number * 13) % 211));
            let b: StringArray = (0..50).map(|row| Some(format!("k{}", (row * 3 + number * 31) % 97))).collect();
            batch(&[("a", Arc::new(a)), ("b", Arc::new(b))])
        })
        .collect();
    let whole = run::<Remembering>(&rules, &batches).expect("it runs");
    assert!(whole.iter().any(|made| made.batches[0].0.num_rows() < 50));
    let (mut step, plan) = configure::<Remembering>(&options(&rules), &batches[0].schema()).expect("sound options");
    for (made, batch) in whole.iter().zip(&batches) {
        assert_eq!(process(&mut step, &plan, batch).expect("it runs"), *made);
        let state = step.snapshot().expect("it has one");
        step = configure::<Remembering>(&options(&rules), &batches[0].schema()).expect("sound options").0;
        step.restore(&state).expect("it reads");
        assert_eq!(step.snapshot().expect("it has one"), state);
    }
    assert!(step.restore(b"nonsense").is_err());
}

#[test]
fn keys_that_take_too_much_memory_end_the_run_with_the_way_out() {
    let rules = [json!({"name": "unique(a)", "column": "a", "test": {"unique": ["a"]}, "on_error": "warn", "message": null})];
    let rows = batch(&[("a", Arc::new(Int64Array::from_iter_values(0..200_000)))]);
    let options = json!({ "rules": rules, "key_bytes": 1 << 20 });
    let (mut step, plan) = configure::<Remembering>(&options, &rows.schema()).expect("sound options");
    let error = process(&mut step, &plan, &rows).expect_err("they are too many");
    assert_eq!(
        error.message,
        "the keys of `unique(a)` are more than 1 MiB after 200000 different ones, which is what a unique rule may take"
    );
    assert!(error.help.is_some_and(|help| help.contains("memory_mb")));
}

#[test]
fn a_json_schema_is_held_against_nested_values_and_null_is_an_absent_key() {
    let zip = texts(&[Some("12345"), Some("x"), None]);
    let address: ArrayRef = Arc::new(StructArray::from(vec![(Arc::new(Field::new("zip", DataType::Utf8, true)), zip)]));
    let rows = batch(&[("address", address)]);
    let schema =
        json!({"properties": {"address": {"type": "object", "required": ["zip"], "properties": {"zip": {"pattern": "^[0-9]{5}$"}}}}});
    let rules = [
        json!({"name": "schema", "column": null, "test": {"schema": {"schema": schema, "columns": ["address"]}}, "on_error": "quarantine", "message": null}),
    ];
    let made = &run::<Alone>(&rules, &[rows]).expect("it runs")[0];
    let said: Vec<_> = made.rejections.iter().map(|one| (one.row, one.message.as_str(), one.field.as_deref())).collect();
    assert_eq!(
        said,
        [(1, "`address.zip` is `x`, but must match `^[0-9]{5}$`", Some("address")), (2, "`address.zip` is missing", Some("address"))]
    );
}

#[test]
fn columns_that_may_not_be_there_are_refused_where_they_have_a_value() {
    let rules =
        [json!({"name": "only_columns", "column": null, "test": {"only_columns": ["a"]}, "on_error": "quarantine", "message": null})];
    let made = &run::<Alone>(&rules, &[batch(&[("a", ints()), ("extra", ints())])]).expect("it runs")[0];
    assert_eq!(made.rejections.iter().map(|one| one.row).collect::<Vec<_>>(), [0, 1, 3, 4]);
    assert_eq!(made.rejections[0].message, "column `extra` is not among those that there may be");
}

#[test]
fn a_check_that_is_not_true_or_cannot_be_worked_out_refuses_the_row() {
    let check =
        json!({"name": "total", "column": null, "test": {"expression": "qty * price = total"}, "on_error": "quarantine", "message": null});
    let rows = batch(&[
        ("qty", Arc::new(Int64Array::from(vec![2, 2, 2]))),
        ("price", texts(&[None, None, Some("x")])),
        ("total", Arc::new(Int64Array::from(vec![Some(4), None, Some(4)]))),
    ]);
    let made = &run::<Alone>(&[check], &[rows]).expect("it runs")[0];
    let said: Vec<_> = made.rejections.iter().map(|one| (one.row, one.message.clone())).collect();
    assert_eq!(said[0], (0, "check `total` does not hold: `qty * price = total`".into()));
    assert!(
        said.last().is_some_and(|(row, message)| *row == 2 && message.starts_with("check `total` cannot be worked out: T2002")),
        "{said:?}"
    );
}
