"""What ``relay.yml`` may say: one frozen dataclass per section, each field with the reader that checks it.

`load` reads a file and reports every mistake at once; docs/NOTIFICATIONS.md describes each key.
"""
# ruff: noqa: RUF009 - key() makes a dataclass field, as dataclasses.field() does

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from claw_exporter.document import Choice, Document, ListOf, Mistake, Number, Table, Text, Value, key
from claw_relay.errors import SettingsError
from claw_relay.vendors import VENDORS
from claw_relay.words import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Channel", "Heartbeat", "Listen", "SecretFile", "Settings", "load", "secret_parts"]

ENVIRONMENT: Final = {
    "CLAW_RELAY_HOST": ("listen", "host"),
    "CLAW_RELAY_PORT": ("listen", "port"),
    "CLAW_RELAY_STATE_FILE": ("", "state_file"),
}
"""Environment variables that come before the file: name -> section and key."""

_WORD: Final = r"[a-z][a-z0-9_-]{0,62}"
_NAME: Final = Text(pattern=_WORD, expected="a name of a-z, 0-9, _ and - that begins with a letter")


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file that holds a secret, which is read anew each time it is needed.

    Attributes:
        path: Where.
    """

    path: Path

    def read(self) -> str:
        """Returns the secret.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is empty, or not text.
        """
        text = self.path.read_text(encoding="utf-8").strip()
        if not text:
            raise ValueError(f"{self.path} is empty")
        return text


def _secret_file(value: Value) -> SecretFile | None:
    path = Text(expected="the path of a file")(value)
    if path is None:
        return None
    secret = SecretFile(Path(path))
    try:
        secret.read()
    except OSError as error:
        value.refuse(f"cannot be read ({error.strerror}); write the secret into it and let this user read it")
    except ValueError:
        value.refuse("is an empty file, or not text; write the secret into it")
    return secret


def _url_file(value: Value) -> SecretFile | None:
    secret = _secret_file(value)
    try:
        if secret is not None and not secret.read().startswith(("https://", "http://")):
            value.refuse("holds no address; write the webhook of the bot into it, which begins with https://")
    except (OSError, ValueError):
        return None
    return secret


def _zone(value: Value) -> ZoneInfo | None:
    text = Text(expected="a time zone such as UTC or Asia/Shanghai")(value)
    try:
        return None if text is None else ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        value.refuse("is no time zone; examples: UTC, Asia/Shanghai, Europe/Berlin")
        return None


def _web(value: Value) -> str | None:
    return Text(pattern=r"https?://\S+", expected="an address such as https://example.com/")(value)


def _secret_complaint(channel: Channel) -> str | None:
    signs = VENDORS[channel.type].sign is not None
    if channel.secret_file and not signs:
        return f"has a secret_file, but {channel.type} signs nothing; remove it"
    if signs and not channel.secret_file:
        return (
            f"lacks secret_file; choose 'sign' in the security settings of the {channel.type} bot, "
            "and write its secret into a file"
        )
    return None


def _channel_reference(value: Value) -> str | None:
    expected = "a channel such as dingtalk/oncall"
    return Text(pattern=rf"{_WORD}/{_WORD}", expected=expected, refers="channel")(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where the relay answers HTTP."""

    host: str = key(Text(expected="an address to listen on"), "127.0.0.1")
    port: int = key(Number(0, 65_535, whole=True), 9811)


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A bot of a chat service; Alertmanager posts to ``/<type>/<name>``."""

    type: str = key(Choice(tuple(VENDORS)))
    name: str = key(_NAME)
    url_file: SecretFile = key(_url_file)
    secret_file: SecretFile | None = key(_secret_file, None)
    language: str = key(Choice(tuple(LANGUAGES)), "en")

    @property
    def id(self) -> str:
        """How other sections name it."""
        return f"{self.type}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Something that has to post to ``/heartbeat/<name>`` again and again."""

    name: str = key(_NAME)
    grace_seconds: float = key(Number(1, 86_400, unit="seconds"), 300.0)
    alerts: tuple[str, ...] = key(ListOf(Text(expected="the name of an alert")), ())
    channels: tuple[str, ...] = key(ListOf(_channel_reference, at_least=1))
    password_file: SecretFile | None = key(_secret_file, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole of ``relay.yml``."""

    listen: Listen = key(Table(Listen), Listen())
    log_level: str = key(Choice(("debug", "info", "warning", "error")), "info")
    time_zone: ZoneInfo = key(_zone, ZoneInfo("UTC"))
    silences_url: str = key(_web, "")
    max_alerts: int = key(Number(1, 50, whole=True, unit="alerts"), 5)
    timeout_seconds: float = key(Number(0.1, 60, unit="seconds"), 5.0)
    state_file: str = key(Text(expected="the path of a file"), "relay-state.json")
    channels: tuple[Channel, ...] = key(
        ListOf(Table(Channel, (_secret_complaint,), declares="channel", identity=("type", "name"))), ()
    )
    heartbeats: tuple[Heartbeat, ...] = key(
        ListOf(Table(Heartbeat, declares="heartbeat", identity=("name",))), ()
    )

    def secrets(self) -> Iterator[str]:
        """Yields every secret of now, and what is secret of addresses, for a log that masks them."""
        for channel in self.channels:
            yield from secret_parts(channel.url_file.read())
            yield from [channel.secret_file.read()] if channel.secret_file else []
        yield from (
            heartbeat.password_file.read() for heartbeat in self.heartbeats if heartbeat.password_file
        )


def secret_parts(url: str) -> Iterator[str]:
    """Yields an address, and what of it is secret: its last part, and the values of its query."""
    yield url
    path, _, query = url.partition("?")
    yield from (pair.partition("=")[2] for pair in query.split("&"))
    if not query:
        yield path.rpartition("/")[2]


def load(path: Path, environment: Mapping[str, str]) -> Settings:
    """Reads ``path``, with ``environment`` for ``${NAME}`` and for what `ENVIRONMENT` lists.

    Raises:
        SettingsError: with every mistake, if there is any.
    """
    document = Document(environment)
    settings: Settings | None = document.read(_content(path, document), Table(Settings))
    given: dict[str, dict[str, object]] = {}
    for variable, (section, name) in ENVIRONMENT.items():
        if environment.get(variable):
            entry = Table(Listen if section else Settings).keys()[name]
            node = yaml.ScalarNode("", environment[variable])
            given.setdefault(section, {})[name] = entry.metadata["read"](Value(document, node, variable))
    if document.mistakes or settings is None:
        raise SettingsError(path, document.mistakes)
    listen = dataclasses.replace(settings.listen, **given.get("listen", {}))  # type: ignore[arg-type]
    return dataclasses.replace(settings, listen=listen, **given.get("", {}))  # type: ignore[arg-type]


def _content(path: Path, document: Document) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        document.mistakes.append(Mistake(0, "", f"cannot be read ({error}); name another with --config"))
        return ""
