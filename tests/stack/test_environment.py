"""Settings: what compose reads, what .env.prod.example shows and what the documentation says are the same."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from claw_compose import backup_folder

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.prod.yml").read_text()
EXAMPLE = (ROOT / ".env.prod.example").read_text()
PAGE = (ROOT / "docs" / "MONITORING_DEPLOYMENT.md").read_text()
OF_COMPOSE_ITSELF = {"COMPOSE_PROFILES"}
OF_MAKE_SECRETS = {"GRAFANA_ADMIN_PASSWORD"}
OF_MAKE_BACKUP = {"CLAW_BACKUP_KEEP": str(backup_folder.DEFAULT_KEEP), "CLAW_BACKUP_SKIP": ""}


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


@dataclass(frozen=True)
class File:
    """A compose file, the example of its settings, where they are documented, and those that others read."""

    compose: str
    example: str
    title: str
    not_in_the_file: frozenset[str]

    def used(self) -> dict[str, str | None]:
        """Variables of the compose file, with their defaults."""
        found = re.findall(r"(?<!\$)\$\{(\w+)(?::-([^}]*))?", self.compose)
        return {name: default or None for name, default in found}

    def documented(self) -> set[str]:
        return set(re.findall(r"^\| `([A-Z_]+)` \|", section(self.title), re.MULTILINE))


PROD = File(
    COMPOSE, EXAMPLE, "1. Settings", frozenset(OF_COMPOSE_ITSELF | OF_MAKE_SECRETS | set(OF_MAKE_BACKUP))
)
HOST = File(
    (ROOT / "docker-compose.host.yml").read_text(),
    (ROOT / ".env.host.example").read_text(),
    "Further hosts",
    frozenset(OF_COMPOSE_ITSELF),
)
either = pytest.mark.parametrize("file", [PROD, HOST], ids=["prod", "host"])


@either
def test_every_variable_is_in_the_example_and_nothing_else(file: File) -> None:
    shown = set(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", file.example, re.MULTILINE))

    assert shown == set(file.used()) | file.not_in_the_file


@either
def test_every_variable_is_documented_and_nothing_else(file: File) -> None:
    assert file.documented() == set(file.used()) | file.not_in_the_file


@pytest.mark.parametrize(
    ("file", "name", "default"),
    [(file, name, value) for file in (PROD, HOST) for name, value in file.used().items() if value],
)
def test_a_default_is_the_same_everywhere(file: File, name: str, default: str) -> None:
    assert f"# {name}={default}\n" in file.example
    table = section(file.title)
    assert re.search(rf"^\| `{name}` \| `{re.escape(default)}` \|", table, re.MULTILINE)


def test_the_defaults_of_the_backup_are_the_same_everywhere() -> None:
    assert PROD.used()["CLAW_BACKUP_DIR"] == backup_folder.DEFAULT_DIRECTORY
    for name, default in OF_MAKE_BACKUP.items():
        assert f"# {name}={default}\n" in EXAMPLE
        cell = f"`{default}` " if default else ""
        assert f"\n| `{name}` | {cell}| " in PAGE


@either
def test_a_variable_has_one_default(file: File) -> None:
    found = set(re.findall(r"(?<!\$)\$\{(\w+)(:-[^}]*)?", file.compose))

    assert len(found) == len({name for name, _ in found})


@either
def test_every_line_of_the_example_is_explained(file: File) -> None:
    blocks = [
        block for block in file.example.split("\n\n") if re.search(r"^(# )?[A-Z_]+=", block, re.MULTILINE)
    ]

    assert blocks
    for block in blocks:
        assert re.match(r"# (?![A-Z_]+=)", block), block


def test_every_command_shown_passes_the_settings() -> None:
    pages = [
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs" / "runbooks").glob("*.md"),
        *ROOT.glob("README*.md"),
        ROOT / "docker-compose.prod.yml",
        ROOT / "docker-compose.host.yml",
    ]
    shown = [
        line
        for page in pages
        for line in re.findall(r"docker[ -]compose .*", page.read_text())
        if re.search(r"-f docker-compose|\b(up|down|exec|restart|kill|logs|ps)\b", line)
        and not line.startswith("docker compose ...")
    ]

    assert shown
    settings = re.compile(r"--env-file \.env\.(prod|host)\b(?! -f docker-compose\.(?!\1\.yml))")
    assert [line for line in shown if not settings.search(line)] == []


def test_every_profile_is_explained(services: dict[str, Any]) -> None:
    profiles = {profile for service in services.values() for profile in service.get("profiles", [])}
    lines = EXAMPLE.split("COMPOSE_PROFILES=")[0].split("# ---- What runs")[1]

    assert profiles == {"alloy", "example", "promtail"}
    assert all(profile in lines for profile in profiles)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What `make secrets` needs of the repository, and the settings as section 1 makes them."""
    shutil.copytree(ROOT / "compose" / "src", tmp_path / "compose" / "src")
    shutil.copytree(ROOT / "alertmanager", tmp_path / "alertmanager")
    for name in ("Makefile", ".env.prod.example"):
        shutil.copy(ROOT / name, tmp_path)
    subprocess.run(["bash", "-c", "cp .env.prod.example .env.prod"], cwd=tmp_path, check=True)
    return tmp_path


def run_blocks_of_secrets(folder: Path) -> str:
    assert "\ncp .env.prod.example .env.prod\n" in section("1. Settings")
    blocks = re.findall(r"^```bash run\n(.*?)^```", section("2. Secrets"), re.MULTILINE | re.DOTALL)
    assert blocks
    return "".join(
        subprocess.run(
            ["bash", "-eu", "-c", block], cwd=folder, check=True, capture_output=True, text=True
        ).stdout
        for block in blocks
    )


def secrets_of(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in (folder / "secrets").iterdir() if path.is_file()}


def test_the_documented_commands_make_every_secret(clone: Path, compose: dict[str, Any]) -> None:
    run_blocks_of_secrets(clone)
    table = set(re.findall(r"^\| `([a-z_.]+)` \|", section("2. Secrets"), re.MULTILINE))

    assert set(secrets_of(clone)) == set(compose["secrets"]) == table
    assert {path.name for path in (clone / "secrets" / "tls").iterdir()} == {"fullchain.pem", "privkey.pem"}


def test_secrets_can_be_read_by_containers_and_not_by_other_users(clone: Path) -> None:
    run_blocks_of_secrets(clone)

    assert (clone / "secrets").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in secrets_of(clone).values()} == {0o644}


def test_no_secret_is_overwritten(clone: Path) -> None:
    run_blocks_of_secrets(clone)
    first = {name: path.read_text() for name, path in secrets_of(clone).items()}
    said = run_blocks_of_secrets(clone)

    assert {name: path.read_text() for name, path in secrets_of(clone).items()} == first
    assert len({text for name, text in first.items() if name.endswith("_password")}) == 5
    assert "made" not in said


def test_the_three_checks_of_requirement_document_4_are_documented(services: dict[str, Any]) -> None:
    checks = {
        "prometheus": "curl http://localhost:9090/-/healthy",
        "grafana": "curl http://localhost:3000/api/health",
        "loki": "curl http://localhost:3100/ready",
    }
    for name, command in checks.items():
        (port,) = services[name]["ports"]
        assert command in section("4. Verify")
        assert f"localhost:{port['published']}/" in command
