"""`make notify-test`: one test notification through every receiver, and what became of each."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from claw_compose import secret_files, web
from claw_compose.errors import ComposeError
from claw_compose.status import lined_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from claw_compose.engine import Stack

__all__ = ["LABEL", "notify_test"]

# jsonnet/routes.libsonnet sends an alert with this label straight to the receiver that it names.
LABEL: Final = "claw_test_receiver"
# Alertmanager tries again for ten seconds before it gives up.
WAIT_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.2
# An alert ends by itself, should we not live to end it.
LASTS: Final = timedelta(minutes=1)
SAMPLE: Final = re.compile(r"^alertmanager_(notification\w+_total)\{(.*)\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True, order=True, slots=True)
class Way:
    """One way to reach people: a receiver and the kind of its integration, such as webhook."""

    receiver: str
    integration: str


@dataclass(frozen=True, slots=True)
class Counts:
    """What Alertmanager has counted for one way since it started.

    Attributes:
        taken: Requests that the other side accepted.
        given_up: Notifications that were lost.
    """

    taken: float
    given_up: float


def notify_test(stack: Stack, *, say: Callable[[str], None]) -> int:
    """Sends the notifications, waits for the outcome of each, and prints it.

    Returns:
        1 when one was not delivered, or has nowhere to go.

    Raises:
        ComposeError: Alertmanager does not run, or runs with other settings than these.
    """
    began = datetime.now(UTC)
    ways = _ways(stack)
    empty = _unconfigured(stack)
    tested = {way for way in ways if way.receiver not in empty}
    before = _counts(stack)
    alerts = [_alert(receiver, began) for receiver in sorted({way.receiver for way in tested})]
    outcome: dict[Way, str] = {}
    if alerts:
        say(f"Sent to {', '.join(alert['labels'][LABEL] for alert in alerts)}; waiting for what they say.")
        web.post_json(_url(stack, "/api/v2/alerts"), alerts)
        try:
            outcome = _outcome(stack, tested, before)
        finally:
            web.post_json(_url(stack, "/api/v2/alerts"), [_ended(alert) for alert in alerts])
    reasons = _reasons(stack, began)
    say(lined_up([_row(way, outcome.get(way, ""), reasons, empty) for way in sorted(ways)]))
    return 0 if ways and all(outcome.get(way) == "delivered" for way in ways) else 1


def _url(stack: Stack, path: str) -> str:
    return stack.url("alertmanager", path)


def _ways(stack: Stack) -> set[Way]:
    ways = set(_counts(stack))
    running = web.get_json(_url(stack, "/api/v2/status"))["config"]["original"]
    if LABEL not in running:
        raise ComposeError("Alertmanager does not know the routes of this version yet:  make up")
    if not ways:
        raise ComposeError(
            "Alertmanager counts nothing by receiver: it has none, or runs with other flags:  make up"
        )
    return ways


def _unconfigured(stack: Stack) -> dict[str, str]:
    """Receivers whose address is the one where nobody listens, with the file that has it."""
    text = (stack.repository / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    found = {}
    for part in re.split(r"^- name: ", text.split("\nreceivers:\n")[-1], flags=re.MULTILINE):
        name = part.splitlines()[0].strip("'\"") if part else ""
        for file in re.findall(r"_file:\s*[\"']?(secrets/[\w./-]+)", part):
            path = stack.repository / file
            if path.is_file() and path.read_text(encoding="utf-8").strip() == secret_files.DISCARD:
                found[name] = file
    return found


def _counts(stack: Stack) -> dict[Way, Counts]:
    text = web.get_text(_url(stack, "/metrics"))
    totals: dict[tuple[Way, str], float] = {}
    for name, inside, value in SAMPLE.findall(text):
        labels = dict(re.findall(r'(\w+)="([^"]*)"', inside))
        if "receiver_name" in labels:
            key = Way(labels["receiver_name"], labels["integration"]), name
            totals[key] = totals.get(key, 0) + float(value)
    return {
        way: Counts(
            taken=totals.get((way, "notification_requests_total"), 0)
            - totals.get((way, "notification_requests_failed_total"), 0),
            given_up=totals.get((way, "notifications_failed_total"), 0),
        )
        for way in {way for way, _ in totals}
    }


def _alert(receiver: str, now: datetime) -> dict[str, Any]:
    return {
        "labels": {
            "alertname": "NotificationTest",
            LABEL: receiver,
            "severity": "none",
            # Each test is an alert of its own.
            "sent_at": f"{now:%Y-%m-%dT%H:%M:%S.%fZ}",
        },
        "annotations": {
            "summary": f"Test notification to {receiver}.",
            "description": "Somebody ran `make notify-test`. Nothing is wrong.",
        },
        "startsAt": now.isoformat(),
        "endsAt": (now + LASTS).isoformat(),
    }


def _ended(alert: dict[str, Any]) -> dict[str, Any]:
    return alert | {"endsAt": datetime.now(UTC).isoformat()}


def _outcome(stack: Stack, ways: set[Way], before: dict[Way, Counts]) -> dict[Way, str]:
    """Waits until each way took its notification or lost it."""
    outcome: dict[Way, str] = {}
    deadline = time.monotonic() + WAIT_SECONDS
    while ways - set(outcome) and time.monotonic() < deadline:
        now = _counts(stack)
        for way in ways - set(outcome):
            if now[way].taken > before[way].taken:
                outcome[way] = "delivered"
            elif now[way].given_up > before[way].given_up:
                outcome[way] = "failed"
        time.sleep(POLL_SECONDS)
    return outcome


def _reasons(stack: Stack, since: datetime) -> dict[str, str]:
    """What Alertmanager's log says about each receiver of the test."""
    container = stack.container("alertmanager")
    done = stack.docker("logs", "--since", since.isoformat(), container, check=False)
    return dict(_told(f"{done.stdout}\n{done.stderr}"))


def _told(log: str) -> Iterator[tuple[str, str]]:
    for line in log.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if not isinstance(entry, dict):
            continue
        named = re.search(rf'\{{{LABEL}="([^"]*)"\}}', str(entry.get("aggrGroup", "")))
        if named and "err" in entry:
            yield named[1], str(entry["err"])


def _row(way: Way, outcome: str, reasons: dict[str, str], empty: dict[str, str]) -> tuple[str, ...]:
    if way.receiver in empty:
        told = f"write the address of a webhook into {empty[way.receiver]}"
        return way.receiver, way.integration, "not configured", told
    if outcome == "delivered":
        return way.receiver, way.integration, outcome, ""
    reason = reasons.get(way.receiver, "its log says nothing:  make logs SERVICES=alertmanager")
    return way.receiver, way.integration, outcome or "no answer yet", reason
