"""The scrape configuration, in the real Prometheus."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from tests.stack.conftest import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "prometheus"
CONFIG = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
JOBS = {job["job_name"]: job for job in CONFIG["scrape_configs"]}
TARGETS = sorted((FOLDER / "targets").rglob("*.yml"))
DOORS = sorted((FOLDER / "doors").glob("*.yml"))
MOUNTED_OVER = "probes/door.yml"
FOLDERS_OF_FILES = {"apps", "hosts", "probes"}
DEADLINE_SECONDS = 30


def entries(path: Path) -> list[dict[str, Any]]:
    read: list[dict[str, Any]] = yaml.safe_load(path.read_text())
    return read


@contextmanager
def prometheus(tools: Path, folder: Path, port: int) -> Iterator[httpx.Client]:
    """A Prometheus over ``folder``, in a working directory that is another."""
    data = folder.parent / "data"
    data.mkdir()
    command: list[str | Path] = [tools / "prometheus", f"--config.file={folder / 'prometheus.yml'}"]
    flags = [f"--storage.tsdb.path={data}", f"--web.listen-address=127.0.0.1:{port}"]
    with (data / "log").open("w") as log:
        process = subprocess.Popen([*command, *flags], cwd=data, stderr=log)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                yield client
        finally:
            process.terminate()
            process.wait(DEADLINE_SECONDS)


def asked_until(client: httpx.Client, path: str, holds: Callable[[Any], bool]) -> Any:  # noqa: ANN401 - JSON
    deadline = time.monotonic() + DEADLINE_SECONDS
    data: Any = None
    while time.monotonic() < deadline:
        try:
            data = client.get(path).raise_for_status().json()["data"]
        except httpx.HTTPError:
            data = None
        if data is not None and holds(data):
            return data
        time.sleep(0.05)
    raise AssertionError(f"{path}: {data}")


def targets(tools: Path, folder: Path, port: int) -> list[dict[str, Any]]:
    """The targets that Prometheus makes of the files in ``folder``."""
    files = (folder / "targets").rglob("*.yml")
    expected = sum(len(entry["targets"]) for path in files for entry in entries(path))

    def all_read(data: dict[str, Any]) -> bool:
        return len(data["activeTargets"]) + len(data["droppedTargets"]) >= expected

    with prometheus(tools, folder, port) as client:
        found = asked_until(client, "/api/v1/targets?state=any", all_read)
        assert found["droppedTargets"] == []
        active: list[dict[str, Any]] = found["activeTargets"]
        return active


@pytest.fixture(scope="module", params=["http", "https"])
def discovered(
    request: pytest.FixtureRequest,
    tools: Path,
    free_port: Callable[[], int],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[dict[str, Any]]:
    """The targets of the committed files, with either door."""
    folder = tmp_path_factory.mktemp("prometheus") / "etc"
    shutil.copytree(FOLDER, folder)
    shutil.copy(FOLDER / "doors" / f"{request.param}.yml", folder / "targets" / MOUNTED_OVER)
    return targets(tools, folder, free_port())


@pytest.fixture(scope="module")
def with_a_further_host(
    tools: Path, free_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """The targets once the examples of a further machine were copied, as the documentation says."""
    folder = tmp_path_factory.mktemp("prometheus") / "etc"
    shutil.copytree(FOLDER, folder)
    for kind in ("hosts", "probes"):
        example = folder / "targets" / kind / "web-2.yml.example"
        shutil.copy(example, example.with_name("web-2.yml"))
    return targets(tools, folder, free_port())


@pytest.fixture
def exposition() -> Iterator[Callable[[str], str]]:
    """Call it with a text: the address of a server whose /metrics it is."""
    with ExitStack() as stack:

        def start(text: str) -> str:
            class Metrics(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    self.send_response(200)
                    self.send_header("Content-Type", "text/plain; version=0.0.4")
                    self.end_headers()
                    self.wfile.write(text.encode())

                def log_message(self, *_: object) -> None:
                    pass

            server = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
            stack.enter_context(serving(server))
            return f"127.0.0.1:{server.server_port}"

        yield start


def test_promtool_accepts_the_configuration(tools: Path) -> None:
    done = subprocess.run(
        [tools / "promtool", "check", "config", FOLDER / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "SUCCESS" in done.stdout
    assert "rule files found" in done.stdout


def test_every_path_is_relative() -> None:
    files = [
        name
        for job in [*JOBS.values(), *CONFIG["alerting"]["alertmanagers"]]
        for discovery in job["file_sd_configs"]
        for name in discovery["files"]
    ]

    assert [name for name in [*files, *CONFIG["rule_files"]] if Path(name).is_absolute()] == []


def test_every_job_reads_the_file_with_its_name() -> None:
    read = {name: job["file_sd_configs"] for name, job in JOBS.items()}

    assert read == {
        name: [{"files": [f"targets/{name}/*.yml" if name in FOLDERS_OF_FILES else f"targets/{name}.yml"]}]
        for name in JOBS
    }


def test_every_target_file_is_read_by_a_job() -> None:
    read = {
        path
        for job in JOBS.values()
        for discovery in job["file_sd_configs"]
        for name in discovery["files"]
        for path in FOLDER.glob(name)
    }

    assert set(TARGETS) == read


def test_every_job_has_its_target_file() -> None:
    folder = FOLDER / "targets"

    assert {path.stem for path in folder.glob("*.yml")} == set(JOBS) - FOLDERS_OF_FILES
    assert [path.stem for path in folder.glob("*.yml") if not entries(path)] == []


def test_every_address_is_that_of_a_service(services: dict[str, Any]) -> None:
    urls = {
        target: httpx.URL(target if "://" in target else f"http://{target}")
        for path in [*TARGETS, *DOORS]
        for entry in entries(path)
        for target in entry["targets"]
    }

    aliases = {
        alias
        for service in services.values()
        for network in (service.get("networks") or {}).values()
        for alias in (network or {}).get("aliases", [])
    }

    assert {url.host for url in urls.values()} <= set(services) | aliases
    assert all(url.port for url in urls.values())


def test_every_target_says_on_which_host_it_is(discovered: list[dict[str, Any]]) -> None:
    assert {target["labels"].get("host") for target in discovered} == {"main"}


def test_a_target_has_the_labels_of_its_file_and_no_other(discovered: list[dict[str, Any]]) -> None:
    for target in discovered:
        expected = {"job", "host", "instance"} | (
            {"module", "target"} if target["scrapePool"] == "probes" else set()
        )
        assert set(target["labels"]) == expected


def test_the_job_of_a_service_is_its_name(discovered: list[dict[str, Any]]) -> None:
    for target in discovered:
        if target["scrapePool"] not in FOLDERS_OF_FILES:
            name = httpx.URL(target["scrapeUrl"]).host
            assert target["labels"]["job"] == target["scrapePool"] == name


def test_an_application_names_its_job_itself(discovered: list[dict[str, Any]]) -> None:
    jobs = {target["labels"]["job"] for target in discovered if target["scrapePool"] == "apps"}

    assert jobs == {"claw-ai-backend"}


def test_grafana_is_scraped_where_it_lives(discovered: list[dict[str, Any]]) -> None:
    urls = [target["scrapeUrl"] for target in discovered if target["labels"]["job"] == "grafana"]

    assert urls == ["http://grafana:3000/grafana/metrics"]


def test_a_probe_is_asked_of_its_prober_about_its_target(discovered: list[dict[str, Any]]) -> None:
    probes = {
        target["labels"]["target"]: httpx.URL(target["scrapeUrl"])
        for target in discovered
        if target["scrapePool"] == "probes"
    }

    assert set(probes) in (
        {"http://nginx:8080/healthz", "http://nginx:8080/grafana/api/health"},
        {"https://nginx:8443/healthz", "https://nginx:8443/grafana/api/health"},
    )
    for address, url in probes.items():
        module = "http_2xx" if address.startswith("http:") else "https_2xx_any_certificate"
        assert (url.host, url.port, url.path) == ("blackbox-exporter", 9115, "/probe")
        assert dict(url.params) == {"module": module, "target": address}


def test_every_probe_uses_a_module_that_exists() -> None:
    modules = yaml.safe_load((ROOT / "blackbox-exporter" / "blackbox.yml").read_text())["modules"]
    files = [*FOLDER.glob("targets/probes/*"), *DOORS]
    used = {entry["labels"]["module"] for path in files for entry in entries(path)}

    assert used
    assert used <= set(modules)


def test_the_door_that_is_probed_is_the_one_that_is_open(services: dict[str, Any]) -> None:
    mounted = {volume["target"]: volume["source"] for volume in services["prometheus"]["volumes"]}
    probed = Path(mounted[f"/etc/prometheus/targets/{MOUNTED_OVER}"])

    assert probed.parent == FOLDER / "doors"
    assert probed.stem == services["nginx"]["environment"]["CLAW_NGINX_DOOR"]
    assert entries(FOLDER / "targets" / MOUNTED_OVER) == []
    assert [path.stem for path in DOORS] == sorted(path.stem for path in (ROOT / "nginx/doors").iterdir())


def test_a_further_machine_is_a_file_and_its_entries_say_what_they_are(
    with_a_further_host: list[dict[str, Any]],
) -> None:
    found = {
        (target["labels"]["job"], target["labels"]["host"], target["scrapeUrl"])
        for target in with_a_further_host
        if target["scrapePool"] == "hosts"
    }

    assert found == {
        ("node-exporter", "web-2", "http://10.8.0.2:9100/metrics"),
        ("blackbox-exporter", "web-2", "http://10.8.0.2:9115/metrics"),
        ("cadvisor", "web-2", "http://10.8.0.2:9180/metrics"),
        ("log-shipper", "web-2", "http://10.8.0.2:9080/metrics"),
    }


def test_each_machine_probes_the_other_and_the_further_one_the_door(
    with_a_further_host: list[dict[str, Any]],
) -> None:
    found = {
        (target["labels"]["instance"], target["labels"]["module"], target["labels"]["target"])
        for target in with_a_further_host
        if target["scrapePool"] == "probes"
    }
    probed = {(target["labels"].get("target"), target["labels"]["host"]) for target in with_a_further_host}

    assert found == {
        ("blackbox-exporter:9115", "icmp", "10.8.0.2"),
        ("blackbox-exporter:9115", "tcp", "10.8.0.2:9100"),
        ("10.8.0.2:9115", "icmp", "10.8.0.1"),
        ("10.8.0.2:9115", "https_2xx", "https://monitoring.example.com/healthz"),
    }
    assert {("10.8.0.2", "web-2"), ("10.8.0.1", "main")} <= probed


def test_without_any_target_file_prometheus_runs_and_has_no_target(
    tools: Path, free_port: Callable[[], int], tmp_path: Path
) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    shutil.copy(FOLDER / "prometheus.yml", folder)
    with prometheus(tools, folder, free_port()) as client:
        found = asked_until(client, "/api/v1/targets?state=any", lambda _: True)

    assert (found["activeTargets"], found["droppedTargets"]) == ([], [])


def test_a_new_application_is_found_without_a_restart(
    tools: Path, free_port: Callable[[], int], tmp_path: Path
) -> None:
    folder = tmp_path / "etc"
    (folder / "targets" / "apps").mkdir(parents=True)
    shutil.copy(FOLDER / "prometheus.yml", folder)
    with prometheus(tools, folder, free_port()) as client:
        asked_until(client, "/api/v1/targets", lambda data: data["activeTargets"] == [])
        written = "- targets: ['shop:8010']\n  labels: {job: shop, host: main}\n"
        (folder / "targets" / "apps" / "shop.yml").write_text(written)
        found = asked_until(client, "/api/v1/targets", lambda data: bool(data["activeTargets"]))

    assert [target["labels"]["job"] for target in found["activeTargets"]] == ["shop"]


CADVISOR = """\
container_last_seen{container_label_com_docker_compose_service="shop",id="/docker/a",image="s:1",name="s-1"} 1
container_last_seen{container_label_com_docker_compose_service="",id="/docker/b",image="x:1",name="by-hand"} 2
container_last_seen{container_label_com_docker_compose_service="",id="/system.slice",image="",name=""} 3
machine_cpu_cores{boot_id="1"} 4
node_os_info{id="debian"} 1
"""


@pytest.mark.parametrize("job", ["cadvisor", "hosts"])
def test_containers_are_named_by_their_service_and_nothing_else_is_changed(
    tools: Path, free_port: Callable[[], int], tmp_path: Path, exposition: Callable[[str], str], job: str
) -> None:
    folder = tmp_path / "etc"
    name = "hosts/web-2" if job == "hosts" else job
    (folder / "targets" / name).parent.mkdir(parents=True)
    (folder / "prometheus.yml").write_text(
        (FOLDER / "prometheus.yml")
        .read_text()
        .replace("scrape_interval: 15s", "scrape_interval: 1s")
        .replace("scrape_timeout: 10s", "scrape_timeout: 1s")
    )
    labels = "{job: cadvisor, host: web-2}"
    (folder / "targets" / f"{name}.yml").write_text(
        f"- targets: ['{exposition(CADVISOR)}']\n  labels: {labels}\n"
    )
    query = '/api/v1/query?query={__name__=~"container_.*|machine_.*|node_.*"}'
    with prometheus(tools, folder, free_port()) as client:
        found = asked_until(client, query, lambda data: bool(data["result"]))["result"]

    same = {"job", "host", "instance"}
    shown = {
        (series["value"][1], *sorted(item for item in series["metric"].items() if item[0] not in same))
        for series in found
    }
    assert shown == {
        (
            "1",
            ("__name__", "container_last_seen"),
            ("image", "s:1"),
            ("name", "s-1"),
            ("service", "shop"),
        ),
        ("2", ("__name__", "container_last_seen"), ("image", "x:1"), ("name", "by-hand")),
        ("4", ("__name__", "machine_cpu_cores"), ("boot_id", "1")),
        ("1", ("__name__", "node_os_info"), ("id", "debian")),
    }


def test_limits_leave_room_above_the_largest_honest_target() -> None:
    limits = CONFIG["global"]
    # 200 endpoints with 3 statuses: 1 count, 14 + 3 and 7 + 3 histogram series each (see the comment there).
    largest = 200 * 3 * (1 + 17 + 10)

    assert limits["sample_limit"] >= 3 * largest
    assert limits["body_size_limit"] == "32MB"
    assert {"target_limit", "label_limit", "label_name_length_limit", "label_value_length_limit"} <= set(
        limits
    )
