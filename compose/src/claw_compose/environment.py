"""The environment file, read as Compose reads it; only that a `$` in a value stays what it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from claw_compose.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["OURS", "effective", "read"]

OURS: Final = ("CLAW_", "COMPOSE_", "GRAFANA_")
LINE: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*=[ \t]*(.*)$")
# A value in quotes, whatever follows it.
QUOTED: Final = re.compile(r"""(["'])(.*?)(?<!\\)\1""")


def read(path: Path) -> dict[str, str]:
    """Returns the variables of an environment file.

    Raises:
        SettingsError: There is no such file, or it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(
            f"{path} is missing. Make it, then look through it:  cp .env.prod.example {path.name}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    matches = (LINE.match(line) for line in text.splitlines())
    return {match[1]: _value(match[2]) for match in matches if match}


def effective(path: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables of an environment file and of the terminal, which wins, as in Compose."""
    ours = {name: value for name, value in environ.items() if name.startswith(OURS)}
    return read(path) | ours


def _value(text: str) -> str:
    quoted = QUOTED.match(text)
    if quoted:
        return quoted[2]
    # Without quotes, a `#` after a space begins a comment.
    return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()
