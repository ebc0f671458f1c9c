//! `aggregate`, `dedupe`, `sort` and `window`, from the front door.

mod columns;
mod snapshot;

use serde_json::json;

use crate::support::Pipeline;

const TRADES: &str = "\
id,ts,symbol,price,size
1,2024-03-01T09:00:05Z,A,10.5,2
2,2024-03-01T09:00:40Z,B,7,1
3,2024-03-01T09:00:20Z,A,11.5,
4,2024-03-01T09:01:10Z,A,12,4
5,2024-03-01T09:00:50Z,A,9,1
6,2024-03-01T09:02:30Z,,8,1
7,2024-03-01T09:00:59Z,B,1,1
8,,B,1,1
9,2024-03-01T09:02:31Z,B,,3
";

const CONVERT: &str = "transform:\n  - convert: {ts: datetime, price: float, size: int}\n";

fn rows(report: &serde_json::Value) -> String {
    let rows = &report["rows"];
    format!("{} + {} = {} + {} + {}", rows["read"], rows["expanded"], rows["loaded"], rows["filtered"], rows["rejected"])
}

#[test]
fn rows_become_groups_and_the_count_of_rows_balances() {
    let steps = "  - aggregate: {group_by: symbol, metrics: {rows: count, sizes: {sum: size}, mean: {avg: price}, last: {last: price, nulls: skip}}}\n";
    let pipeline = Pipeline::of(("trades.csv", TRADES), &format!("{CONVERT}{steps}"), "out.jsonl");
    let report = pipeline.run(0);
    assert_eq!(
        pipeline.read("out.jsonl"),
        "{\"symbol\":\"A\",\"rows\":4,\"sizes\":7,\"mean\":10.75,\"last\":9.0}\n\
         {\"symbol\":\"B\",\"rows\":4,\"sizes\":6,\"mean\":3.0,\"last\":1.0}\n\
         {\"symbol\":null,\"rows\":1,\"sizes\":1,\"mean\":8.0,\"last\":8.0}\n"
    );
    assert_eq!(rows(&report), "9 + 0 = 3 + 6 + 0");
}

#[test]
fn rows_without_a_group_by_become_one_row_even_where_there_are_none() {
    let steps = "  - aggregate: {metrics: {rows: count, high: {max: price}}}\n";
    let pipeline = Pipeline::of(("trades.csv", "id,ts,symbol,price,size\n"), &format!("{CONVERT}{steps}"), "out.jsonl");
    assert_eq!(rows(&pipeline.run(0)), "0 + 1 = 1 + 0 + 0");
    assert_eq!(pipeline.read("out.jsonl"), "{\"rows\":0,\"high\":null}\n");
    let pipeline =
        Pipeline::of(("trades.csv", ""), "transform:\n  - aggregate: {group_by: [symbol], metrics: {rows: count}}\n", "out.jsonl");
    assert_eq!(rows(&pipeline.run(0)), "0 + 0 = 0 + 0 + 0");
}

#[test]
fn windows_come_out_once_they_close_and_late_rows_go_to_the_dead_letters() {
    let steps =
        "  - window: {time: ts, size: 1m, lateness: 30s, group_by: [symbol], ohlc: {price: price, size: size}, metrics: {trades: count}}\n";
    let pipeline = Pipeline::of(("trades.csv", TRADES), &format!("{CONVERT}{steps}"), "out.jsonl");
    let report = pipeline.run(0);
    insta::assert_snapshot!(pipeline.read("out.jsonl"), @r##"
    {"window_start":"2024-03-01T09:00:00Z","window_end":"2024-03-01T09:01:00Z","symbol":"A","open":10.5,"high":11.5,"low":9.0,"close":9.0,"volume":3,"vwap":10.0,"trades":3}
    {"window_start":"2024-03-01T09:00:00Z","window_end":"2024-03-01T09:01:00Z","symbol":"B","open":7.0,"high":7.0,"low":7.0,"close":7.0,"volume":1,"vwap":7.0,"trades":1}
    {"window_start":"2024-03-01T09:01:00Z","window_end":"2024-03-01T09:02:00Z","symbol":"A","open":12.0,"high":12.0,"low":12.0,"close":12.0,"volume":4,"vwap":12.0,"trades":1}
    {"window_start":"2024-03-01T09:02:00Z","window_end":"2024-03-01T09:03:00Z","symbol":null,"open":8.0,"high":8.0,"low":8.0,"close":8.0,"volume":1,"vwap":8.0,"trades":1}
    {"window_start":"2024-03-01T09:02:00Z","window_end":"2024-03-01T09:03:00Z","symbol":"B","open":null,"high":null,"low":null,"close":null,"volume":3,"vwap":null,"trades":1}
    "##);
    let letters: Vec<_> = pipeline
        .letters()
        .iter()
        .map(|letter| {
            format!("{} {} {}", letter["metadata"]["row"], letter["error_type"].as_str().unwrap(), letter["message"].as_str().unwrap())
        })
        .collect();
    insta::assert_snapshot!(letters.join("\n"), @r##"
    7 late_row it came too late: its window 2024-03-01T09:00:00Z to 2024-03-01T09:01:00Z closed when a row of 2024-03-01T09:02:30Z came (`lateness` is 30s)
    8 no_time column `ts` has no time
    "##);
    assert_eq!(rows(&report), "9 + 0 = 5 + 2 + 2");
    assert_eq!(report["dead_letters"]["by_code"], json!({"late_row": 1, "no_time": 1}));
}

#[test]
fn of_rows_with_one_key_one_stays_and_the_others_are_filtered() {
    for (step, ids) in [
        ("dedupe: [symbol]", "1 2 6"),
        ("dedupe: {key: symbol, keep: last}", "5 6 9"),
        ("dedupe: {key: symbol, order_by: [-price]}", "2 4 6"),
        ("dedupe: true", "1 2 3 4 5 6 7 8 9"),
        ("sort: [symbol, -ts]", "4 5 3 1 9 7 2 8 6"),
        ("sort: [{column: price, order: desc, nulls: first}, -id]", "9 4 3 1 5 6 2 8 7"),
    ] {
        let pipeline = Pipeline::of(("trades.csv", TRADES), &format!("{CONVERT}  - {step}\n"), "out.jsonl");
        let report = pipeline.run(0);
        let text = pipeline.read("out.jsonl");
        let found: Vec<_> = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].to_string()).collect();
        assert_eq!(found.join(" "), ids, "{step}");
        assert_eq!(rows(&report), format!("9 + 0 = {} + {} + 0", found.len(), 9 - found.len()), "{step}");
    }
}

#[test]
fn what_a_step_names_and_the_input_lacks_is_told_with_its_place_before_a_row_is_read() {
    let steps = "  - aggregate:\n      group_by: [symbl]\n      metrics: {total: {sum: symbol}}\n";
    let pipeline = Pipeline::of(("trades.csv", TRADES), &format!("{CONVERT}{steps}"), "out.jsonl");
    for command in ["run", "plan"] {
        let answer = pipeline.answer(&[command]);
        assert_eq!(answer.code, 2, "{answer:?}");
        insta::allow_duplicates! { insta::assert_snapshot!(answer.stderr, @r##"
    ./transform.yaml:4:7: error: `transform[1].aggregate`: stage `aggregate`, `group_by`: there is no column `symbl`
      because: and `metrics.total.sum`: it takes a number, but column `symbol` is text
      hint: did you mean `symbol`? columns here are `id`, `ts`, `symbol`, `price`, `size`
    "##); }
    }
    assert!(!pipeline.names().contains(&"out.jsonl".to_owned()));
}

#[test]
fn the_plan_says_what_the_steps_do() {
    let steps = "  - dedupe: {key: [id], keep: last, order_by: [-price]}\n  - window: {time: ts, size: 90s, lateness: 5s, group_by: [symbol], ohlc: {price: price, size: size}}\n  - sort: [symbol, -vwap]\n  - aggregate: {group_by: [symbol], metrics: {bars: count, p95: {quantile: vwap, q: 0.95}}}\n";
    let pipeline = Pipeline::of(("trades.csv", TRADES), &format!("{CONVERT}{steps}"), "out.jsonl");
    let answer = pipeline.answer(&["plan"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let told: Vec<_> = answer
        .stdout
        .lines()
        .filter(|line| line.starts_with("  stage") || line.contains("MiB") || line.starts_with("    schema"))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r##"
    stage      ops: convert 3
      limits   50.0 M fuel a batch + 100.0 k a row, 64 MiB, 30 s a batch, 64 MiB or 16 times the input of output a batch
      schema   id: Int64, ts: Timestamp(µs, "UTC"), symbol: Utf8, price: Float64, size: Int64
    stage      dedupe: dedupe on id, the last by price desc stays
      limits   50.0 M fuel a batch + 100.0 k a row, 512 MiB, 30 s a batch, 64 MiB or 16 times the input of output a batch
      schema   id: Int64, ts: Timestamp(µs, "UTC"), symbol: Utf8, price: Float64, size: Int64
    stage      window: window 1m30s of ts + 5s for late rows by symbol to open = first(price not null), high = max(price), low = min(price), close = last(price not null), volume = sum(size), vwap = vwap(price, size)
      limits   50.0 M fuel a batch + 100.0 k a row, 512 MiB, 30 s a batch, 64 MiB or 16 times the input of output a batch
      schema   window_start: Timestamp(µs, "UTC"), window_end: Timestamp(µs, "UTC"), symbol: Utf8, open: Float64, high: Float64, low: Float64, close: Float64, volume: Int64, vwap: Float64
    stage      sort: sort by symbol, vwap desc
      limits   50.0 M fuel a batch + 100.0 k a row, 512 MiB, 30 s a batch, 64 MiB or 16 times the input of output a batch
      schema   window_start: Timestamp(µs, "UTC"), window_end: Timestamp(µs, "UTC"), symbol: Utf8, open: Float64, high: Float64, low: Float64, close: Float64, volume: Int64, vwap: Float64
    stage      aggregate: aggregate by symbol to bars = count, p95 = quantile(vwap, 0.95)
      limits   50.0 M fuel a batch + 100.0 k a row, 512 MiB, 30 s a batch, 64 MiB or 16 times the input of output a batch
      schema   symbol: Utf8, bars: Int64, p95: Float64
    "##);
}

#[test]
fn a_million_groups_against_little_memory_end_the_run_with_what_to_do() {
    let input: String = std::iter::once("k\n".to_owned()).chain((0..1_000_000).map(|row| format!("{row}\n"))).collect();
    let steps = "transform:\n  - aggregate: {group_by: [k], metrics: {rows: count}, limits: {memory_mb: 32}}\n";
    let pipeline = Pipeline::of(("in.csv", &input), steps, "out.jsonl");
    let answer = pipeline.answer(&["run", "--quiet"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    insta::assert_snapshot!(answer.stderr, @r##"
    error: stage `aggregate`: 230,000 groups take 9.7 MiB, but of the 32.0 MiB that the stage may use it can hold 9.6 MiB, since its state must fit beside a snapshot of it
      hint: raise `limits: {memory_mb: 128}` of the step, or group by columns with fewer values, or leave rows out before it
    "##);
    assert!(!pipeline.names().iter().any(|name| name.starts_with("out")));
}

#[test]
fn a_sum_beyond_64_bits_ends_the_run_and_a_decimal_holds_it() {
    let input = "k,n\na,9223372036854775807\na,1\n";
    let sum = "  - aggregate: {group_by: [k], metrics: {total: {sum: n}}}\n";
    let pipeline = Pipeline::of(("in.csv", input), &format!("transform:\n{sum}"), "out.jsonl");
    let answer = pipeline.answer(&["run", "--quiet"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    insta::assert_snapshot!(answer.stderr, @r##"
    error: finishing stage `aggregate`: the sum of `n` in group {k: a} is 9223372036854775808, more than int can hold
      hint: convert the column before: `convert: {n: "decimal(38,0)"}` is exact, `float` is near
    "##);
    let pipeline = Pipeline::of(("in.csv", input), &format!("transform:\n  - convert: {{n: \"decimal(38,0)\"}}\n{sum}"), "out.jsonl");
    pipeline.run(0);
    assert_eq!(pipeline.read("out.jsonl"), "{\"k\":\"a\",\"total\":9223372036854775808}\n");
}

#[test]
fn instants_of_any_zone_fall_into_windows_of_utc_and_keep_their_zone() {
    let input = "ts,n\n2024-03-31T01:30:00+01:00,1\n2024-03-31T03:30:00+02:00,2\n2024-03-30T23:59:59Z,4\n2024-03-31T00:00:00,8\n";
    let steps =
        "transform:\n  - convert: {ts: \"timestamp(+02:00)\"}\n  - window: {time: ts, size: 1d, lateness: 1d, metrics: {n: {sum: n}}}\n";
    let pipeline = Pipeline::of(("in.csv", input), steps, "out.jsonl");
    pipeline.run(0);
    insta::assert_snapshot!(pipeline.read("out.jsonl"), @r##"
    {"window_start":"2024-03-30T02:00:00+02:00","window_end":"2024-03-31T02:00:00+02:00","n":12}
    {"window_start":"2024-03-31T02:00:00+02:00","window_end":"2024-04-01T02:00:00+02:00","n":3}
    "##);
}

#[test]
fn one_giant_group_needs_no_more_memory_than_a_small_one() {
    let input: String = std::iter::once("k,n\n".to_owned()).chain((0..200_000).map(|row| format!("1,{}\n", row % 10))).collect();
    let steps =
        "transform:\n  - aggregate: {group_by: [k], metrics: {rows: count, total: {sum: n}, low: {min: n}}, limits: {memory_mb: 16}}\n";
    let pipeline = Pipeline::of(("in.csv", &input), steps, "out.jsonl");
    pipeline.run(0);
    assert_eq!(pipeline.read("out.jsonl"), "{\"k\":1,\"rows\":200000,\"total\":900000,\"low\":0}\n");
}

/// Once in a while all rows that are kept are moved together: the batch that meets it has fuel for that.
#[test]
fn many_keys_with_a_row_each_do_not_run_out_of_fuel() {
    let input: String = std::iter::once("k,a,b,c,d,e,f\n".to_owned())
        .chain((0..300_000).map(|row| format!("{},{row},text {row},{row}.5,some {row},more {row},{row}\n", row % 90_000)))
        .collect();
    let pipeline = Pipeline::of(("in.csv", &input), "transform:\n  - dedupe: {key: [k], keep: last}\n", "out.jsonl");
    assert_eq!(rows(&pipeline.run(0)), "300000 + 0 = 90000 + 210000 + 0");
}

#[test]
fn steps_of_this_kind_follow_each_other_and_simple_ones() {
    let steps = "  - dedupe: [id]\n  - aggregate: {group_by: [symbol], metrics: {total: {sum: size}}}\n  - add: {label: \"${symbol}: ${total}\"}\n  - sort: [-total]\n  - filter: {field: symbol, operator: is_not_null}\n";
    let pipeline = Pipeline::of(("trades.csv", TRADES), &format!("{CONVERT}{steps}"), "out.jsonl");
    assert_eq!(rows(&pipeline.run(0)), "9 + 0 = 2 + 7 + 0");
    assert_eq!(
        pipeline.read("out.jsonl"),
        "{\"symbol\":\"A\",\"total\":7,\"label\":\"A: 7\"}\n{\"symbol\":\"B\",\"total\":6,\"label\":\"B: 6\"}\n"
    );
}
