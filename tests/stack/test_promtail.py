"""The log pipeline, run over sample lines: its regular expressions by RE2, its JSON paths by JMESPath.

The program itself cannot run here. What it does with each stage is written below, from its documented
behaviour; a stage or a key that is not written below is an error, so nothing in the file is passed over.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jmespath
import pytest
import re2  # type: ignore[import-untyped]  # ships none
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Stage = Callable[[Iterable["Entry"]], Iterator["Entry"]]

ROOT = Path(__file__).resolve().parents[2]
CONFIG = yaml.safe_load((ROOT / "promtail" / "promtail-config.yml").read_text())
SCRAPE = CONFIG["scrape_configs"][0]
STAGES = SCRAPE["pipeline_stages"]
SAMPLES = [
    sample
    for path in sorted((ROOT / "promtail" / "samples").glob("*.yml"))
    for sample in yaml.safe_load(path.read_text())
]


@dataclass
class Entry:
    line: str
    labels: dict[str, str]
    extracted: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


class Pipeline:
    """Stages of `promtail-config.yml`, applied to a stream of lines."""

    def __init__(self, stages: list[dict[str, Any]], counted: Counter[tuple[str, str]] | None = None) -> None:
        self.counted = Counter() if counted is None else counted
        self.stages = [self._built(*stage.popitem()) for stage in map(dict, stages)]

    def run(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        for stage in self.stages:
            entries = stage(entries)
        yield from entries

    def _built(self, kind: str, config: object) -> Stage:
        build: Callable[[object], Stage] = getattr(self, f"_{kind}")
        return build(config)

    def _match(self, config: dict[str, Any]) -> Stage:
        selector = re2.fullmatch(r'\{service(?P<operator>!~|=~|=)"(?P<value>[^"]+)"\}', config["selector"])
        assert set(config) == {"selector", "pipeline_name", "stages"}
        wanted = selector["operator"] != "!~"
        inner = Pipeline(config["stages"], self.counted)

        def run(entries: Iterable[Entry]) -> Iterator[Entry]:
            # A pipeline keeps the order within a stream, and a sample is one stream.
            listed = list(entries)
            matches = bool(re2.fullmatch(selector["value"], listed[0].labels["service"])) is wanted
            return inner.run(listed) if matches else iter(listed)

        return run

    def _multiline(self, config: dict[str, Any]) -> Stage:
        assert set(config) == {"firstline", "max_lines", "max_wait_time"}
        first = re2.compile(config["firstline"])

        def run(entries: Iterable[Entry]) -> Iterator[Entry]:
            block: Entry | None = None
            for entry in entries:
                if first.search(entry.line):
                    if block:
                        yield block
                    block = entry
                elif block:
                    block = replace(block, line=f"{block.line}\n{entry.line}")
                else:
                    yield entry
            if block:
                yield block

        return run

    def _regex(self, config: dict[str, str]) -> Stage:
        assert set(config) - {"source"} == {"expression"}
        expression = re2.compile(config["expression"])

        def stage(entry: Entry) -> None:
            text = text_of(entry.extracted.get(config["source"])) if "source" in config else entry.line
            if text is not None and (match := expression.search(text)):
                entry.extracted |= match.groupdict()

        return each(stage)

    def _json(self, config: dict[str, Any]) -> Stage:
        assert set(config) == {"expressions"}
        paths = {name: jmespath.compile(path or name) for name, path in config["expressions"].items()}

        def stage(entry: Entry) -> None:
            try:
                document = json.loads(entry.line)
            except ValueError:
                return
            for name, path in paths.items():
                value = path.search(document)
                entry.extracted[name] = json.dumps(value) if isinstance(value, dict | list) else value

        return each(stage)

    def _template(self, config: dict[str, str]) -> Stage:
        assert config == {"source": config["source"], "template": "{{ ToLower .Value }}"}

        def stage(entry: Entry) -> None:
            if (text := text_of(entry.extracted.get(config["source"]))) is not None:
                entry.extracted[config["source"]] = text.lower()

        return each(stage)

    def _replace(self, config: dict[str, str]) -> Stage:
        assert set(config) == {"source", "expression", "replace"}
        # Only what a group captured is replaced, so the group has to be the whole.
        assert re2.fullmatch(r"\^\([a-z|#*\\]+\)\$", config["expression"])

        def stage(entry: Entry) -> None:
            text = text_of(entry.extracted.get(config["source"]))
            if text is not None and re2.search(config["expression"], text):
                entry.extracted[config["source"]] = config["replace"]

        return each(stage)

    def _labels(self, config: dict[str, str | None]) -> Stage:
        return each(lambda entry: entry.labels.update(chosen(entry, config)))

    def _structured_metadata(self, config: dict[str, str | None]) -> Stage:
        return each(lambda entry: entry.metadata.update(chosen(entry, config)))

    def _labeldrop(self, names: list[str]) -> Stage:
        def stage(entry: Entry) -> None:
            for name in names:
                entry.labels.pop(name, None)

        return each(stage)

    def _metrics(self, config: dict[str, dict[str, Any]]) -> Stage:
        for metric in config.values():
            assert set(metric) == {"type", "description", "prefix", "source", "max_idle_duration", "config"}
            assert (metric["type"], metric["config"]) == ("Counter", {"action": "inc"})

        def stage(entry: Entry) -> None:
            for name, metric in config.items():
                if metric["source"] in entry.extracted:
                    self.counted[metric["prefix"] + name, entry.labels[metric["source"]]] += 1

        return each(stage)


def each(stage: Callable[[Entry], None]) -> Stage:
    def run(entries: Iterable[Entry]) -> Iterator[Entry]:
        for entry in entries:
            stage(entry)
            yield entry

    return run


def text_of(value: object) -> str | None:
    """As the program turns an extracted value into text; None where it cannot."""
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.17g}"
        case _:
            return str(value)


def chosen(entry: Entry, config: dict[str, str | None]) -> dict[str, str]:
    texts = {name: text_of(entry.extracted.get(source or name)) for name, source in config.items()}
    return {name: text for name, text in texts.items() if text is not None}


def discovered(container: str, *, labels: dict[str, str]) -> dict[str, str]:
    """What the relabelling makes of a container that Docker lists."""
    meta = {"__meta_docker_container_name": f"/{container}", "__meta_docker_container_log_stream": "stderr"}
    meta |= {f"__meta_docker_container_label_{name}": value for name, value in labels.items()}
    for rule in SCRAPE["relabel_configs"]:
        assert set(rule) - {"regex"} == {"source_labels", "target_label"}
        (source,) = rule["source_labels"]
        if match := re2.fullmatch(rule.get("regex", "(.*)"), meta.get(source, "")):
            meta[rule["target_label"]] = match[1]
    return {name: value for name, value in meta.items() if not name.startswith("__")}


def outcome(sample: dict[str, Any]) -> tuple[list[dict[str, Any]], Counter[tuple[str, str]]]:
    pipeline = Pipeline(STAGES)
    given = [Entry(line, {"service": sample["service"]}) for line in sample["lines"]]
    entries = [
        {
            "line": entry.line,
            "labels": {name: value for name, value in entry.labels.items() if name != "service"},
            "metadata": entry.metadata,
        }
        for entry in pipeline.run(given)
    ]
    return entries, pipeline.counted


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["about"])
def test_sample_lines_become_the_entries_they_must(sample: dict[str, Any]) -> None:
    expected = [
        {"line": entry.get("line", line), "labels": entry["labels"], "metadata": entry.get("metadata", {})}
        for entry, line in zip(sample["entries"], [*sample["lines"], *[None] * 99], strict=False)
    ]
    entries, counted = outcome(sample)

    assert entries == expected
    assert counted == Counter(
        {(name, value): n for name, by in sample.get("counted", {}).items() for value, n in by.items()}
    )


def test_every_service_whose_lines_are_never_joined_exists() -> None:
    selector = STAGES[0]["match"]["selector"]
    alone = selector.removeprefix('{service!~"').removesuffix('"}')
    services = yaml.safe_load((ROOT / "docker-compose.prod.yml").read_text())["services"]
    ours = {"claw-ai-backend", "exporter", "load", "model-server"}

    assert {name for name in services if not re2.fullmatch(alone, name)} == ours
    assert [name for name in alone.split("|") if "*" not in name and name not in services] == []


def test_a_compose_container_has_the_name_of_its_service() -> None:
    labels = {"com_docker_compose_service": "redis", "com_docker_compose_project": "claw"}

    assert discovered("claw-redis-1", labels=labels) == {
        "container": "claw-redis-1",
        "service": "redis",
        "stream": "stderr",
    }


def test_a_container_outside_compose_is_its_own_service() -> None:
    assert discovered("shop", labels={})["service"] == "shop"


def test_only_five_labels_can_come_out() -> None:
    made = {name for sample in SAMPLES for entry in outcome(sample)[0] for name in entry["labels"]}
    discovered_labels = set(discovered("x", labels={}))
    external = set(CONFIG["clients"][0]["external_labels"])

    assert made | discovered_labels | external == {"host", "service", "container", "stream", "level"}


def test_docker_is_asked_through_the_proxy_only() -> None:
    hosts = [entry["host"] for scrape in CONFIG["scrape_configs"] for entry in scrape["docker_sd_configs"]]

    assert hosts == ["tcp://docker-proxy:2375"]


def test_positions_are_kept_on_a_volume() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.prod.yml").read_text())["services"]
    folder = Path(CONFIG["positions"]["filename"]).parent

    assert f"promtail-data:{folder}" in services["promtail"]["volumes"]


def test_alloy_can_run_the_same_file() -> None:
    # What its converter refuses or passes over: see docs/MONITORING_DEPLOYMENT.md.
    assert set(CONFIG) == {"server", "positions", "clients", "scrape_configs"}
    assert set(CONFIG["server"]) == {"http_listen_port", "grpc_listen_port"}
    assert set(SCRAPE) == {"job_name", "docker_sd_configs", "relabel_configs", "pipeline_stages"}
    assert "${" not in (ROOT / "promtail" / "promtail-config.yml").read_text()
