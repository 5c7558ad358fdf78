"""Settings of the native run: environment variables, read once, every mistake reported at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from claw_native.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

# The port each service listens on; `CLAW_<SERVICE>_PORT` moves it.
PORTS: dict[str, int] = {
    "claw-ai-backend": 8000,
    "model-server": 8001,
    "preview": 8080,
    "prometheus": 9090,
    "alertmanager": 9093,
    "receiver": 9099,
    "node-exporter": 9100,
    "redis-exporter": 9121,
    "postgres-exporter": 9187,
    "exporter": 9810,
    "relay": 9811,
    "postgres": 15432,
    "redis": 16379,
    "grafana": 3000,
    "loki": 3100,
    "promtail": 9080,
}
HIGHEST_PORT = 65535
SWITCH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
REPOSITORY = Path(__file__).resolve().parents[3]


def port_setting(service: str) -> str:
    """Names the environment variable that moves a service's port."""
    return f"CLAW_{service.upper().replace('-', '_')}_PORT"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where things are and which ports they use.

    Attributes:
        repository: The folder that holds prometheus/, alertmanager/, grafana/ and so on.
        run_dir: Everything that is made while running; forgetting it is deleting it.
        tools_dir: The fetched programs.
        use_path: Take suitable programs that are on PATH already, instead of fetching them.
        ports: Port by service.
    """

    repository: Path = REPOSITORY
    run_dir: Path = REPOSITORY / ".run"
    tools_dir: Path = REPOSITORY / ".run" / "tools"
    use_path: bool = True
    ports: Mapping[str, int] = field(default_factory=lambda: dict(PORTS))

    @property
    def bin_dir(self) -> Path:
        """The wrappers of all fetched programs."""
        return self.tools_dir / "bin"

    @property
    def etc_dir(self) -> Path:
        """Configuration written at every start."""
        return self.run_dir / "etc"

    @property
    def data_dir(self) -> Path:
        """What the servers keep; `make demo-clean` forgets it."""
        return self.run_dir / "data"

    @property
    def log_dir(self) -> Path:
        """One log for each service."""
        return self.run_dir / "log"

    def url(self, service: str, path: str = "") -> str:
        """Returns where a service answers HTTP."""
        return f"http://127.0.0.1:{self.ports[service]}{path}"


def read_settings(environ: Mapping[str, str], *, repository: Path = REPOSITORY) -> Settings:
    """Reads the settings from the environment.

    Raises:
        SettingsError: One or more are wrong; all of them are named.
    """
    mistakes: list[str] = []
    run_dir = Path(environ.get("CLAW_NATIVE_RUN_DIR") or repository / ".run").absolute()
    tools_dir = Path(environ.get("CLAW_NATIVE_TOOLS_DIR") or run_dir / "tools").absolute()
    use_path = environ.get("CLAW_NATIVE_USE_PATH") or "1"
    if use_path not in SWITCH:
        mistakes.append(f"CLAW_NATIVE_USE_PATH is '{use_path}': expected 1 or 0")
    ports = {service: _port(service, default, environ, mistakes) for service, default in PORTS.items()}
    mistakes += _shared_ports(ports)
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return Settings(
        repository=repository,
        run_dir=run_dir,
        tools_dir=tools_dir,
        use_path=SWITCH[use_path],
        ports=ports,
    )


def _port(service: str, default: int, environ: Mapping[str, str], mistakes: list[str]) -> int:
    name = port_setting(service)
    text = environ.get(name) or str(default)
    if text.isascii() and text.isdigit() and 0 < int(text) <= HIGHEST_PORT:
        return int(text)
    mistakes.append(f"{name} is '{text}': not a port; example {name}={default}")
    return default


def _shared_ports(ports: Mapping[str, int]) -> list[str]:
    by_port: dict[int, list[str]] = {}
    for service, port in ports.items():
        by_port.setdefault(port, []).append(port_setting(service))
    return [f"{' and '.join(names)} are both {port}" for port, names in by_port.items() if len(names) > 1]
