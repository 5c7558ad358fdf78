"""What a user of the middleware may choose: checked once, asked only outside of the fast path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from claw_exporter.catalog import HTTP_REQUEST_DURATION, HTTP_REQUESTS
from claw_exporter.errors import ArgumentError
from claw_exporter.routes import UNMATCHED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from starlette.types import Scope

    from claw_exporter.store import Store

    Predicate = Callable[[Scope], bool]
    Exclude = Collection[str | Predicate] | Predicate
    Labels = Mapping[str, Callable[[Scope], object]]

__all__ = ["Options"]

UNKNOWN: Final = "unknown"
_NAME: Final = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
# "pid" is what multiprocess mode tells workers apart by.
_TAKEN: Final = frozenset((*HTTP_REQUESTS.labels, *HTTP_REQUEST_DURATION.labels, "le", "pid"))


class Options:
    """The options of one middleware.

    Args:
        store: Where errors of the user's functions are counted.
        exclude: Templates and predicates of what is not measured.
        labels: Extra labels of the request metrics.
        exemplars: Whether durations get the current trace as exemplar.

    Attributes:
        labels: See above.
        exemplars: See above.

    Raises:
        ArgumentError: One of them is wrong.
    """

    def __init__(self, store: Store, *, exclude: Exclude, labels: Labels, exemplars: bool) -> None:
        self._store = store
        self._templates, self._predicates = _excluded(exclude)
        self.labels: Final = dict(labels)
        self.exemplars: Final = exemplars
        for name, value in self.labels.items():
            if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _TAKEN:
                raise ArgumentError(
                    f"labels contains {name!r}: a label's name consists of letters, digits and '_', does not "
                    f"begin with a digit or '__', and is none of {', '.join(sorted(_TAKEN))}"
                )
            if not callable(value):
                raise ArgumentError(f"labels[{name!r}] is {value!r}: pass a function of the request's scope")

    @property
    def per_request(self) -> bool:
        """Whether a request has to be looked at though its route, method and status are known."""
        return bool(self._predicates or self.labels or self.exemplars)

    def excluded(self, scope: Scope, endpoint: str) -> bool:
        """Return whether a request is not to be measured."""
        return endpoint in self._templates or any(
            self._asked(predicate, scope) for predicate in self._predicates
        )

    def _asked(self, predicate: Predicate, scope: Scope) -> bool:
        try:
            return bool(predicate(scope))
        except Exception:  # noqa: BLE001  # the user's code; a request must not notice
            self._store.fault("exclude")
            return False

    def values(self, scope: Scope) -> dict[str, object]:
        """Return the values of the extra labels for a request."""
        return {name: self._value(function, scope) for name, function in self.labels.items()}

    def _value(self, function: Callable[[Scope], object], scope: Scope) -> str:
        try:
            value = function(scope)
            return UNKNOWN if value is None else str(value)
        except Exception:  # noqa: BLE001  # as above
            self._store.fault("labels")
            return UNKNOWN


def _excluded(exclude: Exclude) -> tuple[frozenset[str], tuple[Predicate, ...]]:
    if isinstance(exclude, str):
        raise ArgumentError(f"exclude is the string {exclude!r}: pass a list of templates, [{exclude!r}]")
    entries: list[Any] = [exclude] if callable(exclude) else list(exclude)
    for entry in entries:
        if not callable(entry) and not (
            isinstance(entry, str) and (entry.startswith("/") or entry == UNMATCHED)
        ):
            raise ArgumentError(
                f"exclude contains {entry!r}: pass a route template, which starts with '/' (or is "
                f"{UNMATCHED!r}), or a function of the request's scope"
            )
    return frozenset(entry for entry in entries if isinstance(entry, str)), tuple(filter(callable, entries))
