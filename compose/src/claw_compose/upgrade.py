"""`make upgrade-check`: what `up` would change now, and what to do before."""

from __future__ import annotations

import re
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from claw_compose import backup_folder, containers, drift, parts
from claw_compose.start import stale_builds
from claw_compose.status import age, lined_up
from claw_compose.versions import Image, Step, advice, step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from claw_compose.containers import Container
    from claw_compose.engine import Stack

__all__ = ["upgrade_check"]

BACKUP_FRESH: Final = timedelta(hours=24)
POSTGRES_DATA: Final = "/var/lib/postgresql/data"
WORDS: Final = {
    Step.NONE: "",
    Step.PATCH: "patch",
    Step.MINOR: "minor version",
    Step.MAJOR: "MAJOR version",
    Step.BACK: "OLDER version",
    Step.OTHER: "another image",
}


def upgrade_check(stack: Stack, *, say: Callable[[str], None]) -> int:
    """Prints what `up` would change; 1 when something must be done before.

    Raises:
        CommandError: Docker does not answer, or Compose refuses the file.
    """
    there = containers.find(stack)
    if not there:
        say("Nothing runs, so nothing would change:  make up   starts everything.")
        return 0
    rows = list(_changes(stack, there))
    started = sorted(set(stack.active) - set(there))
    if not rows:
        say("Everything that runs is as this version of the repository wants it.")
    else:
        say(lined_up([("SERVICE", "NOW", "THEN", "CHANGE"), *rows]))
    if started:
        say(f"Would be started: {', '.join(started)}")
    notes = list(_notes(stack, there))
    first = [text for text, must in notes if must]
    first += _backup(stack, {row[0] for row in rows})
    known = [text for text, must in notes if not must]
    for title, lines in (("Good to know:", known), ("Do this first:", first)):
        if lines:
            say(f"\n{title}")
            for line in lines:
                say(f"  {line}")
    if (rows or started) and not first:
        say("\nNext:  make up")
    return 1 if first else 0


def _changes(stack: Stack, there: dict[str, Container]) -> Iterator[tuple[str, ...]]:
    """Yields a row for each container that `up` would replace or remove."""
    hashes = dict(line.split() for line in stack.compose("config", "--hash", "*").stdout.splitlines() if line)
    behind = drift.changed(stack, there)
    rebuilt = {stack.active[name]["image"] for name in stale_builds(stack, [])}
    for name, container in sorted(there.items()):
        if name not in stack.active:
            yield name, container.image, "-", "is removed"
            continue
        wanted = stack.active[name]["image"]
        what = [WORDS[step(Image.of(container.image), Image.of(wanted))]]
        what.append("is built anew" if wanted in rebuilt else _newer_build(stack, container, wanted))
        what.append("files" if name in behind else "")
        if container.config_hash != hashes.get(name) and container.image == wanted:
            what.append("settings")
        if any(what):
            yield name, container.image, wanted, ", ".join(filter(None, what))


def _newer_build(stack: Stack, container: Container, wanted: str) -> str:
    """Tells whether the tag means another image by now than the one that runs."""
    if container.image != wanted:
        return ""
    done = stack.docker("image", "inspect", "--format", "{{.Id}}", wanted, check=False)
    return "newer image" if done.returncode == 0 and done.stdout.strip() != container.image_id else ""


def _notes(stack: Stack, there: dict[str, Container]) -> Iterator[tuple[str, bool]]:
    for name, container in sorted(there.items()):
        if name not in stack.active:
            continue
        before, after = Image.of(container.image), Image.of(stack.active[name]["image"])
        for text, must in advice(before, after):
            yield f"{name}: {text}", must
        if after.program == "postgres" and step(before, after) is not Step.MAJOR:
            yield from _postgres_data(stack, container, after)


def _postgres_data(stack: Stack, container: Container, image: Image) -> Iterator[tuple[str, bool]]:
    """The data may be older than the container: somebody may have changed the tag before."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "PG_VERSION"
        done = stack.docker("cp", f"{container.id}:{POSTGRES_DATA}/PG_VERSION", str(copy), check=False)
        text = copy.read_text(encoding="utf-8").strip() if done.returncode == 0 and copy.is_file() else ""
    if re.fullmatch(r"\d+", text) and (int(text),) != image.version[:1]:
        told = (
            f"postgres: its data is of version {text}, the image of {image.version[0]}, which cannot read it"
        )
        yield f"{told}: dump and restore, see Upgrading in the documentation", True


def _backup(stack: Stack, changed: set[str]) -> Iterator[str]:
    at_risk = sorted(changed & {parts.POSTGRES, *(part.service for part in parts.PARTS)})
    if not at_risk:
        return
    moment = backup_folder.last_success(stack)
    if moment is None:
        yield f"make backup   (there has been none yet, and {', '.join(at_risk)} would change)"
    elif datetime.now(UTC) - moment > BACKUP_FRESH:
        passed = age(datetime.now(UTC) - moment)
        yield f"make backup   (the last is {passed} old, and {', '.join(at_risk)} would change)"
