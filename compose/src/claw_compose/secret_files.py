"""`make secrets`: the passwords and the certificate that are missing; what is there is never overwritten."""

from __future__ import annotations

import json
import os
import re
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from claw_compose import certificate
from claw_compose.errors import ComposeError, SettingsError
from claw_compose.placeholders import is_placeholder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from claw_compose.engine import Stack

__all__ = [
    "DISCARD",
    "FILE_MODE",
    "FOLDER_MODE",
    "NOTIFY",
    "PASSWORDS",
    "make_secrets",
    "needed",
    "receiver_files",
    "receiver_tokens",
]

# Compose hands a secret over as it is: whichever user a container runs as must be able to read the file.
# Other users of this machine cannot pass the folder.
FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o644
RANDOM_BYTES: Final = 24
# Nobody listens there: a notification fails, which the alert NotificationsFailing tells.
DISCARD: Final = "http://127.0.0.1:9/"

# What Alertmanager and the relay see as a folder: secrets of the channels that the operator chose.
NOTIFY: Final = "notify"
CHANNELS: Final = (Path("alertmanager/alertmanager.yml"), Path("relay/relay.yml"))

GRAFANA: Final = "grafana_admin_password"
REDIS_EXPORTER: Final = "redis_exporter_passwords.json"
PUSH_USERS: Final = "nginx_push_htpasswd"
REDIS_ADDRESS: Final = "redis://redis:6379"

PASSWORDS: Final = {
    GRAFANA: "Grafana's first administrator; change it later in Grafana",
    "postgres_superuser_password": "Postgres' administrator",
    "postgres_claw_password": "the application's role in Postgres",
    "postgres_exporter_password": "the role in Postgres that only reads",
    "redis_password": "Redis",
}
# What a receiver that everybody has is for; others are known by their name only.
RECEIVERS: Final = {
    "alertmanager_oncall_url": "critical alerts",
    "alertmanager_team_url": "warnings",
    "alertmanager_watchdog_url": "the heartbeat, to a service outside this machine",
}


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one file.

    Attributes:
        state: made, kept, corrected or missing.
        name: The file, relative to secrets/.
        note: What it is for, or what to do with it.
    """

    state: str
    name: str
    note: str


def receiver_files(stack: Stack) -> list[str]:
    """Returns the files that hold addresses of channels, in the order of the configuration."""
    return [name for key, name in _of_channels(stack) if key.endswith("url_file")]


def receiver_tokens(stack: Stack) -> list[str]:
    """Returns the files that hold what only the operator has: passwords, keys and secrets of channels."""
    return [name for key, name in _of_channels(stack) if not key.endswith("url_file")]


def _of_channels(stack: Stack) -> list[tuple[str, str]]:
    """Returns what the configurations of Alertmanager and the relay name: the setting, and its file."""
    paths = (stack.repository / path for path in CHANNELS)
    text = "\n".join(path.read_text(encoding="utf-8") for path in paths if path.is_file())
    return list(dict.fromkeys(re.findall(r"(\w*_file):\s*[\"']?secrets/([\w./-]+)", text)))


def needed(stack: Stack) -> list[str]:
    """Returns every file that must be under secrets/, without the certificate."""
    return [*PASSWORDS, REDIS_EXPORTER, *receiver_files(stack), *receiver_tokens(stack), PUSH_USERS]


def make_secrets(stack: Stack, *, say: Callable[[str], None]) -> int:
    """Makes every missing secret and says what it made, what it kept, and what is left to do.

    Raises:
        SettingsError: The settings that it needs are missing or wrong.
        ComposeError: A file cannot be written.
    """
    host = root_host(stack)
    given = _given_password(stack)
    folder = stack.repository / "secrets"
    rows: list[Row] = []
    try:
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        folder.chmod(FOLDER_MODE)
        rows += _passwords(folder, given)
        rows.append(_redis_exporter(folder))
        (folder / NOTIFY).mkdir(exist_ok=True)
        rows += [_receiver(folder, name) for name in receiver_files(stack)]
        rows += [_token(folder, name) for name in receiver_tokens(stack)]
        rows.append(_plain(folder, PUSH_USERS, "", "who may push logs from other machines; nobody yet"))
        rows.append(_certificate(stack, folder / "tls", host))
        rows += _readable(folder)
    except OSError as error:
        raise ComposeError(f"{error.filename or folder}: {error.strerror}") from error
    width = max(len(row.name) for row in rows)
    for row in rows:
        say(f"{row.state:<9}  secrets/{row.name:<{width}}  {row.note}".rstrip())
    for line in _left_to_do(stack, folder, given):
        say(line)
    return 0


def root_host(stack: Stack) -> str:
    """Returns the host of the address where people open Grafana.

    Raises:
        SettingsError: GRAFANA_ROOT_URL has none, or one of an example.
    """
    url = stack.settings.get("GRAFANA_ROOT_URL", "")
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if not host or "://" not in url or is_placeholder(host):
        raise SettingsError(
            f"GRAFANA_ROOT_URL in {stack.env_file.name} is '{url}': write the address where people open"
            " Grafana; for a trial on this machine https://localhost/grafana"
        )
    return host


def _given_password(stack: Stack) -> str:
    given = stack.settings.get("GRAFANA_ADMIN_PASSWORD", "")
    if given and is_placeholder(given):
        raise SettingsError(
            f"GRAFANA_ADMIN_PASSWORD in {stack.env_file.name} is '{given}', which is no password:"
            " write one of your own, or leave it empty and one is made"
        )
    return given


def _passwords(folder: Path, given: str) -> Iterator[Row]:
    for name, about in PASSWORDS.items():
        chosen = given if name == GRAFANA and given else secrets.token_hex(RANDOM_BYTES)
        row = _plain(folder, name, chosen, about)
        if name == GRAFANA and given and row.state == "kept" and _content(folder / name) != given:
            note = "not GRAFANA_ADMIN_PASSWORD of the settings, which is not used any more"
            row = Row("kept", name, note)
        yield row


def _receiver(folder: Path, name: str) -> Row:
    about = RECEIVERS.get(name, "a receiver of notifications")
    return _plain(folder, name, DISCARD, f"where {about} go: the address of a webhook")


def _token(folder: Path, name: str) -> Row:
    there = (folder / name).is_file() and (folder / name).stat().st_size
    return Row("kept" if there else "missing", name, "what a channel needs; only you have it")


def _plain(folder: Path, name: str, text: str, note: str) -> Row:
    path = folder / name
    if path.is_dir():
        raise ComposeError(f"{path} is a folder, but must be a file: remove it (rmdir), then run this again")
    # An empty file keeps no secret. Who may push is the exception: nobody.
    if path.exists() and (path.stat().st_size or not text):
        return Row("kept", name, note)
    _write(path, text)
    return Row("made", name, note)


def _redis_exporter(folder: Path) -> Row:
    path = folder / REDIS_EXPORTER
    password = _content(folder / "redis_password")
    text = json.dumps({REDIS_ADDRESS: password}) + "\n"
    row = _plain(folder, REDIS_EXPORTER, text, "redis_password, as the Redis exporter wants it")
    if row.state == "made":
        return row
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        known = there.get(REDIS_ADDRESS)
    except (ValueError, AttributeError):
        raise ComposeError(
            f"{path} is not a JSON object from address to password: delete it, then run this again"
        ) from None
    if known == password:
        return row
    # It is derived, so nothing is lost; what somebody added for other servers stays.
    _write(path, json.dumps(there | {REDIS_ADDRESS: password}) + "\n")
    return Row("corrected", REDIS_EXPORTER, "it did not hold the password of redis_password")


def _certificate(stack: Stack, folder: Path, host: str) -> Row:
    chain, key = folder / "fullchain.pem", folder / "privkey.pem"
    if chain.exists() and key.exists():
        return Row("kept", "tls/fullchain.pem", "the certificate of the public door")
    for there, missing in ((chain, key), (key, chain)):
        if there.exists():
            raise ComposeError(
                f"{there} is there, but {missing.name} is not: put it beside,"
                " or remove both and a trial certificate is made"
            )
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        made = Path(work) / chain.name, Path(work) / key.name
        certificate.make_trial(*made, host, stack.environ)
        for path in made:
            path.chmod(FILE_MODE)
            path.rename(folder / path.name)
    note = f"signed by itself, for {host}, {certificate.TRIAL_DAYS} days: browsers warn; put your own there"
    return Row("made", "tls/fullchain.pem", note)


def _readable(folder: Path) -> Iterator[Row]:
    for path in sorted(folder.rglob("*")):
        wanted = 0o755 if path.is_dir() else FILE_MODE
        if path.is_symlink() or path.name == ".gitkeep":
            continue
        if path.stat().st_mode & 0o777 != wanted:
            path.chmod(wanted)
            yield Row("corrected", str(path.relative_to(folder)), f"its permissions are {wanted:04o} now")


def _left_to_do(stack: Stack, folder: Path, given: str) -> Iterator[str]:
    nowhere = [name for name in receiver_files(stack) if _content(folder / name) == DISCARD.strip()]
    if nowhere:
        yield ""
        yield "Notifications reach nobody yet. Write the address of a webhook into each of these:"
        yield from (f"  secrets/{name}" for name in nowhere)
    missing = [name for name in receiver_tokens(stack) if _token(folder, name).state == "missing"]
    if missing:
        yield ""
        yield "Write what the channel's own page shows into each of these (docs/NOTIFICATIONS.md):"
        yield from (f"  secrets/{name}" for name in missing)
    if given:
        yield ""
        yield f"secrets/{GRAFANA} is what Grafana reads; you may empty it in {stack.env_file.name}."
    yield ""
    yield "Next:  make preflight   (what is still missing)   or   make up   (the same, then start)"


def _content(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def _write(path: Path, text: str) -> None:
    """Puts a whole file in place at once, with its permissions, whatever the umask."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), FILE_MODE)
            file.write(text)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
