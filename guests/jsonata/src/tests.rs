use std::sync::Arc;

use etl_jsonata_engine::Rows;
use etl_sdk::arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use etl_sdk::testing::{self, Made};
use etl_sdk::{Columns, StageError};
use serde_json::json;

use crate::{Batch, Dataset, Filter, Record};

fn rows() -> RecordBatch {
    let n: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(4)]));
    let name: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("c"), Some("d")]));
    RecordBatch::try_from_iter([("n", n), ("name", name)]).expect("columns of one length")
}

fn open<T: Columns>(expression: &str) -> (T, etl_sdk::Plan) {
    testing::configure(&json!({"expression": expression}), &rows().schema()).expect("the options are right")
}

fn run<T: Columns>(expression: &str) -> Result<Made, StageError> {
    let (mut stage, plan) = open::<T>(expression);
    testing::process(&mut stage, &plan, &rows())
}

fn shown(made: &Made) -> Vec<String> {
    made.batches.iter().flat_map(|(batch, _)| Rows::new(batch).all().collect::<Vec<_>>()).map(|row| row.to_string()).collect()
}

#[test]
fn a_record_gives_one_row_or_several_or_none_each_with_its_origin() {
    let made = run::<Record>("n = 1 ? {'x': n} : n = 2 ? [{'x': 1.5}, {'y': name}] : n = 4 ? [] : null").expect("nothing fails");
    // `y` has a null of its own, so that it is null for all rows; `x` has none.
    assert_eq!(shown(&made), ["{\"x\":1,\"y\":null}", "{\"x\":1.5,\"y\":null}", "{\"y\":null}"]);
    assert_eq!(made.batches[0].1, Some(vec![0, 1, 1]));
    assert_eq!(made.rejections, []);
}

#[test]
fn a_record_that_fails_costs_its_row_with_the_code_of_the_language() {
    let made = run::<Record>("n = 2 ? [{'x': 1}, 7] : n = 4 ? 'text' : {'x': n + 1}").expect("rows fail, not the batch");
    assert_eq!((shown(&made), &made.batches[0].1), (vec!["{\"x\":2}".to_owned()], &Some(vec![0])));
    let refused: Vec<_> = made.rejections.iter().map(|rejection| (rejection.row, rejection.code.as_str())).collect();
    assert_eq!(refused, [(1, "not_an_object"), (2, "T2001"), (3, "not_an_object")]);
    assert_eq!(
        made.rejections[0].message,
        "the expression gave a number, but a row is an object: write `{\"name\": …}`, a list of objects, or null for no row"
    );
}

#[test]
fn a_batch_is_one_list_of_rows() {
    assert_eq!(shown(&run::<Batch>("{'count': $count($), 'sum': $sum(n[$ != null])}").expect("it is right")), ["{\"count\":4,\"sum\":7}"]);
    assert_eq!(run::<Batch>("$[n > 1].{'n': n}").expect_err("null is no number").code, "T2010");
    assert_eq!(shown(&run::<Batch>("$[name != null].{'name': name}").expect("it is right")).len(), 3);
    assert_eq!(run::<Batch>("null").expect("it is right").batches, []);
}

#[test]
fn a_filter_keeps_rows_by_the_rules_of_boolean() {
    let made = run::<Filter>("n = 4 ? $sum('x') : name").expect("rows fail, not the batch");
    assert_eq!(made.batches[0].1, Some(vec![0, 2]));
    assert_eq!(made.rejections.iter().map(|rejection| (rejection.row, rejection.code.as_str())).collect::<Vec<_>>(), [(3, "T0412")]);
}

#[test]
fn a_data_set_is_held_until_the_end_and_comes_back_from_a_snapshot() {
    let expression = "$.{'name': name, 'all': $count($$)}";
    let (mut stage, plan) = open::<Dataset>(expression);
    assert_eq!(testing::process(&mut stage, &plan, &rows()).expect("rows are held"), Made::default());
    let state = stage.snapshot().expect("it can tell");
    let (mut restored, _) = open::<Dataset>(expression);
    restored.restore(&state).expect("the snapshot reads");
    for stage in [&mut stage, &mut restored] {
        testing::process(stage, &plan, &rows()).expect("rows are held");
    }
    let made = testing::finish(&mut stage).expect("it is right");
    assert_eq!(shown(&made).len(), 8);
    assert_eq!(shown(&made)[7], "{\"name\":\"d\",\"all\":8}");
    assert_eq!(testing::finish(&mut restored).expect("it is right"), made);
}

#[test]
fn a_data_set_that_does_not_fit_stops_the_run_with_what_to_do() {
    let options = json!({"expression": "$", "memory_bytes": 300});
    let (mut stage, plan) = testing::configure::<Dataset>(&options, &rows().schema()).expect("the options are right");
    let error = testing::process(&mut stage, &plan, &rows()).expect_err("it is too much");
    assert_eq!((error.code.as_str(), error.kind), ("dataset_too_large", etl_sdk::ErrorKind::Unsupported));
}

#[test]
fn what_is_no_expression_is_named() {
    let error = testing::configure::<Record>(&json!({"expression": "{'a': "}), &rows().schema()).map(|_| ()).expect_err("it is cut off");
    assert_eq!((error[0].code.as_str(), error[0].field.as_deref()), ("S0203", Some("expression")));
}
