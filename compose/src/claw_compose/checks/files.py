"""Secrets, the certificate, and the files that containers read."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from claw_compose import backup_folder, certificate, secret_files
from claw_compose.checks.settings import door
from claw_compose.errors import SettingsError
from claw_compose.finding import Finding, error, warning
from claw_compose.placeholders import is_placeholder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from claw_compose.engine import Stack

__all__ = ["CHECKS", "CHECKS_WITH_COMPOSE"]

OTHERS_READ: Final = 0o004
OTHERS_ENTER: Final = 0o005
SHORTEST_PASSWORD: Final = 12
SHOWN: Final = 3


def folder(stack: Stack) -> Iterator[Finding]:
    """Other users of this machine cannot look into secrets/."""
    path = stack.repository / "secrets"
    if path.is_dir() and path.stat().st_mode & 0o077:
        yield error("secrets/ is open to other users of this machine:  chmod 0700 secrets")
    if path.is_dir() and not (path / secret_files.NOTIFY).is_dir():
        yield error(
            f"secrets/{secret_files.NOTIFY} is missing, which Alertmanager and the relay see:  make secrets"
        )


def secrets(stack: Stack) -> Iterator[Finding]:
    """Every secret is there, says something, and can be read by its container."""
    folder = stack.repository / "secrets"
    missing = [name for name in secret_files.needed(stack) if not (folder / name).is_file()]
    tokens = secret_files.receiver_tokens(stack)
    if made := [name for name in missing if name not in tokens]:
        yield error(f"missing under secrets/: {', '.join(made)}:  make secrets")
    for name in missing:
        if name in tokens:
            yield error(f"secrets/{name} is missing: write into it what the channel's own page shows")
    for name in secret_files.needed(stack):
        path = folder / name
        if name in missing:
            continue
        text = path.read_text(encoding="utf-8", errors="replace").strip()
        if not text and name != secret_files.PUSH_USERS:
            remedy = "write into it what the channel's own page shows" if name in tokens else " make secrets"
            yield error(f"secrets/{name} is empty: {remedy}")
        if not path.stat().st_mode & OTHERS_READ:
            yield error(f"secrets/{name} cannot be read by its container:  chmod 0644 secrets/{name}")
        if name in secret_files.PASSWORDS and text:
            yield from _password(name, text)


def _password(name: str, text: str) -> Iterator[Finding]:
    if is_placeholder(text):
        yield error(f"secrets/{name} holds a value from an example: write a password of your own")
    elif len(text) < SHORTEST_PASSWORD:
        yield warning(f"secrets/{name} is short: {len(text)} characters; `make secrets` makes longer ones")


def redis_exporter(stack: Stack) -> Iterator[Finding]:
    """The Redis exporter has the password of Redis."""
    path = stack.repository / "secrets" / secret_files.REDIS_EXPORTER
    password = stack.repository / "secrets" / "redis_password"
    if not path.is_file() or not password.is_file():
        return
    try:
        known = json.loads(path.read_text(encoding="utf-8"))[secret_files.REDIS_ADDRESS]
    except (ValueError, KeyError, TypeError):
        known = None
    if known != password.read_text(encoding="utf-8").strip():
        yield error(f"secrets/{path.name} does not hold the password of redis_password:  make secrets")


def receivers(stack: Stack) -> Iterator[Finding]:
    """Notifications go somewhere."""
    nowhere = []
    for name in secret_files.receiver_files(stack):
        path = stack.repository / "secrets" / name
        text = path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""
        if text == secret_files.DISCARD:
            nowhere.append(f"secrets/{name}")
        elif text and not _is_web_address(text):
            yield error(f"secrets/{name} is not the address of a webhook (https://...)")
    if nowhere:
        yield warning(f"notifications reach nobody until an address is in {', '.join(nowhere)}")


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"\s", text)


def tls(stack: Stack) -> Iterator[Finding]:
    """The public door has a certificate that fits."""
    if door(stack) != "https":
        return
    chain, key = (stack.repository / "secrets/tls" / name for name in ("fullchain.pem", "privkey.pem"))
    usable = True
    for path in (chain, key):
        for finding in _tls_file(path):
            usable = False
            yield finding
    if not usable:
        return
    if not certificate.same_key(chain, key, stack.environ):
        yield error("secrets/tls: privkey.pem is not the key of fullchain.pem; nginx would not start")
    yield from _validity(stack, chain)


def _tls_file(path: Path) -> Iterator[Finding]:
    name = f"secrets/tls/{path.name}"
    if path.is_symlink():
        # The container sees the folder, not where the link leads.
        yield error(f"{name} is a link, which leads nowhere in the container: copy the file")
    elif not path.is_file():
        yield error(f"{name} is missing:  make secrets   makes one for a trial")
    elif not path.stat().st_mode & OTHERS_READ:
        yield error(f"{name} cannot be read by nginx:  chmod 0644 {name}")


def _validity(stack: Stack, chain: Path) -> Iterator[Finding]:
    found = certificate.read(chain, stack.environ)
    renew = "rm secrets/tls/*.pem; make secrets" if found.self_signed else "put a new one there"
    left = found.ends - datetime.now(UTC)
    if left <= timedelta(0):
        yield error(f"the certificate expired on {found.ends:%Y-%m-%d}: {renew}")
    elif left < certificate.SOON:
        yield warning(f"the certificate expires in {left.days} days, on {found.ends:%Y-%m-%d}: {renew}")
    try:
        host = secret_files.root_host(stack)
    except SettingsError:
        return  # told by another check
    if not certificate.covers(chain, host, stack.environ):
        yield error(f"the certificate is not for {host}, the host of GRAFANA_ROOT_URL: {renew}")
    elif found.self_signed:
        yield warning("the certificate is signed by itself, for a trial: browsers warn")


def mounts(stack: Stack) -> Iterator[Finding]:
    """Every file of ours that a container reads can be read by any user."""
    missing: set[Path] = set()
    closed: set[Path] = set()
    for path in _mounted(stack):
        if not path.exists():
            missing.add(path)
        else:
            closed.update(_closed(path))
    for path in sorted(missing):
        yield error(f"{path.relative_to(stack.repository)} is missing, but a container reads it")
    if closed:
        names = [str(path.relative_to(stack.repository)) for path in sorted(closed)]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        tops = " ".join(sorted({name.split("/")[0] for name in names}))
        yield error(
            f"containers cannot read {', '.join(islice(names, SHOWN))}{more} (umask when cloning?):"
            f"  chmod -R o+rX {tops}"
        )


def _mounted(stack: Stack) -> Iterator[Path]:
    # Looked at above; made by `up`.
    apart = (stack.repository / "secrets", backup_folder.directory(stack))
    for service in stack.active.values():
        for path in stack.mounted(service):
            if not any(path.is_relative_to(one) for one in apart):
                yield path


def _closed(path: Path) -> Iterator[Path]:
    for found in (path, *path.rglob("*")) if path.is_dir() else (path,):
        wanted = OTHERS_ENTER if found.is_dir() else OTHERS_READ
        if not found.is_symlink() and found.stat().st_mode & wanted != wanted:
            yield found


def targets(stack: Stack) -> Iterator[Finding]:
    """Prometheus is not sent to services that do not run."""
    off = set(stack.whole["services"]) - set(stack.active)
    for path in sorted((stack.repository / "prometheus" / "targets").rglob("*.yml")):
        text = re.sub(r"#.*", "", path.read_text(encoding="utf-8"))
        for name in sorted(off):
            if re.search(rf"(?<![\w.-]){re.escape(name)}:\d", text):
                yield warning(
                    f"{path.relative_to(stack.repository)} names {name}, which COMPOSE_PROFILES leaves out:"
                    " it will be reported as down; take its entry out"
                )


CHECKS: Final[tuple[Callable[[Stack], Iterator[Finding]], ...]] = (
    folder,
    secrets,
    redis_exporter,
    receivers,
    tls,
)
CHECKS_WITH_COMPOSE: Final[tuple[Callable[[Stack], Iterator[Finding]], ...]] = (mounts, targets)
