"""API keys: 64 characters, and what may be imported."""

from __future__ import annotations

import hashlib

import pytest

from claw_hub.accounts import keys
from claw_hub.errors import BadRequestError

# The sample of requirement document 1.
SAMPLE = "hc_2nJ9NMyNbHnoZ82mZrRLI92plU511YtnxSnPNMcRtGE"


def test_a_new_key_has_64_characters_and_is_another_each_time() -> None:
    made = {keys.generate() for _ in range(100)}
    assert len(made) == 100
    assert {len(key) for key in made} == {64}
    assert all(keys.is_key(key) for key in made)


@pytest.mark.parametrize("value", [SAMPLE, "hc_" + "a" * 17, "hc_" + "_-" * 62 + "a"])
def test_a_key_that_another_system_made_is_taken(value: str) -> None:
    assert keys.take(value) == value


@pytest.mark.parametrize(
    "value",
    ["", "hc_test", "hc_" + "a" * 16, "hc_" + "a" * 126, "xx_" + "a" * 61, f"{SAMPLE}\n", "hc_" + "é" * 20],
)
def test_what_has_not_the_form_of_a_key_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(BadRequestError, match="20 to 128 characters") as refusal:
        keys.take(value)
    assert len(value) < 8 or value not in str(refusal.value)


def test_a_key_is_stored_as_its_hash_and_shown_by_its_first_characters() -> None:
    assert keys.digest(SAMPLE) == hashlib.sha256(SAMPLE.encode()).digest()
    assert keys.prefix_of(SAMPLE) == "hc_2nJ9NMyN"
