"""Requests become records, or are refused with the record, the field and the value that were wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claw_hub.errors import BodyError, DepthError, HubError, RecordError, TooLargeError
from claw_hub.records import ExecutionRecord, Kind, Status, TimelineRecord, UsageRecord, parse
from claw_hub.records.fields import CUT, MAX_COUNT, MAX_TEXT_CHARACTERS, MAX_UINT64

USAGE = {
    "timestamp": "2024-01-01T00:00:00Z",
    "agentscope_project_id": "proj-123",
    "agentscope_agent_id": "agent-456",
    "agent_name": "Strategy Agent",
    "model_name": "gpt-4",
    "input_tokens": 100,
    "output_tokens": 50,
    "total_tokens": 150,
    "cost_usd": 0.01,
    "duration_ms": 1500,
}
EXECUTION = {"execution_id": "e1", "status": "running"}
TIMELINE = {"event_type": "llm_call"}
MINIMAL = {Kind.USAGE: {"model_name": "m"}, Kind.EXECUTION: EXECUTION, Kind.TIMELINE: TIMELINE}


def usage(**fields: object) -> UsageRecord:
    (record,) = parse(Kind.USAGE, orjson.dumps({**USAGE, **fields}))
    assert isinstance(record, UsageRecord)
    return record


def execution(**fields: object) -> ExecutionRecord:
    (record,) = parse(Kind.EXECUTION, orjson.dumps({**EXECUTION, **fields}))
    assert isinstance(record, ExecutionRecord)
    return record


def timeline(**fields: object) -> TimelineRecord:
    (record,) = parse(Kind.TIMELINE, orjson.dumps({**TIMELINE, **fields}))
    assert isinstance(record, TimelineRecord)
    return record


def test_the_example_of_the_requirements_is_read() -> None:
    assert usage() == UsageRecord.model_construct(
        event_id="",
        project_id="proj-123",
        agent_id="agent-456",
        model_name="gpt-4",
        agent_name="Strategy Agent",
        timestamp=datetime(2024, 1, 1, tzinfo=UTC),
        input_tokens=100,
        output_tokens=50,
        total_tokens=150,
        cache_read_tokens=0,
        cache_write_tokens=0,
        reasoning_tokens=0,
        cost_nano_usd=10_000_000,
        duration_us=1_500_000,
        span_id="",
    )


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(
    "form", ["RECORD", " [RECORD,RECORD]", '\n{"records": [RECORD,RECORD]}', '{"a": 1, "records": [RECORD]}']
)
def test_a_request_is_one_record_or_an_array_or_a_wrapped_array(kind: Kind, form: str) -> None:
    body = form.replace("RECORD", json.dumps(MINIMAL[kind]))
    assert len(parse(kind, body.encode())) == form.count("RECORD")


@pytest.mark.parametrize("body", [b"[]", b'{"records": []}'])
def test_an_empty_batch_has_no_records(body: bytes) -> None:
    assert not parse(Kind.USAGE, body)


@pytest.mark.parametrize(
    ("cost", "nano"),
    [
        (0.0123456789, 12_345_679),
        ("0.0123456789", 12_345_679),
        ("1e-9", 1),
        ("0.0000000004", 0),
        (0, 0),
        (3, 3_000_000_000),
        (None, 0),
        ("18446744073.709551615", MAX_UINT64),
        ("0." + "0" * 200 + "1", 0),
        ("1e-999999999999", 0),
    ],
)
def test_a_cost_is_kept_in_nano_usd_whatever_its_digits(cost: object, nano: int) -> None:
    assert usage(cost_usd=cost).cost_nano_usd == nano


WRONG: dict[str, list[object]] = {
    "agentscope_project_id": ["p" * 257, 1.5, True, [], {}],
    "cost_usd": [-0.1, "-1", 1e300, "1e999999999", "18446744073.709551616", "0" * 300, "x", "NaN", True, []],
    "duration_ms": [-1, 1e300, "x", True],
    "event_id": ["e" * 257, {}],
    "input_tokens": [-1, MAX_COUNT + 1, 1.5, "x", [], {}],
    "model_name": [1.5, False, [], {}],
    "timestamp": ["yesterday", "1999-12-31T23:59:59Z", "2100-01-01T00:00:00Z", True, []],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in WRONG for value in WRONG[field]])
def test_a_wrong_value_is_refused_with_its_field_and_what_it_should_be(field: str, value: object) -> None:
    with pytest.raises(RecordError, match=rf"^record 0: {field} is .+: .+") as caught:
        usage(**{field: value})
    assert len(str(caught.value)) < 300


def test_the_message_names_the_first_wrong_record_and_its_value() -> None:
    body = orjson.dumps([USAGE, {**USAGE, "input_tokens": -5, "model_name": None}, {}])
    with pytest.raises(RecordError) as caught:
        parse(Kind.USAGE, body)
    assert str(caught.value) == "record 1: input_tokens is -5: an integer from 0 to 2147483647"


@pytest.mark.parametrize(
    ("kind", "record", "complaint"),
    [
        (Kind.USAGE, {}, "record 0: model_name is missing"),
        (Kind.EXECUTION, {"status": "running"}, "record 0: execution_id is missing"),
        (
            Kind.EXECUTION,
            {"execution_id": "", "status": "running"},
            'record 0: execution_id is "": text of 1',
        ),
        (Kind.EXECUTION, {"execution_id": "e", "status": "on"}, 'record 0: status is "on": Input should be'),
        (Kind.TIMELINE, {}, "record 0: event_type is missing"),
        (Kind.TIMELINE, {"event_type": "x", "metadata": [1]}, "record 0: metadata is [1]: a JSON object"),
        (Kind.USAGE, [5], "record 0 is 5: a JSON object"),
        (Kind.USAGE, {"records": [USAGE, []]}, "record 1 is []: a JSON object"),
    ],
)
def test_what_makes_a_record_has_to_be_there(kind: Kind, record: object, complaint: str) -> None:
    with pytest.raises(RecordError) as caught:
        parse(kind, orjson.dumps(record))
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize("body", [b"5", b"null", b'"text"', b'{"records": 5}', b'{"records": {}}'])
def test_what_is_neither_object_nor_array_is_refused(body: bytes) -> None:
    with pytest.raises(BodyError, match="one JSON object, an array of them"):
        parse(Kind.USAGE, body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"model_name": "m",}',
        b'{"model_name": "\xff"}',
        b'{"model_name": "m", "x": "\xff"}',
        b'{"model_name": "\\ud800"}',
        b'{"model_name": "m"} x',
        b'\xef\xbb\xbf{"model_name": "m"}',
        b'{"model_name": "m", "x": ' + b"9" * 5_000 + b"}",
        b'{"model_name": "m", "cost_usd": NaN}',
        b'{"model_name": "m", "x": NaN}',
        b'{"model_name": "m", "x": -Infinity}',
        b'{"model_name": "m", "cost_usd": Infinity}',
        '{"model_name": "m"}'.encode("utf-16"),
    ],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(BodyError, match="not JSON"):
        parse(Kind.USAGE, body)


def test_nan_may_be_a_word() -> None:
    assert usage(model_name="NaN Infinity").model_name == "NaN Infinity"


@pytest.mark.parametrize("value", [10**30, -(10**30), 10**4000])
def test_a_huge_integer_is_refused_where_it_counts_and_where_it_is_kept(value: int) -> None:
    for kind, field in ((Kind.USAGE, "input_tokens"), (Kind.USAGE, "cost_usd"), (Kind.TIMELINE, "node_id")):
        with pytest.raises(RecordError, match=field):
            parse(kind, json.dumps({**MINIMAL[kind], field: value}).encode())
    with pytest.raises(RecordError, match="metadata"):
        parse(Kind.TIMELINE, json.dumps({**TIMELINE, "metadata": {"x": value}}).encode())


@pytest.mark.parametrize("depth", [33, 150, 201, 5_000, 1_000_000])
@pytest.mark.parametrize("pair", ["[]", "{}"])
def test_deep_json_is_refused_wherever_it_is(depth: int, pair: str) -> None:
    opening, closing = ("[", "]") if pair == "[]" else ('{"a":', "}")
    deep = opening * (depth - 1) + "1" + closing * (depth - 1)
    for body in (f'{{"event_type": "x", "metadata": {deep}}}', f'{{"event_type": "x", "y": {deep}}}'):
        with pytest.raises(DepthError, match="deeper than 32"):
            parse(Kind.TIMELINE, body.encode())


def test_depth_is_counted_outside_of_text_and_not_by_how_many_there_are() -> None:
    deepest = '{"a":' * 31 + "1" + "}" * 31
    brackets = json.dumps("[" * 100 + '\\"' + "{" * 100)
    record = f'{{"event_type": {brackets}, "metadata": {deepest}, "y": [[],{{}},[{{}}]]}}'
    assert parse(Kind.TIMELINE, record.encode())[0]
    assert len(parse(Kind.TIMELINE, f"[{record},{record}]".encode(), max_depth=33)) == 2
    with pytest.raises(DepthError):
        parse(Kind.TIMELINE, f"[{record},{record}]".encode())


def test_too_many_records_are_refused() -> None:
    body = orjson.dumps([MINIMAL[Kind.USAGE]] * 11)
    assert len(parse(Kind.USAGE, body, max_records=11)) == 11
    with pytest.raises(TooLargeError, match="more than 10 records"):
        parse(Kind.USAGE, body, max_records=10)


def test_names_and_texts_that_are_too_long_are_cut_with_a_mark() -> None:
    assert usage(agent_name="a" * 300).agent_name == "a" * (256 - len(CUT)) + CUT
    message = timeline(message="语" * (MAX_TEXT_CHARACTERS + 1)).message
    assert (len(message), message[-len(CUT) :]) == (MAX_TEXT_CHARACTERS, CUT)
    assert len(execution(content="c" * 300_000).content) == 262_144


def test_metadata_is_kept_as_json_and_stays_json_when_it_is_cut() -> None:
    assert timeline(metadata={"x": 1, "y": "é"}).metadata == '{"x":1,"y":"é"}'
    assert timeline(metadata=None).metadata == timeline().metadata == "{}"
    cut = timeline(metadata={"x": '"' * 200_000}).metadata
    assert len(cut) <= 2 * MAX_TEXT_CHARACTERS
    assert orjson.loads(cut)["truncated"].endswith(CUT)


def test_null_is_as_good_as_nothing() -> None:
    nulls: dict[str, object] = {name: None for name in USAGE if name != "model_name"}
    assert usage(**nulls) == parse(Kind.USAGE, b'{"model_name":"gpt-4"}')[0]
    assert execution(content=None, duration_ms=None, end_time=None, round_index=None) == execution()


def test_ids_may_be_numbers() -> None:
    assert usage(agentscope_project_id=42).project_id == "42"


def test_both_spellings_of_project_and_agent_are_read() -> None:
    short = {name.removeprefix("agentscope_"): value for name, value in USAGE.items()}
    assert usage() == parse(Kind.USAGE, orjson.dumps(short))[0]


def test_a_total_that_was_not_said_is_the_sum() -> None:
    assert usage(total_tokens=0).tokens == 150
    assert usage(total_tokens=170).tokens == 170


def test_executions_tell_their_status() -> None:
    assert [execution(status=status).status for status in ("running", "completed", "failed")] == list(Status)


def test_records_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        usage().input_tokens = 5


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ANYTHING = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=5), SCALARS, max_size=3)
FIELDS = sorted(
    {
        *(name for model in (UsageRecord, ExecutionRecord, TimelineRecord) for name in model.model_fields),
        *USAGE,
        "end_time",
        "records",
        "start_time",
        "total_cost_usd",
    }
)
RECORDS = st.lists(st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=5), max_size=2)
CONTAINERS = st.recursive(
    st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=9,
)


def read_or_refused(kind: Kind, body: bytes) -> None:
    try:
        parse(kind, body)
    except HubError as error:
        if not 400 <= error.status < 500:
            raise


@settings(deadline=None)
@given(st.sampled_from(Kind), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(kind: Kind, body: bytes) -> None:
    read_or_refused(kind, body)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.sampled_from(Kind), RECORDS)
def test_any_json_is_read_or_refused(kind: Kind, fields: list[dict[str, Any]]) -> None:
    for body in ([{**MINIMAL[kind], **record} for record in fields], {"records": fields}, *fields):
        read_or_refused(kind, json.dumps(body).encode())


@settings(deadline=None)
@given(CONTAINERS)
def test_depth_is_what_counting_by_hand_gives(nested: object) -> None:
    def depth(value: object) -> int:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    body = json.dumps({**MINIMAL[Kind.USAGE], "x": nested}).encode()
    parse(Kind.USAGE, body, max_depth=1 + depth(nested))
    if isinstance(nested, list | dict):
        with pytest.raises(DepthError):
            parse(Kind.USAGE, body, max_depth=depth(nested))
