"""Tokens of people: a short-lived JWT that opens, and random ones that are good for the next pair."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import jwt

from claw_hub.errors import CredentialsError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ACCESS_SECONDS", "Claims", "Tokens", "new_refresh_token", "refresh_digest"]

ACCESS_SECONDS: Final = 900
ISSUER: Final = "claw-hub"
SHORTEST_SECRET: Final = 32
LEEWAY_SECONDS: Final = 5
_ALGORITHM: Final = "HS256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What an access token says.

    Attributes:
        user_id: Whose it is.
        generation: Of the user when it was made; a new password begins another.
    """

    user_id: int
    generation: int


class Tokens:
    """Makes and reads access tokens.

    Args:
        secret: At least 32 bytes, the same in every process.
        clock: Seconds since 1970.

    Raises:
        SettingsError: The secret is too short.
    """

    def __init__(self, secret: bytes, *, clock: Callable[[], float]) -> None:
        if len(secret) < SHORTEST_SECRET:
            mistake = f"the secret of the tokens has {len(secret)} bytes, fewer than {SHORTEST_SECRET}"
            raise SettingsError([f"{mistake}; make one: openssl rand -hex 32"])
        self._secret = secret
        self._clock = clock

    def issue(self, claims: Claims) -> str:
        """Returns a JWT that is good for `ACCESS_SECONDS`."""
        now = int(self._clock())
        payload = {
            "iss": ISSUER,
            "sub": str(claims.user_id),
            "gen": claims.generation,
            "iat": now,
            "exp": now + ACCESS_SECONDS,
        }
        return jwt.encode(payload, self._secret, algorithm=_ALGORITHM)

    def read(self, token: str) -> Claims:
        """Returns what a token says.

        Raises:
            CredentialsError: It is not one of ours, or it has expired.
        """
        try:
            payload = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                issuer=ISSUER,
                # Times are compared below, by the clock that was given.
                options={"require": ["exp", "sub"], "verify_exp": False, "verify_iat": False},
            )
            claims = Claims(user_id=int(payload["sub"]), generation=int(payload["gen"]))
            expired = payload["exp"] + LEEWAY_SECONDS <= self._clock()
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError) as error:
            raise CredentialsError("the token is not one that this hub gave; log in again") from error
        if expired:
            raise CredentialsError(
                "the token has expired; get another with the refresh token, or log in again"
            )
        return claims


def new_refresh_token() -> str:
    """Returns a random one."""
    return "hr_" + secrets.token_urlsafe(45)


def refresh_digest(token: str) -> bytes:
    """Returns what is stored of a refresh token: 32 bytes."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
