"""`make demo-check`: is everything up, filled, sound and delivered? A table, and an exit code that tells."""

from __future__ import annotations

import math
import secrets
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from claw_native.absent import ABSENT_JOBS, ABSENT_QUERIES, Absence
from claw_native.errors import NativeError
from claw_native.panels import RANGE_SECONDS, STEP_SECONDS, Query, read_queries
from claw_native.status import of_running
from claw_native.supervision import Supervisor
from claw_native.tables import lined_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from claw_native.service import Service
    from claw_native.settings import Settings

POLL_SECONDS = 3.0
ARRIVAL_SECONDS = 30.0
TEST_ALERT = "NotificationTest"  # jsonnet/routes.libsonnet sends it at once


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check saw.

    Attributes:
        name: What was checked.
        detail: What there is, in few words.
        faults: What is wrong; a line each.
    """

    name: str
    detail: str
    faults: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Servers:
    """Asks the servers of a running demo."""

    settings: Settings
    http: httpx.Client
    services: Sequence[Service]

    def get(self, service: str, path: str, **parameters: str) -> Any:  # noqa: ANN401 - JSON
        """Returns what a service answers.

        Raises:
            NativeError: It does not answer, or answers an error.
        """
        url = self.settings.url(service, path)
        try:
            answer = self.http.get(url, params=parameters)
            body = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise NativeError(f"{service} does not answer {path}: {error}") from error
        if answer.is_error:
            raise NativeError(f"{service} answers {path} with {answer.status_code}: {answer.text[:300]}")
        return body

    def prometheus(self, path: str, **parameters: str) -> Any:  # noqa: ANN401 - JSON
        """Returns the `data` of Prometheus' answer."""
        return self.get("prometheus", f"/api/v1/{path}", **parameters)["data"]


def check(settings: Settings, *, wait_seconds: float = 180, say: Callable[[str], None] = print) -> int:
    """Checks a running demo; returns 0 when nothing is wrong.

    Args:
        settings: Says where it runs.
        wait_seconds: How long to wait for data, all in all.
        say: Receives progress and the table.

    Raises:
        NativeError: No demo runs here.
    """
    settings, services = of_running(settings)
    started = time.monotonic()
    deadline = started + wait_seconds
    with httpx.Client(trust_env=False, timeout=30) as http:
        servers = Servers(settings=settings, http=http, services=services)
        findings = []
        for name, run in CHECKS.items():
            say(f"checking {name}")
            findings += _until_good(run, servers, deadline, say)
    rows = [("CHECK", "RESULT", "")]
    rows += [(found.name, "FAILED" if found.faults else "ok", found.detail) for found in findings]
    say("\n" + lined_up(rows, indent=""))
    faults = [f"  {found.name}: {fault}" for found in findings for fault in found.faults]
    if faults:
        say("\n" + "\n".join(faults))
    taken = time.monotonic() - started
    say(f"\n{'FAILED, ' + str(len(faults)) + ' faults' if faults else 'All good'} after {taken:.0f} s")
    return 1 if faults else 0


def _until_good(
    run: Callable[[Servers], list[Finding]], servers: Servers, deadline: float, say: Callable[[str], None]
) -> list[Finding]:
    before = -1
    while True:
        try:
            findings = run(servers)
        except NativeError as error:
            findings = [Finding(name=run.__name__, detail="", faults=[str(error)])]
        faults = sum(len(found.faults) for found in findings)
        if not faults or time.monotonic() > deadline:
            return findings
        if faults != before:
            example = next(fault for found in findings for fault in found.faults)
            say(f"  waiting for {faults} (such as {example.splitlines()[0][:90]})")
        before = faults
        time.sleep(POLL_SECONDS)


def processes(servers: Servers) -> list[Finding]:
    """Every service of the table runs."""
    states = Supervisor(servers.settings).states()
    faults = [
        f"{service.name} is {states[service.name].state.lower() if service.name in states else 'not there'}"
        for service in servers.services
        if service.name not in states or states[service.name].state != "RUNNING"
    ]
    return [Finding(name="services", detail=f"{len(servers.services) - len(faults)} run", faults=faults)]


def jobs(servers: Servers) -> list[Finding]:
    """Every service that has metrics is scraped, every target is up, every empty job is excused."""
    targets = servers.prometheus("targets", state="active")["activeTargets"]
    found = {target["labels"]["job"] for target in targets}
    pools = {target["scrapePool"] for target in targets}
    faults = [
        f"{target['labels']['job']} {target['scrapeUrl']} is {target['health']}: {target['lastError']}"
        for target in targets
        if target["health"] != "up"
    ]
    expected = {service.job or service.name for service in servers.services if service.metrics}
    absent = ABSENT_JOBS.keys() - expected
    faults += [f"{name} has metrics, but no target" for name in sorted(expected - found)]
    empty = set(servers.prometheus("scrape_pools")["scrapePools"]) - pools
    faults += [f"{name} has no target, and no reason in absent.py" for name in sorted(empty - absent)]
    faults += [f"{name} stands in absent.py, but is scraped" for name in sorted(pools & absent)]
    up = sum(target["health"] == "up" for target in targets)
    detail = f"{up} of {len(targets)} targets up; not here: {', '.join(sorted(empty))}"
    return [Finding(name="scrape jobs", detail=detail, faults=faults)]


def rules(servers: Servers) -> list[Finding]:
    """Every rule of every file is loaded and evaluates."""
    groups = servers.prometheus("rules")["groups"]
    loaded = {group["name"]: group["rules"] for group in groups}
    faults = []
    count = 0
    for path in sorted((servers.settings.repository / "prometheus" / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            count += len(group["rules"])
            if len(loaded.get(group["name"], ())) != len(group["rules"]):
                faults.append(f"group {group['name']} of {path.name} is not loaded as the file has it")
    faults += [
        f"{rule['name']} is {rule['health']}: {rule.get('lastError', 'not evaluated yet')}"
        for group in groups
        for rule in group["rules"]
        if rule["health"] != "ok"
    ]
    detail = f"{count} rules in {len(loaded)} groups evaluate"
    return [Finding(name="rules", detail=detail, faults=faults)]


def panels(servers: Servers) -> list[Finding]:
    """Every query of every dashboard has data, or stands in the table of what is absent."""
    queries = read_queries(servers.settings.repository / "grafana" / "dashboards")
    filled = {query: _has_data(servers, query) for query in queries}
    faults: dict[str, list[str]] = {query.dashboard: [] for query in queries}
    excused: Counter[str] = Counter()
    for query, data in filled.items():
        absence = absence_of(query)
        if data and absence and not absence.sometimes:
            faults[query.dashboard].append(f"{query.place} has data, but absent.py says: {absence.reason}")
        elif not data and absence:
            excused[query.dashboard] += 1
        elif not data:
            faults[query.dashboard].append(f"{query.place} has no data: {' '.join(query.expression.split())}")
    findings = []
    for dashboard, wrong in faults.items():
        count = sum(query.dashboard == dashboard for query in queries)
        with_data = sum(data for query, data in filled.items() if query.dashboard == dashboard)
        detail = f"{with_data} of {count} queries have data, {excused[dashboard]} cannot here"
        findings.append(Finding(name=dashboard, detail=detail, faults=wrong))
    return [*findings, _unused_absences(queries)]


def absence_of(query: Query) -> Absence | None:
    """Returns why a query may have no data here."""
    return next((absence for absence in ABSENT_QUERIES if absence.mentions in query.expression), None)


def _unused_absences(queries: Iterable[Query]) -> Finding:
    used = {absence for query in queries if (absence := absence_of(query))}
    faults = [f"'{row.mentions}' of absent.py is in no query" for row in ABSENT_QUERIES if row not in used]
    reasons = "; ".join(row.reason for row in ABSENT_QUERIES)
    return Finding(name="what cannot be here", detail=reasons, faults=faults)


def _has_data(servers: Servers, query: Query) -> bool:
    if query.source != "prometheus":
        return False
    now = time.time()
    if query.instant:
        data = servers.prometheus("query", query=query.expression, time=str(now))
    else:
        window = {"start": str(now - RANGE_SECONDS), "end": str(now), "step": str(STEP_SECONDS)}
        data = servers.prometheus("query_range", query=query.expression, **window)
    return has_numbers(data)


def has_numbers(data: Mapping[str, Any]) -> bool:
    """Tells whether a result of Prometheus has anything to draw; NaN is nothing."""
    if data["resultType"] == "scalar":
        return not math.isnan(float(data["result"][1]))
    samples = (sample for row in data["result"] for sample in row.get("values", [row.get("value")]))
    return any(not math.isnan(float(sample[1])) for sample in samples if sample)


def heartbeat(servers: Servers) -> list[Finding]:
    """Prometheus' own alert travels all the way."""
    watchdogs = servers.get("receiver", "/notifications", alertname="Watchdog", limit="1")
    faults = [] if watchdogs else ["Prometheus' Watchdog has not reached the receiver"]
    detail = "" if faults else "Watchdog reached the receiver"
    return [Finding(name="alert of Prometheus", detail=detail, faults=faults)]


def delivery(servers: Servers) -> list[Finding]:
    """An alert that is sent to Alertmanager reaches the receiver, and so does its end."""
    mark = secrets.token_hex(4)
    started = time.monotonic()
    faults = []
    seconds = {}
    for status, ends_in in (("firing", timedelta(minutes=5)), ("resolved", timedelta(seconds=-1))):
        _send_alert(servers, mark, ends_in)
        if not _received(servers, mark, status):
            faults.append(f"the alert was sent to Alertmanager, '{status}' did not reach the receiver")
        seconds[status] = time.monotonic() - started
    detail = f"received after {seconds['firing']:.1f} s, its end after {seconds['resolved']:.1f} s"
    return [Finding(name="test alert", detail=detail, faults=faults)]


def _send_alert(servers: Servers, mark: str, ends_in: timedelta) -> None:
    now = datetime.now(UTC)
    alert = {
        "labels": {"alertname": TEST_ALERT, "severity": "warning", "test": mark},
        "annotations": {
            "summary": "This is a test of make demo-check, nothing is wrong.",
            "description": f"Test {mark} was sent to Alertmanager's API and ends in a moment.",
        },
        "startsAt": (now - timedelta(seconds=2)).isoformat(),
        "endsAt": (now + ends_in).isoformat(),
    }
    try:
        servers.http.post(
            servers.settings.url("alertmanager", "/api/v2/alerts"), json=[alert]
        ).raise_for_status()
    except httpx.HTTPError as error:
        raise NativeError(f"alertmanager does not take an alert: {error}") from error


def _received(servers: Servers, mark: str, status: str) -> bool:
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while time.monotonic() < deadline:
        rows = servers.get("receiver", "/notifications", alertname=TEST_ALERT)
        if any(row["labels"].get("test") == mark and row["status"] == status for row in rows):
            return True
        time.sleep(0.2)
    return False


CHECKS: dict[str, Callable[[Servers], list[Finding]]] = {
    "services": processes,
    "scrape jobs": jobs,
    "rules": rules,
    "panels": panels,
    "the way of alerts": heartbeat,
    "a test alert": delivery,
}
