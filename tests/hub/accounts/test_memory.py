"""What is remembered of Postgres: fresh for a minute, for an hour where it is away, forgotten at a word."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from claw_hub.accounts import memory as module
from claw_hub.accounts.memory import Loaded, Memory
from claw_hub.errors import UnavailableError

if TYPE_CHECKING:
    from tests.hub.accounts.conftest import Clock


@dataclass
class Source:
    """What is asked: the value of now, or nothing, or it is away."""

    value: str | None = "first"
    is_away: bool = False
    asked: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    async def __call__(self) -> Loaded[str] | None:
        self.asked += 1
        value, is_away = self.value, self.is_away
        await self.open.wait()
        if is_away:
            raise UnavailableError("away")
        return None if value is None else Loaded(value, "tenant:1")


async def asked(memory: Memory, source: Source) -> str | None:
    return await memory.get("key:a", source)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def memory(clock: Clock) -> Memory:
    made = Memory(clock=clock)
    made.listen(is_told=True)
    return made


async def test_a_value_is_asked_for_once_a_minute(memory: Memory, source: Source, clock: Clock) -> None:
    assert await memory.get("key:a", source) == "first"
    source.value = "second"
    clock.now += 59
    assert await memory.get("key:a", source) == "first"
    clock.now += 1
    assert await memory.get("key:a", source) == "second"
    assert source.asked == 2


async def test_where_nobody_tells_of_changes_it_is_asked_for_every_second(
    memory: Memory, source: Source, clock: Clock
) -> None:
    memory.listen(is_told=False)
    assert await memory.get("key:a", source) == "first"
    assert await memory.get("key:a", source) == "first"
    assert source.asked == 1
    clock.now += 1
    await memory.get("key:a", source)
    assert source.asked == 2


async def test_what_was_read_before_somebody_listened_is_read_again(memory: Memory, source: Source) -> None:
    await memory.get("key:a", source)
    memory.listen(is_told=True)
    await memory.get("key:a", source)
    assert source.asked == 2


async def test_that_there_is_nothing_is_remembered_for_a_moment(
    memory: Memory, source: Source, clock: Clock
) -> None:
    source.value = None
    assert await asked(memory, source) is None
    source.value = "made"
    assert await asked(memory, source) is None
    clock.now += 10
    assert await memory.get("key:a", source) == "made"
    assert source.asked == 2


@pytest.mark.parametrize("name", ["key:a", "tenant:1"])
async def test_what_changed_is_asked_for_again_as_is_what_belongs_to_it(
    memory: Memory, source: Source, name: str
) -> None:
    await memory.get("key:a", source)
    source.value = "second"
    memory.forget("key:b")
    assert await memory.get("key:a", source) == "first"
    memory.forget(name)
    assert await memory.get("key:a", source) == "second"


async def test_a_query_that_began_before_a_change_is_not_remembered(memory: Memory, source: Source) -> None:
    source.open.clear()
    before = asyncio.create_task(asked(memory, source))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert source.asked == 1
    source.value = None
    memory.forget("key:a")
    after = asyncio.create_task(asked(memory, source))
    await asyncio.sleep(0)
    source.open.set()
    assert (await before, await after) == ("first", None)
    assert await asked(memory, source) is None


async def test_many_who_ask_at_once_share_one_query(memory: Memory, source: Source) -> None:
    values = await asyncio.gather(*(asked(memory, source) for _ in range(50)))
    assert set(values) == {"first"}
    assert source.asked == 1


async def test_one_who_gives_up_does_not_take_the_query_from_the_others(
    memory: Memory, source: Source
) -> None:
    source.open.clear()
    first, second = (asyncio.create_task(asked(memory, source)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    source.open.set()
    assert await second == "first"
    assert source.asked == 1


async def test_where_postgres_is_away_it_is_remembered_for_an_hour(
    memory: Memory, source: Source, clock: Clock
) -> None:
    await memory.get("key:a", source)
    source.is_away = True
    clock.now += 3599
    assert await memory.get("key:a", source) == "first"
    clock.now += 1
    with pytest.raises(UnavailableError):
        await memory.get("key:a", source)


async def test_what_was_forgotten_is_not_there_where_postgres_is_away(memory: Memory, source: Source) -> None:
    await memory.get("key:a", source)
    source.is_away = True
    memory.forget("key:a")
    with pytest.raises(UnavailableError):
        await memory.get("key:a", source)


async def test_nobody_waits_for_a_postgres_that_did_not_answer_a_moment_ago(
    memory: Memory, source: Source, clock: Clock
) -> None:
    await memory.get("key:a", source)
    source.is_away = True
    clock.now += 60
    await memory.get("key:a", source)
    source.open.clear()
    assert await memory.get("key:a", source) == "first"
    assert source.asked == 2
    clock.now += 1
    assert await memory.get("key:a", source) == "first"  # asked beside
    await asyncio.sleep(0)
    assert source.asked == 3
    source.open.set()
    await memory.close()


async def test_it_is_fresh_again_when_postgres_is_back(memory: Memory, source: Source, clock: Clock) -> None:
    await memory.get("key:a", source)
    source.is_away = True
    clock.now += 60
    await memory.get("key:a", source)
    source.is_away, source.value = False, "second"
    clock.now += 1
    assert await memory.get("key:a", source) == "first"
    await asyncio.gather(*memory._tasks)
    assert await memory.get("key:a", source) == "second"


async def test_it_holds_a_bounded_number_and_guesses_drive_no_value_out(
    memory: Memory, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    monkeypatch.setattr(module, "MAX_ABSENT", 3)
    for number in range(5):
        await memory.get(f"key:{number}", source)
    source.value = None
    for number in range(100, 110):
        await memory.get(f"key:{number}", source)
    assert list(memory._present) == ["key:2", "key:3", "key:4"]
    assert list(memory._absent) == ["key:107", "key:108", "key:109"]
