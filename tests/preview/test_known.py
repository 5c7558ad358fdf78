"""Whatever the dashboards use is drawn by the preview, or left out for a reason that is written here."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.tools

ROOT = Path(__file__).parents[2]
DASHBOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
JS = ROOT / "preview" / "src" / "claw_preview" / "static" / "js"

COLOR = ["color.mode", "color.fixedColor"]
THRESHOLDS = ["thresholds.mode", "thresholds.steps.color", "thresholds.steps.value"]
LINKS = ["links.title", "links.url", "links.targetBlank"]
MAPPINGS = ["mappings.type", "mappings.options"]
FIELD = [
    *COLOR,
    *THRESHOLDS,
    *LINKS,
    *MAPPINGS,
    *["unit", "decimals", "min", "max", "noValue", "displayName"],
]
HIDE = ["custom.hideFrom.viz"]
REDUCED = ["reduceOptions.calcs", "reduceOptions.fields", "reduceOptions.values"]
LEGEND = ["legend.showLegend", "legend.displayMode", "legend.placement", "legend.calcs"]
TOOLTIP = ["tooltip.mode", "tooltip.sort"]

# What changes the drawing, by the type of the panel: its options, and what its columns are told.
OPTIONS: dict[str, list[str]] = {
    "bargauge": [*REDUCED, "displayMode", "orientation", "showUnfilled"],
    "gauge": [*REDUCED, "showThresholdMarkers"],
    "heatmap": [
        "cellGap",
        "cellValues.unit",
        "cellValues.decimals",
        "color.scheme",
        "color.exponent",
        "color.scale",
        "color.reverse",
        "filterValues.le",
        "legend.show",
        "yAxis.unit",
        "yAxis.decimals",
    ],
    "logs": [
        "showTime",
        "showLabels",
        "sortOrder",
        "wrapLogMessage",
        "prettifyLogMessage",
        "enableLogDetails",
    ],
    "piechart": [*REDUCED, *LEGEND, "displayLabels", "legend.values", "pieType"],
    "stat": [*REDUCED, *["colorMode", "graphMode", "justifyMode", "orientation", "textMode"]],
    "state-timeline": ["mergeValues", "rowHeight", "showValue"],
    "table": ["cellHeight", "frameIndex", "showHeader", "sortBy.displayName", "sortBy.desc"],
    "text": ["content", "mode"],
    "timeseries": [*LEGEND, *TOOLTIP],
}
CUSTOM: dict[str, list[str]] = {
    "table": ["align", "width", "minWidth", "hidden", "cellOptions.type", "cellOptions.mode"],
    "timeseries": [
        "axisLabel",
        "axisPlacement",
        "axisSoftMax",
        "axisSoftMin",
        "drawStyle",
        "fillOpacity",
        "gradientMode",
        "lineInterpolation",
        "lineStyle.dash",
        "lineStyle.fill",
        "lineWidth",
        "pointSize",
        "showPoints",
        "spanNulls",
        "stacking.group",
        "stacking.mode",
        "thresholdsStyle.mode",
        "transform",
    ],
}
PANEL = [
    "type",
    "title",
    "description",
    "gridPos",
    "id",
    "datasource",
    "targets",
    "options",
    "fieldConfig",
    "transformations",
    "links",
    "interval",
    "maxDataPoints",
    "timeFrom",
    "timeShift",
]
TARGET = [
    "refId",
    "datasource",
    "expr",
    "legendFormat",
    "format",
    "instant",
    "range",
    "interval",
    "hide",
    "maxLines",
    "queryType",
]
VARIABLE = [
    "name",
    "label",
    "type",
    "query",
    "datasource",
    "current",
    "hide",
    "includeAll",
    "multi",
    "allValue",
    "refresh",
    "regex",
    "sort",
    "options",
    "skipUrlSync",
    "description",
]
ANNOTATION = [
    "name",
    "datasource",
    "enable",
    "expr",
    "hide",
    "iconColor",
    "step",
    "textFormat",
    "titleFormat",
    "useValueForTime",
]
LINK = [
    "title",
    "type",
    "tags",
    "asDropdown",
    "includeVars",
    "keepTime",
    "targetBlank",
    "tooltip",
    "url",
    "icon",
]
DASHBOARD = [
    "uid",
    "title",
    "description",
    "tags",
    "refresh",
    "time",
    "links",
    "annotations",
    "templating",
    "panels",
    "editable",
    "schemaVersion",
    "version",
    "fiscalYearStartMonth",
    "liveNow",
    "timepicker",
    "timezone",
    "weekStart",
    "graphTooltip",
]

# Without effect here, with the reason.
LEFT_OUT = {
    "bargauge": {
        "legend": "each bar has its name beside it",
        "maxVizHeight": "bars share the height",
        "minVizHeight": "bars share the height",
        "minVizWidth": "bars share the width",
        "namePlacement": "names stand where they fit",
        "sizing": "bars share the height",
        "valueMode": "values have the colour of their bar, Grafana's default",
    },
    "gauge": {
        "minVizHeight": "gauges share the room",
        "minVizWidth": "gauges share the room",
        "orientation": "gauges share the room",
        "showThresholdLabels": "off in every dashboard",
        "sizing": "gauges share the room",
    },
    "heatmap": {
        "calculate": "buckets come from the histogram",
        "color.fill": "of the other colour mode",
        "color.mode": "a scheme is the only mode",
        "color.steps": "the scale is smooth",
        "custom.scaleDistribution": "rows are buckets, whatever their bounds",
        "exemplars": "Prometheus stores none by default",
        "rowsFrame": "buckets are named by their upper bound",
        "showValue": "the pointer shows it",
        "tooltip": "one cell at a time is the only way",
        "yAxis.axisPlacement": "left, as everywhere",
        "yAxis.reverse": "off in every dashboard",
    },
    "logs": {
        "dedupStrategy": "no line is left out",
        "showCommonLabels": "a click on a line shows its labels",
    },
    "piechart": {"orientation": "the legend decides", "tooltip": "one slice at a time is the only way"},
    "stat": {
        "percentChangeColorMode": "the change is not shown",
        "showPercentChange": "off in every dashboard",
        "wideLayout": "names stand above their values",
    },
    "state-timeline": {
        "alignValue": "values stand in the middle",
        "custom": "bands are filled and have no border",
        "legend": "each band has its name beside it",
        "tooltip": "one band at a time is the only way",
    },
    "table": {"custom.filterable": "off in every dashboard", "footer": "drawn, see test_page"},
    "timeseries": {},
}
# Switches that mean nothing on: a dashboard that turns one on needs it drawn.
MUST_BE_OFF = {
    "gauge": ["showThresholdLabels"],
    "heatmap": ["calculate", "yAxis.reverse"],
    "stat": ["showPercentChange"],
    "table": ["custom.filterable"],
}
# Words of which only some are drawn, by the path's end.
WORDS = {
    "cellOptions.type": {"auto", "color-text", "color-background", "gauge"},
    "drawStyle": {"line", "bars", "points"},
    "format": {"time_series", "table", "heatmap"},
    "lineInterpolation": {"linear", "smooth", "stepBefore", "stepAfter"},
    "lineStyle.fill": {"solid", "dash", "dot"},
    "stacking.mode": {"none", "normal", "percent"},
    "thresholdsStyle.mode": {"off", "line", "dashed", "area", "line+area", "dashed+area"},
    "thresholds.mode": {"absolute", "percentage"},
}
# Names that are the dashboard's own, below these.
FREE = ("excludeByName", "includeByName", "indexByName", "renameByName", "mappings.options")

TABLES = """async () => {
  const load = (name) => import(`/static/js/${name}.js`);
  const [{ PANELS }, fields, { TRANSFORMATIONS }, { CALCULATIONS }, { RESOLVERS }, { CONTINUOUS, SCHEMES }] =
    await Promise.all(['panels/index', 'fields', 'transform', 'reduce', 'variables', 'colors'].map(load));
  const tables = {
    panels: PANELS, matchers: fields.MATCHERS, mappings: fields.MAPPINGS, transformations: TRANSFORMATIONS,
    calculations: CALCULATIONS, variables: RESOLVERS, colors: CONTINUOUS, schemes: SCHEMES };
  return Object.fromEntries(Object.entries(tables).map(([name, table]) => [name, Object.keys(table)]));
}"""
UNITS = """async (units) => {
  const { isUnit } = await import('/static/js/units.js');
  return units.filter((unit) => !isUnit(unit));
}"""

Known = dict[str, list[str]]


@pytest.fixture(scope="module")
def page(chromium: BrowserContext, preview_url: str) -> Iterator[Page]:
    page = chromium.new_page()
    page.goto(f"{preview_url}/healthz")  # its modules are wanted, not the page
    yield page
    page.close()


@pytest.fixture(scope="module")
def known(page: Page) -> Known:
    """What the page's own tables hold."""
    tables: Known = page.evaluate(TABLES)
    tables["colors"] += ["fixed", "shades", "thresholds", "palette-classic", "palette-classic-by-name"]
    return tables


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """(path, value) of everything inside; places in lists do not count."""
    if path.endswith(FREE):
        yield path, None
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, path)
    else:
        yield path, value


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels") or []
        else:
            yield panel


def field_settings(panel: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Defaults and overrides alike; `custom.x` of an override is a path already."""
    config = panel.get("fieldConfig", {})
    yield from leaves(config.get("defaults", {}))
    for override in config.get("overrides", []):
        for change in override["properties"]:
            yield from leaves(change["value"], change["id"])


def beyond(paths: Iterator[tuple[str, object]] | list[tuple[str, object]], listed: set[str]) -> Iterator[str]:
    for path, _value in paths:
        parts = path.split(".")
        if not any(".".join(parts[: count + 1]) in listed for count in range(len(parts))):
            yield path


def words(path: str, value: object, known: Known) -> str | None:
    """What is wrong with a value that must be one of some words."""
    tables = {
        "color.mode": "colors",
        "color.scheme": "schemes",
        "reduceOptions.calcs": "calculations",
        "legend.calcs": "calculations",
        "mappings.type": "mappings",
    }
    for end, allowed in {**WORDS, **{end: set(known[table]) for end, table in tables.items()}}.items():
        if (path == end or path.endswith(f".{end}")) and value not in allowed:
            return f"{path} is {value!r}"
    return None


def panel_strangers(panel: dict[str, Any], known: Known) -> Iterator[str]:
    kind = panel["type"]
    if kind not in known["panels"]:
        yield f"panels of type {kind}"
        return
    left_out = LEFT_OUT.get(kind, {})
    options, fields = list(leaves(panel.get("options", {}))), list(field_settings(panel))
    if kind == "heatmap":  # its colours are those of its options
        options = [(path, value) for path, value in options if (path, value) != ("color.mode", "scheme")]
    yield from beyond(options, {*OPTIONS[kind], *left_out})
    custom = {f"custom.{name}" for name in CUSTOM.get(kind, [])}
    yield from beyond(fields, {*FIELD, *HIDE, *custom, *left_out})
    yield from beyond([(key, None) for key in panel], set(PANEL))
    targets = panel.get("targets", [])
    for target in targets:
        # Exemplars are not drawn: Prometheus stores none by default.
        yield from beyond([(key, None) for key in target], {*TARGET, "exemplar"})
    for path, value in [*options, *fields, *((key, target[key]) for target in targets for key in target)]:
        if path in MUST_BE_OFF.get(kind, []) and value:
            yield f"{path} is on"
        wrong = words(path, value, known)
        if wrong:
            yield wrong
    yield from unknown_steps(panel, known)


def unknown_steps(panel: dict[str, Any], known: Known) -> Iterator[str]:
    for override in panel.get("fieldConfig", {}).get("overrides", []):
        if override["matcher"]["id"] not in known["matchers"]:
            yield f"matcher {override['matcher']['id']}"
    for step in panel.get("transformations", []):
        if step["id"] not in known["transformations"]:
            yield f"transformation {step['id']}"


def strangers(dashboard: dict[str, Any], known: Known) -> list[str]:
    """Everything that a dashboard uses and the preview does not know."""
    found = [f"dashboard: {path}" for path in beyond([(key, None) for key in dashboard], set(DASHBOARD))]
    lists = {
        "variable": (dashboard["templating"]["list"], VARIABLE),
        "annotation": (dashboard["annotations"]["list"], ANNOTATION),
        "link": (dashboard["links"], LINK),
    }
    for name, (items, listed) in lists.items():
        found += [
            f"{name}: {path}" for item in items for path in beyond([(key, None) for key in item], set(listed))
        ]
    kinds = [variable["type"] for variable in dashboard["templating"]["list"]]
    found += [f"variable of type {kind}" for kind in kinds if kind not in known["variables"]]
    for panel in panels(dashboard):
        found += [f"{panel.get('title')}: {stranger}" for stranger in panel_strangers(panel, known)]
    return found


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_the_preview_knows_everything_a_dashboard_uses(path: Path, known: Known) -> None:
    assert strangers(json.loads(path.read_text()), known) == []


def test_every_unit_has_its_own_way_of_being_written(page: Page) -> None:
    units = {
        str(value)
        for path in DASHBOARDS
        for panel in panels(json.loads(path.read_text()))
        for name, value in [*field_settings(panel), *leaves(panel.get("options", {}))]
        if name.split(".")[-1] == "unit"
    }
    assert page.evaluate(UNITS, sorted(units)) == []
    assert page.evaluate(UNITS, ["widgets"]) == ["widgets"]


def one(**panel: object) -> dict[str, Any]:
    return {
        "templating": {"list": []},
        "annotations": {"list": []},
        "links": [],
        "panels": [{"title": "P", **panel}],
    }


def defaults(**settings: object) -> dict[str, Any]:
    return {"defaults": settings}


@pytest.mark.parametrize(
    ("panel", "stranger"),
    [
        ({"type": "geomap"}, "P: panels of type geomap"),
        ({"type": "stat", "options": {"sparkle": 1}}, "P: sparkle"),
        ({"type": "stat", "options": {"showPercentChange": True}}, "P: showPercentChange is on"),
        ({"type": "stat", "repeat": "job"}, "P: repeat"),
        ({"type": "timeseries", "fieldConfig": defaults(custom={"bars": 1})}, "P: custom.bars"),
        (
            {"type": "timeseries", "fieldConfig": defaults(custom={"drawStyle": "dots"})},
            "P: custom.drawStyle is 'dots'",
        ),
        ({"type": "table", "transformations": [{"id": "histogram"}]}, "P: transformation histogram"),
        (
            {
                "type": "table",
                "fieldConfig": {"overrides": [{"matcher": {"id": "byValue"}, "properties": []}]},
            },
            "P: matcher byValue",
        ),
        ({"type": "timeseries", "targets": [{"format": "traces"}]}, "P: format is 'traces'"),
        (
            {"type": "stat", "options": {"reduceOptions": {"calcs": ["logmin"]}}},
            "P: reduceOptions.calcs is 'logmin'",
        ),
    ],
)  # fmt: skip
def test_something_new_is_named(panel: dict[str, Any], stranger: str, known: Known) -> None:
    assert strangers(one(**panel), known) == [stranger]


def test_what_is_said_to_be_drawn_is_read_by_the_page() -> None:
    sources = "\n".join(path.read_text() for path in sorted(JS.rglob("*.js")))
    told = {
        *FIELD,
        *HIDE,
        *(name for table in (OPTIONS, CUSTOM) for names in table.values() for name in names),
    }
    named = {part for path in told for part in path.split(".")}
    assert sorted(name for name in named if not re.search(rf"\b{name}\b", sources)) == []
