"""What a panel must be beyond reading metrics that exist, so that one can read it and trust it.

Each gate takes the dashboards and returns one line per finding; `GATES` names them all. Places, ids and
Grafana's own fields are judged elsewhere (``tests/jsonnet``). The ideas are those of Grafana's
dashboard-linter; the words and the code are our own.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import promql_parser as promql

import trees
from expressions import LEGEND, is_prometheus, panels, substitute
from promql import RATES
from rule_gates import guesses, histogram_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from promql import Judge

WORDLESS: Final = frozenset({"heatmap", "table", "state-timeline"})
"""Panels in which a legend has no place, or whose columns have headers of their own."""
MARKS: Final = {"__rate_interval": 4217, "__range": 8431, "__interval": 1063}
"""Seconds that nobody would write, in the place of Grafana's own windows."""
PAST_SECONDS: Final = 6 * 3600
ON_TIME_RANGE: Final = 2
"""Grafana's number for: when the time range changes."""
HIDDEN: Final = 2
"""Its number for a variable that nobody sees."""
UNIT_FREE: Final = frozenset({"logs", "text"})


@dataclass(frozen=True, slots=True)
class Target:
    """One query of one panel.

    Attributes:
        place: Dashboard and panel, for a person.
        panel: The panel as Grafana has it.
        target: The query as Grafana has it.
        tree: The query's expression, with believable values for variables.
        variables: Variables of the dashboard.
    """

    place: str
    panel: Mapping[str, Any]
    target: Mapping[str, Any]
    tree: Any
    variables: frozenset[str]


@dataclass(frozen=True, slots=True)
class Dashboards:
    """All dashboards, and what is known about metrics.

    Attributes:
        documents: uid -> Grafana's JSON.
        judge: Knows the labels of every metric and recording.
        ours: Metrics of the library, which every application has.
        bounds: Histogram -> bounds of its buckets.
    """

    documents: Mapping[str, Mapping[str, Any]]
    judge: Judge
    ours: frozenset[str]
    bounds: Mapping[str, tuple[float, ...]]

    def panels(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield every panel with its place."""
        for uid, document in self.documents.items():
            for panel in panels(document):
                yield f"{uid} / {panel.get('title') or panel.get('id')}", panel

    def targets(self) -> Iterator[Target]:
        """Yield every query that goes to Prometheus."""
        for uid, document in self.documents.items():
            # A hidden one is only carried along to the next dashboard.
            shown = [one for one in document["templating"]["list"] if one.get("hide") != HIDDEN]
            variables = frozenset(one["name"] for one in shown)
            for panel in panels(document):
                for target in panel.get("targets", ()):
                    if is_prometheus(target):
                        tree = promql.parse(substitute(target["expr"]))
                        place = f"{uid} / {panel['title']} / {target.get('refId', '?')}"
                        yield Target(place, panel, target, tree, variables)


def unreadable(found: Dashboards) -> Iterator[str]:
    """A panel says what it shows (title, a sentence, a unit), and has something to show."""
    for place, panel in found.panels():
        missing = [name for name in ("title", "description") if not panel.get(name, "").strip()]
        if (
            not panel.get("fieldConfig", {}).get("defaults", {}).get("unit")
            and panel["type"] not in UNIT_FREE
        ):
            missing.append("unit")
        if not panel.get("targets") and panel["type"] != "text":
            missing.append("query")
        yield from (f"{place}: has no {name}" for name in missing)


def repeated(found: Dashboards) -> Iterator[str]:
    """No two panels of a row have one title: a runbook could not tell them apart."""
    for uid, document in found.documents.items():
        titles = Counter((row, panel["title"]) for row, panel in in_rows(document))
        for (row, title), count in titles.items():
            if count > 1:
                yield f"{uid} / {row} / {title}: {count} panels of the row have this title"


def in_rows(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every panel with the title of the row that it stands in, folded or not."""
    row = ""
    for panel in document["panels"]:
        if panel["type"] != "row":
            yield row, panel
            continue
        row = str(panel["title"])
        yield from ((row, inner) for inner in panel.get("panels", ()))


def fixed_sources(found: Dashboards) -> Iterator[str]:
    """Panels and queries ask the data source that a variable names."""
    for place, panel in found.panels():
        for one in (panel, *panel.get("targets", ())):
            uid = str(one.get("datasource", {}).get("uid", ""))
            if not re.fullmatch(r"\$\{\w+\}|-- \w+ --", uid):
                yield f"{place}: its data source is {uid or 'not given'}, not a variable"


def stale_variables(found: Dashboards) -> Iterator[str]:
    """What a variable offers is asked again when the time range changes."""
    for uid, document in found.documents.items():
        for variable in document["templating"]["list"]:
            if variable["type"] == "query" and variable.get("refresh") != ON_TIME_RANGE:
                yield f"{uid} / ${variable['name']}: its values are not read again with another time range"


def fixed_windows(found: Dashboards) -> Iterator[str]:
    """A rate is taken over $__rate_interval: a fixed window hides what lies between two points.

    Six hours and more are about the past as such, not about the resolution of the picture.
    """
    for target in found.targets():
        for call in trees.calls(promql.parse(_marked(target.target["expr"])), RATES):
            argument = call.args[0]
            if isinstance(argument, promql.MatrixSelector):
                seconds = argument.range.total_seconds()
                if seconds not in MARKS.values() and seconds < PAST_SECONDS:
                    yield f"{target.place}: {call.func.name}() over {seconds:g} s, not over $__rate_interval"


def _marked(expression: str) -> str:
    for name, seconds in MARKS.items():
        expression = re.sub(rf"\$(?:\{{{name}\}}|{name}\b)", f"{seconds}s", expression)
    return substitute(expression)


def unscoped(found: Dashboards) -> Iterator[str]:
    """Where a dashboard lets one choose the application or its instance, our metrics follow the choice.

    A recording follows with the labels that its level names; one over all instances has none.
    """
    for target in found.targets():
        for node in trees.nodes(target.tree):
            if not isinstance(node, promql.VectorSelector) or not node.name:
                continue
            wanted = {"job", "instance"} & target.variables & _choices(node.name, found)
            given = {matcher.name for matcher in node.matchers.matchers}
            if missing := sorted(wanted - given):
                yield f"{target.place}: {node.name} does not follow ${' and $'.join(missing)}"


def _choices(name: str, found: Dashboards) -> frozenset[str]:
    """Return by which labels a series of an application is chosen."""
    if re.sub(r"_(bucket|sum|count)$", "", name) in found.ours or name in found.ours:
        return frozenset({"job", "instance"})
    level, colon, _ = name.partition(":")
    about_an_application = any(metric.removesuffix("_total") in name for metric in found.ours)
    return frozenset(level.split("_")) if colon and about_an_application else frozenset()


def nameless(found: Dashboards) -> Iterator[str]:
    """A line says what it is, and lines that differ by a label show that label."""
    for target in found.targets():
        legend = target.target.get("legendFormat", "")
        if target.panel["type"] in WORDLESS or target.target.get("format") == "table":
            continue
        labels, _ = found.judge.judge(target.tree.prettify(), labels_only=True)
        shown = set(LEGEND.findall(legend))
        if not legend or legend == "__auto":
            yield f"{target.place}: has no legend"
        elif labels and not shown:
            differ = ", ".join(sorted(labels))
            yield f"{target.place}: its lines differ by {differ}, its legend says {legend!r}"


def between_bounds(found: Dashboards) -> Iterator[str]:
    """Buckets exist, and the thresholds of a quantile are bounds of its buckets: between them is a guess."""
    for target in found.targets():
        yield from (f"{target.place}: {problem}" for problem in guesses(target.tree, found.bounds))
        histogram = histogram_of(target.tree, found.bounds)
        steps = target.panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", ())
        for step in steps if histogram else ():
            if step["value"] not in (None, 0, *found.bounds[str(histogram)]):
                yield f"{target.place}: threshold {step['value']} is no bound of {histogram}"


GATES: Final = (
    unreadable,
    repeated,
    fixed_sources,
    stale_variables,
    fixed_windows,
    unscoped,
    nameless,
    between_bounds,
)
