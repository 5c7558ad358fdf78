"""What is written from the tables of the code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from claw_hub import errors, render
from claw_hub.catalog import CATALOG
from claw_hub.settings import VARIABLES

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]


def test_ids_of_errors_are_told_apart() -> None:
    ids = [getattr(errors, name).error_id for name in errors.__all__ if name != "SettingsError"]
    assert len(set(ids)) == len(ids)
    assert all(one.startswith("err-claw-hub-") for one in ids)


def test_the_page_has_every_error_metric_and_setting() -> None:
    text = (ROOT / render.PAGE).read_text()
    assert render.page(text) == text
    for metric in CATALOG:
        assert f"`{metric.name}`" in text
    for name in VARIABLES:
        assert f"`{name}`" in text


def test_what_differs_is_told_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "hub").mkdir()
    (tmp_path / render.PAGE).write_text("<!-- table errors -->\n<!-- end table -->\n")
    assert render.main([str(tmp_path), "--check"]) == 1
    assert "docs/HUB.md is not what the code says: run `make generate`" in capsys.readouterr().err
    assert render.main([str(tmp_path)]) == 0
    assert render.main([str(tmp_path), "--check"]) == 0
    assert "err-claw-hub-unavailable" in (tmp_path / render.PAGE).read_text()
