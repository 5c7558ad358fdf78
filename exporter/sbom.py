# ruff: noqa: INP001 - a script of the Dockerfiles, not a package
"""Completes an image's bill of materials: what cyclonedx-py found, Python itself, and the packages of Debian.

    python sbom.py python.json dpkg-status image.cdx.json

Run while an image is built: in its release of Debian, by a Python with cyclonedx-python-lib.
"""

from __future__ import annotations

import json
import platform
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cyclonedx.schema import SchemaVersion  # type: ignore[import-not-found,unused-ignore]
from cyclonedx.validation.json import JsonStrictValidator  # type: ignore[import-not-found,unused-ignore]

if TYPE_CHECKING:
    from collections.abc import Iterator


def interpreter() -> dict[str, str]:
    """Return Python as a component."""
    version = platform.python_version()
    return {
        "type": "platform",
        "bom-ref": "python",
        "name": "python",
        "version": version,
        "cpe": f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*",
        "purl": f"pkg:generic/python@{version}",
    }


def installed(status: str) -> Iterator[dict[str, str]]:
    """Yield the fields of each installed package in dpkg's `status`."""
    for paragraph in status.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if re.match(r"[A-Z].*?: ", line))
        if fields.get("Status", "").endswith(" installed"):
            yield fields


def debian_package(fields: dict[str, str], release: str) -> dict[str, str]:
    """Return a package as a component, by the rules of package-url for Debian."""
    name, version = fields["Package"], fields["Version"]
    quoted = f"{quote(name)}@{quote(version, safe='')}"
    purl = f"pkg:deb/debian/{quoted}?arch={fields['Architecture']}&distro=debian-{release}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def main(python: Path, status: Path, out: Path) -> None:
    """Write the whole bill of materials, in the order of the parts and without a time: the same each time."""
    bill: dict[str, Any] = json.loads(python.read_text())
    release = platform.freedesktop_os_release()["VERSION_ID"]
    bill["components"] += [
        interpreter(),
        *(debian_package(fields, release) for fields in installed(status.read_text())),
    ]
    text = json.dumps(bill, indent=2, sort_keys=True) + "\n"
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"the bill of materials is not valid CycloneDX 1.6: {error}")
    out.write_text(text)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
