"""The public surface: what is exported, described, imported, and what the package's page shows."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import claw_exporter
from claw_exporter import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.types import Message

    Drive = Callable[..., Coroutine[Any, Any, list[Message]]]

ROOT = Path(__file__).parents[2] / "exporter"
LIBRARY = (
    "agents", "answers", "app_core_metrics", "arguments", "attempts", "auth", "buckets", "catalog",
    "counted", "endpoint", "errors", "eventloop", "exposition", "fallbacks", "guardrails", "instruments",
    "middleware", "multiprocess", "operations", "options", "pools", "prices", "records", "registry",
    "retrieval", "routes", "servers", "sockets", "spec", "stalls", "store", "stores", "testing", "traces",
    "tracking", "traffic", "usage", "watch.asyncpg", "watch.redis", "watch.sqlalchemy", "watch.taps",
    "watch.verbs", "workerfiles",
)  # fmt: skip
# From left to right: no module knows one to its right.
ROOMS = (
    "spec", "errors", "catalog", "buckets", "servers", "workerfiles", "multiprocess", "store", "exposition",
    "registry", "auth", "endpoint", "prices", "watch.taps", "watch.verbs", "watch.asyncpg", "watch.redis",
    "watch.sqlalchemy", "pools", "records", "eventloop", "attempts", "tracking",
    "stalls", "operations", "usage", "answers", "counted", "arguments", "agents", "fallbacks", "guardrails",
    "retrieval", "stores", "traffic", "instruments", "routes", "options", "traces", "sockets", "middleware",
    "app_core_metrics", "testing",
)  # fmt: skip


def test_exported_names_are_sorted_and_exist() -> None:
    assert claw_exporter.__all__ == sorted(claw_exporter.__all__)
    assert all(hasattr(claw_exporter, name) for name in claw_exporter.__all__)


@pytest.mark.parametrize("name", LIBRARY)
def test_each_module_exports_sorted_names_that_exist(name: str) -> None:
    module = importlib.import_module(f"claw_exporter.{name}")
    exported = getattr(module, "__all__", [])
    assert all(hasattr(module, public) for public in exported)
    assert exported == sorted(exported, key=lambda public: (not public.isupper(), public))


def test_everything_exported_is_described() -> None:
    for name in claw_exporter.__all__:
        thing = getattr(claw_exporter, name)
        assert inspect.getdoc(thing), name
        members = inspect.getmembers(thing, inspect.isfunction) if inspect.isclass(thing) else []
        for member, function in members:
            assert member.startswith("_") or inspect.getdoc(function), f"{name}.{member}"


def test_every_exception_is_in_the_tree_and_exported() -> None:
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.ClawError)
        assert name in claw_exporter.__all__
        assert errors.__doc__ is not None
        assert name in errors.__doc__


@pytest.mark.parametrize("name", ROOMS)
def test_no_module_knows_one_to_its_right(name: str) -> None:
    tree = ast.parse((ROOT / "src" / "claw_exporter" / f"{name.replace('.', '/')}.py").read_text())
    imports = {
        f"{node.module}.{alias.name}" if node.module == "claw_exporter.watch" else node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    ours = {
        module.removeprefix("claw_exporter.") for module in imports if module.startswith("claw_exporter.")
    }
    assert ours <= set(ROOMS[: ROOMS.index(name)])


def test_importing_the_package_imports_little_and_registers_nothing() -> None:
    code = """if True:
        import sys
        from prometheus_client import REGISTRY
        before, collectors = set(sys.modules), set(REGISTRY._collector_to_names)
        import claw_exporter
        new = {name.split(".")[0] for name in set(sys.modules) - before}
        print(*sorted(new - sys.stdlib_module_names))
        assert set(REGISTRY._collector_to_names) == collectors
    """
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["claw_exporter", "prometheus_client"]


def test_the_package_is_typed() -> None:
    assert (ROOT / "src" / "claw_exporter" / "py.typed").exists()


async def test_the_code_of_the_page_works(drive: Drive) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 1
    # As a module: FastAPI looks the annotations up.
    script = ast.parse(blocks[0])
    namespace: dict[str, Any] = {"__name__": "readme"}
    exec(compile(script, "README.md", "exec"), namespace)  # noqa: S102  # our own page
    sent = await drive(namespace["app"], "/chat", method="POST", query_string=b"prompt=one+two")
    assert b"".join(message.get("body", b"") for message in sent) == b"onetwo"
    _, page = await drive(namespace["app"], "/metrics")
    text = page["body"].decode()
    assert 'claw_ai_http_requests_total{endpoint="/chat",method="POST",status="200"}' in text
    assert 'claw_ai_ai_time_to_first_token_seconds_count{model="glm-4",provider="zhipu"}' in text
