"""The page's own logic, module by module, in the browser that will run it."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.tools

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
RUN = "async ([path, name, given]) => { const module = await import(path); return module[name](...given); }"


@pytest.fixture(scope="module")
def page(chromium: BrowserContext, preview_url: str) -> Iterator[Page]:
    page = chromium.new_page()
    page.goto(preview_url)
    yield page
    page.close()


def call(page: Page, module: str, name: str, *given: object) -> Any:  # noqa: ANN401 - whatever the function gives
    return page.evaluate(RUN, [f"/static/js/{module}.js", name, list(given)])


def evaluate(page: Page, module: str, body: str, given: object = None) -> Any:  # noqa: ANN401 - the same
    """Run `body` with the module as `m` and `given`."""
    return page.evaluate(
        f"async (given) => {{ const m = await import('/static/js/{module}.js'); {body} }}", given
    )


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "s", "0 s"),
        (0.25, "s", "250 ms"),
        (0.0004, "s", "400 µs"),
        (90, "s", "1.50 mins"),
        (3600, "s", "1 hour"),
        (172_800, "s", "2 days"),
        (1500, "ms", "1.50 s"),
        (1536, "bytes", "1.50 KiB"),
        (-2_147_483_648, "bytes", "-2 GiB"),
        (1500, "decbytes", "1.50 kB"),
        (2_000_000, "Bps", "2 MB/s"),
        (0.1234, "percentunit", "12.3%"),
        (1, "percentunit", "100%"),
        (99.5, "percent", "99.5%"),
        (12.5, "reqps", "12.5 req/s"),
        (12_500, "ops", "12.5K ops/s"),
        (1_234_567, "short", "1.23 Mil"),
        (-3.2, "short", "-3.20"),
        (0.0123, "currencyUSD", "$0.0123"),
        (-1_500_000, "currencyUSD", "-$1.50M"),
        (1234, "locale", "1,234"),
        (93_784, "dtdurations", "1 day, 2 hours"),
        (3661, "dthms", "01:01:01"),
        (1, "bool_yes_no", "Yes"),
        (5, "suffix:tokens", "5 tokens"),
        (7, "widgets", "7 widgets"),
        (7, "none", "7"),
        (7, None, "7"),
    ],
)
def test_a_value_is_written_in_its_unit(page: Page, value: float, unit: str | None, text: str) -> None:
    assert call(page, "units", "formatValue", value, unit) == text


def test_decimals_may_be_given(page: Page) -> None:
    assert call(page, "units", "formatValue", 0.12345, "percentunit", 2) == "12.35%"
    assert evaluate(page, "units", "return m.formatValue(Infinity, 's')") == "∞"


@pytest.mark.parametrize(
    ("low", "high", "unit", "texts"),
    [
        (0, 1, "percentunit", ["0%", "20%", "40%", "60%", "80%", "100%"]),
        (0, 3e9, "bytes", ["0 B", "1 GiB", "2 GiB"]),
        (0, 7e8, "bytes", ["0 B", "256 MiB", "512 MiB"]),
        (0, 4000, "s", ["0 s", "15 mins", "30 mins", "45 mins", "1 hour"]),
        (0, 50_000_000, "s", ["0 s", "20 weeks", "40 weeks", "60 weeks", "80 weeks"]),
        (0, 0.3, "s", ["0 s", "100 ms", "200 ms", "300 ms"]),
        (-1, 1, "short", ["-1", "-0.5", "0", "0.5", "1"]),
    ],
)
def test_an_axis_is_marked_at_round_numbers_of_its_unit(
    page: Page, low: float, high: float, unit: str, texts: list[str]
) -> None:
    assert [tick["text"] for tick in call(page, "units", "valueTicks", low, high, 5, unit)] == texts


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("15s", 15_000), ("1m30s", 90_000), (">10s", 10_000), ("500ms", 500), ("2d", 2 * DAY)],
)
def test_durations_are_read(page: Page, text: str, milliseconds: int) -> None:
    assert call(page, "time", "parseDuration", text) == milliseconds


def test_a_word_is_no_duration(page: Page) -> None:
    assert evaluate(page, "time", "return Number.isNaN(m.parseDuration('soon'))")


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(90_000, "90s"), (120_000, "2m"), (DAY, "1d"), (250, "250ms")]
)
def test_durations_are_written_as_prometheus_reads_them(page: Page, milliseconds: int, text: str) -> None:
    assert call(page, "time", "formatDuration", milliseconds) == text


def test_relative_times_are_resolved(page: Page) -> None:
    assert call(page, "time", "resolveRange", {"from": "now-6h", "to": "now"}, DAY) == {
        "from": DAY - 6 * HOUR,
        "to": DAY,
    }
    assert call(page, "time", "resolveRange", {"from": "nonsense", "to": "now"}, DAY) == {
        "from": DAY - HOUR,
        "to": DAY,
    }
    assert call(page, "time", "resolveRange", {"from": "1000", "to": "2000"}, DAY) == {
        "from": 1000,
        "to": 2000,
    }


@pytest.mark.parametrize(
    ("query", "step", "rate"),
    [
        # One hour on 800 pixels: the scrape interval holds, and a rate needs four scrapes.
        ({"rangeMs": HOUR, "points": 800}, 15_000, 60_000),
        ({"rangeMs": DAY, "points": 800}, 120_000, 135_000),
        ({"rangeMs": 30 * DAY, "points": 800}, HOUR, HOUR + 15_000),
        ({"rangeMs": HOUR, "points": 800, "panelMin": "1m"}, 60_000, 75_000),
        ({"rangeMs": HOUR, "points": 800, "queryMin": "30s"}, 30_000, 120_000),
        ({"rangeMs": HOUR, "points": 800, "factor": 2}, 30_000, 60_000),
        # Prometheus gives 11000 points at most.
        ({"rangeMs": 30 * DAY, "points": 1_000_000}, 300_000, 315_000),
    ],
)
def test_steps_and_rate_windows_are_those_of_grafana(
    page: Page, query: dict[str, Any], step: int, rate: int
) -> None:
    result = call(page, "time", "queryInterval", {"scrapeMs": 15_000} | query)
    assert result == {"stepMs": step, "rateMs": rate}


SCOPE = """
const variable = (name, value, more = {}) => [name, { kind: 'query', name, value,
  multi: false, includeAll: false, options: ['a.b', 'c'].map((text) => ({ text, value: text })), ...more }];
const scope = new Map([variable('one', ['a.b']), variable('many', ['a.b', 'c'], { multi: true }),
  variable('all', ['$__all'], { multi: true, includeAll: true, allValue: '.+' }),
  variable('every', ['$__all'], { multi: true, includeAll: true }),
  variable('quoted', ['say "x"']), ['__interval', m.builtin('15s')]]);
return m.interpolate(given[0], scope, given[1]);
"""


@pytest.mark.parametrize(
    ("text", "purpose", "result"),
    [
        ('up{a="$one"}', "prometheus", 'up{a="a.b"}'),
        ('up{a=~"$many"}', "prometheus", 'up{a=~"(a\\\\.b|c)"}'),
        ('up{a=~"$all"}', "prometheus", 'up{a=~".+"}'),
        ('up{a=~"${every}"}', "prometheus", 'up{a=~"(a\\\\.b|c)"}'),
        ('up{a="[[quoted]]"}', "prometheus", 'up{a="say \\"x\\""}'),
        ("rate(x[$__interval])", "prometheus", "rate(x[15s])"),
        ("x_$nobody ${no.body}", "prometheus", "x_$nobody ${no.body}"),
        ("${many:csv} ${many:pipe} ${many:json}", "text", 'a.b,c a.b|c ["a.b","c"]'),
        ("${many:regex} ${many:raw} ${many:glob}", "text", "(a\\.b|c) a.b,c {a.b,c}"),
        ("${many:queryparam}", "url", "var-many=a.b&var-many=c"),
        ("${all:queryparam}", "url", "var-all=%24__all"),
        ("Of $many and $all", "title", "Of a.b + c and All"),
        ("?x=${quoted}", "url", "?x=say%20%22x%22"),
    ],
)
def test_variables_are_put_into_texts(page: Page, text: str, purpose: str, result: str) -> None:
    assert evaluate(page, "variables", SCOPE, [text, purpose]) == result


def test_choices_of_a_custom_variable_may_have_names(page: Page) -> None:
    options = call(page, "variables", "customOptions", "small : 1, b, c\\,d")
    assert options == [
        {"text": "small", "value": "1"},
        {"text": "b", "value": "b"},
        {"text": "c,d", "value": "c,d"},
    ]


def test_choices_of_a_query_are_cut_by_a_pattern_and_sorted(page: Page) -> None:
    given = ["b-2", "b-10", "x", "b-2"]
    options = call(page, "variables", "queryOptions", given, {"regex": "/b-(\\d+)/", "sort": 4})
    assert [option["value"] for option in options] == ["10", "2"]
    plain = call(page, "variables", "queryOptions", given, {"regex": "", "sort": 1})
    assert [option["value"] for option in plain] == ["b-10", "b-2", "x"]


RESOLVE = """
const variable = m.readVariable(given.json);
if (given.value) variable.value = given.value;
await m.resolve(variable, m.makeScope([], { from: 0, to: 3_600_000 }),
  { sources: new Set(['prometheus']), ask: async () => ['x', 'y'] });
return [variable.value, variable.options.map((option) => option.value)];
"""


@pytest.mark.parametrize(
    ("json", "value", "result"),
    [
        ({"type": "query", "query": "label_values(x)"}, None, [["x"], ["x", "y"]]),
        (
            {"type": "query", "query": {"query": "label_values(x)"}, "includeAll": True, "multi": True},
            None,
            [["$__all"], ["x", "y"]],
        ),
        ({"type": "query", "query": "label_values(x)", "multi": True}, ["y", "gone"], [["y"], ["x", "y"]]),
        ({"type": "custom", "query": "1,2", "current": {"value": "2"}}, None, [["2"], ["1", "2"]]),
        ({"type": "interval", "query": "1m,5m"}, ["5m"], [["5m"], ["1m", "5m"]]),
        ({"type": "interval", "query": "1m", "auto": True, "auto_count": 60}, None, [["1m"], ["1m", "1m"]]),
        ({"type": "datasource", "query": "prometheus"}, None, [["prometheus"], ["prometheus"]]),
        ({"type": "constant", "query": "k"}, None, [["k"], ["k"]]),
        ({"type": "textbox", "query": "start"}, ["typed"], [["typed"], ["typed"]]),
    ],
)
def test_a_variable_finds_its_choices_and_keeps_a_known_value(
    page: Page, json: dict[str, Any], value: list[str] | None, result: list[list[str]]
) -> None:
    assert evaluate(page, "variables", RESOLVE, {"json": {"name": "v"} | json, "value": value}) == result


@pytest.mark.parametrize(
    ("metric", "template", "name"),
    [
        ({"job": "a", "m": "GET"}, "{{job}} {{ m }}", "a GET"),
        ({"job": "a"}, "{{gone}}x", "x"),
        ({"job": "a"}, "__auto", "a"),
        ({"__name__": "up", "job": "a", "i": "b"}, "__auto", 'up{job="a", i="b"}'),
        ({"__name__": "up"}, "", "up"),
        ({}, "__auto", "the query"),
    ],
)
def test_series_are_named_by_their_template(
    page: Page, metric: dict[str, str], template: str, name: str
) -> None:
    assert call(page, "frames", "legendName", metric, template, "the query") == name


MATRIX = {
    "resultType": "matrix",
    "result": [{"metric": {"le": bound}, "values": values} for bound, values in (
        ("+Inf", [[0, "9"], [30, "5"]]), ("1", [[0, "4"], [15, "NaN"], [30, "5"]]),
    )],
}  # fmt: skip
CONTEXT = {"expr": "x", "range": {"from": 0, "to": 30_000}, "stepMs": 15_000}


def test_a_range_is_put_on_its_grid_with_nothing_where_nothing_is(page: Page) -> None:
    frames = call(page, "frames", "toFrames", MATRIX, {"refId": "A", "legendFormat": "{{le}}"}, CONTEXT)
    assert [frame["name"] for frame in frames] == ["+Inf", "1"]
    assert frames[0]["fields"][0]["values"] == [0, 15_000, 30_000]
    assert frames[0]["fields"][1]["values"] == [9, None, 5]
    assert frames[1]["fields"][1]["values"] == [4, None, 5]


def test_cumulative_buckets_become_counts_of_their_own(page: Page) -> None:
    target = {"refId": "A", "legendFormat": "{{le}}", "format": "heatmap"}
    frames = call(page, "frames", "toFrames", MATRIX, target, CONTEXT)
    assert [(frame["name"], frame["fields"][1]["values"]) for frame in frames] == [
        ("1", [4, None, 5]),
        ("+Inf", [5, None, 0]),
    ]


def vector(**values: str) -> dict[str, Any]:
    result = [{"metric": {"job": job}, "value": [1, value]} for job, value in values.items()]
    return {"resultType": "vector", "result": result}


TABLES = """
const { toFrames } = await import('/static/js/frames.js');
const frames = given.answers.flatMap((answer, at) =>
  toFrames(answer, { refId: 'AB'[at], format: 'table' }, { expr: '', many: given.answers.length > 1 }));
const { frames: result, notes } = m.transform(frames, given.steps);
const { fieldName } = await import('/static/js/frames.js');
const columns = (frame) => Object.fromEntries(frame.fields.map((field) => [fieldName(field), field.values]));
return [result.map(columns), notes];
"""


def tables(page: Page, steps: list[dict[str, Any]], *answers: dict[str, Any]) -> Any:  # noqa: ANN401 - as above
    return evaluate(page, "transform", TABLES, {"answers": answers, "steps": steps})


def test_merged_tables_have_one_row_for_equal_labels(page: Page) -> None:
    [frame], notes = tables(
        page, [{"id": "merge", "options": {}}], vector(x="1", y="2"), vector(y="3", z="4")
    )
    assert frame == {
        "Time": [1000, 1000, 1000],
        "job": ["x", "y", "z"],
        "Value #A": [1, 2, None],
        "Value #B": [None, 3, 4],
    }
    assert notes == []


def test_columns_are_left_out_ordered_and_renamed(page: Page) -> None:
    organize = {
        "id": "organize",
        "options": {
            "excludeByName": {"Time": True},
            "indexByName": {"Value": 0, "job": 1},
            "renameByName": {"Value": "Up", "job": "Job"},
        },
    }
    [frame], _notes = tables(page, [organize], vector(x="1"))
    assert list(frame.items()) == [("Up", [1]), ("Job", ["x"])]


def test_joined_tables_number_their_equal_columns(page: Page) -> None:
    join = {"id": "joinByField", "options": {"byField": "job", "mode": "outer"}}
    [frame], _notes = tables(page, [join], vector(x="1", y="2"), vector(y="3"))
    assert frame == {
        "job": ["x", "y"],
        "Time 1": [1000, 1000],
        "Value #A": [1, 2],
        "Time 2": [None, 1000],
        "Value #B": [None, 3],
    }
    inner = join | {"options": {"byField": "job", "mode": "inner"}}
    [frame], _notes = tables(page, [inner], vector(x="1", y="2"), vector(y="3"))
    assert frame["job"] == ["y"]


@pytest.mark.parametrize(
    ("step", "result"),
    [
        ({"id": "filterFieldsByName", "options": {"include": {"names": ["job"]}}}, {"job": ["x", "y", "z"]}),
        ({"id": "filterFieldsByName", "options": {"exclude": {"pattern": "T|V"}}}, {"job": ["x", "y", "z"]}),
        (
            {"id": "renameByRegex", "options": {"regex": "^(V)al.*", "renamePattern": "$1"}},
            {"Time": [1000] * 3, "job": ["x", "y", "z"], "V": [2, 1, 3]},
        ),
        (
            {"id": "sortBy", "options": {"sort": [{"field": "Value", "desc": True}]}},
            {"Time": [1000] * 3, "job": ["z", "x", "y"], "Value": [3, 2, 1]},
        ),
        ({"id": "limit", "options": {"limitField": 1}}, {"Time": [1000], "job": ["x"], "Value": [2]}),
        (
            {"id": "reduce", "options": {"reducers": ["max", "sum"]}},
            {"Field": ["Value"], "Max": [3], "Total": [6]},
        ),
        (
            {"id": "calculateField", "options": {"mode": "binary", "alias": "Twice", "replaceFields": True,
             "binary": {"left": "Value", "operator": "*", "right": "2"}}},
            {"Time": [1000] * 3, "Twice": [4, 2, 6]},
        ),
        (
            {"id": "calculateField", "options": {"mode": "reduceRow", "replaceFields": True,
             "reduce": {"reducer": "sum"}}},
            {"Time": [1000] * 3, "Total": [2, 1, 3]},
        ),
        (
            {"id": "groupBy", "options": {"fields": {"Time": {"operation": "groupby"},
             "Value": {"operation": "aggregate", "aggregations": ["mean"]}}}},
            {"Time": [1000], "Value (mean)": [2]},
        ),
        (
            {"id": "filterByValue", "options": {"type": "include", "match": "all",
             "filters": [{"fieldName": "Value", "config": {"id": "greater", "options": {"value": 1}}}]}},
            {"Time": [1000] * 2, "job": ["x", "z"], "Value": [2, 3]},
        ),
    ],
)  # fmt: skip
def test_transformations_change_a_table(page: Page, step: dict[str, Any], result: dict[str, Any]) -> None:
    [frame], _notes = tables(page, [step], vector(x="2", y="1", z="3"))
    assert frame == result


def test_an_unknown_transformation_is_named(page: Page) -> None:
    _frames, notes = tables(page, [{"id": "histogram"}], vector(x="2"))
    assert notes == ['The transformation "histogram" is not applied here; Grafana does.']


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("lastNotNull", 4), ("last", None), ("first", 1), ("min", 1), ("max", 4), ("mean", 2.5), ("sum", 10),
        ("count", 5), ("range", 3), ("delta", 3), ("diff", 3), ("median", 2.5), ("p90", 3.7),
    ],
)  # fmt: skip
def test_a_column_becomes_one_number(page: Page, name: str, result: float | None) -> None:
    assert call(page, "reduce", "reduce", [1, 2, 3, 4, None], name) == pytest.approx(result)


def test_nothing_has_no_mean(page: Page) -> None:
    assert call(page, "reduce", "reduce", [None], "mean") is None


THRESHOLDS = {"mode": "absolute", "steps": [{"value": None, "color": "green"}, {"value": 5, "color": "red"}]}
GREEN, RED, BLUE = "#73BF69", "#F2495C", "#5794F2"


@pytest.mark.parametrize(
    ("value", "config", "color"),
    [
        (4, {"thresholds": THRESHOLDS}, GREEN),
        (5, {"thresholds": THRESHOLDS}, RED),
        (4, {"thresholds": THRESHOLDS | {"mode": "percentage"}, "min": 0, "max": 40}, RED),
        (4, {"color": {"mode": "fixed", "fixedColor": "blue"}}, BLUE),
        (4, {"color": {"mode": "palette-classic"}}, GREEN),
        (4, {"mappings": [{"type": "value", "options": {"4": {"text": "four", "color": "blue"}}}]}, BLUE),
        (
            4,
            {"mappings": [{"type": "range", "options": {"from": 3, "to": 5, "result": {"color": "red"}}}]},
            RED,
        ),
        (10, {"color": {"mode": "continuous-GrYlRd"}, "min": 0, "max": 10}, "rgb(242, 73, 92)"),
    ],
)
def test_a_value_has_the_colour_of_its_field(
    page: Page, value: float, config: dict[str, Any], color: str
) -> None:
    body = "return m.display(given[0], given[1]).color;"
    field = {"name": "v", "type": "number", "values": [value], "labels": {}, "config": config}
    assert evaluate(page, "fields", body, [value, field]) == color


def test_mappings_and_no_value_have_their_own_words(page: Page) -> None:
    def text(value: object, **config: object) -> Any:  # noqa: ANN401 - as above
        field = {"name": "v", "type": "number", "values": [value], "labels": {}, "config": config}
        return call(page, "fields", "displayText", value, field)

    special = {"type": "special", "options": {"match": "null", "result": {"text": "gone"}}}
    assert text(None, mappings=[special]) == "gone"
    assert text(None, noValue="nothing") == "nothing"
    assert text(None) == "\N{EN DASH}"
    assert (
        text("v1.2", mappings=[{"type": "regex", "options": {"pattern": "^v1", "result": {"text": "one"}}}])
        == "one"
    )


def test_later_overrides_win(page: Page) -> None:
    field = {"name": "Value #A", "displayName": "Up", "type": "number", "values": [], "labels": {"a": "b"}}
    overrides = [
        {"matcher": {"id": "byName", "options": "Up"}, "properties": [{"id": "unit", "value": "s"}]},
        {
            "matcher": {"id": "byRegexp", "options": "/^U/"},
            "properties": [{"id": "custom.width", "value": 5}],
        },
        {"matcher": {"id": "byFrameRefID", "options": "A"}, "properties": [{"id": "unit", "value": "bytes"}]},
        {"matcher": {"id": "byType", "options": "string"}, "properties": [{"id": "unit", "value": "none"}]},
        {
            "matcher": {"id": "byNames", "options": {"names": ["Up"]}},
            "properties": [{"id": "min", "value": 1}],
        },
    ]
    settings = {
        "defaults": {"displayName": "of ${__field.labels.a}", "custom": {"align": "left"}},
        "overrides": overrides,
    }
    config = call(page, "fields", "fieldConfig", field, {"refId": "A"}, settings)
    assert config == {
        "displayName": "of b", "unit": "bytes", "min": 1, "custom": {"align": "left", "width": 5},
    }  # fmt: skip


LINK = """
const { readVariable, makeScope } = await import('/static/js/variables.js');
const variables = [readVariable({ type: 'query', name: 'job', current: { value: 'a b' } })];
const address = { time: { from: 'now-1h', to: 'now' }, variables };
const field = { name: 'Value', type: 'number', values: [3], labels: { x: 'y' }, config: { unit: 's' } };
const handler = { name: 'handler', displayName: 'Handler', type: 'string', values: ['/a?b'], labels: {} };
const fields = [handler, field];
return m.fillLink(given, { scope: makeScope(variables, { from: 0, to: 1 }), address, fields, field, row: 0 });
"""


@pytest.mark.parametrize(
    ("url", "href"),
    [
        ("/d/x?var-h=${__data.fields.Handler}", "/d/x?var-h=%2Fa%3Fb"),
        ('/d/x?var-h=${__data.fields["handler"]}', "/d/x?var-h=%2Fa%3Fb"),
        ("/d/x?v=${__value.raw}&t=${__value.text}&l=${__field.labels.x}", "/d/x?v=3&t=3%20s&l=y"),
        ("/d/x?${__url_time_range}&${__all_variables}", "/d/x?from=now-1h&to=now&var-job=a+b"),
        ("d/x?${job:queryparam}", "d/x?var-job=a%20b"),
        ("javascript:alert(1)", "#"),
    ],
)
def test_links_take_values_with_them_and_run_nothing(page: Page, url: str, href: str) -> None:
    assert evaluate(page, "links", LINK, url) == href


def test_dashboards_are_linked_by_their_tags_with_time_and_variables(page: Page) -> None:
    body = """
      const { readVariable, makeScope } = await import('/static/js/variables.js');
      const variables = [readVariable({ type: 'query', name: 'job', current: { value: 'a' } })];
      const address = { time: { from: 'now-1h', to: 'now' }, variables };
      return m.dashboardLinks(given[0], given[1], makeScope(variables, { from: 0, to: 1 }), address);
    """
    links = [
        {"type": "dashboards", "tags": ["x"], "keepTime": True, "includeVars": True},
        {"type": "link", "title": "Docs", "url": "https://example.com/?j=$job", "targetBlank": True},
    ]
    listed = [{"uid": "one", "title": "One", "tags": ["x"]}, {"uid": "two", "title": "Two", "tags": []}]
    found = evaluate(page, "links", body, [{"uid": "one", "links": links}, listed])
    assert [(link["title"], link["href"], link["current"], link["blank"]) for link in found] == [
        ("One", "/d/one?from=now-1h&to=now&var-job=a", True, False),
        ("Docs", "https://example.com/?j=a", False, True),
    ]


def test_a_click_on_a_legend_shows_one_series_alone_and_back(page: Page) -> None:
    body = """const [hidden, name, add] = given;
      return [...m.toggled(new Set(hidden), ['a', 'b', 'c'], name, add)];"""
    assert evaluate(page, "legend", body, [[], "b", False]) == ["a", "c"]
    assert evaluate(page, "legend", body, [["a", "c"], "b", False]) == []
    assert evaluate(page, "legend", body, [["a", "c"], "c", True]) == ["a"]


def test_words_are_never_read_as_html(page: Page) -> None:
    body = """const words = document.createElement('div');
      words.append(...m.markdown(given));
      return words.innerHTML;"""
    text = (
        "# A **b**\n\n- one\n- [two](javascript:x)\n\n<img src=x onerror=alert(1)> `c`\n\n"
        "| h |\n|---|\n| [l](/d/x) |"
    )
    html = evaluate(page, "panels/text", body, text)
    assert html == (
        "<h1>A <strong>b</strong></h1><ul><li>one</li><li>[two](javascript:x)</li></ul>"
        "<p>&lt;img src=x onerror=alert(1)&gt; <code>c</code></p>"
        "<table><thead><tr><th>h</th></tr></thead>"
        '<tbody><tr><td><a href="/d/x">l</a></td></tr></tbody></table>'
    )


def test_equal_states_beside_each_other_are_one(page: Page) -> None:
    field = {"name": "up", "type": "number", "values": [1, 1, None, 1, 0], "labels": {}, "config": {}}
    times = [0, 10, 20, 30, 40]
    runs = call(
        page,
        "panels/statetimeline",
        "states",
        {"times": times, "field": field},
        {"range": {"to": 45}, "stepMs": 10},
    )
    assert [(run["from"], run["to"], run["shown"]["text"]) for run in runs] == [
        (0, 20, "1"),
        (30, 40, "1"),
        (40, 45, "0"),
    ]


def test_rows_own_the_panels_below_them(page: Page) -> None:
    panels = [
        {"id": 1, "type": "stat", "gridPos": {"x": 0, "y": 0}},
        {"id": 2, "type": "row", "gridPos": {"x": 0, "y": 4}, "collapsed": False, "panels": []},
        {"id": 4, "type": "stat", "gridPos": {"x": 12, "y": 5}},
        {"id": 3, "type": "stat", "gridPos": {"x": 0, "y": 5}},
        {
            "id": 5,
            "type": "row",
            "gridPos": {"x": 0, "y": 9},
            "panels": [{"id": 6, "gridPos": {"x": 0, "y": 10}}],
        },
    ]
    found = call(page, "dashboard", "sections", panels)
    assert [[panel["id"] for panel in section["panels"]] for section in found] == [[1], [3, 4], [6]]


def test_a_data_source_that_is_not_here_is_needed(page: Page) -> None:
    body = """
      const variables = given.map((json) => m.readVariable(json));
      const site = { sources: new Set(['prometheus']), ask: () => { throw new Error('nobody to ask'); } };
      for (const variable of variables) await m.resolve(variable, m.makeScope([], { from: 0, to: 1 }), site);
      return variables.map(({ needs, value }) => [needs, value]);"""
    of_loki = {"type": "query", "datasource": {"type": "loki"}, "query": {"label": "service"}}
    kinds = [{"type": "datasource", "query": "prometheus"}, {"type": "datasource", "query": "loki"}, of_loki]
    assert evaluate(page, "variables", body, kinds) == [[None, ["prometheus"]], ["loki", []], ["loki", []]]


def test_a_hidden_variable_is_handed_on_unless_it_says_otherwise(page: Page) -> None:
    body = """
      const common = { type: 'query', current: { value: 'x' } };
      const variables = given.map((json) => m.readVariable({ ...common, ...json }));
      const parameters = new URLSearchParams();
      m.writeAddress(variables, parameters);
      return String(parameters);"""
    given = [{"name": "a", "hide": 2}, {"name": "b", "skipUrlSync": True}, {"name": "c"}]
    assert evaluate(page, "variables", body, given) == "var-a=x&var-c=x"


def test_a_variable_stands_in_logql_as_a_pattern_or_as_typed(page: Page) -> None:
    body = """
      const many = { ...m.readVariable({ type: 'query', name: 'many', multi: true }), value: ['a.b', 'c'] };
      const typed = { ...m.readVariable({ type: 'textbox', name: 'typed' }), value: ['say "x"'] };
      const scope = m.makeScope([many, typed], { from: 0, to: 1 });
      return m.interpolate(given, scope, 'loki');"""
    text = evaluate(page, "variables", body, '{s=~"$many"} |~ `$typed`')
    assert text == '{s=~"(a\\\\.b|c)"} |~ `say "x"`'


def test_log_lines_of_all_streams_are_in_order_with_their_labels(page: Page) -> None:
    body = """
      const { linesOf } = await import('/static/js/panels/logs.js');
      const lines = linesOf(m.toFrames(given, { refId: 'A' }, {}), {});
      return lines.map(({ time, line, level }) => [time, line, level]);"""
    streams = [
        {"stream": {"level": "WARN"}, "values": [["2000000", "two"], ["1000000", "one"]]},
        {"stream": {"detected_level": "error"}, "values": [["3000000", "three"]]},
        {"stream": {}, "values": [["4000000", "four"]]},
    ]
    assert evaluate(page, "frames", body, {"resultType": "streams", "result": streams}) == [
        [4, "four", "unknown"],
        [3, "three", "error"],
        [2, "two", "warning"],
        [1, "one", "warning"],
    ]


def test_annotations_beside_each_other_are_one_span(page: Page) -> None:
    values = [[0, "1"], [60, "1"], [120, "0"], [300, "2"]]
    assert call(page, "annotations", "runs", values, {"stepMs": MINUTE}) == [
        {"from": 0, "to": 60_000},
        {"from": 300_000, "to": 300_000},
    ]


def test_overlapping_annotations_of_one_kind_are_shaded_once(page: Page) -> None:
    def span(kind: str, start: int, end: int) -> dict[str, Any]:
        return {"kind": kind, "from": start, "to": end, "color": RED}

    spans = [span("a", 0, 5), span("b", 1, 9), span("a", 3, 8), span("a", 4, 4), span("a", 9, 10)]
    assert call(page, "annotations", "united", spans) == [span("a", 0, 8), span("b", 1, 9), span("a", 9, 10)]


def test_annotations_without_a_query_or_without_prometheus_are_left_out(page: Page) -> None:
    items = [
        {"name": "Built in", "enable": True},
        {"name": "Lines", "expr": '{a="b"}', "datasource": {"type": "loki"}},
        {"name": "Alerts", "expr": "ALERTS", "enable": False, "iconColor": "red"},
    ]
    [kind] = call(page, "annotations", "readKinds", {"annotations": {"list": items}})
    assert (kind["name"], kind["on"], kind["hidden"], kind["color"]) == ("Alerts", False, False, RED)


def test_a_line_at_zero_is_not_on_the_edge(page: Page) -> None:
    assert call(page, "chart", "withEdges", [0, 1], 200) == [-0.01, 1.01]


def test_what_all_names_begin_with_is_left_out(page: Page) -> None:
    def shortened(*titles: str) -> list[str]:
        links = [{"title": title} for title in titles]
        return [link["title"] for link in call(page, "dashboard", "shortened", links)]

    assert shortened("Claw: one", "Claw: two") == ["one", "two"]
    assert shortened("Claw: one", "Other") == ["Claw: one", "Other"]
    assert shortened("Claw: one") == ["Claw: one"]


def test_a_panel_has_the_links_that_need_no_value(page: Page) -> None:
    body = """
      const { makeScope } = await import('/static/js/variables.js');
      const address = { time: { from: 'now-1h', to: 'now' }, variables: [] };
      const links = m.panelLinks(given, makeScope([], { from: 0, to: 1 }), address);
      return links.map(({ title, href }) => [title, href]);"""
    links = [
        {"title": "Why?", "url": "/d/why?${__url_time_range}"},
        {"title": "Logs of this one", "url": "/d/logs?var-x=${__field.labels.x}"},
    ]
    given = {"links": [{"title": "Docs", "url": "/docs"}], "fieldConfig": {"defaults": {"links": links}}}
    assert evaluate(page, "links", body, given) == [
        ["Docs", "/docs"], ["Why?", "/d/why?from=now-1h&to=now"],
    ]  # fmt: skip


def test_a_value_leads_on_with_its_labels_and_its_time(page: Page) -> None:
    body = """
      const { makeScope } = await import('/static/js/variables.js');
      const address = { time: { from: 'now-1h', to: 'now' }, variables: [] };
      const labels = { x: 'a b' };
      const field = { name: 'Value', displayName: 'api', values: [3], labels, config: { links: given } };
      const fields = [{ name: 'Time', type: 'time', values: [7], labels: {} }, field];
      return m.valueLinks(field, { scope: makeScope([], { from: 0, to: 1 }), address, fields, row: 0 });"""
    link = {
        "title": "Logs of ${__field.labels.x}",
        "url": '/d/logs?x=${__field.labels["x"]}&at=${__value.time}&n=${__series.name}',
        "targetBlank": True,
    }
    assert evaluate(page, "links", body, [link]) == [
        {"title": "Logs of a b", "href": "/d/logs?x=a%20b&at=7&n=api", "blank": True}
    ]


@pytest.mark.parametrize(
    ("types", "collapsed", "state"),
    [
        (["loki", "loki"], False, {"open": False, "reason": "needs Loki"}),
        (["loki", "prometheus"], False, {"open": True, "reason": ""}),
        (["prometheus"], True, {"open": False, "reason": ""}),
        ([], False, {"open": True, "reason": ""}),
    ],
)
def test_a_row_of_which_nothing_can_be_drawn_starts_folded(
    page: Page, types: list[str], *, collapsed: bool, state: dict[str, Any]
) -> None:
    body = "return m.fold(given[0], given[1], new Set(['prometheus']));"
    panels = [{"type": "timeseries", "datasource": {"type": kind}} for kind in types]
    assert evaluate(page, "dashboard", body, [{"collapsed": collapsed}, panels]) == state
    assert evaluate(page, "dashboard", body, [None, panels]) == {"open": True, "reason": ""}


def test_what_loki_counts_at_one_moment_is_a_table(page: Page) -> None:
    def shape(source: str, **target: object) -> Any:  # noqa: ANN401 - as above
        return evaluate(page, "load", "return m.shapeOf(given[0], given[1]);", [target, source])

    assert shape("loki", queryType="instant") == {"format": "table", "numbered": True}
    assert shape("loki", queryType="range", format="time_series") == {
        "format": "time_series", "numbered": False,
    }  # fmt: skip
    assert shape("prometheus", instant=True, format="heatmap") == {"format": "heatmap", "numbered": False}


def test_a_panel_that_is_asked_anew_gives_up_its_queries_without_an_error_of_its_own(page: Page) -> None:
    ended = """
        const abort = new AbortController();
        abort.abort();
        const datasource = { type: 'prometheus' };
        const targets = ['A', 'B'].map((refId) => ({ refId, expr: 'up', datasource }));
        const range = { from: 0, to: 60_000 };
        const context = { variables: [], range, width: 500, scrapeMs: 15_000, signal: abort.signal };
        try { await m.loadPanel({ type: 'timeseries', targets, fieldConfig: {} }, context); }
        catch (error) { return error.name; }
    """
    assert evaluate(page, "load", ended) == "AbortError"
