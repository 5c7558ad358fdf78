"""`claw-hub tenant|key|user|price ...`: what is done, and what is printed."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

import pytest
from tests.hub.accounts.conftest import PASSWORD

from claw_hub.accounts import Accounts, Role
from claw_hub.accounts.commands import commands, run
from claw_hub.errors import BadRequestError, ConflictError, CredentialsError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Hub = Callable[..., Awaitable[str]]

IMPORTED = "hc_2nJ9NMyNbHnoZ82mZrRLI92plU511YtnxSnPNMcRtGE"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="claw-hub")
    commands(made.add_subparsers(required=True))
    return made


@pytest.fixture
def hub(accounts: Accounts) -> Hub:
    """Call it with a command line, and with what is typed."""

    async def call(line: str, typed: str = "") -> str:
        options = parser().parse_args(shlex.split(line))
        return await run(accounts, options, read_line=lambda: typed)

    return call


def secret_of(printed: str) -> str:
    """The line before the warning that it is shown once."""
    lines = printed.splitlines()
    return lines[lines.index("Keep it now: nobody can show it again.") - 1]


async def test_a_tenant_is_made_listed_changed_and_switched(hub: Hub, accounts: Accounts) -> None:
    assert await hub("tenant create acme --tokens-per-month none --projects 3") == (
        "Tenant acme is number 1. Next: claw-hub key create acme --name NAME\n"
    )
    assert await hub("tenant update acme --records-per-second 50 --naive-timezone Asia/Shanghai") == (
        "Tenant acme has now: records_per_second 50.0, naive_timezone Asia/Shanghai.\n"
    )
    assert await hub("tenant update acme --records-per-second none --name 'Acme Ltd'")
    assert await hub("tenant revoke acme") == "Tenant acme has now: is_active no.\n"
    assert await hub("tenant list") == (
        "id  slug  name      active  tokens/month  projects  records/s  beyond  zone\n"
        "1   acme  Acme Ltd  no      -             3         -          flag    Asia/Shanghai\n"
    )
    await hub("tenant restore acme")
    assert (await accounts.tenant_by_slug("acme")).is_active
    with pytest.raises(BadRequestError, match="nothing is to be changed"):
        await hub("tenant update acme")
    with pytest.raises(NotFoundError, match="no tenant 'nobody'"):
        await hub("tenant revoke nobody")


async def test_a_key_is_shown_once(hub: Hub, accounts: Accounts) -> None:
    await hub("tenant create acme")
    printed = await hub("key create acme --name agents --expires-days 30")
    secret = secret_of(printed)
    assert printed.startswith("Key 1 of acme, until 2026-12-21 12:00 UTC:\n")
    assert (await accounts.authenticate(api_key=secret)).tenant.slug == "acme"
    assert await hub("key list acme") == (
        "id  prefix       name    created               expires               revoked\n"
        f"1   {secret[:11]}  agents  2026-11-21 12:00 UTC  2026-12-21 12:00 UTC  -\n"
    )


@pytest.mark.parametrize(("value", "typed"), [(IMPORTED, ""), ("-", f"{IMPORTED}\n")])
async def test_a_key_is_imported_and_not_repeated(
    hub: Hub, accounts: Accounts, value: str, typed: str
) -> None:
    await hub("tenant create acme")
    printed = await hub(f"key create acme --name seed --value {value}", typed)
    assert printed == "Key 1 (hc_2nJ9NMyN...) of acme is imported.\n"
    assert await accounts.authenticate(api_key=IMPORTED)


@pytest.mark.parametrize("days", ["0", "-1", "nan", "1e300"])
async def test_a_key_expires_in_the_future(hub: Hub, days: str) -> None:
    await hub("tenant create acme")
    with pytest.raises(BadRequestError):
        await hub(f"key create acme --name agents --expires-days={days}")


async def test_a_key_is_rotated_and_revoked_by_what_is_seen_of_it(hub: Hub, accounts: Accounts) -> None:
    await hub("tenant create acme")
    first = secret_of(await hub("key create acme --name agents"))
    printed = await hub("key rotate acme 1 --grace-hours 2")
    second = secret_of(printed)
    assert printed.endswith(f"The old key 1 ({first[:11]}...) works for 2 h more.\n")
    assert (await hub(f"key rotate acme {second[:11]}")).endswith("is revoked.\n")
    assert await hub(f"key revoke acme {first[:11]}") == (
        f"Key 1 ({first[:11]}..., agents) of acme is refused from now on.\n"
    )
    for secret in (first, second):
        with pytest.raises(CredentialsError):
            await accounts.authenticate(api_key=secret)
    with pytest.raises(NotFoundError, match="no key is '99'"):
        await hub("key revoke acme 99")


async def test_a_prefix_that_several_keys_have_is_not_enough(hub: Hub) -> None:
    await hub("tenant create acme")
    for number in range(2):
        await hub(f"key create acme --name seed --value hc_sameprefix{number}aaaaaaa")
    with pytest.raises(NotFoundError, match="2 keys begin with"):
        await hub("key revoke acme hc_samepref")


async def test_the_first_person_is_an_operator_of_the_house(hub: Hub, accounts: Accounts) -> None:
    await hub("tenant create house")
    with pytest.raises(BadRequestError, match="--role admin"):
        await hub("user create ada@house.example --tenant house --role ops")
    printed = await hub("user create Ada@house.example --tenant house --role admin")
    assert printed.startswith("ada@house.example is admin, an operator of the house.\n")
    assert await accounts.login("ada@house.example", secret_of(printed))
    assert await hub(
        "user create bob@house.example --tenant house --role ops --password-stdin", PASSWORD
    ) == ("bob@house.example is ops, of house.\n")
    assert await accounts.login("bob@house.example", PASSWORD)
    await hub("user create eve@house.example --tenant house --role audit --operator")
    assert await hub("user list house") == (
        "id  email              role   operator  active  created\n"
        "1   ada@house.example  admin  yes       yes     2026-11-21 12:00 UTC\n"
        "2   bob@house.example  ops    no        yes     2026-11-21 12:00 UTC\n"
        "3   eve@house.example  audit  yes       yes     2026-11-21 12:00 UTC\n"
    )


async def test_a_person_gets_another_password_and_is_let_in_or_not(hub: Hub, accounts: Accounts) -> None:
    await hub("tenant create house")
    await hub("user create ada@house.example --tenant house --role admin")
    await hub("user create bob@house.example --tenant house --role ops")
    printed = await hub("user rotate bob@house.example")
    assert await accounts.login("bob@house.example", secret_of(printed))
    assert await hub("user rotate bob@house.example --password-stdin", f"{PASSWORD}\n") == (
        "bob@house.example has another password, and is logged out.\n"
    )
    await hub("user revoke bob@house.example")
    with pytest.raises(CredentialsError, match="not active"):
        await accounts.login("bob@house.example", PASSWORD)
    await hub("user restore bob@house.example")
    assert await accounts.login("bob@house.example", PASSWORD)
    with pytest.raises(ConflictError, match="last administrator"):
        await hub("user revoke ada@house.example")
    with pytest.raises(NotFoundError, match="no user"):
        await hub("user revoke nobody@house.example")


async def test_a_price_is_added_listed_and_ended(hub: Hub) -> None:
    await hub("tenant create acme")
    assert await hub("price create gpt-4o --input 2.50 --output 10 --cache-read 1.25 --from 2026-01-01") == (
        "Price 1 of gpt-4o is valid from 2026-01-01 00:00 UTC.\n"
    )
    await hub("price create gpt-4o --input 0 --output 0.000000001 --tenant acme --to 2026-12-31T08:00+08:00")
    assert await hub("price revoke 1") == "Price 1 of gpt-4o ends at 2026-11-21 12:00 UTC.\n"
    assert (
        await hub("price list --tenant acme")
        == await hub("price list")
        == (
            "id  tenant  model   from                  to                    input  output       cache read"
            "  cache write\n"
            "1   all     gpt-4o  2026-01-01 00:00 UTC  2026-11-21 12:00 UTC  2.5    10           1.25      "
            "  2.5\n"
            "2   1       gpt-4o  2026-11-21 12:00 UTC  2026-12-31 00:00 UTC  0      0.000000001  0         "
            "  0\n"
        )
    )


async def test_a_list_is_printed_whole(hub: Hub, accounts: Accounts) -> None:
    acme = await accounts.create_tenant(slug="acme")
    for number in range(103):
        await accounts.create_project(acme.id, external_id=f"p{number}")
        await accounts.create_key(acme.id, name=f"key {number}")
    assert len((await hub("key list acme")).splitlines()) == 104


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("tenant create acme --projects many", "invalid number, or none value: 'many'"),
        ("price create x --input free --output 1", "no amount of US dollars"),
        ("price create x --input 1 --output 1 --from soon", "no time"),
        ("user create a@b.example --tenant t --role god", "invalid choice"),
        ("key create acme", "--name"),
        ("key", "COMMAND"),
    ],
)
def test_what_cannot_be_parsed_is_told(line: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(shlex.split(line))
    assert complaint in capsys.readouterr().err


def test_all_roles_can_be_given() -> None:
    for role in Role:
        options = parser().parse_args(["user", "create", "a@b.example", "--tenant", "t", "--role", role])
        assert options.role == role
