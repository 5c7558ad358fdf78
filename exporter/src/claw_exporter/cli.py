"""``claw-exporter``: check a configuration, or serve metrics by it."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from claw_exporter.settings import Settings

FAILED: Final = 1
MISUSED: Final = 2

_DEFAULT_CONFIG: Final = "exporter.yml"
_EXTRA_MODULES: Final = ("asyncpg", "httpx", "psutil", "redis", "uvicorn", "yaml")
_EPILOG: Final = """\
environment:
  CLAW_EXPORTER_CONFIG   the configuration, where none is named (else exporter.yml)
  CLAW_EXPORTER_HOST     address to listen on, before the configuration's listen.host
  CLAW_EXPORTER_PORT     port to listen on, before the configuration's listen.port

exit codes: 0 done, 1 could not serve, 2 the configuration or the command line is wrong
"""


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name; those of the process where left out.
        environment: Variables; those of the process where left out.

    Returns:
        The exit code.
    """
    environment = os.environ if environment is None else environment
    options = _parser(environment).parse_args(arguments)
    overrides = {
        "CLAW_EXPORTER_HOST": getattr(options, "host", None),
        "CLAW_EXPORTER_PORT": getattr(options, "port", None),
    }
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return int(options.run(options, {**environment, **given}))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRA_MODULES:
            raise
        _complain(f'needs the package {package!r}: pip install "claw-exporter[server]"')
        return MISUSED


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="claw-exporter",
        description="Exports what applications cannot: business numbers from SQL, queues, hosts.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=importlib.metadata.version("claw-exporter"))
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    default = environment.get("CLAW_EXPORTER_CONFIG") or _DEFAULT_CONFIG

    check = commands.add_parser(
        "check",
        help="report every mistake of a configuration at once",
        description="Reports every mistake of a configuration, with its line and what to do; exit code 2.",
    )
    check.add_argument("config", nargs="?", default=default, metavar="FILE", help="(default: %(default)s)")
    check.set_defaults(run=_check)

    serve = commands.add_parser(
        "serve",
        help="serve /metrics, /healthz and /readyz until stopped",
        description="Serves metrics by a configuration until SIGTERM or Ctrl-C. SIGHUP reads it again; "
        "a file with mistakes changes nothing.",
    )
    serve.add_argument("--config", default=default, metavar="FILE", help="(default: %(default)s)")
    serve.add_argument("--host", metavar="ADDRESS", help="address to listen on, before the configuration's")
    serve.add_argument("--port", metavar="PORT", help="port to listen on, before the configuration's; 0: any")
    serve.set_defaults(run=_serve)

    reload = commands.add_parser(
        "reload",
        help="let the running exporter read its configuration again",
        description="Sends SIGHUP to the exporter that runs on this machine, or in this container. Its log "
        "says what came of it.",
    )
    reload.add_argument("--pid", type=int, metavar="NUMBER", help="the process, where several exporters run")
    reload.set_defaults(run=_reload)
    return parser


def _check(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    config = Path(options.config)
    settings = _load(config, environment)
    if settings is None:
        return MISUSED
    metrics = sum(len(query.metrics) for query in settings.queries)
    counts = (
        _counted(len(settings.postgres), "database"),
        _counted(len(settings.redis), "Redis server"),
        f"{_counted(len(settings.queries), 'query', 'queries')} with {_counted(metrics, 'metric')}",
        f"host {'on' if settings.host.enabled else 'off'}",
        *([_counted(len(settings.canaries), "canary", "canaries")] if settings.canaries else []),
    )
    sys.stdout.write(f"{config}: no mistakes; {', '.join(counts)}\n")
    return 0


def _serve(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    wishes = _Wishes()
    config = Path(options.config)
    import uvicorn  # noqa: PLC0415 - an extra: only asked for where it is used

    from claw_exporter import app, logs  # noqa: PLC0415 - they need the extras
    from claw_exporter.reload import Reloads  # noqa: PLC0415 - the same
    from claw_exporter.settings import load  # noqa: PLC0415 - the same

    settings = _load(config, environment)
    if settings is None:
        return MISUSED
    secrets: set[str] = set()

    def configure_log(settings: Settings) -> None:
        secrets.update(settings.secrets())  # also those of before: what ends may still log
        logs.configure(sys.stderr, level=settings.log_level, secrets=secrets)

    configure_log(settings)
    try:
        listener = _bound(settings.listen.host, settings.listen.port)
    except OSError as error:
        _complain(
            f"cannot listen on {settings.listen.host}:{settings.listen.port} ({error.strerror}); "
            "stop what listens there, or choose another with --port or CLAW_EXPORTER_PORT"
        )
        return FAILED
    # Where uvicorn raises the signal again after it stopped: a stop that was asked for is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    reloads = Reloads(lambda: load(config, environment))
    wishes.go_to(reloads.wish)
    server = uvicorn.Server(
        uvicorn.Config(
            app.create_app(settings, address=_url(listener), reloads=reloads, configure_log=configure_log),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )
    with listener:
        server.run(sockets=[listener])
    return 0 if server.started else FAILED


class _Wishes:
    """SIGHUP, from the first moment on: unhandled, it would end the process."""

    def __init__(self) -> None:
        self._early = False
        self._pass_on: Callable[[], None] | None = None
        if hasattr(signal, "SIGHUP"):  # not on Windows
            signal.signal(signal.SIGHUP, self._note)

    def go_to(self, pass_on: Callable[[], None]) -> None:
        """Pass on each, and one that came before this."""
        self._pass_on = pass_on
        if self._early:
            pass_on()

    def _note(self, *_: object) -> None:
        self._early = True
        if self._pass_on is not None:
            self._pass_on()


def _reload(options: argparse.Namespace, _: Mapping[str, str]) -> int:
    found = [options.pid] if options.pid else running()
    if len(found) != 1:
        numbers = f"{', '.join(map(str, found))}; name one with --pid" if found else "none"
        _complain(f"exporters that run here: {numbers}")
        return FAILED
    try:
        os.kill(found[0], signal.SIGHUP)
    except OSError as error:
        _complain(f"cannot tell process {found[0]} ({error.strerror})")
        return FAILED
    sys.stdout.write(f"told process {found[0]}; its log says what came of it\n")
    return 0


def running() -> list[int]:
    """Give the numbers of the processes that are exporters: Python with ``claw-exporter serve``."""
    import psutil  # noqa: PLC0415 - an extra: only asked for where it is used

    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if _is_exporter(process.info["cmdline"] or [])
    ]


def _is_exporter(words: Sequence[str]) -> bool:
    match words:
        case [python, script, *others] if Path(python).name.startswith("python"):
            ours = Path(script).name == "claw-exporter" or [script, *others[:1]] == ["-m", __spec__.name]
            return ours and "serve" in others
        case _:
            return False


def _load(config: Path, environment: Mapping[str, str]) -> Settings | None:
    from claw_exporter.settings import SettingsError, load  # noqa: PLC0415 - it needs an extra

    try:
        return load(config, environment)
    except SettingsError as error:
        _complain(f"{config} has {_counted(len(error.mistakes), 'mistake')}:\n{error}")
        return None


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen()  # at once: what "started" announces can be reached
    except OSError:
        listener.close()
        raise
    return listener


def _url(listener: socket.socket) -> str:
    host, port, *_ = listener.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _counted(number: int, thing: str, things: str = "") -> str:
    return f"{number} {thing if number == 1 else things or f'{thing}s'}"


def _complain(message: str) -> None:
    sys.stderr.write(f"claw-exporter: {message}\n")


if __name__ == "__main__":
    sys.exit(main())
