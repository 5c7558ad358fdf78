"""Each way to break something: it is broken inside, and mended when it is left."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from claw_native.drills import means
from claw_native.drills.configuration import textfiles
from claw_native.drills.crowd import Asking, Visiting, crowd
from claw_native.drills.means import Site
from claw_native.errors import NativeError
from claw_native.settings import PORTS, Settings
from claw_native.stack import postgres, redis
from claw_native.supervision import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from claw_native.servers import Postgres


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


@dataclass
class Keeper:
    """What supervisord would do, for one process that only sleeps."""

    done: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def start(self, name: str) -> None:
        self.done.append(f"start {name}")
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    def stop(self, name: str) -> None:
        self.done.append(f"stop {name}")

    def states(self) -> dict[str, State]:
        assert self.process
        state = "RUNNING" if self.process.poll() is None else "BACKOFF"
        return {"load": State(name="load", state=state, pid=self.process.pid, since=0, note="")}


@dataclass(frozen=True)
class Place(Site):
    """A site whose supervisor is ours."""

    keeper: Keeper = field(default_factory=Keeper)

    @property
    def supervisor(self) -> Any:  # noqa: ANN401 - it is no Supervisor
        return self.keeper


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Place]:
    settings = Settings(run_dir=tmp_path)
    for folder in (settings.etc_dir / "prometheus" / "targets" / "apps", textfiles(settings)):
        folder.mkdir(parents=True)
    place = Place(settings, httpx.Client())
    place.keeper.start("load")
    place.keeper.done.clear()
    yield place
    assert place.keeper.process
    place.keeper.process.kill()
    place.keeper.process.wait()


# Services. `load` is ready as soon as it runs.


def test_services_are_stopped_and_come_back(site: Place) -> None:
    with means.stopped("load")(site):
        assert site.keeper.done == ["stop load"]
    assert site.keeper.done == ["stop load", "start load"]


def test_a_service_that_is_mended_by_a_restart_gets_one(site: Place) -> None:
    with means.mended_by_restart("load")(site):
        assert site.keeper.done == []
    assert site.keeper.done == ["stop load", "start load"]


def test_a_service_that_is_mended_by_a_reload_is_told_to(site: Place) -> None:
    assert site.keeper.process
    with means.mended_by_reload("load")(site):
        assert site.keeper.process.poll() is None
    assert site.keeper.process.wait(10) == -signal.SIGHUP


def state_of(site: Place) -> str:
    assert site.keeper.process
    return Path(f"/proc/{site.keeper.process.pid}/stat").read_text().split(")")[1].split()[0]


def test_a_frozen_service_does_nothing_until_it_thaws(site: Place) -> None:
    with means.frozen("load")(site):
        wait_for(lambda: state_of(site) == "T")
    wait_for(lambda: state_of(site) != "T")


def test_a_service_dies_again_and_again(site: Place) -> None:
    assert site.keeper.process
    process = site.keeper.process
    with means.killed_again_and_again("load", pause_seconds=0.01)(site):
        assert process.wait(10) == -signal.SIGKILL
    assert site.keeper.done == ["start load"]


def test_a_service_may_open_few_files(site: Place) -> None:
    assert site.keeper.process
    pid = site.keeper.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    with means.few_files("load")(site):
        soft, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        assert soft < 20
    assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == before


def test_a_service_that_opens_or_closes_files_still_may_open_few(
    site: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(means, "FOLLOW_SECONDS", 0.01)
    assert site.keeper.process
    pid = site.keeper.process.pid
    with means.few_files("load")(site):
        few = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (few[0] + 5, few[1]))
        until = time.monotonic() + 10
        while resource.prlimit(pid, resource.RLIMIT_NOFILE) != few:
            assert time.monotonic() < until
            time.sleep(0.01)


def test_a_service_that_does_not_come_back_is_an_error(site: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(means, "START_SECONDS", 0)
    settings = replace(site.settings, ports={**PORTS, "exporter": 1})
    with pytest.raises(NativeError, match="exporter does not come back; its log is in"):
        Place(settings, site.http, site.keeper).start("exporter")


# What is told to programs.


def requests_of(broken: means.Means, status: int = 200) -> list[tuple[str, str, Any]]:
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append((request.method, str(request.url), json.loads(request.content)))
        return httpx.Response(status)

    with broken(Site(Settings(), httpx.Client(transport=httpx.MockTransport(answer)))):
        sent.append(("-", "", None))
    return sent


def test_models_behave_otherwise_and_then_as_before() -> None:
    url = "http://127.0.0.1:8001/admin/behaviour/glm-4"
    assert requests_of(means.models({"stall_ratio": 1}, "glm-4")) == [
        ("PUT", url, {"stall_ratio": 1}),
        ("-", "", None),
        ("PUT", url, {}),
    ]


def test_the_application_is_told_its_faults_and_then_none() -> None:
    url = "http://127.0.0.1:8000/faults"
    assert requests_of(means.in_the_app(error_lines=3)) == [
        ("PUT", url, {"error_lines": 3}),
        ("-", "", None),
        ("PUT", url, {}),
    ]


def test_a_leak_is_a_share_of_the_memory_that_is_free() -> None:
    tell, _, mend = requests_of(means.leaking(share=0.003))
    words = Path("/proc/meminfo").read_text().split()
    free_megabytes = int(words[words.index("MemAvailable:") + 1]) / 1024
    assert tell[2]["leak_megabytes"] == pytest.approx(0.003 * free_megabytes, rel=0.1, abs=1)
    assert mend[2] == {}


def test_a_program_that_refuses_is_an_error() -> None:
    with pytest.raises(NativeError, match=r"claw-ai-backend does not take /faults .*422"):
        requests_of(means.in_the_app(error_lines=3), status=422)


# Files.


def test_a_file_is_gone_until_it_is_mended(site: Place) -> None:
    path = site.settings.etc_dir / "a.yml"
    path.write_text("a: 1")
    with means.file_changed("a.yml", None)(site):
        assert not path.exists()
    assert path.read_text() == "a: 1"


def test_a_file_is_there_until_it_is_mended(site: Place) -> None:
    path = site.settings.etc_dir / "b.yml"
    with means.file_changed("b.yml", "b: 1")(site):
        assert path.read_text() == "b: 1"
    assert not path.exists()


def test_metrics_are_left_where_the_node_exporter_reads_them(site: Place) -> None:
    with means.textfile(lambda: "a 1\n")(site):
        (path,) = textfiles(site.settings).iterdir()
        assert (path.name, path.read_text()) == ("drill.prom", "a 1\n")
    assert not path.exists()


def test_a_target_beside_the_others_is_served_while_it_lasts(site: Place) -> None:
    (site.settings.etc_dir / "prometheus" / "prometheus.yml").write_text("global: {sample_limit: 3}")
    with means.target_beside("app", means.more_samples_than_allowed)(site):
        (path,) = (site.settings.etc_dir / "prometheus" / "targets" / "apps").iterdir()
        (target,) = yaml.safe_load(path.read_text())
        assert target["labels"]["job"] == "app"
        body = httpx.get(f"http://{target['targets'][0]}/metrics", trust_env=False).text
        assert body.count("claw_drill{") == 4
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_a_small_disk_is_full_or_read_only_and_then_gone(
    site: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(means, "SEEN_SECONDS", 0)
    site.settings.data_dir.mkdir(exist_ok=True)
    disk = site.settings.data_dir / "disk"
    try:
        with means.small_disk("disk", megabytes=16)(site):
            with means.filled("disk", free_ratio=0.03)(site):
                seen = os.statvfs(disk)
                assert seen.f_bavail / seen.f_blocks < 0.04
            with means.read_only("disk")(site):
                assert os.statvfs(disk).f_flag & os.ST_RDONLY
    except NativeError as error:
        if "mount" in str(error):
            pytest.skip("this container may not mount")
        raise
    assert not disk.exists()


# Stores.


@pytest.fixture(scope="module")
def stores(
    tools: Path, tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[tuple[Site, Postgres]]:
    assert tools.is_dir()
    ports = {**PORTS, "postgres": free_port(), "redis": free_port()}
    settings = Settings(run_dir=tmp_path_factory.mktemp("stores"), tools_dir=tools.parent, ports=ports)
    with postgres(settings) as database, redis(settings):
        yield Site(settings, httpx.Client()), database


def of_claw(database: Postgres, sql: str) -> str:
    dsn = database.superuser_dsn.rpartition("/")[0] + "/claw"
    psql = database._bin_dir / "psql"
    done = subprocess.run([psql, dsn, "-qAt", "-c", sql], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_sessions_hold_what_they_took(stores: tuple[Site, Postgres]) -> None:
    site, database = stores
    idle = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
    with means.holding("BEGIN; SELECT 1", sessions=2)(site):
        wait_for(lambda: of_claw(database, idle) == "2")
    wait_for(lambda: of_claw(database, idle) == "0")


def test_what_sql_changed_is_changed_back(stores: tuple[Site, Postgres]) -> None:
    site, database = stores
    there = "SELECT to_regclass('drilled')"
    with means.changed_by_sql("CREATE TABLE drilled ()", "DROP TABLE drilled")(site):
        assert of_claw(database, there) == "drilled"
    assert of_claw(database, there) == ""


def test_a_setting_of_redis_is_changed_for_a_while(stores: tuple[Site, Postgres]) -> None:
    site, _ = stores
    before = site.redis("CONFIG", "GET", "maxmemory")
    with means.redis_configured("maxmemory", means.used_memory(0.98))(site):
        now = int(site.redis("CONFIG", "GET", "maxmemory").split()[1])
        assert 0 < now < 10_000_000
    assert site.redis("CONFIG", "GET", "maxmemory") == before


def test_a_queue_is_full_for_a_while(stores: tuple[Site, Postgres]) -> None:
    site, _ = stores
    with means.queued("jobs", 3, age_seconds=60)(site):
        assert site.redis("LLEN", "jobs").strip() == "3"
        assert json.loads(site.redis("LINDEX", "jobs", "0"))["at"] < time.time() - 59
    assert site.redis("LLEN", "jobs").strip() == "0"


def test_redis_cannot_save_until_it_is_mended(stores: tuple[Site, Postgres]) -> None:
    site, _ = stores

    def saved(status: str) -> bool:
        return f"rdb_last_bgsave_status:{status}" in site.redis("INFO", "persistence")

    with means.redis_cannot_save()(site):
        wait_for(lambda: saved("err"))
    wait_for(lambda: saved("ok"))


# Users.


@contextmanager
def application(paths: list[str]) -> Iterator[Site]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"[]")

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            body = json.loads(self.rfile.read(length))
            paths.append(json.dumps(body))
            self._answer(json.dumps({"id": "7"}).encode())

        def _answer(self, body: bytes) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Site(Settings(ports={**PORTS, "claw-ai-backend": server.server_port}), httpx.Client())
        server.shutdown()
        thread.join()


def test_a_crowd_visits_a_page() -> None:
    paths: list[str] = []
    with application(paths) as site, crowd(Visiting("/search?q=x"), per_second=100)(site):
        wait_for(lambda: len(paths) >= 3)
    assert set(paths) == {"/api/v1/search?q=x"}


@pytest.mark.parametrize("leaves", [True, False])
def test_a_crowd_asks_a_model(*, leaves: bool) -> None:
    paths: list[str] = []
    asking = Asking("Why?", model="glm-4", leaves=leaves)
    with application(paths) as site, crowd(asking, per_second=50)(site):
        wait_for(lambda: "/api/v1/conversations/7/chat" in paths)
    assert {"/api/v1/conversations", '{"content": "Why?", "model": "glm-4"}'} <= set(paths)


def test_a_crowd_outlives_an_application_that_is_away(free_port: Callable[[], int]) -> None:
    site = Site(Settings(ports={**PORTS, "claw-ai-backend": free_port()}), httpx.Client())
    with crowd(Visiting("/search"), per_second=100)(site):
        time.sleep(0.1)
