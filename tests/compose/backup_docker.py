#!/usr/bin/env -S python3 -S -E
"""Stands in for `docker` in the tests of backups: under FAKE_DOCKER, containers are files, volumes folders.

It knows what the backup calls, and nothing else. The files `failing`, `hanging` and `cutting` hold
expressions: a command that matches one fails, waits, or says only half of it.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sys
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(os.environ["FAKE_DOCKER"])
VOLUMES = {
    "alertmanager": "/alertmanager",
    "grafana": "/var/lib/grafana",
    "loki": "/loki",
    "prometheus": "/prometheus",
    "redis": "/data",
}


def state(service: str) -> Path:
    return HERE / "containers" / service


def folder_of(place: str) -> Path:
    """`redis:/data/.` -> the folder that stands for it."""
    service, _, path = place.partition(":")
    return HERE / "volumes" / service / path.removeprefix(VOLUMES[service]).strip("/.")


def copy(source: str, target: str) -> None:
    if target == "-":
        whole = io.BytesIO()
        with tarfile.open(fileobj=whole, mode="w") as archive:
            archive.add(folder_of(source), ".")
        shorter = any(re.search(line, source) for line in lines("cutting"))
        sys.stdout.buffer.write(whole.getvalue()[: -100_000 if shorter else None])
    else:
        with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
            archive.extractall(folder_of(target))  # noqa: S202 - the test's own


def execute(container: str, *command: str) -> None:
    if command[0] == "rm":
        shutil.rmtree(folder_of(f"{container}:{command[-1]}"))
        return
    program, *arguments = command[command.index("sh", 1) + 1 :]
    postgres = HERE / "postgres"
    if program == "pg_dumpall":
        sys.stdout.write((postgres / "globals").read_text())
    elif program == "pg_dump":
        sys.stdout.write((postgres / "magic").read_text() + arguments[-1])
    elif program == "psql" and "-c" in arguments:
        query = arguments[-1]
        roles = "ALTER ROLE claw NOLOGIN;\n" if "NOLOGIN" in query else ""
        sys.stdout.write(roles or (postgres / "databases").read_text())
    else:
        with (postgres / "log").open("a") as log:
            log.write(f"-- {program}\n{sys.stdin.read()}\n")


def inspect(*services: str) -> None:
    images = {
        name: one["image"] for name, one in json.loads((HERE / "config.json").read_text())["services"].items()
    }
    documents = [
        {
            "Id": name,
            "Config": {"Image": images.get(name, ""), "Labels": {"com.docker.compose.service": name}},
            "State": {"Status": state(name).read_text(), "ExitCode": 0, "StartedAt": ""},
            "RestartCount": 0,
            "Image": "sha256:0",
        }
        for name in services
    ]
    sys.stdout.write(json.dumps(documents))


def compose(*words: str) -> None:
    command = next(word for word in words if word in {"config", "up", "rm", "version"})
    service = words[-1]
    if command == "config":
        sys.stdout.write((HERE / "config.json").read_text())
    elif command == "rm":
        state(service).unlink(missing_ok=True)
    elif command == "up":
        for name in words[words.index("--no-deps") + 1 :]:
            if name != "--wait":
                state(name).write_text("created" if "--no-start" in words else "running")
                (HERE / "volumes" / name).mkdir(exist_ok=True)


def main(*words: str) -> None:
    with (HERE / "log").open("a") as log:
        log.write(" ".join(words).replace("\n", " ") + "\n")
    if waiting := [line for line in lines("hanging") if re.search(line, " ".join(words))]:
        (HERE / "hangs").write_text(waiting[0])
        time.sleep(60)
    if any(re.search(line, " ".join(words)) for line in lines("failing")):
        sys.exit("the engine says no")
    command = next(pattern for pattern in COMMANDS if words[: len(pattern)] == pattern)
    COMMANDS[command](*words[len(command) :])


def remove_volume(name: str) -> None:
    shutil.rmtree(HERE / "volumes" / name.removeprefix("claw_").removesuffix("-data"))


COMMANDS: dict[tuple[str, ...], Callable[..., object]] = {
    ("compose",): compose,
    ("ps",): lambda *_: sys.stdout.write(" ".join(path.name for path in (HERE / "containers").iterdir())),
    ("inspect",): inspect,
    ("pause",): lambda service: state(service).write_text("paused"),
    ("unpause",): lambda service: state(service).write_text("running"),
    ("restart",): lambda _: None,
    ("cp",): copy,
    ("volume", "rm", "--force"): remove_volume,
    ("exec", "--interactive"): execute,
    ("exec",): execute,
}


def lines(name: str) -> list[str]:
    return (HERE / name).read_text().splitlines() if (HERE / name).exists() else []


if __name__ == "__main__":
    main(*sys.argv[1:])
