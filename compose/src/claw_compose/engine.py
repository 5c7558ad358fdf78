"""Docker and Compose, called so that nobody can forget the settings."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypedDict

from claw_compose import environment
from claw_compose.errors import CommandError, ComposeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Unpack

__all__ = ["COMPOSE_FILE", "Options", "Stack"]

COMPOSE_FILE: Final = "docker-compose.prod.yml"
# Long enough for a busy machine, short enough to notice that Docker hangs.
PROBE_SECONDS: Final = 30


class Options(TypedDict, total=False):
    """How a program is called.

    Attributes:
        check: Whether a failure is an error; it is by default.
        capture: Whether its output is kept for the caller, as by default; otherwise it goes to the terminal.
        stdin: What it reads; nothing by default.
        stdout: Where its output goes, byte for byte.
        timeout_seconds: How long it may take.
    """

    check: bool
    capture: bool
    stdin: IO[Any] | None
    stdout: IO[Any] | None
    timeout_seconds: float | None


class Stack:
    """The stack of one clone of the repository and one environment file.

    Args:
        repository: The folder with docker-compose.prod.yml.
        env_file: The settings, such as .env.prod.
        environ: The environment of the programs that are started (DOCKER_HOST, ...).
    """

    def __init__(self, repository: Path, env_file: Path, environ: Mapping[str, str]) -> None:
        self.repository = repository.resolve()
        self.env_file = env_file if env_file.is_absolute() else self.repository / env_file
        self.environ = dict(environ)

    @cached_property
    def settings(self) -> dict[str, str]:
        """The variables of the environment file; the terminal's own win, as in Compose.

        Raises:
            SettingsError: There is no such file.
        """
        return environment.effective(self.env_file, self.environ)

    @property
    def compose_program(self) -> list[str]:
        """How Compose is called here: Docker's plugin, or the program of its own.

        Raises:
            CommandError: There is neither.
        """
        return self._found_compose[0]

    @property
    def compose_version(self) -> str:
        """The version of Compose, such as 2.40.3.

        Raises:
            CommandError: There is none.
        """
        return self._found_compose[1]

    def compose(
        self, *arguments: str, profiles: Sequence[str] = (), **options: Unpack[Options]
    ) -> subprocess.CompletedProcess[str]:
        """Calls Compose with the settings and the compose file.

        Args:
            *arguments: The command and its options.
            profiles: Profiles on top of COMPOSE_PROFILES; "*" is every one.
            **options: See `Options`.

        Raises:
            CommandError: It failed, or took too long.
        """
        chosen = [word for profile in profiles for word in ("--profile", profile)]
        files = ["--env-file", str(self.env_file), "-f", str(self.repository / COMPOSE_FILE)]
        return self._run([*self.compose_program, *files, *chosen, *arguments], **options)

    def docker(self, *arguments: str, **options: Unpack[Options]) -> subprocess.CompletedProcess[str]:
        """Calls Docker itself.

        Raises:
            CommandError: It failed, or took too long.
        """
        return self._run([self._which("docker") or "docker", *arguments], **options)

    def config(self, *, profiles: Sequence[str] = ()) -> dict[str, Any]:
        """Returns the compose file as Compose understands it, with every variable filled in.

        Raises:
            CommandError: Compose refuses it.
        """
        document: dict[str, Any] = json.loads(
            self.compose("config", "--format", "json", profiles=profiles).stdout
        )
        return document

    @cached_property
    def whole(self) -> dict[str, Any]:
        """The compose file with every profile, read once."""
        return self.config(profiles=["*"])

    @cached_property
    def active(self) -> dict[str, dict[str, Any]]:
        """The services that the settings want to run, read once."""
        services: dict[str, dict[str, Any]] = self.config()["services"]
        return services

    @property
    def is_local(self) -> bool:
        """Whether Docker runs on this machine, as far as its address tells."""
        return not re.match(r"(tcp|ssh|https?)://", self.environ.get("DOCKER_HOST", ""))

    @property
    def project(self) -> str:
        """The name in front of containers, networks and volumes: `claw`, or COMPOSE_PROJECT_NAME."""
        return str(self.whole["name"])

    def container(self, service: str) -> str:
        """Returns the id of the running container of a service.

        Raises:
            ComposeError: None runs.
        """
        found = self.compose("ps", "--quiet", service, profiles=["*"]).stdout.split()
        if not found:
            raise ComposeError(f"{service} does not run; start it first:  make up")
        return found[0]

    def url(self, service: str, path: str = "/") -> str:
        """Returns the address of a service on this machine, from the port that the compose file publishes.

        Raises:
            ComposeError: It publishes none.
        """
        for port in self.whole["services"].get(service, {}).get("ports", []):
            address = port.get("host_ip", "127.0.0.1")
            host = "127.0.0.1" if address == "0.0.0.0" else address  # noqa: S104 - compared, not listened on
            return f"http://{host}:{port['published']}{path}"
        raise ComposeError(f"{service} publishes no port")

    def mounted(self, service: Mapping[str, Any]) -> Iterator[Path]:
        """Yields the files and folders of the repository that a service of the compose file mounts."""
        for volume in service.get("volumes", []):
            if volume["type"] == "bind" and self.repository in Path(volume["source"]).parents:
                yield Path(volume["source"])

    def _which(self, program: str) -> str | None:
        return shutil.which(program, path=self.environ.get("PATH", ""))

    @cached_property
    def _found_compose(self) -> tuple[list[str], str]:
        """The program that is Compose here, and its version."""
        docker, own = self._which("docker"), self._which("docker-compose")
        fetched = str(self.repository / ".run/tools/bin/docker-compose")
        candidates = ([docker, "compose"] if docker else None, [own] if own else None, [fetched])
        for program in filter(None, candidates):
            version = self._version(program)
            if version is not None:
                return program, version
        raise CommandError("Docker Compose is missing: install Docker Engine with its Compose plugin")

    def _version(self, program: list[str]) -> str | None:
        try:
            return self._run([*program, "version", "--short"], timeout_seconds=PROBE_SECONDS).stdout.strip()
        except CommandError:
            return None

    def _run(self, command: list[str], **options: Unpack[Options]) -> subprocess.CompletedProcess[str]:
        pipe = subprocess.PIPE if options.get("capture", True) else None
        timeout_seconds = options.get("timeout_seconds")
        try:
            done = subprocess.run(  # noqa: S603 - our own commands
                command,
                cwd=self.repository,
                env=self.environ,
                stdin=options.get("stdin") or subprocess.DEVNULL,
                stdout=options.get("stdout") or pipe,
                stderr=pipe,
                text=True,
                errors="replace",
                timeout=timeout_seconds,
                check=False,
            )
        except OSError as error:
            raise CommandError(f"{command[0]} cannot be started: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise CommandError(f"{_shown(command)} took more than {timeout_seconds:g} s") from error
        if options.get("check", True) and done.returncode:
            said = (done.stderr or done.stdout or "").strip()
            raise CommandError(f"{_shown(command)} failed ({done.returncode}){': ' if said else ''}{said}")
        return done


def _shown(command: list[str]) -> str:
    """A command as an operator would type it, without the long paths in front."""
    words = [word for word in command if not word.startswith("/")]
    return " ".join(word for word in words if word not in {"--env-file", "-f"})
