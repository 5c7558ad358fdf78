"""How Postgres is reached, and what its errors mean for who asked."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from sqlalchemy import exc
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from claw_hub.errors import BadRequestError, ConflictError, SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import URL
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["AWAY", "connect", "driver_arguments", "translated"]

CONNECT_SECONDS: Final = 3.0
STATEMENT_SECONDS: Final = 10.0
# Arguments of SQLAlchemy's driver that asyncpg itself does not know.
_FOREIGN: Final = ("async_creator_fn", "async_fallback", "prepared_statement_cache_size")

AWAY: Final = (
    OSError,  # TimeoutError is one
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # it starts, stops, or was told to end the connection
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,  # as while its password is changed
    asyncpg.InvalidCatalogNameError,
    asyncpg.InterfaceError,
    exc.TimeoutError,
    exc.OperationalError,
    exc.InterfaceError,
)
"""What is raised where Postgres cannot be asked now."""


def connect(
    url: str, *, pool_size: int = 5, statement_seconds: float | None = STATEMENT_SECONDS
) -> AsyncEngine:
    """Makes the engine of a database; nothing is connected yet.

    Args:
        url: Such as `postgresql://claw:secret@localhost:5432/claw`.
        pool_size: Connections that stay open; as many again for a moment.
        statement_seconds: A statement that takes longer is given up; None waits as long as it takes.

    Raises:
        SettingsError: It is no URL of Postgres.
    """
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        raise SettingsError(
            ["the database's URL is none; example postgresql://user@localhost/claw"]
        ) from None
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        found = parsed.drivername
        raise SettingsError([f"the database's URL begins with {found!r}; postgresql:// is known"])
    return create_async_engine(
        _with_driver(parsed),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=CONNECT_SECONDS,
        pool_pre_ping=True,  # after a restart of Postgres the old connections are dead
        connect_args={"timeout": CONNECT_SECONDS, "command_timeout": statement_seconds},
        hide_parameters=True,
    )


def _with_driver(url: URL) -> URL:
    """Returns a URL that asyncpg understands: what others call `sslmode`, it calls `ssl`."""
    query = {"ssl" if name == "sslmode" else name: value for name, value in url.query.items()}
    return url.set(drivername="postgresql+asyncpg", query=query)


def driver_arguments(engine: AsyncEngine) -> dict[str, Any]:
    """Returns what `asyncpg.connect` needs for a connection to the same database, outside of the pool."""
    _, arguments = engine.dialect.create_connect_args(engine.url)
    wanted = {name: value for name, value in arguments.items() if name not in _FOREIGN}
    return wanted | {"timeout": CONNECT_SECONDS, "command_timeout": STATEMENT_SECONDS}


@contextmanager
def translated(*, conflict: str = "there is such a thing already") -> Iterator[None]:
    """Turns errors of Postgres into those of the hub.

    Args:
        conflict: What is wrong where a constraint is violated, and the remedy.

    Raises:
        BadRequestError: A value fits into no column.
        ConflictError: A constraint is violated.
        UnavailableError: Postgres is away.
    """
    try:
        yield
    except exc.IntegrityError as error:
        raise ConflictError(conflict) from error
    except AWAY as error:
        raise _unavailable(error) from error
    except exc.DBAPIError as error:
        # SQLAlchemy has names for few of the driver's errors; the rest is told by what is below.
        cause = error.orig.__cause__ if error.orig else None
        if isinstance(cause, asyncpg.DataError):
            raise BadRequestError("a value is out of the range that the database stores") from error
        if error.connection_invalidated or isinstance(cause, AWAY):
            raise _unavailable(error) from error
        raise


def _unavailable(error: BaseException) -> UnavailableError:
    return UnavailableError(
        f"the database of the accounts cannot be asked now ({type(error).__name__}); try again"
    )
