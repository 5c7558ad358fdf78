import re
from pathlib import Path

from claw_preview import errors
from claw_preview.settings import OPTIONS

ROOT = Path(__file__).parents[2]
README = (ROOT / "preview" / "README.md").read_text()
JS = ROOT / "preview" / "src" / "claw_preview" / "static" / "js"


def test_every_setting_is_in_the_readme_and_no_other() -> None:
    listed = re.findall(r"^\| `(--[a-z-]+)` \| `(CLAW_\w+)` \| `(\S+)` \|", README, re.MULTILINE)
    assert listed == [(option.flag, option.variable, option.default) for option in OPTIONS]


def test_every_error_a_client_can_see_is_in_the_readme_and_no_other() -> None:
    listed = re.findall(r"^\| `(err-claw-[a-z-]+)` \| (\d+) \|", README, re.MULTILINE)
    internal = {errors.PreviewError, errors.PrometheusError, errors.SettingsError}
    kinds = [getattr(errors, name) for name in errors.__all__]
    assert sorted(listed) == sorted(
        (kind.error_id, str(kind.status)) for kind in kinds if kind not in internal
    )


def test_every_transformation_that_is_applied_is_in_the_readme() -> None:
    table = re.search(r"const TRANSFORMATIONS = \{(.*?)\};", (JS / "transform.js").read_text(), re.DOTALL)
    listed = re.search(r"^\| transformations \| (.*) \|$", README, re.MULTILINE)
    assert table is not None
    assert listed is not None
    names = {name.split(":")[0].strip() for name in table[1].split(",")} - {"", "seriesToColumns"}
    assert set(listed[1].split(", ")) == names


def test_every_dashboard_has_a_picture_that_the_docs_show() -> None:
    dashboards = {path.stem for path in (ROOT / "grafana" / "dashboards").glob("*.json")}
    pictures = {path.stem for path in (ROOT / "docs" / "images").glob("claw-ai-*.png")}
    shown = re.findall(r"\(images/(claw-ai-[a-z]+)\.png\)", (ROOT / "docs" / "README.md").read_text())
    assert pictures == dashboards
    assert sorted(shown) == sorted(dashboards)
