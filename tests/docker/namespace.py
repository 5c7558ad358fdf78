"""A network of its own for this process, with one way out: an HTTP proxy for builds.

Two Docker Engines would share the rules of the kernel's firewall and undo each other's. In a namespace there
is one, and its ports are taken by nobody. The way out needs no change of the machine: a thread that stayed
outside makes the connections.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from types import TracebackType

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP_RUNNING = 0x1 | 0x40
IP_FREEBIND = 15
# The machine's address in the namespace, as containers see it.
BRIDGE = "172.17.0.1"
DNS_PORT = 53
NO_SUCH_NAME = b"\x81\x83"
HEADERS_END = b"\r\n\r\n"


def _name_server() -> socket.socket:
    # The bridge is not there yet. A socket of every address would answer from another than was asked.
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    names.bind((BRIDGE, DNS_PORT))
    return names


def _check(result: int, doing: str) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, f"{doing}: {os.strerror(code)}")


class Network:
    """While it is entered, this thread and the programs it starts see another network.

    Attributes:
        proxy: Address of the way out, as seen inside.
    """

    def __init__(self) -> None:
        self.proxy = ""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._outside = Outside()

    def __enter__(self) -> Self:
        """Moves in.

        Raises:
            OSError: The kernel refuses.
        """
        self._before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self._outside.start()
        try:
            _check(self._libc.unshare(CLONE_NEWNET), "cannot make a network namespace")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
                fcntl.ioctl(link, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP_RUNNING))
            listener = socket.create_server(("127.0.0.1", 0))
            self.proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self._outside.serve(listener)
            self._outside.answer(_name_server())
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._outside.stop()
        _check(self._libc.setns(self._before, CLONE_NEWNET), "cannot return to the network")
        os.close(self._before)


class NoNames(asyncio.DatagramProtocol):
    """A DNS server that knows no name: who asks is told at once, and waits for no server out of reach."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        # The question itself, with the flags of an answer: there is no such name.
        self._transport.sendto(data[:2] + NO_SUCH_NAME + data[4:], addr)


class Outside:
    """An HTTP proxy whose thread was started before the namespace was made, and so is not in it."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server | asyncio.DatagramTransport] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def serve(self, listener: socket.socket) -> None:
        started = asyncio.start_server(self._serve, sock=listener)
        self._servers.append(asyncio.run_coroutine_threadsafe(started, self._loop).result())

    def answer(self, names: socket.socket) -> None:
        started = self._loop.create_datagram_endpoint(NoNames, sock=names)
        self._servers.append(asyncio.run_coroutine_threadsafe(started, self._loop).result()[0])

    def stop(self) -> None:
        async def end() -> None:
            for server in self._servers:
                server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await asyncio.sleep(0)  # transports close in the next round

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(HEADERS_END)
            method, address, rest = head.split(b" ", 2)
            tunnel = method == b"CONNECT"
            url = urlsplit(f"//{address.decode()}" if tunnel else address.decode())
            out_reader, out_writer = await asyncio.open_connection(url.hostname, url.port or 80)
            if tunnel:
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                path = url._replace(scheme="", netloc="").geturl().encode() or b"/"
                # One request for each connection: what follows would go to the same server.
                out_writer.write(
                    b" ".join((method, path, rest.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)))
                )
            await asyncio.gather(_pass_on(reader, out_writer), _pass_on(out_reader, writer))
        writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while block := await reader.read(65536):
            writer.write(block)
            await writer.drain()
    writer.close()
