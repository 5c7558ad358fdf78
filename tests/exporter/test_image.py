"""The health check of the image, run for real; the rest of the Dockerfile: tests/stack/test_images.py."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

DOCKERFILE = Path(__file__).parents[2] / "exporter" / "Dockerfile"


def test_the_health_check_says_whether_the_exporter_answers(tmp_path: Path) -> None:
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^HEALTHCHECK .*? CMD (.*)$", text, re.MULTILINE)
    program, *arguments = json.loads(line)
    assert program == "python"
    (tmp_path / "exporter.yml").write_text("")
    program_path = Path(sys.executable).with_name("claw-exporter")
    server = subprocess.Popen(
        [program_path, "serve", "--config", tmp_path / "exporter.yml", "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
    )
    with server:
        assert server.stderr
        port = json.loads(server.stderr.readline())["url"].rpartition(":")[2]
        environment = {"CLAW_EXPORTER_PORT": port}
        healthy = subprocess.run([sys.executable, *arguments], env=environment, check=False, timeout=30)
        server.terminate()
        server.wait(20)
    gone = subprocess.run(
        [sys.executable, *arguments], env=environment, check=False, timeout=30, stderr=subprocess.DEVNULL
    )
    assert (healthy.returncode, gone.returncode) == (0, 1)
