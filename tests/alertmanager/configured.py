"""What the generator writes once somebody has changed config.libsonnet: our own Jsonnet, patched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import _jsonnet

ROOT = Path(__file__).resolve().parents[2]
BUILD = """
local routes = import 'routes.libsonnet';
local messages = import 'messages.libsonnet';
local without = { inhibit_rules:: [] };
{ alertmanager: routes.alertmanager + %s, relay: routes.relay, templates: messages }
"""


def build(patch: str = "{}", *, inhibition: bool = True) -> dict[str, Any]:
    """Evaluates routes and messages with ``config + patch``, the patch being Jsonnet.

    Args:
        patch: What is different.
        inhibition: Whether that is evaluated too, which takes a second.

    Raises:
        RuntimeError: The generator refuses it; the message is the one that `make generate` shows.
    """

    def load(folder: str, name: str) -> tuple[str, bytes]:
        path = (Path(folder) / name).resolve()
        if path.name == "config.libsonnet":
            return str(path), f"(import 'config.libsonnet.original') + ({patch})".encode()
        if path.name == "config.libsonnet.original":
            return str(path), (ROOT / "jsonnet/config.libsonnet").read_bytes()
        return str(path), path.read_bytes()

    snippet = BUILD % ("{}" if inhibition else "without")
    text = _jsonnet.evaluate_snippet(str(ROOT / "jsonnet/test.jsonnet"), snippet, import_callback=load)
    built: dict[str, Any] = json.loads(text)
    return built
