"""Exceptions of this library: programming mistakes, raised where they are made, never during a request.

::

    ClawError
    ├── SpecError            a metric is described wrongly, or a second time and differently
    ├── LabelError           label values do not fit the metric's labels
    ├── ArgumentError        an argument of a public function or constructor is wrong
    ├── DirectoryError       PROMETHEUS_MULTIPROC_DIR cannot hold the workers' files
    ├── PoolTypeError        watch_pool was given something it cannot read
    ├── EventLoopError       watch_event_loop was called where no event loop runs
    ├── RegistryError        the prometheus_client registry has metrics of our names already
    ├── NoSeriesError        a test asked for a series that does not exist (in testing)
    ├── SettingsError        exporter.yml is wrong (in settings: only the exporter process has one)
    └── ProbeError           a collector could not give its numbers (in collectors.base)
"""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "ClawError",
    "DirectoryError",
    "EventLoopError",
    "LabelError",
    "PoolTypeError",
    "RegistryError",
    "SpecError",
]


class ClawError(Exception):
    """Base of everything this library raises on purpose."""


class SpecError(ClawError, ValueError):
    """A metric is described wrongly, or a second time and differently."""


class LabelError(ClawError, ValueError):
    """The number of label values differs from the metric's labels."""


class ArgumentError(ClawError, ValueError):
    """An argument has a wrong value; the message says which and what to pass."""


class DirectoryError(ClawError, OSError):
    """The directory of the worker processes' files is missing or cannot be written; says what to do."""


class PoolTypeError(ClawError, TypeError):
    """The object given to ``watch_pool`` is not a pool this library can read."""


class EventLoopError(ClawError, RuntimeError):
    """No event loop of asyncio runs where ``watch_event_loop`` was called."""


class RegistryError(ClawError, ValueError):
    """Another collector of the prometheus_client registry has metrics with the names of ours."""
