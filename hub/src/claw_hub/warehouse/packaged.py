"""The SQL of ``clickhouse/``: in a wheel as ``claw_hub/clickhouse``; in a checkout it is above."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from claw_hub.errors import HubError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["migration_texts", "query_texts", "sql_folder"]


def sql_folder() -> Traversable:
    """Returns the folder with ``migrations`` and ``queries``.

    Raises:
        HubError: The package lacks it.
    """
    packaged = files("claw_hub") / "clickhouse"
    if packaged.is_dir():
        return packaged
    for folder in Path(__file__).resolve().parents:
        if (folder / "clickhouse" / "migrations").is_dir():
            return folder / "clickhouse"
    raise HubError("this installation of claw-hub lacks its SQL (claw_hub/clickhouse); install it anew")


def migration_texts(folder: Traversable | None = None) -> dict[str, str]:
    """Returns the migrations in their order: name such as ``0001_create_raw`` -> text."""
    found = (folder or sql_folder()) / "migrations"
    names = sorted(one.name for one in found.iterdir() if one.name.endswith(".sql"))
    return {name.removesuffix(".sql"): (found / name).read_text(encoding="utf-8") for name in names}


def query_texts(folder: Traversable | None = None) -> dict[str, str]:
    """Returns the statements: name such as ``api/usage_summary`` -> text."""
    found = (folder or sql_folder()) / "queries"
    return dict(_texts(found, "")) if found.is_dir() else {}


def _texts(folder: Traversable, prefix: str) -> list[tuple[str, str]]:
    texts = []
    for one in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if one.is_dir():
            texts += _texts(one, f"{prefix}{one.name}/")
        elif one.name.endswith(".sql"):
            texts.append((prefix + one.name.removesuffix(".sql"), one.read_text(encoding="utf-8")))
    return texts
