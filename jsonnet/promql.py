"""Judge one PromQL expression against the catalogue: does every metric, label and label value exist?

The walk returns the label names of the expression's result, so that legends, ``by`` clauses and the texts of
alerts can be judged too. Where a result's labels cannot be known (``ALERTS``), label checks are skipped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import promql_parser as promql

from catalogue import Catalogue, Labels, Series, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RATES: Final = frozenset({"rate", "irate", "increase", "resets"})
COUNTS_SERIES: Final = frozenset({"absent", "timestamp"})
"""Functions for which the height of a counter does not matter."""
COUNTING_AGGREGATIONS: Final = frozenset({"count", "group"})
KEEPS_LABELS: Final = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
LABEL_MAKERS: Final = frozenset({"label_replace", "label_join"})
WITHOUT_LABELS: Final = frozenset({"vector", "scalar", "time", "pi"})
LITERAL: Final = re.compile(r"[\w./ -]+(\|[\w./ -]+)*")
"""A regular expression that is only a list of words."""
UNLABELLED: Final[frozenset[str]] = frozenset()


class Judge:
    """Walks expressions; every finding of one expression is collected."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._found: list[str] = []
        self._visitors: dict[type, Callable[..., Labels]] = {
            promql.VectorSelector: self._selector,
            promql.MatrixSelector: self._matrix,
            promql.AggregateExpr: self._aggregate,
            promql.BinaryExpr: self._binary,
            promql.Call: self._call,
            promql.ParenExpr: self._inner,
            promql.UnaryExpr: self._inner,
            promql.SubqueryExpr: self._inner,
            promql.NumberLiteral: lambda _node, **_: UNLABELLED,
            promql.StringLiteral: lambda _node, **_: UNLABELLED,
        }

    def judge(self, expression: str, *, labels_only: bool = False) -> tuple[Labels, list[str]]:
        """Return the labels of the expression's result, and what is wrong with it.

        Args:
            expression: PromQL without Grafana's variables.
            labels_only: The values do not matter, so a counter may stand there without ``rate``.
        """
        self._found = []
        try:
            tree = promql.parse(expression)
        except ValueError as error:
            return None, [f"not PromQL: {error}: {_shortened(expression)}"]
        labels = self._visit(tree, raw=labels_only)
        return labels, self._found

    def _visit(self, node: object, *, raw: bool = False) -> Labels:
        """Return the label names of a node; ``raw``: a counter need not stand under ``rate`` here."""
        return self._visitors[type(node)](node, raw=raw)

    def _inner(self, node: promql.ParenExpr | promql.UnaryExpr | promql.SubqueryExpr, *, raw: bool) -> Labels:
        return self._visit(node.expr, raw=raw)

    def _matrix(self, node: promql.MatrixSelector, *, raw: bool) -> Labels:
        del raw  # What a range of a counter is good for is the calling function's affair.
        return self._selector(node.vector_selector, raw=True)

    def _selector(self, node: promql.VectorSelector, *, raw: bool) -> Labels:
        matchers = [matcher for matcher in node.matchers.matchers if matcher.name != "__name__"]
        names = self._names(node)
        series = [found for name in names if (found := self._catalogue.get(name))]
        if not series:
            return None
        labels = union(*(one.labels for one in series))
        for matcher in matchers:
            self._require([matcher.name], labels, f"of {' or '.join(names)}")
            self._allowed(matcher, series)
        if not raw and any(one.type == "counter" for one in series):
            self._found.append(f"{names[0]} is a counter: only its rate() or increase() means something")
        return labels

    def _names(self, node: promql.VectorSelector) -> list[str]:
        """Return the metric names that a selector asks for, after noting the unknown ones."""
        if node.name:
            if self._catalogue.get(node.name) is None:
                self._found.append(f"unknown metric {node.name}{self._catalogue.nearest(node.name)}")
            return [node.name]
        for matcher in node.matchers.matchers:
            if matcher.name == "__name__":
                found = self._catalogue.matching(matcher.value)
                if not found:
                    self._found.append(f"no known metric matches {matcher.value}")
                return found
        self._found.append(f"a selector without a metric name reads everything: {node}")
        return []

    def _allowed(self, matcher: promql.Matcher, series: list[Series]) -> None:
        """Note values that a label with a closed list of values never has."""
        closed = [one.values[matcher.name] for one in series if matcher.name in one.values]
        if not closed or not LITERAL.fullmatch(matcher.value):
            return
        allowed = frozenset[str]().union(*closed)
        for value in matcher.value.split("|"):
            if value not in allowed:
                self._found.append(
                    f"label {matcher.name} never is {value!r} (known: {', '.join(sorted(allowed))})"
                )

    def _aggregate(self, node: promql.AggregateExpr, *, raw: bool) -> Labels:
        operator = str(node.op)
        inner = self._visit(node.expr, raw=raw or operator in COUNTING_AGGREGATIONS)
        if operator in KEEPS_LABELS:
            return inner
        if node.modifier is None:
            kept: Labels = UNLABELLED
        elif node.modifier.type == promql.AggModifierType.By:
            self._require(node.modifier.labels, inner, f"to aggregate by in {_shortened(node.prettify())}")
            kept = frozenset(node.modifier.labels)
        else:
            kept = None if inner is None else inner - set(node.modifier.labels)
        if operator == "count_values" and kept is not None and isinstance(node.param, promql.StringLiteral):
            return kept | {node.param.val}
        return kept

    def _call(self, node: promql.Call, *, raw: bool) -> Labels:
        name = node.func.name
        arguments = [self._visit(one, raw=raw or name in COUNTS_SERIES) for one in node.args]
        if name in RATES:
            self._not_a_gauge(name, node.args[0])
        if name in WITHOUT_LABELS:
            return UNLABELLED
        if name == "absent":
            return _equalities(node.args[0])
        if name in LABEL_MAKERS:
            return union(arguments[0], frozenset({node.args[1].val}))
        if name.startswith("histogram_quantile"):
            self._require(["le"], arguments[1], "for histogram_quantile")
            return None if arguments[1] is None else arguments[1] - {"le"}
        return union(*arguments)

    def _not_a_gauge(self, function: str, argument: object) -> None:
        """Note a rate over something that may fall."""
        if isinstance(argument, promql.MatrixSelector):
            name = argument.vector_selector.name or ""
            series = self._catalogue.get(name)
            if series and series.type == "gauge":
                self._found.append(
                    f"{function}() of {name}, which is a gauge: use deriv(), delta() or changes()"
                )

    def _binary(self, node: promql.BinaryExpr, *, raw: bool) -> Labels:
        operator = str(node.op)
        left = self._visit(node.lhs, raw=raw)
        right = self._visit(node.rhs, raw=raw or operator == "unless")
        modifier = node.modifier
        if modifier and modifier.matching:
            listed = modifier.matching.labels
            if modifier.matching.type == promql.LabelModifierType.Include:
                for side in (left, right):
                    self._require(listed, side, f"to match on in {_shortened(node.prettify())}")
        if operator in ("and", "unless"):
            return left
        if operator == "or" or not modifier:
            return union(left, right)
        if modifier.card == promql.VectorMatchCardinality.ManyToOne:
            return union(left, frozenset(modifier.group_labels or ()))
        if modifier.card == promql.VectorMatchCardinality.OneToMany:
            return union(right, frozenset(modifier.group_labels or ()))
        return _one_to_one(modifier, left, right)

    def _require(self, wanted: Iterable[str], labels: Labels, why: str) -> None:
        """Note the wanted labels that are not there."""
        if labels is None:
            return
        for label in wanted:
            if label not in labels:
                self._found.append(f"no label {label} {why}{did_you_mean(label, labels)}{known(labels)}")


def union(*many: Labels) -> Labels:
    """Return all labels of several results, unknown where one of them is."""
    result: frozenset[str] = frozenset()
    for labels in many:
        if labels is None:
            return None
        result |= labels
    return result


def known(labels: frozenset[str]) -> str:
    """Return the words that list what there is."""
    return f" (there are: {', '.join(sorted(labels))})" if labels else " (the result has no labels)"


def _one_to_one(modifier: promql.BinModifier, left: Labels, right: Labels) -> Labels:
    """Return the labels of arithmetic or a comparison where each series meets one other."""
    if modifier.matching is None:
        return union(left, right)
    listed = frozenset(modifier.matching.labels)
    if modifier.matching.type == promql.LabelModifierType.Include:
        return listed
    both = union(left, right)
    return None if both is None else both - listed


def _equalities(node: object) -> Labels:
    """Return the labels that ``absent`` gives its result: those of the equality matchers."""
    if not isinstance(node, promql.VectorSelector):
        return UNLABELLED
    return frozenset(matcher.name for matcher in node.matchers.matchers if matcher.op == promql.MatchOp.Equal)


def _shortened(text: str, limit: int = 160) -> str:
    """Return a text on one line, cut where it gets long."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[:limit]}..."
