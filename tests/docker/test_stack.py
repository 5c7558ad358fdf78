"""docker-compose.prod.yml, run: what it declares is what the kernel does."""

from __future__ import annotations

import json

import pytest
from tests.docker.stack import ComposeStack, wait_for

SCRAPE_SECONDS = 60
# Nothing but the program is in these images: no command can be run there.
NO_SHELL = {"nginx-exporter", "redis-exporter"}


def lines(text: str) -> dict[str, str]:
    """`Name: value` lines, as /proc/<pid>/status has them."""
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def test_every_service_is_in_a_table(compose_stack: ComposeStack) -> None:
    assert set(compose_stack.services) | compose_stack.left_out == set(compose_stack.whole["services"])
    assert compose_stack.left_out == {"alloy", "cadvisor", "grafana", "loki", "promtail"}


def test_every_service_is_up_and_healthy(compose_stack: ComposeStack) -> None:
    states = {name: compose_stack.inspect(name)["State"] for name in compose_stack.services}

    assert {name for name, state in states.items() if not state["Running"]} == set()
    healthy = {name for name, state in states.items() if state.get("Health", {}).get("Status") == "healthy"}
    assert healthy == {name for name, row in compose_stack.services.items() if "healthcheck" in row}
    assert {name for name, state in states.items() if state["OOMKilled"]} == set()


def test_no_service_had_to_be_started_twice(compose_stack: ComposeStack) -> None:
    restarts = {name: compose_stack.inspect(name)["RestartCount"] for name in compose_stack.services}

    assert {name: count for name, count in restarts.items() if count} == {}


def test_no_process_has_a_capability_or_may_gain_one(compose_stack: ComposeStack) -> None:
    for name in compose_stack.services:
        status = lines(compose_stack.process(name, "status"))

        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[kind], 16) == 0, (name, kind)
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), name


def test_every_process_runs_as_the_user_that_is_declared(compose_stack: ComposeStack) -> None:
    users = {
        name: lines(compose_stack.process(name, "status"))["Uid"].split() for name in compose_stack.services
    }

    assert {name for name, ids in users.items() if ids != [ids[0]] * 4} == set()
    found = {name: int(ids[0]) for name, ids in users.items()}
    declared = {
        name: int(row["user"].split(":")[0]) for name, row in compose_stack.services.items() if "user" in row
    }
    assert found == {**found, **declared}
    assert {name for name, user in found.items() if user == 0} == {"docker-proxy"}


def test_no_root_file_system_can_be_written(compose_stack: ComposeStack) -> None:
    for name in compose_stack.services:
        mounts = [line.split() for line in compose_stack.process(name, "mountinfo").splitlines()]
        (root,) = [mount for mount in mounts if mount[4] == "/"]

        assert "ro" in root[5].split(","), name


@pytest.mark.parametrize("folder", ["/", "/etc", "/usr/bin", "/root"])
def test_a_service_cannot_write_beside_its_data(compose_stack: ComposeStack, folder: str) -> None:
    for name in sorted(set(compose_stack.services) - NO_SHELL):
        # Also as root: the file system itself refuses.
        words = ("exec", "--user=0", compose_stack.container(name), "sh", "-c", f"echo > {folder}/written")
        done = compose_stack.docker(*words, check=False)

        assert done.returncode != 0, name
        assert "Read-only file system" in done.stderr, (name, done.stderr)


def test_limits_are_in_force(compose_stack: ComposeStack) -> None:
    for name, row in compose_stack.services.items():
        limits = row["deploy"]["resources"]["limits"]
        groups = compose_stack.limits(name)

        assert groups == {
            "memory": int(limits["memory"]),
            "pids": limits["pids"],
            "cpus": float(limits["cpus"]),
        }, name


def test_a_secret_is_where_its_readers_are_and_nowhere_else(compose_stack: ComposeStack) -> None:
    declared = {
        name: {secret["source"] for secret in row.get("secrets", [])}
        | ({"notify"} if name in {"alertmanager", "relay"} else set())
        for name, row in compose_stack.services.items()
    }
    mounted = {}
    for name in compose_stack.services:
        targets = [line.split()[4] for line in compose_stack.process(name, "mountinfo").splitlines()]
        mounted[name] = {
            path.removeprefix("/run/secrets/") for path in targets if path.startswith("/run/secrets/")
        }

    assert mounted == declared


def test_a_service_can_read_its_secrets(compose_stack: ComposeStack) -> None:
    for name in sorted(set(compose_stack.services) - NO_SHELL):
        for secret in compose_stack.services[name].get("secrets", []):
            source = compose_stack.repository / "secrets" / secret["source"]

            assert compose_stack.inside(name, "cat", f"/run/secrets/{secret['source']}") == source.read_text()


def test_no_secret_stands_in_a_containers_settings_or_command(compose_stack: ComposeStack) -> None:
    folder = compose_stack.repository / "secrets"
    values = {
        path.read_text().strip() for path in folder.iterdir() if path.is_file() and "password" in path.name
    }
    for name in compose_stack.services:
        shown = json.dumps(compose_stack.inspect(name)) + compose_stack.process(name, "cmdline")

        assert not [value for value in values if value and value in shown], name


def test_every_target_is_up(compose_stack: ComposeStack) -> None:
    """But for what cannot run here, and for probes that go through it."""
    cannot = compose_stack.left_out | {"log-shipper"}

    def down() -> list[tuple[str, str, str]]:
        targets = compose_stack.ask("prometheus", "/api/v1/targets?state=active")["data"]["activeTargets"]
        assert targets
        return [
            (target["labels"]["job"], target["scrapeUrl"], target["lastError"])
            for target in targets
            if target["health"] != "up" and target["labels"]["job"] not in cannot
        ]

    wait_for(lambda: not down() or down(), seconds=SCRAPE_SECONDS, what="every target is up")


def test_every_job_with_a_service_has_a_target(compose_stack: ComposeStack) -> None:
    targets = compose_stack.ask("prometheus", "/api/v1/targets?state=active")["data"]["activeTargets"]
    jobs = {target["labels"]["job"] for target in targets}

    # An exporter asks for them, or they have nothing to tell.
    silent = {"docker-proxy", "load", "model-server", "nginx", "postgres", "redis"}
    assert set(compose_stack.services) - silent - jobs == set()
