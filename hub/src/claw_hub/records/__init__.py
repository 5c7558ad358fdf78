"""What a record is: three kinds, how each is validated, and what makes two of them the same."""

from __future__ import annotations

from claw_hub.records.identity import event_ids
from claw_hub.records.kinds import Kind
from claw_hub.records.live import LiveEvent
from claw_hub.records.models import ExecutionRecord, Record, Status, TimelineRecord, UsageRecord
from claw_hub.records.parsing import parse
from claw_hub.records.times import instant_us

__all__ = [
    "ExecutionRecord",
    "Kind",
    "LiveEvent",
    "Record",
    "Status",
    "TimelineRecord",
    "UsageRecord",
    "event_ids",
    "instant_us",
    "parse",
]
