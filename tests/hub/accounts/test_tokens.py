"""Access tokens are JWTs that this hub signed, for a quarter of an hour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jwt
import pytest
from tests.hub.accounts.conftest import NOON, SECRET

from claw_hub.accounts.tokens import Claims, Tokens
from claw_hub.errors import CredentialsError, SettingsError

if TYPE_CHECKING:
    from tests.hub.accounts.conftest import Clock

ADA = Claims(user_id=7, generation=3)


def forged(secret: bytes = SECRET, algorithm: str = "HS256", **changes: object) -> str:
    payload: dict[str, object] = {
        "iss": "claw-hub",
        "sub": "7",
        "gen": 3,
        "iat": NOON,
        "exp": NOON + 900,
    } | changes
    left = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(left, secret, algorithm=algorithm)


def test_a_token_says_what_was_put_in(clock: Clock) -> None:
    tokens = Tokens(SECRET, clock=clock)
    assert tokens.read(tokens.issue(ADA)) == ADA
    assert tokens.read(forged()) == ADA


def test_a_token_expires_after_a_quarter_of_an_hour(clock: Clock) -> None:
    tokens = Tokens(SECRET, clock=clock)
    token = tokens.issue(ADA)
    clock.now += 899
    assert tokens.read(token) == ADA
    clock.now += 10
    with pytest.raises(CredentialsError, match="has expired"):
        tokens.read(token)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "é" * 40,
        forged(secret=b"another secret of thirty-two bytes or more"),
        forged(algorithm="HS512", secret=SECRET * 2),
        forged(iss="somebody"),
        forged(sub="ada"),
        forged(gen=None),
        forged(exp=None),
        forged(exp="soon"),
        jwt.encode({"iss": "claw-hub", "sub": "7", "gen": 3, "exp": NOON + 900}, None, algorithm="none"),
    ],
)
def test_what_this_hub_did_not_sign_is_refused(token: str, clock: Clock) -> None:
    with pytest.raises(CredentialsError, match="not one that this hub gave"):
        Tokens(SECRET, clock=clock).read(token)


def test_a_secret_that_can_be_guessed_is_refused(clock: Clock) -> None:
    with pytest.raises(SettingsError, match="fewer than 32"):
        Tokens(b"secret", clock=clock)
