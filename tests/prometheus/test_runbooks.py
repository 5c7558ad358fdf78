"""The runbooks: every query in them can be asked, every link leads somewhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "jsonnet"))  # the generator's modules are scripts, not a package

from catalogue import Catalogue  # noqa: E402 - needs the path above
from expressions import Use, check, find  # noqa: E402 - the same

PAGES = sorted((ROOT / "docs/runbooks").glob("*.md"))
BLOCK = re.compile(r"^ *```promql\n(?P<query>.*?)^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)(?P<target>[^)#]+)")


@pytest.fixture(scope="module")
def recordings() -> list[Use]:
    files = (ROOT / "prometheus/rules").glob("*.yml")
    return find(
        {f"prometheus/rules/{file.name}": yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_query_reads_metrics_and_labels_that_exist(page: Path, recordings: list[Use]) -> None:
    queries = [match["query"] for match in BLOCK.finditer(page.read_text(encoding="utf-8"))]
    assert queries or page.stem == "README"
    catalogue = Catalogue.load(ROOT / "exporter/metrics.json", ROOT / "jsonnet/vendor-metrics.json")
    assert check([*recordings, *(Use(page.stem, query) for query in queries)], catalogue) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_link_of_a_runbook_leads_to_a_file(page: Path) -> None:
    targets = [match["target"] for match in LINK.finditer(page.read_text(encoding="utf-8"))]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_a_query_with_a_misspelt_metric_would_be_found(recordings: list[Use]) -> None:
    catalogue = Catalogue.load(ROOT / "exporter/metrics.json", ROOT / "jsonnet/vendor-metrics.json")
    wrong = Use("Page", "sum(rate(claw_ai_http_request_total[5m]))")
    assert "unknown metric claw_ai_http_request_total" in "".join(check([*recordings, wrong], catalogue))
