"""HTTP attempts of the clients of AI providers, counted in their transport: no client library is imported.

Not around the call: the SDKs of OpenAI and Anthropic try again by themselves, so whoever waits for the call
sees the last attempt only. Not by httpx's event hooks: these do not see a connection that fails.
An attempt ends with the last byte of its response, so a stream that breaks off is a failed one; so is one
that tells of an error in an event, as an overloaded provider does.
"""

from __future__ import annotations

import json
import re
import zlib
from functools import cache
from math import isfinite
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from claw_exporter.catalog import AI_ATTEMPTS, AI_RATELIMIT_REMAINING, AI_RETRIES
from claw_exporter.errors import ArgumentError
from claw_exporter.store import label_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from claw_exporter.store import Store

__all__ = ["Attempts", "outcome"]

_WHERE: Final = "watch_provider"
_UNKNOWN: Final = "unknown"
_DEPTH: Final = (
    3  # an SDK's client holds its HTTP client; what with_raw_response gives holds the SDK's client
)
_KEPT_BYTES: Final = 4096
_FRESH_SECONDS: Final = 300.0
_MODEL: Final = re.compile(rb'"model"\s*:\s*"([^"\\]+)"')
_CODE: Final = re.compile(rb'"(?:code|type)"\s*:\s*"?([\w.-]+)')

# What a class of exception means, the first that fits; httpx's and httpx2's bear the same names.
_ERRORS: Final = {
    "PoolTimeout": "other",  # our own pool is full: no provider was asked
    "LocalProtocolError": "other",
    "UnsupportedProtocol": "other",
    "TimeoutException": "timeout",
    "TimeoutError": "timeout",
    "TransportError": "connection",
    "OSError": "connection",
}
_STATUSES: Final = {
    401: "auth",
    402: "quota_exhausted",
    403: "auth",
    408: "timeout",
    409: "other",  # a lock of theirs; the SDKs try again
    429: "rate_limited",
}
# What a refusal says in its error's code or type, where that tells more than the status (4xx only).
_CODES: Final = {
    b"insufficient_quota": "quota_exhausted",  # OpenAI
    b"billing_hard_limit_reached": "quota_exhausted",
    b"billing_error": "quota_exhausted",  # Anthropic
    b"exceeded_current_quota_error": "quota_exhausted",  # Moonshot
    b"1113": "quota_exhausted",  # Zhipu
    b"context_length_exceeded": "context_length",
    b"1261": "context_length",
    b"content_filter": "content_filter",
    b"content_policy_violation": "content_filter",
    b"1301": "content_filter",
}
# The same of an error in an event of a stream whose status is 200; one that says none of these is an outage.
_EVENT_CODES: Final = _CODES | {
    b"rate_limit_error": "rate_limited",  # Anthropic
    b"rate_limit_exceeded": "rate_limited",  # OpenAI
    b"timeout_error": "timeout",
    b"authentication_error": "auth",
    b"permission_error": "auth",
    b"invalid_request_error": "invalid_request",
}
# Such events begin a line; inside of an answer's text there are no line breaks, JSON escapes them.
_EVENTS: Final = (b"\nevent: error", b'\ndata: {"error"')
_TAIL_BYTES: Final = max(map(len, _EVENTS)) - 1
# Anthropic has no code of its own for these.
_MESSAGES: Final = {
    b"credit balance is too low": "quota_exhausted",
    b"prompt is too long": "context_length",
    b"content filtering policy": "content_filter",
}
_LIMITS: Final = {
    name.encode(): place
    for kind in ("requests", "tokens", "input-tokens", "output-tokens")
    for part in ("limit", "remaining")
    for place in ((kind.replace("-", "_"), part),)
    for name in (f"x-ratelimit-{part}-{kind}", f"anthropic-ratelimit-{kind}-{part}")
}


class Attempts:
    """The clients whose HTTP attempts are counted.

    Args:
        store: Where the numbers go.
        clock: Seconds that only grow.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float] = monotonic) -> None:
        self._store = store
        self._clock = clock
        self._attempts = store.counter(AI_ATTEMPTS)
        self._retries = store.counter(AI_RETRIES)
        self._remaining = store.gauge(AI_RATELIMIT_REMAINING)
        self._headroom: dict[tuple[object, ...], tuple[float, float]] = {}
        store.before_scrape(self._show_headroom)

    def watch(self, client: object, provider: str | Callable[[str], str], models: Iterable[str]) -> None:
        """Count what a client sends from now on; watching it again only replaces ``provider``.

        Raises:
            ArgumentError: The object neither is an HTTP client of httpx nor holds one.
        """
        http = _http_client(client)
        http._transport = self._around(http._transport, provider)  # noqa: SLF001  # httpx has no public name for it
        for pattern, transport in http._mounts.items():  # noqa: SLF001  # those of proxies
            if transport is not None:
                http._mounts[pattern] = self._around(transport, provider)  # noqa: SLF001
        for model in models:
            self._prepare(label_text(model), self._provider(provider, label_text(model)))

    def begin(self, request: Any, provider: str | Callable[[str], str]) -> _Attempt:  # noqa: ANN401  # no client library is imported
        """Return the attempt that a request begins; never raises."""
        labels = (_UNKNOWN, _UNKNOWN)
        try:
            model = _model(request)
            labels = (model, _UNKNOWN)
            labels = (model, self._provider(provider, model))
            self._prepare(*labels)
            if request.headers.get("x-stainless-retry-count", "0") != "0":
                self._retries.inc(*labels)
        except Exception:  # noqa: BLE001  # never into a request
            self._store.fault(_WHERE)
        return _Attempt(self, labels)

    def answered(self, attempt: _Attempt, response: Any, body: type[_Body]) -> None:  # noqa: ANN401  # as above
        """Note what the head of a response says, and follow its body; never raises."""
        try:
            attempt.status = int(response.status_code)
            attempt.streamed = response.headers.get("content-type", "").startswith("text/event-stream")
            self._note_headroom(attempt.labels, response.headers.raw)
            if response.is_closed:  # made with its body, by a transport that asks no server
                attempt.keep(response.content)
                attempt.end(None)
            else:
                kind = _body_type(type(response.stream), body)  # type: ignore[arg-type]  # classes are hashable
                response.stream = kind(response.stream, attempt)
        except Exception:  # noqa: BLE001  # never into a request
            self._store.fault(_WHERE)

    def count(self, attempt: _Attempt, error: BaseException | None) -> None:
        """Count an attempt that ended; never raises."""
        try:
            self._attempts.inc(*attempt.labels, outcome(attempt.status, attempt.kept, error))
        except Exception:  # noqa: BLE001  # never into a request
            self._store.fault(_WHERE)

    def _around(self, transport: Any, provider: str | Callable[[str], str]) -> _Transport:  # noqa: ANN401  # as above
        if isinstance(transport, _Transport) and transport.attempts is self:
            transport = transport.inner
        return _Transport(self, transport, provider)

    def _provider(self, provider: str | Callable[[str], str], model: str) -> str:
        return label_text(provider(model) if callable(provider) else provider)

    def _prepare(self, model: str, provider: str) -> None:
        """Let the series of a model start at 0, all outcomes together."""
        self._attempts.child(model, provider, "ok")
        self._retries.child(model, provider)

    def _note_headroom(self, labels: tuple[str, str], headers: Iterable[tuple[bytes, bytes]]) -> None:
        found = {place: value for name, value in headers if (place := _LIMITS.get(name.lower())) is not None}
        for (kind, part), value in found.items():
            if part == "remaining":
                ratio = _ratio(value, found.get((kind, "limit"), b""))
                key = (*labels, kind)
                if ratio is not None and (
                    key in self._headroom or len(self._headroom) < self._store.max_series
                ):
                    self._headroom[key] = (ratio, self._clock())

    def _show_headroom(self) -> None:
        """Show what is fresh: the limits' windows are minutes, and a 0 must not stay when calls stop."""
        now = self._clock()
        for key, (_, at) in self._headroom.copy().items():
            if now - at > _FRESH_SECONDS:
                del self._headroom[key]
        self._remaining.replace({key: ratio for key, (ratio, _) in self._headroom.copy().items()})


class _Attempt:
    """One request on its way.

    Attributes:
        labels: Model and provider.
        status: Status of the response; 0 before there is one.
        streamed: Whether its body is a stream of events.
        kept: The beginning of a refusal's body, or the event that tells of an error.
    """

    __slots__ = ("_attempts", "_ended", "_tail", "kept", "labels", "status", "streamed")

    def __init__(self, attempts: Attempts, labels: tuple[str, str]) -> None:
        self._attempts = attempts
        self._ended = False
        self._tail = b"\n"
        self.labels = labels
        self.status = 0
        self.streamed = False
        self.kept = b""

    def keep(self, chunk: bytes) -> None:
        """Keep what may tell one refusal from another."""
        if not isinstance(chunk, bytes) or len(self.kept) >= _KEPT_BYTES:
            return
        if self.kept or 400 <= self.status < 500:  # noqa: PLR2004  # as HTTP has it
            self.kept += chunk[:_KEPT_BYTES]
        elif self.streamed:
            self._look_for_errors(self._tail + chunk)

    def _look_for_errors(self, text: bytes) -> None:
        for event in _EVENTS:
            if event in text:
                self.kept = text[text.index(event) :][:_KEPT_BYTES]
        self._tail = text[-_TAIL_BYTES:]

    def end(self, error: BaseException | None) -> None:
        """Count this attempt, once."""
        if not self._ended:
            self._ended = True
            self._attempts.count(self, error)


class _Transport:
    """A transport of httpx, or of whatever has its methods, around another one.

    Attributes:
        attempts: Who counts.
        inner: The transport that sends; it also answers for every attribute that is not here.
    """

    inner: Any = None  # so that a copy in the making, which has none yet, does not ask itself for ever

    def __init__(self, attempts: Attempts, inner: Any, provider: str | Callable[[str], str]) -> None:  # noqa: ANN401  # no client library is imported
        self.attempts = attempts
        self.inner = inner
        self._provider = provider

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # as the other one has it
        return getattr(self.inner, name)

    def handle_request(self, request: Any) -> Any:  # noqa: ANN401  # as httpx calls it
        """Send a request of a synchronous client."""
        attempt = self.attempts.begin(request, self._provider)
        try:
            response = self.inner.handle_request(request)
        except BaseException as error:
            attempt.end(error)
            raise
        self.attempts.answered(attempt, response, _SyncBody)
        return response

    async def handle_async_request(self, request: Any) -> Any:  # noqa: ANN401  # as httpx calls it
        """Send a request of an asynchronous client."""
        attempt = self.attempts.begin(request, self._provider)
        try:
            response = await self.inner.handle_async_request(request)
        except BaseException as error:
            attempt.end(error)
            raise
        self.attempts.answered(attempt, response, _AsyncBody)
        return response


class _Body:
    """A response's stream, passed through as it comes: an iterator, since a generator would need closing.

    Attributes:
        kind: The abstract stream of httpx that it is to be.
    """

    kind = ""

    def __init__(self, stream: Any, attempt: _Attempt) -> None:  # noqa: ANN401  # no client library is imported
        self._stream = stream
        self._attempt = attempt
        self._next: Any = None


class _SyncBody(_Body):
    kind = "SyncByteStream"

    def __iter__(self) -> _SyncBody:
        self._next = iter(self._stream).__next__
        return self

    def __next__(self) -> bytes:
        try:
            chunk: bytes = self._next()
        except BaseException as error:
            self._attempt.end(error)
            raise
        self._attempt.keep(chunk)
        return chunk

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._attempt.end(None)


class _AsyncBody(_Body):
    kind = "AsyncByteStream"

    def __aiter__(self) -> _AsyncBody:
        self._next = self._stream.__aiter__().__anext__
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk: bytes = await self._next()
        except BaseException as error:
            self._attempt.end(error)
            raise
        self._attempt.keep(chunk)
        return chunk

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._attempt.end(None)


@cache
def _body_type(stream: type, body: type[_Body]) -> type[Any]:
    """Return ``body`` as a kind of the client library's own abstract stream: httpx asserts that it is one."""
    bases = [base for base in stream.__mro__ if base.__name__ == body.kind]
    return type(body.__name__, (body, *bases), {})


def _http_client(client: Any) -> Any:  # noqa: ANN401  # no client library is imported
    candidate = client
    for _ in range(_DEPTH):
        if hasattr(candidate, "_transport") and hasattr(candidate, "_mounts"):
            return candidate
        candidate = getattr(candidate, "_client", None)
    raise ArgumentError(
        f"client is of type {type(client).__qualname__}: pass a client of openai or anthropic, or an httpx "
        "Client or AsyncClient"
    )


def _model(request: Any) -> str:  # noqa: ANN401  # as above
    """Return the model that a JSON body names; ``unknown`` where it names none, or is not in memory."""
    try:
        body: bytes = request.content
    except RuntimeError:  # httpx: not read yet, and reading is not ours to do
        return _UNKNOWN
    names = set(_MODEL.findall(body))
    if len(names) == 1:
        return label_text(names.pop().decode("utf-8", "replace"))
    try:
        # Also inside a tool's arguments: only then is parsing worth its time.
        return label_text(json.loads(body)["model"]) if names else _UNKNOWN
    except (ValueError, TypeError, KeyError):
        return _UNKNOWN


def outcome(status: int, kept: bytes, error: BaseException | None) -> str:
    """Return how an attempt ended, one of `catalog.ATTEMPT_OUTCOMES`.

    Args:
        status: Status of the response; 0 where there is none.
        kept: The beginning of a refusal's body, or the event that tells of an error.
        error: What ended the attempt, or the reading of its body, if something did.
    """
    if status >= 400:  # noqa: PLR2004  # as HTTP has it; whatever became of the body
        return "server_error" if status >= 500 else _refusal(status, kept)  # noqa: PLR2004
    if kept:
        said = [_EVENT_CODES[code] for code in _CODE.findall(kept) if code in _EVENT_CODES]
        return said[0] if said else "server_error"
    if error is None or isinstance(error, (StopIteration, StopAsyncIteration)):
        return "ok"
    if not isinstance(error, Exception):
        return "cancelled"
    classes = {kind.__name__ for kind in type(error).__mro__}
    return next((outcome for name, outcome in _ERRORS.items() if name in classes), "other")


def _refusal(status: int, kept: bytes) -> str:
    """Return what a refusal means: by the beginning of its body, if that says more than the status."""
    kept = _inflated(kept)
    said = [_CODES[code] for code in _CODE.findall(kept) if code in _CODES]
    said += [outcome for words, outcome in _MESSAGES.items() if words in kept]
    return said[0] if said else _STATUSES.get(status, "invalid_request")


def _inflated(kept: bytes) -> bytes:
    if not kept.startswith(b"\x1f\x8b"):  # gzip
        return kept
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(kept, _KEPT_BYTES)
    except zlib.error:
        return b""


def _ratio(remaining: bytes, limit: bytes) -> float | None:
    try:
        ratio = float(remaining) / float(limit)
    except (ValueError, ZeroDivisionError):
        return None
    return min(max(ratio, 0.0), 1.0) if isfinite(ratio) else None
