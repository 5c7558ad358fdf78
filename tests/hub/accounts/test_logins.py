"""People log in with a password, go on with refresh tokens, and are out when somebody says so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import argon2
import pytest
from sqlalchemy import text
from tests.hub.accounts.conftest import PASSWORD, SECRET

from claw_hub.accounts import Accounts, Role, Tenant, User
from claw_hub.accounts.attempts import Attempts
from claw_hub.accounts.passwords import Passwords
from claw_hub.errors import (
    BadRequestError,
    ConflictError,
    CredentialsError,
    NotFoundError,
    RateError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncEngine
    from tests.hub.accounts.conftest import Clock

    from claw_native.servers import Postgres

NEXT = "another horse battery"


@pytest.fixture
async def ada(accounts: Accounts, acme: Tenant) -> User:
    return await accounts.create_user(acme.id, email="ada@acme.example", password=PASSWORD, role=Role.ADMIN)


async def test_a_pair_of_tokens_says_how_long_each_lives(accounts: Accounts, ada: User) -> None:
    pair = await accounts.login(ada.email, PASSWORD)
    assert (pair.expires_in_seconds, pair.refresh_expires_in_seconds) == (900, 30 * 86_400)
    assert pair.access_token not in repr(pair)
    assert pair.refresh_token not in repr(pair)


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("ada@acme.example", "wrong horse battery"),
        ("bob@acme.example", PASSWORD),
        ("", ""),
        ("\x00@acme.example", PASSWORD),
        ("\ud800", "\ud800"),
    ],
)
async def test_what_is_wrong_is_not_told(accounts: Accounts, ada: User, email: str, password: str) -> None:
    assert ada
    with pytest.raises(CredentialsError, match=r"^address or password are wrong$"):
        await accounts.login(email, password)


async def test_a_refresh_token_gives_one_next_pair(accounts: Accounts, ada: User, clock: Clock) -> None:
    first = await accounts.login(ada.email, PASSWORD)
    clock.now += 1000
    second = await accounts.refresh(first.refresh_token)
    assert second.refresh_token != first.refresh_token
    assert second.refresh_expires_in_seconds == 30 * 86_400 - 1000
    await accounts.authenticate(bearer=second.access_token)
    with pytest.raises(CredentialsError):
        await accounts.refresh(first.refresh_token)
    with pytest.raises(CredentialsError):
        await accounts.refresh("hr_unknown")


async def test_a_refresh_token_that_comes_again_later_ends_all_of_its_login(
    accounts: Accounts, ada: User, clock: Clock
) -> None:
    stolen = (await accounts.login(ada.email, PASSWORD)).refresh_token
    other = (await accounts.login(ada.email, PASSWORD)).refresh_token
    thief = await accounts.refresh(stolen)
    clock.now += 60
    with pytest.raises(CredentialsError):
        await accounts.refresh(stolen)
    with pytest.raises(CredentialsError):
        await accounts.refresh(thief.refresh_token)
    assert await accounts.refresh(other)


async def test_two_windows_at_once_do_not_log_a_person_out(accounts: Accounts, ada: User) -> None:
    first = await accounts.login(ada.email, PASSWORD)
    outcomes = await asyncio.gather(
        *(accounts.refresh(first.refresh_token) for _ in range(5)), return_exceptions=True
    )
    pairs = [one for one in outcomes if not isinstance(one, BaseException)]
    assert len(pairs) == 1
    assert await accounts.refresh(pairs[0].refresh_token)


async def test_a_refresh_token_expires_a_month_after_the_login(
    accounts: Accounts, ada: User, clock: Clock, engine: AsyncEngine
) -> None:
    pair = await accounts.login(ada.email, PASSWORD)
    clock.now += 30 * 86_400
    with pytest.raises(CredentialsError):
        await accounts.refresh(pair.refresh_token)
    await accounts.login(ada.email, PASSWORD)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM refresh_tokens")) == 1


async def test_people_of_a_tenant_that_is_switched_off_get_no_next_pair(
    accounts: Accounts, ada: User
) -> None:
    pair = await accounts.login(ada.email, PASSWORD)
    await accounts.update_tenant(ada.tenant_id, {"is_active": False})
    with pytest.raises(CredentialsError):
        await accounts.refresh(pair.refresh_token)


async def test_after_a_logout_there_is_no_next_pair(accounts: Accounts, ada: User) -> None:
    pair = await accounts.login(ada.email, PASSWORD)
    await accounts.logout(pair.refresh_token)
    await accounts.logout("hr_unknown")
    with pytest.raises(CredentialsError):
        await accounts.refresh(pair.refresh_token)


async def test_another_password_ends_what_the_one_before_opened(
    make_accounts: Callable[[], Accounts], ada: User
) -> None:
    here, there = make_accounts(), make_accounts()
    async with there.listening() as listener:
        await listener.is_listening.wait()
        old = await here.login(ada.email, PASSWORD)
        await there.authenticate(bearer=old.access_token)
        new = await here.change_password(ada.email, PASSWORD, NEXT)
        await here.authenticate(bearer=new.access_token)
        with pytest.raises(CredentialsError):
            await here.authenticate(bearer=old.access_token)
        with pytest.raises(CredentialsError):
            await here.refresh(old.refresh_token)
        await there.authenticate(bearer=new.access_token)
        with pytest.raises(CredentialsError):
            await there.authenticate(bearer=old.access_token)
    with pytest.raises(CredentialsError):
        await here.login(ada.email, PASSWORD)


async def test_another_role_holds_at_once_and_for_nobody_of_another_tenant(
    accounts: Accounts, ada: User
) -> None:
    await accounts.create_user(ada.tenant_id, email="eve@acme.example", password=PASSWORD, role=Role.ADMIN)
    token = (await accounts.login(ada.email, PASSWORD)).access_token
    other = await accounts.create_tenant(slug="other")
    with pytest.raises(NotFoundError):
        await accounts.update_user(other.id, ada.id, {"role": "audit"})
    assert (await accounts.update_user(ada.tenant_id, ada.id, {"role": "audit"})).role is Role.AUDIT
    with pytest.raises(CredentialsError):
        await accounts.authenticate(bearer=token)
    token = (await accounts.login(ada.email, PASSWORD)).access_token
    assert (await accounts.authenticate(bearer=token)).role is Role.AUDIT


async def test_a_change_that_changes_nothing_closes_nothing(accounts: Accounts, ada: User) -> None:
    token = (await accounts.login(ada.email, PASSWORD)).access_token
    for change in ({}, {"role": "admin"}, {"is_active": True, "role": "admin"}):
        await accounts.update_user(ada.tenant_id, ada.id, change)
        assert await accounts.authenticate(bearer=token)


async def test_a_person_who_is_let_in_no_more_is_told_so_only_with_the_password(
    accounts: Accounts, ada: User
) -> None:
    bob = await accounts.create_user(
        ada.tenant_id, email="bob@acme.example", password=PASSWORD, role=Role.OPS
    )
    refresh_token = (await accounts.login(bob.email, PASSWORD)).refresh_token
    await accounts.update_user(bob.tenant_id, bob.id, {"is_active": False})
    with pytest.raises(CredentialsError, match="not active"):
        await accounts.login(bob.email, PASSWORD)
    with pytest.raises(CredentialsError, match="wrong"):
        await accounts.login(bob.email, "wrong horse battery")
    with pytest.raises(CredentialsError):
        await accounts.refresh(refresh_token)


@pytest.mark.parametrize("change", [{"is_active": False}, {"role": "ops"}])
async def test_the_last_administrator_stays(accounts: Accounts, ada: User, change: dict[str, object]) -> None:
    with pytest.raises(ConflictError, match="last administrator"):
        await accounts.update_user(ada.tenant_id, ada.id, change)
    await accounts.create_user(ada.tenant_id, email="eve@acme.example", password=PASSWORD, role=Role.ADMIN)
    await accounts.update_user(ada.tenant_id, ada.id, change)


async def test_two_last_administrators_do_not_leave_at_once(accounts: Accounts, ada: User) -> None:
    eve = await accounts.create_user(
        ada.tenant_id, email="eve@acme.example", password=PASSWORD, role=Role.ADMIN
    )
    outcomes = await asyncio.gather(
        *(accounts.update_user(one.tenant_id, one.id, {"is_active": False}) for one in (ada, eve)),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ConflictError", "User"]


@pytest.mark.parametrize(
    "change", [{"role": "god"}, {"is_active": 1}, {"is_operator": True}, {"email": "x@y.example"}]
)
async def test_only_a_role_and_letting_in_can_be_changed(
    accounts: Accounts, ada: User, change: dict[str, object]
) -> None:
    with pytest.raises(BadRequestError):
        await accounts.update_user(ada.tenant_id, ada.id, change)


@pytest.mark.parametrize(
    "email", ["", "ada", "a da@x.example", "ada@", "ädä@x.example", f"{'a' * 65}@x.example"]
)
async def test_a_person_has_an_address(accounts: Accounts, acme: Tenant, email: str) -> None:
    with pytest.raises(BadRequestError, match="address such as"):
        await accounts.create_user(acme.id, email=email, password=PASSWORD, role=Role.OPS)


async def test_an_address_is_one_persons(accounts: Accounts, ada: User) -> None:
    other = await accounts.create_tenant(slug="other")
    with pytest.raises(ConflictError, match=r"ada@acme\.example"):
        await accounts.create_user(other.id, email=ada.email.upper(), password=PASSWORD, role=Role.OPS)
    with pytest.raises(NotFoundError):
        await accounts.create_user(4711, email="bob@x.example", password=PASSWORD, role=Role.OPS)


async def test_guessing_ends_after_ten_attempts_whether_or_not_there_is_such_a_person(
    accounts: Accounts, ada: User, clock: Clock
) -> None:
    for email in (ada.email, "nobody@acme.example"):
        for _ in range(10):
            with pytest.raises(CredentialsError):
                await accounts.login(email, "wrong horse battery")
        with pytest.raises(RateError, match="try again in 300 s"):
            await accounts.login(email, PASSWORD)
    clock.now += 300
    assert await accounts.login(ada.email, PASSWORD)


def test_an_attempt_that_succeeds_forgets_those_before_it(clock: Clock) -> None:
    attempts = Attempts(clock=clock)
    for _ in range(3):
        for _ in range(9):
            attempts.begin("ada")
        attempts.succeeded("ada")


def test_attempts_are_counted_for_a_bounded_number_of_names(clock: Clock) -> None:
    attempts = Attempts(clock=clock)
    for number in range(10_010):
        attempts.begin(str(number))
    assert len(attempts._made) == 10_000


async def test_a_hash_of_old_parameters_is_renewed_at_the_next_login(
    accounts: Accounts, ada: User, engine: AsyncEngine, clock: Clock
) -> None:
    strong = Passwords(argon2.PasswordHasher(time_cost=2, memory_cost=128, parallelism=1))
    stronger = Accounts(engine, token_secret=SECRET, clock=clock, passwords=strong)
    await stronger.login(ada.email, PASSWORD)
    async with engine.connect() as connection:
        stored = await connection.scalar(text("SELECT password_hash FROM users"))
    assert str(stored).startswith("$argon2id$v=19$m=128,t=2,p=1$")
    await accounts.login(ada.email, PASSWORD)
    await stronger.close()


async def test_nobody_logs_in_while_postgres_is_away(
    accounts: Accounts, ada: User, postgres: Postgres
) -> None:
    pair = await accounts.login(ada.email, PASSWORD)
    await accounts.authenticate(bearer=pair.access_token)
    postgres.stop()
    with pytest.raises(UnavailableError):
        await accounts.login(ada.email, PASSWORD)
    with pytest.raises(UnavailableError):
        await accounts.refresh(pair.refresh_token)
    assert await accounts.authenticate(bearer=pair.access_token)
    postgres.start()
    assert await accounts.refresh(pair.refresh_token)
