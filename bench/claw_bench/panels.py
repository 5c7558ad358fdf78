"""How long Prometheus takes for each query of each panel, over an hour, a day and a month.

A store is filled with what a busy application leaves behind (``invented.py``): a month of recordings, a value
a minute, and two hours of everything that is scraped. Then every query of every dashboard is asked as Grafana
asks it for a panel of about a thousand pixels, several times, and nothing else is asked meanwhile.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Final

from claw_bench.report import table, verdict

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from typing import Self

    from claw_bench.invented import Invented
    from claw_native.panels import Query

__all__ = ["arguments", "report"]

ROOT: Final = Path(__file__).resolve().parents[2]
LIMIT_SECONDS: Final = 0.1
DAY_SECONDS: Final = 86_400
RAW_SECONDS: Final = 2 * 3600
BLOCK_SECONDS: Final = 1800
"""Raw series repeat after so long, as if every process had been started anew."""
SCRAPE_SECONDS: Final = 15
RECORD_SECONDS: Final = 60
END: Final = 1_790_035_200
"""Midnight of a day (UTC); the store ends with it."""
RANGES: Final = {"1 h": (3600, 15), "24 h": (DAY_SECONDS, 60), "30 d": (30 * DAY_SECONDS, 1800)}
"""Range -> its seconds, and the step that Grafana takes for it."""


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One query over one range: what it took, in seconds, and the processor's part of that, on average.

    The processor's part is what a machine without other work would need, give or take a second core.
    """

    query: Query
    range: str
    seconds: Sequence[float]
    processor_seconds: float

    @property
    def p95(self) -> float:
        """The 95th percentile; the slowest, where there are few."""
        return quantiles(self.seconds, n=20)[-1] if len(self.seconds) >= 20 else max(self.seconds)  # noqa: PLR2004


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--endpoints", type=int, default=200, help="(default: %(default)s)")
    parser.add_argument("--instances", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--days", type=int, default=30, help="of recordings (default: %(default)s)")
    parser.add_argument("--times", type=int, default=10, help="each query is asked (default: %(default)s)")
    parser.add_argument("--slowest", type=int, default=15, help="queries shown (default: %(default)s)")
    parser.add_argument(
        "--folder",
        type=Path,
        default=ROOT / ".run/bench/panels",
        help="the store (default: .run/bench/panels)",
    )
    parser.add_argument("--keep", action="store_true", help="take the store that is there already")


def report(options: argparse.Namespace) -> str:
    """Measure, and return the tables."""
    from claw_native.settings import read_settings

    programs = read_settings(os.environ).bin_dir
    said = []
    if not (options.keep and options.folder.exists()):
        said.append(_fill(options, programs))
    with _running(programs / "prometheus", options.folder) as server:
        timed = [_timed(server, query, name, options.times) for name, query in _queries()]
    return "\n\n".join([*said, _summary(timed), _slowest(timed, options.slowest)])


def _fill(options: argparse.Namespace, programs: Path) -> str:
    """Write the store, and say what is in it."""
    from claw_bench.blocks import copies, make
    from claw_bench.invented import Sizes, invent, text

    shutil.rmtree(options.folder, ignore_errors=True)
    data = options.folder / "data"
    data.mkdir(parents=True)
    started = time.monotonic()
    found = invent(ROOT, Sizes(endpoints=options.endpoints, instances=options.instances))
    file = options.folder / "text"
    for series, seconds, step, hours, times, rising in (
        (found.recorded, DAY_SECONDS, RECORD_SECONDS, 162, options.days - 1, False),
        (found.raw, BLOCK_SECONDS, SCRAPE_SECONDS, 2, RAW_SECONDS // BLOCK_SECONDS - 1, True),
    ):
        with file.open("wb") as out:
            out.writelines(text(series, start=END - seconds, end=END, step=step, rising=rising))
        block = make(programs / "promtool", file, data, hours=hours)
        file.unlink()
        copies(block, milliseconds=seconds * 1000, times=times)
    return _contents(found, options, data, time.monotonic() - started)


def _contents(found: Invented, options: argparse.Namespace, data: Path, seconds: float) -> str:
    size = sum(file.stat().st_size for file in data.rglob("*") if file.is_file())
    recorded = len(found.recorded) * options.days * DAY_SECONDS // RECORD_SECONDS
    raw = len(found.raw) * RAW_SECONDS // SCRAPE_SECONDS
    return (
        f"{options.endpoints} endpoints, {options.instances} instances: {len(found.recorded):,} recorded "
        f"series of {options.days} days ({recorded / 1e6:,.0f} million values), {len(found.raw):,} raw "
        f"series of two hours ({raw / 1e6:,.0f} million values); {size / 1e6:,.0f} MB, written in "
        f"{seconds:,.0f} s."
    )


class _running:  # noqa: N801  # a context manager that reads as a word
    """Prometheus over the store; a client of it."""

    def __init__(self, program: Path, folder: Path) -> None:
        import httpx

        from claw_native.servers import Process, free_port

        port = free_port()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=300)
        (folder / "prometheus.yml").write_text("global: {}\n")
        argv = [
            str(program),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=20y",
            # Blocks stay as they are: nothing is compacted while queries are timed.
            "--storage.tsdb.min-block-duration=2h",
            "--storage.tsdb.max-block-duration=2h",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        self._process = Process(argv, log=folder / "log", ready=self._ready)

    def _ready(self) -> bool:
        import httpx

        try:
            return self.client.get("/-/ready").is_success
        except httpx.HTTPError:
            return False

    def processor_seconds(self) -> float:
        """Return the processor time that the server has used, over all its threads."""
        words = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Self:
        self._process.start(timeout_seconds=120)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._process.stop()


def _queries() -> Iterator[tuple[str, Query]]:
    """Yield every query of every dashboard that goes to Prometheus, for each range."""
    from claw_native.panels import read_queries

    for name, (seconds, step) in RANGES.items():
        windows = {
            "__rate_interval": f"{max(step + SCRAPE_SECONDS, 4 * SCRAPE_SECONDS)}s",
            "__auto": f"{step}s",  # of Loki
            "__interval": f"{step}s",
            "__interval_ms": str(step * 1000),
            "__range": f"{seconds}s",
            "__range_s": str(seconds),
            "__range_ms": str(seconds * 1000),
            "endpoint": ".*/parts/7",  # one has to be chosen
        }
        for query in read_queries(ROOT / "grafana/dashboards", windows):
            if query.source == "prometheus":
                yield name, query


def _timed(server: _running, query: Query, name: str, times: int) -> Timed:
    """Ask one query as often as asked for, after once that does not count."""
    seconds, step = RANGES[name]
    end = END - SCRAPE_SECONDS
    if query.instant:
        path, parameters = "/api/v1/query", {"time": end}
    else:
        path = "/api/v1/query_range"
        # Grafana aligns both ends to the step.
        last = end // step * step
        parameters = {"start": last - seconds, "end": last, "step": step}
    taken = []
    asked = {"query": query.expression} | parameters
    for number in range(times + 1):
        if number == 1:
            before = server.processor_seconds()
        started = time.perf_counter()
        answer = server.client.post(path, data=asked)
        taken.append(time.perf_counter() - started)
        if answer.is_error:
            raise RuntimeError(f"{query.place} over {name}: {answer.text[:300]}")
    used = (server.processor_seconds() - before) / times
    return Timed(query=query, range=name, seconds=taken[1:], processor_seconds=used)


def _summary(timed: Sequence[Timed]) -> str:
    rows = [["range", "queries", "p50, ms", "p95, ms", "slowest p95, ms", "processor, p95, ms"]]
    rows.append(["---", *["---:"] * 5])
    for name in RANGES:
        of_range = [one for one in timed if one.range == name]
        every = [seconds for one in of_range for seconds in one.seconds]
        processor = quantiles([one.processor_seconds for one in of_range], n=20)[-1]
        worst = max(one.p95 for one in of_range)
        cells: list[Any] = [len(of_range), _ms(median(every)), _ms(quantiles(every, n=20)[-1]), _ms(worst)]
        rows.append([name, *map(str, cells), _ms(processor)])
    lines = [table(rows), ""]
    for name in RANGES:
        of_range = [one for one in timed if one.range == name]
        p95 = quantiles([seconds for one in of_range for seconds in one.seconds], n=20)[-1]
        lines.append(
            verdict(f"p95 of the queries over {name} at most 100 ms", f"{_ms(p95)} ms", p95 <= LIMIT_SECONDS)
        )
        slow = sum(one.p95 > LIMIT_SECONDS for one in of_range)
        lines.append(f"- Queries over {name} whose own p95 is more: {slow} of {len(of_range)}.")
    return "\n".join(lines)


def _slowest(timed: Sequence[Timed], count: int) -> str:
    rows = [["slowest queries", "range", "p50, ms", "p95, ms", "processor, ms"]]
    rows.append(["---", "---", "---:", "---:", "---:"])
    for one in sorted(timed, key=lambda one: -one.processor_seconds)[:count]:
        times = [_ms(seconds) for seconds in (median(one.seconds), one.p95, one.processor_seconds)]
        rows.append([one.query.place.replace("|", "/"), one.range, *times])
    return table(rows)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.1f}"
