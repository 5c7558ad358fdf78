"""``claw-relay``: check a configuration, serve by it, or send a test through a channel."""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import logging
import os
import signal
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import uvicorn

from claw_exporter import logs
from claw_exporter.store import Store
from claw_relay.app import create_app
from claw_relay.errors import RejectedError, SettingsError
from claw_relay.message import Format, compose
from claw_relay.notification import Alert, Notification
from claw_relay.sender import Sender
from claw_relay.settings import load
from claw_relay.words import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from claw_relay.settings import Channel, Settings

__all__ = ["main"]

FAILED: Final = 1
MISUSED: Final = 2
# Their routine lines hold addresses, and so tokens.
CHATTY: Final = ("httpx", "httpcore")
_EPILOG: Final = """\
environment:
  CLAW_RELAY_CONFIG       the configuration, where none is named (else relay.yml)
  CLAW_RELAY_HOST         address to listen on, before the configuration's listen.host
  CLAW_RELAY_PORT         port to listen on, before the configuration's listen.port
  CLAW_RELAY_STATE_FILE   what is known of heartbeats, before the configuration's state_file

exit codes: 0 done, 1 could not serve or send, 2 the configuration or the command line is wrong
"""


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: Without the program's name; those of the process where left out.
        environment: Variables; those of the process where left out.

    Returns:
        The exit code.
    """
    environment = os.environ if environment is None else environment
    options = _parser(environment).parse_args(arguments)
    config = Path(options.config)
    try:
        settings = load(config, environment)
    except SettingsError as error:
        _complain(f"{config} has {_counted(len(error.mistakes), 'mistake')}:\n{error}")
        return MISUSED
    run = {"check": _check, "serve": _serve, "send-test": _send_test}[options.command]
    return run(options, settings)


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="claw-relay",
        description="Carries Alertmanager's notifications to WeCom, DingTalk and Feishu, and notices when "
        "heartbeats stop.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=importlib.metadata.version("claw-relay"))
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")
    default = environment.get("CLAW_RELAY_CONFIG") or "relay.yml"
    abouts = {
        "check": "report every mistake of a configuration, and every missing secret, at once",
        "serve": "take notifications and heartbeats until stopped",
        "send-test": "send one test message, and say what became of it",
    }
    made = {name: commands.add_parser(name, help=about, description=about) for name, about in abouts.items()}
    for command in made.values():
        command.add_argument("--config", default=default, metavar="FILE", help="(default: %(default)s)")
    made["send-test"].add_argument(
        "channel", nargs="?", help="such as dingtalk/oncall (default: all of them)"
    )
    return parser


def _check(options: argparse.Namespace, settings: Settings) -> int:
    counts = (
        f"{_counted(len(settings.channels), 'channel')}, {_counted(len(settings.heartbeats), 'heartbeat')}"
    )
    sys.stdout.write(f"{options.config}: no mistakes; {counts}\n")
    return 0


def _serve(_: argparse.Namespace, settings: Settings) -> int:
    logs.configure(sys.stderr, level=settings.log_level, secrets=set(settings.secrets()))
    _quiet()
    host, port = settings.listen.host, settings.listen.port
    try:
        listener = _bound(host, port)
    except OSError as error:
        _complain(
            f"cannot listen on {host}:{port} ({error.strerror}); stop what listens there, or choose another "
            "with listen.port or CLAW_RELAY_PORT"
        )
        return FAILED
    # uvicorn raises the signal again after it stopped: a stop that was asked for is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=10,
        )
    )
    with listener:
        server.run(sockets=[listener])
    return 0 if server.started else FAILED


def _send_test(options: argparse.Namespace, settings: Settings) -> int:
    _quiet()
    known = {channel.id: channel for channel in settings.channels}
    if options.channel is not None and options.channel not in known:
        _complain(f"no channel {options.channel!r}; there are: {', '.join(known) or 'none'}")
        return MISUSED
    wanted = [known[options.channel]] if options.channel else list(known.values())
    outcomes = asyncio.run(_tested(settings, wanted))
    for channel, words in zip(wanted, outcomes, strict=True):
        sys.stdout.write(f"{channel.id}: {words or 'delivered'}\n")
    return FAILED if any(outcomes) or not wanted else 0


async def _tested(settings: Settings, channels: Sequence[Channel]) -> list[str]:
    """Sends to each; returns what went wrong with it, nothing where all went well."""
    outcomes = []
    async with httpx.AsyncClient(timeout=settings.timeout_seconds) as client:
        sender = Sender(client, Store(), clock=time.time, ticks=time.monotonic)
        for channel in channels:
            how = Format(words=LANGUAGES[channel.language], zone=settings.time_zone, now=_now)
            try:
                await sender.send(channel, compose(_test(channel), how))
                outcomes.append("")
            except RejectedError as error:
                outcomes.append(f"{error} ({error.reason})")
    return outcomes


def _test(channel: Channel) -> Notification:
    annotations = {
        "summary": f"Test message to {channel.id}.",
        "description": "Somebody ran `claw-relay send-test`. Nothing is wrong.",
    }
    labels = {"alertname": "NotificationTest", "severity": "none"}
    return Notification(
        alerts=(Alert(firing=True, labels=labels, annotations=annotations, starts_at=_now()),)
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _quiet() -> None:
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing if number == 1 else f'{thing}s'}"


def _complain(message: str) -> None:
    sys.stderr.write(f"claw-relay: {message}\n")


if __name__ == "__main__":
    sys.exit(main())
