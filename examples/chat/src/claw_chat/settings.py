"""Settings of the chat app: one table, read from environment variables named ``CLAW_CHAT_*``."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from claw_chat.models import CHAT_MODELS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Parse = Callable[[str], Any]

PREFIX: Final = "CLAW_CHAT_"


class SettingsError(ValueError):
    """The environment does not hold usable settings.

    Attributes:
        mistakes: One sentence for each, all of them: the variable, its value and what to write instead.
    """

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def url(*schemes: str) -> Parse:
    """Return a parser of URLs with a host and one of ``schemes``."""

    def parse(value: str) -> str:
        starts = " or ".join(f"{name}://" for name in schemes)
        try:
            parts = urlsplit(value)
            usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False  # a port that is no number, or a broken IPv6 address
        if not usable:
            raise ValueError(f"not a URL that starts with {starts} and names a host")
        return value

    return parse


def whole(low: int, high: int) -> Parse:
    """Return a parser of whole numbers from ``low`` to ``high``."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"\d{1,9}", value) or not low <= int(value) <= high:
            raise ValueError(f"not a whole number from {low} to {high}")
        return int(value)

    return parse


def seconds(high: float) -> Parse:
    """Return a parser of times above 0 and up to ``high``."""

    def parse(value: str) -> float:
        if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value) or not 0 < float(value) <= high:
            raise ValueError(f"not a number of seconds above 0 and up to {high:g}")
        return float(value)

    return parse


def choice(*allowed: str) -> Parse:
    """Return a parser that takes one of ``allowed``."""

    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"not one of {', '.join(allowed)}")
        return value

    return parse


def secret(value: str) -> str:
    """Return the secret in the file named ``value``, without the line end."""
    try:
        content = Path(value).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"not a readable file ({error})") from error
    if not content:
        raise ValueError("an empty file; it must hold the secret")
    return content


def setting(  # noqa: PLR0913 - one column of the table each
    parse: Parse,
    about: str,
    *,
    default: Any = None,  # noqa: ANN401 - whatever the field holds
    required: bool = False,
    example: str = "",
    hidden: bool = False,
    variable: str = "",
) -> Any:  # noqa: ANN401 - stands where a field's value will be
    """Return a dataclass field that knows how it is read and how it is explained."""
    metadata = {
        "parse": parse,
        "about": about,
        "required": required,
        "example": example or str(default),
        "variable": variable,
    }
    return field(default=default, repr=not hidden, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything about the app that changes from place to place.

    Read it with ``Settings.from_environment``; in tests, give the fields that matter.
    """

    database_url: str = setting(
        url("postgresql", "postgres"),
        "Postgres that holds conversations and help pages",
        required=True,
        example="postgresql://claw@127.0.0.1:15432/claw",
        hidden=True,
    )
    database_password: str | None = setting(
        secret,
        "File with the Postgres password, when it is not in the URL",
        example="/run/secrets/postgres_password",
        hidden=True,
        variable="DATABASE_PASSWORD_FILE",
    )
    database_pool_max_connections: int = setting(
        whole(1, 500), "Connections to Postgres at the most", default=10
    )
    database_timeout_seconds: float = setting(
        seconds(300), "How long to wait for a connection, and for a statement", default=5.0
    )
    redis_url: str = setting(
        url("redis", "rediss"),
        "Redis that caches",
        required=True,
        example="redis://127.0.0.1:16379/0",
        hidden=True,
    )
    redis_password: str | None = setting(
        secret,
        "File with the Redis password, when it is not in the URL",
        example="/run/secrets/redis_password",
        hidden=True,
        variable="REDIS_PASSWORD_FILE",
    )
    redis_pool_max_connections: int = setting(whole(1, 1000), "Connections to Redis at the most", default=20)
    redis_timeout_seconds: float = setting(seconds(60), "How long to wait for Redis", default=0.5)
    cache_ttl_seconds: int = setting(whole(1, 86_400), "How long cached values are kept", default=300)
    model_base_url: str = setting(
        url("http", "https"),
        "Model server with the OpenAI interface, its version path included",
        required=True,
        example="http://127.0.0.1:8001/v1",
    )
    model_api_key: str | None = setting(
        secret,
        "File with the model server's API key, where it wants one",
        example="/run/secrets/model_api_key",
        hidden=True,
        variable="MODEL_API_KEY_FILE",
    )
    model_timeout_seconds: float = setting(
        seconds(600), "Longest silence of the model server before a call counts as failed", default=30.0
    )
    model_max_retries: int = setting(
        whole(0, 10), "How often a refused call is repeated before the fallback model is asked", default=1
    )
    default_model: str = setting(
        choice(*CHAT_MODELS), "Model that answers when a request names none", default="glm-4"
    )
    host: str = setting(str, "Address to listen on", default="127.0.0.1")
    port: int = setting(whole(1, 65_535), "Port to listen on", default=8000)
    log_level: str = setting(
        choice("debug", "info", "warning", "error"), "Least severe level that is logged", default="info"
    )
    log_format: str = setting(choice("json", "text"), "Shape of a log line", default="json")
    faults: str = setting(
        choice("on", "off"),
        "Whether everybody who reaches the app may break it (`PUT /faults`)",
        default="off",
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Return the settings in ``environment``.

        Raises:
            SettingsError: Some variable is missing, unknown or wrong; the error lists every mistake.
        """
        mistakes = _unknown(environment)
        values: dict[str, Any] = {}
        for entry in fields(cls):
            name = variable(entry)
            given = environment.get(name, "")
            try:
                if given:
                    values[entry.name] = entry.metadata["parse"](given)
                elif entry.metadata["required"]:
                    mistakes.append(f"{name} is not set; example {entry.metadata['example']}")
            except ValueError as error:
                example = entry.metadata["example"]
                mistakes.append(f"{name} is {masked(given)!r}: {error}; example {example}")
        if mistakes:
            raise SettingsError(mistakes)
        return cls(**values)


def variable(entry: Any) -> str:  # noqa: ANN401 - dataclasses.Field has no useful type
    """Return the name of the environment variable for a field of ``Settings``."""
    return f"{PREFIX}{entry.metadata['variable'] or entry.name.upper()}"


def masked(value: str) -> str:
    """Return ``value`` with the password of a URL hidden."""
    return re.sub(r"(//[^:@/]*:)[^@/]*@", r"\1***@", value)


def _unknown(environment: Mapping[str, str]) -> list[str]:
    known = [variable(entry) for entry in fields(Settings)]
    mistakes = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
            hint = f"did you mean {near[0]}?" if near else "remove it"
            mistakes.append(f"{name} is not a setting; {hint}")
    return mistakes
