"""What has been sent and what came back, in one line."""

from __future__ import annotations

from collections import Counter

OUTCOMES = ("2xx", "4xx", "5xx", "cancelled", "sockets", "unreachable", "left out")


class Report:
    """Counts outcomes; ``line`` sums up what was noted since the last one."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self._recent: Counter[str] = Counter()
        self._durations: list[float] = []

    def note(self, outcome: str, duration_seconds: float | None = None) -> None:
        """Count one request.

        Args:
            outcome: One of ``OUTCOMES``.
            duration_seconds: How long it took, where that says something about the app.
        """
        self.total[outcome] += 1
        self._recent[outcome] += 1
        if duration_seconds is not None:
            self._durations.append(duration_seconds)

    def line(self, *, elapsed_seconds: float, in_flight: int) -> str:
        """Return the summary of the last ``elapsed_seconds`` and begin anew."""
        text = f"{_counts(self._recent, elapsed_seconds)}, p95 {_quantile(self._durations, 0.95):.2f} s"
        self._recent.clear()
        self._durations.clear()
        return f"load: {text}, in flight {in_flight}"

    def last_line(self, *, elapsed_seconds: float) -> str:
        """Return the summary of the whole run."""
        return f"load: ended after {elapsed_seconds:.0f} s: {_counts(self.total, elapsed_seconds)}"


def _counts(counts: Counter[str], elapsed_seconds: float) -> str:
    sent = sum(counts.values()) - counts["left out"]
    parts = ", ".join(f"{outcome} {counts[outcome]}" for outcome in OUTCOMES if counts[outcome])
    return f"{sent} requests ({sent / max(elapsed_seconds, 1e-9):.1f}/s): {parts or 'none'}"


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
