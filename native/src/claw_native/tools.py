"""Makes programs available in `.run/tools/bin`: what is on PATH first, else fetched packages."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from claw_native import wrappers
from claw_native.apt import Apt
from claw_native.command import run
from claw_native.errors import NativeError, ToolError
from claw_native.programs import PROGRAMS, Command, Program, Suite, Wrapper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from claw_native.settings import Settings

VERSION = re.compile(r"\d+(?:\.\d+)+")
LIBRARY_FOLDERS = ("usr/lib/*-linux-gnu*", "lib/*-linux-gnu*", "usr/lib/*-linux-gnu*/pulseaudio")
FONTS_CONF = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir prefix="relative">usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
"""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A program that is ready to be used.

    Attributes:
        version: What it says of itself.
        origin: Where it came from, in words.
        spec: Fingerprint of its entry in the table of programs.
    """

    version: str
    origin: str
    spec: str


def tool(settings: Settings, command: str) -> Path:
    """Returns the path of one executable.

    Raises:
        ToolError: It has not been fetched.
    """
    path = settings.bin_dir / command
    if not path.exists():
        raise ToolError(f"'{command}' is not in {settings.bin_dir}; run 'make tools'")
    return path


def ensure_tools(
    settings: Settings, names: Iterable[str] = (), *, say: Callable[[str], None] = print
) -> dict[str, Found]:
    """Makes programs available in `.run/tools/bin`; does nothing for those that are there.

    Args:
        settings: Where to put them, and whether PATH is looked at.
        names: Which ones; by default all that are not for special requests.
        say: Receives one line of progress per program.

    Raises:
        ToolError: One is unknown, or can neither be found nor fetched.
    """
    table = {program.name: program for program in PROGRAMS}
    unknown = sorted(set(names) - table.keys())
    if unknown:
        raise ToolError(f"unknown: {', '.join(unknown)}; known are {', '.join(table)}")
    wanted = [table[name] for name in names] or [row for row in PROGRAMS if not row.on_request]
    settings.bin_dir.mkdir(parents=True, exist_ok=True)
    with _only_one(settings.tools_dir / ".lock", say):
        return _Toolbox(settings, say).ensure(wanted)


@contextmanager
def _only_one(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run is fetching programs, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _spec(program: Program) -> str:
    text = repr(program) + wrappers.OWN_SHARE + wrappers.NOT_ROOT + wrappers.LIBRARIES
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


class _Toolbox:
    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self.settings = settings
        self.say = say
        self._stamp = settings.tools_dir / "installed.json"
        self._apts: dict[Suite, Apt] = {}

    def ensure(self, programs: Iterable[Program]) -> dict[str, Found]:
        known = self._read_stamp()
        found = {}
        for program in programs:
            before = known.get(program.name)
            if before and before.spec == _spec(program) and self._is_there(program):
                self.say(f"  {program.name:<18} {before.version:<12} {before.origin}")
                found[program.name] = before
                continue
            started = time.monotonic()
            found[program.name] = now = self._from_path(program) or self._from_packages(program)
            known[program.name] = now
            self._write_stamp(known)
            taken = time.monotonic() - started
            self.say(f"  {program.name:<18} {now.version:<12} {now.origin} ({taken:.1f} s)")
        return found

    def _is_there(self, program: Program) -> bool:
        return all((self.settings.bin_dir / command.name).exists() for command in program.commands)

    def _read_stamp(self) -> dict[str, Found]:
        try:
            rows = json.loads(self._stamp.read_text())
            return {name: Found(**row) for name, row in rows.items()}
        except (OSError, ValueError, TypeError):
            return {}

    def _write_stamp(self, found: Mapping[str, Found]) -> None:
        rows = {name: vars(row) for name, row in sorted(found.items())}
        partial = self._stamp.with_suffix(".partial")
        partial.write_text(json.dumps(rows, indent=2) + "\n")
        partial.replace(self._stamp)

    # What the machine has.

    def _from_path(self, program: Program) -> Found | None:
        if not self.settings.use_path:
            return None
        for folder in _search_folders(program):
            paths = {command: _executable(folder, command) for command in program.commands}
            present = {command: path for command, path in paths.items() if path}
            if len(present) < len(program.commands):
                continue
            version = _version_of(present[program.commands[0]], program)
            lowest, refused = program.versions
            if version and lowest <= _numbers(version) < refused:
                for command, path in present.items():
                    self._link(command, path, title=f"{command.name} {version} of this machine")
                return Found(version=version, origin=f"in {folder}", spec=_spec(program))
        return None

    def _link(self, command: Command, program: Path, *, title: str) -> None:
        # What the system has installed has its files under /usr/share in place.
        wrapper = command.wrapper if command.wrapper is Wrapper.NOT_ROOT else Wrapper.PLAIN
        text = wrappers.wrapper_text(title, program, tools=self.settings.tools_dir, wrapper=wrapper)
        self._write(command, text)

    def _write(self, command: Command, text: str) -> None:
        path = self.settings.bin_dir / command.name
        partial = path.with_suffix(".partial")
        partial.write_text(text)
        partial.chmod(0o755)
        partial.replace(path)

    # What the packages have.

    def _from_packages(self, program: Program) -> Found:
        apt = self._apt(program.suite)
        choice = next((packages for packages in program.packages if apt.available(packages)), None)
        if choice is None:
            raise ToolError(
                f"the {program.suite} suite has none of: {', '.join(program.packages)}; "
                f"put {program.commands[0].name} on PATH yourself"
            )
        package = choice.split()[0]
        self.say(f"  {program.name:<18} fetching {package} {apt.version(package)}")
        root = self._unpack(program, apt, choice.split())
        libraries = [folder for pattern in LIBRARY_FOLDERS for folder in sorted(root.glob(pattern))]
        for command in program.commands:
            self._wrap(command, root, package=package, libraries=libraries)
        version = _version_of(self.settings.bin_dir / program.commands[0].name, program)
        if version is None:
            shown = run([self.settings.bin_dir / program.commands[0].name, program.version_flag])
            raise ToolError(f"'{package}' was fetched but tells no version: {shown!r}")
        return Found(version=version, origin=f"{package} of {apt.suite}", spec=_spec(program))

    def _apt(self, suite: Suite) -> Apt:
        return self._apts.setdefault(suite, Apt(self.settings.tools_dir / "apt", suite))

    def _unpack(self, program: Program, apt: Apt, packages: list[str]) -> Path:
        root = self.settings.tools_dir / program.name
        partial = root.with_name(f"{root.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        apt.fetch([*packages, *program.extra], partial)
        if _missing_libraries(program, partial):
            libraries = apt.missing_libraries([*packages, *program.extra])
            apt.fetch([name for name in libraries if not name.startswith(program.without or " ")], partial)
            missing = _missing_libraries(program, partial)
            if missing:
                raise ToolError(
                    f"{program.name} lacks {', '.join(sorted(missing))}; install it on this machine"
                )
        if program.extra:
            (partial / "fonts.conf").write_text(FONTS_CONF)
        shutil.rmtree(root, ignore_errors=True)
        partial.rename(root)
        return root

    def _wrap(self, command: Command, root: Path, *, package: str, libraries: list[Path]) -> None:
        fonts = root / "fonts.conf"
        text = wrappers.wrapper_text(
            f"{command.name} of the package {package}",
            _unpacked(root, command),
            tools=self.settings.tools_dir,
            wrapper=command.wrapper,
            libraries=libraries,
            fonts=fonts if fonts.exists() else None,
        )
        self._write(command, text)


def _search_folders(program: Program) -> Iterator[Path]:
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if Path(folder).is_absolute():
            yield Path(folder)
    for pattern in program.directories:
        yield from sorted(Path("/").glob(pattern.lstrip("/")), reverse=True)


def _executable(folder: Path, command: Command) -> Path | None:
    paths = (folder / name for name in (command.name, *command.aliases))
    return next((path for path in paths if os.access(path, os.X_OK) and path.is_file()), None)


def _unpacked(root: Path, command: Command) -> Path:
    found = sorted(root.glob(command.path))
    if not found:
        raise ToolError(f"the package for {command.name} has no {command.path}")
    return found[-1]


def _version_of(path: Path, program: Program) -> str | None:
    # nginx writes its version to standard error; wrk fails after it has told its own.
    try:
        shown = run(["sh", "-c", '"$0" "$@" 2>&1 || true', path, program.version_flag], timeout_seconds=60)
    except NativeError:
        return None
    found = VERSION.search(shown)
    return found.group() if found else None


def _missing_libraries(program: Program, root: Path) -> set[str]:
    folders = [str(folder) for pattern in LIBRARY_FOLDERS for folder in sorted(root.glob(pattern))]
    env = {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(folders)}
    missing = set()
    for command in program.commands:
        # A static program makes ldd fail, and needs nothing.
        shown = run(["sh", "-c", 'ldd "$0" || true', _unpacked(root, command)], env=env)
        missing |= {line.split()[0] for line in shown.splitlines() if line.endswith("not found")}
    return missing
