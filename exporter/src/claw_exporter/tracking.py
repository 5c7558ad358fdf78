"""One measurement around a piece of code: as a ``with`` block or as a decorator of any kind of function.

A `Tracker` begins and ends measurements; what they record is decided by the `Measurement` it makes. Nothing
here raises into the measured code, and every exception of that code passes through unchanged.
"""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from asyncio import CancelledError
from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator
    from types import TracebackType

    from claw_exporter.store import Store

__all__ = ["Measurement", "Tracker", "innermost", "is_cancellation"]

F = TypeVar("F", bound="Callable[..., Any]")
M = TypeVar("M", bound="Measurement")

# Names, because neither trio nor the request classes of a framework are imported for this.
_CANCELLATIONS: Final = frozenset(("Cancelled", "ClientDisconnect"))

_innermost: ContextVar[Measurement | None] = ContextVar("claw_exporter_innermost", default=None)


def is_cancellation(error: BaseException) -> bool:
    """Return whether an exception means that nobody waits for the result any more."""
    if isinstance(error, (CancelledError, GeneratorExit)):
        return True
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_cancellation, error.exceptions))
    return any(base.__name__ in _CANCELLATIONS for base in type(error).__mro__)


def innermost(kind: type[M]) -> M | None:
    """Return the innermost open measurement of a kind in this task or thread."""
    return next((measurement for measurement in _chain() if isinstance(measurement, kind)), None)


def _chain() -> Iterator[Measurement]:
    """Yield the open measurements of this task or thread, innermost first.

    Some may be over: where a generator is closed in another context than it began in, nothing clears it.
    """
    measurement = _innermost.get()
    while measurement is not None:
        if measurement.open:
            yield measurement
        measurement = measurement.outer


class Measurement(ABC):
    """One run of a measured piece of code.

    Attributes:
        outer: The measurement around this one.
        started: When it began, on ``time.perf_counter``.
        error_type: Why it failed, where it has.
    """

    __slots__ = ("error_type", "open", "outer", "started", "tracker")

    def __init__(self, tracker: object) -> None:
        self.tracker = tracker
        self.outer: Measurement | None = None
        self.error_type: str | None = None
        self.open = True
        self.started = perf_counter()

    def fail(self, error_type: str = "error") -> None:
        """Say that the run ended badly though nothing was raised.

        Args:
            error_type: A short constant such as ``rate_limited``; not a message.
        """
        self.error_type = error_type

    def part(self) -> None:  # noqa: B027  # most measurements do not care
        """Note that a generator yielded."""

    @abstractmethod
    def record(self, status: str, seconds: float) -> None:
        """Record the end: status ``ok``, ``error`` or ``cancelled``."""


class Tracker(Generic[M]):
    """Measures what it is put around.

    ``with tracker as measurement:``, ``async with``, or ``@tracker`` on a function, coroutine function,
    generator or asynchronous generator. One tracker may be in use any number of times at once.

    Args:
        store: Where errors of this library are counted.
        where: What this tracker is called there.
        make: Makes a measurement from this tracker and the arguments of a decorated function.
        judge: Tells from a returned value, or from each yielded part, which kind of error it is, or None.
    """

    __slots__ = ("_judge", "_last", "_make", "_store", "_where")

    def __init__(
        self,
        store: Store,
        where: str,
        make: Callable[[Tracker[M], tuple[Any, ...], dict[str, Any]], M],
        judge: Callable[[Any], str | None] | None = None,
    ) -> None:
        self._store = store
        self._where = where
        self._make = make
        self._judge = judge
        self._last: M | None = None

    def begin(self, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> M:
        """Begin a measurement."""
        return self._make(self, args, kwargs or {})

    def end(self, measurement: M, error: BaseException | None = None) -> None:
        """End a measurement, once."""
        if not measurement.open:
            return
        measurement.open = False
        seconds = perf_counter() - measurement.started
        try:
            measurement.record(_status(measurement, error), seconds)
        except Exception:  # noqa: BLE001  # the measured code must not notice
            self._store.fault(self._where)

    def judge(self, measurement: M, value: object) -> None:
        """Look whether a returned value or a yielded part is an error."""
        if self._judge is not None:
            try:
                error_type = self._judge(value)
            except Exception:  # noqa: BLE001  # the user's judgement must not break the user's answer
                self._store.fault(f"{self._where}.result")
            else:
                if error_type:
                    measurement.fail(error_type)

    def __enter__(self) -> M:
        """Begin a measurement."""
        measurement = self.begin()
        measurement.outer = next(_chain(), None)
        _innermost.set(measurement)
        self._last = measurement
        return measurement

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the measurement that this tracker began last in this task or thread."""
        measurement = self._mine()
        if measurement is not None:
            # Not ContextVar.reset: a generator may be closed in another context than it began in.
            if _innermost.get() is measurement:
                _innermost.set(measurement.outer)
            self.end(measurement, error)

    async def __aenter__(self) -> M:
        """Begin a measurement."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End a measurement."""
        self.__exit__(kind, error, traceback)

    def _mine(self) -> M | None:
        for measurement in _chain():
            if measurement.tracker is self:
                return cast("M", measurement)
        # A context that was lost on the way (a generator resumed by another thread) leaves only this.
        return self._last

    def __call__(self, function: F) -> F:
        """Measure every call of a function; its name, its signature and its kind stay."""
        inner = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004  # objects with an async __call__
        kinds: tuple[tuple[Callable[[Any], bool], Callable[..., Any]], ...] = (
            (inspect.isasyncgenfunction, _async_generator),
            (inspect.iscoroutinefunction, _coroutine),
            (inspect.isgeneratorfunction, _generator),
        )
        for is_kind, wrap in kinds:
            if is_kind(function) or is_kind(inner):
                return cast("F", wrap(self, function))
        return cast("F", _function(self, function))


def _status(measurement: Measurement, error: BaseException | None) -> str:
    if measurement.error_type is not None:
        return "error"
    if error is None:
        return "ok"
    if is_cancellation(error):
        return "cancelled"
    measurement.error_type = type(error).__name__
    return "error"


class _Inside:
    """Makes a measurement the innermost one while the measured code runs, and only then."""

    __slots__ = ("_measurement",)

    def __init__(self, measurement: Measurement) -> None:
        self._measurement = measurement

    def __enter__(self) -> None:
        self._measurement.outer = next(_chain(), None)
        _innermost.set(self._measurement)

    def __exit__(self, *_: object) -> None:
        _innermost.set(self._measurement.outer)


def _function(tracker: Tracker[M], function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # any function
        measurement = tracker.begin(args, kwargs)
        try:
            with _Inside(measurement):
                value = function(*args, **kwargs)
        except BaseException as error:
            tracker.end(measurement, error)
            raise
        tracker.judge(measurement, value)
        tracker.end(measurement)
        return value

    return wrapper


def _coroutine(tracker: Tracker[M], function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # any function
        measurement = tracker.begin(args, kwargs)
        try:
            with _Inside(measurement):
                value = await function(*args, **kwargs)
        except BaseException as error:
            tracker.end(measurement, error)
            raise
        tracker.judge(measurement, value)
        tracker.end(measurement)
        return value

    return wrapper


def _generator(tracker: Tracker[M], function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:  # noqa: ANN401  # any function
        measurement = tracker.begin(args, kwargs)
        inside = _Inside(measurement)
        try:
            parts = function(*args, **kwargs)
            step, value = parts.send, None
            while True:
                with inside:
                    part = step(value)
                measurement.part()
                tracker.judge(measurement, part)
                try:
                    value = yield part
                    step = parts.send
                except GeneratorExit:
                    with inside:
                        parts.close()
                    raise
                except BaseException as error:  # noqa: BLE001  # handed on to the generator, as Python does
                    step, value = parts.throw, error
        except StopIteration as stop:
            tracker.end(measurement)
            return stop.value
        except BaseException as error:
            tracker.end(measurement, error)
            raise

    return wrapper


def _async_generator(tracker: Tracker[M], function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401  # any function
        measurement = tracker.begin(args, kwargs)
        inside = _Inside(measurement)
        try:
            parts = function(*args, **kwargs)
            step, value = parts.asend, None
            while True:
                with inside:
                    part = await step(value)
                measurement.part()
                tracker.judge(measurement, part)
                try:
                    value = yield part
                    step = parts.asend
                except GeneratorExit:
                    with inside:
                        await parts.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  # handed on to the generator, as Python does
                    step, value = parts.athrow, error
        except StopAsyncIteration:
            tracker.end(measurement)
        except BaseException as error:
            tracker.end(measurement, error)
            raise

    return wrapper
