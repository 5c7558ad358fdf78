"""Models that step in for others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from claw_exporter.catalog import AI_FALLBACKS
from claw_exporter.store import label_text

if TYPE_CHECKING:
    from claw_exporter.store import Store

__all__ = ["Fallbacks"]

_REASONS: Final = 64


class Fallbacks:
    """Where fallbacks are recorded.

    Args:
        store: Where the numbers go.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._fallbacks = store.counter(AI_FALLBACKS)
        self._reasons: set[str] = set()

    def count(self, from_model: str, to_model: str, reason: str) -> None:
        """Count one fallback; it never raises."""
        try:
            self._fallbacks.inc(from_model, to_model, self._known(label_text(reason)))
        except Exception:  # noqa: BLE001  # a label whose str() raises must not reach the caller
            self._store.fault("track_fallback")

    def _known(self, reason: str) -> str:
        """Bound the reasons: kinds of errors are few, but messages passed by mistake are not."""
        if reason not in self._reasons:
            if len(self._reasons) >= _REASONS:
                return "other"
            self._reasons.add(reason)
        return reason
