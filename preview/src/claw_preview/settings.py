"""Settings: from the command line, else from `CLAW_PREVIEW_*` in the environment, else a default."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from claw_preview.errors import SettingsError

__all__ = ["OPTIONS", "Option", "Settings", "read_settings"]

MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Settings:
    """What the preview is told: where it listens, what it draws, and from which Prometheus.

    `loki_url` is None where there is no Loki.
    `scrape_interval_seconds` is the shortest step a panel asks for, as in a Grafana data source.
    """

    host: str
    port: int
    dashboards: Path
    prometheus_url: str
    loki_url: str | None
    scrape_interval_seconds: float
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: its field, default, how its text is read, and the words of `--help`."""

    name: str
    default: str
    read: Callable[[str], Any]
    help: str
    flag: str

    @property
    def variable(self) -> str:
        """The environment variable, such as CLAW_PREVIEW_PORT."""
        return f"CLAW_PREVIEW_{self.name.upper()}"


def _host(text: str) -> str:
    if not text or any(character in text for character in " /"):
        raise ValueError("not a host name or address; example 127.0.0.1")
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > MAX_PORT:
        raise ValueError(f"not a port; a number from 0 (any free one) to {MAX_PORT}")
    return int(text)


def _directory(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise ValueError(
            "not a directory; `make generate` writes grafana/dashboards, run from the repository's root"
        )
    return path


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("not a URL; example http://127.0.0.1:9090")
    return text.rstrip("/")


def _url_or_none(text: str) -> str | None:
    return None if text in {"", "none"} else _url(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise ValueError("not a number of seconds above 0; example 15")
    return seconds


OPTIONS = (
    Option("host", "127.0.0.1", _host, "address to listen on; the page asks for no password", "--host"),
    Option("port", "8080", _port, "port to listen on", "--port"),
    Option(
        "dashboards",
        "grafana/dashboards",
        _directory,
        "directory of the dashboards' JSON files",
        "--dashboards",
    ),
    Option("prometheus_url", "http://127.0.0.1:9090", _url, "base address of Prometheus", "--prometheus"),
    Option("loki_url", "none", _url_or_none, "base address of Loki, or none", "--loki"),
    Option("scrape_interval_seconds", "15", _seconds, "how often Prometheus scrapes", "--scrape-interval"),
    Option("timeout_seconds", "15", _seconds, "how long a query may take", "--timeout"),
)


def read_settings(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Read the settings; a flag beats its environment variable.

    Raises:
        SettingsError: with every mistake found, one a line.
    """
    given = vars(_parser().parse_args(arguments))
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for option in OPTIONS:
        flag, variable = given[option.name], environ.get(option.variable)
        text = next(text for text in (flag, variable, option.default) if text is not None)
        try:
            values[option.name] = option.read(text)
        except ValueError as error:
            source = option.variable if flag is None and variable is not None else option.flag
            mistakes.append(f"{source} is {text!r}: {error}")
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return Settings(**values)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="claw-preview",
        description="Draw the generated dashboards from a live Prometheus, without Grafana.",
    )
    for option in OPTIONS:
        words = f"{option.help} (default {option.default}; environment {option.variable})"
        parser.add_argument(option.flag, dest=option.name, metavar="VALUE", help=words)
    return parser
