use arrow_array::{Float64Array, Int64Array, RecordBatch, StringArray};
use serde_json::json;

use super::{column, cut, rows, run, wrong};
use crate::Sort;

fn sample() -> RecordBatch {
    rows([
        ("k", column(StringArray::from(vec![Some("b"), None, Some("a"), Some("B"), Some("b"), Some("é"), Some("b")]))),
        ("f", column(Float64Array::from(vec![Some(1.0), Some(0.0), Some(f64::NAN), None, Some(-0.0), Some(f64::NEG_INFINITY), Some(0.0)]))),
        ("n", column(Int64Array::from_iter_values(0..7))),
    ])
}

fn order(by: serde_json::Value) -> String {
    let mut orders = Vec::new();
    for part in [1, 3, 7] {
        let came = run::<Sort>(&json!({"by": by}), &cut(&sample(), part)).expect("it runs");
        orders.push(came.rows.iter().map(|row| row.rsplit(' ').next().expect("a number").to_owned()).collect::<String>());
    }
    assert!(orders.iter().all(|order| *order == orders[0]), "{orders:?}");
    orders.remove(0)
}

#[test]
fn rows_stand_in_order_and_equal_ones_as_they_came() {
    assert_eq!(order(json!([{"column": "k"}])), "3204651");
    assert_eq!(order(json!([{"column": "k", "order": "desc"}])), "5046231");
    assert_eq!(order(json!([{"column": "k", "nulls": "first"}])), "1320465");
    assert_eq!(order(json!([{"column": "f"}])), "5146023");
    assert_eq!(order(json!([{"column": "f", "order": "desc", "nulls": "first"}])), "3201465");
    assert_eq!(order(json!([{"column": "k"}, {"column": "f", "order": "desc"}])), "3204651");
    assert_eq!(order(json!([{"column": "k"}, {"column": "n", "order": "desc"}])), "3264051");
}

#[test]
fn wrong_columns_are_told() {
    assert_eq!(
        wrong::<Sort>(&json!({"by": [{"column": "K"}, {"column": "zzz"}]}), &sample().schema()),
        [
            "by: there is no column `K` | did you mean `k`? columns here are `k`, `f`, `n`",
            "by: there is no column `zzz` | columns here are `k`, `f`, `n`"
        ]
    );
}

#[test]
fn more_rows_than_memory_are_told() {
    let batch = rows([("k", column(Int64Array::from_iter_values(0..1_000_000)))]);
    let error =
        run::<Sort>(&json!({"by": [{"column": "k"}], "memory_bytes": 64 << 20}), &cut(&batch, 100_000)).expect_err("it is too much");
    let text = super::line(error);
    assert!(
        text.contains("rows to sort take ")
            && text.contains("raise `limits: {memory_mb: 128}` of the step, or leave rows or columns out before it"),
        "{text}"
    );
}
