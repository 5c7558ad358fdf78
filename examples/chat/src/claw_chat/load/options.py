"""Options of the load generator, from the command line or ``CLAW_LOAD_*`` variables."""

from __future__ import annotations

import argparse
import ipaddress
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to send, how fast, and for how long.

    Attributes:
        url: The app's address, without a path; on this machine, or a service beside this one.
        rate: Requests per second when the day is busiest.
        duration_seconds: When to stop; 0 runs until SIGTERM.
        concurrency: Requests in flight at the most; one that would exceed it is left out.
        day_seconds: Length of a simulated day.
        report_seconds: Time between summary lines.
        seed: Same seed, same users and questions.
    """

    url: str
    rate: float = 5.0
    duration_seconds: float = 0.0
    concurrency: int = 40
    day_seconds: float = 1800.0
    report_seconds: float = 60.0
    seed: int = 1


def parse(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> Options:
    """Return the options; a wrong one ends the program with exit code 2 and says what to write."""
    parser = argparse.ArgumentParser(prog="python -m claw_chat.load", description=__doc__)

    def add(name: str, kind: Callable[[str], object], default: str, about: str) -> None:
        variable = f"CLAW_LOAD_{name.upper()}"
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            type=kind,
            default=environment.get(variable, default),
            help=f"{about} (default {default}; also {variable})",
        )

    add("url", near_url, "http://127.0.0.1:8000", "the app, on this machine")
    add("rate", number(0.01, 200), "5", "requests per second at the busiest time of the day")
    add("duration_seconds", number(0, 1e9), "0", "when to stop; 0: at SIGTERM")
    add("concurrency", whole(1, 1000), "40", "requests in flight at the most")
    add("day_seconds", number(1, 86_400), "1800", "length of a simulated day")
    add("report_seconds", number(1, 86_400), "60", "time between summary lines")
    add("seed", whole(0, 2**31), "1", "same seed, same traffic")
    return Options(**vars(parser.parse_args(arguments)))


def near_url(value: str) -> str:
    """Return ``value`` if it is the address of a server on this machine or of a container beside this one.

    Raises:
        argparse.ArgumentTypeError: It is not, so no load shall be sent there.
    """
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{value!r} is not a URL: {error}") from error
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query:
        raise argparse.ArgumentTypeError(f"{value!r} is not like http://127.0.0.1:8000")
    if not is_loopback(parts.hostname) and not is_neighbour(parts.hostname):
        raise argparse.ArgumentTypeError(
            f"{value!r} is not on this machine; load is sent to 127.0.0.1, ::1, localhost or,"
            " among containers, to a service by its name without a dot"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"http://{host}:{port or 80}"


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is this machine, without asking a name server."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_neighbour(host: str) -> bool:
    """Return whether ``host`` can only be a name of the network at hand, such as a service of Compose."""
    # It begins with a letter: 134744072 and 0x8080808 are addresses on the internet.
    return re.fullmatch("[a-z][a-z0-9-]*", host) is not None


def number(low: float, high: float) -> Callable[[str], float]:
    """Return a parser of numbers from ``low`` to ``high``."""

    def parse_number(value: str) -> float:
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if not low <= found <= high:
            raise argparse.ArgumentTypeError(f"{value!r} is not a number from {low:g} to {high:g}")
        return found

    return parse_number


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from ``low`` to ``high``."""

    def parse_whole(value: str) -> int:
        if not value.isdecimal() or not low <= int(value) <= high:
            raise argparse.ArgumentTypeError(f"{value!r} is not a whole number from {low} to {high}")
        return int(value)

    return parse_whole
