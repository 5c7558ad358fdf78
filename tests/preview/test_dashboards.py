import json
from pathlib import Path

import pytest

from claw_preview.dashboards import Directory
from claw_preview.errors import DashboardNotFoundError


def write(directory: Path, name: str, **fields: object) -> Path:
    path = directory / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps({"uid": path.stem, "title": path.stem.title(), "panels": []} | fields))
    return path


def test_dashboards_come_by_title_with_their_panels_counted(dashboards: Path) -> None:
    row = {"type": "row", "panels": [{"type": "stat"}, {"type": "stat"}]}
    write(dashboards, "one.json", title="Zebra", panels=[{"type": "stat"}, row], tags=["x"])
    write(dashboards, "below/two.json", title="Ape", description="Climbs.")
    contents = Directory(dashboards).contents()
    assert [item.summary() for item in contents.dashboards.values()] == [
        {
            "uid": "two",
            "title": "Ape",
            "description": "Climbs.",
            "tags": [],
            "panels": 0,
            "file": "below/two.json",
        },
        {"uid": "one", "title": "Zebra", "description": "", "tags": ["x"], "panels": 3, "file": "one.json"},
    ]
    assert contents.broken == ()


def test_a_dashboard_is_given_byte_for_byte(dashboards: Path) -> None:
    path = write(dashboards, "one.json")
    assert Directory(dashboards).find("one").body == path.read_bytes()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON: Expecting property name"),
        ("[]", "is not a dashboard"),
        ('{"dashboard": {}}', "is not a dashboard"),
        ('{"panels": []}', "has no `uid`"),
    ],
)
def test_a_broken_file_is_named_with_the_reason(dashboards: Path, text: str, reason: str) -> None:
    (dashboards / "bad.json").write_text(text)
    write(dashboards, "good.json")
    contents = Directory(dashboards).contents()
    assert list(contents.dashboards) == ["good"]
    assert [item.file for item in contents.broken] == ["bad.json"]
    assert reason in contents.broken[0].reason


def test_two_files_of_one_uid_are_a_mistake_that_names_both(dashboards: Path) -> None:
    write(dashboards, "a.json", uid="same")
    write(dashboards, "b.json", uid="same")
    contents = Directory(dashboards).contents()
    assert [item.summary() for item in contents.broken] == [
        {"file": "b.json", "reason": "its uid 'same' is also that of a.json"}
    ]


def test_a_link_that_leads_nowhere_is_named(dashboards: Path) -> None:
    (dashboards / "gone.json").symlink_to("nowhere.json")
    assert Directory(dashboards).contents().broken[0].reason == "cannot be read: No such file or directory"


def test_a_changed_file_is_read_again(dashboards: Path) -> None:
    directory = Directory(dashboards)
    write(dashboards, "one.json", title="Old")
    assert directory.find("one").title == "Old"
    write(dashboards, "one.json", title="Newer")
    assert directory.find("one").title == "Newer"


def test_what_is_not_found_says_what_there_is(dashboards: Path) -> None:
    directory = Directory(dashboards)
    with pytest.raises(DashboardNotFoundError, match="none; `make generate` writes them"):
        directory.find("one")
    write(dashboards, "one.json")
    with pytest.raises(DashboardNotFoundError, match=r"no dashboard has the uid 'two'; there are: one$"):
        directory.find("two")
    (dashboards / "two.json").write_text("{")
    with pytest.raises(DashboardNotFoundError, match=r"two.json cannot be shown: is not JSON"):
        directory.find("two")
