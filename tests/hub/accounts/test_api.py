"""Logging in and managing accounts over HTTP: what is answered, and to whom."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse
from tests.hub.accounts.conftest import PASSWORD

from claw_hub.accounts import Accounts, Role, Tenant
from claw_hub.accounts.api import authenticated, routers
from claw_hub.errors import BadRequestError, HubError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

NEXT = "another horse battery"
AUTH = "/api/v1/auth"
ADMIN = "/api/v1/admin"
PRICE = {"model": "gpt-4o", "input_usd_per_million": 2.5, "output_usd_per_million": "10"}


async def refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HubError)
    return JSONResponse({"error": error.error_id, "message": str(error)}, error.status, error.headers)


async def misunderstood(_: Request, error: Exception) -> Response:
    # FastAPI's own answer quotes what was sent: passwords, too.
    assert isinstance(error, RequestValidationError)
    return JSONResponse({"error": BadRequestError.error_id, "message": "no such body"}, 400)


HANDLERS: dict[Any, Any] = {HubError: refused, RequestValidationError: misunderstood}


@dataclass
class Api:
    """A house with a tenant of its own, one customer, and people of both."""

    client: httpx.AsyncClient
    accounts: Accounts
    house: Tenant
    acme: Tenant
    tokens: dict[str, str]

    async def ask(self, who: str, method: str, path: str, body: object = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens[who]}"} if who else {}
        return await self.client.request(method, path, json=body, headers=headers)

    async def answer(self, who: str, method: str, path: str, body: object = None) -> tuple[int, Any]:
        response = await self.ask(who, method, path, body)
        return response.status_code, response.json()

    @property
    def of_acme(self) -> str:
        return f"{ADMIN}/tenants/{self.acme.id}"

    @property
    def of_house(self) -> str:
        return f"{ADMIN}/tenants/{self.house.id}"


@pytest.fixture
async def api(accounts: Accounts) -> AsyncIterator[Api]:
    house = await accounts.create_tenant(slug="house")
    acme = await accounts.create_tenant(slug="acme")
    people = {
        "operator": (house, Role.ADMIN, True),
        "clerk": (house, Role.ADMIN, False),
        "admin": (acme, Role.ADMIN, False),
        "ops": (acme, Role.OPS, False),
        "product": (acme, Role.PRODUCT, False),
        "audit": (acme, Role.AUDIT, False),
    }
    tokens = {}
    for name, (tenant, role, is_operator) in people.items():
        email = f"{name}@{tenant.slug}.example"
        await accounts.create_user(
            tenant.id, email=email, password=PASSWORD, role=role, is_operator=is_operator
        )
        tokens[name] = (await accounts.login(email, PASSWORD)).access_token
    app = FastAPI(exception_handlers=HANDLERS)
    for router in routers(accounts):
        app.include_router(router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as client:
        yield Api(client, accounts, house, acme, tokens)


async def test_a_password_opens_and_a_refresh_token_goes_on(api: Api) -> None:
    login = {"email": "admin@acme.example", "password": PASSWORD}
    response = await api.ask("", "POST", f"{AUTH}/token", login)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    first = response.json()
    assert {name: first[name] for name in ("token_type", "expires_in_seconds")} == {
        "token_type": "bearer",
        "expires_in_seconds": 900,
    }
    status, second = await api.answer(
        "", "POST", f"{AUTH}/refresh", {"refresh_token": first["refresh_token"]}
    )
    assert status == 200
    bearer = {"Authorization": f"Bearer {second['access_token']}"}
    me = (await api.client.get(f"{AUTH}/me", headers=bearer)).json()
    assert (me["subject"], me["role"], me["tenant"]["slug"]) == ("user:admin@acme.example", "admin", "acme")
    assert "keys:write" in me["permissions"]
    gone = {"refresh_token": second["refresh_token"]}
    assert (await api.ask("", "POST", f"{AUTH}/logout", gone)).status_code == 204
    assert (await api.answer("", "POST", f"{AUTH}/refresh", gone))[1]["error"] == "err-claw-hub-credentials"


async def test_wrong_passwords_are_told_with_their_id(api: Api) -> None:
    login = {"email": "admin@acme.example", "password": "wrong horse battery"}
    response = await api.ask("", "POST", f"{AUTH}/token", login)
    assert (response.status_code, response.json()["error"]) == (401, "err-claw-hub-credentials")
    assert response.headers["www-authenticate"] == "Bearer"


async def test_the_own_password_can_be_changed(api: Api) -> None:
    change = {"password": PASSWORD, "new_password": NEXT}
    status, tokens = await api.answer("admin", "POST", f"{AUTH}/password", change)
    assert status == 200
    assert (await api.ask("admin", "GET", f"{AUTH}/me")).status_code == 401
    api.tokens["admin"] = tokens["access_token"]
    assert (await api.ask("admin", "GET", f"{AUTH}/me")).status_code == 200


async def test_a_key_says_who_it_is_and_manages_nothing(api: Api) -> None:
    made = await api.accounts.create_key(api.acme.id, name="agents")
    headers = {"X-API-Key": made.secret}
    me = (await api.client.get(f"{AUTH}/me", headers=headers)).json()
    assert (me["subject"], me["role"], me["permissions"]) == (f"key:{made.key.prefix}", None, [])
    for path in (f"{ADMIN}/tenants", f"{api.of_acme}/keys", f"{ADMIN}/prices"):
        answer = await api.client.get(path, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (403, "err-claw-hub-forbidden")
    change = {"password": PASSWORD, "new_password": NEXT}
    assert (await api.client.post(f"{AUTH}/password", headers=headers, json=change)).status_code == 403


async def test_nobody_gets_in_without_a_token(api: Api) -> None:
    for method, path in routes(api):
        response = await api.ask("", method, path, {})
        assert (response.status_code, response.json()["error"]) == (401, "err-claw-hub-credentials")


def routes(api: Api) -> list[tuple[str, str]]:
    """Every route of the admin API, with numbers in it."""
    app = api.client._transport.app  # type: ignore[attr-defined]
    numbers = {"tenant_id": api.acme.id, "key_id": 1, "user_id": 1, "project_id": 1, "price_id": 1}
    paths: dict[str, dict[str, Any]] = app.openapi()["paths"]
    return [
        (method.upper(), path.format(**numbers))
        for path, methods in paths.items()
        if path.startswith(ADMIN)
        for method in methods
    ]


async def test_there_are_all_routes(api: Api) -> None:
    assert len(routes(api)) == 18


async def test_the_document_tells_how_it_is_refused(api: Api) -> None:
    app = api.client._transport.app  # type: ignore[attr-defined]
    document: dict[str, Any] = app.openapi()
    answers = document["paths"][f"{ADMIN}/tenants"]["post"]["responses"]
    assert {"201", "400", "401", "403", "404", "409", "429", "503"} <= set(answers)
    assert answers["409"]["description"].startswith("err-claw-hub-conflict: There is such a thing already")
    assert set(document["components"]["securitySchemes"]) == {"APIKeyHeader", "HTTPBearer"}


async def test_an_operator_makes_tenants_and_nobody_else_does(api: Api) -> None:
    body = {"slug": "third", "name": "Third", "records_per_second": 50, "naive_timezone": "Asia/Shanghai"}
    status, made = await api.answer("operator", "POST", f"{ADMIN}/tenants", body)
    assert status == 201
    assert made["quota"] == {
        "tokens_per_month": 500_000,
        "projects": 10,
        "records_per_second": 50,
        "on_exceeded": "flag",
    }
    for who in ("clerk", "admin", "ops", "product", "audit"):
        assert (await api.ask(who, "POST", f"{ADMIN}/tenants", {**body, "slug": who})).status_code == 403
    status, error = await api.answer("operator", "POST", f"{ADMIN}/tenants", body)
    assert (status, error["error"]) == (409, "err-claw-hub-conflict")


async def test_everybody_sees_the_own_tenant_and_an_operator_all(api: Api) -> None:
    for who in ("admin", "ops", "product", "audit"):
        listed = (await api.answer(who, "GET", f"{ADMIN}/tenants"))[1]
        assert [one["slug"] for one in listed["results"]] == ["acme"]
        assert (await api.ask(who, "GET", api.of_acme)).status_code == 200
        status, error = await api.answer(who, "GET", api.of_house)
        assert (status, error["error"]) == (404, "err-claw-hub-not-found")
    listed = (await api.answer("operator", "GET", f"{ADMIN}/tenants"))[1]
    assert [one["slug"] for one in listed["results"]] == ["house", "acme"]


async def test_nobody_gives_a_quota_to_the_own_tenant(api: Api) -> None:
    assert (await api.ask("admin", "PATCH", api.of_acme, {"name": "Acme Ltd"})).status_code == 200
    for change in ({"tokens_per_month": None}, {"on_exceeded": "flag"}, {"retention_days": 9}):
        assert (await api.ask("admin", "PATCH", api.of_acme, change)).status_code == 403
        assert (await api.ask("operator", "PATCH", api.of_acme, change)).status_code == 200
    tenant = (await api.answer("product", "GET", api.of_acme))[1]
    assert (tenant["name"], tenant["quota"]["tokens_per_month"], tenant["retention_days"]) == (
        *("Acme Ltd", None),
        9,
    )


async def test_a_key_is_shown_once_and_revoked(api: Api) -> None:
    response = await api.ask("ops", "POST", f"{api.of_acme}/keys", {"name": "agents"})
    made = response.json()
    assert (response.status_code, response.headers["cache-control"]) == (201, "no-store")
    assert (await api.accounts.authenticate(api_key=made["api_key"])).tenant.id == api.acme.id
    listed = (await api.ask("audit", "GET", f"{api.of_acme}/keys")).text
    assert made["key"]["prefix"] in listed
    assert made["api_key"] not in listed
    one = f"{api.of_acme}/keys/{made['key']['id']}"
    assert (await api.ask("audit", "DELETE", one)).status_code == 403
    status, revoked = await api.answer("ops", "DELETE", one)
    assert status == 200
    assert revoked["revoked_at"]
    assert (await api.ask("ops", "POST", f"{one}/rotate", {})).status_code == 409


async def test_a_key_is_imported_with_an_end_and_rotated(api: Api) -> None:
    body = {"name": "seed", "value": "hc_" + "a" * 43, "expires_at": "2027-01-01T00:00:00Z"}
    made = (await api.answer("admin", "POST", f"{api.of_acme}/keys", body))[1]
    assert (made["api_key"], made["key"]["expires_at"]) == (body["value"], body["expires_at"])
    rotate = f"{api.of_acme}/keys/{made['key']['id']}/rotate"
    status, rotated = await api.answer("admin", "POST", rotate, {"grace_seconds": 60})
    assert (status, len(rotated["api_key"])) == (201, 64)


async def test_an_admin_of_one_tenant_touches_nothing_of_another(api: Api) -> None:
    key = await api.accounts.create_key(api.house.id, name="agents")
    project = await api.accounts.create_project(api.house.id, external_id="p")
    user = (await api.accounts.users(api.house.id)).items[0]
    foreign = [
        ("PATCH", api.of_house, {"name": "Mine"}),
        ("GET", f"{api.of_house}/keys", None),
        ("POST", f"{api.of_house}/keys", {"name": "mine"}),
        ("DELETE", f"{api.of_house}/keys/{key.key.id}", None),
        ("POST", f"{api.of_house}/keys/{key.key.id}/rotate", {}),
        ("GET", f"{api.of_house}/users", None),
        ("POST", f"{api.of_house}/users", {"email": "x@x.example", "password": NEXT, "role": "admin"}),
        ("PATCH", f"{api.of_house}/users/{user.id}", {"role": "audit"}),
        ("POST", f"{api.of_house}/users/{user.id}/password", {"password": NEXT}),
        ("GET", f"{api.of_house}/projects", None),
        ("POST", f"{api.of_house}/projects", {"external_id": "q"}),
        ("PATCH", f"{api.of_house}/projects/{project.id}", {"name": "Mine"}),
        ("POST", f"{ADMIN}/prices", {**PRICE, "tenant_id": api.house.id}),
        # The own tenant, with numbers of the other's things.
        ("DELETE", f"{api.of_acme}/keys/{key.key.id}", None),
        ("POST", f"{api.of_acme}/keys/{key.key.id}/rotate", {}),
        ("PATCH", f"{api.of_acme}/users/{user.id}", {"role": "audit"}),
        ("POST", f"{api.of_acme}/users/{user.id}/password", {"password": NEXT}),
        ("PATCH", f"{api.of_acme}/projects/{project.id}", {"name": "Mine"}),
    ]
    for method, path, body in foreign:
        status, error = await api.answer("admin", method, path, body)
        assert (status, error["error"]) == (404, "err-claw-hub-not-found"), (method, path)
    assert await api.accounts.authenticate(api_key=key.secret)


async def test_people_are_made_changed_and_given_passwords(api: Api) -> None:
    body = {"email": "New@Acme.example", "password": PASSWORD, "role": "audit"}
    status, made = await api.answer("admin", "POST", f"{api.of_acme}/users", body)
    assert (status, made["email"], made["is_operator"]) == (201, "new@acme.example", False)
    assert PASSWORD not in str(made)
    one = f"{api.of_acme}/users/{made['id']}"
    assert (await api.answer("admin", "PATCH", one, {"role": "ops"}))[1]["role"] == "ops"
    assert (await api.ask("admin", "POST", f"{one}/password", {"password": NEXT})).status_code == 200
    assert await api.accounts.login("new@acme.example", NEXT)
    listed = (await api.answer("audit", "GET", f"{api.of_acme}/users"))[1]["results"]
    assert [user["email"].partition("@")[0] for user in listed] == [
        *("admin", "ops", "product", "audit", "new"),
    ]
    assert (await api.ask("ops", "POST", f"{api.of_acme}/users", body)).status_code == 403


async def test_nobody_but_an_operator_takes_over_an_operator(api: Api) -> None:
    operator = (await api.accounts.users(api.house.id)).items[0]
    assert operator.is_operator
    one = f"{api.of_house}/users/{operator.id}"
    for method, path, body in (
        ("POST", f"{one}/password", {"password": NEXT}),
        ("PATCH", one, {"is_active": False}),
    ):
        status, error = await api.answer("clerk", method, path, body)
        assert (status, error["error"]) == (403, "err-claw-hub-forbidden")
    more = {"email": "x@house.example", "password": PASSWORD, "role": "admin", "is_operator": True}
    assert (await api.ask("clerk", "POST", f"{api.of_house}/users", more)).status_code == 400
    assert (await api.ask("operator", "POST", f"{one}/password", {"password": NEXT})).status_code == 200


async def test_projects_are_named(api: Api) -> None:
    status, made = await api.answer("admin", "POST", f"{api.of_acme}/projects", {"external_id": "p-1"})
    assert (status, made["name"]) == (201, "p-1")
    one = f"{api.of_acme}/projects/{made['id']}"
    assert (await api.answer("admin", "PATCH", one, {"is_archived": True}))[1]["archived_at"]
    listed = (await api.answer("product", "GET", f"{api.of_acme}/projects"))[1]
    assert [project["external_id"] for project in listed["results"]] == ["p-1"]
    assert (await api.ask("product", "PATCH", one, {"name": "x"})).status_code == 403


async def test_prices_of_the_house_are_an_operators_and_own_ones_an_admins(api: Api) -> None:
    status, house = await api.answer("operator", "POST", f"{ADMIN}/prices", PRICE)
    assert status == 201
    assert (house["input_usd_per_million"], house["output_usd_per_million"]) == (2.5, 10.0)
    assert (await api.ask("admin", "POST", f"{ADMIN}/prices", PRICE)).status_code == 403
    own = (await api.answer("admin", "POST", f"{ADMIN}/prices", {**PRICE, "tenant_id": api.acme.id}))[1]
    other = (await api.answer("operator", "POST", f"{ADMIN}/prices", {**PRICE, "tenant_id": api.house.id}))[1]
    for who, seen in (("ops", [house, own]), ("audit", [house, own]), ("operator", [house, own, other])):
        assert (await api.answer(who, "GET", f"{ADMIN}/prices"))[1]["results"] == seen
    assert (await api.ask("product", "GET", f"{ADMIN}/prices")).status_code == 403
    end = {"at": "2027-01-01T00:00:00Z"}
    for price, status in ((house, 403), (other, 404), (own, 200)):
        path = f"{ADMIN}/prices/{price['id']}/end"
        assert (await api.ask("admin", "POST", path, end)).status_code == status
    assert (await api.ask("ops", "POST", f"{ADMIN}/prices/{own['id']}/end", end)).status_code == 403


@pytest.mark.parametrize("what", ["", "/keys", "/users", "/projects"])
async def test_a_tenant_that_is_not_there_has_no_lists(api: Api, what: str) -> None:
    for who in ("operator", "admin"):
        status, error = await api.answer(who, "GET", f"{ADMIN}/tenants/4711{what}")
        assert (status, error["error"]) == (404, "err-claw-hub-not-found")


async def test_lists_go_on_with_a_cursor(api: Api) -> None:
    for number in range(5):
        await api.accounts.create_key(api.acme.id, name=f"key {number}")
    names: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        part = (await api.answer("ops", "GET", f"{api.of_acme}/keys?limit=2&cursor={cursor}"))[1]
        names += [key["name"] for key in part["results"]]
        cursor = part["next"]
    assert names == [f"key {number}" for number in range(5)]


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "٣", "9" * 30])
async def test_a_cursor_that_nobody_gave_is_refused(api: Api, cursor: str) -> None:
    status, error = await api.answer("ops", "GET", f"{api.of_acme}/keys?cursor={cursor}")
    assert (status, error["error"]) == (400, "err-claw-hub-bad-cursor")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tenants", {"slug": "x\x00y"}),
        ("/tenants", {"slug": "ok", "name": "a\x00b"}),
        ("/tenants", {"slug": "ok", "tokens_per_month": 2**64}),
        ("/tenants", {"slug": "ok", "records_per_second": "NaN"}),
        ("/tenants", {"slug": "ok", "naive_timezone": "/etc/passwd"}),
        ("/tenants/1/keys", {"name": "k", "value": "nonsense"}),
        ("/tenants/1/keys", {"name": "k", "expires_at": "0001-01-01T00:00:00+23:59"}),
        ("/tenants/1/keys", {"name": "k", "expires_at": 1e300}),
        ("/tenants/1/users", {"email": "a@b.example", "password": "short", "role": "ops"}),
        ("/tenants/1/projects", {"external_id": "\u0000"}),
        ("/prices", {**PRICE, "input_usd_per_million": "1e-30"}),
        ("/prices", {**PRICE, "input_usd_per_million": "NaN"}),
        ("/prices", {**PRICE, "valid_from": "9999-12-31T23:59:59-23:59"}),
        (f"/tenants/{2**80}/keys", {"name": "k"}),
    ],
)
async def test_what_makes_no_sense_is_the_callers_mistake(api: Api, path: str, body: object) -> None:
    response = await api.ask("operator", "POST", f"{ADMIN}{path}", body)
    assert (response.status_code, response.json()["error"]) == (400, "err-claw-hub-bad-request")


async def test_text_that_is_none_is_the_callers_mistake(api: Api) -> None:
    for path, body in (
        (f"{AUTH}/token", b'{"email": "\\ud800@x.example", "password": "\\ud800"}'),
        (f"{AUTH}/refresh", b'{"refresh_token": "\\ud800"}'),
    ):
        response = await api.client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert response.status_code in {400, 401}


async def test_changes_are_logged_with_who_made_them_and_no_secret(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "claw_hub.accounts"):
        made = (await api.answer("ops", "POST", f"{api.of_acme}/keys", {"name": "agents"}))[1]
    (record,) = caplog.records
    fields = record.__dict__["fields"]
    assert record.getMessage() == "key_created"
    assert fields == {
        "subject": "user:ops@acme.example",
        "tenant_id": api.acme.id,
        "key_id": made["key"]["id"],
    }


async def test_other_routes_can_ask_who_it_is(api: Api) -> None:
    app = FastAPI(exception_handlers=HANDLERS)

    @app.get("/whoami", dependencies=[Depends(authenticated(api.accounts))])
    async def whoami() -> str:
        return "somebody"

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as client:
        assert (await client.get("/whoami")).status_code == 401
        bearer = {"Authorization": f"Bearer {api.tokens['ops']}"}
        assert (await client.get("/whoami", headers=bearer)).status_code == 200
        assert (await client.get("/whoami", headers={"Authorization": "Basic x"})).status_code == 401
