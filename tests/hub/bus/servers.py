"""Redis as the hub wants it: an acknowledged write is on the disk."""

from __future__ import annotations

import os
import signal

from claw_native.servers import Redis

__all__ = ["DurableRedis"]


class DurableRedis(Redis):
    """Survives anything but the loss of its folder."""

    def command(self) -> list[str]:
        return [*super().command(), "--appendonly", "yes", "--appendfsync", "always"]

    def kill(self) -> None:
        """Ends it as a crash does."""
        os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def freeze(self) -> None:
        """Lets connections stand and answers nothing, as an overloaded or disconnected machine does."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)
