"""The part of Prometheus' HTTP API the page may use: instant and range queries, and values of variables."""

import re
from collections.abc import Awaitable, Callable
from typing import ClassVar

from claw_preview.errors import (
    BadQueryError,
    NotPrometheusError,
    SlowError,
    TooLargeError,
    UnreachableError,
)
from claw_preview.source import Answer, Source, Troubles, document, shown_url

__all__ = ["Answer", "Prometheus", "shown_url"]

LABEL_VALUES = re.compile(
    r"label_values\(\s*(?:(?P<selector>.+)\s*,)?\s*(?P<label>[^,\s()]+)\s*\)", re.DOTALL
)
QUERY_RESULT = re.compile(r"query_result\((?P<query>.+)\)", re.DOTALL)
METRICS = re.compile(r"metrics\((?P<pattern>.*)\)", re.DOTALL)


class Prometheus(Source):
    """Asks one Prometheus."""

    NAME = "Prometheus"
    PATH = "api/v1"
    START = "start it (`make demo` does)"
    SETTING = "--prometheus or CLAW_PREVIEW_PROMETHEUS_URL"
    PARAMETERS: ClassVar = {
        "query": frozenset({"query", "time", "timeout", "limit"}),
        "query_range": frozenset({"query", "start", "end", "step", "timeout", "limit"}),
    }
    TROUBLES = Troubles(UnreachableError, NotPrometheusError, TooLargeError, SlowError)

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
        result = document(answer, self.NAME)["data"]["result"]
        return [
            f"{_series(item['metric'])} {item['value'][1]} {item['value'][0] * 1000:.0f}" for item in result
        ]

    _RESOLVERS: ClassVar[dict[re.Pattern[str], Callable[..., Awaitable[list[str]]]]] = {
        LABEL_VALUES: _label_values,
        re.compile(r"label_names\(\s*\)"): _label_names,
        METRICS: _metrics,
        QUERY_RESULT: _query_result,
    }


def _series(metric: dict[str, str]) -> str:
    labels = ",".join(f'{name}="{value}"' for name, value in metric.items() if name != "__name__")
    return f"{metric.get('__name__', '')}{{{labels}}}"
