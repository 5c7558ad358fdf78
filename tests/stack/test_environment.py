"""Settings: what compose reads, what .env.prod.example shows and what the documentation says are the same."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.prod.yml").read_text()
EXAMPLE = (ROOT / ".env.prod.example").read_text()
PAGE = (ROOT / "docs" / "MONITORING_DEPLOYMENT.md").read_text()
OF_COMPOSE_ITSELF = {"COMPOSE_PROFILES"}


def used() -> dict[str, str | None]:
    """Variables of the compose file, with their defaults."""
    found = re.findall(r"(?<!\$)\$\{(\w+)(?::-([^}]*))?", COMPOSE)
    return {name: default or None for name, default in found}


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_every_variable_is_in_the_example_and_nothing_else() -> None:
    shown = set(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", EXAMPLE, re.MULTILINE))

    assert shown == set(used()) | OF_COMPOSE_ITSELF


def test_every_variable_is_documented_and_nothing_else() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", section("1. Settings"), re.MULTILINE))

    assert documented == set(used()) | OF_COMPOSE_ITSELF


@pytest.mark.parametrize(("name", "default"), [(name, value) for name, value in used().items() if value])
def test_a_default_is_the_same_everywhere(name: str, default: str) -> None:
    assert f"# {name}={default}\n" in EXAMPLE
    assert re.search(rf"^\| `{name}` \| `{re.escape(default)}` \|", PAGE, re.MULTILINE)


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


def run_blocks_of_secrets(folder: Path) -> None:
    blocks = re.findall(r"^```bash run\n(.*?)^```", section("2. Secrets"), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        subprocess.run(["bash", "-eu", "-c", block], cwd=folder, check=True, env=dict(os.environ))


def test_the_documented_commands_make_every_secret(tmp_path: Path, compose: dict[str, Any]) -> None:
    run_blocks_of_secrets(tmp_path)
    made = {path.name for path in (tmp_path / "secrets").iterdir()}
    table = set(re.findall(r"^\| `([a-z_.]+)` \|", section("2. Secrets"), re.MULTILINE))

    assert made == set(compose["secrets"]) == table


def test_secrets_can_be_read_by_containers_and_not_by_other_users(tmp_path: Path) -> None:
    run_blocks_of_secrets(tmp_path)

    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()} == {0o644}


def test_no_secret_is_overwritten(tmp_path: Path) -> None:
    run_blocks_of_secrets(tmp_path)
    first = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    run_blocks_of_secrets(tmp_path)

    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == first
    assert len({text for name, text in first.items() if name.endswith("_password")}) == 4


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
