"""The harness gives numbers, keeps pairs together, and tells what does not work."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from claw_bench.apps import APPS, PATHS
from claw_bench.instructions import CountError, Instructions
from claw_bench.microseconds import Case, Difference, measure
from claw_bench.report import instructions_table, microseconds_table
from claw_bench.requests import RequestError, pair, verify

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


@pytest.mark.usefixtures("worker_path")
def test_two_variants_give_a_difference_for_each_repetition() -> None:
    empty, claw = Case("empty"), Case("claw")

    found = measure("starlette", [empty, claw], repetitions=4, requests=20, starts=2)

    assert {case: (len(each.added), each.error) for case, each in found.items()} == {
        empty: (8, ""),
        claw: (8, ""),
    }
    assert min(found[claw].bare) > 0
    assert found[claw].median > 0


@pytest.mark.usefixtures("worker_path")
def test_a_variant_that_is_not_installed_is_told_and_the_others_are_measured() -> None:
    peer, empty = Case("aioprometheus"), Case("empty")

    found = measure("starlette", [peer, empty], repetitions=2, requests=20, starts=1)

    assert found[peer].error == "the process ended"
    assert len(found[empty].added) == 2


@pytest.mark.usefixtures("worker_path")
def test_what_writes_no_files_is_not_measured_as_multiprocess() -> None:
    empty = Case("empty", multiprocess=True)

    found = measure("starlette", [empty], repetitions=2, requests=20, starts=1)

    assert found[empty].error == "it writes no multiprocess files"


@pytest.mark.parametrize("app", APPS)
def test_each_application_answers_twenty_routes(app: str) -> None:
    asyncio.run(pair(app, "claw"))

    assert len(set(PATHS)) == 20


def test_an_application_that_answers_with_an_error_is_not_measured() -> None:
    async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AttributeError("no path")

    with pytest.raises(RequestError, match="AttributeError: no path"):
        asyncio.run(verify(broken))


def test_an_application_that_finds_nothing_is_not_measured() -> None:
    async def lost(_scope: Scope, _receive: Receive, send: Send) -> None:
        message: dict[str, Any] = {"type": "http.response.start", "status": 404}
        await send(message)

    with pytest.raises(RequestError, match=r"answered \[404\], not 200"):
        asyncio.run(verify(lost))


def test_the_table_has_medians_quartiles_and_ratios_to_ours() -> None:
    results = {
        "starlette": {
            "claw": Difference(bare=[10.0, 12.0, 11.0], added=[1.0, 2.0, 3.0]),
            "instrumentator": Difference(bare=[11.0] * 3, added=[30.0, 40.0, 50.0]),
            "aioprometheus": Difference(error="AttributeError: path"),
        }
    }

    table = microseconds_table(results)

    assert "| (without: µs per request) | 11.0 |" in table
    assert "| 2.00 (1.00 to 3.00) |" in table
    assert "| 40.00 (30.00 to 50.00), 20.0\u00d7 |" in table
    assert "| fails (AttributeError) |" in table


def test_the_table_of_instructions_tells_what_failed() -> None:
    counts: dict[str, Instructions | CountError] = {
        "claw": Instructions(bare=100_000, measured=115_000),
        "instrumentator": Instructions(bare=100_000, measured=400_000),
        "aioprometheus": CountError("AttributeError: path"),
    }

    rows = instructions_table(counts).splitlines()[2:]

    assert [row.split(" | ")[1] for row in rows] == ["15,000", "300,000", "fails: AttributeError: path"]
    assert rows[1].endswith("| 20.0 |")
