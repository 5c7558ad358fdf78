"""The store that panels are timed on: what is invented, how a day becomes a month, how it is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "jsonnet"))  # the generator's modules are scripts, not a package

from claw_bench import blocks, invented, panels  # noqa: E402  # the path above must be there first
from claw_native.panels import Query  # noqa: E402  # the same

DAY = 86_400


@pytest.fixture(scope="module")
def small() -> invented.Invented:
    return invented.invent(ROOT, invented.Sizes(endpoints=20, instances=2))


def test_a_day_that_comes_again_has_the_same_values_a_day_earlier(tools: Path, tmp_path: Path) -> None:
    file, data = tmp_path / "text", tmp_path / "data"
    data.mkdir()
    series = ['a{x="1"}', 'a{x="2"}', 'b{y="a longer one"}']
    with file.open("wb") as out:
        out.writelines(invented.text(series, start=panels.END - 7200, end=panels.END, step=15, rising=True))
    block = blocks.make(tools / "promtool", file, data, hours=162)
    blocks.copies(block, milliseconds=DAY * 1000, times=2)

    (data / "wal").mkdir()  # or promtool takes the folder for something else
    command = [str(tools / "promtool"), "tsdb", "dump", str(data)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    samples = {tuple(line.rsplit(" ", 2)) for line in lines}
    newest = {one for one in samples if int(one[2]) >= (panels.END - DAY) * 1000}
    assert len(newest) == len(series) * 7200 // 15
    for days in (1, 2):
        earlier = {(name, value, str(int(at) - days * DAY * 1000)) for name, value, at in newest}
        assert earlier <= samples
    assert len(samples) == 3 * len(newest)


def test_a_text_of_two_blocks_is_refused(tools: Path, tmp_path: Path) -> None:
    file = tmp_path / "text"
    moments = (panels.END, panels.END + 20 * DAY)
    file.write_text("".join(f"a 1 {moment}\n" for moment in moments) + "# EOF\n")
    with pytest.raises(blocks.BlockError, match="became 2 blocks, not one"):
        blocks.make(tools / "promtool", file, tmp_path, hours=2)


def test_every_endpoint_of_every_instance_has_its_series(small: invented.Invented) -> None:
    requests = [one for one in small.raw if one.startswith("claw_ai_http_requests_total{")]
    assert len(requests) == 20 * 2 * 3
    assert len(set(small.raw)) == len(small.raw)
    assert len(set(small.recorded)) == len(small.recorded)


def test_what_queries_ask_for_by_name_is_there(small: invented.Invented) -> None:
    text = "\n".join(small.raw)
    assert 'mode="idle"' in text
    assert 'state="active"' in text


def test_a_query_that_takes_longer_than_the_limit_is_told() -> None:
    query = Query(dashboard="d", panel="p", ref="A", expression="up", instant=False, source="prometheus")
    timed = [
        panels.Timed(query=query, range=name, seconds=[0.01, seconds], processor_seconds=0.01)
        for name in panels.RANGES
        for seconds in (0.02, 0.2 if name == "30 d" else 0.03)
    ]
    text = panels._summary(timed)
    assert "- Kept: p95 of the queries over 1 h at most 100 ms; measured 37.5 ms." in text
    assert "- Queries over 1 h whose own p95 is more: 0 of 2." in text
    assert "- **Missed**: p95 of the queries over 30 d at most 100 ms; measured" in text
    assert "- Queries over 30 d whose own p95 is more: 1 of 2." in text
    assert "| d / p / A | 30 d | 105.0 | 200.0 | 10.0 |" in panels._slowest(timed, 6)
