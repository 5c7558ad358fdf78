"""`python3 -m claw_compose`."""

import sys

from claw_compose.cli import main

if __name__ == "__main__":
    sys.exit(main())
