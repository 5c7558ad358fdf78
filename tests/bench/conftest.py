"""Fixtures of the benchmarks' tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("bench", "exporter/src", "examples/chat/src", "native/src")


@pytest.fixture
def worker_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that a benchmark starts find it and the library."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(str(ROOT / folder) for folder in SOURCES))
