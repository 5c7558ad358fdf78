"""Draw every dashboard in headless Chromium: a picture of each, and what became of each panel.

`python -m claw_preview.screenshots docs/images` beside a running preview.
It ends with 1 when a panel shows an error or the page complains on its console, with 2 when it cannot start.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from claw_preview.errors import PreviewError

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

__all__ = ["Panel", "ScreenshotError", "Shot", "browser", "find_chromium", "main", "take"]

# Nothing that talks to the world or needs a display; as root there is no sandbox.
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
SETTLED = "body[data-settled=true]"
TIMEOUT_MS = 180_000
PANELS = """() => [...document.querySelectorAll('.panel')].map((panel) => ({
  title: panel.getAttribute('aria-label') || '', type: panel.dataset.type, state: panel.dataset.state,
  detail: panel.dataset.error || panel.querySelector('.message')?.innerText || '' }))"""
OPEN_ROWS = "() => document.querySelectorAll('.row[aria-expanded=false]').forEach((row) => row.click())"
USAGE_EXIT_CODE = 2


class ScreenshotError(PreviewError):
    """No pictures can be taken: no browser, or no page."""


@dataclass(frozen=True, slots=True)
class Panel:
    """What became of one panel; `state` is drawn, empty, undrawable or error."""

    title: str
    type: str
    state: str
    detail: str


@dataclass(frozen=True, slots=True)
class Shot:
    """One dashboard: its picture, its panels (those in collapsed rows too), complaints on the console."""

    uid: str
    file: Path
    panels: tuple[Panel, ...]
    complaints: tuple[str, ...] = field(default=())

    @property
    def errors(self) -> list[str]:
        """What must not be, one sentence each."""
        bad = [panel for panel in self.panels if panel.state in {"error", "loading"}]
        return [f"{panel.title}: {panel.detail or panel.state}" for panel in bad] + list(self.complaints)


def find_chromium(given: str | None = None) -> str:
    """Path of the browser: as given, else the one of `make tools`, else on PATH.

    Raises:
        ScreenshotError: there is none.
    """
    run = os.environ.get("CLAW_NATIVE_RUN_DIR", ".run")
    tools = os.environ.get("CLAW_NATIVE_TOOLS_DIR", f"{run}/tools")
    names = (given,) if given else (f"{tools}/bin/chromium", "chromium", "chromium-browser", "google-chrome")
    for name in names:
        found = shutil.which(name)
        if found:
            return str(Path(found).absolute())
    raise ScreenshotError(f"no Chromium: looked for {', '.join(names)}; `make tools` fetches one")


@contextmanager
def _libraries_beside(chromium: str) -> Iterator[None]:
    """Lets what is started now find the libraries fetched with a browser: Playwright's Node needs one."""
    before = os.environ.get("LD_LIBRARY_PATH")
    folders = [str(folder) for folder in Path(chromium).parent.parent.glob("chromium/usr/lib/*-linux-gnu")]
    os.environ["LD_LIBRARY_PATH"] = ":".join([*folders, *([before] if before else [])])
    try:
        yield
    finally:
        del os.environ["LD_LIBRARY_PATH"]
        if before is not None:
            os.environ["LD_LIBRARY_PATH"] = before


@contextmanager
def browser(
    chromium: str, *, width: int = 1600, height: int = 1000, scale: float = 1
) -> Iterator["BrowserContext"]:
    """A headless browser with a profile of its own, forgotten at the end.

    Raises:
        ScreenshotError: the package that drives it is not installed.
    """
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only pictures need it
    except ImportError as error:
        raise ScreenshotError("the package playwright is missing; pip install playwright") from error
    with ExitStack() as stack:
        profile = stack.enter_context(tempfile.TemporaryDirectory(prefix="claw-preview-"))
        with _libraries_beside(chromium):
            playwright = stack.enter_context(sync_playwright())
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=chromium,
            args=list(CHROMIUM_FLAGS),
            headless=True,
            viewport={"width": width, "height": height},
            device_scale_factor=scale,
            color_scheme="dark",
            reduced_motion="reduce",
        )
        try:
            yield context
        finally:
            context.close()


def take(
    context: "BrowserContext",
    url: str,
    out: Path,
    *,
    uids: Sequence[str] = (),
    query: str = "",
) -> list[Shot]:
    """Picture each dashboard (all that the page lists, or only `uids`) as `<uid>.png` in `out`.

    `query` is added to the address, such as `from=now-15m`.

    Raises:
        ScreenshotError: the preview does not answer.
    """
    out.mkdir(parents=True, exist_ok=True)
    wanted = uids or _listed(url)
    return [_shoot(context, f"{url}/d/{uid}?refresh=&{query}", uid, out) for uid in wanted]


def _listed(url: str) -> list[str]:
    try:
        answer = httpx.get(f"{url}/api/dashboards", timeout=10, trust_env=False).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise ScreenshotError(f"no preview answers at {url} ({error}); `make demo` starts one") from error
    broken = [f"{item['file']} {item['reason']}" for item in answer["broken"]]
    if broken:
        raise ScreenshotError(f"broken dashboards: {'; '.join(broken)}")
    return [dashboard["uid"] for dashboard in answer["dashboards"]]


def _shoot(context: "BrowserContext", address: str, uid: str, out: Path) -> Shot:
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    complaints = _listen(page)
    try:
        page.goto(address)
        page.wait_for_selector(SETTLED)
        file = out / f"{uid}.png"
        page.screenshot(path=file, full_page=True)
        page.evaluate(OPEN_ROWS)
        page.wait_for_selector(SETTLED)
        panels = tuple(Panel(**panel) for panel in page.evaluate(PANELS))
        banner = page.locator("#banner .banner")
        if banner.count():
            complaints.append(banner.inner_text())
        return Shot(uid, file, panels, tuple(complaints))
    finally:
        page.close()


def _listen(page: "Page") -> list[str]:
    complaints: list[str] = []

    def on_console(message: Any) -> None:  # noqa: ANN401 - playwright's type is not imported at run time
        if message.type == "error":
            complaints.append(f"console: {message.text}")

    page.on("console", on_console)
    page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
    return complaints


def report(shots: Sequence[Shot]) -> str:
    """A line for each dashboard, then every panel that is not drawn, then what is wrong."""
    lines = []
    for shot in shots:
        counts = Counter(panel.state for panel in shot.panels)
        numbers = f"{counts['drawn']} drawn, {counts['empty']} no data, {counts['undrawable']} not drawable"
        lines.append(f"{shot.uid:<28} {numbers}, {len(shot.errors)} errors  {shot.file}")
        missing = [panel for panel in shot.panels if panel.state in {"empty", "undrawable"}]
        lines += [
            f"    {panel.state:<11}{panel.title}: {' '.join(panel.detail.split())}" for panel in missing
        ]
        lines += [f"    ERROR      {error}" for error in shot.errors]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; see this module's description for what it ends with."""
    options = _parser().parse_args(arguments)
    try:
        with browser(find_chromium(options.chromium), width=options.width, scale=options.scale) as context:
            shots = take(context, options.url.rstrip("/"), options.out, uids=options.uid, query=options.query)
    except ScreenshotError as error:
        sys.stderr.write(f"screenshots: {error}\n")
        return USAGE_EXIT_CODE
    sys.stdout.write(report(shots) + "\n")
    return 1 if any(shot.errors for shot in shots) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m claw_preview.screenshots", description=main.__doc__)
    port = os.environ.get("CLAW_PREVIEW_PORT", "8080")
    parser.add_argument("out", type=Path, help="directory of the pictures")
    parser.add_argument(
        "--url", default=f"http://127.0.0.1:{port}", help="the running preview (default %(default)s)"
    )
    parser.add_argument("--uid", action="append", default=[], help="only this dashboard; may be given again")
    parser.add_argument("--query", default="", help="added to each address, such as from=now-15m")
    parser.add_argument("--width", type=int, default=1600, help="width in pixels (default %(default)s)")
    parser.add_argument("--scale", type=float, default=1, help="device pixels a pixel (default %(default)s)")
    parser.add_argument(
        "--chromium", default=os.environ.get("CLAW_PREVIEW_CHROMIUM"), help="path of the browser"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
