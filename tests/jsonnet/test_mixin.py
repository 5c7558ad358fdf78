"""Others use the mixin as they use public ones: added to theirs, in either order, and tuned from outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import _jsonnet
import pytest

ROOT = Path(__file__).resolve().parents[2]
Json = dict[str, Any]

# What a public mixin looks like: `_config` for its own settings, and hidden outputs that are added to others.
FOREIGN = """
{
  _config+:: { foreignSelector: 'job="theirs"' },
  prometheusAlerts+:: {
    local down = { alert: 'Theirs', expr: 'up{%s} == 0' % $._config.foreignSelector },
    groups+: [{ name: 'theirs', rules: [down] }],
  },
  prometheusRules+:: {
    groups+: [{ name: 'theirs.rules', rules: [{ record: 'theirs:up:sum', expr: 'sum(up)' }] }],
  },
  grafanaDashboards+:: { 'theirs.json': { title: 'Theirs', uid: 'theirs', panels: [] } },
}
"""
# A dashboard is known by its uid and title: to work out its panels takes a while, and is test_generate.py's.
OUTPUTS = """
{
  alerts: mixin.prometheusAlerts.groups,
  rules: mixin.prometheusRules.groups,
  dashboards: {
    [name]: { uid: mixin.grafanaDashboards[name].uid, title: mixin.grafanaDashboards[name].title }
    for name in std.objectFields(mixin.grafanaDashboards)
  },
}
"""
ORDERS = {"ours first": "ours + theirs", "theirs first": "theirs + ours"}


def evaluate(sum_of_mixins: str) -> Json:
    """Return what a mixin, as an expression of `ours` and `theirs`, puts out."""
    text = f"local ours = import 'mixin.libsonnet'; local theirs = {FOREIGN};\n"
    text += f"local mixin = {sum_of_mixins};\n{OUTPUTS}"
    found: Json = json.loads(_jsonnet.evaluate_snippet(str(ROOT / "jsonnet/snippet"), text))
    return found


@pytest.fixture(scope="module")
def alone() -> Json:
    return evaluate("ours")


@pytest.mark.parametrize("both", ORDERS.values(), ids=ORDERS)
def test_a_foreign_mixin_beside_ours_loses_nothing_of_either(both: str, alone: Json) -> None:
    found, theirs = evaluate(both), evaluate("theirs")
    for output in ("alerts", "rules"):
        by_name = {group["name"]: group for group in found[output]}
        assert len(by_name) == len(found[output])
        assert by_name == {group["name"]: group for group in alone[output] + theirs[output]}
    assert found["dashboards"] == alone["dashboards"] | theirs["dashboards"]


def test_ours_depends_on_nothing_of_a_foreign_mixin_and_sees_no_settings_of_it(alone: Json) -> None:
    found = evaluate("{ _config+:: { foreignSelector: 'x' }, config:: 'theirs' } + ours")
    assert found == alone


def test_no_field_of_ours_is_shown_so_that_it_can_stand_in_a_file_of_its_own() -> None:
    text = "local ours = import 'mixin.libsonnet'; [std.objectFields(ours), std.objectFieldsAll(ours)]"
    shown, every = json.loads(_jsonnet.evaluate_snippet(str(ROOT / "jsonnet/snippet"), text))
    assert shown == []
    assert every == ["grafanaDashboards", "prometheusAlerts", "prometheusRules"]


def test_every_group_and_dashboard_can_be_written_as_it_is(alone: Json) -> None:
    """What tools of mixins do: a file per output; hidden fields of ours are gone by then."""
    for group in alone["alerts"] + alone["rules"]:
        assert set(group) <= {"name", "interval", "rules"}
        kinds = {"alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations"}
        assert all(set(rule) <= kinds for rule in group["rules"])
    for name, dashboard in alone["dashboards"].items():
        assert name == f"{dashboard['uid']}.json"


def test_one_can_take_an_alert_out_and_change_another_as_with_any_mixin(alone: Json) -> None:
    found = evaluate("""
      ours + {
        prometheusAlerts+:: {
          groups: [
            group {
              rules: [
                if rule.alert == 'TargetDown' then rule { 'for': '42m' } else rule
                for rule in group.rules
                if rule.alert != 'Watchdog'
              ],
            }
            for group in super.groups
          ],
        },
      }
    """)
    before = {rule["alert"] for group in alone["alerts"] for rule in group["rules"]}
    rules = [rule for group in found["alerts"] for rule in group["rules"]]
    assert {rule["alert"] for rule in rules} == before - {"Watchdog"}
    assert {rule["for"] for rule in rules if rule["alert"] == "TargetDown"} == {"42m"}


def test_a_lost_plus_would_be_noticed(alone: Json) -> None:
    found = evaluate("ours + { prometheusAlerts:: { groups: [] } } + theirs")
    assert found["alerts"] != alone["alerts"]
    assert [group["name"] for group in found["alerts"]] == ["theirs"]
