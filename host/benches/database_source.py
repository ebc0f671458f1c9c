#!/usr/bin/env python3
"""Measures queries as a source against what the databases' own clients take for the same rows, in one run, alternating.

    cargo build --release
    python3 host/benches/database_source.py [--rows 1000000] [--rounds 5]

Starts a PostgreSQL server of its own, as `nobody` where it is root, fills a table of ten columns, and compares
`PostgreSQL -> Parquet` with `psql \\copy (select ...) to file.csv csv`. Figures are medians over the rounds, ratios the
medians of the rounds' ratios.
"""

import argparse
import glob
import json
import os
import pwd
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "etl-host"

TABLE = """
CREATE TABLE orders AS SELECT
  n::bigint AS id, (n % 5000)::int AS customer_id, 'customer ' || n % 5000 AS name, 'user' || n || '@example.com' AS email,
  (n % 100000 / 100.0)::numeric(12,2) AS total, (n % 7)::smallint AS quantity, n % 3 = 0 AS paid,
  timestamptz '2024-01-01 00:00:00+00' + n * interval '1 second' AS at, date '2024-01-01' + (n % 365)::int AS day, n * 0.5::float8 AS weight
FROM generate_series(1, {rows}) AS s(n);
ANALYZE orders;
"""


class Server:
    """PostgreSQL on a free port, in a folder that goes with it."""

    def __init__(self):
        self.programs = Path(sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1])
        self.folder = Path(tempfile.mkdtemp(prefix="bench-postgres"))
        self.user = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self.user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "cwd": "/"}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        data = str(self.folder / "data")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        init = [self.programs / "initdb", "--auth=trust", "--username=etl", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "-D", data]
        subprocess.run(init, check=True, **quiet, **self.user)
        serve = [self.programs / "postgres", "-D", data, "-k", str(self.folder), "-p", str(self.port), "-c", "listen_addresses=127.0.0.1"]
        self.process = subprocess.Popen(serve, **quiet, **self.user)
        self.url = f"postgresql://etl@127.0.0.1:{self.port}/postgres"
        while subprocess.run([self.programs / "pg_isready", "-q", "-d", self.url]).returncode:
            time.sleep(0.1)

    def psql(self, command):
        subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", command, self.url], check=True)

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def pipeline(folder, name, url, load, **keys):
    path = folder / name
    path.mkdir()
    extract = {"type": "database", "connection_string": url, "query": "SELECT * FROM orders", **keys}
    (path / "extract.yaml").write_text(json.dumps(extract))
    (path / "load.yaml").write_text(json.dumps({"type": "file", **load}))
    return lambda: subprocess.run([PROGRAM, "run", path, "--quiet"], check=True)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=5)
    options = options.parse_args()
    server = Server()
    try:
        server.psql(TABLE.format(rows=options.rows))
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            contenders = {
                "psql \\copy to csv": lambda: server.psql(f"\\copy (SELECT * FROM orders) TO '{folder}/psql.csv' CSV"),
                "PostgreSQL -> Parquet": pipeline(folder, "parquet", server.url, {"path": "out.parquet"}),
                "PostgreSQL -> CSV": pipeline(folder, "csv", server.url, {"path": "out.csv"}),
                "PostgreSQL -> Parquet, by key": pipeline(folder, "keyed", server.url, {"path": "out.parquet"}, cursor_field="id"),
            }
            rounds = [{name: timed(work) for name, work in contenders.items()} for _ in range(options.rounds + 1)][1:]
    finally:
        server.close()
    print(f"{options.rows} rows x 10 columns, {options.rounds} rounds\n")
    print(f"{'':32} {'seconds':>8} {'ratio':>6}")
    base = next(iter(contenders))
    for name in contenders:
        seconds = statistics.median(figures[name] for figures in rounds)
        ratio = statistics.median(figures[name] / figures[base] for figures in rounds)
        print(f"{name:32} {seconds:8.2f} {ratio:6.2f}")


if __name__ == "__main__":
    main()
