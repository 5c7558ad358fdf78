"""The tables of stand-ins, without an engine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.docker.images import RECIPES, bases
from tests.docker.layers import PIP_SETTINGS, pip_configuration
from tests.docker.stack import ROOT
from tests.docker.stand_ins import BASES, NO_PROGRAM, STAND_INS, repository

if TYPE_CHECKING:
    from pathlib import Path

COMPOSE_FILES = sorted(ROOT.glob("docker-compose.*.yml"))
DOCKERFILES = sorted(
    path for folder in ("exporter", "examples", "relay") for path in (ROOT / folder).rglob("Dockerfile")
)


def named() -> set[str]:
    """The images of others that this repository names."""
    services = [
        service for path in COMPOSE_FILES for service in yaml.safe_load(path.read_text())["services"].values()
    ]
    images = {service["image"] for service in services if "build" not in service}
    return images | {base for path in DOCKERFILES for base in bases(path.read_text())}


def test_every_image_has_a_stand_in_or_a_reason_why_not() -> None:
    assert {repository(image) for image in named()} == set(STAND_INS) | set(NO_PROGRAM)
    assert not set(STAND_INS) & set(NO_PROGRAM)
    assert all(NO_PROGRAM.values())


def test_every_recipe_is_of_a_stand_in() -> None:
    rows = [*BASES.values(), *STAND_INS.values()]
    files = {f"{row.name}.Dockerfile" for row in rows} | {file for row in rows for file in row.files}

    assert {path.name for path in RECIPES.iterdir()} == files


def test_no_recipe_names_a_version_that_the_compose_file_pins() -> None:
    tags = {image.rpartition(":")[2] for image in named()}

    assert [
        path.name for path in RECIPES.iterdir() if re.search("|".join(map(re.escape, tags)), path.read_text())
    ] == []


@pytest.mark.parametrize(
    ("dockerfile", "expected"),
    [
        ("FROM a:1\n", ["a:1"]),
        ("ARG V=3-slim\nFROM a:${V} AS one\nFROM a:$V\nFROM one\n", ["a:3-slim"]),
        ("FROM a:1 AS one\nFROM scratch\nCOPY --from=one / /\n", ["a:1"]),
        ("FROM --platform=linux/amd64 a:1\nFROM b:2\n", ["a:1", "b:2"]),
    ],
)
def test_the_bases_of_a_dockerfile_are_found(dockerfile: str, expected: list[str]) -> None:
    assert bases(dockerfile) == expected


def test_an_images_pip_asks_where_this_machines_does(tmp_path: Path) -> None:
    machine = tmp_path / "pip.conf"
    machine.write_text("[global]\ntimeout = 9\nextra-index-url = https://second.test/simple\n")
    written = pip_configuration({"PIP_INDEX_URL": "https://first.test/simple", "PIP_CACHE_DIR": "x"}, machine)

    assert written.startswith("[global]\n")
    settings = dict(line.split(" = ") for line in written.splitlines()[1:] if not line.startswith("cert"))
    assert settings == {
        "index-url": "https://first.test/simple",
        "extra-index-url": "https://second.test/simple",
    }
    assert set(settings) < set(PIP_SETTINGS.values())
