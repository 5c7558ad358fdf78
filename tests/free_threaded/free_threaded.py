"""Runs the library's own tests and the race tests on a CPython without the global interpreter lock.

The interpreter is the one named by ``CLAW_PYTHON_FREE_THREADED``, one on PATH, or else one that is built,
once, from Debian's source package (signatures checked by apt; a C compiler is needed; some five minutes).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from claw_native.apt import Apt
from claw_native.errors import NativeError
from claw_native.programs import Suite

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / ".run" / "free-threaded"
REQUIREMENTS: Final = ROOT / "tests" / "matrix" / "requirements" / "starlette-newest.txt"
TESTS: Final = ROOT / "tests" / "exporter"
# Without FastAPI: pydantic-core has no wheel for 3.13t.
SUITES: Final = (
    ROOT / "tests" / "free_threaded" / "test_races.py",
    TESTS / "behaviour",
    *(
        TESTS / f"test_{name}.py"
        for name in (
            "agents",
            "answers",
            "bounds",
            "exposition",
            "operations",
            "records",
            "stalls",
            "store",
            "tracking",
            "traffic",
        )
    ),
)
# The newest first: a mirror may not have the sources of all of them.
PACKAGES: Final = ("python3.14", "python3.13")
CONFIGURE: Final = ("--disable-gil", "--disable-test-modules", "--without-ensurepip")
# The suites bring their own configuration: the repository's names plugins that are not installed there.
PYTEST: Final = ("-c", os.devnull, "--rootdir", TESTS, "--confcutdir", TESTS, "--import-mode=importlib", "-q")
STRICT: Final = (
    "-W",
    "error",
    "-p",
    "no:cacheprovider",
    "-o",
    "anyio_mode=auto",
    "-o",
    "faulthandler_timeout=60",
)
PROGRAM: Final = "import sys; print(sys.version.split()[0], sys._is_gil_enabled())"


class Sources(Apt):
    """Source packages of a suite."""

    def _sources(self) -> list[str]:
        lines = super()._sources()
        return [
            line.replace("deb [", "deb-src [", 1).replace("target=Packages", "target=Sources")
            for line in lines
        ]


def say(line: str) -> None:
    """Print what a person at a terminal waits for."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run(*command: str | Path, cwd: Path = ROOT, log: Path | None = None) -> None:
    """Run a command; where it fails, end with what it said last."""
    words = [str(word) for word in command]
    with (log or Path(os.devnull)).open("w", encoding="utf-8") as output:
        done = subprocess.run(words, cwd=cwd, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        said = log.read_text(encoding="utf-8")[-2000:] if log else ""
        sys.exit(f"free-threaded: {' '.join(words)} ended with {done.returncode}\n{said}")


def found() -> Path | None:
    """Return an interpreter that is here already."""
    named = os.environ.get("CLAW_PYTHON_FREE_THREADED", "")
    names = [named] if named else ["python3.14t", "python3.13t"]
    path = next(filter(None, map(shutil.which, names)), None)
    if named and path is None:
        sys.exit(f"free-threaded: CLAW_PYTHON_FREE_THREADED is {named!r}: no such program")
    return Path(path) if path else None


def fetched() -> Path:
    """Download a source package and return its archive."""
    archives = FOLDER / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    apt = Sources(FOLDER / "apt", Suite.TESTING)
    apt._update()  # only programs are fetched by name elsewhere
    for package in PACKAGES:
        try:
            apt._apt("apt-get", "source", "--download-only", "--quiet=2", package, cwd=archives)
        except NativeError as error:
            say(f"    {package}: {str(error).splitlines()[-1]}")
            continue
        return next(archives.glob(f"{package}_*.orig.tar.xz"))
    sys.exit(f"free-threaded: the mirror has the sources of none of {', '.join(PACKAGES)}")


def built() -> Path:
    """Build an interpreter where that has not been done."""
    prefix = FOLDER / "python"
    ready = sorted(prefix.glob("bin/python3.*t"))
    if ready:
        return ready[-1]
    if shutil.which("gcc") is None or shutil.which("make") is None:
        sys.exit("free-threaded: building needs gcc and make; or name one in CLAW_PYTHON_FREE_THREADED")
    archive = fetched()
    say(f"==> building {archive.name} without the lock (some five minutes)")
    source, build = FOLDER / "source", FOLDER / "build"
    for folder in (source, build):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    run("tar", "-xJf", archive, "-C", source, "--strip-components=1")
    run(source / "configure", *CONFIGURE, f"--prefix={prefix}", cwd=build, log=FOLDER / "configure.log")
    run("make", f"-j{os.cpu_count()}", cwd=build, log=FOLDER / "make.log")
    run("make", "install", cwd=build, log=FOLDER / "install.log")
    for folder in (source, build):
        shutil.rmtree(folder)
    return next(prefix.glob("bin/python3.*t"))


def environment(interpreter: Path) -> Path:
    """Make the environment of the tests, and return its interpreter."""
    folder = FOLDER / "venv"
    python, stamp = folder / "bin" / "python", folder / ".ready"
    want = f"{interpreter} {REQUIREMENTS.read_text(encoding='utf-8')}"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != want:
        pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", python)
        run(interpreter, "-m", "venv", "--clear", "--without-pip", folder, log=FOLDER / "venv.log")
        run(*pip, "install", "--require-hashes", "-r", REQUIREMENTS, log=FOLDER / "pip.log")
        stamp.write_text(want, encoding="utf-8")
    return python


def main() -> int:
    """Prepare everything, then hand over to pytest; returns its exit code."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    python = environment(found() or built())
    version, locked = subprocess.check_output([python, "-c", PROGRAM], text=True).split()
    say(f"==> CPython {version}, global interpreter lock: {'on' if locked == 'True' else 'off'}")
    given = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV"))}
    environ = given | {"PYTHONPATH": str(ROOT / "exporter" / "src"), "PYTHON_GIL": "0"}
    command = [str(word) for word in (python, "-m", "pytest", *PYTEST, *STRICT, *SUITES)]
    return subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
