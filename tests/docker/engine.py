"""A Docker Engine of the tests' own: started from the machine's packages, seen by nobody, gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.docker.namespace import BRIDGE, Network

from claw_native.errors import NativeError
from claw_native.programs import ENGINE_PROGRAMS
from claw_native.tools import ensure_tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from claw_native.settings import Settings

START_SECONDS = 60
STOP_SECONDS = 30
CGROUPS = Path("/sys/fs/cgroup")
# The first process of the namespaces: its end is the end of all others, the kernel sees to it.
# Containers may ask for mounts that follow the machine's (`rslave`), so the root is shared, as with systemd.
# Nothing is read from the machine's own engine's settings, and no key is left there.
INSIDE = """\
mount --make-rshared / && mkdir -p /etc/docker && mount -t tmpfs none /etc/docker && exec docker-init -- "$@"
"""


class EngineError(Exception):
    """There can be no engine here; the message says why."""


class Engine:
    """A running engine.

    Args:
        environment: What its command line needs, DOCKER_HOST among it.
        proxy: The way out for builds; none when containers reach the network themselves.
        namespace: A process of the engine's process namespace; none when that is the tests' own.
    """

    def __init__(self, environment: Mapping[str, str], *, proxy: str = "", namespace: int = 0) -> None:
        self.environment = dict(environment)
        self.proxy = proxy
        self._namespace = namespace

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return Path(self.environment["DOCKER_HOST"].removeprefix("unix://"))

    def run(self, *arguments: str, timeout_seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Runs `docker` with these arguments, to its end."""
        return subprocess.run(
            ["docker", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )

    def docker(self, *arguments: str, timeout_seconds: float = 120) -> str:
        """Runs `docker`; returns what it printed.

        Raises:
            EngineError: It failed.
        """
        done = self.run(*arguments, timeout_seconds=timeout_seconds)
        if done.returncode:
            raise EngineError(f"docker {' '.join(arguments)}: {(done.stdout + done.stderr)[-3000:].strip()}")
        return done.stdout

    def kill(self, pid: int) -> None:
        """Kills a process of a container, as the kernel would: the engine has not been asked to."""
        if self._namespace:
            words = ["nsenter", "--target", str(self._namespace), "--pid", "kill", "-9", str(pid)]
            subprocess.run(words, check=True)
        else:
            os.kill(pid, signal.SIGKILL)

    def read(self, path: str) -> str:
        """Reads a file as the engine sees it, such as one of /proc about a container's process."""
        if not self._namespace:
            return Path(path).read_text()
        words = ["nsenter", "--target", str(self._namespace), "--pid", "--mount", "cat", path]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    def remove_all(self) -> None:
        """Removes every container, volume and network; images stay."""
        for listing, removal in (
            (("ps", "--all", "--quiet"), ("rm", "--force", "--volumes")),
            (("volume", "ls", "--quiet"), ("volume", "rm", "--force")),
            (("network", "ls", "--quiet", "--filter", "type=custom"), ("network", "rm")),
        ):
            if names := self.docker(*listing).split():
                self.docker(*removal, *names)


def impossible() -> str:
    """Says why an engine cannot be started here; empty when nothing speaks against it."""
    if os.geteuid() != 0:
        return "only root can start a Docker Engine of its own"
    missing = [name for name in ("unshare", "nsenter", "setpriv", "mount") if shutil.which(name) is None]
    if missing:
        return f"this machine lacks {', '.join(missing)} (package util-linux)"
    if not (CGROUPS / "cgroup.controllers").exists() and not (CGROUPS / "memory").exists():
        return f"this machine has no control groups at {CGROUPS}"
    return ""


def try_out(engine: Engine, image: str) -> None:
    """Runs one small container with what the compose file asks for.

    Raises:
        EngineError: The engine runs, but the kernel refuses.
    """
    network = f"claw-try-{os.getpid()}"
    hardened = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges:true", "--user=70:70")
    limits = ("--memory=64m", "--pids-limit=16", "--cpus=0.5", "--tmpfs=/tmp")
    engine.docker("network", "create", "--internal", network)
    try:
        engine.docker("run", "--rm", f"--network={network}", *hardened, *limits, image, "id")
    finally:
        engine.docker("network", "rm", network)


def given_engine(host: str, settings: Settings, say: Callable[[str], None]) -> Engine:
    """Returns the engine somebody else started for the tests; what it has, it keeps."""
    ensure_tools(settings, ["docker"], say=say)
    engine = Engine(_environment(settings, host))
    engine.docker("version")
    return engine


@contextmanager
def private_engine(settings: Settings, say: Callable[[str], None]) -> Iterator[Engine]:
    """Starts an engine in namespaces of its own; at the end nothing of it is left but its images' files.

    Raises:
        EngineError: This machine cannot run one.
    """
    if reason := impossible():
        raise EngineError(reason)
    try:
        ensure_tools(settings, ENGINE_PROGRAMS, say=say)
    except NativeError as error:
        raise EngineError(f"no Docker Engine to be had: {error}") from error
    with ExitStack() as stack:
        # Paths of sockets are short.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="claw-", dir="/tmp")))
        try:
            network = stack.enter_context(Network())
        except OSError as error:
            raise EngineError(error.strerror) from error
        data = settings.run_dir / "docker" / "data"
        data.mkdir(parents=True, exist_ok=True)
        yield stack.enter_context(_running(settings, folder, data, network))


@contextmanager
def _running(settings: Settings, folder: Path, data: Path, network: Network) -> Iterator[Engine]:
    environment = _environment(settings, f"unix://{folder}/docker.sock")
    group = folder.name
    log = settings.run_dir / "docker" / "dockerd.log"
    with log.open("w") as out:
        process = subprocess.Popen(_command(folder, data, group), env=environment, stdout=out, stderr=out)
    try:
        engine = Engine(environment, proxy=network.proxy, namespace=_started(process, log, environment))
        engine.remove_all()  # of a run that was killed
        yield engine
        engine.remove_all()
    finally:
        _stop(process)
        _remove_groups(group)


def _environment(settings: Settings, host: str) -> dict[str, str]:
    path = f"{settings.bin_dir}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    # The builder that every engine has; the newer one is a separate package.
    environment = {"PATH": path, "HOME": "/nonexistent", "DOCKER_HOST": host, "DOCKER_BUILDKIT": "0"}
    for extensions in settings.tools_dir.glob("iptables/usr/lib/*/xtables"):
        environment["XTABLES_LIBDIR"] = str(extensions)
    return environment


def _command(folder: Path, data: Path, group: str) -> list[str]:
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return [
        *("setpriv", "--pdeathsig", "KILL"),
        *namespaces,
        *("sh", "-c", INSIDE, "sh"),
        "dockerd",
        f"--host=unix://{folder}/docker.sock",
        f"--data-root={data}",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid",
        # There is no way out: a name that is no container's is unknown at once.
        f"--bip={BRIDGE}/16",
        f"--dns={BRIDGE}",
        f"--cgroup-parent=/{group}",
        "--exec-opt=native.cgroupdriver=cgroupfs",
    ]


def _started(process: subprocess.Popen[bytes], log: Path, environment: Mapping[str, str]) -> int:
    """Waits until the engine answers; returns the first process of its namespace."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        done = subprocess.run(["docker", "version"], env=environment, capture_output=True, check=False)
        if done.returncode == 0:
            return _child(process)
        time.sleep(0.1)
    last = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
    raise EngineError(f"the Docker Engine does not start here ({log}):\n{last}")


def _child(process: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0]) if children else 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None and (first := _child(process)):
        os.kill(first, signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)


def _remove_groups(group: str) -> None:
    for top in (*CGROUPS.glob(group), *CGROUPS.glob(f"*/{group}")):
        for folder in (*sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True), top):
            _remove_group(folder)


def _remove_group(folder: Path) -> None:
    # A process that has just been killed may still be in it.
    deadline = time.monotonic() + STOP_SECONDS
    while True:
        try:
            folder.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
