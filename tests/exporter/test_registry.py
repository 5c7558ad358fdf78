from __future__ import annotations

import gc
import weakref

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

from claw_exporter import Metrics, RegistryError
from claw_exporter.exposition import render
from claw_exporter.registry import attach


def test_registering_twice_is_registering_once(metrics: Metrics) -> None:
    metrics.track_message(role="user")
    assert metrics.register() is metrics.register()
    assert generate_latest(metrics.registry).count(b'claw_ai_messages_total{role="user"} 1.0') == 1


def test_an_existing_metrics_page_shows_the_same_lines(metrics: Metrics) -> None:
    with metrics.track_vector_db("search"):
        metrics.track_conversation(status="created")
    metrics.build_info(app="chat", version="1")
    assert generate_latest(metrics.registry) == render(metrics.store)


def test_several_metrics_of_one_registry_are_added_up() -> None:
    registry = CollectorRegistry()
    first, second = Metrics(registry=registry), Metrics(registry=registry)
    for each in (first, second):
        each.register()
        each.build_info(app="chat", version="1")
        each.track_message(role="user")
        each.store.histogram(each._answers._durations.spec).observe(0.2, "m", "p", "ok")  # type: ignore[arg-type]
    second.track_message(role="assistant")
    read = registry.get_sample_value
    assert read("claw_ai_messages_total", {"role": "user"}) == 2
    assert read("claw_ai_messages_total", {"role": "assistant"}) == 1
    labels = {"model": "m", "provider": "p", "status": "ok"}
    assert read("claw_ai_ai_response_duration_seconds_bucket", labels | {"le": "0.25"}) == 2
    assert read("claw_ai_ai_response_duration_seconds_sum", labels) == pytest.approx(0.4)
    info = {"app": "chat", "version": "1", "library_version": "0.1.0"}
    assert read("claw_ai_build_info", info) == 1


def test_a_clash_of_names_is_refused_with_a_way_out() -> None:
    registry = CollectorRegistry()
    Counter("claw_ai_messages", "Somebody else's.", registry=registry)
    with pytest.raises(RegistryError, match=r"claw_ai_messages.*Metrics\(registry=CollectorRegistry\(\)\)"):
        Metrics(registry=registry).register()


def test_a_registry_can_be_restricted_to_names(metrics: Metrics) -> None:
    metrics.track_message(role="user")
    metrics.track_conversation(status="created")
    only = generate_latest(metrics.registry.restricted_registry(["claw_ai_messages_total"]))
    assert b"claw_ai_messages_total{" in only
    assert b"claw_ai_conversations_total" not in only


def test_a_registry_is_not_kept_alive() -> None:
    registry = CollectorRegistry()
    attach(registry, Metrics(registry=registry).store)
    gone = weakref.ref(registry)
    del registry
    gc.collect()
    assert gone() is None
