use arrow_array::{Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::Schema;
use serde_json::json;

use super::{column, cut, rows, run, wrong};
use crate::{Dedupe, DedupeHeld};

fn sample() -> RecordBatch {
    rows([
        ("id", column(Int64Array::from(vec![Some(1), Some(2), Some(1), None, Some(2), None, Some(3)]))),
        ("at", column(Float64Array::from(vec![Some(5.0), Some(2.0), Some(4.0), None, Some(2.0), Some(1.0), Some(f64::NAN)]))),
        ("v", column(StringArray::from(vec!["a", "b", "c", "d", "e", "f", "g"]))),
    ])
}

#[test]
fn the_first_row_of_a_key_goes_on_as_it_comes() {
    let options = json!({"key": ["id"], "keep": "first", "order_by": []});
    for part in [1, 3, 7] {
        let came = run::<Dedupe>(&options, &cut(&sample(), part)).expect("it runs");
        assert_eq!(came.rows, ["1 | 5.0 | a", "2 | 2.0 | b", "null | null | d", "3 | NaN | g"]);
    }
}

#[test]
fn without_a_key_whole_rows_are_compared() {
    let twice = arrow_select::concat::concat_batches(&sample().schema(), [&sample(), &sample().slice(2, 3)]).expect("they fit");
    let came = run::<Dedupe>(&json!({"key": [], "keep": "first", "order_by": []}), &cut(&twice, 4)).expect("it runs");
    assert_eq!(came.rows.len(), 7);
    let options = RecordBatchOptions::new().with_row_count(Some(3));
    let nothing = RecordBatch::try_new_with_options(Schema::empty().into(), vec![], &options).expect("no columns");
    for key in [json!([]), json!(["id"])] {
        assert_eq!(run::<Dedupe>(&json!({"key": key, "keep": "first", "order_by": []}), &cut(&nothing, 2)).expect("it runs").rows, [""]);
        assert_eq!(run::<DedupeHeld>(&json!({"key": key, "keep": "last", "order_by": []}), &cut(&nothing, 2)).expect("it runs").rows, [""]);
    }
}

#[test]
fn the_last_row_of_a_key_stands_where_it_came() {
    for part in [1, 3, 7] {
        let came = run::<DedupeHeld>(&json!({"key": ["id"], "keep": "last", "order_by": []}), &cut(&sample(), part)).expect("it runs");
        assert_eq!(came.rows, ["1 | 4.0 | c", "2 | 2.0 | e", "null | 1.0 | f", "3 | NaN | g"]);
    }
}

#[test]
fn rows_of_a_key_may_be_ordered_first() {
    let by = |keep: &str, order: &str, nulls: &str| {
        let options = json!({"key": ["id"], "keep": keep, "order_by": [{"column": "at", "order": order, "nulls": nulls}]});
        let mut texts = Vec::new();
        for part in [1, 4, 7] {
            let came = run::<DedupeHeld>(&options, &cut(&sample(), part)).expect("it runs");
            texts.push(came.rows.iter().map(|row| row.rsplit(' ').next().expect("a text").to_owned()).collect::<String>());
        }
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
        texts.remove(0)
    };
    assert_eq!(by("first", "asc", "last"), "bcfg");
    assert_eq!(by("last", "asc", "last"), "adeg");
    assert_eq!(by("last", "asc", "first"), "aefg");
    assert_eq!(by("first", "desc", "last"), "abfg");
}

#[test]
fn rows_that_are_kept_no_more_are_let_go() {
    let many = rows([
        ("id", column(Int64Array::from_iter_values((0..100_000).map(|row| row % 10)))),
        ("v", column(StringArray::from_iter_values((0..100_000).map(|row| format!("{row:01000}"))))),
    ]);
    let options = json!({"key": ["id"], "keep": "last", "order_by": [], "memory_bytes": 64 << 20});
    let came = run::<DedupeHeld>(&options, &cut(&many, 1000)).expect("ten rows fit");
    let ends: Vec<_> = came.rows.iter().map(|row| row[row.len() - 5..].to_owned()).collect();
    assert_eq!(ends, (99_990..100_000).map(|row| row.to_string()).collect::<Vec<_>>());
}

#[test]
fn wrong_columns_are_told() {
    let options = json!({"key": ["ids"], "keep": "last", "order_by": [{"column": "att"}]});
    assert_eq!(
        wrong::<DedupeHeld>(&options, &sample().schema()),
        [
            "key: there is no column `ids` | did you mean `id`? columns here are `id`, `at`, `v`",
            "order_by: there is no column `att` | did you mean `at`? columns here are `id`, `at`, `v`"
        ]
    );
}
