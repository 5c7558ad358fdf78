"""Reads a YAML document by tables, and reports every mistake with its line.

A table is a frozen dataclass: each field names a key and, through `key`, the reader that turns the key's node
into a value. A reader that cannot, notes a `Mistake` and returns None; reading goes on, so that one run finds
them all. Scalars are taken as they are written, never as YAML guesses them (``yes`` is "yes" where text
is wanted), after ``${NAME}`` and ``${NAME:-default}`` became environment variables (``$${`` stays ``${``).
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

Reader = Callable[["Value"], Any]
Rule = Callable[[Any], str | None]

_VARIABLE: Final = re.compile(r"(?P<escaped>\$\$\{)|\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")
_NULLS: Final = ("", "~", "null", "Null", "NULL")
_BOOLEANS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_KINDS: Final = {
    yaml.MappingNode: "a mapping (key: value)",
    yaml.SequenceNode: "a list (lines that begin with -)",
    yaml.ScalarNode: "one value",
}
_LONGEST_QUOTE: Final = 60


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing that is wrong.

    Attributes:
        line: Line in the document, from 1; 0 where no line is to blame.
        where: Path of the value, such as ``queries[0].metrics[1].name``; empty for the whole document.
        message: What is wrong, with the offending value, and what to do.
    """

    line: int
    where: str
    message: str

    def describe(self, source: str) -> str:
        """Give one line for a terminal, ``source`` being the document's name."""
        place = f"{source}:{self.line}" if self.line else source
        return f"{place}: {self.where} {self.message}" if self.where else f"{place}: {self.message}"


@dataclass(slots=True)
class Document:
    """What one reading of a document gathers.

    Attributes:
        environment: Variables for ``${NAME}``.
        mistakes: Every mistake so far, in the order found.
    """

    environment: Mapping[str, str]
    mistakes: list[Mistake] = field(default_factory=list)
    _declared: dict[str, dict[str, int]] = field(default_factory=dict)
    _references: list[tuple[str, str, Value]] = field(default_factory=list)

    def read(self, text: str, reader: Reader) -> Any:  # noqa: ANN401 - what the reader gives
        """Read ``text`` with ``reader``; the answer only counts where ``mistakes`` stayed empty."""
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self.mistakes.append(Mistake(mark.line + 1 if mark else 0, "", f"is not YAML: {error.problem}"))
            return None
        except yaml.YAMLError as error:
            self.mistakes.append(Mistake(0, "", f"is not YAML: {error}"))
            return None
        value = reader(Value(self, node or yaml.MappingNode("tag:yaml.org,2002:map", []), ""))
        self._resolve()
        return value

    def declare(self, kind: str, name: str, value: Value) -> None:
        """Note that ``value`` introduces ``name``; a second one is a mistake."""
        names = self._declared.setdefault(kind, {})
        if name in names:
            value.refuse(f"is the same {kind} as in line {names[name]}; give each its own")
        names.setdefault(name, value.line)

    def refer(self, kind: str, name: str, value: Value) -> None:
        """Note that ``value`` means a ``name`` declared anywhere in the document."""
        self._references.append((kind, name, value))

    def _resolve(self) -> None:
        for kind, name, value in self._references:
            known = self._declared.get(kind, {})
            if name not in known:
                value.refuse(f"names no {kind}{suggestion(name, known)}")


@dataclass(frozen=True, slots=True)
class Value:
    """A node, where it stands, and the reading that it belongs to."""

    document: Document
    node: yaml.Node
    where: str

    @property
    def line(self) -> int:
        """Line of the node, from 1 (0 for an empty document)."""
        return self.node.start_mark.line + 1 if self.node.start_mark else 0

    def refuse(self, message: str, *, quote: bool = True) -> None:
        """Note a mistake; ``quote`` puts a scalar's own text before the message."""
        if quote and isinstance(self.node, yaml.ScalarNode):
            text = self._expanded(note=False)
            message = f"{shortened(self.node.value if text is None else text)!r} {message}"
        self.document.mistakes.append(Mistake(self.line, self.where, message))

    def is_null(self) -> bool:
        """Tell whether nothing stands here, also after the environment was filled in."""
        node = self.node
        return isinstance(node, yaml.ScalarNode) and not node.style and self._expanded(note=False) in _NULLS

    def text(self) -> str | None:
        """Give the scalar's text with the environment filled in; None, with a mistake, for anything else."""
        if isinstance(self.node, yaml.ScalarNode):
            return self._expanded(note=True)
        self.refuse(f"is {_KINDS[type(self.node)]}; one value belongs here")
        return None

    def _expanded(self, *, note: bool) -> str | None:
        missing: list[str] = []

        def fill(match: re.Match[str]) -> str:
            if match["escaped"]:
                return "${"
            given = self.document.environment.get(match["name"]) or match["default"]
            if given is None:
                missing.append(match["name"])
                return ""
            return given

        text = _VARIABLE.sub(fill, self.node.value)
        if missing and note:
            for name in missing:
                self.refuse(f"needs the environment variable {name}; set it, or write ${{{name}:-a default}}")
        return None if missing else text


def key(read: Reader, default: object = dataclasses.MISSING) -> Any:  # noqa: ANN401 - as dataclasses.field does
    """Declare a dataclass field as a key of the document; without ``default`` the key must be there."""
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata={"read": read})
    return dataclasses.field(default=default, metadata={"read": read})


@dataclass(frozen=True, slots=True)
class Table:
    """Reads a mapping into the dataclass ``build``, and then asks the ``rules`` that join several keys.

    Attributes:
        build: Dataclass whose fields were made with `key`.
        rules: Each gets the built value, and says what is wrong with it or None.
        short: Key that one value instead of a mapping stands for, if any.
        declares: Kind of thing that this mapping introduces, once in the document.
        identity: Keys that tell one such thing from another.
    """

    build: type[Any]
    rules: tuple[Rule, ...] = ()
    short: str = ""
    declares: str = ""
    identity: tuple[str, ...] = ()

    def __call__(self, value: Value) -> Any:  # noqa: ANN401 - an instance of build
        """Read ``value``; None where anything below it is wrong."""
        if not isinstance(value.node, yaml.MappingNode) and not self._is_short(value):
            value.refuse(f"is {_KINDS[type(value.node)]}; a mapping (key: value) belongs here", quote=False)
            return None
        before = len(value.document.mistakes)
        given = self._given(value)
        arguments = {name: self._read(name, given, value) for name in self.keys()}
        if len(value.document.mistakes) > before:
            return None
        built = self.build(**{name: read for name, read in arguments.items() if read is not _ABSENT})
        for complaint in filter(None, (rule(built) for rule in self.rules)):
            value.refuse(complaint)
        if self.declares:
            name = "/".join(str(getattr(built, part)) for part in self.identity)
            value.document.declare(self.declares, name, value)
        return built

    def _is_short(self, value: Value) -> bool:
        return bool(self.short) and isinstance(value.node, yaml.ScalarNode)

    def keys(self) -> dict[str, dataclasses.Field[Any]]:
        """Give the fields by key, in their order."""
        return {entry.name: entry for entry in dataclasses.fields(self.build)}

    def _given(self, value: Value) -> dict[str, Value]:
        if self._is_short(value):
            return {self.short: value}
        known = self.keys()
        given: dict[str, Value] = {}
        for key_node, node in value.node.value:
            name = str(key_node.value)
            here = Value(value.document, key_node, value.where)
            if name not in known:
                here.refuse(f"is no setting{suggestion(name, known)}")
            elif name in given:
                here.refuse(f"stands twice, first in line {given[name].line}; keep one")
            else:
                given[name] = Value(value.document, node, f"{value.where}.{name}".lstrip("."))
        return given

    def _read(self, name: str, given: Mapping[str, Value], value: Value) -> Any:  # noqa: ANN401 - what the reader gives
        entry = self.keys()[name]
        optional = entry.default is not dataclasses.MISSING
        if name in given and not (given[name].is_null() and optional):
            return entry.metadata["read"](given[name])
        if not optional:
            value.refuse(f"lacks {name!r}; add it", quote=False)
        return _ABSENT


@dataclass(frozen=True, slots=True)
class ListOf:
    """Reads a list into a tuple, each item with ``read``; wrong items are left out (and noted)."""

    read: Reader
    at_least: int = 0

    def __call__(self, value: Value) -> tuple[Any, ...]:
        """Read ``value``."""
        if not isinstance(value.node, yaml.SequenceNode):
            value.refuse(
                f"is {_KINDS[type(value.node)]}; a list (lines that begin with -) belongs here", quote=False
            )
            return ()
        if len(value.node.value) < self.at_least:
            value.refuse(f"is too short; at least {self.at_least} belong here")
        items = (
            Value(value.document, node, f"{value.where}[{i}]") for i, node in enumerate(value.node.value)
        )
        return tuple(read for read in map(self.read, items) if read is not None)


@dataclass(frozen=True, slots=True)
class Text:
    """Reads text.

    Attributes:
        pattern: The whole text must match it.
        expected: What a text that matches looks like, for the message.
        declares: Kind of name that this text introduces, once in the document.
        refers: Kind of name that this text means.
        rules: Each gets the text, and says what is wrong with it or None.
        secret: The text may hold a password: no message quotes it.
    """

    pattern: str = r"(?s).*\S.*"
    expected: str = "some text"
    declares: str = ""
    refers: str = ""
    rules: tuple[Rule, ...] = ()
    secret: bool = False

    def __call__(self, value: Value) -> str | None:
        """Read ``value``."""
        text = value.text()
        if text is None:
            return None
        if not re.fullmatch(self.pattern, text):
            value.refuse(f"does not fit; {self.expected} belongs here", quote=not self.secret)
            return None
        for complaint in filter(None, (rule(text) for rule in self.rules)):
            value.refuse(complaint, quote=not self.secret)
        if self.declares:
            value.document.declare(self.declares, text, value)
        if self.refers:
            value.document.refer(self.refers, text, value)
        return text


@dataclass(frozen=True, slots=True)
class Choice:
    """Reads one of ``options``."""

    options: tuple[str, ...]

    def __call__(self, value: Value) -> str | None:
        """Read ``value``."""
        text = value.text()
        if text is None or text in self.options:
            return text
        value.refuse(f"is none of: {', '.join(option or '(nothing)' for option in self.options)}")
        return None


@dataclass(frozen=True, slots=True)
class Number:
    """Reads a number between ``least`` and ``most``; ``whole`` makes it an int."""

    least: float
    most: float
    whole: bool = False
    unit: str = ""

    def __call__(self, value: Value) -> float | int | None:
        """Read ``value``."""
        text = value.text()
        if text is None:
            return None
        wanted = f"a {'whole ' if self.whole else ''}number{self.unit and ' of ' + self.unit}"
        try:
            number = int(text) if self.whole else float(text)
        except ValueError:
            value.refuse(f"is not {wanted}; example {self.least:g}")
            return None
        if not self.least <= number <= self.most or math.isnan(number):
            value.refuse(f"is out of range; {wanted} from {self.least:g} to {self.most:g} belongs here")
            return None
        return number


def boolean(value: Value) -> bool | None:
    """Read true or false."""
    text = value.text()
    if text is None:
        return None
    answer = _BOOLEANS.get(text.lower())
    if answer is None:
        value.refuse("is neither true nor false")
    return answer


def suggestion(name: str, known: Iterable[str]) -> str:
    """Give the end of a message about an unknown name: the nearest known one, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(names) or 'none'}"


def shortened(text: str) -> str:
    """Cut ``text`` to what fits in a message."""
    return text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 3] + "..."


_ABSENT: Final = object()
