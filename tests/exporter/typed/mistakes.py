# mypy: ignore-errors
"""What a type checker has to refuse: each marked line, and no other."""

from __future__ import annotations

from claw_exporter import Metrics, app_core_metrics
from claw_exporter.testing import changes

metrics = Metrics()


@metrics.track_db("read")
def read(number: int) -> str:
    return str(number)


read("a")  # refused
read(1, 2)  # refused
read(1) + 1  # refused
metrics.track_message()  # refused
metrics.track_conversation("created")  # refused
missing = app_core_metrics.http_requests_total  # refused
changes("a page")  # refused
