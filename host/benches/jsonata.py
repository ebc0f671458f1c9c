"""Measures JSONata end to end (NDJSON in, NDJSON out) against the reference implementation, npm `jsonata`, in node.

    python3 host/benches/jsonata.py target/release/etl-host [--rows 100000] [--runs 5] [--only remap]

Both run on the same files, alternating; what counts is the CPU time of the whole process, user and system, of all threads.
Prints the median of the runs as records a CPU second, and whether both gave the same rows.
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent / "jsonata"
CASES = [("remap", "record"), ("functions", "record"), ("group", "batch")]
BATCH_ROWS = 1000


def order(number, dice):
    first, last = dice.choice(["Ada", "Grace", "Alan", "Edsger", "Barbara"]), dice.choice(["Lovelace", "Hopper", "Turing", "Dijkstra"])
    items = [
        {
            "sku": f"SKU-{dice.randrange(1000):04}",
            "qty": dice.randrange(1, 10),
            "price": round(dice.uniform(1, 500), 2),
            "discount": dice.choice([0, 0.05, 0.1, 0.25]),
            "tags": dice.sample(["new", "sale", "bulk", "fragile", "eu"], dice.randrange(0, 3)),
        }
        for _ in range(dice.randrange(1, 7))
    ]
    return {
        "id": number,
        "created": f"2024-{dice.randrange(1, 13):02}-{dice.randrange(1, 29):02}T{dice.randrange(24):02}:{dice.randrange(60):02}:00.000Z",
        "status": dice.choice(["open", "paid", "shipped", "returned"]),
        "note": dice.choice(["from the web", "by phone", "Shop 12", "???", ""]),
        "customer": {
            "name": f"{first}  {last}!",
            "email": f"{first}.{last}{number % 977}@Example.com",
            "address": {"country": dice.choice(["DE", "FR", "US", "JP", "BR"]), "city": dice.choice(["A", "B", "C"]), "zip": f"{dice.randrange(99999):05}"},
        },
        "items": items,
    }


def cpu_seconds(command, **kwargs):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **kwargs)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command} failed: {error.decode()}")
    return usage.ru_utime + usage.ru_stime


def rows(path):
    """The rows of a file, without the nulls that columns have and objects lack."""

    def bare(value):
        if isinstance(value, dict):
            return {key: bare(item) for key, item in value.items() if item is not None}
        if isinstance(value, list):
            return [bare(item) for item in value]
        return value

    return [bare(json.loads(line)) for line in path.read_text().splitlines()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only")
    arguments = parser.parse_args()
    host = pathlib.Path(arguments.host).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        subprocess.run(["npm", "install", "--silent", "--no-fund", "--no-audit", "jsonata@~2.2"], cwd=folder, check=True)
        (folder / "peer.mjs").write_text((HERE / "peer.mjs").read_text())
        dice = random.Random(7)
        with (folder / "in.jsonl").open("w") as file:
            for number in range(arguments.rows):
                file.write(json.dumps(order(number, dice), separators=(",", ":")) + "\n")
        print(f"{arguments.rows} rows, {(folder / 'in.jsonl').stat().st_size / 1e6:.0f} MB, median of {arguments.runs}")
        for case, mode in CASES:
            if arguments.only not in (None, case):
                continue
            contract = folder / case
            contract.mkdir()
            expression = (HERE / f"{case}.jsonata").read_text()
            step = json.dumps({"jsonata": {"expression": expression, "mode": mode}})
            (contract / "extract.yaml").write_text(f"path: {folder}/in.jsonl\nbatch_size: {BATCH_ROWS}\n")
            (contract / "transform.yaml").write_text(step)
            (contract / "load.yaml").write_text("type: file\npath: out.jsonl\n")
            ours = [str(host), "run", "--quiet", str(contract)]
            peer = ["node", "peer.mjs", "in.jsonl", f"{case}.peer", mode, str(BATCH_ROWS), str(HERE / f"{case}.jsonata")]
            times = ([], [])
            for _ in range(arguments.runs):
                times[0].append(cpu_seconds(ours))
                times[1].append(cpu_seconds(peer, cwd=folder))
            a, b = map(statistics.median, times)
            same = "same rows" if rows(contract / "out.jsonl") == rows(folder / f"{case}.peer") else "ROWS DIFFER"
            print(
                f"{case:10} etl-host {arguments.rows / a:9.0f} rows/CPU s ({a:.2f} s)   "
                f"node {arguments.rows / b:9.0f} ({b:.2f} s)   {b / a:.2f} x   {same}"
            )


main()
