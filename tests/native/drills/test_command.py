"""What is said and written at the end of the drills."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from claw_native import cli
from claw_native.drills.command import table, write_result
from claw_native.drills.faults import FAULTS
from claw_native.drills.runner import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

GOOD = Outcome(
    fault="redis-down",
    must=["RedisDown"],
    came=["RedisDown", "ProbeStale"],
    detection_seconds=3.6,
    notification_seconds=4.2,
    resolution_seconds=16.1,
)
BAD = Outcome(fault="app-killed", must=["TargetDown"], faults=["TargetDown did not fire"])


def test_the_table_has_a_line_for_each_drill() -> None:
    _, good, bad = table([GOOD, BAD]).splitlines()
    assert good.split() == ["redis-down", "ok", *["4", "s", "4", "s", "16", "s"], "RedisDown,", "ProbeStale"]
    assert bad.split() == ["app-killed", "FAILED", "-", "-", "-"]


def test_machines_get_everything(tmp_path: Path) -> None:
    path = tmp_path / "new" / "drills.json"
    write_result(path, [GOOD, BAD], faster=20)
    document = json.loads(path.read_text())
    assert document["faster"] == 20
    assert document["drills"][0] == vars(GOOD)
    assert document["drills"][1]["faults"] == ["TargetDown did not fire"]


def test_the_faults_are_listed_without_starting_anything(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["drills", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(FAULTS) + 1


def test_an_unknown_fault_is_refused_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["drills", "--only", "flood"]) == 1
    assert "no fault is named flood" in capsys.readouterr().err
