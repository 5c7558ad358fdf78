"""Whether two calls were given the same: a number made of arguments, whatever they are.

Arguments of a tool may be huge, unhashable, or change later. So they are not kept: a bounded part of what
they look like is hashed. Two calls with the same number looked the same; objects that do not show what they
hold (connections, sessions) look like any other of their class.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sized

__all__ = ["fingerprint"]

_VALUES: Final = 500
_ENTRIES: Final = 100
_DEPTH: Final = 6
_WHOLE: Final = 2_000
_BITS: Final = 8_000
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")


def fingerprint(*values: object) -> int:
    """Return a number that is the same for values that look the same, in this process.

    Dictionaries and sets look the same in any order. Of long texts, deep nesting and large collections only a
    part is looked at.

    Raises:
        Exception: What the ``repr`` of a value raised.
    """
    return hash(_Look().at(values, _DEPTH))


class _Look:
    """Looks at a bounded number of values."""

    def __init__(self) -> None:
        self._left = _VALUES

    def at(self, value: object, depth: int) -> str:
        """Return what a value looks like, its contents included down to a depth."""
        self._left -= 1
        if self._left < 0:
            return ""
        kind = type(value).__qualname__
        if not depth:
            return kind
        look = next((look for known, look in _LOOKS if isinstance(value, known)), _Look.at_object)
        return f"{kind}({look(self, value, depth - 1)})"

    def at_plain(self, value: object, _: int) -> str:
        return repr(value)

    def at_integer(self, value: int, _: int) -> str:
        size = value.bit_length()
        return f"{value:x}" if size <= _BITS else f"{size} bits, {hash(value)}"

    def at_text(self, value: str | bytes | bytearray, _: int) -> str:
        size, part = len(value), _WHOLE // 4
        if size <= _WHOLE:
            return repr(value)
        return f"{size}, {value[:part]!r}, {value[:: size // part]!r}, {value[-part:]!r}"

    def at_sequence(self, values: Any, depth: int) -> str:  # noqa: ANN401  # list or tuple
        return _joined(values, [self.at(value, depth) for value in islice(values, _ENTRIES)])

    def at_set(self, values: Any, depth: int) -> str:  # noqa: ANN401  # set or frozenset
        return _joined(values, sorted(self.at(value, depth) for value in islice(values, _ENTRIES)))

    def at_dictionary(self, values: dict[Any, Any], depth: int) -> str:
        entries = islice(values.items(), _ENTRIES)
        return _joined(
            values, sorted(f"{self.at(key, depth)}: {self.at(value, depth)}" for key, value in entries)
        )

    def at_object(self, value: object, depth: int) -> str:
        if type(value).__repr__ is object.__repr__:
            return ""  # it does not say what it holds
        held = getattr(value, "__dict__", None)
        if isinstance(held, dict) and held:  # dataclasses and models: their repr may be as large as they are
            return self.at_dictionary(held, depth)
        return _ADDRESS.sub("", repr(value)[:_WHOLE])


def _joined(values: Sized, looks: list[str]) -> str:
    return f"{len(values)}: {', '.join(looks)}"


_LOOKS: Final[tuple[tuple[type | tuple[type, ...], Callable[[_Look, Any, int], str]], ...]] = (
    ((bool, float, complex, type(None)), _Look.at_plain),
    (int, _Look.at_integer),
    ((str, bytes, bytearray), _Look.at_text),
    ((list, tuple), _Look.at_sequence),
    (dict, _Look.at_dictionary),
    ((set, frozenset), _Look.at_set),
)
