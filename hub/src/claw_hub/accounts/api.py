"""Logging in, and managing the accounts, over HTTP; errors are raised, the application answers with them."""

# No `from __future__ import annotations`: FastAPI reads these at run time.

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from claw_hub.accounts.admin import Admin
from claw_hub.accounts.bodies import (
    LoginBody,
    Me,
    PasswordChange,
    RefreshBody,
    TenantOut,
    TokenOut,
    answers,
)
from claw_hub.accounts.model import Principal, TokenPair
from claw_hub.accounts.permissions import ALLOWED
from claw_hub.accounts.service import Accounts
from claw_hub.errors import (
    BadRequestError,
    CredentialsError,
    ForbiddenError,
    RateError,
    UnavailableError,
)

__all__ = ["authenticated", "routers"]

_API_KEY: Final = APIKeyHeader(name="X-API-Key", auto_error=False, description="A machine's key: hc_...")
_BEARER: Final = HTTPBearer(auto_error=False, description="A person's access token, or a key")

_ERRORS: Final = (BadRequestError, CredentialsError, ForbiddenError, RateError, UnavailableError)


def routers(accounts: Accounts) -> list[APIRouter]:
    """Returns the routes below `/api/v1/auth` and `/api/v1/admin`."""
    known = Depends(authenticated(accounts))
    return [_Auth(accounts).router(known), Admin(accounts).router(known)]


def authenticated(accounts: Accounts) -> Callable[..., Awaitable[Principal]]:
    """Returns a dependency that tells who asks; it is left in `request.state.principal`, too."""

    async def principal(
        request: Request,
        api_key: Annotated[str | None, Security(_API_KEY)],
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    ) -> Principal:
        found = await accounts.authenticate(
            api_key=api_key or "", bearer=bearer.credentials if bearer else ""
        )
        request.state.principal = found
        return found

    return principal


class _Auth:
    """What the routes do.

    Args:
        accounts: Who may log in.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def router(self, known: object) -> APIRouter:
        """Returns the routes; `known` makes one be for those who are known."""
        router = APIRouter(prefix="/api/v1/auth", tags=["auth"], responses=answers(*_ERRORS))
        router.add_api_route("/token", self.token, methods=["POST"])
        router.add_api_route("/refresh", self.refresh, methods=["POST"])
        router.add_api_route("/logout", self.logout, methods=["POST"], status_code=204)
        router.add_api_route("/password", self.password, methods=["POST"], dependencies=[known])  # type: ignore[list-item] # what Depends() returns has no public name
        router.add_api_route("/me", self.me, methods=["GET"], dependencies=[known])  # type: ignore[list-item] # the same
        return router

    async def token(self, body: LoginBody, response: Response) -> TokenOut:
        """Logs a person in."""
        return _given(await self._accounts.login(body.email, body.password), response)

    async def refresh(self, body: RefreshBody, response: Response) -> TokenOut:
        """Gives the next pair of tokens; the refresh token that was sent is used up."""
        return _given(await self._accounts.refresh(body.refresh_token), response)

    async def logout(self, body: RefreshBody) -> None:
        """Ends what followed from one login."""
        await self._accounts.logout(body.refresh_token)

    async def password(self, body: PasswordChange, request: Request, response: Response) -> TokenOut:
        """Changes the own password; all that was opened with the one before is closed."""
        kind, _, email = request.state.principal.subject.partition(":")
        if kind != "user":
            raise ForbiddenError("an API key has no password; log in as a person")
        return _given(await self._accounts.change_password(email, body.password, body.new_password), response)

    async def me(self, request: Request) -> Me:
        """Tells who asks, and what is allowed."""
        principal: Principal = request.state.principal
        return Me(
            subject=principal.subject,
            role=principal.role,
            is_operator=principal.is_operator,
            permissions=sorted(ALLOWED[principal.role]) if principal.role else [],
            tenant=TenantOut.model_validate(principal.tenant),
        )


def _given(pair: TokenPair, response: Response) -> TokenOut:
    response.headers["Cache-Control"] = "no-store"
    return TokenOut.model_validate(pair)
