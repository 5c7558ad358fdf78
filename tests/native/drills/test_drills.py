"""Two drills for real, as `make drills` runs forty."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from claw_native.demo import Running
from claw_native.drills.faults import FAULTS
from claw_native.settings import read_settings

if TYPE_CHECKING:
    from pathlib import Path

    from claw_native.settings import Settings

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


def claw_native(run_dir: Path, settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    places = {"CLAW_NATIVE_RUN_DIR": str(run_dir), "CLAW_NATIVE_TOOLS_DIR": str(settings.tools_dir)}
    return subprocess.run(
        [sys.executable, "-m", "claw_native.cli", *words],
        env=os.environ | places,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )


def nothing_runs_in(run_dir: Path) -> bool:
    return Running.read(read_settings({"CLAW_NATIVE_RUN_DIR": str(run_dir)})) is None


def test_some_seconds_of_a_demo_are_calm(tools: Path, tmp_path: Path, native_settings: Settings) -> None:
    assert tools.is_dir()
    done = claw_native(tmp_path, native_settings, "calm", "--minutes", "0.2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("Calm.\n")
    assert nothing_runs_in(tmp_path / "calm")


def test_the_alerts_of_quick_faults_come_are_told_and_end(
    tools: Path, tmp_path: Path, native_settings: Settings
) -> None:
    assert tools.is_dir()
    quick = [fault.name for fault in FAULTS if fault.quick]
    result = tmp_path / "result.json"
    only = [word for name in quick for word in ("--only", name)]
    done = claw_native(tmp_path, native_settings, "drills", "--result", str(result), *only)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"All as declared: {len(quick)} drills" in done.stdout
    drills = json.loads(result.read_text())["drills"]
    assert [drill["fault"] for drill in drills] == quick
    for drill in drills:
        assert 0 < drill["detection_seconds"] <= drill["notification_seconds"] < 120
        assert drill["resolution_seconds"] > 0
    assert nothing_runs_in(tmp_path / "drills")
