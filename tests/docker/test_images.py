"""Our images, built from their real Dockerfiles: what is in them, what is not, how they start and stop."""

from __future__ import annotations

import json
import re
import time
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.docker.engine import Engine

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 60
HARDENED = (
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--tmpfs=/tmp",
    "--pids-limit=64",
)

# Programs for a Python in the container; each prints a sorted JSON list.
WALK = """
import json, os, stat
SKIPPED = {"/proc", "/sys", "/dev"}
def found(wanted):
    for folder, folders, files in os.walk("/"):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in SKIPPED]
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            if not os.path.islink(path) and wanted(path, os.lstat(path)):
                yield path
"""
PRIVILEGED = WALK + "print(json.dumps(sorted(found(lambda path, at: at.st_mode & 0o6000))))"
OF_OTHERS = WALK + "print(json.dumps(sorted(found(lambda path, at: at.st_uid))))"
WRITABLE = WALK + "print(json.dumps(sorted(found(lambda path, at: os.access(path, os.W_OK)))))"
WHEELS = (
    WALK + "print(json.dumps(sorted(found(lambda path, at: path.endswith(('.whl', '.a', '.h', '.deb'))))))"
)
IMPORTABLE = """
import importlib.util, json
names = "Cython cyclonedx distutils ensurepip hatchling pip setuptools wheel".split()
print(json.dumps([name for name in names if importlib.util.find_spec(name)]))
"""
PROGRAMS = """
import json, os, shutil
path = os.defpath + ":/usr/local/bin:/usr/sbin:/sbin:" + os.environ["PATH"]
names = "apt apt-get cc gcc ld make perl pip pip3 uv".split()
print(json.dumps([name for name in names if shutil.which(name, path=path)]))
"""
INSTALLED = """
import importlib.metadata, json
print(json.dumps(sorted([d.name, d.version] for d in importlib.metadata.distributions())))
"""
WHO = """
import json, os, pwd
print(json.dumps([os.getuid(), os.getgid(), pwd.getpwuid(os.getuid()).pw_shell]))
"""
# What byte code says of itself: 1 is "trust me, whatever the time of the source".
BYTECODE = """
import asyncio, importlib, json, pathlib, sys
modules = [asyncio, json, importlib.import_module(sys.argv[1])]
print(json.dumps([pathlib.Path(module.__cached__).read_bytes()[4] for module in modules]))
"""


@dataclass(frozen=True)
class Image:
    """An image of ours: its name, the folder of its project, its user, the module it runs."""

    name: str
    project: Path
    user: int
    module: str
    own_megabytes: int
    own_folders: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        return str(tomllib.loads((self.project / "pyproject.toml").read_text())["project"]["version"])

    @property
    def tag(self) -> str:
        return f"{self.name}:{self.version}"

    @property
    def bill_path(self) -> str:
        return f"/usr/share/sbom/{self.name}.cdx.json"


EXPORTER = Image("claw-exporter", ROOT / "exporter", 10810, "claw_exporter", 45)
CHAT = Image("claw-chat", ROOT / "examples" / "chat", 10800, "claw_chat", 80)
RELAY = Image("claw-relay", ROOT / "relay", 10811, "claw_relay", 45, ("/var/lib/claw-relay",))
OURS = (EXPORTER, CHAT, RELAY)
each_image = pytest.mark.parametrize("image", [pytest.param(image, id=image.name) for image in OURS])

pytestmark = pytest.mark.usefixtures("images")


def run(
    engine: Engine, image: Image, program: str, *arguments: str, options: tuple[str, ...] = HARDENED
) -> str:
    return engine.docker(
        *("run", "--rm", "--network=none", *options, f"--entrypoint={program}", image.tag, *arguments)
    )


def ask(engine: Engine, image: Image, code: str, *arguments: str, options: tuple[str, ...] = HARDENED) -> Any:  # noqa: ANN401 - JSON
    return json.loads(run(engine, image, "python", "-c", code, *arguments, options=options))


def inspect(engine: Engine, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(engine.docker("inspect", name))
    return found[0]


def bill(engine: Engine, image: Image) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run(engine, image, "cat", image.bill_path))
    return document


def normal(name: str) -> str:
    """A distribution's name as the index writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@contextmanager
def started(engine: Engine, image: Image, *command: str, options: tuple[str, ...] = ()) -> Iterator[str]:
    name = engine.docker("run", "--detach", *HARDENED, *options, image.tag, *command).strip()
    try:
        yield name
    finally:
        engine.docker("rm", "--force", "--volumes", name)


def says(words: str) -> Callable[[Engine, str], bool]:
    def logged(engine: Engine, name: str) -> bool:
        done = engine.run("logs", name)
        return words in done.stdout + done.stderr

    return logged


def answers(url: str) -> Callable[[Engine, str], bool]:
    def asked(engine: Engine, name: str) -> bool:
        code = f"import urllib.request as u; u.urlopen('{url}')"
        return engine.run("exec", name, "python", "-c", code).returncode == 0

    return asked


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@each_image
def test_it_runs_as_its_own_user_who_cannot_log_in(engine: Engine, image: Image) -> None:
    assert ask(engine, image, WHO) == [image.user, image.user, "/bin/false"]


@each_image
@pytest.mark.parametrize("code", [IMPORTABLE, PROGRAMS, WHEELS], ids=["modules", "programs", "files"])
def test_nothing_that_builds_or_installs_is_in_it(engine: Engine, image: Image, code: str) -> None:
    assert ask(engine, image, code) == []


@each_image
def test_no_file_lends_anybody_its_rights(engine: Engine, image: Image) -> None:
    assert ask(engine, image, PRIVILEGED, options=("--user=0",)) == []


@each_image
def test_every_file_is_roots_but_the_folder_of_its_data(engine: Engine, image: Image) -> None:
    assert ask(engine, image, OF_OTHERS, options=("--user=0",)) == [*image.own_folders]


@each_image
def test_the_user_can_write_to_no_file_of_it(engine: Engine, image: Image) -> None:
    # Without --read-only: what the file system itself allows.
    assert ask(engine, image, WRITABLE, options=()) == ["/tmp", *image.own_folders]  # noqa: S108 - what every image has


@each_image
def test_what_it_imports_was_compiled_when_it_was_built(engine: Engine, image: Image) -> None:
    assert ask(engine, image, BYTECODE, image.module) == [1, 1, 1]


@each_image
def test_the_bill_of_materials_lists_the_locked_packages_and_ours_and_no_other(
    engine: Engine, image: Image
) -> None:
    document = bill(engine, image)
    python = [
        part
        for part in document["components"]
        if not str(part.get("purl")).startswith(("pkg:deb", "pkg:gen"))
    ]
    listed = {
        (normal(part["name"]), part["version"]) for part in [document["metadata"]["component"], *python]
    }
    locked = set(re.findall(r"^(\S+)==(\S+)", (image.project / "requirements.txt").read_text(), re.MULTILINE))
    ours = {(name, image.version) for name in ("claw-exporter", "claw-chat", "claw-relay")}

    assert listed == {(normal(name), version) for name, version in ask(engine, image, INSTALLED)}
    assert (image.name, image.version) in listed
    # What is locked for other systems and older Pythons is not installed.
    assert listed - locked <= ours
    assert {name for name, _ in locked - listed} <= {"async-timeout", "colorama", "httpx2-jsfetch", "tzdata"}


@each_image
def test_the_bill_of_materials_lists_python_and_every_package_of_the_system(
    engine: Engine, image: Image
) -> None:
    document = bill(engine, image)
    code = "import json, platform; print(json.dumps(platform.python_version()))"
    listed = {
        (part["name"], part["version"])
        for part in document["components"]
        if part.get("purl", "").startswith("pkg:deb/debian/")
    }
    installed = run(
        engine, image, "dpkg-query", "--show", "-f", "${Package} ${Version} ${db:Status-Status}\n"
    )

    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert [part["version"] for part in document["components"] if part["name"] == "python"] == [
        ask(engine, image, code)
    ]
    assert listed == {
        (name, version)
        for name, version, state in map(str.split, installed.splitlines())
        if state == "installed"
    }
    assert {"libc6", "tzdata"} <= {name for name, _ in listed}


@each_image
def test_no_part_of_the_bill_of_materials_is_random_or_a_time(engine: Engine, image: Image) -> None:
    document = bill(engine, image)

    assert "serialNumber" not in document
    assert "timestamp" not in document["metadata"]


@each_image
def test_its_labels_name_its_version_and_its_base(engine: Engine, image: Image) -> None:
    labels = inspect(engine, image.tag)["Config"]["Labels"]
    (base,) = re.findall(r"^ARG PYTHON=(.*)$", (image.project / "Dockerfile").read_text(), re.MULTILINE)

    assert labels["org.opencontainers.image.title"] == image.name
    assert labels["org.opencontainers.image.version"] == image.version
    assert labels["org.opencontainers.image.base.name"] == f"docker.io/library/python:{base}"


@each_image
def test_it_is_small(engine: Engine, image: Image) -> None:
    sizes = engine.docker("history", "--human=false", "--format={{.Size}}", image.tag).split()
    *own, base = (int(size) / 1e6 for size in sizes)

    assert base > 20  # the shared part, which comes from the image of Python
    assert sum(own) < image.own_megabytes


def test_all_images_keep_their_base_once(engine: Engine) -> None:
    assert len({inspect(engine, image.tag)["RootFS"]["Layers"][0] for image in OURS}) == 1


def test_the_exporter_is_healthy_within_its_limits_though_no_database_answers(engine: Engine) -> None:
    limits = ("--memory=256m", "--cpus=0.5", "--health-interval=1s")
    with started(engine, EXPORTER, options=limits) as name:
        wait_until(lambda: inspect(engine, name)["State"]["Health"]["Status"] != "starting")
        health = inspect(engine, name)["State"]["Health"]
        metrics = engine.docker(
            *("exec", name, "python", "-c"),
            "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9810/metrics').read().decode())",
        )

    assert health["Status"] == "healthy", health
    assert "claw_ai_exporter_probe_success" in metrics


def test_an_exporter_that_does_not_answer_is_not_healthy(engine: Engine) -> None:
    checks = ("--health-interval=1s", "--health-start-period=0s", "--health-retries=1")
    with started(engine, EXPORTER, "60", options=(*checks, "--entrypoint=sleep")) as name:
        wait_until(lambda: inspect(engine, name)["State"]["Health"]["Status"] != "starting")

        assert inspect(engine, name)["State"]["Health"]["Status"] == "unhealthy"


@pytest.mark.parametrize(
    ("image", "command", "ready"),
    [
        pytest.param(EXPORTER, (), says('"started"'), id="exporter"),
        pytest.param(
            CHAT,
            ("python", "-m", "claw_chat.model_server"),
            answers("http://127.0.0.1:8001/healthz"),
            id="model-server",
        ),
        pytest.param(CHAT, ("python", "-m", "claw_chat.load"), says("requests/s"), id="load"),
        pytest.param(RELAY, (), says('"started"'), id="relay"),
    ],
)
def test_it_ends_by_itself_when_docker_stops_it(
    engine: Engine, image: Image, command: tuple[str, ...], ready: Callable[[Engine, str], bool]
) -> None:
    with started(engine, image, *command) as name:
        wait_until(lambda: ready(engine, name))
        asked = time.monotonic()
        engine.docker("stop", "--time=30", name)

        assert time.monotonic() - asked < 10
        assert inspect(engine, name)["State"]["ExitCode"] == 0
