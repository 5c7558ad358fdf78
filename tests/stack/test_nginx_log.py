"""The access log of the public door: one JSON object a request, whatever the request says."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    import httpx
    from tests.stack.conftest import Door

    Public = tuple[httpx.Client, Door]

ROOT = Path(__file__).resolve().parents[2]
HIGH = bytes(range(0x80, 0x100)).decode("latin-1")  # bytes that are no UTF-8
NASTY = {
    "quotes": ('/a"b\\c?token=secret', 'a "quoted" \\ name'),
    "control": ("/a\tb", "tab\there"),
    "bytes": (f"/a{HIGH}", f"b{HIGH}"),
    "end of an object": ('/"},{"status":"200', '"}\\n{"level":"critical"'),
    "variables": ("/$uri%24host", "${HOME} $request_id"),
    "long": ("/" + "a" * 8000, "b" * 8000),
}


def test_a_line_has_the_fields_that_the_log_pipeline_expects(public: Public) -> None:
    client, made = public
    client.get("/grafana/?token=secret", headers={"User-Agent": "curl"})
    client.get("/healthz")
    client.post("/nothing")

    first, second = made.nginx.logged(2)
    samples = yaml.safe_load((ROOT / "promtail" / "samples" / "stack.yml").read_text())
    (sample,) = {line for entry in samples for line in entry["lines"] if '"status":"502"' in line}

    assert set(first) == set(second) == set(json.loads(sample))
    assert (first["status"], first["path"], first["upstream_status"]) == ("200", "/grafana/", "200")
    assert (first["http_host"], first["tls_protocol"], first["limited"]) == ("127.0.0.1", "", "no")
    assert int(first["request_bytes"]) > 50
    assert "secret" not in str(first)
    # The client's own path and method, though a page of the door was sent.
    assert (second["status"], second["path"], second["method"]) == ("503", "/nothing", "POST")
    assert second["level"] == "info"


@pytest.mark.parametrize("name", NASTY)
def test_no_request_breaks_the_json(public: Public, name: str) -> None:
    path, agent = NASTY[name]
    user = base64.b64encode(b'a"\n\xff:x').decode()
    made = public[1]
    made.nginx.raw(
        made.port, f"GET {path}", "Host: x", f"User-Agent: {agent}", f"Authorization: Basic {user}"
    )
    made.nginx.raw(made.port, f"GET {path}")

    for line in made.nginx.logged(2):
        assert all(isinstance(value, str) and value.isascii() for value in line.values())
        assert "secret" not in str(line)
        assert len(line["request_id"]) == 32


def test_what_is_text_is_logged_as_it_came(public: Public) -> None:
    made = public[1]
    made.nginx.raw(made.port, r'GET /a"b\c%20d', "Host: x", 'User-Agent: a "b" \\ c')
    (line,) = made.nginx.logged(1)

    assert (line["path"], line["user_agent"]) == (r'/a"b\c%20d', 'a "b" \\ c')


def test_bytes_that_are_no_text_are_not_logged(public: Public) -> None:
    made = public[1]
    made.nginx.raw(made.port, f"GET /{HIGH}", "Host: x", f"User-Agent: {HIGH}")
    (line,) = made.nginx.logged(1)

    assert line["path"] == line["user_agent"] == "(not ASCII)"


@pytest.mark.parametrize("request_line", ["GET", "\x16\x03\x01", "GET / HTTP/9.9", "x" * 20_000])
def test_what_is_no_request_is_a_line_too(public: Public, request_line: str) -> None:
    made = public[1]
    made.nginx.raw(made.port, request_line)
    (line,) = made.nginx.logged(1)

    assert line["status"] in {"400", "414", "505"}
