"""The container image, as far as that can be seen without Docker."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "exporter"
DOCKERFILE = (FOLDER / "Dockerfile").read_text().replace("\\\n", " ")
LAST_STAGE = DOCKERFILE.rpartition("\nFROM ")[2]


def instructions(name: str, text: str = DOCKERFILE) -> list[str]:
    return re.findall(rf"^{name} +(.*)$", text, re.MULTILINE)


def test_everything_copied_exists_and_is_let_in() -> None:
    copied = [
        word for line in instructions("COPY") if not line.startswith("--from") for word in line.split()[:-1]
    ]
    ignored = (FOLDER / ".dockerignore").read_text().splitlines()
    assert copied
    for path in copied:
        assert (FOLDER / path).exists(), path
        assert f"!{path}" in ignored, path


def test_only_hashed_packages_are_installed() -> None:
    for line in instructions("RUN"):
        for install in re.findall(r"pip .*?\b(?:install|wheel) [^&]*", line):
            assert re.search(r"--require-hashes|--no-deps", install), install


def test_the_image_is_pinned_and_not_run_by_root() -> None:
    (tag,) = instructions("ARG")
    assert re.fullmatch(r"PYTHON=3\.\d+\.\d+-slim-\w+", tag)
    assert instructions("USER", LAST_STAGE) == ["10810:10810"]


def test_the_version_on_the_label_is_that_of_the_package() -> None:
    (version,) = re.findall(r'^version = "(.*)"', (FOLDER / "pyproject.toml").read_text(), re.MULTILINE)
    assert f'image.version="{version}"' in DOCKERFILE


def test_the_health_check_says_whether_the_exporter_answers(tmp_path: Path) -> None:
    (line,) = re.findall(r"^HEALTHCHECK .*? CMD (.*)$", DOCKERFILE, re.MULTILINE)
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
