import stat
import sys
from pathlib import Path

import pytest

from claw_native.testing import Stack
from claw_preview import screenshots
from claw_preview.screenshots import SETTLED, Panel, ScreenshotError, Shot, find_chromium, main, report, take

# A fresh stack needs its first rates: some scrapes of 15 s.
FIRST_RATE_MS = 180_000


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_browser_of_make_tools_comes_before_the_one_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = program(tmp_path / "bin" / "chromium")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("CLAW_NATIVE_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("CLAW_NATIVE_TOOLS_DIR", raising=False)
    assert find_chromium() == str(on_path)
    fetched = program(tmp_path / "run" / "tools" / "bin" / "chromium")
    assert find_chromium() == str(fetched)
    shared = program(tmp_path / "shared" / "bin" / "chromium")
    monkeypatch.setenv("CLAW_NATIVE_TOOLS_DIR", str(tmp_path / "shared"))
    assert find_chromium() == str(shared)
    assert find_chromium(str(on_path)) == str(on_path)


def test_no_browser_says_where_it_looked_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CLAW_NATIVE_RUN_DIR", str(tmp_path))
    monkeypatch.delenv("CLAW_NATIVE_TOOLS_DIR", raising=False)
    with pytest.raises(
        ScreenshotError, match=r"no Chromium: looked for .*, chromium-browser, .*`make tools`"
    ):
        find_chromium()


def test_the_report_names_what_is_not_drawn_and_what_is_wrong() -> None:
    panels = (
        Panel("Rate", "timeseries", "drawn", ""),
        Panel("Containers", "table", "empty", "No data\nneeds cAdvisor"),
        Panel("Lines", "logs", "undrawable", "Log lines come from Loki"),
        Panel("Broken", "stat", "error", "parse error"),
    )
    text = report([Shot("one", Path("one.png"), panels, ("console: bad",))])
    assert text.splitlines() == [
        "one                          1 drawn, 1 no data, 1 not drawable, 2 errors  one.png",
        "    empty      Containers: No data needs cAdvisor",
        "    undrawable Lines: Log lines come from Loki",
        "    ERROR      Broken: parse error",
        "    ERROR      console: bad",
    ]


def test_a_missing_browser_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    with (
        pytest.raises(ScreenshotError, match="the package playwright is missing"),
        screenshots.browser("/bin/true"),
    ):
        pass


def test_the_command_ends_with_2_when_it_cannot_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "--chromium", str(tmp_path / "none")]) == 2
    assert "screenshots: no Chromium" in capsys.readouterr().err


@pytest.mark.tools
def test_the_command_pictures_what_it_is_asked_for_and_reports(
    tools: Path, preview_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "images"
    browser = ["--chromium", str(tools / "chromium"), "--url", f"{preview_url}/", "--width", "800"]
    assert main([str(out), *browser, "--uid", "second", "--query", "from=now-5m"]) == 0
    assert [path.name for path in out.iterdir()] == ["second.png"]
    assert capsys.readouterr().out.startswith("second                       1 drawn, 0 no data")
    assert main([str(out), *browser, "--uid", "nobody"]) == 1
    assert "no dashboard has the uid 'nobody'" in capsys.readouterr().out


@pytest.mark.tools
def test_no_preview_is_an_error_that_says_so(
    tools: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "--chromium", str(tools / "chromium"), "--url", "http://127.0.0.1:1"]) == 2
    assert "no preview answers at http://127.0.0.1:1 " in capsys.readouterr().err


@pytest.mark.stack
def test_every_generated_dashboard_is_drawn_in_the_whole_stack(
    stack: Stack, tools: Path, tmp_path: Path
) -> None:
    url = stack.url("preview")
    with screenshots.browser(str(tools / "chromium")) as context:
        page = context.new_page()
        page.goto(f"{url}/d/claw-ai-overview?refresh=5s")
        page.wait_for_selector(
            f"{SETTLED} .panel[data-type=timeseries][data-state=drawn]", timeout=FIRST_RATE_MS
        )
        page.close()
        shots = take(context, url, tmp_path)
    assert {shot.uid for shot in shots} == {path.stem for path in Path("grafana/dashboards").glob("*.json")}
    assert [error for shot in shots for error in shot.errors] == []
    assert all(any(panel.state == "drawn" for panel in shot.panels) for shot in shots)
