"""Deletes what has been kept long enough: whole partitions at once, and rows of tenants that keep less.

Days begin at midnight UTC, so that no hour of a mart is left half there. After it ran, the warehouse is asked
whether anything is left; what a deletion only says it did is not believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from claw_hub.errors import HubError
from claw_hub.warehouse.packaged import query_texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from claw_hub.warehouse.connection import Executor

__all__ = ["POLICIES", "Policy", "Retained", "Retention"]

_SETTINGS: Final = {"max_execution_time": "3600", "mutations_sync": "2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long the rows of a table are kept.

    Attributes:
        table: Its name.
        column: The time that counts.
        keep_days: For tenants that say nothing.
        is_extendable: A tenant may keep them longer, too; else only shorter.
    """

    table: str
    column: str
    keep_days: int
    is_extendable: bool = True

    def days(self, wished: int | None) -> int:
        """Returns how long the rows of a tenant that wishes so many days are kept."""
        if wished is None:
            return self.keep_days
        return wished if self.is_extendable else min(wished, self.keep_days)


POLICIES: Final = (
    Policy(table="raw_batches", column="received_at", keep_days=7, is_extendable=False),
    Policy(table="quarantine", column="received_at", keep_days=90, is_extendable=False),
    Policy(table="stg_usage", column="ts", keep_days=395),
    Policy(table="stg_executions", column="started_at", keep_days=395),
    Policy(table="stg_timeline", column="ts", keep_days=395),
    Policy(table="mart_usage_hour", column="hour", keep_days=395),
)
"""By default: thirteen months, ninety days to look into what was quarantined, a week to replay from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """What was done to a table.

    Attributes:
        table: Its name.
        dropped_partitions: Ids of those that were dropped whole.
        deleted_rows: Rows that were deleted from partitions that stay.
        left_rows: Rows that should be gone, and are not; anything but 0 is a failure.
    """

    table: str
    dropped_partitions: tuple[str, ...]
    deleted_rows: int
    left_rows: int


@dataclass(frozen=True, slots=True)
class _Group:
    """Tenants that keep equally long: those of the list, or all that no list has."""

    before: datetime
    tenants: tuple[int, ...]
    is_listed: bool

    def parameters(self, policy: Policy) -> dict[str, str]:
        listed = ",".join(str(tenant) for tenant in self.tenants)
        tenants = {"tenants": f"[{listed}]", "listed": str(int(self.is_listed))}
        return {**tenants, **_named(policy, self.before)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Applies policies.

    Attributes:
        executor: Runs the statements; its own limit of time has to be as long as deleting takes.
        database: Where the tables are.
        policies: One for each table that something is deleted from.
    """

    executor: Executor
    database: str = "claw"
    policies: Sequence[Policy] = POLICIES

    async def run(self, *, now: datetime, tenants: Mapping[int, int | None]) -> list[Retained]:
        """Deletes what is too old; returns what was done, table by table.

        Args:
            now: The time.
            tenants: Id -> days that this tenant keeps its rows; None, or not listed, for the policy's.

        Raises:
            HubError: A statement failed, or rows are left that should be gone.
        """
        done = [await self._apply(policy, now, tenants) for policy in self.policies]
        left = [f"{one.left_rows} rows of {one.table}" for one in done if one.left_rows]
        if left:
            raise HubError(f"retention ran, and these should be gone but are not: {', '.join(left)}")
        return done

    async def _apply(self, policy: Policy, now: datetime, tenants: Mapping[int, int | None]) -> Retained:
        groups = _groups(policy, now, tenants)
        # What is old for those who keep longest is old for all.
        oldest = min(group.before for group in groups)
        dropped = await self._drop(policy, oldest)
        deleted = sum([await self._delete(policy, group) for group in groups])
        left = sum([await self._count(policy, group) for group in groups])
        return Retained(
            table=policy.table, dropped_partitions=tuple(dropped), deleted_rows=deleted, left_rows=left
        )

    async def _drop(self, policy: Policy, before: datetime) -> list[str]:
        rows = await self._run("old_partitions", _named(policy, before))
        # "all" is the one partition of a table that has none.
        partitions = [row["partition"] for row in rows if row["partition"] != "all"]
        for partition in partitions:
            await self._run("drop_partition", {"table": policy.table, "partition": partition})
        return partitions

    async def _delete(self, policy: Policy, group: _Group) -> int:
        rows = await self._count(policy, group)
        if rows:
            await self._run("delete_expired", group.parameters(policy))
        return rows

    async def _count(self, policy: Policy, group: _Group) -> int:
        (row,) = await self._run("count_expired", group.parameters(policy))
        return int(row["rows"])

    async def _run(self, name: str, parameters: Mapping[str, str]) -> list[dict[str, str]]:
        sql = query_texts()[f"warehouse/{name}"]
        return await self.executor.execute(
            sql, database=self.database, parameters=parameters, settings=_SETTINGS
        )


def _groups(policy: Policy, now: datetime, tenants: Mapping[int, int | None]) -> list[_Group]:
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    own = {tenant: policy.days(wished) for tenant, wished in tenants.items()}
    listed = {tenant: days for tenant, days in own.items() if days != policy.keep_days}
    groups = [_Group(midnight - timedelta(days=policy.keep_days), tuple(sorted(listed)), is_listed=False)]
    for days in sorted(set(listed.values())):
        members = tuple(sorted(tenant for tenant, kept in listed.items() if kept == days))
        groups.append(_Group(midnight - timedelta(days=days), members, is_listed=True))
    return groups


def _named(policy: Policy, before: datetime) -> dict[str, str]:
    return {"table": policy.table, "column": policy.column, "before": f"{before:%Y-%m-%d %H:%M:%S.%f}"}
