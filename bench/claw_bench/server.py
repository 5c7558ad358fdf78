"""What users feel: requests per second and latency of the example app under uvicorn, sent by ``wrk``.

Each variant has its own server, all of them stand beside the same Postgres, Redis and model server, and one
at a time gets requests: each round goes round all of them, so that whatever else the machine does meets all.
Everything listens on the loopback interface only.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from claw_bench.report import table, titled
from claw_bench.variants import VARIANTS
from claw_native.errors import NativeError
from claw_native.servers import HOST, Postgres, Process, Redis, accepts, free_port
from claw_native.settings import read_settings
from claw_native.tools import ensure_tools, tool

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["PATHS", "Load", "arguments", "backends", "measure", "read", "report", "tabulated"]

NONE: Final = "none"
# The first waits for nobody, the second one for Redis and Postgres.
PATHS: Final = {
    "/api/v1/models": "a list from memory: waits for nothing",
    "/api/v1/search?q=why+is+it+slow": "a search: waits for Redis and Postgres",
}
_VARIANTS: Final = [NONE, *(name for name in VARIANTS if not name.startswith("empty"))]
_MILLISECONDS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
_RETRIES: Final = 50


@dataclass(slots=True)
class Load:
    """What one variant did under load.

    Attributes:
        rates: Requests per second, by round.
        slowest: The 99th percentile of the latency in milliseconds, by round.
        error: Why it was not measured, or nothing.
    """

    rates: list[float] = field(default_factory=list)
    slowest: list[float] = field(default_factory=list)
    error: str = ""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--variant", action="append", choices=_VARIANTS, help="only this one; may be repeated"
    )
    parser.add_argument("--path", action="append", choices=PATHS, help="the same")
    parser.add_argument("--rounds", type=int, default=7, help="for each variant (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=3, help="of a round (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=8, help="at once (default: %(default)s)")


def report(options: argparse.Namespace) -> str:
    """Fetch the programs, start everything, measure, and return the tables."""
    settings = read_settings(os.environ)
    try:
        ensure_tools(settings, ["postgres", "redis", "wrk"], say=lambda line: print(line, file=sys.stderr))
    except NativeError as error:
        return f"Skipped: the programs cannot be had ({error})."
    with TemporaryDirectory() as folder, backends(settings.bin_dir, Path(folder)) as environment:
        results = measure(
            options.variant or _VARIANTS,
            options.path or list(PATHS),
            environment,
            wrk=tool(settings, "wrk"),
            folder=Path(folder),
            rounds=options.rounds,
            seconds=options.seconds,
            connections=options.connections,
        )
    sizes = f"{options.rounds} rounds of {options.seconds} s, {options.connections} connections."
    return "\n\n".join((*(tabulated(path, loads) for path, loads in results.items()), sizes))


@contextmanager
def backends(bin_dir: Path, folder: Path) -> Iterator[dict[str, str]]:
    """Run a Postgres and a Redis, and yield the environment of an app that uses them."""
    with (
        Postgres(bin_dir, folder / "postgres", free_port()) as postgres,
        _Redis(bin_dir, folder / "redis", free_port()) as redis,
    ):
        yield {"CLAW_CHAT_DATABASE_URL": postgres.dsn, "CLAW_CHAT_REDIS_URL": redis.url}


class _Redis(Redis):
    def start(self, timeout_seconds: float = 30) -> None:
        self.log.parent.mkdir(exist_ok=True)
        super().start(timeout_seconds)


def measure(  # noqa: PLR0913  # each has its own name
    variants: Sequence[str],
    paths: Sequence[str],
    environment: Mapping[str, str],
    *,
    wrk: Path,
    folder: Path,
    rounds: int,
    seconds: int,
    connections: int,
) -> dict[str, dict[str, Load]]:
    """Send requests to the example app, in several variants.

    Args:
        variants: Names of the variants; ``none`` is the app without metrics.
        paths: What is asked for.
        environment: Where the app finds Postgres and Redis.
        wrk: The program that sends.
        folder: For logs.
        rounds: How often each variant gets requests.
        seconds: For how long each time.
        connections: How many requests are under way at once.

    Returns:
        Path -> variant -> what was measured.
    """
    results = {path: {name: Load() for name in variants} for path in paths}
    with ExitStack() as stack:
        base = _servers(stack, variants, environment, folder)
        for path, loads in results.items():
            for name, load in loads.items():
                load.error = _wrong(base[name] + path)
        command = [str(wrk), "--threads", "1", "--connections", str(connections), "--latency"]
        for path, loads in results.items():
            works = [name for name, load in loads.items() if not load.error]
            for number in range(-1, rounds):  # the first one warms up, and is not counted
                for name in works if number % 2 else reversed(works):
                    words = [*command, "--duration", f"{seconds if number >= 0 else 1}s", base[name] + path]
                    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
                    if number >= 0:
                        read(done.stdout, loads[name])
    return results


def _servers(
    stack: ExitStack, variants: Sequence[str], environment: Mapping[str, str], folder: Path
) -> dict[str, str]:
    models = free_port()
    words = [sys.executable, "-m", "claw_chat.model_server", "--port", str(models)]
    stack.enter_context(Process(words, log=folder / "models.log", ready=lambda: accepts(models)))
    own = {"CLAW_CHAT_MODEL_BASE_URL": f"http://{HOST}:{models}/v1"}
    base = {}
    for name in variants:
        port = free_port()
        server = Process(
            [sys.executable, "-m", "claw_bench.chat", name],
            log=folder / f"{name}.log",
            ready=lambda port=port: accepts(port),  # type: ignore[misc]  # each its own
            env=os.environ | environment | own | {"CLAW_CHAT_PORT": str(port)},
        )
        stack.enter_context(server)
        base[name] = f"http://{HOST}:{port}"
    return base


def _wrong(url: str) -> str:
    """Ask until the app has prepared its database, and return why it does not answer, or nothing."""
    opener = build_opener(ProxyHandler({}))
    reason = ""
    for _ in range(_RETRIES):
        try:
            with opener.open(url, timeout=10) as response:
                response.read()
        except URLError as error:
            reason = str(error)
            if "500" in reason:  # an exception, not a database that is not ready yet
                return reason
        else:
            return ""
        subprocess.run(["sleep", "0.2"], check=True)  # noqa: S607  # on PATH
    return reason


def read(text: str, load: Load) -> None:
    """Add what wrk printed to what was measured."""
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    slowest = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", text)
    if "Non-2xx" in text or rate is None or slowest is None:
        load.error = "it does not answer every request with 200"
        return
    load.rates.append(float(rate[1]))
    load.slowest.append(float(slowest[1]) * _MILLISECONDS[slowest[2]])


def tabulated(path: str, loads: Mapping[str, Load]) -> str:
    """Return the table of one path."""
    rows = [
        [f"`{path}`, {PATHS[path]}", "requests/s", "of the app without metrics", "p99, ms"],
        ["---", "---:", "---:", "---:"],
    ]
    without = loads.get(NONE)
    for name, load in loads.items():
        title = "(without metrics)" if name == NONE else titled(VARIANTS[name].title, VARIANTS[name].package)
        if load.error:
            rows.append([title, f"fails ({load.error})", "", ""])
            continue
        share = ""
        if without is not None and without is not load and len(without.rates) == len(load.rates):
            ratios = [rate / other for rate, other in zip(load.rates, without.rates, strict=True)]
            share = _spread([100 * ratio for ratio in ratios], "%")
        rows.append([title, _spread(load.rates), share, _spread(load.slowest, digits=1)])
    return table(rows)


def _spread(values: Sequence[float], unit: str = "", digits: int = 0) -> str:
    if len(values) == 1:
        return f"{values[0]:,.{digits}f}{unit}"
    first, _, third = quantiles(values, n=4)
    return f"{median(values):,.{digits}f}{unit} ({first:,.{digits}f} to {third:,.{digits}f})"
