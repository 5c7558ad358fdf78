"""Keeps tenants apart: which tables hold rows of tenants, and whether a statement reads only those of one.

The check knows no SQL beyond clauses and brackets, and is stricter than SQL is: a SELECT that names a table
of tenants has to say ``tenant_id = {tenant_id:UInt32}`` itself, at its own level, joined to the rest by AND.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from claw_hub.warehouse.sql import Token, call_names, parameters, split, tokens, unquoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["TENANT", "isolation_mistakes", "tenant_tables"]

TENANT: Final = "tenant_id"
_TYPE: Final = "UInt32"
_BOUND: Final = re.compile(r"(\w+\.)?tenant_id=\{tenant_id:UInt32\}")
_CLAUSES: Final = frozenset(
    {
        "FROM",
        "PREWHERE",
        "WHERE",
        "GROUP",
        "HAVING",
        "WINDOW",
        "QUALIFY",
        "ORDER",
        "LIMIT",
        "SETTINGS",
        "FORMAT",
    }
)
_SETS: Final = frozenset({"UNION", "INTERSECT", "EXCEPT"})
# Table functions that read tables of which the statement does not say the name, or not as a name.
_BLIND: Final = frozenset({"dictionary", "joinget", "joingetornull", "loop", "merge", "mergetreeindex"})


@dataclass(slots=True)
class _Select:
    """One SELECT without those in its brackets: the tokens of each of its clauses."""

    clauses: dict[str, list[Token]] = field(default_factory=lambda: {"": []})
    _last: str = ""

    def add(self, token: Token) -> None:
        if token.upper in _CLAUSES:
            self._last = token.upper
            self.clauses.setdefault(self._last, [])
        else:
            self.clauses[self._last].append(token)


def tenant_tables(migrations: Iterable[str]) -> frozenset[str]:
    """Returns the tables that migrations create with a column ``tenant_id``."""
    found = set()
    for statement in (one for text in migrations for one in split(text)):
        read = list(tokens(statement))
        words = [token.upper for token in read]
        if words[:1] == ["CREATE"] and "TABLE" in words and any(unquoted(one) == TENANT for one in read):
            bracket = next((index for index, one in enumerate(read) if one.text == "("), len(read))
            found.add(unquoted(read[bracket - 1]))
    return frozenset(found)


def isolation_mistakes(sql: str, tables: frozenset[str]) -> list[str]:
    """Says why a statement could show a tenant what is another's.

    Args:
        sql: One statement.
        tables: Those that hold rows of tenants.
    """
    read = list(tokens(sql))
    mistakes = [] if read and read[0].upper in ("SELECT", "WITH") else ["is no SELECT"]
    if parameters(read).get(TENANT) != _TYPE:
        mistakes.append(f"does not bind {{{TENANT}:{_TYPE}}}")
    if any(one.text == ";" for one in read[:-1]):
        mistakes.append("is more than one statement")
    blind = sorted(call_names(read) & _BLIND)
    mistakes += [f"calls {name}(), which reads tables that it does not name" for name in blind]
    if any(one.upper == "SYSTEM" and behind.text == "." for one, behind in pairwise(read)):
        mistakes.append("reads tables of the system")
    for select in _selects(iter(read)):
        mistakes += _select_mistakes(select, tables)
    return mistakes


def _select_mistakes(select: _Select, tables: frozenset[str]) -> Iterator[str]:
    named = [unquoted(one) for one in select.clauses.get("FROM", []) if unquoted(one) in tables]
    for clause, read in select.clauses.items():
        for index, one in enumerate(read if clause != "FROM" else ()):
            # Before a dot it is the name of a column.
            if unquoted(one) in tables and [behind.text for behind in read[index + 1 : index + 2]] != ["."]:
                yield f"names the table {unquoted(one)} outside of FROM"
    bound = {text for name in ("PREWHERE", "WHERE") for text in _conjuncts(select.clauses.get(name, []))}
    if len({text for text in bound if _BOUND.fullmatch(text)}) < len(named):
        yield f"reads {', '.join(named)} without tenant_id = {{tenant_id:UInt32}} for each of them"


def _conjuncts(read: list[Token]) -> list[str]:
    """Returns what a condition joins by AND; nothing where it also has an OR, or a choice."""
    if any(one.upper == "OR" or one.text == "?" for one in read):
        return []
    parts = [""]
    for token in read:
        if token.upper == "AND":
            parts.append("")
        elif token.text != ";":
            parts[-1] += unquoted(token)
    return parts


def _selects(read: Iterator[Token]) -> list[_Select]:
    """Returns the SELECTs from here to the closing bracket, and those within."""
    found = [_Select()]
    inner: list[_Select] = []
    for token in read:
        if token.text == ")" and token.kind == "symbol":
            break
        if token.text == "(" and token.kind == "symbol":
            inner += _selects(read)
            # What was in the brackets is one thing here.
            found[-1].add(token)
        elif token.upper in _SETS:
            found.append(_Select())
        else:
            found[-1].add(token)
    return found + inner
