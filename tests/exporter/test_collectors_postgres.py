"""The Postgres collector against a real server that is stopped, started and frozen."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg

from claw_exporter import catalog
from claw_exporter.collectors.postgres import PostgresCollector, link_to, milliseconds
from claw_exporter.probes import Probe
from claw_exporter.settings import Postgres, Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from claw_native.servers import Postgres as Server


def probe_of(dsn: str, *, password: str | None = None, timeout: float = 5) -> Probe:
    target = Postgres(
        name="main",
        dsn=Secret(dsn),
        password_file=Secret(password) if password else None,
        timeout_seconds=timeout,
    )
    return Probe(PostgresCollector(target, link_to(target)), stale_after_seconds=60)


@asynccontextmanager
async def running(probe: Probe) -> AsyncIterator[Probe]:
    try:
        yield probe
    finally:
        probe.collector.abort()


async def test_a_database_is_described(postgres: Server) -> None:
    async with running(probe_of(postgres.dsn)) as probe:
        await probe.run()
    assert probe.state.error_type == ""
    assert dict(probe.series("claw_ai_postgres_max_connections"))["main",] > 10
    assert dict(probe.series("claw_ai_postgres_database_size_bytes"))["main",] > 1_000_000
    connections = dict(probe.series("claw_ai_postgres_connections"))
    assert connections["main", "active"] >= 1
    assert {state for _, state in connections} == set(catalog.POSTGRES_STATES)


async def test_connections_of_others_are_counted_by_state(postgres: Server) -> None:
    other = await asyncpg.connect(postgres.dsn)
    try:
        await other.execute("BEGIN")
        async with running(probe_of(postgres.dsn)) as probe:
            await probe.run()
    finally:
        await other.close()
    assert dict(probe.series("claw_ai_postgres_connections"))["main", "idle in transaction"] == 1


async def test_the_session_is_read_only_with_a_deadline_on_the_server(postgres: Server) -> None:
    target = Postgres(name="main", dsn=Secret(postgres.dsn), timeout_seconds=2.5)
    link = link_to(target)
    connection = await link.get()
    assert await connection.fetchval("SHOW statement_timeout") == "2500ms"
    assert await connection.fetchval("SHOW default_transaction_read_only") == "on"
    link.drop()


async def test_the_password_may_come_from_a_file(postgres: Server) -> None:
    parts = urlsplit(postgres.dsn)
    dsn = parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port}").geturl()
    async with running(probe_of(dsn, password=parts.password)) as probe:
        await probe.run()
    assert probe.state.error_type == ""


async def test_a_wrong_password_is_its_own_kind_of_error(postgres: Server) -> None:
    parts = urlsplit(postgres.dsn)
    dsn = parts._replace(netloc=f"{parts.username}:wrong@{parts.hostname}:{parts.port}").geturl()
    async with running(probe_of(dsn)) as probe:
        await probe.run()
    assert probe.state.error_type == "authentication"


async def test_a_password_that_is_changed_is_read_from_its_file_for_the_next_connection(
    postgres: Server, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("claw\n")
    target = Postgres(
        name="main",
        dsn=Secret(f"postgresql://claw_exporter@127.0.0.1:{postgres.port}/claw"),
        password_file=Secret("claw", file),
    )
    now = 0.0
    link = link_to(target)
    link.clock = lambda: now
    async with running(Probe(PostgresCollector(target, link), stale_after_seconds=60)) as probe:
        await probe.run()
        assert probe.state.error_type == ""
        try:
            postgres.query("ALTER ROLE claw_exporter PASSWORD 'fresh'")
            postgres.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'claw_exporter'"
            )
            await probe.run()
            assert probe.state.error_type == "connection"
            await probe.run()
            assert probe.state.error_type == "authentication"
            file.write_text("fresh\n")
            await probe.run()
            assert probe.state.error_type == "authentication"  # no attempt is made during the pause
            now += 1
            await probe.run()
            assert probe.state.error_type == ""
            assert link.retry_seconds() is None
        finally:
            postgres.query("ALTER ROLE claw_exporter PASSWORD 'claw'")


async def test_a_database_that_does_not_exist_is_a_failed_connection(postgres: Server) -> None:
    async with running(probe_of(f"{postgres.dsn}_not")) as probe:
        await probe.run()
    assert probe.state.error_type == "connection"


async def test_a_server_that_was_away_at_the_start_is_found_when_it_comes(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claw_exporter.collectors.base.FIRST_PAUSE_SECONDS", 0.05)
    postgres.stop()
    async with running(probe_of(postgres.dsn)) as probe:
        task = asyncio.create_task(probe.run_for_ever())
        while not probe.state.runs:  # noqa: ASYNC110 - the state is the event
            await asyncio.sleep(0.01)
        assert probe.state.error_type == "connection"
        postgres.start()
        async with asyncio.timeout(20):
            while probe.state.error_type:  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.01)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_server_that_restarts_is_found_again_and_its_last_numbers_stay(postgres: Server) -> None:
    async with running(probe_of(postgres.dsn)) as probe:
        await probe.run()
        postgres.stop()
        await probe.run()
        assert probe.state.error_type == "connection"
        assert dict(probe.series("claw_ai_postgres_max_connections"))
        postgres.start()
        await probe.run()
        assert probe.state.error_type == ""


class Proxy:
    """A way to a server that can be frozen: it still accepts, and nothing passes."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open = asyncio.Event()
        self._open.set()
        self._ended: list[asyncio.Future[None]] = []
        self.connections = 0
        self.most_connections = 0

    def freeze(self) -> None:
        self._open.clear()

    def thaw(self) -> None:
        self._open.set()

    async def ended(self) -> None:
        self.thaw()
        await asyncio.gather(*self._ended)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = asyncio.get_running_loop().create_future()
        self._ended.append(ended)
        self.connections += 1
        self.most_connections = max(self.most_connections, self.connections)
        up_reader, up_writer = await asyncio.open_connection(*self._target)
        await asyncio.gather(self._pump(reader, up_writer), self._pump(up_reader, writer))
        self.connections -= 1
        ended.set_result(None)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._open.wait()
                writer.write(data)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def proxied(dsn: str) -> AsyncIterator[tuple[Proxy, str]]:
    parts = urlsplit(dsn)
    proxy = Proxy(parts.hostname or "", parts.port or 0)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    netloc = f"{parts.username}:{parts.password}@127.0.0.1:{port}"
    yield proxy, parts._replace(netloc=netloc).geturl()
    server.close()
    await proxy.ended()


async def test_a_server_that_says_nothing_costs_one_deadline_and_never_a_second_connection(
    postgres: Server,
) -> None:
    async with proxied(postgres.dsn) as (proxy, dsn), running(probe_of(dsn, timeout=0.3)) as probe:
        await probe.run()
        assert probe.state.error_type == ""
        proxy.freeze()
        for _ in range(4):
            await probe.run()
            assert probe.state.error_type == "timeout"
            assert probe.state.duration_seconds < 1.5
        assert proxy.most_connections <= 2  # the frozen one, whose end the proxy has not read, and one more
        proxy.thaw()
        async with asyncio.timeout(20):
            while probe.state.error_type:
                await asyncio.sleep(0.05)
                await probe.run()


def test_durations_are_written_in_whole_milliseconds() -> None:
    assert [milliseconds(seconds) for seconds in (0.0001, 0.25, 5)] == ["1", "250", "5000"]
