"""Answers of AI models: duration, first token, stalls, speed, tokens, cost, finish reasons, errors."""

from __future__ import annotations

import functools
from bisect import bisect_left
from contextlib import nullcontext
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, cast

from claw_exporter.catalog import (
    AI_BUDGET,
    AI_CHUNK_GAP,
    AI_CONTEXT_USED,
    AI_COST,
    AI_ERRORS,
    AI_FINISH,
    AI_IN_FLIGHT,
    AI_PRICE_TABLE,
    AI_RESPONSE_DURATION,
    AI_SILENCE,
    AI_STREAM_GAP,
    AI_TIME_PER_OUTPUT_TOKEN,
    AI_TIME_TO_FIRST_TOKEN,
    AI_TOKENS,
    AI_UNPRICED_TOKENS,
    AI_USAGE_MISSING,
    BUDGET_PERIODS,
    TOKEN_TYPES,
)
from claw_exporter.errors import ArgumentError
from claw_exporter.prices import price_table, table_version, tokens_by_model
from claw_exporter.stalls import Stalls
from claw_exporter.store import OVERFLOW_LABEL, Kinds, label_text
from claw_exporter.tracking import Measurement, Parts, Timing, Tracker, current, make_current, outer_here
from claw_exporter.usage import finish_reason, read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike

    from claw_exporter.prices import Price
    from claw_exporter.store import Child, HistogramFamily, Store

__all__ = ["AIResponse", "Answers"]

_UNKNOWN: Final = "unknown"
_WHERE: Final = "track_ai_response"


class AIResponse(Measurement):
    """One call of a model, while it runs.

    Attributes:
        pair: Where the numbers of its model are.
        said: What was said about it, if anything was.
    """

    __slots__ = ("pair", "said")

    def __init__(self, tracker: object, pair: _Pair) -> None:
        super().__init__(tracker)
        self.pair = pair
        self.said: _Said | None = None

    @property
    def model(self) -> str:
        """The model's name."""
        return self.pair.model

    @property
    def provider(self) -> str:
        """Who serves it."""
        return self.pair.provider

    def chunk(self) -> None:
        """Say that a streamed part arrived: the first one is the first token.

        What a decorated generator yields arrives by itself. Elsewhere the time from one call of this to the
        next is the wait for a part, whatever else was done in between.
        """
        now = perf_counter()
        parts = self.parts
        if parts is None:
            parts = self.parts = Parts()
            self._facts()
        if not parts.first:
            parts.first = now
        elif parts.generator is None:
            waited = now - parts.last
            parts.longest = max(parts.longest, waited)
            if self._timed():
                self.pair.answers.time_chunk(self.pair, waited)
        if parts.generator is None:
            parts.last = parts.since = now

    def fail(self, error_type: str = "error") -> None:
        """Say that the answer is an error though nothing was raised.

        Args:
            error_type: A short constant such as ``rate_limited``; not a message.
        """
        self._facts()
        super().fail(error_type)

    def watch(self) -> None:
        """Look for stalls of a decorated asynchronous generator."""
        self.pair.answers.stalls.add(cast("Parts", self.parts))

    def timing(self) -> Timing | None:
        """Return where the wait for each part is counted, where that was asked for."""
        if not self._timed():
            return None
        timing, apart = self.pair.answers.timing(self.pair)
        if apart:
            self._facts().waits = timing
        return timing

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
        `report` does this with what an SDK hands out.

        Args:
            input_tokens: Prompt tokens that no cache served, nor were written to one.
            output_tokens: Answer tokens without those of hidden reasoning.
            cache_read_tokens: Prompt tokens that the provider's cache served.
            cache_write_tokens: Prompt tokens written to the cache.
            reasoning_tokens: Tokens of hidden reasoning.
        """
        given = (input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens)
        for kind, number in zip(TOKEN_TYPES, given, strict=True):
            if number is not None:
                self.pair.answers.note(self._facts().tokens, kind, number)

    def finish(self, reason: str) -> None:
        """Say why the model stopped; a later reason takes the place of an earlier one.

        Args:
            reason: In the words of OpenAI, Anthropic, Gemini or Zhipu; unknown ones count as ``other``.
        """
        try:
            translated = finish_reason(reason)
        except Exception:  # noqa: BLE001  # an object of any kind may do anything
            self.pair.answers.fault("finish")
            return
        if translated is not None:
            self._facts().reason = translated

    def report(self, answer: object) -> None:
        """Take usage and finish reason from what an SDK hands out; never raises.

        Understood are, as objects or as their JSON: chat completions of OpenAI (and of the many that speak
        its language) and their chunks, its Responses and their stream events, messages of Anthropic and
        their stream events, answers of Gemini. Of anything else, nothing is taken.

        Args:
            answer: A whole answer, or each chunk or event of a stream as it comes.
        """
        try:
            reading = read(answer)
        except Exception:  # noqa: BLE001  # an object of any kind may do anything
            self.pair.answers.fault("report")
            return
        if reading.tokens:
            tokens = self._facts().tokens
            for kind, number in reading.tokens.items():
                self.pair.answers.note(tokens, kind, number)
        if reading.reason is not None:
            self._facts().reason = reading.reason

    def record(self, status: str, seconds: float) -> None:
        """Record the end."""
        self.pair.answers.record(self, self.pair, status, seconds)

    def tokens(self) -> dict[str, float]:
        """Return the tokens reported so far, type -> number."""
        return dict(self.said.tokens) if self.said else {}

    def reason(self) -> str | None:
        """Return why the model stopped, where that is known: one of the values of the label ``reason``."""
        return self.said.reason if self.said else None

    def waits(self) -> Timing | None:
        """Return the waits for its parts that are still to be added to those of its model."""
        return self.said.waits if self.said else None

    def per_output_token(self) -> float | None:
        """Return the mean seconds per output token after the first; None where that is not known."""
        tokens, parts = self.tokens().get("output", 0.0), self.parts
        known = parts is not None and parts.first and tokens > 1
        return max(parts.last - parts.first, 0.0) / (tokens - 1) if parts and known else None

    def silent(self, now: float) -> float:
        """Return for how many seconds the model has been waited for."""
        parts = self.parts
        if parts is None or not parts.first:
            return now - self.started
        return now - parts.since if parts.waiting() and not parts.fresh else 0.0

    def _timed(self) -> bool:
        return isinstance(self.tracker, Tracker) and self.tracker.timed

    def _facts(self) -> _Said:
        if self.said is None:
            self.said = _Said()
        return self.said


class _Said:
    """What is known about an answer beside its times.

    Attributes:
        tokens: Type of tokens -> number.
        reason: Why the model stopped.
        waits: Waits for its parts that are still to be added to those of its model.
    """

    __slots__ = ("reason", "tokens", "waits")

    def __init__(self) -> None:
        self.tokens: dict[str, float] = {}
        self.reason: str | None = None
        self.waits: Timing | None = None


class _Bare(AIResponse):
    """One that is filled where it is made: to call a Python ``__init__`` costs more than what it does."""

    __slots__ = ()
    __init__ = object.__init__


class _Ends:
    """The numbers that every good answer changes.

    Others read a worker's files at any time, so there each number is changed at once. In memory nothing is
    read but by a scrape, which brings the numbers to their series: until then they are in a list, since to
    change an array takes three times as long.

    Attributes:
        in_flight: Running calls; None in memory, where a scrape sees how many are open.
        missing: Answers that ended well without usage; in memory changed by a scrape.
        ok: Durations of these answers; in memory those since the last scrape.
    """

    __slots__ = ("in_flight", "missing", "ok")

    def __init__(self, in_flight: Child | None, missing: Child, ok: Child) -> None:
        self.in_flight = in_flight
        self.missing = missing
        self.ok = ok


class _Pair:
    """A model and who serves it.

    Attributes:
        answers: Where to record.
        open: Its running calls.
        prepared: Whether its series exist.
        ends: What they change when they end; None where that must be looked up each time.
        fresh: Durations of good ones since the last scrape, where that brings them to their series.
        silent: Whether its silence was shown to be more than 0.
    """

    __slots__ = ("answers", "ends", "fresh", "model", "open", "prepared", "provider", "silent")

    def __init__(self, answers: Answers, model: str, provider: str) -> None:
        self.answers = answers
        self.model = model
        self.provider = provider
        self.open: set[AIResponse] = set()
        self.prepared = False
        self.ends: _Ends | None = None
        self.fresh = [0.0] * (len(answers.bounds) + 2)
        self.silent = False


class _Calls(Tracker[AIResponse]):
    """Calls of one model, where a decorated function that answers in one piece costs as little as it can.

    What is unusual takes the way that every measurement takes: the first call, streams, errors, whatever was
    said about an answer, and where numbers are not at hand.
    """

    __slots__ = ("_pair",)

    def __init__(
        self,
        store: Store,
        answers: Answers,
        pair: _Pair,
        judge: Callable[[Any], str | None] | None,
        *,
        each_chunk: bool,
    ) -> None:
        def make(tracker: object, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> AIResponse:
            return answers.begin(tracker, pair)

        super().__init__(store, _WHERE, make, judge, timed=each_chunk)
        self._pair = pair

    def _around_function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        begin, end, judge, pair = self.begin, self.end, self._judge and self.judge, self._pair
        bounds = pair.answers.bounds
        total = len(bounds) + 1  # faster than -1

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # any function
            ends = pair.ends
            if ends is None:
                response = begin(args, kwargs)
            else:  # what `begin` does, without calling anything
                response = _Bare()
                response.error_type = response.parts = response.said = None
                response.open = True
                outer = current()
                response.outer = outer_here() if outer is not None and (outer.open or outer.outer) else None
                response.tracker = self
                response.pair = pair
                pair.open.add(response)
                if ends.in_flight is not None:
                    ends.in_flight[0] += 1.0
                response.started = perf_counter()
            make_current(response)
            try:
                value = function(*args, **kwargs)
            except BaseException as error:
                end(response, error)
                raise
            if judge is not None:
                judge(response, value)
            ends = pair.ends
            if ends is None or response.said is not None:
                end(response)
            else:
                seconds = perf_counter() - response.started
                response.open = False
                pair.open.discard(response)
                if ends.in_flight is not None:
                    ends.in_flight[0] -= 1.0
                    ends.missing[0] += 1.0
                ok = ends.ok
                ok[bisect_left(bounds, seconds)] += 1.0
                ok[total] += seconds
            return value

        return wrapper

    def _around_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        begin, end, judge, pair = self.begin, self.end, self._judge and self.judge, self._pair
        bounds = pair.answers.bounds
        total = len(bounds) + 1  # faster than -1

        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # any function
            ends = pair.ends
            if ends is None:
                response = begin(args, kwargs)
            else:  # what `begin` does, without calling anything
                response = _Bare()
                response.error_type = response.parts = response.said = None
                response.open = True
                outer = current()
                response.outer = outer_here() if outer is not None and (outer.open or outer.outer) else None
                response.tracker = self
                response.pair = pair
                pair.open.add(response)
                if ends.in_flight is not None:
                    ends.in_flight[0] += 1.0
                response.started = perf_counter()
            make_current(response)
            try:
                value = await function(*args, **kwargs)
            except BaseException as error:
                end(response, error)
                raise
            if judge is not None:
                judge(response, value)
            ends = pair.ends
            if ends is None or response.said is not None:
                end(response)
            else:
                seconds = perf_counter() - response.started
                response.open = False
                pair.open.discard(response)
                if ends.in_flight is not None:
                    ends.in_flight[0] -= 1.0
                    ends.missing[0] += 1.0
                ok = ends.ok
                ok[bisect_left(bounds, seconds)] += 1.0
                ok[total] += seconds
            return value

        return wrapper


class Answers:
    """Where `AIResponse` records.

    Attributes:
        stalls: Looks at open streams.
        bounds: Of the durations, in seconds.
    """

    def __init__(self, store: Store) -> None:
        self.stalls = Stalls(store.fault)
        self.fault = store.fault
        self._store = store
        self._prices: dict[str, Price] = {}
        self._windows: dict[str, float] = {}
        self._durations = store.histogram(AI_RESPONSE_DURATION)
        self.bounds = self._durations.bounds
        self._first = store.histogram(AI_TIME_TO_FIRST_TOKEN)
        self._per_token = store.histogram(AI_TIME_PER_OUTPUT_TOKEN)
        self._gap = store.histogram(AI_STREAM_GAP)
        self._in_flight = store.gauge(AI_IN_FLIGHT)
        self._silence = store.gauge(AI_SILENCE)
        self._tokens = store.counter(AI_TOKENS)
        self._cost = store.counter(AI_COST)
        self._unpriced = store.counter(AI_UNPRICED_TOKENS)
        self._missing = store.counter(AI_USAGE_MISSING)
        self._errors = store.counter(AI_ERRORS)
        self._finish = store.counter(AI_FINISH)
        self._pairs: dict[tuple[str, str], _Pair] = {}
        self._rest = _Pair(self, OVERFLOW_LABEL, OVERFLOW_LABEL)
        self._error_types = Kinds()
        store.before_scrape(self._show)
        store.on_fork(self._forget)

    # -- What is configured ----------------------------------------------------------------------------------

    def set_prices(
        self, prices: Mapping[str, Price | Mapping[str, float]] | str | PathLike[str], version: str
    ) -> None:
        """Replace the price table."""
        table = price_table(prices)
        self._store.gauge(AI_PRICE_TABLE).replace({(version or table_version(table),): 1.0})
        self._prices = table

    def set_context_windows(self, windows: Mapping[str, float]) -> None:
        """Replace the table of context windows."""
        self._windows = tokens_by_model(windows)

    def set_budget(self, usd: float, period: str, scope: str) -> None:
        """Show a budget."""
        if period not in BUDGET_PERIODS:
            raise ArgumentError(f"period is {period!r}: it must be one of {', '.join(BUDGET_PERIODS)}")
        if isinstance(usd, bool) or not isinstance(usd, (int, float)) or not 0 <= usd < float("inf"):
            raise ArgumentError(f"usd is {usd!r}: pass what may be spent in a {period}, in US dollars")
        self._store.gauge(AI_BUDGET).set(usd, period, scope)

    # -- The beginning ---------------------------------------------------------------------------------------

    def tracker(
        self,
        model: str | Callable[..., str],
        provider: str | Callable[..., str],
        judge: Callable[[Any], str | None] | None,
        *,
        each_chunk: bool = False,
    ) -> Tracker[AIResponse]:
        """Return a tracker of a model's answers."""

        def make(tracker: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AIResponse:
            names = [self._name(value, args, kwargs) for value in (model, provider)]
            return self.begin(tracker, self._pair(names[0], names[1]))

        if callable(model) or callable(provider):
            return Tracker(self._store, _WHERE, make, judge, timed=each_chunk)
        pair = self._pair(self._name(model, (), {}), self._name(provider, (), {}))
        return _Calls(self._store, self, pair, judge, each_chunk=each_chunk)

    def detached(self) -> AIResponse:
        """Return a response that records nothing."""
        return AIResponse(None, _Pair(self, _UNKNOWN, _UNKNOWN))

    def begin(self, tracker: object, pair: _Pair) -> AIResponse:
        """Begin a response of a model."""
        response = AIResponse(tracker, pair)
        if not pair.prepared:
            self._prepare(pair)
        pair.open.add(response)
        self._count_open(pair, 1)
        return response

    def _count_open(self, pair: _Pair, change: int) -> None:
        if pair.ends is None or pair.ends.in_flight is not None:
            self._in_flight.inc(pair.model, pair.provider, by=change)

    def _pair(self, model: str, provider: str) -> _Pair:
        """Return what is known of a model; beyond the bound only where its calls are open."""
        pair = self._pairs.get((model, provider))
        if pair is None:
            pair = _Pair(self, model, provider)
            if len(self._pairs) < self._store.max_series:
                return self._pairs.setdefault((model, provider), pair)
            pair.prepared = True
            pair.open = self._rest.open
        return pair

    def _prepare(self, pair: _Pair) -> None:
        """Let the series of a model start at 0; keep the numbers at hand where nothing forbids it."""
        pair.prepared = True
        model, provider = pair.model, pair.provider
        folded = self._store.folded
        ok = self._durations.child(model, provider, "ok")
        in_flight, missing = self._in_flight.child(model, provider), self._missing.child(model)
        self._silence.child(model, provider)
        self._tokens.child(model, "input")
        for family in (self._cost, self._unpriced):
            family.child(model)
        if self._store.folded == folded and self._store.lock is None:
            if self._store.in_memory:
                pair.ends = _Ends(None, missing, pair.fresh)
            else:
                pair.ends = _Ends(in_flight, missing, ok)

    def _name(self, value: str | Callable[..., str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        try:
            return label_text(value(*args, **kwargs) if callable(value) else value)
        except Exception:  # noqa: BLE001  # the user's function must not break the user's call
            self._store.fault(_WHERE)
            return _UNKNOWN

    # -- The end ---------------------------------------------------------------------------------------------

    def note(self, tokens: dict[str, float], kind: str, number: float) -> None:
        """Write down a reported number of tokens, if it is one."""
        try:
            value = float(number)
        except Exception:  # noqa: BLE001  # whatever an object raises that is no number
            self._store.fault("usage")
            return
        if 0 <= value < float("inf"):
            tokens[kind] = value

    def timing(self, pair: _Pair) -> tuple[Timing, bool]:
        """Return where the waits for parts are counted, and whether `add_waits` has to be called for them.

        It has to where each change takes the lock: a stream counts by itself then, and adds up at its end.
        """
        family = self._chunk_gaps()
        if self._store.lock is None:
            return Timing(family.child(pair.model, pair.provider), family.bounds), False
        return Timing([0.0] * (len(family.bounds) + 2), family.bounds), True

    def add_waits(self, pair: _Pair, waits: Timing) -> None:
        """Add the waits that a stream has counted by itself."""
        with self._store.lock or nullcontext():
            child = self._chunk_gaps().child(pair.model, pair.provider)
            for place, number in enumerate(waits.child):
                child[place] += number

    def time_chunk(self, pair: _Pair, seconds: float) -> None:
        """Count the wait for one part."""
        self._chunk_gaps().observe(seconds, pair.model, pair.provider)

    def record(self, response: AIResponse, pair: _Pair, status: str, seconds: float) -> None:
        """Record the end of a response."""
        model, provider = pair.model, pair.provider
        pair.open.discard(response)
        self._count_open(pair, -1)
        self._durations.observe(seconds, model, provider, status)
        parts = response.parts
        if parts is not None:
            self.stalls.remove(parts)
            if parts.first:
                parts.end(response.started + seconds, well=status == "ok")
                self._first.observe(parts.first - response.started, model, provider)
                self._gap.observe(parts.longest, model, provider)
        if status == "error":
            self._errors.inc(model, provider, self._error_types.bounded(label_text(response.error_type)))
        if response.said is None:
            self._account(model, {}, complete=status == "ok")
            return
        per_token = response.per_output_token()
        if status == "ok" and per_token is not None:
            self._per_token.observe(per_token, model, provider)
        reason, waits = response.reason(), response.waits()
        if reason is not None:
            self._finish.inc(model, reason)
        if waits is not None:
            self.add_waits(pair, waits)
        self._account(model, response.tokens(), complete=status == "ok")

    def _account(self, model: str, tokens: dict[str, float], *, complete: bool) -> None:
        """Count tokens, what they cost, and what is not known about either."""
        if not tokens:
            if complete:
                self._missing.inc(model)
            return
        for kind, number in tokens.items():
            self._tokens.inc(model, kind, by=number)
        price = self._prices.get(model)
        if price is None:
            self._unpriced.inc(model, by=sum(tokens.values()))
        else:
            self._cost.inc(model, by=price.cost(tokens))
        window = self._windows.get(model)
        if window is not None:
            self._store.histogram(AI_CONTEXT_USED).observe(sum(tokens.values()) / window, model)

    # -- While calls run -------------------------------------------------------------------------------------

    def _show(self) -> None:
        """Show what was kept for a scrape, and each model's silence: a call that hangs is seen so."""
        now = perf_counter()
        for pair in (*self._pairs.copy().values(), self._rest):
            silence = max((response.silent(now) for response in pair.open.copy()), default=0.0)
            if silence > 0 or pair.silent:
                pair.silent = silence > 0
                self._silence.set(silence, pair.model, pair.provider)
            if pair.ends is not None and pair.ends.in_flight is None:
                self._in_flight.set(len(pair.open), pair.model, pair.provider)
                self._bring(pair, pair.ends.missing)

    def _bring(self, pair: _Pair, missing: Child) -> None:
        """Bring fresh durations to their series; what ends meanwhile stays for the next time."""
        ok, fresh = self._durations.child(pair.model, pair.provider, "ok"), pair.fresh
        numbers = fresh.copy()
        for place, number in enumerate(numbers):
            fresh[place] -= number
            ok[place] += number
        missing[0] += sum(numbers[:-1])

    def _chunk_gaps(self) -> HistogramFamily:
        return self._store.histogram(AI_CHUNK_GAP)

    def _forget(self) -> None:
        """Forget numbers that belong to the parent process, and its calls."""
        for pair in (*self._pairs.copy().values(), self._rest):
            pair.ends = None
            pair.prepared = pair is self._rest
            pair.open = set()
