"""Notices when what has to call again and again stops: the outside end of a dead man's switch.

A heartbeat that names alerts needs each of them: one that says "Prometheus and Alertmanager run" must not
cover for one that says "and their data is fresh", when that stops.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from claw_relay import catalog
from claw_relay.errors import RejectedError
from claw_relay.message import Format, Message, one_line
from claw_relay.words import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from claw_exporter.store import Store
    from claw_relay.sender import Sender
    from claw_relay.settings import Channel, Heartbeat, Settings

__all__ = ["Heartbeats"]

_log: Final = logging.getLogger("claw_relay.heartbeats")

# What a heartbeat that names no alerts is kept under.
ANY: Final = ""
RETRY_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 1.0


@dataclass(slots=True)
class State:
    """What is known of one heartbeat.

    Attributes:
        beats: Alert -> when it was last heard (seconds since 1970).
        stopped: Since when it has been silent; None while it beats.
        told: Channels that know what `stopped` says.
    """

    beats: dict[str, float] = field(default_factory=dict)
    stopped: float | None = None
    told: list[str] = field(default_factory=list)


class Heartbeats:
    """Watches every heartbeat of the configuration.

    Args:
        settings: Which, and where what is known is kept over a restart.
        sender: Says it.
        store: Where the numbers go.
        clock: Seconds since 1970.
    """

    def __init__(
        self, settings: Settings, sender: Sender, store: Store, *, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._sender = sender
        self._clock = clock
        self._all: Mapping[str, Heartbeat] = {heartbeat.name: heartbeat for heartbeat in settings.heartbeats}
        self._channels: Mapping[str, Channel] = {channel.id: channel for channel in settings.channels}
        self._path = Path(settings.state_file)
        self._states = self._read()
        self._written = ""
        # Who was away itself cannot tell who was silent meanwhile: everybody has the time of grace once more.
        self._since = clock()
        self._retry_at: dict[str, float] = {}
        self._counter = store.counter(catalog.HEARTBEATS)
        self._age = store.gauge(catalog.HEARTBEAT_AGE)
        self._stopped = store.gauge(catalog.HEARTBEAT_STOPPED)
        for heartbeat in settings.heartbeats:
            self._counter.child(heartbeat.name)
            store.gauge(catalog.HEARTBEAT_GRACE).set(heartbeat.grace_seconds, heartbeat.name)
        store.before_scrape(self.refresh)

    def get(self, name: str) -> Heartbeat | None:
        """Returns a heartbeat by its name."""
        return self._all.get(name)

    def beat(self, heartbeat: Heartbeat, alerts: Iterable[str]) -> None:
        """Notes a call.

        Args:
            heartbeat: Whose.
            alerts: What fires, by name; of no matter where the heartbeat names none.
        """
        self._counter.inc(heartbeat.name)
        now = self._clock()
        wanted = set(heartbeat.alerts) & set(alerts) if heartbeat.alerts else {ANY}
        self._states[heartbeat.name].beats |= dict.fromkeys(wanted, now)

    def refresh(self) -> None:
        """Brings the gauges up to date."""
        for heartbeat in self._all.values():
            self._age.set(self._silence(heartbeat), heartbeat.name)
            self._stopped.set(self._states[heartbeat.name].stopped is not None, heartbeat.name)

    async def run(self) -> None:
        """Looks again and again, and speaks up."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Looks once, and says what there is to say."""
        for heartbeat in self._all.values():
            state = self._states[heartbeat.name]
            late = self._late(heartbeat)
            if late and state.stopped is None:
                state.stopped, state.told = self._clock() - self._silence(heartbeat), []
                _log.warning(
                    "heartbeat stopped", extra={"fields": {"heartbeat": heartbeat.name, "missing": late}}
                )
            if state.stopped is not None and late:
                await self._tell(heartbeat, heartbeat.channels, back=False, missing=late)
            elif state.stopped is not None:
                await self._end(heartbeat, state)
        self._write()

    async def _end(self, heartbeat: Heartbeat, state: State) -> None:
        # Who was not told that it stopped need not be told that it is back.
        await self._tell(heartbeat, [*state.told], back=True, missing=[])
        if not state.told:
            _log.info("heartbeat is back", extra={"fields": {"heartbeat": heartbeat.name}})
            state.stopped = None
            self._retry_at.pop(heartbeat.name, None)

    async def _tell(
        self, heartbeat: Heartbeat, channels: Iterable[str], *, back: bool, missing: list[str]
    ) -> None:
        """Sends to whom it is news; who did not take it is tried again later."""
        state = self._states[heartbeat.name]
        news = [name for name in channels if (name in state.told) is back]
        if not news or (not back and self._clock() < self._retry_at.get(heartbeat.name, 0)):
            return
        for name in news:
            message = self._message(heartbeat, self._channels[name], back=back, missing=missing)
            try:
                await self._sender.send(self._channels[name], message)
            except RejectedError:
                self._retry_at[heartbeat.name] = self._clock() + RETRY_SECONDS
                continue
            if back:
                state.told.remove(name)
            else:
                state.told.append(name)

    def _message(self, heartbeat: Heartbeat, channel: Channel, *, back: bool, missing: list[str]) -> Message:
        how = Format(
            words=LANGUAGES[channel.language], zone=self._settings.time_zone, now=lambda: datetime.now(UTC)
        )
        words, start = how.words, self._states[heartbeat.name].stopped or self._clock()
        values = {
            "name": heartbeat.name,
            "missing": words.separator.join(missing) or heartbeat.name,
            "length": words.length(timedelta(seconds=self._clock() - start)),
            "start": how.time(datetime.fromtimestamp(start, UTC)),
        }
        title, text = (words.back, words.back_text) if back else (words.stopped, words.stopped_text)
        return Message(
            title=one_line(title.format(**values)),
            colour="green" if back else "red",
            blocks=((one_line(text.format(**values)),),),
            left_out=0,
            more=str,
        )

    def _late(self, heartbeat: Heartbeat) -> list[str]:
        """Returns what has been silent for longer than its time of grace."""
        now = self._clock()
        names = heartbeat.alerts or (ANY,)
        beats = self._states[heartbeat.name].beats
        return [
            name or heartbeat.name
            for name in names
            if now - max(beats.get(name, 0.0), self._since) > heartbeat.grace_seconds
            or (
                self._states[heartbeat.name].stopped is not None
                and now - beats.get(name, 0.0) > heartbeat.grace_seconds
            )
        ]

    def _silence(self, heartbeat: Heartbeat) -> float:
        """Returns for how long the quietest alert of a heartbeat has been silent."""
        beats = self._states[heartbeat.name].beats
        return self._clock() - min(beats.get(name, self._since) for name in heartbeat.alerts or (ANY,))

    # -- What is kept over a restart -------------------------------------------------------------------------
    def _read(self) -> dict[str, State]:
        try:
            kept: Any = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            kept = {}
        except (OSError, ValueError) as error:
            _log.warning(
                "state not read, beginning anew",
                extra={"fields": {"file": str(self._path), "why": str(error)}},
            )
            kept = {}
        return {name: _state(kept.get(name) if isinstance(kept, dict) else None) for name in self._all}

    def _write(self) -> None:
        if not self._all:
            return
        text = json.dumps({name: _kept(state) for name, state in self._states.items()})
        if text == self._written:
            return
        partial = self._path.with_suffix(".partial")
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(self._path)
            self._written = text
        except OSError as error:
            _log.warning("state not written", extra={"fields": {"file": str(self._path), "why": str(error)}})


def _kept(state: State) -> dict[str, Any]:
    return {"beats": state.beats, "stopped": state.stopped, "told": state.told}


def _state(kept: Any) -> State:  # noqa: ANN401 - whatever the file holds
    """Reads what a file says of one heartbeat; nothing where it says nothing that makes sense."""
    if not isinstance(kept, dict) or not isinstance(kept.get("beats"), dict):
        return State()
    stopped, told = kept.get("stopped"), kept.get("told")
    return State(
        beats={str(name): float(at) for name, at in kept["beats"].items() if isinstance(at, int | float)},
        stopped=float(stopped) if isinstance(stopped, int | float) else None,
        told=[str(name) for name in told] if isinstance(told, list) else [],
    )
