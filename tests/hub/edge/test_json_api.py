"""What the three paths of ingest take, and how they refuse the rest."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.hub.edge.conftest import MAX_BODY_BYTES, Edge, FakeBus

from claw_hub.bus import Entry
from claw_hub.edge import body as body_module
from claw_hub.edge.openapi import operation
from claw_hub.errors import (
    CredentialsError,
    QuotaError,
    RateError,
    UnavailableError,
)
from claw_hub.records import Kind, parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FIXTURES = Path(__file__).parent / "hivecore-hub-requests.jsonl"
PREFIX = "/api/v1/observability/ingest"
RECORDS: dict[Kind, dict[str, object]] = {
    Kind.USAGE: {"model_name": "gpt-4", "input_tokens": 3, "output_tokens": 4, "project_id": "p1"},
    Kind.EXECUTION: {"execution_id": "e1", "status": "running", "total_tokens": 9, "project_id": "p2"},
    Kind.TIMELINE: {"event_type": "llm_call"},
}
JSON = {"Content-Type": "application/json"}
UNFINISHED = (
    f"POST {PREFIX}/usage/ HTTP/1.1\r\nHost: h\r\nX-API-Key: hc_test\r\nContent-Length: 99\r\n\r\n{{"
).encode()
GZIP = {**JSON, "Content-Encoding": "gzip"}


async def post(
    client: httpx.AsyncClient, content: object, kind: Kind = Kind.USAGE, **headers: str
) -> httpx.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post(f"{PREFIX}/{kind}/", content=body, headers={**JSON, **named})


async def post_with(client: httpx.AsyncClient, headers: dict[str, str]) -> httpx.Response:
    """Posts a good record with other headers."""
    body = json.dumps(RECORDS[Kind.USAGE]).encode()
    return await client.post(f"{PREFIX}/usage/", content=body, headers={**JSON, **headers})


def refused(response: httpx.Response, error_id: str, status: int) -> str:
    """Checks a refusal; returns its message."""
    answer = response.json()
    assert (response.status_code, answer.get("error")) == (status, f"err-claw-hub-{error_id}"), answer
    assert set(answer) == {"error", "message"}
    return str(answer["message"])


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_record_is_appended_as_it_was_sent_and_answered_with_201(
    client: httpx.AsyncClient, bus: FakeBus, kind: Kind, slash: str
) -> None:
    body = b" " + json.dumps(RECORDS[kind]).encode() + b"\n"
    response = await client.post(f"{PREFIX}/{kind}{slash}", content=body, headers=JSON)
    assert (response.status_code, response.json()) == (201, {"status": "ok", "id": "1-0", "accepted": 1})
    assert bus.entries == [
        Entry(
            kind=kind, tenant_id=7, received_us=1_763_712_000_250_000, body=body, count=1, idempotency_key=""
        )
    ]


@pytest.mark.parametrize("kind", Kind)
async def test_a_batch_is_one_entry(client: httpx.AsyncClient, bus: FakeBus, kind: Kind) -> None:
    for batch in ([RECORDS[kind]] * 3, {"records": [RECORDS[kind]] * 3}):
        response = await post(client, batch, kind)
        assert response.status_code == 201
        assert (response.json()["status"], response.json()["accepted"]) == ("ok", 3)
        assert bus.entries.pop().count == 3
        assert not bus.entries


async def test_an_empty_batch_is_accepted_and_is_no_entry(client: httpx.AsyncClient, bus: FakeBus) -> None:
    response = await post(client, [])
    assert (response.status_code, response.json()) == (201, {"status": "ok", "id": "", "accepted": 0})
    assert not bus.entries


async def test_an_idempotency_key_goes_with_the_entry(client: httpx.AsyncClient, bus: FakeBus) -> None:
    await post(client, RECORDS[Kind.USAGE], Idempotency_Key="k1")
    assert bus.entries[0].idempotency_key == "k1"
    refused(await post(client, RECORDS[Kind.USAGE], Idempotency_Key="k" * 257), "bad-request", 400)


async def test_what_the_public_client_sends_is_taken_byte_for_byte(
    served: int, edge: Edge, bus: FakeBus
) -> None:
    sent = [json.loads(line) for line in FIXTURES.read_text(encoding="utf-8").splitlines()]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served}") as client:
        for request in sent:
            body = json.dumps(request["body"]).encode()  # as `requests` does
            response = await client.request(
                request["method"], request["path"], content=body, headers=request["headers"]
            )
            assert response.status_code == 201
            assert response.json()["status"] == "ok"
            assert bus.entries[-1].body == body
    assert [entry.kind for entry in bus.entries] == ["usage", "execution", "execution", "timeline"]
    assert [outcome for _, outcome, _, _ in edge.counted] == ["accepted"] * 4


async def test_an_inflated_body_is_what_is_appended(client: httpx.AsyncClient, bus: FakeBus) -> None:
    plain = json.dumps([RECORDS[Kind.USAGE]] * 50).encode()
    for packed in (gzip.compress(plain), gzip.compress(plain[:9]) + gzip.compress(plain[9:])):
        assert (await post(client, packed, Content_Encoding="gzip")).status_code == 201
        assert bus.entries.pop().body == plain


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no gzip",
        zlib.compress(b"{}"),
        gzip.compress(b'{"model_name": "m"}')[:-1],
        gzip.compress(b'{"model_name": "m"}') + b"rest",
        gzip.compress(b" ") * 20 + gzip.compress(b"[]"),
    ],
)
async def test_a_body_that_is_no_gzip_is_refused(
    client: httpx.AsyncClient, bus: FakeBus, body: bytes
) -> None:
    assert "gzip" in refused(await post(client, body, Content_Encoding="gzip"), "bad-body", 400)
    assert not bus.entries


def bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(bytes(1_000_000)) for _ in range(size // 1_000_000)), packer.flush()])


@pytest.mark.parametrize("body", [bomb(300_000_000), gzip.compress(b"[" + b" " * MAX_BODY_BYTES + b"]")])
async def test_a_zip_bomb_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    assert len(body) < MAX_BODY_BYTES
    assert "inflates to more" in refused(
        await post(client, body, Content_Encoding="gzip"), "body-too-large", 413
    )


async def test_the_largest_body_is_read_and_one_byte_more_is_not(client: httpx.AsyncClient) -> None:
    record = json.dumps(RECORDS[Kind.USAGE]).encode()
    assert (await post(client, record.ljust(MAX_BODY_BYTES))).status_code == 201
    refused(await post(client, record.ljust(MAX_BODY_BYTES + 1)), "body-too-large", 413)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("key", ["hc_test", "hc_wrong"])
async def test_100_mb_are_refused_and_the_client_hears_it(
    served: int, bus: FakeBus, key: str, *, declared: bool
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield bytes(1_000_000)

    headers = {**JSON, "X-API-Key": key} | ({"Content-Length": "100000000"} if declared else {})
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served}", timeout=30) as client:
        response = await client.post(f"{PREFIX}/usage/", content=parts(), headers=headers)
    if key == "hc_test":
        refused(response, "body-too-large", 413)
    else:
        refused(response, "credentials", 401)
    assert not bus.entries


async def test_a_client_that_waits_for_leave_to_send_is_refused_at_once(client: httpx.AsyncClient) -> None:
    async def parts() -> AsyncIterator[bytes]:
        asked.append(True)
        yield b""

    asked: list[bool] = []
    headers = {**JSON, "Content-Length": "100000000", "Expect": "100-continue"}
    response = await client.post(f"{PREFIX}/usage/", content=parts(), headers=headers)
    refused(response, "body-too-large", 413)
    assert not asked


@pytest.mark.parametrize(
    ("body", "error_id"),
    [
        (b"[" * 5_000, "body-too-deep"),
        (b"[" * 900_000, "body-too-deep"),
        (b'{"model_name":"m","x":' + b"[" * 40 + b"]" * 40 + b"}", "body-too-deep"),
        (b'{"model_name":"\xff"}', "bad-body"),
        (b'{"model_name":"\\ud800"}', "bad-body"),
        ('{"model_name":"m"}'.encode("utf-16"), "bad-body"),
        (b'{"model_name":"m","input_tokens":1' + b"0" * 400 + b"}", "bad-record"),
        (b'{"model_name":"m","input_tokens":1' + b"0" * 900_000 + b"}", "bad-body"),
        (b'{"model_name":"m","cost_usd":NaN}', "bad-body"),
        (b'{"model_name":"m","cost_usd":-Infinity}', "bad-body"),
        (b'{"model_name":"m","cost_usd":1e400}', "bad-record"),
        (b'{"model_name":"m","input_tokens":-1}', "bad-record"),
        (b"{}", "bad-record"),
        (b"", "bad-body"),
        (b"5", "bad-body"),
    ],
)
async def test_what_cannot_be_read_is_refused_and_counted(
    client: httpx.AsyncClient, edge: Edge, bus: FakeBus, body: bytes, error_id: str
) -> None:
    assert len(refused(await post(client, body), error_id, 400)) < 400
    assert not bus.entries
    assert edge.counted == [(Kind.USAGE, f"err-claw-hub-{error_id}", 0, 0)]


async def test_one_bad_record_refuses_the_whole_batch_and_is_named(
    client: httpx.AsyncClient, bus: FakeBus
) -> None:
    good = RECORDS[Kind.USAGE]
    response = await post(client, [good, {**good, "duration_ms": "long"}, good])
    assert refused(response, "bad-record", 400).startswith('record 1: duration_ms is "long": a number from 0')
    assert not bus.entries


async def test_too_many_records_are_refused(client: httpx.AsyncClient) -> None:
    message = refused(await post(client, [{"model_name": "m"}] * 10_001), "body-too-large", 413)
    assert message == "the request holds more than 10000 records; send fewer at once"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Encoding": "br"},
        {"Content-Encoding": "gzip, gzip"},
    ],
)
async def test_another_type_or_encoding_is_refused(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    refused(await post_with(client, headers), "unsupported-media-type", 415)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", ""])
async def test_json_may_be_called_as_it_likes(client: httpx.AsyncClient, content_type: str) -> None:
    assert (await post(client, RECORDS[Kind.USAGE], Content_Type=content_type)).status_code == 201


@pytest.mark.parametrize(
    ("headers", "tenant_id"),
    [
        ({"X-API-Key": "hc_other"}, 8),
        ({"X-API-Key": "", "Authorization": "Bearer hc_other"}, 8),
        ({"X-API-Key": "", "Authorization": "bearer admin-token"}, 7),
    ],
)
async def test_whose_records_they_are_depends_on_the_credentials(
    client: httpx.AsyncClient, bus: FakeBus, headers: dict[str, str], tenant_id: int
) -> None:
    assert (await post_with(client, headers)).status_code == 201
    assert bus.entries[0].tenant_id == tenant_id


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer nobody", "Basic aGNfdGVzdDo=", "hc_test"])
async def test_without_credentials_nothing_is_read(
    client: httpx.AsyncClient, edge: Edge, authorization: str
) -> None:
    response = await post(client, b"{", X_API_Key="", Authorization=authorization)
    refused(response, "credentials", 401)
    assert response.headers["www-authenticate"] == "Bearer"
    assert edge.counted == [(Kind.USAGE, CredentialsError.error_id, 0, 0)]


async def test_people_who_only_look_send_no_records(client: httpx.AsyncClient) -> None:
    response = await post(client, RECORDS[Kind.USAGE], X_API_Key="", Authorization="Bearer audit-token")
    assert "'audit'" in refused(response, "forbidden", 403)


async def test_admission_is_asked_with_what_calls_of_models_used(
    client: httpx.AsyncClient, edge: Edge
) -> None:
    response = await post(client, [RECORDS[Kind.USAGE], {"model_name": "m", "total_tokens": 5}])
    assert response.headers["x-quota-limit"] == "500000"
    await post(client, RECORDS[Kind.EXECUTION], Kind.EXECUTION)
    assert edge.admitted == [
        {"tenant": 7, "records": 2, "tokens": 12, "projects": ["p1"]},
        {"tenant": 7, "records": 1, "tokens": 0, "projects": ["p2"]},
    ]


@pytest.mark.parametrize(("error", "error_id"), [(QuotaError, "quota-exceeded"), (RateError, "rate-limited")])
async def test_who_has_had_enough_is_told_when_to_come_back(
    client: httpx.AsyncClient, edge: Edge, bus: FakeBus, error: type[QuotaError | RateError], error_id: str
) -> None:
    edge.refusal = error("enough", retry_after_seconds=3)
    response = await post(client, RECORDS[Kind.USAGE])
    refused(response, error_id, 429)
    assert response.headers["retry-after"] == "3"
    assert not bus.entries


async def test_a_bus_that_is_away_is_503_with_a_time_to_come_back(
    client: httpx.AsyncClient, bus: FakeBus
) -> None:
    bus.refusal = UnavailableError("Redis is away", retry_after_seconds=2)
    response = await post(client, RECORDS[Kind.USAGE])
    refused(response, "unavailable", 503)
    assert response.headers["retry-after"] == "2"


async def test_what_is_accepted_is_counted(client: httpx.AsyncClient, edge: Edge) -> None:
    response = await post(client, [RECORDS[Kind.TIMELINE]] * 2, Kind.TIMELINE)
    assert response.status_code == 201
    ((kind, outcome, records, size),) = edge.counted
    assert (kind, outcome, records, size) == (Kind.TIMELINE, "accepted", 2, len(response.request.content))


async def test_a_body_that_never_ends_is_not_waited_for(served: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "READ_SECONDS", 0.05)
    monkeypatch.setattr(body_module, "DRAIN_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", served)
    writer.write(UNFINISHED)
    head = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()
    assert head.startswith(b"HTTP/1.1 400")


async def test_a_client_that_goes_away_is_counted(served: int, edge: Edge) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", served)
    writer.write(UNFINISHED)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await asyncio.wait_for(edge.told.wait(), 5)
    assert edge.counted == [(Kind.USAGE, "disconnected", 0, 0)]


def test_the_documentation_has_the_bodies_the_examples_and_every_refusal(edge: Edge) -> None:
    paths = edge.app().openapi()["paths"]
    assert sorted(paths) == [f"{PREFIX}/{kind}/" for kind in sorted(Kind)]
    for kind in Kind:
        described = paths[f"{PREFIX}/{kind}/"]["post"]
        assert sorted(described["responses"]) == ["201", "400", "401", "403", "413", "415", "429", "503"]
        assert described["security"] == [{"APIKeyHeader": []}, {"HTTPBearer": []}]
        examples = described["requestBody"]["content"]["application/json"]["examples"]
        for example in examples.values():
            assert len(parse(kind, json.dumps(example["value"]).encode())) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(
    kind=st.sampled_from(Kind),
    body=st.binary(max_size=300)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
    packed=st.booleans(),
    key=st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=300),
)
async def test_nothing_that_is_sent_is_a_5xx(
    client: httpx.AsyncClient, kind: Kind, body: bytes, key: str, *, packed: bool
) -> None:
    headers: dict[str, Any] = {**(GZIP if packed else JSON), "Idempotency-Key": key.encode("latin-1")}
    content = gzip.compress(body) if packed else body
    response = await client.post(f"{PREFIX}/{kind}/", content=content, headers=headers)
    assert response.status_code in (201, 400, 413)
    if response.status_code != 201:
        assert response.json()["error"].startswith("err-claw-hub-")


def test_every_example_has_a_schema_that_names_its_fields() -> None:
    for kind in Kind:
        content = operation(kind)["requestBody"]["content"]["application/json"]
        fields = content["schema"]["anyOf"][0]["properties"]
        aliases = {"project_id": "agentscope_project_id", "agent_id": "agentscope_agent_id"}
        assert {aliases.get(name, name) for name in content["examples"]["one"]["value"]} <= set(fields)
