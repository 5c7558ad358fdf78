"""The production stack in a real engine, as a user has it: a clone, settings, `make secrets`, up."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.docker.engine import CGROUPS
from tests.docker.receiver import Receiver
from tests.docker.stand_ins import NO_PROGRAM, repository

from claw_compose.engine import Stack
from claw_native.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.docker.engine import Engine
    from tests.docker.images import Builder

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "claw-test"
UP_SECONDS = 240
RECEIVERS = ("oncall", "team", "watchdog")


class ComposeStack(Stack):
    """The stack of one clone in one engine.

    Attributes:
        engine: Where it runs.
        receiver: Where its notifications arrive.
    """

    def __init__(self, engine: Engine, folder: Path) -> None:
        environ = {**engine.environment, "COMPOSE_PROJECT_NAME": PROJECT}
        super().__init__(folder, folder / ".env.test", environ)
        self.engine = engine
        self.receiver = Receiver(bridge_address(engine))

    def container(self, service: str) -> str:
        """The name of a service's container, running or not."""
        return f"{PROJECT}-{service}-1"

    @cached_property
    def services(self) -> dict[str, dict[str, Any]]:
        """What runs: the services of the chosen profiles whose program there is."""
        every: dict[str, dict[str, Any]] = self.config()["services"]
        return {name: row for name, row in every.items() if repository(row["image"]) not in NO_PROGRAM}

    @property
    def left_out(self) -> set[str]:
        """The services that cannot run here."""
        every = self.whole["services"]
        return {name for name, row in every.items() if repository(row["image"]) in NO_PROGRAM}

    def up(self) -> None:
        """Starts everything, and waits until it is healthy."""
        words = ("up", "--detach", "--no-build", "--pull=never", "--wait", f"--wait-timeout={UP_SECONDS}")
        try:
            self.compose(*words, *self.services, timeout_seconds=UP_SECONDS + 60)
        except Exception as error:
            error.add_note(self.complaints())
            raise

    def down(self, *options: str) -> None:
        """Stops everything; data stays."""
        self.compose("down", *options, profiles=["*"], timeout_seconds=150)

    def complaints(self) -> str:
        """What the services that are not healthy said last."""
        shown = self.docker("ps", "--all", f"--filter=label=com.docker.compose.project={PROJECT}").stdout
        ill = [line.split()[-1] for line in shown.splitlines()[1:] if "(healthy)" not in line]
        logs = [self.docker("logs", "--tail=8", name, check=False) for name in ill]
        rows = zip(ill, logs, strict=True)
        return "\n".join([shown, *(f"== {name}\n{log.stdout}{log.stderr}" for name, log in rows)])

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine says of a service's container."""
        (shown,) = json.loads(self.docker("inspect", self.container(service)).stdout)
        found: dict[str, Any] = shown
        return found

    def process(self, service: str, file: str) -> str:
        """A file of /proc about a service's first process, such as `status`."""
        return self.engine.read(f"/proc/{self.inspect(service)['State']['Pid']}/{file}")

    def limits(self, service: str) -> dict[str, float]:
        """What the kernel keeps a service's processes to: bytes, processes, processors."""
        groups = dict(line.split(":")[1:] for line in self.process(service, "cgroup").splitlines())
        if "memory" in groups:
            period, quota = (self._group(groups, "cpu", f"cpu.cfs_{name}_us") for name in ("period", "quota"))
            memory, pids = (
                self._group(groups, "memory", "memory.limit_in_bytes"),
                self._group(groups, "pids", "pids.max"),
            )
        else:
            quota, period = self._group(groups, "", "cpu.max").split()
            memory, pids = self._group(groups, "", "memory.max"), self._group(groups, "", "pids.max")
        return {"memory": int(memory), "pids": int(pids), "cpus": int(quota) / int(period)}

    @staticmethod
    def _group(groups: dict[str, str], controller: str, file: str) -> str:
        # Several controllers may share a hierarchy: cpu,cpuacct.
        (name,) = (name for name in groups if controller in name.split(","))
        return (CGROUPS / name / groups[name].lstrip("/") / file).read_text().strip()

    def inside(self, service: str, *command: str) -> str:
        """What a command prints inside a service's container, as the service's user."""
        return self.docker("exec", self.container(service), *command, timeout_seconds=60).stdout

    def ask(self, service: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON of others
        """The JSON that a service answers on its loopback port; nothing when it answers nothing."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url(service, path), data=data, headers=headers)  # noqa: S310 - ours
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - ours
            return json.loads(answer.read() or "null")

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """What Prometheus answers to an instant query."""
        fields = {"query": expression} | ({} if at is None else {"time": str(at)})
        path = f"/api/v1/query?{urllib.parse.urlencode(fields)}"
        rows: list[dict[str, Any]] = self.ask("prometheus", path)["data"]["result"]
        return rows


def wait_for(holds: Callable[[], object], *, seconds: float, what: str) -> None:
    """Waits until something is true; a service that does not answer yet says it is not.

    Raises:
        AssertionError: It is not, after that time; the message ends with the last answer.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            last: object = holds()
        except OSError as error:
            last = None
            said = str(error)
        else:
            said = str(last)
            if last:
                return
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}; at last: {said}"
        time.sleep(0.2)


def bridge_address(engine: Engine) -> str:
    """The machine's address that every container reaches: `host-gateway`."""
    form = "{{(index .IPAM.Config 0).Gateway}}"
    return engine.docker("network", "inspect", "--format", form, "bridge").strip()


def copy_repository(folder: Path) -> Path:
    """Copies what git tracks or would add, with the rights a clone has under `umask 022`."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        source, copy = ROOT / name, folder / name
        if source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
            copy.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
    for path in (folder, *folder.parents[:2], *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    return folder


def prepare(engine: Engine, folder: Path) -> ComposeStack:
    """Writes settings and makes secrets, as the documentation says; ports are free ones."""
    stack = ComposeStack(engine, folder)
    example = (folder / ".env.prod.example").read_text()
    ports = re.findall(r"\$\{(CLAW_\w+_PORT):-\d+\}", (folder / "docker-compose.prod.yml").read_text())
    settings = {name: str(free_port()) for name in dict.fromkeys(ports)}
    settings |= {
        "GRAFANA_ADMIN_USER": "admin",
        "GRAFANA_ROOT_URL": f"https://localhost:{settings['CLAW_NGINX_TLS_PORT']}/grafana",
        "COMPOSE_PROFILES": "example",
        "CLAW_DOCKER_SOCKET": str(engine.socket),
    }
    kept = [line for line in example.splitlines() if line.partition("=")[0] not in settings]
    lines = [*kept, *(f"{name}={value}" for name, value in settings.items())]
    stack.env_file.write_text("\n".join(lines) + "\n")
    run_command(stack, "secrets")
    for name in RECEIVERS:
        (folder / "secrets" / f"alertmanager_{name}_url").write_text(f"{stack.receiver.url}/{name}")
    return stack


def run_command(stack: ComposeStack, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of the production stack as make does."""
    environ = {**stack.environ, "PYTHONPATH": str(stack.repository / "compose" / "src")}
    command = [sys.executable, "-m", "claw_compose", "--env-file", stack.env_file.name, *words]
    return subprocess.run(
        command, cwd=stack.repository, env=environ, check=True, capture_output=True, text=True, timeout=300
    )


def build_images(stack: ComposeStack, builder: Builder) -> list[str]:
    """Builds what the services of the stack run; returns the names."""
    rows = {row["image"]: row.get("build") for row in stack.services.values()}
    first, *others = ((reference, build) for reference, build in rows.items() if build)
    # Ours take longest, mostly waiting for packages: side by side, and first. But one goes ahead, whose base
    # the others find: builds at the same time share no step in the builder that Debian has.
    with ThreadPoolExecutor() as pool:
        ahead = pool.submit(builder.build_own, *first)
        waiting = [pool.submit(builder.build, reference) for reference, build in rows.items() if not build]
        ahead.result()
        waiting += [pool.submit(builder.build_own, *own) for own in others]
    for built in waiting:
        built.result()
    return list(rows)


@contextmanager
def running(stack: ComposeStack) -> Iterator[ComposeStack]:
    """The stack, up and healthy; afterwards nothing of it is left."""
    try:
        stack.up()
        yield stack
    finally:
        stack.down("--volumes", "--timeout=5")
