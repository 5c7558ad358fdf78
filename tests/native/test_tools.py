"""Programs from PATH and from packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from claw_native.apt import Apt, codename, own_sources, source_lines
from claw_native.errors import ToolError
from claw_native.programs import DEMO_PROGRAMS, ENGINE_PROGRAMS, PROGRAMS, Suite, Wrapper
from claw_native.servers import HOST, Postgres, Process, accepts, free_port
from claw_native.settings import Settings
from claw_native.tools import _only_one, ensure_tools, tool
from claw_native.wrappers import ALERTMANAGER_SHARE, wrapper_text

LISTS_SOURCES = 'case "$*" in *indextargets*) exec /usr/bin/apt-get "$@";; esac'


def settings_in(folder: Path, *, use_path: bool = True) -> Settings:
    return Settings(run_dir=folder, tools_dir=folder / "tool box", use_path=use_path)


def program(path: Path, *, prints: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{prints}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def path_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first on PATH."""
    folder = tmp_path / "on path"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:relative:{os.environ['PATH']}")
    return folder


def test_a_suitable_program_on_path_is_taken(tmp_path: Path, path_with: Path) -> None:
    program(path_with / "prometheus-node-exporter", prints="echo node_exporter, version 1.9.2 from $PWD")
    settings = settings_in(tmp_path)
    found = ensure_tools(settings, ["node_exporter"], say=lambda _: None)
    assert found["node_exporter"].version == "1.9.2"
    assert str(path_with) in found["node_exporter"].origin
    shown = subprocess.check_output([tool(settings, "node_exporter")], cwd="/usr", text=True)
    assert shown == "node_exporter, version 1.9.2 from /usr\n"


def test_what_was_found_once_is_not_looked_for_again(tmp_path: Path, path_with: Path) -> None:
    program(path_with / "node_exporter", prints="echo 1.9.2")
    settings = settings_in(tmp_path)
    ensure_tools(settings, ["node_exporter"], say=lambda _: None)
    program(path_with / "node_exporter", prints="echo 1.9.3")
    assert ensure_tools(settings, ["node_exporter"], say=lambda _: None)["node_exporter"].version == "1.9.2"
    (settings.tools_dir / "installed.json").write_text("torn")
    assert ensure_tools(settings, ["node_exporter"], say=lambda _: None)["node_exporter"].version == "1.9.3"


def test_an_old_or_broken_program_is_passed_over(
    tmp_path: Path, path_with: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(path_with / "prometheus", prints="echo 2.42.0")
    program(path_with / "promtool", prints="echo 2.42.0")
    second = tmp_path / "second"
    program(second / "prometheus", prints="exit 1")
    program(second / "promtool", prints="echo 3.5.3")
    third = tmp_path / "third"
    program(third / "prometheus", prints="echo prometheus, version 3.6.0")
    program(third / "promtool", prints="echo 3.6.0")
    monkeypatch.setenv("PATH", f"{path_with}:{second}:{third}:{os.environ['PATH']}")
    found = ensure_tools(settings_in(tmp_path), ["prometheus"], say=lambda _: None)
    assert found["prometheus"].origin == f"in {third}"


def test_a_name_nobody_knows_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="unknown: prometeus; known are prometheus, alertmanager"):
        ensure_tools(settings_in(tmp_path), ["prometeus"])


def test_a_program_that_was_not_fetched_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="run 'make tools'"):
        tool(settings_in(tmp_path), "prometheus")


def test_without_a_network_the_message_says_what_to_do(tmp_path: Path, path_with: Path) -> None:
    program(
        path_with / "apt-get",
        prints=f"{LISTS_SOURCES}\necho E: no route to host >&2; exit 100",
    )
    with pytest.raises(ToolError, match=r"(?s)put the programs on PATH yourself.*no route to host"):
        ensure_tools(settings_in(tmp_path, use_path=False), ["node_exporter"], say=lambda _: None)


def test_without_apt_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="there is no apt-get here"):
        ensure_tools(settings_in(tmp_path), ["node_exporter"], say=lambda _: None)


def test_sources_that_name_no_mirror_of_the_release_are_reported(tmp_path: Path, path_with: Path) -> None:
    program(path_with / "apt-get", prints="echo 'https://example.org/|nodistro|main'")
    with pytest.raises(ToolError, match="name no mirror"):
        ensure_tools(settings_in(tmp_path, use_path=False), ["node_exporter"], say=lambda _: None)


def test_a_package_no_suite_has_is_reported(tmp_path: Path, path_with: Path) -> None:
    program(path_with / "apt-get", prints=LISTS_SOURCES)
    program(path_with / "apt-cache", prints="exit 100")
    with pytest.raises(ToolError, match="the testing suite has none of: prometheus-node-exporter"):
        ensure_tools(settings_in(tmp_path, use_path=False), ["node_exporter"], say=lambda _: None)


@pytest.mark.tools
def test_packages_are_fetched_unpacked_and_tried(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, use_path=False)
    said: list[str] = []
    found = ensure_tools(settings, ["node_exporter", "redis"], say=said.append)
    assert found["node_exporter"].origin == "prometheus-node-exporter of testing"
    assert any("fetching" in line for line in said)
    shown = subprocess.check_output([tool(settings, "redis-server"), "--version"], cwd="/", text=True)
    assert found["redis"].version in shown
    assert not list(settings.tools_dir.rglob("*.deb"))
    moved = settings.tools_dir.rename(tmp_path / "moved")
    subprocess.check_output([moved / "bin" / "node_exporter", "--version"])


@pytest.mark.tools
def test_libraries_the_machine_lacks_are_brought_along(
    tmp_path: Path, path_with: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine is made to believe that it has neither redis' libraries nor any package."""
    ldd = shutil.which("ldd")
    program(
        path_with / "ldd",
        prints=f'[ -z "$(ls "${{LD_LIBRARY_PATH%%:*}}" 2>/dev/null | grep -s liblzf)" ] && '
        f'echo "liblzf.so.1 => not found" || exec {ldd} "$@"',
    )
    program(path_with / "dpkg-query", prints="echo 'ii |libssl3'")
    settings = settings_in(tmp_path, use_path=False)
    ensure_tools(settings, ["redis"], say=lambda _: None)
    assert "LD_LIBRARY_PATH" in tool(settings, "redis-server").read_text()
    assert list((settings.tools_dir / "redis").rglob("libjemalloc.so*"))
    assert not list((settings.tools_dir / "redis").rglob("libc.so.6"))
    assert not list((settings.tools_dir / "redis").rglob("libssl*"))
    monkeypatch.undo()
    subprocess.check_output([tool(settings, "redis-server"), "--version"])


def test_two_runs_at_once_take_turns(tmp_path: Path) -> None:
    said: list[str] = []
    waits = threading.Event()
    done = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        waits.set()

    def second() -> None:
        with _only_one(tmp_path / "lock", say):
            done.set()

    with _only_one(tmp_path / "lock", said.append):
        other = threading.Thread(target=second)
        other.start()
        assert waits.wait(10)
        assert not done.is_set()
    other.join(10)
    assert done.is_set()
    assert said == ["another run is fetching programs, waiting for it"]


def test_only_the_release_s_own_sources_are_used() -> None:
    rows = [
        "http://mirror/debian/|bookworm|main",
        "http://mirror/debian/|bookworm|main",
        "http://mirror/debian/|bookworm|contrib",
        "http://mirror/debian/|bookworm-updates|main",
        "http://mirror/security/|bookworm-security|main",
        "http://other/|nodistro|main",
    ]
    assert own_sources(rows, "bookworm") == [
        ("http://mirror/debian/", "bookworm", "main"),
        ("http://mirror/debian/", "bookworm-updates", "main"),
        ("http://mirror/security/", "bookworm-security", "main"),
    ]


def test_a_source_is_signed_by_the_archive_keyring_where_there_is_one(tmp_path: Path) -> None:
    source = [("http://mirror/debian/", "testing", "main")]
    assert source_lines(source, tmp_path) == ["deb [target=Packages] http://mirror/debian/ testing main"]
    keyring = tmp_path / "debian-archive-keyring.gpg"
    keyring.touch()
    line = f"deb [signed-by={keyring} target=Packages] http://mirror/debian/ testing main"
    assert source_lines(source, tmp_path) == [line]


def test_another_distribution_is_told_to_use_path() -> None:
    assert codename({"ID": "debian", "VERSION_CODENAME": "trixie"}) == "trixie"
    assert codename({"ID": "debian"}) == "testing"
    with pytest.raises(ToolError, match=r"this machine runs 'Fedora 44'.*put the programs on PATH"):
        codename({"ID": "fedora", "PRETTY_NAME": "Fedora 44"})


def test_the_table_of_programs_has_no_command_twice() -> None:
    names = [command.name for row in PROGRAMS for command in row.commands]
    assert len(names) == len(set(names))
    assert set(DEMO_PROGRAMS) <= {row.name for row in PROGRAMS}


def test_the_parts_of_a_docker_engine_come_when_they_are_asked_for(
    tmp_path: Path, path_with: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, version in (("dockerd", "24.0.7"), ("docker-proxy", "24.0.7"), ("curl", "8.0.1")):
        program(path_with / name, prints=f"echo {version}")
    rows = tuple(row for row in PROGRAMS if row.name in {"dockerd", "curl"})
    monkeypatch.setattr("claw_native.tools.PROGRAMS", rows)
    settings = settings_in(tmp_path)

    assert set(ensure_tools(settings, say=lambda _: None)) == {"curl"}
    assert ensure_tools(settings, ["dockerd"], say=lambda _: None)["dockerd"].version == "24.0.7"
    assert {"docker", "dockerd", "containerd", "runc", "iptables"} <= set(ENGINE_PROGRAMS)
    assert not set(ENGINE_PROGRAMS) & set(DEMO_PROGRAMS)


def test_a_package_brings_its_own_libraries_and_not_those_of_other_programs(tmp_path: Path) -> None:
    apt = Apt(tmp_path, Suite.STABLE)
    found = apt.libraries(["redis-server", "redis-tools"])

    assert {"libc6", "libjemalloc2"} <= found
    # redis-server asks for adduser, and that for perl's.
    assert not [name for name in found if "perl" in name]
    assert apt.libraries(["tzdata"]) == set()
    assert "Package: tzdata\n" in apt.describe(["tzdata"])


@pytest.mark.parametrize("wrapper", [Wrapper.PLAIN, Wrapper.NOT_ROOT])
def test_a_wrapper_passes_everything_on(tmp_path: Path, wrapper: Wrapper) -> None:
    tools = tmp_path / "it's a box"
    real = program(tools / "thing" / "usr" / "bin" / "thing", prints='printf "%s|" "$@"; exit 7')
    text = wrapper_text("a thing", real, tools=tools, wrapper=wrapper)
    path = program(tools / "bin" / "thing", prints="")
    path.write_text(text)
    done = subprocess.run([path, "a b", "", "$c"], stdout=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stdout) == (7, "a b||$c|")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is not root inside")
def test_a_program_that_refuses_root_is_not_root(tmp_path: Path) -> None:
    real = program(tmp_path / "thing" / "usr" / "bin" / "thing", prints="id -u; stat -c %u .")
    path = program(tmp_path / "bin" / "thing", prints="")
    path.write_text(wrapper_text("a thing", real, tools=tmp_path, wrapper=Wrapper.NOT_ROOT))
    # The files of root belong to the user it is inside.
    assert subprocess.check_output([path], cwd=tmp_path, text=True) == "1000\n1000\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.usefixtures("no_namespaces")
def test_without_namespaces_it_is_nobody_who_can_still_write_where_root_can(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    # Postgres looks at its own files with access(), which is stricter than opening them.
    access = f'import os; print(os.access("{closed}/y", os.R_OK))'
    (closed / "y").touch(mode=0o600)
    real = program(
        tmp_path / "thing" / "usr" / "bin" / "thing",
        prints=f"id -u; echo 1 > '{closed}/x'; {sys.executable} -c '{access}'",
    )
    path = program(tmp_path / "bin" / "thing", prints="")
    path.write_text(wrapper_text("a thing", real, tools=tmp_path, wrapper=Wrapper.NOT_ROOT))
    assert subprocess.check_output([path], cwd=tmp_path, text=True) == "65534\nTrue\n"
    assert (closed / "x").stat().st_uid == 65534


@pytest.fixture
def no_namespaces(path_with: Path) -> None:
    """A container whose rules forbid namespaces."""
    program(path_with / "unshare", prints="echo 'unshare failed' >&2; exit 1")


@pytest.fixture
def shared_file(tmp_path: Path) -> tuple[Path, Path]:
    """A wrapper, and the program behind it that reads a file under an absolute /usr/share."""
    if Path(ALERTMANAGER_SHARE).exists():
        pytest.skip("the machine has Alertmanager's template itself")
    tools = tmp_path / "a box"
    real = program(
        tools / "am" / "usr" / "bin" / "am",
        prints=f"pwd; cat {ALERTMANAGER_SHARE}/default.tmpl; ls -d /usr/share/doc",
    )
    template = tools / "am" / f".{ALERTMANAGER_SHARE}" / "default.tmpl"
    template.parent.mkdir(parents=True)
    template.write_text("a template\n")
    path = program(tools / "bin" / "am", prints="")
    path.write_text(wrapper_text("it", real, tools=tools, wrapper=Wrapper.OWN_SHARE))
    return path, real


def test_files_under_an_absolute_share_are_seen_by_the_program_only(
    shared_file: tuple[Path, Path], tmp_path: Path
) -> None:
    shown = subprocess.check_output([shared_file[0]], cwd=tmp_path, text=True)
    assert shown == f"{tmp_path}\na template\n/usr/share/doc\n"
    assert not Path(ALERTMANAGER_SHARE).exists()


@pytest.mark.usefixtures("no_namespaces")
def test_without_namespaces_a_copy_of_the_program_finds_its_files(
    shared_file: tuple[Path, Path], tmp_path: Path
) -> None:
    path, real = shared_file
    for _ in range(2):
        shown = subprocess.check_output([path], cwd=tmp_path, text=True)
        assert shown == f"{tmp_path}\na template\n/usr/share/doc\n"
    copy = real.with_name("am.portable")
    assert copy.stat().st_size == real.stat().st_size


@pytest.mark.usefixtures("no_namespaces")
def test_alertmanager_and_postgres_run_without_namespaces(
    tools: Path, tmp_path: Path, native_settings: Settings
) -> None:
    """As in a container with the usual rules."""
    assert native_settings.bin_dir == tools
    port = free_port()
    (tmp_path / "am.yml").write_text("route: {receiver: a}\nreceivers: [{name: a}]\n")
    flags = [f"--config.file={tmp_path}/am.yml", f"--storage.path={tmp_path}/am", "--cluster.listen-address="]
    words = [str(tools / "alertmanager"), *flags, f"--web.listen-address={HOST}:{port}"]
    with (
        Process(words, log=tmp_path / "log", ready=lambda: accepts(port)),
        Postgres(tools, tmp_path / "pg", free_port()) as server,
    ):
        assert server.query("SELECT 1") == "1\n"


def test_the_stamp_can_be_read_by_a_person(tmp_path: Path, path_with: Path) -> None:
    program(path_with / "node_exporter", prints="echo 1.9.2")
    settings = settings_in(tmp_path)
    ensure_tools(settings, ["node_exporter"], say=lambda _: None)
    rows = json.loads((settings.tools_dir / "installed.json").read_text())
    assert rows["node_exporter"]["version"] == "1.9.2"
