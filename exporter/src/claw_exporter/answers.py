"""Answers of AI models: duration, first token, speed, tokens, cost, errors."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from claw_exporter.catalog import (
    AI_COST,
    AI_ERRORS,
    AI_IN_FLIGHT,
    AI_RESPONSE_DURATION,
    AI_TIME_PER_OUTPUT_TOKEN,
    AI_TIME_TO_FIRST_TOKEN,
    AI_TOKENS,
    AI_UNPRICED_TOKENS,
    AI_USAGE_MISSING,
    TOKEN_TYPES,
)
from claw_exporter.store import label_text
from claw_exporter.tracking import Measurement, Tracker

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_exporter.prices import Price
    from claw_exporter.store import Child, Store

__all__ = ["AIResponse", "Answers"]

_UNKNOWN: Final = "unknown"
_ERROR_TYPES: Final = 64


class AIResponse(Measurement):
    """One call of a model, while it runs.

    Attributes:
        model: The model's name.
        provider: Who serves it.
        in_flight: The number of running calls of this model and provider.
    """

    __slots__ = ("_answers", "_first", "_last", "_tokens", "in_flight", "model", "provider")

    def __init__(
        self, tracker: object, answers: Answers, model: str, provider: str, in_flight: Child
    ) -> None:
        self._answers = answers
        self.model = model
        self.provider = provider
        self.in_flight = in_flight
        self._first = 0.0
        self._last = 0.0
        self._tokens: dict[str, float] = {}
        super().__init__(tracker)

    def chunk(self) -> None:
        """Say that a streamed part arrived: the first one is the first token."""
        self._last = perf_counter()
        if not self._first:
            self._first = self._last

    part = chunk  # what a decorated generator yields arrives by itself

    def usage(
        self,
        *,
        input_tokens: float | None = None,
        output_tokens: float | None = None,
        cache_read_tokens: float | None = None,
        cache_write_tokens: float | None = None,
        reasoning_tokens: float | None = None,
    ) -> None:
        """Report the tokens used so far. The types are disjoint: a token counts in one of them.

        May be called several times: a later value takes the place of an earlier one. Counted at the end.

        Args:
            input_tokens: Prompt tokens that no cache served.
            output_tokens: Answer tokens without those of hidden reasoning.
            cache_read_tokens: Prompt tokens that the provider's cache served.
            cache_write_tokens: Prompt tokens written to the cache.
            reasoning_tokens: Tokens of hidden reasoning.
        """
        given = (input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens)
        for kind, number in zip(TOKEN_TYPES, given, strict=True):
            if number is not None:
                self._answers.note(self._tokens, kind, number)

    def record(self, status: str, seconds: float) -> None:
        """Record the end."""
        self._answers.record(self, status, seconds)

    def first_after(self) -> float | None:
        """Return the seconds from the start to the first part; None where nothing was streamed."""
        return self._first - self.started if self._first else None

    def per_output_token(self) -> float | None:
        """Return the mean seconds per output token after the first; None where that is not known."""
        tokens = self._tokens.get("output", 0.0)
        return (self._last - self._first) / (tokens - 1) if self._first and tokens > 1 else None

    def tokens(self) -> dict[str, float]:
        """Return the tokens reported so far, type -> number."""
        return dict(self._tokens)


class Answers:
    """Where `AIResponse` records.

    Attributes:
        prices: Price table, model -> price.
    """

    def __init__(self, store: Store) -> None:
        self.prices: dict[str, Price] = {}
        self._store = store
        self._durations = store.histogram(AI_RESPONSE_DURATION)
        self._first = store.histogram(AI_TIME_TO_FIRST_TOKEN)
        self._per_token = store.histogram(AI_TIME_PER_OUTPUT_TOKEN)
        self._in_flight = store.gauge(AI_IN_FLIGHT)
        self._tokens = store.counter(AI_TOKENS)
        self._cost = store.counter(AI_COST)
        self._unpriced = store.counter(AI_UNPRICED_TOKENS)
        self._missing = store.counter(AI_USAGE_MISSING)
        self._errors = store.counter(AI_ERRORS)
        self._prepared: set[tuple[str, str]] = set()
        self._error_types: set[str] = set()

    def tracker(
        self,
        model: str | Callable[..., str],
        provider: str | Callable[..., str],
        judge: Callable[[Any], str | None] | None,
    ) -> Tracker[AIResponse]:
        """Return a tracker of a model's answers."""

        def make(tracker: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AIResponse:
            names = [self._name(value, args, kwargs) for value in (model, provider)]
            return self._begin(tracker, names[0], names[1])

        return Tracker(self._store, "track_ai_response", make, judge)

    def detached(self) -> AIResponse:
        """Return a response that records nothing."""
        return AIResponse(None, self, _UNKNOWN, _UNKNOWN, [0.0])

    def note(self, tokens: dict[str, float], kind: str, number: float) -> None:
        """Write down a reported number of tokens, if it is one."""
        try:
            value = float(number)
        except (TypeError, ValueError):
            self._store.fault("usage")
            return
        if 0 <= value < float("inf"):
            tokens[kind] = value

    def record(self, response: AIResponse, status: str, seconds: float) -> None:
        """Record the end of a response."""
        model, provider = response.model, response.provider
        response.in_flight[0] -= 1
        self._durations.observe(seconds, model, provider, status)
        first = response.first_after()
        if first is not None:
            self._first.observe(first, model, provider)
        if status == "error":
            self._errors.inc(model, provider, self._error_type(label_text(response.error_type)))
        per_token = response.per_output_token()
        if status == "ok" and per_token is not None:
            self._per_token.observe(per_token, model, provider)
        self._account(model, response.tokens(), complete=status == "ok")

    def _begin(self, tracker: object, model: str, provider: str) -> AIResponse:
        if (model, provider) not in self._prepared and len(self._prepared) < self._store.max_series:
            self._prepared.add((model, provider))
            self._durations.child(model, provider, "ok")
            self._tokens.child(model, "input")
            for family in (self._cost, self._unpriced, self._missing):
                family.child(model)
        in_flight = self._in_flight.child(model, provider)
        in_flight[0] += 1
        return AIResponse(tracker, self, model, provider, in_flight)

    def _account(self, model: str, tokens: dict[str, float], *, complete: bool) -> None:
        """Count tokens, what they cost, and what is not known about either."""
        if not tokens:
            if complete:
                self._missing.inc(model)
            return
        for kind, number in tokens.items():
            self._tokens.inc(model, kind, by=number)
        price = self.prices.get(model)
        if price is None:
            self._unpriced.inc(model, by=sum(tokens.values()))
        else:
            self._cost.inc(model, by=price.cost(tokens))

    def _name(self, value: str | Callable[..., str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        try:
            return label_text(value(*args, **kwargs) if callable(value) else value)
        except Exception:  # noqa: BLE001  # the user's function must not break the user's call
            self._store.fault("track_ai_response")
            return _UNKNOWN

    def _error_type(self, error_type: str) -> str:
        """Bound the kinds of error: exception classes are few, but messages passed by mistake are not."""
        if error_type not in self._error_types:
            if len(self._error_types) >= _ERROR_TYPES:
                return "other"
            self._error_types.add(error_type)
        return error_type
