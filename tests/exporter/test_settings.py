"""exporter.yml: what it may say, what is refused, and that the documentation says the same."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from claw_exporter import spec
from claw_exporter.catalog import CATALOG
from claw_exporter.settings import (
    ENVIRONMENT,
    QueryMetric,
    Queue,
    Secret,
    Settings,
    SettingsError,
    every_key,
    load,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "exporter/exporter.yml"
DOCUMENT = ROOT / "docs/EXPORTER.md"

MISTAKEN = """\
listen:
  host: 127.0.0.1
  prot: 9810

postgres:
  - name: chat
    dsn: postgresql://claw_exporter@postgres:5432/claw

queries:
  - name: conversations
    interval_seconds: 30
    sql: SELECT model, count(*) AS conversations FROM conversations GROUP BY model
    # a slip of the pen
    database: caht
    metrics:
      - {name: claw_ai_business_conversations, help: Conversations., value: conversations, labels: [model]}
"""
POSTGRES = "postgres: [{name: db, dsn: 'postgresql://u:hunter2@h/d'}]\n"


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Settings]:
    def read(text: str, **environment: str) -> Settings:
        path = tmp_path / "exporter.yml"
        path.write_text(text)
        return load(path, environment)

    return read


@pytest.fixture
def refused(read: Callable[..., Settings]) -> Callable[..., str]:
    """Gives the one message of a file with one mistake, without the file's name."""

    def refused(text: str, **environment: str) -> str:
        with pytest.raises(SettingsError) as raised:
            read(text, **environment)
        (mistake,) = raised.value.mistakes
        return mistake.describe("exporter.yml")

    return refused


def query(metric: str) -> str:
    """A file with one query of one metric."""
    head = f"{POSTGRES}queries:\n  - name: q\n    database: db\n    sql: SELECT 1\n"
    return f"{head}    metrics:\n      - {metric}\n"


def test_the_shipped_file_has_no_mistakes_and_needs_no_environment() -> None:
    settings = load(EXAMPLE, {})
    assert settings.listen.port == 9810
    assert [target.name for target in settings.postgres] == ["chat"]
    assert not settings.host.enabled


def test_the_shipped_file_takes_its_targets_from_the_environment() -> None:
    settings = load(
        EXAMPLE,
        {
            "CLAW_EXPORTER_POSTGRES_DSN": "postgresql://h/x",
            "CLAW_EXPORTER_REDIS_URL": "redis://r/1",
            "CLAW_EXPORTER_HOST_COLLECTOR": "true",
        },
    )
    assert settings.postgres[0].dsn.value == "postgresql://h/x"
    assert settings.redis[0].url.value == "redis://r/1"
    assert settings.host.enabled


def test_the_shipped_file_shows_every_setting() -> None:
    text = EXAMPLE.read_text()
    missing = [path for path, _ in every_key() if not re.search(rf"\b{path.rpartition('.')[2]}:", text)]
    assert missing == []


def test_the_document_describes_every_setting_and_nothing_else() -> None:
    described = re.findall(r"^\| `([a-z_.\[\]]+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    assert described == [path for path, _ in every_key()]


def test_the_document_gives_every_default() -> None:
    rows = dict(re.findall(r"^\| `([a-z_.\[\]]+)` \| (.*?) \|", DOCUMENT.read_text(), re.MULTILINE))
    assert rows == {path: written(default) for path, default in every_key()}


def test_the_document_names_every_environment_variable() -> None:
    text = DOCUMENT.read_text()
    assert [name for name in ENVIRONMENT if f"`{name}`" not in text] == []


def test_the_document_names_every_metric_of_the_process() -> None:
    text = DOCUMENT.read_text()
    assert [
        metric.name for metric in CATALOG if metric.home == "process" and f"`{metric.name}`" not in text
    ] == []


def test_the_query_that_the_document_shows_works(read: Callable[..., Settings]) -> None:
    (block,) = re.findall(r"^   ```yaml\n(.*?)^   ```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    settings = read("postgres: [{name: chat, dsn: 'postgresql://h/d'}]\n" + textwrap.dedent(block))
    assert settings.queries[0].metrics[0].labels == ("model",)


def test_the_mistakes_that_the_document_shows_are_what_is_said(tmp_path: Path) -> None:
    (tmp_path / "exporter.yml").write_text(MISTAKEN)
    with pytest.raises(SettingsError) as raised:
        load(tmp_path / "exporter.yml", {})
    said = "\n".join(mistake.describe("exporter.yml") for mistake in raised.value.mistakes)
    assert f"\nclaw-exporter: exporter.yml has 2 mistakes:\n{said}\n```\n" in DOCUMENT.read_text()


def test_what_the_shipped_file_shows_in_comments_has_no_mistakes(
    read: Callable[..., Settings], tmp_path: Path
) -> None:
    text = EXAMPLE.read_text()
    auth, queues, canaries = (
        re.search(pattern, text, re.MULTILINE)
        for pattern in (
            r"(?:^# auth:\n)(?:^#   .*\n)+",
            r"(?:^    # queues:\n)(?:^    #   .*\n)+",
            r"(?:^# canaries:\n)(?:^#   .*\n)+",
        )
    )
    assert auth
    assert queues
    assert canaries
    shown = re.sub(r"^ *# ", "", auth[0] + canaries[0], flags=re.MULTILINE)
    queues_shown = re.sub(r"^    # ", "      ", queues[0], flags=re.MULTILINE)
    for name in ("exporter_password", "exporter_token", "openai_key"):
        (tmp_path / name).write_text("s3cret")
    settings = read(
        shown.replace("/run/secrets", str(tmp_path))
        + "redis:\n  - name: cache\n    url: redis://h\n"
        + textwrap.indent(textwrap.dedent(queues_shown), "    ")
    )
    assert settings.auth is not None
    assert [(queue.name, queue.timestamp_field) for queue in settings.redis[0].queues] == [
        ("celery", ""),
        ("unacked", ""),
        ("jobs", "at"),
        ("letters", ""),
    ]
    assert settings.redis[0].queues[3].priority_separator == ":"
    (canary,) = settings.canaries
    assert (canary.interval_seconds, canary.max_tokens) == (300, 1)


def test_the_canaries_that_the_document_shows_have_no_mistakes(
    read: Callable[..., Settings], tmp_path: Path
) -> None:
    (block,) = re.findall(r"^```yaml\n(canaries:.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    for name in ("openai_key", "anthropic_key"):
        (tmp_path / name).write_text("s3cret")
    settings = read(block.replace("/run/secrets", str(tmp_path)))
    assert [canary.api for canary in settings.canaries] == ["openai", "anthropic"]
    assert {"s3cret"} <= set(settings.secrets())


def written(default: object) -> str:
    """A default, as the document's table writes it."""
    match default:
        case dataclasses.MISSING:
            return "required"
        case None | () | "":
            return "none"
        case bool():
            return f"`{str(default).lower()}`"
        case tuple():
            return f"`[{', '.join(map(str, default))}]`"
        case float():
            return f"`{default:g}`"
        case _:
            return f"`{default}`"


def test_an_empty_file_is_all_defaults(read: Callable[..., Settings]) -> None:
    assert read("") == Settings()


def test_the_environment_comes_before_the_file(read: Callable[..., Settings]) -> None:
    settings = read("listen: {host: a, port: 1}", CLAW_EXPORTER_HOST="b", CLAW_EXPORTER_PORT="2")
    assert (settings.listen.host, settings.listen.port) == ("b", 2)


def test_a_wrong_port_in_the_environment_is_named(refused: Callable[..., str]) -> None:
    assert refused("", CLAW_EXPORTER_PORT="many") == (
        "exporter.yml: CLAW_EXPORTER_PORT 'many' is not a whole number; example 0"
    )


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing\.yml: cannot be read .*; name another with --config"):
        load(tmp_path / "missing.yml", {})


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "exporter.yml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "exporter.yml", {})


def test_secrets_come_from_files_without_the_end_of_the_line(
    read: Callable[..., Settings], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    settings = read(f"auth: {{token_file: {tmp_path / 'secret'}}}")
    assert settings.auth is not None
    assert settings.auth.token_file == Secret("s3cret")


def test_a_secret_is_fresh_from_its_file_as_long_as_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    secret = Secret("old", path)
    path.write_text("new\n")
    assert secret.fresh() == "new"
    path.write_text("\n")
    assert secret.fresh() == "old"
    path.write_bytes(b"\xff")
    assert secret.fresh() == "old"
    path.unlink()
    assert secret.fresh() == "old"
    assert Secret("text").fresh() == "text"


def test_an_empty_secret_file_is_a_mistake(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")
    assert "is an empty file; write the secret into it" in refused(
        f"auth: {{token_file: {tmp_path / 'secret'}}}"
    )


def test_a_secret_file_that_is_not_there_is_a_mistake(refused: Callable[..., str]) -> None:
    assert "auth.token_file '/nowhere' cannot be read" in refused("auth: {token_file: /nowhere}")


def test_a_secret_file_must_be_one_value(refused: Callable[..., str]) -> None:
    assert "one value belongs here" in refused("auth: {token_file: [a]}")


def test_basic_auth_needs_both_halves(refused: Callable[..., str]) -> None:
    assert "basic auth needs both" in refused("auth: {username: me}")


def test_auth_that_says_nothing_is_a_mistake(refused: Callable[..., str]) -> None:
    assert "auth says nothing; give username and password_file, or token_file" in refused("auth: {}")


def test_a_deadline_above_the_interval_is_a_mistake(refused: Callable[..., str]) -> None:
    assert "has timeout_seconds 20 above interval_seconds 10" in refused(
        "host: {interval_seconds: 10, timeout_seconds: 20}"
    )


@pytest.mark.parametrize(
    "section",
    [
        "postgres: [{name: a, dsn: 'mysql://u:hunter2@h/d'}]",
        "postgres: [{name: a, dsn: 'postgresql://u:hunter2@h:70000/d'}]",
        "redis: [{name: a, url: 'http://u:hunter2@h'}]",
        "redis: [{name: a, url: 'redis://:hunter2@h:x/0'}]",
    ],
)
def test_a_wrong_address_is_refused_without_showing_its_password(
    refused: Callable[..., str], section: str
) -> None:
    assert "hunter2" not in refused(section)


def test_an_address_with_several_hosts_is_fine(read: Callable[..., Settings]) -> None:
    assert read("postgres: [{name: a, dsn: 'postgresql://a:1,b:2/d'}]").postgres


def test_a_query_must_name_a_database(refused: Callable[..., str]) -> None:
    text = query("{name: a, help: ab, value: n}").replace("database: db", "database: dbs")
    assert refused(text) == "exporter.yml:4: queries[0].database 'dbs' names no database; did you mean 'db'?"


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("{name: a-b, help: ab, value: n}", "metrics[0].name 'a-b' does not fit; a metric name of a-z"),
        ("{name: process_x, help: ab, value: n}", "begins like the exporter's metrics about itself"),
        ("{name: claw_ai_conversations, help: ab, value: n}", "is a metric of the catalogue"),
        ("{name: claw_ai_http_response_size_bytes_sum, help: ab, value: n}", "is a metric of the catalogue"),
        ("{name: a, help: ab, value: n, type: histogram}", "'histogram' is none of: gauge, counter"),
        ("{name: a, help: ab, value: n, type: counter}", "a counter's name ends with _total"),
        ("{name: a_total, help: ab, value: n}", "a gauge's name does not end with _total"),
        ("{name: a, help: ab, value: n, unit: seconds}", "a name tells its unit: ..._seconds"),
        ("{name: a, help: ab, value: n, unit: ms}", "'ms' is none of: (nothing), seconds, bytes, ratio, usd"),
        ("{name: a, help: ab, value: n, labels: [job]}", "is a label that every target has already"),
        ("{name: a, help: ab, value: n, labels: [__a]}", "begins with __"),
        ("{name: a, help: ab, value: n, labels: [a b]}", "a column whose name is letters, digits and _"),
        ("{name: a, help: ab, value: n, labels: [b, b]}", "uses the column 'b' twice"),
        ("{name: a, help: ab, value: n, labels: [n]}", "uses the column 'n' twice"),
        ('{name: a, help: "a\\nb", value: n}', "one line of at most 300 characters belongs here"),
        ("{name: a, help: ab}", "metrics[0] lacks 'value'; add it"),
    ],
)
def test_a_wrong_metric_is_refused(refused: Callable[..., str], metric: str, expected: str) -> None:
    assert expected in refused(query(metric))


def canary(more: str = "") -> str:
    return f"  - {{provider: lab, model: m, url: 'http://h/v1/chat/completions'{more}}}\n"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            ", interval_seconds: 5",
            "canaries[0].interval_seconds '5' is out of range; a number of seconds from 60",
        ),
        (", timeout_seconds: 400", "has timeout_seconds 400 above interval_seconds 300"),
        (", max_tokens: 0", "canaries[0].max_tokens '0' is out of range"),
        (", max_tokens: 1.5", "canaries[0].max_tokens '1.5' is not a whole number"),
        (", max_tokens_parameter: tokens", "'tokens' is none of: max_tokens, max_completion_tokens"),
        (", api: cohere", "canaries[0].api 'cohere' is none of: openai, anthropic"),
        (", key_file: /nowhere", "canaries[0].key_file '/nowhere' cannot be read"),
        (", key: sk-hunter2", "canaries[0] 'key' is no setting"),
    ],
)
def test_a_wrong_canary_is_refused(refused: Callable[..., str], more: str, expected: str) -> None:
    said = refused(f"canaries:\n{canary(more)}")
    assert expected in said
    assert "hunter2" not in said


def test_a_canary_that_stands_twice_is_refused(refused: Callable[..., str]) -> None:
    assert refused(f"canaries:\n{canary()}{canary(', api: anthropic')}") == (
        "exporter.yml:3: canaries[1] is the same canary as in line 2; give each its own"
    )


@pytest.mark.parametrize("url", ["api.openai.com/v1", "ftp://h/v1", "https://h", "https://u:hunter2@h:x/v1"])
def test_a_wrong_address_of_a_canary_is_refused(refused: Callable[..., str], url: str) -> None:
    said = refused(f"canaries: [{{provider: a, model: m, url: '{url}'}}]")
    assert "canaries[0].url" in said
    assert "hunter2" not in said


def test_a_queue_may_be_its_name_alone_or_say_more(read: Callable[..., Settings]) -> None:
    settings = read(
        "redis: [{name: r, url: 'redis://h', queues: [mail, {name: jobs, timestamp_field: meta.at}]}]"
    )
    assert settings.redis[0].queues == (Queue(name="mail"), Queue(name="jobs", timestamp_field="meta.at"))


@pytest.mark.parametrize(
    ("queue", "expected"),
    [
        (
            "[a]",
            "redis[0].queues[0] is a list (lines that begin with -); a mapping (key: value) belongs here",
        ),
        ("''", "redis[0].queues[0] '' does not fit; the key of a list, stream"),
        ("{nmae: a, name: a}", "'nmae' is no setting; did you mean 'name'?"),
        ("{timestamp_field: at}", "redis[0].queues[0] lacks 'name'; add it"),
    ],
)
def test_a_wrong_queue_is_refused(refused: Callable[..., str], queue: str, expected: str) -> None:
    assert expected in refused(f"redis: [{{name: r, url: 'redis://h', queues: [{queue}]}}]")


def test_two_metrics_of_the_same_family_are_refused(refused: Callable[..., str]) -> None:
    text = query("{name: a, help: ab, value: n}") + (
        "      - {name: a_total, help: ab, value: n, type: counter}\n"
    )
    assert refused(text) == (
        "exporter.yml:8: queries[0].metrics[1].name 'a_total' is the same metric as in line 7; "
        "give each its own"
    )


@pytest.mark.parametrize(
    ("kind", "name", "unit", "built"),
    [("gauge", "a_bytes", "bytes", spec.Gauge), ("counter", "a_seconds_total", "seconds", spec.Counter)],
)
def test_a_metric_is_described_as_the_catalogue_describes_its_own(
    kind: str, name: str, unit: str, built: type[spec.Metric]
) -> None:
    metric = QueryMetric(name=name, help="h", type=kind, unit=unit, value="n", labels=("b",)).spec()
    assert metric == built(name=name, help="h", unit=unit, labels=("b",), home="process")  # type: ignore[arg-type]


def test_all_secrets_can_be_listed_for_the_log(read: Callable[..., Settings], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    settings = read(
        f"{POSTGRES}redis: [{{name: r, url: 'redis://h', password_file: {tmp_path / 'secret'}}}]\n"
        f"auth: {{token_file: {tmp_path / 'secret'}}}"
    )
    assert {"hunter2", "s3cret", "postgresql://u:hunter2@h/d"} <= set(settings.secrets())


def test_no_repr_shows_a_secret(read: Callable[..., Settings]) -> None:
    settings = read(POSTGRES)
    assert "hunter2" not in repr(settings)
    assert str(settings.postgres[0].dsn) == "***"
