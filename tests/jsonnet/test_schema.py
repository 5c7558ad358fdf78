"""Every dashboard against Grafana's own types: no unknown field, no wrong type, no unheard-of value.

``from_json`` of the SDK silently drops what it does not know, so a dashboard is loaded, written again and
compared; wrong types and values are found by walking the SDK's annotations. Both must find planted errors.
"""

from __future__ import annotations

import copy
import enum
import inspect
import json
import typing
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import UnionType
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins

with warnings.catch_warnings():
    # The SDK would rather have the next format, which file provisioning of Grafana 13 does not take.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.models.dashboard import Dashboard

ROOT = Path(__file__).resolve().parents[2]
TYPES = {
    "bargauge",
    "gauge",
    "heatmap",
    "logs",
    "piechart",
    "row",
    "stat",
    "state-timeline",
    "table",
    "timeseries",
}

Json = dict[str, Any]
Plant = Callable[[Json], None]

register_default_plugins()
pytestmark = pytest.mark.filterwarnings("ignore:Prefer using dashboardv2:DeprecationWarning")


def lost(before: object, after: object, path: str = "") -> Iterator[str]:
    """Yield the places where a round trip changed something."""
    match before, after:
        case dict(), dict():
            for key, value in before.items():
                if key in after:
                    yield from lost(value, after[key], f"{path}.{key}")
                else:
                    yield f"{path}.{key}"
        case list(), list() if len(before) == len(after):
            for index, pair in enumerate(zip(before, after, strict=True)):
                yield from lost(*pair, f"{path}[{index}]")
        case _ if before != after:
            yield path


def round_trip(dashboard: Json) -> list[str]:
    """Return the fields that Grafana's types do not know."""
    loaded = Dashboard.from_json(copy.deepcopy(dashboard))
    return list(lost(dashboard, json.loads(JSONEncoder().encode(loaded))))


def mistyped(value: Any, expected: Any, path: str) -> list[str]:  # noqa: ANN401, PLR0911  # any value, any type
    """Return where a value is not of its annotated type."""
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in (typing.Union, UnionType):
        fitting = [one for one in arguments if inspect.isclass(one) and isinstance(value, one)]
        attempts = [mistyped(value, one, path) for one in fitting or arguments if one is not type(None)]
        return [] if [] in attempts else min(attempts, key=len)
    if origin is typing.Literal:
        return [] if value in arguments else [f"{path}: {value!r}"]
    if origin is list:
        if not isinstance(value, list):
            return [f"{path}: no list"]
        return [one for i, item in enumerate(value) for one in mistyped(item, arguments[0], f"{path}[{i}]")]
    if origin is dict:
        return [] if isinstance(value, dict) else [f"{path}: no object"]
    if not inspect.isclass(expected) or expected is object:
        return []
    return mistyped_class(value, expected, path)


def mistyped_class(value: Any, expected: type, path: str) -> list[str]:  # noqa: ANN401  # any value
    """The same for a plain class."""
    if issubclass(expected, enum.Enum):
        return [] if value in {one.value for one in expected} else [f"{path}: {value!r}"]
    if expected is float:
        sound = isinstance(value, int | float) and not isinstance(value, bool)
        return [] if sound else [f"{path}: {value!r}"]
    if expected in (int, str, bool):
        sound = type(value) is expected or (expected is str and isinstance(value, enum.Enum))
        return [] if sound else [f"{path}: {value!r}"]
    if isinstance(value, dict) and hasattr(expected, "from_json"):
        value = expected.from_json(value)  # The SDK leaves some parts as it found them.
    if isinstance(value, expected):
        return walk(value, path)
    abstract = expected.__module__.endswith("variants")
    return [] if abstract else [f"{path}: {value!r}"]


def walk(loaded: object, path: str = "") -> list[str]:
    """Return the wrong types and values of a loaded object."""
    found = []
    for name, expected in typing.get_type_hints(type(loaded)).items():
        value = getattr(loaded, name, None)
        if value is not None:
            found += mistyped(value, expected, f"{path}.{name}")
    return found


def wrong_types(dashboard: Json) -> list[str]:
    """Return the wrong types and values of a dashboard, those of panels' own options too."""
    loaded = Dashboard.from_json(copy.deepcopy(dashboard))
    found = walk(loaded)
    for panel in every_panel(loaded.panels or []):
        parts = [("options", panel.options)]
        if panel.field_config:
            parts.append(("custom", panel.field_config.defaults.custom))
        parts += [(f"targets[{i}]", target) for i, target in enumerate(panel.targets or [])]
        for name, part in parts:
            if hasattr(part, "to_json"):
                found += walk(part, f"{panel.title}.{name}")
    return sorted(set(found))


def every_panel(panels: list[Any]) -> Iterator[Any]:
    """Yield the panels, those inside rows too, without the rows."""
    for panel in panels:
        if panel.type_val == "row":
            yield from every_panel(panel.panels or [])
        else:
            yield panel


def test_grafana_knows_every_field(dashboard: Json) -> None:
    assert round_trip(dashboard) == []


def test_every_value_has_its_type(dashboard: Json) -> None:
    assert wrong_types(dashboard) == []


def test_only_panels_that_grafana_has_are_used(dashboard: Json) -> None:
    # The SDK does not complain about a type it has never heard of.
    assert {panel["type"] for panel in dashboard["panels"]} <= TYPES


def first(dashboard: Json, kind: str) -> Json:
    found: Json = next(panel for panel in dashboard["panels"] if panel["type"] == kind)
    return found


def custom(dashboard: Json) -> Json:
    found: Json = first(dashboard, "timeseries")["fieldConfig"]["defaults"]["custom"]
    return found


@pytest.fixture(scope="module")
def sample() -> Json:
    loaded: Json = json.loads((ROOT / "grafana/dashboards/claw-ai-overview.json").read_text())
    return loaded


UNKNOWN_FIELDS: dict[str, Plant] = {
    "of the dashboard": lambda d: d.update(titel="x"),
    "of a panel": lambda d: first(d, "stat").update(titel="x"),
    "of a panel's options": lambda d: first(d, "stat")["options"].update(colorMod="x"),
    "of a panel's custom options": lambda d: custom(d).update(fillOpacty=1),
    "of a query": lambda d: first(d, "timeseries")["targets"][0].update(exprr="x"),
    "of a variable": lambda d: d["templating"]["list"][0].update(foo=1),
    "of an annotation": lambda d: d["annotations"]["list"][0].update(foo=1),
    "of a panel in a folded row": lambda d: d["panels"].append(
        {"type": "row", "title": "r", "collapsed": True, "panels": [first(d, "stat") | {"foo": 1}]}
    ),
}

WRONG_VALUES: dict[str, Plant] = {
    "an enumeration": lambda d: first(d, "timeseries")["options"]["legend"].update(displayMode="lst"),
    "the schema version": lambda d: d.update(schemaVersion="42"),
    "a custom enumeration": lambda d: custom(d).update(drawStyle="lines"),
    "a position": lambda d: first(d, "stat")["gridPos"].update(w="8"),
    "a query's switch": lambda d: first(d, "timeseries")["targets"][0].update(instant="yes"),
}


@pytest.mark.parametrize("plant", UNKNOWN_FIELDS.values(), ids=UNKNOWN_FIELDS)
def test_a_planted_unknown_field_is_found(sample: Json, plant: Plant) -> None:
    broken = copy.deepcopy(sample)
    plant(broken)
    assert round_trip(broken)


@pytest.mark.parametrize("plant", WRONG_VALUES.values(), ids=WRONG_VALUES)
def test_a_planted_wrong_value_is_found(sample: Json, plant: Plant) -> None:
    broken = copy.deepcopy(sample)
    plant(broken)
    assert wrong_types(broken)
