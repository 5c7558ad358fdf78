"""The rules in the real promtool: do they parse, and do the cases under cases/ hold?"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

CASES = sorted((Path(__file__).parent / "cases").glob("*.yml"))


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, timeout=120
    )


def test_promtool_accepts_every_rule_without_a_warning(tools: Path, root: Path) -> None:
    files = sorted((root / "prometheus/rules").glob("*.yml"))
    done = run(tools / "promtool", "check", "rules", "--lint=all", "--lint-fatal", *files)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == len(files)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_every_case_holds(tools: Path, case: Path) -> None:
    done = run(tools / "promtool", "test", "rules", case)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_case_that_expects_something_else_fails(tools: Path, root: Path, tmp_path: Path) -> None:
    text = (root / "tests/prometheus/cases/datastores.yml").read_text(encoding="utf-8")
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(
        text.replace("../../../prometheus", str(root / "prometheus")).replace("up is 0", "up is 1"),
        encoding="utf-8",
    )
    done = run(tools / "promtool", "test", "rules", wrong)
    assert done.returncode == 1
    assert "PostgresDown is quiet while Postgres answers" in done.stdout + done.stderr
