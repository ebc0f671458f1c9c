use arrow_array::{Date32Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, TimestampSecondArray};
use serde_json::json;

use super::{column, cut, rows, run, wrong};
use crate::Window;

/// Trades at so many seconds.
fn trades(trades: &[(Option<i64>, &str, Option<f64>, i64)]) -> RecordBatch {
    rows([
        (
            "ts",
            column(
                TimestampMicrosecondArray::from_iter(trades.iter().map(|trade| trade.0.map(|second| second * 1_000_000)))
                    .with_timezone("+00:00"),
            ),
        ),
        ("symbol", column(StringArray::from_iter_values(trades.iter().map(|trade| trade.1)))),
        ("price", column(Float64Array::from_iter(trades.iter().map(|trade| trade.2)))),
        ("size", column(Int64Array::from_iter_values(trades.iter().map(|trade| trade.3)))),
    ])
}

fn ohlc() -> serde_json::Value {
    json!([
        {"name": "open", "measure": {"first": {"column": "price", "skip_nulls": true}}},
        {"name": "high", "measure": {"max": "price"}},
        {"name": "low", "measure": {"min": "price"}},
        {"name": "close", "measure": {"last": {"column": "price", "skip_nulls": true}}},
        {"name": "volume", "measure": {"sum": "size"}},
        {"name": "vwap", "measure": {"vwap": {"price": "price", "size": "size"}}},
    ])
}

#[test]
fn rows_out_of_order_count_by_their_time_and_late_ones_are_refused_however_batches_are_cut() {
    let batch = trades(&[
        (Some(61), "a", Some(10.0), 1),
        (Some(60), "a", Some(9.0), 3),
        (Some(30), "a", Some(1.0), 1),
        (Some(119), "b", None, 5),
        (None, "a", Some(1.0), 1),
        (Some(119), "a", Some(12.0), 2),
        (Some(119), "a", Some(11.0), 2),
        (Some(125), "a", Some(20.0), 0),
        (Some(118), "b", Some(7.0), 1),
        (Some(130), "b", Some(8.0), 2),
        (Some(117), "b", Some(6.0), 1),
        (Some(-1), "b", Some(6.0), 1),
    ]);
    let options = json!({"time": "ts", "size": "1m", "lateness": "10s", "offset": "0s", "group_by": ["symbol"], "metrics": ohlc()});
    let mut all = Vec::new();
    for part in [12, 5, 1] {
        let came = run::<Window>(&options, &cut(&batch, part)).expect("it runs");
        assert_eq!(
            came.rows,
            [
                // 30 came while the window of the first minute was open still: 61 is less than 60 + 10.
                "1970-01-01T00:00:00Z | 1970-01-01T00:01:00Z | a | 1.0 | 1.0 | 1.0 | 1.0 | 1 | 1.0",
                "1970-01-01T00:01:00Z | 1970-01-01T00:02:00Z | a | 9.0 | 12.0 | 9.0 | 11.0 | 8 | 10.375",
                "1970-01-01T00:01:00Z | 1970-01-01T00:02:00Z | b | 7.0 | 7.0 | 7.0 | 7.0 | 6 | 7.0",
                "1970-01-01T00:02:00Z | 1970-01-01T00:03:00Z | a | 20.0 | 20.0 | 20.0 | 20.0 | 0 | null",
                "1970-01-01T00:02:00Z | 1970-01-01T00:03:00Z | b | 8.0 | 8.0 | 8.0 | 8.0 | 2 | 8.0",
            ],
            "in parts of {part}"
        );
        all.push(came.refused.iter().map(|refused| refused.split_once(' ').expect("a row").1.to_owned()).collect::<Vec<_>>());
    }
    assert_eq!(
        all[0],
        [
            "no_time: column `ts` has no time",
            "late_row: it came too late: its window 1970-01-01T00:01:00Z to 1970-01-01T00:02:00Z closed when a row of 1970-01-01T00:02:10Z came (`lateness` is 10s)",
            "late_row: it came too late: its window 1969-12-31T23:59:00Z to 1970-01-01T00:00:00Z closed when a row of 1970-01-01T00:02:10Z came (`lateness` is 10s)",
        ]
    );
    assert!(all.iter().all(|refused| *refused == all[0]));
}

#[test]
fn windows_may_be_shifted_and_hold_days() {
    // 1970-01-05 was a Monday.
    let batch = rows([("day", column(Date32Array::from(vec![3, 4, 10, 11, -4]))), ("n", column(Int64Array::from(vec![1, 2, 3, 4, 5])))]);
    let options = |lateness: &str| json!({"time": "day", "size": "7d", "lateness": lateness, "offset": "4d", "group_by": [], "metrics": [{"name": "n", "measure": {"sum": "n"}}]});
    let came = run::<Window>(&options("30d"), &cut(&batch, 2)).expect("it runs");
    assert_eq!(
        came.rows,
        ["1969-12-22 | 1969-12-29 | 5", "1969-12-29 | 1970-01-05 | 1", "1970-01-05 | 1970-01-12 | 5", "1970-01-12 | 1970-01-19 | 4"]
    );
}

#[test]
fn times_that_no_window_can_hold_are_refused() {
    let batch = rows([("ts", column(TimestampSecondArray::from(vec![i64::MIN, i64::MAX, 0])))]);
    let options = json!({"time": "ts", "size": "1h", "lateness": "1h", "offset": "0s", "group_by": [], "metrics": [{"name": "rows", "measure": "rows"}]});
    let came = run::<Window>(&options, &[batch]).expect("it runs");
    assert_eq!(came.rows, ["1970-01-01T00:00:00 | 1970-01-01T01:00:00 | 1"]);
    assert_eq!(came.refused.len(), 2, "{came:?}");
    assert!(came.refused[0].contains("too far away"), "{came:?}");
}

#[test]
fn a_time_that_is_none_and_a_size_that_does_not_fit_are_told() {
    let schema = trades(&[]).schema();
    let options = json!({"time": "symbol", "size": "1m", "lateness": "0s", "offset": "0s", "group_by": ["symbl"], "metrics": []});
    assert_eq!(
        wrong::<Window>(&options, &schema),
        [
            "time: it takes a timestamp or date, but column `symbol` is text | convert it before: `convert: {symbol: datetime}`; columns that fit are `ts`",
            "group_by: there is no column `symbl` | did you mean `symbol`? columns here are `ts`, `symbol`, `price`, `size`",
        ]
    );
    let days = rows([("day", column(Date32Array::from(vec![1])))]).schema();
    let options = json!({"time": "day", "size": "36h", "lateness": "1h", "offset": "0s", "group_by": [], "metrics": []});
    assert_eq!(
        wrong::<Window>(&options, &days),
        [
            "size: the times are whole days, of which `1d12h` is not a number",
            "lateness: the times are whole days, of which `1h` is not a number"
        ]
    );
}
