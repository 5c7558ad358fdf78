"""The page of the metrics: a query for each, every query understood, and asked of a running Prometheus."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "jsonnet"))  # the generator's modules are scripts, not a package

from catalogue import Catalogue  # noqa: E402  # the path above must be there first
from expressions import Use, check  # noqa: E402  # the same

if TYPE_CHECKING:
    from claw_native.testing import Stack

PAGE = (ROOT / "docs/MONITORING_METRICS.md").read_text(encoding="utf-8")
METRICS: dict[str, Any] = json.loads((ROOT / "exporter/metrics.json").read_text(encoding="utf-8"))
ROW = re.compile(r"^\| `(?P<name>claw_ai_\w+)` \| `(?P<query>[^`]+\([^`]+)` \|$", re.MULTILINE)
BLOCK = re.compile(r"^ *```promql\n(?P<query>.*?)^ *```", re.MULTILINE | re.DOTALL)
EXAMPLES = {match["name"]: match["query"] for match in ROW.finditer(PAGE)}
QUERIES = [match["query"] for match in BLOCK.finditer(PAGE)]
# What the demo does not expose -> why; such an example is judged by the catalogue only.
NOT_HERE = {
    "claw_ai_ai_fallbacks_total": "another model steps in only where one has failed twice",
    "claw_ai_ai_time_between_chunks_seconds": "the example application does not ask for each part's wait",
    "claw_ai_backup_": "no backup of the demo is made",
    "claw_ai_canary_": "exporter.yml names no canary",
    "claw_ai_exporter_internal_errors_total": "nothing fails inside of the library",
    "claw_ai_exporter_overflow_total": "no metric reaches its limit",
    "claw_ai_exporter_workers": "the example application is one process",
    "claw_ai_host_": "the node exporter tells more of the machine",
    "claw_ai_queue_depth": "exporter.yml names no queue",
    "claw_ai_queue_oldest_age_seconds": "the same",
}


def problems(query: str) -> list[str]:
    known = Catalogue.load(ROOT / "exporter/metrics.json", ROOT / "jsonnet/vendor-metrics.json")
    return check([Use("the page", query)], known)


def test_every_metric_has_one_query_to_start_from_and_it_reads_that_metric() -> None:
    assert EXAMPLES.keys() == METRICS.keys()
    assert [name for name, query in EXAMPLES.items() if name not in query] == []


def test_what_the_demo_lacks_is_a_metric() -> None:
    assert [row for row in NOT_HERE if not any(name.startswith(row) for name in METRICS)] == []


@pytest.mark.parametrize("query", [*EXAMPLES.values(), *QUERIES])
def test_every_query_of_the_page_reads_metrics_and_labels_that_exist(query: str) -> None:
    assert problems(query) == []


def test_a_query_of_a_label_that_is_gone_would_be_found() -> None:
    assert "no label modle" in "".join(problems("sum by (modle) (rate(claw_ai_ai_cost_usd_total[5m]))"))


@pytest.mark.stack
@pytest.mark.timeout(600)
def test_the_demo_answers_every_query_of_the_page(stack: Stack) -> None:
    """Every query is asked, until those of metrics that the demo has show something."""
    waiting = {name: query for name, query in EXAMPLES.items() if not name.startswith(tuple(NOT_HERE))}
    with httpx.Client(base_url=stack.url("prometheus"), trust_env=False, timeout=60) as client:

        def rows(query: str) -> list[Any]:
            answer = client.get("/api/v1/query", params={"query": query}).json()
            assert answer["status"] == "success", (query, answer)
            found: list[Any] = answer["data"]["result"]
            return found

        for query in (*EXAMPLES.values(), *QUERIES):
            rows(query)
        deadline = time.monotonic() + 240  # rates need two scrapes of something that happens now and then
        while waiting and time.monotonic() < deadline:
            waiting = {name: query for name, query in waiting.items() if not rows(query)}
            time.sleep(1)
    assert waiting == {}
