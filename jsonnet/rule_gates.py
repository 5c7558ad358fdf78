"""What a rule must be beyond reading metrics that exist: the questions that a careful reader would ask of it.

Each gate takes the rules and returns one line per finding; `GATES` names them all. What promtool says already
(syntax, duplicates in a file) and what ``promql.py`` says (names, labels, counters, gauges) is not repeated.
The ideas are those of Cloudflare's pint; the words and the code are our own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import promql_parser as promql

import trees
from promql import RATES, Judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import timedelta

    from catalogue import Labels

SCRAPES: Final = 4
"""A window holds at least as many scrapes: with two, one that is missed leaves nothing to compare."""
WINDOWED: Final = RATES | {"delta", "deriv", "changes", "predict_linear"}
META: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")
"""What makes a regular expression more than a word."""
UNSTABLE: Final = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
ALWAYS: Final = frozenset({"Watchdog"})
"""Alerts that fire all the time, by intention."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, where it stands, and its expression's tree."""

    file: str
    group: str
    interval: timedelta
    body: Mapping[str, Any]
    tree: Any

    @property
    def name(self) -> str:
        """The name of the alert or of the recording."""
        return str(self.body.get("alert") or self.body["record"])

    @property
    def place(self) -> str:
        """Names it for a person."""
        return f"{self.file}: {self.name}"


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules, and what is known about the world around them.

    Attributes:
        rules: Every rule of every file.
        scrape: How often targets are scraped.
        judge: Knows the labels of every metric and recording.
        promised: Alert name -> labels by which its alerts differ, which inhibitions compare.
        bounds: Histogram -> bounds of its buckets.
        read_elsewhere: Text of all that reads recordings beside rules: dashboards, runbooks, documents.
    """

    rules: tuple[Rule, ...]
    scrape: timedelta
    judge: Judge
    promised: Mapping[str, Iterable[str]]
    bounds: Mapping[str, tuple[float, ...]]
    read_elsewhere: str

    @property
    def alerts(self) -> list[Rule]:
        """The alerting rules."""
        return [rule for rule in self.rules if "alert" in rule.body]

    @property
    def records(self) -> list[Rule]:
        """The recording rules."""
        return [rule for rule in self.rules if "record" in rule.body]


def read(documents: Mapping[str, Mapping[str, Any]], evaluation: timedelta) -> tuple[Rule, ...]:
    """Return the rules of several files (file name -> document); `evaluation` is the default interval."""
    return tuple(
        Rule(file, group["name"], _seconds(group.get("interval")) or evaluation, rule, _parsed(rule))
        for file, document in documents.items()
        for group in document["groups"]
        for rule in group["rules"]
    )


def _parsed(rule: Mapping[str, Any]) -> Any:  # noqa: ANN401  # the parser's classes have no common type
    return promql.parse(str(rule["expr"]))


def _seconds(text: str | None) -> timedelta | None:
    """Return a duration as Prometheus writes it, such as `1m30s`."""
    return promql.parse_duration(text) if text else None


def short_windows(found: Rules) -> Iterator[str]:
    """A window holds at least four samples of what it looks at: scrapes, or evaluations of a recording."""
    intervals = {rule.name: rule.interval for rule in found.records}
    for rule in found.rules:
        for call in trees.calls(rule.tree, WINDOWED):
            for node in call.args:
                if isinstance(node, promql.MatrixSelector):
                    name = node.vector_selector.name or ""
                    least = SCRAPES * intervals.get(name, found.scrape)
                    if node.range < least:
                        said = f"{call.func.name}() of {name} over {node.range}"
                        yield f"{rule.place}: {said}: at least {least}"


def rates_of_sums(found: Rules) -> Iterator[str]:
    """A recording holds no counter, so its rate means nothing: a restart of one target looks like a fall."""
    records = {rule.name for rule in found.records}
    for rule in found.rules:
        for call in trees.calls(rule.tree, RATES):
            if wrong := [name for name in trees.names(call) if name in records]:
                yield f"{rule.place}: {call.func.name}() of the recording {wrong[0]}: take the rate first"
            if isinstance(call.args[0], promql.SubqueryExpr) and any(
                isinstance(node, promql.AggregateExpr) for node in trees.nodes(call.args[0])
            ):
                yield f"{rule.place}: {call.func.name}() of an aggregation: take the rate first, then add up"


def always_true(found: Rules) -> Iterator[str]:
    """An alert compares, or asks whether something is absent; without, it fires while there is data."""
    for rule in found.alerts:
        if rule.name not in ALWAYS and not _filters(rule.tree):
            yield f"{rule.place}: nothing is compared, so it fires as long as the series exists"


def _filters(tree: Any) -> bool:  # noqa: ANN401  # the parser's classes have no common type
    """Return whether a result is empty where all is well."""
    tree = trees.bare(tree)
    if isinstance(tree, promql.BinaryExpr):
        operator = str(tree.op)
        if operator in trees.COMPARISONS:
            return not (tree.modifier and tree.modifier.return_bool)
        if operator == "unless":
            return True
        if operator == "or":
            return _filters(tree.lhs) and _filters(tree.rhs)
        return _filters(tree.lhs) or _filters(tree.rhs)
    if isinstance(tree, promql.Call):
        return tree.func.name in ("absent", "absent_over_time") or any(_filters(one) for one in tree.args)
    return hasattr(tree, "expr") and _filters(tree.expr)


def at_once(found: Rules) -> Iterator[str]:
    """An alert that waits for nothing looks back over a window: a single sample wakes nobody."""
    for rule in found.alerts:
        windowed = any(
            isinstance(node, promql.MatrixSelector | promql.SubqueryExpr) for node in trees.nodes(rule.tree)
        )
        recorded = any(":" in name for name in trees.names(rule.tree))
        waits = rule.body.get("for", "0s") not in ("0s", "0m")
        if not (windowed or recorded or waits) and rule.body["labels"]["severity"] != "none":
            yield f"{rule.place}: one sample is enough for it: give it a `hold`, or a window"


def broken_promises(found: Rules) -> Iterator[str]:
    """What an alert promises in `by`, and shows in its texts, is in its result, whatever arm it came from."""
    for rule in found.alerts:
        labels, _ = found.judge.judge(str(rule.body["expr"]))
        if labels is None:
            continue
        there = labels | frozenset(rule.body["labels"])
        if missing := sorted(set(found.promised.get(rule.name, ())) - there):
            yield f"{rule.place}: promises {_listed(missing)}, but its result has {_listed(there)}"


def never_matching(found: Rules) -> Iterator[str]:
    """Two sides without `on` or `ignoring` have the same labels, or no series ever meets another."""
    for rule in found.rules:
        for node in trees.nodes(rule.tree):
            if isinstance(node, promql.BinaryExpr):
                yield from (f"{rule.place}: {problem}" for problem in _meeting(node, found.judge))


def _meeting(node: promql.BinaryExpr, judge: Judge) -> Iterator[str]:
    """Yield why the sides of an operator never meet, or may meet several times."""
    operator = str(node.op)
    modifier = node.modifier
    if trees.is_scalar(node.lhs) or trees.is_scalar(node.rhs) or operator == "or":
        return
    left, right = _exact(node.lhs, judge), _exact(node.rhs, judge)
    if left is None or right is None:
        return
    if modifier is None or modifier.matching is None:
        if left != right:
            sides = f"the left has {_listed(left)}, the right {_listed(right)}"
            yield f"{operator}: {sides}, so none ever matches"
        return
    if modifier.matching.type != promql.LabelModifierType.Include:
        return
    keys = frozenset(modifier.matching.labels)
    one_side = {"ManyToOne": right, "OneToMany": left}.get(str(modifier.card).rpartition(".")[2])
    if one_side is not None and one_side - keys:
        more = _listed(one_side - keys)
        yield f"{operator}: the side that stands once differs by {more} too: it fails then"


def _exact(tree: Any, judge: Judge) -> Labels:  # noqa: ANN401  # the parser's classes have no common type
    """Return the labels of a side where they are certain: it is an aggregation, or a plain metric."""
    labels, found = judge.judge(tree.prettify(), labels_only=True)
    return None if found else labels


def _listed(labels: Iterable[str]) -> str:
    return ", ".join(sorted(labels)) or "none"


def regular_words(found: Rules) -> Iterator[str]:
    """A regular expression without anything regular in it is an equality, which is faster and clearer."""
    for rule in found.rules:
        yield from (f"{rule.place}: {problem}" for problem in plain_patterns(rule.tree))


def plain_patterns(tree: Any) -> Iterator[str]:  # noqa: ANN401  # the parser's classes have no common type
    """Yield the matchers of an expression that need no regular expression, or match everything."""
    for node in trees.nodes(tree):
        if not isinstance(node, promql.VectorSelector):
            continue
        for matcher in node.matchers.matchers:
            if matcher.op in (promql.MatchOp.Re, promql.MatchOp.NotRe) and not META.search(matcher.value):
                yield f'{matcher.name} is compared with the pattern "{matcher.value}", which is a plain word'


def unstable(found: Rules) -> Iterator[str]:
    """Which series are the top five changes with every evaluation: such an alert is another one each time."""
    for rule in found.rules:
        for node in trees.nodes(rule.tree):
            if isinstance(node, promql.AggregateExpr) and str(node.op) in UNSTABLE:
                yield f"{rule.place}: {node.op} chooses other series each time"


def duplicates(found: Rules) -> Iterator[str]:
    """No two recordings hold the same, under one name or two; no two alerts of one severity ask the same."""
    seen: dict[tuple[object, ...], str] = {}
    for rule in found.rules:
        labels = tuple(sorted(rule.body.get("labels", {}).items()))
        expression = rule.tree.prettify()
        keys: list[tuple[object, ...]] = [("record" in rule.body, expression, labels)]
        if "record" in rule.body:
            keys.append((rule.name, labels))
        for key in keys:
            if key in seen:
                yield f"{rule.place}: the same as {seen[key]}"
            seen[key] = rule.place


def unread(found: Rules) -> Iterator[str]:
    """A recording that no rule, panel or document reads costs, and tells nobody anything."""
    read_by = {name for rule in found.rules for name in trees.names(rule.tree)}
    for name in dict.fromkeys(rule.name for rule in found.records):
        if name not in read_by and name not in found.read_elsewhere:
            yield f"{name} is recorded, but read by no rule, panel, runbook or document"


def between_bounds(found: Rules) -> Iterator[str]:
    """Buckets that are asked for exist, and quantiles are compared with bounds: between them is a guess."""
    for rule in found.rules:
        yield from (f"{rule.place}: {problem}" for problem in guesses(rule.tree, found.bounds))


def guesses(tree: Any, bounds: Mapping[str, tuple[float, ...]]) -> Iterator[str]:  # noqa: ANN401  # no common type
    """Yield buckets that do not exist, and quantiles that are compared with something between two bounds."""
    for node in trees.nodes(tree):
        if isinstance(node, promql.VectorSelector):
            yield from _buckets(node, bounds)
        if isinstance(node, promql.BinaryExpr) and str(node.op) in trees.COMPARISONS:
            yield from _compared(node, bounds)


def histogram_of(tree: Any, bounds: Mapping[str, tuple[float, ...]]) -> str | None:  # noqa: ANN401  # as above
    """Return the histogram whose quantile an expression is, itself or by the name of a recording."""
    if not any(trees.calls(tree, frozenset({"histogram_quantile"}))) and not any(
        re.search(r":p\d+_", name) for name in trees.names(tree)
    ):
        return None
    text = " ".join(trees.names(tree))
    return next((name for name in sorted(bounds, key=len, reverse=True) if name in text), None)


def _buckets(node: promql.VectorSelector, bounds: Mapping[str, tuple[float, ...]]) -> Iterator[str]:
    histogram = next((name for name in bounds if f"{name}_bucket" in (node.name or "")), None)
    for matcher in node.matchers.matchers:
        if matcher.name == "le" and matcher.op == promql.MatchOp.Equal and histogram:
            stored = {_stored(bound) for bound in bounds[histogram]} | {"+Inf"}
            if matcher.value not in stored:
                yield f'{histogram} has no bucket le="{matcher.value}"'


def _stored(bound: float) -> str:
    """Return a bound as Prometheus 3 stores it."""
    return f"{bound:.1f}" if bound == int(bound) else f"{bound:g}"


def _compared(node: promql.BinaryExpr, bounds: Mapping[str, tuple[float, ...]]) -> Iterator[str]:
    histogram, limit = histogram_of(node.lhs, bounds), trees.bare(node.rhs)
    if histogram and isinstance(limit, promql.NumberLiteral) and limit.val not in (0, *bounds[histogram]):
        yield f"a quantile of {histogram} is compared with {limit.val:g}, which is no bound of its buckets"


GATES: Final = (
    short_windows,
    rates_of_sums,
    always_true,
    at_once,
    broken_promises,
    never_matching,
    regular_words,
    unstable,
    duplicates,
    unread,
    between_bounds,
)
