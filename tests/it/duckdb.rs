//! Results of `aggregate`, `dedupe`, `sort` and `window` equal those of DuckDB over the same rows.
//!
//! `ETL_DUCKDB_ROWS` sets how many rows there are, 100,000 by default; `ETL_PYTHON` names the Python that has `duckdb`.

use std::fmt::Write;
use std::process::Command;
use std::sync::LazyLock;

use crate::support::{Pipeline, root};

/// What every pipeline does first.
const CONVERT: &str = "  - convert: {ts: datetime, price: float, amount: \"decimal(18,4)\", size: int, venue: string, note: string}\n";

/// The rows, drawn from a number.
static TRADES: LazyLock<String> = LazyLock::new(|| {
    let rows: u64 = std::env::var("ETL_DUCKDB_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(100_000);
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut draw = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut text = String::from("id,ts,symbol,venue,price,amount,size,note\n");
    for id in 0..rows {
        // Some come out of order, and some of those too late.
        let (is_late, is_too_late) = (draw(10) == 0, draw(20) == 0);
        let late = if is_late { draw(if is_too_late { 400_000 } else { 4000 }) } else { 0 };
        let ms = (id * 250 + draw(250)).saturating_sub(late);
        let (seconds, ms) = (ms / 1000, ms % 1000);
        let (day, clock) = (1 + seconds / 86_400, seconds % 86_400);
        let symbol = draw(40);
        let venue = if draw(12) == 0 { String::new() } else { format!("V{}", draw(5)) };
        let price = if draw(50) == 0 { String::new() } else { format!("{}.{:03}", 10 + draw(400), draw(1000)) };
        let note = if draw(3) == 0 { String::new() } else { format!("n{}", draw(2000)) };
        writeln!(
            text,
            "{id},2024-03-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z,S{symbol},{venue},{price},{}.{:04},{},{note}",
            clock / 3600,
            clock / 60 % 60,
            clock % 60,
            draw(100_000),
            draw(10_000),
            1 + draw(500)
        )
        .unwrap();
    }
    text
});

/// The Python that has DuckDB; none where it is not installed.
fn python() -> Option<String> {
    let python = std::env::var("ETL_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", "import duckdb"]).output().is_ok_and(|output| output.status.success());
    if !has {
        #[expect(clippy::print_stdout, reason = "a test that does nothing says so")]
        {
            println!("skipped: `{python}` has no duckdb (pip install duckdb)");
        }
    }
    has.then_some(python)
}

/// Runs steps over the trades and compares what comes out with a query; answers the run's report.
fn equals(steps: &str, query: &str) -> Option<serde_json::Value> {
    let python = python()?;
    let pipeline = Pipeline::of(("trades.csv", &TRADES), &format!("transform:\n{CONVERT}{steps}"), "out.jsonl").with("query.sql", query);
    let report = pipeline.run(0);
    let mut compare = Command::new(python);
    compare.arg(root().join("tests/duckdb/compare.py")).args(["trades.csv", "out.jsonl", "query.sql"].map(|name| pipeline.path(name)));
    let output = compare.output().unwrap();
    let (found, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{steps}\n{error}");
    assert_eq!(found.trim(), report["rows"]["loaded"].to_string(), "{steps}");
    Some(report)
}

#[test]
fn aggregates_equal_those_of_duckdb() {
    equals(
        "  - aggregate:\n      group_by: [symbol, venue]\n      metrics:\n        rows: count\n        priced: {count: price}\n        sizes: {sum: size}\n        amounts: {sum: amount}\n        prices: {sum: price}\n        mean: {avg: price}\n        mean_size: {avg: size}\n        low: {min: price}\n        high: {max: price}\n        least_note: {min: note}\n        greatest_note: {max: note}\n        start: {min: ts}\n        most: {max: amount}\n        opened: {first: price}\n        closed: {last: price}\n        closed_at: {last: price, nulls: skip}\n        notes: {count_distinct: note}\n        median: {median: price}\n        p95: {quantile: size, q: 0.95}\n        vwap: {vwap: price, size: size}\n",
        "SELECT symbol, venue, count(*) AS rows, count(price) AS priced, sum(size)::BIGINT AS sizes, sum(amount) AS amounts, fsum(price) AS prices,
            avg(price) AS mean, avg(size) AS mean_size, min(price) AS low, max(price) AS high, min(note) AS least_note,
            max(note) AS greatest_note, min(ts) AS start, max(amount) AS most, first(price ORDER BY id) AS opened, last(price ORDER BY id) AS closed,
            arg_max(price, id) AS closed_at, count(DISTINCT note) AS notes, quantile_cont(price, 0.5) AS median,
            quantile_cont(size, 0.95) AS p95, sum(price * size) / sum(size) FILTER (price IS NOT NULL) AS vwap
        FROM trades GROUP BY symbol, venue ORDER BY min(id)",
    );
}

#[test]
fn one_group_of_all_rows_equals_that_of_duckdb() {
    equals(
        "  - aggregate: {metrics: {rows: count, notes: {count_distinct: note}, amounts: {sum: amount}, p1: {quantile: price, q: 0.01}}}\n",
        "SELECT count(*) AS rows, count(DISTINCT note) AS notes, sum(amount) AS amounts, quantile_cont(price, 0.01) AS p1 FROM trades",
    );
}

#[test]
fn many_groups_equal_those_of_duckdb() {
    equals(
        "  - aggregate: {group_by: [size, note], metrics: {rows: count, total: {sum: amount}}}\n",
        "SELECT size, note, count(*) AS rows, sum(amount) AS total FROM trades GROUP BY size, note ORDER BY min(id)",
    );
}

#[test]
fn rows_without_their_duplicates_equal_those_of_duckdb() {
    let ranked = |order: &str| {
        format!(
            "SELECT * EXCLUDE rank FROM (SELECT *, row_number() OVER (PARTITION BY symbol, note ORDER BY {order}) AS rank FROM trades) WHERE rank = 1 ORDER BY id"
        )
    };
    for (step, order) in [
        ("dedupe: [symbol, note]", "id"),
        ("dedupe: {key: [symbol, note], keep: last}", "id DESC"),
        ("dedupe: {key: [symbol, note], order_by: [-price]}", "price DESC NULLS LAST, id"),
        ("dedupe: {key: [symbol, note], keep: last, order_by: [price]}", "price DESC NULLS FIRST, id DESC"),
    ] {
        let Some(report) = equals(&format!("  - {step}\n"), &ranked(order)) else { return };
        let rows = &report["rows"];
        assert_eq!(rows["filtered"].as_u64(), rows["read"].as_u64().zip(rows["loaded"].as_u64()).map(|(read, loaded)| read - loaded));
        assert_eq!(rows["expanded"], 0);
    }
}

#[test]
fn sorted_rows_equal_those_of_duckdb() {
    equals(
        "  - sort: [venue, -price, {column: note, nulls: first}]\n",
        "SELECT * FROM trades ORDER BY venue NULLS LAST, price DESC NULLS LAST, note NULLS FIRST, id",
    );
}

#[test]
fn windows_and_late_rows_equal_those_of_duckdb() {
    let report = equals(
        "  - window:\n      time: ts\n      size: 1m\n      lateness: 5s\n      group_by: [symbol]\n      ohlc: {price: price, size: size}\n      metrics: {trades: count, p90: {quantile: size, q: 0.9}}\n",
        "WITH fallen AS (SELECT *, time_bucket(INTERVAL 1 MINUTE, ts) AS start,
                coalesce(max(ts) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), TIMESTAMP '1970-01-01') AS latest FROM trades)
        SELECT start AS window_start, start + INTERVAL 1 MINUTE AS window_end, symbol,
            first(price ORDER BY ts, id) FILTER (price IS NOT NULL) AS open, max(price) AS high, min(price) AS low,
            last(price ORDER BY ts, id) FILTER (price IS NOT NULL) AS close, sum(size)::BIGINT AS volume,
            sum(price * size) / sum(size) FILTER (price IS NOT NULL) AS vwap, count(*) AS trades, quantile_cont(size, 0.9) AS p90
        FROM fallen WHERE start + INTERVAL 65 SECOND > latest GROUP BY start, symbol ORDER BY start, min(id)",
    );
    let Some(report) = report else { return };
    let late = report["dead_letters"]["by_code"]["late_row"].as_u64().unwrap_or(0);
    assert!(late > 100, "{report}");
    assert_eq!(report["rows"]["rejected"].as_u64(), Some(late));
}
