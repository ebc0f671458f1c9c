"""Holds the rows of `cargo bench --bench validate -- --write FILE` to the same rules with Polars and DuckDB, each on one thread.

    python validate.py FILE        (pip install polars duckdb)
"""

import os
import sys
import time

os.environ["POLARS_MAX_THREADS"] = "1"
import duckdb
import polars as pl

PATTERN = r"^[^@ ]+@[^@ ]+\.[a-z]{2,}$"
COUNTRIES = ["DE", "FR", "US", "JP", "BR"]
c = pl.col
POLARS = {
    "required": c("customer").is_null(),
    "type": pl.lit(False),
    "range": c("quantity") < 0,
    "length": c("customer").str.len_chars() > 8,
    "pattern": ~c("email").str.contains(PATTERN),
    "enum": ~c("country").is_in(COUNTRIES),
    "unique": ~c("id").is_first_distinct(),
    "expression": (c("quantity") * c("price") - c("total")).abs() >= 0.01,
    "json schema": ~c("item").struct.field("sku").str.contains(r"^SKU-[0-9]{4}$") | (c("item").struct.field("pieces") < 1),
}
DUCKDB = {
    "required": "customer is null",
    "type": "false",
    "range": "quantity < 0",
    "length": "length(customer) > 8",
    "pattern": f"not regexp_matches(email, '{PATTERN}')",
    "enum": "country not in ('DE','FR','US','JP','BR')",
    "unique": "row_number() over (partition by id) > 1",
    "expression": "abs(quantity * price - total) >= 0.01",
    "json schema": "not regexp_matches(item.sku, '^SKU-[0-9]{4}$') or item.pieces < 1",
}


def best(work, rounds=5):
    figures = []
    for _ in range(rounds):
        start = time.process_time()
        answer = work()
        figures.append(time.process_time() - start)
    return sorted(figures)[rounds // 2], answer


def main(path):
    rows = pl.read_parquet(path)
    db = duckdb.connect()
    db.execute("set threads to 1")
    db.execute(f"create table rows as from '{path}'")
    print(f"{'rules':<14} {'polars ns':>10} {'duckdb ns':>10} {'broken':>8}")
    every = {"polars": list(POLARS.values()), "duckdb": list(DUCKDB.values())}
    for name in [*POLARS, "all"]:
        ours = every["polars"] if name == "all" else [POLARS[name]]
        texts = every["duckdb"] if name == "all" else [DUCKDB[name]]
        # Each rule is counted, and rows that broke any.
        counts = [rule.fill_null(False).alias(f"r{index}") for index, rule in enumerate(ours)]
        a, left = best(lambda: rows.lazy().select(counts).with_columns(pl.any_horizontal(pl.all()).alias("any")).select(pl.all().sum()).collect()["any"][0])
        columns = ", ".join(f"coalesce({rule}, false) as r{index}" for index, rule in enumerate(texts))
        sums = ", ".join(f"sum(r{index}::int)" for index in range(len(texts)))
        whole = " or ".join(f"r{index}" for index in range(len(texts)))
        query = f"select sum(({whole})::int), {sums} from (select {columns} from rows)"
        b, right = best(lambda: db.execute(query).fetchone()[0])
        assert left == right, (name, left, right)
        print(f"{name:<14} {a * 1e9 / len(rows):>10.1f} {b * 1e9 / len(rows):>10.1f} {left:>8}")


main(sys.argv[1])
