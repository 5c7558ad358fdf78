"""Two machines: the stack, and beside it what a further one runs, on an address of its own in one engine."""

from __future__ import annotations

import base64
import re
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.docker.stack import bridge_address, wait_for
from tests.docker.stand_ins import NO_PROGRAM, repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.docker.stack import ComposeStack

NAME = "web-2"
NETWORK = "claw-test-private"
DAY_SECONDS = 86400
SECONDS = 90
# Scraped on a further machine, and without a program here.
NOT_HERE = {"cadvisor", "log-shipper"}


class FurtherHost:
    """What docker-compose.host.yml runs, but for services that have no program here."""

    def __init__(self, stack: ComposeStack, address: str) -> None:
        self.stack, self.address = stack, address
        self.env_file = stack.repository / ".env.host.test"
        settings = {
            "CLAW_HOST_NAME": NAME,
            "CLAW_HOST_ADDRESS": address,
            "CLAW_HOST_DOOR_URL": "https://monitoring.example.com",
            "COMPOSE_PROFILES": "",
            "CLAW_DOCKER_SOCKET": str(stack.engine.socket),
        }
        self.env_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def compose(self, *arguments: str) -> str:
        files = ["--env-file", str(self.env_file), "-f", "docker-compose.host.yml"]
        done = subprocess.run(
            [*self.stack.compose_program, *files, *arguments],
            cwd=self.stack.repository,
            env=self.stack.environ | {"COMPOSE_PROJECT_NAME": "claw-test-host"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def services(self) -> list[str]:
        every = yaml.safe_load(self.compose("config"))["services"]
        return [name for name, row in every.items() if repository(row["image"]) not in NO_PROGRAM]


def section(root: Path) -> str:
    page = (root / "docs" / "MONITORING_DEPLOYMENT.md").read_text()
    return page.split("\n## Further hosts\n")[1].split("\n## ")[0]


def announce(stack: ComposeStack, address: str) -> None:
    """Types what the documentation says on the main machine, and takes out what does not run here."""
    blocks = re.findall(r"^```bash\n(.*?)^```", section(stack.repository), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if "web-2.yml.example" in block]
    main = bridge_address(stack.engine)
    door = f"https://{main}:{stack.whole['services']['nginx']['ports'][1]['published']}"
    for old, new in {
        "address=10.8.0.2": f"address={address}",
        "main=10.8.0.1": f"main={main}",
        "door=https://monitoring.example.com": f"door={door}",
        # The line of a user comes from the further machine.
        "echo 'web-2:": "true 'web-2:",
    }.items():
        assert old in block
        block = block.replace(old, new)
    subprocess.run(["bash", "-eu", "-c", block], cwd=stack.repository, check=True)
    targets = stack.repository / "prometheus" / "targets"
    hosts, probes = targets / "hosts" / f"{NAME}.yml", targets / "probes" / f"{NAME}.yml"
    left = [row for row in yaml.safe_load(hosts.read_text()) if row["labels"]["job"] not in NOT_HERE]
    hosts.write_text(yaml.safe_dump(left))
    # The certificate of the test is a trial's.
    probes.write_text(probes.read_text().replace("module: https_2xx,", "module: https_2xx_any_certificate,"))


@pytest.fixture(scope="module")
def host(compose_stack: ComposeStack) -> Iterator[FurtherHost]:
    """A further machine, up and known to Prometheus; its address is that of a network nobody else is in."""
    engine = compose_stack.engine
    engine.docker("network", "create", NETWORK)
    form = "{{(index .IPAM.Config 0).Gateway}}"
    found = FurtherHost(compose_stack, engine.docker("network", "inspect", "--format", form, NETWORK).strip())
    announced = [
        compose_stack.repository / f"prometheus/targets/{kind}/{NAME}.yml" for kind in ("hosts", "probes")
    ]
    try:
        found.compose("up", "--detach", "--pull=never", "--wait", "--wait-timeout=120", *found.services)
        announce(compose_stack, found.address)
        yield found
    finally:
        for path in announced:
            path.unlink(missing_ok=True)
        found.compose("down", "--volumes", "--timeout=5")
        engine.docker("network", "rm", NETWORK)


def labels(stack: ComposeStack, query: str, *names: str) -> dict[tuple[str, ...], float]:
    """The values of a query's series, by these labels."""
    rows: list[dict[str, Any]] = stack.query(query)
    return {tuple(row["metric"].get(name, "") for name in names): float(row["value"][1]) for row in rows}


def test_what_runs_on_a_further_machine_is_scraped_under_its_name(
    compose_stack: ComposeStack, host: FurtherHost
) -> None:
    expected = {
        ("node-exporter", f"{host.address}:9100"): 1.0,
        ("blackbox-exporter", f"{host.address}:9115"): 1.0,
    }

    def up() -> dict[tuple[str, ...], float]:
        return labels(compose_stack, f'up{{host="{NAME}", job!="probes"}}', "job", "instance")

    wait_for(lambda: up() == expected, seconds=SECONDS, what="the further machine's exporters are up")


def test_both_machines_are_told_apart_in_every_series_of_the_machine(
    compose_stack: ComposeStack, host: FurtherHost
) -> None:
    def memory() -> set[tuple[str, ...]]:
        return set(labels(compose_stack, "node_memory_MemTotal_bytes", "host"))

    assert host.address
    wait_for(lambda: memory() == {("main",), (NAME,)}, seconds=SECONDS, what="each machine has its memory")


def test_each_machine_reaches_the_other_and_the_further_one_the_door(
    compose_stack: ComposeStack, host: FurtherHost
) -> None:
    main = bridge_address(compose_stack.engine)
    further = f"{host.address}:9115"
    expected = {
        ("blackbox-exporter:9115", "icmp", host.address, NAME),
        ("blackbox-exporter:9115", "tcp", f"{host.address}:9100", NAME),
        (further, "icmp", main, "main"),
    }

    def succeeded() -> set[tuple[str, ...]]:
        found = labels(compose_stack, "probe_success == 1", "instance", "module", "target", "host")
        doors = {row for row in found if row[0] == further and row[2].endswith("/healthz")}
        return set(found) if found.keys() >= expected and doors else set()

    wait_for(succeeded, seconds=SECONDS, what="every probe of and by the further machine gets through")


def test_the_end_of_the_doors_certificate_is_known_from_outside(
    compose_stack: ComposeStack, host: FurtherHost
) -> None:
    query = f'probe_ssl_earliest_cert_expiry{{instance="{host.address}:9115"}}'
    wait_for(
        lambda: compose_stack.query(query), seconds=SECONDS, what="the further machine saw the certificate"
    )

    (end,) = [float(row["value"][1]) for row in compose_stack.query(query)]
    assert 80 * DAY_SECONDS < end - time.time() < 100 * DAY_SECONDS


def test_nothing_of_a_further_machine_listens_elsewhere(
    compose_stack: ComposeStack, host: FurtherHost
) -> None:
    assert host.address
    shown = compose_stack.engine.docker(
        "ps", "--filter=label=com.docker.compose.project=claw-test-host", "--format", "{{.Ports}}"
    )
    published = re.findall(r"(\S+):\d+->", shown)

    assert published == [host.address]


def test_logs_are_taken_from_who_was_admitted_and_from_nobody_else(
    compose_stack: ComposeStack, host: FurtherHost
) -> None:
    assert host.address
    folder = compose_stack.repository / "secrets"
    (folder / "host_push_password").write_text("correct horse\n")
    (command,) = re.findall(r"^echo \"web-2:.*", section(compose_stack.repository), re.MULTILINE)
    line = subprocess.run(
        ["bash", "-c", command], cwd=compose_stack.repository, check=True, capture_output=True, text=True
    ).stdout
    before = push(compose_stack, "correct horse")
    with (folder / "nginx_push_htpasswd").open("a") as users:
        users.write(line)

    assert before == 401
    assert push(compose_stack, "wrong") == 401
    # There is no Loki here: the door let it through, and found nobody behind.
    assert push(compose_stack, "correct horse") in {502, 503, 504}


def push(stack: ComposeStack, password: str) -> int:
    """The status of the answer to one push of logs through the door, as the further machine."""
    port = stack.whole["services"]["nginx"]["ports"][1]["published"]
    request = urllib.request.Request(
        f"https://localhost:{port}/loki/api/v1/push",
        data=b"{}",
        headers={
            "Authorization": "Basic " + base64.b64encode(f"{NAME}:{password}".encode()).decode(),
            "Content-Type": "application/json",
        },
    )
    trial = ssl.create_default_context()
    trial.check_hostname, trial.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(request, timeout=15, context=trial) as answer:  # noqa: S310 - ours
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
