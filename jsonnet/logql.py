"""Judge LogQL without Loki: is it well-formed, and are there the labels that it names?

A recursive descent over the language's grammar as Loki's manual describes it. What a stage extracts from a
line is known from the query itself; what a line carries beside it is what the shipper sets
(``STREAM_LABELS``, ``METADATA``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catalogue import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STREAM_LABELS: Final = frozenset({"container", "file", "host", "level", "service", "stream"})
"""Labels of streams, the only ones that a selector in braces may name (promtail/promtail-config.yml)."""
METADATA: Final = frozenset({"conversation_id", "method", "request_id", "session_id", "span_id", "trace_id"})
"""What is kept beside a line: filters may name it, selectors may not."""

COUNTED: Final = frozenset({"bytes_over_time", "bytes_rate", "count_over_time", "rate", "absent_over_time"})
"""Range aggregations of lines."""
UNWRAPPED: Final = frozenset(
    {
        "avg_over_time",
        "first_over_time",
        "last_over_time",
        "max_over_time",
        "min_over_time",
        "quantile_over_time",
        "rate",
        "rate_counter",
        "stddev_over_time",
        "stdvar_over_time",
        "sum_over_time",
    }
)
"""Range aggregations of a number in each line."""
AGGREGATIONS: Final = frozenset(
    {"avg", "bottomk", "count", "max", "min", "sort", "sort_desc", "stddev", "stdvar", "sum", "topk"}
)
WITH_NUMBER: Final = frozenset({"bottomk", "quantile_over_time", "topk"})
OPERATORS: Final = ("==", "!=", ">=", "<=", "or", "and", "unless", "+", "-", "*", "/", "%", "^", ">", "<")

TOKEN: Final = re.compile(
    r"""
    (?P<space>\s+|\#[^\n]*)
    | (?P<text>"(?:\\.|[^"\\])*"|`[^`]*`)
    | (?P<range>\[(?:\d+(?:ms|[smhdwy]))+\])
    | (?P<duration>\d+(?:\.\d+)?(?:ns|us|ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*)
    | (?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)
    | (?P<name>[A-Za-z_]\w*)
    | (?P<sign>\|=|\|~|\|>|!=|!~|!>|=~|==|>=|<=|[-+*/%^<>=|(){},])
    """,
    re.VERBOSE,
)
ERRORS: Final = frozenset({"__error__", "__error_details__"})
"""Labels of a line that a parser could not read."""
CAPTURE: Final = re.compile(r"<([A-Za-z]\w*)>")
NAMED_GROUP: Final = re.compile(r"\(\?P?<(\w+)>")
FIELD: Final = re.compile(r"(?<![\w\"'`.])\.([A-Za-z_]\w*)")


class LogqlError(ValueError):
    """A query is malformed; the message says where."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a query; ``kind`` is a group of ``TOKEN``, or "end"."""

    kind: str
    text: str


def judge(query: str) -> tuple[frozenset[str] | None, list[str]]:
    """Return the labels of a query's result (nothing where they are not known), and what is wrong with it."""
    parser = _Parser(query)
    try:
        labels = parser.whole()
    except LogqlError as error:
        return None, [*parser.problems, f"LogQL: {error}"]
    return labels, parser.problems


def _tokens(query: str) -> list[Token]:
    found, at = [], 0
    while at < len(query):
        match = TOKEN.match(query, at)
        if match is None:
            raise LogqlError(f"cannot read {query[at : at + 20]!r}")
        if match.lastgroup != "space":
            found.append(Token(str(match.lastgroup), match[0]))
        at = match.end()
    return [*found, Token("end", "")]


class _Parser:
    """Reads one query; what is wrong but can be read past is gathered in ``problems``."""

    def __init__(self, query: str) -> None:
        self.problems: list[str] = []
        self._query = query
        self._tokens: list[Token] = []
        self._at = 0

    # ---- Tokens ------------------------------------------------------------

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at += 1
        return token

    def _accept(self, *texts: str) -> bool:
        if self._next.kind != "text" and self._next.text in texts:
            self._at += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise LogqlError(f"{text!r} is missing before {self._next.text or 'the end'!r}")

    def _kind(self, kind: str, what: str) -> str:
        if self._next.kind != kind:
            raise LogqlError(f"{what} is missing before {self._next.text or 'the end'!r}")
        return self._take().text

    def _text(self, what: str) -> str:
        return self._kind("text", what)[1:-1]

    def _names(self) -> frozenset[str]:
        """Read ``(a, b)``."""
        self._expect("(")
        names = set()
        while not self._accept(")"):
            names.add(self._kind("name", "a label"))
            self._accept(",")
        return frozenset(names)

    # ---- Expressions ------------------------------------------------------------

    def whole(self) -> frozenset[str] | None:
        """Read the query to its end."""
        self._tokens = _tokens(self._query)
        labels = self._lines() if self._next.text == "{" else self._operation()
        if self._next.kind != "end":
            raise LogqlError(f"unexpected {self._next.text!r}")
        return labels

    def _operation(self) -> frozenset[str] | None:
        left = self._operand()
        while self._accept(*OPERATORS):
            self._accept("bool")
            if self._accept("on", "ignoring"):
                self._names()
            if self._accept("group_left", "group_right") and self._next.text == "(":
                self._names()
            right = self._operand()
            left = right if left is None else left
        return left

    def _operand(self) -> frozenset[str] | None:
        if self._accept("-"):
            return self._operand()
        if self._accept("("):
            labels = self._operation()
            self._expect(")")
            return labels
        if self._next.kind == "number":
            self._take()
            return None
        name = self._kind("name", "an expression")
        if name == "vector":
            self._expect("(")
            self._kind("number", "a number")
            self._expect(")")
            return frozenset()
        if name in COUNTED | UNWRAPPED:
            return self._over_time(name)
        if name in AGGREGATIONS:
            return self._aggregation(name)
        known = COUNTED | UNWRAPPED | AGGREGATIONS
        raise LogqlError(f"no function {name}{did_you_mean(name, known)}")

    def _aggregation(self, name: str) -> frozenset[str] | None:
        grouping = self._grouping()
        self._expect("(")
        if name in WITH_NUMBER:
            self._kind("number", "a number")
            self._expect(",")
        inner = self._operation()
        self._expect(")")
        by, labels = grouping or self._grouping() or ("", frozenset())
        if inner is not None:
            self._known(labels, inner)
        if name in {"topk", "bottomk", "sort", "sort_desc"}:
            return inner
        if by == "without":
            return None if inner is None else inner - labels
        return labels

    def _grouping(self) -> tuple[str, frozenset[str]] | None:
        for word in ("by", "without"):
            if self._accept(word):
                return word, self._names()
        return None

    def _over_time(self, name: str) -> frozenset[str] | None:
        self._expect("(")
        if name in WITH_NUMBER:
            self._kind("number", "a number")
            self._expect(",")
        labels = self._lines()
        unwrapped = self._unwraps
        self._kind("range", "a range such as [5m]")
        if self._accept("offset"):
            self._kind("duration", "a duration")
        self._expect(")")
        if unwrapped and name not in UNWRAPPED:
            self.problems.append(f"LogQL: {name} counts lines; unwrap has no meaning there")
        if not unwrapped and name not in COUNTED:
            self.problems.append(f"LogQL: {name} needs a number from each line: | unwrap")
        grouping = self._grouping() if unwrapped else None
        return grouping[1] if grouping and grouping[0] == "by" else labels

    # ---- Lines ------------------------------------------------------------

    def _lines(self) -> frozenset[str]:
        """Read a selector and its stages; return the labels of what comes out."""
        self._selector()
        labels, self._unwraps = STREAM_LABELS | METADATA, False
        while True:
            if self._accept("|=", "|~", "!=", "!~", "|>", "!>"):
                self._line_filter(self._tokens[self._at - 1].text)
            elif self._accept("|"):
                labels = self._stage(labels)
            else:
                return labels

    def _selector(self) -> None:
        self._expect("{")
        narrow = False
        while not self._accept("}"):
            label = self._kind("name", "a label")
            if label not in STREAM_LABELS:
                self.problems.append(
                    f"LogQL: no stream has a label {label}{did_you_mean(label, STREAM_LABELS)}"
                )
            operator = self._take().text
            if operator not in {"=", "!=", "=~", "!~"}:
                raise LogqlError(f"{operator!r} compares nothing in a selector")
            value = self._text("a value in quotes")
            if operator.endswith("~"):
                self._compiles(value)
            narrow |= (
                operator in {"=", "=~"} and not (operator == "=~" and re.fullmatch(value, "")) and value != ""
            )
            self._accept(",")
        if not narrow:
            self.problems.append("LogQL: Loki refuses a selector whose matchers all match the empty value")

    def _line_filter(self, operator: str) -> None:
        value = self._text("a text to look for")
        if operator.endswith("~"):
            self._compiles(value)
        while self._accept("or"):
            self._text("a text to look for")

    def _stage(self, labels: frozenset[str]) -> frozenset[str]:
        """Read what follows a ``|``; return the labels of what comes out."""
        stages: Mapping[str, Callable[[frozenset[str]], frozenset[str]]] = {
            "decolorize": lambda labels: labels,
            "drop": lambda labels: labels - self._listed(),
            "json": lambda labels: labels | self._extracted() | ERRORS,
            "keep": lambda labels: labels & self._listed(),
            "label_format": self._label_format,
            "line_format": self._line_format,
            "logfmt": lambda labels: labels | self._extracted() | ERRORS,
            "pattern": lambda labels: labels | frozenset(CAPTURE.findall(self._text("a pattern"))),
            "regexp": self._regexp,
            "unpack": lambda labels: labels | ERRORS,
            "unwrap": self._unwrap,
        }
        if self._next.text in stages:
            return stages[self._take().text](labels)
        self._label_filter(labels)
        return labels

    def _regexp(self, labels: frozenset[str]) -> frozenset[str]:
        text = self._text("a regular expression")
        self._compiles(text)
        return labels | frozenset(NAMED_GROUP.findall(text)) | ERRORS

    def _line_format(self, labels: frozenset[str]) -> frozenset[str]:
        self._template(self._text("a template"), labels)
        return labels

    def _extracted(self) -> frozenset[str]:
        """Read the ``label="expression", ...`` of a parser; without them it extracts everything: refused."""
        found = set()
        while self._next.kind == "name" and self._tokens[self._at + 1].text == "=":
            found.add(self._take().text)
            self._expect("=")
            self._text("an expression")
            if not self._accept(","):
                break
        if not found:
            self.problems.append(
                "LogQL: name what is extracted: a field with many values makes as many series"
            )
        return frozenset(found)

    def _label_format(self, labels: frozenset[str]) -> frozenset[str]:
        while True:
            made = self._kind("name", "a label")
            self._expect("=")
            if self._next.kind == "text":
                self._template(self._text("a template"), labels)
            else:
                self._known({self._kind("name", "a label")}, labels)
            labels |= {made}
            if not self._accept(","):
                return labels

    def _listed(self) -> frozenset[str]:
        """Read ``a, b``."""
        named = {self._kind("name", "a label")}
        while self._accept(","):
            named.add(self._kind("name", "a label"))
        return frozenset(named)

    def _unwrap(self, labels: frozenset[str]) -> frozenset[str]:
        label = self._kind("name", "a label")
        if self._accept("("):
            if label not in {"bytes", "duration", "duration_seconds"}:
                self.problems.append(f"LogQL: unwrap knows no {label}()")
            label = self._kind("name", "a label")
            self._expect(")")
        self._known({label}, labels)
        self._unwraps = True
        return labels | ERRORS

    def _label_filter(self, labels: frozenset[str]) -> None:
        while True:
            if self._accept("("):
                self._label_filter(labels)
                self._expect(")")
            else:
                self._comparison(labels)
            if not self._accept("and", "or", ","):
                return

    def _comparison(self, labels: frozenset[str]) -> None:
        label = self._kind("name", "a label")
        self._known({label}, labels)
        operator = self._take().text
        if operator not in {"=", "==", "!=", "=~", "!~", ">", "<", ">=", "<="}:
            raise LogqlError(f"{label} is compared with nothing: {operator!r}")
        if self._next.kind in {"number", "duration"}:
            self._take()
            return
        value = self._text(f"a value for {label}")
        if operator.endswith("~"):
            self._compiles(value)

    # ---- What is found on the way ------------------------------------------------------------

    def _known(self, wanted: frozenset[str] | set[str], there: frozenset[str]) -> None:
        for label in sorted(wanted - there):
            self.problems.append(f"LogQL: no label {label}{did_you_mean(label, there)}")

    def _compiles(self, pattern: str) -> None:
        try:
            re.compile(pattern.replace("\\\\", "\\"))
        except re.error as error:
            self.problems.append(f"LogQL: {pattern!r} is no regular expression: {error}")

    def _template(self, template: str, labels: frozenset[str]) -> None:
        if template.count("{{") != template.count("}}"):
            self.problems.append(f"LogQL: the braces of {template!r} do not match")
        for action in re.findall(r"\{\{(.*?)\}\}", template):
            self._known(set(FIELD.findall(re.sub(r'"(?:\\.|[^"\\])*"', '""', action))), labels)
