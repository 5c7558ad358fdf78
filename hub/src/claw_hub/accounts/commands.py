"""`claw-hub tenant|key|user|price ...`: what the house's people do on the command line.

`commands` adds the sub-commands; `run` does the one that was parsed, and returns what is to be printed.
Secrets are read from the standard input or made here and shown once; no argument is a password.
"""

from __future__ import annotations

import secrets
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from claw_hub.accounts.model import Quota, Role
from claw_hub.accounts.tenants import DEFAULT_QUOTA
from claw_hub.accounts.terminal import NONE, amount, cell, everything, moment, number_or_none, table
from claw_hub.errors import BadRequestError, NotFoundError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from claw_hub.accounts.model import ApiKey, NewKey, Price, User
    from claw_hub.accounts.service import Accounts

    Command = Callable[[Accounts, argparse.Namespace], Awaitable[str]]

__all__ = ["commands", "run"]

_ONCE: Final = "Keep it now: nobody can show it again.\n"


def commands(subparsers: Any) -> None:  # noqa: ANN401 - argparse's type has no public name
    """Adds the sub-commands to what `ArgumentParser.add_subparsers` returned."""
    _tenant(_group(subparsers, "tenant", "customers, and how much they may use"))
    _key(_group(subparsers, "key", "API keys of machines"))
    _user(_group(subparsers, "user", "people"))
    _price(_group(subparsers, "price", "what models cost"))


async def run(
    accounts: Accounts, options: argparse.Namespace, *, read_line: Callable[[], str] | None = None
) -> str:
    """Does what was parsed.

    Args:
        accounts: What is managed.
        options: Of a parser that `commands` completed.
        read_line: For a secret that is not to be seen among the arguments; by default the standard input's.

    Returns:
        What to print.

    Raises:
        HubError: It cannot be done; the message says why, and the remedy.
    """
    read_line = read_line or sys.stdin.readline
    if getattr(options, "value", "") == "-":
        options.value = read_line().strip()
    if getattr(options, "password_stdin", False):
        options.password = read_line().rstrip("\r\n")
    command: Command = options.account_command
    return await command(accounts, options)


def _group(subparsers: Any, name: str, about: str) -> Any:  # noqa: ANN401 - argparse's type has no public name
    parser = subparsers.add_parser(name, help=about, description=f"Manages {about}.")
    return parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest=f"{name}_command")


def _add(group: Any, name: str, command: Command, about: str) -> argparse.ArgumentParser:  # noqa: ANN401 - the same
    parser: argparse.ArgumentParser = group.add_parser(name, help=about, description=about)
    parser.set_defaults(account_command=command)
    return parser


# Arguments


def _tenant(group: Any) -> None:  # noqa: ANN401 - argparse's type has no public name
    create = _add(group, "create", _create_tenant, "make a tenant")
    change = _add(group, "update", _update_tenant, "change a tenant's name, quota, retention or time zone")
    for parser in (create, change):
        parser.add_argument("slug", help="its name in commands, such as acme")
        parser.add_argument("--name", help="its name for people (default: the slug)")
        parser.add_argument("--tokens-per-month", type=number_or_none(int), help="a number, or none")
        parser.add_argument("--projects", type=number_or_none(int), help="a number, or none")
        parser.add_argument("--records-per-second", type=number_or_none(float), help="a number, or none")
        parser.add_argument("--on-exceeded", choices=("flag", "reject"), help="beyond tokens and projects")
        parser.add_argument("--retention-days", type=number_or_none(int), help="a number, or none")
        parser.add_argument("--naive-timezone", help="of timestamps without a zone, such as Asia/Shanghai")
    _add(group, "list", _list_tenants, "list tenants")
    for name, command, about in (
        ("revoke", _revoke_tenant, "let nobody of a tenant in any more"),
        ("restore", _restore_tenant, "let a tenant in again"),
    ):
        _add(group, name, command, about).add_argument("slug")


def _key(group: Any) -> None:  # noqa: ANN401 - argparse's type has no public name
    create = _add(group, "create", _create_key, "make a key, or import one; it is shown once")
    create.add_argument("tenant", help="slug of the tenant")
    create.add_argument("--name", required=True, help="what it is for")
    create.add_argument(
        "--value", default="", metavar="hc_...", help="import this one; - reads it from the standard input"
    )
    create.add_argument("--expires-days", type=float, metavar="DAYS", help="(default: never)")
    _add(group, "list", _list_keys, "list a tenant's keys").add_argument("tenant")
    revoke = _add(group, "revoke", _revoke_key, "make a key be refused, everywhere at once")
    rotate = _add(group, "rotate", _rotate_key, "make a key that takes the place of another")
    for parser in (revoke, rotate):
        parser.add_argument("tenant", help="slug of the tenant")
        parser.add_argument("key", help="its number, or its first 11 characters")
    rotate.add_argument(
        "--grace-hours", type=float, default=0.0, metavar="HOURS", help="how long the old one still works"
    )


def _user(group: Any) -> None:  # noqa: ANN401 - argparse's type has no public name
    create = _add(group, "create", _create_user, "make a person; the first one is an operator of the house")
    create.add_argument("email")
    create.add_argument("--tenant", required=True, help="slug of the tenant")
    create.add_argument("--role", required=True, choices=[str(role) for role in Role])
    create.add_argument("--operator", action="store_true", help="of the house: for all tenants")
    rotate = _add(group, "rotate", _rotate_password, "give a person another password")
    for parser in (create, rotate):
        parser.add_argument(
            "--password-stdin",
            action="store_true",
            help="read it from the standard input (default: make one)",
        )
    _add(group, "list", _list_users, "list a tenant's people").add_argument("tenant")
    revoke = _add(group, "revoke", _revoke_user, "let a person in no more, everywhere at once")
    restore = _add(group, "restore", _restore_user, "let a person in again")
    for parser in (rotate, revoke, restore):
        parser.add_argument("email")


def _price(group: Any) -> None:  # noqa: ANN401 - argparse's type has no public name
    create = _add(
        group, "create", _create_price, "add a price; an open one of the model ends where it begins"
    )
    create.add_argument("model", help="its name; * in it stands for any characters")
    for name, is_needed, about in (
        ("--input", True, "for a million tokens of the prompt"),
        ("--output", True, "for a million tokens of the answer"),
        ("--cache-read", False, "for a million read from a cache (default: as --input)"),
        ("--cache-write", False, "for a million written to one (default: as --input)"),
    ):
        create.add_argument(name, type=amount, required=is_needed, metavar="USD", help=about)
    create.add_argument("--tenant", help="slug of the only tenant it is for")
    create.add_argument("--from", dest="valid_from", type=moment, help="such as 2026-01-01 (default: now)")
    create.add_argument("--to", dest="valid_to", type=moment, help="(default: open)")
    _add(group, "list", _list_prices, "list prices").add_argument(
        "--tenant", help="slug: the house's and its"
    )
    revoke = _add(group, "revoke", _end_price, "make a price end; what it cost before stays")
    revoke.add_argument("price", type=int, help="its number")
    revoke.add_argument("--at", type=moment, help="(default: now)")


# Tenants

_TENANT_FIELDS: Final = (
    "name",
    "tokens_per_month",
    "projects",
    "records_per_second",
    "on_exceeded",
    "retention_days",
    "naive_timezone",
)


def _said(options: argparse.Namespace) -> dict[str, Any]:
    said = {name: getattr(options, name) for name in _TENANT_FIELDS}
    return {name: None if value == NONE else value for name, value in said.items() if value is not None}


async def _create_tenant(accounts: Accounts, options: argparse.Namespace) -> str:
    said = _said(options)
    quota = {name: said.pop(name, getattr(DEFAULT_QUOTA, name)) for name in Quota.__dataclass_fields__}
    made = await accounts.create_tenant(slug=options.slug, quota=Quota(**quota), **said)
    return f"Tenant {made.slug} is number {made.id}. Next: claw-hub key create {made.slug} --name NAME\n"


async def _update_tenant(accounts: Accounts, options: argparse.Namespace) -> str:
    said = _said(options)
    if not said:
        raise BadRequestError("nothing is to be changed; say what: claw-hub tenant update --help")
    return await _changed_tenant(accounts, options.slug, said)


async def _revoke_tenant(accounts: Accounts, options: argparse.Namespace) -> str:
    return await _changed_tenant(accounts, options.slug, {"is_active": False})


async def _restore_tenant(accounts: Accounts, options: argparse.Namespace) -> str:
    return await _changed_tenant(accounts, options.slug, {"is_active": True})


async def _changed_tenant(accounts: Accounts, slug: str, changes: dict[str, Any]) -> str:
    tenant = await accounts.tenant_by_slug(slug)
    await accounts.update_tenant(tenant.id, changes)
    shown = ", ".join(f"{name} {cell(value)}" for name, value in changes.items())
    return f"Tenant {slug} has now: {shown}.\n"


async def _list_tenants(accounts: Accounts, _: argparse.Namespace) -> str:
    head = ("id", "slug", "name", "active", "tokens/month", "projects", "records/s", "beyond", "zone")
    rows = [
        (
            *(one.id, one.slug, one.name, one.is_active),
            *(one.quota.tokens_per_month, one.quota.projects, one.quota.records_per_second),
            *(one.quota.on_exceeded, one.naive_timezone),
        )
        for one in await everything(accounts.tenants)
    ]
    return table(head, rows)


# Keys


async def _create_key(accounts: Accounts, options: argparse.Namespace) -> str:
    tenant = await accounts.tenant_by_slug(options.tenant)
    expires_at = None
    if options.expires_days is not None:
        expires_at = _in_days(accounts.now(), options.expires_days)
    made = await accounts.create_key(tenant.id, name=options.name, value=options.value, expires_at=expires_at)
    if options.value:
        return f"Key {made.key.id} ({made.key.prefix}...) of {tenant.slug} is imported{_until(made.key)}.\n"
    return _shown(made, tenant.slug)


async def _rotate_key(accounts: Accounts, options: argparse.Namespace) -> str:
    old = await _find_key(accounts, options)
    made = await accounts.rotate_key(old.tenant_id, old.id, grace_seconds=options.grace_hours * 3600)
    still = f"works for {options.grace_hours:g} h more" if options.grace_hours else "is revoked"
    return f"{_shown(made, options.tenant)}The old key {old.id} ({old.prefix}...) {still}.\n"


async def _revoke_key(accounts: Accounts, options: argparse.Namespace) -> str:
    key = await _find_key(accounts, options)
    await accounts.revoke_key(key.tenant_id, key.id)
    return f"Key {key.id} ({key.prefix}..., {key.name}) of {options.tenant} is refused from now on.\n"


async def _list_keys(accounts: Accounts, options: argparse.Namespace) -> str:
    tenant = await accounts.tenant_by_slug(options.tenant)
    rows = [
        (one.id, one.prefix, one.name, one.created_at, one.expires_at, one.revoked_at)
        for one in await everything(lambda **where: accounts.keys(tenant.id, **where))
    ]
    return table(("id", "prefix", "name", "created", "expires", "revoked"), rows)


async def _find_key(accounts: Accounts, options: argparse.Namespace) -> ApiKey:
    tenant = await accounts.tenant_by_slug(options.tenant)
    keys: list[ApiKey] = await everything(lambda **where: accounts.keys(tenant.id, **where))
    found = [key for key in keys if options.key in {str(key.id), key.prefix}]
    if len(found) != 1:
        several = f"{len(found)} keys begin with" if found else "no key is"
        raise NotFoundError(f"{several} {options.key!r}; look: claw-hub key list {tenant.slug}")
    return found[0]


def _shown(made: NewKey, slug: str) -> str:
    return f"Key {made.key.id} of {slug}{_until(made.key)}:\n{made.secret}\n{_ONCE}"


def _until(key: ApiKey) -> str:
    return f", until {cell(key.expires_at)}" if key.expires_at else ""


# People


async def _create_user(accounts: Accounts, options: argparse.Namespace) -> str:
    tenant = await accounts.tenant_by_slug(options.tenant)
    is_first = not await accounts.has_operator()
    if is_first and options.role != Role.ADMIN:
        raise BadRequestError("the first person is the operator of the house; make it with --role admin")
    password = _password(options)
    made = await accounts.create_user(
        tenant.id,
        email=options.email,
        password=password,
        role=Role(options.role),
        is_operator=options.operator or is_first,
    )
    kind = "an operator of the house" if made.is_operator else f"of {tenant.slug}"
    return f"{made.email} is {made.role}, {kind}.\n{_said_password(options, password)}"


async def _rotate_password(accounts: Accounts, options: argparse.Namespace) -> str:
    user = await accounts.user_by_email(options.email)
    password = _password(options)
    await accounts.set_password(user.tenant_id, user.id, password)
    return f"{user.email} has another password, and is logged out.\n{_said_password(options, password)}"


async def _revoke_user(accounts: Accounts, options: argparse.Namespace) -> str:
    user = await _switched(accounts, options.email, is_active=False)
    return f"{user.email} is refused from now on.\n"


async def _restore_user(accounts: Accounts, options: argparse.Namespace) -> str:
    user = await _switched(accounts, options.email, is_active=True)
    return f"{user.email} may log in.\n"


async def _switched(accounts: Accounts, email: str, *, is_active: bool) -> User:
    user = await accounts.user_by_email(email)
    return await accounts.update_user(user.tenant_id, user.id, {"is_active": is_active})


async def _list_users(accounts: Accounts, options: argparse.Namespace) -> str:
    tenant = await accounts.tenant_by_slug(options.tenant)
    rows = [
        (one.id, one.email, one.role, one.is_operator, one.is_active, one.created_at)
        for one in await everything(lambda **where: accounts.users(tenant.id, **where))
    ]
    return table(("id", "email", "role", "operator", "active", "created"), rows)


def _password(options: argparse.Namespace) -> str:
    return options.password if options.password_stdin else secrets.token_urlsafe(18)


def _said_password(options: argparse.Namespace, password: str) -> str:
    return "" if options.password_stdin else f"Password:\n{password}\n{_ONCE}"


# Prices


async def _create_price(accounts: Accounts, options: argparse.Namespace) -> str:
    tenant = await accounts.tenant_by_slug(options.tenant) if options.tenant else None
    made = await accounts.create_price(
        model=options.model,
        input_usd_per_million=options.input,
        output_usd_per_million=options.output,
        cache_read_usd_per_million=options.cache_read,
        cache_write_usd_per_million=options.cache_write,
        tenant_id=tenant.id if tenant else None,
        valid_from=options.valid_from,
        valid_to=options.valid_to,
    )
    return f"Price {made.id} of {made.model} is valid from {cell(made.valid_from)}.\n"


async def _end_price(accounts: Accounts, options: argparse.Namespace) -> str:
    ended = await accounts.end_price(options.price, at=options.at)
    return f"Price {ended.id} of {ended.model} ends at {cell(ended.valid_to)}.\n"


async def _list_prices(accounts: Accounts, options: argparse.Namespace) -> str:
    tenant = await accounts.tenant_by_slug(options.tenant) if options.tenant else None
    whose = tenant.id if tenant else None
    head = ("id", "tenant", "model", "from", "to", "input", "output", "cache read", "cache write")
    prices: list[Price] = await everything(lambda **where: accounts.prices_for(whose, **where))
    rows = [
        (
            *(one.id, one.tenant_id or "all", one.model, one.valid_from, one.valid_to or "open"),
            *(one.input_usd_per_million, one.output_usd_per_million),
            *(one.cache_read_usd_per_million, one.cache_write_usd_per_million),
        )
        for one in prices
    ]
    return table(head, rows)


def _in_days(now: datetime, days: float) -> datetime:
    try:
        return now + timedelta(days=days)
    except (OverflowError, ValueError):
        raise BadRequestError(f"--expires-days is {days:g}: it has to be a number of days from now") from None
