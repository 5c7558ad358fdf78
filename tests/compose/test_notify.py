"""`make notify-test`, with the real Alertmanager and receivers that take, refuse and fail."""

from __future__ import annotations

import json
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from tests.compose.conftest import Clone, container

from claw_compose import notify
from claw_compose.errors import ComposeError
from claw_compose.notify import LABEL, notify_test
from claw_compose.secret_files import DISCARD
from claw_native.servers import Process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
RECEIVERS = ("oncall", "team", "watchdog")


class Sink:
    """A web server that answers with the status in the path, and keeps what arrived."""

    def __init__(self) -> None:
        self.arrived: list[tuple[str, dict[str, Any]]] = []
        arrived = self.arrived

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                arrived.append((self.path, body))
                self.send_response(int(self.path.strip("/")))
                self.end_headers()
                self.wfile.write(b"no thanks")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def url(self, status: int) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{status}"


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def flags(clone: Clone) -> list[str]:
    """The flags of the compose file that do not name a place."""
    command = clone.stack.whole["services"]["alertmanager"]["command"]
    return [flag for flag in command if not flag.startswith(("--config", "--storage"))]


@pytest.fixture
def alertmanager(
    clone: Clone, tools: Path, free_port: Callable[[], int], tmp_path: Path
) -> Iterator[Callable[..., Clone]]:
    """Call it with the addresses of the receivers: Alertmanager runs, with the flags of the compose file."""
    running: list[Process] = []

    def start(*urls: str, configuration: str | None = None, extra: tuple[str, ...] = ()) -> Clone:
        port, folder, log = free_port(), clone.folder, tmp_path / "log"
        clone.secret("").mkdir()
        for name, url in zip(RECEIVERS, urls, strict=True):
            clone.secret(f"alertmanager_{name}_url").write_text(url)
        clone.set(CLAW_ALERTMANAGER_PORT=str(port))
        config = tmp_path / "etc"
        shutil.copytree(folder / "alertmanager", config)
        if configuration:
            (config / "alertmanager.yml").write_text(configuration)
        command = [
            *("env", "-C", str(folder), str(tools / "alertmanager")),
            *(f"--config.file={config}/alertmanager.yml", f"--storage.path={tmp_path}/data"),
            *(f"--web.listen-address=127.0.0.1:{port}", *(extra or flags(clone))),
        ]
        # As in the container, secrets are found from the working directory.
        (config / "secrets").symlink_to(clone.secret(""))
        url = f"http://127.0.0.1:{port}/-/ready"
        process = Process(command, log=log, ready=lambda: answers(url))
        process.__enter__()
        running.append(process)
        # Its container's log is the process's.
        clone.answer("compose .* ps --quiet alertmanager", "id-of-alertmanager\n")
        real = clone.folder.parent / "fake" / "docker"
        real.rename(real.with_name("table"))
        real.write_text(
            f'#!/bin/sh\n[ "$1" = logs ] && exec cat {log} >&2\nexec {real.with_name("table")} "$@"\n'
        )
        real.chmod(0o755)
        return clone

    yield start
    for process in running:
        process.__exit__(None, None, None)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def table(clone: Clone) -> dict[str, tuple[str, str]]:
    rows = (line.split("  ") for line in clone.said[-1].splitlines())
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    return {row[0]: (row[2], row[3] if len(row) > 3 else "") for row in cells}


def test_every_receiver_that_takes_it_is_told(alertmanager: Callable[..., Clone], sink: Sink) -> None:
    clone = alertmanager(*[sink.url(200)] * 3)

    assert notify_test(clone.stack, say=clone.say) == 0
    assert table(clone) == dict.fromkeys(RECEIVERS, ("delivered", ""))
    labels = [body["alerts"][0]["labels"] for _, body in sink.arrived if body["status"] == "firing"]
    assert sorted(label[LABEL] for label in labels) == sorted(RECEIVERS)
    assert {body["receiver"] for _, body in sink.arrived} == set(RECEIVERS)
    assert all(
        "Nothing is wrong" in body["alerts"][0]["annotations"]["description"] for _, body in sink.arrived
    )


def test_one_that_refuses_and_one_without_an_address_are_told_apart(
    alertmanager: Callable[..., Clone], sink: Sink
) -> None:
    clone = alertmanager(sink.url(200), sink.url(400), DISCARD)

    assert notify_test(clone.stack, say=clone.say) == 1
    told = table(clone)
    assert told["oncall"] == ("delivered", "")
    assert told["team"][0] == "failed"
    assert "unexpected status code 400: no thanks" in told["team"][1]
    assert told["watchdog"][0] == "not configured"
    assert "secrets/alertmanager_watchdog_url" in told["watchdog"][1]


def test_one_that_fails_again_and_again_is_given_up(alertmanager: Callable[..., Clone], sink: Sink) -> None:
    clone = alertmanager(sink.url(200), sink.url(503), "http://127.0.0.1:1/")

    assert notify_test(clone.stack, say=clone.say) == 1
    told = table(clone)
    assert told["oncall"][0] == "delivered"
    assert told["team"][0] == "failed"
    assert "503" in told["team"][1]
    assert told["watchdog"][0] == "failed"
    assert "connection refused" in told["watchdog"][1]


def test_one_that_says_nothing_in_time_is_told(
    alertmanager: Callable[..., Clone], sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = alertmanager(sink.url(200), sink.url(200), sink.url(503))
    monkeypatch.setattr(notify, "WAIT_SECONDS", 2.0)
    clone.stack.settings  # noqa: B018 - read before the time begins

    assert notify_test(clone.stack, say=clone.say) == 1
    assert table(clone)["watchdog"][0] == "no answer yet"


def test_a_test_ends_at_once_and_a_second_one_is_delivered_too(
    alertmanager: Callable[..., Clone], sink: Sink
) -> None:
    clone = alertmanager(*[sink.url(200)] * 3)
    for _ in range(2):
        assert notify_test(clone.stack, say=clone.say) == 0

    firing = [body for _, body in sink.arrived if body["status"] == "firing"]
    assert len(firing) == 6
    url = clone.stack.url("alertmanager", "/api/v2/alerts?active=true")
    deadline = time.monotonic() + 10
    while httpx.get(url, trust_env=False).json():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_without_any_address_nothing_is_sent(alertmanager: Callable[..., Clone], sink: Sink) -> None:
    clone = alertmanager(DISCARD, DISCARD, DISCARD)

    assert notify_test(clone.stack, say=clone.say) == 1
    assert {outcome for outcome, _ in table(clone).values()} == {"not configured"}
    assert sink.arrived == []
    assert httpx.get(clone.stack.url("alertmanager", "/api/v2/alerts"), trust_env=False).json() == []


def test_routes_of_an_older_version_would_tell_the_wrong_people_so_nothing_is_sent(
    alertmanager: Callable[..., Clone], sink: Sink
) -> None:
    document = yaml.safe_load((ROOT / "alertmanager" / "alertmanager.yml").read_text())
    document["route"]["routes"] = [
        route for route in document["route"]["routes"] if LABEL not in str(route["matchers"])
    ]
    clone = alertmanager(*[sink.url(200)] * 3, configuration=yaml.safe_dump(document))

    with pytest.raises(ComposeError, match="does not know the routes of this version yet:  make up"):
        notify_test(clone.stack, say=clone.say)
    assert sink.arrived == []


def test_without_the_flag_that_names_receivers_nothing_is_sent(
    alertmanager: Callable[..., Clone], sink: Sink
) -> None:
    clone = alertmanager(*[sink.url(200)] * 3, extra=("--cluster.listen-address=",))

    with pytest.raises(ComposeError, match="counts nothing by receiver"):
        notify_test(clone.stack, say=clone.say)
    assert sink.arrived == []


def test_an_alertmanager_that_does_not_run_is_told(ready: Clone) -> None:
    ready.runs(container("prometheus", "prom/prometheus:v3.13.3"))

    with pytest.raises(ComposeError, match="/metrics does not answer"):
        notify_test(ready.stack, say=ready.say)


def test_a_log_that_is_not_json_gives_no_reason() -> None:
    group = '{}/{claw_test_receiver="team"}:{}'
    entries = [{"aggrGroup": group, "err": "refused"}, {"err": "of another"}, {"aggrGroup": group}]
    log = "\n".join(["hello", '"text"', *map(json.dumps, entries)])

    assert dict(notify._told(log)) == {"team": "refused"}
