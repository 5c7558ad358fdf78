"""The programs the stack is made of, and where each comes from: data only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Suite(StrEnum):
    """Which suite of the machine's distribution a package is taken from."""

    OWN = "own"  # built against this machine's C library
    STABLE = "stable"  # a whole user land of its own, for images
    TESTING = "testing"  # near what compose pins; Go programs ask for little of the C library


class Wrapper(StrEnum):
    """How a fetched program is started."""

    PLAIN = "plain"
    OWN_SHARE = "own-share"  # reads files under an absolute /usr/share that only its package has
    NOT_ROOT = "not-root"  # refuses to run as root


@dataclass(frozen=True, kw_only=True)
class Command:
    """One executable of a program.

    Attributes:
        name: Its name in `.run/tools/bin`.
        path: Where the package has it, as a pattern.
        wrapper: How it has to be started.
        aliases: Other names it may have on PATH.
    """

    name: str
    path: str
    wrapper: Wrapper = Wrapper.PLAIN
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Program:
    """One thing to fetch.

    Attributes:
        name: What it is called on the command line, and its folder under `.run/tools`.
        suite: Where packages are taken from.
        packages: Choices, best first; a choice is one package name or several, joined by spaces.
        commands: Executables; the first one is asked for its version.
        versions: Lowest accepted and lowest refused version of one that is on PATH.
        version_flag: How the first command is asked for its version.
        extra: Packages that are needed besides shared libraries, such as fonts.
        without: Beginnings of library packages that are not worth their size here.
        directories: Where to look besides PATH, as patterns.
        on_request: Fetched only when it is asked for by name.
    """

    name: str
    suite: Suite
    packages: tuple[str, ...]
    commands: tuple[Command, ...]
    versions: tuple[tuple[int, ...], tuple[int, ...]]
    version_flag: str = "--version"
    extra: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    on_request: bool = False


def _exporter(name: str, *, kind: str, versions: tuple[tuple[int, ...], tuple[int, ...]]) -> Program:
    package = f"prometheus-{kind}-exporter"
    command = Command(name=name, path=f"usr/bin/{package}", aliases=(package,))
    return Program(
        name=name, suite=Suite.TESTING, packages=(package,), commands=(command,), versions=versions
    )


def _engine_part(
    *commands: Command, packages: tuple[str, ...], versions: tuple[tuple[int, ...], tuple[int, ...]]
) -> Program:
    """A part of a Docker Engine, which only the tests of the compose file need."""
    return Program(
        name=commands[0].name,
        suite=Suite.OWN,
        packages=packages,
        commands=commands,
        versions=versions,
        directories=("/usr/sbin", "/usr/bin"),
        on_request=True,
    )


def _postgres(name: str, *, wrapper: Wrapper = Wrapper.PLAIN) -> Command:
    return Command(name=name, path=f"usr/lib/postgresql/*/bin/{name}", wrapper=wrapper)


# A Docker Engine of one's own, in one folder of wrappers.
ENGINE: tuple[Program, ...] = (
    _engine_part(
        Command(name="docker", path="usr/bin/docker"),
        packages=("docker-cli", "docker.io"),
        versions=((20,), (1000,)),
    ),
    _engine_part(
        Command(name="dockerd", path="usr/sbin/dockerd"),
        Command(name="docker-proxy", path="usr/sbin/docker-proxy"),
        packages=("docker.io",),
        versions=((20,), (1000,)),
    ),
    _engine_part(
        Command(name="containerd", path="usr/bin/containerd"),
        Command(name="containerd-shim-runc-v2", path="usr/bin/containerd-shim-runc-v2"),
        packages=("containerd",),
        versions=((1, 6), (100,)),
    ),
    _engine_part(
        Command(name="runc", path="usr/*bin/runc"),
        packages=("runc",),
        versions=((1, 1), (100,)),
    ),
    _engine_part(
        Command(name="docker-init", path="usr/bin/tini-static", aliases=("tini-static", "tini")),
        packages=("tini",),
        versions=((0, 18), (1,)),
    ),
    _engine_part(
        Command(name="iptables", path="usr/sbin/iptables-nft", aliases=("iptables-nft",)),
        Command(name="ip6tables", path="usr/sbin/ip6tables-nft", aliases=("ip6tables-nft",)),
        packages=("iptables",),
        versions=((1, 8), (2,)),
    ),
)

PROGRAMS: tuple[Program, ...] = (
    Program(
        name="prometheus",
        suite=Suite.TESTING,
        packages=("prometheus promtool", "prometheus"),
        commands=(
            Command(name="prometheus", path="usr/bin/prometheus"),
            Command(name="promtool", path="usr/bin/promtool"),
        ),
        versions=((3, 5), (4,)),
    ),
    Program(
        name="alertmanager",
        suite=Suite.TESTING,
        packages=("prometheus-alertmanager",),
        commands=(
            Command(
                name="alertmanager",
                path="usr/bin/prometheus-alertmanager",
                wrapper=Wrapper.OWN_SHARE,
                aliases=("prometheus-alertmanager",),
            ),
            Command(name="amtool", path="usr/bin/amtool"),
        ),
        versions=((0, 32), (1,)),
    ),
    _exporter("node_exporter", kind="node", versions=((1, 8), (2,))),
    _exporter("postgres_exporter", kind="postgres", versions=((0, 17), (1,))),
    _exporter("redis_exporter", kind="redis", versions=((1, 60), (2,))),
    _exporter("blackbox_exporter", kind="blackbox", versions=((0, 25), (1,))),
    _exporter("nginx_exporter", kind="nginx", versions=((1, 0), (2,))),
    Program(
        name="postgres",
        suite=Suite.OWN,
        packages=tuple(f"postgresql-{major} postgresql-client-{major}" for major in (17, 18, 16, 15)),
        commands=(
            _postgres("postgres", wrapper=Wrapper.NOT_ROOT),
            _postgres("initdb", wrapper=Wrapper.NOT_ROOT),
            _postgres("pg_ctl", wrapper=Wrapper.NOT_ROOT),
            _postgres("psql"),
        ),
        versions=((15,), (19,)),
        without=("libllvm", "libz3"),  # for compiling queries, which a small database never does
        directories=("/usr/lib/postgresql/*/bin",),
    ),
    Program(
        name="redis",
        suite=Suite.OWN,
        packages=("redis-server redis-tools", "valkey-server valkey-tools"),
        commands=(
            Command(name="redis-server", path="usr/bin/*-server", aliases=("valkey-server",)),
            Command(name="redis-cli", path="usr/bin/*-cli", aliases=("valkey-cli",)),
        ),
        versions=((6, 2), (10,)),
    ),
    Program(
        name="nginx",
        suite=Suite.OWN,
        packages=("nginx", "nginx-light"),
        commands=(Command(name="nginx", path="usr/sbin/nginx"),),
        versions=((1, 18), (2,)),
        version_flag="-v",
        directories=("/usr/sbin",),
    ),
    Program(
        name="docker-compose",
        suite=Suite.TESTING,
        packages=("docker-compose",),
        commands=(Command(name="docker-compose", path="usr/libexec/docker/cli-plugins/docker-compose"),),
        versions=((2, 30), (6,)),
        version_flag="version",
        directories=("/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins"),
    ),
    Program(
        name="curl",  # what the pages tell people to type
        suite=Suite.OWN,
        packages=("curl",),
        commands=(Command(name="curl", path="usr/bin/curl"),),
        versions=((7, 76), (9,)),
    ),
    Program(
        name="chromium",
        suite=Suite.OWN,
        packages=("chromium chromium-common", "chromium"),
        commands=(
            Command(
                name="chromium",
                path="usr/lib/chromium/chromium",
                aliases=("google-chrome", "google-chrome-stable"),
            ),
        ),
        versions=((100,), (10_000,)),
        # The fallback font has Chinese; Playwright's own Node needs libatomic.
        extra=("fontconfig-config", "fonts-dejavu-core", "fonts-droid-fallback", "libatomic1"),
    ),
    Program(
        name="wrk",  # what `make bench-server` sends requests with
        suite=Suite.OWN,
        packages=("wrk",),
        commands=(Command(name="wrk", path="usr/bin/wrk"),),
        versions=((4,), (5,)),
        version_flag="-v",
        on_request=True,
    ),
    *ENGINE,
)

ENGINE_PROGRAMS = tuple(program.name for program in ENGINE)

DEMO_PROGRAMS = (
    "prometheus",
    "alertmanager",
    "node_exporter",
    "postgres_exporter",
    "redis_exporter",
    "postgres",
    "redis",
)
