"""A canary: one small request to an AI provider, so that its outages are seen at night and told from our own.

It costs what one prompt of a few tokens and ``max_tokens`` tokens cost, once per interval, and nothing else:
a run that fails is not repeated before the next is due.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
from typing import TYPE_CHECKING, Any, Final

import httpx

from claw_exporter import catalog
from claw_exporter.attempts import outcome as outcome_of
from claw_exporter.collectors.base import Collector, ProbeError, Report, Schedule

if TYPE_CHECKING:
    import ssl

    from claw_exporter.settings import Canary

PROMPT: Final = "Say OK."
_MOST_BYTES: Final = 65_536
_MOST_QUOTED: Final = 200
_AGENT: Final = f"claw-exporter/{importlib.metadata.version('claw-exporter')}"
_ANTHROPIC_VERSION: Final = "2023-06-01"
# What an attempt's outcome is called among the error types of a probe, where it differs.
_ERROR_TYPES: Final = {
    "auth": "authentication",
    "context_length": "invalid_request",
    "content_filter": "invalid_request",
    "other": "invalid_request",
}
# The part of an answer that holds what the model said.
_SAID: Final = {"openai": "choices", "anthropic": "content"}


class CanaryCollector(Collector):
    """Asks one model of one provider.

    Args:
        canary: Which, and how.
    """

    metrics = ()
    up = catalog.CANARY_SUCCESS
    took = catalog.CANARY_DURATION
    error_types = catalog.CANARY_ERROR_TYPES

    def __init__(self, canary: Canary) -> None:
        super().__init__(
            Schedule(
                name=f"canary/{canary.provider}/{canary.model}",
                interval_seconds=canary.interval_seconds,
                timeout_seconds=canary.timeout_seconds,
            ),
            origin=(canary,),
        )
        self._canary = canary
        self._trust: ssl.SSLContext | None = None
        self.up_labels = (canary.provider, canary.model)

    async def collect(self) -> Report:
        """Ask, over a connection of its own: name resolution and TLS are part of what may fail."""
        if self._trust is None:
            self._trust = await asyncio.to_thread(httpx.create_ssl_context)
        headers = await asyncio.to_thread(self._headers)  # reads the key, which may have been changed
        timeout = self._canary.timeout_seconds
        async with httpx.AsyncClient(verify=self._trust, timeout=timeout, headers=headers) as client:
            status, body = await self._answer(client)
        self._check(status, body)
        return Report({})

    def _headers(self) -> dict[str, str]:
        key = self._canary.key_file.fresh() if self._canary.key_file else ""
        common = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
        if self._canary.api == "anthropic":
            return {**common, "x-api-key": key, "anthropic-version": _ANTHROPIC_VERSION}
        return {**common, **({"Authorization": f"Bearer {key}"} if key else {})}

    async def _answer(self, client: httpx.AsyncClient) -> tuple[int, bytes]:
        question = {
            "model": self._canary.model,
            "messages": [{"role": "user", "content": PROMPT}],
            self._canary.max_tokens_parameter: self._canary.max_tokens,
        }
        body = b""
        try:
            async with client.stream("POST", self._canary.url.value, json=question) as response:
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > _MOST_BYTES:
                        break
                return response.status_code, body
        except httpx.HTTPError as error:
            outcome = outcome_of(0, b"", error)
            raise ProbeError(
                _ERROR_TYPES.get(outcome, outcome), f"{type(error).__name__}: {error}"
            ) from error

    def _check(self, status: int, body: bytes) -> None:
        if status >= httpx.codes.BAD_REQUEST:
            outcome = outcome_of(status, body, None)
            raise ProbeError(_ERROR_TYPES.get(outcome, outcome), f"HTTP {status}: {_words(body)}")
        if not _parsed(body).get(_SAID[self._canary.api]):
            raise ProbeError("result", f"HTTP {status} without {_SAID[self._canary.api]!r}: {_words(body)}")


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _words(body: bytes) -> str:
    """Give what a refusal says, for the log."""
    error = _parsed(body).get("error")
    message = error.get("message") if isinstance(error, dict) else error
    return str(message or body.decode("utf-8", "replace"))[:_MOST_QUOTED]
