"""What Promtail and Alloy do with each stage of `promtail-config.yml`, by their source and documentation.

Neither program can run here. Expressions are run for real, by RE2 and JMESPath; a stage, a key or a template
that is not written below is an error, so nothing in the file is passed over. Where the two programs differ,
what they differ in must not happen: see `_replace`.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import jmespath
import re2  # type: ignore[import-untyped]  # ships none
from tests.stack import gotime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Stage = Callable[[Iterable["Entry"]], Iterator["Entry"]]
    Counted = Counter[tuple[str, frozenset[tuple[str, str]]]]

# When a line is read that Docker, or nobody, gave another time.
READ_AT = datetime(2026, 11, 21, 9, tzinfo=UTC)
MARK = '\x1f{{ now | date "2006-01-02T15:04:05.999999999Z07:00" }}\x1f{{ .Value }}'
LOWERED = "{{ ToLower .Value }}"
RAISED = (
    '{{ if and .raised (not (has .level (list "warning" "error" "critical"))) }}error'
    "{{ else if .level }}{{ .level }}{{ end }}"
)


@dataclass
class Entry:
    """A line on its way; `time` is None as long as nothing set it, `pause` where nothing came for a while."""

    line: str
    labels: dict[str, str]
    time: datetime | None = None
    extracted: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    pause: bool = False


class Pipeline:
    """Stages, applied to a stream of lines."""

    def __init__(
        self, stages: list[dict[str, Any]], counted: Counted | None = None, local: tzinfo = UTC
    ) -> None:
        self.counted: Counted = Counter() if counted is None else counted
        self.local = local
        self.stages = [self._built(*stage.popitem()) for stage in map(dict, stages)]

    def run(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        entries = each(lambda entry: entry.extracted.update(entry.labels))(entries)
        for stage in self.stages:
            entries = stage(entries)
        yield from entries

    def _built(self, kind: str, config: object) -> Stage:
        build: Callable[[object], Stage] = getattr(self, f"_{kind}")
        return build(config)

    def _match(self, config: dict[str, Any]) -> Stage:
        selector = re2.fullmatch(
            r'\{(?P<label>\w+)(?P<operator>=~|=)"(?P<value>[^"]+)"\}', config["selector"]
        )
        drop = config.get("action") == "drop"
        assert set(config) == {
            "selector",
            *(("action", "drop_counter_reason") if drop else ("pipeline_name", "stages")),
        }
        inner = None if drop else Pipeline(config["stages"], self.counted, self.local)

        def run(entries: Iterable[Entry]) -> Iterator[Entry]:
            # Two pipelines side by side: only where a stream goes one way as a whole does it keep its order.
            listed = list(entries)
            values = {entry.labels.get(selector["label"], "") for entry in listed}
            assert len(values) <= 1
            if not all(re2.fullmatch(selector["value"], value) for value in values):
                return iter(listed)
            return inner.run(listed) if inner else iter(())

        return run

    def _multiline(self, config: dict[str, Any]) -> Stage:
        assert set(config) == {"firstline", "max_lines", "max_wait_time"}
        first = re2.compile(config["firstline"])

        def run(entries: Iterable[Entry]) -> Iterator[Entry]:
            start: Entry | None = None
            lines: list[str] = []
            for entry in entries:
                begins = not entry.pause and first.search(entry.line) is not None
                if start and lines and (begins or entry.pause or len(lines) == config["max_lines"]):
                    yield block(start, lines)
                    lines = []
                if begins:
                    start = entry
                if entry.pause or start is None:
                    yield entry
                else:
                    # Not its own time, not its own labels: those of the last line that began something.
                    lines.append(entry.line)
            if start and lines:
                yield block(start, lines)

        return run

    def _regex(self, config: dict[str, str]) -> Stage:
        assert set(config) - {"source"} == {"expression"}
        expression = re2.compile(config["expression"])

        def stage(entry: Entry) -> None:
            text = source_of(entry, config)
            if text is not None and (match := expression.search(text)):
                # A group that took no part is an empty text, not nothing.
                entry.extracted |= {name: value or "" for name, value in match.groupdict().items()}

        return each(stage)

    def _json(self, config: dict[str, Any]) -> Stage:
        assert set(config) - {"source"} == {"expressions"}
        paths = {name: jmespath.compile(path or name) for name, path in config["expressions"].items()}

        def stage(entry: Entry) -> None:
            try:
                document = json.loads(source_of(entry, config) or "")
            except ValueError:
                return
            if isinstance(document, dict):
                for name, path in paths.items():
                    value = path.search(document)
                    entry.extracted[name] = json.dumps(value) if isinstance(value, dict | list) else value

        return each(stage)

    def _template(self, config: dict[str, str]) -> Stage:
        assert set(config) == {"source", "template"}
        render = {LOWERED: lowered, RAISED: raised}[config["template"]]

        def stage(entry: Entry) -> None:
            text = render(entry, config["source"])
            if text == "":
                entry.extracted.pop(config["source"], None)
            elif text is not None:
                entry.extracted[config["source"]] = text

        return each(stage)

    def _replace(self, config: dict[str, str]) -> Stage:
        assert set(config) - {"source"} == {"expression", "replace"}
        expression = re2.compile(config["expression"])
        template = config["replace"]
        assert template == MARK or "{{" not in template

        def stage(entry: Entry) -> None:
            text = source_of(entry, config)
            if text is None:
                return
            pieces, at = [], 0
            for match in expression.finditer(text):
                for group in range(1, expression.groups + 1):
                    start, end = match.span(group)
                    if start < 0:
                        continue
                    # Promtail passes over what follows a replacement directly, Alloy does not: never.
                    assert at == 0 or start > at, (config, text)
                    pieces += [text[at:start], rendered(template, text[start:end])]
                    at = end
            result = "".join([*pieces, text[at:]])
            if "source" in config:
                entry.extracted[config["source"]] = result
            else:
                entry.line = result

        return each(stage)

    def _timestamp(self, config: dict[str, Any]) -> Stage:
        assert set(config) - {"fallback_formats", "location"} == {"source", "format", "action_on_failure"}
        assert (config["action_on_failure"], config.get("location", "Local")) == ("skip", "Local")
        layouts = [config["format"], *config.get("fallback_formats", ())]

        def stage(entry: Entry) -> None:
            text = text_of(entry.extracted.get(config["source"]))
            for layout in layouts if text is not None else ():
                try:
                    entry.time = gotime.parse(layout, text or "", local=self.local)
                except ValueError:
                    continue
                return

        return each(stage)

    def _drop(self, config: dict[str, str]) -> Stage:
        assert set(config) == {"expression", "drop_counter_reason"}
        expression = re2.compile(config["expression"])
        return lambda entries: (
            entry for entry in entries if entry.pause or not expression.search(entry.line)
        )

    def _decolorize(self, config: None) -> Stage:
        assert config is None
        colour = re2.compile("\x1b\\[[0-9;]*m")

        def stage(entry: Entry) -> None:
            entry.line = colour.sub("", entry.line)
            # Other sequences are removed too, but are not written here.
            assert "\x1b" not in entry.line

        return each(stage)

    def _labels(self, config: dict[str, str | None]) -> Stage:
        return each(lambda entry: entry.labels.update(chosen(entry, config)))

    def _structured_metadata(self, config: dict[str, str | None]) -> Stage:
        return each(lambda entry: entry.metadata.update(chosen(entry, config)))

    def _labeldrop(self, names: list[str]) -> Stage:
        return each(lambda entry: [entry.labels.pop(name, None) for name in names])

    def _labelallow(self, names: list[str]) -> Stage:
        return each(lambda entry: [entry.labels.pop(name) for name in set(entry.labels) - set(names)])

    def _metrics(self, config: dict[str, dict[str, Any]]) -> Stage:
        for metric in config.values():
            assert set(metric) == {"type", "description", "prefix", "source", "max_idle_duration", "config"}
            assert (metric["type"], metric["config"]) == ("Counter", {"action": "inc"})

        def stage(entry: Entry) -> None:
            for name, metric in config.items():
                if metric["source"] in entry.extracted:
                    self.counted[metric["prefix"] + name, frozenset(entry.labels.items())] += 1

        return each(stage)


def each(stage: Callable[[Entry], object]) -> Stage:
    def run(entries: Iterable[Entry]) -> Iterator[Entry]:
        for entry in entries:
            if not entry.pause:
                stage(entry)
            yield entry

    return run


def block(start: Entry, lines: list[str]) -> Entry:
    """What becomes of joined lines."""
    return replace(
        start,
        line="\n".join(lines),
        labels=dict(start.labels),
        extracted=dict(start.extracted),
        metadata=dict(start.metadata),
    )


def lowered(entry: Entry, source: str) -> str | None:
    text = text_of(entry.extracted.get(source))
    return None if text is None else text.lower()


def raised(entry: Entry, _: str) -> str:
    level = text_of(entry.extracted.get("level")) or ""
    return (
        "error" if entry.extracted.get("raised") and level not in {"warning", "error", "critical"} else level
    )


def rendered(template: str, value: str) -> str:
    return f"\x1f{READ_AT:%Y-%m-%dT%H:%M:%SZ}\x1f{value}" if template == MARK else template


def source_of(entry: Entry, config: dict[str, Any]) -> str | None:
    return text_of(entry.extracted.get(config["source"])) if "source" in config else entry.line


def text_of(value: object) -> str | None:
    """As the programs turn an extracted value into text; None where they cannot."""
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case int() | float():
            # Every number of JSON is a float64 there, written without an exponent.
            digits = f"{Decimal(repr(float(value))):f}"
            return digits.rstrip("0").rstrip(".") if "." in digits else digits
        case _:
            return str(value)


def chosen(entry: Entry, config: dict[str, str | None]) -> dict[str, str]:
    texts = {name: text_of(entry.extracted.get(source or name)) for name, source in config.items()}
    return {name: text for name, text in texts.items() if text is not None}
