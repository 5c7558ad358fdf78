#!/usr/bin/env python
"""Writes all the time, as the program does whose place it takes; WRITER says which one.

grafana: an SQLite database in WAL mode, one transaction after the other, each in two tables.
loki: chunks in files of their own, and an index that names only whole ones; a start looks for every one.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORTS = {"grafana": 3000, "loki": 3100}
PAUSE_SECONDS = 0.002


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def grafana(folder: Path) -> None:
    with sqlite3.connect(folder / "grafana.db", isolation_level=None) as database:
        database.execute("PRAGMA journal_mode = WAL")
        for table in ("dashboard", "version"):
            database.execute(f"CREATE TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY, title TEXT)")
        while True:
            database.execute("BEGIN")
            for table in ("dashboard", "version"):
                database.execute(f"INSERT INTO {table} (title) VALUES (hex(randomblob(200)))")  # noqa: S608
            database.execute("COMMIT")
            time.sleep(PAUSE_SECONDS)


def loki(folder: Path) -> None:
    index = folder / "index"
    lines = index.read_text().splitlines() if index.exists() else []
    for name in lines:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == name, name
    with index.open("a") as written:
        while True:
            content = os.urandom(2000)
            name = hashlib.sha256(content).hexdigest()
            (folder / name).write_bytes(content)
            written.write(f"{name}\n")
            written.flush()
            time.sleep(PAUSE_SECONDS)


def main() -> None:
    name = os.environ["WRITER"]
    if "-health" in sys.argv:
        urllib.request.urlopen(f"http://127.0.0.1:{PORTS[name]}/", timeout=4)
        return
    # The first process of a container ignores what it does not ask for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    server = ThreadingHTTPServer(("0.0.0.0", PORTS[name]), Health)  # noqa: S104 - in a container
    threading.Thread(target=server.serve_forever, daemon=True).start()
    {"grafana": lambda: grafana(Path("/var/lib/grafana")), "loki": lambda: loki(Path("/loki"))}[name]()


if __name__ == "__main__":
    main()
