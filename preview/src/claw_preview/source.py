"""A server that the page asks through this one: bounds requests, their time, answers and connections."""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import httpx

from claw_preview.errors import BadQueryError, BusyError, PreviewError

__all__ = ["Answer", "Source", "Troubles", "document", "shown_url"]

MAX_ANSWER_BYTES = 32 * 1024 * 1024
MAX_QUERY_CHARACTERS = 20_000
MAX_CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """The source's own answer, good or bad, to be passed on as it is."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Troubles:
    """Which error says that a source cannot be used, and why."""

    unreachable: type[PreviewError]
    stranger: type[PreviewError]
    too_large: type[PreviewError]
    slow: type[PreviewError]


def shown_url(url: str) -> str:
    """The address without a password, for messages."""
    parsed = httpx.URL(url)
    return str(parsed.copy_with(userinfo=b"")) if parsed.userinfo else url


class Source:
    """One server with an HTTP API; a subclass says which, and what may be asked."""

    NAME: ClassVar[str]
    PATH: ClassVar[str]
    START: ClassVar[str]
    SETTING: ClassVar[str]
    PARAMETERS: ClassVar[Mapping[str, frozenset[str]]]
    TROUBLES: ClassVar[Troubles]

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float,
        transport: httpx.AsyncBaseTransport | None = None,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self._shown_url = shown_url(url)
        self._timeout_seconds = timeout_seconds
        self._max_answer_bytes = max_answer_bytes
        self._client = httpx.AsyncClient(
            base_url=f"{url.rstrip('/')}/{self.PATH}/",
            timeout=httpx.Timeout(timeout_seconds, pool=timeout_seconds / 2),
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS),
            transport=transport,
            trust_env=False,  # a proxy of the environment must not carry queries to loopback
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def ask(self, endpoint: str, parameters: Mapping[str, str]) -> Answer:
        """Pass `query` or `query_range` on, with the parameters these take.

        Raises:
            BadQueryError: a parameter that is not passed on, or no query.
            PreviewError: no usable answer; one of TROUBLES, or BusyError.
        """
        unknown = sorted(set(parameters) - self.PARAMETERS[endpoint])
        if unknown:
            known = ", ".join(sorted(self.PARAMETERS[endpoint]))
            raise BadQueryError(f"unknown parameters {', '.join(unknown)}; {endpoint} takes {known}")
        query = parameters.get("query", "")
        if not query.strip():
            raise BadQueryError("the parameter `query` is missing or empty")
        if len(query) > MAX_QUERY_CHARACTERS:
            raise BadQueryError(
                f"the query has {len(query)} characters; at most {MAX_QUERY_CHARACTERS} are passed on"
            )
        return await self._send(self._client.build_request("POST", endpoint, data=dict(parameters)))

    async def _strings(self, path: str, parameters: dict[str, str]) -> list[str]:
        request = self._client.build_request("GET", path, params=parameters)
        found = document(await self._send(request), self.NAME).get("data")
        return [str(value) for value in found or []]

    async def _send(self, request: httpx.Request) -> Answer:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._receive(request)
        except httpx.PoolTimeout as error:
            raise BusyError(
                f"too many queries wait for {self.NAME}; try a longer refresh interval"
            ) from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise self.TROUBLES.slow(
                f"{self.NAME} at {self._shown_url} gave no answer within {self._timeout_seconds:g} s; "
                "choose a shorter time range, or raise CLAW_PREVIEW_TIMEOUT_SECONDS"
            ) from error
        except httpx.HTTPError as error:
            raise self.TROUBLES.unreachable(
                f"{self.NAME} at {self._shown_url} does not answer ({error or type(error).__name__}); "
                f"{self.START}, or correct {self.SETTING}"
            ) from error

    async def _receive(self, request: httpx.Request) -> Answer:
        response = await self._client.send(request, stream=True)
        async with contextlib.aclosing(response):
            if not self._speaks(response):
                raise self.TROUBLES.stranger(
                    f"{self._shown_url} answers {response.status_code} without JSON, "
                    f"so it is no {self.NAME}; correct {self.SETTING}"
                )
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self._max_answer_bytes:
                    raise self.TROUBLES.too_large(
                        f"the answer of {self.NAME} is larger than {self._max_answer_bytes} bytes; "
                        "aggregate the query, or choose a shorter time range"
                    )
            return self._understood(response.status_code, bytes(body))

    def _speaks(self, response: httpx.Response) -> bool:
        content: str = response.headers.get("content-type", "")
        return content.startswith("application/json")

    def _understood(self, status: int, body: bytes) -> Answer:
        return Answer(status, body)


def document(answer: Answer, name: str) -> dict[str, Any]:
    """A good answer's JSON.

    Raises:
        BadQueryError: the source refuses.
    """
    found: dict[str, Any] = json.loads(answer.body)
    if found.get("status") != "success":
        raise BadQueryError(f"{name} refuses: {found.get('error', found)}")
    return found
