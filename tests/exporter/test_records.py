"""Log records, counted by level at their source."""

from __future__ import annotations

import io
import logging
import logging.handlers
import subprocess
import sys
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from claw_exporter import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def factory() -> Iterator[Any]:
    """The record factory as it was, and will be."""
    before = logging.getLogRecordFactory()
    yield before
    logging.setLogRecordFactory(before)


@pytest.fixture
def log() -> logging.Logger:
    """A logger of its own, at the lowest level, whose records nobody writes."""
    logger = logging.Logger("app", level=1)  # noqa: LOG001  # no other test may get this one
    logger.addHandler(logging.NullHandler())
    return logger


def counts(metrics: Metrics) -> dict[str, float]:
    return {
        sample.labels["level"]: sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "claw_ai_log_records_total"
    }


NOTHING = {"debug": 0, "info": 0, "warning": 0, "error": 0, "critical": 0}


def test_every_level_exists_before_its_first_record_and_none_before_somebody_watches(
    metrics: Metrics,
) -> None:
    assert counts(metrics) == {}
    metrics.watch_logs()
    assert counts(metrics) == NOTHING


def test_each_level_is_counted_by_its_name(metrics: Metrics, log: logging.Logger) -> None:
    metrics.watch_logs()
    log.debug("x")
    log.info("x")
    log.warning("x")
    log.error("x")
    log.error("x", exc_info=ValueError())
    log.critical("x")
    assert counts(metrics) == {"debug": 1, "info": 1, "warning": 1, "error": 2, "critical": 1}


@pytest.mark.parametrize(
    ("number", "level"),
    [
        (1, "debug"),
        (5, "debug"),
        (19, "debug"),
        (25, "info"),
        (35, "warning"),
        (49, "error"),
        (60, "critical"),
    ],
)
def test_a_level_of_ones_own_counts_as_the_next_milder_one(
    metrics: Metrics, log: logging.Logger, number: int, level: str
) -> None:
    metrics.watch_logs()
    log.log(number, "x")
    assert counts(metrics) == NOTHING | {level: 1}


def test_what_a_logger_lets_pass_is_counted_and_nothing_else(metrics: Metrics, log: logging.Logger) -> None:
    metrics.watch_logs()
    log.setLevel(logging.ERROR)
    log.info("x")
    assert counts(metrics) == NOTHING


def test_a_logger_that_keeps_its_records_to_itself_is_counted_too(metrics: Metrics) -> None:
    logger = logging.getLogger("claw-test-records.uvicorn-like")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    metrics.watch_logs()
    logger.error("x")
    assert counts(metrics)["error"] == 1


def test_a_record_is_counted_once_however_many_handlers_write_it(
    metrics: Metrics, log: logging.Logger
) -> None:
    queue: SimpleQueue[Any] = SimpleQueue()
    listener = logging.handlers.QueueListener(queue, logging.NullHandler(), logging.NullHandler())
    log.addHandler(logging.handlers.QueueHandler(queue))
    metrics.watch_logs()
    listener.start()
    log.error("x")
    listener.stop()
    assert counts(metrics)["error"] == 1


def test_watching_twice_counts_once(metrics: Metrics, log: logging.Logger) -> None:
    metrics.watch_logs()
    metrics.watch_logs()
    log.error("x")
    assert counts(metrics)["error"] == 1


def test_several_metrics_count_each_for_itself(metrics: Metrics, log: logging.Logger) -> None:
    other = Metrics(registry=CollectorRegistry())
    other.register()
    metrics.watch_logs()
    log.error("x")
    other.watch_logs()
    log.error("x")
    assert (counts(metrics)["error"], counts(other)["error"]) == (2, 1)


def test_a_record_is_what_it_would_be_without(metrics: Metrics, log: logging.Logger) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(funcName)s %(message)s %(fields)s"))
    log.addHandler(handler)
    metrics.watch_logs()
    log.warning("%s of %s", 1, 2, extra={"fields": 3})
    assert stream.getvalue() == "app WARNING test_a_record_is_what_it_would_be_without 1 of 2 3\n"


def test_a_record_unpacked_from_another_process_is_not_counted_again(metrics: Metrics) -> None:
    metrics.watch_logs()
    record = logging.makeLogRecord({"levelno": logging.ERROR, "levelname": "ERROR", "msg": "x"})
    assert record.levelno == logging.ERROR
    assert counts(metrics) == NOTHING


def test_nothing_is_counted_after_the_end_and_what_was_stays(
    metrics: Metrics, log: logging.Logger, factory: object
) -> None:
    metrics.watch_logs()
    log.error("x")
    metrics.unwatch_logs()
    metrics.unwatch_logs()
    log.error("x")
    assert counts(metrics)["error"] == 1
    assert logging.getLogRecordFactory() is factory


def test_one_may_watch_again(metrics: Metrics, log: logging.Logger) -> None:
    metrics.watch_logs()
    metrics.unwatch_logs()
    metrics.watch_logs()
    log.error("x")
    assert counts(metrics)["error"] == 1


def test_a_factory_that_somebody_put_around_ours_stays(metrics: Metrics, log: logging.Logger) -> None:
    metrics.watch_logs()
    inner = logging.getLogRecordFactory()

    def traced(*args: object, **kwargs: object) -> logging.LogRecord:
        record = inner(*args, **kwargs)
        record.trace_id = "4bf9"
        return record

    logging.setLogRecordFactory(traced)
    log.error("x")
    metrics.unwatch_logs()
    log.error("x")
    assert logging.getLogRecordFactory() is traced
    assert counts(metrics)["error"] == 1


def test_an_application_that_never_set_logging_up_still_prints_and_may_do_so_later() -> None:
    code = """if True:
        import logging
        from claw_exporter import metrics
        metrics.watch_logs()
        logging.getLogger("app").warning("last resort")
        logging.basicConfig(format="set up: %(message)s")
        logging.getLogger("app").warning("later")
    """
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr.splitlines() == ["last resort", "set up: later"]


def test_threads_lose_no_record(metrics: Metrics, log: logging.Logger) -> None:
    metrics.watch_logs()

    def write() -> None:
        for _ in range(500):
            log.error("x")

    threads = [Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts(metrics)["error"] == 2000
