"""Operations with nothing but a duration and a status: stores, tools, steps of agents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claw_exporter.tracking import Measurement, Tracker

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_exporter.store import Store

__all__ = ["Operation", "operation_tracker"]


class Operation(Measurement):
    """One run of an operation; `fail` marks it as failed where nothing was raised."""

    __slots__ = ("_record",)

    def __init__(self, tracker: object, record: Callable[[str, float], None]) -> None:
        self._record = record
        super().__init__(tracker)

    def record(self, status: str, seconds: float) -> None:
        """Record the end."""
        self._record(status, seconds)


def operation_tracker(
    store: Store,
    where: str,
    record: Callable[[str, float], None],
    judge: Callable[[Any], str | None] | None,
) -> Tracker[Operation]:
    """Return a tracker that calls ``record(status, seconds)`` at each end."""
    return Tracker(store, where, lambda tracker, _args, _kwargs: Operation(tracker, record), judge)
