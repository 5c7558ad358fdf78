"""Queries out of dashboards, as `make demo-check` asks them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from claw_native.check import absence_of, has_numbers
from claw_native.errors import NativeError
from claw_native.panels import Query, read_queries
from claw_native.settings import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}


def write(folder: Path, **dashboard: Any) -> Path:  # noqa: ANN401 - JSON
    (folder / "claw-ai-x.json").write_text(json.dumps({"panels": [], **dashboard}))
    return folder


def expressions(folder: Path) -> list[str]:
    return [query.expression for query in read_queries(folder)]


def panel(expr: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "title": "Rate of $job",
        "datasource": PROMETHEUS,
        "targets": [{"refId": "A", "expr": expr}],
        **more,
    }


def variable(name: str, value: object, **more: str) -> dict[str, object]:
    return {"name": name, "current": {"value": value}, **more}


def test_variables_take_the_value_they_open_with(tmp_path: Path) -> None:
    templating = {
        "list": [
            variable("job", ["shop", "chat"]),
            variable("host", ["$__all"]),
            variable("path", "$__all", allValue=".+"),
            {"name": "never_chosen"},
        ]
    }
    expr = 'x{a=~"$job", b=~"${host}", c=~"${path:regex}", d=~"[[never_chosen]]"}[$__rate_interval]'
    folder = write(tmp_path, templating=templating, panels=[panel(expr)])
    assert expressions(folder) == ['x{a=~"shop|chat", b=~".*", c=~".+", d=~".*"}[1m]']


def test_panels_of_collapsed_rows_are_asked_too(tmp_path: Path) -> None:
    row = {"type": "row", "title": "More", "panels": [panel("x", title="Inside")]}
    (query,) = read_queries(write(tmp_path, panels=[row]))
    assert query == Query(
        dashboard="claw-ai-x", panel="Inside", ref="A", expression="x", instant=False, source="prometheus"
    )
    assert query.place == "claw-ai-x / Inside / A"


def test_a_target_without_a_query_is_no_query(tmp_path: Path) -> None:
    text = {"type": "text", "title": "Words", "targets": [{"refId": "A"}]}
    assert expressions(write(tmp_path, panels=[text])) == []


def test_a_logs_panel_is_known_by_its_source(tmp_path: Path) -> None:
    logs = panel("{service=~'.+'}", title="Logs", datasource={"type": "loki", "uid": "loki"})
    (query,) = read_queries(write(tmp_path, panels=[logs]))
    assert query.source == "loki"


def test_an_unknown_variable_is_an_error_with_its_place(tmp_path: Path) -> None:
    folder = write(tmp_path, panels=[panel("x[$__rate_intervall]", title="Rate")])
    with pytest.raises(NativeError, match=r"claw-ai-x / Rate: the variable \$__rate_intervall"):
        read_queries(folder)


def test_a_dollar_at_the_end_of_a_regular_expression_is_no_variable(tmp_path: Path) -> None:
    assert expressions(write(tmp_path, panels=[panel('x{a=~"b$"}', title="X")])) == ['x{a=~"b$"}']


def test_a_folder_without_dashboards_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NativeError, match="make generate"):
        read_queries(tmp_path)


def test_every_query_of_the_committed_dashboards_can_be_filled_in() -> None:
    queries = read_queries(REPOSITORY / "grafana" / "dashboards")
    assert len(queries) > 100
    anchors_and_groups = re.compile(r'\$"|"\$\d"|"\$\{\d\}\w*"')
    assert not [query.place for query in queries if "$" in anchors_and_groups.sub("", query.expression)]


def test_a_group_of_label_replace_is_no_variable(tmp_path: Path) -> None:
    expr = 'label_replace(up, "a", "$1", "b", "(.+)")'
    assert expressions(write(tmp_path, panels=[panel(expr, title="Up")])) == [expr]


@pytest.mark.parametrize(
    ("kind", "result", "expected"),
    [
        ("vector", [], False),
        ("vector", [{"value": [1, "NaN"]}], False),
        ("vector", [{"value": [1, "NaN"]}, {"value": [1, "0"]}], True),
        ("matrix", [{"values": [[1, "NaN"], [2, "NaN"]]}], False),
        ("matrix", [{"values": [[1, "NaN"], [2, "+Inf"]]}], True),
        ("scalar", [1, "3"], True),
        ("scalar", [1, "NaN"], False),
        ("vector", [{"histogram": [1, {}]}], False),
    ],
)
def test_nan_is_nothing_to_draw(kind: str, result: list[Any], expected: object) -> None:
    assert has_numbers({"resultType": kind, "result": result}) is expected


def test_a_query_about_containers_is_excused() -> None:
    query = Query(
        dashboard="d", panel="p", ref="A", expression="sum(container_x)", instant=True, source="prometheus"
    )
    absence = absence_of(query)
    assert absence
    assert "cAdvisor" in absence.reason
