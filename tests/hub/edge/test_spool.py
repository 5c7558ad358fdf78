"""Entries on the disk: what was written is there, whatever else is."""

from __future__ import annotations

import errno
import itertools
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claw_hub.bus import Entry
from claw_hub.edge.spool import Spool, read_frames
from claw_hub.errors import SettingsError, UnavailableError
from claw_hub.records import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENTRY = Entry(
    kind=Kind.TIMELINE,
    tenant_id=2**32 - 1,
    received_us=1_763_712_000_123_456,
    body='{"event_type": "语",\n "x": "clw1"}'.encode(),
    count=1,
    idempotency_key="é\n",
)


def entry(number: int) -> Entry:
    return replace(ENTRY, received_us=number)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool", max_bytes=100_000, segment_bytes=1_000)
    made.open()
    yield made
    made.close()


def emptied(spool: Spool) -> list[Entry]:
    found: list[Entry] = []
    while (path := spool.oldest()) is not None:
        found += read_frames(path)
        spool.remove(path)
    return found


def reopened(folder: Path) -> Spool:
    spool = Spool(folder)
    spool.open()
    return spool


def test_entries_come_back_as_they_were_and_in_their_order(spool: Spool) -> None:
    written = [entry(number) for number in range(50)]
    ids = [spool_id for each in range(0, 50, 5) for spool_id in spool.write(written[each : each + 5])]
    assert len(set(ids)) == 50
    assert emptied(spool) == written
    assert spool.size_bytes == 0


def test_what_comes_while_the_oldest_is_read_is_not_in_it(spool: Spool) -> None:
    spool.write([entry(1)])
    oldest = spool.oldest()
    assert oldest is not None
    spool.write([entry(2)])
    assert list(read_frames(oldest)) == [entry(1)]
    spool.remove(oldest)
    assert emptied(spool) == [entry(2)]


def test_an_earlier_life_is_found_again(spool: Spool, tmp_path: Path) -> None:
    spool.write([entry(1), entry(2)])
    size = spool.size_bytes
    spool.close()
    again = reopened(tmp_path / "spool")
    assert again.size_bytes == size > 0
    again.write([entry(3)])
    assert emptied(again) == [entry(1), entry(2), entry(3)]
    again.close()


def test_only_one_process_has_a_folder(spool: Spool, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="each process needs a writable one"):
        reopened(tmp_path / "spool")
    spool.close()
    reopened(tmp_path / "spool").close()


def test_a_folder_that_cannot_be_made_is_a_mistake_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot be a spool"):
        reopened(tmp_path / "file")


def test_a_full_spool_takes_nothing_and_keeps_what_it_has(spool: Spool) -> None:
    large = replace(ENTRY, body=b"x" * 60_000)
    spool.write([large])
    with pytest.raises(UnavailableError, match="the spool is full") as caught:
        spool.write([large])
    assert caught.value.retry_after_seconds == 5
    with pytest.raises(UnavailableError, match="too many for the spool"):
        spool.write([replace(ENTRY, body=bytes(2**24))])
    assert emptied(spool) == [large]
    spool.write([large])


@pytest.mark.parametrize("failing", ["write", "fsync"])
def test_a_disk_that_fails_takes_nothing_and_tears_nothing(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    spool.write([entry(1)])
    write, size = os.write, spool.size_bytes

    def fail(file: int, data: bytes = b"") -> int:
        if data:
            write(file, bytes(data[:20]))
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patched:
        patched.setattr(os, failing, fail)
        with pytest.raises(UnavailableError, match="no space left"):
            spool.write([entry(2)])
    assert spool.size_bytes == size
    spool.write([entry(3)])
    assert emptied(spool) == [entry(1), entry(3)]


def test_a_segment_that_somebody_took_away_is_forgotten(spool: Spool) -> None:
    spool.write([entry(1)])
    path = spool.oldest()
    assert path is not None
    path.unlink()
    assert emptied(spool) == []


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The frames of entries 0 to 4."""
    spool = reopened(tmp_path_factory.mktemp("frames"))
    ends = [0]
    for number in range(5):
        spool.write([entry(number)])
        ends.append(spool.size_bytes)
    path = spool.oldest()
    assert path is not None
    content = path.read_bytes()
    spool.close()
    return [content[start:end] for start, end in itertools.pairwise(ends)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_broken_frame_loses_no_other(frames: list[bytes], tmp_path: Path, data: st.DataObject) -> None:
    hurt = data.draw(st.integers(0, 4))
    broken = bytearray(frames[hurt])
    broken[data.draw(st.integers(0, len(broken) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "broken"
    path.write_bytes(b"".join([*frames[:hurt], broken, *frames[hurt + 1 :]]))
    assert list(read_frames(path)) == [entry(number) for number in range(5) if number != hurt]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_torn_tail_loses_nothing_before_it(
    frames: list[bytes], tmp_path: Path, data: st.DataObject
) -> None:
    torn = data.draw(st.integers(0, 4))
    path = tmp_path / "torn"
    path.write_bytes(
        b"".join(frames[:torn]) + frames[torn][: data.draw(st.integers(0, len(frames[torn]) - 1))]
    )
    assert list(read_frames(path)) == [entry(number) for number in range(torn)]
