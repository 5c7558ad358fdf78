"""Find every PromQL and LogQL expression in what is generated, and have each judged.

Rules, alerts, alert texts, panels, legends, dashboard variables and annotations are looked at. A recording
rule's labels are worked out from its expression, so that what reads the recording is checked as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import logql
from catalogue import did_you_mean
from promql import Judge, known

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from catalogue import Catalogue, Labels

DURATIONS: Final = {"__rate_interval": "5m", "__interval": "1m", "__range": "1h", "__auto": "1m"}
"""What stands for Grafana's own variables while an expression is judged."""
NUMBERS: Final = frozenset({"__range_s", "__range_ms", "__interval_ms", "__from", "__to"})
VARIABLE: Final = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?::\w+)?\}|([A-Za-z_]\w*))")
LEGEND: Final = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
ALERT_LABEL: Final = re.compile(r"\$labels\.(\w+)")
LABEL_VALUES: Final = re.compile(r"label_values\((?:(?P<expr>.+),\s*)?(?P<label>\w+)\)", re.DOTALL)
QUERY_RESULT: Final = re.compile(r"query_result\((?P<expr>.+)\)", re.DOTALL)
ALERT_LABELS: Final = frozenset({"alertname", "alertstate"})


@dataclass(frozen=True, slots=True)
class Use:
    """One expression in one generated file.

    Attributes:
        place: File and panel, alert, record, variable or annotation.
        expression: PromQL (LogQL where ``of_logs``), with Grafana's variables still in it.
        labels: Label names that something beside the expression reads from its result.
        record: Name that the result is stored under, if any.
        added: Labels that the rule adds to the result.
        variables: Names of the dashboard's variables; nothing where it is not a dashboard.
        labels_only: The values of the result do not matter, only its labels.
        of_logs: It is LogQL.
    """

    place: str
    expression: str
    labels: tuple[str, ...] = ()
    record: str = ""
    added: frozenset[str] = frozenset()
    variables: frozenset[str] | None = None
    labels_only: bool = False
    of_logs: bool = False


def find(documents: Mapping[str, Mapping[str, Any]]) -> list[Use]:
    """Return every expression of the generated documents (path -> document)."""
    return [use for path, document in documents.items() for use in _uses(path, document)]


def check(uses: list[Use], catalogue: Catalogue) -> list[str]:
    """Return one line per mistake; the recording rules among the uses become part of the catalogue."""
    records = [use for use in uses if use.record]
    judge = Judge(catalogue)
    _learn(records, catalogue)
    return [f"{use.place}: {problem}" for use in uses for problem in _problems(use, judge)]


def _learn(records: list[Use], catalogue: Catalogue) -> None:
    """Put every recording rule into the catalogue, with its labels where those can be worked out.

    A recording may read another one that stands later in the files, hence the second pass.
    """
    for use in records:
        catalogue.add(use.record, None)
    for _ in range(2):
        judge = Judge(catalogue)
        for use in records:
            labels, _found = judge.judge(use.expression)
            catalogue.add(use.record, None if labels is None else labels | use.added)


def _problems(use: Use, judge: Judge) -> Iterator[str]:
    """Yield what is wrong with one use."""
    if use.variables is not None:
        yield from _unknown_variables(use.expression, use.variables)
    expression = substitute(use.expression)
    labels, found = (
        logql.judge(expression) if use.of_logs else judge.judge(expression, labels_only=use.labels_only)
    )
    yield from found
    yield from _unknown_labels(use, labels)


def _unknown_variables(expression: str, variables: frozenset[str]) -> Iterator[str]:
    for match in VARIABLE.finditer(expression):
        name = match[1] or match[2]
        if name not in variables and name not in DURATIONS and name not in NUMBERS:
            yield f"no variable ${name}{did_you_mean(name, variables)}"


def _unknown_labels(use: Use, labels: Labels) -> Iterator[str]:
    if labels is None:
        return
    there = labels | use.added
    for label in use.labels:
        if label not in there:
            yield f"the result has no label {label}{did_you_mean(label, there)}{known(there)}"


def substitute(expression: str) -> str:
    """Return an expression with Grafana's variables replaced by believable values."""
    return VARIABLE.sub(lambda match: DURATIONS.get(match[1] or match[2], "1"), expression)


def _uses(path: str, document: Mapping[str, Any]) -> Iterator[Use]:
    """Yield the expressions of one document, by what kind of file it becomes."""
    if path.startswith("prometheus/rules/"):
        yield from _of_rules(path, document)
    elif path.startswith("grafana/dashboards/"):
        yield from _of_dashboard(path, document)


def _of_rules(path: str, document: Mapping[str, Any]) -> Iterator[Use]:
    for group in document["groups"]:
        for rule in group["rules"]:
            kind = "alert" if "alert" in rule else "record"
            texts = " ".join(rule.get("annotations", {}).values())
            yield Use(
                place=f"{path}: {kind} {rule[kind]}",
                expression=str(rule["expr"]),
                labels=tuple(dict.fromkeys(ALERT_LABEL.findall(texts))),
                record=rule.get("record", ""),
                added=frozenset(rule.get("labels", {})) | (ALERT_LABELS if kind == "alert" else frozenset()),
            )


def _of_dashboard(path: str, dashboard: Mapping[str, Any]) -> Iterator[Use]:
    variables = frozenset(one["name"] for one in dashboard["templating"]["list"])
    for panel in panels(dashboard):
        for target in panel.get("targets", []):
            if "expr" in target:
                yield Use(
                    place=f"{path}: panel {panel['title']!r}",
                    expression=target["expr"],
                    labels=tuple(dict.fromkeys(LEGEND.findall(target.get("legendFormat", "")))),
                    variables=variables,
                    of_logs=not is_prometheus(target),
                )
    for variable in dashboard["templating"]["list"]:
        yield from _of_variable(f"{path}: variable ${variable['name']}", variable, variables)
    for annotation in dashboard["annotations"]["list"]:
        texts = f"{annotation.get('titleFormat', '')} {annotation.get('textFormat', '')}"
        yield Use(
            place=f"{path}: annotation {annotation['name']!r}",
            expression=annotation["expr"],
            labels=tuple(dict.fromkeys(LEGEND.findall(texts))),
            variables=variables,
        )


def _of_variable(place: str, variable: Mapping[str, Any], variables: frozenset[str]) -> Iterator[Use]:
    if variable["type"] != "query" or not is_prometheus(variable):
        return
    text = variable["query"]["query"]
    if match := LABEL_VALUES.fullmatch(text):
        label = match["label"]
        series = match["expr"] or "up"
        yield Use(place, series, labels=(label,), variables=variables, labels_only=True)
    elif match := QUERY_RESULT.fullmatch(text):
        yield Use(place, match["expr"], variables=variables)
    else:
        yield Use(place, text, variables=variables)


def panels(dashboard: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield every panel of a dashboard, those inside folded rows too, rows themselves not."""
    for panel in dashboard.get("panels", []):
        if panel["type"] == "row":
            yield from panels(panel)
        else:
            yield panel


def is_prometheus(target: Mapping[str, Any]) -> bool:
    """Return whether the query of a panel or variable goes to Prometheus."""
    return bool(target.get("datasource", {}).get("type", "prometheus") == "prometheus")
