"""Passwords are hashed with argon2id, a few at a time."""

from __future__ import annotations

import asyncio

import argon2
import pytest

from claw_hub.accounts.passwords import Passwords
from claw_hub.errors import BadRequestError, UnavailableError

GOOD = "correct horse battery"
FAST = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


async def test_the_default_is_argon2id_as_the_library_proposes() -> None:
    passwords = Passwords()
    stored = await passwords.hash(GOOD)
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert not passwords.is_outdated(stored)
    assert await passwords.verify(stored, GOOD)
    assert passwords.is_outdated(await Passwords(FAST).hash(GOOD))


async def test_only_the_same_password_opens() -> None:
    passwords = Passwords(FAST)
    stored = await passwords.hash(GOOD)
    assert await passwords.verify(stored, GOOD)
    assert not await passwords.verify(stored, GOOD.upper())
    assert not await passwords.verify(stored, "")
    assert not await passwords.verify(stored, "\ud800" * 12)
    assert not await passwords.verify(stored, "a" * 1_000_000)
    assert not await passwords.verify("no hash", GOOD)


async def test_where_nothing_is_stored_the_work_is_done_all_the_same() -> None:
    done = []

    class Watched(argon2.PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override] # noqa: A002
            done.append(hash)
            return bool(super().verify(hash, password))

    passwords = Passwords(Watched(time_cost=1, memory_cost=64, parallelism=1))
    assert not await passwords.verify("", GOOD)
    assert not await passwords.verify("", "of nobody at all")
    assert len(done) == 2


@pytest.mark.parametrize("password", ["", "a" * 11, "a" * 257, "\ud800" * 12])
async def test_a_password_has_12_to_256_characters(password: str) -> None:
    with pytest.raises(BadRequestError, match="12 to 256 characters"):
        await Passwords(FAST).hash(password)


async def test_too_many_at_once_are_refused_and_none_is_lost_after_that() -> None:
    passwords = Passwords(FAST, max_running=1, max_waiting=2)
    outcomes = await asyncio.gather(*(passwords.hash(GOOD) for _ in range(5)), return_exceptions=True)
    assert [isinstance(outcome, UnavailableError) for outcome in outcomes] == [False, False, True, True, True]
    assert await passwords.hash(GOOD)
