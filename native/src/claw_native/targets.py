"""Writes the configuration of the run: links to the committed files, and what only this machine knows."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import yaml

from claw_native.errors import NativeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from claw_native.service import Service
    from claw_native.settings import Settings

# Applications name their job themselves; the others have a scrape job of their own name.
APPLICATIONS = frozenset({"claw-ai-backend"})


def write_configuration(settings: Settings, services: Iterable[Service]) -> None:
    """Writes `.run/etc` anew; target files of other applications stay.

    Raises:
        NativeError: A committed file is missing.
    """
    _write_prometheus(settings, services)
    _write_alertmanager(settings)
    _write_relay(settings)


def _write_prometheus(settings: Settings, services: Iterable[Service]) -> None:
    folder = settings.etc_dir / "prometheus"
    (folder / "targets" / "apps").mkdir(parents=True, exist_ok=True)
    (folder / "targets" / "probes").mkdir(exist_ok=True)
    for stale in (folder / "targets").glob("*.yml"):
        stale.unlink()
    for name in ("prometheus.yml", "rules"):
        _link(settings.repository / "prometheus" / name, folder / name)
    for service in services:
        if not service.metrics:
            continue
        labels = {"host": platform.node()}
        if service.metrics_path:
            labels["__metrics_path__"] = service.metrics_path
        path = folder / "targets" / f"{service.job or service.name}.yml"
        if service.name in APPLICATIONS:
            labels["job"] = service.name
            path = folder / "targets" / "apps" / path.name
        target = {"targets": [f"127.0.0.1:{settings.ports[service.name]}"], "labels": labels}
        path.write_text(yaml.safe_dump([target]))


def _write_alertmanager(settings: Settings) -> None:
    folder = settings.etc_dir / "alertmanager"
    folder.mkdir(parents=True, exist_ok=True)
    source = settings.repository / "alertmanager"
    _link(source / "alertmanager.yml", folder / "alertmanager.yml")
    if (source / "templates").is_dir():
        _link(source / "templates", folder / "templates")
    configuration = yaml.safe_load((folder / "alertmanager.yml").read_text())
    if not _only_webhooks(configuration):
        # A demo writes no mail and calls nobody: whatever a receiver has, here it is the terminal.
        configuration["receivers"] = [_shown(receiver) for receiver in configuration["receivers"]]
        (folder / "alertmanager.yml").unlink()
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(configuration))
    for receiver, path in _url_files(configuration):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(settings.url("receiver", f"/{receiver}"))


def _only_webhooks(configuration: dict[str, list[dict[str, object]]]) -> bool:
    """Tells whether every receiver is sent to addresses in files, or nowhere."""
    integrations = [
        (key, one)
        for receiver in configuration["receivers"]
        for key, several in receiver.items()
        if isinstance(several, list)
        for one in several
    ]
    return all(key == "webhook_configs" and "url_file" in one for key, one in integrations)


def _shown(receiver: dict[str, object]) -> dict[str, object]:
    name = receiver["name"]
    webhook = {"url_file": f"secrets/{name}", "send_resolved": True}
    return {"name": name, **({"webhook_configs": [webhook]} if len(receiver) > 1 else {})}


def _write_relay(settings: Settings) -> None:
    """Writes the relay's configuration without channels: a demo sends nothing to anybody."""
    source = settings.repository / "relay" / "relay.yml"
    if not source.exists():
        raise NativeError(f"'{source}' is missing; run 'make generate'")
    configuration = yaml.safe_load(source.read_text()) | {"channels": [], "heartbeats": []}
    folder = settings.etc_dir / "relay"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "relay.yml").write_text(yaml.safe_dump(configuration))


def _url_files(configuration: dict[str, list[dict[str, object]]]) -> Iterator[tuple[str, str]]:
    """Yields (receiver, path) of every webhook whose address is a secret in a file."""
    for receiver in configuration["receivers"]:
        webhooks = receiver.get("webhook_configs")
        for webhook in webhooks if isinstance(webhooks, list) else ():
            if "url_file" in webhook:
                yield str(receiver["name"]), str(webhook["url_file"])


def _link(source: Path, link: Path) -> None:
    if not source.exists():
        raise NativeError(f"'{source}' is missing; run 'make generate'")
    link.unlink(missing_ok=True)
    link.symlink_to(source)
