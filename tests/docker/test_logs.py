"""What Docker's log API gives the shippers, and that both ways to join it give the line that was written."""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.stack.pipeline import Entry, Pipeline
from tests.stack.test_promtail import CONTAINERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.docker.engine import Engine
    from tests.docker.images import Builder

NAME = "claw-logs-long"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LETTERS = 40_000
FRAME_BYTES = 16 * 1024
DEADLINE_SECONDS = 20
WRITES = (
    f"""printf '{{"level":"error","prompt":"'; head -c {LETTERS} /dev/zero | tr '\\0' a; """
    f"""echo '","trace_id":"{TRACE}"}}'; echo INFO after"""
)


class Frame(NamedTuple):
    time: str
    text: str


@pytest.fixture(scope="module")
def frames(engine: Engine, builder: Builder) -> Iterator[list[Frame]]:
    """A long JSON line and a short line, as a shipper gets them."""
    engine.docker("run", "--detach", "--name", NAME, builder.base(), "sh", "-c", WRITES)
    try:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (found := read(engine)) or not found[-1].text.endswith("after\n"):
            assert time.monotonic() < deadline
        yield found
    finally:
        engine.docker("rm", "--force", NAME)


def read(engine: Engine) -> list[Frame]:
    question = (
        f"GET /containers/{NAME}/logs?stdout=1&stderr=1&timestamps=1&since=0 HTTP/1.0\r\nHost: docker\r\n\r\n"
    )
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(DEADLINE_SECONDS)
        link.connect(str(engine.socket))
        link.sendall(question.encode())
        body = b"".join(iter(lambda: link.recv(65536), b"")).partition(b"\r\n\r\n")[2]
    found = []
    while body:
        (length,) = struct.unpack(">4xI", body[:8])
        moment, _, text = body[8 : 8 + length].decode().partition(" ")
        found.append(Frame(moment, text))
        body = body[8 + length :]
    return found


def joined_by_time(frames: list[Frame]) -> list[str]:
    """As Promtail does: what has the time of the frame before belongs to it, until a line ends."""
    lines, last = [""], ""
    for frame in frames:
        if last and frame.time != last and lines[-1]:
            lines.append("")
        lines[-1] += frame.text.rstrip("\n")
        last = frame.time
        if frame.text.endswith("\n"):
            lines.append("")
    return [line for line in lines if line]


def joined_by_length(frames: list[Frame]) -> list[str]:
    """As Alloy does: what is as long as a frame can be, and does not end a line, goes on."""
    lines: list[str] = []
    goes_on = False
    for frame in frames:
        text = frame.text.rstrip("\n")
        lines[-1:] = [lines[-1] + text] if goes_on else [*lines[-1:], text]
        size = len(frame.time) + 1 + len(frame.text)
        goes_on = (goes_on or size >= FRAME_BYTES) and not frame.text.endswith("\n")
    return lines


def test_docker_cuts_a_long_line_and_gives_each_piece_the_same_time(frames: list[Frame]) -> None:
    pieces = frames[:-1]

    assert [len(frame.text) for frame in pieces[:-1]] == [FRAME_BYTES] * (len(pieces) - 1)
    assert len(pieces) == 3
    assert len({frame.time for frame in pieces}) == 1
    assert [frame.text.endswith("\n") for frame in pieces] == [False, False, True]


def test_both_shippers_make_one_line_of_it_that_is_still_json(frames: list[Frame]) -> None:
    lines = joined_by_time(frames)

    assert lines == joined_by_length(frames)
    assert len(json.loads(lines[0])["prompt"]) == LETTERS
    first, second = Pipeline(CONTAINERS["pipeline_stages"]).run(
        Entry(line, {"service": "shop"}) for line in lines
    )
    assert (first.labels["level"], first.metadata) == ("error", {"trace_id": TRACE})
    assert second.labels["level"] == "info"
