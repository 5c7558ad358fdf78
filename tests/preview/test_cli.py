import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from claw_preview.cli import main


def test_wrong_settings_end_with_2_and_every_mistake(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code = main(["--port", "x", "--prometheus", "y", "--dashboards", str(tmp_path)])
    assert code == 2
    errors = capsys.readouterr().err
    assert errors.startswith("claw-preview: --port is 'x'")
    assert "\n  --prometheus is 'y'" in errors


def test_it_serves_until_it_is_told_to_stop(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    environ = os.environ | {"CLAW_PREVIEW_PORT": str(port), "CLAW_PREVIEW_DASHBOARDS": str(tmp_path)}
    program = [sys.executable, "-c", "import sys; from claw_preview.cli import main; sys.exit(main())"]
    process = subprocess.Popen(program, env=environ, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        started = next(line for line in process.stderr if "Uvicorn running" in line)
        assert f"http://127.0.0.1:{port}" in started
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).text == "ok\n"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode in {0, -signal.SIGTERM}
