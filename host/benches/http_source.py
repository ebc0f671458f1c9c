"""HTTP source against loops that fetch the same pages: 1,000 pages x 1,000 records on loopback.

    cargo build --release --bin etl-host --example page_server && python3 host/benches/http_source.py target/release

Two servers: one in Python that makes a page once it is asked for, as interfaces do, and one that has all pages in memory, so that nothing but
the other end is measured. Two loops: a bare one, which reads the pages and does nothing with them, and what one would write in a script, which
parses them and writes JSON lines, as etl-host does. Rounds in turn, the best of each.
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

PAGES, SIZE, ROUNDS = 1000, 1000, 3


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


def fetch(port, use=len):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for page in range(1, PAGES + 2):
        connection.request("GET", f"/?page={page}")
        use(connection.getresponse().read())


def script(port, path):
    with open(path, "w") as out:
        def use(body):
            for record in json.loads(body)["data"]:
                out.write(json.dumps(record, separators=(",", ":"), ensure_ascii=False))
                out.write("\n")
        fetch(port, use)


def timed(action, *arguments):
    start = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - start


def measure(name, port, program):
    bare, scripted, run = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "extract.yaml").write_text(
            f"type: http\nurl: http://127.0.0.1:{port}/\npagination: {{enabled: true, page_delay: 0, stop_conditions: [{{type: empty_response}}]}}\n")
        (folder / "load.yaml").write_text("type: file\npath: out.jsonl\n")
        command = [program, "run", folder, "--quiet", "--no-history", "--allow-private-network", "127.0.0.1"]
        for _ in range(ROUNDS):
            bare.append(timed(fetch, port))
            scripted.append(timed(script, port, folder / "script.jsonl"))
            run.append(timed(lambda: subprocess.run(command, check=True)))
        same = (folder / "out.jsonl").read_bytes() == (folder / "script.jsonl").read_bytes()
    print(f"{name}: bare loop {min(bare):.2f} s, script {min(scripted):.2f} s, etl-host {min(run):.2f} s: "
          f"{min(run) / min(bare):.2f} x the bare loop, {min(run) / min(scripted):.2f} x the script; the same bytes: {same}", flush=True)


def main():
    programs = Path(sys.argv[1])
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    measure("pages made as they are asked for", ours.recv(), programs / "etl-host")
    server.kill()
    server = subprocess.Popen([programs / "examples" / "page_server", str(PAGES), str(SIZE)], stdout=subprocess.PIPE, text=True)
    try:
        measure("pages from memory", int(server.stdout.readline()), programs / "etl-host")
    finally:
        server.kill()


main()
