"""What ``exporter.yml`` may say: one frozen dataclass per section, each field with the reader that checks it.

`load` reads a file and reports every mistake at once. docs/EXPORTER.md describes each key; a test holds the
two in agreement.
"""
# ruff: noqa: RUF009 - key() makes a dataclass field, as dataclasses.field() does

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args
from urllib.parse import urlsplit

import yaml

from claw_exporter import spec
from claw_exporter.catalog import CATALOG
from claw_exporter.document import Choice, Document, ListOf, Mistake, Number, Table, Text, Value, boolean, key
from claw_exporter.errors import ClawError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENVIRONMENT: Final = {"CLAW_EXPORTER_HOST": "host", "CLAW_EXPORTER_PORT": "port"}
"""Environment variables that come before the file: name -> key of `Listen`."""

_INTERVAL: Final = Number(1, 86_400, unit="seconds")
_TIMEOUT: Final = Number(0.1, 3_600, unit="seconds")
# Prometheus and the target files set these; a scraped label of the same name would be renamed.
_TARGET_LABELS: Final = ("host", "instance", "job")
_RESERVED_PREFIXES: Final = ("process_", "python_")


class SettingsError(ClawError):
    """``exporter.yml``, or the environment, is wrong.

    Attributes:
        source: Path of the file.
        mistakes: All of them, in the order of the file.
    """

    def __init__(self, source: Path, mistakes: list[Mistake]) -> None:
        self.source = source
        self.mistakes = sorted(set(mistakes))
        super().__init__("\n".join(mistake.describe(str(source)) for mistake in self.mistakes))


@dataclass(frozen=True, slots=True)
class Secret:
    """Text that no log, message or repr shows.

    Attributes:
        value: The text.
        path: The file that it was read from, if it was.
    """

    value: str = field(repr=False)
    path: Path | None = field(default=None, compare=False)

    def fresh(self) -> str:
        """Give what the file holds now; what it held before where it cannot be read."""
        try:
            return (self.path and _content_of(self.path)) or self.value
        except (OSError, UnicodeDecodeError):
            return self.value

    def __str__(self) -> str:
        """Give a mask."""
        return "***"


# -- Readers of this file's own kinds of value ---------------------------------------------------------------
def _target(kind: str) -> Text:
    return Text(
        pattern=r"[a-z][a-z0-9_-]{0,62}",
        expected="a name of a-z, 0-9, _ and - that begins with a letter",
        declares=kind,
    )


def _secret_url(value: Value, reader: Text) -> Secret | None:
    text = reader(value)
    return None if text is None else Secret(text)


def _provider_url(value: Value) -> Secret | None:
    return _secret_url(value, _PROVIDER_URL)


def _postgres_dsn(value: Value) -> Secret | None:
    return _secret_url(value, _DSN)


def _redis_url(value: Value) -> Secret | None:
    return _secret_url(value, _REDIS_URL)


def _secret_file(value: Value) -> Secret | None:
    """Read the path of a file, and from the file the secret, without the end of the line."""
    path = Text(expected="the path of a file")(value)
    if path is None:
        return None
    try:
        content = _content_of(Path(path))
    except (OSError, UnicodeDecodeError) as error:
        value.refuse(f"cannot be read ({error}); write the secret into it and let this user read it")
        return None
    if not content:
        value.refuse("is an empty file; write the secret into it")
        return None
    return Secret(content, Path(path))


def _content_of(secret_file: Path) -> str:
    return secret_file.read_text(encoding="utf-8").strip("\r\n")


def _port_complaint(url: str) -> str | None:
    parts = urlsplit(url)
    try:
        several_hosts = "," in parts.netloc
        _ = several_hosts or parts.port
    except ValueError:
        return "has a port that is no number from 0 to 65535"
    return None


def _metric_name(value: Value) -> str | None:
    name = _METRIC(value)
    if name is not None:
        # OpenMetrics names the family of a counter without _total, so x and x_total are the same metric.
        value.document.declare("metric", name.removesuffix("_total"), value)
    return name


def _metric_complaint(name: str) -> str | None:
    if name.startswith(_RESERVED_PREFIXES):
        return f"begins like the exporter's metrics about itself ({', '.join(_RESERVED_PREFIXES)}); rename it"
    if name.removesuffix("_total") in _TAKEN:
        return "is a metric of the catalogue (docs/MONITORING_METRICS.md); rename it"
    return None


def _label_complaint(name: str) -> str | None:
    if name.startswith("__"):
        return "begins with __, which Prometheus keeps for itself; rename the column with AS"
    if name in _TARGET_LABELS:
        return "is a label that every target has already; rename the column with AS"
    return None


def _taken_names() -> frozenset[str]:
    histograms = [metric.name for metric in CATALOG if isinstance(metric, spec.Histogram)]
    series = {f"{name}{suffix}" for name in histograms for suffix in ("_bucket", "_count", "_sum")}
    return frozenset(series | {metric.name.removesuffix("_total") for metric in CATALOG})


_TAKEN: Final = _taken_names()
_NAME: Final = r"[a-zA-Z_][a-zA-Z0-9_]*"
_METRIC: Final = Text(
    pattern=_NAME,
    expected="a metric name of a-z, 0-9 and _, such as claw_ai_business_orders,",
    rules=(_metric_complaint,),
)
_LABEL: Final = Text(
    pattern=_NAME,
    expected="a column whose name is letters, digits and _ (rename it with AS)",
    rules=(_label_complaint,),
)
_DSN: Final = Text(
    pattern=r"postgres(ql)?://\S+",
    expected="an address such as postgresql://user@host:5432/database",
    rules=(_port_complaint,),
    secret=True,
)
_REDIS_URL: Final = Text(
    pattern=r"(rediss?|unix)://\S+",
    expected="an address such as redis://localhost:6379/0",
    rules=(_port_complaint,),
    secret=True,
)

_PROVIDER_URL: Final = Text(
    pattern=r"https?://[^/\s]+/\S+",
    expected="the whole address that requests go to, such as https://api.openai.com/v1/chat/completions,",
    rules=(_port_complaint,),
    secret=True,
)
_LABEL_TEXT: Final = Text(pattern=r"\S{1,128}", expected="a name without spaces of at most 128 characters")


# -- Rules that join several keys ----------------------------------------------------------------------------
def _deadline_complaint(probe: Host | Postgres | Redis | Query | Canary) -> str | None:
    if probe.timeout_seconds <= probe.interval_seconds:
        return None
    return (
        f"has timeout_seconds {probe.timeout_seconds:g} above interval_seconds {probe.interval_seconds:g}; "
        "a run must be able to end before the next is due"
    )


def _auth_complaint(auth: Auth) -> str | None:
    if (auth.username is None) != (auth.password_file is None):
        return "has one of username and password_file; basic auth needs both"
    if auth.username is None and auth.token_file is None:
        return "says nothing; give username and password_file, or token_file, or leave auth out"
    return None


def _total_complaint(metric: QueryMetric) -> str | None:
    if (metric.type == "counter") == metric.name.endswith("_total"):
        return None
    wanted = "ends" if metric.type == "counter" else "does not end"
    return f"is a {metric.type} named {metric.name!r}; a {metric.type}'s name {wanted} with _total"


def _unit_complaint(metric: QueryMetric) -> str | None:
    if metric.name.removesuffix("_total").endswith(metric.unit and f"_{metric.unit}"):
        return None
    return f"has unit {metric.unit!r} and the name {metric.name!r}; a name tells its unit: ..._{metric.unit}"


def _column_complaint(metric: QueryMetric) -> str | None:
    columns = (metric.value, *metric.labels)
    twice = [column for column in columns if columns.count(column) > 1]
    return f"uses the column {twice[0]!r} twice; each is the value or one label" if twice else None


# -- The sections --------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where the exporter answers HTTP."""

    host: str = key(Text(expected="an address to listen on"), "127.0.0.1")
    port: int = key(Number(0, 65_535, whole=True), 9810)


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """Who may read ``/metrics``: basic auth, a bearer token, or either of both."""

    username: str | None = key(Text(pattern=r"[^:]+", expected="a user name without a colon"), None)
    password_file: Secret | None = key(_secret_file, None)
    token_file: Secret | None = key(_secret_file, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """CPU, memory, disks and network of the machine."""

    enabled: bool = key(boolean, False)  # noqa: FBT003 - a default, not an argument
    interval_seconds: float = key(_INTERVAL, 15.0)
    timeout_seconds: float = key(_TIMEOUT, 5.0)
    mountpoints: tuple[str, ...] = key(ListOf(Text(pattern="/.*", expected="an absolute path")), ("/",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """A Postgres database: watched itself, and asked by queries."""

    name: str = key(_target("database"))
    dsn: Secret = key(_postgres_dsn)
    password_file: Secret | None = key(_secret_file, None)
    interval_seconds: float = key(_INTERVAL, 15.0)
    timeout_seconds: float = key(_TIMEOUT, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A key of Redis that entries wait in."""

    name: str = key(Text(expected="the key of a list, stream, hash, set or sorted set"))
    timestamp_field: str = key(Text(expected="a field of an entry such as enqueued_at"), "")
    priority_separator: str = key(Text(pattern=r"(?s).+", expected="what kombu calls sep"), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Redis:
    """A Redis server, with the queues and keys to count."""

    name: str = key(_target("redis server"))
    url: Secret = key(_redis_url)
    password_file: Secret | None = key(_secret_file, None)
    interval_seconds: float = key(_INTERVAL, 15.0)
    timeout_seconds: float = key(_TIMEOUT, 5.0)
    queues: tuple[Queue, ...] = key(ListOf(Table(Queue, short="name")), ())
    key_patterns: tuple[str, ...] = key(ListOf(Text(expected="a pattern such as session:*")), ())
    max_scanned_keys: int = key(Number(1, 100_000_000, whole=True, unit="keys"), 100_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryMetric:
    """One metric out of the rows of a query."""

    name: str = key(_metric_name)
    help: str = key(Text(pattern=r"\S.{0,298}\S", expected="one line of at most 300 characters"))
    type: str = key(Choice(("gauge", "counter")), "gauge")
    unit: str = key(Choice(get_args(spec.Unit)), "")
    value: str = key(Text(pattern=r"[^\"\s]{1,63}", expected="a column of the query"))
    labels: tuple[str, ...] = key(ListOf(_LABEL), ())

    def spec(self) -> spec.Metric:
        """Describe the metric as the catalogue describes its own."""
        build = spec.Counter if self.type == "counter" else spec.Gauge
        unit: spec.Unit = next(unit for unit in get_args(spec.Unit) if unit == self.unit)
        return build(name=self.name, help=self.help, unit=unit, labels=self.labels, home="process")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question in SQL, asked at an interval."""

    name: str = key(_target("query"))
    database: str = key(Text(refers="database"))
    interval_seconds: float = key(_INTERVAL, 60.0)
    timeout_seconds: float = key(_TIMEOUT, 5.0)
    max_rows: int = key(Number(1, 10_000, whole=True, unit="rows"), 100)
    sql: str = key(Text(expected="a SELECT"))
    metrics: tuple[QueryMetric, ...] = key(
        ListOf(Table(QueryMetric, (_total_complaint, _unit_complaint, _column_complaint)), at_least=1)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A small request to an AI provider, made at an interval."""

    provider: str = key(_LABEL_TEXT)
    model: str = key(_LABEL_TEXT)
    api: str = key(Choice(("openai", "anthropic")), "openai")
    url: Secret = key(_provider_url)
    key_file: Secret | None = key(_secret_file, None)
    # Each run is a request that costs money.
    interval_seconds: float = key(Number(60, 86_400, unit="seconds"), 300.0)
    timeout_seconds: float = key(_TIMEOUT, 30.0)
    max_tokens: int = key(Number(1, 64, whole=True, unit="tokens"), 1)
    max_tokens_parameter: str = key(Choice(("max_tokens", "max_completion_tokens")), "max_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole of ``exporter.yml``."""

    listen: Listen = key(Table(Listen), Listen())
    auth: Auth | None = key(Table(Auth, (_auth_complaint,)), None)
    log_level: str = key(Choice(("debug", "info", "warning", "error")), "info")
    stale_after_seconds: float = key(Number(0, 86_400, unit="seconds"), 600.0)
    host: Host = key(Table(Host, (_deadline_complaint,)), Host())
    postgres: tuple[Postgres, ...] = key(ListOf(Table(Postgres, (_deadline_complaint,))), ())
    redis: tuple[Redis, ...] = key(ListOf(Table(Redis, (_deadline_complaint,))), ())
    queries: tuple[Query, ...] = key(ListOf(Table(Query, (_deadline_complaint,))), ())
    canaries: tuple[Canary, ...] = key(
        ListOf(Table(Canary, (_deadline_complaint,), declares="canary", identity=("provider", "model"))), ()
    )

    def secrets(self) -> tuple[str, ...]:
        """Give every secret in these settings, for a log that masks them."""
        return tuple({secret for part in _parts(self) for secret in _secrets_of(part)})


def load(path: Path, environment: Mapping[str, str]) -> Settings:
    """Read ``path``, with ``environment`` for ``${NAME}`` and for the listen address.

    Raises:
        SettingsError: with every mistake, if there is any.
    """
    document = Document(environment)
    settings: Settings | None = document.read(_content(path, document), Table(Settings))
    listen = {
        name: entry.metadata["read"](Value(document, yaml.ScalarNode("", environment[variable]), variable))
        for variable, name in ENVIRONMENT.items()
        if environment.get(variable)
        for entry in [Table(Listen).keys()[name]]
    }
    if document.mistakes or settings is None:
        raise SettingsError(path, document.mistakes)
    return dataclasses.replace(settings, listen=dataclasses.replace(settings.listen, **listen))


def every_key(table: Table | None = None, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Walk the settings: (path such as ``queries[].metrics[].name``, default or dataclasses.MISSING)."""
    for name, entry in (table or Table(Settings)).keys().items():
        path, below = f"{prefix}{name}", entry.metadata["read"]
        if isinstance(below, ListOf) and isinstance(below.read, Table):
            path, below = f"{path}[]", below.read
        if isinstance(below, Table):
            yield from every_key(below, f"{path}.")
        else:
            yield path, entry.default


def _content(path: Path, document: Document) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        document.mistakes.append(Mistake(0, "", f"cannot be read ({error}); name another with --config"))
        return ""


def _parts(settings: Settings) -> Iterator[object]:
    yield settings.auth
    yield from settings.postgres
    yield from settings.redis
    yield from settings.canaries


def _secrets_of(part: object) -> Iterator[str]:
    for entry in dataclasses.fields(part) if dataclasses.is_dataclass(part) else ():
        value = getattr(part, entry.name)
        if isinstance(value, Secret):
            yield value.value
            # Errors of a driver quote parts of an address rather than the whole.
            yield from filter(None, [urlsplit(value.value).password])
