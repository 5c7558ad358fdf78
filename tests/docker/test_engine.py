"""The tests' own Docker Engine: it disturbs nobody, leaves nothing, and says when it cannot."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.docker import engine as module
from tests.docker.engine import CGROUPS, EngineError, _remove_groups, private_engine
from tests.docker.stack import ROOT, wait_for

from claw_native.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

# Starts an engine, says so, and waits to be killed.
VICTIM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from claw_native.settings import Settings
from tests.docker.engine import private_engine
settings = Settings(run_dir=Path(sys.argv[2]), tools_dir=Path(sys.argv[3]))
with private_engine(settings, print) as engine:
    print("socket", engine.socket, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def own_settings(docker_settings: Settings, tmp_path: Path) -> Settings:
    return Settings(run_dir=tmp_path / "run", tools_dir=docker_settings.tools_dir)


def processes(word: str) -> list[str]:
    """The commands of all processes of this machine that have a word in them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in command and str(os.getpid()) != path.parent.name:
            found.append(command)
    return found


def network() -> str:
    return str(Path("/proc/thread-self/ns/net").readlink())


@pytest.mark.usefixtures("engine")
def test_a_second_engine_comes_and_goes_without_a_trace(own_settings: Settings) -> None:
    before = network()
    with private_engine(own_settings, lambda _: None) as second:
        folder = second.socket.parent
        assert second.docker("info", "--format", "{{.ServerVersion}}").strip()
        assert network() != before
        assert processes(str(folder))

    assert network() == before
    assert processes(str(folder)) == []
    assert not folder.exists()
    assert [*CGROUPS.glob(folder.name), *CGROUPS.glob(f"*/{folder.name}")] == []
    assert str(own_settings.run_dir) not in Path("/proc/self/mounts").read_text()


@pytest.mark.usefixtures("engine")
def test_an_engine_dies_with_its_tests(own_settings: Settings) -> None:
    words = [sys.executable, "-c", VICTIM, *map(str, (ROOT, own_settings.run_dir, own_settings.tools_dir))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout
        folder = next(Path(line.split()[1]).parent for line in victim.stdout if line.startswith("socket"))
        assert processes(f"{folder}/docker.sock")
        victim.send_signal(signal.SIGKILL)

    wait_for(lambda: not processes(str(folder)), seconds=20, what="every process has ended")
    # Nobody was left to do it.
    shutil.rmtree(folder)
    _remove_groups(folder.name)


def test_only_root_is_asked_to_start_one(monkeypatch: pytest.MonkeyPatch, own_settings: Settings) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(EngineError, match="only root"), private_engine(own_settings, print):
        pass


def test_a_machine_without_control_groups_is_told(
    monkeypatch: pytest.MonkeyPatch, own_settings: Settings, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(module, "CGROUPS", tmp_path)

    with pytest.raises(EngineError, match="no control groups"), private_engine(own_settings, print):
        pass


@pytest.mark.usefixtures("engine")
def test_an_engine_that_does_not_start_says_why(
    monkeypatch: pytest.MonkeyPatch, own_settings: Settings
) -> None:
    monkeypatch.setattr(module, "BRIDGE", "no-address")

    refused = pytest.raises(EngineError, match=r"does not start here .*dockerd\.log")
    with refused, private_engine(own_settings, print):
        pass


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(("demand", "code"), [("", 0), ("required", 1)])
def test_where_there_is_no_engine_tests_are_skipped_unless_required(
    docker_settings: Settings, tmp_path: Path, demand: str, code: int
) -> None:
    environ: Mapping[str, str] = {
        **os.environ,
        "CLAW_TEST_DOCKER": demand,
        "CLAW_TEST_DOCKER_HOST": f"unix://{tmp_path}/none.sock",
        "CLAW_NATIVE_RUN_DIR": str(tmp_path / "run"),
        "CLAW_NATIVE_TOOLS_DIR": str(docker_settings.tools_dir),
    }
    one = "tests/docker/test_engine.py::test_a_second_engine_comes_and_goes_without_a_trace"
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", one]
    done = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)

    assert done.returncode == code, done.stdout
    assert "none.sock" in done.stdout
    assert ("SKIPPED" in done.stdout) == (code == 0)
