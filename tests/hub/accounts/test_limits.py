"""What tenants send is counted in Redis, for all processes; where it is away, everything is let in."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from claw_hub.accounts import Limits, Principal, Quota, Tenant
from claw_hub.errors import QuotaError, RateError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.hub.accounts.conftest import Clock

    from claw_hub.accounts import OnExceeded
    from claw_native.servers import Redis as RedisServer


def who(
    *,
    tenant_id: int = 7,
    tokens: int | None = None,
    projects: int | None = None,
    rate: float | None = None,
    on_exceeded: OnExceeded = "reject",
) -> Principal:
    quota = Quota(
        tokens_per_month=tokens, projects=projects, records_per_second=rate, on_exceeded=on_exceeded
    )
    tenant = Tenant(
        id=tenant_id,
        slug="acme",
        name="Acme",
        is_active=True,
        quota=quota,
        retention_days=None,
        naive_timezone="UTC",
    )
    return Principal(tenant=tenant, role=None, subject="key:hc_abcdefgh")


@pytest.fixture
async def client(redis_server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url) as made:
        await made.flushall()
        yield made


@pytest.fixture
def limits(client: Redis, clock: Clock) -> Limits:
    return Limits(client, clock=clock)


async def sent(
    limits: Limits, principal: Principal, *, tokens: int = 0, projects: tuple[str, ...] = ()
) -> None:
    await limits.admit(principal, records=1, tokens=tokens, projects=projects)


async def test_a_tenant_without_limits_needs_no_redis(limits: Limits, redis_server: RedisServer) -> None:
    redis_server.stop()
    admission = await limits.admit(who(), records=10**9, tokens=10**15, projects=["p"])
    assert admission.headers == {}
    assert admission.is_counted


async def test_tokens_are_counted_by_tenant_and_month(limits: Limits, clock: Clock, client: Redis) -> None:
    acme, other = who(tokens=1000), who(tokens=1000, tenant_id=8)
    await sent(limits, acme, tokens=300)
    await sent(limits, acme, tokens=400)
    await sent(limits, other, tokens=5)
    assert (await limits.used(7), await limits.used(8)) == (700, 5)
    assert await client.get("claw:hub:quota:7:202611") == b"700"
    assert 0 < await client.ttl("claw:hub:quota:7:202611") <= 400 * 86_400
    clock.now = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    assert await limits.used(7) == 0


async def test_the_answer_tells_what_is_used(limits: Limits) -> None:
    admission = await limits.admit(
        who(tokens=1000, projects=5), records=2, tokens=150, projects=["a", "b", ""]
    )
    assert admission.headers == {
        "X-Quota-Tokens-Limit": "1000",
        "X-Quota-Tokens-Used": "150",
        "X-Quota-Tokens-Reset": str(int(datetime(2026, 12, 1, tzinfo=UTC).timestamp())),
        "X-Quota-Projects-Limit": "5",
        "X-Quota-Projects-Used": "2",
    }


async def test_the_month_after_december_is_january(limits: Limits, clock: Clock) -> None:
    clock.now = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
    admission = await limits.admit(who(tokens=1000), records=1, tokens=1, projects=[])
    assert int(admission.headers["X-Quota-Tokens-Reset"]) == clock.now + 1


async def test_tokens_beyond_the_quota_are_refused_and_not_counted(limits: Limits) -> None:
    acme = who(tokens=1000)
    await sent(limits, acme, tokens=1000)
    with pytest.raises(QuotaError, match="1000 tokens of this month"):
        await sent(limits, acme, tokens=1)
    assert await limits.used(7) == 1000


async def test_tokens_beyond_the_quota_are_flagged_where_the_tenant_may(limits: Limits) -> None:
    acme = who(tokens=1000, on_exceeded="flag")
    before = await limits.admit(acme, records=1, tokens=1000, projects=[])
    after = await limits.admit(acme, records=1, tokens=1, projects=[])
    assert (set(before.exceeded), set(after.exceeded)) == (set(), {"tokens"})
    assert after.headers["X-Quota-Exceeded"] == "tokens"
    assert "X-Quota-Exceeded" not in before.headers
    assert await limits.used(7) == 1001


async def test_one_request_is_told_that_most_tokens_are_used(limits: Limits) -> None:
    acme = who(tokens=1000)
    warned = [
        (await limits.admit(acme, records=1, tokens=tokens, projects=[])).is_warning
        for tokens in (799, 1, 1, 100)
    ]
    assert warned == [False, True, False, False]


async def test_projects_beyond_the_quota_are_refused_and_known_ones_pass(limits: Limits) -> None:
    acme = who(projects=2)
    await sent(limits, acme, projects=("a", "b"))
    with pytest.raises(QuotaError, match="2 projects"):
        await sent(limits, acme, projects=("a", "c"))
    await sent(limits, acme, projects=("b", "a", ""))


async def test_projects_beyond_the_quota_are_flagged_and_do_not_fill_redis(
    limits: Limits, client: Redis
) -> None:
    acme = who(projects=2, on_exceeded="flag")
    named = [f"project-{number}" for number in range(10_000)]
    admission = await limits.admit(acme, records=10_000, tokens=0, projects=named)
    assert admission.exceeded == {"projects"}
    assert await client.scard("claw:hub:quota:7:projects") == 2


async def test_many_projects_of_one_request_are_counted(limits: Limits) -> None:
    named = [f"project-{number}" for number in range(10_000)]
    admission = await limits.admit(who(projects=20_000), records=1, tokens=0, projects=named)
    assert admission.headers["X-Quota-Projects-Used"] == "10000"


async def test_what_is_refused_for_one_reason_is_counted_for_none(limits: Limits, client: Redis) -> None:
    acme = who(tokens=1000, projects=1, rate=10)
    await sent(limits, acme, projects=("a",))
    keys = await client.keys()
    held = [await client.dump(key) for key in keys]
    with pytest.raises(QuotaError):
        await limits.admit(acme, records=500, tokens=500, projects=["b"])
    assert [await client.dump(key) for key in keys] == held


async def test_a_burst_passes_and_then_the_rate_holds(limits: Limits, clock: Clock) -> None:
    acme = who(rate=100)
    await limits.admit(acme, records=1000, tokens=0, projects=[])
    with pytest.raises(RateError, match="100 records a second") as refusal:
        await limits.admit(acme, records=1, tokens=0, projects=[])
    assert refusal.value.headers == {"Retry-After": "1"}
    clock.now += 1
    await limits.admit(acme, records=1, tokens=0, projects=[])


async def test_a_request_larger_than_a_burst_passes_and_is_paid_for(limits: Limits, clock: Clock) -> None:
    acme = who(rate=100)
    await limits.admit(acme, records=10_000, tokens=0, projects=[])
    with pytest.raises(RateError) as refusal:
        await limits.admit(acme, records=1, tokens=0, projects=[])
    assert refusal.value.headers == {"Retry-After": "8"}  # more is ignored by clients
    clock.now += 90
    with pytest.raises(RateError):
        await limits.admit(acme, records=1, tokens=0, projects=[])
    clock.now += 0.5
    await limits.admit(acme, records=1, tokens=0, projects=[])


async def test_a_clock_that_goes_back_gives_nothing_away(limits: Limits, clock: Clock) -> None:
    acme = who(rate=100)
    await limits.admit(acme, records=1000, tokens=0, projects=[])
    clock.now -= 3600
    with pytest.raises(RateError):
        await limits.admit(acme, records=1, tokens=0, projects=[])


async def test_many_processes_count_together(client: Redis, redis_server: RedisServer, clock: Clock) -> None:
    acme = who(tokens=10**9)
    async with Redis.from_url(redis_server.url) as other:
        processes = [Limits(one, clock=clock) for one in (client, other)]
        await asyncio.gather(*(sent(one, acme, tokens=3) for one in processes for _ in range(150)))
        assert [await one.used(7) for one in processes] == [900, 900]


async def test_a_count_can_be_set_right(limits: Limits) -> None:
    acme = who(tokens=1000)
    await sent(limits, acme, tokens=1000)
    await limits.correct(7, 900)
    await sent(limits, acme, tokens=50)
    assert await limits.used(7) == 950


async def test_where_redis_is_away_everything_is_let_in(
    limits: Limits, redis_server: RedisServer, clock: Clock
) -> None:
    acme = who(tokens=10, projects=1, rate=1)
    await sent(limits, acme, tokens=10)
    redis_server.stop()
    admission = await limits.admit(acme, records=100, tokens=100, projects=["a", "b"])
    assert (admission.is_counted, dict(admission.headers)) == (False, {})
    redis_server.start()
    clock.now += 1
    assert (await limits.admit(acme, records=1, tokens=1, projects=[])).is_counted


async def test_a_redis_that_does_not_answer_is_away(clock: Clock) -> None:
    async def never(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    done = asyncio.Event()
    server = await asyncio.start_server(never, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Redis(host="127.0.0.1", port=port) as client:
        limits = Limits(client, clock=clock, timeout_seconds=0.05)
        # Those who wait for a turn do not wait for the same again: no more than a few time out.
        async with asyncio.timeout(5):
            admissions = await asyncio.gather(
                *(limits.admit(who(tokens=1), records=1, tokens=1, projects=[]) for _ in range(1000))
            )
        done.set()
    assert not any(admission.is_counted for admission in admissions)


async def test_a_client_that_decodes_is_as_good(redis_server: RedisServer, clock: Clock) -> None:
    async with Redis.from_url(redis_server.url, decode_responses=True) as client:
        await client.flushall()
        limits = Limits(client, clock=clock)
        admission = await limits.admit(who(tokens=10), records=1, tokens=3, projects=[])
    assert admission.headers["X-Quota-Tokens-Used"] == "3"
