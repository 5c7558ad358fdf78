"""Reads the queries out of dashboards and fills in Grafana's variables, as `make demo-check` asks them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from claw_native.errors import NativeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# Wide enough that a thing which happens every few minutes is seen.
RANGE_SECONDS = 900
STEP_SECONDS = 15
RATE_INTERVAL = "1m"  # four scrapes, as Grafana computes it for this scrape interval
# What begins with a digit is a group of label_replace().
NAME = r"[A-Za-z_]\w*"
VARIABLE = re.compile(
    rf"\$(?:\{{(?P<braced>{NAME})(?::\w+)?\}}|(?P<plain>{NAME}))|\[\[(?P<old>{NAME})(?::\w+)?\]\]"
)
BUILT_IN = {
    "__rate_interval": RATE_INTERVAL,
    "__interval": f"{STEP_SECONDS}s",
    "__auto": f"{STEP_SECONDS}s",  # Loki's name for the same
    "__interval_ms": str(STEP_SECONDS * 1000),
    "__range": f"{RANGE_SECONDS}s",
    "__range_s": str(RANGE_SECONDS),
    "__range_ms": str(RANGE_SECONDS * 1000),
}


@dataclass(frozen=True, kw_only=True)
class Query:
    """One query of one panel, ready to be asked.

    Attributes:
        dashboard: The uid of its dashboard.
        panel: The panel's title.
        ref: Its letter in the panel.
        expression: PromQL or LogQL, without variables.
        instant: It is asked for one moment, not for a range.
        source: Type of its data source, such as prometheus.
    """

    dashboard: str
    panel: str
    ref: str
    expression: str
    instant: bool
    source: str

    @property
    def place(self) -> str:
        """Names it for a person."""
        return f"{self.dashboard} / {self.panel} / {self.ref}"


def read_queries(folder: Path, given: Mapping[str, str] = BUILT_IN) -> list[Query]:
    """Reads every query of every dashboard in a folder.

    Args:
        folder: Where the dashboards' JSON is.
        given: Values of Grafana's own variables, which tell how long the range is and how fine, and of others
            that shall not have the value with which their dashboard opens.

    Raises:
        NativeError: There is no dashboard, or one uses a variable it does not have.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise NativeError(f"no dashboard in '{folder}'; run 'make generate'")
    return [query for path in paths for query in _queries(path.stem, json.loads(path.read_text()), given)]


def _queries(name: str, dashboard: dict[str, Any], given: Mapping[str, str]) -> Iterator[Query]:
    variables = {**_chosen(dashboard), **given}
    for panel in _panels(dashboard["panels"]):
        for target in panel.get("targets", ()):
            if "expr" not in target:
                continue
            title = filled(panel.get("title") or f"panel {panel.get('id')}", variables, where=name)
            yield Query(
                dashboard=name,
                panel=title,
                ref=str(target.get("refId", "A")),
                expression=filled(target["expr"], variables, where=f"{name} / {title}"),
                instant=bool(target.get("instant")) and not target.get("range"),
                source=_source(target) or _source(panel) or "prometheus",
            )


def _panels(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        yield panel
        yield from _panels(panel.get("panels", []))  # those of a collapsed row


def _source(part: Mapping[str, Any]) -> str | None:
    source = part.get("datasource")
    return str(source["type"]) if isinstance(source, dict) and source.get("type") else None


def _chosen(dashboard: dict[str, Any]) -> dict[str, str]:
    """Returns the value each variable has when the dashboard is opened, as a regular expression."""
    chosen = {}
    for variable in dashboard.get("templating", {}).get("list", ()):
        value = (variable.get("current") or {}).get("value", "$__all")
        values = value if isinstance(value, list) else [value]
        everything = "$__all" in values or not values or values == [""]
        chosen[variable["name"]] = (variable.get("allValue") or ".*") if everything else "|".join(values)
    return chosen


def filled(text: str, variables: Mapping[str, str], *, where: str) -> str:
    """Replaces the variables in a text.

    Raises:
        NativeError: One is not known.
    """

    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["plain"] or match["old"]
        if name not in variables:
            # A dollar may be an anchor of a regular expression; a name after it may not.
            raise NativeError(f"{where}: the variable ${name} is not one of the dashboard's")
        return variables[name]

    return VARIABLE.sub(value, text)
