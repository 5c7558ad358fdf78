"""`make upgrade-check`, over a fake `docker`."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.compose.conftest import Clone, container
from tests.compose.test_status import all_containers, backed_up

from claw_compose.upgrade import upgrade_check
from claw_compose.versions import NOTES, Image, Step, advice, step


@pytest.fixture
def current(ready: Clone) -> Clone:
    """What runs is what the file says, and there is a fresh backup."""
    later = datetime.fromtimestamp(time.time() + 60, UTC)
    ready.answer("^image inspect --format {{.Created}}", f"{later:%Y-%m-%dT%H:%M:%S}Z\n")
    ready.answer("^image inspect --format {{.Id}}", code=1)
    ready.answer("^compose .* config --hash", "".join(f"{name} hash\n" for name in ready.stack.active))
    ready.answer("^cp ", code=1)
    ready.runs(*all_containers(ready).values())
    backed_up(ready, timedelta(hours=1))
    return ready


def running(clone: Clone, **images: dict[str, Any] | None) -> None:
    """Replaces containers; None takes one away. A dash in a name is written as two underscores."""
    there: dict[str, Any] = all_containers(clone) | {
        name.replace("__", "-"): given for name, given in images.items()
    }
    clone.runs(*(one for one in there.values() if one))


def rows(clone: Clone) -> dict[str, list[str]]:
    table = next((text for text in clone.said if text.startswith("SERVICE")), "")
    return {line.split()[0]: line.split(maxsplit=3)[1:] for line in table.splitlines()[1:]}


def test_nothing_running_changes_nothing(ready: Clone) -> None:
    assert upgrade_check(ready.stack, say=ready.say) == 0
    assert ready.said == ["Nothing runs, so nothing would change:  make up   starts everything."]


def test_what_is_current_is_told(current: Clone) -> None:
    assert upgrade_check(current.stack, say=current.say) == 0
    assert current.said == ["Everything that runs is as this version of the repository wants it."]


def test_another_image_is_told_with_the_kind_of_step(current: Clone) -> None:
    running(
        current,
        loki=container("loki", "grafana/loki:3.7.1"),
        nginx=container("nginx", "nginx:1.28.0-alpine"),
        node__exporter=container("node-exporter", "prom/node-exporter:v0.18.0"),
        prometheus=container("prometheus", "someone/else:v3"),
    )

    assert upgrade_check(current.stack, say=current.say) == 0
    assert rows(current) == {
        "loki": ["grafana/loki:3.7.1", "grafana/loki:3.7.6", "patch"],
        "nginx": ["nginx:1.28.0-alpine", "nginx:1.30.5-alpine", "minor version"],
        "node-exporter": ["prom/node-exporter:v0.18.0", "prom/node-exporter:v1.12.1", "MAJOR version"],
        "prometheus": ["someone/else:v3", "prom/prometheus:v3.13.3", "another image"],
    }
    assert current.said[-1] == "\nNext:  make up"


def test_changed_settings_a_newer_image_and_a_newer_source_are_told(current: Clone) -> None:
    images = {name: service["image"] for name, service in current.stack.active.items()}
    running(
        current,
        redis=container("redis", images["redis"], config_hash="another"),
        loki=container("loki", images["loki"], image_id="sha256:old"),
        nginx=container("nginx", images["nginx"], started="2026-01-01T00:00:00Z"),
    )
    current.answer("^image inspect --format {{.Id}} grafana/loki", "sha256:new\n")
    current.answer("^image inspect --format {{.Created}} claw-exporter", code=1)

    upgrade_check(current.stack, say=current.say)

    assert {name: row[2] for name, row in rows(current).items()} == {
        "exporter": "is built anew",
        "loki": "newer image",
        "nginx": "files",
        "redis": "settings",
    }


def test_what_would_be_started_and_removed_is_told(current: Clone) -> None:
    running(current, loki=None, alloy=container("alloy", "grafana/alloy:v1.21.2"))

    assert upgrade_check(current.stack, say=current.say) == 0
    assert "Would be started: loki" in current.said
    assert rows(current) == {"alloy": ["grafana/alloy:v1.21.2", "-", "is removed"]}


def test_a_new_major_version_of_postgres_must_be_prepared(current: Clone) -> None:
    running(current, postgres=container("postgres", "postgres:16.4-alpine"))

    assert upgrade_check(current.stack, say=current.say) == 1
    assert "\nDo this first:" in current.said
    assert any("dump and restore" in line for line in current.said)


def test_data_of_another_postgres_than_the_image_is_found_in_the_volume(current: Clone) -> None:
    fake = current.folder.parent / "fake" / "docker"
    fake.rename(fake.with_name("other"))
    fake.write_text(
        f'#!/bin/sh\nif [ "$1" = cp ]; then echo 16 > "$3"; else exec {fake.with_name("other")} "$@"; fi\n'
    )
    fake.chmod(0o755)

    assert upgrade_check(current.stack, say=current.say) == 1
    assert any("its data is of version 16, the image of 17" in line for line in current.said)


@pytest.mark.parametrize(("ago", "told"), [(None, "none yet"), (timedelta(days=2), "the last is 2 d old")])
def test_data_at_risk_wants_a_fresh_backup_first(current: Clone, ago: timedelta | None, told: str) -> None:
    running(current, grafana=container("grafana", "grafana/grafana:13.1.0"))
    (current.folder / "backups" / "metrics" / "backup.prom").unlink()
    (current.folder / "backups" / "metrics").rmdir()
    if ago:
        backed_up(current, ago)

    assert upgrade_check(current.stack, say=current.say) == 1
    (line,) = [line for line in current.said if "make backup" in line]
    assert told in line
    assert "grafana would change" in line
    assert any("only a backup leads back" in line for line in current.said)


def test_what_keeps_no_data_needs_no_backup(current: Clone) -> None:
    (current.folder / "backups" / "metrics" / "backup.prom").unlink()
    running(current, nginx=container("nginx", "nginx:1.28.0-alpine"))

    assert upgrade_check(current.stack, say=current.say) == 0


def test_going_back_is_refused_for_what_keeps_data(current: Clone) -> None:
    running(current, grafana=container("grafana", "grafana/grafana:14.0.0"))

    assert upgrade_check(current.stack, say=current.say) == 1
    assert any("restore a backup from before" in line for line in current.said)


@pytest.mark.parametrize(
    ("before", "after", "how"),
    [
        ("a/b:v1.2.3", "a/b:v1.2.3", Step.NONE),
        ("a/b:v1.2.3", "a/b:v1.2.4", Step.PATCH),
        ("redis:7.4.11-alpine", "redis:7.4.11-bookworm", Step.PATCH),
        ("a/b:v1.2.3", "a/b:1.3", Step.MINOR),
        ("a/b:1", "a/b:2.0.0", Step.MAJOR),
        ("a/b:2.0.0", "a/b:1.9.9", Step.BACK),
        ("host:5000/a/b:1.0", "other/b:1.0.1", Step.PATCH),
        ("a/b:latest", "a/b:1.0", Step.OTHER),
        ("a/b", "a/c:1.0", Step.OTHER),
    ],
)
def test_steps(before: str, after: str, how: Step) -> None:
    assert step(Image.of(before), Image.of(after)) is how


@pytest.mark.parametrize(
    ("reference", "image"),
    [
        ("host:5000/a/b", Image("host:5000/a/b", "")),
        ("a/b:1@sha256:abc", Image("a/b", "1")),
        ("nginx:1.30.5-alpine", Image("nginx", "1.30.5-alpine")),
    ],
)
def test_references_are_taken_apart(reference: str, image: Image) -> None:
    assert Image.of(reference) == image


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("quay.io/prometheuscommunity/postgres-exporter:v0.19.1", "x/postgres-exporter:v0.20.1", "slots"),
        ("grafana/loki:3.7.6", "grafana/loki:4.0.0", "removes old stores"),
        ("gcr.io/cadvisor/cadvisor:v0.49.1", "ghcr.io/google/cadvisor:v0.60.5", "Docker 29"),
        ("grafana/promtail:3.5.0", "grafana/promtail:3.6.11", "go to Alloy"),
        ("prom/alertmanager:v0.33.1", "prom/alertmanager:v0.34.0", "new reasons"),
    ],
)
def test_known_breaking_changes_are_told_where_they_lie_between(before: str, after: str, told: str) -> None:
    found = [text for text, _ in advice(Image.of(before), Image.of(after))]

    assert any(told in text for text in found)
    assert [text for text, _ in advice(Image.of(after), Image.of(after))] == []


def test_every_note_is_about_a_program_that_runs_here(clone: Clone) -> None:
    programs = {Image.of(service["image"]).program for service in clone.stack.whole["services"].values()}

    assert {note.program for note in NOTES} <= programs
