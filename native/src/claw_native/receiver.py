"""A webhook receiver for Alertmanager that prints each notification as a person would read it."""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from starlette.requests import Request

MAX_BODY_BYTES = 4_000_000
KEPT = 500
MAX_TEXT = 2000
INDENT = " " * 10
UNTIL_FIRING = "0001-01-01T00:00:00Z"  # what Alertmanager writes for a time that is not known


class Notifications:
    """The last notifications, newest first, and their printing.

    Args:
        write: Receives the text of each one.
        dashboards: Where dashboards are drawn, when that is not where the alerts say.
        now: The clock.
    """

    def __init__(
        self, write: Callable[[str], None], now: Callable[[], datetime], dashboards: str | None = None
    ) -> None:
        self._dashboards = dashboards
        self._kept: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._write = write
        self._now = now

    def add(self, receiver: str, body: Any) -> int:  # noqa: ANN401 - whatever was posted
        """Keeps and prints the alerts of one notification; returns how many there were.

        Raises:
            ValueError: The body is not one of Alertmanager's.
        """
        if not isinstance(body, dict) or not isinstance(body.get("alerts"), list):
            raise ValueError(  # noqa: TRY004 - one kind of error for a wrong body
                "not a notification of Alertmanager: it has no list 'alerts'"
            )
        alerts = [_alert(alert) for alert in body["alerts"]]
        for alert in alerts:
            at = self._now().isoformat(timespec="seconds")
            row = {"at": at, "receiver": receiver, **alert}
            self._write(self._text(row))
            self._kept.appendleft(row)
        return len(alerts)

    def rows(self, *, name: str | None = None, limit: int = KEPT) -> list[dict[str, Any]]:
        """Returns what was kept, newest first; only one alert's when it is named."""
        rows = [row for row in self._kept if name in {None, row["labels"].get("alertname")}]
        return rows[:limit]

    def _text(self, row: dict[str, Any]) -> str:
        # A heartbeat and a reminder say nothing new: one line is enough.
        before = next((old for old in self._kept if old["labels"] == row["labels"]), None)
        repeated = before is not None and before["status"] == row["status"]
        return readable(row, short=repeated, dashboards=self._dashboards)


def _alert(alert: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever was posted
    if not isinstance(alert, dict):
        raise ValueError(f"not an alert: {str(alert)[:80]!r}")  # noqa: TRY004 - one kind of error for a wrong body
    texts = {kind: _texts(alert.get(kind)) for kind in ("labels", "annotations")}
    names = {"status": "status", "starts_at": "startsAt", "ends_at": "endsAt"}
    return {key: str(alert.get(name, ""))[:MAX_TEXT] for key, name in names.items()} | texts


def _texts(values: Any) -> dict[str, str]:  # noqa: ANN401 - whatever was posted
    return (
        {str(key): str(value)[:MAX_TEXT] for key, value in values.items()} if isinstance(values, dict) else {}
    )


def readable(row: dict[str, Any], *, short: bool = False, dashboards: str | None = None) -> str:
    """Writes one alert the way a person reads it: what, how bad, since when, and where to look."""
    labels, annotations = row["labels"], row["annotations"]
    at = row["at"][11:19]
    where = " ".join(labels[key] for key in ("job", "host", "instance") if key in labels)
    head = (
        f"{at}  {row['status'].upper():<8}  {labels.get('severity', '-'):<8}  {labels.get('alertname', '?')}"
    )
    head += f"  [{where}]" if where else ""
    if short:
        return f"{head}  -> {row['receiver']}, again"
    lines = [f"{head}  -> {row['receiver']}"]
    lines += [annotations[key] for key in ("summary", "description") if annotations.get(key)]
    lines.append(_since(row))
    if annotations.get("runbook_url"):
        lines.append(f"runbook   {annotations['runbook_url']}")
    if annotations.get("dashboard_url"):
        lines.append(f"dashboard {_moved(annotations['dashboard_url'], dashboards)}")
    return f"\n{INDENT}".join(line.replace("\n", f"\n{INDENT}") for line in lines)


def _moved(url: str, dashboards: str | None) -> str:
    """Points a link to Grafana at what draws the same dashboards here."""
    _, slash, path = url.partition("/d/")
    return f"{dashboards}{slash}{path}" if dashboards and slash else url


def _since(row: dict[str, Any]) -> str:
    text = f"since {row['starts_at'][:19].replace('T', ' ')}"
    if row["status"] == "resolved" and row["ends_at"] not in {"", UNTIL_FIRING}:
        text += f", ended {row['ends_at'][:19].replace('T', ' ')}"
    return text + " UTC" if row["starts_at"].endswith("Z") else text


def create_app(notifications: Notifications) -> Starlette:
    """Returns the receiver: POST /<receiver> takes notifications, GET /notifications shows the last ones."""

    async def notify(request: Request) -> Response:
        body = await _body(request)
        try:
            count = notifications.add(request.path_params["receiver"], json.loads(body))
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        return JSONResponse({"alerts": count})

    async def show(request: Request) -> Response:
        limit = request.query_params.get("limit", str(KEPT))
        if not limit.isdecimal():
            raise HTTPException(400, f"limit is {limit!r}: not a number")
        name = request.query_params.get("alertname")
        return JSONResponse(notifications.rows(name=name, limit=int(limit)))

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    routes = [
        Route("/notifications", show),
        Route("/healthz", healthz),
        Route("/{receiver:str}", notify, methods=["POST"]),
    ]
    return Starlette(routes=routes, lifespan=_greeting)


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"more than {MAX_BODY_BYTES} bytes")
    return body


@asynccontextmanager
async def _greeting(_: Starlette) -> AsyncIterator[None]:
    _print("waiting for notifications; a Watchdog says every minute that the way here works")
    yield


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the receiver until it is told to stop."""
    parser = argparse.ArgumentParser(prog="claw-native-receiver", description=__doc__)
    parser.add_argument("--port", type=int, default=9099)
    parser.add_argument("--dashboards", metavar="URL", help="where dashboards are drawn")
    options = parser.parse_args(argv)
    app = create_app(Notifications(_print, lambda: datetime.now(UTC), options.dashboards))
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
