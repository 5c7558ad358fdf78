"""A running hub: one process, a real Postgres, a real Redis, the embedded warehouse."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

from claw_native.servers import DATABASE, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from claw_native.servers import Postgres, Redis

START_SECONDS = 60
SECRET = "0123456789abcdef" * 4


@dataclass(kw_only=True)
class Hub:
    """A hub of its own: `.client`, `.environment`, `.start()`, `.kill()`, `.run(*words)`."""

    environment: dict[str, str]
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environment['CLAW_HUB_PORT']}"

    @property
    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, trust_env=False, timeout=30)

    @property
    def log(self) -> str:
        return (self.folder / "hub.log").read_text()

    def run(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Runs `claw-hub` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "claw_hub.cli", *words],
            env=os.environ | self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, part: str = "all") -> None:
        with (self.folder / "hub.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "claw_hub.cli", part],
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < until, self.log
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with self.client as client:
                return client.get("/readyz").is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """Ends it as a crash would: kill -9."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Asks it to end; returns its exit code."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


@contextmanager
def new_hub(postgres: Postgres, redis: Redis, folder: Path) -> Iterator[Hub]:
    """A hub that has not started; its database is empty."""
    secret = folder / "token-secret"
    secret.write_text(SECRET)
    made = Hub(
        environment={
            "CLAW_HUB_PORT": str(free_port()),
            "CLAW_HUB_DATABASE_URL": postgres.dsn,
            "CLAW_HUB_REDIS_URL": redis.url,
            "CLAW_HUB_TOKEN_SECRET_FILE": str(secret),
            "CLAW_HUB_WAREHOUSE_DIRECTORY": str(folder / "warehouse"),
            "CLAW_HUB_WAREHOUSE_PORT": str(free_port()),
        },
        folder=folder,
    )
    yield made
    if made.process and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


@pytest.fixture
def hub(postgres: Postgres, redis_server: Redis, tmp_path: Path) -> Iterator[Hub]:
    """A hub that has not started."""
    with new_hub(postgres, redis_server, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def running_hub(
    _postgres: Postgres, _redis_server: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    """One that runs, for a module of tests that change nothing; beside it, no `postgres` is possible."""
    _postgres.start()
    _redis_server.start()
    _postgres.query(f"DROP DATABASE {DATABASE} WITH (FORCE)")
    _postgres.provide()
    with new_hub(_postgres, _redis_server, tmp_path_factory.mktemp("hub")) as made:
        made.start()
        yield made
