"""One measurement around a piece of code: as a ``with`` block or as a decorator of any kind of function.

A `Tracker` begins and ends measurements; what they record is decided by the `Measurement` it makes. Nothing
here raises into the measured code, and every exception of that code passes through unchanged.

The innermost measurement is a context variable, so tasks and threads begun inside a measurement know it.
Setting it costs as much as the rest of a measurement, hence nobody clears it: a measurement that is over is
not seen any more, nor is that of a generator by the one who reads it (see `Measurement.seen`).
"""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from asyncio import CancelledError, current_task
from bisect import bisect_left
from contextvars import ContextVar
from threading import get_ident
from time import perf_counter
from types import CellType
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
    from types import TracebackType

    from claw_exporter.store import Child, Store

__all__ = [
    "Measurement",
    "Parts",
    "Timing",
    "Tracker",
    "current",
    "innermost",
    "is_cancellation",
    "make_current",
    "outer_here",
    "status_of",
]

F = TypeVar("F", bound="Callable[..., Any]")
M = TypeVar("M", bound="Measurement")

# Names, because neither trio nor the request classes of a framework are imported for this.
_CANCELLATIONS: Final = frozenset(("Cancelled", "ClientDisconnect"))

_innermost: ContextVar[Measurement | None] = ContextVar("claw_exporter_innermost", default=None)
current: Final = _innermost.get
make_current: Final = _innermost.set


def is_cancellation(error: BaseException) -> bool:
    """Return whether an exception means that nobody waits for the result any more."""
    if isinstance(error, (CancelledError, GeneratorExit)):
        return True
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_cancellation, error.exceptions))
    return any(base.__name__ in _CANCELLATIONS for base in type(error).__mro__)


def status_of(error: BaseException) -> str:
    """Return ``cancelled`` or ``error``."""
    return "cancelled" if is_cancellation(error) else "error"


def innermost(kind: type[M]) -> M | None:
    """Return the innermost open measurement of a kind in this task or thread."""
    return next((measurement for measurement in _chain() if isinstance(measurement, kind)), None)


def outer_here() -> Measurement | None:
    """Return the innermost open measurement of this task or thread."""
    measurement = current()
    if measurement is None or not (measurement.open or measurement.outer):
        return None
    return _seen(measurement)


def _chain() -> Iterator[Measurement]:
    """Yield the open measurements of this task or thread, innermost first."""
    measurement = _seen(current())
    while measurement is not None:
        yield measurement
        measurement = _seen(measurement.outer)


def _seen(measurement: Measurement | None) -> Measurement | None:
    """Return the innermost measurement, from this one outwards, that may be seen here."""
    while measurement is not None and not measurement.seen():
        measurement = measurement.outer
    return measurement


def _here() -> int:
    """Return what tells this task, or else this thread, from others."""
    try:
        task = current_task()
    except RuntimeError:  # no event loop
        task = None
    return id(task) if task is not None else get_ident()  # no reference: a task's context would hold itself


class Timing(NamedTuple):
    """Where the wait for each part of a generator is counted.

    Attributes:
        child: Numbers of a histogram.
        bounds: Its bounds in seconds.
    """

    child: Child
    bounds: tuple[float, ...]


_UNTIMED: Final = Timing([0.0, 0.0, 0.0], (0.0,))


class Parts:
    """What is known of the parts that a measured piece of code yields.

    Attributes:
        mark: Holds whether a part has come that nobody has seen yet.
        first: When the first part came, on ``time.perf_counter``; 0.0 before.
        since: When the wait for the next part began, as far as is known.
        last: When the newest part came, as far as is known.
        longest: Longest wait for a part after the first, in seconds.
        generator: Yields the parts; None where the measured code says by itself when one comes.
        running: Its attribute that tells whether it runs.
        reader: Task or thread that reads them.
    """

    __slots__ = ("first", "generator", "last", "longest", "mark", "reader", "running", "since")

    def __init__(self) -> None:
        self.mark = CellType(False)  # noqa: FBT003  # it takes no names
        self.first = 0.0
        self.last = 0.0
        self.since = 0.0
        self.longest = 0.0
        self.generator: Any = None
        self.running = ""
        self.reader = 0

    @property
    def fresh(self) -> bool:
        """Whether a part has come that nobody has seen yet."""
        return cast("bool", self.mark.cell_contents)

    @fresh.setter
    def fresh(self, value: bool) -> None:
        self.mark.cell_contents = value

    def waiting(self) -> bool:
        """Return whether a part is being waited for: not while the reader is busy with the one before."""
        return self.generator is None or getattr(self.generator, self.running, True)

    def look(self, now: float) -> None:
        """Bring the wait for the next part up to date."""
        if self.fresh:
            self.fresh = False
            self.since = self.last = now
        elif not self.waiting():
            self.since = now
        elif now - self.since > self.longest:
            self.longest = now - self.since

    def end(self, now: float, *, well: bool) -> None:
        """Bring them up to date for the last time: who ended badly may have waited until now."""
        if self.fresh:
            self.last = now
        elif not well:
            self.longest = max(self.longest, now - self.since)


class Measurement(ABC):
    """One run of a measured piece of code.

    Attributes:
        outer: The measurement around this one.
        started: When it began, on ``time.perf_counter``.
        error_type: Why it failed, where it has.
        open: Whether it has not ended.
        parts: Of a decorated generator, and of code that says when a part comes.
    """

    __slots__ = ("error_type", "open", "outer", "parts", "started", "tracker")

    def __init__(self, tracker: object) -> None:
        self.tracker = tracker
        self.outer: Measurement | None = None
        self.error_type: str | None = None
        self.open = True
        self.parts: Parts | None = None
        self.started = perf_counter()

    def seen(self) -> bool:
        """Return whether the code that asks is inside of this measurement.

        It is not where the measurement is over, or a generator's whose reader asks between two parts. Tasks
        and threads that the generator began are inside also then; so are, wrongly, those that its reader
        begins between two parts.
        """
        parts = self.parts
        return self.open and (parts is None or parts.waiting() or parts.reader != _here())

    def fail(self, error_type: str = "error") -> None:
        """Say that the run ended badly though nothing was raised.

        Args:
            error_type: A short constant such as ``rate_limited``; not a message.
        """
        self.error_type = error_type

    def watch(self) -> None:  # noqa: B027  # most measurements do not care
        """Look at ``parts`` from time to time: a generator yielded the first one; more say little."""

    def timing(self) -> Timing | None:
        """Return where the wait for each part of a generator is counted, if it is."""
        return None

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
        timed: Whether measurements of generators have a `Measurement.timing`.

    Attributes:
        timed: The same.
    """

    __slots__ = ("_judge", "_last", "_make", "_store", "_where", "timed")

    def __init__(
        self,
        store: Store,
        where: str,
        make: Callable[[Tracker[M], tuple[Any, ...], dict[str, Any]], M],
        judge: Callable[[Any], str | None] | None = None,
        *,
        timed: bool = False,
    ) -> None:
        self._store = store
        self._where = where
        self._make = make
        self._judge = judge
        self.timed = timed
        self._last: M | None = None

    def begin(self, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> M:
        """Begin a measurement."""
        measurement = self._make(self, args, kwargs or {})
        measurement.outer = outer_here()
        return measurement

    def end(self, measurement: M, error: BaseException | None = None) -> None:
        """End a measurement, once."""
        if not measurement.open:
            return
        measurement.open = False
        seconds = perf_counter() - measurement.started
        status = "ok"
        if measurement.error_type is not None:
            status = "error"
        elif error is not None:
            status = status_of(error)
            if status == "error":
                measurement.error_type = type(error).__name__
        try:
            measurement.record(status, seconds)
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
        make_current(measurement)
        self._last = measurement
        return measurement

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the measurement that this tracker began last in this task or thread."""
        measurement = self._mine()
        if measurement is not None:
            # Not ContextVar.reset: a generator may be closed in another context than it began in.
            if current() is measurement:
                make_current(measurement.outer)
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
        kinds: tuple[tuple[Callable[[Any], bool], Callable[[Any], Callable[..., Any]]], ...] = (
            (inspect.isasyncgenfunction, self._around_async_generator),
            (inspect.iscoroutinefunction, self._around_coroutine),
            (inspect.isgeneratorfunction, self._around_generator),
        )
        for is_kind, wrap in kinds:
            if is_kind(function) or is_kind(inner):
                return cast("F", wrap(function))
        return cast("F", self._around_function(function))

    def _around_function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        begin, end, judge = self.begin, self.end, self._judge and self.judge

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # any function
            measurement = begin(args, kwargs)
            make_current(measurement)
            try:
                value = function(*args, **kwargs)
            except BaseException as error:
                end(measurement, error)
                raise
            if judge is not None:
                judge(measurement, value)
            end(measurement, None)
            return value

        return wrapper

    def _around_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        begin, end, judge = self.begin, self.end, self._judge and self.judge

        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # any function
            measurement = begin(args, kwargs)
            make_current(measurement)
            try:
                value = await function(*args, **kwargs)
            except BaseException as error:
                end(measurement, error)
                raise
            if judge is not None:
                judge(measurement, value)
            end(measurement, None)
            return value

        return wrapper

    def _around_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:  # noqa: ANN401  # any function
            measurement = self.begin(args, kwargs)
            inside = _Inside(measurement)
            value: Any = None
            try:
                parts = function(*args, **kwargs)
                inside.follow(parts, "gi_running")
                step = parts.send
                while True:
                    with inside:
                        part = step(value)
                    inside.arrived()
                    self.judge(measurement, part)
                    step = parts.send
                    try:
                        value = yield part
                    except BaseException as error:  # noqa: BLE001  # handed on to the generator, as Python does
                        step, value = parts.throw, error
            except StopIteration as stop:
                self.end(measurement, _left(value))
                return stop.value
            except BaseException as error:
                value = None  # it may be the error, whose traceback holds this frame
                self.end(measurement, error)
                raise

        return wrapper

    def _around_async_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:  # noqa: C901  # a call for each part costs too much
        if self.timed or self._judge is not None:
            return self._around_every_part(function)

        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401  # any function
            fresh = False
            measurement = self.begin(args, kwargs)
            inside = _Inside(measurement)
            value: Any = None
            try:
                parts = function(*args, **kwargs)
                inside.follow(parts, "ag_running", _cell(lambda: fresh))
                step = parts.asend
                while True:
                    # The first part, and what needs care: something was sent or thrown, or the reader comes
                    # from another context.
                    part = await inside.step(step(value))
                    step = parts.asend
                    try:
                        value = yield part
                    except BaseException as error:  # noqa: BLE001  # handed on to the generator, as Python does
                        step, value = parts.athrow, error
                    if value is not None or current() is not measurement:
                        continue
                    # All others: each line here is a few of the hundred nanoseconds that a part may cost.
                    async for part in parts:
                        fresh = True
                        try:
                            value = yield part
                            if value is not None or current() is not measurement:
                                break
                        except BaseException as error:  # noqa: BLE001  # as above
                            step, value = parts.athrow, error
                            break
                    else:
                        break
                self.end(measurement)
            except StopAsyncIteration:
                self.end(measurement, _left(value))
            except BaseException as error:
                value = None  # it may be the error, whose traceback holds this frame
                self.end(measurement, error)
                raise

        return wrapper

    def _around_every_part(self, function: Callable[..., Any]) -> Callable[..., Any]:  # noqa: C901  # as above
        """Do the same, where somebody wants to know about each part."""

        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401  # any function
            fresh = False
            measurement = self.begin(args, kwargs)
            inside = _Inside(measurement)
            child, bounds = measurement.timing() or _UNTIMED
            total, least = len(bounds) + 1, bounds[0]
            judge = self._judge and self.judge
            value: Any = None
            try:
                parts = function(*args, **kwargs)
                inside.follow(parts, "ag_running", _cell(lambda: fresh))
                step = parts.asend
                while True:
                    part = await inside.step(step(value))
                    self.judge(measurement, part)
                    step = parts.asend
                    try:
                        value = yield part
                    except BaseException as error:  # noqa: BLE001  # as above
                        step, value = parts.athrow, error
                    if value is not None or current() is not measurement:
                        continue
                    asked = perf_counter()
                    async for part in parts:
                        waited = perf_counter() - asked
                        fresh = True
                        child[0 if waited <= least else bisect_left(bounds, waited)] += 1.0
                        child[total] += waited
                        if judge is not None:
                            judge(measurement, part)
                        try:
                            value = yield part
                        except BaseException as error:  # noqa: BLE001  # as above
                            step, value = parts.athrow, error
                            break
                        if value is not None or current() is not measurement:
                            break
                        asked = perf_counter()
                    else:
                        break
                self.end(measurement)
            except StopAsyncIteration:
                self.end(measurement, _left(value))
            except BaseException as error:
                value = None  # as above
                self.end(measurement, error)
                raise

        return wrapper


def _left(value: object) -> GeneratorExit | None:
    """Return why a generator ended well, where that is because its reader has left it."""
    return value if isinstance(value, GeneratorExit) else None


def _cell(function: Any) -> CellType:  # noqa: ANN401  # typing knows no closures
    """Return the variable that a function closes over: nothing that a thread can see is set faster."""
    return cast("CellType", function.__closure__[0])


class _Inside:
    """Makes a generator's measurement the innermost one while its code runs, and times its steps.

    The variable stays set between two parts, where `Measurement.seen` hides the measurement, unless the
    reader has opened one around this step.
    """

    __slots__ = ("_before", "_measurement", "_parts", "_timing")

    def __init__(self, measurement: Measurement) -> None:
        self._measurement = measurement
        self._before: Measurement | None = None
        self._parts = measurement.parts = Parts()
        self._timing = measurement.timing()

    def follow(self, generator: Any, running: str, mark: CellType | None = None) -> None:  # noqa: ANN401  # either kind
        """Know the generator, the name of its attribute that tells whether it runs, and what marks a part."""
        parts = self._parts
        parts.generator, parts.running = generator, running
        if mark is not None:
            parts.mark = mark

    async def step(self, awaitable: Awaitable[Any]) -> Any:  # noqa: ANN401  # any part
        """Take a step of an asynchronous generator."""
        try:
            with self:
                part = await awaitable
        finally:
            del awaitable  # it may hold an error, whose traceback would hold this frame
        if not self._parts.last:
            self._measurement.watch()
        self.arrived()
        return part

    def arrived(self) -> None:
        """Note a part that this step has brought."""
        now, parts, timing = perf_counter(), self._parts, self._timing
        if not parts.last:
            parts.first = parts.first or now  # the measured code may have said so already
        else:
            waited = now - parts.since
            parts.longest = max(parts.longest, waited)
            if timing is not None:
                timing.child[bisect_left(timing.bounds, waited)] += 1.0
                timing.child[-1] += waited
        parts.since = parts.last = now

    def __enter__(self) -> None:
        measurement, before = self._measurement, current()
        if before is not measurement:
            make_current(measurement)
            self._parts.reader = _here()
            if before is not None and before.open and before is not measurement.outer:
                self._before = before
        self._parts.since = perf_counter()

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            make_current(self._before)
            self._before = None
