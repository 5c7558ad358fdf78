"""The page in a browser, over a real Prometheus that scrapes itself."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Request, Route, expect

from claw_preview.screenshots import PANELS, SETTLED, take

pytestmark = pytest.mark.tools

DASHBOARDS = Path(__file__).parent / "fixtures" / "dashboards"
Serve = Callable[..., AbstractContextManager[str]]


@pytest.fixture
def page(chromium: BrowserContext) -> Iterator[Page]:
    page = chromium.new_page()
    page.set_default_timeout(30_000)
    yield page
    page.close()


def open_page(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector(SETTLED)


def wait_for_refreshes(page: Page, count: int) -> None:
    for _refresh in range(count):
        cycle = page.locator("body").get_attribute("data-cycle") or ""
        expect(page.locator("body")).not_to_have_attribute("data-cycle", cycle, timeout=30_000)


def panel(page: Page, title: str) -> Locator:
    return page.locator(f'.panel[aria-label="{title}"]')


def states(page: Page) -> dict[str, str]:
    return {item["title"]: item["state"] for item in page.evaluate(PANELS)}


def test_each_type_of_panel_is_drawn_with_data_and_the_rest_is_named(
    chromium: BrowserContext, preview_url: str, tmp_path: Path
) -> None:
    shots = {shot.uid: shot for shot in take(chromium, preview_url, tmp_path)}
    shot = shots["every-panel"]
    assert shot.errors == []
    described = json.loads((DASHBOARDS / "every-panel.json").read_text())
    rows = [panel for panel in described["panels"] if panel["type"] == "row"]
    drawable = [panel["title"] for panel in described["panels"] if panel["type"] != "row"]
    found = {panel.title: panel for panel in shot.panels}
    assert {title: found[title].state for title in drawable} == dict.fromkeys(drawable, "drawn")
    assert len(found) == len(drawable) + sum(len(row["panels"]) for row in rows)
    assert found["Nothing"].state == "empty"
    assert found["Log lines"].state == "undrawable"
    assert "It reads log lines. Where there is a Loki" in found["Log lines"].detail
    assert 'Panels of type "nodeGraph" are not drawn here' in found["Graph"].detail
    assert shot.file.read_bytes().startswith(b"\x89PNG")
    assert shots["second"].errors == []


def test_the_browser_talks_to_the_preview_only(page: Page, preview_url: str) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    open_page(page, f"{preview_url}/d/every-panel")
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((preview_url, "data:", "blob:"))] == []


def test_panels_stand_where_their_grid_says(page: Page, preview_url: str) -> None:
    open_page(page, f"{preview_url}/d/every-panel?refresh=")
    left = panel(page, "Requests by handler").bounding_box()
    below = panel(page, "Size of answers").bounding_box()
    beside = panel(page, "Memory, and CPU on the right").bounding_box()
    assert left is not None
    assert below is not None
    assert beside is not None
    assert left["y"] == beside["y"]
    assert left["width"] == pytest.approx(beside["width"], abs=1)
    assert beside["x"] == pytest.approx(left["x"] + left["width"] + 8, abs=1)
    assert below["y"] == pytest.approx(left["y"] + left["height"] + 8, abs=1)
    assert left["height"] == pytest.approx(8 * 38 - 8, abs=1)


def test_what_is_drawn_is_what_prometheus_says(page: Page, preview_url: str) -> None:
    open_page(page, f"{preview_url}/d/every-panel?refresh=")
    expect(panel(page, "Up").locator(".stat-value")).to_have_text("Up")
    expect(panel(page, "Heap in use").locator(".stat-value")).to_have_text(re.compile(r"^[\d.]+ MiB$"))
    expect(panel(page, "Heap in use").locator(".sparkline path")).not_to_have_count(0)
    expect(panel(page, "CPU of Prometheus").locator(".gauge-text")).to_have_text(re.compile(r"^[\d.]+%$"))
    expect(panel(page, "Goroutines and threads").locator(".bar-name")).to_have_text(["goroutines", "threads"])
    expect(panel(page, "Scrapes").locator(".state").first).to_have_attribute(
        "title", re.compile("^prometheus: Up")
    )
    expect(panel(page, "About").locator(".words")).to_contain_text("<b>no HTML</b>")


def test_a_table_merges_its_queries_and_sorts_by_a_click(page: Page, preview_url: str) -> None:
    open_page(page, f"{preview_url}/d/every-panel?refresh=&from=now-5m")
    table = panel(page, "Handlers")
    expect(table.locator("th")).to_have_text(["Handler", "Requests ↓", "p95"])
    expect(table.locator("tbody tr", has_text="/metrics")).to_have_text(re.compile(r"^/metrics[\d.]+ ms$"))
    table.locator("th button").first.click()
    expect(table.locator("th").first).to_have_attribute("aria-sort", "ascending")
    names = table.locator("tbody tr td:first-child").all_inner_texts()
    assert names == sorted(names)
    expect(table.locator("tfoot")).to_contain_text("Total")


def test_a_cell_leads_to_another_dashboard_with_its_value_and_the_time(page: Page, preview_url: str) -> None:
    open_page(page, f"{preview_url}/d/every-panel?refresh=&from=now-5m")
    panel(page, "Handlers").get_by_role("link", name="/metrics").click()
    page.wait_for_url("**/d/second**")
    page.wait_for_selector(SETTLED)
    expect(page.locator("h1")).to_have_text("Second")
    expect(page.locator("[data-variable=handler] summary")).to_have_text("/metrics")
    assert parse_qs(urlsplit(page.url).query)["from"] == ["now-5m"]
    assert states(page) == {"Requests of /metrics": "drawn"}


def test_links_between_dashboards_keep_variables_and_time(page: Page, preview_url: str) -> None:
    open_page(page, f"{preview_url}/d/every-panel?refresh=&from=now-5m&var-job=prometheus")
    page.get_by_role("navigation").get_by_text("Second").click()
    page.wait_for_url("**/d/second**")
    page.wait_for_selector(SETTLED)
    parameters = parse_qs(urlsplit(page.url).query)
    assert parameters["from"] == ["now-5m"]
    assert parameters["var-job"] == ["prometheus"]
    assert parameters["var-handler"] == ["$__all"]


def queries_of(page: Page, act: Callable[[], object]) -> list[str]:
    """The queries the page asks until it has settled after `act`."""
    asked: list[str] = []

    def note(request: Request) -> None:
        if "/api/query" in request.url:
            asked.append(parse_qs(request.post_data or "")["query"][0])

    page.on("request", note)
    page.evaluate("document.body.dataset.settled = 'acting'")
    act()
    page.wait_for_selector(SETTLED)
    page.remove_listener("request", note)
    return asked


def test_a_variable_of_many_values_changes_every_query(page: Page, preview_url: str) -> None:
    open_page(page, f"{preview_url}/d/every-panel?refresh=")
    menu = page.locator("[data-variable=job]")
    menu.locator("summary").click()
    menu.get_by_role("checkbox", name="prometheus").check()
    assert not menu.get_by_role("checkbox", name="All").is_checked()
    asked = queries_of(page, lambda: page.locator("h1").click())
    assert 'go_memstats_heap_inuse_bytes{job=~"prometheus"}' in asked
    assert parse_qs(urlsplit(page.url).query)["var-job"] == ["prometheus"]
    expect(menu.locator("summary")).to_have_text("prometheus")


def test_all_values_are_the_pattern_the_dashboard_gives(page: Page, preview_url: str) -> None:
    asked = queries_of(page, lambda: page.goto(f"{preview_url}/d/every-panel?refresh="))
    assert 'go_memstats_heap_inuse_bytes{job=~".+"}' in asked


def test_a_longer_range_asks_with_wider_rates(page: Page, preview_url: str) -> None:
    open_page(page, f"{preview_url}/d/every-panel?refresh=&from=now-5m")
    change = page.get_by_label("Time range")
    asked = queries_of(page, lambda: change.select_option("now-30d|now"))
    rates = {match[1] for query in asked for match in re.finditer(r"rate\(\w+\{[^}]*\}\[(\w+)\]\)", query)}
    assert "2592000s" in rates  # $__range
    # Steps of 1 h or 3 h by the panel's width, and one scrape more for $__rate_interval.
    assert rates <= {"2592000s", "3601s", "7201s", "10801s"}
    assert parse_qs(urlsplit(page.url).query)["from"] == ["now-30d"]


def test_a_refresh_by_itself_redraws_without_taking_the_drawing_away(page: Page, preview_url: str) -> None:
    open_page(page, f"{preview_url}/d/every-panel?refresh=1s")
    page.evaluate(
        """() => {
          window.kept = document.querySelector('.panel[data-type=timeseries] .plot');
          window.removed = 0;
          const gone = (node) => { if (node.classList?.contains('plot')) window.removed += 1; };
          new MutationObserver((changes) => changes.forEach((change) => change.removedNodes.forEach(gone)))
            .observe(document.querySelector('main'), { subtree: true, childList: true });
        }"""
    )
    wait_for_refreshes(page, 2)
    assert page.evaluate("window.kept.isConnected")
    assert page.evaluate("window.removed") == 0


def test_a_collapsed_row_asks_nothing_until_it_is_opened_by_the_keyboard(
    page: Page, preview_url: str
) -> None:
    open_page(page, f"{preview_url}/d/every-panel?refresh=")
    inside = page.locator(".section").last.locator(".panel")
    expect(inside).to_have_count(3)
    expect(inside.first).to_be_hidden()
    row = page.get_by_role("button", name="Not here")
    expect(row).to_have_attribute("aria-expanded", "false")
    row.focus()
    asked = queries_of(page, lambda: page.keyboard.press("Enter"))
    assert "absent_metric_of_nobody" in asked
    expect(row).to_have_attribute("aria-expanded", "true")
    expect(panel(page, "Nothing")).to_contain_text("No data")


def test_a_click_on_the_legend_shows_one_series_alone(page: Page, preview_url: str) -> None:
    open_page(page, f"{preview_url}/d/every-panel?refresh=")
    chart = panel(page, "Memory, and CPU on the right")
    expect(chart.locator(".legend-name[aria-pressed=true]")).to_have_text(["resident", "heap", "cpu"])
    chart.locator(".legend").get_by_text("heap").click()
    expect(chart.locator(".legend-name[aria-pressed=true]")).to_have_text("heap")
    expect(chart.locator(".scatterlayer .trace")).to_have_count(1)
    chart.locator(".legend").get_by_text("heap").click()
    expect(chart.locator(".legend-name[aria-pressed=true]")).to_have_count(3)


def test_the_pointer_over_a_chart_shows_all_values_of_that_time(page: Page, preview_url: str) -> None:
    open_page(page, f"{preview_url}/d/every-panel?refresh=&from=now-5m")
    chart = panel(page, "Memory, and CPU on the right").locator(".plot")
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2)
    bubble = page.locator(".tip.hover")
    expect(bubble).to_be_visible()
    expect(bubble.locator("tr")).to_have_count(3)
    expect(bubble).to_contain_text("resident")
    assert page.locator(".crosshair:visible").count() > 1
    page.mouse.move(2, 2)
    expect(bubble).to_be_hidden()


def test_a_description_is_shown_to_pointer_and_keyboard(page: Page, preview_url: str) -> None:
    open_page(page, f"{preview_url}/d/every-panel?refresh=")
    panel(page, "Heap in use").locator(".panel-info").focus()
    expect(page.locator("#tip")).to_have_text("A stat panel.")


def test_a_panel_opens_over_the_whole_page_and_closes_by_escape(page: Page, preview_url: str) -> None:
    open_page(page, f"{preview_url}/d/every-panel?refresh=")
    chart = panel(page, "Requests by handler")
    chart.get_by_role("button", name="Requests by handler").click()
    size = page.viewport_size
    assert size is not None
    expect(chart).to_have_css("position", "fixed")
    expect(chart).to_have_css("width", f"{size['width'] - 24}px")
    page.keyboard.press("Escape")
    expect(chart).not_to_have_css("position", "fixed")


def test_a_narrow_window_has_one_column(page: Page, preview_url: str) -> None:
    page.set_viewport_size({"width": 480, "height": 800})
    open_page(page, f"{preview_url}/d/every-panel?refresh=")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 480
    boxes = [item.bounding_box() for item in page.locator(".panel:visible").all()]
    assert len({round(box["x"]) for box in boxes if box}) == 1


def test_the_start_page_lists_the_dashboards(page: Page, preview_url: str) -> None:
    open_page(page, preview_url)
    expect(page.locator(".card h2")).to_have_text(["Every panel", "Second"])
    page.locator(".card").first.click()
    page.wait_for_url("**/d/every-panel**")


def dashboard(*panels: dict[str, object], **more: object) -> str:
    return json.dumps({"uid": "test", "title": "Test", "refresh": "1s", "panels": panels} | more)


def timeseries(title: str, expr: str, **more: object) -> dict[str, object]:
    place = {"x": 0, "y": 0, "w": 12, "h": 8}
    return {
        "type": "timeseries",
        "title": title,
        "gridPos": place,
        "targets": [{"refId": "A", "expr": expr}],
    } | more


def test_a_wrong_query_is_shown_in_its_panel_only(
    page: Page, serve: Serve, prometheus_url: str, dashboards: Path
) -> None:
    strange = timeseries("Changed", "up", transformations=[{"id": "histogram"}])
    wrong = timeseries("Wrong", "rate(up[)")
    (dashboards / "test.json").write_text(dashboard(wrong, timeseries("Right", "up"), strange))
    with serve(prometheus_url, dashboards) as url:
        open_page(page, f"{url}/d/test")
        expect(panel(page, "Wrong")).to_have_attribute("data-state", "error")
        expect(panel(page, "Wrong")).to_contain_text("parse error")
        expect(panel(page, "Right")).to_have_attribute("data-state", "drawn")
        expect(page.locator("#banner")).to_be_empty()
        note = panel(page, "Changed").locator(".panel-note")
        expect(note).to_have_attribute("aria-label", re.compile('transformation "histogram" is not applied'))


HAPPENED = {"name": "Scraped", "enable": True, "expr": "up", "iconColor": "blue", "titleFormat": "up {{job}}"}


def test_what_happened_is_on_every_time_axis_until_it_is_switched_off(
    page: Page, serve: Serve, prometheus_url: str, dashboards: Path
) -> None:
    panels = [
        timeseries("Lines", "up"),
        timeseries("Bands", "up", type="state-timeline"),
        timeseries("Cells", "up", type="heatmap"),
    ]
    (dashboards / "test.json").write_text(dashboard(*panels, annotations={"list": [HAPPENED]}))
    marks = {"Lines": ".scatterlayer .point", "Bands": ".state-marks i", "Cells": ".scatterlayer .point"}
    with serve(prometheus_url, dashboards) as url:
        open_page(page, f"{url}/d/test?refresh=&from=now-5m")
        for title, mark in marks.items():
            expect(panel(page, title).locator(mark)).to_have_count(1)
        expect(page.locator(".state-marks i")).to_have_attribute("title", re.compile("up prometheus$"))
        page.get_by_label("Scraped").uncheck()
        for title, mark in marks.items():
            expect(panel(page, title).locator(mark)).to_have_count(0)


def test_a_panel_leads_on_from_its_head_and_from_its_values(
    page: Page, serve: Serve, prometheus_url: str, dashboards: Path
) -> None:
    links = [
        {"title": "Why?", "url": "/d/why?${__url_time_range}"},
        {"title": "Logs of ${__field.labels.job}", "url": "/d/logs?var-job=${__field.labels.job}"},
    ]
    config = {"defaults": {"links": links}}
    number = timeseries("Number", "up", type="stat", fieldConfig={"defaults": {"links": links[1:]}})
    number["gridPos"] = {"x": 12, "y": 0, "w": 4, "h": 8}
    (dashboards / "test.json").write_text(dashboard(timeseries("Lines", "up", fieldConfig=config), number))
    with serve(prometheus_url, dashboards) as url:
        open_page(page, f"{url}/d/test?refresh=&from=now-1m")
        head = panel(page, "Lines").locator("header").get_by_role("link")
        expect(head).to_have_text(["Why? ↗"])
        expect(head).to_have_attribute("href", "/d/why?from=now-1m&to=now")
        expect(panel(page, "Number").locator("a.stat")).to_have_attribute(
            "href", "/d/logs?var-job=prometheus"
        )
        box = panel(page, "Lines").locator(".plot").bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + box["width"] * 0.97, box["y"] + box["height"] / 2)
        menu = page.locator(".value-menu")
        expect(menu.get_by_role("link")).to_have_text(["Why? ↗", "Logs of prometheus ↗"])
        expect(menu.get_by_role("link").last).to_have_attribute("href", "/d/logs?var-job=prometheus")
        page.keyboard.press("Escape")
        expect(menu).to_be_hidden()


LOKI = {"type": "loki", "uid": "${loki}"}
LOGS = timeseries(
    "Log lines", "", type="logs", datasource=LOKI, targets=[{"refId": "A", "expr": '{service="$service"}'}]
)
LOKI_VARIABLES = {
    "list": [
        {"name": "loki", "type": "datasource", "query": "loki", "label": "Loki"},
        {"name": "service", "type": "query", "label": "Service", "datasource": LOKI}
        | {"query": {"label": "service", "type": 1}},
    ]
}
STREAMS = [
    {"stream": {"service": "api", "level": "error"}, "values": [["2000000000", "<b>it broke</b>"]]},
    {"stream": {"service": "api", "level": "info"}, "values": [["1000000000", "it ran"]]},
]


def test_without_loki_its_variables_and_panels_say_that_they_need_it(
    page: Page, serve: Serve, prometheus_url: str, dashboards: Path
) -> None:
    (dashboards / "test.json").write_text(dashboard(LOGS, templating=LOKI_VARIABLES))
    with serve(prometheus_url, dashboards) as url:
        open_page(page, f"{url}/d/test?refresh=")
        expect(page.locator(".variable .needs")).to_have_text(["needs Loki", "needs Loki"])
        expect(panel(page, "Log lines")).to_contain_text("Needs Loki")
        expect(panel(page, "Log lines")).to_contain_text("start the preview with --loki and its address")
        expect(page.locator("#banner")).to_be_empty()


def test_lines_of_loki_are_shown_with_their_labels_on_a_click(
    page: Page, serve: Serve, prometheus_url: str, dashboards: Path
) -> None:
    asked: list[str] = []

    def answer(route: Route) -> None:
        if route.request.url.endswith("/vars"):
            route.fulfill(json={"status": "success", "data": ["api"]})
            return
        asked.append(parse_qs(route.request.post_data or "")["query"][0])
        route.fulfill(json={"status": "success", "data": {"resultType": "streams", "result": STREAMS}})

    page.route("**/api/loki/**", answer)  # Loki itself is in no Debian suite
    (dashboards / "test.json").write_text(dashboard(LOGS, templating=LOKI_VARIABLES))
    with serve(prometheus_url, dashboards, loki_url="http://127.0.0.1:1") as url:
        open_page(page, f"{url}/d/test?refresh=")
        assert asked == ['{service="api"}']
        lines = panel(page, "Log lines").locator(".line")
        expect(lines.locator(".line-text")).to_have_text(["<b>it broke</b>", "it ran"])
        expect(lines.first).to_have_class("line error")
        lines.first.click()
        expect(panel(page, "Log lines").locator("dd")).to_have_text(["error", "api"])
        lines.first.click()
        expect(panel(page, "Log lines").locator("dd")).to_have_count(0)


def test_an_unreachable_prometheus_is_a_banner_that_says_what_to_do(
    page: Page, serve: Serve, dashboards: Path, free_port: Callable[[], int]
) -> None:
    (dashboards / "test.json").write_text(dashboard(timeseries("One", "up")))
    address = f"http://127.0.0.1:{free_port()}"
    with serve(address, dashboards) as url:
        open_page(page, f"{url}/d/test")
        expect(page.locator("#banner")).to_contain_text(f"Prometheus at {address} does not answer")
        expect(page.locator("#banner")).to_contain_text("make demo")
        expect(panel(page, "One")).to_contain_text("Prometheus does not answer; see above.")


def test_the_page_recovers_by_itself_when_its_server_does(
    page: Page, serve: Serve, prometheus_url: str, dashboards: Path
) -> None:
    (dashboards / "test.json").write_text(dashboard(timeseries("One", "up")))
    with serve(prometheus_url, dashboards) as url:
        open_page(page, f"{url}/d/test")
        page.route("**/api/query*", lambda route: route.abort())
        expect(panel(page, "One")).to_have_attribute("data-state", "error")
        wait_for_refreshes(page, 2)
        page.set_viewport_size({"width": 1000, "height": 800})
        expect(panel(page, "One").locator(".plot")).to_be_visible()
        expect(panel(page, "One")).to_have_attribute("data-state", "error")
        expect(panel(page, "One").locator(".panel-note")).to_be_visible()
        page.unroute("**/api/query*")
        expect(panel(page, "One")).to_have_attribute("data-state", "drawn")
        expect(panel(page, "One").locator(".panel-note")).to_be_hidden()


def test_a_broken_file_is_named_and_the_others_are_listed(
    page: Page, serve: Serve, prometheus_url: str, dashboards: Path
) -> None:
    (dashboards / "good.json").write_text(dashboard())
    (dashboards / "bad.json").write_text("{")
    with serve(prometheus_url, dashboards) as url:
        open_page(page, url)
        expect(page.locator(".banner")).to_contain_text("bad.json is not JSON")
        expect(page.locator(".card")).to_have_count(1)
        open_page(page, f"{url}/d/bad")
        expect(page.locator("#banner")).to_contain_text("bad.json cannot be shown: is not JSON")


def test_an_empty_directory_says_how_to_fill_it(
    page: Page, serve: Serve, prometheus_url: str, dashboards: Path
) -> None:
    with serve(prometheus_url, dashboards) as url:
        open_page(page, url)
        expect(page.locator(".hint")).to_contain_text("make generate writes them")
