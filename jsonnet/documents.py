"""Turn evaluated documents into text: a mark in the first line, in JSON in its description."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import yaml

MARK: Final = re.compile(r"generated from jsonnet/", re.IGNORECASE)
"""What every generated file says: YAML in its first line, a dashboard in its description."""

FIRST: Final = ("name", "record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")
"""Order of a rule's fields in the file: the one in which people read them. Others follow by name."""


class _Dumper(yaml.CSafeDumper):
    """Writes texts of several lines as blocks, which is how people read expressions."""


def _text(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _mapping(dumper: yaml.CSafeDumper, mapping: dict[str, Any]) -> yaml.MappingNode:
    rank = {field: index for index, field in enumerate(FIRST)}
    items = sorted(mapping.items(), key=lambda item: (rank.get(item[0], len(FIRST)), item[0]))
    return dumper.represent_mapping("tag:yaml.org,2002:map", items)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(dict, _mapping)


def render(path: str, source: str, document: dict[str, Any]) -> str:
    """Return the text of one file.

    Args:
        path: Where it goes; its ending decides the format.
        source: The Jsonnet file or folder that one edits instead.
        document: What Jsonnet evaluated to.

    Raises:
        ValueError: The ending is none of ``.yml``, ``.json`` and ``.tmpl``.
    """
    if path.endswith(".yml"):
        body = yaml.dump(document, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=1_000_000)
        return f"# generated from {source}, do not edit: make generate\n{body}"
    if path.endswith(".json"):
        words = f"{document['description']} Generated from {source}, do not edit: make generate."
        return json.dumps(document | {"description": words}, indent=2, ensure_ascii=False) + "\n"
    if path.endswith(".tmpl"):
        return f"{{{{/* generated from {source}, do not edit: make generate */}}}}\n{document['text']}"
    raise ValueError(f"{path} is none of .yml, .json and .tmpl")


def is_generated(text: str) -> bool:
    """Return whether a text carries the mark."""
    if text.startswith("{\n"):
        return bool(MARK.search(str(json.loads(text).get("description", ""))))
    return bool(MARK.search(text.partition("\n")[0]))
