"""What may be asked, and how it is refused."""

# Fixtures of conftest.py are Any here: test files are imported by path, and cannot import its types.
# ruff: noqa: ANN401

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from claw_hub.api.parameters import Cursor, Span, TimeQuery, span
from claw_hub.errors import CursorError, QueryError, UnavailableError

NOW = 1_795_264_496.789
HOUR_US = 3_600_000_000
QUERY = "err-claw-hub-bad-query"
CURSOR = "err-claw-hub-bad-cursor"
LISTS = ["/usage", "/executions", "/executions/active", "/timeline"]
OTHERS = ["/usage/summary", "/usage/trend", "/project/p1/stats"]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"days": "0"}, "days is '0'"),
        ({"days": "3661"}, "days is '3661'"),
        ({"days": "9" * 5000}, "days is '9999"),
        ({"days": "ten"}, "days is 'ten'"),
        ({"days": "1", "start": "2026-11-01"}, "give days or start, not both"),
        ({"start": "yesterday"}, "start is 'yesterday': not ISO 8601"),
        ({"start": ""}, "start is '': not ISO 8601"),
        ({"end": "0001-01-01T00:00:00+23:59"}, "end is '0001"),
        ({"end": "9999-12-31T23:59:59-23:59"}, "end is '9999"),
        ({"end": "1969-12-31"}, "not between 1970 and 2105"),
        ({"start": "2026-11-02", "end": "2026-11-02"}, "before end"),
        ({"start": "2099-01-01"}, "before end"),
        ({"start": "2000-01-01"}, "more than 3660 days"),
        ({"start": "2" * 65}, "start is '222"),
        ({"colour": "red"}, "'colour' is not a parameter here"),
    ],
)
async def test_what_makes_no_sense_is_refused_in_words(
    api: Any, parameters: dict[str, str], said: str
) -> None:
    for path in LISTS + OTHERS:
        status, error, message = await api.refusal(path, **parameters)
        assert (status, error) == (400, QUERY)
        assert said in message
        assert len(message) < 300


@pytest.mark.parametrize(
    ("path", "parameters", "said"),
    [
        ("/usage", {"limit": "0"}, "limit is '0'"),
        ("/usage", {"limit": "1001"}, "limit is '1001'"),
        ("/usage/summary", {"limit": "-1"}, "limit is '-1'"),
        ("/usage", {"project": "p\x001"}, "project is"),
        ("/usage", {"agent": "a" * 257}, "agent is"),
        ("/usage", {"status": "failed"}, "'status' is not a parameter here"),
        ("/executions", {"status": "lost"}, "status is 'lost'"),
        ("/usage/trend", {"interval": "year"}, "interval is 'year'"),
        ("/usage/trend", {"days": "3660"}, "more than 10000 periods"),
        ("/project/%00/stats", {}, "project_id is"),
        ("/project//stats", {}, "project_id is"),
    ],
)
async def test_what_an_endpoint_does_not_take_is_refused_in_words(
    api: Any, path: str, parameters: dict[str, str], said: str
) -> None:
    status, error, message = await api.refusal(path, **parameters)
    assert (status, error) == (400, QUERY)
    assert said in message


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "é",
        "%%%",
        "bnVsbA",
        "W10",
        base64.urlsafe_b64encode(b"[" * 900).decode(),
        base64.urlsafe_b64encode(b'[1.5,"",""]').decode(),
        base64.urlsafe_b64encode(b'[true,"",""]').decode(),
        base64.urlsafe_b64encode(b'[-1,"",""]').decode(),
        base64.urlsafe_b64encode(b'[1,null,""]').decode(),
        base64.urlsafe_b64encode(b'[1,"zz",""]').decode(),
        base64.urlsafe_b64encode(b'[99999999999999999999,"",""]').decode(),
        base64.urlsafe_b64encode(b'[1,"\\ud800",""]').decode(),
    ],
)
async def test_what_is_no_cursor_is_refused(api: Any, cursor: str) -> None:
    for path in LISTS:
        status, error, _ = await api.refusal(path, cursor=cursor)
        assert (status, error) == (400, CURSOR)


async def _cursor(store: Any, api: Any, **filters: Any) -> str:
    ids = [number.to_bytes(16, "big") for number in range(3)]
    await store.insert("stg_usage", [{"tenant_id": api.tenant, "event_id": id_} for id_ in ids])
    cursor: str = (await api.get("/usage", limit=1, **filters))["next"]
    return cursor


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/usage", {"project": "p2"}),
        ("/usage", {}),
        ("/usage", {"project": "p1", "days": 7}),
        ("/timeline", {"project": "p1"}),
    ],
)
async def test_a_cursor_is_refused_with_other_filters(
    store: Any, api: Any, path: str, parameters: dict[str, Any]
) -> None:
    cursor = await _cursor(store, api, project="p1")
    status, error, message = await api.refusal(path, cursor=cursor, **parameters)
    assert (status, error) == (400, CURSOR)
    assert "another list" in message


async def test_a_cursor_may_go_on_with_another_limit(store: Any, api: Any) -> None:
    cursor = await _cursor(store, api, project="p1")
    assert len((await api.get("/usage", limit=50, project="p1", cursor=cursor))["results"]) == 2


async def test_a_cursor_of_another_tenant_is_refused(store: Any, api: Any, api_of: Any) -> None:
    cursor = await _cursor(store, api)
    assert (await api_of(store.tenant()).refusal("/usage", cursor=cursor))[1] == CURSOR


async def test_a_cursor_with_half_an_id_is_refused(store: Any, api: Any) -> None:
    _, _, digest = orjson.loads(base64.urlsafe_b64decode(await _cursor(store, api) + "=="))
    short = Cursor(1, "ab").encode(digest)
    assert (await api.refusal("/usage", cursor=short))[1] == CURSOR


async def test_a_made_up_cursor_does_not_lead_past_the_end(store: Any, api: Any) -> None:
    end = {"end": "2026-11-21T12:33:00Z"}
    await store.insert(
        "stg_usage",
        [
            {
                "tenant_id": api.tenant,
                "ts": int(NOW * 1e6) - 3 * HOUR_US + n,
                "event_id": bytes(15) + bytes([n]),
            }
            for n in range(3)
        ],
    )
    await store.insert("stg_usage", [{"tenant_id": api.tenant, "event_id": bytes(15) + b"\x09"}])
    first = await api.get("/usage", limit=1, **end)
    _, _, digest = orjson.loads(base64.urlsafe_b64decode(first["next"] + "=="))
    late = Cursor(int(NOW * 1e6), "f" * 32).encode(digest)
    assert len((await api.get("/usage", limit=9, cursor=late, **end))["results"]) == 3


def test_a_cursor_is_read_as_it_was_written() -> None:
    assert Cursor.decode(Cursor(5, "00ff").encode("digest"), "digest") == Cursor(5, "00ff")
    with pytest.raises(CursorError):
        Cursor.decode(Cursor(5, "00ff").encode("digest"), "other")


@pytest.mark.parametrize(
    ("start", "end", "now", "settled"),
    [
        (0, 10 * HOUR_US, 20 * HOUR_US, (0, 10 * HOUR_US)),
        (1, 10 * HOUR_US - 1, 20 * HOUR_US, (HOUR_US, 9 * HOUR_US)),
        (1, HOUR_US - 1, 20 * HOUR_US, (HOUR_US, HOUR_US)),
        (1, 30 * HOUR_US, 20 * HOUR_US + 60_000_000, (HOUR_US, 19 * HOUR_US)),
        (1, 30 * HOUR_US, 20 * HOUR_US + 300_000_000, (HOUR_US, 20 * HOUR_US)),
    ],
)
def test_whole_hours_are_those_that_ended_a_while_ago(
    start: int, end: int, now: int, settled: tuple[int, int]
) -> None:
    assert Span(start_us=start, end_us=end, now_us=now).settled == settled


@pytest.mark.parametrize(
    "value", ["2026-11-01T08:00:00+08:00", "2026-11-01T08:00:00 08:00", "2026-11-01", "20261101T000000Z"]
)
def test_times_are_read_in_the_forms_of_iso_8601(value: str) -> None:
    query = TimeQuery(start=value)
    assert span(query, now=NOW, zone="UTC", default_days=1).start_us == 1_793_491_200_000_000


def test_a_range_is_as_long_as_ranges_may_be() -> None:
    with pytest.raises(QueryError, match="more than 3660 days"):
        span(TimeQuery(start="2010-01-01", end="2026-01-01"), now=NOW, zone="UTC", default_days=1)


@pytest.mark.parametrize(
    "headers", [{}, {"X-API-Key": "hc_x"}, {"Authorization": "Bearer no"}, {"Authorization": "Basic aGM6"}]
)
async def test_nobody_is_let_in_without_credentials(client: Any, headers: dict[str, str]) -> None:
    for path in (*LISTS, *OTHERS, "/stream", "/stream?ticket=abc"):
        for slash in ("", "/"):
            name, _, query = path.partition("?")
            answer = await client.get(f"/api/v1/observability{name}{slash}?{query}", headers=headers)
            assert answer.status_code == 401, path
            assert answer.json()["error"] == "err-claw-hub-credentials"
            assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_token_is_as_good_as_a_key(store: Any, client: Any) -> None:
    tenant = store.tenant()
    await store.insert("stg_usage", [{"tenant_id": tenant}])
    answer = await client.get(
        "/api/v1/observability/usage", headers={"Authorization": f"Bearer token_{tenant}"}
    )
    assert len(answer.json()["results"]) == 1


async def test_what_cannot_be_asked_now_is_to_be_asked_again(api: Any, people: Any) -> None:
    people.error = UnavailableError("Postgres is away")
    answer = await api.ask("/usage")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
