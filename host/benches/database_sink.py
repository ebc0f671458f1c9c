#!/usr/bin/env python3
"""Measures how fast etl-host loads into databases against the databases' own tools, alternating, and prints one table.

    cargo build --release -p etl-host
    python3 host/benches/database_sink.py [--rows 1000000] [--rounds 5]

Needs `initdb`, `postgres`, `psql` and `sqlite3`; the PostgreSQL server is started for this and gone with it. Each figure is the median
over the rounds; each ratio is the median of the rounds' ratios, since the machine may be shared and drift.
"""

import argparse
import glob
import os
import pwd
import random
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOST = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "etl-host"
COLUMNS = "id bigint PRIMARY KEY, customer text, email text, country text, quantity bigint, price double precision, gift boolean, day date, at timestamptz, note text"
LITE = "id INTEGER PRIMARY KEY, customer TEXT, email TEXT, country TEXT, quantity INTEGER, price REAL, gift TEXT, day TEXT, at TEXT, note TEXT"


def rows(path, count, bad):
    draw = random.Random(1)
    names = ["id", "customer", "email", "country", "quantity", "price", "gift", "day", "at", "note"]
    with open(path, "w") as out:
        out.write(",".join(names) + "\n")
        for row in range(count):
            name = f"customer {draw.randrange(10**6)}"
            price = "-1.5" if bad and row % 100 == 50 else f"{draw.randrange(1, 10**5) / 100}"
            out.write(f"{row},{name},{name.replace(' ', '.')}@example.com,{draw.choice(['de', 'fr', 'it', 'us'])},{draw.randrange(1, 100)},{price},"
                      f"{draw.choice(['true', 'false'])},2024-{draw.randrange(1, 13):02}-{draw.randrange(1, 29):02},"
                      f"2024-06-19T{draw.randrange(24):02}:{draw.randrange(60):02}:{draw.randrange(60):02}Z,note number {draw.randrange(10**9)}\n")


class Postgres:
    def __init__(self, folder):
        self.programs = Path(sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1])
        self.data, self.folder = folder / "pg", folder
        self.as_user = {"user": "nobody"} if os.geteuid() == 0 else {}
        if self.as_user:
            os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
        os.chmod(folder, 0o755)
        run = lambda *command: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", **self.as_user)
        run(str(self.programs / "initdb"), "-U", "etl", "-A", "trust", "-D", str(self.data), "--locale=C.UTF-8", "--no-sync")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.server = subprocess.Popen(
            [self.programs / "postgres", "-D", self.data, "-p", str(self.port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-c", "max_wal_size=8GB"],
            stderr=subprocess.DEVNULL, cwd="/", **self.as_user)
        self.url = f"postgresql://etl@127.0.0.1:{self.port}/postgres"
        while subprocess.run([self.programs / "pg_isready", "-q", "-d", self.url]).returncode:
            time.sleep(0.1)

    def sql(self, *texts):
        subprocess.run(["psql", "-qX", "-v", "ON_ERROR_STOP=1", self.url, *(part for text in texts for part in ("-c", text))], check=True, stdout=subprocess.DEVNULL)


def timed(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="etl-bench-"))
    postgres = Postgres(folder)
    try:
        for name, bad in [("good", False), ("bad", True)]:
            rows(folder / f"{name}.csv", arguments.rows, bad)

        def etl(csv, load):
            contract = folder / "contract"
            contract.mkdir(exist_ok=True)
            (contract / "extract.yaml").write_text(f"path: ../{csv}.csv\nschema: {{day: date, at: datetime}}\n")
            (contract / "load.yaml").write_text(load)
            subprocess.run([HOST, "run", contract, "--quiet", "--no-history"], check=True)

        into = lambda method: f"type: postgres\nconnection_string: {postgres.url}\ntable: orders\nprimary_key: [id]\nwrite_method: {method}\n"
        fresh = lambda more="": (postgres.sql("DROP TABLE IF EXISTS orders", f"CREATE TABLE orders ({COLUMNS}{more})"), postgres.sql("CHECKPOINT"))
        lite = folder / "data.db"

        def bare(*_):
            lite.unlink(missing_ok=True)
            subprocess.run(["sqlite3", lite, f"CREATE TABLE orders ({LITE})"], check=True)

        def copy():
            postgres.sql(f"\\copy orders from '{folder}/good.csv' csv header")

        measures = {
            "psql \\copy": (fresh, copy),
            "insert": (fresh, lambda: etl("good", into("insert"))),
            "upsert into as many": (lambda: (fresh(), copy(), postgres.sql("VACUUM ANALYZE orders", "CHECKPOINT")), lambda: etl("good", into("upsert"))),
            "insert, 1 % refused": (lambda: fresh(", CHECK (price > 0)"), lambda: etl("bad", into("insert"))),
            "upsert, 1 % refused": (lambda: fresh(", CHECK (price > 0)"), lambda: etl("bad", into("upsert"))),
            "sqlite3 .import": (bare, lambda: subprocess.run(["sqlite3", lite, ".mode csv", f".import --skip 1 {folder}/good.csv orders"], check=True)),
            "sqlite insert": (bare, lambda: etl("good", f"type: sqlite\nconnection_string: sqlite:///{lite}\ntable: orders\nwrite_method: insert\n")),
        }
        seconds = {name: [] for name in measures}
        for number in range(arguments.rounds + 1):
            for name, (prepare, work) in measures.items():
                prepare()
                took = timed(work)
                # The first round warms everything up.
                if number:
                    seconds[name].append(took)
        ratio = lambda a, b: statistics.median(x / y for x, y in zip(seconds[a], seconds[b]))
        for name, all_of_it in seconds.items():
            print(f"{name:<22} {statistics.median(all_of_it):7.2f} s")
        for a, b, limit in [("insert", "psql \\copy", 1.5), ("upsert into as many", "insert", 2.5), ("insert, 1 % refused", "insert", 0),
                            ("upsert, 1 % refused", "insert", 0), ("sqlite insert", "sqlite3 .import", 1.5)]:
            print(f"{a} / {b}: {ratio(a, b):.2f}" + (f" (at most {limit})" if limit else ""))
    finally:
        postgres.server.terminate()
        postgres.server.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
