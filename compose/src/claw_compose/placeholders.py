"""Values that examples show and nobody may run with."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["is_placeholder"]

PLACEHOLDER: Final = re.compile(
    r"(?:replace|change)[-_ ]?(?:me|this|it)?|<.*>|x{3,}|\.{3}|todo|your[-_]\w+|"
    r"password|passw0rd|admin|secret|example|12345\d*|.*\bexample\.(?:com|org|net)\b.*",
    re.IGNORECASE,
)


def is_placeholder(value: str) -> bool:
    """Tells whether a value is one that stands in an example, or that everybody tries first."""
    return PLACEHOLDER.fullmatch(value.strip()) is not None
