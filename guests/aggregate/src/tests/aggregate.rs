use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::{
    BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
    TimestampMillisecondArray, UInt64Array,
};
use arrow_schema::{DataType, Schema};
use serde_json::json;

use super::{column, configure, cut, line, rows, run, wrong};
use crate::Aggregate;

fn sample() -> RecordBatch {
    rows([
        ("k", column(StringArray::from(vec![Some("b"), Some("a"), None, Some("b"), None, Some("a"), Some("b")]))),
        ("i", column(Int64Array::from(vec![Some(1), None, Some(3), Some(4), Some(5), None, Some(-7)]))),
        ("f", column(Float64Array::from(vec![Some(0.1), Some(f64::NAN), Some(0.3), Some(0.2), None, Some(1.0), Some(0.3)]))),
        ("t", column(StringArray::from(vec![Some("x"), Some("é"), Some(""), Some("Y"), Some("z"), Some("a"), None]))),
    ])
}

#[test]
fn every_measure_counts_as_in_sql() {
    let options = json!({"group_by": ["k"], "metrics": [
        {"name": "rows", "measure": "rows"},
        {"name": "n", "measure": {"count": "i"}},
        {"name": "sum", "measure": {"sum": "i"}},
        {"name": "avg", "measure": {"avg": "i"}},
        {"name": "fsum", "measure": {"sum": "f"}},
        {"name": "fmin", "measure": {"min": "f"}},
        {"name": "fmax", "measure": {"max": "f"}},
        {"name": "tmin", "measure": {"min": "t"}},
        {"name": "tmax", "measure": {"max": "t"}},
        {"name": "first", "measure": {"first": {"column": "i", "skip_nulls": false}}},
        {"name": "last", "measure": {"last": {"column": "t", "skip_nulls": false}}},
        {"name": "last_value", "measure": {"last": {"column": "t", "skip_nulls": true}}},
        {"name": "distinct", "measure": {"count_distinct": "t"}},
        {"name": "median", "measure": {"quantile": {"column": "i", "q": 0.5}}},
    ]});
    for part in [1, 3, 7] {
        let came = run::<Aggregate>(&options, &cut(&sample(), part)).expect("it runs");
        assert_eq!(
            came.rows,
            [
                "b | 3 | 3 | -2 | -0.6666666666666666 | 0.6 | 0.1 | 0.3 | Y | x | 1 | null | Y | 2 | 1.0",
                "a | 2 | 0 | null | null | NaN | 1.0 | NaN | a | é | null | a | a | 2 | null",
                "null | 2 | 2 | 8 | 4.0 | 0.3 | 0.3 | 0.3 |  | z | 3 | z | z | 2 | 4.0",
            ]
        );
    }
}

#[test]
fn no_rows_make_one_group_without_keys_and_none_with() {
    let empty = sample().slice(0, 0);
    let metrics = json!([{"name": "rows", "measure": "rows"}, {"name": "sum", "measure": {"sum": "i"}}, {"name": "p", "measure": {"quantile": {"column": "f", "q": 0.9}}},
        {"name": "max", "measure": {"max": "t"}}, {"name": "d", "measure": {"count_distinct": "t"}}]);
    let came = |keys| run::<Aggregate>(&json!({"group_by": keys, "metrics": metrics}), std::slice::from_ref(&empty)).expect("it runs").rows;
    assert_eq!(came(json!([])), ["0 | null | null | null | 0"]);
    assert_eq!(came(json!(["k"])), [""; 0]);
}

#[test]
fn a_source_without_columns_has_no_values() {
    let options = RecordBatchOptions::new().with_row_count(Some(3));
    let batch = RecordBatch::try_new_with_options(Schema::empty().into(), vec![], &options).expect("no columns");
    let came = run::<Aggregate>(
        &json!({"group_by": ["k"], "metrics": [{"name": "rows", "measure": "rows"}, {"name": "s", "measure": {"sum": "x"}}, {"name": "m", "measure": {"min": "x"}}]}),
        &[batch],
    );
    assert_eq!(came.expect("it runs").rows, ["null | 3 | null | null"]);
}

#[test]
fn zeros_are_one_key_and_so_are_those_that_are_no_numbers() {
    let odd = f64::from_bits(f64::NAN.to_bits() | 1 << 63 | 5);
    let batch = rows([("f", column(Float64Array::from(vec![0.0, -0.0, f64::NAN, odd, 1.0])))]);
    let came = run::<Aggregate>(&json!({"group_by": ["f"], "metrics": [{"name": "rows", "measure": "rows"}]}), &[batch]);
    assert_eq!(came.expect("it runs").rows, ["0.0 | 2", "NaN | 2", "1.0 | 1"]);
}

#[test]
fn sums_of_floats_lose_nothing_on_the_way() {
    let values: Vec<f64> = std::iter::once(1e16).chain(std::iter::repeat_n(1.0, 1000)).chain([-1e16]).collect();
    let batch = rows([
        ("f", column(Float64Array::from(values))),
        ("i", column(Float64Array::from_iter_values((0..1002).map(|row| if row == 5 { f64::INFINITY } else { 1.0 })))),
    ]);
    let metrics = json!([{"name": "s", "measure": {"sum": "f"}}, {"name": "i", "measure": {"sum": "i"}}]);
    let came = run::<Aggregate>(&json!({"group_by": [], "metrics": metrics}), &cut(&batch, 100)).expect("it runs");
    assert_eq!(came.rows, ["1000.0 | inf"]);
}

#[test]
fn decimals_and_large_ints_are_exact() {
    let decimals = Decimal128Array::from(vec![Some(10), Some(20), None, Some(99_999_999_999_999_999)])
        .with_precision_and_scale(20, 2)
        .expect("it fits");
    let batch = rows([
        ("d", column(decimals)),
        ("u", column(UInt64Array::from(vec![u64::MAX, u64::MAX, 1, 0]))),
        ("i", column(Int64Array::from(vec![i64::MAX, i64::MIN, 1, 2]))),
    ]);
    let metrics = json!([{"name": "d", "measure": {"sum": "d"}}, {"name": "u", "measure": {"sum": "u"}}, {"name": "i", "measure": {"sum": "i"}},
        {"name": "max", "measure": {"max": "d"}}, {"name": "avg", "measure": {"avg": "d"}}]);
    let came = run::<Aggregate>(&json!({"group_by": [], "metrics": metrics}), &cut(&batch, 2)).expect("it runs");
    assert_eq!(came.rows, ["1000000000000000.29 | 36893488147419103231 | 2 | 999999999999999.99 | 333333333333333.44"]);
}

#[test]
fn a_sum_that_its_type_cannot_hold_ends_the_run_and_names_the_group() {
    let batch = rows([
        ("k", column(StringArray::from(vec!["a", "b", "b"]))),
        ("n", column(Int32Array::from(vec![Some(1), None, Some(7)]))),
        ("i", column(Int64Array::from(vec![1, i64::MAX, 1]))),
    ]);
    let options = json!({"group_by": ["k", "n"], "metrics": [{"name": "total", "measure": {"sum": "i"}}]});
    assert!(run::<Aggregate>(&options, std::slice::from_ref(&batch)).is_ok());
    let options = json!({"group_by": ["k"], "metrics": [{"name": "total", "measure": {"sum": "i"}}]});
    let error = run::<Aggregate>(&options, &[batch]).expect_err("it is too large");
    assert_eq!(
        line(error),
        "metrics.total: the sum of `i` in group {k: b} is 9223372036854775808, more than int can hold | convert the column before: `convert: {i: \"decimal(38,0)\"}` is exact, `float` is near"
    );
    let most = Decimal128Array::from(vec![10i128.pow(38) - 1; 2]).with_precision_and_scale(38, 0).expect("it fits");
    let error =
        run::<Aggregate>(&json!({"group_by": [], "metrics": [{"name": "s", "measure": {"sum": "d"}}]}), &[rows([("d", column(most))])]);
    assert_eq!(
        line(error.expect_err("it is too large")),
        "metrics.s: the sum of `d` has more than the 38 digits of a decimal | convert the column before: `convert: {d: float}` is near"
    );
}

#[test]
fn values_keep_their_types() {
    let mut lists = ListBuilder::new(Int64Builder::new());
    lists.append_value([Some(1), Some(2)]);
    lists.append_null();
    lists.append_value([Some(0)]);
    let batch = rows([
        ("day", column(Date32Array::from(vec![3, 1, 2]))),
        ("at", column(TimestampMillisecondArray::from(vec![5, 9, 7]).with_timezone("+01:00"))),
        ("ok", column(BooleanArray::from(vec![true, false, true]))),
        ("list", column(lists.finish())),
    ]);
    let metric = |name: &str, measure: serde_json::Value| json!({"name": name, "measure": measure});
    let options = json!({"group_by": [], "metrics": [
        metric("day", json!({"min": "day"})), metric("at", json!({"max": "at"})), metric("ok", json!({"min": "ok"})),
        metric("list", json!({"min": "list"})), metric("first", json!({"first": {"column": "list", "skip_nulls": false}})),
        metric("last", json!({"last": {"column": "list", "skip_nulls": false}})), metric("lists", json!({"count_distinct": "list"})),
    ], "memory_bytes": 1 << 30});
    let (_, plan) = configure::<Aggregate>(&options, &batch.schema()).expect("the options are right");
    let types: Vec<DataType> = plan.output().expect("it is known").fields().iter().map(|field| field.data_type().clone()).collect();
    let input = batch.schema();
    let of = |name: &str| input.field_with_name(name).expect("it is there").data_type().clone();
    assert_eq!(types, [of("day"), of("at"), of("ok"), of("list"), of("list"), of("list"), DataType::Int64]);
    let came = run::<Aggregate>(&options, &cut(&batch, 2)).expect("it runs");
    assert_eq!(came.rows, ["1970-01-02 | 1970-01-01T01:00:00.009+01:00 | false | [0] | [1, 2] | [0] | 2"]);
}

#[test]
fn quantiles_lie_between_their_neighbours() {
    let values = vec![Some(4.0), Some(1.0), None, Some(3.0), Some(2.0)];
    let batch = rows([("f", column(Float64Array::from(values)))]);
    let metrics: Vec<_> = [0.0, 0.1, 0.25, 0.5, 0.9, 1.0]
        .iter()
        .map(|q| json!({"name": format!("q{q}"), "measure": {"quantile": {"column": "f", "q": q}}}))
        .collect();
    let came = run::<Aggregate>(&json!({"group_by": [], "metrics": metrics}), &cut(&batch, 2)).expect("it runs");
    assert_eq!(came.rows, ["1.0 | 1.3 | 1.75 | 2.5 | 3.7 | 4.0"]);
}

#[test]
fn what_is_not_there_or_does_not_fit_is_told_at_once() {
    let options = json!({"group_by": ["K", "kk"], "metrics": [
        {"name": "a", "measure": {"sum": "t"}}, {"name": "b", "measure": {"avg": "price"}},
        {"name": "c", "measure": {"vwap": {"price": "f", "size": "t"}}}, {"name": "d", "measure": {"min": "ff"}}]});
    assert_eq!(
        wrong::<Aggregate>(&options, &sample().schema()),
        [
            "group_by: there is no column `K` | did you mean `k`? columns here are `k`, `i`, `f`, `t`",
            "group_by: there is no column `kk` | did you mean `k`? columns here are `k`, `i`, `f`, `t`",
            "metrics.a.sum: it takes a number, but column `t` is text | convert it before: `convert: {t: float}`; columns that fit are `i`, `f`",
            "metrics.b.avg: there is no column `price` | columns here are `k`, `i`, `f`, `t`",
            "metrics.c.size: it takes a number, but column `t` is text | convert it before: `convert: {t: float}`; columns that fit are `i`, `f`",
            "metrics.d.min: there is no column `ff` | did you mean `f`? columns here are `k`, `i`, `f`, `t`",
        ]
    );
}

#[test]
fn more_groups_than_memory_are_told_before_the_sandbox_ends_it() {
    let batch = rows([("k", column(Int64Array::from_iter_values(0..600_000)))]);
    let options = json!({"group_by": ["k"], "metrics": [{"name": "rows", "measure": "rows"}], "memory_bytes": 64 << 20});
    let error = run::<Aggregate>(&options, &cut(&batch, 100_000)).expect_err("it is too much");
    assert!(matches!(error.kind, etl_sdk::ErrorKind::Unsupported), "{error:?}");
    let text = line(error);
    assert!(text.contains("groups take ") && text.contains("of the 64.0 MiB that the stage may use it can hold 22.4 MiB"), "{text}");
    assert!(
        text.ends_with("raise `limits: {memory_mb: 128}` of the step, or group by columns with fewer values, or leave rows out before it"),
        "{text}"
    );
}
