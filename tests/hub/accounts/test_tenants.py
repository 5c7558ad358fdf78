"""Tenants, their keys and projects: what may be written, and what is in the way."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.hub.accounts.conftest import NOON

from claw_hub.accounts import Quota
from claw_hub.errors import BadRequestError, ConflictError, NotFoundError, QuotaError

if TYPE_CHECKING:
    from tests.hub.accounts.conftest import Clock

    from claw_hub.accounts import Accounts, Tenant


async def test_a_new_tenant_has_the_quota_of_the_requirement(accounts: Accounts) -> None:
    made = await accounts.create_tenant(slug="acme")
    assert made.name == "acme"
    assert made.quota == Quota(
        tokens_per_month=500_000, projects=10, records_per_second=None, on_exceeded="flag"
    )
    assert (made.retention_days, made.naive_timezone, made.is_active) == (None, "UTC", True)
    assert await accounts.tenant(made.id) == made == await accounts.tenant_by_slug("acme")


async def test_a_slug_is_one_tenants(accounts: Accounts, acme: Tenant) -> None:
    with pytest.raises(ConflictError, match="'acme' already"):
        await accounts.create_tenant(slug=acme.slug)


@pytest.mark.parametrize("slug", ["", "Acme", "-a", "a-", "a b", "a" * 64, "é", "a\n"])
async def test_a_slug_can_be_typed(accounts: Accounts, slug: str) -> None:
    with pytest.raises(BadRequestError, match="a-z, 0-9 and -"):
        await accounts.create_tenant(slug=slug)


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "a\x00b"},
        {"name": "\ud800"},
        {"name": "a" * 201},
        {"is_active": "yes"},
        {"tokens_per_month": -1},
        {"tokens_per_month": 2**63},
        {"tokens_per_month": 1.5},
        {"projects": True},
        {"records_per_second": 0},
        {"records_per_second": float("nan")},
        {"on_exceeded": "explode"},
        {"retention_days": 0},
        {"naive_timezone": "Mars/Olympus"},
        {"naive_timezone": "../../etc/passwd"},
        {"slug": "other"},
    ],
)
async def test_what_makes_no_sense_is_refused(
    accounts: Accounts, acme: Tenant, change: dict[str, Any]
) -> None:
    with pytest.raises(BadRequestError):
        await accounts.update_tenant(acme.id, change)
    assert await accounts.tenant(acme.id) == acme


async def test_every_field_can_be_changed(accounts: Accounts, acme: Tenant) -> None:
    change = {
        "name": "阿克梅",
        "is_active": False,
        "tokens_per_month": 2**63 - 1,
        "projects": None,
        "records_per_second": 0.5,
        "on_exceeded": "reject",
        "retention_days": 90,
        "naive_timezone": "Asia/Shanghai",
    }
    changed = await accounts.update_tenant(acme.id, change)
    assert changed == await accounts.tenant(acme.id)
    assert changed.name == "阿克梅"
    assert changed.quota == Quota(
        tokens_per_month=2**63 - 1, projects=None, records_per_second=0.5, on_exceeded="reject"
    )
    with pytest.raises(NotFoundError):
        await accounts.update_tenant(4711, {"name": "x"})


async def test_lists_come_in_parts(accounts: Accounts) -> None:
    made = [await accounts.create_tenant(slug=f"t{number}") for number in range(5)]
    first = await accounts.tenants(limit=2)
    second = await accounts.tenants(limit=2, after_id=first.next_id or 0)
    last = await accounts.tenants(limit=2, after_id=second.next_id or 0)
    assert [*first.items, *second.items, *last.items] == made
    assert last.next_id is None
    exact = await accounts.tenants(limit=5)
    assert (len(exact.items), exact.next_id) == (5, None)


async def test_keys_are_of_one_tenant(accounts: Accounts, acme: Tenant) -> None:
    other = await accounts.create_tenant(slug="other")
    made = await accounts.create_key(acme.id, name="agents")
    assert (await accounts.keys(acme.id)).items == [made.key]
    assert (await accounts.keys(other.id)).items == []
    with pytest.raises(NotFoundError):
        await accounts.revoke_key(other.id, made.key.id)
    with pytest.raises(NotFoundError):
        await accounts.rotate_key(other.id, made.key.id)
    with pytest.raises(NotFoundError):
        await accounts.create_key(4711, name="agents")


async def test_a_key_is_imported_once(accounts: Accounts, acme: Tenant) -> None:
    other = await accounts.create_tenant(slug="other")
    value = "hc_" + "a" * 40
    await accounts.create_key(acme.id, name="seed", value=value)
    with pytest.raises(ConflictError):
        await accounts.create_key(other.id, name="seed", value=value)


async def test_a_key_that_has_expired_is_not_made(accounts: Accounts, acme: Tenant) -> None:
    for moment in (datetime.fromtimestamp(NOON, UTC), datetime(2026, 11, 21, 11), datetime.min):  # noqa: DTZ001, DTZ901 - those without a zone are meant
        with pytest.raises(BadRequestError, match="in the future"):
            await accounts.create_key(acme.id, name="late", expires_at=moment)
    with pytest.raises(BadRequestError, match="printable"):
        await accounts.create_key(acme.id, name="")


async def test_what_is_revoked_stays_so_and_is_not_rotated(
    accounts: Accounts, acme: Tenant, clock: Clock
) -> None:
    made = await accounts.create_key(acme.id, name="agents")
    revoked = await accounts.revoke_key(acme.id, made.key.id)
    clock.now += 60
    assert await accounts.revoke_key(acme.id, made.key.id) == revoked
    with pytest.raises(ConflictError, match="not valid any more"):
        await accounts.rotate_key(acme.id, made.key.id)


async def test_a_rotation_does_not_make_a_key_live_longer(accounts: Accounts, acme: Tenant) -> None:
    end = datetime.fromtimestamp(NOON + 60, UTC)
    old = await accounts.create_key(acme.id, name="agents", expires_at=end)
    new = await accounts.rotate_key(acme.id, old.key.id, grace_seconds=3600)
    assert new.key.expires_at == end
    assert [key.expires_at for key in (await accounts.keys(acme.id)).items] == [end, end]
    last = await accounts.rotate_key(acme.id, new.key.id)
    keys = (await accounts.keys(acme.id)).items
    assert [key.revoked_at is None for key in keys] == [True, False, True]
    with pytest.raises(BadRequestError):
        await accounts.rotate_key(acme.id, last.key.id, grace_seconds=float("inf"))


async def test_projects_have_names_and_can_be_put_away(accounts: Accounts, acme: Tenant) -> None:
    made = await accounts.create_project(acme.id, external_id="proj-1", name="First")
    assert (await accounts.create_project(acme.id, external_id="proj-2")).name == "proj-2"
    with pytest.raises(ConflictError, match="'proj-1' already"):
        await accounts.create_project(acme.id, external_id="proj-1")
    away = await accounts.update_project(acme.id, made.id, {"is_archived": True, "name": "Old"})
    assert (away.name, away.archived_at) == ("Old", datetime.fromtimestamp(NOON, UTC))
    back = await accounts.update_project(acme.id, made.id, {"is_archived": False})
    assert back.archived_at is None
    assert [one.external_id for one in (await accounts.projects(acme.id)).items] == ["proj-1", "proj-2"]


async def test_projects_are_of_one_tenant(accounts: Accounts, acme: Tenant) -> None:
    other = await accounts.create_tenant(slug="other")
    made = await accounts.create_project(acme.id, external_id="proj-1")
    await accounts.create_project(other.id, external_id="proj-1")
    with pytest.raises(NotFoundError):
        await accounts.update_project(other.id, made.id, {"name": "Mine"})
    with pytest.raises(NotFoundError):
        await accounts.create_project(4711, external_id="proj-1")


@pytest.mark.parametrize("on_exceeded", ["flag", "reject"])
async def test_projects_beyond_the_quota_are_refused_where_they_are_to_be(
    accounts: Accounts, acme: Tenant, on_exceeded: str
) -> None:
    await accounts.update_tenant(acme.id, {"projects": 1, "on_exceeded": on_exceeded})
    first = await accounts.create_project(acme.id, external_id="proj-1")
    if on_exceeded == "flag":
        assert await accounts.create_project(acme.id, external_id="proj-2")
        return
    with pytest.raises(QuotaError, match="1 projects"):
        await accounts.create_project(acme.id, external_id="proj-2")
    await accounts.update_project(acme.id, first.id, {"is_archived": True})
    assert await accounts.create_project(acme.id, external_id="proj-2")
