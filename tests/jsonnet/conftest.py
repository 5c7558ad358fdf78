"""The generator under test: its modules are scripts beside the Jsonnet sources, not a package."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "jsonnet"))

import generate  # noqa: E402  # the path above must be there first

if TYPE_CHECKING:
    from collections.abc import Callable

    from generate import Build

DASHBOARDS = sorted(path.stem for path in (ROOT / "grafana/dashboards").glob("*.json"))

SMALL_DASHBOARD = """
local dashboard = import 'lib/dashboard.libsonnet';
local grafana = import 'lib/grafana.libsonnet';
local signal = import 'lib/signal.libsonnet';
local variables = import 'lib/variables.libsonnet';
local view = signal.view(variables.of_app);
local made = dashboard.render({ small: {
  title: 'Small',
  description: 'One panel.',
  refresh: '1m',
  variables: [variables.job, variables.instance],
  rows: [grafana.row('What is it?', [
    PANEL
  ])],
} });
{ 'grafana/dashboards/small.json': { source: 'jsonnet/main.jsonnet', document: made['small.json'] } }
"""


@pytest.fixture(scope="session")
def built() -> Build:
    """What the repository's own Jsonnet evaluates to, once for all tests."""
    return generate.build(ROOT)


@pytest.fixture(params=DASHBOARDS)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each committed dashboard in turn."""
    path = ROOT / f"grafana/dashboards/{request.param}.json"
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the generator reads, small enough to break."""
    shutil.copytree(
        ROOT / "jsonnet", tmp_path / "jsonnet", ignore=shutil.ignore_patterns("*.py", "__pycache__")
    )
    for folder in ("exporter", "relay"):
        (tmp_path / folder).mkdir()
        shutil.copy(ROOT / folder / "metrics.json", tmp_path / folder)
    return tmp_path


@pytest.fixture
def with_main(tree: Path) -> Callable[[str], Path]:
    """Call it with another main.jsonnet; the rest of the tree stays as it is."""

    def put(text: str) -> Path:
        (tree / "jsonnet/main.jsonnet").write_text(text)
        return tree

    return put


@pytest.fixture
def with_rule(with_main: Callable[[str], Path]) -> Callable[[str], Path]:
    """Call it with an expression; main.jsonnet then writes one alert of it."""

    def put(expression: str) -> Path:
        rule = {"alert": "Broken", "expr": expression}
        document = {"groups": [{"name": "broken", "rules": [rule]}]}
        output = {"prometheus/rules/broken.yml": {"source": "jsonnet/main.jsonnet", "document": document}}
        return with_main(json.dumps(output))

    return put


@pytest.fixture
def with_panel(with_main: Callable[[str], Path]) -> Callable[[str], Path]:
    """Call it with Jsonnet that makes a panel; main.jsonnet then writes one dashboard that holds it."""

    def put(panel: str) -> Path:
        return with_main(SMALL_DASHBOARD.replace("PANEL", panel))

    return put
