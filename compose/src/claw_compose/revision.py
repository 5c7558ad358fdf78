"""Which commit of the repository this is."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Revision", "revision"]


class Revision(NamedTuple):
    """A commit.

    Attributes:
        commit: Its hash; empty without git, or where this is no clone.
        committed: When, as in RFC 3339; empty likewise.
    """

    commit: str = ""
    committed: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """What our images' labels are made of; nothing that is not known."""
        arguments = {"CLAW_IMAGE_REVISION": self.commit, "CLAW_IMAGE_CREATED": self.committed}
        return {name: text for name, text in arguments.items() if text}


def revision(repository: Path) -> Revision:
    """Returns the commit that is checked out, whatever was changed since."""
    git = shutil.which("git")
    if git is None:
        return Revision()
    command = [git, "-C", str(repository), "log", "-1", "--format=%H %cI"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - constants
    return Revision(*done.stdout.split())
