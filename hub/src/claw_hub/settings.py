"""What the environment says: every variable that a role needs, checked all at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from claw_hub.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VARIABLES", "Settings", "read_settings"]

VARIABLES: Final[dict[str, str]] = {
    "CLAW_HUB_HOST": "address to listen on (127.0.0.1)",
    "CLAW_HUB_PORT": "port to listen on (8100)",
    "CLAW_HUB_DATABASE_URL": "Postgres of the accounts; example postgresql://claw:secret@localhost:5432/claw",
    "CLAW_HUB_REDIS_URL": "Redis of the bus, the quotas and live streams; example redis://localhost:6379/0",
    "CLAW_HUB_TOKEN_SECRET_FILE": "file of at least 32 bytes that signs tokens, the same everywhere",
    "CLAW_HUB_WAREHOUSE_URL": "a ClickHouse server; by default the worker's own, at CLAW_HUB_WAREHOUSE_PORT",
    "CLAW_HUB_WAREHOUSE_DIRECTORY": "the worker keeps the warehouse here, inside itself",
    "CLAW_HUB_WAREHOUSE_PORT": "where the worker serves its own warehouse on the loopback (18123)",
    "CLAW_HUB_WAREHOUSE_PASSWORD_FILE": "file with the warehouse's password (none)",
    "CLAW_HUB_SPOOL_DIRECTORY": "the edge keeps here what it accepts while Redis is away (none)",
    "CLAW_HUB_MAX_BODY_BYTES": "the largest request, as sent and inflated (8000000)",
    "CLAW_HUB_LOG_LEVEL": "debug, info, warning or error (info)",
}
"""Name -> what it is for; its default in brackets, where it has one."""

LEVELS: Final = ("debug", "info", "warning", "error")
MIN_SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Checked settings; see `VARIABLES`."""

    host: str
    port: int
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    token_secret: bytes = field(repr=False)
    warehouse_url: str
    warehouse_directory: Path | None
    warehouse_port: int
    warehouse_password_file: Path | None
    spool_directory: Path | None
    max_body_bytes: int
    log_level: str

    def secrets(self) -> list[str]:
        """What no log line may show."""
        passwords = [urlsplit(url).password for url in (self.database_url, self.redis_url)]
        return [password for password in passwords if password]


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Reads and checks all variables.

    Raises:
        SettingsError: With a line for each mistake.
    """
    read = _Reader(environment)
    port = read.number("CLAW_HUB_WAREHOUSE_PORT", 18123, most=65535)
    settings = Settings(
        host=environment.get("CLAW_HUB_HOST") or "127.0.0.1",
        port=read.number("CLAW_HUB_PORT", 8100, most=65535),
        database_url=read.url("CLAW_HUB_DATABASE_URL", ("postgresql", "postgres")),
        redis_url=read.url("CLAW_HUB_REDIS_URL", ("redis", "rediss", "unix")),
        token_secret=read.secret("CLAW_HUB_TOKEN_SECRET_FILE"),
        warehouse_url=read.url("CLAW_HUB_WAREHOUSE_URL", ("http", "https"), f"http://127.0.0.1:{port}"),
        warehouse_directory=read.path("CLAW_HUB_WAREHOUSE_DIRECTORY"),
        warehouse_port=port,
        warehouse_password_file=read.path("CLAW_HUB_WAREHOUSE_PASSWORD_FILE"),
        spool_directory=read.path("CLAW_HUB_SPOOL_DIRECTORY"),
        max_body_bytes=read.number("CLAW_HUB_MAX_BODY_BYTES", 8_000_000, most=256_000_000),
        log_level=read.choice("CLAW_HUB_LOG_LEVEL", LEVELS, "info"),
    )
    if environment.get("CLAW_HUB_WAREHOUSE_URL") and settings.warehouse_directory:
        read.mistakes.append(
            "CLAW_HUB_WAREHOUSE_URL and CLAW_HUB_WAREHOUSE_DIRECTORY are both set: one warehouse is enough"
        )
    if read.mistakes:
        raise SettingsError(read.mistakes)
    return settings


class _Reader:
    """Reads variables, and gathers what is wrong with them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.mistakes: list[str] = []

    def url(self, name: str, schemes: tuple[str, ...], default: str = "") -> str:
        """Returns a URL; the message never shows one, for it may hold a password."""
        value = self._environment.get(name) or default
        if not value:
            self.mistakes.append(f"{name} is not set: {VARIABLES[name]}")
        elif urlsplit(value).scheme not in schemes:
            found = urlsplit(value).scheme
            self.mistakes.append(f"{name} begins with {found!r}, not with {schemes[0]}://: {VARIABLES[name]}")
        return value

    def number(self, name: str, default: int, *, most: int) -> int:
        """Returns a whole number from 1 on."""
        text = self._environment.get(name) or str(default)
        if not text.isdecimal() or not 1 <= int(text) <= most:
            self.mistakes.append(f"{name} is {text!r}: it has to be a number from 1 to {most}")
            return default
        return int(text)

    def choice(self, name: str, known: tuple[str, ...], default: str) -> str:
        """Returns one of some words."""
        value = (self._environment.get(name) or default).lower()
        if value not in known:
            self.mistakes.append(f"{name} is {value!r}: it has to be one of {', '.join(known)}")
        return value

    def path(self, name: str) -> Path | None:
        """Returns a path, where one is named."""
        value = self._environment.get(name)
        return Path(value) if value else None

    def secret(self, name: str) -> bytes:
        """Returns what a file holds, without spaces around it."""
        path = self.path(name)
        if path is None:
            self.mistakes.append(f"{name} is not set: {VARIABLES[name]}")
            return b""
        try:
            secret = path.read_bytes().strip()
        except OSError as error:
            self.mistakes.append(f"{name} is {str(path)!r}, which cannot be read ({error.strerror})")
            return b""
        if len(secret) < MIN_SECRET_BYTES:
            self.mistakes.append(
                f"{name} is {str(path)!r}, which holds {len(secret)} bytes, not at least {MIN_SECRET_BYTES}: "
                "openssl rand -hex 32 makes some"
            )
        return secret
