"""`python -m claw_native.drills.stack`: runs the stack that is drilled, until SIGTERM."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from claw_native.demo import demo
from claw_native.drills.configuration import DrillConfiguration, drill_services
from claw_native.drills.shrink import Shrink
from claw_native.errors import NativeError
from claw_native.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m claw_native.drills.stack", description=__doc__)
    parser.add_argument("--faster", type=float, required=True, help="every duration is divided by this")
    shrink = Shrink(parser.parse_args(argv).faster)
    try:
        return demo(
            read_settings(os.environ),
            services=drill_services(shrink),
            configure=DrillConfiguration(shrink),
            say=lambda text: print(text, flush=True),  # noqa: T201 - this is the program's own output
        )
    except NativeError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
