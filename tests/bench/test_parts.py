"""Each benchmark runs, in its smallest form, and prints tables that can be read; how fast does not matter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from claw_bench import server
from claw_bench.__main__ import ALL, PARTS, main
from claw_bench.memory import SPEC
from claw_bench.operations import GROUPS
from claw_native.tools import ensure_tools, tool

if TYPE_CHECKING:
    from pathlib import Path

    from claw_native.servers import Postgres, Redis
    from claw_native.settings import Settings

NUMBER = re.compile(r"-?[\d,]+(\.\d+)?")


def rows(text: str) -> dict[str, list[str]]:
    """Return the rows of all tables: first cell -> the others."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    return {re.sub(r"[*`]| \d+\.\d+\.\d+", "", first): rest for first, *rest in cells}


def number(cell: str) -> float:
    """Return the number that a cell begins with."""
    found = NUMBER.match(cell)
    assert found, cell
    return float(found[0].replace(",", ""))


@pytest.mark.usefixtures("worker_path")
def test_memory_is_told_for_both_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    main(["memory", "--children", "300", "--starts", "1"])

    table = rows(capsys.readouterr().out)
    ours, theirs, _ = table["asked for (tracemalloc), nothing counted yet"]
    assert 100 < number(ours) < number(theirs)


@pytest.mark.usefixtures("worker_path")
def test_exposition_is_told_where_both_texts_are_equal(capsys: pytest.CaptureFixture[str]) -> None:
    main(["exposition", "--lines", "170", "--rounds", "1"])

    table = rows(capsys.readouterr().out)
    for title in ("counters, text", "counters, OpenMetrics", "histograms, text"):
        ours, theirs = table[title][0].split(" / ")
        assert number(ours) > 0
        assert number(theirs) > 0


@pytest.mark.usefixtures("worker_path")
def test_every_way_to_measure_a_call_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    main(["operations", "--rounds", "1", "--calls", "10", "--starts", "2", "--no-count"])

    printed = capsys.readouterr().out
    for group in GROUPS.values():
        assert group.title in rows(printed)
    assert number(rows(printed)["track_vector_db"][0]) != 0
    assert "at most 7.8 times an empty wrapper; measured" in printed


@pytest.mark.usefixtures("worker_path")
def test_multiprocess_mode_is_told_beside_a_single_process(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--app", "starlette", "--variant", "claw", "--requests", "20", "--repetitions", "2"]

    main(["multiprocess", *words, "--starts", "1", "--no-count"])

    table = rows(capsys.readouterr().out)
    assert number(table["claw-exporter, one process"][0]) != 0
    assert "claw-exporter, multiprocess" in table


@pytest.mark.usefixtures("worker_path")
def test_the_example_app_is_measured_under_uvicorn(
    native_settings: Settings, tools: Path, postgres: Postgres, redis_server: Redis, tmp_path: Path
) -> None:
    assert tools.is_dir()
    ensure_tools(native_settings, ["wrk"])
    path = "/api/v1/models"

    loads = server.measure(
        ["none", "claw"],
        [path],
        {"CLAW_CHAT_DATABASE_URL": postgres.dsn, "CLAW_CHAT_REDIS_URL": redis_server.url},
        wrk=tool(native_settings, "wrk"),
        folder=tmp_path,
        rounds=1,
        seconds=1,
        connections=2,
    )[path]

    assert [load.error for load in loads.values()] == ["", ""]
    assert all(load.rates[0] > 0 < load.slowest[0] for load in loads.values())
    table = rows(server.tabulated(path, loads))
    assert number(table["claw-exporter"][1]) > 0


def test_what_wrk_prints_is_read() -> None:
    load = server.Load()

    server.read("    99%    1.50ms\nRequests/sec:   3449.20\n", load)
    server.read("    99%    2.00s \nRequests/sec:      9.00\n", load)

    assert (load.rates, load.slowest, load.error) == ([3449.2, 9.0], [1.5, 2000.0], "")


def test_answers_that_are_errors_are_not_measured() -> None:
    load = server.Load()

    server.read("    99%    1.50ms\n  Non-2xx or 3xx responses: 7\nRequests/sec:   3449.20\n", load)

    assert load.error == "it does not answer every request with 200"
    assert "fails" in server.tabulated("/api/v1/models", {"claw": load})


def test_all_are_the_parts_that_fetch_nothing() -> None:
    assert set(PARTS) - set(ALL) == {"panels", "server"}


def test_the_measured_histogram_has_14_bounds_and_3_labels() -> None:
    assert (len(SPEC.buckets), len(SPEC.labels)) == (14, 3)


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["sped"])

    assert "invalid choice: 'sped'" in capsys.readouterr().err
