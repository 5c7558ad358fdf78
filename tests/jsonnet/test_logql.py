"""LogQL is judged where there is no Loki: what is wrong with a query, and which labels its result has."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "jsonnet"))

import logql  # noqa: E402  # the path above must be there first

STREAM = '{service="chat"}'


@pytest.mark.parametrize(
    "query",
    [
        '{service=~".+", level!="debug"}',
        STREAM
        + r' |~ `(?i)a\d+` != "b" |= "c" or "d" | trace_id=~"1.*" | json a="a.b", c="c[0]" | a="1" and c>2',
        STREAM + ' | logfmt took="took" | unpack | decolorize | line_format `{{.took}} {{ ToUpper .level }}`',
        f"sum by (level) (count_over_time({STREAM}[5m] offset 1d))",
        f"sum(rate({STREAM} [1m])) by (host) / on (host) group_left sum by (host) (rate({STREAM}[1m]))",
        f"topk(5, sum without (host) (bytes_rate({STREAM}[1h30m]))) # why",
        f'quantile_over_time(0.95, {STREAM} | json s="s" | unwrap s | __error__="" [5m]) by (service)',
        f'max_over_time({STREAM} | json s="s" | unwrap duration(s) [5m]) > bool 2.5',
        f"-(rate({STREAM}[1m])) or vector(0)",
        STREAM
        + ' | pattern `<ip> - <_> "<verb> <_>"` | verb="GET" or (ip!="" and level="info") | drop ip, verb',
        STREAM + ' | regexp "(?P<code>[0-9]+)" | label_format status=code, both=`{{.code}}` | both!=""',
    ],
)
def test_a_sound_query_passes(query: str) -> None:
    assert logql.judge(query)[1] == []


@pytest.mark.parametrize(
    ("query", "finding"),
    [
        ('{servce="chat"}', "LogQL: no stream has a label servce; did you mean service?"),
        ('{trace_id="1"}', "LogQL: no stream has a label trace_id"),
        ('{service=~".*"}', "LogQL: Loki refuses a selector whose matchers all match the empty value"),
        ('{service="chat"', "LogQL: a label is missing before 'the end'"),
        ("{service=chat}", "LogQL: a value in quotes is missing before 'chat'"),
        (STREAM + ' |~ "a("', "LogQL: 'a(' is no regular expression"),
        (STREAM + " | json", "LogQL: name what is extracted"),
        (STREAM + ' | json a="a" | b="1"', "LogQL: no label b"),
        (STREAM + ' | json a="a" | a', "LogQL: a is compared with nothing: ''"),
        (STREAM + " | line_format `{{.took}}`", "LogQL: no label took"),
        (STREAM + " | line_format `{{.level}`", "LogQL: the braces of '{{.level}' do not match"),
        (STREAM + " | label_format a=b", "LogQL: no label b"),
        (STREAM + " | level=`info` | jsn", "LogQL: jsn is compared with nothing"),
        (STREAM + " ~ 1", "LogQL: cannot read '~ 1'"),
        (STREAM + " }", "LogQL: unexpected '}'"),
        (f"rate({STREAM})", "LogQL: a range such as [5m] is missing before ')'"),
        (f"rates({STREAM}[5m])", "LogQL: no function rates; did you mean rate?"),
        (f"sum_over_time({STREAM}[5m])", "LogQL: sum_over_time needs a number from each line: | unwrap"),
        (
            f'count_over_time({STREAM} | json a="a" | unwrap a [5m])',
            "LogQL: count_over_time counts lines; unwrap has no meaning there",
        ),
        (f'sum_over_time({STREAM} | json a="a" | unwrap bits(a) [5m])', "LogQL: unwrap knows no bits()"),
        (f"sum by (path) (rate({STREAM}[5m]))", "LogQL: no label path"),
        (f"topk(sum(rate({STREAM}[5m])))", "LogQL: a number is missing before 'sum'"),
        (f"sum(rate({STREAM}[5m])", "LogQL: ')' is missing before 'the end'"),
        ("{service>1}", "LogQL: '>' compares nothing in a selector"),
    ],
)
def test_a_mistake_is_named(query: str, finding: str) -> None:
    assert any(found.startswith(finding) for found in logql.judge(query)[1]), logql.judge(query)


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        (f"sum by (level) (rate({STREAM}[5m]))", {"level"}),
        (f'topk(2, sum by (a) (rate({STREAM} | json a="a" [5m])))', {"a"}),
        (f"sum(rate({STREAM}[5m]))", set()),
        (f"sum without (level, stream) (rate({STREAM} | keep level, stream, host [5m]))", {"host"}),
        (f'avg_over_time({STREAM} | json a="a" | unwrap a [5m]) by (host)', {"host"}),
        ("vector(1)", set()),
    ],
)
def test_the_labels_of_a_result_are_known(query: str, labels: set[str]) -> None:
    found, problems = logql.judge(query)
    assert (set(found or ()), problems) == (labels, [])


def test_the_labels_are_those_that_the_shipper_sets() -> None:
    config = yaml.safe_load((ROOT / "promtail/promtail-config.yml").read_text())
    containers, files = config["scrape_configs"]
    targets = {rule["target_label"] for rule in containers["relabel_configs"]} - {"logs"}
    stages = [stage for job in (containers, files) for stage in job["pipeline_stages"]]
    (line,) = [
        stage["match"]["stages"]
        for stage in containers["pipeline_stages"]
        if "stages" in stage.get("match", {})
    ]
    stages += line
    set_by_stages = {name for stage in stages for name in stage.get("labels", {})} - {"status"}
    metadata = {name for stage in stages for name in stage.get("structured_metadata", {})} - {"status"}
    external = set(config["clients"][0]["external_labels"])
    assert targets | set_by_stages | external == logql.STREAM_LABELS
    assert metadata == logql.METADATA
