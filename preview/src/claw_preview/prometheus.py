"""The part of Prometheus' HTTP API the page may use: instant and range queries, and values of variables."""

import asyncio
import contextlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import httpx

from claw_preview.errors import (
    BadQueryError,
    BusyError,
    NotPrometheusError,
    SlowError,
    TooLargeError,
    UnreachableError,
)

__all__ = ["Answer", "Prometheus", "shown_url"]

MAX_ANSWER_BYTES = 32 * 1024 * 1024
MAX_QUERY_CHARACTERS = 20_000
MAX_CONNECTIONS = 8
LABEL_VALUES = re.compile(
    r"label_values\(\s*(?:(?P<selector>.+)\s*,)?\s*(?P<label>[^,\s()]+)\s*\)", re.DOTALL
)
QUERY_RESULT = re.compile(r"query_result\((?P<query>.+)\)", re.DOTALL)
METRICS = re.compile(r"metrics\((?P<pattern>.*)\)", re.DOTALL)
PARAMETERS = {
    "query": frozenset({"query", "time", "timeout", "limit"}),
    "query_range": frozenset({"query", "start", "end", "step", "timeout", "limit"}),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Prometheus' own answer, good or bad, to be passed on as it is."""

    status: int
    body: bytes


def shown_url(url: str) -> str:
    """The address without a password, for messages."""
    parsed = httpx.URL(url)
    return str(parsed.copy_with(userinfo=b"")) if parsed.userinfo else url


class Prometheus:
    """Asks one Prometheus. Bounds its queries, their time, the answers and the connections."""

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
            base_url=f"{url.rstrip('/')}/api/v1/",
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
            BadQueryError: a parameter is missing, unknown or too long.
            PrometheusError: no usable answer.
        """
        unknown = sorted(set(parameters) - PARAMETERS[endpoint])
        if unknown:
            known = ", ".join(sorted(PARAMETERS[endpoint]))
            raise BadQueryError(f"unknown parameters {', '.join(unknown)}; {endpoint} takes {known}")
        query = parameters.get("query", "")
        if not query.strip():
            raise BadQueryError("the parameter `query` is missing or empty")
        if len(query) > MAX_QUERY_CHARACTERS:
            raise BadQueryError(
                f"the query has {len(query)} characters; at most {MAX_QUERY_CHARACTERS} are passed on"
            )
        return await self._send(self._client.build_request("POST", endpoint, data=dict(parameters)))

    async def variable(self, query: str, *, start: str, end: str) -> list[str]:
        """Values of a dashboard variable: a `label_values`, `label_names`, `metrics` or `query_result` query.

        Raises:
            BadQueryError: another kind of query, or Prometheus refuses it.
            PrometheusError: no usable answer.
        """
        text = query.strip()
        span = {"start": start, "end": end}
        for pattern, resolve in self._RESOLVERS.items():
            match = pattern.fullmatch(text)
            if match:
                return await resolve(self, match, span)
        raise BadQueryError(
            f"the variable query {text!r} is not understood; it must be one of label_values(metric, label), "
            "label_values(label), label_names(), metrics(regex), query_result(query)"
        )

    async def _label_values(self, match: re.Match[str], span: dict[str, str]) -> list[str]:
        selector = match["selector"]
        parameters = span | ({"match[]": selector.strip()} if selector else {})
        return await self._strings(f"label/{match['label']}/values", parameters)

    async def _label_names(self, _match: re.Match[str], span: dict[str, str]) -> list[str]:
        return await self._strings("labels", span)

    async def _metrics(self, match: re.Match[str], span: dict[str, str]) -> list[str]:
        pattern = re.compile(match["pattern"].strip().strip("\"'"))
        return [name for name in await self._strings("label/__name__/values", span) if pattern.search(name)]

    async def _query_result(self, match: re.Match[str], span: dict[str, str]) -> list[str]:
        answer = await self.ask("query", {"query": match["query"], "time": span["end"]})
        result = _document(answer)["data"]["result"]
        return [
            f"{_series(item['metric'])} {item['value'][1]} {item['value'][0] * 1000:.0f}" for item in result
        ]

    async def _strings(self, path: str, parameters: dict[str, str]) -> list[str]:
        request = self._client.build_request("GET", path, params=parameters)
        return [str(value) for value in _document(await self._send(request))["data"]]

    async def _send(self, request: httpx.Request) -> Answer:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._receive(request)
        except httpx.PoolTimeout as error:
            raise BusyError("too many queries wait for Prometheus; try a longer refresh interval") from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise SlowError(
                f"Prometheus at {self._shown_url} gave no answer within {self._timeout_seconds:g} s; "
                "choose a shorter time range, or raise CLAW_PREVIEW_TIMEOUT_SECONDS"
            ) from error
        except httpx.HTTPError as error:
            raise UnreachableError(
                f"Prometheus at {self._shown_url} does not answer ({error or type(error).__name__}); "
                "start it (`make demo` does), or correct --prometheus or CLAW_PREVIEW_PROMETHEUS_URL"
            ) from error

    async def _receive(self, request: httpx.Request) -> Answer:
        response = await self._client.send(request, stream=True)
        async with contextlib.aclosing(response):
            if not response.headers.get("content-type", "").startswith("application/json"):
                raise NotPrometheusError(
                    f"{self._shown_url} answers {response.status_code} without JSON, so it is no Prometheus; "
                    "correct --prometheus or CLAW_PREVIEW_PROMETHEUS_URL"
                )
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self._max_answer_bytes:
                    raise TooLargeError(
                        f"Prometheus' answer is larger than {self._max_answer_bytes} bytes; "
                        "aggregate the query, or choose a shorter time range"
                    )
            return Answer(response.status_code, bytes(body))

    _RESOLVERS: ClassVar[dict[re.Pattern[str], Callable[..., Awaitable[list[str]]]]] = {
        LABEL_VALUES: _label_values,
        re.compile(r"label_names\(\s*\)"): _label_names,
        METRICS: _metrics,
        QUERY_RESULT: _query_result,
    }


def _document(answer: Answer) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(answer.body)
    if document.get("status") != "success":
        raise BadQueryError(f"Prometheus refuses: {document.get('error', document)}")
    return document


def _series(metric: dict[str, str]) -> str:
    labels = ",".join(f'{name}="{value}"' for name, value in metric.items() if name != "__name__")
    return f"{metric.get('__name__', '')}{{{labels}}}"
