"""An edge that goes on accepting while the bus is away."""

from __future__ import annotations

import asyncio
import random
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.hub.edge.conftest import FakeBus
from tests.hub.edge.test_spool import ENTRY, entry

from claw_hub.bus import Delivered
from claw_hub.edge.spool import Spool
from claw_hub.edge.spooled import Spooled
from claw_hub.errors import UnavailableError
from claw_hub.records import Kind, event_ids, parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

AWAY = UnavailableError("Redis is away")
SOON_SECONDS = 5
LIVES = 6
WRITERS = 8

# Writes numbered entries over a bus that is away, and says the number of each that is acknowledged.
WRITER = """
import asyncio, sys
from pathlib import Path
from claw_hub.edge.spool import Spool
from claw_hub.edge.spooled import Spooled
from tests.hub.edge.conftest import FakeBus
from tests.hub.edge.test_spool import entry
from tests.hub.edge.test_spooled import AWAY

async def main(folder, first):
    bus = FakeBus()
    bus.refusal = AWAY
    spooled = Spooled(bus, Spool(Path(folder), segment_bytes=2_000))
    await spooled.start()
    async def write(number):
        while True:
            await spooled.append(entry(number))
            print(number, flush=True)
            number += 8
    await asyncio.gather(*(write(first + number) for number in range(8)))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.fixture
async def spooled(bus: FakeBus, tmp_path: Path) -> AsyncIterator[Spooled]:
    made = Spooled(bus, Spool(tmp_path / "spool", max_bytes=20_000), retry_seconds=0.01)
    await made.start()
    yield made
    await made.close()


async def drained(spooled: Spooled) -> None:
    async with asyncio.timeout(SOON_SECONDS):
        while spooled._written.is_set():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.005)


async def test_while_the_bus_is_there_nothing_is_on_the_disk(spooled: Spooled, bus: FakeBus) -> None:
    assert await spooled.append(entry(1)) == "1-0"
    assert (bus.entries, spooled.waiting_bytes) == ([entry(1)], 0)


async def test_while_it_is_away_entries_wait_and_then_follow_in_their_order(
    spooled: Spooled, bus: FakeBus
) -> None:
    bus.refusal = AWAY
    for number in range(50):
        assert (await spooled.append(entry(number))).startswith("spool-")
    assert not bus.entries
    bus.refusal = None
    await drained(spooled)
    assert bus.entries == [entry(number) for number in range(50)]
    assert await spooled.append(entry(50)) == "51-0"


async def test_what_comes_during_a_replay_comes_after_it(spooled: Spooled, bus: FakeBus) -> None:
    bus.refusal = AWAY
    await spooled.append(entry(0))
    bus.refusal = None
    await asyncio.gather(*(spooled.append(entry(number)) for number in range(1, 20)))
    await drained(spooled)
    assert bus.entries == [entry(number) for number in range(20)]


async def test_a_full_disk_is_503_and_a_replay_makes_room(spooled: Spooled, bus: FakeBus) -> None:
    bus.refusal = AWAY
    large = replace(ENTRY, body=b"x" * 15_000)
    await spooled.append(large)
    with pytest.raises(UnavailableError, match="the spool is full") as caught:
        await spooled.append(large)
    assert caught.value.retry_after_seconds == 5
    bus.refusal = None
    await drained(spooled)
    assert await spooled.append(large) == "2-0"
    assert bus.entries == [large, large]


async def test_the_next_life_replays_what_this_one_could_not(bus: FakeBus, tmp_path: Path) -> None:
    bus.refusal = AWAY
    for life in range(2):
        spooled = Spooled(bus, Spool(tmp_path), retry_seconds=0.01)
        await spooled.start()
        await spooled.append(entry(life))
        await spooled.close()
    bus.refusal = None
    spooled = Spooled(bus, Spool(tmp_path), retry_seconds=0.01)
    await spooled.start()
    await drained(spooled)
    await spooled.close()
    assert bus.entries == [entry(0), entry(1)]


async def test_an_event_that_reaches_the_bus_twice_is_one_event(spooled: Spooled, bus: FakeBus) -> None:
    nameless = replace(ENTRY, kind=Kind.TIMELINE, idempotency_key="", body=b'{"event_type": "x"}')
    await spooled.append(nameless)
    await spooled.append(nameless)
    first, other = bus.entries

    def ids(entry_id: str, index: int) -> list[bytes]:
        delivered = Delivered(id=entry_id, entry=bus.entries[index])
        return event_ids(delivered, parse(Kind.TIMELINE, nameless.body))

    assert first.idempotency_key != other.idempotency_key
    assert ids("1-0", 0) == ids("2-0", 0) != ids("1-0", 1)


async def test_the_rest_is_the_bus_itself(spooled: Spooled) -> None:
    assert await spooled.lag() == await FakeBus().lag()
    with pytest.raises(NotImplementedError):
        await spooled.read("a", count=1, block_seconds=0)
    with pytest.raises(NotImplementedError):
        await spooled.done([])


async def killed_in_the_middle(folder: Path, life: int) -> set[int]:
    """Runs the writer for a while; returns the numbers that it was told are safe."""
    writer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WRITER, str(folder), str(life * 1_000_000)), stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    acknowledged = {int(await writer.stdout.readline()) for _ in range(random.randrange(20, 200))}
    writer.kill()
    rest = await writer.stdout.read()
    await writer.wait()
    return acknowledged | {int(line) for line in rest.splitlines(keepends=True) if line.endswith(b"\n")}


async def test_a_kill_in_the_middle_of_writing_loses_nothing_that_was_acknowledged(
    bus: FakeBus, tmp_path: Path
) -> None:
    acknowledged: set[int] = set()
    for life in range(LIVES):
        acknowledged |= await killed_in_the_middle(tmp_path, life)
    spooled = Spooled(bus, Spool(tmp_path))
    await spooled.start()
    await drained(spooled)
    await spooled.close()
    arrived = [each.received_us for each in bus.entries]
    assert acknowledged <= set(arrived)
    assert len(set(arrived)) == len(arrived) <= len(acknowledged) + LIVES * WRITERS
    for writer in range(WRITERS):
        own = [number for number in arrived if number % WRITERS == writer]
        assert own == sorted(own)
