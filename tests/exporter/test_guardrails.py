"""Guardrails, retrieval, fallbacks and tasks: what is counted around an answer."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery
from prometheus_client import CollectorRegistry

from claw_exporter import Decision, Metrics, Retrieval

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    Found = list[str] | None

tasks = Metrics(registry=CollectorRegistry())
tasks.register()


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"claw_ai_{name}", labels)


def decisions(metrics: Metrics, guard: str = "pii") -> dict[str, float]:
    """Return the decisions that were made."""
    kinds = ("allow", "block", "error")
    counts = {
        kind: value(metrics, "guardrail_decisions_total", guard=guard, decision=kind) or 0 for kind in kinds
    }
    return {kind: count for kind, count in counts.items() if count}


def faults(metrics: Metrics, where: str) -> float | None:
    return value(metrics, "exporter_internal_errors_total", where=where)


def _refuse(decision: Decision) -> None:
    decision.block()
    raise PermissionError


# -- Guardrails ----------------------------------------------------------------------------------------------
def test_a_guard_allows_unless_something_else_is_said(metrics: Metrics) -> None:
    with metrics.track_guardrail("pii") as decision:
        assert isinstance(decision, Decision)
    assert decisions(metrics) == {"allow": 1}
    for kind in ("block", "error"):
        assert value(metrics, "guardrail_decisions_total", guard="pii", decision=kind) == 0


async def test_a_guard_may_block_also_by_raising(metrics: Metrics) -> None:
    async with metrics.track_guardrail("pii") as decision:
        decision.block()
    with pytest.raises(PermissionError), metrics.track_guardrail("pii") as decision:
        _refuse(decision)
    assert decisions(metrics) == {"block": 2}


def test_a_guard_that_fails_itself_is_an_error(metrics: Metrics) -> None:
    with pytest.raises(ConnectionError), metrics.track_guardrail("pii"):
        raise ConnectionError
    with metrics.track_guardrail("pii") as decision:
        decision.fail()
    assert decisions(metrics) == {"error": 2}


async def test_a_cancelled_decision_is_none(metrics: Metrics) -> None:
    with pytest.raises(asyncio.CancelledError), metrics.track_guardrail("pii"):
        raise asyncio.CancelledError
    assert decisions(metrics) == {}


@pytest.mark.parametrize(
    ("verdict", "decision"),
    [
        (None, "allow"),
        (False, "allow"),
        ("allow", "allow"),
        (True, "block"),
        ("block", "block"),
        ("phone number", "block"),
        ("error", "error"),
    ],
)
async def test_what_a_function_returns_is_judged(metrics: Metrics, verdict: object, decision: str) -> None:
    @metrics.track_guardrail("pii", result=lambda said: said["verdict"])
    async def check() -> dict[str, Any]:
        return {"verdict": verdict}

    assert await check() == {"verdict": verdict}
    assert decisions(metrics) == {decision: 1}


def test_without_a_judge_what_a_function_returns_means_nothing(metrics: Metrics) -> None:
    @metrics.track_guardrail("pii")
    def check() -> bool:
        return True

    assert check()
    assert decisions(metrics) == {"allow": 1}


def test_a_judge_that_breaks_is_counted_and_kept_away(metrics: Metrics) -> None:
    @metrics.track_guardrail("pii", result=lambda said: said["verdict"])
    def check() -> dict[str, Any]:
        return {}

    assert check() == {}
    assert faults(metrics, "track_guardrail.result") == 1


async def test_a_stream_is_blocked_by_one_of_its_parts(metrics: Metrics) -> None:
    @metrics.track_guardrail("pii", result=lambda part: "@" in part)
    async def censor(text: str) -> AsyncIterator[str]:
        for word in text.split():
            yield word

    assert [word async for word in censor("write to a@b now")] == ["write", "to", "a@b", "now"]
    assert decisions(metrics) == {"block": 1}


def test_a_decision_that_is_known_is_counted_in_one_line(metrics: Metrics) -> None:
    for kind in ("allow", "allow", "block", "error"):
        metrics.guardrail_decision("pii", kind)
    assert decisions(metrics) == {"allow": 2, "block": 1, "error": 1}


def test_a_decision_that_is_none_of_the_three_is_counted_and_kept_away(metrics: Metrics) -> None:
    metrics.guardrail_decision("pii", "blocked")
    assert decisions(metrics) == {}
    assert faults(metrics, "guardrail_decision") == 1


# -- Retrieval -----------------------------------------------------------------------------------------------
def results(metrics: Metrics, index: str = "help") -> tuple[float | None, float | None, float | None]:
    """Return how many retrievals there were, how many results together, and how many found nothing."""
    return (
        value(metrics, "retrieval_results_count", index=index),
        value(metrics, "retrieval_results_sum", index=index),
        value(metrics, "retrieval_results_bucket", index=index, le="0.0"),
    )


@pytest.mark.parametrize(("found", "number"), [(4, 4), (["a", "b"], 2), ({}, 0), (0, 0), (None, 0)])
def test_what_a_retrieval_found_is_counted_in_one_line(metrics: Metrics, found: object, number: int) -> None:
    metrics.track_retrieval("help", results=found)
    assert results(metrics) == (1, number, number == 0)


@pytest.mark.parametrize("found", [-1, "?".isalpha, object()])
def test_what_cannot_be_counted_is_an_error_of_ours(metrics: Metrics, found: object) -> None:
    metrics.track_retrieval("help", results=found)
    assert results(metrics) == (None, None, None)
    assert faults(metrics, "track_retrieval") == 1


async def test_a_decorated_function_is_counted_by_what_it_returns(metrics: Metrics) -> None:
    @metrics.track_retrieval("help")
    async def search(found: Found) -> Found:
        return found

    assert await search(["a", "b", "c"]) == ["a", "b", "c"]
    assert await search([]) == []
    assert await search(None) is None
    assert results(metrics) == (3, 3, 2)


def test_the_number_may_be_found_deeper(metrics: Metrics) -> None:
    @metrics.track_retrieval("help", count=lambda answer: len(answer["ids"][0]))
    def query() -> dict[str, list[list[str]]]:
        return {"ids": [["a", "b"]], "distances": []}

    query()
    assert results(metrics) == (1, 2, 0)


def test_a_count_that_breaks_is_counted_and_kept_away(metrics: Metrics) -> None:
    @metrics.track_retrieval("help")
    def query() -> object:
        return query

    assert query() is query
    assert faults(metrics, "track_retrieval") == 1


async def test_generators_are_counted_by_their_parts(metrics: Metrics) -> None:
    @metrics.track_retrieval("help")
    def rows(number: int) -> Iterator[dict[str, str]]:
        yield from ({"id": "x", "title": "y"} for _ in range(number))

    @metrics.track_retrieval("more")
    async def more(number: int) -> AsyncIterator[str]:
        for _ in range(number):
            yield "x"

    assert len(list(rows(3))) == 3
    assert list(rows(0)) == []
    assert [part async for part in more(2)] == ["x", "x"]
    assert results(metrics) == (2, 3, 1)
    assert results(metrics, "more") == (1, 2, 0)


def test_a_block_says_what_it_found(metrics: Metrics) -> None:
    with metrics.track_retrieval("help") as retrieval:
        assert isinstance(retrieval, Retrieval)
        retrieval.results(["a"])
    with metrics.track_retrieval("help"):
        pass
    assert results(metrics) == (2, 1, 1)


def test_a_retrieval_that_fails_found_not_nothing(metrics: Metrics) -> None:
    with pytest.raises(ConnectionError), metrics.track_retrieval("help"):
        raise ConnectionError
    assert results(metrics) == (None, None, None)


# -- Fallbacks -----------------------------------------------------------------------------------------------
def test_a_fallback_is_counted_by_its_models_and_its_reason(metrics: Metrics) -> None:
    metrics.track_fallback(from_model="glm-4", to_model="glm-4-flash", reason="rate_limited")
    metrics.track_fallback(from_model="glm-4", to_model="glm-4-flash")
    for reason in ("rate_limited", "error"):
        labels = {"from_model": "glm-4", "to_model": "glm-4-flash", "reason": reason}
        assert value(metrics, "ai_fallbacks_total", **labels) == 1


def test_messages_passed_as_reasons_are_folded(metrics: Metrics) -> None:
    for number in (*range(200), 0):
        metrics.track_fallback(from_model="a", to_model="b", reason=f"no answer after {number} s")
    other = value(metrics, "ai_fallbacks_total", from_model="a", to_model="b", reason="other")
    assert other == 200 - 64


def test_a_model_that_cannot_be_written_is_counted_and_kept_away(metrics: Metrics) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no name")

    model: Any = Broken()
    metrics.track_fallback(from_model=model, to_model="b")
    assert faults(metrics, "track_fallback") == 1


# -- Tasks ---------------------------------------------------------------------------------------------------
@tasks.track_task("mail")
def send_mail(to: str) -> str:
    """Send a mail."""
    return to


@tasks.track_task("arq")
async def ask(context: dict[str, str], question: str) -> str:
    return context[question]


def worked(metrics: Metrics, queue: str) -> dict[str, float]:
    kinds = ("ok", "error", "cancelled")
    counts = {kind: value(metrics, "queue_tasks_total", queue=queue, status=kind) or 0 for kind in kinds}
    return {kind: count for kind, count in counts.items() if count}


def test_a_task_of_celery_is_counted_and_timed(metrics: Metrics) -> None:
    app = Celery("test", broker="memory://")

    @app.task(name="summarise", bind=True)  # type: ignore[untyped-decorator]
    @metrics.track_task("default")
    def summarise(self: Any, text: str) -> str:  # noqa: ANN401  # a task of Celery
        if not text:
            raise self.retry(countdown=0, max_retries=1)
        return f"{self.name}: {text}"

    assert summarise.apply(args=["a"]).get() == "summarise: a"
    assert summarise.apply(args=[""]).failed()
    assert worked(metrics, "default") == {"ok": 1, "error": 2}
    assert value(metrics, "queue_task_duration_seconds_count", queue="default") == 3


def test_a_task_keeps_its_name_and_kind_by_which_workers_find_it() -> None:
    """RQ imports the function by its name, arq calls a coroutine function with a context."""
    found = pickle.loads(pickle.dumps(send_mail))  # noqa: S301  # our own bytes
    assert found("a") == "a"
    assert (send_mail.__name__, send_mail.__doc__) == ("send_mail", "Send a mail.")
    assert inspect.iscoroutinefunction(ask)
    assert asyncio.run(ask({"why": "because"}, "why")) == "because"
    with pytest.raises(KeyError):
        asyncio.run(ask({}, "why"))
    assert worked(tasks, "mail") == {"ok": 1}
    assert worked(tasks, "arq") == {"ok": 1, "error": 1}


def test_what_a_task_returns_may_be_an_error(metrics: Metrics) -> None:
    @metrics.track_task("default", result=lambda done: None if done["success"] else "failed")
    def task() -> dict[str, bool]:
        return {"success": False}

    task()
    assert worked(metrics, "default") == {"error": 1}


# -- Bounds --------------------------------------------------------------------------------------------------
def test_guards_indexes_models_and_queues_without_end_are_folded() -> None:
    small = Metrics(registry=CollectorRegistry(), max_series=8)
    small.register()
    for number in range(1000):
        name = f"name {number}"
        small.guardrail_decision(name, "block")
        small.track_retrieval(name, results=number)
        small.track_fallback(from_model=name, to_model=name, reason=name)
        with small.track_task(name):
            pass
    series = {spec.name: len(found) for spec, found in small.store.snapshot()}
    assert max(series.values()) <= 8 + 4
    assert value(small, "guardrail_decisions_total", guard="__overflow__", decision="block") == 1000 - 3
