"""Capturing metrics from live processes: here, from a real HTTP server."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "jsonnet"))

import vendor_metrics  # the path above must be there first

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPOSITION = """\
# TYPE pg_up gauge
pg_up 1
# TYPE hits_total counter
hits_total{path="/",code="200"} 3
hits_total{path="/b"} 1
# TYPE hits_created gauge
hits_created 12345
# TYPE blocks_read counter
blocks_read{db="a"} 5
# TYPE wait_seconds histogram
wait_seconds_bucket{pool="a",le="1.0"} 1
wait_seconds_bucket{pool="a",le="+Inf"} 1
wait_seconds_sum{pool="a"} 1
wait_seconds_count{pool="a"} 1
no_type_given{x="1"} 2
# TYPE claw_ai_http_requests_total counter
claw_ai_http_requests_total 1
# TYPE process_open_fds gauge
process_open_fds 7
"""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(EXPOSITION.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()
        thread.join()


def test_names_types_and_labels_are_captured(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "vendor-metrics.json"
    assert vendor_metrics.main([f"some-exporter={address}", "--file", str(file)]) == 0
    assert "vendor-metrics.json: 6 metrics, 6 of them new" in capsys.readouterr().out
    assert json.loads(file.read_text()) == {
        "blocks_read": {"labels": ["db"], "source": "some-exporter", "type": "counter"},
        "hits_total": {"labels": ["code", "path"], "source": "some-exporter", "type": "counter"},
        "no_type_given": {"labels": ["x"], "source": "some-exporter", "type": "untyped"},
        "pg_up": {"labels": [], "source": "some-exporter", "type": "gauge"},
        "process_open_fds": {"labels": [], "source": "some-exporter", "type": "gauge"},
        "wait_seconds": {"labels": ["pool"], "source": "some-exporter", "type": "histogram"},
    }


def test_the_file_has_one_line_per_metric(address: str, tmp_path: Path) -> None:
    file = tmp_path / "vendor-metrics.json"
    vendor_metrics.main([f"some-exporter={address}", "--file", str(file)])
    lines = file.read_text().splitlines()
    assert len(lines) == 8
    assert lines == [lines[0], *sorted(lines[1:-1]), lines[-1]]


def test_a_second_source_of_the_same_name_unites_the_labels() -> None:
    before = {"process_open_fds": {"type": "gauge", "labels": ["a"], "source": "one"}}
    captured = {"two": {"process_open_fds": {"type": "gauge", "labels": ["b"], "source": "two"}}}
    assert vendor_metrics.merge(before, captured) == {
        "process_open_fds": {"type": "gauge", "labels": ["a", "b"], "source": "several"}
    }


def test_what_a_source_does_not_show_at_the_moment_stays() -> None:
    before = {"rare_total": {"type": "counter", "labels": ["reason"], "source": "one"}}
    captured = {"one": {"new": {"type": "gauge", "labels": [], "source": "one"}}}
    assert sorted(vendor_metrics.merge(before, captured)) == ["new", "rare_total"]


def test_labels_seen_before_stay() -> None:
    before = {"a_total": {"type": "counter", "labels": ["reason"], "source": "one"}}
    captured = {"one": {"a_total": {"type": "counter", "labels": [], "source": "one"}}}
    assert vendor_metrics.merge(before, captured) == before


def test_a_source_is_forgotten_on_demand_but_not_the_others_nor_what_is_written_by_hand() -> None:
    before = {
        "gone": {"type": "gauge", "labels": [], "source": "one"},
        "kept": {"type": "gauge", "labels": [], "source": "two"},
        "by_hand": {"type": "gauge", "labels": [], "source": "one", "reason": "cannot run here"},
    }
    captured = {"one": {"new": {"type": "gauge", "labels": [], "source": "one"}}}
    assert sorted(vendor_metrics.merge(before, captured, forget=True)) == ["by_hand", "kept", "new"]


def test_what_was_written_by_hand_gives_way_to_a_capture() -> None:
    before = {"a": {"type": "gauge", "labels": [], "source": "one", "reason": "cannot run here"}}
    captured = {"one": {"a": {"type": "counter", "labels": ["x"], "source": "one"}}}
    assert vendor_metrics.merge(before, captured) == captured["one"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/metrics", "file:///etc/passwd", ""])
def test_a_source_that_cannot_be_read_is_named(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "vendor-metrics.json"
    assert vendor_metrics.main([f"some-exporter={url}", "--file", str(file)]) == 2
    assert capsys.readouterr().err.startswith(f"some-exporter: cannot read {url!r}: ")
    assert not file.exists()
