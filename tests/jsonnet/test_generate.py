"""The writer: files, orphans, drift, and one clear message for each mistake in the sources."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import _jsonnet
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "jsonnet"))

import documents  # noqa: E402  # the path above must be there first
import generate  # noqa: E402  # the same

if TYPE_CHECKING:
    from collections.abc import Callable

    from generate import Build

ONE_RULE = """
{ 'prometheus/rules/one.yml': { source: 'jsonnet/rules/', document: { groups: [
  { name: 'one', rules: [{ record: 'job:up:sum', expr: 'sum by (job) (up)\\n> 0\\n' }] },
] } } }
"""


def run(root: Path, *arguments: str) -> int:
    return generate.main(["--root", str(root), *arguments])


def test_the_committed_files_are_what_the_sources_evaluate_to(built: Build) -> None:
    assert list(generate.compare(ROOT, built.files)) == []


def test_everything_is_evaluated_and_checked_in_under_thirty_seconds_of_processor_time() -> None:
    started = time.process_time()
    generate.build(ROOT)
    assert time.process_time() - started < 30


def test_the_program_writes_what_is_missing_and_then_has_nothing_to_do(
    with_main: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tree = with_main(ONE_RULE)
    assert run(tree) == 0
    assert "1 files, 1 expressions" in (first := capsys.readouterr().out)
    assert "wrote prometheus/rules/one.yml" in first
    assert run(tree) == 0
    assert "all up to date" in capsys.readouterr().out
    assert run(tree, "--check") == 0


def test_the_program_runs_as_a_command(with_main: Callable[[str], Path]) -> None:
    command = [
        sys.executable,
        str(ROOT / "jsonnet/generate.py"),
        "--root",
        str(with_main(ONE_RULE)),
        "--check",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "  prometheus/rules/one.yml: missing\n")


def test_a_rule_file_is_marked_and_reads_as_people_write_it(with_main: Callable[[str], Path]) -> None:
    tree = with_main(ONE_RULE)
    run(tree)
    assert (tree / "prometheus/rules/one.yml").read_text() == (
        "# generated from jsonnet/rules/, do not edit: make generate\n"
        "groups:\n"
        "- name: one\n"
        "  rules:\n"
        "  - record: job:up:sum\n"
        "    expr: |\n"
        "      sum by (job) (up)\n"
        "      > 0\n"
    )


def test_an_edited_file_is_reported_by_check_and_not_overwritten(
    with_main: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tree = with_main(ONE_RULE)
    run(tree)
    edited = tree / "prometheus/rules/one.yml"
    edited.write_text(edited.read_text() + "# by hand\n")
    assert run(tree, "--check") == 1
    assert capsys.readouterr().err == "  prometheus/rules/one.yml: differs from its Jsonnet source\n"
    assert edited.read_text().endswith("# by hand\n")


def test_a_file_that_nothing_generates_any_more_is_reported_and_removed(
    with_main: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tree = with_main(ONE_RULE)
    run(tree)
    orphan = tree / "grafana/dashboards/old.json"
    orphan.parent.mkdir(parents=True)
    orphan.write_text('{"description": "Old. Generated from jsonnet/dashboards/old.libsonnet, do not edit."}')
    capsys.readouterr()
    assert run(tree, "--check") == 1
    assert "old.json: generated once, but nothing generates it any more" in capsys.readouterr().err
    assert run(tree) == 0
    assert not orphan.exists()


@pytest.mark.parametrize("text", ["groups: []\n", '{"title": "mine"}', "{ not json"])
def test_a_file_of_the_users_own_is_left_alone(with_main: Callable[[str], Path], text: str) -> None:
    tree = with_main(ONE_RULE)
    own = tree / ("grafana/dashboards/own.json" if text.startswith("{") else "prometheus/rules/own.yml")
    own.parent.mkdir(parents=True)
    own.write_text(text)
    run(tree)
    assert run(tree, "--check") == 0
    assert own.read_text() == text


def test_a_generated_file_that_git_does_not_know_is_reported(
    with_main: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tree = with_main(ONE_RULE)
    run(tree)
    subprocess.run(["git", "init", "--quiet", tree], check=True)
    assert run(tree, "--check") == 1
    assert "prometheus/rules/one.yml: not in git; commit it with its source" in capsys.readouterr().err
    subprocess.run(["git", "-C", tree, "add", "prometheus"], check=True)
    assert run(tree, "--check") == 0


def message_of(tree: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the program says about a broken tree: nothing written, exit code 2, no traceback."""
    assert run(tree) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    assert not (tree / "prometheus").exists()
    return said.err


def test_an_unknown_metric_in_an_alert_stops_the_build_with_its_place_and_the_nearest_name(
    with_rule: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tree = with_rule("rate(claw_ai_http_request_total[5m]) > 1")
    assert message_of(tree, capsys) == (
        "prometheus/rules/broken.yml: alert Broken: unknown metric claw_ai_http_request_total; "
        "did you mean claw_ai_http_requests_total?\n"
    )


def test_an_unknown_label_in_an_alert_stops_the_build(
    with_rule: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tree = with_rule("sum by (endpont) (rate(claw_ai_http_requests_total[5m])) > 1")
    said = message_of(tree, capsys)
    assert "alert Broken: no label endpont to aggregate by" in said
    assert "did you mean endpoint?" in said


@pytest.mark.parametrize(
    ("panel", "expected"),
    [
        (
            "view.timeseries(signal.rate('claw_ai_http_request_total', { title: 'Rate' }))",
            "unknown metric claw_ai_http_request_total; did you mean claw_ai_http_requests_total?",
        ),
        (
            "view.timeseries(signal.rate('claw_ai_http_requests_total', { title: 'Rate', by: ['route'] }))",
            "no label route of claw_ai_http_requests_total (there are: endpoint, ",
        ),
        (
            "view.timeseries(signal.gauge('node_load1', { title: 'Load' }))",
            "signal Load: must provide description",
        ),
        (
            "grafana.stat('Load', [grafana.range('node_load1')], { unit: 'short' })",
            "panel Load: must provide description",
        ),
        (
            "grafana.stat('Load', [grafana.range('node_load1')], { description: 'Load.' })",
            "panel Load: must provide unit",
        ),
        (
            """view.stat(signal.quantile(0.95, 'claw_ai_http_request_duration_seconds', {
                title: 'p95', thresholds: { warning: 0.6, critical: 1 },
            }))""",
            "0.6 is no bucket bound of claw_ai_http_request_duration_seconds (there are: 0.005, ",
        ),
        (
            "view.stat(signal.above_bound(1, 'node_load1', { title: 'Load', description: 'Load.' }))",
            "node_load1 is a gauge, not a histogram",
        ),
    ],
)
def test_a_wrong_panel_stops_the_evaluation_where_it_is_declared(
    with_panel: Callable[[str], Path], capsys: pytest.CaptureFixture[str], panel: str, expected: str
) -> None:
    said = message_of(with_panel(panel), capsys)
    assert said.startswith("jsonnet/main.jsonnet:")
    assert expected in said
    assert said.endswith("; correct it there, then make generate\n")
    assert said.count("\n") == 1


def test_a_legend_of_a_label_that_the_result_lacks_stops_the_build(
    with_panel: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    options = "{ unit: 'short', description: 'Up.' }"
    tree = with_panel(
        f"grafana.timeseries('Up', [grafana.range('sum by (job) (up)', '{{{{jobs}}}}')], {options})"
    )
    assert message_of(tree, capsys) == (
        "grafana/dashboards/small.json: panel 'Up': the result has no label jobs; did you mean job?"
        " (there are: job)\n"
    )


def test_a_row_whose_title_is_no_question_stops_the_evaluation() -> None:
    library = ROOT / "jsonnet/lib/grafana.libsonnet"
    with pytest.raises(RuntimeError, match="its title must be a question"):
        _jsonnet.evaluate_snippet("row", f"(import '{library}').row('Now', [])")


def test_broken_syntax_is_reported_with_file_line_and_remedy(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "jsonnet/signals/http.libsonnet").write_text("{\n  a: 1\n  b: 2\n}\n")
    said = message_of(tree, capsys)
    assert said.startswith("jsonnet/signals/http.libsonnet:3:")
    assert said.endswith("; correct the syntax there, then make generate\n")


def test_an_import_that_does_not_exist_is_reported_with_its_place(
    with_main: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    said = message_of(with_main("\nimport 'nowhere.libsonnet'\n"), capsys)
    assert said.startswith("jsonnet/main.jsonnet:2: ")
    assert "nowhere.libsonnet" in said


def test_a_missing_catalogue_is_reported_with_what_writes_it(
    with_main: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tree = with_main(ONE_RULE)
    (tree / "exporter/metrics.json").unlink()
    said = message_of(tree, capsys)
    assert "exporter/metrics.json" in said
    assert "make generate writes it" in said


def test_a_file_outside_of_the_output_folders_is_refused(
    with_main: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tree = with_main("{ 'nginx/nginx.yml': { source: 'jsonnet/', document: {} } }")
    assert "nginx/nginx.yml is outside of prometheus/rules, alertmanager, " in message_of(tree, capsys)


def test_a_file_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"none of \.yml, \.json and \.tmpl"):
        documents.render("alertmanager/a.toml", "jsonnet/", {})


def test_the_three_outputs_of_a_mixin_are_there_under_their_usual_names() -> None:
    snippet = """
    local mixin = import 'mixin.libsonnet';
    { rules: [group.name for group in mixin.prometheusRules.groups],
      alerts: [group.name for group in mixin.prometheusAlerts.groups],
      dashboards: std.objectFields(mixin.grafanaDashboards) }
    """
    found = json.loads(_jsonnet.evaluate_snippet(str(ROOT / "jsonnet/snippet"), snippet))
    assert "http-rules" in found["rules"]
    assert "users-alerts" in found["alerts"]
    assert "claw-ai-overview.json" in found["dashboards"]


def test_a_public_mixin_combines_with_ours(with_main: Callable[[str], Path]) -> None:
    tree = with_main(
        (ROOT / "jsonnet/main.jsonnet")
        .read_text()
        .replace(
            "import 'mixin.libsonnet'",
            "(import 'mixin.libsonnet') + { prometheusAlerts+:: { groups+: ["
            "{ name: 'theirs', rules: [{ alert: 'Theirs', expr: 'up == 0' }] }] } }",
        )
    )
    assert run(tree) == 0
    assert "alert: Theirs" in (tree / "prometheus/rules/theirs.yml").read_text()
