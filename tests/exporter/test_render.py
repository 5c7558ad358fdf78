from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import promql_parser
import pytest

from claw_exporter import render
from claw_exporter.catalog import CATALOG, HTTP_REQUESTS
from claw_exporter.spec import Gauge, Histogram

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A root with an empty page, as far as this tool looks."""
    (tmp_path / "exporter").mkdir()
    (tmp_path / "exporter" / "pyproject.toml").touch()
    (tmp_path / "docs").mkdir()
    tables = "\n".join(f"## {name}\n<!-- table {name} -->\n<!-- end table -->" for name in render.GROUPS)
    (tmp_path / render.PAGE).write_text(f"# Metrics\n{tables}\nThe end.\n")
    return tmp_path


def test_what_is_committed_is_what_the_catalogue_says() -> None:
    assert render.main(["--check", str(ROOT)]) == 0


def test_writing_makes_the_check_pass(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render.main(["--check", str(repository)]) == 1
    assert (
        "exporter/metrics.json is not what the catalogue says: run `make generate`" in capsys.readouterr().err
    )
    assert render.main([str(repository)]) == 0
    assert render.main([str(repository)]) == 0  # nothing left to do
    assert render.main(["--check", str(repository)]) == 0


def test_what_is_written_by_hand_stays(repository: Path) -> None:
    render.main([str(repository)])
    page = (repository / render.PAGE).read_text()
    assert page.startswith("# Metrics\n## http\n")
    assert page.endswith("\nThe end.\n")


def test_the_root_is_found_from_a_folder_inside(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository / "docs")
    assert render.main([]) == 0
    assert (repository / render.METRICS_JSON).exists()


def test_outside_of_the_repository_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert render.main([]) == 2
    assert "is not inside the repository: pass its root as an argument" in capsys.readouterr().err


def test_a_missing_page_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render.main([str(tmp_path)]) == 2
    assert "MONITORING_METRICS.md" in capsys.readouterr().err


@pytest.mark.parametrize(
    "spoil", [lambda text: text.replace("table http", "table htpp"), lambda text: text * 2]
)
def test_a_page_with_other_tables_is_refused(
    repository: Path, capsys: pytest.CaptureFixture[str], spoil: object
) -> None:
    assert callable(spoil)
    page = repository / render.PAGE
    page.write_text(spoil(page.read_text()))
    assert render.main([str(repository)]) == 2
    assert "but needs each of ['agents'" in capsys.readouterr().err


def test_the_json_has_every_metric_with_what_dashboards_need() -> None:
    entries = json.loads(render.metrics_json())
    assert list(entries) == sorted(metric.name for metric in CATALOG)
    assert entries["claw_ai_http_requests_total"] == {
        "type": "counter",
        "help": HTTP_REQUESTS.help,
        "unit": "",
        "labels": ["method", "endpoint", "status"],
        "home": "library",
        "values": {},
    }
    assert entries["claw_ai_http_response_size_bytes"]["buckets"][0] == 100.0
    assert entries["claw_ai_ai_tokens_total"]["values"]["type"][0] == "input"


def test_every_metric_has_a_table_of_its_own() -> None:
    assert {render.group_of(metric) for metric in CATALOG} == set(render.GROUPS)


def test_a_metric_is_a_row_and_a_histogram_has_bounds() -> None:
    gauge = Gauge(name="claw_ai_x", help="A | b.", unit="usd", labels=("a", "b"), values={"b": ("1", "2")})
    assert render._row(gauge) == r"| `claw_ai_x` | gauge | US dollars | `a`, `b` (1, 2) | A \| b. |"
    assert render._bounds(Histogram(name="x", help="", buckets=(0.5, 1.0, 1e6))) == "0.5, 1, 1e+06"


def test_every_query_of_the_page_is_valid_and_names_metrics_that_exist() -> None:
    queries = re.findall(r"```promql\n(.*?)```", (ROOT / render.PAGE).read_text(), re.DOTALL)
    assert len(queries) > 20
    series = {metric.name for metric in CATALOG}
    for metric in CATALOG:
        if isinstance(metric, Histogram):
            series |= {f"{metric.name}_{suffix}" for suffix in ("bucket", "count", "sum")}
    for query in queries:
        promql_parser.parse(query)
        assert set(re.findall(r"claw_ai_\w+", query)) <= series


def test_it_is_a_command() -> None:
    command = [sys.executable, "-m", "claw_exporter.render", "--check"]
    assert subprocess.run(command, cwd=ROOT / "docs", check=False).returncode == 0
