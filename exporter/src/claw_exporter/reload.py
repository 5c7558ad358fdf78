"""Reads ``exporter.yml`` again while the process runs: a signal's wish, and what becomes of it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from claw_exporter import catalog
from claw_exporter.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_exporter.settings import Settings
    from claw_exporter.store import Store

_log: Final = logging.getLogger("claw_exporter.reload")
_REFUSED: Final = "the settings were not read again; the old ones stay"


class Reloads:
    """Waits for a wish to read the settings again, and fulfils it.

    Wishes that come while one is being fulfilled are one more. What cannot be read changes nothing.

    Args:
        load: Reads the settings; raises what `claw_exporter.settings.load` raises. Called in a thread.
        clock: Unix time.
    """

    def __init__(self, load: Callable[[], Settings], *, clock: Callable[[], float] = time.time) -> None:
        self._load = load
        self._clock = clock
        self._wished = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event = asyncio.Event()
        self._succeeded = True
        self._succeeded_at = clock()

    def wish(self, *_: object) -> None:
        """Ask for it. A signal handler may, at any time, also before there is an event loop."""
        self._wished = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._event.set)

    async def serve(self, apply: Callable[[Settings], dict[str, Any]]) -> None:
        """Fulfil wishes until cancelled.

        Args:
            apply: Puts settings to use, or raises and leaves everything as it is; returns fields for the log.
        """
        self._loop = asyncio.get_running_loop()
        try:
            if self._wished:
                self._event.set()
            while True:
                await self._event.wait()
                self._event.clear()
                self._wished = False
                await self._fulfil(apply)
        finally:
            self._loop = None

    async def _fulfil(self, apply: Callable[[Settings], dict[str, Any]]) -> None:
        try:
            fields = apply(await asyncio.to_thread(self._load))
        except SettingsError as error:
            self._succeeded = False
            mistakes = [mistake.describe(str(error.source)) for mistake in error.mistakes]
            _log.error(_REFUSED, extra={"fields": {"mistakes": mistakes}})
        except Exception:  # noqa: BLE001 - the process's edge: shown on /metrics, and logged
            self._succeeded = False
            _log.exception(_REFUSED)
        else:
            self._succeeded, self._succeeded_at = True, self._clock()
            _log.info("settings read again", extra={"fields": fields})

    def register(self, store: Store) -> None:
        """Let ``store`` show how the last wish went, and when one was last fulfilled."""
        store.derive(catalog.CONFIG_RELOAD_SUCCESS, lambda: [((), [float(self._succeeded)])])
        store.derive(catalog.CONFIG_RELOAD_TIME, lambda: [((), [self._succeeded_at])])
