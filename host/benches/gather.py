#!/usr/bin/env python3
"""Measures `aggregate`, `dedupe`, `sort` and `window` against Polars and DuckDB, CSV to JSON lines, in one run, alternating.

    cargo build --release
    pip install polars duckdb
    python3 host/benches/gather.py [--rows 1000000] [--rounds 3] [--only aggregate,window,...]

`read` is the same pipeline without the step: what is left of the others without it is the step's own. Figures as in `compare.py`.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from compare import TARGET, alternate, contract, median, ratio

CONVERT = "  - convert: {ts: datetime, price: float, size: int}\n"
# Name: step, DuckDB's query, Polars' expression.
CASES = {
    "read": (
        "  - filter: {field: id, operator: lt, value: 0}\n",
        "SELECT * FROM trades WHERE id < 0",
        "trades.filter(pl.col('id') < 0)",
    ),
    "aggregate": (
        "  - aggregate: {group_by: [symbol, venue], metrics: {rows: count, total: {sum: price}, mean: {avg: size}, low: {min: price}, high: {max: price}}}\n",
        "SELECT symbol, venue, count(*) AS rows, sum(price) AS total, avg(size) AS mean, min(price) AS low, max(price) AS high FROM trades GROUP BY symbol, venue",
        "trades.group_by('symbol', 'venue').agg(pl.len().alias('rows'), pl.col('price').sum().alias('total'), pl.col('size').mean().alias('mean'), pl.col('price').min().alias('low'), pl.col('price').max().alias('high'))",
    ),
    "quantiles": (
        "  - aggregate: {group_by: [symbol], metrics: {p50: {median: price}, p95: {quantile: price, q: 0.95}, ids: {count_distinct: size}}}\n",
        "SELECT symbol, quantile_cont(price, 0.5) AS p50, quantile_cont(price, 0.95) AS p95, count(DISTINCT size) AS ids FROM trades GROUP BY symbol",
        "trades.group_by('symbol').agg(pl.col('price').median().alias('p50'), pl.col('price').quantile(0.95, 'linear').alias('p95'), pl.col('size').n_unique().alias('ids'))",
    ),
    "many groups": (
        "  - aggregate: {group_by: [account], metrics: {rows: count, total: {sum: size}}}\n",
        "SELECT account, count(*) AS rows, sum(size) AS total FROM trades GROUP BY account",
        "trades.group_by('account').agg(pl.len().alias('rows'), pl.col('size').sum().alias('total'))",
    ),
    "dedupe": (
        "  - dedupe: [account]\n",
        "SELECT DISTINCT ON (account) * FROM trades ORDER BY id",
        "trades.unique('account', keep='first', maintain_order=True)",
    ),
    "dedupe last": (
        "  - dedupe: {key: [account], keep: last}\n",
        "SELECT * FROM trades QUALIFY row_number() OVER (PARTITION BY account ORDER BY id DESC) = 1 ORDER BY id",
        "trades.unique('account', keep='last', maintain_order=True)",
    ),
    "sort": (
        "  - sort: [symbol, -price]\n",
        "SELECT * FROM trades ORDER BY symbol, price DESC, id",
        "trades.sort('symbol', 'price', descending=[False, True], maintain_order=True)",
    ),
    "window": (
        "  - window: {time: ts, size: 1m, lateness: 5s, group_by: [symbol], ohlc: {price: price, size: size}}\n",
        "SELECT time_bucket(INTERVAL 1 MINUTE, ts) AS start, symbol, first(price ORDER BY ts) AS open, max(price) AS high, min(price) AS low, last(price ORDER BY ts) AS close, sum(size) AS volume, sum(price * size) / sum(size) AS vwap FROM trades GROUP BY ALL ORDER BY start",
        "trades.sort('ts', maintain_order=True).group_by_dynamic('ts', every='1m', group_by='symbol').agg(pl.col('price').first().alias('open'), pl.col('price').max().alias('high'), pl.col('price').min().alias('low'), pl.col('price').last().alias('close'), pl.col('size').sum().alias('volume'), ((pl.col('price') * pl.col('size')).sum() / pl.col('size').sum()).alias('vwap'))",
    ),
}

DUCKDB = """\
import sys, duckdb
duckdb.sql("SET threads TO 2")
duckdb.sql(f"CREATE VIEW trades AS SELECT * FROM read_csv('{sys.argv[1]}')")
duckdb.sql(f"COPY ({sys.argv[3]}) TO '{sys.argv[2]}' (FORMAT json)")
"""

POLARS = """\
import sys, polars as pl
trades = pl.scan_csv(sys.argv[1]).with_columns(pl.col("ts").str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ"))
eval(sys.argv[3]).sink_ndjson(sys.argv[2])
"""


def write_trades(path, rows):
    """Eight columns, the same for every run, in the order of time."""
    draw = random.Random(7)
    with open(path, "w") as file:
        file.write("id,ts,symbol,venue,account,price,size,note\n")
        for row in range(rows):
            ms = row * 250
            day, clock, ms = 1 + ms // 86_400_000, ms // 1000 % 86_400, ms % 1000
            file.write(
                f"{row},2024-03-{day:02}T{clock // 3600:02}:{clock // 60 % 60:02}:{clock % 60:02}.{ms:03}Z,S{draw.randrange(100)},V{draw.randrange(8)},"
                f"{draw.randrange(rows // 2)},{draw.random() * 500:.3f},{draw.randrange(1, 1000)},note {draw.randrange(1000)}\n"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help=f"comma-separated: {', '.join(CASES)}")
    args = parser.parse_args()
    only = set(filter(None, args.only.split(",")))
    host = str(TARGET / "etl-host")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "trades.csv"
        write_trades(source, args.rows)
        (folder / "with_polars.py").write_text(POLARS)
        (folder / "with_duckdb.py").write_text(DUCKDB)
        print(f"{'':<12} {'etl-host':>26} {'polars':>26} {'duckdb':>26}   cpu against polars, duckdb")
        for case, (step, query, expression) in CASES.items():
            if only and case not in only:
                continue
            directory = contract(folder, case.replace(" ", "_"), source, folder / "etl-host.jsonl", f"transform:\n{CONVERT}{step}")
            figures = alternate(args.rounds, {
                "etl-host": [host, "run", str(directory), "--quiet", "--cache-dir", str(folder / "cache")],
                "polars": [sys.executable, str(folder / "with_polars.py"), str(source), str(folder / "polars.jsonl"), expression],
                "duckdb": [sys.executable, str(folder / "with_duckdb.py"), str(source), str(folder / "duckdb.jsonl"), query],
            })
            cells = [f"{median(runs, 'cpu'):.2f} s, {median(runs, 'wall'):.2f} s, {median(runs, 'peak'):.0f} MiB" for runs in figures.values()]
            against = ", ".join(f"{ratio(figures['etl-host'], figures[other], 'cpu'):.2f} x" for other in ["polars", "duckdb"])
            print(f"{case:<12} {cells[0]:>26} {cells[1]:>26} {cells[2]:>26}   {against}", flush=True)


if __name__ == "__main__":
    main()
