"""The values of the environment file."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from claw_compose import backup_folder, environment
from claw_compose.engine import COMPOSE_FILE
from claw_compose.errors import SettingsError
from claw_compose.finding import Finding, error, nearest, warning
from claw_compose.placeholders import is_placeholder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from claw_compose.engine import Stack

__all__ = ["CHECKS", "default", "door"]

OF_COMPOSE: Final = {
    "COMPOSE_ANSI",
    "COMPOSE_FILE",
    "COMPOSE_PARALLEL_LIMIT",
    "COMPOSE_PROFILES",
    "COMPOSE_PROGRESS",
    "COMPOSE_PROJECT_NAME",
}
SHIPPERS: Final = ("alloy", "promtail")
DURATION: Final = re.compile(r"(?=\d)(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
SECONDS: Final = (31_536_000, 604_800, 86_400, 3600, 60, 1)
SIZE: Final = re.compile(r"[1-9]\d*(?:[KMGTPE]i?)?B")
# Loki refuses to forget what is younger.
LOKI_LEAST_SECONDS: Final = 86_400
HIGHEST_PORT: Final = 65535


def _compose_text(stack: Stack) -> str:
    return (stack.repository / COMPOSE_FILE).read_text(encoding="utf-8")


def _variables(stack: Stack) -> dict[str, tuple[str, str]]:
    """Variables of the compose file: how they are used (`:-`, `:?`) and with which default or message."""
    found = re.findall(r"(?<!\$)\$\{(\w+)(?:(:?[-?])([^}]*))?\}", _compose_text(stack))
    return {name: (operator, text) for name, operator, text in found}


def default(stack: Stack, name: str) -> str:
    """Returns a setting, or the compose file's default of it."""
    operator, text = _variables(stack).get(name, ("", ""))
    return stack.settings.get(name) or (text if operator.endswith("-") else "")


def required(stack: Stack) -> Iterator[Finding]:
    """Every variable without a default has a value."""
    for name, (operator, text) in _variables(stack).items():
        if operator.endswith("?") and not stack.settings.get(name):
            yield error(f"{name} is not set: {text}")


def placeholders(stack: Stack) -> Iterator[Finding]:
    """No value is one of an example."""
    for name, value in stack.settings.items():
        is_name = name == "GRAFANA_ADMIN_USER"
        if name.startswith(environment.OURS) and value and not is_name and is_placeholder(value):
            yield error(f"{name} is '{value}', which is from an example: write your own")


def unknown(stack: Stack) -> Iterator[Finding]:
    """Every variable that looks like one of ours is one: the example has all of them."""
    example = (stack.repository / ".env.prod.example").read_text(encoding="utf-8")
    known = {*re.findall(r"^(?:# )?(\w+)=", example, re.MULTILINE), *OF_COMPOSE}
    for name in environment.read(stack.env_file):
        if name.startswith(environment.OURS) and name not in known:
            yield error(f"{name} is no setting{nearest(name, known)}")


def profiles(stack: Stack) -> Iterator[Finding]:
    """Known ones only, and exactly one that ships logs."""
    lists = re.findall(r"^ +profiles: \[([\w, -]+)\]", _compose_text(stack), re.MULTILINE)
    known = {name.strip() for names in lists for name in names.split(",")}
    chosen = [name.strip() for name in stack.settings.get("COMPOSE_PROFILES", "").split(",") if name.strip()]
    for name in chosen:
        if name not in known and name != "*":
            there = ", ".join(sorted(known))
            yield error(f"COMPOSE_PROFILES: there is no profile '{name}'{nearest(name, known)} ({there})")
    shipping = [name for name in SHIPPERS if name in chosen or "*" in chosen]
    if len(shipping) > 1:
        yield error("COMPOSE_PROFILES: alloy and promtail would both ship every log line; keep one of them")
    if not shipping:
        yield error("COMPOSE_PROFILES: nothing ships the logs; add alloy or promtail")


def _ports(stack: Stack) -> dict[str, str]:
    names = [name for name in _variables(stack) if name.endswith("_PORT")]
    return {name: default(stack, name) for name in names}


def ports(stack: Stack) -> Iterator[Finding]:
    """Each is a number, and no two are the same."""
    seen: dict[str, str] = {}
    for name, value in _ports(stack).items():
        if not value.isascii() or not value.isdigit() or not 0 < int(value) <= HIGHEST_PORT:
            yield error(f"{name} is '{value}': not a port (1 to {HIGHEST_PORT})")
        elif value in seen:
            yield error(f"{name} and {seen[value]} are both {value}: give one of them another port")
        else:
            seen[value] = name


def addresses(stack: Stack) -> Iterator[Finding]:
    """Where the door listens is an address, not a name; whom it believes are networks."""
    value = default(stack, "CLAW_NGINX_ADDRESS")
    try:
        ip_address(value.removeprefix("[").removesuffix("]"))
    except ValueError:
        yield error(f"CLAW_NGINX_ADDRESS is '{value}': not an IP address, such as 0.0.0.0 or 127.0.0.1")
    for network in re.findall(r"[^,\s]+", default(stack, "CLAW_NGINX_TRUSTED_PROXIES")):
        try:
            ip_network(network, strict=False)
        except ValueError:
            yield error(f"CLAW_NGINX_TRUSTED_PROXIES names '{network}': not a network, such as 10.0.0.0/8")


def log_files(stack: Stack) -> Iterator[Finding]:
    """Log files of applications are where the settings say, and their time zone exists."""
    folder = stack.repository / default(stack, "CLAW_APP_LOGS_DIR")
    if stack.is_local and not folder.is_dir():
        yield error(f"CLAW_APP_LOGS_DIR is '{folder}', which is no folder: make it (mkdir -p), or correct it")
    zone = default(stack, "CLAW_APP_LOGS_TIMEZONE")
    known = available_timezones()
    # A machine may have no list of them.
    if known and zone not in known:
        yield error(f"CLAW_APP_LOGS_TIMEZONE is '{zone}': no time zone, such as UTC{nearest(zone, known)}")


def seconds(text: str) -> int | None:
    """Returns the length of a duration such as 30d or 1w2d; None when it is none."""
    match = DURATION.fullmatch(text)
    return match and sum(int(part or 0) * size for part, size in zip(match.groups(), SECONDS, strict=True))


def retention(stack: Stack) -> Iterator[Finding]:
    """How long data is kept can be understood."""
    for name in ("CLAW_PROMETHEUS_RETENTION_TIME", "CLAW_LOKI_RETENTION_TIME"):
        length = seconds(default(stack, name))
        if length is None:
            yield error(f"{name} is '{default(stack, name)}': not a duration, such as 30d, 12w or 1y")
        elif name == "CLAW_LOKI_RETENTION_TIME" and 0 < length < LOKI_LEAST_SECONDS:
            yield error(f"{name} is '{default(stack, name)}': Loki keeps at least 24h")
    size = default(stack, "CLAW_PROMETHEUS_RETENTION_SIZE")
    if not SIZE.fullmatch(size):
        yield error(f"CLAW_PROMETHEUS_RETENTION_SIZE is '{size}': not a size, such as 20GB or 500MB")


def door(stack: Stack) -> str:
    """Returns how the public door speaks: http or https."""
    return default(stack, "CLAW_NGINX_DOOR")


def doors(stack: Stack) -> Iterator[Finding]:
    """The public door is one that exists."""
    known = sorted(path.stem for path in (stack.repository / "nginx" / "doors").glob("*.conf"))
    if door(stack) not in known:
        yield error(f"CLAW_NGINX_DOOR is '{door(stack)}'; there are {' and '.join(known)}")


def root_url(stack: Stack) -> Iterator[Finding]:
    """People can open Grafana where it says it is."""
    url = stack.settings.get("GRAFANA_ROOT_URL", "")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as wrong:
        yield error(f"GRAFANA_ROOT_URL is '{url}': {wrong}")
        return
    if not url:
        return
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        yield error(f"GRAFANA_ROOT_URL is '{url}': not an address such as https://localhost/grafana")
        return
    if parts.path.rstrip("/") != "/grafana" or parts.query or parts.fragment:
        yield error(f"GRAFANA_ROOT_URL is '{url}': its path must be /grafana, and nothing may follow")
    if parts.hostname in {"localhost", "127.0.0.1", "::1"}:
        yield warning(f"GRAFANA_ROOT_URL is '{url}': only this machine can open that")
    yield from _fits_the_door(stack, url, parts.scheme, port)


def _fits_the_door(stack: Stack, url: str, scheme: str, port: int | None) -> Iterator[Finding]:
    if scheme == "http" and door(stack) == "https":
        yield error(
            f"GRAFANA_ROOT_URL is '{url}', but CLAW_NGINX_DOOR is https: write https:// into the address"
        )
        return
    if scheme == "https" and door(stack) == "http":
        yield warning("CLAW_NGINX_DOOR is http: something else in front must end TLS for GRAFANA_ROOT_URL")
        return
    name = "CLAW_NGINX_TLS_PORT" if scheme == "https" else "CLAW_NGINX_PORT"
    asked = str(port or (443 if scheme == "https" else 80))
    if asked != default(stack, name):
        yield warning(f"GRAFANA_ROOT_URL leads to port {asked}, but {name} is {default(stack, name)}")


def backups(stack: Stack) -> Iterator[Finding]:
    """How many backups are kept, and of what."""
    for look in (backup_folder.keep, backup_folder.skipped):
        try:
            look(stack)
        except SettingsError as wrong:
            yield error(str(wrong))


CHECKS: Final[tuple[Callable[[Stack], Iterator[Finding]], ...]] = (
    required,
    placeholders,
    unknown,
    profiles,
    doors,
    root_url,
    addresses,
    log_files,
    ports,
    retention,
    backups,
)
