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
from claw_exporter.settings import ENVIRONMENT, QueryMetric, Secret, Settings, SettingsError, every_key, load

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
