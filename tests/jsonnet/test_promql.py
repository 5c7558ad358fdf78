"""The judge of expressions: what it finds, and which labels it says a result has."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "jsonnet"))

from catalogue import TARGET_LABELS, Catalogue, Series  # the path above must be there first
from promql import Judge  # the same

STATUSES = {"status": frozenset({"ok", "error", "cancelled"})}
CATALOGUE = Catalogue(
    {
        "requests_total": Series("counter", TARGET_LABELS | {"endpoint", "status"}),
        "answers_bucket": Series("counter", TARGET_LABELS | {"status", "le"}, STATUSES),
        "answers_count": Series("counter", TARGET_LABELS | {"status"}, STATUSES),
        "memory_bytes": Series("gauge", TARGET_LABELS | {"kind"}),
        "job:up:sum": Series("recorded", frozenset({"job"})),
        "ALERTS": Series("gauge", None),
    }
)


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("sum(rate(requests_total[5m]))", ""),
        ("sum by (job, endpoint) (rate(requests_total[5m]))", "endpoint job"),
        ("sum without (instance, host) (rate(requests_total[5m]))", "endpoint job status"),
        ("topk(5, sum by (endpoint) (rate(requests_total[5m])))", "endpoint"),
        ("histogram_quantile(0.9, sum by (le, job) (rate(answers_bucket[5m])))", "job"),
        ('sum by (job) (memory_bytes) / on (job) group_left (kind) memory_bytes{kind="rss"}', "job kind"),
        ("memory_bytes / on (job) group_left () job:up:sum", "host instance job kind"),
        ("job:up:sum / on (job) group_right () memory_bytes", "host instance job kind"),
        ("memory_bytes / ignoring (kind) memory_bytes", "host instance job"),
        ('memory_bytes{kind="a"} / on (job) memory_bytes{kind="b"}', "job"),
        ("job:up:sum or 0 * job:up:sum", "job"),
        ("memory_bytes > 3 and on (job) job:up:sum", "host instance job kind"),
        ("-(memory_bytes)", "host instance job kind"),
        ('label_replace(job:up:sum, "team", "$1", "job", "(.*)")', "job team"),
        ('count_values("version", job:up:sum)', "version"),
        ('absent(memory_bytes{job="a", kind=~"x.*"})', "job"),
        ("absent(sum(memory_bytes))", ""),
        ("time() - max by (job) (memory_bytes)", "job"),
        ("max_over_time(sum by (job) (memory_bytes)[1h:5m])", "job"),
        ("vector(1)", ""),
        ("count by (job) (requests_total)", "job"),
        ("time() - timestamp(requests_total)", "endpoint host instance job status"),
        ('{__name__=~"memory_bytes|gone_bytes"}', "host instance job kind"),
        ('rate(answers_count{status!~"ok|cancelled"}[5m])', "host instance job status"),
        ('rate(answers_count{status=~".+"}[5m])', "host instance job status"),
    ],
)
def test_the_labels_of_a_sound_expression_are_known(expression: str, labels: str) -> None:
    assert Judge(CATALOGUE).judge(expression) == (frozenset(labels.split()), [])


def test_labels_of_alerts_are_open() -> None:
    judge = Judge(CATALOGUE)
    assert judge.judge('ALERTS{alertname="A", anything="b"} * on (team) group_left (owner) ALERTS') == (
        None,
        [],
    )
    assert judge.judge("histogram_quantile(0.9, ALERTS) / ignoring (x) ALERTS") == (None, [])
    assert judge.judge("sum without (x) (ALERTS)") == (None, [])


@pytest.mark.parametrize(
    ("expression", "finding"),
    [
        ("sum(rate(request_total[5m]))", "unknown metric request_total; did you mean requests_total?"),
        ("sum(rate(zzzz[5m]))", "unknown metric zzzz"),
        ("requests_total > 5", "requests_total is a counter: only its rate() or increase() means something"),
        (
            "rate(memory_bytes[5m])",
            "rate() of memory_bytes, which is a gauge: use deriv(), delta() or changes()",
        ),
        ('rate(requests_total{state="x"}[5m])', "no label state of requests_total; did you mean status?"),
        (
            'rate(answers_count{status="failed"}[5m])',
            "label status never is 'failed' (known: cancelled, error, ok)",
        ),
        (
            'rate(answers_count{status=~"ok|good"}[5m])',
            "label status never is 'good' (known: cancelled, error, ok)",
        ),
        ("sum by (route) (rate(requests_total[5m]))", "no label route to aggregate by in sum by (route)"),
        ("sum by (le) (rate(requests_total[5m]))", "no label le to aggregate by"),
        (
            "histogram_quantile(0.9, sum by (job) (rate(answers_bucket[5m])))",
            "no label le for histogram_quantile",
        ),
        ("sum(memory_bytes) / on (job) sum(memory_bytes)", "no label job to match on in"),
        ("memory_bytes / on (jb) job:up:sum", "no label jb to match on in"),
        ("sum(rate(memory_bytes)", "not PromQL: "),
        ('{job="a"}', "a selector without a metric name reads everything"),
        ('{__name__=~"gone.*"}', "no known metric matches gone.*"),
    ],
)
def test_what_does_not_exist_is_found(expression: str, finding: str) -> None:
    _labels, found = Judge(CATALOGUE).judge(expression)
    assert any(one.startswith(finding) for one in found), found


def test_every_mistake_of_an_expression_is_found_at_once() -> None:
    _labels, found = Judge(CATALOGUE).judge("sum by (nope) (rate(gone[5m])) + sum by (nope) (memory_bytes)")
    assert len(found) == 2


def test_a_long_expression_is_cut_in_the_message() -> None:
    _labels, found = Judge(CATALOGUE).judge("sum((" + "1 + " * 100)
    assert len(found[0]) < 400


def test_an_expression_that_only_lists_series_may_be_a_bare_counter() -> None:
    assert Judge(CATALOGUE).judge('requests_total{job="a"}', labels_only=True)[1] == []
