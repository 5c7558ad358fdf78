"""What the hub answers where it cannot, and what it says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from tests.hub.conftest import Hub

BASE = "/api/v1/observability"


class Refusal(NamedTuple):
    """A request, and what it is refused with."""

    method: str
    path: str
    content: bytes
    status: int
    error: str


@pytest.mark.parametrize(
    "case",
    [
        Refusal("GET", "/nowhere", b"", 404, "err-claw-hub-not-found"),
        Refusal("PUT", f"{BASE}/usage", b"", 405, "err-claw-hub-bad-request"),
        Refusal("GET", f"{BASE}/usage", b"", 401, "err-claw-hub-credentials"),
        Refusal("POST", "/api/v1/auth/token", b"{", 400, "err-claw-hub-bad-request"),
        Refusal("POST", "/api/v1/auth/token", b"x" * 1_000_001, 413, "err-claw-hub-body-too-large"),
        Refusal("POST", f"{BASE}/ingest/usage", b"{}", 401, "err-claw-hub-credentials"),
    ],
    ids=lambda case: f"{case.method} {case.path} {case.status}",
)
def test_what_cannot_be_answered_has_an_error_id(running_hub: Hub, case: Refusal) -> None:
    with running_hub.client as client:
        answer = client.request(case.method, case.path, content=case.content)
        assert (answer.status_code, answer.json()["error"]) == (case.status, case.error)


def test_the_document_of_the_api_has_every_path(running_hub: Hub) -> None:
    with running_hub.client as client:
        paths = client.get("/openapi.json").json()["paths"]
    for kind in ("usage", "execution", "timeline"):
        assert f"{BASE}/ingest/{kind}/" in paths
    for name in (
        "usage",
        "usage/summary",
        "usage/trend",
        "executions",
        "executions/active",
        "timeline",
        "stream",
    ):
        assert any(path.rstrip("/") == f"{BASE}/{name}" for path in paths), name
