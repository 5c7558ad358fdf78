"""Log records counted by level where they are made, so that an alert on errors needs no log store.

Not by a handler: a handler misses loggers that do not propagate (uvicorn's), makes a later
``logging.basicConfig()`` do nothing, and silences the last resort that prints the warnings of an application
which never set logging up. Python calls the record factory exactly once for every record that passed its
logger's level.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from claw_exporter.catalog import LOG_LEVELS, LOG_RECORDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_exporter.store import Store

    Factory = Callable[..., logging.LogRecord]

__all__ = ["Records"]

# From which number on a level counts as the next of LOG_LEVELS.
_BOUNDS: Final = (logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
_lock: Final = Lock()


class Records:
    """Counts the records of this process while it watches.

    Args:
        store: Where the numbers go.
    """

    def __init__(self, store: Store) -> None:
        self._counter = store.counter(LOG_RECORDS)
        self._layer: _Layer | None = None

    def watch(self) -> None:
        """Count from now on; a second call changes nothing. Every level exists from the start, at 0."""
        for level in LOG_LEVELS:
            self._counter.child(level)
        with _lock:
            if self._layer is None:
                self._layer = _Layer(logging.getLogRecordFactory(), self._count)
                logging.setLogRecordFactory(self._layer)

    def unwatch(self) -> None:
        """Stop counting; what was counted stays."""
        with _lock:
            layer, self._layer = self._layer, None
            if layer is not None:
                layer.count = None
                # Others may have put a factory of theirs around this one: then it stays, and passes on.
                if logging.getLogRecordFactory() is layer:
                    logging.setLogRecordFactory(layer.inner)

    def _count(self, level: int) -> None:
        self._counter.inc(LOG_LEVELS[bisect_right(_BOUNDS, level)])


class _Layer:
    """A record factory around another one.

    Attributes:
        inner: The factory that makes the records.
        count: Called with each record's level; None once nobody watches any more.
    """

    def __init__(self, inner: Factory, count: Callable[[int], None]) -> None:
        self.inner = inner
        self.count: Callable[[int], None] | None = count

    def __call__(self, name: str, level: int, *args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: ANN401  # as logging calls it
        # makeLogRecord(), which only unpacks what another process has counted, has no level yet.
        count = self.count
        if count is not None and isinstance(level, int):
            count(level)
        return self.inner(name, level, *args, **kwargs)
