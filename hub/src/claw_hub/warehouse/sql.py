"""Just enough of ClickHouse's lexer to tell what a statement is before it runs; nothing here understands SQL.

Offsets and texts are those of the given string, so that a statement can be cut where its data begin.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Token", "call_names", "engines", "parameters", "split", "tokens", "unquoted"]

_TOKEN: Final = re.compile(
    r"""
      (?P<space> \s+ | --[^\n]* | \#[!\ ][^\n]* | /\*.*?\*/ )
    | (?P<string> '(?:[^'\\]|\\.|'')*' | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    | (?P<name> `(?:[^`\\]|\\.|``)*` | "(?:[^"\\]|\\.|"")*" )
    | (?P<number> \d[\w.]* )
    | (?P<word> [^\W\d]\w* )
    | (?P<symbol> . )
    """,
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """A piece of a statement.

    Attributes:
        kind: ``string``, ``name`` (in backticks or double quotes), ``number``, ``word`` or ``symbol``.
        text: As it stands.
        upper: The same in capital letters where it is a word; else empty, so a quoted name is no keyword.
        start: Offset of its first character.
        end: Offset behind its last one.
    """

    kind: str
    text: str
    upper: str
    start: int
    end: int


def tokens(text: str) -> Iterator[Token]:
    """Yields the tokens of a text, without spaces and comments; read as far as they are asked for."""
    for match in _TOKEN.finditer(text):
        kind = "string" if match.lastgroup == "tag" else match.lastgroup or ""
        if kind != "space":
            word = match.group()
            yield Token(kind, word, word.upper() if kind == "word" else "", *match.span())


def split(text: str) -> list[str]:
    """Returns the statements of a text without the semicolons between them; empty ones are left out."""
    cuts = [-1, *(one.start for one in tokens(text) if one.text == ";" and one.kind == "symbol"), len(text)]
    parts = [text[before + 1 : behind] for before, behind in pairwise(cuts)]
    return [part.strip() for part in parts if next(tokens(part), None)]


def engines(read: Sequence[Token]) -> list[str]:
    """Returns the names behind ``ENGINE``, with or without an equals sign."""
    found = []
    for index, token in enumerate(read):
        if token.upper == "ENGINE":
            rest = [one.text for one in read[index + 1 : index + 3]]
            found += [text for text in rest if text != "="][:1]
    return found


def call_names(read: Sequence[Token]) -> set[str]:
    """Returns what is written like the call of a function, in small letters."""
    pairs = pairwise(read)
    return {
        unquoted(one).lower() for one, behind in pairs if behind.text == "(" and one.kind in ("word", "name")
    }


def parameters(read: Iterable[Token]) -> dict[str, str]:
    """Returns the bound parameters, ``{name:Type}``: name -> type without spaces."""
    found: dict[str, str] = {}
    inside: list[str] | None = None
    for token in read:
        if token.kind == "symbol" and token.text == "{":
            inside = []
        elif token.kind == "symbol" and token.text == "}" and inside is not None:
            if inside[1:2] == [":"]:
                found[inside[0]] = "".join(inside[2:])
            inside = None
        elif inside is not None:
            inside.append(token.text)
    return found


def unquoted(token: Token) -> str:
    """Returns a name as the engine knows it."""
    return token.text[1:-1] if token.kind == "name" else token.text
