"""The pages about moving are true: code, numbers and queries, against the real libraries."""

from __future__ import annotations

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import promql_parser
import pytest

from claw_exporter.catalog import CATALOG
from claw_exporter.spec import Histogram
from claw_exporter.testing import NoSeriesError, Snapshot, capture

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGES = ROOT / "docs" / "migrating"
PEERS = ROOT / ".run" / "bench"
BLOCK = re.compile(r"^```python file=(\w+)\.py\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`([^`]*)`")
SELECTOR = re.compile(r"(\w+)(?:\{(.*)\})?")
LABEL = re.compile(r'(\w+)="([^"]*)"')
LIBRARIES = ("prometheus-fastapi-instrumentator", "starlette_exporter")


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table that begins with this row."""
    text = (PAGES / f"{page}.md").read_text()
    table = text.split(heading, 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]


def value(shown: Snapshot, selector: str) -> float:
    """What a selector of a page gives."""
    name, labels = SELECTOR.fullmatch(selector.strip("`")).groups()  # type: ignore[union-attr]  # a page that is wrong
    try:
        return shown.value(name, **dict(LABEL.findall(labels or "")))
    except NoSeriesError:
        return 0.0


@pytest.fixture(scope="module")
def peers() -> Path:
    """The interpreter of the environment in which the peers are installed."""
    subprocess.run(["make", "--no-print-directory", ".run/bench/.ready"], cwd=ROOT, check=True)
    return PEERS / "bin" / "python"


@pytest.fixture(scope="module", params=LIBRARIES)
def moved(
    request: pytest.FixtureRequest, peers: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, Snapshot]]:
    """A page, and what /metrics of each of its applications showed after the same requests."""
    folder = tmp_path_factory.mktemp("moved")
    blocks = dict(BLOCK.findall((PAGES / f"{request.param}.md").read_text()))
    for name, text in blocks.items():
        (folder / f"{name}.py").write_text(text)
    path = os.pathsep.join(map(str, (folder, HERE, ROOT / "exporter" / "src")))

    def drive(name: str) -> Snapshot:
        command = [str(peers), str(HERE / "drive.py"), name]
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return capture(done.stdout)

    assert blocks.keys() == {"before", "after", "both"}
    with ThreadPoolExecutor() as pool:
        return request.param, dict(zip(blocks, pool.map(drive, blocks), strict=True))


def test_the_numbers_that_are_called_equal_are(moved: tuple[str, dict[str, Snapshot]]) -> None:
    page, shown = moved
    for theirs, ours in rows(page, "These numbers are equal:\n\n"):
        expected = value(shown["before"], theirs)
        assert expected > 0, theirs
        assert value(shown["after"], ours) == expected, ours


def test_side_by_side_both_tell_the_same(moved: tuple[str, dict[str, Snapshot]]) -> None:
    page, shown = moved
    for theirs, ours in rows(page, "These numbers are equal:\n\n"):
        assert value(shown["both"], theirs) == value(shown["before"], theirs), theirs
        assert value(shown["both"], ours) == value(shown["after"], ours), ours


def test_the_numbers_that_are_called_different_are_as_told(moved: tuple[str, dict[str, Snapshot]]) -> None:
    page, shown = moved
    for theirs, before, ours, after, _ in rows(page, "And these are not, on purpose:\n\n"):
        assert value(shown["before"], theirs) == float(before), theirs
        assert value(shown["after"], ours) == float(after), ours


def test_what_is_excluded_is_not_measured(moved: tuple[str, dict[str, Snapshot]]) -> None:
    for name in ("before", "after"):
        series = [labels for _, labels in every_series(moved[1][name])]
        assert not any("/healthz" in labels.values() for labels in series)


def test_every_query_before_fits_their_page(moved: tuple[str, dict[str, Snapshot]]) -> None:
    page, shown = moved
    for before, _ in rows(page, "| before | after |"):
        for name, labels in selected(before.strip("`")):
            found = [known for known in shown["before"].series(name) if labels <= known.keys()]
            assert found, f"{name} {labels}"


@pytest.mark.parametrize("page", [*LIBRARIES, "app-core-metrics"])
def test_every_query_after_fits_the_catalogue(page: str) -> None:
    known = dict(every_series_of_the_catalogue())
    found = rows(page, "| before | after |")
    assert len(found) > 5
    for _, after in found:
        for name, labels in selected(after.strip("`")):
            assert name in known, name
            assert labels - {"job", "instance"} <= known[name], after


def test_every_query_of_document_4_finds_its_metrics_and_labels_in_ours() -> None:
    ours = {name for name, _ in every_series_of_the_catalogue()}
    for before, _ in rows("app-core-metrics", "| before | after |"):
        for name, labels in selected(before.strip("`")):
            assert name in ours, name
            assert labels - {"job"} <= dict(every_series_of_the_catalogue())[name], before


def test_the_application_of_document_4_runs_with_its_import_changed(peers: Path, tmp_path: Path) -> None:
    blocks = dict(BLOCK.findall((PAGES / "app-core-metrics.md").read_text()))
    (tmp_path / "application.py").write_text(blocks["application"])
    code = """if True:
        import asyncio, application, drive, sys
        answer = asyncio.run(drive.request(application.app, "POST", "/chat", b"prompt=hello"))
        print(answer.decode(), file=sys.stderr)
        print(asyncio.run(drive.request(application.app, "GET", "/metrics")).decode())
    """
    path = os.pathsep.join(map(str, (tmp_path, HERE, ROOT / "exporter" / "src")))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [peers, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    shown = capture(done.stdout)
    assert done.stderr == '"HELLO"\n'
    assert shown.value("claw_ai_http_requests_total", endpoint="/chat", status=200) == 1
    assert shown.value("claw_ai_ai_response_duration_seconds_count", model="glm-4", status="ok") == 1
    assert shown.value("claw_ai_conversations_total", status="created") == 1
    assert shown.value("claw_ai_messages_total", role="user") == 1
    assert shown.value("claw_ai_build_info", app="CLAW.AI", version="1.0.0") == 1


@pytest.mark.parametrize("page", LIBRARIES)
def test_every_page_tells_the_version_it_was_run_against(page: str, peers: Path) -> None:
    told = re.search(r"against version ([\d.]+):", (PAGES / f"{page}.md").read_text())
    code = f"from importlib.metadata import version; print(version({page!r}))"
    installed = subprocess.check_output([peers, "-c", code], text=True)
    assert told is not None
    assert installed.startswith(f"{told[1]}.")


def every_series_of_the_catalogue() -> Iterator[tuple[str, set[str]]]:
    """Every name that a query may select, with its labels."""
    for spec in CATALOG:
        if isinstance(spec, Histogram):
            yield f"{spec.name}_sum", {*spec.labels}
            yield f"{spec.name}_count", {*spec.labels}
            yield f"{spec.name}_bucket", {*spec.labels, "le"}
        else:
            yield spec.name, {*spec.labels}


def every_series(shown: Snapshot) -> Iterator[tuple[str, dict[str, str]]]:
    """Every series of a page."""
    for name in shown._samples:
        for labels in shown.series(name):
            yield name, labels


def selected(query: str) -> list[tuple[str, set[str]]]:
    """The metrics of a query, each with the labels that are matched or grouped by."""
    found: list[tuple[str, set[str]]] = []
    _walk(promql_parser.parse(query), set(), found)
    return found


def _walk(node: Any, labels: set[str], found: list[tuple[str, set[str]]]) -> None:  # noqa: ANN401  # ships no types
    match type(node).__name__:
        case "VectorSelector":
            matched = {matcher.name for matcher in node.matchers.matchers}
            found.append((node.name, matched | labels))
        case "MatrixSelector":
            _walk(node.vector_selector, labels, found)
        case "SubqueryExpr" | "ParenExpr" | "UnaryExpr":
            _walk(node.expr, labels, found)
        case "AggregateExpr":
            grouped = set(node.modifier.labels) if node.modifier else set()
            _walk(node.expr, labels | grouped, found)
        case "BinaryExpr":
            _walk(node.lhs, labels, found)
            _walk(node.rhs, labels, found)
        case "Call":
            for argument in node.args:
                _walk(argument, labels, found)
