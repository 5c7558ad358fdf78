"""Every metric that the hub exposes about its work; ``hub/metrics.json`` is written from this table.

Nothing is lost while, over all processes,
accepted = stored + deduplicated + quarantined + what is in the bus.
"""

from __future__ import annotations

from typing import Final

from claw_exporter.spec import Counter, Gauge, Metric
from claw_hub.records import Kind

__all__ = ["CATALOG", "OF_WORKER"]

KINDS: Final[tuple[str, ...]] = tuple(sorted(Kind))
_KIND: Final = {"kind": KINDS}


def _counter(name: str, help_: str, *labels: str) -> Counter:
    values = _KIND if "kind" in labels else {}
    return Counter(name=name, help=help_, labels=labels, home="process", values=values)


def _gauge(name: str, help_: str, *labels: str) -> Gauge:
    values = _KIND if "kind" in labels else {}
    return Gauge(name=name, help=help_, labels=labels, home="process", values=values)


INGEST_REQUESTS: Final = _counter(
    "claw_ai_hub_ingest_requests_total",
    "Requests that brought records, by what became of them: accepted, disconnected, or an error's id.",
    "kind",
    "outcome",
)
ACCEPTED: Final = _counter("claw_ai_hub_accepted_records_total", "Records that were acknowledged.", "kind")
ACCEPTED_BYTES: Final = _counter(
    "claw_ai_hub_accepted_bytes_total", "Bytes of requests whose records were acknowledged, inflated.", "kind"
)
READ: Final = _counter("claw_ai_hub_read_records_total", "Records that the worker took from the bus.", "kind")
STORED: Final = _counter(
    "claw_ai_hub_stored_records_total",
    "Records that are in the warehouse, counted when the bus forgot them.",
    "kind",
)
DEDUPLICATED: Final = _counter(
    "claw_ai_hub_deduplicated_records_total",
    "Records that came again, may have been stored then, and are in the warehouse once.",
    "kind",
)
QUARANTINED: Final = _counter(
    "claw_ai_hub_quarantined_records_total",
    "Records that were acknowledged and could not be stored: they are kept apart, to be replayed.",
    "kind",
    "reason",
)
STUCK: Final = _counter(
    "claw_ai_hub_stuck_records_total",
    "Records that could not even be set aside, and stay in the bus.",
    "kind",
)
LOAD_FAILURES: Final = _counter(
    "claw_ai_hub_load_failures_total", "Attempts of the worker that failed, and are repeated.", "error"
)
RECOMPUTED: Final = _counter("claw_ai_hub_buckets_recomputed_total", "Hours of a tenant that were summed up.")
RECOMPUTE_FAILURES: Final = _counter(
    "claw_ai_hub_recompute_failures_total", "Attempts to sum up that failed, and are repeated."
)
LIVE_FAILURES: Final = _counter(
    "claw_ai_hub_live_failures_total", "Batches that those who watch could not be told of."
)
LIVE_LEFT_OUT: Final = _counter(
    "claw_ai_hub_live_left_out_total",
    "Records that those who watch were not shown, because too many came.",
    "kind",
)
BUS_RECORDS: Final = _gauge(
    "claw_ai_hub_bus_records", "Records that are acknowledged and not stored yet.", "kind"
)
BUS_OLDEST: Final = Gauge(
    name="claw_ai_hub_bus_oldest_age_seconds",
    help="Age of the oldest entry that is acknowledged and not stored yet.",
    unit="seconds",
    labels=("kind",),
    home="process",
    values=_KIND,
)
BUS_BYTES: Final = Gauge(
    name="claw_ai_hub_bus_bytes", help="Memory that the bus holds for entries.", unit="bytes", home="process"
)
BUCKETS_DIRTY: Final = _gauge("claw_ai_hub_buckets_dirty", "Hours of a tenant that wait to be summed up.")
BUCKETS_OLDEST: Final = Gauge(
    name="claw_ai_hub_buckets_oldest_age_seconds",
    help="How long the first of them has been waiting.",
    unit="seconds",
    home="process",
)
LIVE_SUBSCRIPTIONS: Final = _gauge("claw_ai_hub_live_subscriptions", "Open live streams of this process.")

OF_WORKER: Final[dict[str, Counter]] = {
    "records_read": READ,
    "records_stored": STORED,
    "records_deduplicated": DEDUPLICATED,
    "records_quarantined": QUARANTINED,
    "records_stuck": STUCK,
    "load_failures": LOAD_FAILURES,
    "buckets_recomputed": RECOMPUTED,
    "recompute_failures": RECOMPUTE_FAILURES,
    "live_failures": LIVE_FAILURES,
    "live_left_out": LIVE_LEFT_OUT,
}
"""What the worker counts, by the name that it calls it."""

CATALOG: Final[tuple[Metric, ...]] = (
    INGEST_REQUESTS,
    ACCEPTED,
    ACCEPTED_BYTES,
    *OF_WORKER.values(),
    BUS_RECORDS,
    BUS_OLDEST,
    BUS_BYTES,
    BUCKETS_DIRTY,
    BUCKETS_OLDEST,
    LIVE_SUBSCRIPTIONS,
)
