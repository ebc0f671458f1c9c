#!/usr/bin/env python3
"""Parquet -> transform -> Parquet from and to S3 on loopback, against local files: wall time, and their ratio.

    cargo build --release && cargo build --release --example s3_server
    host/benches/object.py [ROWS] [ROUNDS]

Both runs alternate, so that a busy machine is as busy for one as for the other; the best of each counts.
"""

import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 5
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", pathlib.Path(__file__).parents[2] / "target")) / "release"
HOST, SERVER = TARGET / "etl-host", TARGET / "examples" / "s3_server"
KEY, SECRET = "AKIABENCHBENCH00", "bench-secret"
TRANSFORM = "rename: {qty: quantity}\nconvert: {price: 'decimal(10,2)'}\nadd: {label: 'order ${id} of ${place}'}\nfilter: {field: quantity, operator: gt, value: 0}\n"


def rows(path):
    random.seed(7)
    places = ["north", "south", "east", "west"]
    with open(path, "w") as out:
        out.write("id,place,qty,price,at,customer,email,note,score,paid\n")
        for row in range(ROWS):
            number = random.getrandbits(32)
            out.write(
                f"{row},{places[row % 4]},{number % 9},{number % 9973}.25,2024-01-{1 + row % 28:02}T{row % 24:02}:00:00Z,{number % 50021},"
                f"user{number % 50021}@example.com,note {number:08x},{(number % 1000) / 8},{'true' if number & 1 else 'false'}\n"
            )


def pipeline(folder, extract, load, transform=TRANSFORM):
    folder.mkdir()
    for name, text in [("extract.yaml", extract), ("transform.yaml", transform), ("load.yaml", load)]:
        (folder / name).write_text(text)
    return folder


def run(folder):
    started = time.perf_counter()
    subprocess.run([HOST, "run", folder, "--quiet"], check=True)
    return time.perf_counter() - started


with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as work:
    work = pathlib.Path(work)
    os.environ["ETL_HOST_STATE_DIR"] = str(work / "state")
    rows(work / "rows.csv")
    (work / "s3/bench").mkdir(parents=True)
    server = subprocess.Popen([SERVER, work / "s3", KEY, SECRET], stdout=subprocess.PIPE, text=True)
    try:
        port = server.stdout.readline().strip()
        credentials = f"credentials: {{access_key_id: {KEY}, secret_access_key: {SECRET}, region: us-east-1, endpoint: 'http://127.0.0.1:{port}'}}\n"
        # Through the server: of an object that it has not seen written it sums up all bytes at each request for some of them.
        run(pipeline(work / "make", f"path: {work}/rows.csv\n", f"path: s3://bench/rows.parquet\n{credentials}", "rename: {}\n"))
        local = pipeline(work / "local", f"path: {work}/s3/bench/rows.parquet\n", f"path: {work}/out.parquet\n")
        remote = pipeline(work / "remote", f"path: s3://bench/rows.parquet\n{credentials}", f"path: s3://bench/out.parquet\n{credentials}")
        run(local), run(remote)
        times = [(run(local), run(remote)) for _ in range(ROUNDS)]
        same = (work / "out.parquet").read_bytes() == (work / "s3/bench/out.parquet").read_bytes()
    finally:
        server.kill()
    size = (work / "out.parquet").stat().st_size
    files, objects = min(local for local, _ in times), min(remote for _, remote in times)
    print(f"{ROWS} rows, {size / 1e6:.1f} MB out, the same bytes: {same}")
    print(f"local files {files:.2f} s, S3 on loopback {objects:.2f} s: {objects / files:.2f} x")
    for local, remote in times:
        print(f"  {local:.2f} s, {remote:.2f} s: {remote / local:.2f} x")
