"""How each model behaves: a table, and the rules for changing a row while the server runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What one model does with a request. Ratios are shares of requests (0 never, 1 always).

    Attributes:
        first_token_seconds: Wait before an answer begins.
        token_seconds: Wait per output token after the first.
        jitter_ratio: How far each wait strays from its mean (0.3: between 70 % and 130 %).
        output_tokens: Length of an answer, also subject to jitter.
        reasoning_tokens: Tokens thought before the answer, billed but not shown.
        cached_ratio: Share of the input tokens that the prompt cache serves.
        cache_write_ratio: Share of the input tokens that are written to the prompt cache.
        rate_limited_ratio: Answers 429 with retry-after.
        server_error_ratio: Answers 500.
        quota_exhausted_ratio: Answers 429 with the code of a bill that is to be paid first.
        credentials_rejected_ratio: Answers 401, as for a key that was revoked.
        error_text_ratio: Answers 200 with a text that begins with ``Error:``.
        stall_ratio: Falls silent for ``stall_seconds``, before a whole answer or amid a streamed one.
        broken_ratio: Closes the connection in the middle of a streamed answer.
        usage_missing_ratio: Leaves the token usage out.
        stall_seconds: Length of a stall.
        retry_after_seconds: What a 429 asks the client to wait.
        requests_per_minute: More than this in a clock minute is a 429.
    """

    first_token_seconds: float = 0.2
    token_seconds: float = 0.01
    jitter_ratio: float = 0.3
    output_tokens: int = 45
    reasoning_tokens: int = 0
    cached_ratio: float = 0.0
    cache_write_ratio: float = 0.0
    rate_limited_ratio: float = 0.0
    server_error_ratio: float = 0.0
    quota_exhausted_ratio: float = 0.0
    credentials_rejected_ratio: float = 0.0
    error_text_ratio: float = 0.0
    stall_ratio: float = 0.0
    broken_ratio: float = 0.0
    usage_missing_ratio: float = 0.0
    stall_seconds: float = 120.0
    retry_after_seconds: float = 1.0
    requests_per_minute: int = 6000


TABLE: Final[Mapping[str, Behaviour]] = {
    "glm-4": Behaviour(first_token_seconds=0.35, token_seconds=0.015, cached_ratio=0.3),
    "glm-4-flash": Behaviour(first_token_seconds=0.12, token_seconds=0.006, output_tokens=30),
    "gpt-4o-mini": Behaviour(first_token_seconds=0.3, rate_limited_ratio=0.02, cached_ratio=0.5),
    "claude-haiku-4": Behaviour(first_token_seconds=0.4, cached_ratio=0.4, cache_write_ratio=0.2),
    "deepseek-reasoner": Behaviour(
        first_token_seconds=1.4, token_seconds=0.02, output_tokens=70, reasoning_tokens=120
    ),
    "qwen-lab": Behaviour(first_token_seconds=0.25),
    # Retired by its maker: whoever still asks for it gets an error, every time.
    "glm-3-turbo": Behaviour(server_error_ratio=1.0),
    "embedding-3": Behaviour(first_token_seconds=0.03, output_tokens=1),
}
"""The models served, and what each does unless told otherwise."""

LARGEST: Final[Mapping[str, float]] = {
    "first_token_seconds": 600,
    "token_seconds": 60,
    "output_tokens": 4000,
    "reasoning_tokens": 100_000,
    "stall_seconds": 3600,
    "retry_after_seconds": 3600,
    "requests_per_minute": 1_000_000,
}
"""Upper limit of every field that is not a ratio; the lower limit is 0."""


class BehaviourError(ValueError):
    """A change of behaviour that cannot be accepted.

    Attributes:
        mistakes: One sentence for each, all of them.
    """

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


class Behaviours:
    """The behaviours in force.

    Args:
        table: What each model does at first, and again for every field that a change leaves out.
    """

    def __init__(self, table: Mapping[str, Behaviour]) -> None:
        self._table = dict(table)
        self._current = dict(table)

    def get(self, model: str) -> Behaviour | None:
        """Return what ``model`` does now; ``None`` if it is not served."""
        return self._current.get(model)

    def names(self) -> list[str]:
        """Return the models served, sorted."""
        return sorted(self._current)

    def change(self, model: str, wanted: object) -> Behaviour:
        """Let ``model`` behave as ``wanted`` says from its next request on.

        Args:
            model: A model of the table.
            wanted: Field names and values; an absent field returns to the table, so ``{}`` mends a model.

        Raises:
            BehaviourError: ``wanted`` is not an object of known fields and allowed values.
        """
        self._current[model] = replace(self._table[model], **checked(wanted))
        return self._current[model]

    def as_json(self) -> dict[str, dict[str, Any]]:
        """Return every model's behaviour as plain data."""
        return {model: asdict(self._current[model]) for model in self.names()}


def checked(wanted: object) -> dict[str, Any]:
    """Return ``wanted`` if it is an object of known fields and allowed values.

    Raises:
        BehaviourError: It is not; the error lists every mistake.
    """
    if not isinstance(wanted, dict):
        raise BehaviourError([f"the body is {type(wanted).__name__}; send an object such as " + EXAMPLE])
    kinds = {field.name: field.type for field in fields(Behaviour)}
    mistakes = [text for name, value in wanted.items() if (text := _mistake(kinds, name, value))]
    if mistakes:
        raise BehaviourError(mistakes)
    return wanted


EXAMPLE: Final = '{"server_error_ratio": 0.5}'


def _mistake(kinds: Mapping[str, object], name: str, value: object) -> str | None:
    if name not in kinds:
        return f"{name!r} is not a field; the fields are {', '.join(kinds)}"
    number = int if kinds[name] == "int" else (int, float)
    largest = LARGEST.get(name, 1)
    if isinstance(value, bool) or not isinstance(value, number) or not 0 <= value <= largest:
        kind = "a whole number" if number is int else "a number"
        return f"{name} is {value!r}; it must be {kind} from 0 to {largest}"
    return None
