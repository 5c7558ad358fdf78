"""Walk a parsed PromQL expression: every part of it, its selectors, its windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import promql_parser as promql

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPARISONS: Final = frozenset({"==", "!=", ">", "<", ">=", "<="})
CHILDREN: Final = ("lhs", "rhs", "expr", "vector_selector")
"""Where the nodes of the parser keep one further node."""


def nodes(tree: Any) -> Iterator[Any]:  # noqa: ANN401  # the parser's classes have no common type
    """Yield every node of an expression, from the outside to the inside."""
    yield tree
    for name in CHILDREN:
        if (child := getattr(tree, name, None)) is not None:
            yield from nodes(child)
    for argument in getattr(tree, "args", ()):
        yield from nodes(argument)


def names(tree: Any) -> Iterator[str]:  # noqa: ANN401  # as above
    """Yield the metric name of every selector that has one."""
    for node in nodes(tree):
        if isinstance(node, promql.VectorSelector) and node.name:
            yield node.name


def calls(tree: Any, functions: frozenset[str]) -> Iterator[promql.Call]:  # noqa: ANN401  # as above
    """Yield every call of one of these functions."""
    for node in nodes(tree):
        if isinstance(node, promql.Call) and node.func.name in functions:
            yield node


def bare(tree: Any) -> Any:  # noqa: ANN401  # as above
    """Return a node without the parentheses around it."""
    while isinstance(tree, promql.ParenExpr):
        tree = tree.expr
    return tree


def is_scalar(tree: Any) -> bool:  # noqa: ANN401  # as above
    """Return whether a node is a number, or is worked out from numbers alone."""
    tree = bare(tree)
    if isinstance(tree, promql.BinaryExpr):
        return is_scalar(tree.lhs) and is_scalar(tree.rhs)
    if isinstance(tree, promql.UnaryExpr):
        return is_scalar(tree.expr)
    return isinstance(tree, promql.NumberLiteral) or (
        isinstance(tree, promql.Call) and tree.func.name in ("scalar", "time", "pi")
    )
