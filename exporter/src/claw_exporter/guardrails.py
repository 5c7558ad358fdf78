"""Decisions of guardrails: what they let pass, what they block, and where they fail themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from claw_exporter.catalog import GUARD_DECISIONS, GUARDRAIL_DECISIONS
from claw_exporter.tracking import Measurement, Tracker

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_exporter.store import Store

    Verdict = Callable[[Any], bool | str | None]

__all__ = ["Decision", "Guardrails"]

_ALLOW, _BLOCK, _ERROR = GUARD_DECISIONS
_BY_STATUS: Final = {"ok": _ALLOW, "error": _ERROR}  # nobody waits for a cancelled decision


class Decision(Measurement):
    """One decision of a guardrail: ``allow`` unless something else is said."""

    __slots__ = ("_decision", "_record")

    def __init__(self, tracker: object, record: Callable[[str], None]) -> None:
        self._decision: str | None = None
        self._record = record
        super().__init__(tracker)

    def block(self) -> None:
        """Say that the guard blocks, also where the measured code raises to do so."""
        self._decision = _BLOCK

    def fail(self, error_type: str = "error") -> None:
        """Say that the guard itself failed, though nothing was raised."""
        super().fail(error_type)
        self._decision = _ERROR

    def record(self, status: str, seconds: float) -> None:
        """Record the end."""
        del seconds
        decision = self._decision or _BY_STATUS.get(status)
        if decision is not None:
            self._record(decision)


class Guardrails:
    """Where decisions are recorded.

    Args:
        store: Where the numbers go.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._decisions = store.counter(GUARDRAIL_DECISIONS)

    def tracker(self, guard: str, verdict: Verdict | None) -> Tracker[Decision]:
        """Return a tracker of a guard's decisions."""

        def make(tracker: object, _args: object, _kwargs: object) -> Decision:
            return Decision(tracker, lambda decision: self._decisions.inc(guard, decision))

        if verdict is None:
            return Tracker(self._store, "track_guardrail", make)
        return _GuardTracker(self._store, make, verdict)

    def count(self, guard: str, decision: str) -> None:
        """Count a decision; one that is not ``allow``, ``block`` or ``error`` counts as an error of ours."""
        try:
            self._decisions.inc(guard, GUARD_DECISIONS[GUARD_DECISIONS.index(decision)])
        except Exception:  # noqa: BLE001  # the guarded code must not notice
            self._store.fault("guardrail_decision")


class _GuardTracker(Tracker[Decision]):
    """Understands what a verdict says."""

    __slots__ = ("_faults", "_verdict")

    def __init__(self, store: Store, make: Callable[..., Decision], verdict: Verdict) -> None:
        super().__init__(store, "track_guardrail", make, lambda _: None)
        self._faults = store.fault
        self._verdict = verdict

    def judge(self, measurement: Decision, value: object) -> None:
        """Ask the verdict what a returned value, or a yielded part, means."""
        try:
            said = self._verdict(value)
        except Exception:  # noqa: BLE001  # the user's judgement must not break the user's answer
            self._faults("track_guardrail.result")
            return
        if said == _ERROR:
            measurement.fail()
        elif said and said != _ALLOW:
            measurement.block()
