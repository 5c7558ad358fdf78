"""A Docker Engine of the tests' own, the images of the compose file in it, and the stack, up.

Where there can be no engine, every test is skipped with the reason, or fails with CLAW_TEST_DOCKER=required.
CLAW_TEST_DOCKER_HOST=unix:///path uses an engine that was started for trials; it keeps the images.
"""

from __future__ import annotations

import fcntl
import os
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NoReturn

import pytest

from claw_native.errors import NativeError
from claw_native.settings import Settings, read_settings
from tests.docker.engine import Engine, EngineError, given_engine, impossible, private_engine, try_out
from tests.docker.images import Builder
from tests.docker.layers import Layers
from tests.docker.stack import ComposeStack, build_images, copy_repository, prepare, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Of one test with the fixtures it needs: images are built within the first one.
TIMEOUT_SECONDS = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "docker" in item.path.parent.parts:
            item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("CLAW_TEST_DOCKER") == "required":
        pytest.fail(f"CLAW_TEST_DOCKER is 'required', but {reason}", pytrace=False)
    pytest.skip(reason)


def _say(text: str) -> None:
    # pytest keeps what a fixture prints to itself; this takes a while, and somebody waits.
    sys.__stderr__.write(f"{text}\n")  # type: ignore[union-attr]


@contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    folder = settings.run_dir / "docker"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another run uses this Docker Engine, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="package")
def docker_settings() -> Settings:
    return read_settings(os.environ)


@pytest.fixture(scope="package")
def builder(docker_settings: Settings) -> Iterator[Builder]:
    """A Docker Engine that can run hardened containers, with a builder of images."""
    host = os.environ.get("CLAW_TEST_DOCKER_HOST")
    with ExitStack() as stack:
        try:
            layers = Layers(docker_settings.run_dir / "docker" / "images", say=_say)
            if reason := "" if host else impossible():
                _give_up(reason)
            layers.fetch_all()  # before the network is another
            if host:
                engine = given_engine(host, docker_settings, _say)
            else:
                stack.enter_context(_only_one(docker_settings))
                engine = stack.enter_context(private_engine(docker_settings, _say))
            builder = Builder(engine, layers, say=_say)
            try_out(engine, builder.base())
        except (EngineError, NativeError) as error:
            _give_up(str(error))
        yield builder


@pytest.fixture(scope="package")
def engine(builder: Builder) -> Engine:
    """The engine: `.docker(*arguments)`, `.environment`, `.kill(pid)`, `.read(path)`."""
    return builder.engine


@pytest.fixture(scope="package")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git has, as a clone would be: no secret, no data, readable by others."""
    return copy_repository(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="package")
def settled(engine: Engine, repository: Path) -> ComposeStack:
    """The stack with settings and secrets, not started."""
    return prepare(engine, repository)


@pytest.fixture(scope="package")
def images(settled: ComposeStack, builder: Builder) -> list[str]:
    """What `docker-compose.prod.yml` names, in the engine, but for what has no program."""
    return build_images(settled, builder)


@pytest.fixture(scope="package")
def compose_stack(settled: ComposeStack, images: list[str]) -> Iterator[ComposeStack]:
    """The stack, up and healthy; every test leaves it so."""
    assert images
    with running(settled) as stack:
        yield stack
