"""What the assistant does not answer."""

from __future__ import annotations

import re
from typing import Final

from claw_exporter import metrics

INJECTION: Final = re.compile(
    r"\b(?:ignore|forget|disregard) (?:all |any )?(?:your |the )?(?:previous |earlier )?instructions\b"
    r"|\bsystem prompt\b",
    re.IGNORECASE,
)


@metrics.track_guardrail("prompt_injection", result=bool)
def is_injection(question: str) -> bool:
    """Return whether a question wants the model to forget what it was told."""
    return INJECTION.search(question) is not None
