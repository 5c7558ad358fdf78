"""Who asks is known from a key or a token; what changes is known in every process at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from tests.hub.accounts.conftest import NOON, PASSWORD

from claw_hub.accounts import Role
from claw_hub.errors import CredentialsError, HubError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncEngine
    from tests.hub.accounts.conftest import Clock

    from claw_hub.accounts import Accounts, Tenant
    from claw_native.servers import Postgres


async def until(happens: Callable[[], Awaitable[bool]]) -> None:
    """Looks until something is so; fails where it never is."""
    async with asyncio.timeout(5):
        while not await happens():  # noqa: ASYNC110 - another process, or Postgres, makes it so
            await asyncio.sleep(0.005)


async def until_refused(ask: Callable[[], Awaitable[object]]) -> type[HubError]:
    """Asks until it is refused, and says how."""
    refusals: list[type[HubError]] = []

    async def is_refused() -> bool:
        try:
            await ask()
        except HubError as error:
            refusals.append(type(error))
        return bool(refusals)

    await until(is_refused)
    return refusals[0]


async def test_a_key_tells_whose_it_is_and_has_no_role(accounts: Accounts, acme: Tenant) -> None:
    made = await accounts.create_key(acme.id, name="agents")
    principal = await accounts.authenticate(api_key=made.secret)
    assert principal.tenant == acme
    assert principal.role is None
    assert principal.subject == f"key:{made.secret[:11]}"
    assert not principal.is_operator
    assert made.secret not in repr((made, principal))


async def test_a_key_is_taken_as_a_bearer_too(accounts: Accounts, acme: Tenant) -> None:
    made = await accounts.create_key(acme.id, name="otel")
    assert (await accounts.authenticate(bearer=made.secret)).tenant == acme


@pytest.mark.parametrize("key", ["", "hc_test", "hc_" + "a" * 61, "hc_\ud800" + "a" * 30])
async def test_a_key_that_nobody_has_is_refused(accounts: Accounts, key: str) -> None:
    with pytest.raises(CredentialsError):
        await accounts.authenticate(api_key=key)


async def test_a_key_that_another_system_made_is_imported(accounts: Accounts, acme: Tenant) -> None:
    value = "hc_2nJ9NMyNbHnoZ82mZrRLI92plU511YtnxSnPNMcRtGE"
    with pytest.raises(CredentialsError):
        await accounts.authenticate(api_key=value)
    await accounts.create_key(acme.id, name="seed", value=value)
    assert (await accounts.authenticate(api_key=value)).tenant == acme


async def test_no_secret_is_in_the_database(accounts: Accounts, acme: Tenant, engine: AsyncEngine) -> None:
    made = await accounts.create_key(acme.id, name="agents")
    await accounts.create_user(acme.id, email="ada@acme.example", password=PASSWORD, role=Role.OPS)
    pair = await accounts.login("ada@acme.example", PASSWORD)
    held = []
    async with engine.connect() as connection:
        for name in ("tenants", "api_keys", "users", "refresh_tokens"):
            rows = await connection.execute(text("SELECT t::text FROM " + name + " t"))  # noqa: S608 - constants
            held.append(rows.all())
    assert all(held)
    for secret in (made.secret, PASSWORD, pair.access_token, pair.refresh_token):
        assert secret not in str(held)
        assert secret.encode().hex() not in str(held)


async def test_a_key_is_refused_from_the_moment_it_expires(
    accounts: Accounts, acme: Tenant, clock: Clock
) -> None:
    end = datetime.fromtimestamp(NOON + 30, UTC)
    made = await accounts.create_key(acme.id, name="short", expires_at=end)
    async with accounts.listening() as listener:
        await listener.is_listening.wait()
        await accounts.authenticate(api_key=made.secret)
        clock.now += 30
        with pytest.raises(CredentialsError, match="expired"):
            await accounts.authenticate(api_key=made.secret)


async def test_a_revoked_key_is_refused_in_every_process_at_once(
    make_accounts: Callable[[], Accounts], acme: Tenant
) -> None:
    here, there = make_accounts(), make_accounts()
    made = await here.create_key(acme.id, name="agents")
    async with there.listening() as listener:
        await listener.is_listening.wait()
        await there.authenticate(api_key=made.secret)
        await here.revoke_key(acme.id, made.key.id)
        with pytest.raises(CredentialsError):
            await here.authenticate(api_key=made.secret)
        # The clock stands still: only a word of the other can end what is remembered.
        assert await until_refused(lambda: there.authenticate(api_key=made.secret)) is CredentialsError


async def test_a_tenant_that_is_switched_off_is_out_with_all_its_keys_and_people(
    make_accounts: Callable[[], Accounts], acme: Tenant
) -> None:
    here, there = make_accounts(), make_accounts()
    key = (await here.create_key(acme.id, name="agents")).secret
    await here.create_user(acme.id, email="ada@acme.example", password=PASSWORD, role=Role.OPS)
    token = (await here.login("ada@acme.example", PASSWORD)).access_token
    async with there.listening() as listener:
        await listener.is_listening.wait()
        await there.authenticate(api_key=key)
        await there.authenticate(bearer=token)
        await here.update_tenant(acme.id, {"is_active": False})
        assert await until_refused(lambda: there.authenticate(api_key=key)) is CredentialsError
        assert await until_refused(lambda: there.authenticate(bearer=token)) is CredentialsError
        assert not (await there.tenant(acme.id)).is_active
    with pytest.raises(CredentialsError):
        await here.login("ada@acme.example", PASSWORD)


async def test_a_quota_is_known_to_other_processes_at_once(
    make_accounts: Callable[[], Accounts], acme: Tenant
) -> None:
    here, there = make_accounts(), make_accounts()
    async with there.listening() as listener:
        await listener.is_listening.wait()
        assert (await there.tenant(acme.id)).quota.projects == 10
        await here.update_tenant(acme.id, {"projects": 3})

        async def is_known() -> bool:
            return (await there.tenant(acme.id)).quota.projects == 3

        await until(is_known)


async def test_while_postgres_is_away_keys_of_the_last_hour_work(
    accounts: Accounts, acme: Tenant, postgres: Postgres, clock: Clock
) -> None:
    known = (await accounts.create_key(acme.id, name="known")).secret
    unknown = (await accounts.create_key(acme.id, name="not asked for yet")).secret
    async with accounts.listening() as listener:
        await listener.is_listening.wait()
        before = await accounts.authenticate(api_key=known)
        postgres.stop()
        clock.now += 3500
        assert await accounts.authenticate(api_key=known) == before
        with pytest.raises(UnavailableError):
            await accounts.authenticate(api_key=unknown)
        with pytest.raises(UnavailableError):
            await accounts.tenant_by_slug("acme")
        clock.now += 100
        assert await until_refused(lambda: accounts.authenticate(api_key=known)) is UnavailableError


async def test_when_postgres_is_back_it_is_asked_and_heard_again(
    make_accounts: Callable[[], Accounts], acme: Tenant, postgres: Postgres, clock: Clock
) -> None:
    here, there = make_accounts(), make_accounts()
    made = await here.create_key(acme.id, name="agents")
    async with there.listening() as listener:
        await listener.is_listening.wait()
        await there.authenticate(api_key=made.secret)
        postgres.stop()

        async def is_deaf() -> bool:
            return not listener.is_listening.is_set()

        await until(is_deaf)
        clock.now += 10
        await there.authenticate(api_key=made.secret)
        postgres.start()
        # Revoked while nobody listened: the word of it is lost, the key must not live on.
        await here.revoke_key(acme.id, made.key.id)
        async with asyncio.timeout(10):
            await listener.is_listening.wait()
        clock.now += 2
        assert await until_refused(lambda: there.authenticate(api_key=made.secret)) is CredentialsError


async def test_a_token_of_a_person_tells_tenant_and_role(accounts: Accounts, acme: Tenant) -> None:
    await accounts.create_user(acme.id, email="Ada@Acme.example", password=PASSWORD, role=Role.PRODUCT)
    pair = await accounts.login("ada@ACME.example", PASSWORD)
    principal = await accounts.authenticate(bearer=pair.access_token)
    assert (principal.tenant, principal.role) == (acme, Role.PRODUCT)
    assert principal.subject == "user:ada@acme.example"


async def test_nothing_at_all_is_refused(accounts: Accounts) -> None:
    with pytest.raises(CredentialsError, match="send an API key"):
        await accounts.authenticate()


async def test_a_tenant_that_is_not_there_is_not_found(accounts: Accounts) -> None:
    with pytest.raises(NotFoundError):
        await accounts.tenant(4711)
    with pytest.raises(NotFoundError):
        await accounts.tenant_by_slug("nobody")


async def test_a_rotated_key_works_for_its_time_of_grace(
    accounts: Accounts, acme: Tenant, clock: Clock
) -> None:
    old = await accounts.create_key(acme.id, name="agents")
    new = await accounts.rotate_key(acme.id, old.key.id, grace_seconds=60)
    assert new.key.name == "agents"
    for key in (old, new):
        await accounts.authenticate(api_key=key.secret)
    clock.now += timedelta(seconds=60).total_seconds()
    await accounts.authenticate(api_key=new.secret)
    with pytest.raises(CredentialsError):
        await accounts.authenticate(api_key=old.secret)
