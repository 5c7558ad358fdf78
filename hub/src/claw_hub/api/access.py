"""Who asks: the part of `claw_hub.accounts` that these routers need, and the gate before each of them."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Protocol

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from claw_hub.errors import CredentialsError

__all__ = ["Asker", "Authenticate", "Credentials", "Gate", "Principal", "Tenant"]

Credentials = tuple[str, str]


class Tenant(Protocol):
    """What a query needs to know of a tenant."""

    @property
    def id(self) -> int:
        """What the warehouse knows it by (UInt32)."""

    @property
    def naive_timezone(self) -> str:
        """IANA name of the zone that times without one are in."""


class Principal(Protocol):
    """Who asks; `claw_hub.accounts.Principal` is one."""

    @property
    def tenant(self) -> Tenant:
        """Whose records may be read."""

    @property
    def subject(self) -> str:
        """``key:<prefix>`` or ``user:<email>``."""


class Authenticate(Protocol):
    """What `claw_hub.accounts.Accounts.authenticate` does."""

    def __call__(self, *, api_key: str = "", bearer: str = "") -> Awaitable[Principal]:
        """Returns who shows these credentials.

        Raises:
            CredentialsError: They are missing, wrong, expired or revoked.
            UnavailableError: Nobody can tell now.
        """
        ...


_API_KEY = Security(
    APIKeyHeader(name="X-API-Key", auto_error=False, description="A tenant's key, for machines.")
)
_BEARER = Security(HTTPBearer(auto_error=False, description="A user's token, for people."))


def credentials(
    api_key: Annotated[str | None, _API_KEY] = None,
    bearer: Annotated[HTTPAuthorizationCredentials | None, _BEARER] = None,
) -> Credentials:
    """Returns the API key and the token of a request; empty where it has none."""
    return api_key or "", bearer.credentials if bearer else ""


class Gate:
    """Lets in who shows valid credentials, and notes who that is.

    Args:
        authenticate: Knows them.
    """

    def __init__(self, authenticate: Authenticate) -> None:
        self._authenticate = authenticate

    async def __call__(self, request: Request, shown: Annotated[Credentials, Depends(credentials)]) -> None:
        """Notes who asks.

        Raises:
            CredentialsError: Nobody who is known.
        """
        request.state.principal = await self.admit(shown)

    async def admit(self, shown: Credentials) -> Principal:
        """Returns who shows `shown`.

        Raises:
            CredentialsError: Nobody who is known.
        """
        api_key, bearer = shown
        if not api_key and not bearer:
            raise CredentialsError("send an API key as X-API-Key, or a token as Authorization: Bearer ...")
        return await self._authenticate(api_key=api_key, bearer=bearer)

    def recheck(self, shown: Credentials) -> Callable[[], Awaitable[None]]:
        """Returns what asks once more whether `shown` is still valid, for answers that last."""

        async def check() -> None:
            await self.admit(shown)

        return check


def _asker(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal


# The principal that the gate has let in.
Asker = Annotated[Principal, Depends(_asker)]
