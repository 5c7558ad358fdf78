"""What every bus has to do; a test file of a bus makes a class of it, with a fixture `server`."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from claw_hub.bus import Delivered, Entry
from claw_hub.errors import UnavailableError
from claw_hub.records import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from claw_hub.bus import Bus

__all__ = ["CLAIM_IDLE_SECONDS", "BusServer", "Contract", "entry", "read_all"]

CLAIM_IDLE_SECONDS = 0.3
SOON_SECONDS = 5.0
ENTRY = Entry(
    kind=Kind.USAGE,
    tenant_id=2**32 - 1,
    received_us=1_763_712_000_123_456,
    body=b'{"model_name": "\xe8\xaf\xad\\u0000", "x": [1]}',
    count=1,
    idempotency_key="key é",
)


class BusServer(ABC):
    """What keeps the entries, and can be made to fail."""

    @abstractmethod
    def bus(self) -> Bus:
        """Makes another client: one in another process. A consumer is dead after `CLAIM_IDLE_SECONDS`."""

    @abstractmethod
    def start(self) -> None:
        """Starts it again, and waits until it answers."""

    @abstractmethod
    def kill(self) -> None:
        """Ends it as a crash does."""

    @abstractmethod
    def freeze(self) -> None:
        """Makes it silent."""

    @abstractmethod
    def thaw(self) -> None:
        """Ends that."""

    @asynccontextmanager
    async def using(self) -> AsyncIterator[Bus]:
        bus = self.bus()
        try:
            yield bus
        finally:
            await bus.close()


def entry(number: int, kind: Kind = Kind.USAGE) -> Entry:
    return replace(ENTRY, kind=kind, body=b'{"n": %d}' % number, received_us=number)


async def noticed() -> None:
    """Lets the event loop, which stood still while a server was started, see what became of connections."""
    for _ in range(3):
        await asyncio.sleep(0)


async def read_all(bus: Bus, consumer: str = "a", *, wanted: int | None = None) -> list[Delivered]:
    """Reads until nothing more comes, or until there are as many as wanted."""
    found: list[Delivered] = []
    deadline = time.monotonic() + SOON_SECONDS
    while more := await bus.read(consumer, count=100, block_seconds=0.05):
        found += more
    while wanted is not None and len(found) < wanted and time.monotonic() < deadline:
        found += await bus.read(consumer, count=100, block_seconds=0.05)
    return found


def numbers(delivered: Sequence[Delivered]) -> list[int]:
    return sorted(each.entry.received_us for each in delivered)


class Contract:
    async def test_an_entry_comes_as_it_was_appended(self, server: BusServer) -> None:
        async with server.using() as bus:
            entry_id = await bus.append(ENTRY)
            assert await read_all(bus) == [Delivered(id=entry_id, entry=ENTRY, deliveries=1)]

    async def test_ids_grow_within_a_kind_and_entries_come_in_their_order(self, server: BusServer) -> None:
        async with server.using() as bus:
            ids = [await bus.append(entry(number)) for number in range(20)]
            read = await read_all(bus)
        assert [each.id for each in read] == ids
        assert ids == sorted(ids, key=lambda each: [int(part) for part in each.split("-")])
        assert len(set(ids)) == 20

    async def test_many_appends_at_once_all_arrive(self, server: BusServer) -> None:
        async with server.using() as bus:
            ids = await asyncio.gather(*(bus.append(entry(number)) for number in range(1_000)))
            read = await read_all(bus)
        assert len(set(ids)) == 1_000
        assert {each.id: each.entry.received_us for each in read} == dict(zip(ids, range(1_000), strict=True))

    async def test_all_kinds_come_to_one_reader(self, server: BusServer) -> None:
        async with server.using() as bus:
            for number, kind in enumerate(Kind):
                await bus.append(entry(number, kind))
            read = await read_all(bus)
        assert {each.entry.kind: each.entry.received_us for each in read} == {
            kind: number for number, kind in enumerate(Kind)
        }

    async def test_a_reader_gets_at_most_what_it_asks_for(self, server: BusServer) -> None:
        async with server.using() as bus:
            for number in range(12):
                await bus.append(entry(number, list(Kind)[number % 3]))
            first = await bus.read("a", count=5, block_seconds=0)
            rest = await bus.read("a", count=100, block_seconds=0)
        assert len(first) == 5
        assert numbers([*first, *rest]) == list(range(12))

    async def test_large_entries_come_a_few_at_a_time(self, server: BusServer) -> None:
        async with server.using() as bus:
            for number in range(70):
                await bus.append(replace(entry(number), body=b"x" * 1_000_000))
        for _ in range(2):
            async with server.using() as bus:
                first = await bus.read("a", count=100, block_seconds=0)
                rest = await read_all(bus)
            assert 1 <= len(first) < 70
            # Reading them may take so long that the first ones come again.
            assert set(numbers([*first, *rest])) == set(range(70))

    async def test_no_kind_starves_another(self, server: BusServer) -> None:
        async with server.using() as bus:
            for number in range(30):
                await bus.append(entry(number, list(Kind)[number // 10]))
            kinds = {each.entry.kind for _ in Kind for each in await bus.read("a", count=5, block_seconds=0)}
        assert kinds == set(Kind)

    async def test_a_reader_waits_for_the_first_entry_and_no_longer(self, server: BusServer) -> None:
        async with server.using() as bus, server.using() as other:
            reading = asyncio.create_task(other.read("a", count=10, block_seconds=30))
            await asyncio.sleep(0)
            await bus.append(ENTRY)
            assert len(await asyncio.wait_for(reading, SOON_SECONDS)) == 1

    async def test_a_reader_goes_home_with_nothing(self, server: BusServer) -> None:
        async with server.using() as bus:
            assert list(await bus.read("a", count=10, block_seconds=0)) == []
            assert list(await bus.read("a", count=10, block_seconds=0.01)) == []

    async def test_two_readers_share_the_entries(self, server: BusServer) -> None:
        async with server.using() as bus, server.using() as other:
            for number in range(20):
                await bus.append(entry(number))
            first = await bus.read("a", count=10, block_seconds=0)
            second = await other.read("b", count=10, block_seconds=0)
        assert numbers([*first, *second]) == list(range(20))

    async def test_what_is_done_never_comes_again(self, server: BusServer) -> None:
        async with server.using() as bus:
            for number in range(4):
                await bus.append(entry(number, list(Kind)[number % 3]))
            read = await read_all(bus)
            await bus.done(read[:3])
            await bus.done(read[:2])
        async with server.using() as bus:
            assert [each.id for each in await read_all(bus, wanted=1)] == [read[3].id]

    async def test_what_is_not_done_comes_again_at_once_to_the_next_life_of_its_reader(
        self, server: BusServer
    ) -> None:
        async with server.using() as bus:
            for number in range(7):
                await bus.append(entry(number, list(Kind)[number % 3]))
            read = await read_all(bus)
        async with server.using() as bus:
            await bus.append(entry(7))
            first = await bus.read("a", count=4, block_seconds=0)
            again = [*first, *await bus.read("a", count=100, block_seconds=0)]
        assert len(first) == 4
        assert Counter(each.id for each in again[:7]) == Counter(each.id for each in read)
        assert [each.deliveries for each in again] == [2] * 7 + [1]

    async def test_what_a_dead_reader_has_left_goes_to_another(self, server: BusServer) -> None:
        async with server.using() as bus:
            for number in range(6):
                await bus.append(entry(number, list(Kind)[number % 3]))
            left = await read_all(bus, "dead")
        async with server.using() as bus:
            claimed = await read_all(bus, "alive", wanted=6)
            await bus.done(claimed)
            assert numbers(claimed) == numbers(left)
            assert [each.deliveries for each in claimed] == [2] * 6
            assert (await bus.lag()).entries == dict.fromkeys(Kind, 0)

    async def test_deliveries_are_counted(self, server: BusServer) -> None:
        seen = []
        async with server.using() as bus:
            await bus.append(ENTRY)
        for _ in range(4):
            async with server.using() as bus:
                seen += [each.deliveries for each in await read_all(bus, wanted=1)]
        assert seen == [1, 2, 3, 4]

    async def test_the_lag_is_what_is_not_done(self, server: BusServer) -> None:
        async with server.using() as bus:
            nothing = await bus.lag()
            for _ in range(3):
                await bus.append(replace(ENTRY, count=10))
            await bus.append(replace(ENTRY, kind=Kind.TIMELINE))
            before = await bus.lag()
            read = await read_all(bus)
            unchanged = await bus.lag()
            await bus.done(read[:1])
            after = await bus.lag()
            await bus.done(read)
            again_nothing = await bus.lag()
        assert dict(nothing.entries) == dict(nothing.records) == dict.fromkeys(Kind, 0)
        assert dict(before.entries) == {Kind.USAGE: 3, Kind.EXECUTION: 0, Kind.TIMELINE: 1}
        assert dict(before.records) == {Kind.USAGE: 30, Kind.EXECUTION: 0, Kind.TIMELINE: 1}
        assert before.bytes > 4 * len(ENTRY.body)
        assert (unchanged.entries, unchanged.records) == (before.entries, before.records)
        assert (sum(after.entries.values()), sum(after.records.values())) in {(3, 21), (3, 30)}
        assert (again_nothing.entries, again_nothing.records) == (nothing.entries, nothing.records)

    async def test_the_lag_grows_old(self, server: BusServer) -> None:
        async with server.using() as bus:
            assert set((await bus.lag()).oldest_seconds.values()) == {0}
            await bus.append(ENTRY)
            deadline = time.monotonic() + SOON_SECONDS
            while (await bus.lag()).oldest_seconds[Kind.USAGE] < 0.02:
                assert time.monotonic() < deadline

    async def test_a_crash_of_the_server_loses_nothing_that_was_acknowledged(self, server: BusServer) -> None:
        acknowledged: set[int] = set()

        async def send(number: int) -> None:
            try:
                await bus.append(entry(number))
            except UnavailableError:
                return
            acknowledged.add(number)

        async with server.using() as bus:
            await asyncio.gather(*(send(number) for number in range(100)))
            sending = [asyncio.create_task(send(number)) for number in range(100, 2_000)]
            await asyncio.sleep(0)
            server.kill()
            await asyncio.gather(*sending)
            server.start()
            await noticed()
            await send(5_000)
            assert 5_000 in acknowledged
            read = await read_all(bus, wanted=len(acknowledged))
        assert acknowledged <= {each.entry.received_us for each in read}

    async def test_a_restart_keeps_what_is_done_and_what_is_not(self, server: BusServer) -> None:
        async with server.using() as bus:
            for number in range(6):
                await bus.append(replace(entry(number), count=5))
            read = await read_all(bus)
            await bus.done(read[:2])
            server.kill()
            server.start()
            await noticed()
            assert sum((await bus.lag()).records.values()) == 20
            await bus.done(read[2:3])
        async with server.using() as bus:
            assert [each.id for each in await read_all(bus)] == [each.id for each in read[3:]]

    async def test_nothing_works_without_the_server_and_all_say_so_quickly(self, server: BusServer) -> None:
        async with server.using() as bus:
            await bus.append(ENTRY)
            read = await read_all(bus)
            server.kill()
            started = time.monotonic()
            results = await asyncio.gather(
                *(bus.append(ENTRY) for _ in range(50)),
                bus.read("a", count=10, block_seconds=1),
                bus.done(read),
                bus.lag(),
                return_exceptions=True,
            )
            assert {type(result) for result in results} == {UnavailableError}
            assert time.monotonic() - started < SOON_SECONDS
            server.start()
            await noticed()
            await bus.done(read)
            assert await bus.append(ENTRY)

    async def test_a_silent_server_is_not_waited_for(self, server: BusServer) -> None:
        async with server.using() as bus:
            await bus.append(ENTRY)
            server.freeze()
            try:
                started = time.monotonic()
                for _ in range(2):
                    with pytest.raises(UnavailableError) as caught:
                        await bus.append(ENTRY)
                assert time.monotonic() - started < SOON_SECONDS
            finally:
                server.thaw()
            assert caught.value.retry_after_seconds <= 5
            assert await bus.append(ENTRY)

    async def test_a_reader_survives_a_restart(self, server: BusServer) -> None:
        async with server.using() as bus, server.using() as other:
            await bus.append(ENTRY)
            (read,) = await read_all(bus)
            reading = asyncio.create_task(bus.read("a", count=10, block_seconds=20))
            await asyncio.sleep(0)
            server.kill()
            with pytest.raises(UnavailableError):
                await reading
            server.start()
            await noticed()
            await other.append(entry(1))
            assert numbers(await read_all(bus, wanted=2)) == [1, read.entry.received_us]
