"""The table of faults, and the documentation of it."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

import pytest
import yaml

from claw_chat.faults import Wanted
from claw_chat.model_server.behaviour import TABLE
from claw_native.drills.command import choose, listing
from claw_native.drills.configuration import drilled_rules, read_rules
from claw_native.drills.fault import Fault, alert
from claw_native.drills.faults import FAULTS
from claw_native.drills.shrink import DRILLED_ANYWAY, SECONDS
from claw_native.errors import NativeError
from claw_native.settings import REPOSITORY

RULES = REPOSITORY / "prometheus" / "rules"
DOCUMENT = REPOSITORY / "docs" / "DRILLS.md"
by_name = pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])


@cache
def alert_names(*, drilled: bool) -> set[str]:
    documents = read_rules(RULES)
    if drilled:
        documents = drilled_rules(documents)
    groups = [group for document in documents.values() for group in document["groups"]]
    return {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}


def test_there_are_twenty_faults_and_each_has_a_name_of_its_own() -> None:
    assert len(FAULTS) >= 20
    assert max(Counter(fault.name for fault in FAULTS).values()) == 1


@by_name
def test_every_alert_that_must_come_is_one_that_can_come(fault: Fault) -> None:
    assert fault.must
    assert {expected.name for expected in fault.must} <= alert_names(drilled=True)


@by_name
def test_every_alert_that_may_come_exists(fault: Fault) -> None:
    assert {expected.name for expected in fault.may} <= alert_names(drilled=False)


def test_the_special_cases_of_shorter_time_are_alerts_that_exist() -> None:
    assert DRILLED_ANYWAY.keys() | SECONDS.keys() <= alert_names(drilled=True)


def test_some_are_quick_enough_for_every_test_run() -> None:
    assert 2 <= sum(fault.quick for fault in FAULTS) <= 3


def test_an_expected_alert_is_known_by_the_labels_that_matter() -> None:
    expected = alert("Down", job="a")
    assert expected.matches({"alertname": "Down", "job": "a", "severity": "critical"})
    assert not expected.matches({"alertname": "Down", "job": "b"})
    assert not expected.matches({"alertname": "Up", "job": "a"})
    assert str(expected) == 'Down{job="a"}'
    assert str(alert("Down")) == "Down"


def test_faults_are_chosen_by_name_in_the_order_of_the_table() -> None:
    last, first = FAULTS[-1].name, FAULTS[0].name
    assert [fault.name for fault in choose([last, first])] == [first, last]
    assert choose([]) == list(FAULTS)


def test_a_fault_that_nobody_knows_is_refused() -> None:
    with pytest.raises(NativeError, match="no fault is named flood; 'claw-native drills --list' shows all"):
        choose(["flood"])


def test_the_list_shows_every_fault() -> None:
    lines = listing().splitlines()
    assert [line.split()[0] for line in lines[1:]] == [fault.name for fault in FAULTS]


# The documentation.


def table_rows() -> dict[str, list[str]]:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    return {name: rest.split(" | ") for name, rest in rows}


@by_name
def test_the_documentation_says_what_each_fault_breaks_and_calls(fault: Fault) -> None:
    breaks, must, may, *_ = table_rows()[fault.name]
    assert breaks == fault.breaks
    assert must == ", ".join(f"`{expected}`" for expected in fault.must)
    assert re.findall(r"`(\w+)`", may) == list(dict.fromkeys(expected.name for expected in fault.may))


def test_the_documentation_describes_no_other_fault() -> None:
    assert table_rows().keys() == {fault.name for fault in FAULTS}


def test_every_alert_is_drilled_or_listed_as_not() -> None:
    drilled = {expected.name for fault in FAULTS for expected in fault.must}
    section = DOCUMENT.read_text().split("## What is not drilled")[1]
    listed = re.findall(r"`([A-Z]\w+)`", " ".join(re.findall(r"^\| (.+?) \|", section, re.MULTILINE)))
    heartbeats = {"Watchdog", "WatchdogFreshData"}
    assert sorted(listed) == sorted(alert_names(drilled=False) - drilled - heartbeats)


# What the means name.


def test_the_models_that_drills_change_are_served() -> None:
    text = (REPOSITORY / "native/src/claw_native/drills/faults.py").read_text()
    named = set(re.findall(r'"((?:glm|gpt|claude|deepseek|qwen)-[\w-]+)"', text))
    assert named <= TABLE.keys()


def test_the_faults_of_the_application_that_drills_use_exist() -> None:
    text = (REPOSITORY / "native/src/claw_native/drills/faults.py").read_text()
    used = {name for call in re.findall(r"in_the_app\((.+?)\)", text) for name in re.findall(r"(\w+)=", call)}
    assert used
    assert used <= set(Wanted.__dataclass_fields__)


def test_the_exporters_configuration_counts_the_queue() -> None:
    text = (REPOSITORY / "exporter" / "exporter.yml").read_text()
    assert "queues: []" in text
    assert yaml.safe_load(text)["redis"][0]["queues"] == []
