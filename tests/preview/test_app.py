import json
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
from starlette.responses import JSONResponse

from claw_preview.app import create_app
from claw_preview.errors import SettingsError
from claw_preview.settings import Settings, read_settings


class Fake(Protocol):
    answer: Any
    asked: list[tuple[str, dict[str, str]]]


async def test_both_faces_of_the_page_are_one_file(client: httpx.AsyncClient) -> None:
    home, dashboard = await client.get("/"), await client.get("/d/anything")
    assert home.status_code == dashboard.status_code == 200
    assert home.text == dashboard.text
    assert home.headers["content-type"].startswith("text/html")


async def test_the_page_may_load_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    response = await client.get("/")
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert "//" not in response.text.replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    "path", ["/static/page.css", "/static/claw.svg", "/static/js/main.js", "/vendor/plotly.min.js"]
)
async def test_what_the_page_needs_is_served_and_revalidated(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 200
    again = await client.get(path, headers={"if-none-match": response.headers["etag"]})
    assert again.status_code == 304


async def test_it_is_healthy(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).text == "ok\n"


async def test_the_page_is_told_where_its_sources_are_without_their_passwords(dashboards: Path) -> None:
    given = ["--prometheus", "http://u:p@prom:1", "--loki", "http://u:p@loki:2"]
    settings = read_settings(["--dashboards", str(dashboards), *given], {})
    transport = httpx.ASGITransport(create_app(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        body = (await http.get("/api/config")).json()
    assert body == {
        "prometheus_url": "http://prom:1",
        "loki_url": "http://loki:2",
        "dashboards": str(dashboards),
        "scrape_interval_seconds": 15.0,
    }


async def test_dashboards_are_listed_with_the_broken_ones(
    client: httpx.AsyncClient, dashboards: Path
) -> None:
    (dashboards / "one.json").write_text('{"uid": "one", "panels": []}')
    (dashboards / "two.json").write_text("nonsense")
    body = (await client.get("/api/dashboards")).json()
    assert [item["uid"] for item in body["dashboards"]] == ["one"]
    assert body["broken"][0]["file"] == "two.json"


async def test_a_dashboard_is_given_as_generated(client: httpx.AsyncClient, dashboards: Path) -> None:
    text = '{"uid": "one",   "panels": []}'
    (dashboards / "one.json").write_text(text)
    assert (await client.get("/api/dashboards/one")).text == text


@pytest.mark.parametrize("uid", ["..%2f..%2fetc%2fpasswd", "%2e%2e", "one.json", "two"])
async def test_nothing_but_a_known_uid_is_found(
    client: httpx.AsyncClient, dashboards: Path, uid: str
) -> None:
    (dashboards / "one.json").write_text('{"uid": "one", "panels": []}')
    response = await client.get(f"/api/dashboards/{uid}")
    assert response.status_code == 404


async def test_an_error_has_the_form_of_prometheus_own(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/dashboards/none")).json()
    assert body["status"] == "error"
    assert body["errorType"] == "err-claw-preview-dashboard-not-found"
    assert "no dashboard has the uid 'none'" in body["error"]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("endpoint", ["query", "query_range"])
async def test_queries_go_through_by_both_methods(
    client: httpx.AsyncClient, fake: Fake, method: str, endpoint: str
) -> None:
    parameters = {"query": 'up{job="ä b"}'}
    sent = {"params": parameters} if method == "GET" else {"data": parameters}
    response = await client.request(method, f"/api/{endpoint}", **sent)  # type: ignore[arg-type] # both are mappings
    assert response.json() == {"status": "success", "data": ["b", "a"]}
    assert fake.asked == [(f"/api/v1/{endpoint}", parameters)]


async def test_the_status_of_a_refusal_stays(client: httpx.AsyncClient, fake: Fake) -> None:
    fake.answer = JSONResponse({"status": "error", "error": "no"}, status_code=422)
    response = await client.get("/api/query", params={"query": "up"})
    assert response.status_code == 422
    assert response.json()["error"] == "no"


async def test_variables_are_resolved(client: httpx.AsyncClient) -> None:
    parameters = {"query": "label_values(up, job)", "start": "1", "end": "2"}
    assert (await client.post("/api/vars", data=parameters)).json()["data"] == ["b", "a"]


async def test_a_variable_query_without_its_parameters_names_them(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/vars", data={"query": "label_names()"})
    assert response.status_code == 400
    assert response.json()["error"] == "missing parameters: start, end"


@pytest.mark.parametrize(
    "path", ["/api/v1/query", "/api/series", "/api/admin/tsdb/delete_series", "/metrics"]
)
async def test_nothing_else_of_prometheus_is_reachable(
    client: httpx.AsyncClient, fake: Fake, path: str
) -> None:
    assert (await client.post(path, data={"query": "up"})).status_code == 404
    assert fake.asked == []


@pytest.mark.parametrize("body", [b"query=" + b"x" * 70_000, b"query=\xff"])
async def test_a_body_that_is_no_form_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/api/query", content=body)
    assert response.status_code == 400
    assert response.json()["errorType"] == "err-claw-preview-bad-query"


async def test_another_site_cannot_read_through_a_loopback_page(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/dashboards", headers={"host": "evil.example:8080"})
    assert response.status_code == 400


async def test_a_page_for_a_network_answers_to_its_names(dashboards: Path) -> None:
    settings = read_settings(["--dashboards", str(dashboards), "--host", "0.0.0.0"], {})  # noqa: S104 - the point
    transport = httpx.ASGITransport(create_app(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://preview.example") as http:
        assert (await http.get("/healthz")).status_code == 200


def test_a_missing_chart_library_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"plotly holds no package_data/plotly.min.js; install plotly 6"):
        create_app(settings)


async def test_connections_are_closed_at_the_end(settings: Settings) -> None:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            assert json.loads((await http.get("/api/dashboards")).text) == {"dashboards": [], "broken": []}
