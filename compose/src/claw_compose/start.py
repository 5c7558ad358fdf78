"""`make up`, `make down` and `make logs`."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from claw_compose import backup_folder, containers, drift, preflight, secret_files
from claw_compose.errors import ComposeError, SettingsError
from claw_compose.finding import nearest
from claw_compose.revision import revision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from claw_compose.containers import Container
    from claw_compose.engine import Stack

__all__ = ["down", "logs", "stale_builds", "up"]

# Prometheus may read its write-ahead log for minutes first.
WAIT_SECONDS: Final = 600
LAST_LINES: Final = 15
# What a log says -> what to do. The first that is found is told.
ADVICE: Final = (
    (r"permission denied|EACCES", "a file that it reads is closed to its user:  make preflight   names it"),
    (r"no space left", "the disk is full:  docker system df   shows what Docker keeps"),
    (
        r"address already in use",
        "another program has its port: move it with a setting, see .env.prod.example",
    ),
    (
        r"password authentication failed|WRONGPASS|NOAUTH|invalid username-password",
        "the file under secrets/ is not what the database was made with (docs/MONITORING_DEPLOYMENT.md, 2.)",
    ),
    (r"no such host|name resolution|could not resolve", "it does not find another service: is that one up?"),
    (r"cannot load certificate|PEM_|key values mismatch", "secrets/tls does not fit:  make preflight"),
    (r"grafana_admin_password is empty", "make secrets"),
)
OUT_OF_MEMORY: Final = 137


def up(stack: Stack, services: Sequence[str] = (), *, say: Callable[[str], None]) -> int:
    """Starts everything, or some services, and waits until all is healthy.

    Raises:
        SettingsError: A setting is wrong, or there is no such service.
        ComposeError: Something does not start; what it said was printed.
    """
    preflight.preflight(stack, say=say, quiet=True)
    _must_exist(stack, services)
    backup_folder.ensure_metrics(stack)
    stale = stale_builds(stack, services)
    if stale:
        say(f"Building {', '.join(stale)}")
        stack.environ = revision(stack.repository).labels | stack.environ
        if stack.compose("build", *stale, capture=False, check=False).returncode:
            raise ComposeError("an image was not built; Docker says why above")
    _start(stack, services, say)
    behind = [
        name for name in drift.changed(stack, containers.find(stack)) if not services or name in services
    ]
    if behind:
        say(f"Restarting {', '.join(behind)}: their files have changed since they started")
        stack.compose("restart", *behind, capture=False, check=False)
        _start(stack, services, say)
    for line in _where_to_go(stack):
        say(line)
    return 0


def _start(stack: Stack, services: Sequence[str], say: Callable[[str], None]) -> None:
    wait = ("--wait", "--wait-timeout", str(WAIT_SECONDS))
    done = stack.compose("up", "-d", *wait, "--remove-orphans", *services, capture=False, check=False)
    if done.returncode:
        for line in _troubles(stack):
            say(line)
        raise ComposeError("\nNot everything came up. `make status` tells how it is now.")


def down(stack: Stack, *, say: Callable[[str], None]) -> int:
    """Stops and removes every container; data stays in volumes.

    Raises:
        ComposeError: Docker says why.
    """
    # Every profile: also what ran before COMPOSE_PROFILES was changed.
    if stack.compose("down", "--remove-orphans", profiles=["*"], capture=False, check=False).returncode:
        raise ComposeError("not everything was stopped; Docker says why above")
    say("Stopped. Data stays in the volumes; `make up` goes on with it.")
    return 0


def logs(stack: Stack, services: Sequence[str] = (), *, say: Callable[[str], None]) -> int:
    """Follows the logs until Ctrl-C.

    Raises:
        SettingsError: There is no such service.
        ComposeError: Nothing runs.
    """
    _must_exist(stack, services)
    there = containers.find(stack)
    if not any(name in there for name in services or there):
        raise ComposeError(f"{', '.join(services) or 'nothing'} was never started:  make up")
    say("Ctrl-C ends this; the stack goes on.")
    tail = ("--follow", "--tail", "100")
    return stack.compose("logs", *tail, *services, profiles=["*"], capture=False, check=False).returncode


def _must_exist(stack: Stack, services: Sequence[str]) -> None:
    known = stack.whole["services"]
    wrong = [f"there is no service {name}{nearest(name, known)}" for name in services if name not in known]
    if wrong:
        raise SettingsError("\n".join([*wrong, f"services: {', '.join(sorted(known))}"]))


def stale_builds(stack: Stack, services: Sequence[str]) -> list[str]:
    """Returns services whose image is made here, and is missing or older than what it is made of."""
    stale: dict[str, str] = {}
    for name, service in stack.active.items():
        wanted = name in services if services else True
        if wanted and "build" in service and service["image"] not in stale.values():
            made = _made(stack, service["image"])
            if made is None or _newest(stack, service["build"]) > made:
                stale[name] = service["image"]
    return list(stale)


def _made(stack: Stack, image: str) -> float | None:
    done = stack.docker("image", "inspect", "--format", "{{.Created}}", image, check=False)
    return None if done.returncode else containers.unix_time(done.stdout.strip())


def _newest(stack: Stack, build: dict[str, Any]) -> float:
    """When the last change was made to what a Dockerfile copies, or to itself."""
    context = stack.repository / str(build["context"])
    dockerfile = context / str(build.get("dockerfile", "Dockerfile"))
    copied = re.findall(r"^COPY ((?!--from).+) \S+$", dockerfile.read_text(encoding="utf-8"), re.MULTILINE)
    names = [word for line in copied for word in shlex.split(line) if not word.startswith("--")]
    return drift.newest([dockerfile, *(context / name for name in names)])


def _troubles(stack: Stack) -> Iterator[str]:
    """What does not run, the last it said, and what to do about it."""
    for name, container in sorted(containers.find(stack).items()):
        if container.is_well:
            continue
        how = container.health if container.state == "running" else container.state
        ended = f", exit code {container.exit_code}" if container.exit_code else ""
        yield f"\n{name} is {how}{ended}"
        said = _last_words(stack, container)
        yield from (f"  | {line}" for line in said)
        advice = _advice(container, "\n".join(said))
        yield f"  => {advice or f'all it said:  make logs SERVICES={name}'}"


def _last_words(stack: Stack, container: Container) -> list[str]:
    done = stack.docker("logs", "--tail", str(LAST_LINES), container.id, check=False)
    return (done.stdout + done.stderr).splitlines()[-LAST_LINES:]


def _advice(container: Container, said: str) -> str:
    for pattern, advice in ADVICE:
        if re.search(pattern, said, re.IGNORECASE):
            return advice
    if container.exit_code == OUT_OF_MEMORY:
        return "it was killed, perhaps for want of memory: its limit stands in docker-compose.prod.yml"
    return ""


def _where_to_go(stack: Stack) -> Iterator[str]:
    user = stack.settings.get("GRAFANA_ADMIN_USER", "admin")
    running = containers.find(stack)
    yield ""
    if "grafana" in running:
        yield f"Grafana       {stack.settings['GRAFANA_ROOT_URL']}"
        yield f"              first login: {user}, password in secrets/{secret_files.GRAFANA}"
    for name in ("prometheus", "alertmanager"):
        if name in running:
            yield f"{name.capitalize():<13} {stack.url(name)}   (this machine only)"
    yield ""
    yield "Next:  make status   make notify-test   make backup"
