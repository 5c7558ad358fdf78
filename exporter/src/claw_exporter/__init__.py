"""Prometheus metrics for AI web applications.

Mount the middleware, track AI answers and stores, expose ``/metrics``::

    from claw_exporter import MetricsMiddleware, metrics

    app.add_middleware(MetricsMiddleware)
    metrics.mount(app)
"""

from claw_exporter.agents import AgentRun
from claw_exporter.answers import AIResponse
from claw_exporter.auth import Auth
from claw_exporter.errors import (
    ArgumentError,
    ClawError,
    DirectoryError,
    EventLoopError,
    LabelError,
    PoolTypeError,
    RegistryError,
    SpecError,
)
from claw_exporter.guardrails import Decision
from claw_exporter.instruments import Metrics, metrics
from claw_exporter.middleware import MetricsMiddleware
from claw_exporter.operations import Operation
from claw_exporter.prices import Price
from claw_exporter.retrieval import Retrieval
from claw_exporter.tracking import Tracker

__all__ = [
    "AIResponse",
    "AgentRun",
    "ArgumentError",
    "Auth",
    "ClawError",
    "Decision",
    "DirectoryError",
    "EventLoopError",
    "LabelError",
    "Metrics",
    "MetricsMiddleware",
    "Operation",
    "PoolTypeError",
    "Price",
    "RegistryError",
    "Retrieval",
    "SpecError",
    "Tracker",
    "metrics",
]
