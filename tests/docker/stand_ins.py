"""Stand-ins for the images of docker-compose.prod.yml, built from Debian's packages under the pinned tags.

Where tests run, nothing may be pulled; what is under test is the compose file with its configuration, users,
mounts and limits, not the programs. A stand-in has the user, folders, volumes and start of the image whose
place it takes (`recipes/<name>.Dockerfile`), with the same program in the version that Debian has.
"""

from __future__ import annotations

from dataclasses import dataclass

from claw_native.programs import Suite


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """One image.

    Attributes:
        name: Of its recipe, and its tag while nothing else names it.
        packages: What its file system is made of, besides the libraries they depend on.
        suite: Whose packages: Go programs from where the demo has them, near the pinned versions.
        on: Name of the stand-in it is built on.
        files: Further files beside the recipe.
        without: Beginnings of library packages that nothing here uses.
    """

    name: str
    packages: tuple[str, ...]
    suite: Suite = Suite.STABLE
    on: str | None = "busybox"
    files: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


def _go(name: str, package: str = "", *, on: str = "busybox") -> StandIn:
    return StandIn(name=name, packages=(package or f"prometheus-{name}",), suite=Suite.TESTING, on=on)


LIBC = StandIn(name="libc", packages=("base-files", "libc6", "tzdata", "zlib1g"), on=None)
BUSYBOX = StandIn(name="busybox", packages=("busybox-static",), on="libc")

BASES: dict[str, StandIn] = {stand_in.name: stand_in for stand_in in (LIBC, BUSYBOX)}

# By the image's name without its tag, which stands in the compose file, or in our Dockerfiles.
STAND_INS: dict[str, StandIn] = {
    "prom/prometheus": _go("prometheus", "prometheus"),
    "prom/alertmanager": _go("alertmanager", "prometheus-alertmanager"),
    "prom/node-exporter": _go("node-exporter"),
    "prom/blackbox-exporter": _go("blackbox-exporter"),
    "quay.io/prometheuscommunity/postgres-exporter": _go("postgres-exporter"),
    "oliver006/redis_exporter": _go("redis-exporter", on="libc"),
    "nginx/nginx-prometheus-exporter": _go("nginx-exporter", on="libc"),
    "nginx": StandIn(name="nginx", packages=("nginx", "nginx-common")),
    "postgres": StandIn(
        name="postgres",
        packages=("postgresql-17", "postgresql-client-17", "libc-bin"),
        files=("postgres-entrypoint.sh",),
        without=("libllvm", "libz3", "perl", "libperl"),
    ),
    "redis": StandIn(name="redis", packages=("redis-server", "redis-tools"), files=("redis-entrypoint.sh",)),
    "python": StandIn(
        name="python",
        packages=(
            *("python3.13", "python3.13-minimal", "python3.13-venv", "python3-pip-whl"),
            *("bash", "coreutils", "dash", "diffutils", "dpkg", "findutils", "grep", "gzip", "libc-bin"),
            *("login", "passwd", "sed", "tar", "util-linux"),
        ),
        on="libc",
    ),
}

# Debian has none of these programs; tests/stack checks their configuration without them.
NO_PROGRAM: dict[str, str] = {
    "grafana/grafana": "not in Debian; its provisioning and dashboards are checked against its schema",
    "grafana/loki": "not in Debian; its configuration is checked against the keys that exist",
    "grafana/promtail": "not in Debian; its pipeline runs over sample lines in tests/stack",
    "grafana/alloy": "not in Debian; it reads Promtail's configuration",
    "ghcr.io/google/cadvisor": "not in Debian; only what the compose file says of it is checked",
}


def repository(reference: str) -> str:
    """Returns an image's name without its tag."""
    return reference.rpartition(":")[0]
