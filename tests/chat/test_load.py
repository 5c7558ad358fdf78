"""The load generator: its parts, and a run of it against the app."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.chat.conftest import Count, serve

from claw_chat.load import questions
from claw_chat.load.generator import Generator
from claw_chat.load.options import Options, is_loopback, is_neighbour, near_url, parse
from claw_chat.load.report import Report
from claw_chat.load.schedule import QUIETEST, Rota, day_curve, rate_at
from claw_chat.models import CHAT_MODELS
from claw_exporter.catalog import CATALOG, STEP_TYPES

if TYPE_CHECKING:
    from tests.chat.conftest import Chat, Models

    from claw_chat.settings import Settings

FEW = Options(url="http://127.0.0.1:1", rate=50, duration_seconds=0.5, report_seconds=0.2)


def send(options: Options) -> tuple[Report, list[str]]:
    """Run a generator to its end; return what it counted and what it said."""
    lines: list[str] = []
    return asyncio.run(Generator(options, lines.append).run(asyncio.Event())), lines


def test_a_short_run_fills_every_metric_of_an_app_and_shows_every_kind_of_trouble(
    settings: Settings, models: Models
) -> None:
    for model in questions.MODELS:
        models.behave(model, token_seconds=0.01, output_tokens=60)  # long enough to leave in the middle
    models.behave("glm-3-turbo", server_error_ratio=1)
    # Nearly every second conversation is with this one, and it has a fallback.
    models.behave("glm-4", server_error_ratio=0.7, token_seconds=0.01, output_tokens=60)
    models.behave("gpt-4o-mini", usage_missing_ratio=1)
    with serve(replace(settings, model_max_retries=1)) as chat:
        chat.server.wait(chat.app.state.services.search.ready)
        count, outcomes = Count({}), Counter[str]()
        for seed in (1, 2, 3):  # where the machine is busy, one round may be too few requests
            with chat.counting() as grown:
                report, _ = send(replace(FEW, url=chat.url, rate=20, duration_seconds=8, seed=seed))
                chat.server.wait_until_idle()
            count.update({key: count.get(key, 0) + grown[key] for key in grown})
            outcomes.update(report.total)
            if not missing(count):
                break
        assert chat.samples()['claw_ai_queue_tasks_total{queue="indexing",status="ok"}'] >= 1
    assert {"2xx", "4xx", "5xx", "cancelled", "sockets"} <= set(outcomes)
    assert not outcomes["unreachable"]
    assert missing(count) == []
    assert count.where("claw_ai_exporter_internal_errors_total") == 0


def missing(count: Count) -> list[object]:
    """Return what a run has not shown yet: samples that did not grow."""
    names = [name for name in grown_by_traffic() if not count.where(name) > 0]
    return [*names, *(labels for labels in SHOWN if not count.where(**labels) > 0)]


# Why traffic alone does not let these grow.
NOT_BY_TRAFFIC = {
    "claw_ai_agent_repeated_tool_calls_total": "the assistant calls one tool a turn",
    "claw_ai_ai_time_between_chunks_seconds_count": "optional (each_chunk=True)",
    "claw_ai_ai_unpriced_tokens_total": "every model of the example has a price",
    "claw_ai_db_pool_timeouts_total": "the pools are large enough for a run like this",
    "claw_ai_queue_tasks_total": "the help pages were stored when the app started",
    "claw_ai_queue_task_duration_seconds_count": "as before",
}
SHOWN = [
    {"name": "claw_ai_http_requests_total", "status": "499"},
    {"name": "claw_ai_http_requests_total", "status": "502"},
    {"name": "claw_ai_http_requests_total", "status": "422"},
    {"name": "claw_ai_http_requests_total", "status": "404", "endpoint": "unmatched"},
    {"name": "claw_ai_ai_errors_total", "error_type": "server_error"},
    {"name": "claw_ai_ai_response_duration_seconds_count", "status": "cancelled"},
    {"name": "claw_ai_ai_attempts_total", "outcome": "ok"},
    {"name": "claw_ai_ai_attempts_total", "outcome": "server_error"},
    {"name": "claw_ai_ai_attempts_total", "outcome": "cancelled"},
    {"name": "claw_ai_websocket_duration_seconds_count", "close_code": "1000"},
    {"name": "claw_ai_websocket_duration_seconds_count", "close_code": "1007"},
    {"name": "claw_ai_ai_finish_total", "reason": "stop"},
    {"name": "claw_ai_ai_finish_total", "reason": "tool_calls"},
    {"name": "claw_ai_ai_fallbacks_total", "from_model": "glm-4", "to_model": "glm-4-flash"},
    {"name": "claw_ai_agent_runs_total", "outcome": "ok"},
    {"name": "claw_ai_agent_runs_total", "outcome": "error"},
    {"name": "claw_ai_agent_runs_total", "outcome": "cancelled"},
    {"name": "claw_ai_conversations_total", "status": "created"},
    {"name": "claw_ai_conversations_total", "status": "deleted"},
    {"name": "claw_ai_messages_total", "role": "user"},
    {"name": "claw_ai_messages_total", "role": "assistant"},
    {"name": "claw_ai_messages_total", "role": "tool"},
    {"name": "claw_ai_tool_calls_total", "tool": "calculator", "status": "ok"},
    *({"name": "claw_ai_agent_steps_total", "step_type": step} for step in STEP_TYPES),
]


def grown_by_traffic() -> list[str]:
    """Return the samples of the library that traffic makes grow: all but what is wrong with the library."""
    own = "claw_ai_exporter_"
    names = [
        f"{metric.name}_count" if metric.type == "histogram" else metric.name
        for metric in CATALOG
        if metric.home == "library" and metric.type != "gauge" and not metric.name.startswith(own)
    ]
    assert set(NOT_BY_TRAFFIC) <= set(names)
    return [name for name in names if name not in NOT_BY_TRAFFIC]


def test_while_the_app_is_away_the_generator_goes_on_and_says_so_once() -> None:
    report, lines = send(FEW)
    assert set(report.total) == {"unreachable"}
    assert report.total["unreachable"] > 5
    away = [line for line in lines if " is away (ConnectError" in line]
    assert len(away) == 1
    assert re.search(r"unreachable \d+", lines[-1])


def test_the_generator_says_when_the_app_is_back(chat: Chat) -> None:
    lines: list[str] = []
    generator = Generator(replace(FEW, url=chat.url), lines.append)
    generator._note_reachable("it was")
    asyncio.run(generator.run(asyncio.Event()))
    changes = [line for line in lines if " is " in line]
    assert changes == [f"load: {chat.url} is away (it was); trying on", f"load: {chat.url} is back"]


def test_no_more_requests_are_in_flight_than_allowed(chat: Chat, models: Models) -> None:
    models.behave("embedding-3", first_token_seconds=1)
    with chat.counting() as count:
        report, _ = send(replace(FEW, url=chat.url, concurrency=1, rate=100, duration_seconds=1))
        chat.server.wait_until_idle()
    assert report.total["left out"] > 10
    sent = sum(report.total.values()) - report.total["left out"]
    # Where no conversation is open, one is begun on the way: the only request that is not counted.
    assert sent <= count.where("claw_ai_http_requests_total") + count.where(
        "claw_ai_websocket_duration_seconds_count"
    )
    assert sent < 60


def test_the_summary_counts_outcomes_and_begins_anew() -> None:
    report = Report()
    for duration_seconds in (0.1, 0.2, 0.3):
        report.note("2xx", duration_seconds)
    report.note("5xx", 4.0)
    report.note("left out")
    line = report.line(elapsed_seconds=2, in_flight=3)
    assert line == "load: 4 requests (2.0/s): 2xx 3, 5xx 1, left out 1, p95 4.00 s, in flight 3"
    assert report.line(elapsed_seconds=2, in_flight=0) == (
        "load: 0 requests (0.0/s): none, p95 0.00 s, in flight 0"
    )
    assert report.last_line(elapsed_seconds=4) == (
        "load: ended after 4 s: 4 requests (1.0/s): 2xx 3, 5xx 1, left out 1"
    )


def test_the_day_is_quiet_at_night_and_busiest_in_the_afternoon() -> None:
    curve = [day_curve(hour / 24) for hour in range(24)]
    assert min(curve[:6]) == pytest.approx(QUIETEST, abs=0.01)
    assert max(range(24), key=curve.__getitem__) == 14
    assert max(curve[19:22]) > curve[17]
    assert all(QUIETEST <= share <= 1 for share in curve)
    assert day_curve(0.25) == pytest.approx(day_curve(7.25))


def test_the_wanted_rate_never_exceeds_the_one_given() -> None:
    rates = [rate_at(second, rate=5, day_seconds=100) for second in range(300)]
    assert max(rates) <= 5
    assert rates[0] > 3
    assert rates[10] == pytest.approx(rates[110])


def test_a_rota_deals_every_name_first_and_then_in_proportion() -> None:
    rota = Rota({"often": 70, "seldom": 25, "rarely": 5})
    assert [rota.next() for _ in range(3)] == ["often", "seldom", "rarely"]
    assert Counter(rota.next() for _ in range(100)) == {"often": 70, "seldom": 25, "rarely": 5}


def test_every_model_that_users_choose_is_one_of_the_app() -> None:
    assert {*questions.MODELS, questions.RETIRED_MODEL} <= set(CHAT_MODELS)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_addresses_of_this_machine_are_taken(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["claw-ai-backend", "app2"])
def test_services_beside_it_are_taken_by_their_names(host: str) -> None:
    assert is_neighbour(host)
    assert near_url(f"http://{host}:8000") == f"http://{host}:8000"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "http://com.:8000",
        "http://134744072",
        "http://0x8080808",
        "http://10.0.0.1:8000",
        "http://localhost.example.com:8000",
        "http://127.0.0.1.example.com",
        "http://0.0.0.0:8000",
        "http://[2001:db8::1]:8000",
        "https://127.0.0.1:8000",
        "http://127.0.0.1:8000/api",
        "http://127.0.0.1@example.com",
        "http://127.0.0.1:port",
        "127.0.0.1:8000",
        "",
    ],
)
def test_any_other_address_is_refused(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--url", url], {})
    assert ended.value.code == 2
    assert repr(url) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argument", "value", "complaint"),
    [
        ("--rate", "0", "'0' is not a number from 0.01 to 200"),
        ("--rate", "fast", "'fast' is not a number from 0.01 to 200"),
        ("--rate", "nan", "'nan' is not a number from 0.01 to 200"),
        ("--duration", "-1", "'-1' is not a number from 0 to 1e+09"),
        ("--concurrency", "0", "'0' is not a whole number from 1 to 1000"),
        ("--seed", "x", "'x' is not a whole number from 0 to 2147483648"),
    ],
)
def test_a_wrong_option_is_named_with_its_value_and_a_remedy(
    argument: str, value: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([f"{argument}={value}"], {})
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_options_come_from_arguments_then_variables_then_defaults() -> None:
    environment = {"CLAW_LOAD_URL": "http://[::1]:9000", "CLAW_LOAD_RATE": "2"}
    options = parse(["--rate", "3"], environment)
    assert (options.url, options.rate, options.seed) == ("http://[::1]:9000", 3, 1)
    assert near_url("http://localhost/") == "http://localhost:80"


def test_the_program_stops_by_itself_after_its_duration(chat: Chat) -> None:
    command = [sys.executable, "-m", "claw_chat.load", "--url", chat.url, "--duration", "1", "--rate", "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    first, *_, last = done.stdout.splitlines()
    assert first == f"load: 20 requests/s at the busiest to {chat.url}"
    assert re.match(r"load: ended after [12] s: \d+ requests", last)


def test_the_program_ends_at_sigterm_with_its_summary() -> None:
    command = [sys.executable, "-m", "claw_chat.load", "--url", "http://127.0.0.1:1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("load: 5 requests/s")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert "load: ended after" in process.stdout.read()
