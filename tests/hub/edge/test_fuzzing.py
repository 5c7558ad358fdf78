"""The documentation and the endpoints, held against each other by a machine."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    missing_required_header,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from tests.hub.edge.conftest import Edge, FakeBus

# None of these asks that all which breaks the schema is refused: more is taken than it says, times without a
# zone for one.
CHECKS = (
    content_type_conformance,
    missing_required_header,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

schema = schemathesis.openapi.from_asgi("/openapi.json", Edge(FakeBus()).app())


@schema.parametrize()
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_the_documentation_names(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(headers={"X-API-Key": "hc_test"}, checks=list(CHECKS))
