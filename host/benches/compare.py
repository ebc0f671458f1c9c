#!/usr/bin/env python3
"""Measures etl-host against what a user would pick instead, in one run, alternating, and prints one table.

    cargo build --release && cargo build --release --bench stages
    pip install polars duckdb
    python3 host/benches/compare.py [--rows 1000000] [--rounds 5] [--only csv,cores,...]

Each figure is the median over the rounds; each ratio is the median of the rounds' ratios, since the machine may be
shared and drift. CPU seconds and peak memory are the operating system's own, of whole processes.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"

TRANSFORM = """\
rename: {orderId: order_id, customerName: customer_name, createdAt: created_at}
convert: {order_id: int, quantity: int, unitPrice: float, isGift: bool, created_at: datetime}
defaults: {status: unknown, notes: ""}
add: {contact: "${customer_name} <${email}>", source: shop}
select: [order_id, customer_name, email, contact, country, quantity, unitPrice, isGift, created_at, status, source]
"""

POLARS = """\
import sys, polars as pl
source, target = sys.argv[1:]
frame = (
    pl.scan_csv(source)
    .rename({"orderId": "order_id", "customerName": "customer_name", "createdAt": "created_at"})
    .with_columns(
        pl.col("order_id").cast(pl.Int64), pl.col("quantity").cast(pl.Int64), pl.col("unitPrice").cast(pl.Float64),
        pl.col("isGift").cast(pl.Boolean),
        pl.col("created_at").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC"),
    )
    .with_columns(pl.col("status").fill_null("unknown"), pl.col("notes").fill_null(""))
    .with_columns((pl.col("customer_name") + " <" + pl.col("email") + ">").alias("contact"), pl.lit("shop").alias("source"))
    .select("order_id", "customer_name", "email", "contact", "country", "quantity", "unitPrice", "isGift", "created_at", "status", "source")
)
frame.sink_parquet(target, compression="zstd") if target.endswith("parquet") else frame.sink_ndjson(target)
"""

DUCKDB = """\
import sys, duckdb
source, target = sys.argv[1:]
format = "(FORMAT parquet, COMPRESSION zstd)" if target.endswith("parquet") else "(FORMAT json)"
duckdb.sql("SET threads TO 2")
duckdb.sql(f'''COPY (SELECT "orderId"::BIGINT AS order_id, "customerName" AS customer_name, email, "customerName" || ' <' || email || '>' AS contact,
    country, quantity::BIGINT AS quantity, "unitPrice"::DOUBLE AS "unitPrice", "isGift"::BOOLEAN AS "isGift", "createdAt"::TIMESTAMP AS created_at,
    coalesce(status, 'unknown') AS status, 'shop' AS source FROM read_csv('{source}')) TO '{target}' {format}''')
"""


def write_orders(path, rows):
    """Ten mixed columns, the same for every run."""
    draw = random.Random(7)
    words = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor".split()
    countries, status = ["DE", "FR", "US", "JP", "BR", "IN", "GB", "ES"], ["new", "paid", "shipped", "returned"]
    with open(path, "w") as file:
        file.write("orderId,customerName,email,country,quantity,unitPrice,isGift,createdAt,status,notes\n")
        for row in range(rows):
            name = f"{draw.choice(words).title()} {draw.choice(words).title()}"
            day = f"2024-{draw.randrange(1, 13):02}-{draw.randrange(1, 29):02}"
            clock = f"{draw.randrange(24):02}:{draw.randrange(60):02}:{draw.randrange(60):02}"
            note = f'"{draw.choice(words)}, {draw.choice(words)}"' if draw.random() < 0.1 else draw.choice(words)
            file.write(
                f"{row},{name},user{draw.randrange(10**6)}@example.com,{draw.choice(countries)},{draw.randrange(1, 100)},"
                f"{draw.random() * 500:.2f},{draw.choice(['true', 'false'])},{day}T{clock}Z,"
                f"{draw.choice(status) if draw.random() < 0.95 else ''},{note}\n"
            )


def measure(command):
    """Runs a process to its end: CPU seconds, wall seconds, peak MiB."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    words = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    if status != 0:
        sys.exit(f"{command} ended with {status}:\n{words.decode()}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "wall": wall, "peak": usage.ru_maxrss / 1024}


def contract(folder, name, source, target, transform=TRANSFORM):
    path = folder / name
    path.mkdir()
    (path / "extract.yaml").write_text(f"type: file\npath: {source}\n")
    (path / "transform.yaml").write_text(transform)
    (path / "load.yaml").write_text(f"type: file\npath: {target}\n")
    return path


def alternate(rounds, contestants):
    """Runs each in turn, round after round; the first round warms up and is not counted."""
    figures = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, command in contestants.items():
            figure = measure(command)
            if turn > 0:
                figures[name].append(figure)
    return figures


def median(figures, what):
    return statistics.median(figure[what] for figure in figures)


def ratio(left, right, what):
    return statistics.median(a[what] / b[what] for a, b in zip(left, right))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="comma-separated: csv, native, cores, start, stages")
    args = parser.parse_args()
    only = set(filter(None, args.only.split(",")))
    wanted = lambda name: not only or name in only
    host = str(TARGET / "etl-host")
    benches = sorted((TARGET / "deps").glob("stages-*"), key=lambda path: path.stat().st_mtime)
    stages = next((str(path) for path in reversed(benches) if path.suffix == ""), None)
    table = []

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "orders.csv"
        write_orders(source, args.rows)
        (folder / "with_polars.py").write_text(POLARS)
        (folder / "with_duckdb.py").write_text(DUCKDB)
        cache = ["--cache-dir", str(folder / "cache")]
        for kind in ["jsonl", "parquet"]:
            target = folder / f"etl-host.{kind}"
            directory = str(contract(folder, f"contract_{kind}", source, target))
            ours = [host, "run", directory, "--quiet", *cache]
            if wanted("csv"):
                figures = alternate(args.rounds, {
                    "etl-host": ours,
                    "polars": [sys.executable, str(folder / "with_polars.py"), str(source), str(folder / f"polars.{kind}")],
                    "duckdb": [sys.executable, str(folder / "with_duckdb.py"), str(source), str(folder / f"duckdb.{kind}")],
                })
                for tool, runs in figures.items():
                    table.append((f"CSV -> {kind}: {tool}", f"{median(runs, 'cpu'):.2f} s cpu, {median(runs, 'wall'):.2f} s wall, {median(runs, 'peak'):.0f} MiB"))
                for other in ["polars", "duckdb"]:
                    table.append((f"CSV -> {kind}: etl-host / {other}", f"{ratio(figures['etl-host'], figures[other], 'cpu'):.2f} x cpu, "
                                  f"{ratio(figures['etl-host'], figures[other], 'wall'):.2f} x wall"))
            if wanted("native") and stages:
                figures = alternate(args.rounds, {
                    "sandboxed": [stages, "--pipeline", "sandboxed", directory, str(folder / "cache")],
                    "native": [stages, "--pipeline", "native", directory, str(folder / "cache")],
                    "unmetered": [stages, "--pipeline", "unmetered", directory, str(folder / "cache2")],
                })
                table.append((f"CSV -> {kind}: sandboxed / native", f"{ratio(figures['sandboxed'], figures['native'], 'cpu'):.3f} x cpu"))
                table.append((f"CSV -> {kind}: sandboxed / unmetered", f"{ratio(figures['sandboxed'], figures['unmetered'], 'cpu'):.3f} x cpu"))
            if wanted("cores"):
                figures = alternate(args.rounds, {"1": [*ours, "--workers", "1"], "2": [*ours, "--workers", "2"]})
                pinned = alternate(args.rounds, {"1": ["taskset", "-c", "0", *ours, "--workers", "1"]})
                table.append((f"CSV -> {kind}: wall of 1 worker / 2 workers", f"{ratio(figures['1'], figures['2'], 'wall'):.2f} x"))
                table.append((f"CSV -> {kind}: wall on 1 core / 2 cores", f"{ratio(pinned['1'], figures['2'], 'wall'):.2f} x"))
        if wanted("start"):
            small = folder / "small.csv"
            small.write_text("".join(source.open().readlines()[:11]))
            directory = str(contract(folder, "contract_small", small, folder / "small.jsonl"))
            runs = alternate(20, {"etl-host": [host, "run", directory, "--quiet", *cache]})["etl-host"]
            table.append(("start to finish of 10 rows", f"{median(runs, 'wall') * 1000:.1f} ms wall, {median(runs, 'cpu') * 1000:.1f} ms cpu"))
        if wanted("stages") and stages:
            output = subprocess.run([stages, "--json"], check=True, capture_output=True, text=True).stdout
            table.extend(json.loads(output))

    width = max(len(what) for what, _ in table)
    for what, figure in table:
        print(f"{what:<{width}}  {figure}")


if __name__ == "__main__":
    main()
