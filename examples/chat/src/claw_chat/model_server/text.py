"""Words, tokens and vectors: what can be said of a text without a model, the same for the same input."""

from __future__ import annotations

import math
import re
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

DIMENSIONS: Final = 64
TOKEN: Final = re.compile(r"\w+|[^\w\s]")

SENTENCES: Final = (
    "The dashboard shows the request rate, the error ratio and the latency of every endpoint.",
    "A time to first token above two seconds is what readers notice first.",
    "Raise the pool size only after you have looked at the longest transaction.",
    "Cached input tokens cost a fraction of fresh ones, so keep the system prompt stable.",
    "An alert that nobody acts on should become a panel.",
    "Retry a rate-limited call after the time that the provider asks for.",
    "Burn rates compare the errors of the last hour with what the month allows.",
    "Every answer carries the trace that its log lines carry.",
    "Redis evicts keys when it reaches its memory limit, and the cache becomes slower rather than wrong.",
    "Check the fallback model before the primary one fails, not after.",
    "Queues grow when workers are slower than arrivals; their age tells more than their depth.",
    "Start with the overview, then follow the link to the slow endpoint.",
)


def count_tokens(text: str) -> int:
    """Return the number of words and punctuation marks in ``text``."""
    return len(TOKEN.findall(text))


def compose(random: Random, *, opening: str, tokens: int) -> str:
    """Return an answer that begins with ``opening`` and has about ``tokens`` tokens."""
    words = opening.split()
    while len(words) < tokens:
        words += random.choice(SENTENCES).split()
    return " ".join(words[: max(1, tokens)])


def parts(text: str, words_each: int) -> list[str]:
    """Return ``text`` cut into parts of ``words_each`` words that join to ``text`` again."""
    words = re.findall(r"\s*\S+", text)
    return ["".join(words[start : start + words_each]) for start in range(0, len(words), words_each)]


def embed(text: str) -> list[float]:
    """Return a unit vector of ``DIMENSIONS`` numbers; texts that share words have similar vectors."""
    vector = [0.0] * DIMENSIONS
    for word in re.findall(r"\w+", text.lower()):
        digest = zlib.crc32(word.encode())
        vector[digest % DIMENSIONS] += 1.0 if digest & 0x8000_0000 else -1.0
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [value / length for value in vector]
