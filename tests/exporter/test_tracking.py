from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import itertools
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from starlette.requests import ClientDisconnect

from claw_exporter import Operation
from claw_exporter.catalog import INTERNAL_ERRORS
from claw_exporter.store import Store
from claw_exporter.tracking import Tracker, innermost, is_cancellation

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator

    Ends = list[tuple[str, float]]
    Make = Callable[..., Tracker[Operation]]


def operation_tracker(
    store: Store, where: str, record: Callable[[str, float], None], judge: Callable[[Any], str | None] | None
) -> Tracker[Operation]:
    """Return a tracker that calls ``record(status, seconds)`` at each end."""
    return Tracker(store, where, lambda tracker, *_: Operation(tracker, record), judge)


@pytest.fixture
def ends() -> Ends:
    """The status and the seconds of every measurement that ended."""
    return []


@pytest.fixture
def tracker(ends: Ends) -> Tracker[Operation]:
    return operation_tracker(Store(), "test", lambda *end: ends.append(end), None)


@pytest.fixture
def judged(ends: Ends) -> Tracker[Operation]:
    """A tracker that takes text beginning with "Error" for a failure."""

    def judge(value: Any) -> str | None:  # noqa: ANN401  # any value
        return "said_so" if value.startswith("Error") else None

    return operation_tracker(Store(), "test", lambda *end: ends.append(end), judge)


def statuses(ends: Ends) -> list[str]:
    return [status for status, _ in ends]


# -- As a context manager ------------------------------------------------------------------------------------
def test_a_block_is_measured(tracker: Tracker[Operation], ends: Ends) -> None:
    with tracker:
        assert ends == []
    assert statuses(ends) == ["ok"]
    assert ends[0][1] > 0


async def test_an_asynchronous_block_is_measured(tracker: Tracker[Operation], ends: Ends) -> None:
    async with tracker as operation:
        assert innermost(Operation) is operation
    assert statuses(ends) == ["ok"]
    assert innermost(Operation) is None


def test_an_exception_passes_through_and_is_an_error(tracker: Tracker[Operation], ends: Ends) -> None:
    with pytest.raises(KeyError), tracker as operation:
        raise KeyError
    assert statuses(ends) == ["error"]
    assert operation.error_type == "KeyError"


def test_a_block_may_say_that_it_failed(tracker: Tracker[Operation], ends: Ends) -> None:
    with tracker as operation:
        operation.fail("rate_limited")
    assert statuses(ends) == ["error"]
    assert operation.error_type == "rate_limited"


async def test_a_cancelled_block_is_no_error(tracker: Tracker[Operation], ends: Ends) -> None:
    entered = asyncio.Event()

    async def work() -> None:
        with tracker:
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert statuses(ends) == ["cancelled"]


def test_one_tracker_nests_in_itself(tracker: Tracker[Operation], ends: Ends) -> None:
    with tracker as outer:
        with tracker as inner:
            assert innermost(Operation) is inner
            inner.fail()
        assert innermost(Operation) is outer
    assert statuses(ends) == ["error", "ok"]
    assert ends[1][1] > ends[0][1]


async def test_one_tracker_serves_many_tasks_at_once(tracker: Tracker[Operation], ends: Ends) -> None:
    go = [asyncio.Event() for _ in range(3)]

    async def work(number: int) -> None:
        async with tracker as operation:
            await go[number].wait()
            if number == 1:
                operation.fail()

    tasks = [asyncio.create_task(work(number)) for number in range(3)]
    await asyncio.sleep(0)
    for number in (1, 0, 2):  # not in the order they began
        go[number].set()
        await tasks[number]
    assert statuses(ends) == ["error", "ok", "ok"]


def test_a_block_that_ends_in_another_context_is_measured(tracker: Tracker[Operation], ends: Ends) -> None:
    def steps() -> Iterator[None]:
        with tracker:
            yield

    running = steps()
    for _ in range(2):  # as a server does that runs each step of a generator in a thread
        contextvars.copy_context().run(next, running, None)
    assert statuses(ends) == ["ok"]
    assert innermost(Operation) is None


def test_blocks_may_overlap(tracker: Tracker[Operation], ends: Ends) -> None:
    other = operation_tracker(Store(), "other", lambda *_: None, None)
    first = tracker.__enter__()
    second = other.__enter__()
    tracker.__exit__(None, None, None)
    assert statuses(ends) == ["ok"]
    assert innermost(Operation) is second
    other.__exit__(None, None, None)
    assert innermost(Operation) is None
    with tracker as third:  # what is over is not kept alive by what comes after
        assert third.outer is None
    assert not first.open


def test_leaving_what_was_never_entered_does_nothing(tracker: Tracker[Operation], ends: Ends) -> None:
    tracker.__exit__(None, None, None)
    assert ends == []


def test_a_measurement_ends_once(tracker: Tracker[Operation], ends: Ends) -> None:
    operation = tracker.begin()
    tracker.end(operation)
    tracker.end(operation)
    assert statuses(ends) == ["ok"]


def test_an_error_while_recording_is_counted_and_kept_away() -> None:
    def record(status: str, seconds: float) -> None:
        raise RuntimeError(f"{status} {seconds}")

    store = Store()
    with operation_tracker(store, "track_test", record, None):
        pass
    assert store.counter(INTERNAL_ERRORS).series() == [(("track_test",), [1.0])]


def test_the_innermost_measurement_of_another_kind_is_not_found(tracker: Tracker[Operation]) -> None:
    class Other(Operation):
        pass

    with tracker:
        assert innermost(Other) is None


# -- As a decorator ------------------------------------------------------------------------------------------
def test_a_function_is_measured(tracker: Tracker[Operation], ends: Ends) -> None:
    @tracker
    def add(a: int, b: int = 2) -> int:
        """Add."""
        assert innermost(Operation) is not None
        return a + b

    assert add(1) == 3
    assert statuses(ends) == ["ok"]
    assert (add.__name__, add.__doc__, list(inspect.signature(add).parameters)) == ("add", "Add.", ["a", "b"])
    assert innermost(Operation) is None


def test_a_function_that_raises_is_an_error(tracker: Tracker[Operation], ends: Ends) -> None:
    @tracker
    def broken() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert statuses(ends) == ["error"]


async def test_a_coroutine_function_is_measured_while_it_runs(
    tracker: Tracker[Operation], ends: Ends
) -> None:
    @tracker
    async def work() -> str:
        await asyncio.sleep(0.01)
        return "done"

    assert inspect.iscoroutinefunction(work)
    assert await work() == "done"
    assert ends[0][1] > 0.005


async def test_a_coroutine_function_that_raises_is_an_error(tracker: Tracker[Operation], ends: Ends) -> None:
    @tracker
    async def broken() -> None:
        raise ClientDisconnect

    with pytest.raises(ClientDisconnect):
        await broken()
    assert statuses(ends) == ["cancelled"]


async def test_methods_partials_and_callable_objects_are_measured(
    tracker: Tracker[Operation], ends: Ends
) -> None:
    class Service:
        @tracker
        async def method(self, x: int) -> int:
            return x

    class Called:
        async def __call__(self, x: int) -> int:
            return x

    async def function(x: int) -> int:
        return x

    wrapped = tracker(partial(function, 3))
    # An object's class decides, so the wrapper is a coroutine function although the object is none.
    called = tracker(Called())
    assert inspect.iscoroutinefunction(called)
    assert [await Service().method(1), await called(2), await wrapped()] == [1, 2, 3]
    assert statuses(ends) == ["ok", "ok", "ok"]


def test_a_returned_value_may_be_judged(judged: Tracker[Operation], ends: Ends) -> None:
    @judged
    def answer(text: str) -> str:
        return text

    assert [answer("Hello"), answer("Error: quota")] == ["Hello", "Error: quota"]
    assert statuses(ends) == ["ok", "error"]


async def test_a_coroutines_value_may_be_judged(judged: Tracker[Operation], ends: Ends) -> None:
    @judged
    async def answer(text: str) -> str:
        return text

    assert await answer("Error: quota") == "Error: quota"
    assert statuses(ends) == ["error"]


def test_a_judgement_that_breaks_is_counted_and_kept_away(ends: Ends) -> None:
    def judge(value: Any) -> str:  # noqa: ANN401  # any value
        raise RuntimeError(value)

    store = Store()

    @operation_tracker(store, "track_test", lambda *end: ends.append(end), judge)
    def answer() -> int:
        return 7

    assert answer() == 7
    assert statuses(ends) == ["ok"]
    assert store.counter(INTERNAL_ERRORS).series() == [(("track_test.result",), [1.0])]


# -- Generators ----------------------------------------------------------------------------------------------
def test_a_generator_is_measured_until_its_end(judged: Tracker[Operation], ends: Ends) -> None:
    @judged
    def parts() -> Generator[str, str, int]:
        assert innermost(Operation) is not None
        sent = yield "a"
        yield sent
        return 7

    running = parts()
    assert inspect.isgeneratorfunction(parts)
    assert next(running) == "a"
    assert innermost(Operation) is None  # the consumer is not inside
    assert running.send("b") == "b"
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert stop.value.value == 7
    assert statuses(ends) == ["ok"]


def test_a_generator_that_yields_an_error_failed(judged: Tracker[Operation], ends: Ends) -> None:
    @judged
    def parts() -> Iterator[str]:
        yield "a"
        yield "Error: quota"

    assert list(parts()) == ["a", "Error: quota"]
    assert statuses(ends) == ["error"]


def test_a_closed_generator_is_cancelled_and_cleans_up(tracker: Tracker[Operation], ends: Ends) -> None:
    cleaned: list[bool] = []

    @tracker
    def parts() -> Generator[str, None, None]:
        try:
            yield "a"
        finally:
            cleaned.append(True)

    running = parts()
    next(running)
    running.close()
    assert cleaned == [True]
    assert statuses(ends) == ["cancelled"]


def test_an_exception_thrown_into_a_generator_reaches_it(tracker: Tracker[Operation], ends: Ends) -> None:
    @tracker
    def parts() -> Generator[str, None, None]:
        try:
            yield "a"
        except KeyError:
            yield "caught"
        raise LookupError

    running = parts()
    next(running)
    assert running.throw(KeyError()) == "caught"
    with pytest.raises(LookupError):
        next(running)
    assert statuses(ends) == ["error"]


async def test_an_asynchronous_generator_is_measured_until_its_end(
    judged: Tracker[Operation], ends: Ends
) -> None:
    @judged
    async def parts() -> AsyncGenerator[str, str]:
        assert innermost(Operation) is not None
        sent = yield "a"
        yield sent

    running = parts()
    assert inspect.isasyncgenfunction(parts)
    assert await anext(running) == "a"
    assert innermost(Operation) is None
    assert await running.asend("b") == "b"
    with pytest.raises(StopAsyncIteration):
        await anext(running)
    assert statuses(ends) == ["ok"]


async def test_an_asynchronous_generator_that_yields_an_error_failed(
    judged: Tracker[Operation], ends: Ends
) -> None:
    @judged
    async def parts() -> AsyncIterator[str]:
        yield "Error: quota"

    assert [part async for part in parts()] == ["Error: quota"]
    assert statuses(ends) == ["error"]


async def test_a_closed_asynchronous_generator_is_cancelled_and_cleans_up(
    tracker: Tracker[Operation], ends: Ends
) -> None:
    cleaned: list[bool] = []

    @tracker
    async def parts() -> AsyncGenerator[str, None]:
        try:
            yield "a"
        finally:
            cleaned.append(True)

    running = parts()
    await anext(running)
    await running.aclose()
    assert cleaned == [True]
    assert statuses(ends) == ["cancelled"]


async def test_an_exception_thrown_into_an_asynchronous_generator_reaches_it(
    tracker: Tracker[Operation], ends: Ends
) -> None:
    @tracker
    async def parts() -> AsyncGenerator[str, None]:
        try:
            yield "a"
        except KeyError:
            yield "caught"
        raise LookupError

    running = parts()
    await anext(running)
    assert await running.athrow(KeyError()) == "caught"
    with pytest.raises(LookupError):
        await anext(running)
    assert statuses(ends) == ["error"]


def test_a_generator_consumed_by_other_threads_is_measured(tracker: Tracker[Operation], ends: Ends) -> None:
    @tracker
    def parts() -> Iterator[int]:
        yield 1
        yield 2

    running, seen = parts(), list[int]()
    for _ in range(3):
        thread = threading.Thread(
            target=lambda: seen.extend([value for value in [next(running, 0)] if value])
        )
        thread.start()
        thread.join()
    assert seen == [1, 2]
    assert statuses(ends) == ["ok"]


# -- Who is inside -------------------------------------------------------------------------------------------
async def test_tasks_and_threads_begun_inside_know_the_measurement(tracker: Tracker[Operation]) -> None:
    async def look() -> Operation | None:
        await asyncio.sleep(0)
        return innermost(Operation)

    @tracker
    async def work() -> list[Operation | None]:
        return [
            innermost(Operation),
            await asyncio.create_task(look()),
            *await asyncio.gather(look(), look()),
            await asyncio.wait_for(look(), 10),
            await asyncio.to_thread(innermost, Operation),
        ]

    for _ in range(2):
        seen = await work()
        assert None not in seen
        assert len(set(map(id, seen))) == 1
        assert innermost(Operation) is None
    assert await asyncio.to_thread(innermost, Operation) is None
    assert await asyncio.create_task(look()) is None


async def test_calls_at_the_same_time_do_not_see_each_other(tracker: Tracker[Operation]) -> None:
    @tracker
    async def work(number: int) -> Operation | None:
        before = innermost(Operation)
        await asyncio.sleep(0.001 * (number % 3))
        assert innermost(Operation) is before
        assert before is not None
        assert before.outer is None
        return before

    seen = await asyncio.gather(*map(work, range(20)))
    assert len(set(map(id, seen))) == 20


async def test_calls_nest_and_what_is_over_is_not_kept(tracker: Tracker[Operation]) -> None:
    @tracker
    async def work(depth: int) -> None:
        mine = innermost(Operation)
        if depth:
            await work(depth - 1)
            await work(depth - 1)
        assert mine is not None
        assert innermost(Operation) is mine
        assert (mine.outer is None) == (depth == 2)

    await work(2)
    await work(2)


async def test_a_stream_is_inside_of_itself_and_its_reader_is_not(
    tracker: Tracker[Operation], ends: Ends
) -> None:
    seen: list[Operation | None] = []

    async def look() -> None:
        seen.append(innermost(Operation))

    @tracker
    async def parts() -> AsyncIterator[int]:
        background = asyncio.create_task(later())
        for number in range(4):
            await look()
            await asyncio.create_task(look())
            yield number
        await background

    go = asyncio.Event()

    async def later() -> None:
        await go.wait()
        await look()

    with tracker as outside:
        async for number in parts():
            assert innermost(Operation) is outside
            if number == 2:
                go.set()  # what the stream has begun runs while its reader has the word
                await asyncio.sleep(0.001)
    assert len(seen) == 9
    assert len(set(map(id, seen))) == 1
    assert seen[0] is not None
    assert seen[0].outer is outside
    assert statuses(ends) == ["ok", "ok"]


async def test_what_the_reader_of_a_stream_measures_is_outside_of_it(tracker: Tracker[Operation]) -> None:
    inner: list[Operation | None] = []

    @tracker
    async def parts() -> AsyncIterator[int]:
        for number in range(3):
            inner.append(innermost(Operation))
            yield number

    stream = parts()
    assert await anext(stream) == 0
    with tracker as save:
        assert save.outer is None
        assert await anext(stream) == 1
        assert innermost(Operation) is save
    assert await anext(stream) == 2
    assert innermost(Operation) is None
    assert len(set(map(id, inner))) == 1
    await stream.aclose()  # type: ignore[attr-defined]  # a generator


async def test_each_part_may_be_waited_for_in_a_task_of_its_own(
    tracker: Tracker[Operation], ends: Ends
) -> None:
    seen: list[Operation | None] = []

    @tracker
    async def parts() -> AsyncGenerator[int, None]:
        for number in range(3):
            seen.append(innermost(Operation))
            yield number

    stream, numbers = parts(), list[int]()
    while (number := await asyncio.create_task(anext(stream, -1))) >= 0:
        numbers.append(number)
        assert innermost(Operation) is None
    assert numbers == [0, 1, 2]
    assert None not in seen
    assert len(set(map(id, seen))) == 1
    assert statuses(ends) == ["ok"]


async def test_two_streams_may_be_read_in_turns(tracker: Tracker[Operation], ends: Ends) -> None:
    seen: dict[int, set[int]] = {1: set(), 2: set()}

    @tracker
    async def parts(mine: int) -> AsyncIterator[int]:
        for number in range(4):
            seen[mine].add(id(innermost(Operation)))
            yield number

    one, two = parts(1), parts(2)
    for _ in range(4):
        await anext(one)
        await anext(two)
        assert innermost(Operation) is None
    assert len(seen[1]) == len(seen[2]) == 1
    assert seen[1] != seen[2]
    assert [await anext(stream, None) for stream in (two, one)] == [None, None]
    assert statuses(ends) == ["ok", "ok"]


# -- Generators are passed through as they are ---------------------------------------------------------------
@pytest.mark.parametrize("judge", [None, lambda _: None], ids=["plain", "judged"])
async def test_all_that_may_be_done_to_an_asynchronous_generator_reaches_it(
    ends: Ends, judge: Callable[[Any], str | None] | None
) -> None:
    def track(function: Any) -> Any:  # noqa: ANN401  # any function
        return operation_tracker(Store(), "test", lambda *end: ends.append(end), judge)(function)

    async def parts(log: list[object]) -> AsyncGenerator[object, object]:
        for number in range(100):
            try:
                log.append((yield number))
            except KeyError as error:
                log.append(repr(error))
                log.append((yield "caught"))
        log.append("end")

    async def read(function: Any) -> tuple[list[object], list[object]]:  # noqa: ANN401  # either
        log: list[object] = []
        stream = function(log)
        got = [await anext(stream) for _ in range(3)]
        got += [await stream.asend("a"), await anext(stream), await stream.asend("b")]
        got += [await stream.athrow(KeyError("c")), await anext(stream), await stream.asend("d")]
        got += [await stream.athrow(KeyError("e")), await stream.asend("f"), await anext(stream)]
        with pytest.raises(LookupError) as caught:
            await stream.athrow(LookupError("g"))
        assert str(caught.value) == "g"
        got.append(await anext(stream, "over"))
        return log, got

    assert await read(track(parts)) == await read(parts)
    assert statuses(ends) == ["error"]


async def test_a_generator_that_ends_when_it_is_closed_is_cancelled(
    tracker: Tracker[Operation], judged: Tracker[Operation], ends: Ends
) -> None:
    async def parts() -> AsyncGenerator[str, None]:
        try:
            yield "1"
            yield "2"
            yield "3"
        except GeneratorExit:
            return

    @tracker
    def more() -> Generator[int, None, None]:
        try:
            yield 1
        except GeneratorExit:
            return

    for count, track in itertools.product((1, 2, 3), (tracker, judged)):
        stream = track(parts)()
        assert [await anext(stream) for _ in range(count)][-1] == str(count)
        await stream.aclose()
    running = more()
    next(running)
    running.close()
    assert statuses(ends) == ["cancelled"] * 7


@pytest.mark.parametrize("judge", [None, lambda _: None], ids=["plain", "judged"])
async def test_a_stream_that_breaks_in_its_middle_is_an_error_and_holds_nothing(
    ends: Ends, judge: Callable[[Any], str | None] | None
) -> None:
    @operation_tracker(Store(), "test", lambda *end: ends.append(end), judge)
    async def parts() -> AsyncGenerator[int, None]:
        yield 1
        yield 2
        raise Broken

    class Broken(Exception):  # noqa: N818  # short
        pass

    async def fail(*, thrown: bool) -> weakref.ref[Exception]:
        stream = parts()
        assert [await anext(stream), await anext(stream)] == [1, 2]
        try:
            await (stream.athrow(Broken()) if thrown else anext(stream))
        except Broken as raised:
            return weakref.ref(raised)
        pytest.fail("nothing was raised")

    gc.disable()
    try:
        held = [await fail(thrown=False), await fail(thrown=True)]
        assert [ref() for ref in held] == [None, None]
    finally:
        gc.enable()
    assert statuses(ends) == ["error", "error"]


async def test_an_abandoned_stream_ends(tracker: Tracker[Operation], ends: Ends) -> None:
    @tracker
    async def parts() -> AsyncIterator[int]:
        yield 1
        yield 2
        yield 3

    async for number in parts():
        if number == 2:
            break
    gc.collect()
    await asyncio.sleep(0.01)  # the event loop closes it
    assert statuses(ends) == ["cancelled"]


# -- What cancellation looks like ----------------------------------------------------------------------------
def test_cancellation_has_many_forms() -> None:
    class Cancelled(BaseException):  # trio's
        pass

    both = BaseExceptionGroup("", [asyncio.CancelledError(), ValueError()])
    only = BaseExceptionGroup("", [asyncio.CancelledError(), GeneratorExit()])
    forms = [asyncio.CancelledError(), GeneratorExit(), ClientDisconnect(), Cancelled(), only]
    assert all(map(is_cancellation, forms))
    assert not any(map(is_cancellation, [ValueError(), KeyboardInterrupt(), both]))
