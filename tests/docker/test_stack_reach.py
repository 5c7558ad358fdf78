"""Who reaches what: the machine's addresses, other networks, the proxy of Docker's API."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING

import pytest
from tests.docker.stack import PROJECT, bridge_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.docker.engine import Engine
    from tests.docker.stack import ComposeStack

TOOLS = "claw-stand-in/busybox"
CONNECT_SECONDS = 3
ELSEWHERE = "claw-elsewhere"
NODE_EXPORTER = 9100
LISTENS = ("busybox", "httpd", "-f", "-p", "8080")


def published(stack: ComposeStack) -> dict[str, set[int]]:
    """Ports on the machine by service."""
    rows = stack.services.items()
    return {name: {int(port["published"]) for port in row["ports"]} for name, row in rows if "ports" in row}


def gateways(stack: ComposeStack) -> set[str]:
    """The machine's addresses in Docker's networks: any other machine's view of it, but for a cable."""
    names = stack.docker("network", "ls", "--quiet", "--filter=driver=bridge").stdout.split()
    networks = json.loads(stack.docker("network", "inspect", *names).stdout)
    return {row["Gateway"] for network in networks for row in network["IPAM"]["Config"]}


def accepts(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


@pytest.fixture
def elsewhere(engine: Engine) -> Iterator[str]:
    """A network of somebody else."""
    engine.docker("network", "create", ELSEWHERE)
    yield ELSEWHERE
    engine.docker("network", "rm", ELSEWHERE)


def reached(engine: Engine, network: str, addresses: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """Those addresses that a container on a network can connect to."""
    tries = (f"{{ nc -w 2 {host} {port} -e true && echo {host} {port}; }} &" for host, port in addresses)
    script = "\n".join([*tries, "wait"])
    shown = engine.docker("run", "--rm", f"--network={network}", TOOLS, "sh", "-c", script)
    return {(host, int(port)) for host, port in (line.split() for line in shown.splitlines())}


def test_the_loopback_address_has_every_published_port(compose_stack: ComposeStack) -> None:
    ports = published(compose_stack)

    assert set(ports) == {"alertmanager", "claw-ai-backend", "nginx", "prometheus"}
    assert {port for found in ports.values() for port in found if not accepts("127.0.0.1", port)} == set()


def test_other_addresses_of_the_machine_have_the_door_only(compose_stack: ComposeStack) -> None:
    for address in gateways(compose_stack):
        open_to = {
            name
            for name, ports in published(compose_stack).items()
            if any(accepts(address, port) for port in ports)
        }

        assert open_to == {"nginx"}, address


def test_another_network_reaches_the_door_only(
    compose_stack: ComposeStack, engine: Engine, elsewhere: str
) -> None:
    ports = published(compose_stack)
    machine = {
        (address, port) for address in gateways(compose_stack) for found in ports.values() for port in found
    }
    inside = {
        (network["IPAddress"], int(port.split("/")[0]))
        for name in compose_stack.services
        for network in compose_stack.inspect(name)["NetworkSettings"]["Networks"].values()
        for port in compose_stack.inspect(name)["NetworkSettings"]["Ports"] or {}
        if network["IPAddress"]
    }
    assert len(inside) > 10

    assert {port for _, port in reached(engine, elsewhere, machine | inside)} == ports["nginx"]


def test_the_node_exporter_is_on_dockers_bridge_and_on_no_other_address(compose_stack: ComposeStack) -> None:
    bridge = bridge_address(compose_stack.engine)
    others = gateways(compose_stack) - {bridge} | {"127.0.0.1"}

    assert accepts(bridge, NODE_EXPORTER)
    assert {address for address in others if accepts(address, NODE_EXPORTER)} == set()


def answer(engine: Engine, method: str, path: str, network: str = f"{PROJECT}_docker-api") -> str:
    """The status a container on a network gets from the proxy of Docker's API; empty when out of reach."""
    request = f"{method} {path} HTTP/1.0\\r\\nContent-Length: 0\\r\\n\\r\\n"
    # nc does not wait for an answer that takes time, as only a question that is allowed does.
    script = {
        "GET": f"wget -S -T 5 -O /dev/null 'http://docker-proxy:2375{path}' 2>&1 | grep HTTP/",
    }.get(method, f"printf '{request}' | nc -w 5 docker-proxy 2375 | head -n 1")
    shown = engine.docker("run", "--rm", f"--network={network}", TOOLS, "sh", "-c", f"{script} || true")
    return shown.split()[1] if shown else ""


@pytest.mark.parametrize("path", ["/_ping", "/v1.41/containers/json", "/v1.41/networks", "/info"])
def test_the_proxy_answers_what_the_log_shipper_asks(
    compose_stack: ComposeStack, engine: Engine, path: str
) -> None:
    assert compose_stack.services["docker-proxy"]
    assert answer(engine, "GET", path) == "200"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1.41/containers/create"),
        ("POST", "/v1.41/containers/{id}/exec"),
        ("POST", "/v1.41/containers/{id}/kill"),
        ("DELETE", "/v1.41/containers/{id}?force=1"),
        ("GET", "/v1.41/containers/{id}/archive?path=/etc"),
        ("GET", "/v1.41/images/json"),
        ("GET", "/v1.41/secrets"),
    ],
)
def test_the_proxy_refuses_everything_else(
    compose_stack: ComposeStack, engine: Engine, method: str, path: str
) -> None:
    path = path.format(id=compose_stack.container("redis"))

    assert answer(engine, method, path) == "403"
    assert compose_stack.inspect("redis")["State"]["Running"]


@pytest.mark.parametrize("network", ["monitoring", "data", "edge"])
def test_nobody_else_finds_the_proxy(compose_stack: ComposeStack, engine: Engine, network: str) -> None:
    address = compose_stack.inspect("docker-proxy")["NetworkSettings"]["Networks"][f"{PROJECT}_docker-api"]
    by_address = {(address["IPAddress"], 2375)}

    assert answer(engine, "GET", "/_ping", f"{PROJECT}_{network}") == ""
    assert reached(engine, f"{PROJECT}_{network}", by_address) == set()


@pytest.mark.parametrize("network", ["data", "docker-api"])
def test_a_network_of_the_inside_has_no_way_out(
    compose_stack: ComposeStack, engine: Engine, elsewhere: str, network: str
) -> None:
    outside = engine.docker("run", "--detach", f"--network={elsewhere}", TOOLS, *LISTENS).strip()
    try:
        (shown,) = json.loads(engine.docker("inspect", outside))
        address = {(shown["NetworkSettings"]["Networks"][elsewhere]["IPAddress"], 8080)}

        assert compose_stack.whole["networks"][network]["internal"]
        assert reached(engine, elsewhere, address) == address
        assert reached(engine, f"{PROJECT}_{network}", address) == set()
    finally:
        engine.docker("rm", "--force", outside)


def test_a_name_that_is_nobodys_is_unknown_at_once(compose_stack: ComposeStack) -> None:
    """Of the tests' own engine: a service that cannot run here must look like one that is stopped."""
    if not compose_stack.engine.proxy:
        pytest.skip("an engine that was given has the machine's names")
    started = time.monotonic()
    words = ("exec", compose_stack.container("prometheus"), "wget", "-q", "-O", "-", "http://grafana:3000/")
    done = compose_stack.docker(*words, check=False)

    assert "bad address" in done.stderr
    assert time.monotonic() - started < CONNECT_SECONDS
