"""Models that step in for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claw_exporter.catalog import AI_FALLBACKS
from claw_exporter.store import Kinds, label_text

if TYPE_CHECKING:
    from claw_exporter.store import Store

__all__ = ["Fallbacks"]


class Fallbacks:
    """Where fallbacks are recorded.

    Args:
        store: Where the numbers go.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._fallbacks = store.counter(AI_FALLBACKS)
        self._reasons = Kinds()

    def count(self, from_model: str, to_model: str, reason: str) -> None:
        """Count one fallback; it never raises."""
        try:
            self._fallbacks.inc(from_model, to_model, self._reasons.bounded(label_text(reason)))
        except Exception:  # noqa: BLE001  # a label whose str() raises must not reach the caller
            self._store.fault("track_fallback")
