"""HTTP source against a bare fetch loop: 1,000 pages x 1,000 records on loopback, which a server of its own makes as they are asked for.

    cargo build --release --bin etl-host && python3 host/benches/http_source.py target/release/etl-host

The fetch loop reads every page and does nothing with it; etl-host parses the pages and writes JSON lines. Three rounds, the best of each.
"""

import http.client
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PAGES, SIZE = 1000, 1000


def records(page):
    for row in range((page - 1) * SIZE, page * SIZE):
        yield {"id": row, "name": f"customer {row}", "price": row / 4, "quantity": row % 7, "paid": row % 3 == 0, "city": "Zürich",
               "ordered_at": "2024-03-01T10:00:00Z", "status": "open", "note": None, "tags": ["a", "b"]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 20

    def do_GET(self):
        page = int(parse_qs(urlsplit(self.path).query)["page"][0])
        body = json.dumps({"data": list(records(page)) if page <= PAGES else []}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(port):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port.send(server.server_port)
    server.serve_forever()


def fetch(port):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    total = 0
    for page in range(1, PAGES + 2):
        connection.request("GET", f"/?page={page}")
        total += len(connection.getresponse().read())
    return total


def main():
    program = sys.argv[1]
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    port = ours.recv()
    bare, run = [], []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "extract.yaml").write_text(
            f"type: http\nurl: http://127.0.0.1:{port}/\npagination: {{enabled: true, page_delay: 0, stop_conditions: [{{type: empty_response}}]}}\n")
        (folder / "load.yaml").write_text("type: file\npath: out.jsonl\n")
        for _ in range(3):
            start = time.perf_counter()
            total = fetch(port)
            bare.append(time.perf_counter() - start)
            start = time.perf_counter()
            subprocess.run([program, "run", folder, "--quiet", "--no-history", "--allow-private-network", "127.0.0.1"], check=True)
            run.append(time.perf_counter() - start)
        rows = sum(1 for _ in open(folder / "out.jsonl"))
    assert rows == PAGES * SIZE, rows
    print(f"{PAGES} pages, {total >> 20} MiB: fetch loop {min(bare):.2f} s, etl-host {min(run):.2f} s, ratio {min(run) / min(bare):.2f}")


main()
