"""What models cost, for how long, and for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import func, or_, select, text

from claw_hub.accounts import checks
from claw_hub.accounts.memory import Loaded
from claw_hub.accounts.model import Page, Price
from claw_hub.accounts.schema import ModelPriceRow, TenantRow
from claw_hub.accounts.store import PAGE, Store
from claw_hub.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from decimal import Decimal

    from claw_hub.accounts.store import Change

__all__ = ["Prices"]

_MEMORY: Final = "prices"
_OVERLAP: Final = "this model has a price for a part of that time already; end that one first"


class Prices(Store):
    """The part of the accounts that is about prices."""

    async def create_price(  # noqa: PLR0913 - what a price is made of, all by name
        self,
        *,
        model: str,
        input_usd_per_million: Decimal,
        output_usd_per_million: Decimal,
        cache_read_usd_per_million: Decimal | None = None,
        cache_write_usd_per_million: Decimal | None = None,
        tenant_id: int | None = None,
        valid_from: datetime | None = None,
        valid_to: datetime | None = None,
    ) -> Price:
        """Adds a price; one of the same model that is open ends where this begins.

        Args:
            model: Name of the model; `*` in it stands for any characters.
            input_usd_per_million: US dollars for a million tokens of the prompt, to the nano-dollar.
            output_usd_per_million: The same of the answer.
            cache_read_usd_per_million: The same read from a cache; as the prompt's where left out.
            cache_write_usd_per_million: The same written to a cache; as the prompt's where left out.
            tenant_id: Only for this tenant; None for all that have no price of their own.
            valid_from: First moment; now where left out.
            valid_to: First moment that it is not valid any more; None is open.

        Raises:
            BadRequestError: A value is wrong.
            ConflictError: The model has a price for a part of that time.
            NotFoundError: There is no such tenant.
            UnavailableError: Postgres is away.
        """
        amounts = {
            "input_usd_per_million": input_usd_per_million,
            "output_usd_per_million": output_usd_per_million,
            "cache_read_usd_per_million": _or(cache_read_usd_per_million, input_usd_per_million),
            "cache_write_usd_per_million": _or(cache_write_usd_per_million, input_usd_per_million),
        }
        row = ModelPriceRow(
            tenant_id=tenant_id,
            model=checks.text("model", model, longest=256),
            valid_from=checks.time("valid_from", valid_from or self.now()),
            valid_to=None if valid_to is None else checks.time("valid_to", valid_to),
            **{name: checks.decimal(name, amount) for name, amount in amounts.items()},
        )
        _check_period(row)
        async with self._changing(conflict=_OVERLAP) as change:
            await _make_room(change, row)
            change.session.add(row)
            change.tell(_MEMORY)
        return _price_of(row)

    async def end_price(self, price_id: int, *, at: datetime | None = None) -> Price:
        """Makes a price end, now where no moment is given; what it cost before stays.

        Raises:
            BadRequestError: It would end before it begins.
            ConflictError: It has ended.
            NotFoundError: There is no such price.
            UnavailableError: Postgres is away.
        """
        async with self._changing() as change:
            row = await change.session.get(ModelPriceRow, price_id, with_for_update=True)
            if row is None:
                raise _missing(price_id)
            end = checks.time("at", at or self.now())
            if row.valid_to is not None and row.valid_to <= end:
                raise ConflictError(f"price {price_id} has ended at {row.valid_to.isoformat()}")
            row.valid_to = end
            _check_period(row)
            change.tell(_MEMORY)
        return _price_of(row)

    async def price(self, price_id: int) -> Price:
        """Returns a price.

        Raises:
            NotFoundError: There is none.
            UnavailableError: Postgres is away.
        """
        async with self._reading() as session:
            row = await session.get(ModelPriceRow, price_id)
        if row is None:
            raise _missing(price_id)
        return _price_of(row)

    async def prices(self) -> Sequence[Price]:
        """Returns all prices of all tenants, those that ended included; remembered for a minute.

        Raises:
            UnavailableError: Postgres is away, and they are not remembered.
        """

        async def load() -> Loaded[Sequence[Price]]:
            async with self._reading() as session:
                rows = await session.scalars(select(ModelPriceRow).order_by(ModelPriceRow.id))
                return Loaded([_price_of(row) for row in rows])

        return await self._memory.get(_MEMORY, load) or []

    async def prices_for(self, tenant_id: int | None, *, after_id: int = 0, limit: int = PAGE) -> Page[Price]:
        """Lists prices: those of the house and of one tenant; None is everybody's.

        Raises:
            UnavailableError: Postgres is away.
        """
        statement = select(ModelPriceRow).where(ModelPriceRow.id > after_id).order_by(ModelPriceRow.id)
        if tenant_id is not None:
            owner = ModelPriceRow.tenant_id
            statement = statement.where(or_(owner.is_(None), owner == tenant_id))
        return await self._page(statement, _price_of, limit=limit)


def _or(amount: Decimal | None, other: Decimal) -> Decimal:
    return other if amount is None else amount


def _check_period(row: ModelPriceRow) -> None:
    if row.valid_to is not None and row.valid_to <= row.valid_from:
        expected = f"it has to be after valid_from, {row.valid_from.isoformat()}"
        raise checks.refused("valid_to", row.valid_to.isoformat(), expected)


async def _make_room(change: Change, row: ModelPriceRow) -> None:
    session = change.session
    # Two that come at once must not both find that there is room; readers do not wait.
    await session.execute(text("LOCK TABLE model_prices IN SHARE ROW EXCLUSIVE MODE"))
    if row.tenant_id is not None and await session.get(TenantRow, row.tenant_id) is None:
        raise NotFoundError(f"there is no tenant {row.tenant_id}")
    same = select(ModelPriceRow).where(
        ModelPriceRow.tenant_id.is_not_distinct_from(row.tenant_id), ModelPriceRow.model == row.model
    )
    before = await session.scalar(
        same.where(ModelPriceRow.valid_to.is_(None), ModelPriceRow.valid_from < row.valid_from)
    )
    if before is not None:
        before.valid_to = row.valid_from
        await session.flush()
    begins_before_end = (
        ModelPriceRow.valid_from < row.valid_to if row.valid_to else ModelPriceRow.id.is_not(None)
    )
    ends_after_start = func.coalesce(ModelPriceRow.valid_to, text("'infinity'")) > row.valid_from
    if await session.scalar(same.where(begins_before_end, ends_after_start).limit(1)):
        raise ConflictError(_OVERLAP)


def _missing(price_id: int) -> NotFoundError:
    return NotFoundError(f"there is no price {price_id}")


def _price_of(row: ModelPriceRow) -> Price:
    return Price(
        id=row.id,
        tenant_id=row.tenant_id,
        model=row.model,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        input_usd_per_million=row.input_usd_per_million,
        output_usd_per_million=row.output_usd_per_million,
        cache_read_usd_per_million=row.cache_read_usd_per_million,
        cache_write_usd_per_million=row.cache_write_usd_per_million,
    )
