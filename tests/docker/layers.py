"""The files of stand-in images: packages unpacked into an archive, and what images have besides."""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.docker.stand_ins import BASES, LIBC, STAND_INS

from claw_native.apt import Apt
from claw_native.programs import Suite

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.docker.stand_ins import StandIn

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n"
GROUP = "root:x:0:\ntty:x:5:\nnobody:x:65534:\n"
PIP_SETTINGS = {
    "PIP_INDEX_URL": "index-url",
    "PIP_EXTRA_INDEX_URL": "extra-index-url",
    "PIP_TRUSTED_HOST": "trusted-host",
}
# Of unpacked packages.
UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/lib/systemd")
# What dpkg keeps of what apt knows.
STATUS_FIELD = re.compile(
    r"^(?:Package|Source|Version|Architecture|Multi-Arch|Maintainer|Homepage|Description): .*$", re.MULTILINE
)


class Layers:
    """Packages by stand-in, kept between runs.

    Args:
        folder: Where.
        say: Receives one line for each that is fetched.
    """

    def __init__(self, folder: Path, *, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.say = say
        self._apts = {suite: Apt(folder / "apt", suite) for suite in (Suite.STABLE, Suite.TESTING)}

    def fetch_all(self) -> None:
        """Fetches what is missing of all; needs the machine's network."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for stand_in in (*BASES.values(), *STAND_INS.values()):
            self.archive(stand_in)

    def archive(self, stand_in: StandIn) -> Path:
        """Returns one image's packages as an archive; fetched when it is missing."""
        archive = self.folder / f"{stand_in.name}.tar"
        made_of = archive.with_suffix(".txt")
        if archive.exists() and made_of.exists() and made_of.read_text() == repr(stand_in):
            return archive
        self.say(f"  fetching {', '.join(stand_in.packages)}")
        tree = archive.with_suffix(".tree")
        shutil.rmtree(tree, ignore_errors=True)
        below = self._packages(BASES[stand_in.on]) if stand_in.on else set()
        self._apts[stand_in.suite].fetch(sorted(self._packages(stand_in) - below), tree)
        if "dpkg" in stand_in.packages:
            self._write_status(stand_in, tree / "var/lib/dpkg")
        for path in (path for pattern in UNUSED for path in tree.glob(pattern)):
            shutil.rmtree(path)
        with tarfile.open(archive, "w") as file:
            file.add(tree, arcname=".")
        shutil.rmtree(tree)
        made_of.write_text(repr(stand_in))
        return archive

    def _write_status(self, stand_in: StandIn, folder: Path) -> None:
        """Lists for dpkg what is there, as if it had been installed."""
        shown = self._apts[stand_in.suite].describe(sorted(self._packages(stand_in)))
        paragraphs = ("\n".join(STATUS_FIELD.findall(paragraph)) for paragraph in shown.split("\n\n"))
        status = "\n\n".join(f"{text}\nStatus: install ok installed" for text in paragraphs if text) + "\n"
        (folder / "info").mkdir(parents=True, exist_ok=True)
        (folder / "status").write_text(status)

    def _packages(self, stand_in: StandIn) -> set[str]:
        """All packages of an image, those of the images below it included."""
        libraries = self._apts[stand_in.suite].libraries(stand_in.packages)
        names = {*stand_in.packages, *(name for name in libraries if not name.startswith(stand_in.without))}
        return names | (self._packages(BASES[stand_in.on]) if stand_in.on else set())


def write_etc(folder: Path, stand_in: StandIn, environ: Mapping[str, str]) -> None:
    """Writes what images have beside packages: users, certificates, where pip gets packages."""
    folder.mkdir(exist_ok=True)
    if stand_in is LIBC:
        (folder / "passwd").write_text(PASSWD)
        (folder / "group").write_text(GROUP)
        if CERTIFICATES.exists():
            (folder / "ssl" / "certs").mkdir(parents=True, exist_ok=True)
            shutil.copy(CERTIFICATES, folder / "ssl" / "certs")
    if stand_in.name == "python":
        (folder / "pip.conf").write_text(pip_configuration(environ))


def pip_configuration(environ: Mapping[str, str], machine: Path = Path("/etc/pip.conf")) -> str:
    """Writes a pip.conf that gets packages from where this machine's pip gets them."""
    lines = ["[global]", f"cert = {CERTIFICATES}"] if CERTIFICATES.exists() else ["[global]"]
    lines += [f"{key} = {environ[name]}" for name, key in PIP_SETTINGS.items() if environ.get(name)]
    given = machine.read_text().splitlines() if machine.exists() else []
    lines += [line for line in given if line.partition("=")[0].strip() in PIP_SETTINGS.values()]
    return "\n".join(lines) + "\n"
