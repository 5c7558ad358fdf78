"""What holds for the repository as a whole: links, addresses, commands, indexes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<!`)!?\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
# In pieces, so that this file names none of them.
REGISTRIES = re.compile(
    "py" + r"pi\.org|python" + r"hosted|deb" + r"ian\.org|registry\.npm" + "js|npm" + "mirror"
)


def tracked() -> list[Path]:
    """Files that git tracks or would track."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


def pages() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".md"]


def makefile_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    targets = LINK.findall(FENCE.sub("", page.read_text()))
    dead = [target for target in targets if "://" not in target and not (page.parent / target).exists()]

    assert dead == []


def test_no_file_names_a_package_registry() -> None:
    named = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked()
        if path.suffix != ".png" and (match := REGISTRIES.search(path.read_text(errors="replace")))
    ]

    assert named == []


def test_every_make_command_in_the_docs_exists() -> None:
    said = {
        command
        for page in pages()
        for block in re.findall(r"`(make [^`]+)`", page.read_text())
        for command in re.findall(r"^make (?:-\S+ \S+ )*([a-z-]+)", block)
    }

    assert said <= makefile_targets() | {"alone"}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_readme_lists_every_folder() -> None:
    folders = {path.relative_to(ROOT).parts[0] for path in tracked() if path.parent != ROOT}
    hidden_or_inner = {folder for folder in folders if folder.startswith(".")}

    for page in ("README.md", "README.zh-CN.md"):
        listed = set(re.findall(r"^\| \[?`?([a-z-]+)/", (ROOT / page).read_text(), re.MULTILINE))
        assert listed == folders - hidden_or_inner, page


def test_every_decision_record_is_in_the_index() -> None:
    folder = ROOT / "docs" / "adr"
    records = {path.name for path in folder.glob("0*.md")}

    assert set(re.findall(r"\((0[^)]+\.md)\)", (folder / "README.md").read_text())) == records


def test_ci_runs_make_test_and_nothing_else() -> None:
    commands = [
        line
        for line in (ROOT / ".ci" / "run").read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]

    assert commands == ["exec make test"]


def test_requirements_carry_hashes_and_no_address() -> None:
    for path in tracked():
        if path.name in {"requirements.txt", "dev.txt"}:
            text = path.read_text()
            pins = re.findall(r"^([A-Za-z0-9_.\[\]-]+==\S+)", text, re.MULTILINE)
            assert pins, path
            assert len(re.findall(r"^[^#\s].*\\\n    --hash=sha256:", text, re.MULTILINE)) == len(pins), path
            assert "://" not in text, path
