"""The probes, in the real blackbox exporter."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILE = Path(__file__).resolve().parents[2] / "blackbox-exporter" / "blackbox.yml"
DEADLINE_SECONDS = 20


@pytest.fixture(scope="module")
def exporter(tools: Path, free_port: Callable[[], int]) -> Iterator[httpx.Client]:
    port = free_port()
    process = subprocess.Popen(
        [tools / "blackbox_exporter", f"--config.file={FILE}", f"--web.listen-address=127.0.0.1:{port}"],
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            deadline = time.monotonic() + DEADLINE_SECONDS
            while not alive(client):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield client
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)


def alive(client: httpx.Client) -> bool:
    try:
        return client.get("/-/healthy").is_success
    except httpx.ConnectError:
        return False


def succeeded(client: httpx.Client, module: str, target: str) -> bool:
    lines = client.get("/probe", params={"module": module, "target": target}).text.splitlines()
    (value,) = [line.split()[1] for line in lines if line.startswith("probe_success ")]
    return value == "1"


def test_the_blackbox_exporter_accepts_its_configuration(tools: Path) -> None:
    done = subprocess.run(
        [tools / "blackbox_exporter", f"--config.file={FILE}", "--config.check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_it_offers_what_the_alerts_and_hosts_need() -> None:
    assert set(yaml.safe_load(FILE.read_text())["modules"]) == {"http_2xx", "https_2xx", "tcp", "icmp"}


def test_a_page_that_answers_is_up(exporter: httpx.Client) -> None:
    assert succeeded(exporter, "http_2xx", str(exporter.base_url.join("/-/healthy")))


def test_a_page_that_answers_with_an_error_is_down(exporter: httpx.Client) -> None:
    # A probe of nothing: 400.
    assert not succeeded(exporter, "http_2xx", str(exporter.base_url.join("/probe")))


def test_a_page_without_tls_fails_where_tls_is_wanted(exporter: httpx.Client) -> None:
    assert not succeeded(exporter, "https_2xx", str(exporter.base_url.join("/-/healthy")))


def test_a_port_is_up_while_somebody_listens(exporter: httpx.Client, free_port: Callable[[], int]) -> None:
    assert succeeded(exporter, "tcp", f"127.0.0.1:{exporter.base_url.port}")
    assert not succeeded(exporter, "tcp", f"127.0.0.1:{free_port()}")
