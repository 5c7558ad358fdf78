"""The stack that is drilled: what the demo runs, with less time in its configuration."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import yaml

from claw_native.command import run
from claw_native.drills.shrink import Shrink, left_out
from claw_native.stack import available_services
from claw_native.targets import write_configuration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from claw_native.service import Service
    from claw_native.settings import Settings

    Change = Callable[[Service], Service]

APP: Final = "claw-ai-backend"
# A list of Redis that the exporter counts; the application has a worker for a queue of this name.
QUEUE: Final = "indexing"
# Nobody looks at dashboards or reads logs while drills run.
NOT_NEEDED: Final = frozenset({"preview", "grafana", "loki", "promtail"})
LEAST_PROBE_SECONDS: Final = 1.0
# The day of the users stands still, so that no drill meets fewer of them than another.
LOAD: Final = {"CLAW_LOAD_RATE": "16", "CLAW_LOAD_DAY_SECONDS": "86400", "CLAW_LOAD_CONCURRENCY": "150"}
FAULTS: Final = {"CLAW_CHAT_FAULTS": "on"}


def textfiles(settings: Settings) -> Path:
    """Returns the folder that the node exporter reads metrics from."""
    return settings.data_dir / "textfile"


def drill_services(shrink: Shrink) -> tuple[Service, ...]:
    """Returns the services of the demo that drills need, changed where time or faults are concerned."""
    changes: dict[str, Change] = {
        "prometheus": _flags(
            lambda _: [
                "--config.auto-reload-interval=1s",
                # What fires or ends while Alertmanager is away is said again after this.
                f"--rules.alert.resend-delay={shrink.duration('1m')}",
            ]
        ),
        "node-exporter": _flags(
            lambda settings: [f"--collector.textfile.directory={textfiles(settings)}"],
        ),
        "exporter": _variables(
            lambda settings: {"CLAW_EXPORTER_CONFIG": str(settings.etc_dir / "exporter.yml")}
        ),
        APP: _variables(lambda _: FAULTS),
        "load": _variables(lambda _: LOAD),
    }
    services = (service for service in available_services() if service.name not in NOT_NEEDED)
    return tuple(
        changes[service.name](service) if service.name in changes else service for service in services
    )


def _flags(flags: Callable[[Settings], list[str]]) -> Change:
    """Returns what adds flags to a service, in place of those with the same names."""

    def change(service: Service) -> Service:
        def command(settings: Settings) -> list[str]:
            new = flags(settings)
            names = {flag.partition("=")[0] for flag in new}
            old = [word for word in service.command(settings) if word.partition("=")[0] not in names]
            return [*old, *new]

        return replace(service, command=command)

    return change


def _variables(variables: Callable[[Settings], Mapping[str, str]]) -> Change:
    """Returns what adds environment variables to a service."""

    def change(service: Service) -> Service:
        def environment(settings: Settings) -> Mapping[str, str]:
            return {**service.environment(settings), **variables(settings)}

        return replace(service, environment=environment)

    return change


@dataclass(frozen=True)
class DrillConfiguration:
    """Writes `etc/` of a drill's stack.

    Args:
        shrink: How much faster time passes.
    """

    shrink: Shrink

    def __call__(self, settings: Settings, services: Iterable[Service]) -> None:
        """Writes everything, in place of what the demo would.

        Raises:
            NativeError: A committed file is missing, or promtool refuses what was written.
        """
        # What was written before is no link, as the demo expects it to be.
        shutil.rmtree(settings.etc_dir, ignore_errors=True)
        write_configuration(settings, services)
        textfiles(settings).mkdir(parents=True, exist_ok=True)
        self._write_rules(settings)
        prometheus = settings.etc_dir / "prometheus" / "prometheus.yml"
        _rewrite(prometheus, self.shrink.prometheus)
        _rewrite(settings.etc_dir / "alertmanager" / "alertmanager.yml", self.shrink.alertmanager)
        self._write_exporter(settings)
        run([settings.bin_dir / "promtool", "check", "config", prometheus])

    def _write_rules(self, settings: Settings) -> None:
        folder = settings.etc_dir / "prometheus" / "rules"
        folder.unlink(missing_ok=True)
        folder.mkdir()
        for name, document in drilled_rules(read_rules(settings.repository / "prometheus" / "rules")).items():
            (folder / name).write_text(yaml.safe_dump(self.shrink.rules(document), sort_keys=False))

    def _write_exporter(self, settings: Settings) -> None:
        text = (settings.repository / "exporter" / "exporter.yml").read_text()

        def interval(found: re.Match[str]) -> str:
            return f"{found[1]}{max(LEAST_PROBE_SECONDS, self.shrink.seconds(float(found[2]))):g}"

        # A text, not a document: its ${NAME} are filled in by the exporter.
        text = re.sub(r"(\b(?:interval|timeout)_seconds: )(\d+)", interval, text)
        text = re.sub(r"(?m)^(\s+)queues: \[\]", rf"\1queues: [{{name: {QUEUE}, timestamp_field: at}}]", text)
        (settings.etc_dir / "exporter.yml").write_text(text)


def read_rules(folder: Path) -> dict[str, dict[str, Any]]:
    """Returns every file of rules, by its name."""
    return {path.name: yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yml"))}


def drilled_rules(documents: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns the files without the alerts that look back too far."""
    rules = [
        rule for document in documents.values() for group in document["groups"] for rule in group["rules"]
    ]
    without = left_out(rules)
    return {name: _without(document, without) for name, document in documents.items()}


def _without(document: dict[str, Any], expressions: Mapping[str, float]) -> dict[str, Any]:
    groups = [
        {**group, "rules": [rule for rule in group["rules"] if rule["expr"] not in expressions]}
        for group in document["groups"]
    ]
    return {**document, "groups": [group for group in groups if group["rules"]]}


def _rewrite(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    document = change(yaml.safe_load(path.read_text()))
    path.unlink()  # a link to the committed file
    path.write_text(yaml.safe_dump(document, sort_keys=False))
