"""The log pipeline, run over sample lines, and what surrounds it."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

import pytest
import re2  # type: ignore[import-untyped]  # ships none
import yaml
from tests.stack import gotime
from tests.stack.pipeline import READ_AT, Entry, Pipeline

ROOT = Path(__file__).resolve().parents[2]
CONFIG = yaml.safe_load((ROOT / "promtail" / "promtail-config.yml").read_text())
CONTAINERS, FILES = CONFIG["scrape_configs"]
APPS = "/var/log/apps"
SAMPLES = [
    sample
    for path in sorted((ROOT / "promtail" / "samples").glob("*.yml"))
    for sample in yaml.safe_load(path.read_text())
]
SHANGHAI = timezone(timedelta(hours=8))
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
KNOWN_LEVELS = {"debug", "info", "warning", "error", "critical"}


def run(
    sample: dict[str, Any], *, local: tzinfo = UTC
) -> tuple[list[Entry], Counter[tuple[str, frozenset[tuple[str, str]]]]]:
    """Send a sample's lines through its pipeline; a line that is null stands for a while without any."""
    if "file" in sample:
        scrape, labels = FILES, {"filename": f"{APPS}/{sample['file']}"}
    else:
        scrape, labels = CONTAINERS, {"service": sample["service"]}
    pipeline = Pipeline(scrape["pipeline_stages"], local=local)
    given = (Entry(line or "", dict(labels), pause=line is None) for line in sample["lines"])
    return [entry for entry in pipeline.run(given) if not entry.pause], pipeline.counted


def lines(*texts: str, service: str = "shop") -> list[Entry]:
    return run({"service": service, "lines": texts})[0]


def moment(value: object) -> datetime | None:
    return READ_AT if value == "read" else datetime.fromisoformat(str(value)) if value else None


def discovered(container: str, *, labels: dict[str, str]) -> dict[str, str]:
    """What the relabelling makes of a container that Docker lists."""
    meta = {"__meta_docker_container_name": f"/{container}", "__meta_docker_container_log_stream": "stderr"}
    meta |= {f"__meta_docker_container_label_{name}": value for name, value in labels.items()}
    for rule in CONTAINERS["relabel_configs"]:
        # No `drop`: both programs run the rules over each line, and then take no notice of it.
        assert set(rule) - {"regex"} == {"source_labels", "target_label"}
        (source,) = rule["source_labels"]
        if match := re2.fullmatch(rule.get("regex", "(.*)"), meta.get(source, "")):
            meta[rule["target_label"]] = match[1]
    return {name: value for name, value in meta.items() if not name.startswith("__")}


def followed(path: str) -> bool:
    """Whether a file below the mounted folder is read."""
    labels = FILES["static_configs"][0]["labels"]
    wanted, unwanted = (glob(labels[name]) for name in ("__path__", "__path_exclude__"))
    return bool(wanted.fullmatch(f"{APPS}/{path}")) and not unwanted.fullmatch(f"{APPS}/{path}")


def glob(pattern: str) -> re.Pattern[str]:
    """A pattern of doublestar: `**/` is any number of folders."""
    parts = {"**/": "(?:[^/]+/)*", "*": "[^/]*"}
    pieces = re.split(r"(\*\*/|\*|\[[^\]]+\])", pattern)
    return re.compile(
        "".join(parts.get(piece, piece if piece[:1] == "[" else re.escape(piece)) for piece in pieces)
    )


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["about"])
def test_sample_lines_become_the_entries_they_must(sample: dict[str, Any]) -> None:
    entries, counted = run(sample)
    texts = [line for line in sample["lines"] if line is not None]
    service = sample.get("service")

    assert [
        {
            "line": entry.line,
            "labels": {
                name: value for name, value in entry.labels.items() if name != "service" or not service
            },
            "metadata": entry.metadata,
            "time": entry.time,
        }
        for entry in entries
    ] == [
        {
            "line": entry.get("line", text),
            "labels": entry["labels"],
            "metadata": entry.get("metadata", {}),
            "time": moment(entry.get("time")),
        }
        for entry, text in zip(sample["entries"], [*texts, *[None] * 99], strict=False)
    ]
    answers: Counter[tuple[str, str]] = Counter()
    for (name, labels), count in counted.items():
        answers[name, dict(labels)["status"]] += count
    assert answers == Counter(
        {(name, value): n for name, by in sample.get("counted", {}).items() for value, n in by.items()}
    )


# -- Labels --------------------------------------------------------------------------------------------------


def test_a_compose_container_has_the_name_of_its_service() -> None:
    labels = {"com_docker_compose_service": "redis", "com_docker_compose_project": "claw"}

    assert discovered("claw-redis-1", labels=labels) == {
        "container": "claw-redis-1",
        "service": "redis",
        "stream": "stderr",
    }


def test_a_container_outside_compose_is_its_own_service() -> None:
    assert discovered("shop", labels={})["service"] == "shop"


@pytest.mark.parametrize(("value", "shipped"), [("false", 0), ("true", 1), ("", 1)])
def test_a_container_can_keep_its_lines_to_itself(value: str, shipped: int) -> None:
    labels = discovered("shop", labels={"claw_logs": value})
    pipeline = Pipeline(CONTAINERS["pipeline_stages"])
    entries = list(pipeline.run([Entry("INFO secret", labels)]))

    assert len(entries) == shipped
    assert all("logs" not in entry.labels for entry in entries)


def test_no_other_label_can_come_out() -> None:
    made = {name for sample in SAMPLES for entry in run(sample)[0] for name in entry.labels}
    external = set(CONFIG["clients"][0]["external_labels"])

    assert made | set(discovered("x", labels={})) | external == {
        "host",
        "service",
        "container",
        "stream",
        "file",
        "level",
    }


def test_no_label_is_empty() -> None:
    assert [entry for sample in SAMPLES for entry in run(sample)[0] if not all(entry.labels.values())] == []


def test_ten_thousand_levels_make_five_streams() -> None:
    made = lines(*(json.dumps({"level": f"level {number}", "msg": "x"}) for number in range(10_000)))

    assert len(made) == 10_000
    assert {entry.labels.get("level") for entry in made} == {None}


@pytest.mark.parametrize(
    "value",
    [
        "<script>alert(1)</script>",
        'error",x="',
        "error\nerror",
        "ERROR ",
        "错误",
        "e" * 10_000,
        True,
        3.5,
        [],
    ],
)
def test_a_level_is_one_of_five_or_none(value: object) -> None:
    (entry,) = lines(json.dumps({"level": value}))

    assert entry.labels.get("level") in KNOWN_LEVELS | {None}


@pytest.mark.parametrize("value", ["x" * 100_000, "a b", "a\nb", "<script>", "编号", "", [], {"a": 1}, False])
@pytest.mark.parametrize("name", ["trace_id", "span_id", "request_id", "conversation_id", "session_id"])
def test_structured_metadata_is_never_so_long_that_loki_refuses_the_line(name: str, value: object) -> None:
    (entry,) = lines(json.dumps({"level": "info", name: value}))

    assert all(len(text) <= 128 and text.isascii() for text in entry.metadata.values())


# -- Long lines ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kilobytes", [17, 64, 250])
def test_a_long_json_line_is_read_as_any_other(kilobytes: int) -> None:
    line = json.dumps({"level": "error", "prompt": "长" * (kilobytes * 1024 // 6), "trace_id": TRACE})
    (entry,) = lines(line)

    assert len(line) >= kilobytes * 1000
    assert (entry.line, entry.labels["level"], entry.metadata) == (line, "error", {"trace_id": TRACE})


def test_a_line_without_end_costs_the_expressions_no_backtracking() -> None:
    (entry,) = lines("a" * 1_000_000)

    assert len(entry.line) == 1_000_000


# -- Secrets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("INFO Authorization: Bearer eyJhbGciOi.eyJzdWI.sig-nature", "INFO Authorization: Bearer ***"),
        ("INFO key sk-proj-abcdefghijklmnop0123 used", "INFO key *** used"),
        ("INFO to redis://:hunter2@redis:6379/0", "INFO to redis://:***@redis:6379/0"),
        ("INFO to postgresql://claw:hunter2@postgres/claw", "INFO to postgresql://claw:***@postgres/claw"),
        ('{"level":"info","api_key":"hunter2","n":1}', '{"level":"info","api_key":"***","n":1}'),
        (r'{"msg":"{\"password\": \"hunter2\"}"}', r'{"msg":"{\"password\": \"***\"}"}'),
        ("INFO GET /login?password=hunter2&next=/", "INFO GET /login?password=***&next=/"),
    ],
)
def test_a_secret_that_slipped_into_a_line_does_not_leave_the_machine(line: str, left: str) -> None:
    (entry,) = lines(line)

    assert entry.line == left


@pytest.mark.parametrize(
    "line",
    [
        '{"usage":{"input_tokens":4096,"output_tokens":512},"max_tokens":2048}',
        '{"password":null,"secret":{"a":1}}',
        "INFO bearer of bad news",
        "INFO http://shop:8010/users/7?at=12:30@x",
        "INFO task-scheduler-of-the-day ran",
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    (entry,) = lines(line)

    assert entry.line == line


# -- Files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("app.log", True),
        ("claw-ai-backend/app.log", True),
        ("claw-ai-backend/celery/worker-1.log", True),
        ("app-2026-11-20.log", True),
        ("app.log.1", False),
        ("app.log.2026-11-20", False),
        ("app.log.2.gz", False),
        ("app-20261120.log.gz", False),
        ("app.2026-11-20_00-00-00_123456.log", False),
        ("README.md", False),
    ],
)
def test_only_what_is_being_written_is_read(path: str, read: bool) -> None:  # noqa: FBT001  # a parameter of the test
    assert followed(path) is read


@pytest.mark.parametrize(
    ("path", "service", "file"),
    [
        ("app.log", "app", "app"),
        ("app-2026-11-20.log", "app", "app-*-*-*"),
        ("app_20261120.log", "app", "app_*"),
        ("shop-2/app.log", "shop-2", "app"),
        ("claw-ai-backend/celery/worker-1.log", "claw-ai-backend", "worker-*"),
        ("shop/session-0f8fad5b-d9cb-469f-a165-70867728950e.log", "shop", "session-*"),
        ("shop/run-4bf92f3577b34da6a3ce929d0e0e4736.log", "shop", "run-*"),
    ],
)
def test_a_file_has_the_service_of_its_folder_and_no_stream_of_its_own_day(
    path: str, service: str, file: str
) -> None:
    ((entry,), _) = run({"file": path, "lines": ["INFO x"]})

    assert entry.labels == {"service": service, "file": file, "level": "info"}


def test_a_time_without_a_zone_is_that_of_the_setting() -> None:
    ((entry,), _) = run({"file": "app.log", "lines": ["2026-11-20 12:00:00,123 INFO x"]}, local=SHANGHAI)

    assert entry.time == datetime(2026, 11, 20, 4, 0, 0, 123_000, tzinfo=UTC)


def test_a_time_with_a_zone_is_not_that_of_the_setting() -> None:
    ((entry,), _) = run({"file": "app.log", "lines": ['{"time":"2026-11-20T12:00:00Z"}']}, local=SHANGHAI)

    assert entry.time == datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_both_shippers_read_the_files_and_know_their_zone(compose: dict[str, Any]) -> None:
    for name in ("promtail", "alloy"):
        mounts = {volume["target"]: volume for volume in compose["services"][name]["volumes"]}

        assert mounts[APPS]["read_only"] is True
        assert Path(mounts[APPS]["source"]) == ROOT / "promtail" / "logs"
        assert compose["services"][name]["environment"]["TZ"] == "UTC"


# -- Layouts of Go -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "text", "expected"),
    [
        ("2006-01-02T15:04:05Z07:00", "2026-11-20T12:00:00.123456789Z", "2026-11-20T12:00:00.123456+00:00"),
        ("2006-01-02T15:04:05Z07:00", "2026-11-20T12:00:00,5+08:00", "2026-11-20T12:00:00.500000+08:00"),
        ("2006-01-02 15:04:05 -0700", "2026-11-20 12:00:00 -0130", "2026-11-20T12:00:00-01:30"),
        ("02/Jan/2006:15:04:05 -0700", "20/Nov/2026:12:00:00 +0000", "2026-11-20T12:00:00+00:00"),
        ("Unix", "1795176000.25", "2026-11-20T12:00:00.250000+00:00"),
        ("UnixMs", "1795176000250", "2026-11-20T12:00:00.250000+00:00"),
    ],
)
def test_a_layout_means_what_go_says(layout: str, text: str, expected: str) -> None:
    assert gotime.parse(layout, text) == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("2006-01-02 15:04:05", "2026-11-20 12:00:00Z"),
        ("2006-01-02 15:04:05", "2026-13-20 12:00:00"),
        ("2006-01-02T15:04:05Z0700", "2026-11-20T12:00:00+08:00"),
        ("UnixMs", "1795176000.250"),
    ],
)
def test_a_text_that_does_not_follow_its_layout_is_refused(layout: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"does not follow|is no number|must be in"):
        gotime.parse(layout, text)


def test_a_layout_that_is_not_covered_is_an_error() -> None:
    with pytest.raises(NotImplementedError):
        gotime.parse("Monday, 02-Jan-06", "Friday, 20-Nov-26")


# -- What surrounds the pipeline -----------------------------------------------------------------------------


def test_docker_is_asked_through_the_proxy_only() -> None:
    assert [entry["host"] for entry in CONTAINERS["docker_sd_configs"]] == ["tcp://docker-proxy:2375"]


def test_positions_are_kept_on_a_volume(compose: dict[str, Any]) -> None:
    folder = str(Path(CONFIG["positions"]["filename"]).parent)
    mounts = {volume["target"]: volume for volume in compose["services"]["promtail"]["volumes"]}

    assert (mounts[folder]["type"], mounts[folder]["source"]) == ("volume", "promtail-data")


def test_alloy_goes_on_in_the_files_where_promtail_stopped(compose: dict[str, Any]) -> None:
    folder = str(Path(CONFIG["positions"]["filename"]).parent)
    mounts = {volume["target"]: volume for volume in compose["services"]["alloy"]["volumes"]}

    assert (mounts[folder]["source"], mounts[folder]["read_only"]) == ("promtail-data", True)


def test_the_shipper_waits_for_loki_longer_than_an_upgrade_takes() -> None:
    backoff = CONFIG["clients"][0]["backoff_config"]

    assert (backoff["max_period"], backoff["max_retries"]) == ("1m", 24 * 60)


def test_no_two_pipelines_have_a_metric_of_one_name() -> None:
    # Promtail registers them in one place and stops at the second.
    names = [name for scrape in CONFIG["scrape_configs"] for name in metric_names(scrape["pipeline_stages"])]

    assert sorted(names) == sorted(set(names)) == ["nginx_file_responses_total", "nginx_responses_total"]


def metric_names(stages: list[dict[str, Any]]) -> list[str]:
    inner = [
        name
        for stage in stages
        if "match" in stage
        for name in metric_names(stage["match"].get("stages", []))
    ]
    return inner + [name for stage in stages for name in stage.get("metrics", ())]


def test_files_and_containers_share_every_stage_that_reads_a_line() -> None:
    shared = [
        [
            stage["match"]["stages"]
            for stage in scrape["pipeline_stages"]
            if "stages" in stage.get("match", {})
        ]
        for scrape in (CONTAINERS, FILES)
    ]

    assert shared[0][0] is shared[1][0]


def test_alloy_can_run_the_same_file(services: dict[str, Any]) -> None:
    # What its converter refuses or passes over: see docs/MONITORING_DEPLOYMENT.md.
    assert set(CONFIG) == {"server", "positions", "clients", "scrape_configs"}
    assert set(CONFIG["server"]) == {"http_listen_port", "grpc_listen_port"}
    assert set(CONTAINERS) == {"job_name", "docker_sd_configs", "relabel_configs", "pipeline_stages"}
    assert set(FILES) == {"job_name", "static_configs", "pipeline_stages"}
    settings = [
        text
        for text in (ROOT / "promtail" / "promtail-config.yml").read_text().splitlines()
        if "#" not in text
    ]
    assert not any("${" in text for text in settings)
    assert not any("extra-args" in part for part in services["alloy"]["command"])
