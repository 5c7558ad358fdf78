"""Settings: what compose reads, what .env.prod.example shows and what the documentation says are the same."""

from __future__ import annotations

import re
import shutil
import subprocess
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
NOT_IN_THE_FILE = OF_COMPOSE_ITSELF | OF_MAKE_SECRETS | set(OF_MAKE_BACKUP)


def used() -> dict[str, str | None]:
    """Variables of the compose file, with their defaults."""
    found = re.findall(r"(?<!\$)\$\{(\w+)(?::-([^}]*))?", COMPOSE)
    return {name: default or None for name, default in found}


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_every_variable_is_in_the_example_and_nothing_else() -> None:
    shown = set(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", EXAMPLE, re.MULTILINE))

    assert shown == set(used()) | NOT_IN_THE_FILE


def test_every_variable_is_documented_and_nothing_else() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", section("1. Settings"), re.MULTILINE))

    assert documented == set(used()) | NOT_IN_THE_FILE


@pytest.mark.parametrize(("name", "default"), [(name, value) for name, value in used().items() if value])
def test_a_default_is_the_same_everywhere(name: str, default: str) -> None:
    assert f"# {name}={default}\n" in EXAMPLE
    assert re.search(rf"^\| `{name}` \| `{re.escape(default)}` \|", PAGE, re.MULTILINE)


def test_the_defaults_of_the_backup_are_the_same_everywhere() -> None:
    assert used()["CLAW_BACKUP_DIR"] == backup_folder.DEFAULT_DIRECTORY
    for name, default in OF_MAKE_BACKUP.items():
        assert f"# {name}={default}\n" in EXAMPLE
        cell = f"`{default}` " if default else ""
        assert f"\n| `{name}` | {cell}| " in PAGE


def test_a_variable_has_one_default() -> None:
    found = set(re.findall(r"(?<!\$)\$\{(\w+)(:-[^}]*)?", COMPOSE))

    assert len(found) == len({name for name, _ in found})


def test_every_line_of_the_example_is_explained() -> None:
    blocks = [block for block in EXAMPLE.split("\n\n") if re.search(r"^(# )?[A-Z_]+=", block, re.MULTILINE)]

    for block in blocks:
        assert re.match(r"# (?![A-Z_]+=)", block), block


def test_every_command_shown_passes_the_settings() -> None:
    pages = [
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs" / "runbooks").glob("*.md"),
        *ROOT.glob("README*.md"),
        ROOT / "docker-compose.prod.yml",
    ]
    shown = [
        line
        for page in pages
        for line in re.findall(r"docker[ -]compose .*", page.read_text())
        if re.search(r"-f docker-compose|\b(up|down|exec|restart|kill|logs|ps)\b", line)
        and not line.startswith("docker compose ...")
    ]

    assert shown
    assert [line for line in shown if "--env-file .env.prod" not in line] == []


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
