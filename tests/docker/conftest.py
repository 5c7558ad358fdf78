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
from tests.docker.engine import Engine, EngineError, given_engine, impossible, private_engine, try_out
from tests.docker.images import Builder
from tests.docker.layers import Layers
from tests.docker.stack import ComposeStack, build_images, copy_repository, prepare, running

from claw_native.errors import NativeError
from claw_native.settings import Settings, read_settings
from claw_native.tools import ensure_tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# What the tests themselves run, besides the engine.
TOOLS = ("docker", "docker-compose", "curl")
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


@contextmanager
def _only_one(settings: Settings, say: Callable[[str], None]) -> Iterator[None]:
    folder = settings.run_dir / "docker"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run uses this Docker Engine, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="package")
def docker_settings() -> Settings:
    return read_settings(os.environ)


@pytest.fixture(scope="package")
def say(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Prints at once what pytest would keep to itself: this takes a while, and somebody waits."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    assert capture

    def line(text: str) -> None:
        with capture.global_and_fixture_disabled():
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    return line


@pytest.fixture(scope="package")
def builder(docker_settings: Settings, say: Callable[[str], None]) -> Iterator[Builder]:
    """A Docker Engine that can run hardened containers, with a builder of images."""
    host = os.environ.get("CLAW_TEST_DOCKER_HOST")
    with ExitStack() as stack:
        try:
            if reason := "" if host else impossible():
                _give_up(reason)
            stack.enter_context(_only_one(docker_settings, say))
            ensure_tools(docker_settings, TOOLS, say=say)
            layers = Layers(docker_settings.run_dir / "docker" / "images", say=say)
            if host:
                engine = given_engine(host, docker_settings, say)
                layers.fetch_all()
            else:
                layers.fetch_all()  # before the network is another
                engine = stack.enter_context(private_engine(docker_settings, say))
            builder = Builder(engine, layers, say=say)
            try_out(engine, builder.base())
        except (EngineError, NativeError) as error:
            _give_up(str(error))
        yield builder


@pytest.fixture(scope="package")
def tools(builder: Builder, docker_settings: Settings) -> Path:
    """The folder of docker, docker-compose and curl: nothing can be fetched once the network is another."""
    assert builder
    return docker_settings.bin_dir


@pytest.fixture(scope="package")
def engine(builder: Builder) -> Engine:
    """The engine: `.docker(*arguments)`, `.environment`, `.kill(pid)`, `.read(path)`."""
    return builder.engine


@pytest.fixture(scope="package")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git has, as a clone would be: no secret, no data, readable by others."""
    return copy_repository(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="package")
def settled(engine: Engine, repository: Path) -> Iterator[ComposeStack]:
    """The stack with settings and secrets, not started; its notifications would arrive."""
    stack = prepare(engine, repository)
    with stack.receiver:
        yield stack


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
