"""Fetches Debian packages without touching the system: own sources, own lists, own cache, no installation.

The mirror is the one this machine is configured to use.
Signatures are checked with the archive keyring it has.
"""

from __future__ import annotations

import platform
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from claw_native.command import run
from claw_native.errors import NativeError, ToolError
from claw_native.programs import Suite

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KEYRINGS = Path("/usr/share/keyrings")
OFFLINE_ADVICE = (
    "The native run needs a Debian mirror once. Check the network and /etc/apt/sources.list, "
    "or put the programs on PATH yourself (docs/NATIVE.md lists them with their versions)."
)
# A package of this machine's suite that its C library provides; never to be brought along.
C_LIBRARY = re.compile(r"^(libc6|libc-bin|libc-gconv.*|libcrypt1)(:|$)")
LIBRARY = re.compile(r"^lib[a-z0-9]")
DEPENDS = re.compile(r"Depends: (lib[a-z0-9]\S+)")
WITHOUT = tuple(
    f"--no-{relation}"
    for relation in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
)

CONFIGURATION = """\
Dir::Etc::sourcelist "{root}/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferencesparts "-";
Dir::State::lists "{root}/lists";
Dir::Cache "{root}/cache";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
Acquire::Languages "none";
Acquire::PDiffs "false";
Acquire::Retries "3";
APT::Sandbox::User "";
APT::Default-Release "";
Debug::NoLocking "true";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
"""


def codename(os_release: Mapping[str, str]) -> str:
    """Returns the name of the machine's suite.

    Raises:
        ToolError: The machine runs no Debian.
    """
    if os_release.get("ID") != "debian":
        name = os_release.get("PRETTY_NAME", "unknown")
        raise ToolError(f"this machine runs '{name}', programs are fetched on Debian only. {OFFLINE_ADVICE}")
    return os_release.get("VERSION_CODENAME", "testing")


def own_sources(rows: Iterable[str], name: str) -> list[tuple[str, str, str]]:
    """Picks the distribution's own sources among `uri|suite|component` rows."""
    wanted = {name, f"{name}-updates", f"{name}-security"}
    aliases = {"oldstable", "stable", "testing", "unstable", "sid"}
    picked = []
    for row in dict.fromkeys(rows):
        uri, suite, component = row.split("|")
        if component == "main" and (suite in wanted or suite.split("-")[0] in aliases):
            picked.append((uri, suite, component))
    return picked


def _keyring_option(keyrings: Path) -> str:
    # Without one, apt takes every key of /etc/apt/trusted.gpg.d.
    for pattern in ("debian-archive-keyring.*", "debian-archive-*-stable.*"):
        found = sorted(keyrings.glob(pattern))
        if found:
            return f"signed-by={found[0]} "
    return ""


def source_lines(sources: Iterable[tuple[str, str, str]], keyrings: Path = KEYRINGS) -> list[str]:
    """Writes sources the way sources.list has them, with package lists only."""
    option = _keyring_option(keyrings)
    return [f"deb [{option}target=Packages] {uri} {suite} {component}" for uri, suite, component in sources]


class Apt:
    """One suite's packages, read through private lists.

    Args:
        root: Folder of the private lists and the cache.
        suite: Whose packages.
    """

    def __init__(self, root: Path, suite: Suite) -> None:
        if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
            raise ToolError(f"there is no apt-get here. {OFFLINE_ADVICE}")
        self.root = root / suite
        self.suite = suite
        self._updated = False

    def available(self, packages: str) -> bool:
        """Tells whether the suite has all of these packages, joined by spaces."""
        self._update()
        try:
            self._apt("apt-cache", "show", "--no-all-versions", *packages.split())
        except NativeError:
            return False
        return True

    def version(self, package: str) -> str:
        """Returns the version the suite has."""
        shown = self.describe([package])
        return next(line.split(": ")[1] for line in shown.splitlines() if line.startswith("Version: "))

    def describe(self, packages: Iterable[str]) -> str:
        """Returns the paragraphs of the package lists about these."""
        self._update()
        return self._apt("apt-cache", "show", "--no-all-versions", *packages)

    def missing_libraries(self, packages: Iterable[str]) -> list[str]:
        """Returns the library packages that these depend on, however deep, and that the system lacks."""
        names = self._depended_on(packages) - _installed()
        return sorted(name for name in names if not C_LIBRARY.match(name))

    def libraries(self, packages: Iterable[str]) -> set[str]:
        """Returns the library packages these need themselves, however deep; not those of other programs."""
        self._update()
        direct = set(DEPENDS.findall(self._apt("apt-cache", "depends", *WITHOUT, *packages)))
        return direct | self._depended_on(direct) if direct else set()

    def _depended_on(self, packages: Iterable[str]) -> set[str]:
        self._update()
        shown = self._apt("apt-cache", "depends", "--recurse", *WITHOUT, *packages)
        return {line for line in shown.splitlines() if LIBRARY.match(line)}

    def fetch(self, packages: Iterable[str], destination: Path) -> None:
        """Downloads packages and unpacks them into a folder; nothing is installed.

        Raises:
            ToolError: A package cannot be had.
        """
        self._update()
        packages = list(packages)
        archives = self.root / "archives"
        shutil.rmtree(archives, ignore_errors=True)
        archives.mkdir(parents=True)
        try:
            self._apt("apt-get", "download", "--quiet=2", *packages, cwd=archives)
        except NativeError as error:
            raise ToolError(f"cannot download {' '.join(packages)}. {OFFLINE_ADVICE}\n{error}") from error
        destination.mkdir(parents=True, exist_ok=True)
        for archive in sorted(archives.glob("*.deb")):
            run(["dpkg", "-x", archive, destination])
        shutil.rmtree(archives)

    def _update(self) -> None:
        if self._updated:
            return
        for folder in ("lists/partial", "cache/archives/partial"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        # apt's own syntax has no way to quote a quote, and this one may hold blanks.
        (self.root / "apt.conf").write_text(CONFIGURATION.format(root=self.root))
        (self.root / "sources.list").write_text("\n".join(self._sources()) + "\n")
        try:
            self._apt("apt-get", "update", "--quiet=2", "--error-on=any")
        except NativeError as error:
            raise ToolError(f"cannot read the package lists. {OFFLINE_ADVICE}\n{error}") from error
        self._updated = True

    def _sources(self) -> list[str]:
        name = codename(platform.freedesktop_os_release())
        # ReleaseInfo=0 lists sources that were never read, as on a fresh container.
        option = "APT::Get::IndexTargets::ReleaseInfo=0"
        form = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
        rows = run(["apt-get", "-o", option, "indextargets", "--format", form]).splitlines()
        own = own_sources(rows, name)
        if not own:
            raise ToolError(f"the apt sources of this machine name no mirror of '{name}'. {OFFLINE_ADVICE}")
        if self.suite is Suite.OWN:
            return source_lines(own)
        mirror = next((row[0] for row in own if not row[1].endswith("-security")), own[0][0])
        return source_lines([(mirror, self.suite, "main")])

    def _apt(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        return run([program, "-c", self.root / "apt.conf", *arguments], cwd=cwd)


def _installed() -> set[str]:
    shown = run(["dpkg-query", "--show", "--showformat", "${db:Status-Abbrev}|${Package}\n"])
    rows = (line.split("|") for line in shown.splitlines())
    return {package for status, package in rows if status.startswith("ii")}
